"""The next generation while it is being written: nodes added, changed and removed in one transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from vod2strmfs.index.changes import Change, differences
from vod2strmfs.index.store import NODE, Store
from vod2strmfs.library.contents import Record, encode, nfo_file, strm
from vod2strmfs.library.items import Category, Season
from vod2strmfs.library.kinds import FILE_KINDS, ROOT_NODE, WAITING_NODE, NodeKind
from vod2strmfs.library.names import fold
from vod2strmfs.library.naming import node_name
from vod2strmfs.library.tree import Node
from vod2strmfs.settings import LibrarySettings

_BATCH_ROWS = 2000

_NODE_COLUMNS = (
    "id, kind, parent, name, fold, alias, mtime, strm_size, strm_mtime, strm_hash, nfo_size, nfo_mtime, nfo_hash"
)
_INSERT_NODE = f"INSERT INTO node ({_NODE_COLUMNS}, held) VALUES ({', '.join('?' * 13)}, 0)"
_INSERT_CONTENT = """
    INSERT INTO content (id, kind, source, uuid, account, stream, tmdb, imdb, bad_fields, item)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FILE_KINDS = ", ".join(str(kind.value) for kind in sorted(FILE_KINDS))


class Fresh(NamedTuple):
    """An item as the catalogue has it now."""

    kind: NodeKind
    parent: int
    """Of a series: where it waits for its first episode; one that is in the index stays where it is."""
    source: int | None
    uuid: str
    account: int
    stream: str
    tmdb: str
    imdb: str
    bad_fields: int
    item: bytes
    name: str
    alias: str
    created: int
    """Nanoseconds since the epoch."""


class File(NamedTuple):
    """Size, modification time (ns) and digest of a file."""

    size: int
    mtime: int
    digest: int


NO_FILE = File(0, 0, 0)


@dataclass
class Draft:
    """The generation being made.

    Args:
        connection: to the index, in a write transaction.
        settings: the library's.
        first: whether there is no generation before it.
        now: the time that changed things get, nanoseconds since the epoch.
        next_node: the first free node id.
        everything: whether names and contents may all differ, since the settings do.
        providers: the beginning of an account's URLs, where direct URLs are wanted.
    """

    connection: sqlite3.Connection
    settings: LibrarySettings
    first: bool
    now: int
    next_node: int
    everything: bool = False
    providers: Mapping[int, str] = field(default_factory=dict)
    added: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    """Nodes changed or removed. Like the other sets, this is of no use in the first generation."""
    unnamed: set[int] = field(default_factory=set)
    """Nodes whose name has to be settled."""
    dirty: set[int] = field(default_factory=set)
    """Directories whose content, or whose files, changed."""
    series: set[int] = field(default_factory=set)
    """Series whose NFOs may have changed."""
    series_moved: bool = False
    """Whether all episodes have to be compared, since the series that they belong to or are named after changed."""
    _categories: dict[tuple[int, str], int] = field(default_factory=dict)
    nodes: list[tuple[object, ...]] = field(default_factory=list)
    contents: list[tuple[object, ...]] = field(default_factory=list)

    def add(self, fresh: Fresh) -> int:
        """Add a node; returns its id."""
        node = self.next_node
        self.next_node += 1
        strm_file, nfo = self._files(fresh)
        self.nodes.append(
            (node, fresh.kind, fresh.parent, fresh.name, fold(fresh.name), fresh.alias, fresh.created, *strm_file, *nfo)
        )
        self.contents.append((node, fresh.kind, *fresh[2:10]))
        if not self.first:
            self.added.add(node)
            self.unnamed.add(node)
            if fresh.kind == NodeKind.SERIES:
                self.series.add(node)
        if len(self.nodes) >= _BATCH_ROWS:
            self.flush()
        return node

    def flush(self) -> None:
        """Write what was added."""
        self.connection.executemany(_INSERT_NODE, self.nodes)
        self.connection.executemany(_INSERT_CONTENT, self.contents)
        self.nodes.clear()
        self.contents.clear()

    def update(self, node: int, fresh: Fresh, *, rekeyed: bool = False) -> None:
        """Give a node the content, and if need be the place and name, that its item has now.

        Args:
            node: the node's id.
            fresh: the item.
            rekeyed: the item is the same, under new keys: a new URL alone is no reason to read its folder again.
        """
        nfo_hash, strm_hash, parent = self.connection.execute(
            "SELECT nfo_hash, strm_hash, parent FROM node WHERE id = ?", (node,)
        ).fetchone()
        strm_file, nfo = self._files(fresh)
        for kind, file, before in (("strm", strm_file, strm_hash), ("nfo", nfo, nfo_hash)):
            if file.digest != before and (fresh.kind, kind) != (NodeKind.SERIES, "nfo"):
                self._set_file(node, kind, file._replace(mtime=self.now))
                if kind == "nfo" or not rekeyed:
                    self.dirty.add(node)
        is_series = fresh.kind == NodeKind.SERIES
        renamed = self.place(node, parent if is_series else fresh.parent, fresh.name, fresh.alias)
        if is_series:
            self.series.add(node)
            self.series_moved |= renamed
        self.connection.execute("UPDATE node SET held = 0 WHERE id = ?", (node,))
        self.connection.execute(
            "UPDATE content SET source = ?, uuid = ?, account = ?, stream = ?, tmdb = ?, imdb = ?, bad_fields = ?,"
            " item = ? WHERE id = ?",
            (*fresh[2:10], node),
        )
        self.changed.add(node)

    def absorb(self, node: int, arrived: int) -> None:
        """Give a node what was added to this draft as another one: it is the same item, under new keys."""
        row = self.connection.execute(
            "SELECT content.kind, parent, source, uuid, account, stream, tmdb, imdb, bad_fields, item, name, alias, 0"
            " FROM node JOIN content USING (id) WHERE id = ?",
            (arrived,),
        ).fetchone()
        self.remove([arrived])
        self.update(node, Fresh._make(row), rekeyed=True)

    def place(self, node: int, parent: int, name: str, alias: str = "") -> bool:
        """Put a node into a directory, under a name that has yet to be settled there.

        Returns:
            Whether it was elsewhere, or had another name before a collision changed it.
        """
        before, plain, alias_before = self.connection.execute(
            "SELECT parent, coalesce(plain, name), alias FROM node WHERE id = ?", (node,)
        ).fetchone()
        if (before, plain, bool(alias_before)) == (parent, name, bool(alias)):
            return False
        self.connection.execute(
            "UPDATE node SET parent = ?, name = ?, fold = ?, plain = NULL, alias = ? WHERE id = ?",
            (parent, name, fold(name), alias, node),
        )
        if not self.first:
            self.changed.add(node)
            self.unnamed.add(node)
            self.dirty |= {node, before, parent}
        return True

    def hold(self, nodes: Iterable[int]) -> None:
        """Keep nodes whose items are gone."""
        for node in nodes:
            if self.connection.execute("UPDATE node SET held = 1 WHERE id = ? AND held = 0", (node,)).rowcount:
                self.changed.add(node)

    def remove(self, nodes: Iterable[int]) -> None:
        """Remove nodes that have nothing below them."""
        for node in nodes:
            kind, parent = self.connection.execute(
                "DELETE FROM node WHERE id = ? RETURNING kind, parent", (node,)
            ).fetchone()
            self.connection.execute("DELETE FROM content WHERE id = ?", (node,))
            self.unnamed.discard(node)
            if node in self.added:
                self.added.discard(node)
                continue
            self.changed.add(node)
            self.dirty.add(parent)
            if kind == NodeKind.SEASON:
                self.series.add(parent)

    def season(self, series: int, title: str, number: int | None, created: int) -> int:
        """Add a season to a series; returns its node."""
        item = Season(number, title)
        name = node_name(item, self.settings)
        self.series.add(series)
        return self.add(Fresh(NodeKind.SEASON, series, number, "", 0, "", "", "", 0, encode(item), name, "", created))

    def section(self, section: int, category: str, created: int) -> int:
        """The directory for the titles of a category: `Movies` or `TV`, or the category's own in it."""
        if self.settings.group_by == "none":
            return section
        if not self._categories:
            self._categories.update(
                ((parent, name), node)
                for parent, name, node in self.connection.execute(
                    "SELECT parent, stream, id FROM node JOIN content USING (id) WHERE node.kind = ?",
                    (NodeKind.CATEGORY,),
                )
            )
        node = self._categories.get((section, category))
        if node is None:
            item = Category(category)
            name = node_name(item, self.settings)
            node = self.add(
                Fresh(NodeKind.CATEGORY, section, None, "", 0, category, "", "", 0, encode(item), name, "", created)
            )
            self._categories[section, category] = node
        return node

    def set_nfo(self, node: int, content: bytes) -> None:
        """Note the NFO of a node that was rendered after all that it depends on was known."""
        before = self.connection.execute(
            "SELECT nfo_size, nfo_mtime, nfo_hash FROM node WHERE id = ?", (node,)
        ).fetchone()
        file = digest(content, before[1] if before[2] == 0 else self.now)
        if file.digest != before[2]:
            self._set_file(node, "nfo", file)
            if not self.first:
                self.changed.add(node)
                self.dirty.add(node)

    def set_mtimes(self) -> None:
        """Give every directory in or below which something changed the time of the change."""
        if self.first:
            self._first_mtimes()
            return
        todo = self.dirty | {self._parent(node) for node in self.added}
        todo.discard(WAITING_NODE)
        above: set[int] = set()
        while todo:
            above |= todo
            todo = {self._parent(node) for node in todo} - above - {WAITING_NODE}
        self.connection.executemany(
            f"UPDATE node SET mtime = max(?, mtime + 1) WHERE id = ? AND kind NOT IN ({_FILE_KINDS})",
            [(self.now, node) for node in above],
        )
        self.changed |= above

    def differences(self, before: Store) -> Iterator[Change]:
        """What a reader of the generation before has to forget."""
        for node in sorted(self.changed):
            row = self.connection.execute(NODE, (node,)).fetchone()
            yield from differences(before.node(node), Node._make(row) if row else None, before.settings, self.settings)

    def _parent(self, node: int) -> int:
        row = self.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
        return int(row[0]) if row else ROOT_NODE

    def _first_mtimes(self) -> None:
        """At first sight a directory is as old as the newest thing in it: the same on every host."""
        newest = "SELECT max(max(mtime, strm_mtime, nfo_mtime)) FROM node AS below WHERE below.parent = node.id"
        for kind in (NodeKind.MOVIE, NodeKind.SEASON, NodeKind.SERIES, NodeKind.CATEGORY, NodeKind.SECTION):
            self.connection.execute(
                f"UPDATE node SET mtime = max(mtime, coalesce(({newest}), 0)) WHERE kind = ?", (kind,)
            )
        self.connection.execute(f"UPDATE node SET mtime = coalesce(({newest} AND id != 0), 0) WHERE id = 0")

    def _set_file(self, node: int, kind: str, file: File) -> None:
        self.connection.execute(
            f"UPDATE node SET {kind}_version = {kind}_version + ({kind}_hash != 0),"
            f" {kind}_size = ?, {kind}_mtime = ?, {kind}_hash = ? WHERE id = ?",
            (*file, node),
        )

    def _files(self, fresh: Fresh) -> tuple[File, File]:
        """The .strm and the .nfo as they are at first sight."""
        if fresh.kind == NodeKind.CATEGORY:
            return NO_FILE, NO_FILE
        provider = self.providers.get(fresh.account, "")
        record = Record(fresh.kind, fresh.uuid, fresh.account, fresh.stream, fresh.item, provider=provider)
        if fresh.kind == NodeKind.SERIES:
            # tvshow.nfo lists the seasons: it is rendered when they are known.
            return NO_FILE, File(0, fresh.created, 0)
        strm_file = nfo = NO_FILE
        if fresh.kind != NodeKind.VERSION:
            nfo = digest(nfo_file(record, self.settings), fresh.created)
        if fresh.kind in FILE_KINDS or (fresh.kind == NodeKind.MOVIE and self.settings.versions == "best"):
            strm_file = digest(strm(record, self.settings), fresh.created)
        return strm_file, nfo


def digest(content: bytes, mtime: int) -> File:
    """A file's size, time and 64-bit digest (never 0, which stands for a file not rendered yet)."""
    value = int.from_bytes(blake2b(content, digest_size=8).digest(), "little", signed=True)
    return File(len(content), mtime, value or 1)
