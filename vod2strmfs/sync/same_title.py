"""Which rows of the catalogue are the same title, decided by what they say and by nothing else.

Rows belong together if they have the same TMDB or IMDb id; or, where one of them has no id, the same cleaned title
and year. Two rows with different ids never do, also not by way of a third one: a row that could belong to two titles
belongs to neither. See docs/decisions/0022-one-title-all-its-rows.md.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import facts
from vod2strmfs.library.items import Movie, Series
from vod2strmfs.library.names import PLACEHOLDER, fold

_WORDS = re.compile(r"[^\W_]+")
_FORMATS = re.compile(r"\b(reality|game.?show|talk|news)\b|r[ée]alit[ée]", re.IGNORECASE)
"""Genres of series that television stations make anew in each country: TMDB's and IMDb's, and a French panel's."""

Label = tuple[str, object, object]
"""Stands for a title: equal for the rows of one, different for those of another."""


class TitleRow(NamedTuple):
    """What is known of a row; "" or 0 for what is not."""

    node: int
    name: int
    """See `name_key`."""
    tmdb: str
    imdb: str


def name_key(item: Movie | Series, cleaner: TitleCleaner) -> int:
    """A digest of 62 bits of a cleaned title and its year, but for case and Unicode form.

    It is 0 where the year is not known, or nothing is left of the title: such names say nothing. Parodies for adults
    are called as what they make fun of, and children must not meet them there: what is for adults has the digest's
    complement, which is negative.

    Args:
        item: whose title it is.
        cleaner: the one that made it.
    """
    if not item.year or item.title == PLACEHOLDER:
        return 0
    text = f"{fold(item.title)}\n{item.year}{_apart(item, cleaner)}".encode(errors="replace")
    key = (int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 2) or 1
    return ~key if item.adult else key


def _apart(item: Movie | Series, cleaner: TitleCleaner) -> str:
    """What tells an item from others of its name and year, though marks are no part of titles; "" as a rule."""
    if isinstance(item, Movie):
        return "\n3D" if _is_in_3d(item) else ""
    if item.genres and _is_format(item.genres):
        # One format has a series of its own in each country, often since the same year.
        return "\n" + " ".join(sorted(facts(item, cleaner).languages))
    return ""


def _is_in_3d(item: Movie) -> bool:
    """Whether a mark says that a film needs another screen, or glasses."""
    if "3D" not in item.original_title.upper() and "3D" not in item.category.upper():
        return False
    own, said = (set(_WORDS.findall(text.upper())) for text in (item.title, f"{item.original_title} {item.category}"))
    return "3D" in said - own


@lru_cache(maxsize=1024)
def _is_format(genres: tuple[str, ...]) -> bool:
    return _FORMATS.search(" ".join(genres)) is not None


def labels(rows: Iterable[TitleRow], *, by_name: bool) -> dict[int, Label]:
    """The title of each row, by its node. The order of the rows is of no matter.

    Args:
        rows: all of one kind that share a name or an id with any of them.
        by_name: whether title and year count where there is no id.
    """
    rows = list(rows)
    found = _by_ids(row for row in rows if row.tmdb or row.imdb)
    titles_of: defaultdict[int, set[Label]] = defaultdict(set)
    for row in rows:
        if row.node in found and row.name:
            titles_of[row.name].add(found[row.node])
    for row in rows:
        if row.node in found:
            continue
        titles = titles_of.get(row.name, ())
        if not row.name or not by_name:
            found[row.node] = ("node", row.node, "")
        elif len(titles) == 1:
            [found[row.node]] = titles
        else:
            found[row.node] = ("name", row.name, "")
    return found


def _by_ids(rows: Iterable[TitleRow]) -> dict[int, Label]:
    """Rows with a TMDB id are known by it; where their IMDb ids differ, by both. A row with an IMDb id alone goes with
    the only title that has it."""
    rows = list(rows)
    imdb_of: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.tmdb and row.imdb:
            imdb_of[row.tmdb].add(row.imdb)
    found: dict[int, Label] = {}
    with_imdb: defaultdict[str, set[Label]] = defaultdict(set)
    for row in rows:
        if row.tmdb:
            known = imdb_of[row.tmdb]
            imdb = row.imdb if len(known) > 1 else next(iter(known), "")
            found[row.node] = label = ("ids", row.tmdb, imdb)
            with_imdb[imdb].add(label)
    for row in rows:
        if not row.tmdb:
            titles = with_imdb.get(row.imdb, ())
            [found[row.node]] = titles if len(titles) == 1 else [("ids", "", row.imdb)]
    return found


def reason(row: TitleRow, other: TitleRow) -> str:
    """Why two rows of one title belong together, in words."""
    if row.tmdb and row.tmdb == other.tmdb:
        return f"TMDB id {row.tmdb}"
    if row.imdb and row.imdb == other.imdb:
        return f"IMDb id {row.imdb}"
    if row.name and row.name == other.name:
        return "title and year"
    return "a third row"
