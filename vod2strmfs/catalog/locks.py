"""The locks of a snapshot's tables: taken all at once or not at all, so that nobody's migration is in our way or we in
its.

PostgreSQL gives locks for the asking and keeps them to the end of the transaction. A migration that holds one table
and waits for another that we hold is ended as a deadlock's victim if we come to wait for the first. So a snapshot
takes every lock before it reads, with less patience than the server has before it looks for deadlocks, and lets go of
all of them when one cannot be had. From then on it waits for nobody.
"""

import time
from collections.abc import Collection

import psycopg

from vod2strmfs.errors import CatalogError

_PATIENCE = 30.0
"""Seconds after which tables that stay locked are an error."""
_PAUSE = 0.5
"""Seconds between two attempts."""

# Half of the time after which the server looks for deadlocks, which is a second if nobody changed it.
_WAIT_BRIEFLY = """
    SELECT set_config('statement_timeout', least(500, greatest(setting::int / 2, 1))::text, true)
    FROM pg_settings WHERE name = 'deadlock_timeout'"""
_WAIT_LONG = "SELECT set_config('statement_timeout', '0', true)"

# The snapshot is older than the locks. Of a table that was written anew in between (ALTER TABLE, TRUNCATE), or
# replaced (a restored backup), it would show nothing at all. These functions see what is there now; the rest of the
# query sees what the snapshot shows.
_REPLACED = """
    SELECT name FROM unnest(%s::text[]) name LEFT JOIN pg_class c ON c.oid = to_regclass(name)
    WHERE c.oid IS NULL OR (c.relkind IN ('r', 'm') AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid))"""

_LOCKED = """
    SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND c.relname = ANY(%s) ORDER BY 1 LIMIT 1"""


class Patience:
    """How long to go on trying to get the locks of one snapshot.

    Args:
        name: the database, as the user knows it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()

    def wait(self, connection: psycopg.Connection[tuple[object, ...]], tables: Collection[str]) -> None:
        """Wait for the next attempt, outside of any transaction.

        Raises:
            CatalogError: there were enough.
        """
        connection.rollback()
        waited = time.monotonic() - self._began
        if waited > _PATIENCE:
            locked = connection.execute(_LOCKED, [list(tables)]).fetchone()
            raise CatalogError(
                f"database {self._name}: table {locked[0] if locked else min(tables)} has been locked for"
                f" {waited:.0f} seconds.\nDispatcharr may be changing its tables: try again when that is done."
            )
        time.sleep(_PAUSE)


def hold(connection: psycopg.Connection[tuple[object, ...]], tables: Collection[str]) -> bool:
    """Take the locks of all tables and of their indexes, to the end of the transaction.

    Args:
        connection: in a transaction whose snapshot is taken.
        tables: those that exist.

    Returns:
        Whether it has them. If not, the transaction is of no use any more.
    """
    connection.execute(_WAIT_BRIEFLY)
    # Planned, they lock the indexes too. LOCK TABLE would take a right to the whole table, which our role has not.
    selects = (f"(SELECT 1 FROM {table} LIMIT 0)" for table in sorted(tables))
    try:
        connection.execute(" UNION ALL ".join(selects).encode())
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        return False
    connection.execute(_WAIT_LONG)
    return not connection.execute(_REPLACED, [list(tables)]).fetchall()
