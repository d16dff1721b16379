"""What one version of a title is: its languages and its quality, and which version a user would rather have.

Languages and qualities are said by the tags of the category, or by marks: in the provider's title, else in the name of
the category. A picture that was
measured counts before any mark.
"""

import json
import re
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, TypeVar, cast

import msgspec

from vod2strmfs.extract.titles import TitleCleaner, language_code, language_name
from vod2strmfs.library.items import Movie, Series, SpokenMovie, SpokenSeries, TaggedMovie, TaggedSeries, Video
from vod2strmfs.settings import LibrarySettings, PreferQuality

ItemT = TypeVar("ItemT", bound=Movie | Series)
_WORDS = re.compile(r"[^\W_]+")


class Quality(IntEnum):
    """The quality of a picture."""

    CAM = 0
    """Filmed in a cinema."""
    SD = 1
    HD = 2
    """720 lines."""
    FULL_HD = 3
    ULTRA_HD = 4
    UNKNOWN = -1


QUALITY_NAMES = {
    Quality.CAM: "CAM",
    Quality.SD: "SD",
    Quality.HD: "720p",
    Quality.FULL_HD: "1080p",
    Quality.ULTRA_HD: "4K",
}
_BY_NAME = {name: quality for quality, name in QUALITY_NAMES.items()}

_MARKS = {
    **dict.fromkeys(("8K", "4K", "UHD", "2160P", "3840P"), Quality.ULTRA_HD),
    **dict.fromkeys(("FHD", "QHD", "1440P", "1080P", "1080I"), Quality.FULL_HD),
    **dict.fromkeys(("HD", "720P"), Quality.HD),
    **dict.fromkeys(("SD", "LQ", "576P", "480P"), Quality.SD),
    **dict.fromkeys(("CAM", "TS", "HDCAM", "HDTS", "HDTC"), Quality.CAM),
}
_LINES = ((1700, Quality.ULTRA_HD), (900, Quality.FULL_HD), (650, Quality.HD), (1, Quality.SD))
"""The fewest lines of a picture of each quality: wide films have fewer than their quality is named after."""


class Facts(NamedTuple):
    """What is known of a version."""

    languages: tuple[str, ...]
    """Codes such as `EN`; empty where no mark says any."""
    quality: Quality
    marked: Quality
    """What the marks alone say."""


class Wish(NamedTuple):
    """What a user would rather have."""

    languages: tuple[str, ...] = ()
    """Codes, the dearest first."""
    quality: PreferQuality = "highest"

    @classmethod
    def of(cls, languages: Iterable[str], quality: PreferQuality | None) -> "Wish":
        """A wish as the settings have it; languages may be words too."""
        return cls(tuple(map(language_code, languages)), quality or "highest")

    def rank(self, facts: Facts) -> tuple[int, int]:
        """The places of a version by language and by quality; less is better."""
        places = [place for place, code in enumerate(self.languages) if code in facts.languages]
        # Most films without a mark are no worse than that.
        quality = int(Quality.HD if facts.quality == Quality.UNKNOWN else facts.quality)
        of_quality = -quality
        if self.quality == "lowest":
            of_quality = quality if quality != Quality.CAM else 9
        elif self.quality == "up_to_1080p" and quality > Quality.FULL_HD:
            of_quality = 9
        return min(places, default=len(self.languages)), of_quality


def why_better(wish: Wish, best: tuple[Facts, int], other: tuple[Facts, int]) -> str:
    """Why a version plays and another one does not, in words; each is given with its account's priority."""
    ranks = zip(wish.rank(best[0]), wish.rank(other[0]), ("language", "quality"), strict=True)
    for mine, theirs, what in ranks:
        if mine < theirs:
            return f"prefer_{'languages' if what == 'language' else 'quality'}"
    return "the account's priority" if best[1] > other[1] else "the lowest account and stream id"


def lines(width: int, height: int) -> int:
    """The lines that a picture would have in 16:9, by which its quality is known; 0 where nothing was measured."""
    return max(height, width * 9 // 16)


def quality_of(measured: int, video: Video) -> Quality:
    """The quality of a picture by its `lines`: those measured now or before, else the video's."""
    measured = measured or lines(video.width, video.height)
    return next((quality for least, quality in _LINES if measured >= least), Quality.UNKNOWN)


@lru_cache(maxsize=1024)
def category_tags(properties: str) -> tuple[str, str]:
    """The language's code and the quality's name that an operator gave to a category of an account; "" where none.

    Args:
        properties: what Dispatcharr keeps of both, as JSON text of any shape.
    """
    try:
        said = json.loads(properties)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(said, dict):
        return "", ""
    language, quality = (str(said.get(name) or "").strip().upper() for name in ("language", "quality"))
    # Two letters, as Dispatcharr takes them: the code goes into file names.
    is_code = len(language) == 2 and language.isascii() and language.isalpha()
    return language_code(language) if is_code else "", QUALITY_NAMES[_MARKS[quality]] if quality in _MARKS else ""


def known_language(item: Movie | Series) -> str:
    """The code of the language in which Dispatcharr says that an item is; "" where it does not."""
    return item.language if isinstance(item, SpokenMovie | SpokenSeries) else ""


def facts(item: Movie | Series, cleaner: TitleCleaner, measured: int = 0) -> Facts:
    """What is known of the version that an item stands for. Of a series, it is what its episodes have in common.

    Args:
        item: the item.
        cleaner: the one that made its title.
        measured: the `lines` that were measured, now or before; of an episode, if the item is its series.
    """
    raw = item.original_title or item.title
    said = (spoken,) if (spoken := known_language(item)) else cleaner.languages(raw)
    languages = said or category_languages(item.category, cleaner)
    marked = marked_quality(item)
    quality = quality_of(measured, item.video if isinstance(item, Movie) else Video())
    if quality == Quality.UNKNOWN or marked == Quality.CAM:  # however many lines the cinema's camera had
        quality = marked
    return Facts(languages, quality, marked)


@lru_cache(maxsize=4096)
def category_languages(category: str, cleaner: TitleCleaner) -> tuple[str, ...]:
    """The languages that a category's name says, by a mark or by a whole word: `EN | Kids`, `French Films`."""
    if not category:
        return ()
    if marked := cleaner.languages(category):
        return marked
    words = (word.upper() for word in _WORDS.findall(category) if len(word) > 3)
    return tuple(dict.fromkeys(code for word in words if (code := language_code(word)) != word))


def contradiction(item: Movie) -> str:
    """What a film's mark says and what was measured, in words, where the two differ; else ""."""
    if not item.video.height and not item.video.width:
        return ""
    measured = quality_of(0, item.video)
    marked = marked_quality(item)
    # HD is said of anything from 720 lines on, and a camera in a cinema may have any number.
    is_so = marked in (measured, Quality.CAM, Quality.UNKNOWN) or (marked == Quality.HD and measured > marked)
    return "" if is_so else f"marked {QUALITY_NAMES[marked]}, measured {QUALITY_NAMES[measured]}"


def marked_quality(item: Movie | Series) -> Quality:
    """The quality that is said: by the tag of its category, else by marks in the provider's title, else by those in the
    category's name."""
    if isinstance(item, TaggedMovie | TaggedSeries) and item.quality:
        return _BY_NAME[item.quality]
    marked = _marked(item.original_title or item.title, item.title)
    return _marked_category(item.category) if marked == Quality.UNKNOWN else marked


@lru_cache(maxsize=4096)
def _marked_category(category: str) -> Quality:
    return _marked(category, "")


def _marked(raw: str, title: str) -> Quality:
    """The quality that words say which are not the title's own."""
    if raw == title:
        return Quality.UNKNOWN
    own = set(_WORDS.findall(title.upper()))
    marks = [_MARKS[word] for word in _WORDS.findall(raw.upper()) if word in _MARKS and word not in own]
    return min(marks) if Quality.CAM in marks else max(marks, default=Quality.UNKNOWN)


def label(facts: Facts) -> str:
    """A version's label, such as `English 4K`; "" where no mark says anything.

    What was measured has no say: it is known when somebody has opened the film, and names should stay.
    """
    words = [language_name(code) for code in facts.languages]
    if facts.marked != Quality.UNKNOWN:
        words.append(QUALITY_NAMES[facts.marked])
    return " ".join(words)


def series_label(item: Series, cleaner: TitleCleaner, settings: LibrarySettings) -> str:
    """The label of the files of a series' episodes, where each relation has its own and rows may be joined; else "",
    and the accounts' names tell them apart."""
    return label(facts(item, cleaner)) if settings.versions == "all" and settings.merge != "off" else ""


def tags(versions: Iterable[Facts]) -> tuple[str, ...]:
    """The tags of a title that has these versions: languages by their names, then qualities, the best first."""
    known = list(versions)
    languages = sorted({language_name(code) for version in known for code in version.languages})
    qualities = sorted({version.quality for version in known} - {Quality.UNKNOWN}, reverse=True)
    return (*languages, *(QUALITY_NAMES[quality] for quality in qualities))


def tagged(item: ItemT, tags: tuple[str, ...]) -> ItemT:
    """An item with tags; itself where there are none."""
    if not tags:
        return item
    fields = msgspec.structs.asdict(item) | {"tags": tags}
    return cast(ItemT, TaggedMovie(**fields) if isinstance(item, Movie) else TaggedSeries(**fields))
