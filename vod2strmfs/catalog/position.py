"""Which of two PostgreSQL servers shows the older data."""

from typing import NamedTuple

import psycopg

_QUERY = """
    SELECT (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery(),
        CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END
            - pg_lsn '0/0',
        current_setting('wal_block_size')::int"""

_PAGE_HEADERS = (24, 40)
"""Bytes, of a page of the write-ahead log and of the first in its file."""


class Position(NamedTuple):
    """Where in a cluster's history a server stands."""

    cluster: str
    standby: bool
    timeline: int
    """A standby cannot tell: the highest that is known, or 0."""
    location: int
    """In the write-ahead log."""

    @classmethod
    def of(cls, connection: psycopg.Connection[tuple[object, ...]]) -> "Position":
        """Where a session's server stands. All that a snapshot of before shows is at or before this."""
        [[cluster, standby, timeline, after, page]] = connection.execute(_QUERY).fetchall()
        location = int(str(after))
        # A primary counts the header of a page before anything is on it; its standbys do not.
        if (header := location % int(str(page))) in _PAGE_HEADERS:
            location -= header
        return cls(str(cluster), bool(standby), int(str(timeline or "0"), 16), location)

    def __str__(self) -> str:
        return f"{self.cluster} {self.standby:d} {self.timeline} {self.location}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The opposite of `str`."""
        cluster, *numbers = text.split()
        standby, timeline, location = map(int, numbers)
        return cls(cluster, bool(standby), timeline, location)

    def following(self, known: "Position | None") -> "Position":
        """This position, with the timeline that was known before if it is a standby's."""
        if known is None or not self.standby or self.cluster != known.cluster:
            return self
        return self._replace(timeline=known.timeline)

    def is_older(self, than: "Position") -> bool:
        """Whether what can be read here is certain to be older than it was there.

        A primary that went back in its log was restored so, and is right; a primary of an earlier timeline is one
        whose standby has been promoted.
        """
        if self.cluster != than.cluster:
            return False
        if self.standby:
            return self.location < than.location
        return self.timeline < than.timeline
