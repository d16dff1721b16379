"""The last comparison of the catalogue with the index: what is kept of it, so that most of the next cost nothing."""

import sqlite3
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from vod2strmfs.catalog.written import Baseline, decode, encode
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


class DatedBaseline(NamedTuple):
    """A baseline with its times. It may be older than the digests in the index, never newer."""

    noted: int
    """`attempt.compared` as it stood in the index then: with another, the digests are others as well."""
    whole: int
    """When all blocks were compared the last time, nanoseconds since the epoch."""
    baseline: Baseline


@dataclass
class ComparisonCache:
    """The last comparison, for whoever syncs again and again: one that finds nothing is noted here and not on disk."""

    comparison: Comparison = field(default_factory=Comparison)
    baseline: DatedBaseline | None = None


class LastComparison:
    """The last comparison, as the index and the caller's cache have it.

    Args:
        connection: to the index.
        cache: the caller's; None: it does not sync again and again.
    """

    def __init__(self, connection: sqlite3.Connection, cache: ComparisonCache | None) -> None:
        self._connection = connection
        self._cache = cache

    def comparison(self) -> Comparison:
        """When the last comparison was, how long it took, and the markers then."""
        query = f"SELECT {', '.join(Comparison._fields)} FROM attempt"
        noted = Comparison(*self._connection.execute(query).fetchone())
        # Of an index that was made anew, nothing is known.
        return max(self._cache.comparison, noted) if self._cache and noted.compared else noted

    def baseline(self) -> DatedBaseline | None:
        """The tables as the last comparison saw them, or an earlier one since which the index has the same digests."""
        self._connection.execute(SEEN)
        noted = self._noted()
        if self._cache and self._cache.baseline and self._cache.baseline.noted == noted:
            return self._cache.baseline
        row = self._connection.execute("SELECT whole, data FROM seen WHERE compared = ?", (noted,)).fetchone()
        baseline = decode(row[1]) if row else None
        return DatedBaseline(noted, row[0], baseline) if baseline else None

    def note(
        self, comparison: Comparison, whole: int, baseline: Baseline | None, *, differs: bool
    ) -> DatedBaseline | None:
        """Note another comparison, if need be on disk; returns the baseline that is to be kept.

        Args:
            comparison: the one that was made.
            whole: when all blocks were compared the last time, nanoseconds since the epoch.
            baseline: the catalogue's tables as it saw them, if the catalogue tells.
            differs: whether it found anything.
        """
        is_noted = self._note(comparison, differs=differs)
        noted = comparison.compared if is_noted else self._noted()
        dated = DatedBaseline(noted, whole, baseline) if baseline else None
        if is_noted:
            self._connection.execute("DELETE FROM seen")
            if dated:
                row = (dated.noted, dated.whole, encode(dated.baseline))
                self._connection.execute("INSERT INTO seen VALUES (?, ?, ?)", row)
        return dated

    def keep(self, comparison: Comparison, baseline: DatedBaseline | None) -> None:
        """Keep a comparison in the caller's cache, once what it found is written: else the next one has to find it."""
        if self._cache is not None:
            self._cache.comparison, self._cache.baseline = comparison, baseline

    def _note(self, comparison: Comparison, *, differs: bool) -> bool:
        """Note a comparison; returns whether on disk. Whatever is written has a mount look at its index, and a disk
        turn."""
        compared, failing_since = self._connection.execute("SELECT compared, failing_since FROM attempt").fetchone()
        is_due = differs or failing_since or not 0 <= comparison.compared - compared < _NOTED_WITHIN
        if is_due or self._cache is None:
            columns = ", ".join(f"{column} = ?" for column in Comparison._fields)
            self._connection.execute(f"UPDATE attempt SET {columns}, failing_since = 0, error = ''", comparison)
            return True
        return False

    def _noted(self) -> int:
        [compared] = self._connection.execute("SELECT compared FROM attempt").fetchone()
        return int(compared)
