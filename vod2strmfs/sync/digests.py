"""Digests of blocks of the catalogue's rows, by which it is known which rows have to be read."""

import logging
import sqlite3
from collections.abc import Set

from vod2strmfs.catalog.queries import BLOCK_BITS, Kind
from vod2strmfs.catalog.source import Snapshot
from vod2strmfs.catalog.written import Baseline
from vod2strmfs.sync.brake import HELD_NAME
from vod2strmfs.sync.compare import NODE_KINDS
from vod2strmfs.sync.last_comparison import DatedBaseline

_DAY = 86_400 * 10**9
"""Nanoseconds after which all blocks are compared, and not only those that were written: when there are few of these,
as a rule, and when there are many, after a week."""

_log = logging.getLogger("vod2strmfs")


class Digests:
    """The digests of blocks of rows, in the catalogue and as the index has them.

    Args:
        connection: to the index.
        snapshot: of the catalogue.
    """

    def __init__(self, connection: sqlite3.Connection, snapshot: Snapshot) -> None:
        self.differ = False
        """Whether the index has other digests than before."""
        self.are_whole = True
        """Whether all blocks are compared, and not only those that were written."""
        self.baseline: Baseline | None = None
        """The catalogue's tables as they are compared now, if the catalogue tells."""
        self._connection = connection
        self._snapshot = snapshot
        self._written: dict[Kind, set[int]] | None = None
        """The blocks that were written since the last comparison, if that is known."""

    def find_written(self, last: DatedBaseline | None, now: int, *, all_at_once: bool) -> None:
        """Find out which blocks were written, if the catalogue tells.

        Args:
            last: of the last comparison.
            now: nanoseconds since the epoch.
            all_at_once: whether all are compared in any case.
        """
        written = self._snapshot.written_since(last.baseline if last else None)
        if written is None:
            return
        self.baseline, self._written = written.baseline, written.blocks
        if written.blocks is None or last is None or all_at_once:
            return
        # A clock that was set back must not make it wait.
        self.are_whole = not 0 <= now - last.whole < (_DAY if written.few else 7 * _DAY)

    def now(self, kind: Kind) -> dict[int, str] | None:
        """The digests of the catalogue's blocks; None if it gives none, and all rows are to be read."""
        if self._written is None:
            return self._snapshot.digests(kind)
        known = self.noted(kind)
        written = self._written[kind] | {block for block, digest in known.items() if not digest}
        if not self.are_whole:
            unwritten = {block: digest for block, digest in known.items() if block not in written}
            return unwritten | (self._snapshot.digests(kind, written) or {})
        digests = self._snapshot.digests(kind) or {}
        if missed := {block for block, _ in known.items() ^ digests.items()} - written:
            _log.warning(
                "%d blocks of the catalogue (%s) had changed without a transaction that had written them: please report"
                " this. They are up to date now.", len(missed), kind,
            )  # fmt: skip
        return digests

    def differing(self, kind: Kind, digests: dict[int, str]) -> Set[int]:
        """The blocks whose digests in the catalogue are others than those in the index."""
        return {block for block, _ in self.noted(kind).items() ^ digests.items()}

    def noted(self, kind: Kind) -> dict[int, str]:
        """The digests of blocks as the index has them."""
        return dict(self._connection.execute("SELECT block, digest FROM block WHERE kind = ?", (kind,)))

    def note(self, kind: Kind, digests: dict[int, str] | None) -> None:
        """Note the catalogue's digests in the index, once their rows have been taken into the draft."""
        if (digests or {}) == self.noted(kind):
            return
        self.differ = True
        self._connection.execute("DELETE FROM block WHERE kind = ?", (kind,))
        rows = [(kind, block, digest) for block, digest in (digests or {}).items()]
        self._connection.executemany("INSERT INTO block VALUES (?, ?, ?)", rows)

    def look_again(self, kind: Kind) -> None:
        """Have what is not as the catalogue has it looked at again each time."""
        self._connection.execute(
            f"UPDATE block SET digest = '' WHERE kind = ? AND block IN (SELECT source >> {BLOCK_BITS}"
            f" FROM node JOIN content USING (id) WHERE node.kind = ? AND held = {HELD_NAME})",
            (kind, NODE_KINDS[kind]),
        )
