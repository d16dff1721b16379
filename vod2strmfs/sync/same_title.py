"""Which rows of the catalogue are the same title, decided by what they say and by nothing else.

Rows belong together if they have the same TMDB or IMDb id; or, where one of them has no id, the same cleaned title
and year. Two rows with different ids never do, also not by way of a third one: a row that could belong to two titles
belongs to neither. See docs/decisions/0022-one-title-all-its-rows.md.
"""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from vod2strmfs.library.names import PLACEHOLDER, fold

Label = tuple[str, object, object]
"""Stands for a title: equal for the rows of one, different for those of another."""


class TitleRow(NamedTuple):
    """What is known of a row; "" or 0 for what is not."""

    node: int
    name: int
    """See `name_key`."""
    tmdb: str
    imdb: str


def name_key(title: str, year: int) -> int:
    """A 64-bit digest of a cleaned title and its year, but for case and Unicode form, signed as SQLite keeps it.

    It is 0 where the year is not known, or nothing is left of the title: such names say nothing.
    """
    if not year or title == PLACEHOLDER:
        return 0
    text = f"{fold(title)}\n{year}".encode(errors="replace")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little", signed=True) or 1


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
