"""What the library shows of a row: from a catalogue's rows to items.

Field by field, the first source with a usable value decides: the chosen relation's own JSON, then the shared row's
columns, then the row's `custom_properties`. Shared rows take another provider's values at every scan of Dispatcharr;
the relation's JSON stays what its own provider said, so an unchanged catalogue gives unchanged items. Of a movie or
series, three things come from the row first: the name, which no scan changes, the year, and the tmdb and imdb ids,
by which Dispatcharr merges duplicates.

The JSON is the panel's, of any shape. A value that cannot be used is left out, counted in `problems` under its
field's name, and the next source gets its turn. No item is ever lost: nothing here raises for what a row holds.
A panel's ways to say "nothing" (null, "", 0, "N/A", "0000-00-00" and the like) are not problems. The counted names:

* `relation`, `properties`: that JSON is no object, or cannot be read
* `plot`: longer than `MAX_PLOT`, and cut there; or not a text
* `title`: longer than `MAX_LINE`, and cut there; or, of an episode's relation, not a text
* `mpaa`, `category`: longer than `MAX_LINE`, or not a text
* `genres`, `countries`, `directors`, `actors`: longer than `MAX_NAMES`, or not names
* `premiered`: an impossible or ambiguous day (`05/06/2019`), or a day in another year than the item's
* `year`: not between 1870 and 2100
* `runtime`: not a duration, or 100 hours and more
* `rating`: not a number up to 10
* `tmdb`, `imdb`, `trailer`, `extension`: not in the form that the items' fields have
* `poster`, `fanart`: not an http(s) URL, or one that would send Kodi's scrapers online
* `added`: not an epoch in seconds between 1990 and 2100
* `video`: a stream detail that is no codec or no plausible number
* `adult`: neither yes nor no
* `season`, `number`: not between 0 and 99,999
"""

import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow
from vod2strmfs.library.items import Episode, Movie, Series, Video
from vod2strmfs.library.names import PLACEHOLDER
from vod2strmfs.library.titles import TitleCleaner

MAX_PLOT = 20_000
"""Characters of a plot that are kept."""
MAX_LINE = 500
"""Characters that a short text may have."""
MAX_NAMES = 5_000
"""Characters that a list of names may have."""
MAX_URL = 2_000
"""Characters that a URL may have."""
MAX_FANART = 5
"""Backdrops that are kept: servers show the first, or a few in turn."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


def movie(row: MovieRow, cleaner: TitleCleaner, problems: Counter[str]) -> Movie:
    """The item of a movie.

    Args:
        row: the movie with its chosen relation.
        cleaner: makes the title from the name.
        problems: where values that cannot be used are counted, under the names that this module's text lists.
    """
    relation = _decode(_MovieRelation, row.relation_properties, "relation", problems)
    detail = _object(relation.detailed_info, _NO_PANEL, problems)
    entry = _object(relation.basic_data, _NO_PANEL, problems)
    columns = _Facts(
        plot=row.description,
        rating=row.rating,
        genres=row.genre,
        runtime=(row.duration_secs, None, None),
        poster=row.logo_url,
    )
    fields = _read((detail, entry), columns, row.properties, problems)
    seconds = _set_runtime(fields)
    _set_identity(fields, row, detail, entry, cleaner, problems)
    return Movie(
        adult=_adult(entry.is_adult, row.is_adult, problems),
        extension=_usable("extension", _extension, row.container_extension, problems) or "",
        video=_video(detail, seconds, problems),
        **fields,
    )


def series(row: SeriesRow, cleaner: TitleCleaner, problems: Counter[str]) -> Series:
    """The item of a series. Arguments as for `movie`."""
    relation = _decode(_SeriesRelation, row.relation_properties, "relation", problems)
    entry = _object(relation.basic_data, _NO_PANEL, problems)
    columns = _Facts(plot=row.description, rating=row.rating, genres=row.genre, poster=row.logo_url)
    fields = _read((entry,), columns, row.properties, problems)
    _set_runtime(fields)
    _set_identity(fields, row, _NO_PANEL, entry, cleaner, problems)
    return Series(adult=_adult(entry.is_adult, False, problems), **fields)


def episode(row: EpisodeRow, series_title: str, cleaner: TitleCleaner, problems: Counter[str]) -> Episode:
    """The item of an episode.

    A refresh gives the shared row another account's name and ids as well, so here the relation's come first.

    Args:
        row: the episode with its chosen relation.
        series_title: the cleaned title of its series, which many episode names repeat.
        cleaner: makes the title from the name.
        problems: as for `movie`.
    """
    relation = _decode(_EpisodeRelation, row.relation_properties, "relation", problems)
    entry = _object(relation.info, _NO_ENTRY, problems)
    detail = _object(entry.info, _NO_PANEL, problems)
    columns = _Facts(
        plot=row.description, premiered=row.air_date, rating=row.rating, runtime=(row.duration_secs, None, None)
    )
    fields = _read((detail, entry), columns, row.properties, problems)
    seconds = _set_runtime(fields)
    _set_dates(fields, 0, problems)
    _set_ids(fields, (detail.tmdb_id, detail.tmdb, row.tmdb_id), (detail.imdb_id, detail.imdb, row.imdb_id), problems)
    season = _ordinal("season", row.season_number, problems)
    number = _ordinal("number", row.episode_number, problems)
    name = _first("title", _line, (entry.title, row.name), problems) or ""
    return Episode(
        title=cleaner.episode(name, series=series_title, season=season, number=number),
        season=season,
        number=number,
        extension=_usable("extension", _extension, row.container_extension, problems) or "",
        video=_video(detail, seconds, problems),
        **fields,
    )


# The JSON columns. Values are `Any`, and objects may be anything: no type makes a document unreadable.

_Junk = list[Any] | str | int | float | bool | None


class _Stream(msgspec.Struct, gc=False):
    """A stream as ffprobe describes it."""

    codec_name: Any = None
    width: Any = None
    height: Any = None
    channels: Any = None


class _Panel(msgspec.Struct, gc=False):
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
    video: _Stream | _Junk = None
    audio: _Stream | _Junk = None


class _EpisodeEntry(_Panel):
    info: _Panel | _Junk = None


class _MovieRelation(msgspec.Struct):
    detailed_info: _Panel | _Junk = None
    basic_data: _Panel | _Junk = None


class _SeriesRelation(msgspec.Struct):
    basic_data: _Panel | _Junk = None


class _EpisodeRelation(msgspec.Struct):
    info: _EpisodeEntry | _Junk = None


_NO_STREAM, _NO_PANEL, _NO_ENTRY = _Stream(), _Panel(), _EpisodeEntry()

_DECODERS: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind | _Junk) for kind in (_MovieRelation, _SeriesRelation, _EpisodeRelation, _Panel)
}


def _decode(kind: type[S], text: str | None, name: str, problems: Counter[str]) -> S:
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


def _object(value: object, nothing: S, problems: Counter[str], name: str = "relation") -> S:
    """An object inside a relation's JSON. Panels write an empty one as []."""
    if isinstance(value, type(nothing)):
        return value
    if value:
        problems[name] += 1
    return nothing


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


def _facts(panel: _Panel) -> _Facts:
    return _Facts(
        panel.plot or panel.description or panel.overview,
        panel.release_date or panel.releasedate or panel.release_date_camel or panel.air_date,
        (panel.duration_secs or panel.duration or panel.episode_run_time)
        and (panel.duration_secs, panel.duration, panel.episode_run_time),
        panel.rating,
        panel.mpaa_rating or panel.age,
        panel.genre,
        panel.country,
        panel.director,
        panel.actors or panel.cast,
        panel.trailer or panel.youtube_trailer,
        panel.stream_icon or panel.cover_big or panel.movie_image or panel.cover,
        panel.backdrop_path,
        panel.added,
    )


def _read(panels: Iterable[_Panel], columns: _Facts, properties: str | None, problems: Counter[str]) -> dict[str, Any]:
    """The fields that have a value, each from the first source that has one.

    `premiered` is a pair of day and year, `runtime` in seconds.
    """
    sources = [_facts(panel) for panel in panels if panel is not _NO_PANEL]
    sources.append(columns)
    if properties:
        sources.append(_facts(_decode(_Panel, properties, "properties", problems)))
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
                    problems[name] += 1
    for source in sources:
        if isinstance(source.plot, str) and len(source.plot) > MAX_PLOT:
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
    """The first value that is neither nothing nor junk."""
    for value in values:
        if value and (parsed := _usable(name, parse, value, problems)):
            return parsed
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
    detail: _Panel,
    entry: _Panel,
    cleaner: TitleCleaner,
    problems: Counter[str],
) -> None:
    name = _one_line(row.name[:MAX_LINE])
    if len(row.name) > MAX_LINE:
        problems["title"] += 1
    title = cleaner.title(name)
    fields["title"] = title.text or PLACEHOLDER
    if name not in (title.text, f"{title.text} ({title.year})"):
        fields["original_title"] = name
    if row.category and (category := _usable("category", _category, row.category, problems)):
        fields["category"] = category
    year = _first("year", _year, (row.year, entry.year), problems)
    _set_dates(fields, year or title.year or 0, problems)
    _set_ids(
        fields,
        (row.tmdb_id, detail.tmdb_id or detail.tmdb, entry.tmdb_id or entry.tmdb),
        (row.imdb_id, detail.imdb_id or detail.imdb, entry.imdb_id or entry.imdb),
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
    if tmdb_id := _first("tmdb", _tmdb, tmdb, problems):
        fields["tmdb"] = tmdb_id
    if imdb_id := _first("imdb", _imdb, imdb, problems):
        fields["imdb"] = imdb_id


def _adult(said: object, column: bool, problems: Counter[str]) -> bool:
    if said is None or said == "":
        return column
    if said in (0, "0"):
        return False
    if said not in (1, "1"):
        problems["adult"] += 1
        return column
    return True


def _video(panel: _Panel, seconds: int, problems: Counter[str]) -> Video:
    if not panel.video and not panel.audio:
        return _NO_VIDEO
    picture = _object(panel.video, _NO_STREAM, problems, "video")
    sound = _object(panel.audio, _NO_STREAM, problems, "video")
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
        _usable("video", _codec, codec, problems) or "",
        _usable("video", _pixels, width, problems) or 0,
        _usable("video", _pixels, height, problems) or 0,
        _usable("video", _codec, audio_codec, problems) or "",
        _usable("video", _channels, channels, problems) or 0,
    )
    return facts, problems["video"]


_NO_VIDEO = Video()


def _ordinal(name: str, value: object, problems: Counter[str]) -> int | None:
    if isinstance(value, int) and 0 <= value <= 99_999:
        return value
    if value is not None:
        problems[name] += 1
    return None


# Values: each function takes a raw value, gives something empty for "nothing", and raises ValueError for junk.

_NO_VALUE = frozenset(
    form
    for word in ("", "0", "-", "n/a", "null", "none", "nan", "undefined")
    for form in (word, word.upper(), word.capitalize())
) | {"NaN"}

_ENTITY = re.compile(r"&(?:amp|quot|apos|lt|gt|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_CONTROL = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORD = re.compile(r"\S+")


def _tidy(text: str) -> str:
    """A text in one form: NFC, line feeds as line ends, no other control characters, no lone surrogates.

    The entities that panels leave in texts (`&amp;`) are resolved, once. Addresses that send Kodi's scrapers
    online go: the scrapers look for them anywhere in an NFO.
    """
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if not text.isprintable():
        text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if ("/" in text or "=" in text) and _is_scraper_page(text):
        text = _WORD.sub(lambda word: "" if _is_scraper_page(word[0]) else word[0], text)
    return text.strip()


def _one_line(text: str) -> str:
    text = _tidy(text)
    if "  " in text or not text.isprintable():
        return " ".join(text.split())
    return text


_SCRAPER_PAGE = re.compile(
    r"themoviedb\.org/(?:movie|tv)/|imdb\.\w{2,3}/title|imdb\.com/[\w/-]+/tt[0-9]|thetvdb\.com|tvmaze\.com/shows/",
    re.ASCII,
)


def _is_scraper_page(text: str) -> bool:
    """Whether one of Kodi's scrapers would find the page of a title in a text.

    This covers what the scrapers for TMDB, TheTVDB and TVmaze look for. TMDB's images (image.tmdb.org,
    themoviedb.org/t/p/) are nothing to them; of TheTVDB's some are (`/banners/series/1/`), so all of them go.
    """
    text = text.lower()
    if "imdb." in text or "moviedb." in text or "tvdb." in text or "tvmaze." in text:
        return _SCRAPER_PAGE.search(text) is not None
    return False


def _text(value: object) -> str:
    """A text, from what panels send as one: a text, a number, or a list of which the first is one of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and isinstance(value := next(filter(None, value), None), str):
        return value
    if not value:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(value)


def _plot(value: object) -> str:
    text = _tidy(_text(value)[:MAX_PLOT])
    return "" if text in _NO_VALUE else text


def _line(value: object) -> str:
    text = _text(value)
    if len(text) > MAX_LINE:
        raise ValueError(value)
    text = _one_line(text)
    return "" if text in _NO_VALUE else text


def _names(value: object) -> tuple[str, ...]:
    """Names from a text with separators, or from a list of texts or of objects with a `name`."""
    if isinstance(value, list):
        items = (item.get("name") if isinstance(item, dict) else item for item in value)
        value = ",".join(_text(item) for item in items if item)
    text = _text(value)
    if len(text) > MAX_NAMES:
        raise ValueError(value)
    text = _one_line(text)
    if text in _NO_VALUE:
        return ()
    if "," not in text and "/" not in text and "|" not in text and ";" not in text:
        return (text,)
    pieces = text.replace("/", ",").replace("|", ",").replace(";", ",").split(",")
    names = dict.fromkeys(map(str.strip, pieces))
    if _NO_VALUE.isdisjoint(names):
        return tuple(names)
    return tuple(name for name in names if name not in _NO_VALUE)


def _date(value: object) -> tuple[str, int] | None:
    """A day as `yyyy-MM-dd` ("" where only the year is known), and its year."""
    text = _text(value).strip()
    if len(text) == 10 and text[4] == text[7] == "-" and "1870" <= text[:4] <= "2100":
        try:
            return text, date.fromisoformat(text).year
        except ValueError:
            pass  # such as 2019-00-00, of which the year counts
    if text in _NO_VALUE or text.startswith(("0000", "-0001")):
        return None
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day = (int(part or 0) for part in match.groups())
    elif match := _YEAR_LAST.fullmatch(text):
        mark = match[2]
        day, month, year = int(match[1]), int(match[3]), int(match[4])
        if mark != "." and day != month:
            # Europe's order or America's: only a number above 12 tells.
            if day <= 12 and month <= 12:
                raise ValueError(value)
            day, month = max(day, month), min(day, month)
    else:
        raise ValueError(value)
    _year(year)
    return (date(year, month, day).isoformat() if month and day else ""), year


_YEAR_FIRST = re.compile(r"([0-9]{4})(?:[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?)?(?:[T ].*)?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})(?: .*)?")


def _year(value: object) -> int:
    year = _whole(value)
    if year and not 1870 <= year <= 2100:
        raise ValueError(value)
    return year


def _whole(value: object) -> int:
    """A number without sign or fraction; 0 for nothing."""
    if type(value) is int and 0 <= value < 10**18:
        return value
    text = _text(value).strip()
    if text.isdigit() and text.isascii() and len(text) <= 18:
        return int(text)
    if text in _NO_VALUE:
        return 0
    raise ValueError(value)


def _seconds(value: tuple[Any, Any, Any]) -> int:
    """Seconds from (seconds, duration, minutes)."""
    seconds, duration, minutes = value
    length = _whole(seconds) or _duration(duration) or _whole(minutes) * 60
    if length >= 360_000:
        raise ValueError(value)
    return length


def _duration(value: object) -> int:
    """Seconds from "01:32:10", "92" (minutes), "92 min" or "1h 32m"."""
    text = _line(value)
    if match := _CLOCK.fullmatch(text):
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    if match := _SPOKEN.fullmatch(text):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60
    raise ValueError(value)


_CLOCK = re.compile(r"([0-9]{1,3}):([0-5]?[0-9]):([0-5]?[0-9])(?:\.[0-9]*)?")
_SPOKEN = re.compile(r"(?:([0-9]{1,2}) ?h(?:rs?|ours?)?)? ?(?:([0-9]{1,3}) ?(?:m|mins?|minutes?)?)?", re.IGNORECASE)


def _rating(value: object) -> float:
    if isinstance(value, str):
        rating = float(_line(value).replace(",", ".") or 0)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        rating = float(value)
    else:
        raise ValueError(value)
    if not 0 <= rating <= 10:
        raise ValueError(value)
    return round(rating, 3)


def _tmdb(value: object) -> str:
    number = _whole(value)
    return str(number) if number else ""


_IMDB = re.compile(r"tt[0-9]{7,9}")


def _matching(pattern: re.Pattern[str], value: object) -> str:
    text = _line(value).lower()
    if text and not pattern.fullmatch(text):
        raise ValueError(value)
    return text


def _trailer(value: object) -> str:
    """The id of a YouTube video from the id itself, a page's URL, or the URL of Kodi's plugin."""
    text = _text(value).strip()
    if _TRAILER_ID.fullmatch(text):
        return text
    if match := _TRAILER_URL.search(text):
        return match[1]
    if text in _NO_VALUE:
        return ""
    raise ValueError(value)


_TRAILER_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_TRAILER_URL = re.compile(
    r"(?:[?&](?:v|videoid|video_id)=|youtu\.be/|youtube(?:-nocookie)?\.com/(?:embed|v|shorts|live)/)"
    r"([A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])"
)


def _url(value: object) -> str:
    url = _text(value).strip()
    if url in _NO_VALUE:
        return ""
    if len(url) > MAX_URL or not _URL.fullmatch(url) or not url.isprintable() or _is_scraper_page(url):
        raise ValueError(value)
    return url


_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/\x00-\x20\x7f\"'<>`][^\x00-\x20\x7f\"'<>`]*")


def _urls(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    urls = dict.fromkeys(_url(url) for url in values[:MAX_FANART] if url)
    urls.pop("", None)
    return tuple(urls)


def _added(value: object) -> int:
    seconds = _whole(value)
    if seconds and not 631_152_000 <= seconds < 4_102_444_800:
        raise ValueError(value)
    return seconds


_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


_CODEC = re.compile(r"[a-z0-9_.-]{1,20}")


def _pixels(value: object) -> int:
    return _up_to(16_384, value)


def _channels(value: object) -> int:
    return _up_to(64, value)


def _up_to(limit: int, value: object) -> int:
    number = _whole(value)
    if number > limit:
        raise ValueError(value)
    return number


def _remembering(parse: Callable[[Any], T]) -> Callable[[Any], T]:
    """The same function for values that many items share."""
    remembered = lru_cache(maxsize=8192)(parse)

    def parse_or_remember(value: Any) -> T:
        if isinstance(value, str) and len(value) <= 100:
            return remembered(value)
        return parse(value)

    return parse_or_remember


_PARSERS = _Facts(
    plot=_plot,
    premiered=_date,
    runtime=_seconds,
    rating=_remembering(_rating),
    mpaa=_remembering(_line),
    genres=_remembering(_names),
    countries=_remembering(_names),
    directors=_names,
    actors=_names,
    trailer=_trailer,
    poster=_url,
    fanart=_urls,
    added=_added,
)
_FIELDS = tuple(zip(_Facts._fields, _PARSERS, strict=True))
_category = _remembering(_line)
_extension = _remembering(partial(_matching, _EXTENSION))
_codec = _remembering(partial(_matching, _CODEC))
_imdb = partial(_matching, _IMDB)
