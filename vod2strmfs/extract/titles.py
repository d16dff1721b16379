"""Titles as panels write them, and what is left without the panels' marks and the year.

Panels put languages, countries, qualities and services around a title: `4K-EN - Heat (1995)`, `|FR| Heat`,
`Heat [MULTI-SUB]`, `Heat ᵁᴴᴰ`. A mark goes only where it stands as panels set it, with a bar, brackets or a dash of
its own, and only when every word of it is known: `DE-LOVELY`, `IT`, `UP` and `[REC]` stay. When in doubt the text
stays, since a mark too many is ugly, but a word too few is another film.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import regex

from vod2strmfs.errors import SettingsError
from vod2strmfs.library.names import fold

_CODES = {
    "AL": "ALB ALBANIAN", "AR": "ARA ARABIC", "AT": "", "AU": "AUS", "BE": "BEL", "BG": "BGR BUL BULGARIAN",
    "BN": "BENGALI BANGLA", "BR": "BRA", "CA": "", "CH": "", "CN": "CHN CHINESE MANDARIN", "CZ": "CS CZE CZECH",
    "DE": "GER DEU GERMAN DEUTSCH", "DK": "DNK DANISH", "EN": "ENG ENGLISH", "ES": "ESP SPA SPANISH ESPAÑOL CASTELLANO",
    "EXYU": "", "FA": "PERSIAN FARSI", "FI": "FINNISH",
    "FR": "FRA FRE FRENCH TRUEFRENCH SUBFRENCH VF VFF VFQ VFI VOSTFR", "GB": "", "GR": "GRE GREEK", "HE": "HEB HEBREW",
    "HI": "HIN HINDI", "HR": "CRO CROATIAN", "HU": "HUN HUNGARIAN", "ID": "INDONESIAN", "IE": "", "IL": "ISR",
    "IN": "IND", "IR": "IRN", "IT": "ITA ITALIAN", "JP": "JA JPN JAP JAPANESE", "KN": "KANNADA",
    "KR": "KO KOR KOREAN", "KU": "KURD KURDISH", "LAT": "LATAM LATINO", "LT": "", "LV": "", "MA": "", "MK": "MKD",
    "ML": "MALAYALAM", "MR": "MARATHI", "MX": "MEX", "MY": "", "NL": "NED NLD DUT DUTCH", "NO": "NOR NORWEGIAN",
    "NZ": "NZL", "PA": "PUNJABI", "PH": "PHI TAGALOG", "PK": "PAK", "PL": "POL POLISH POLSKI LEKTOR NAPISY",
    "PT": "POR PORTUGUESE DUBLADO LEGENDADO LEG", "QA": "", "RO": "ROM ROU ROMANIAN", "RS": "SRB SERBIAN",
    "RU": "RUS RUSSIAN", "SA": "", "SE": "SV SWE SWEDISH", "SI": "SLO", "SK": "SVK", "SO": "", "TA": "TAM TAMIL",
    "TE": "TELUGU", "TH": "THA THAI", "TN": "", "TR": "TUR TURKISH TÜRKÇE ALTYAZILI DUBLAJ", "TW": "",
    "UA": "UKR", "UK": "", "UR": "URD URDU", "US": "USA", "UZ": "", "VN": "VIE VIETNAMESE", "ZA": "",
}  # fmt: skip
_LANGUAGES = {word: code for code, words in _CODES.items() for word in (code, *words.split())}
"""The words for a language or country, and the code that stands for each."""
_LANGUAGE_NAMES = {
    code: next((word.capitalize() for word in words.split() if len(word) > 4), code) for code, words in _CODES.items()
}

_QUALITIES = frozenset(
    "4K 8K UHD FHD QHD HD HDR HDR+ HDR10 HDR10+ HEVC H264 H265 X264 X265 2160P 1440P 1080P 1080I 720P 576P 480P 3840P"
    " 50FPS 60FPS 10BIT BLURAY BDRIP BRRIP DVDRIP WEBDL WEBRIP HDTV HDRIP HDTS HDCAM".split()
)
_SOUNDS = frozenset("MULTI MULTISUB MULTISUBS VOST VOSE DUBBED SUBBED".split())
_SERVICES = frozenset(
    "NF NETFLIX D+ DSNP DISNEY+ AMZ AMZN PRIME A+ APPLE+ ATV+ ATVP HBO HMAX HULU P+ PMTP PARAMOUNT+ PCOK CR".split()
)
_PLUS_SERVICE = re.compile(r"(?!LGBT)[A-Z]{2,4}\+")
"""`AMC+`, `BET+`, `MGM+`: there are more of them each year, and hardly any title has such a word apart."""
_PREFIX_WORDS = _QUALITIES | _SOUNDS | _SERVICES | frozenset("3D SD HQ LQ SUB SUBS DUB VO CAM TS DV DOVI".split())
_DASH_WORDS = _PREFIX_WORDS | {"NORDIC", "TOP"}
"""What may stand before a dash or a bar."""
_BRACKET_WORDS = _PREFIX_WORDS | frozenset(
    "AUDIO AUDIOS ÁUDIO DUAL LANG LANGUAGE LANGUAGES SUBTITLE SUBTITLES SUBTITLED SUBTITULADO L OV OMU NORDIC"
    " DUBBING DABING TITULKY WEB DL RIP DVD REMUX ATMOS DTS AAC AC3 EAC3 DDP مترجم مترجمة مدبلج مدبلجة".split()
)
"""What may stand in brackets, or behind the year in brackets."""
_LAST_WORDS = (
    _QUALITIES
    | _SOUNDS
    | frozenset(
        "MULTI-SUB MULTI-SUBS MULTI-AUDIO VOSTFR TRUEFRENCH VFF VFQ WEB-DL BluRay 2160p 1080p 1080i 720p 576p"
        " 480p".split()
    )
)
"""What may end a title without brackets, written exactly so. Not 3D: `Step Up 3D` is a title."""
_LEADING_WORDS = _LAST_WORDS | {"DV"}
"""What may stand between a mark and the title, written exactly so: `|FR| 4K Amélie`."""

_COLON_CODES = frozenset(
    "AL AR BG BR CZ DE DK EN ENG ES EXYU EX-YU FI FR GR HR HU IT NL PL PT RO RS RU SE TR UK US".split()
)
"""What may stand before a colon; `CSI: Miami` and `ID: Invaded` are titles."""

_TITLE_COUNTRIES = frozenset("US UK GB AU NZ CA".split())
"""In round brackets right after the words these belong to a series' usual title: `The Office (US)`."""

_BARS = "|┃│｜¦❘▎"
_STARS = "★☆✪✦•»"
_WORDS = r"[0-9A-Z](?:[-/&_. ]{0,2}[0-9A-Z+]){0,15}?"
_PREFIX = re.compile(
    rf"(?:[{_BARS}]+ ?(?P<barred>{_WORDS}) ?[{_BARS}]+"
    rf"|(?P<bar>{_WORDS}) ?[{_BARS}]+"
    rf"|[(\[{{（［【](?P<bracketed>[^()\[\]{{}}（）［］【】]{{1,30}})[)\]}}）］】](?= )"
    rf"|(?P<dash>{_WORDS})(?: [-–—{_STARS}]| ?[-–—{_STARS}] )"
    rf"|(?P<colon>{_WORDS}) ?: ) ?"
)
_SHORT_CODE = re.compile(r"[A-Z][A-Z0-9+]{1,2}")
_IT_THE_FILM = re.compile(r"IT ?[-–—:] (?:Chapter|Chapitre|Kapitel|Cap[ií]t|.*\bDerry\b)", re.IGNORECASE)
_STRAY_START = re.compile(rf"[-–—{_BARS}{_STARS}]+ ")
_STRAY_END = re.compile(rf" [-–—{_BARS}{_STARS}]+$")
_STRAY = frozenset(f"-–—{_BARS}{_STARS}")

_OPENERS = dict(zip(f")]}}）］】｝{_BARS}", f"([{{（［【｛{_BARS}", strict=True))

# A range, and a year behind a dash, count from television's first years on: `The Great War (1914-1918)`.
_LATER_YEAR = r"((?:19[5-9]|20[0-3])\d)"
_ANY_YEAR = r"((?:18[89]|19\d|20[0-3])\d)"
_YEAR = re.compile(rf" ?(?:{_ANY_YEAR}|{_LATER_YEAR} ?[-–—] ?(?:\d{{4}})?) ?")
_DASH_YEAR = re.compile(rf"(.+) [-–—] {_LATER_YEAR}")
_YEAR_AND_WORDS = re.compile(rf"(?:(.+?)[ ,/|-]+)?{_ANY_YEAR}(?:[ ,/|-]+(.+))?")
_OPEN, _CLOSE = r"[(\[{（［【]", r"[)\]}）］】]"
_BEHIND_YEAR = re.compile(
    rf"(.+{_OPEN} ?{_ANY_YEAR}(?: ?[-–—] ?(?:\d{{4}})?)? ?{_CLOSE}(?:.*\S(?= [{_BARS}–—-] ))?)[ ,:/{_BARS}–—-]*"
    r"(?P<words>.+)"
)
_ID_TAG = re.compile(
    r" ?[(\[{](?:(?:tmdb|imdb|tvdb)(?:[ _-]?id)?[-=: ]{1,2})?"
    r"(?:(?P<imdb>tt[0-9]{7,9})|(?<=[-=: ])(?P<number>[0-9]{1,9}))[)\]}]",
    re.IGNORECASE,
)
"""`[tmdbid-949]`, `{imdb-tt0113277}`, `(tt0113277)`: what servers read, and other tools write into names."""
_BARE_ID = re.compile(
    r",? ?(?:(?<!\S)[-–—|:] )?(?<![^\s(\[{])"
    r"(?:(?:imdb(?:[ _-]?id)?[-=: ]{1,2})?(?P<imdb>tt[0-9]{7,9})|tmdb(?:[ _-]?id)?[-=:](?P<number>[0-9]{1,9}))"
    r"(?![^\s,)\]}])",
    re.IGNORECASE,
)
"""The same as a word of its own: `Heat (1995) tt0113277`. No title has such a word."""
_EXTENSIONS = (".mkv", ".mp4", ".avi", ".m4v")

# The joiners of Persian words and of emoji stay, but for the ends of a title.
_INVISIBLE = regex.compile(r"[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}]--[\s\u200c\u200d]]", regex.VERSION1)
_EDGES = " \u200c\u200d"

_EPISODE_CODE = re.compile(
    r"(?<![0-9A-Za-z])"
    r"(?:S(?:eason )?(?P<season>\d{1,4})[ ._,:-]{0,3}E(?:p(?:isode)?)?[ ._]?(?P<number>\d{1,5})"
    # Further episodes of the same file: `-E03`, ` & S02E03`, `_E03`, `-03`, `+3`.
    r"(?:(?:[-–+&_~/, ]{0,3}| (?:and|to) )(?:S0?(?P=season)[ ._]?)?Ep?\d{1,5}|[-_/]\d{2,3}(?!\w)|[+&~]\d{1,3}(?!\w))*"
    r"|(?P<x_season>\d{1,2})x(?P<x_number>\d{2,4})(?:-?x\d{2,4}|[-+&](?:\d{1,2}x)?\d{2,3}(?!\w))*)"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_AFTER_CODE = re.compile(r"(?:\.(?!\.)|[ \-–—:|_])+")
_ONLY_YEAR = re.compile(r"[(\[{](?:18|19|20)\d\d[)\]}]")

_PROBE_SECONDS = 0.25
_TITLE_SECONDS = 0.5
_GIVE_UP_AFTER = 20
_PROBE_LENGTH = 254
_PROBE_PARTS = (*"aA1 -.(", "EN - ", "aA1 ")


class CleanTitle(NamedTuple):
    """A title without its year."""

    text: str
    """Empty only when nothing visible was given."""
    year: int | None
    """The year that the title ended in."""


class TitleCleaner:
    """Makes titles from panels' names.

    Args:
        clean: remove panels' marks. If not, only white space and invisible characters are tidied, and the year at
            the end is split off.
        pattern: a regular expression (of the `regex` library); what it matches is removed first. "" for none.

    Raises:
        SettingsError: the pattern cannot be used, or is too slow for titles.
    """

    def __init__(self, clean: bool, pattern: str) -> None:
        self.timeouts = 0
        """How many titles kept what the pattern might have removed, because it took too long."""
        self._clean = clean
        self._pattern = _compile(pattern) if pattern else None

    def title(self, raw: str) -> CleanTitle:
        """The title of a movie or series. Cleaning a cleaned text changes nothing (where there is no pattern)."""
        text = self._prepared(raw)
        codes: list[str] = []
        if self._clean:
            text = _without_prefix(_without_ids(text) if may_have_ids(text) else text, codes)
        return _without_end(text, codes, marks=self._clean)

    def without_year(self, text: str, year: int) -> str:
        """A title without the brackets in which its own year stands, wherever that is: `Aliens (1986) Director's Cut`.

        Args:
            text: a title, as `title` gives it.
            year: of the item, from whatever source; 0 where unknown.
        """
        if not year or str(year) not in text:
            return text
        while match := re.search(rf"{_OPEN} ?{year}(?: ?[-–—] ?(?:\d{{4}})?)? ?(?:{_CLOSE}|$)", text):
            head, tail = text[: match.start()].rstrip(_EDGES), text[match.end() :].lstrip(_EDGES)
            if self._clean:
                head = _without_end(head, [], year=False).text
                tail = _without_lead(tail) if head else _without_prefix(tail, [])
            rest = f"{head} {tail}" if tail[:1] not in ",:;" else head + tail
            if not _has_words(rest):
                break
            text = rest.strip(_EDGES)
        # `(2021, Uncut)`, `(Uncut, 2021)`, `Dune - 2021 - Uncut`.
        return re.sub(rf"(?<=[(\[{{]){year} ?[,/|] ?|(?: ?[,/|] ?){year}(?=[)\]}}])| [-–—] {year}(?= [-–—] )", "", text)

    def episode(self, raw: str, *, series: str, season: int | None, number: int | None) -> str:
        """The title of an episode without its series' title and its number; "" when that was all.

        Args:
            raw: such as `EN - Heat (1995) - S01E02 - Pilot`, `S01E02` or `1x02 - Pilot`.
            series: the series' cleaned title.
            season: as the catalogue has it; None where unknown.
            number: likewise.
        """
        text = self._prepared(raw)
        if not self._clean:
            return text
        codes: list[str] = []
        text = _without_end(
            _without_prefix(_without_ids(text) if may_have_ids(text) else text, codes), codes, year=False
        ).text
        code = _EPISODE_CODE.search(text)
        while code is not None and not _is_its_code(code, series, season, number):
            code = _EPISODE_CODE.search(text, code.end())
        if code is None:
            return text
        head, rest = _around(code)
        if separator := _AFTER_CODE.match(rest):
            rest = rest[separator.end() :]
        # What begins as the series is called, says so in other words: `Lost 2004 (S01E02)`.
        if not rest and head and not _letters(head).startswith(_letters(series)):
            return head
        return "" if _ONLY_YEAR.fullmatch(rest) else rest

    def language(self, raw: str) -> str:
        """The language or country that the panel's mark names, such as `EN` or `US`; "" where there is none.

        `ENG` and `ENGLISH` are `EN` too. The mark before the title counts first, then the last one after it.
        """
        return next(iter(self.languages(raw)), "")

    def languages(self, raw: str) -> tuple[str, ...]:
        """All languages or countries that the panel's marks name, in the order of `language`."""
        codes: list[str] = []
        _without_end(_without_prefix(_without_ids(_tidy(raw)), codes), codes)
        return tuple(dict.fromkeys(filter(None, codes)))

    def _prepared(self, raw: str) -> str:
        text = _tidy(raw)
        if self._pattern is None:
            return text
        if self.timeouts < _GIVE_UP_AFTER:
            try:
                return _tidy(self._pattern.sub("", text, timeout=_TITLE_SECONDS)) or text
            except TimeoutError:
                pass
        self.timeouts += 1
        return text


def language_code(word: str) -> str:
    """The code of a language that a mark names, such as `EN` for `ENG` or `english`; an unknown word in capitals."""
    return _LANGUAGES.get(word.upper(), word.upper())


def language_name(code: str) -> str:
    """The English name of a language, by its code; of a country, the code."""
    return _LANGUAGE_NAMES.get(code, code)


def _compile(pattern: str) -> regex.Pattern[str]:
    try:
        compiled = regex.compile(pattern)
        for probe in _probes(pattern):
            compiled.sub("", probe, timeout=_PROBE_SECONDS)
    except TimeoutError:
        raise SettingsError(
            "name_regex is too slow: it can take seconds for one title.\n"
            "Avoid repeats of parts that begin alike, such as (a|aa)+, or leave it empty."
        ) from None
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise SettingsError(
            f"name_regex is not a regular expression: {error}.\nCorrect it, or leave it empty."
        ) from None
    return compiled


def _probes(pattern: str) -> Iterator[str]:
    """Texts on which this pattern is slow, if it is on any.

    They have many of what the pattern may repeat, and then what it does not expect. Half of them have all of its
    characters too, since a search ends at once where a character that the pattern needs is missing.
    """
    for part in dict.fromkeys([*_PROBE_PARTS, *pattern, *regex.findall(r"\w+", pattern)]):
        probe = part * (_PROBE_LENGTH // len(part)) + "!"
        yield probe
        yield probe + pattern


def _tidy(raw: str) -> str:
    """The text on one line, with single spaces and nothing invisible at its ends, in NFC."""
    if raw.isascii() and raw.isprintable():
        return " ".join(raw.split()) if "  " in raw or raw[:1] == " " or raw[-1:] == " " else raw
    return unicodedata.normalize("NFC", " ".join(_INVISIBLE.sub("", raw).split()).strip(_EDGES))


def title_ids(raw: str) -> tuple[str, str]:
    """The ids for TMDB and IMDb that a name has, such as `[tmdbid-949]` or `tt0113277`; "" where there is none."""
    tmdb = imdb = ""
    for tag in (*_ID_TAG.finditer(raw), *_BARE_ID.finditer(raw)):
        if tag["imdb"]:
            imdb = imdb or tag["imdb"].lower()
        elif "tmdb" in tag[0].lower():
            tmdb = tmdb or tag["number"]
    return tmdb, imdb


def _without_ids(text: str) -> str:
    """The text without ids in brackets, or as words. Only a text that has nothing else keeps them."""
    rest = _BARE_ID.sub("", _ID_TAG.sub("", text)).strip(_EDGES)
    return rest if _has_words(rest) and not _ONLY_YEAR.fullmatch(rest) else text


def may_have_ids(text: str) -> bool:
    """Whether it is worth to look for ids in a text."""
    return "db" in text or "tt" in text or "DB" in text or "TT" in text


def _without_prefix(text: str, codes: list[str]) -> str:
    """The text without the marks before it; their language codes are added to `codes`."""
    if text[:1].isalnum() and text[1:2].islower():
        return text  # no mark begins like this, and nearly every title does
    while mark := _PREFIX.match(text) or _STRAY_START.match(text):
        code = _prefix_code(mark)
        rest = text[mark.end() :].lstrip(_EDGES)
        if code is None or not _has_words(rest):
            break
        codes.append(code)
        text = _without_lead(rest)
    return text


def _without_lead(text: str) -> str:
    """The text behind a mark without the qualities that stand before the title."""
    word, _, rest = text.partition(" ")
    while word in _LEADING_WORDS and rest[:1].isalnum():
        text = rest
        word, _, rest = text.partition(" ")
    return text


def _prefix_code(mark: re.Match[str]) -> str | None:
    """The language of a prefix, "" when it has none, None when it belongs to the title."""
    if mark.lastgroup is None:
        return ""
    words = mark[mark.lastgroup]
    if mark.lastgroup == "colon" and words not in _COLON_CODES:
        return None
    if words == "IT" and _IT_THE_FILM.match(mark.string):
        return None
    code = _language(words, _BRACKET_WORDS if mark.lastgroup == "bracketed" else _DASH_WORDS)
    if code is None and mark.lastgroup in ("barred", "bar") and _SHORT_CODE.fullmatch(words):
        return ""
    return code


def _without_end(text: str, codes: list[str], *, marks: bool = True, year: bool = True) -> CleanTitle:
    """The text without the marks and years after it; the marks' language codes are added to `codes`.

    Brackets that say something else stay, and what stands before them is cleaned all the same.
    """
    found = None
    aside = ""
    while True:
        head, words = _split_bracket(text)
        if year and words and (match := _YEAR.fullmatch(words)):
            text, found = head, found or int(match[1] or match[2])
        elif year and text[-4:].isdecimal() and (match := _DASH_YEAR.fullmatch(text)):
            text, found = match[1].rstrip(_EDGES), found or int(match[2])
        elif marks and (mark := _bracket_mark(text, head, words) or _last_mark(text, is_end=not aside)):
            text = mark[0]
            codes.append(mark[1])
        elif year and marks and words and _has_words(head) and (mixed := _year_and_mark(words)):
            text, found = head, found or mixed[0]
            codes.append(mixed[1])
        elif marks and words and _has_words(head):
            text, aside = head, text[len(head) :] + aside
        else:
            return CleanTitle(text + aside, found)


def _split_bracket(text: str) -> tuple[str, str]:
    """What stands before the bracket that closes the text, and in it; the second is "" where there is none."""
    opener = _OPENERS.get(text[-1:])
    if opener is None or (start := text.rfind(opener, 1, len(text) - 1)) < 0:
        return text, ""
    return text[:start].rstrip(_EDGES), text[start + 1 : -1]


def _bracket_mark(text: str, head: str, words: str) -> tuple[str, str] | None:
    """The text without the mark in brackets that ends it, and the mark's language."""
    if not words or (code := _language(words.strip(), _BRACKET_WORDS)) is None or not _has_words(head):
        return None
    if text[-1] == ")" and words in _TITLE_COUNTRIES and not _ends_in_year(head):
        return None
    return head, code


def _year_and_mark(words: str) -> tuple[int, str] | None:
    """The year in brackets that hold a mark too, such as `(2021 EN)`, and the mark's language."""
    if (match := _YEAR_AND_WORDS.fullmatch(words.strip())) is None:
        return None
    code = _language(" ".join(filter(None, (match[1], match[3]))), _BRACKET_WORDS)
    return None if code is None else (int(match[2]), code)


def _last_mark(text: str, *, is_end: bool = True) -> tuple[str, str] | None:
    """The text without the mark that ends it without brackets, and the mark's language.

    What has brackets behind it (`is_end` is false) keeps its last dash: `Alias - (Pilot)`.
    """
    head, _, word = text.rpartition(" ")
    code: str | None = None
    if word in _LAST_WORDS:
        code = _LANGUAGES.get(word, "")
    elif (")" in text or "]" in text or not text.isascii()) and (behind := _behind_year(text)):
        return behind
    elif head[-1:] in _STRAY:
        code = _language(word, _PREFIX_WORDS) if head[-1] in _BARS else None
    elif is_end and text[-1:] in _STRAY and _STRAY_END.search(text):
        code = ""
    elif text.endswith(_EXTENSIONS):
        head, code = text[:-4], ""
    elif not text.isascii():
        head, code = _split_superscript(text)
    return (head.rstrip(_EDGES), code) if code is not None and _has_words(head) else None


def _behind_year(text: str) -> tuple[str, str] | None:
    """The text without the words behind a year in brackets, if they are a mark: `Dune (2021) - Hindi`."""
    if (match := _BEHIND_YEAR.fullmatch(text)) is None:
        return None
    code = _language(match["words"], _BRACKET_WORDS)
    return None if code is None else (match[1], code)


def _split_superscript(text: str) -> tuple[str, str | None]:
    """The text before the raised letters at its end (`ᵁᴴᴰ`), and their language; None where there are none.

    One raised character, or figures alone, can be the title's: `Alien³`.
    """
    head = text
    while head and unicodedata.decomposition(head[-1]).startswith("<super>"):
        head = head[:-1]
    raised = text[len(head) :]
    if len(raised) < 2 or not any(map(str.isalpha, raised)):
        return text, None
    return head, _LANGUAGES.get(unicodedata.normalize("NFKC", raised).upper(), "")


@lru_cache(maxsize=4096)
def _language(words: str, known: frozenset[str]) -> str | None:
    """The first language that the words name, "" when they name none, None when one of them is not known.

    Words of one or two letters count in capitals only: `(It)` may be a title's.
    """
    code = ""
    parts = [part for part in re.split(r"[-/&_.,| ]+|\+(?=\w| )", words.replace("EX-YU", "EXYU")) if part]
    for part in parts:
        word = part if len(part) < 3 and part.isalpha() else part.upper()
        if word in _LANGUAGES:
            code = code or _LANGUAGES[word]
        elif word not in known and not _PLUS_SERVICE.fullmatch(part):
            return None
    return code if parts else None


def _ends_in_year(text: str) -> bool:
    return _YEAR.fullmatch(_split_bracket(text)[1]) is not None


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _is_its_code(code: re.Match[str], series: str, season: int | None, number: int | None) -> bool:
    """Whether an `S01E02` or `1x02` numbers this episode, and is no part of its title."""
    numbers = int(code["season"] or code["x_season"]), int(code["number"] or code["x_number"])
    if numbers == (season, number):
        return True
    head = code.string[: code.start()].rstrip(" -–—:|._")
    if code["season"] is None:
        return not head and season is None
    return not head or _is_called(head, series)


def _around(code: re.Match[str]) -> tuple[str, str]:
    """The title before brackets in which an episode's number stands, "" where there are none; and the text behind it.

    `[S01E02] Pilot` and `Lost (S01E02 - Pilot)` have the title behind the number, `Pilot (S01E02)` before it.
    """
    head, rest = code.string[: code.start()], code.string[code.end() :]
    for closer, opener in _OPENERS.items():
        if head.rfind(opener) > head.rfind(closer) and closer in rest:
            return head[: head.rfind(opener)].rstrip(" -–—:|._"), " ".join(rest.replace(closer, "", 1).split())
    return "", rest


def _is_called(text: str, series: str) -> bool:
    """Whether a text is the title of a series, with marks and a year or without."""
    return _letters(_without_end(text, []).text) == _letters(series)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, fold(text)))
