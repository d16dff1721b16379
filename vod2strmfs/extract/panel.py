"""What panels say, as it stands in the JSON columns of relations and rows.

Values are `Any`, and objects may be anything: no type makes a document unreadable.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

Junk = list[Any] | str | int | float | bool | None
"""What else stands where an object should."""


class Stream(msgspec.Struct, gc=False):
    """A stream as ffprobe describes it."""

    codec_name: Any = None
    width: Any = None
    height: Any = None
    channels: Any = None


class Panel(msgspec.Struct, gc=False):
    """What a panel says of a title, in list entries, details and `custom_properties` alike."""

    title: Any = None
    year: Any = None
    tmdb: Any = None
    tmdb_id: Any = None
    imdb: Any = None
    imdb_id: Any = None
    plot: Any = None
    description: Any = None
    overview: Any = None
    release_date: Any = None
    releasedate: Any = None
    release_date_camel: Any = msgspec.field(default=None, name="releaseDate")
    air_date: Any = None
    duration_secs: Any = None
    duration: Any = None
    episode_run_time: Any = None
    rating: Any = None
    rating_5based: Any = None
    mpaa_rating: Any = None
    age: Any = None
    genre: Any = None
    country: Any = None
    director: Any = None
    actors: Any = None
    cast: Any = None
    trailer: Any = None
    youtube_trailer: Any = None
    stream_icon: Any = None
    cover: Any = None
    cover_big: Any = None
    movie_image: Any = None
    backdrop_path: Any = None
    added: Any = None
    is_adult: Any = None
    video: Stream | Junk = None
    audio: Stream | Junk = None


class EpisodeEntry(Panel):
    """What a panel says of an episode, with the details inside."""

    info: Panel | Junk = None


class MovieRelation(msgspec.Struct):
    """A movie's relation, as Dispatcharr keeps the panel's answers in it."""

    detailed_info: Panel | Junk = None
    basic_data: Panel | Junk = None


class SeriesRelation(msgspec.Struct):
    """A series' relation."""

    basic_data: Panel | Junk = None


class EpisodeRelation(msgspec.Struct):
    """An episode's relation."""

    info: EpisodeEntry | Junk = None


NO_STREAM, NO_PANEL, NO_ENTRY = Stream(), Panel(), EpisodeEntry()

_DECODERS: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind | Junk) for kind in (MovieRelation, SeriesRelation, EpisodeRelation, Panel)
}


def decode_column(kind: type[S], text: str | None, name: str, problems: Counter[str]) -> S:
    """A JSON column; an empty object where it holds no object."""
    if not text:
        return kind()
    decoder = _DECODERS[kind]
    try:
        value = decoder.decode(text)
    except (ValueError, TypeError, RecursionError):
        # In SQLite the column holds what Python's json wrote: NaN, lone surrogates, numbers beyond a double.
        try:
            value = msgspec.convert(json.loads(text), decoder.type)
        except (ValueError, TypeError, RecursionError):
            problems[name] += 1
            return kind()
    if isinstance(value, kind):
        return value
    if value:
        problems[name] += 1
    return kind()


def decode_others(kind: type[S], texts: str, problems: Counter[str]) -> Iterator[S]:
    """The JSON columns of other relations; see `MovieRow.others`."""
    return (decode_column(kind, text, "relation", problems) for text in texts.split("\x1e"))


def object_of(value: object, nothing: S, problems: Counter[str], name: str = "relation") -> S:
    """An object inside a relation's JSON. Panels write an empty one as []."""
    if isinstance(value, type(nothing)):
        return value
    if value:
        problems[name] += 1
    return nothing
