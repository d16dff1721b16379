"""What the library shows of a row: from a catalogue's rows to items.

Field by field, the first source with a usable value decides: the chosen relation's own JSON, then that of the title's
other relations in their order, then the shared row's columns, then the row's `custom_properties`. Shared rows take
another provider's values at every scan of Dispatcharr; a relation's JSON stays what its own provider said, so an
unchanged catalogue gives unchanged items. Of a movie or series, three things come from the row first: the name, which
no scan changes, the year, and the tmdb and imdb ids, by which Dispatcharr merges duplicates. An id in the name comes
last. What tells of the file itself, its streams and extension, comes from the chosen relation alone.

The JSON is the panel's, of any shape. A value that cannot be used is left out, counted in `problems` under its
field's name, and the next gets its turn: in the same list, in another field of the same source that says the same
(`cover` for `stream_icon`), in the next source. No item is ever lost: nothing here raises for what a row holds.
A panel's ways to say "nothing" (null, "", 0, "N/A", "0000-00-00" and the like) are not problems. The counted names:

* `relation`, `properties`: that JSON is no object, or cannot be read
* `plot`: longer than `MAX_PLOT`, and cut there; or not a text
* `title`: longer than `MAX_LINE`, and cut there; or, of an episode's relation, not a text
* `mpaa`, `category`: longer than `MAX_LINE`, or not a text
* `genres`, `countries`, `directors`, `actors`: longer than `MAX_NAMES`, or not names
* `premiered`: an impossible or ambiguous day (`05/06/2019`), of which the year counts; or a day in another year than
  the item's
* `year`: not between 1870 and 2100
* `runtime`: not a duration, or 100 hours and more
* `rating`: not a number up to 10, or up to 5 where that is the best
* `tmdb`, `imdb`, `trailer`, `extension`: not in the form that the items' fields have
* `poster`, `fanart`: not an http(s) URL of a file, or one that would send Kodi's scrapers online
* `added`: not a time between 1990 and 2100
* `video`: a stream detail that is no codec or no plausible number
* `adult`: neither yes nor no
* `season`, `number`: not between 0 and 99,999
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow
from vod2strmfs.extract.panel import (
    NO_ENTRY,
    NO_PANEL,
    NO_STREAM,
    EpisodeRelation,
    MovieRelation,
    Panel,
    SeriesRelation,
    decode_column,
    decode_others,
    object_of,
)
from vod2strmfs.extract.raw import PartlyJunkError, remembering
from vod2strmfs.extract.texts import MAX_LINE, MAX_PLOT, one_line, parse_category, parse_line, parse_names, parse_plot
from vod2strmfs.extract.times import parse_added, parse_day, parse_seconds, parse_year
from vod2strmfs.extract.titles import TitleCleaner, language_code, may_have_ids, title_ids
from vod2strmfs.extract.values import (
    FiveStars,
    parse_channels,
    parse_codec,
    parse_extension,
    parse_imdb,
    parse_pixels,
    parse_rating,
    parse_tmdb,
    parse_trailer,
    parse_url,
    parse_urls,
)
from vod2strmfs.extract.versions import category_tags
from vod2strmfs.library.items import Episode, Movie, Series, SpokenMovie, SpokenSeries, TaggedMovie, TaggedSeries, Video
from vod2strmfs.library.names import PLACEHOLDER

T = TypeVar("T")


def movie(row: MovieRow, cleaner: TitleCleaner, problems: Counter[str]) -> Movie:
    """The item of a movie.

    Args:
        row: the movie with its chosen relation.
        cleaner: makes the title from the name.
        problems: where values that cannot be used are counted, under the names that this module's text lists.
    """
    relation = decode_column(MovieRelation, row.relation_properties, "relation", problems)
    detail, entry = panels = _movie_panels(relation, problems)
    entries = [entry]
    if row.others:
        for other in decode_others(MovieRelation, row.others, problems):
            panels += _movie_panels(other, problems)
            entries.append(panels[-1])
    columns = _Facts(
        plot=row.description,
        rating=row.rating,
        genres=row.genre,
        runtime=(row.duration_secs, None, None),
        poster=row.logo_url,
    )
    fields = _read(panels, columns, row.properties, problems)
    seconds = _set_runtime(fields)
    _set_identity(fields, row, detail, entry, cleaner, problems)
    return _MOVIES[_set_tags(fields, row)](
        adult=_adult(entries, row.is_adult, problems),
        extension=_usable("extension", parse_extension, row.container_extension, problems) or "",
        video=_video(detail, seconds, problems),
        **fields,
    )


_MOVIES: tuple[type[Movie], ...] = (Movie, SpokenMovie, TaggedMovie)
_SERIES: tuple[type[Series], ...] = (Series, SpokenSeries, TaggedSeries)


def _set_tags(fields: dict[str, Any], row: MovieRow | SeriesRow) -> int:
    """Set the language and the quality that Dispatcharr knows; returns the place of the class that has such fields."""
    if not row.language and not row.category_tags:
        return 0
    language, quality = category_tags(str(row.category_tags)) if row.category_tags else ("", "")
    if row.language:
        language = language_code(str(row.language))
    if language:
        fields["language"] = language
    if quality:
        fields["quality"] = quality
    return 2 if quality else 1 if language else 0


def _movie_panels(relation: MovieRelation, problems: Counter[str]) -> tuple[Panel, ...]:
    """The details of a movie's relation, and its list entry."""
    return (
        object_of(relation.detailed_info, NO_PANEL, problems),
        object_of(relation.basic_data, NO_PANEL, problems),
    )


def series(row: SeriesRow, cleaner: TitleCleaner, problems: Counter[str]) -> Series:
    """The item of a series. Arguments as for `movie`."""
    relation = decode_column(SeriesRelation, row.relation_properties, "relation", problems)
    entry = object_of(relation.basic_data, NO_PANEL, problems)
    entries = [entry]
    if row.others:
        others = decode_others(SeriesRelation, row.others, problems)
        entries += [object_of(other.basic_data, NO_PANEL, problems) for other in others]
    columns = _Facts(plot=row.description, rating=row.rating, genres=row.genre, poster=row.logo_url)
    fields = _read(entries, columns, row.properties, problems)
    _set_runtime(fields)
    _set_identity(fields, row, NO_PANEL, entry, cleaner, problems)
    adult = _adult(entries, False, problems)
    return _SERIES[_set_tags(fields, row)](adult=adult, **fields)


def episode(row: EpisodeRow, series_title: str, cleaner: TitleCleaner, problems: Counter[str]) -> Episode:
    """The item of an episode.

    A refresh gives the shared row another account's name and ids as well, so here the relation's come first.

    Args:
        row: the episode with its chosen relation.
        series_title: the cleaned title of its series, which many episode names repeat.
        cleaner: makes the title from the name.
        problems: as for `movie`.
    """
    relation = decode_column(EpisodeRelation, row.relation_properties, "relation", problems)
    entry = object_of(relation.info, NO_ENTRY, problems)
    detail = object_of(entry.info, NO_PANEL, problems)
    panels: list[Panel] = [detail, entry]
    tmdb: tuple[Any, ...] = detail.tmdb_id, detail.tmdb
    imdb: tuple[Any, ...] = detail.imdb_id, detail.imdb
    names: tuple[Any, ...] = (entry.title,)
    if row.others:
        for other in decode_others(EpisodeRelation, row.others, problems):
            entry = object_of(other.info, NO_ENTRY, problems)
            panel = object_of(entry.info, NO_PANEL, problems)
            panels += panel, entry
            tmdb += panel.tmdb_id, panel.tmdb
            imdb += panel.imdb_id, panel.imdb
            names += (entry.title,)
    columns = _Facts(
        plot=row.description, premiered=row.air_date, rating=row.rating, runtime=(row.duration_secs, None, None)
    )
    fields = _read(panels, columns, row.properties, problems)
    seconds = _set_runtime(fields)
    _set_dates(fields, 0, problems)
    _set_ids(fields, (*tmdb, row.tmdb_id), (*imdb, row.imdb_id), problems)
    season = _ordinal("season", row.season_number, problems)
    number = _ordinal("number", row.episode_number, problems)
    name = _first("title", parse_line, (*names, row.name), problems) or ""
    return Episode(
        title=cleaner.episode(name, series=series_title, season=season, number=number),
        season=season,
        number=number,
        extension=_usable("extension", parse_extension, row.container_extension, problems) or "",
        video=_video(detail, seconds, problems),
        **fields,
    )


# From sources to fields.


class _Facts(NamedTuple):
    """What one source says, raw, under the items' field names."""

    plot: Any = None
    premiered: Any = None
    runtime: Any = None
    """(seconds, duration, minutes)"""
    rating: Any = None
    mpaa: Any = None
    genres: Any = None
    countries: Any = None
    directors: Any = None
    actors: Any = None
    trailer: Any = None
    poster: Any = None
    fanart: Any = None
    added: Any = None


_PANEL_FIELDS = {
    "plot": ("plot", "description", "overview"),
    "premiered": ("release_date", "releasedate", "release_date_camel", "air_date"),
    "runtime": ("duration_secs", "duration", "episode_run_time"),
    "rating": ("rating", "rating_5based"),
    "mpaa": ("mpaa_rating", "age"),
    "genres": ("genre",),
    "countries": ("country",),
    "directors": ("director",),
    "actors": ("actors", "cast"),
    "trailer": ("trailer", "youtube_trailer"),
    "poster": ("stream_icon", "cover_big", "movie_image", "cover"),
    "fanart": ("backdrop_path",),
    "added": ("added",),
}
"""The fields of a `Panel` that say what the items' field does, the one that counts first in front. Of `runtime`, they
are three units, which are parsed together; of `rating`, two scales."""


def _expression(name: str) -> str:
    """Python's expression for what a panel says first in one of the items' fields."""
    said = [f"panel.{field}" for field in _PANEL_FIELDS[name]]
    if name == "runtime":
        return f"({' or '.join(said)}) and ({', '.join(said)})"
    if name == "rating":
        ten, five = said
        return f"{ten} or ({five} and FiveStars({five}))"
    return " or ".join(said)


# Every row asks two or three panels. Made as text, as dataclasses are, this takes 0.4 microseconds; a loop takes 4.
_facts: Callable[[Panel], tuple[Any, ...]] = eval(f"lambda panel: ({', '.join(map(_expression, _Facts._fields))})")
"""What a panel says first in each field, in the order of `_Facts`."""


def _all_of(name: str, sources: Iterable[Panel | _Facts]) -> Iterator[Any]:
    """All that the sources say in one of the items' fields, where `_facts` takes what comes first in each."""
    for source in sources:
        if isinstance(source, _Facts):
            yield getattr(source, name)
            continue
        said = [getattr(source, field) for field in _PANEL_FIELDS[name]]
        if name == "runtime":
            yield tuple(said)
        elif name == "rating":
            ten, five = said
            yield ten
            yield five and FiveStars(five)
        else:
            yield from said


def _read(panels: Sequence[Panel], columns: _Facts, properties: str | None, problems: Counter[str]) -> dict[str, Any]:
    """The fields that have a value, each from the first source that has one.

    `premiered` is a pair of day and year, `runtime` in seconds.
    """
    sources = [_facts(panel) for panel in panels if panel is not NO_PANEL]
    sources.append(columns)
    last = NO_PANEL
    if properties:
        last = decode_column(Panel, properties, "properties", problems)
        sources.append(_facts(last))
    fields: dict[str, Any] = {}
    for (name, parse), values in zip(_FIELDS, zip(*sources, strict=True), strict=True):
        for value in values:
            if value:
                # The same as `_first`, without the calls: a sync comes here some ten times for each row.
                try:
                    if parsed := parse(value):
                        fields[name] = parsed
                        break
                except (ValueError, OverflowError):
                    pass
                # Seldom a value is junk or a word for nothing: then each field of each source is asked.
                if parsed := _first(name, parse, _all_of(name, (*panels, columns, last)), problems):
                    fields[name] = parsed
                break
    for source in sources:
        plot = source[0]
        if isinstance(plot, str) and len(plot) > MAX_PLOT:
            problems["plot"] += 1
    return fields


def _usable(name: str, parse: Callable[[Any], T], value: object, problems: Counter[str]) -> T | None:
    """A parsed value. `parse` gives something empty for "nothing", and raises ValueError for junk."""
    try:
        return parse(value)
    except (ValueError, OverflowError):
        problems[name] += 1
        return None


def _first(name: str, parse: Callable[[Any], T], values: Iterable[object], problems: Counter[str]) -> T | None:
    """The first value that is neither nothing nor junk, or what of it is not."""
    for value in values:
        if value:
            try:
                if parsed := parse(value):
                    return parsed
            except PartlyJunkError as junk:
                problems[name] += 1
                if junk.usable:
                    return cast(T, junk.usable)
            except (ValueError, OverflowError):
                problems[name] += 1
    return None


def _set_runtime(fields: dict[str, Any]) -> int:
    """Turn the runtime into minutes; returns the seconds."""
    seconds: int = fields.get("runtime", 0)
    if seconds:
        fields["runtime"] = max(1, round(seconds / 60))
    return seconds


def _set_identity(
    fields: dict[str, Any],
    row: MovieRow | SeriesRow,
    detail: Panel,
    entry: Panel,
    cleaner: TitleCleaner,
    problems: Counter[str],
) -> None:
    name = one_line(row.name[:MAX_LINE])
    if len(row.name) > MAX_LINE:
        problems["title"] += 1
    title = cleaner.title(name)
    if row.category and (category := _usable("category", parse_category, row.category, problems)):
        fields["category"] = category
    year = _first("year", parse_year, (row.year, entry.year), problems)
    _set_dates(fields, year or title.year or 0, problems)
    text = cleaner.without_year(title.text, fields.get("year", 0))
    fields["title"] = text or PLACEHOLDER
    if name not in (text, f"{text} ({title.year})"):
        fields["original_title"] = name
    tmdb, imdb = title_ids(name) if may_have_ids(name) else ("", "")
    _set_ids(
        fields,
        (row.tmdb_id, detail.tmdb_id, detail.tmdb, entry.tmdb_id, entry.tmdb, tmdb),
        (row.imdb_id, detail.imdb_id, detail.imdb, entry.imdb_id, entry.imdb, imdb),
        problems,
    )


def _set_dates(fields: dict[str, Any], year: int, problems: Counter[str]) -> None:
    """Year and day, which have to agree: Kodi and Emby take the year from the day, Jellyfin and folder names do not."""
    day, day_year = fields.pop("premiered", ("", 0))
    year = year or day_year
    if year:
        fields["year"] = year
    if day and day_year == year:
        fields["premiered"] = day
    elif day:
        problems["premiered"] += 1


def _set_ids(fields: dict[str, Any], tmdb: tuple[Any, ...], imdb: tuple[Any, ...], problems: Counter[str]) -> None:
    if tmdb_id := _first("tmdb", parse_tmdb, tmdb, problems):
        fields["tmdb"] = tmdb_id
    if imdb_id := _first("imdb", parse_imdb, imdb, problems):
        fields["imdb"] = imdb_id


def _adult(entries: Iterable[Panel], column: bool, problems: Counter[str]) -> bool:
    """Whether it is for adults: what the first list entry says that says anything, else what the row does."""
    for entry in entries:
        said = entry.is_adult
        if said is None or said == "":
            continue
        if said in (0, "0"):
            return False
        if said in (1, "1"):
            return True
        problems["adult"] += 1
    return column


def _video(panel: Panel, seconds: int, problems: Counter[str]) -> Video:
    if not panel.video and not panel.audio:
        return _NO_VIDEO
    picture = object_of(panel.video, NO_STREAM, problems, "video")
    sound = object_of(panel.audio, NO_STREAM, problems, "video")
    raw = (picture.codec_name, picture.width, picture.height, sound.codec_name, sound.channels)
    if tuple(map(type, raw)) == (str, int, int, str, int) and len(raw[0]) + len(raw[3]) <= 100:
        facts, bad = _stream_facts(raw)
    else:
        facts, bad = _stream_facts.__wrapped__(raw)
    if bad:
        problems["video"] += bad
    return Video(*facts, seconds) if any(facts) else _NO_VIDEO


@lru_cache(maxsize=1024)
def _stream_facts(raw: tuple[Any, Any, Any, Any, Any]) -> tuple[tuple[str, int, int, str, int], int]:
    """Codec, width, height, audio codec and channels, and how many of them were junk. Many items share them all."""
    problems: Counter[str] = Counter()
    codec, width, height, audio_codec, channels = raw
    facts = (
        _usable("video", parse_codec, codec, problems) or "",
        _usable("video", parse_pixels, width, problems) or 0,
        _usable("video", parse_pixels, height, problems) or 0,
        _usable("video", parse_codec, audio_codec, problems) or "",
        _usable("video", parse_channels, channels, problems) or 0,
    )
    return facts, problems["video"]


_NO_VIDEO = Video()


def _ordinal(name: str, value: object, problems: Counter[str]) -> int | None:
    if isinstance(value, int) and 0 <= value <= 99_999:
        return value
    if value is not None:
        problems[name] += 1
    return None


_PARSERS = _Facts(
    plot=parse_plot,
    premiered=parse_day,
    runtime=parse_seconds,
    rating=remembering(parse_rating),
    mpaa=remembering(parse_line),
    genres=remembering(parse_names),
    countries=remembering(parse_names),
    directors=parse_names,
    actors=parse_names,
    trailer=parse_trailer,
    poster=parse_url,
    fanart=parse_urls,
    added=parse_added,
)
_FIELDS = tuple(zip(_Facts._fields, _PARSERS, strict=True))
