"""Values that panels send: one function for each kind of value.

Each takes a raw value, gives something empty for "nothing", and raises ValueError for junk: a `PartlyJunkError` where
junk stands beside something usable, which then counts.
"""

import html
import html.entities
import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

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


class PartlyJunkError(ValueError):
    """A value of which a part is junk.

    Args:
        usable: what the other parts say.
    """

    def __init__(self, usable: Any) -> None:
        super().__init__(usable)
        self.usable = usable


_NO_VALUE = frozenset(
    form
    for word in ("", "0", "-", "n/a", "null", "none", "nan", "undefined")
    for form in (word, word.upper(), word.capitalize())
) | {"NaN"}

_ENTITY = re.compile(r"&(?:([A-Za-z][A-Za-z0-9]{1,31});|#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};)")
_MOST_ENCODED = 3
"""How often a panel's text is encoded at most: some do it again at each import."""
_CONTROL = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORD = re.compile(r"\S+")


def _tidy(text: str) -> str:
    """A text in one form: NFC, line feeds as line ends, no other control characters, no lone surrogates.

    The entities that panels leave in texts are resolved, also where they are encoded twice (`&amp;eacute;`).
    Addresses that send Kodi's scrapers online go: the scrapers look for them anywhere in an NFO.
    """
    if "&" in text and ";" in text:
        for _ in range(_MOST_ENCODED):
            encoded, text = text, _ENTITY.sub(_character, text)
            if text == encoded:
                break
    if not text.isprintable():
        text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if ("/" in text or "=" in text) and _is_scraper_page(text):
        text = _WORD.sub(lambda word: "" if _is_scraper_page(word[0]) else word[0], text)
    return text.strip()


def _character(entity: re.Match[str]) -> str:
    if entity[1]:
        # Not html.unescape, for which `&notit;` begins with `&not`.
        return html.entities.html5.get(f"{entity[1]};", entity[0])
    return html.unescape(entity[0])


def one_line(text: str) -> str:
    """A text in the form of all texts, without line ends and double spaces."""
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
    if isinstance(value, list):
        texts = (item for item in value[:_MAX_ITEMS] if isinstance(item, str) and item.strip().lower() not in _NO_VALUE)
        if text := next(texts, ""):
            return text
        value = next(filter(None, value), None)
        if isinstance(value, str):
            return value
    if not value:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(value)


def parse_plot(value: object) -> str:
    """A text of several lines, cut at `MAX_PLOT`."""
    text = _tidy(_text(value)[:MAX_PLOT])
    return "" if text in _NO_VALUE else text


def parse_line(value: object) -> str:
    """A text of one line."""
    text = _text(value)
    if len(text) > MAX_LINE:
        raise ValueError(value)
    text = one_line(text)
    return "" if text in _NO_VALUE else text


def _items(value: object) -> list[Any]:
    """The parts of what panels send as several values: a list, what PHP makes of one with gaps, or either as JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{") and value[-1:] in ("]", "}"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    if isinstance(value, dict) and value and all(str(key).isdigit() for key in value):
        value = list(value.values())
    return value[:_MAX_ITEMS] if isinstance(value, list) else [value]


_MAX_ITEMS = 1_000
"""Parts of one value that are looked at."""


def parse_names(value: object) -> tuple[str, ...]:
    """Names from a text with separators, or from a list of texts or of objects with a `name`."""
    if type(value) is str and value[:1] != "[" and value[:1] != "{":
        return _names(value)
    texts = []
    is_junk = False
    for item in filter(None, _items(value)):
        try:
            texts.append(_text(item["name"] if isinstance(item, dict) else item))
        except (ValueError, KeyError):
            is_junk = True
    names = _names(",".join(texts))
    if is_junk:
        raise PartlyJunkError(names)
    return names


def _names(text: str) -> tuple[str, ...]:
    if len(text) > MAX_NAMES:
        raise ValueError(text)
    if not text.isascii() or "\n" in text or "\r" in text:
        text = _OTHER_SEPARATOR.sub(",", text)
    text = one_line(text)
    if text in _NO_VALUE:
        return ()
    if "," not in text and "/" not in text and "|" not in text and ";" not in text:
        return (text,)
    pieces = text.replace("/", ",").replace("|", ",").replace(";", ",").split(",")
    names = dict.fromkeys(map(str.strip, pieces))
    if not _NAME_SUFFIXES.isdisjoint(names):
        names = dict.fromkeys(_with_suffixes(pieces))
    if _NO_VALUE.isdisjoint(names):
        return tuple(names)
    return tuple(name for name in names if name not in _NO_VALUE)


def _with_suffixes(pieces: list[str]) -> list[str]:
    names: list[str] = []
    for piece in map(str.strip, pieces):
        if piece in _NAME_SUFFIXES and names and names[-1]:
            names[-1] += f", {piece}"
        else:
            names.append(piece)
    return names


_OTHER_SEPARATOR = re.compile(r"[\r\n،؛、，；／｜•]| · ")
_NAME_SUFFIXES = frozenset(("Jr.", "Jr", "Sr.", "Sr", "II", "III", "IV"))
"""What stands behind a comma and belongs to the name before it: `Robert Downey, Jr.`"""


def parse_day(value: object) -> tuple[str, int] | None:
    """A day as `yyyy-MM-dd` ("" where only the year is known), and its year.

    The first day of 1970 is nothing: panels write it where they know none.
    """
    text = _text(value).strip()
    if len(text) == 10 and text[4] == text[7] == "-" and "1870" <= text[:4] <= "2100":
        try:
            return (text, date.fromisoformat(text).year) if text != _EPOCH else None
        except ValueError:
            pass  # such as 2019-00-00, of which the year counts
    if text in _NO_VALUE or text.startswith(("0000", "-0001")):
        return None
    year, month, day = _day_parts(text)
    parse_year(year)
    try:
        found = date(year, month, day).isoformat() if month and day else ""
    except ValueError:
        raise PartlyJunkError(("", year)) from None
    return (found, year) if found != _EPOCH else None


def _day_parts(text: str) -> tuple[int, int, int]:
    """Year, month and day; month and day are 0 where they are not said."""
    if match := _YEAR_FIRST.fullmatch(text) or _DIGITS.fullmatch(text):
        year, month, day = (int(part or 0) for part in match.groups())
        return year, month, day
    if match := _YEAR_LAST.fullmatch(text):
        mark = match[2]
        day, month, year = int(match[1]), int(match[3]), int(match[4])
        if mark != "." and day != month:
            # Europe's order or America's: only a number above 12 tells.
            if day <= 12 and month <= 12:
                parse_year(year)
                raise PartlyJunkError(("", year))
            day, month = max(day, month), min(day, month)
        return year, month, day
    if match := _MONTH_AND_YEAR.fullmatch(text):
        return int(match[1]), 0, 0
    if match := _DAY_MONTH.fullmatch(text) or _MONTH_DAY.fullmatch(text):
        return int(match["year"]), _MONTHS[match["month"][:3].lower()], int(match["day"] or 0)
    years = _ANY_YEAR.findall(text)
    if len(years) != 1 or len(text) > 100:
        raise ValueError(text)
    raise PartlyJunkError(("", int(years[0])))


_EPOCH = "1970-01-01"
_YEAR_FIRST = re.compile(r"([0-9]{4})(?:[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?)?(?:[T ].*)?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})(?:[T ].*)?")
_DIGITS = re.compile(r"((?:19|20)[0-9]{2})([01][0-9])([0-3][0-9])")
_MONTH_AND_YEAR = re.compile(r"[0-9]{1,2}[-/.]([0-9]{4})")
_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_MONTH = (
    r"(?P<month>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,? )?"
_DAY_MONTH = re.compile(
    rf"{_WEEKDAY}(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th|\.)?(?: of)?[ -]{_MONTH},?[ -](?P<year>[0-9]{{4}})(?:[ ,(].*)?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"{_WEEKDAY}{_MONTH}(?:[ -](?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?)?,?[ -](?P<year>[0-9]{{4}})(?:[ ,(].*)?",
    re.IGNORECASE,
)
_ANY_YEAR = re.compile(r"(?<![0-9])((?:18[7-9]|19[0-9]|20[0-9])[0-9])(?![0-9])")


def parse_year(value: object) -> int:
    """A year from 1870 to 2100."""
    year = _whole(value)
    if year and not 1870 <= year <= 2100:
        raise ValueError(value)
    return year


def _whole(value: object) -> int:
    """A number without sign or fraction; 0 for nothing."""
    if type(value) is int and 0 <= value < 10**18:
        return value
    if type(value) is float and value.is_integer() and 0 <= value < 10**15:
        return int(value)
    text = _text(value).strip()
    if text.isdigit() and text.isascii() and len(text) <= 18:
        return int(text)
    if text in _NO_VALUE:
        return 0
    raise ValueError(value)


def parse_seconds(value: tuple[Any, Any, Any]) -> int:
    """Seconds from (seconds, duration, minutes), of which the first that can be used counts."""
    if type(value[0]) is int and 0 < value[0] < 360_000:
        return value[0]  # nearly always
    is_junk = False
    for raw, parse in zip(value, (_seconds, _duration, _minutes), strict=True):
        length = 0
        if raw:
            try:
                length = parse(raw)
            except (ValueError, OverflowError):
                is_junk = True
        if length >= 360_000:
            is_junk = True
        elif length and is_junk:
            raise PartlyJunkError(length)
        elif length:
            return length
    if is_junk:
        raise ValueError(value)
    return 0


def _seconds(value: object) -> int:
    """Whole seconds from a number, which may have a fraction, or from a clock's time."""
    text = str(value) if type(value) is float else _text(value).strip()
    if match := _FRACTION.fullmatch(text):
        return int(match[1])
    return _duration(text) if ":" in text else _whole(text)


def _minutes(value: object) -> int:
    """Seconds from minutes, as a number or in words."""
    if isinstance(value, str) and value.isdigit():
        return _whole(value) * 60
    return _duration(str(value) if type(value) is float else value)


def _duration(value: object) -> int:
    """Seconds from "01:32:10", "92" (minutes), "92 min" or "1h 32m"."""
    text = parse_line(value)
    if match := _FRACTION.fullmatch(text):
        return int(match[1]) * 60
    if match := _CLOCK.fullmatch(text):
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    if match := _SPOKEN.fullmatch(text):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60
    raise ValueError(value)


_FRACTION = re.compile(r"([0-9]{1,15})[.,][0-9]{1,9}")
_CLOCK = re.compile(r"([0-9]{1,3}):([0-5]?[0-9]):([0-5]?[0-9])(?:[.,][0-9]*)?")
_SPOKEN = re.compile(
    r"(?:PT)?(?:([0-9]{1,2}) ?h(?:rs?|ours?)?)?,? ?(?:([0-9]{1,3}) ?(?:m|mins?|minutes?)?)?\.?"
    r"(?: ?[0-9]{1,2} ?s(?:ecs?)?)?",
    re.IGNORECASE,
)


class FiveStars(NamedTuple):
    """A raw rating of which the best is 5."""

    value: Any


def parse_rating(value: object) -> float:
    """A rating from 0 to 10."""
    if isinstance(value, FiveStars):
        return round(2 * _rating(value.value, 5), 3)
    return round(_rating(value, 10), 3)


def _rating(value: object, best: int) -> float:
    if isinstance(value, str):
        rating = float(parse_line(value).replace(",", ".") or 0)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        rating = float(value)
    else:
        raise ValueError(value)
    if not 0 <= rating <= best:
        raise ValueError(value)
    return rating


def parse_tmdb(value: object) -> str:
    """TMDB's id, as digits."""
    number = _whole(value)
    return str(number) if number else ""


def parse_imdb(value: object) -> str:
    """IMDb's id of a title, from the id itself or its page's URL."""
    text = _text(value).strip().lower()
    if match := _IMDB.fullmatch(text):
        return match[1] if match[1].strip("t0") else ""
    if text in _NO_VALUE:
        return ""
    raise ValueError(value)


_IMDB = re.compile(r"(?:https?://(?:[a-z]+\.)?imdb\.com/(?:[a-z]{2}/)?title/)?(tt[0-9]{7,9})(?:[/?].*)?")


def parse_trailer(value: object) -> str:
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


def parse_url(value: object) -> str:
    """An http(s) URL of a file that does not send Kodi's scrapers online."""
    url = _text(value).strip()
    if url in _NO_VALUE:
        return ""
    if "&amp;" in url:
        url = url.replace("&amp;", "&")
    if len(url) > MAX_URL or not _URL.fullmatch(url) or not url.isprintable() or _is_scraper_page(url):
        raise ValueError(value)
    file = url[url.rfind("/") + 1 :]
    if ("." not in file and "/t/p/" in url) or (file[:1] in _NO_FILE_STARTS and _is_without_file(url, file)):
        raise ValueError(value)
    return url


def _is_without_file(url: str, file: str) -> bool:
    """Whether a URL is that of a folder of pictures, since the panel had no file to put behind it."""
    return url.count("/") > 2 and file.partition(".")[0].lower() in _NO_FILE


_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/\x00-\x20\x7f\"'<>`][^\x00-\x20\x7f\"'<>`]*")
_NO_FILE = frozenset(("", "null", "none", "undefined", "nan"))
_NO_FILE_STARTS = frozenset(("", *".nNuU"))


def parse_urls(value: object) -> tuple[str, ...]:
    """The first `MAX_FANART` URLs, from one or from several."""
    urls: dict[str, None] = {}
    is_junk = False
    for item in _urls_apart(value):
        try:
            if item and (url := parse_url(item)):
                urls[url] = None
        except ValueError:
            is_junk = True
        if len(urls) == MAX_FANART:
            break
    if is_junk:
        raise PartlyJunkError(tuple(urls))
    return tuple(urls)


def _urls_apart(value: object) -> list[Any]:
    if isinstance(value, str) and value.find("http", 1) > 0 and value[:1] != "[":
        return _BEFORE_URL.split(value)
    return _items(value)


_BEFORE_URL = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)


def parse_added(value: object) -> int:
    """Seconds since the epoch, from 1990 to 2100. Panels send milliseconds too, fractions, and days with a time."""
    if type(value) is float or (type(value) is str and not value.isdigit()):
        text = str(value).strip()
        if match := _FRACTION.fullmatch(text):
            value = match[1]
        elif _DAY_AND_TIME.fullmatch(text):
            value = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    seconds = _whole(value)
    if seconds >= _EARLIEST * 1000:
        seconds //= 1000
    if seconds and not _EARLIEST <= seconds < 4_102_444_800:
        raise ValueError(value)
    return seconds


_EARLIEST = 631_152_000
_DAY_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?")


def _extension(value: object) -> str:
    """A container's extension, without the dot."""
    text = parse_line(value).lower().strip(" .")
    if text and not _EXTENSION.fullmatch(text):
        raise ValueError(value)
    return text


_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


def _codec(value: object) -> str:
    """A codec's name."""
    text = parse_line(value).lower()
    if text and not _CODEC.fullmatch(text):
        raise ValueError(value)
    return text


_CODEC = re.compile(r"[a-z0-9_.-]{1,20}")


def parse_pixels(value: object) -> int:
    """The width or height of a picture."""
    return _up_to(16_384, value)


def parse_channels(value: object) -> int:
    """The number of channels of a sound."""
    return _up_to(64, value)


def _up_to(limit: int, value: object) -> int:
    number = _whole(value)
    if number > limit:
        raise ValueError(value)
    return number


def remembering(parse: Callable[[Any], T]) -> Callable[[Any], T]:
    """The same function for values that many items share."""
    remembered = lru_cache(maxsize=8192)(parse)

    def parse_or_remember(value: Any) -> T:
        if isinstance(value, str) and len(value) <= 100:
            return remembered(value)
        return parse(value)

    return parse_or_remember


parse_category = remembering(parse_line)
parse_extension = remembering(_extension)
parse_codec = remembering(_codec)
