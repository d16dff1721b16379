"""The shrink brake: a catalogue that suddenly lacks much of what it held is not believed at once.

A media server deletes what it no longer finds, with its watch state. So removals beyond a limit are held
back: the items stay in the tree until they are back in the catalogue, or an operator accepts their loss.
The removals of a day count together; see docs/decisions/0007-the-brake-counts-a-day.md.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Set
from dataclasses import dataclass

MIN_ITEMS = 20
"""So few removals are not held back, unless nothing would be left."""
WINDOW = 24 * 3600 * 10**9
"""Nanoseconds; the removals within it count together."""
_SPACING = 60 * 10**9
"""Nanoseconds between two marks between which nothing was added."""


def holds(gone: int, total: int, max_shrink: int) -> bool:
    """Whether removals are to be held back.

    Args:
        gone: how many items would be removed, those held back before included.
        total: how many there are, the gone ones included.
        max_shrink: the percentage that may be removed.
    """
    if gone == total:
        return gone > 0
    return _too_many(gone, total, max_shrink)


def _too_many(gone: int, total: int, max_shrink: int) -> bool:
    return gone > MIN_ITEMS and gone * 100 > max_shrink * total


@dataclass
class Brake:
    """What one sync may remove, in view of what the syncs within the window before it have removed.

    Args:
        connection: to the index, in a write transaction.
        now: the sync's time, nanoseconds since the epoch.
        next_node: the first node that this sync adds, or would.
        max_shrink: the percentage of what was there at any time within the window that may be removed since.
    """

    connection: sqlite3.Connection
    now: int
    next_node: int
    max_shrink: int

    def holds(self, kind: int, gone: Set[int], added: int) -> bool:
        """Whether the removal of items is to be held back.

        Args:
            kind: a NodeKind.
            gone: the nodes of all items of that kind that are no longer in the catalogue, which are still there.
            added: how many this sync has added.
        """
        [total] = self.connection.execute("SELECT count(*) FROM content WHERE kind = ?", (kind,)).fetchone()
        before = total - added
        self.connection.execute("DELETE FROM mark WHERE at <= ?", (self.now - WINDOW,))
        if gone or added:
            self._mark(kind, before)
        if holds(len(gone), total, self.max_shrink) or _too_many(len(gone), before, self.max_shrink):
            return True
        nodes = sorted(gone)
        marks = self.connection.execute("SELECT next_node, total, lost FROM mark WHERE kind = ?", (kind,))
        return any(
            _too_many(lost + bisect_left(nodes, next_node), there, self.max_shrink) for next_node, there, lost in marks
        )

    def note(self, kind: int, removed: Set[int]) -> None:
        """Take account of what was not held back."""
        if not removed:
            return
        nodes = sorted(removed)
        marks = self.connection.execute("SELECT next_node, at FROM mark WHERE kind = ?", (kind,)).fetchall()
        self.connection.executemany(
            "UPDATE mark SET lost = lost + ? WHERE kind = ? AND at = ?",
            [(bisect_left(nodes, next_node), kind, at) for next_node, at in marks],
        )

    def release(self) -> None:
        """Start anew: the operator has accepted all that is gone."""
        self.connection.execute("DELETE FROM mark")

    def _mark(self, kind: int, total: int) -> None:
        """Remember what was there before this sync."""
        newest = self.connection.execute(
            "SELECT at, next_node FROM mark WHERE kind = ? ORDER BY at DESC LIMIT 1", (kind,)
        ).fetchone()
        # While nothing is added, the older of two marks is the stricter one.
        if newest and newest[1] == self.next_node and 0 <= self.now - newest[0] < _SPACING:
            return
        if total:
            mark = (kind, self.now, self.next_node, total)
            self.connection.execute("INSERT OR IGNORE INTO mark VALUES (?, ?, ?, ?, 0)", mark)


def emptied_series(connection: sqlite3.Connection, gone: Set[int], lost_series: Set[int]) -> set[int]:
    """The episodes among those gone whose series is still there, and would have none left.

    Dispatcharr re-creates a series without its episodes, which come back when somebody opens it.

    Args:
        connection: to the index.
        gone: nodes of episodes.
        lost_series: nodes of series that are no longer in the catalogue either.
    """
    series_of: dict[int, list[int]] = {}
    for node in gone:
        [series] = connection.execute(
            "SELECT season.parent FROM node JOIN node AS season ON season.id = node.parent WHERE node.id = ?", (node,)
        ).fetchone()
        series_of.setdefault(series, []).append(node)
    emptied: set[int] = set()
    for series in series_of.keys() - lost_series:
        [episodes] = connection.execute(
            "SELECT count(*) FROM node JOIN node AS season ON season.id = node.parent WHERE season.parent = ?",
            (series,),
        ).fetchone()
        if episodes == len(series_of[series]):
            emptied.update(series_of[series])
    return emptied
