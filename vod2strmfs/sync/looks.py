"""Earlier comparisons of the catalogue with the index: what is remembered of them, so that most looks cost nothing."""

import sqlite3
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from vod2strmfs.catalog.written import Seen, decode, encode
from vod2strmfs.index.file import SEEN

_PATIENCE = 20
"""While the counters stand still, comparing may take one part in so many of the time."""
_NOTED_WITHIN = 600 * 10**9
"""Nanoseconds after which a comparison that found nothing is noted in the index all the same."""


class Comparison(NamedTuple):
    """A comparison of the catalogue with the index: columns of the table `attempt`."""

    compared: int = 0
    """When, nanoseconds since the epoch."""
    took: int = 0
    """Nanoseconds."""
    quiet: str = ""
    """The source's marker then, with `written`."""
    written: str = ""
    position: str = ""
    """Where the database stood; see `Source.snapshot`."""

    def still_holds(self, quiet: str, written: str, *, patient: bool) -> bool:
        """Whether nothing says that the catalogue is another one since then; see `Source.marker`.

        Args:
            quiet: the source's marker now.
            written: its other part.
            patient: whether a costly comparison may be put off.
        """
        if quiet == self.quiet:
            return True
        # A clock that was set back must not make it wait.
        return patient and written == self.written and 0 <= time.time_ns() - self.compared < _PATIENCE * self.took


class Memory(NamedTuple):
    """What a comparison saw of the catalogue's tables. It may be older than the digests in the index, never newer."""

    noted: int
    """`attempt.compared` as it stood in the index then: with another, the digests are others as well."""
    whole: int
    """When all blocks were compared the last time, nanoseconds since the epoch."""
    seen: Seen


@dataclass
class Looks:
    """The last comparison, for whoever looks again and again: one that finds nothing is noted here and not on disk."""

    last: Comparison = field(default_factory=Comparison)
    memory: Memory | None = None


class Remembered:
    """Earlier comparisons, as the index and the caller remember them.

    Args:
        connection: to the index.
        looks: the caller's; None: it does not look again and again.
    """

    def __init__(self, connection: sqlite3.Connection, looks: Looks | None) -> None:
        self._connection = connection
        self._looks = looks

    def last(self) -> Comparison:
        """The last comparison."""
        query = f"SELECT {', '.join(Comparison._fields)} FROM attempt"
        noted = Comparison(*self._connection.execute(query).fetchone())
        # Of an index that was made anew, nothing is remembered.
        return max(self._looks.last, noted) if self._looks and noted.compared else noted

    def memory(self) -> Memory | None:
        """What the last comparison saw, or an earlier one since which the digests in the index are the same."""
        self._connection.execute(SEEN)
        noted = self._noted()
        if self._looks and self._looks.memory and self._looks.memory.noted == noted:
            return self._looks.memory
        row = self._connection.execute("SELECT whole, data FROM seen WHERE compared = ?", (noted,)).fetchone()
        seen = decode(row[1]) if row else None
        return Memory(noted, row[0], seen) if seen else None

    def note(self, comparison: Comparison, whole: int, seen: Seen | None, *, differs: bool) -> Memory | None:
        """Note a comparison, if need be on disk; returns what is to be remembered of what it saw.

        Args:
            comparison: the one that was made.
            whole: when all blocks were compared the last time, nanoseconds since the epoch.
            seen: what it saw of the catalogue's tables, if the catalogue tells.
            differs: whether it found anything.
        """
        is_noted = self._note(comparison, differs=differs)
        noted = comparison.compared if is_noted else self._noted()
        memory = Memory(noted, whole, seen) if seen else None
        if is_noted:
            self._connection.execute("DELETE FROM seen")
            if memory:
                row = (memory.noted, memory.whole, encode(memory.seen))
                self._connection.execute("INSERT INTO seen VALUES (?, ?, ?)", row)
        return memory

    def keep(self, comparison: Comparison, memory: Memory | None) -> None:
        """Have the caller remember a comparison, once what it found is written: else the next one has to find it."""
        if self._looks is not None:
            self._looks.last, self._looks.memory = comparison, memory

    def _note(self, comparison: Comparison, *, differs: bool) -> bool:
        """Note a comparison; returns whether on disk. Whatever is written has a mount look at its index, and a disk
        turn."""
        compared, failing_since = self._connection.execute("SELECT compared, failing_since FROM attempt").fetchone()
        is_due = differs or failing_since or not 0 <= comparison.compared - compared < _NOTED_WITHIN
        if is_due or self._looks is None:
            columns = ", ".join(f"{column} = ?" for column in Comparison._fields)
            self._connection.execute(f"UPDATE attempt SET {columns}, failing_since = 0, error = ''", comparison)
            return True
        return False

    def _noted(self) -> int:
        [compared] = self._connection.execute("SELECT compared FROM attempt").fetchone()
        return int(compared)
