"""The outbox: what each server is still to be told, in a SQLite file of the state directory.

A change goes in, in the transaction that notes the generation it comes from; it goes out when the server has taken it.
In between any process may be killed and the power may fail: what is in it is told again, since nobody can know whether
a request that was cut off arrived.
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

from vod2strmfs.errors import IndexFileError
from vod2strmfs.host.private import private
from vod2strmfs.notify.account import Account
from vod2strmfs.notify.change import Change, coalesced, merged

FILE_NAME = "notify.db"
LOCK_NAME = "notify.lock"

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE waiting (                 -- what a server is to be told
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    server TEXT NOT NULL, root TEXT NOT NULL, path TEXT NOT NULL, what INTEGER NOT NULL, lost INTEGER NOT NULL,
    since REAL NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,   -- 1: a request that says it has begun
    UNIQUE (server, root, path)
);
CREATE TABLE staged (                  -- what a run of materialize has done, and not ended with
    root TEXT NOT NULL, path TEXT NOT NULL, what INTEGER NOT NULL, lost INTEGER NOT NULL,
    PRIMARY KEY (root, path)
);
CREATE TABLE source (                  -- up to which generation of which index a mount's changes are in here
    root TEXT PRIMARY KEY, inode INTEGER NOT NULL, generation INTEGER NOT NULL
);
CREATE TABLE server (
    name TEXT PRIMARY KEY,
    told INTEGER NOT NULL DEFAULT 0, told_at REAL NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0, failing_since REAL NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT ''
);
PRAGMA user_version = {_VERSION};
"""
_AT_PEACE = "failures = 0, failing_since = 0, next_try = 0, error = ''"

_log = logging.getLogger("vod2strmfs")


class Waiting(NamedTuple):
    """A change that a server is to be told."""

    number: int
    root: str
    """The mount point, or the output root."""
    change: Change
    is_sent: bool
    """Whether an attempt to tell it was cut off."""
    since: float
    """When it came, or came again: seconds since the epoch."""


class Outbox:
    """The outbox of a state directory. Use it as a context manager, in one thread.

    Args:
        state_dir: made if need be.
        locks: the directory of the file with the locks of servers; None: that one.

    Raises:
        IndexFileError: it cannot be read or written. So do all methods.
    """

    def __init__(self, state_dir: Path, locks: Path | None = None) -> None:
        self._path = state_dir / FILE_NAME
        self._lock_path = (locks or state_dir) / LOCK_NAME

    def __enter__(self) -> Self:
        with self._working():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            open(self._path, "ab", opener=private).close()
            self._locks = open(self._lock_path, "ab", opener=private)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    raise
                self._replace()
                self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._locks.close()

    def lock(self, server: str) -> bool:
        """Whether this process alone tells a server from now on. However it ends, the lock ends with it."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, crc32(server.encode()))
        except BlockingIOError:
            return False
        return True

    def unlock(self, server: str) -> None:
        """Let others tell a server."""
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, crc32(server.encode()))

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=60, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
            # What was told is forgotten, and what is to be told kept, through a power cut too.
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._writing():
                [version] = self._connection.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _SCHEMA.split(";\n"):
                        self._connection.execute(statement)
            if version > _VERSION:
                raise IndexFileError(f"{self._path}: was made by a newer version of this program. Update.")
        except BaseException:
            self._connection.close()
            raise

    def _replace(self) -> None:
        """Begin anew. Nobody knows what was told then, so that everything is."""
        aside = self._path.with_name(f"{FILE_NAME}.unusable")
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
        open(self._path, "xb", opener=private).close()
        _log.warning("What media servers were to be told was damaged; it was moved to %s. They will scan all.", aside)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise IndexFileError(f"{self._path}: cannot be used ({error}).") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction."""
        with self._working():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def generation(self, root: str, inode: int) -> int:
        """Up to which generation a mount's changes are in here; 0: none of this index.

        Args:
            root: the mount point.
            inode: of the index file.
        """
        with self._working():
            row = self._connection.execute(
                "SELECT generation FROM source WHERE root = ? AND inode = ?", (root, inode)
            ).fetchone()
        return int(row[0]) if row else 0

    def add(
        self,
        servers: Sequence[str],
        root: str,
        changes: Iterable[Change],
        limit: int,
        source: tuple[int, int] | None = None,
    ) -> None:
        """Have servers told of changes.

        Args:
            servers: their names. What others were to be told of this root is forgotten.
            root: below which the changes are.
            changes: what changed.
            limit: see `coalesced`.
            source: the inode of the index, and the generation up to which this is everything that a mount shows.
        """
        with self._writing():
            self._keep(servers, root)
            for server in servers:
                self._add(server, root, list(changes), limit)
            if source is not None:
                self._connection.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", (root, *source))

    def _keep(self, servers: Sequence[str], root: str) -> None:
        """Know of these servers, and below this root of no others; another command may tell others of another."""
        marks = ", ".join("?" * len(servers))
        self._connection.execute(f"DELETE FROM waiting WHERE root = ? AND server NOT IN ({marks})", (root, *servers))
        self._connection.execute(
            f"DELETE FROM server WHERE name NOT IN ({marks}) AND name NOT IN (SELECT server FROM waiting)", servers
        )
        self._connection.executemany("INSERT OR IGNORE INTO server (name) VALUES (?)", [(name,) for name in servers])

    def _add(self, server: str, root: str, changes: Sequence[Change], limit: int) -> None:
        rows = self._connection.execute(
            "SELECT path, what, lost, sent FROM waiting WHERE server = ? AND root = ?", (server, root)
        ).fetchall()
        new = {change.path for change in changes}
        sections = {change.section for change in changes}
        # What a request under way tells does not stand for what has changed since.
        before = {path: Change(path, what, bool(lost)) for path, what, lost, sent in rows if not sent or path in new}
        after = {change.path: change for change in coalesced((*before.values(), *changes), limit)}
        gone = [(server, root, path) for path in before if path not in after]
        self._connection.executemany("DELETE FROM waiting WHERE server = ? AND root = ? AND path = ?", gone)
        # A row that is changed gets another number: whoever is just telling the old one does not take it away.
        self._connection.executemany(
            "INSERT OR REPLACE INTO waiting (server, root, path, what, lost, since) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (server, root, each.path, each.what, each.lost, time.time())
                for each in after.values()
                if each.path in new or each.path in sections or before.get(each.path) != each
            ],
        )

    def stage(self, root: str, changes: Iterable[Change]) -> None:
        """Keep what is about to be done to an output root, until it is released."""
        with self._writing():
            for change in changes:
                row = self._connection.execute(
                    "SELECT what, lost FROM staged WHERE root = ? AND path = ?", (root, change.path)
                ).fetchone()
                now = merged(Change(change.path, row[0], bool(row[1])), change) if row else change
                self._connection.execute(
                    "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?)", (root, now.path, now.what, now.lost)
                )

    def release(self, servers: Sequence[str], root: str, limit: int) -> None:
        """Have servers told of what was staged for an output root."""
        with self._writing():
            rows = self._connection.execute("SELECT path, what, lost FROM staged WHERE root = ?", (root,)).fetchall()
            self._keep(servers, root)
            for server in servers:
                self._add(server, root, [Change(path, what, bool(lost)) for path, what, lost in rows], limit)
            self._connection.execute("DELETE FROM staged WHERE root = ?", (root,))

    def waiting(self, server: str) -> list[Waiting]:
        """What a server is to be told, in order of paths."""
        with self._working():
            rows = self._connection.execute(
                "SELECT number, root, path, what, lost, sent, since FROM waiting WHERE server = ? ORDER BY root, path",
                (server,),
            ).fetchall()
        return [
            Waiting(number, root, Change(path, what, bool(lost)), bool(sent), since)
            for number, root, path, what, lost, sent, since in rows
        ]

    def sending(self, rows: Iterable[Waiting]) -> None:
        """Note that a request which tells of these is about to begin."""
        self._mark(rows, 1)

    def not_sent(self, rows: Iterable[Waiting]) -> None:
        """Note that the request which tells of these has failed."""
        self._mark(rows, 0)

    def _mark(self, rows: Iterable[Waiting], sent: int) -> None:
        with self._writing():
            self._connection.executemany(
                "UPDATE waiting SET sent = ? WHERE number = ?", [(sent, row.number) for row in rows]
            )

    def told(self, server: str, rows: Sequence[Waiting], rest: int | None = None) -> None:
        """Note that a server has taken something.

        Args:
            server: its name.
            rows: what it was told.
            rest: a `What` that it is to be told of these folders now; None: nothing.
        """
        numbers = [(row.number,) for row in rows]
        with self._writing():
            if rest is None:
                self._connection.executemany("DELETE FROM waiting WHERE number = ?", numbers)
            else:
                self._connection.executemany(
                    "UPDATE waiting SET what = ?, sent = 0 WHERE number = ?", [(rest, *each) for each in numbers]
                )
            self._connection.execute(
                f"UPDATE server SET told = told + ?, told_at = ?, {_AT_PEACE} WHERE name = ?",
                (len(rows) if rest is None else 0, time.time(), server),
            )

    def left_out(self, server: str, rows: Iterable[Waiting], pause: float) -> None:
        """Note that a server, which answers, is not to be told of something after all.

        Args:
            server: its name.
            rows: what it is not told.
            pause: seconds until it is asked again what it has.
        """
        with self._writing():
            self._connection.executemany("DELETE FROM waiting WHERE number = ?", [(row.number,) for row in rows])
            self._connection.execute(f"UPDATE server SET {_AT_PEACE} WHERE name = ?", (server,))
            self._connection.execute("UPDATE server SET next_try = ? WHERE name = ?", (time.time() + pause, server))

    def failed(self, server: str, error: str, pause: float) -> None:
        """Note that an attempt failed.

        Args:
            server: its name.
            error: why.
            pause: seconds until it is tried again.
        """
        now = time.time()
        with self._writing():
            self._connection.execute(
                "UPDATE server SET failures = failures + 1, error = ?, next_try = ?,"
                " failing_since = CASE WHEN failing_since THEN failing_since ELSE ? END WHERE name = ?",
                (error, now + pause, now, server),
            )

    def accounts(self) -> list[Account]:
        """The state of telling each server that is known."""
        with self._working():
            rows = self._connection.execute(
                "SELECT name, (SELECT count(*) FROM waiting WHERE server = name), told, told_at, failures,"
                " failing_since, next_try, error FROM server ORDER BY name"
            ).fetchall()
        return [Account(*row) for row in rows]
