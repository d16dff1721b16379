"""Parsers for what panels send as a rating, an id, a URL or a detail of a stream; see `raw`."""

import re
from typing import Any, NamedTuple

from vod2strmfs.extract.raw import NO_VALUE, PartlyJunkError, items_of, remembering, text_of, whole_number
from vod2strmfs.extract.texts import is_scraper_page, parse_line

MAX_URL = 2_000
"""Characters that a URL may have."""
MAX_FANART = 5
"""Backdrops that are kept: servers show the first, or a few in turn."""


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
    number = whole_number(value)
    return str(number) if number else ""


def parse_imdb(value: object) -> str:
    """IMDb's id of a title, from the id itself or its page's URL."""
    text = text_of(value).strip().lower()
    if match := _IMDB.fullmatch(text):
        return match[1] if match[1].strip("t0") else ""
    if text in NO_VALUE:
        return ""
    raise ValueError(value)


_IMDB = re.compile(r"(?:https?://(?:[a-z]+\.)?imdb\.com/(?:[a-z]{2}/)?title/)?(tt[0-9]{7,9})(?:[/?].*)?")


def parse_trailer(value: object) -> str:
    """The id of a YouTube video from the id itself, a page's URL, or the URL of Kodi's plugin."""
    text = text_of(value).strip()
    if _TRAILER_ID.fullmatch(text):
        return text
    if match := _TRAILER_URL.search(text):
        return match[1]
    if text in NO_VALUE:
        return ""
    raise ValueError(value)


_TRAILER_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_TRAILER_URL = re.compile(
    r"(?:[?&](?:v|videoid|video_id)=|youtu\.be/|youtube(?:-nocookie)?\.com/(?:embed|v|shorts|live)/)"
    r"([A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])"
)


def parse_url(value: object) -> str:
    """An http(s) URL of a file that does not send Kodi's scrapers online."""
    url = text_of(value).strip()
    if url in NO_VALUE:
        return ""
    if "&amp;" in url:
        url = url.replace("&amp;", "&")
    if len(url) > MAX_URL or not _URL.fullmatch(url) or not url.isprintable() or is_scraper_page(url):
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
    return items_of(value)


_BEFORE_URL = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)


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
    number = whole_number(value)
    if number > limit:
        raise ValueError(value)
    return number


parse_extension = remembering(_extension)
parse_codec = remembering(_codec)
