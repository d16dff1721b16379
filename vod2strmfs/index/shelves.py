"""Shelves in the index: which titles stand on each, and the nodes of what stands there.

A shelf has no nodes of its own. A title that stands on one is there with the id that `library.kinds.shelved` gives it,
and so is all that is below it. What the index keeps of a shelf is which titles are on it (`shelved`), and of its
topmost directories, down to categories, when something in them changed and what they hold (`shelf_folder`).
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from vod2strmfs.errors import IndexFileError
from vod2strmfs.library.kinds import (
    MOVIES_NODE,
    ROOT_NODE,
    TV_NODE,
    WAITING_NODE,
    NodeKind,
    in_library,
    shelf_of,
    shelved,
)
from vod2strmfs.library.names import fold
from vod2strmfs.library.tree import Node

SHELVES = (
    """CREATE TABLE IF NOT EXISTS shelf (
    number INTEGER PRIMARY KEY,        -- never another shelf's; inode numbers hold it
    name TEXT NOT NULL UNIQUE,
    shown INTEGER NOT NULL,            -- 0: it is not in the settings any more, or its picks could never be read
    alone INTEGER NOT NULL,            -- 1: it is all that is shown
    settings TEXT NOT NULL,            -- settings.Shelf as JSON
    picks TEXT NOT NULL,               -- the text of its file of picks, when that could last be read
    problem TEXT NOT NULL              -- why that cannot be read now; empty if it can
)""",
    """CREATE TABLE IF NOT EXISTS shelved (
    shelf INTEGER NOT NULL, parent INTEGER NOT NULL, node INTEGER NOT NULL,
    since INTEGER NOT NULL,            -- nanoseconds since the epoch
    held INTEGER NOT NULL,             -- 1: it would not stand here any more, and is kept by the shrink brake
    PRIMARY KEY (shelf, parent, node)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS shelf_folder (
    shelf INTEGER NOT NULL, node INTEGER NOT NULL, mtime INTEGER NOT NULL,
    number INTEGER NOT NULL,           -- how many are in it
    total INTEGER NOT NULL,            -- the sum of their ids: what a damaged table lacks is noticed
    PRIMARY KEY (shelf, node)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS unshelved (  -- for the shrink brake: what was taken off within the last day
    shelf INTEGER NOT NULL, node INTEGER NOT NULL, at INTEGER NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (shelf, node)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS shelf_remark (
    shelf INTEGER NOT NULL,
    what TEXT NOT NULL,                -- `remarks.RemarkKind`, or the filter that a pattern stands in
    text TEXT NOT NULL,                -- the line of the file of picks, or the pattern
    detail TEXT NOT NULL               -- the nearest title
)""",
)
"""Tables that a sync makes when it first writes an index: those of earlier versions lack them, and have no shelves."""

_SHOWN = "SELECT number, name, alone FROM shelf WHERE shown ORDER BY number"
_FOLDER = "SELECT mtime, number, total FROM shelf_folder WHERE shelf = ? AND node = ?"
_BLOCK = "SELECT node FROM shelved WHERE shelf = ? AND parent = ? AND node BETWEEN ? AND ?"
_PAGE = "SELECT node FROM shelved WHERE shelf = ? AND parent = ? AND node > ? ORDER BY node LIMIT ?"
_HOLDS = "SELECT count(*), coalesce(sum(node), 0) FROM shelved WHERE shelf = ? AND parent = ?"
_ALL = "SELECT node FROM shelved WHERE shelf = ?"
_BELOW = """
    SELECT shelved.shelf, node.kind FROM shelved JOIN node ON node.id = shelved.node
    UNION ALL SELECT shelved.shelf, node.kind FROM shelved JOIN node ON node.parent = shelved.node
        WHERE shelved.parent > 0 AND node.kind = {season}"""

_SECTIONS = (MOVIES_NODE, TV_NODE)
_TOPMOST = frozenset({NodeKind.SECTION, NodeKind.CATEGORY})
"""Kinds of directory that hold on a shelf what the shelf has, and not all that they hold in the library."""
_LARGE_DIRECTORY = 1000
"""Children; see `listing_check`."""
_BLOCK_BITS = 10
_BLOCKS = 4096
"""So many blocks of 2 ** _BLOCK_BITS nodes are remembered at most, some 200 bytes each."""


class ShownShelf(NamedTuple):
    """A shelf that is to be seen."""

    number: int
    name: str
    alone: bool


def has_shelves(connection: sqlite3.Connection) -> bool:
    """Whether an index has the tables of shelves."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'shelf_remark'").fetchone()
    return found is not None


def shown_shelves(connection: sqlite3.Connection) -> dict[int, ShownShelf]:
    """The shelves of the generation that a connection sees, by their numbers."""
    if not has_shelves(connection):
        return {}
    rows = connection.execute(_SHOWN)
    return {number: ShownShelf(number, name, bool(alone)) for number, name, alone in rows}


class Shelves:
    """What stands on the shelves of one generation.

    Methods take and give nodes as they stand on a shelf, and raise IndexFileError where that cannot be told.

    Args:
        query: gives the rows that a statement finds with some arguments.
        base: gives a node of the library by its id.
        shown: the shelves.
    """

    def __init__(
        self,
        query: Callable[..., list[Any]],
        base: Callable[[int], Node | None],
        shown: Mapping[int, ShownShelf],
    ) -> None:
        self._query = query
        self._base = base
        self.shown = shown
        self.alone = next((shelf for shelf in shown.values() if shelf.alone), None)
        self._whole: set[int] = set()
        """Large directories that were found to be whole."""
        self._blocks: dict[tuple[int, int, int], int] = {}
        """By shelf, directory and block, a bit for each node: a scan asks for all of them in order."""

    def __bool__(self) -> bool:
        return bool(self.shown)

    @property
    def tops(self) -> list[int]:
        """The directories of the root that are a shelf's."""
        if self.alone is not None:
            return [shelved(self.alone.number, section) for section in _SECTIONS]
        return [shelved(number, ROOT_NODE) for number in self.shown]

    def node(self, node: int) -> Node | None:
        """A node that stands on a shelf; None if there is none."""
        number, own = shelf_of(node), in_library(node)
        shelf = self.shown.get(number)
        if shelf is None:
            return None
        if own == ROOT_NODE:
            return None if shelf.alone else self._top(shelf)
        base = self._base(own)
        if base is None or base.parent == WAITING_NODE or not self._is_on(number, base):
            return None
        return self._copy(shelf, base)

    def children(self, parent: int, after: int, limit: int) -> list[int] | None:
        """The ids, as the library has them, of what a topmost directory holds, after one of them; None for a directory
        that holds what it holds in the library."""
        number, own = shelf_of(parent), in_library(parent)
        if own == ROOT_NODE:
            return [section for section in _SECTIONS if section > in_library(after)][:limit]
        if not self.is_topmost(parent):
            return None
        page = [node for (node,) in self._query(_PAGE, number, own, in_library(after), limit)]
        if len(page) < limit:
            self.check(parent)
        return page

    def is_topmost(self, directory: int) -> bool:
        """Whether a directory holds on its shelf what the shelf has."""
        base = self._base(in_library(directory))
        return base is None or base.kind in _TOPMOST or base.id == ROOT_NODE

    def check(self, parent: int) -> None:
        """Make sure that nothing of a topmost directory is lost."""
        number, own = shelf_of(parent), in_library(parent)
        if own == ROOT_NODE or parent in self._whole:
            return
        folder, held = self._query(_FOLDER, number, own), self._query(_HOLDS, number, own)
        if not folder or tuple(folder[0][1:]) != tuple(held[0]):
            raise IndexFileError(f"the index is damaged: what shelf {number} has in directory {own} cannot be told.")
        if held[0][0] > _LARGE_DIRECTORY:
            self._whole.add(parent)

    def copy(self, parent: int, base: Node) -> Node:
        """A child of a directory as it stands in the directory's copy `parent`.

        Raises:
            IndexFileError: it does not belong there.
        """
        if base.parent != in_library(parent):
            raise IndexFileError(f"the index is damaged: node {base.id} is on a shelf where it does not belong.")
        return self._copy(self.shown[shelf_of(parent)], base)

    def called(self, key: str) -> Node | None:
        """A shelf's directory in the root, by its folded name."""
        for shelf in self.shown.values():
            if not shelf.alone and fold(shelf.name) == key:
                return self._top(shelf)
        return None

    def titles(self, shelf: int) -> set[int]:
        """The titles on a shelf, and its categories, by their ids in the library."""
        return {node for (node,) in self._query(_ALL, shelf)} if shelf in self.shown else set()

    def _copy(self, shelf: ShownShelf, base: Node) -> Node:
        parent = ROOT_NODE if shelf.alone and base.parent == ROOT_NODE else shelved(shelf.number, base.parent)
        mtime = self._mtime(shelf.number, base.id) if base.kind in _TOPMOST else base.mtime
        return msgspec.structs.replace(base, id=shelved(shelf.number, base.id), parent=parent, mtime=mtime)

    def _top(self, shelf: ShownShelf) -> Node:
        mtime = self._mtime(shelf.number, ROOT_NODE)
        return Node(
            shelved(shelf.number, ROOT_NODE), NodeKind.SHELF, ROOT_NODE, shelf.name, "", mtime, 0, 0, 0, 0, 0, 0
        )

    def _mtime(self, shelf: int, node: int) -> int:
        rows = self._query(_FOLDER, shelf, node)
        if not rows:
            raise IndexFileError(f"the index is damaged: it lacks directory {node} of shelf {shelf}.")
        return int(rows[0][0])

    def _is_on(self, shelf: int, base: Node) -> bool:
        title: Node | None = base
        while title is not None and title.kind not in (NodeKind.MOVIE, NodeKind.SERIES):
            if title.kind == NodeKind.SECTION:
                return True
            if title.kind == NodeKind.CATEGORY:
                break
            title = self._base(title.parent)
        return title is not None and self._holds(shelf, title.parent, title.id)

    def _holds(self, shelf: int, parent: int, node: int) -> bool:
        """Whether a directory of a shelf has a title, or a category."""
        key = shelf, parent, node >> _BLOCK_BITS
        bits = self._blocks.get(key)
        if bits is None:
            first = key[2] << _BLOCK_BITS
            rows = self._query(_BLOCK, shelf, parent, first, first + (1 << _BLOCK_BITS) - 1)
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            bits = self._blocks[key] = sum(1 << (there - first) for (there,) in rows)
        return bits >> (node & (1 << _BLOCK_BITS) - 1) & 1 == 1


def count_folders(connection: sqlite3.Connection) -> dict[int, int]:
    """How many directories of titles and seasons stand on shelves, by their NodeKind."""
    if not has_shelves(connection):
        return {}
    query = f"""SELECT kind, count(*) FROM ({_BELOW.format(season=NodeKind.SEASON.value)}) AS below
        JOIN shelf ON shelf.number = below.shelf AND shelf.shown GROUP BY 1"""
    return dict(connection.execute(query).fetchall())
