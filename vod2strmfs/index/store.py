"""Reading the index: one generation at a time, by point queries."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, Change, What
from vod2strmfs.index.file import FILE_NAME, WRONG_TYPES, connect
from vod2strmfs.index.held import Held
from vod2strmfs.index.read_ahead import Ahead
from vod2strmfs.library import stats_csv as stats
from vod2strmfs.library.contents import Record, long_strm
from vod2strmfs.library.item_names import mark_of
from vod2strmfs.library.kinds import KINDS_WITHIN, WAITING_NODE, NodeKind, Slot, slot_of
from vod2strmfs.library.names import fold
from vod2strmfs.library.tree import Node
from vod2strmfs.settings import LibrarySettings

_COLUMNS = "id, kind, parent, name, alias, mtime, strm_size, strm_mtime, strm_version, nfo_size, nfo_mtime, nfo_version"
_NODE = f"SELECT {_COLUMNS} FROM node WHERE id = ?"
_OTHER_KEY = "CASE WHEN lower(name) IS NOT fold THEN fold END"
"""Of most names the folded form is nothing but lower case, which SQLite sees quickly; the others' is given."""
_NAME = Node.__struct_fields__.index("name")
_NODES = f"SELECT {_COLUMNS}, {_OTHER_KEY} FROM node WHERE id BETWEEN ? AND ?"
_CHILD = f"SELECT {_COLUMNS}, lower(name) IS NOT ? FROM node WHERE parent = ? AND fold = ?"
_CHILD_BY_ALIAS = f"SELECT {_COLUMNS} FROM node WHERE parent = ? AND alias = ?"
_CHILDREN = "SELECT id FROM node INDEXED BY node_children WHERE parent = ? AND id > ? ORDER BY id LIMIT ?"
_DETAILS = f"""
    SELECT {", ".join("node." + column for column in Node.__struct_fields__)}, strm_hash, nfo_hash,
        {_OTHER_KEY}, content.kind, uuid, account, stream, item
    FROM node INDEXED BY node_children LEFT JOIN content ON content.id = node.id
    WHERE parent = ? AND node.id > ? ORDER BY node.id LIMIT ?"""
_BEFORE = "SELECT count(*), sum(id) FROM node INDEXED BY node_children WHERE parent = ? AND id BETWEEN 1 AND ?"
_BY_NAME = "SELECT count(*), sum(id) FROM node INDEXED BY node_name WHERE parent = ? AND id > 0"
_CHECK = f"""
    SELECT count(*), sum(id), count(*) FILTER (
        WHERE kind NOT IN ({{kinds}}) OR {WRONG_TYPES})
    FROM node INDEXED BY node_children WHERE parent = ?"""
_OTHER_KEYS = "SELECT id, name, fold FROM node INDEXED BY node_children WHERE parent = ? AND lower(name) IS NOT fold"
_NEWEST_CHANGES = "SELECT generation, what, inode, parent FROM change ORDER BY rowid DESC"
_RECORDS = "SELECT id, kind, uuid, account, stream, item FROM content WHERE id BETWEEN ? AND ?"
_SEASONS = """
    SELECT content.source FROM node JOIN content USING (id) WHERE node.parent = ? ORDER BY source IS NULL, source"""

_NO_KINDS: frozenset[NodeKind] = frozenset()
_LARGE_DIRECTORY = 1000
"""So many children take a while to count, and few directories have them."""
_NODES_BYTES = 32 << 20
"""Room for 80,000 nodes: what a scan has listed is still there when it looks into it."""
_RECORDS_BYTES = 8 << 20
_NODE_BYTES = 400
_RECORD_BYTES = 400
"""Of memory, roughly: a node; a record without its item."""


Identity = tuple[int, int]


class Size(NamedTuple):
    """How much there is in a tree."""

    bytes: int
    entries: int
    """Files and directories."""


class Detail(NamedTuple):
    """A node, with what its files' contents are made from and known by."""

    node: Node
    strm_hash: int
    """A digest of the content; see `library.rendered.content_digest`."""
    nfo_hash: int
    record: Record


_REMARKS = f"""
    SELECT content.kind, coalesce(series.name, ''), coalesce(season.name, ''), node.name, content.uuid, what, node.plain
    FROM (
        SELECT id, 'collision' AS what FROM node WHERE plain IS NOT NULL
        UNION ALL SELECT id, 'cut' FROM node WHERE cut
        UNION ALL SELECT id, CASE held WHEN 1 THEN 'held' ELSE 'not renamed' END FROM node WHERE held
        UNION ALL SELECT id, 'long url' FROM node WHERE strm_size >= :long
        UNION ALL SELECT id, 'no episodes' FROM node WHERE kind = {NodeKind.SERIES:d} AND parent = {WAITING_NODE}
        UNION ALL SELECT id, 'bad fields' FROM content WHERE bad_fields > 0
    ) JOIN node USING (id) JOIN content USING (id)
    LEFT JOIN node AS season ON season.id = node.parent AND season.kind = {NodeKind.SEASON:d}
    LEFT JOIN node AS series ON series.id = season.parent
    UNION ALL
    SELECT CASE kind WHEN 'movie' THEN {NodeKind.MOVIE:d} WHEN 'series' THEN {NodeKind.SERIES:d}
        ELSE {NodeKind.EPISODE:d} END, '', '', title, uuid, 'filtered', setting
    FROM filtered"""


class Remark(NamedTuple):
    """Something that is not in the tree, or not as one would expect."""

    kind: int
    """A NodeKind."""
    series: str
    """Of an episode: the name of its series' directory, and of its season's."""
    season: str
    name: str
    uuid: str
    what: str
    """`collision`: its name was told from another's. `cut`: its name had no room for all of its title.
    `held`: gone from the catalogue, kept by the shrink brake. `not renamed`: called otherwise there, and not here.
    `no episodes`: a series that is not shown. `bad fields`: something that the provider said of it was left out.
    `filtered`: kept out by a setting."""
    detail: str | None
    """Of a collision, the name that it would have; of what is filtered, the setting."""


class Store:
    """The tree's nodes from the index of a state directory.

    An instance shows the generation that was the newest when it was made or last refreshed. It is not
    thread-safe.

    Args:
        state_dir: where the index is.

    Raises:
        IndexFileError: there is no index, or it cannot be read. So do all methods.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self.identity = identity(state_dir)
        self._version = 0
        self._stats = b""
        self.stats_version = 0
        self.generation = 0
        """The number of the generation shown; 0 while there is none."""
        self.made = 0
        """When that was made, nanoseconds since the epoch."""
        self.settings = LibrarySettings()
        """The settings that the generation was made with."""
        self._counted: set[int] = set()
        """Large directories whose listing was found to be whole."""
        self._nodes = Ahead(self._read_nodes, lambda node: _NODE_BYTES, _NODES_BYTES)
        self._records = Ahead(self._read_records, lambda record: _RECORD_BYTES + len(record.item), _RECORDS_BYTES)
        with ExitStack() as opened:
            self._connection = opened.enter_context(closing(connect(state_dir)))
            self._watch = opened.enter_context(closing(connect(state_dir)))
            self.refresh()
            opened.pop_all()

    @staticmethod
    def exists(state_dir: Path) -> bool:
        """Whether there is an index."""
        return os.path.exists(state_dir / FILE_NAME)

    def replaced(self) -> bool:
        """Whether the index file is no longer the one that was opened."""
        return identity(self._path.parent) != self.identity

    def close(self) -> None:
        """Close the index."""
        self._connection.close()
        self._watch.close()

    def outdated(self) -> bool:
        """Whether anything was written to the index since the last refresh. Costs microseconds."""
        with _reading():
            return bool(self._watch.execute("PRAGMA data_version").fetchone()[0] != self._version)

    def begin_anew(self) -> bool:
        """Show what is shown, without being in the way of the log being written from its beginning.

        A reader keeps the log from that unless it has begun after all of the log was copied into the file; see
        `checkpoint`. Costs microseconds.

        Returns:
            Whether that is still the newest generation; otherwise `refresh` has to follow before anything is read.
        """
        with _reading():
            self._begin()
        return not self.outdated()

    def _begin(self) -> tuple[Any, ...]:
        """Begin to see what is the newest now; returns what the generation says of itself."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")
        head: tuple[Any, ...] = self._connection.execute(
            "SELECT number, made, settings, stats FROM generation"
        ).fetchone()
        return head

    def refresh(self) -> None:
        """Show the newest generation from now on."""
        self._nodes.clear()
        self._records.clear()
        self._counted.clear()
        with _reading():
            self._version = self._watch.execute("PRAGMA data_version").fetchone()[0]
            generation = self._begin()
            self._providers: dict[int, str] = dict(self._connection.execute("SELECT account, url FROM provider"))
            attempt = self._connection.execute("SELECT failing_since, error, compared FROM attempt").fetchone()
        try:
            number, made, settings, metrics = generation
            failing_since, error, compared = attempt
            if number and number != self.generation:
                self.settings = _library_settings(settings)
            self.held = [Held(*each) for each in json.loads(metrics).get("held", ())]
            """What the shrink brake holds."""
            self.metrics = _metrics(number, made, json.loads(metrics), failing_since)
            """What was counted; see `library.stats`."""
            text = stats.render(self.metrics)
        except (ValueError, TypeError, AttributeError, OverflowError, OSError) as problem:
            raise IndexFileError("the index is damaged: what it says of its generation cannot be read.") from problem
        self.generation = number
        self.made = made
        self.stats_version += text != self._stats
        self._stats = text
        self._stats_mtime: int = max(made, failing_since * 10**9)
        self.failing_since: int = failing_since
        self.error: str = error
        self.compared: int = compared

    @property
    def size(self) -> Size:
        """What the tree holds."""
        counted = {metric: value for scope, metric, value in self.metrics if scope == "filesystem"}
        files = sum(int(counted.get(metric, 0)) for metric in ("directories", "strm_files", "nfo_files"))
        return Size(int(counted.get("bytes", 0)), files)

    @property
    def asked(self) -> int:
        """How many rows were asked for by their numbers."""
        return self._nodes.asked + self._records.asked

    @property
    def missed(self) -> int:
        """For how many of these the index file had to be read."""
        return self._nodes.missed + self._records.missed

    def node(self, node: int) -> Node | None:
        """See `Tree`'s `Store`."""
        return self._nodes.get(node)

    def child(self, parent: int, key: str) -> Node | None:
        """See `Tree`'s `Store`."""
        for *columns, is_other in self._query(_CHILD, key, parent, key):
            node = Node(*columns)
            if is_other:
                _check_names([(node.id, node.name, key)])
            return node
        return None

    def child_by_alias(self, parent: int, alias: str) -> Node | None:
        """See `Tree`'s `Store`."""
        rows = self._query(_CHILD_BY_ALIAS, parent, alias)
        return Node(*rows[0]) if rows else None

    def children(self, parent: int, after: int, limit: int) -> list[Node]:
        """See `Tree`'s `Store`."""
        rows = self._query(_CHILDREN, parent, after, limit)
        nodes = [node for (number,) in rows if (node := self._nodes.get(number)) is not None]
        if len(nodes) != len(rows):
            raise IndexFileError(f"the index is damaged: it lacks children of node {parent}.")
        self._check_listing(parent, after, nodes, limit)
        return nodes

    def details(self, parent: int, after: int, limit: int) -> list[Detail]:
        """The same nodes as `children`, which must not be those of the root, with details."""
        width = len(Node.__struct_fields__)
        rows = self._query(_DETAILS, parent, after, limit)
        _check_names((row[0], row[_NAME], row[width + 2]) for row in rows if row[width + 2] is not None)
        details = [
            Detail(
                Node(*row[:width]),
                row[width],
                row[width + 1],
                self._with_seasons(row[0], self._make_record(*row[width + 3 :])),
            )
            for row in rows
        ]
        for detail in details:
            if detail.record.item is None:
                raise IndexFileError(f"the index is damaged: it holds no content of node {detail.node.id}.")
        self._check_listing(parent, after, [detail.node for detail in details], limit)
        return details

    def _check_listing(self, parent: int, after: int, children: Sequence[Node], limit: int) -> None:
        """Make sure that a part of a listing holds nothing wrong, and its end, before anybody believes it, that nothing
        is lacking.

        Args:
            parent: the directory.
            after: the child before this part of the listing.
            children: those in this part.
            limit: fewer of them are the end of the listing.
        """
        node = self.node(parent)
        kinds = KINDS_WITHIN.get(node.kind, _NO_KINDS) if node is not None else _NO_KINDS
        whole = kinds.issuperset([child.kind for child in children])
        if whole and len(children) < limit and parent not in self._counted:
            whole = self._is_whole(parent, after, children)
        if not whole:
            raise _untellable(parent)

    def _is_whole(self, parent: int, after: int, rest: Sequence[Node]) -> bool:
        """Whether a listing has everything, by what is in its last part.

        SQLite does not notice every damage. But the file has the children in two B-trees, and what a page of the one
        has lost, the other still has.
        """
        count, total = self._query(_BEFORE, parent, after)[0] if after > 0 else (0, None)
        [named] = self._query(_BY_NAME, parent)
        counted = count + len(rest), (total or 0) + sum(node.id for node in rest)
        if counted != (named[0], named[1] or 0):
            return False
        if counted[0] > _LARGE_DIRECTORY:
            self._counted.add(parent)
        return True

    def check(self, parent: int) -> None:
        """See `Tree`'s `Store`. Much faster than to read them."""
        if parent in self._counted:
            return
        node = self.node(parent)
        kinds = KINDS_WITHIN.get(node.kind, _NO_KINDS) if node is not None else _NO_KINDS
        query = _CHECK.format(kinds=", ".join(f"{kind:d}" for kind in sorted(kinds)))
        [(count, total, wrong)] = self._query(query, parent)
        [named] = self._query(_BY_NAME, parent)
        if wrong or (count, total) != tuple(named):
            raise _untellable(parent)
        _check_names(self._query(_OTHER_KEYS, parent))
        if count > _LARGE_DIRECTORY:
            self._counted.add(parent)

    def count(self, kinds: Set[int]) -> int:
        """How many nodes of some kinds the tree shows. Goes through the whole index."""
        marks = ", ".join("?" * len(kinds))
        with _reading():
            [number] = self._connection.execute(
                f"SELECT count(*) FROM node WHERE parent != {WAITING_NODE} AND kind IN ({marks})", sorted(kinds)
            ).fetchone()
        return int(number)

    def record(self, node: int) -> Record:
        """See `Tree`'s `Store`."""
        record = self._records.get(node)
        if record is None:
            raise IndexFileError(f"the index holds no content of node {node}")
        return self._with_seasons(node, record)

    def stats(self) -> bytes:
        """See `Tree`'s `Store`."""
        return self._stats

    def stats_mtime(self) -> int:
        """See `Tree`'s `Store`."""
        return self._stats_mtime

    def remarks(self) -> Iterator[Remark]:
        """What a report should list, so that nothing is dropped or renamed in silence."""
        with _reading():
            yield from map(
                Remark._make, self._connection.execute(_REMARKS, {"long": long_strm(self.settings.media_server)})
            )

    def changes(self, since: int, until: int) -> Iterator[Change] | None:
        """What the generations after `since`, up to `until`, changed; None if that is no longer known."""
        if self.generation - since > GENERATIONS_REMEMBERED:
            return None
        return self._changes(since, until)

    def _changes(self, since: int, until: int) -> Iterator[Change]:
        with _reading():
            yield from map(
                Change._make,
                self._connection.execute(
                    "SELECT what, inode, parent, name FROM change WHERE generation > ? AND generation <= ?",
                    (since, until),
                ),
            )

    def changed_folders(self, since: int) -> Iterator[int] | None:
        """The directories, by their inodes, whose listings the generations after `since` changed, some of them more
        than once; None if that is no longer known."""
        if self.generation - since > GENERATIONS_REMEMBERED:
            return None
        return self._changed_folders(since)

    def _changed_folders(self, since: int) -> Iterator[int]:
        last = 0
        with _reading():
            # The newest stand last, so this reads no others.
            for generation, what, inode, parent in self._connection.execute(_NEWEST_CHANGES):
                if generation <= since:
                    return
                if what != What.ATTRIBUTES_CHANGED and parent != last:
                    yield parent
                    last = parent
                if what != What.ATTRIBUTES_CHANGED and slot_of(inode) == Slot.FOLDER:
                    yield inode

    def _read_nodes(self, first: int, last: int) -> dict[int, Node]:
        rows = self._query(_NODES, first, last)
        _check_names((row[0], row[_NAME], row[-1]) for row in rows if row[-1] is not None)
        return {row[0]: Node(*row[:-1]) for row in rows}

    def _read_records(self, first: int, last: int) -> dict[int, Record]:
        """Without seasons."""
        return {row[0]: self._make_record(*row[1:]) for row in self._query(_RECORDS, first, last)}

    def _make_record(self, kind: int, uuid: str, account: int, stream: str, item: bytes) -> Record:
        return Record(kind, uuid, account, stream, item, provider=self._providers.get(account, ""))

    def _with_seasons(self, node: int, record: Record) -> Record:
        if record.kind != NodeKind.SERIES:
            return record
        with _reading():
            return of_series(self._connection, node, record)

    def _query(self, query: str, *arguments: object) -> list[Any]:
        try:
            return self._connection.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(error) from error


def _untellable(parent: int) -> IndexFileError:
    return IndexFileError(f"the index is damaged: what directory {parent} holds cannot be told.")


def _check_names(nodes: Iterable[tuple[int, str, str]]) -> None:
    """Make sure of nodes, by their id, name and folded name, that they are called what they were stored under."""
    for node, name, key in nodes:
        if fold(name) != key:
            raise IndexFileError(f"the index is damaged: it holds another name of node {node} than it should.")


def of_series(connection: sqlite3.Connection, node: int, record: Record) -> Record:
    """The record of a series with what the generation that a connection sees, or writes, has around it."""
    seasons = tuple(number for (number,) in connection.execute(_SEASONS, (node,)))
    names = connection.execute("SELECT name, plain FROM node WHERE id = ?", (node,)).fetchone()
    if names is None:
        raise IndexFileError(f"the index is damaged: it lacks directory {node}.")
    return record._replace(seasons=seasons, mark=mark_of(*names))


def node_in(connection: sqlite3.Connection, node: int) -> Node | None:
    """A node of the generation that a connection sees, or writes."""
    row = connection.execute(_NODE, (node,)).fetchone()
    return Node(*row) if row else None


def arrived_nodes(connection: sqlite3.Connection, first: int) -> Iterator[Node]:
    """The nodes from an id on whose parent is an older one, of the generation that a connection writes."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM node WHERE id >= ?1 AND parent < ?1", (first,))
    return (Node(*row) for row in rows)


def _library_settings(text: str) -> LibrarySettings:
    """The settings as another version of this program may have written them."""
    known = {name: value for name, value in json.loads(text).items() if name in LibrarySettings.model_fields}
    try:
        return LibrarySettings.model_validate(known)
    except ValidationError as error:
        raise IndexFileError("the index was made with settings that this version does not know") from error


def identity(state_dir: Path) -> Identity | None:
    """The index file of a state directory, as told from one that takes its place; None if there is none."""
    try:
        stat = (state_dir / FILE_NAME).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _unreadable(error) from error


def _unreadable(error: sqlite3.Error) -> IndexFileError:
    return IndexFileError(f"the index cannot be read: {error}")


def _metrics(number: int, made: int, counted: dict[str, dict[str, int]], failing_since: int) -> list[stats.Metric]:
    rows: list[stats.Metric] = [
        ("index", "generation", number),
        ("index", "made", _timestamp(made // 10**9)),
        ("index", "stale_since", _timestamp(failing_since)),
    ]
    for scope in ("database", "index", "filesystem"):
        rows += [(scope, metric, value) for metric, value in counted.get(scope, {}).items()]
    return sorted(rows, key=lambda row: ("database", "index", "filesystem").index(row[0]))


def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""
