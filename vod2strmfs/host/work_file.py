"""SQLite files of work that goes on, such as queues: what is lost with one is done again."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import sqlite3

_Read = TypeVar("_Read")

_REASONS = 20
"""So many are told apart."""
_CLOCK_SECONDS = 60.0
"""By which the clock goes back until that is minded."""
_CLOCK_NOTED_SECONDS = 600.0
"""By which it goes on until that is noted: a mount that has nothing to do wakes no disk oftener."""


def open_work_file(path: Path, schema: str, version: int, discard: Callable[[Path], object]) -> "sqlite3.Connection":
    """A connection to a file, whose tables are made anew if they are of another version.

    Args:
        path: an existing file, which may be empty.
        schema: statements that make the tables, separated by semicolons.
        version: of the tables.
        discard: takes a damaged file away.

    Raises:
        sqlite3.Error: it cannot be used.
    """
    import sqlite3

    try:
        return _connect(path, schema, version)
    except sqlite3.DatabaseError as error:
        if not means_damage(error):
            raise
    discard(path)
    return _connect(path, schema, version)


def _connect(path: Path, schema: str, version: int) -> "sqlite3.Connection":
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        [found] = connection.execute("PRAGMA user_version").fetchone()
        if found != version:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                connection.execute(f"DROP TABLE {table}")
            for statement in schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


class Log:
    """The write-ahead log beside a work file that is open, and its index: whoever deletes them, or cuts the log short,
    takes away what is in them alone, and other processes that open the file then know nothing of this one.

    Args:
        path: the file's.

    Raises:
        OSError: they are not there.
    """

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
        self._seen = [each.stat() for each in self._paths]

    def is_whole(self) -> bool:
        """Whether both are still those that were there, and the log has become no shorter. Any thread may ask."""
        before = self._seen  # Of a log that grows, another thread may note a later size than is seen here.
        try:
            now = [each.stat() for each in self._paths]
        except OSError:
            return False
        if not all(map(os.path.samestat, before, now)) or now[0].st_size < before[0].st_size:
            return False
        self._seen = now
        return True


def is_sound(connection: "sqlite3.Connection") -> bool:
    """Whether a file is no ruin, as far as can be told without comparing all that is in it.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    import sqlite3

    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if not means_damage(error):
            raise
        return False


def copy_database(path: Path, target: Path) -> None:
    """Copy a SQLite file, as of one moment, whoever writes it meanwhile; nothing where it is missing or damaged, and so
    would be made anew.

    Args:
        path: the file's.
        target: does not exist.

    Raises:
        sqlite3.Error: it cannot be read, or there is no room for a copy.
    """
    import sqlite3

    if not path.exists():
        return
    read_only = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(read_only, uri=True, timeout=60)) as source,
            closing(sqlite3.connect(target)) as copied,
        ):
            source.backup(copied)
    except sqlite3.DatabaseError as error:
        if not means_damage(error):
            raise
        target.unlink(missing_ok=True)


def means_damage(error: "sqlite3.Error") -> bool:
    """Whether an error says that all or a part of a file is no database."""
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def changing(connection: "sqlite3.Connection") -> "Iterator[sqlite3.Connection]":
    """A transaction that sees what others have done, and beside which nobody else changes anything.

    Raises:
        sqlite3.Error: it cannot begin, or end.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A COMMIT for which a disk has no room leaves the transaction open, or ends it.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_of_now(noted: float) -> bool:
    """Whether a time of the clock that was noted (`follow_clock`) is near enough to what it shows now."""
    return -_CLOCK_NOTED_SECONDS < noted - time.time() < _CLOCK_SECONDS


def follow_clock(connection: "sqlite3.Connection", set_back: Iterable[str]) -> None:
    """Note what time it is, in a transaction, in a table `info` of names and values; if the clock was set back since
    that was noted, have nothing wait for the time before.

    Args:
        connection: of the transaction.
        set_back: statements that move times that are later than `:now` by the `:behind` seconds of the clock.
    """
    noted = connection.execute("SELECT value FROM info WHERE name = 'clock'").fetchone()
    now, behind = int(time.time()), float(noted[0] if noted else 0) - time.time()
    if behind >= _CLOCK_SECONDS:
        for statement in set_back:
            connection.execute(statement, {"now": now, "behind": behind})
    connection.execute("INSERT OR REPLACE INTO info VALUES ('clock', ?)", (str(now),))


def read_work_file(path: Path, read: "Callable[[sqlite3.Connection, float], _Read]", patience: float) -> _Read | None:
    """What is read from a file that another process works with; None where there is none, or it cannot be read now.

    Args:
        path: the file's.
        read: reads with a connection; is given the time, seconds since the epoch.
        patience: seconds to wait for whoever writes.
    """
    if not os.path.exists(path):  # Nor if we may not look.
        return None
    import sqlite3  # Who has no such file need not load it to ask how a mount is.

    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=patience)) as connection:
            return read(connection, time.time())
    except (sqlite3.Error, ValueError):
        return None


def most_frequent(reasons: "Iterable[tuple[str, int]]", others: str) -> dict[str, int]:
    """How often each reason was met, of the most frequent ones, and of the rest together.

    Args:
        reasons: the most frequent first.
        others: what the rest is called.
    """
    rows = list(reasons)
    found = dict(rows[:_REASONS])
    if rest := sum(number for _, number in rows[_REASONS:]):
        found[others] = rest
    return found
