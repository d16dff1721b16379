"""What a generation changes on shelves, for those who cached the one before."""

import sqlite3
from collections.abc import Iterator, Set
from functools import partial
from typing import Any

import msgspec

from vod2strmfs.index.changes import Change, arrivals, differences
from vod2strmfs.index.shelves import Shelves, shown_shelves
from vod2strmfs.index.store import Store, node_in
from vod2strmfs.library.kinds import NodeKind, shelved
from vod2strmfs.library.tree import Node
from vod2strmfs.settings import LibrarySettings

_TITLES = frozenset({NodeKind.MOVIE, NodeKind.SERIES})
_IN_TITLES = frozenset({NodeKind.VERSION, NodeKind.SEASON, NodeKind.EPISODE})


class ShelfChanges:
    """The changes on all shelves.

    Args:
        before: the generation before.
        connection: to the index, which holds the next one already.
        settings: with which it was made.
        moved: the nodes, as they stand on shelves, that may not have been there, or be no more, or have another time.
    """

    def __init__(
        self, before: Store, connection: sqlite3.Connection, settings: LibrarySettings, moved: Set[int]
    ) -> None:
        def query(statement: str, *arguments: object) -> list[Any]:
            return connection.execute(statement, arguments).fetchall()

        self._connection = connection
        self._before = before
        self._old = before.shelves
        self._new = Shelves(query, partial(node_in, connection), shown_shelves(connection))
        self._settings = before.settings, settings
        self._moved = moved
        self._titles = {
            shelf: (self._old.titles(shelf), self._new.titles(shelf))
            for shelf in sorted(self._old.shown.keys() | self._new.shown.keys())
        }
        self._series: dict[int, int] = {}
        """The series of seasons."""

    def moved(self) -> Iterator[Change]:
        """The changes for what was moved."""
        for node in sorted(self._moved):
            yield from differences(self._old.node(node), self._new.node(node), *self._settings)

    def of(self, before: Node | None, now: Node | None) -> Iterator[Change]:
        """The changes of a node of the library that was there before."""
        node = now or before
        if not self._titles or node is None or node.kind not in _TITLES | _IN_TITLES:
            return
        for shelf, (were, are) in self._titles.items():
            was = _copy(shelf, before) if before is not None and self._title(before) in were else None
            copy = _copy(shelf, now) if now is not None and self._title(now) in are else None
            if (was or copy) and shelved(shelf, node.id) not in self._moved:
                yield from differences(was, copy, *self._settings)

    def arrived(self, node: Node) -> Iterator[Change]:
        """The changes that a new node makes in a directory that is not new."""
        if node.kind in _IN_TITLES:
            for shelf, (_, are) in self._titles.items():
                if self._title(node) in are:
                    yield from arrivals(_copy(shelf, node), self._settings[1])

    def _title(self, node: Node) -> int:
        """The title that a node is, or belongs to."""
        if node.kind in _TITLES:
            return node.id
        if node.kind != NodeKind.EPISODE:
            return node.parent
        if node.parent not in self._series:
            season = node_in(self._connection, node.parent) or self._before.node(node.parent)
            self._series[node.parent] = season.parent if season is not None else 0
        return self._series[node.parent]


def _copy(shelf: int, node: Node) -> Node:
    """A title, or what is in one, as it stands on a shelf."""
    return msgspec.structs.replace(node, id=shelved(shelf, node.id), parent=shelved(shelf, node.parent))
