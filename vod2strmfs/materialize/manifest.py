"""What was written to an output root: a SQLite file in the state directory, one for each root.

It is a plan as well as a record. What the library wants of a folder is committed here before anything in the folder
is touched. So whenever a run ends, by whatever means, every file that it may have left is known to the next one.

Nothing here waits for the disk: to flush this file would flush all the small files written before it, which takes
minutes on a busy disk. After a power failure it is checked, and made again from the tree if need be.
"""

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from vod2strmfs.errors import OutputError
from vod2strmfs.host.private import private
from vod2strmfs.host.set_aside import LOOKS_AT_DAMAGE, set_aside
from vod2strmfs.library.kinds import ROOT_NODE, NodeKind
from vod2strmfs.library.names import fold

ROOT = 1
"""The id of the output root."""
NO_NODE = -2
"""The node of a folder that was found on disk, whose node in the index is not known yet."""


class FolderState(IntEnum):
    """How a folder on disk compares with what is wanted."""

    NEW = 0
    """The folder was never finished, so that nothing is known of it."""
    CHANGED = 1
    """The folder was finished, and something else is wanted in it since."""
    SETTLED = 2
    """The folder is as wanted."""
    WATCHED = 3
    """The folder is as wanted, but for files of somebody else in our files' places. Every run compares it."""
    GONE = 4
    """The folder is no longer wanted."""


_SCHEMA_VERSION = 1
_PAGE = 1024

_NO_FILES = "x'90'"
"""An empty list of NodeFiles, encoded, as a literal of SQL."""
_IS_WANTED = f"state != {FolderState.GONE:d}"
_IS_STALE = f"state = {FolderState.GONE:d} OR leftovers != {_NO_FILES}"
_IS_FINISHED = f"state IN ({FolderState.SETTLED:d}, {FolderState.WATCHED:d})"
"""Conditions on a folder. SQLite uses `folder_stale` only where its condition is said in the same words."""

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
    state INTEGER NOT NULL,            -- a FolderState
    seen INTEGER NOT NULL,             -- the directory's mtime when it was last finished
    items BLOB NOT NULL,               -- what is wanted in it: encode(list of NodeFiles)
    leftovers BLOB NOT NULL,           -- what was written into it and is no longer wanted, in the same form
    UNIQUE (parent, fold)
);
CREATE INDEX folder_children ON folder (parent);
CREATE INDEX folder_node ON folder (node);
CREATE INDEX folder_stale ON folder (id) WHERE {_IS_STALE};
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO folder VALUES
    ({ROOT}, 0, {NodeKind.ROOT:d}, '', '', {ROOT_NODE}, '', '', 0, 0, {FolderState.NEW:d}, 0, {_NO_FILES}, {_NO_FILES});
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


class WantedFile(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """A file that is wanted in a folder, or was."""

    name: str
    slot: int
    size: int
    mtime: int
    """Nanoseconds since the epoch."""
    digest: int
    earlier: tuple[int, ...] = ()
    """Digests of other contents of ours that may stand under this name on disk."""
    image: str = ""
    """What an image is called where images are stored."""


class NodeFiles(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The files that one node has in a folder."""

    node: int
    kind: int
    uuid: str
    files: tuple[WantedFile, ...]


class Folder(NamedTuple):
    """A folder of the output, without what is in it: a row of `folder`, whose columns are described there."""

    id: int
    parent: int
    kind: int
    name: str
    node: int
    mtime: int
    state: int
    finished_mtime: int


class Plan(NamedTuple):
    """A folder and what is in it: a whole row of `folder`."""

    folder: Folder
    uuid: str
    stream: str
    items: bytes
    leftovers: bytes


class NewFolder(NamedTuple):
    """A folder that is to be added, and what is wanted in it."""

    folder: Folder
    """Its id is of no matter."""
    uuid: str
    stream: str
    items: Sequence[NodeFiles]


_FOLDER = "id, parent, kind, name, node, mtime, state, seen"
_PLAN = f"{_FOLDER}, uuid, stream, items, leftovers"
_FOLDER_COLUMNS = len(Folder._fields)

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[NodeFiles]).decode


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
        self._settled: list[tuple[object, ...]] = []
        """What `settle` noted and is not written yet: many at once take half the time."""
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
        """Make ready for changes, and drop what a run that was cut off was about to forget: it may not be safe."""
        self._run(_SAFE)
        self._run("DELETE FROM safe")

    def close(self) -> None:
        """Forget what was not committed, and close the file."""
        self._connection.close()

    def check(self) -> None:
        """Read the whole manifest, and start with an empty one if it is damaged."""
        if not any(self._is_sound() for _ in range(LOOKS_AT_DAMAGE)):
            self._connection.close()
            self._put_aside()
            self._connection = self._open()

    def _is_sound(self) -> bool:
        try:
            return bool(self._connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False

    def commit(self) -> None:
        """Make every change so far last, whatever becomes of the run."""
        if not self._dry_run:
            self.before_commit()
            self._run("COMMIT")
            self._run("BEGIN")

    def get(self, name: str) -> str:
        """A fact about the root, by its name; "" if it was never put."""
        row = self._run("SELECT value FROM fact WHERE name = ?", name).fetchone()
        return row[0] if row else ""

    def put(self, name: str, value: str) -> None:
        """Set a fact about the root."""
        self._run("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, value)

    def folder(self, folder: int) -> Folder:
        """A folder by its id."""
        return Folder._make(self._run(f"SELECT {_FOLDER} FROM folder WHERE id = ?", folder).fetchone())

    def plan(self, folder: int) -> Plan:
        """A folder, by its id, and what is in it."""
        return _plan(self._run(f"SELECT {_PLAN} FROM folder WHERE id = ?", folder).fetchone())

    def children(self, parent: int) -> Iterator[Folder]:
        """The wanted folders in a folder, in order of id. They may be changed while one goes through them."""
        return self._pages(
            f"SELECT {_FOLDER} FROM folder INDEXED BY folder_children WHERE parent = ? AND {_IS_WANTED}", parent
        )

    def holds_folders(self, parent: int) -> bool:
        """Whether a folder holds any, wanted or not."""
        return self._count("SELECT EXISTS (SELECT 1 FROM folder WHERE parent = ?)", parent) > 0

    def child(self, parent: int, name: str) -> Plan | None:
        """The folder in a folder that has a name, whatever its case or Unicode form; None if there is none."""
        row = self._run(f"SELECT {_PLAN} FROM folder WHERE parent = ? AND fold = ?", parent, fold(name)).fetchone()
        return _plan(row) if row else None

    def by_node(self, node: int) -> Plan | None:
        """The folder of a node of the index, a wanted one first; None if there is none."""
        row = self._run(f"SELECT {_PLAN} FROM folder WHERE node = ? ORDER BY state LIMIT 1", node).fetchone()
        return _plan(row) if row else None

    def stale(self) -> Iterator[Folder]:
        """The folders that are no longer wanted, or hold files that are not."""
        return self._pages(f"SELECT {_FOLDER} FROM folder WHERE ({_IS_STALE})")

    def finished_mtimes(self) -> Iterator[tuple[int, int, int, str, int, int]]:
        """Id, parent, kind, name, state and finished mtime (ns) of every wanted folder but the root, in order of id."""
        return self._rows(f"SELECT id, parent, kind, name, state, seen FROM folder WHERE {_IS_WANTED}", after=ROOT)

    def path(self, folder: Folder) -> tuple[Folder, ...]:
        """The folders on the way from the root, which is not among them, to a folder, which is the last."""
        parts = []
        while folder.id != ROOT:
            parts.append(folder)
            folder = self.folder(folder.parent)
        return tuple(reversed(parts))

    def count_wanted(self, parent: int) -> int:
        """The number of wanted folders in a folder."""
        return self._count(f"SELECT count(*) FROM folder WHERE parent = ? AND {_IS_WANTED}", parent)

    def count_strms(self, kind: NodeKind, top: int = ROOT) -> int:
        """The number of .strm files that are wanted in folders of a kind, in the folder of a shelf; in the root, in no
        shelf's."""
        return self._count(
            f"""WITH RECURSIVE below (id) AS (
                SELECT ?2 UNION ALL SELECT folder.id FROM folder JOIN below ON folder.parent = below.id
                WHERE folder.kind NOT IN ({NodeKind.SHELF:d}, {NodeKind.MOVIE:d}, {NodeKind.SEASON:d}))
            SELECT coalesce(sum(strms), 0) FROM folder
            WHERE parent IN (SELECT id FROM below) AND kind = ?1 AND {_IS_WANTED}""",
            kind,
            top,
        )

    def count_folders(self) -> int:
        """The number of wanted folders, the root included."""
        return self._count(f"SELECT count(*) FROM folder WHERE {_IS_WANTED}")

    def add(self, folders: Sequence[NewFolder]) -> list[Folder]:
        """Add folders.

        Returns:
            The same folders with their ids, in the same order.
        """
        first = self._count("SELECT max(id) + 1 FROM folder")
        added = [new.folder._replace(id=number) for number, new in enumerate(folders, first)]
        rows = [
            (
                folder.id, folder.parent, folder.kind, folder.name, fold(folder.name), folder.node, uuid, stream,
                _strms(items), folder.mtime, folder.state, folder.finished_mtime, encode(items),
            )
            for folder, (_, uuid, stream, items) in zip(added, folders, strict=True)
        ]  # fmt: skip
        self._run_many(f"INSERT INTO folder VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {_NO_FILES})", rows)
        return added

    def change(
        self, folder: Folder, uuid: str, stream: str, items: Sequence[NodeFiles], leftovers: Sequence[NodeFiles]
    ) -> None:
        """Note the node, mtime and state of a folder, what it is for, and what is in it."""
        self._run(
            "UPDATE folder SET kind = ?, node = ?, uuid = ?, stream = ?, strms = ?, mtime = ?, state = ?, items = ?,"
            " leftovers = ? WHERE id = ?",
            folder.kind, folder.node, uuid, stream, _strms(items), folder.mtime, folder.state, encode(items),
            encode(leftovers), folder.id,
        )  # fmt: skip

    def begin_move(self, folder: int, parent: int, name: str) -> None:
        """Note on disk that a folder is about to be moved. A run may be killed between the move and `end_move`."""
        self.put("move", f"{folder} {parent} {name}")
        self.commit()

    def moving(self) -> tuple[Folder, Folder, str] | None:
        """The folder of a move that was cut off, and the parent and the name that it was to get; None if none was."""
        fact = self.get("move")
        if not fact:
            return None
        folder, parent, name = fact.split(" ", 2)
        return self.folder(int(folder)), self.folder(int(parent)), name

    def end_move(self, *, moved: bool) -> None:
        """Note whether the folder stands at its new place, and make it last."""
        folder, parent, name = self.get("move").split(" ", 2)
        if moved:
            self.reopen(self.folder(int(folder)).parent)
            self.reopen(int(parent))
            self._run(
                "UPDATE folder SET parent = ?, name = ?, fold = ? WHERE id = ?",
                int(parent), name, fold(name), int(folder),
            )  # fmt: skip
        self.put("move", "")
        self.commit()

    def settle(self, folder: int, state: FolderState, finished_mtime: int) -> None:
        """Note the state of a folder, and its mtime (ns), when it is finished."""
        self._settled.append((state, finished_mtime, folder))

    def note_items(self, folder: int, items: Sequence[NodeFiles], leftovers: Sequence[NodeFiles]) -> None:
        """Note what is in a folder now, for `forget_former`."""
        self._run("INSERT OR REPLACE INTO safe VALUES (?, ?, ?)", folder, encode(items), encode(leftovers))

    def forget_former(self) -> None:
        """Forget what was in folders before `note_items`. Until the new files are flushed to the disk, the former ones
        may come back, and have to be known as ours."""
        self._run(
            "UPDATE folder SET items = safe.items, leftovers = safe.leftovers FROM safe WHERE safe.id = folder.id"
        )
        self._run("DELETE FROM safe")

    def clear_leftovers(self, folder: int) -> None:
        """Note that nothing is in a folder but what is wanted."""
        self._run(f"UPDATE folder SET leftovers = {_NO_FILES} WHERE id = ?", folder)

    def reopen(self, folder: int) -> None:
        """Mark a finished folder as changed, so that the next run compares it whatever becomes of this one."""
        self._run(f"UPDATE folder SET state = {FolderState.CHANGED:d} WHERE id = ? AND {_IS_FINISHED}", folder)

    def let_go(self, folder: int) -> None:
        """Note that a folder, and every folder below it, is no longer wanted."""
        self._run("UPDATE folder SET state = ? WHERE id = ?", FolderState.GONE, folder)
        for child in self.children(folder):
            self.let_go(child.id)

    def forget(self, folder: int) -> None:
        """Delete the row of a folder that has nothing of ours left. Those of the folders in it have to go before."""
        self._run("DELETE FROM folder WHERE id = ?", folder)

    def forget_below(self, folder: int) -> None:
        """Delete the rows of all folders below a folder: what is in them is the user's."""
        for child in self._pages(f"SELECT {_FOLDER} FROM folder WHERE parent = ?", folder):
            self.forget_below(child.id)
            self.forget(child.id)

    def _pages(self, query: str, *parameters: object) -> Iterator[Folder]:
        return map(Folder._make, self._rows(query, *parameters))

    def _rows(self, query: str, *parameters: object, after: int = 0) -> Iterator[Any]:
        """The rows of a query that ends with a condition, in order of id; read by pages, so that rows may be changed
        meanwhile."""
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
        aside = set_aside(self._path)
        _log.warning(
            "The manifest was damaged or another version's; it was moved to %s and is made again from the tree.", aside
        )

    def _run(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        self._note_settled()
        try:
            return self._connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _run_many(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._note_settled()
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _note_settled(self) -> None:
        """Write what `settle` noted, before anything else is done."""
        if self._settled:
            settled, self._settled = self._settled, []
            self._run_many("UPDATE folder SET state = ?, seen = ? WHERE id = ?", settled)

    def _problem(self, error: sqlite3.Error) -> OutputError:
        advice = "If it is damaged, delete it: it is made again from the tree."
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            advice = "Make room there and run again, or give another directory with --state-dir."
        return OutputError(f"manifest {self._path}: {error}. {advice}")


def is_unused(path: Path) -> bool:
    """Whether a root's manifest, by its path, knows of nothing that was written. False if it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            [known] = connection.execute("SELECT EXISTS (SELECT 1 FROM folder WHERE id != ?)", [ROOT]).fetchone()
    except sqlite3.Error:
        return False
    return not known


def without(items: Iterable[NodeFiles], names: Collection[str]) -> list[NodeFiles]:
    """The items without the files of some names; items without files are left out."""
    rest = [
        NodeFiles(item.node, item.kind, item.uuid, tuple(file for file in item.files if file.name not in names))
        for item in items
    ]
    return [item for item in rest if item.files]


def _plan(row: tuple[object, ...]) -> Plan:
    return Plan(Folder._make(row[:_FOLDER_COLUMNS]), *row[_FOLDER_COLUMNS:])  # type: ignore[arg-type]


def _strms(items: Sequence[NodeFiles]) -> int:
    return sum(file.name.endswith(".strm") for item in items for file in item.files)
