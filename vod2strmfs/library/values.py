"""Values that panels send: one function for each kind of value.

Each takes a raw value, gives something empty for "nothing", and raises ValueError for junk.
"""

import html
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache, partial
from typing import Any, TypeVar

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
    if isinstance(value, list) and isinstance(value := next(filter(None, value), None), str):
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


def parse_names(value: object) -> tuple[str, ...]:
    """Names from a text with separators, or from a list of texts or of objects with a `name`."""
    if isinstance(value, list):
        items = (item.get("name") if isinstance(item, dict) else item for item in value)
        value = ",".join(_text(item) for item in items if item)
    text = _text(value)
    if len(text) > MAX_NAMES:
        raise ValueError(value)
    text = one_line(text)
    if text in _NO_VALUE:
        return ()
    if "," not in text and "/" not in text and "|" not in text and ";" not in text:
        return (text,)
    pieces = text.replace("/", ",").replace("|", ",").replace(";", ",").split(",")
    names = dict.fromkeys(map(str.strip, pieces))
    if _NO_VALUE.isdisjoint(names):
        return tuple(names)
    return tuple(name for name in names if name not in _NO_VALUE)


def parse_day(value: object) -> tuple[str, int] | None:
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
    parse_year(year)
    return (date(year, month, day).isoformat() if month and day else ""), year


_YEAR_FIRST = re.compile(r"([0-9]{4})(?:[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?)?(?:[T ].*)?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})(?: .*)?")


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
    text = _text(value).strip()
    if text.isdigit() and text.isascii() and len(text) <= 18:
        return int(text)
    if text in _NO_VALUE:
        return 0
    raise ValueError(value)


def parse_seconds(value: tuple[Any, Any, Any]) -> int:
    """Seconds from (seconds, duration, minutes)."""
    seconds, duration, minutes = value
    length = _whole(seconds) or _duration(duration) or _whole(minutes) * 60
    if length >= 360_000:
        raise ValueError(value)
    return length


def _duration(value: object) -> int:
    """Seconds from "01:32:10", "92" (minutes), "92 min" or "1h 32m"."""
    text = parse_line(value)
    if match := _CLOCK.fullmatch(text):
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    if match := _SPOKEN.fullmatch(text):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60
    raise ValueError(value)


_CLOCK = re.compile(r"([0-9]{1,3}):([0-5]?[0-9]):([0-5]?[0-9])(?:\.[0-9]*)?")
_SPOKEN = re.compile(r"(?:([0-9]{1,2}) ?h(?:rs?|ours?)?)? ?(?:([0-9]{1,3}) ?(?:m|mins?|minutes?)?)?", re.IGNORECASE)


def parse_rating(value: object) -> float:
    """A rating from 0 to 10."""
    if isinstance(value, str):
        rating = float(parse_line(value).replace(",", ".") or 0)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        rating = float(value)
    else:
        raise ValueError(value)
    if not 0 <= rating <= 10:
        raise ValueError(value)
    return round(rating, 3)


def parse_tmdb(value: object) -> str:
    """TMDB's id, as digits."""
    number = _whole(value)
    return str(number) if number else ""


_IMDB = re.compile(r"tt[0-9]{7,9}")


def _matching(pattern: re.Pattern[str], value: object) -> str:
    text = parse_line(value).lower()
    if text and not pattern.fullmatch(text):
        raise ValueError(value)
    return text


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
    """An http(s) URL that does not send Kodi's scrapers online."""
    url = _text(value).strip()
    if url in _NO_VALUE:
        return ""
    if len(url) > MAX_URL or not _URL.fullmatch(url) or not url.isprintable() or _is_scraper_page(url):
        raise ValueError(value)
    return url


_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/\x00-\x20\x7f\"'<>`][^\x00-\x20\x7f\"'<>`]*")


def parse_urls(value: object) -> tuple[str, ...]:
    """The first `MAX_FANART` URLs, from one or from a list."""
    values = value if isinstance(value, list) else [value]
    urls = dict.fromkeys(parse_url(url) for url in values[:MAX_FANART] if url)
    urls.pop("", None)
    return tuple(urls)


def parse_added(value: object) -> int:
    """Seconds since the epoch, from 1990 to 2100."""
    seconds = _whole(value)
    if seconds and not 631_152_000 <= seconds < 4_102_444_800:
        raise ValueError(value)
    return seconds


_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


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
parse_extension = remembering(partial(_matching, _EXTENSION))
parse_codec = remembering(partial(_matching, _CODEC))
parse_imdb = partial(_matching, _IMDB)
