"""By what the rows of the catalogue are known to be of one title, while the next generation is made."""

import sqlite3

from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.sync.same_title import TitleRow
from vod2strmfs.sync.traits import Observer

_INSERT = "INSERT OR REPLACE INTO title VALUES (?, ?, ?, ?, ?, ?)"


class TitleTable:
    """The table `title`: by what the row of each node is known, where rows of one title are joined.

    Args:
        connection: to the index, in a write transaction.
        observer: says what there is to say of items.
        are_new: whether all nodes are new, or all may differ, so that nobody asks what is otherwise than before.
    """

    def __init__(self, connection: sqlite3.Connection, observer: Observer, *, are_new: bool) -> None:
        self.touched: set[TitleRow] = set()
        """What is or was known of titles' rows that are otherwise than before; empty where that is of no use."""
        self.regroup: set[int] = set()
        """Nodes of series rows of which an episode was added, changed or removed, as far as they are joined with
        others."""
        self.are_known = False
        """Whether rows are joined, or were before."""
        self._connection = connection
        self._observer = observer
        self._are_new = are_new
        self._added: list[tuple[object, ...]] = []
        """Rows of the table that are not written yet."""

    def add(self, node: int, incoming: Incoming) -> None:
        """Note by what a new node's row is known. It is written by `flush`."""
        row = self._row(node, incoming)
        if row is not None:
            self._added.append(row)

    def flush(self) -> None:
        """Write what was added."""
        self._connection.executemany(_INSERT, self._added)
        self._added.clear()

    def update(self, node: int, incoming: Incoming) -> None:
        """Note by what a node's row is known now. What was measured once counts until it is measured anew: a refresh
        that loses a title's details must not have another version played."""
        if incoming.kind == NodeKind.EPISODE and not incoming.own:
            found = self._connection.execute("SELECT name FROM title WHERE node = ?", (node,)).fetchone()
            self.regroup.update(found or ())
            return
        before = self.forget(node)
        row = self._row(node, incoming)
        if row is not None:
            *columns, measured = row
            self._connection.execute(_INSERT, (*columns, measured or before))

    def forget(self, node: int) -> int:
        """Forget by what a node's row is known; returns the lines of its picture."""
        query = "DELETE FROM title WHERE node = ? RETURNING node, name, tmdb, imdb, height, kind"
        found = self._connection.execute(query, (node,)).fetchone()
        if found is None:
            return 0
        if found[5] == NodeKind.EPISODE:
            self.regroup.add(found[1])
        elif not self._are_new:
            self.touched.add(TitleRow(*found[:4]))
        return int(found[4])

    def judge_anew(self, node: int) -> None:
        """Have it judged anew with which others the row of a movie or series is joined."""
        query = "SELECT node, name, tmdb, imdb FROM title WHERE node = ? AND kind != ?"
        if found := self._connection.execute(query, (node, NodeKind.EPISODE)).fetchone():
            self.touched.add(TitleRow(*found))

    def own_of(self, episode: int) -> int:
        """The node of the series row that an episode's row is of; 0 if that is not known."""
        found = self._connection.execute("SELECT name FROM title WHERE node = ?", (episode,)).fetchone()
        return found[0] if found else 0

    def remove(self, node: int, kind: NodeKind) -> None:
        """Forget all of the row of a node that is removed."""
        if kind == NodeKind.SERIES:
            self._leave_episodes(node)
        self.forget(node)
        self._connection.execute("DELETE FROM joined WHERE node = ?", (node,))

    def _leave_episodes(self, series: int) -> None:
        """Have the episodes of a series' row be those of the row that stands for its title, if that is another one."""
        found = self._connection.execute("SELECT host FROM joined WHERE node = ?", (series,)).fetchone()
        if not found or found[0] == series:
            return
        condition = f"kind = {NodeKind.EPISODE:d} AND name = ? AND name != 0"
        self._connection.execute(f"UPDATE title SET name = ? WHERE {condition}", (found[0], series))
        self.regroup.add(found[0])

    def _row(self, node: int, incoming: Incoming) -> tuple[object, ...] | None:
        """A row of the table, which has the lines of the picture as its last column; None for other kinds of item. That
        it is otherwise than before is noted."""
        kind, keys = incoming.kind, incoming.keys
        if incoming.own and kind == NodeKind.EPISODE:
            # Among the episodes of joined series, the number tells: see `joining_episodes`.
            self.regroup.add(incoming.own)
            return (node, kind, incoming.own, "", "", self._observer.of(incoming).lines)
        if kind in (NodeKind.MOVIE, NodeKind.SERIES):
            _, name, measured, _ = self._observer.of(incoming)
            if not self._are_new:
                self.touched.add(TitleRow(node, name, keys.tmdb, keys.imdb))
            return (node, kind, name, keys.tmdb, keys.imdb, measured)
        return None
