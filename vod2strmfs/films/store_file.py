"""The SQLite file of the store of films: its tables, and the connections by which any thread reads and changes it."""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vod2strmfs.errors import IndexFileError
from vod2strmfs.host.private import private
from vod2strmfs.host.room import is_full, spend_reserve, which_is_full
from vod2strmfs.host.set_aside import LOOKS_AT_DAMAGE, set_aside
from vod2strmfs.host.work_file import Log, changing, is_sound, open_work_file

_VERSION = 1
_SCHEMA = """
CREATE TABLE film (
    id INTEGER PRIMARY KEY,               -- never used again
    version INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL, account INTEGER NOT NULL, stream TEXT NOT NULL,
    name TEXT NOT NULL,                   -- for people: where it stands in the library
    seconds INTEGER NOT NULL,             -- how long it plays, 0: unknown
    added INTEGER NOT NULL,               -- when it came into the library: the newest come first
    wanted INTEGER NOT NULL DEFAULT 0,    -- whether anything in the library plays it
    stale INTEGER NOT NULL DEFAULT 1,     -- whether it is to be learnt, for the first time or anew
    asked REAL NOT NULL DEFAULT 0,        -- when by name. Times are seconds since the epoch, 0 is never
    size INTEGER NOT NULL DEFAULT 0,      -- 0: not learnt yet
    extension TEXT NOT NULL DEFAULT '',
    head INTEGER NOT NULL DEFAULT 0,      -- digests of its first and last bytes: the fingerprint
    tail INTEGER NOT NULL DEFAULT 0,
    learnt REAL NOT NULL DEFAULT 0,       -- when its version was learnt first
    touched REAL NOT NULL DEFAULT 0,      -- when what is kept of it was read last
    result TEXT NOT NULL DEFAULT '',      -- outcomes.Kind of the last attempt, '' for none yet
    why TEXT NOT NULL DEFAULT '',
    failures INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    UNIQUE (kind, account, stream)
);
CREATE INDEX film_due ON film (asked DESC, added DESC, id DESC, not_before, account) WHERE wanted = 1 AND stale = 1;
CREATE INDEX film_alike ON film (head, tail) WHERE size > 0;
CREATE TABLE former (                     -- versions that were shown before: who has them open goes on reading
    film INTEGER NOT NULL, version INTEGER NOT NULL,
    size INTEGER NOT NULL, extension TEXT NOT NULL, seconds INTEGER NOT NULL,
    until REAL NOT NULL, PRIMARY KEY (film, version)
) WITHOUT ROWID;
CREATE TABLE want (                       -- of the library's nodes: the film that each plays, and the one that it shows
    node INTEGER PRIMARY KEY, film INTEGER NOT NULL, shown INTEGER NOT NULL  -- shown: a film that was learnt, or 0
);
CREATE INDEX want_film ON want (film);
CREATE INDEX want_shown ON want (shown);
CREATE TABLE block (                      -- what is kept, in blocks of film.BLOCK bytes
    film INTEGER NOT NULL, version INTEGER NOT NULL, number INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    needed INTEGER NOT NULL,              -- whether scanners read it, as far as the container tells
    touched INTEGER NOT NULL DEFAULT 0,   -- when it was read last
    PRIMARY KEY (film, version, number)
) WITHOUT ROWID;
CREATE TABLE account (
    id INTEGER PRIMARY KEY, failures INTEGER NOT NULL, not_before REAL NOT NULL, why TEXT NOT NULL
);
CREATE TABLE taken (id INTEGER PRIMARY KEY, at REAL NOT NULL, account INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX taken_at ON taken (at);
CREATE TABLE info (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""
USED = "film.id IN (SELECT film FROM want UNION SELECT shown FROM want)"
"""A condition: the library plays a film, or shows it."""

_log = logging.getLogger("vod2strmfs")


class StoreFile:
    """The store's SQLite file, open: it is read and changed in any thread.

    Args:
        path: where it is, or is made; one that is damaged is set aside.
        lost: called, by whoever alone changes the file then, when what was noted in it last may be lost.

    Raises:
        IndexFileError: it cannot be used. All methods raise it, but for `is_in_place`, `is_whole` and `close`.
    """

    def __init__(self, path: Path, lost: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._lost = lost
        self._write_lock = threading.RLock()
        self._read_lock, self._count_lock = threading.Lock(), threading.Lock()
        """For the connections. Of those that read, one is for what takes tenths of a second of a hundred thousand
        films, since a connection does one thing at a time."""
        self._openings = 0
        """How often the file was opened."""
        self._is_mending = False
        try:
            self._beside: Log | None = self._open()
        except (sqlite3.Error, OSError) as error:
            raise unusable(path, error) from error

    def _open(self) -> Log:
        with suppress(FileExistsError):
            open(self.path, "x", opener=private).close()
        self._writing = self._first_connection()
        self._reading = open_work_file(self.path, _SCHEMA, _VERSION, set_aside)
        self._stat = self.path.stat()
        self._counting = open_work_file(self.path, _SCHEMA, _VERSION, set_aside)
        self._openings += 1
        return Log(self.path)

    def _first_connection(self) -> sqlite3.Connection:
        """The first connection to the file. SQLite needs some room beside it, which is kept for a full disk."""
        try:
            return open_work_file(self.path, _SCHEMA, _VERSION, set_aside)
        except sqlite3.Error as error:
            folder = self.path.parent
            if not (is_full(error) and spend_reserve(folder)):
                raise
            why = which_is_full(folder)
            _log.warning("What is known of films is read with the room that was kept for it: %s", why)
        return open_work_file(self.path, _SCHEMA, _VERSION, set_aside)

    def close(self) -> None:
        """Close all connections."""
        # What is only in a log that was deleted gets into the file, unless another process has that open, too.
        self._beside = None
        self._counting.close()
        self._reading.close()
        self._writing.close()

    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that is open."""
        try:
            return os.path.samestat(self.path.stat(), self._stat)
        except OSError:
            return False

    def is_whole(self) -> bool:
        """Whether the log beside the file is still the one that is in use."""
        beside = self._beside  # Another thread may be mending the file.
        return beside is not None and beside.is_whole()

    def mend(self) -> None:
        """Open the file anew, if somebody deleted the log beside it, or cut it short: a script that cleans up, say."""
        with self._write_lock:
            if self._is_mending or self.is_whole() or not self.is_in_place():
                return
            self._is_mending = True
            try:
                beside = self._open_again()
                self._lost()
                self._beside = beside  # Until then it counts as not whole, so that all of this is tried again.
            except (sqlite3.Error, OSError) as error:
                raise unusable(self.path, error) from error
            finally:
                self._is_mending = False
        _log.warning(
            "%s-wal or -shm was deleted or cut short while it was in use: what was noted last may be lost, such as"
            " which films failed, and nothing else is. See that nothing cleans up in that folder.", self.path,
        )  # fmt: skip

    def _open_again(self) -> Log:
        with self._count_lock, self._read_lock:
            self.close()
            beside = self._open()
            if not any(is_sound(self._counting) for _ in range(LOOKS_AT_DAMAGE)):
                self.close()
                set_aside(self.path)
                beside = self._open()
            return beside

    def rows(self, query: str, *values: object) -> list[Any]:
        """The rows of a query about one film, or a few."""
        with self._read_lock:
            return self._fetch(self._reading, query, values)

    def count(self, query: str, *values: object) -> list[Any]:
        """The rows of a query that looks at many films; nobody who reads one waits for it."""
        with self._count_lock:
            return self._fetch(self._counting, query, values)

    def state(self) -> tuple[int, int]:
        """The state of the file, as `rows` sees it: another one after each change."""
        with self._read_lock:
            [(number,)] = self._fetch(self._reading, "PRAGMA data_version", ())
            return self._openings, int(number)

    def noted(self, name: str) -> str:
        """What is noted under a name (`note`); empty if nothing is."""
        rows = self.rows("SELECT value FROM info WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, for which one may have to wait for other threads and processes."""
        with self._write_lock:
            # Beside a log that was cut short, what is written makes a ruin of the file.
            self.mend()
            try:
                with changing(self._writing) as connection:
                    yield connection
            except sqlite3.Error as error:
                raise unusable(self.path, error) from error

    def _fetch(self, connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[Any]:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error


def note(connection: sqlite3.Connection, **values: object) -> None:
    """Note values under names, in a transaction of the store's file."""
    rows = [(name, str(value)) for name, value in values.items()]
    connection.executemany("INSERT OR REPLACE INTO info VALUES (?, ?)", rows)


def note_shown(connection: sqlite3.Connection) -> None:
    """Note, in a transaction of the store's file, that it may be otherwise from now on which films are shown."""
    connection.execute(
        "INSERT INTO info VALUES ('shown', '1') ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
    )


def note_blocks(
    connection: sqlite3.Connection,
    film: int,
    version: int,
    blocks: Mapping[int, int],
    *,
    needed: bool,
    touched: int = 0,
) -> None:
    """Note blocks of a film that are on the disk already, in a transaction of the store's file.

    Args:
        connection: of the transaction.
        film: the film's id.
        version: its version.
        blocks: digests by number.
        needed: whether scanners read them.
        touched: when they were read last; 0: never.
    """
    connection.executemany(
        "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?)",
        [(film, version, number, digest, needed, touched) for number, digest in blocks.items()],
    )


def unusable(path: Path, error: Exception) -> IndexFileError:
    """An error that says why the store cannot be used."""
    why = which_is_full(path.parent) if is_full(error) else f"({error})."
    return IndexFileError(f"{path}: what is known of films cannot be used: {why}")
