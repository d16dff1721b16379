"""What was written to an output root: a SQLite file in the state directory, one for each root.

It is a plan as well as a record. What the library wants of a folder is committed here before anything in the folder
is touched. So whenever a run ends, by whatever means, every file that it may have left is known to the next one.

Nothing here waits for the disk: to flush this file would flush all the small files written before it, which takes
minutes on a busy disk. After a power failure it is checked, and made again from the tree if need be.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from vod2strmfs.errors import OutputError
from vod2strmfs.host.private import private
from vod2strmfs.library.kinds import ROOT_NODE, NodeKind
from vod2strmfs.library.names import fold

ROOT = 1
"""The id of the output root."""
NO_NODE = -2
"""The node of a folder that was found on disk: what it is in the index is not known yet."""

_SCHEMA_VERSION = 1
_PAGE = 1024

_SCHEMA = f"""
CREATE TABLE folder (
    id INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,
    kind INTEGER NOT NULL,             -- a NodeKind
    name TEXT NOT NULL,
    fold TEXT NOT NULL,
    node INTEGER NOT NULL,             -- the index's
    uuid TEXT NOT NULL,
    stream TEXT NOT NULL,              -- account and stream id; with the uuid it says what the folder is for
    strms INTEGER NOT NULL,            -- how many .strm files are wanted
    mtime INTEGER NOT NULL,            -- the library's
    state INTEGER NOT NULL,            -- a State
    seen INTEGER NOT NULL,             -- the directory's mtime when it was last left
    items BLOB NOT NULL,               -- what is wanted in it: encode(list of Item)
    leftovers BLOB NOT NULL,           -- what was written into it and is no longer wanted, in the same form
    UNIQUE (parent, fold)
);
CREATE INDEX folder_children ON folder (parent);
CREATE INDEX folder_node ON folder (node);
CREATE INDEX folder_stale ON folder (id) WHERE state = 4 OR leftovers != x'90';
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO folder VALUES ({ROOT}, 0, {NodeKind.ROOT:d}, '', '', {ROOT_NODE}, '', '', 0, 0, 0, 0, x'90', x'90');
PRAGMA user_version = {_SCHEMA_VERSION};
"""

_SAFE = """
CREATE TABLE IF NOT EXISTS safe (
    id INTEGER PRIMARY KEY,            -- a folder's
    items BLOB NOT NULL,               -- what will be known of it once that is flushed, as in `folder`
    leftovers BLOB NOT NULL
)
"""

_log = logging.getLogger("vod2strmfs")


class State(IntEnum):
    """How a folder on disk compares with what is wanted."""

    NEW = 0
    """Not known: it was never finished."""
    CHANGED = 1
    """It was finished, and something else is wanted since."""
    SETTLED = 2
    """It is as wanted."""
    WATCHED = 3
    """It is as wanted but for files that are not ours and stand in our files' places. Looked at in every run."""
    GONE = 4
    """It is no longer wanted."""


class File(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A file that is wanted, or was."""

    name: str
    slot: int
    size: int
    mtime: int
    """Nanoseconds since the epoch."""
    digest: int
    earlier: tuple[int, ...] = ()
    """Digests of other contents of ours that may stand under this name."""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """The files of a node in a folder."""

    node: int
    kind: int
    uuid: str
    files: tuple[File, ...]


class Folder(NamedTuple):
    """A folder, without what is in it."""

    id: int
    parent: int
    kind: int
    name: str
    node: int
    mtime: int
    state: int
    seen: int


class Plan(NamedTuple):
    """A folder and what is in it."""

    folder: Folder
    uuid: str
    stream: str
    items: bytes
    leftovers: bytes


_FOLDER = "id, parent, kind, name, node, mtime, state, seen"
_PLAN = f"{_FOLDER}, uuid, stream, items, leftovers"
_FOLDER_COLUMNS = len(Folder._fields)

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Item]).decode


class Manifest:
    """The manifest of one output root. All methods raise OutputError when it cannot be read or written.

    Args:
        path: of the SQLite file; made if need be.
        dry_run: whether nothing of what is written here is to last.
    """

    def __init__(self, path: Path, *, dry_run: bool = False) -> None:
        self._path = path
        self._dry_run = dry_run
        # SQLite's name for a file that nobody else sees and that goes with the connection.
        self._target = "" if dry_run and not path.exists() else str(path)
        self.before_commit: Callable[[], None] = lambda: None
        """Makes last what has to be known before the manifest says that there is nothing to do."""
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            raise self._problem(error) from error
        except sqlite3.DatabaseError:
            self._put_aside()
            self._connection = self._open()

    def begin_run(self) -> None:
        """Make ready for changes. What a run that was cut off was about to forget may not be so any more."""
        self._run(_SAFE)
        self._run("DELETE FROM safe")

    def close(self) -> None:
        """Forget what was not committed, and close the file."""
        self._connection.close()

    def check(self) -> None:
        """Start with an empty manifest if this one is damaged. Goes through all of it."""
        try:
            [[answer], *_] = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            answer = str(error)
        if answer != "ok":
            self._connection.close()
            self._put_aside()
            self._connection = self._open()

    def commit(self) -> None:
        """Make everything so far last."""
        if not self._dry_run:
            self.before_commit()
            self._run("COMMIT")
            self._run("BEGIN")

    def fact(self, name: str) -> str:
        """A fact about the root; "" if it was never noted."""
        row = self._run("SELECT value FROM fact WHERE name = ?", name).fetchone()
        return row[0] if row else ""

    def note(self, name: str, value: str) -> None:
        """Note a fact."""
        self._run("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, value)

    def folder(self, folder: int) -> Folder:
        """A folder by its id."""
        return Folder._make(self._run(f"SELECT {_FOLDER} FROM folder WHERE id = ?", folder).fetchone())

    def plan(self, folder: int) -> Plan:
        """A folder and what is in it."""
        return _plan(self._run(f"SELECT {_PLAN} FROM folder WHERE id = ?", folder).fetchone())

    def children(self, parent: int) -> Iterator[Folder]:
        """The folders in a folder that are wanted. They may be changed meanwhile."""
        return self._pages(
            f"SELECT {_FOLDER} FROM folder INDEXED BY folder_children WHERE parent = ? AND state != 4", parent
        )

    def child(self, parent: int, name: str) -> Plan | None:
        """The folder in a folder whose name is equal, but perhaps for case or Unicode form."""
        row = self._run(f"SELECT {_PLAN} FROM folder WHERE parent = ? AND fold = ?", parent, fold(name)).fetchone()
        return _plan(row) if row else None

    def by_node(self, node: int) -> Plan | None:
        """The folder of a node of the index."""
        row = self._run(f"SELECT {_PLAN} FROM folder WHERE node = ? ORDER BY state LIMIT 1", node).fetchone()
        return _plan(row) if row else None

    def stale(self) -> Iterator[Folder]:
        """The folders that are no longer wanted, or hold files that are not."""
        return self._pages(f"SELECT {_FOLDER} FROM folder WHERE (state = 4 OR leftovers != x'90')")

    def last_seen(self) -> Iterator[tuple[int, int, int, str, int, int]]:
        """Id, parent, kind, name, state and time when last left of every folder that is wanted, but for the root."""
        return self._rows("SELECT id, parent, kind, name, state, seen FROM folder WHERE state != 4", after=ROOT)

    def path(self, folder: Folder) -> tuple[Folder, ...]:
        """The folders on the way from the root, which is not among them, to a folder, which is the last."""
        way = []
        while folder.id != ROOT:
            way.append(folder)
            folder = self.folder(folder.parent)
        return tuple(reversed(way))

    def wanted(self, parent: int) -> int:
        """How many folders in a folder are wanted."""
        return self._count("SELECT count(*) FROM folder WHERE parent = ? AND state != 4", parent)

    def strms(self, kind: NodeKind) -> int:
        """How many .strm files are wanted in folders of a kind."""
        return self._count("SELECT coalesce(sum(strms), 0) FROM folder WHERE kind = ? AND state != 4", kind)

    def folders(self) -> int:
        """How many folders are wanted."""
        return self._count("SELECT count(*) FROM folder WHERE state != 4")

    def add(self, folder: Folder, uuid: str, stream: str, items: Sequence[Item]) -> Folder:
        """Add a folder; its id is ignored.

        Returns:
            The folder with its id.
        """
        cursor = self._run(
            "INSERT INTO folder VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'90')",
            folder.parent, folder.kind, folder.name, fold(folder.name), folder.node, uuid, stream, _strms(items),
            folder.mtime, folder.state, folder.seen, encode(items),
        )  # fmt: skip
        return folder._replace(id=cursor.lastrowid or 0)

    def change(self, folder: Folder, uuid: str, stream: str, items: Sequence[Item], leftovers: Sequence[Item]) -> None:
        """Note what a folder stands for and what is wanted in it."""
        self._run(
            "UPDATE folder SET kind = ?, node = ?, uuid = ?, stream = ?, strms = ?, mtime = ?, state = ?, items = ?,"
            " leftovers = ? WHERE id = ?",
            folder.kind, folder.node, uuid, stream, _strms(items), folder.mtime, folder.state, encode(items),
            encode(leftovers), folder.id,
        )  # fmt: skip

    def begin_move(self, folder: int, parent: int, name: str) -> None:
        """Make it last that a folder is about to be moved. A run may be killed between the move and `end_move`."""
        self.note("move", f"{folder} {parent} {name}")
        self.commit()

    def moving(self) -> tuple[Folder, Folder, str] | None:
        """The folder of which it is not known whether it was moved, and the folder and the name that it was to have."""
        fact = self.fact("move")
        if not fact:
            return None
        folder, parent, name = fact.split(" ", 2)
        return self.folder(int(folder)), self.folder(int(parent)), name

    def end_move(self, *, moved: bool) -> None:
        """Note whether the folder stands at its new place, and make it last."""
        folder, parent, name = self.fact("move").split(" ", 2)
        if moved:
            self.reopen(self.folder(int(folder)).parent)
            self.reopen(int(parent))
            self._run(
                "UPDATE folder SET parent = ?, name = ?, fold = ? WHERE id = ?",
                int(parent), name, fold(name), int(folder),
            )  # fmt: skip
        self.note("move", "")
        self.commit()

    def settle(self, folder: int, state: State, seen: int) -> None:
        """Note how a folder was left."""
        self._run("UPDATE folder SET state = ?, seen = ? WHERE id = ?", state, seen, folder)

    def note_items(self, folder: int, items: Sequence[Item], leftovers: Sequence[Item]) -> None:
        """Note what is in a folder, for `forget_former`."""
        self._run("INSERT OR REPLACE INTO safe VALUES (?, ?, ?)", folder, encode(items), encode(leftovers))

    def forget_former(self) -> None:
        """Forget what was in folders before what was noted of them. Until that is safe on the disk, the former may come
        back, and has to be known as ours."""
        self._run(
            "UPDATE folder SET items = safe.items, leftovers = safe.leftovers FROM safe WHERE safe.id = folder.id"
        )
        self._run("DELETE FROM safe")

    def clear_leftovers(self, folder: int) -> None:
        """Note that nothing is in a folder but what is wanted."""
        self._run("UPDATE folder SET leftovers = x'90' WHERE id = ?", folder)

    def reopen(self, folder: int) -> None:
        """Have a folder looked at again, whatever becomes of this run."""
        self._run("UPDATE folder SET state = 1 WHERE id = ? AND state IN (2, 3)", folder)

    def let_go(self, folder: int) -> None:
        """Note that a folder and what is below it is no longer wanted."""
        self._run("UPDATE folder SET state = 4 WHERE id = ?", folder)
        for child in self.children(folder):
            self.let_go(child.id)

    def forget(self, folder: int) -> None:
        """Remove a folder that has nothing of ours left. What is below it has to be forgotten before."""
        self._run("DELETE FROM folder WHERE id = ?", folder)

    def forget_below(self, folder: int) -> None:
        """Leave whatever is in the folders in a folder to the user."""
        for child in self._pages(f"SELECT {_FOLDER} FROM folder WHERE parent = ?", folder):
            self.forget_below(child.id)
            self.forget(child.id)

    def _pages(self, query: str, *parameters: object) -> Iterator[Folder]:
        return map(Folder._make, self._rows(query, *parameters))

    def _rows(self, query: str, *parameters: object, after: int = 0) -> Iterator[Any]:
        """What a query with a condition says, in order of id; page by page, so that rows may be changed meanwhile."""
        while page := self._run(f"{query} AND id > ? ORDER BY id LIMIT {_PAGE}", *parameters, after).fetchall():
            yield from page
            after = page[-1][0]

    def _count(self, query: str, *parameters: object) -> int:
        return int(self._run(query, *parameters).fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        if self._target:
            open(self._target, "a", opener=private).close()
        with ExitStack() as opened:
            connection = sqlite3.connect(self._target, isolation_level=None, timeout=60, cached_statements=64)
            opened.callback(connection.close)
            connection.execute("PRAGMA synchronous = OFF")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            elif version != _SCHEMA_VERSION:
                raise sqlite3.DatabaseError(f"version {version}")
            connection.execute("BEGIN")
            opened.pop_all()
            return connection

    def _put_aside(self) -> None:
        """Set a file aside that is damaged or of another version. It is made again from the tree."""
        if self._dry_run:
            self._target = ""
            return
        aside = self._path.with_name(f"{self._path.name}.unusable-{time.strftime('%Y%m%d-%H%M%S')}")
        self._path.replace(aside)
        _log.warning(
            "The manifest was damaged or another version's; it was moved to %s and is made again from the tree.", aside
        )
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _run(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _problem(self, error: sqlite3.Error) -> OutputError:
        advice = "If it is damaged, delete it: it is made again from the tree."
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            advice = "Make room there and run again, or give another directory with --state-dir."
        return OutputError(f"manifest {self._path}: {error}. {advice}")


def without(items: Iterable[Item], names: Collection[str]) -> list[Item]:
    """The items but for the files of some names."""
    rest = [
        Item(item.node, item.kind, item.uuid, tuple(file for file in item.files if file.name not in names))
        for item in items
    ]
    return [item for item in rest if item.files]


def _plan(row: tuple[object, ...]) -> Plan:
    return Plan(Folder._make(row[:_FOLDER_COLUMNS]), *row[_FOLDER_COLUMNS:])  # type: ignore[arg-type]


def _strms(items: Sequence[Item]) -> int:
    return sum(file.name.endswith(".strm") for item in items for file in item.files)
