"""What changed last, title by title, and what is held: for people to look at."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.changes import What
from vod2strmfs.index.file import connect
from vod2strmfs.library.kinds import MOVIES_NODE, TV_NODE, WAITING_NODE, NodeKind, Slot, node_of, slot_of

_MOST_ENTRIES = 50_000
"""How many names of the change log are read at most: a generation can change all of a large library."""
_LOG = f"""
    SELECT generation, what, inode, parent, name FROM change WHERE what != {What.ATTRIBUTES_CHANGED:d}
    ORDER BY rowid DESC LIMIT ?"""
_NODE = "SELECT kind, parent, name FROM node WHERE id = ?"
_CHILDREN = "SELECT id FROM node WHERE parent = ? AND kind = ?"
_HELD = " UNION ALL ".join(
    f"""
    SELECT node.kind, coalesce(series.name, node.name) AS title, node.held, count(*) FROM node
    LEFT JOIN node AS season ON season.id = node.parent AND node.kind = {NodeKind.EPISODE:d}
    LEFT JOIN node AS series ON series.id = season.parent
    WHERE node.held = {held} AND node.kind IN ({NodeKind.MOVIE:d}, {NodeKind.SERIES:d}, {NodeKind.EPISODE:d})
    GROUP BY node.kind, title"""
    for held in (1, 2)
)
_SECTION_KINDS = {MOVIES_NODE: NodeKind.MOVIE, TV_NODE: NodeKind.SERIES}


class Change(StrEnum):
    """What became of a title, or of episodes of it."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    CHANGED = "changed"
    """The link or the details are others."""


class TitleChange(NamedTuple):
    """A change of a movie or a series."""

    what: Change
    kind: NodeKind
    """MOVIE or SERIES."""
    name: str
    """The name of the title's directory."""
    former: str = ""
    """The name before, of a title that was renamed."""
    episodes: int = 0
    """How many episodes came or left with a series; else of how many alone the change is; 0: it is the title's own."""
    whole: bool = True
    """Whether the change is of the title itself, and not of some of its episodes."""


class Moment(NamedTuple):
    """The changes of one generation."""

    generation: int
    made: int
    """When, nanoseconds since the epoch; 0 if that is not known."""
    changes: list[TitleChange]
    """Movies first; then by the alphabet."""
    whole: bool
    """Whether these are all of them: a generation can change all of a large library."""


class HeldTitle(NamedTuple):
    """A movie, a series or some episodes of one that the shrink brake holds."""

    kind: NodeKind
    name: str
    """The name of the title's directory."""
    renamed: bool
    """Whether it would be called otherwise; else it would be removed."""
    number: int
    """How many episodes are held; else 1."""


def recent_changes(state_dir: Path, limit: int) -> list[Moment]:
    """The generations that changed something that people see, the newest first.

    Args:
        state_dir: where the index is.
        limit: how many generations at most.

    Raises:
        IndexFileError: the index cannot be read.
    """
    with _reading(state_dir) as connection:
        connection.execute("BEGIN")
        made = _times(connection)
        log = _Log(connection)
        moments: list[Moment] = []
        for generation, entries in groupby(log.entries, key=lambda entry: entry.generation):
            if changes := sorted(set(log.changes(list(entries))), key=_order):
                whole = generation != log.cut
                moments.append(Moment(generation, made.get(generation, 0), changes, whole))
            if len(moments) == limit:
                break
        return moments


def held_titles(state_dir: Path) -> list[HeldTitle]:
    """The titles that the shrink brake holds, by the alphabet.

    Raises:
        IndexFileError: the index cannot be read.
    """
    with _reading(state_dir) as connection:
        rows = connection.execute(_HELD).fetchall()
    found = [HeldTitle(NodeKind(kind), name, held == 2, number) for kind, name, held, number in rows]
    return sorted(found, key=lambda title: (title.renamed, title.name.casefold(), title.kind))


class _Entry(NamedTuple):
    """A row of the change log about a name."""

    generation: int
    what: int
    inode: int
    parent: int
    name: str

    @property
    def node(self) -> int:
        return node_of(self.inode)

    @property
    def directory(self) -> int:
        """The node of the directory that the name is in."""
        return node_of(self.parent)

    @property
    def is_new(self) -> bool:
        return self.what == What.ENTRY_NEW


class _Folder(NamedTuple):
    """A directory, as the index has it, or the log if it has gone."""

    kind: int
    """0 of one that has gone."""
    parent: int
    name: str


class _Log:
    """Reads the change log: whose title is a name, and what became of it.

    Args:
        connection: to the index.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.entries = [_Entry._make(row) for row in connection.execute(_LOG, (_MOST_ENTRIES,))]
        """From the newest to the oldest."""
        self.cut = self.entries[-1].generation if len(self.entries) == _MOST_ENTRIES else 0
        """The number of a generation of which only a part was read; 0: of none."""
        self._folders: dict[int, _Folder | None] = {}
        self._logged: dict[int, _Folder] = {}
        self._left: set[int] = set()
        """Items of which a newer generation than the one at hand took the file away."""
        self._came_later: set[int] = set()
        """Titles and episodes that came with a newer generation than the one at hand."""
        for entry in self.entries:
            if slot_of(entry.inode) == Slot.FOLDER:
                self._logged.setdefault(entry.node, _Folder(0, entry.directory, entry.name))
        self._holders = {folder.parent for folder in self._logged.values()}
        self._holders_of_holders = {self._logged[node].parent for node in self._holders if node in self._logged}

    def changes(self, entries: list[_Entry]) -> Iterator[TitleChange]:
        """What one generation did to titles."""
        own = dict(self._of_titles(entry for entry in entries if slot_of(entry.inode) == Slot.FOLDER))
        below: dict[int, list[_Entry]] = defaultdict(list)
        for entry in entries:
            if (title := self._title(entry.directory)) is not None:
                below[title].append(entry)
        for title, change in own.items():
            if change.what == Change.ADDED:
                self._came_later |= (came := self._episodes_below(title) - self._came_later)
                below.pop(title, None)
                yield change._replace(episodes=len(came))
            else:
                episodes = self._episodes(below.pop(title, []))
                yield change._replace(episodes=episodes[change.what] if change.kind == NodeKind.SERIES else 0)
        for title, of_title in below.items():
            yield from self._below(title, of_title)

    def _of_titles(self, entries: Iterable[_Entry]) -> Iterator[tuple[int, TitleChange]]:
        """Titles that came, went or are called otherwise."""
        names: dict[int, dict[bool, _Entry]] = defaultdict(dict)
        for entry in entries:
            if self._title(entry.node) == entry.node:
                names[entry.node][entry.is_new] = entry
            elif entry.is_new and self._kind_of(entry.node) == NodeKind.CATEGORY:
                # The log says no more of a new directory: nobody has cached what is in it.
                for node in self._children(entry.node, self._kind(entry.node)) - self._came_later:
                    names[node].setdefault(True, entry._replace(name=self._name(node)))
        self._came_later |= {node for node, found in names.items() if True in found}
        for node, found in names.items():
            new, gone = found.get(True), found.get(False)
            kind = self._kind(node)
            if new and gone:
                yield node, TitleChange(Change.RENAMED, kind, new.name, gone.name)
            elif new:
                yield node, TitleChange(Change.ADDED, kind, new.name)
            elif gone:
                yield node, TitleChange(Change.REMOVED, kind, gone.name)

    def _below(self, title: int, entries: list[_Entry]) -> Iterator[TitleChange]:
        """What became of the files of a title that stayed."""
        kind, name = self._kind(title), self._name(title)
        episodes = self._episodes(entries) if kind == NodeKind.SERIES else Counter[Change]()
        for what, number in episodes.items():
            yield TitleChange(what, kind, name, episodes=number, whole=False)
        if not episodes:
            yield TitleChange(Change.CHANGED, kind, name)

    def _episodes(self, entries: Sequence[_Entry]) -> Counter[Change]:
        """How many episodes came, went or are others now."""
        gone_names = {entry.inode for entry in entries if not entry.is_new}
        came: set[int] = set()
        went: set[int] = set()
        others: set[int] = set()
        for entry in entries:
            slot = slot_of(entry.inode)
            if slot == Slot.STRM:
                (came if entry.is_new else went).add(entry.node)
            elif slot == Slot.FOLDER and entry.is_new and entry.inode not in gone_names:
                came |= self._children(entry.node, NodeKind.EPISODE) - self._came_later
            elif slot != Slot.FOLDER and self._kind_of(entry.node) == NodeKind.EPISODE:
                others.add(entry.node)
        gone = {node for node in went - came if node not in self._left and self._kind_of(node) != NodeKind.EPISODE}
        self._left |= went
        self._came_later |= came - went
        counted = {
            Change.ADDED: came - went,
            Change.REMOVED: gone,
            Change.CHANGED: (went | others) - gone - (came - went),
        }
        return Counter({what: len(nodes) for what, nodes in counted.items() if nodes})

    def _episodes_below(self, series: int) -> set[int]:
        seasons = self._children(series, NodeKind.SEASON)
        return set().union(*(self._children(season, NodeKind.EPISODE) for season in seasons))

    def _children(self, node: int, kind: NodeKind) -> set[int]:
        """The nodes of a kind in a directory, as the index has them now."""
        return {child for (child,) in self._connection.execute(_CHILDREN, (node, kind))}

    def _title(self, node: int) -> int | None:
        """The node of the title that a directory is, or is in; None if it is in none, or that is not known."""
        steps: list[int] = []
        while node not in _SECTION_KINDS:
            folder = self._folder(node)
            if folder is None or folder.parent == node or len(steps) > len(NodeKind):
                return None
            steps.append(node)
            node = folder.parent
        if steps and self._is_category(steps[-1], node):
            steps.pop()
        return steps[-1] if steps else None

    def _is_category(self, node: int, section: int) -> bool:
        if kind := self._kind_of(node):
            return kind == NodeKind.CATEGORY
        return node in (self._holders if section == MOVIES_NODE else self._holders_of_holders)

    def _kind(self, title: int) -> NodeKind:
        """Whether a title is a movie or a series: by the section that it is in."""
        while title not in _SECTION_KINDS:
            folder = self._folder(title)
            assert folder is not None
            title = folder.parent
        return _SECTION_KINDS[title]

    def _name(self, node: int) -> str:
        folder = self._folder(node)
        return folder.name if folder else ""

    def _kind_of(self, node: int) -> int:
        """A NodeKind; 0 of what has gone."""
        folder = self._folder(node)
        return folder.kind if folder else 0

    def _folder(self, node: int) -> _Folder | None:
        if node not in self._folders:
            row = self._connection.execute(_NODE, (node,)).fetchone()
            found = _Folder._make(row) if row else None
            if found is None or found.parent == WAITING_NODE:  # where it was when it was to be seen
                found = self._logged.get(node)
            self._folders[node] = found
        return self._folders[node]


def _times(connection: sqlite3.Connection) -> dict[int, int]:
    """When generations were made; not those of an index that an earlier version wrote."""
    times = dict(connection.execute("SELECT number, made FROM generation").fetchall())
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'past'").fetchone():
        times |= dict(connection.execute("SELECT number, made FROM past").fetchall())
    return times


def _order(change: TitleChange) -> tuple[int, bool, str]:
    return change.kind, not change.whole, change.name.casefold()


@contextmanager
def _reading(state_dir: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(state_dir)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise IndexFileError(f"the index cannot be read: {error}") from error
