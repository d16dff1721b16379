"""Reading the index: one generation at a time, by point queries."""

import os
import sqlite3
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.art import art_between, shows_art
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, Change, What
from vod2strmfs.index.file import FILE_NAME, connect
from vod2strmfs.index.joined import plays_others
from vod2strmfs.index.listing_check import ListingCheck, check_names
from vod2strmfs.index.metrics import Head, read_head, readable
from vod2strmfs.index.read_ahead import Ahead
from vod2strmfs.index.remarks import Remark, remarks
from vod2strmfs.index.shelves import Shelves, count_folders, shown_shelves
from vod2strmfs.library import stats_csv
from vod2strmfs.library.contents import Record
from vod2strmfs.library.item_names import mark_of
from vod2strmfs.library.kinds import (
    HIGHEST_NODE,
    KINDS_WITHIN,
    ROOT_NODE,
    WAITING_NODE,
    NodeKind,
    Slot,
    in_library,
    shelf_of,
    shelved,
    slot_of,
)
from vod2strmfs.library.tree import Node
from vod2strmfs.settings import LibrarySettings

_COLUMNS = "id, kind, parent, name, alias, mtime, strm_size, strm_mtime, strm_version, nfo_size, nfo_mtime, nfo_version"
_WIDTH = len(_COLUMNS.split(", "))
_NODE = f"SELECT {_COLUMNS} FROM node WHERE id = ?"
_OTHER_KEY = "CASE WHEN lower(name) IS NOT fold THEN fold END"
"""The folded form of a name where it is more than the name in lower case, which SQLite sees quickly; else NULL."""
_NAME = Node.__struct_fields__.index("name")
_NODES = f"SELECT {_COLUMNS}, {_OTHER_KEY} FROM node WHERE id BETWEEN ? AND ?"
_CHILD = f"SELECT {_COLUMNS}, lower(name) IS NOT ? FROM node WHERE parent = ? AND fold = ?"
_CHILD_BY_ALIAS = f"SELECT {_COLUMNS} FROM node WHERE parent = ? AND alias = ?"
_CHILDREN = "SELECT id FROM node INDEXED BY node_children WHERE parent = ? AND id > ? ORDER BY id LIMIT ?"
_DETAIL = f"""
    SELECT {", ".join("node." + column for column in _COLUMNS.split(", "))}, strm_hash, nfo_hash,
        {_OTHER_KEY}, content.kind, uuid, account, stream, item"""
_DETAILS = f"""{_DETAIL}
    FROM node INDEXED BY node_children LEFT JOIN content ON content.id = node.id
    WHERE parent = ? AND node.id > ? ORDER BY node.id LIMIT ?"""
_SHELVED_DETAILS = f"""{_DETAIL}
    FROM shelved CROSS JOIN node ON node.id = shelved.node LEFT JOIN content ON content.id = node.id
    WHERE shelf = ? AND shelved.parent = ? AND shelved.node > ? ORDER BY shelved.node LIMIT ?"""
_NEWEST_CHANGES = "SELECT generation, what, inode, parent FROM change ORDER BY rowid DESC"
_RECORDS = "SELECT id, kind, uuid, account, stream, item FROM content WHERE id BETWEEN ? AND ?"
_PLAYED_COLUMNS = (
    "coalesce(played.uuid, content.uuid), coalesce(played.account, content.account),"
    " coalesce(played.stream, content.stream), coalesce(played.item, content.item)"
)
_PLAYED_RECORDS = f"""
    SELECT content.id, kind, {_PLAYED_COLUMNS} FROM content LEFT JOIN played USING (id)
    WHERE content.id BETWEEN ? AND ?"""
_PLAYED_DETAILS, _PLAYED_SHELVED_DETAILS = (
    details.replace("uuid, account, stream, item", _PLAYED_COLUMNS).replace(
        "LEFT JOIN content ON content.id = node.id",
        "LEFT JOIN content ON content.id = node.id LEFT JOIN played ON played.id = node.id",
    )
    for details in (_DETAILS, _SHELVED_DETAILS)
)
"""The same, where the files of some nodes are made of other rows than their own; see `index.joined`."""
_SEASONS = """
    SELECT content.source FROM node JOIN content USING (id) WHERE node.parent = ? ORDER BY source IS NULL, source"""

_ENTRIES = ("directories", "strm_files", "film_files", "nfo_files", "image_files")
"""What is counted of the files and directories of a tree."""
_NO_KINDS: frozenset[int] = frozenset()
_NODES_BYTES = 4 << 20
"""Memory for 9,000 nodes. What a scan of a larger library has listed, it reads again when it comes to it: 2 µs each,
in blocks."""
_RECORDS_BYTES = 2 << 20
_NODE_BYTES = 450
_RECORD_BYTES = 400
_ART_BYTES = 300
"""Memory of a node, of a record without its item, and of an image of a node, roughly."""


Identity = tuple[int, int]
"""Device and inode number of an index file."""


class Size(NamedTuple):
    """How much there is in a tree."""

    bytes: int
    """Bytes of all files."""
    entries: int
    """Number of files and directories."""


class Detail(NamedTuple):
    """A node, with the record that its files are made from, and the digests of their contents."""

    node: Node
    strm_hash: int
    """The digest of the .strm; see `library.rendered.content_digest`."""
    nfo_hash: int
    record: Record


class Store:
    """The tree's nodes from the index of a state directory.

    A store shows the generation that was the newest when the store was made or last refreshed. It is not thread-safe.

    Args:
        state_dir: where the index is.

    Raises:
        IndexFileError: there is no index, or it cannot be read. All methods raise it.
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
        """When the generation was made, nanoseconds since the epoch."""
        self.settings = LibrarySettings()
        """The settings that the generation was made with."""
        self._listings = ListingCheck(self._query)
        self._shows_art = False
        self.shelves = Shelves(self._query, self._node, {})
        self._nodes = Ahead(self._read_nodes, _weight, _NODES_BYTES)
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
        """Begin another read transaction, so that the log can be written from its beginning again.

        A reader keeps the log from that unless the reader has begun after all of the log was copied into the file; see
        `checkpoint`. Costs microseconds.

        Returns:
            Whether what is shown is still the newest generation; if not, `refresh` has to follow before any reading.
        """
        with _reading():
            self._begin()
        return not self.outdated()

    def _begin(self) -> Head:
        """Begin a read transaction on the newest generation; returns its head."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")
        return read_head(self._connection)

    def refresh(self) -> None:
        """Show the newest generation from now on."""
        self._nodes.clear()
        self._records.clear()
        self._listings.clear()
        with _reading():
            self._version = self._watch.execute("PRAGMA data_version").fetchone()[0]
            head = self._begin()
            self._providers: dict[int, str] = dict(self._connection.execute("SELECT account, url FROM provider"))
            self._others_play = plays_others(self._connection)
            self._shows_art = shows_art(self._connection)
            self.shelves = Shelves(self._query, self._node, shown_shelves(self._connection))
            """What stands on shelves."""
        with readable():
            if head.number and head.number != self.generation:
                self.settings = head.library_settings()
            self.held = head.held()
            """What the shrink brake holds."""
            self.metrics = head.metrics()
            """What was counted; see `library.stats_csv`."""
            stats = stats_csv.render(self.metrics)
        self.generation = head.number
        self.made = head.made
        self.stats_version += stats != self._stats
        self._stats = stats
        self._stats_mtime: int = max(head.made, head.failing_since * 10**9)
        self.failing_since: int = head.failing_since
        """Since when the catalogue cannot be read, seconds since the epoch; 0 while it can."""
        self.error: str = head.error
        """Why the catalogue cannot be read; empty while it can."""
        self.compared: int = head.compared
        """When the catalogue was last compared with the index, nanoseconds since the epoch."""

    @property
    def size(self) -> Size:
        """What the tree holds."""
        counted = {metric: value for scope, metric, value in self.metrics if scope == "filesystem"}
        files = sum(int(counted.get(metric, 0)) for metric in _ENTRIES)
        return Size(int(counted.get("bytes", 0)), files)

    @property
    def asked(self) -> int:
        """Number of rows that were asked for by their ids."""
        return self._nodes.asked + self._records.asked

    @property
    def missed(self) -> int:
        """Number of rows asked for by their ids for which the index file had to be read."""
        return self._nodes.missed + self._records.missed

    def node(self, node: int) -> Node | None:
        """See `tree.Generation`."""
        return self._nodes.get(node) if node <= HIGHEST_NODE else self.shelves.node(node)

    def _node(self, node: int) -> Node | None:
        return self._nodes.get(node)

    def child(self, parent: int, key: str) -> Node | None:
        """See `tree.Generation`."""
        if parent > HIGHEST_NODE:
            shelf = shelf_of(parent)
            child = self._child(in_library(parent), key)
            return self.shelves.node(shelved(shelf, child.id)) if child is not None else None
        if parent == ROOT_NODE and self.shelves:
            return self._child_of_root(key)
        return self._child(parent, key)

    def _child_of_root(self, key: str) -> Node | None:
        child = self._child(ROOT_NODE, key)
        if child is not None and self.shelves.alone is not None:
            return self.shelves.node(shelved(self.shelves.alone.number, child.id))
        return child or self.shelves.called(key)

    def _child(self, parent: int, key: str) -> Node | None:
        for *columns, is_other in self._query(_CHILD, key, parent, key):
            [node] = self._with_art([Node(*columns)])
            if is_other:
                check_names([(node.id, node.name, key)])
            return node
        return None

    def child_by_alias(self, parent: int, alias: str) -> Node | None:
        """See `tree.Generation`."""
        rows = self._query(_CHILD_BY_ALIAS, in_library(parent), alias)
        return self._with_art([Node(*rows[0])])[0] if rows else None

    def children(self, parent: int, after: int, limit: int) -> list[Node]:
        """See `tree.Generation`."""
        if parent > HIGHEST_NODE:
            return self._shelved_children(parent, after, limit)
        if parent == ROOT_NODE and self.shelves:
            return self._children_of_root(after, limit)
        return self._children(parent, after, limit)

    def _children_of_root(self, after: int, limit: int) -> list[Node]:
        own = self._children(ROOT_NODE, after, limit) if self.shelves.alone is None and not shelf_of(after) else []
        tops = [node for top in self.shelves.tops if top > after and (node := self.shelves.node(top)) is not None]
        return [*own, *tops][:limit]

    def _shelved_children(self, parent: int, after: int, limit: int) -> list[Node]:
        page = self.shelves.children(parent, after, limit)
        if page is None:
            nodes = self._children(in_library(parent), in_library(after), limit)
        else:
            nodes = [node for number in page if (node := self._nodes.get(number)) is not None]
            if len(nodes) != len(page):
                raise IndexFileError(f"the index is damaged: it lacks what stands on shelf {shelf_of(parent)}.")
        return [self.shelves.copy(parent, node) for node in nodes]

    def _children(self, parent: int, after: int, limit: int) -> list[Node]:
        rows = self._query(_CHILDREN, parent, after, limit)
        nodes = [node for (number,) in rows if (node := self._nodes.get(number)) is not None]
        if len(nodes) != len(rows):
            raise IndexFileError(f"the index is damaged: it lacks children of node {parent}.")
        self._check_part(parent, after, nodes, limit)
        return nodes

    def details(self, parent: int, after: int, limit: int) -> list[Detail]:
        """The nodes that `children` gives, with details. The parent must not be the root, nor a shelf's directory."""
        shelf, own, last = shelf_of(parent), in_library(parent), in_library(after)
        of_shelf = shelf and self.shelves.is_topmost(parent)
        if of_shelf:
            query = _PLAYED_SHELVED_DETAILS if self._others_play else _SHELVED_DETAILS
            rows = self._query(query, shelf, own, last, limit)
        else:
            rows = self._query(_PLAYED_DETAILS if self._others_play else _DETAILS, own, last, limit)
        check_names((row[0], row[_NAME], row[_WIDTH + 2]) for row in rows if row[_WIDTH + 2] is not None)
        nodes = self._with_art([Node(*row[:_WIDTH]) for row in rows])
        details = [
            Detail(node, strm, nfo, self._with_seasons(node.id, self._make_record(*record)))
            for node, (strm, nfo, _, *record) in zip(nodes, (row[_WIDTH:] for row in rows), strict=True)
        ]
        for detail in details:
            if detail.record.item is None:
                raise IndexFileError(f"the index is damaged: it holds no content of node {detail.node.id}.")
        if not of_shelf:
            self._check_part(own, last, [detail.node for detail in details], limit)
        elif len(details) < limit:
            self.shelves.check(parent)
        if shelf:
            return [detail._replace(node=self.shelves.copy(parent, detail.node)) for detail in details]
        return details

    def check(self, parent: int) -> None:
        """See `tree.Generation`. This is much faster than to read the children."""
        if shelf_of(parent) and self.shelves.is_topmost(parent):
            self.shelves.check(parent)
            return
        parent = in_library(parent)
        self._listings.check(parent, self._kinds_within(parent))

    def _check_part(self, parent: int, after: int, nodes: Sequence[Node], limit: int) -> None:
        self._listings.check_part(parent, self._kinds_within(parent), after, nodes, limit)

    def _kinds_within(self, parent: int) -> Set[int]:
        """The kinds of node that may be in a directory."""
        node = self.node(parent)
        return KINDS_WITHIN.get(node.kind, _NO_KINDS) if node is not None else _NO_KINDS

    def count(self, kinds: Set[int]) -> int:
        """Number of nodes of some kinds that the tree shows. Goes through the whole index."""
        marks = ", ".join("?" * len(kinds))
        with _reading():
            [number] = self._connection.execute(
                f"SELECT count(*) FROM node WHERE parent != {WAITING_NODE} AND kind IN ({marks})", sorted(kinds)
            ).fetchone()
            on_shelves = count_folders(self._connection) if self.shelves else {}
        more = sum(number for kind, number in on_shelves.items() if kind in kinds)
        return more if self.shelves.alone is not None else int(number) + more

    def record(self, node: int) -> Record:
        """See `tree.Generation`."""
        if node > HIGHEST_NODE:
            node = in_library(node)
        record = self._records.get(node)
        if record is None:
            raise IndexFileError(f"the index holds no content of node {node}")
        return self._with_seasons(node, record)

    def stats(self) -> bytes:
        """See `tree.Generation`."""
        return self._stats

    def stats_mtime(self) -> int:
        """See `tree.Generation`."""
        return self._stats_mtime

    def remarks(self) -> Iterator[Remark]:
        """The remarks that a report should list, so that nothing is dropped or renamed in silence."""
        with _reading():
            yield from remarks(self._connection, self.settings)

    def changes(self, since: int, until: int) -> Iterator[Change] | None:
        """The changes of the generations after `since`, up to `until`; None if they are no longer known."""
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

    def changed_folders(self, since: int) -> Iterator[tuple[int, bool]] | None:
        """The directories, by their inodes, that the generations after `since` changed, some of them more than once:
        each with True for its listing, or False for its attributes; None if that is no longer known."""
        if self.generation - since > GENERATIONS_REMEMBERED:
            return None
        return self._changed_folders(since)

    def _changed_folders(self, since: int) -> Iterator[tuple[int, bool]]:
        last = 0
        with _reading():
            # The newest stand last, so this reads no others.
            for generation, what, inode, parent in self._connection.execute(_NEWEST_CHANGES):
                if generation <= since:
                    return
                if what == What.ATTRIBUTES_CHANGED:
                    yield inode, False
                    continue
                if parent != last:
                    yield parent, True
                    last = parent
                if slot_of(inode) == Slot.FOLDER:
                    yield inode, True

    def _read_nodes(self, first: int, last: int) -> dict[int, Node]:
        rows = self._query(_NODES, first, last)
        check_names((row[0], row[_NAME], row[-1]) for row in rows if row[-1] is not None)
        if self._shows_art:
            return {node.id: node for node in self._with_art([Node(*row[:-1]) for row in rows])}
        return {row[0]: Node(*row[:-1]) for row in rows}

    def _with_art(self, nodes: list[Node]) -> list[Node]:
        """Nodes in order of id, with their images."""
        if not self._shows_art or not nodes:
            return nodes
        with _reading():
            return with_art(self._connection, nodes)

    def _read_records(self, first: int, last: int) -> dict[int, Record]:
        """Records by node, without the seasons of series."""
        query = _PLAYED_RECORDS if self._others_play else _RECORDS
        return {row[0]: self._make_record(*row[1:]) for row in self._query(query, first, last)}

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


def _weight(node: Node) -> int:
    return _NODE_BYTES + _ART_BYTES * len(node.art) if node.art else _NODE_BYTES


def of_series(connection: sqlite3.Connection, node: int, record: Record) -> Record:
    """The record of a series with its seasons and its mark, from the generation that a connection sees, or writes.

    Raises:
        IndexFileError: the index lacks the node.
    """
    seasons = tuple(number for (number,) in connection.execute(_SEASONS, (node,)))
    names = connection.execute("SELECT name, plain FROM node WHERE id = ?", (node,)).fetchone()
    if names is None:
        raise IndexFileError(f"the index is damaged: it lacks directory {node}.")
    return record._replace(seasons=seasons, mark=mark_of(*names))


def node_in(connection: sqlite3.Connection, node: int, *, art: bool = False) -> Node | None:
    """A node, by its id, of the generation that a connection sees, or writes; None if there is none.

    Args:
        connection: to the index.
        node: the node's id.
        art: whether that generation shows images; see `index.art.shows_art`.
    """
    row = connection.execute(_NODE, (node,)).fetchone()
    if not row:
        return None
    return with_art(connection, [Node(*row)])[0] if art else Node(*row)


def with_art(connection: sqlite3.Connection, nodes: Sequence[Node]) -> list[Node]:
    """Some nodes, in order of id, with their images."""
    found = art_between(connection, nodes[0].id, nodes[-1].id)
    return [msgspec.structs.replace(node, art=art) if (art := found.get(node.id)) else node for node in nodes]


def arrived_nodes(connection: sqlite3.Connection, first: int) -> Iterator[Node]:
    """The nodes from an id on whose parents have lower ids, of the generation that a connection writes."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM node WHERE id >= ?1 AND parent < ?1", (first,))
    return (Node(*row) for row in rows)


def identity(state_dir: Path) -> Identity | None:
    """The identity of a state directory's index file, which another file in its place does not have; None if there is
    none."""
    try:
        stat = (state_dir / FILE_NAME).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def position(state_dir: Path) -> str:
    """The index file that a state directory has, and how far it is: JSON, for `follows`.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    file = identity(state_dir) or (0, 0)
    with closing(connect(state_dir)) as connection:
        now = connection.execute("SELECT number, made, next_node FROM generation").fetchone()
    return msgspec.json.encode([*file, *now]).decode()


def follows(now: str, then: str) -> bool:
    """Whether a position is of the same index as a former one, so that no node id means something else."""
    # Not by the device: its number may be another one after each start of the host.
    _, file, number, made, next_node = msgspec.json.decode(now)
    _, its_file, its_number, its_made, its_next_node = msgspec.json.decode(then)
    if number == its_number:
        return bool(made == its_made)
    return bool(file == its_file and number > its_number and next_node >= its_next_node)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _unreadable(error) from error


def _unreadable(error: sqlite3.Error) -> IndexFileError:
    return IndexFileError(f"the index cannot be read: {error}")
