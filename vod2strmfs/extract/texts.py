"""Texts of panels: the one form that they all get, and parsers for lines, plots and names."""

import html
import html.entities
import re
import unicodedata

from vod2strmfs.extract.raw import NO_VALUE, PartlyJunkError, items_of, remembering, text_of

MAX_PLOT = 20_000
"""Characters of a plot that are kept."""
MAX_LINE = 500
"""Characters that a short text may have."""
MAX_NAMES = 5_000
"""Characters that a list of names may have."""

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
    if ("/" in text or "=" in text) and is_scraper_page(text):
        text = _WORD.sub(lambda word: "" if is_scraper_page(word[0]) else word[0], text)
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


def is_scraper_page(text: str) -> bool:
    """Whether one of Kodi's scrapers would find the page of a title in a text.

    This covers what the scrapers for TMDB, TheTVDB and TVmaze look for. TMDB's images (image.tmdb.org,
    themoviedb.org/t/p/) are nothing to them; of TheTVDB's some are (`/banners/series/1/`), so all of them go.
    """
    text = text.lower()
    if "imdb." in text or "moviedb." in text or "tvdb." in text or "tvmaze." in text:
        return _SCRAPER_PAGE.search(text) is not None
    return False


def parse_plot(value: object) -> str:
    """A text of several lines, cut at `MAX_PLOT`."""
    text = _tidy(text_of(value)[:MAX_PLOT])
    return "" if text in NO_VALUE else text


def parse_line(value: object) -> str:
    """A text of one line."""
    text = text_of(value)
    if len(text) > MAX_LINE:
        raise ValueError(value)
    text = one_line(text)
    return "" if text in NO_VALUE else text


def parse_names(value: object) -> tuple[str, ...]:
    """Names from a text with separators, or from a list of texts or of objects with a `name`."""
    if type(value) is str and value[:1] != "[" and value[:1] != "{":
        return _names(value)
    texts = []
    is_junk = False
    for item in filter(None, items_of(value)):
        try:
            texts.append(text_of(item["name"] if isinstance(item, dict) else item))
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
    if text in NO_VALUE:
        return ()
    if "," not in text and "/" not in text and "|" not in text and ";" not in text:
        return (text,)
    pieces = text.replace("/", ",").replace("|", ",").replace(";", ",").split(",")
    names = dict.fromkeys(map(str.strip, pieces))
    if not _NAME_SUFFIXES.isdisjoint(names):
        names = dict.fromkeys(_with_suffixes(pieces))
    if NO_VALUE.isdisjoint(names):
        return tuple(names)
    return tuple(name for name in names if name not in NO_VALUE)


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


parse_category = remembering(parse_line)
