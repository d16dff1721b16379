"""The shrink brake: a catalogue that suddenly lacks much of what it held is not believed at once.

A media server deletes what it no longer finds, with its watch state. So removals beyond a limit are held
back: the items stay in the tree until they are back in the catalogue, or an operator accepts their loss.
The removals of a day count together; see docs/decisions/0007-the-brake-counts-a-day.md. To a media server
another name is a removal too, so there is a limit of its own for renames; see
docs/decisions/0012-a-brake-for-renames.md.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from vod2strmfs.library.kinds import WAITING_NODE
from vod2strmfs.shrink import MIN_ITEMS, holds, too_many
from vod2strmfs.sync.identity import replaced

WINDOW = 24 * 3600 * 10**9
"""Nanoseconds; the removals within it count together."""
_SPACING = 60 * 10**9
"""Nanoseconds between two marks between which nothing was added."""
_JUMP = 100 * WINDOW
"""So long without any sync is a clock that was wrong."""


_TOTAL = """
    SELECT (SELECT count(*) FROM content WHERE kind = ?1)
        - (SELECT count(*) FROM joined JOIN content ON content.id = joined.node WHERE kind = ?1 AND node != host)"""
"""How many items of a kind there are to be seen: those that wait for others of their title are not."""


class Place(NamedTuple):
    """Where an item stands."""

    parent: int
    """The node of its directory."""
    name: str
    """Before a collision changed it."""


class Move(NamedTuple):
    """An item that is called otherwise in the catalogue than in the index, or belongs elsewhere."""

    node: int
    before: Place
    after: Place


@dataclass
class Brake:
    """What one sync may remove and rename, in view of what the syncs within the window before it have done.

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

    def __post_init__(self) -> None:
        """Forget what is older than the window. What was noted while the clock was wrong counts as of now: it neither
        stays for ever nor goes at once."""
        self._set_times_right()
        for table in ("mark", "renamed"):
            self.connection.execute(f"DELETE FROM {table} WHERE at <= ?", (self.now - WINDOW,))

    def _set_times_right(self) -> None:
        wrong = "at > ? OR at < ?", (self.now, self.now - _JUMP)
        marks = self.connection.execute(f"SELECT kind, at FROM mark WHERE {wrong[0]} ORDER BY at DESC", wrong[1])
        for kind, at in marks.fetchall():
            [free] = self.connection.execute(
                "SELECT min(at) - 1 FROM (SELECT at FROM mark WHERE kind = ? AND at BETWEEN ? AND ? UNION SELECT ?)",
                (kind, self.now - _SPACING, self.now, self.now + 1),
            ).fetchone()
            self.connection.execute("UPDATE mark SET at = ? WHERE kind = ? AND at = ?", (free, kind, at))
        self.connection.execute(f"UPDATE renamed SET at = ? WHERE {wrong[0]}", (self.now, *wrong[1]))

    def holds(self, kind: int, gone: Set[int], added: int) -> bool:
        """Whether the removal of items is to be held back.

        Args:
            kind: a NodeKind.
            gone: the nodes of all items of that kind that are no longer in the catalogue, which are still there.
            added: how many this sync has added.
        """
        [total] = self.connection.execute(_TOTAL, (kind,)).fetchone()
        before = total - added
        if gone or added:
            self._mark(kind, before)
        if holds(len(gone), total, self.max_shrink) or too_many(len(gone), before, self.max_shrink):
            return True
        nodes = sorted(gone)
        marks = self.connection.execute("SELECT next_node, total, lost FROM mark WHERE kind = ?", (kind,))
        if any(
            too_many(lost + bisect_left(nodes, next_node), there, self.max_shrink) for next_node, there, lost in marks
        ):
            return True
        return is_replaced(self.connection, kind, gone, total, self.max_shrink)

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

    def holds_renames(self, kind: int, moves: Sequence[Move]) -> set[int]:
        """The nodes that must keep their names for now; takes account of the others.

        Args:
            kind: a NodeKind.
            moves: everything of that kind that would get another name or place, what was held before included.
        """
        if not moves:
            return set()
        within = self.connection.execute("SELECT node, parent, name FROM renamed WHERE kind = ?", (kind,)).fetchall()
        names = {node: Place(parent, name) for node, parent, name in within}
        # Who gets the name of a day ago back has not been renamed at all.
        back = {move.node for move in moves if names.get(move.node) == move.after}
        away = {move.node: move for move in moves if move.node not in back}
        self.connection.executemany("DELETE FROM renamed WHERE node = ?", [(node,) for node in back])
        renamed = len((names.keys() - back) | away.keys())
        if renamed > MIN_ITEMS and too_many(renamed, self._to_be_seen(kind), self.max_shrink):
            return set(away)
        rows = [(move.node, kind, self.now, *move.before) for move in away.values()]
        self.connection.executemany("INSERT OR IGNORE INTO renamed VALUES (?, ?, ?, ?, ?)", rows)
        return set()

    def _to_be_seen(self, kind: int) -> int:
        """How many items of a kind there were to be seen before this sync."""
        [total] = self.connection.execute(
            "SELECT count(*) FROM content JOIN node USING (id) WHERE content.kind = ? AND id < ? AND parent != ?",
            (kind, self.next_node, WAITING_NODE),
        ).fetchone()
        return int(total)

    def forget_names(self) -> None:
        """Start anew with names: other settings give other ones."""
        self.connection.execute("DELETE FROM renamed")

    def release(self) -> None:
        """Start anew: the operator has accepted all that is gone, and all names."""
        self.connection.execute("DELETE FROM mark")
        self.forget_names()

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


HELD_GONE = 1
HELD_NAME = 2
"""Values of `node.held`: the item is gone from the catalogue; it has another name there."""


_SMALL = 1000
"""Of a library with more items than that, so few cannot have been most."""


def is_replaced(connection: sqlite3.Connection, kind: int, gone: Set[int], total: int, max_shrink: int) -> bool:
    """Whether other titles have the stream ids of most of what there was: then this is another catalogue, and nothing
    that happens every day, however few they are.

    Args:
        connection: to the index.
        kind: a NodeKind.
        gone: the nodes of all items of that kind that are no longer in the catalogue, which are still there.
        total: how many items of that kind there are, the gone ones included.
        max_shrink: the percentage that may be removed.
    """
    if not gone or len(gone) > MIN_ITEMS or total > _SMALL:
        return False
    all_nodes = {node for (node,) in connection.execute("SELECT id FROM content WHERE kind = ?", (kind,))}
    by_whom = replaced(connection, gone, all_nodes - gone)
    if not by_whom:
        return False
    # What came with them, or later, makes no room for them to go.
    first = min(by_whom.values())
    there = sum(node < first or node in gone for node in all_nodes)
    return bool(len(by_whom) * 100 > max(50, max_shrink) * there)


def other_versions(connection: sqlite3.Connection, gone: Set[int]) -> set[int]:
    """The episodes among those gone that are still there under another node: files of theirs for other relations, which
    the user no longer wants.

    Args:
        connection: to the index.
        gone: nodes of episodes.
    """
    query = """SELECT other.id FROM content AS own JOIN node USING (id) JOIN node AS other ON other.parent = node.parent
        JOIN content ON content.id = other.id AND content.uuid = own.uuid WHERE own.id = ?"""
    return {
        node for node in gone if any(other not in gone for (other,) in connection.execute(query, (node,)).fetchall())
    }


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
