"""The index file: a SQLite database in the state directory that holds one generation of the tree.

Readers hold a read transaction and see one generation, whole, for as long as they like (write-ahead log);
a sync writes the next one in a single transaction. Nothing else writes it; but whoever moves on to a generation may
copy what is in the log into the file (`checkpoint`), so that the log can be written from its beginning again.
"""

import errno
import json
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import msgspec

from vod2strmfs.errors import IndexFileError
from vod2strmfs.host.lock import held
from vod2strmfs.host.private import private
from vod2strmfs.host.room import has_room, is_full, keep_reserve, shown, spend_reserve, which_is_full
from vod2strmfs.host.set_aside import LOOKS_AT_DAMAGE, delete_log, set_aside
from vod2strmfs.host.work_file import copy_database, means_damage
from vod2strmfs.library.contents import decode_kind
from vod2strmfs.library.kinds import FIRST_FREE_NODE, ROOT_NODE, SECTIONS, NodeKind
from vod2strmfs.library.names import fold

_log = logging.getLogger("vod2strmfs")

FILE_NAME = "index.db"
LOCK_NAME = "sync.lock"

_APPLICATION_ID = 0x76326673
_SCHEMA_VERSION = 2

_LOG_BYTES = 4 << 20

_SCHEMA = f"""
CREATE TABLE node (
    id INTEGER PRIMARY KEY,            -- never reused; inode numbers derive from it
    kind INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL,
    fold TEXT NOT NULL,                -- unique within a parent
    plain TEXT,                        -- the name before a collision changed it; NULL where it is the name
    alias TEXT NOT NULL,
    mtime INTEGER NOT NULL,
    strm_size INTEGER NOT NULL, strm_mtime INTEGER NOT NULL, strm_hash INTEGER NOT NULL,
    strm_version INTEGER NOT NULL DEFAULT 0,
    nfo_size INTEGER NOT NULL, nfo_mtime INTEGER NOT NULL, nfo_hash INTEGER NOT NULL,
    nfo_version INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL,             -- kept by the shrink brake. 1: gone from the catalogue. 2: renamed there
    cut INTEGER NOT NULL DEFAULT 0     -- 1: the name had no room for all of the title
);
CREATE TABLE content (
    id INTEGER PRIMARY KEY,            -- the node's
    kind INTEGER NOT NULL,
    source INTEGER,                    -- the catalogue's id; of a season, its number
    uuid TEXT NOT NULL, account INTEGER NOT NULL, stream TEXT NOT NULL,
    tmdb TEXT NOT NULL, imdb TEXT NOT NULL,
    bad_fields INTEGER NOT NULL,       -- how many fields of the row could not be used
    item BLOB NOT NULL                 -- library.contents.encode
);
CREATE TABLE filtered (kind TEXT NOT NULL, source INTEGER NOT NULL, setting TEXT NOT NULL, title TEXT NOT NULL,
    uuid TEXT NOT NULL, PRIMARY KEY (kind, source));
CREATE TABLE provider (account INTEGER PRIMARY KEY, url TEXT NOT NULL);  -- with passwords: only for direct_urls
CREATE TABLE block (kind TEXT NOT NULL, block INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (kind, block));
CREATE TABLE mark (                    -- for the shrink brake: how it was at some times of the last day
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,               -- nanoseconds since the epoch
    next_node INTEGER NOT NULL,        -- items with a lower node were there
    total INTEGER NOT NULL,            -- how many
    lost INTEGER NOT NULL,             -- how many of them have been removed since
    PRIMARY KEY (kind, at)
);
CREATE TABLE change (generation INTEGER NOT NULL, what INTEGER NOT NULL, inode INTEGER NOT NULL,
    parent INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE generation (
    number INTEGER NOT NULL,           -- 0: none yet
    made INTEGER NOT NULL,             -- nanoseconds since the epoch
    settings TEXT NOT NULL,            -- LibrarySettings as JSON
    version TEXT NOT NULL,             -- of the program that made it
    stats TEXT NOT NULL,               -- JSON: metric to number
    next_node INTEGER NOT NULL
);
CREATE TABLE attempt (
    compared INTEGER NOT NULL,         -- when the catalogue was last compared, and how long that took (ns)
    took INTEGER NOT NULL,
    quiet TEXT NOT NULL,               -- the source's marker then
    written TEXT NOT NULL,
    position TEXT NOT NULL,            -- where the database stood then; see Source.snapshot
    failing_since INTEGER NOT NULL,    -- seconds since the epoch; 0: the last attempt succeeded
    error TEXT NOT NULL
);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
"""

_INTEGERS = (
    "kind", "parent", "mtime", "strm_size", "strm_mtime", "strm_version", "nfo_size", "nfo_mtime", "nfo_version"
)  # fmt: skip
WRONG_TYPES = " OR ".join(
    (
        *(f"typeof({column}) != 'integer'" for column in _INTEGERS),
        *(f"typeof({column}) != 'text'" for column in ("name", "alias")),
    )
)
"""A condition on a node's columns that only damage meets."""

HELD_INDEXES = (
    "CREATE INDEX IF NOT EXISTS node_held ON node (kind) WHERE held = 1",
    "CREATE INDEX IF NOT EXISTS node_renamed ON node (kind) WHERE held = 2",
)
"""SQLite's indexes of what is held. Hardly ever is there anything in them; without them all nodes are gone through."""

INDEXES = (
    *HELD_INDEXES,
    "CREATE INDEX IF NOT EXISTS node_name ON node (parent, fold)",
    "CREATE INDEX IF NOT EXISTS node_children ON node (parent)",
    "CREATE INDEX IF NOT EXISTS content_source ON content (kind, source)",
)
"""SQLite's indexes, made after the first generation is loaded: sorting once is faster than a million insertions."""

# Lost with a page of the schema, they are missed by no check of SQLite's.
_LACKS_INDEXES = """
    SELECT 1 FROM generation WHERE number > 0 AND
        (SELECT count(*) FROM sqlite_master WHERE name IN ('node_name', 'node_children', 'content_source')) < 3"""

RENAMED = """
CREATE TABLE IF NOT EXISTS renamed (   -- for the shrink brake: what was renamed within the last day, and from what
    node INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,               -- nanoseconds since the epoch
    parent INTEGER NOT NULL,           -- where it stood before
    name TEXT NOT NULL                 -- before a collision changed it
)"""
"""A table that a sync makes when it first writes an index: those of earlier versions lack it, and need none."""

SEEN = """
CREATE TABLE IF NOT EXISTS seen (      -- what the last comparison saw of the catalogue's tables; at most one row
    compared INTEGER NOT NULL,         -- which one: attempt.compared
    whole INTEGER NOT NULL,            -- when all blocks were compared the last time, nanoseconds since the epoch
    data BLOB NOT NULL                 -- catalog.written.encode
)"""
"""A table like `RENAMED`."""
PAST = """
CREATE TABLE IF NOT EXISTS past (      -- when generations were made, for people who look at what changed last
    number INTEGER PRIMARY KEY,
    made INTEGER NOT NULL              -- nanoseconds since the epoch
)"""
"""Another such table: who reads an index that lacks it knows no time of former generations."""

_FIXED_NODES = [
    (ROOT_NODE, NodeKind.ROOT, ROOT_NODE, ""),
    *((node, NodeKind.SECTION, ROOT_NODE, name) for name, node in SECTIONS.items()),
]


def create(state_dir: Path, *, thorough: bool = False) -> None:
    """Make an index without a generation in a state directory that has none. The caller holds `writing`.

    An index that is damaged or has other tables, or a file that is not ours, is moved aside and replaced.

    Args:
        state_dir: the state directory.
        thorough: whether to read all of an index that is there (5 seconds for a million items), and not just to
            see whether it is one.
    """
    path = state_dir / FILE_NAME
    if not path.exists():
        delete_log(path)
        _create_file(path, FIRST_FREE_NODE)
    elif all(not _is_index(path) or (thorough and _is_damaged(path)) for _ in range(LOOKS_AT_DAMAGE)):
        replace(state_dir)
    keep_reserve(state_dir)


def replace(state_dir: Path) -> None:
    """Move an index that is of no use aside, and make one without a generation. The caller holds `writing`."""
    path = state_dir / FILE_NAME
    why = "of an earlier version of this program" if _is_earlier(path) else "damaged or not ours"
    aside = set_aside(path)
    _log.warning("The index was %s; it was moved to %s and is made anew.", why, aside)
    # A running mount may have shown the old index: none of its inode numbers may come to mean something else.
    _create_file(path, int(time.time()) << 16)


def copy(state_dir: Path, other: Path) -> None:
    """Copy the index of a state directory, if there is one, into another one, which has none. One that is damaged is
    not copied: a sync would make it anew.

    Raises:
        IndexFileError: it cannot be read, or there is no room for a copy.
    """
    path = state_dir / FILE_NAME
    _check_room(path, other)
    try:
        copy_database(path, other / FILE_NAME)
    except sqlite3.Error as error:
        why = f": {which_is_full(other)}" if is_full(error) else f" ({_reason(path) or error})."
        raise IndexFileError(f"state directory {other}: the index cannot be copied{why}") from error


def _check_room(path: Path, other: Path) -> None:
    """Refuse a copy that has no room, before it takes what room there is from others."""
    size = path.stat().st_size if path.exists() else 0
    if not has_room(other, size):
        takes = f"a copy of the index takes {shown(size)}"
        raise IndexFileError(f"state directory {path.parent}: {takes}, and {which_is_full(other)}")


def is_damage(error: Exception) -> bool:
    """Whether an error says that the index file is damaged."""
    cause = error.__cause__ if isinstance(error, IndexFileError) else error
    if not isinstance(cause, sqlite3.Error):
        return False
    # Python's module has no code for a text that is no UTF-8; all of ours were. Which indexes to use is ours to say.
    told = str(cause)
    return means_damage(cause) or "Could not decode" in told or told.startswith("no such index")


def make_directory(state_dir: Path) -> None:
    """Make the state directory if need be.

    Raises:
        IndexFileError: it cannot be made or written.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        open(state_dir / LOCK_NAME, "a", opener=private).close()
    except OSError as error:
        raise IndexFileError(
            f"state directory {state_dir}: {error.strerror}. Give one that this user can write with --state-dir."
        ) from error


def connect(state_dir: Path, *, writable: bool = False) -> sqlite3.Connection:
    """A connection to the index of a state directory.

    Raises:
        IndexFileError: there is none, or it cannot be opened.
    """
    path = state_dir / FILE_NAME
    try:
        try:
            return _connect(path.absolute(), writable)
        except sqlite3.Error as error:
            if not (is_full(error) and spend_reserve(state_dir)):
                raise
            _log.warning("The index is read with the room that was kept for it: %s", which_is_full(state_dir))
            return _connect(path.absolute(), writable)
    except sqlite3.Error as error:
        why = f": {which_is_full(state_dir)}" if is_full(error) else f" ({_reason(path) or error})."
        raise IndexFileError(f"index {path}: cannot be opened{why}") from error


def _reason(path: Path) -> str:
    """Why a file cannot be opened, which SQLite does not say; empty if it can."""
    try:
        path.stat()
    except OSError as error:
        return error.strerror or ""
    # Not by opening it: to close it again would end the locks that this process has on it.
    return "" if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def _connect(path: Path, writable: bool) -> sqlite3.Connection:
    with ExitStack() as opened:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={'rw' if writable else 'ro'}", uri=True, isolation_level=None, timeout=60,
            cached_statements=256, check_same_thread=False,
        )  # fmt: skip
        opened.callback(connection.close)
        try:
            # NORMAL keeps the file consistent through a power cut; at worst the last generation is lost and made again.
            connection.execute("PRAGMA synchronous = NORMAL")
        except UnicodeDecodeError as error:
            # SQLite quotes the damaged part of its schema, and Python's module cannot read what it says.
            raise sqlite3.DatabaseError("Could not decode its schema") from error
        connection.execute("PRAGMA temp_store = FILE")
        # A log that grew in a large sync is cut when it is begun anew.
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        if writable:
            _keep_temporary_files(connection, path.parent)
        opened.pop_all()
        return connection


def _keep_temporary_files(connection: sqlite3.Connection, state_dir: Path) -> None:
    """Have SQLite keep its temporary files in the state directory, for all of this process's connections.

    There is room for an index; TMPDIR may be small, read-only or in memory. The files have no names, so that a crash
    leaves none. The variable SQLITE_TMPDIR, which could say it too, is read when SQLite is loaded.
    """
    quoted = str(state_dir).replace("'", "''")
    with suppress(sqlite3.Error):  # Where it does not take it, all is as it was.
        connection.execute(f"PRAGMA temp_store_directory = '{quoted}'")


def checkpoint(state_dir: Path) -> None:
    """Copy the log into the index file, as far as nobody reads the file as it was before.

    Without that the log of an index that is always read would grow for ever: SQLite does it by itself only when
    something is written, and then the readers are not there yet.

    Raises:
        IndexFileError: there is no index, or it cannot be written.
    """
    try:
        with closing(connect(state_dir, writable=True)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.Error as error:
        raise IndexFileError(f"index {state_dir / FILE_NAME}: its log cannot be copied ({error}).") from error


@contextmanager
def writing(state_dir: Path, *, wait: float = 600) -> Iterator[None]:
    """Hold the right to write the index, across processes. Makes the state directory if need be.

    Raises:
        IndexFileError: the directory cannot be written, or another sync held the right for the whole wait (seconds).
    """
    make_directory(state_dir)
    with held(state_dir / LOCK_NAME, wait) as is_ours:
        if not is_ours:
            raise IndexFileError(f"state directory {state_dir}: another sync has been running for {wait:.0f} seconds.")
        yield


def _version(connection: sqlite3.Connection) -> int:
    """The version of an index's tables; 0 if it is none."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return int(version) if application == _APPLICATION_ID else 0


def _is_earlier(path: Path) -> bool:
    """Whether a file is an index with tables of an earlier version."""
    try:
        with closing(connect(path.parent)) as connection:
            return 0 < _version(connection) < _SCHEMA_VERSION
    except (sqlite3.Error, IndexFileError):
        return False


def _is_index(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            version = _version(connection)
            if version < _SCHEMA_VERSION:
                return False
            if version == _SCHEMA_VERSION:
                rows = "SELECT (SELECT count(number) FROM generation), (SELECT count(*) FROM attempt)"
                return bool(connection.execute(rows).fetchone() == (1, 1))
    except sqlite3.DatabaseError as error:
        if _is_strange(error):
            return False
        raise  # busy, or a disk that does not answer: no reason to doubt the file
    if version > _SCHEMA_VERSION:
        raise IndexFileError(
            f"index {path}: was made by a newer version of this program. Update, or give another --state-dir."
        )
    return True


def is_whole(state_dir: Path) -> bool:
    """Whether there is an index, and all of it can be read and holds nothing that cannot be."""
    path = state_dir / FILE_NAME
    try:
        return path.exists() and _is_index(path) and not _is_damaged(path)
    except (sqlite3.Error, IndexFileError, OSError):
        return False


def _is_damaged(path: Path) -> bool:
    """Whether the file's structure is damaged, or what its rows say cannot be."""
    try:
        with closing(connect(path.parent)) as connection:
            [verdict] = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok" or connection.execute(_LACKS_INDEXES).fetchone() is not None:
                return True
            for kind, item in connection.execute("SELECT kind, item FROM content"):
                decode_kind(item, kind)
            kinds = "SELECT 1 FROM node JOIN content USING (id) WHERE node.kind != content.kind LIMIT 1"
            fixed = "SELECT id, kind, parent, name FROM node WHERE id BETWEEN 0 AND ? ORDER BY id"
            if connection.execute(fixed, (len(_FIXED_NODES) - 1,)).fetchall() != _FIXED_NODES:
                return True
            if connection.execute(f"SELECT 1 FROM node WHERE {WRONG_TYPES} LIMIT 1").fetchone() is not None:
                return True
            for texts in connection.execute("SELECT settings, stats FROM generation WHERE number"):
                for text in texts:
                    json.loads(text)
            names = connection.execute("SELECT name, fold FROM node WHERE lower(name) IS NOT fold")
            return any(fold(name) != key for name, key in names) or connection.execute(kinds).fetchone() is not None
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
        return True
    except (sqlite3.DatabaseError, IndexFileError) as error:
        if _is_strange(error):
            return True
        raise


def _is_strange(error: Exception) -> bool:
    """Whether the file is damaged, or lacks a table or column that every index has."""
    return is_damage(error) or (isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_ERROR)


def _code(error: sqlite3.Error) -> int:
    """SQLite's result code, without what extends it; 0 for an error of Python's module."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _create_file(path: Path, first_node: int) -> None:
    """Make an index file without a generation; under another name first, so that nobody opens half of it."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(descriptor)
    draft = Path(name)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.executescript(f"BEGIN; {_SCHEMA}")
            connection.executemany(
                "INSERT INTO node VALUES (?, ?, ?, ?, ?, NULL, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                [(number, kind, parent, name, fold(name)) for number, kind, parent, name in _FIXED_NODES],
            )
            connection.execute("INSERT INTO generation VALUES (0, 0, '', '', '{}', ?)", [first_node])
            connection.execute("INSERT INTO attempt VALUES (0, 0, '', '', '', 0, '')")
            connection.execute("COMMIT")
            # Last: a log would be copied into the file when that is closed, and nobody told if that could not be done.
            connection.execute("PRAGMA journal_mode = WAL")
        draft.rename(path)
    except BaseException:
        for each in path.parent.glob(f"{draft.name}*"):
            each.unlink(missing_ok=True)
        raise
