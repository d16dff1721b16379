"""The next generation while it is being written: nodes added, changed and removed in one transaction."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from vod2strmfs.extract.incoming import Incoming, Keys, Traits, files_of, names_of, strm_of
from vod2strmfs.extract.versions import tagged
from vod2strmfs.library.contents import decode_kind, encode, nfo_of
from vod2strmfs.library.item_names import node_name, version_name
from vod2strmfs.library.items import (
    Category,
    Episode,
    LabelledVersion,
    Movie,
    Season,
    Series,
    Version,
)
from vod2strmfs.library.kinds import FILE_KINDS, MOVIES_NODE, TV_NODE, WAITING_NODE, NodeKind
from vod2strmfs.library.names import CutName, fold
from vod2strmfs.library.rendered import FileFacts, file_facts
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.brake import HELD_GONE, HELD_NAME, Move, Place
from vod2strmfs.sync.title_table import TitleTable
from vod2strmfs.sync.traits import Observer

_BATCH_ROWS = 2000
_SECOND = 10**9
_STEP = 60 * _SECOND
"""Nanoseconds that a clock may be set back, and the times of directories go on."""
_FILE_KINDS = ", ".join(str(kind.value) for kind in sorted(FILE_KINDS))

_NODE_COLUMNS = (
    "id, kind, parent, name, fold, alias, mtime, strm_size, strm_mtime, strm_hash, nfo_size, nfo_mtime, nfo_hash, cut"
)
_INSERT_NODE = f"INSERT INTO node ({_NODE_COLUMNS}, held) VALUES ({', '.join('?' * 14)}, 0)"
_INSERT_CONTENT = """
    INSERT INTO content (id, kind, source, uuid, account, stream, tmdb, imdb, bad_fields, item)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FACTS = "strm_size, strm_mtime, strm_hash, nfo_size, nfo_mtime, nfo_hash"


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
    """Nodes that the generation before did not have. This and the next sets are of no use in the first one."""
    changed: set[int] = field(default_factory=set)
    """Nodes that may be otherwise than in the generation before, or are gone: what has to be compared for the
    change log. What writes a node adds it, and nothing outside of this class writes one."""
    unnamed: set[int] = field(default_factory=set)
    """Nodes whose name has to be settled."""
    dirty: set[int] = field(default_factory=set)
    """Directories that hold something else than before, or whose files are others: they get a new time, and so do
    all above them. What was added makes its parent dirty by being in `added`."""
    retimed: set[int] = field(default_factory=set)
    """Directories that got a new time."""
    series: set[int] = field(default_factory=set)
    """Series of which something may have changed, or that are gone."""
    _categories: dict[tuple[int, str], int] = field(default_factory=dict)
    nodes: list[tuple[object, ...]] = field(default_factory=list)
    contents: list[tuple[object, ...]] = field(default_factory=list)
    contradicted: list[tuple[object, ...]] = field(default_factory=list)
    _released: set[int] = field(default_factory=set)
    """Nodes that were held under their names, and have been released; they may yet be held again."""
    others_play: set[int] = field(default_factory=set)
    """Nodes whose files are made of another row than their own; see `play`."""

    @cached_property
    def _observer(self) -> Observer:
        return Observer(self.settings)

    def traits_of(self, incoming: Incoming) -> Traits:
        """What there is to say of an item."""
        return self._observer.of(incoming)

    @cached_property
    def titles(self) -> TitleTable:
        """By what the rows of nodes are known, where rows may be joined to one title."""
        return TitleTable(self.connection, self._observer, are_new=self.first or self.everything)

    @cached_property
    def merging(self) -> bool:
        """Whether rows may be joined to one title."""
        return self.settings.merge != "off"

    def add(self, incoming: Incoming) -> int:
        """Add a node; returns its id."""
        node = self.next_node
        self.next_node += 1
        strm_file, nfo = incoming.files or files_of(incoming, self.settings, self.providers)
        name = incoming.name
        cut = type(name) is CutName
        self.nodes.append(
            (
                node,
                incoming.kind,
                incoming.parent,
                name,
                fold(name),
                incoming.alias,
                incoming.created,
                *strm_file,
                *nfo,
                cut,
            )
        )
        self.contents.append((node, incoming.kind, *incoming.keys))
        if incoming.kind == NodeKind.MOVIE and (what := self.traits_of(incoming).contradiction):
            self.contradicted.append((node, what))
        if self.merging:
            self.titles.add(node, incoming)
        if not self.first:
            self.added.add(node)
            self.unnamed.add(node)
            if incoming.kind == NodeKind.SERIES:
                self.series.add(node)
        if len(self.nodes) >= _BATCH_ROWS:
            self.flush()
        return node

    def flush(self) -> None:
        """Write what was added."""
        self.connection.executemany(_INSERT_NODE, self.nodes)
        self.connection.executemany(_INSERT_CONTENT, self.contents)
        self.titles.flush()
        self.connection.executemany("INSERT OR REPLACE INTO contradicted VALUES (?, ?)", self.contradicted)
        self.nodes.clear()
        self.contents.clear()
        self.contradicted.clear()

    def update(self, node: int, incoming: Incoming, *, rekeyed: bool = False) -> None:
        """Give a node the content, and if need be the place and name, that its item has now.

        Args:
            node: the node's id.
            incoming: the item.
            rekeyed: the item is the same, under new keys: a new URL alone is no reason to read its folder again.
        """
        nfo_hash, strm_hash, parent, known_as = self.connection.execute(
            "SELECT nfo_hash, strm_hash, parent, coalesce(plain, name) FROM node WHERE id = ?", (node,)
        ).fetchone()
        strm_file, nfo = incoming.files or files_of(incoming, self.settings, self.providers)
        for kind, file, before in (("strm", strm_file, strm_hash), ("nfo", nfo, nfo_hash)):
            if node in self.others_play:
                break  # `play` sets them
            if file.digest != before and (incoming.kind, kind) != (NodeKind.SERIES, "nfo"):
                self._set_file(node, kind, file._replace(mtime=self.now))
                if kind == "nfo" or not rekeyed:
                    self.dirty.add(node)
        is_series = incoming.kind == NodeKind.SERIES
        # A version's name depends on its folder's; see name_versions.
        name = known_as if incoming.kind == NodeKind.VERSION else incoming.name
        waits = is_series or parent == WAITING_NODE
        self.place(node, parent if waits else incoming.parent, name, incoming.alias)
        if self.merging:
            self.titles.update(node, incoming)
        if is_series:
            self.series.add(node)
        self.connection.execute("UPDATE node SET held = 0 WHERE id = ?", (node,))
        self.connection.execute(
            "UPDATE content SET source = ?, uuid = ?, account = ?, stream = ?, tmdb = ?, imdb = ?, bad_fields = ?,"
            " item = ? WHERE id = ?",
            (*incoming.keys, node),
        )
        if incoming.kind == NodeKind.MOVIE:
            self.connection.execute("DELETE FROM contradicted WHERE id = ?", (node,))
            if what := self.traits_of(incoming).contradiction:
                self.connection.execute("INSERT INTO contradicted VALUES (?, ?)", (node, what))
        self.changed.add(node)

    def absorb(self, node: int, arrived: int) -> None:
        """Give a node what was added to this draft as another one: it is the same item, under new keys."""
        incoming = self._stored(arrived)
        if incoming.parent == WAITING_NODE:
            [incoming.parent] = self.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
        self.remove([arrived])
        self.update(node, incoming, rekeyed=True)

    def keep_name(self, node: int, arrived: int) -> None:
        """Give a node the keys of what was added to this draft as another one, but not its name and content: its .strm
        plays what the catalogue has now."""
        kept, incoming = self._kept(node), self._stored(arrived)
        self.remove([arrived])
        own = kept.keys
        keys = incoming.keys._replace(tmdb=own.tmdb, imdb=own.imdb, bad_fields=own.bad_fields, item=own.item)
        if keys != own or self.everything:
            kept.keys = keys
            self.update(node, kept, rekeyed=True)
        self.hold([node], HELD_NAME)

    def moves(self, before: Place, incoming: Incoming) -> bool:
        """Whether an item would get another place than it has. Series that wait for episodes are not seen anywhere."""
        return before.parent != WAITING_NODE and before != self._place_of(incoming)

    def move(self, node: int, arrived: int) -> Move | None:
        """What becomes of a node's place if it takes over what was added as another one; None if it keeps it."""
        same, waits = self.connection.execute(
            "SELECT new.parent = old.parent AND coalesce(new.plain, new.name) = coalesce(old.plain, old.name),"
            " old.parent = ? FROM node AS old, node AS new WHERE old.id = ? AND new.id = ?",
            (WAITING_NODE, node, arrived),
        ).fetchone()
        if waits or (same and not self.everything):
            return None
        before, after = self._place_of(self._kept(node)), self._place_of(self._stored(arrived))
        if after.parent == WAITING_NODE:
            after = after._replace(parent=before.parent)
        return None if before == after else Move(node, before, after)

    def _place_of(self, incoming: Incoming) -> Place:
        parent = incoming.parent
        if incoming.kind == NodeKind.SERIES:
            parent = self.section_of(TV_NODE, incoming, incoming.created or self.now)
        return Place(parent, incoming.name)

    def show(self, node: int) -> None:
        """Show a movie that waits."""
        waiting = self._stored(node)
        self.place(node, waiting.parent, waiting.name)

    def label_episode(self, incoming: Incoming, label: str) -> None:
        """Give an episode, whose label is its account's name, another one; its files hold the same."""
        item = incoming.item
        assert isinstance(item, Episode)
        incoming.item = msgspec.structs.replace(item, label=label)
        incoming.keys = incoming.keys._replace(item=encode(incoming.item))
        incoming.name, incoming.alias = names_of(incoming.item, self.settings)

    def label(self, incoming: Incoming, label: str) -> None:
        """Give a version, whose label is its account's name, another one; "" for that."""
        item = incoming.item
        assert isinstance(item, Version)
        account = (item.account if isinstance(item, LabelledVersion) else "") or item.label
        incoming.item = Version(account, item.extension)
        if label and label != account:
            incoming.item = LabelledVersion(label, item.extension, account)
        incoming.keys = incoming.keys._replace(item=encode(incoming.item))
        incoming.name = version_name("", incoming.item.label, self.settings)

    def relabel(self, version: int, label: str) -> None:
        """The same for one that is in the index. It is named when its folder has its name."""
        stored = self._stored(version)
        before = stored.keys.item
        self.label(stored, label)
        if stored.keys.item != before:
            self.connection.execute("UPDATE content SET item = ? WHERE id = ?", (stored.keys.item, version))

    def put(self, node: int, parent: int) -> None:
        """Have a version or an episode stand in another folder, or wait out of sight."""
        stored = self._stored(node)
        alias = "" if isinstance(stored.item, Version) else names_of(stored.item, self.settings)[1]
        self.place(node, parent, stored.name, alias)

    def play(self, node: int, other: int, tags: tuple[str, ...] = ()) -> bool:
        """Have a movie's files be those of another one, or again its own. A series has its own, perhaps with more tags.

        Args:
            node: the movie's node.
            other: the one whose files they are to be, as they are now; `node` itself for its own.
            tags: those that the NFO has in place of its own.

        Returns:
            Whether they were others.
        """
        if other == node and not tags:
            if node not in self.others_play:
                return False
            self.connection.execute("DELETE FROM played WHERE id = ?", (node,))
            self.others_play.discard(node)
            strm_file, nfo = files_of(self._stored(node), self.settings, self.providers)
        else:
            strm_file, nfo = self._play_other(node, other, tags)
        [kind] = self.connection.execute("SELECT kind FROM content WHERE id = ?", (node,)).fetchone()
        if kind == NodeKind.SERIES:
            self.series.add(node)  # tvshow.nfo is rendered when the seasons are known
            return False
        return self._take_files(node, strm_file, nfo)

    def _play_other(self, node: int, other: int, tags: tuple[str, ...]) -> tuple[FileFacts, FileFacts]:
        """Note of what a node's files are made from now on; returns what they are."""
        *keys, data, kind = self.connection.execute(
            "SELECT id, uuid, account, stream, item, kind FROM content WHERE id = ?", (other,)
        ).fetchone()
        if other == node and not self.first:  # the node's files may have been another one's
            strm_file, nfo = files_of(self._stored(node), self.settings, self.providers)
        else:
            facts = self.connection.execute(f"SELECT {_FACTS} FROM node WHERE id = ?", (other,)).fetchone()
            strm_file, nfo = FileFacts(*facts[:3]), FileFacts(*facts[3:])
        if tags:
            item = decode_kind(data, kind)
            assert isinstance(item, Movie | Series)
            item = tagged(item, tags)
            data = encode(item)
            nfo = file_facts(nfo_of(item, self.settings), nfo.mtime)
        columns = "node, uuid, account, stream, item"
        before = self.connection.execute(f"SELECT {columns} FROM played WHERE id = ?", (node,)).fetchone()
        if (*keys, data) != before:
            self.connection.execute(
                f"INSERT OR REPLACE INTO played (id, {columns}) VALUES (?, ?, ?, ?, ?, ?)", (node, *keys, data)
            )
        self.others_play.add(node)
        return strm_file, nfo

    def _take_files(self, node: int, strm_file: FileFacts, nfo: FileFacts) -> bool:
        facts = self.connection.execute(f"SELECT {_FACTS} FROM node WHERE id = ?", (node,)).fetchone()
        differs = False
        for kind, file, before in (("strm", strm_file, facts[2]), ("nfo", nfo, facts[5])):
            if file.digest != before:
                differs = True
                self._set_file(node, kind, file if self.first else file._replace(mtime=self.now))
        if differs and self.first:
            self.connection.execute("UPDATE node SET mtime = max(mtime, strm_mtime, nfo_mtime) WHERE id = ?", (node,))
        elif differs:
            self.changed.add(node)
            self.dirty.add(node)
        return differs

    def _kept(self, node: int) -> Incoming:
        """The item of a node as the index has it, called and placed as the settings are now."""
        kept = self._stored(node)
        if self.everything:
            kept.name, kept.alias = names_of(kept.item, self.settings)
            if isinstance(kept.item, Movie):
                kept.parent = self.section(MOVIES_NODE, kept.item.category, self.now)
        return kept

    def renew(self, nodes: Iterable[int]) -> None:
        """Bring nodes whose items are gone to what the settings are now, as far as what is stored of them tells.

        A movie that has a .strm of its own keeps it until it is known again which relations it has.
        """
        for node in nodes:
            incoming = self._stored(node)
            if not isinstance(incoming.item, Version):
                incoming.name, incoming.alias = names_of(incoming.item, self.settings)
            if isinstance(incoming.item, Movie):
                incoming.parent = self.section(MOVIES_NODE, incoming.item.category, self.now)
                if not self.connection.execute("SELECT 1 FROM node WHERE parent = ? LIMIT 1", (node,)).fetchone():
                    _, nfo = files_of(incoming, self.settings, self.providers)
                    incoming.files = strm_of(incoming, self.settings, self.providers), nfo
            self.update(node, incoming)

    def _stored(self, node: int) -> Incoming:
        """The item of a node, as the draft has it."""
        kind, parent, name, cut, alias, *keys = self.connection.execute(
            "SELECT content.kind, parent, coalesce(plain, name), cut, alias,"
            " source, uuid, account, stream, tmdb, imdb, bad_fields, item"
            " FROM node JOIN content USING (id) WHERE id = ?",
            (node,),
        ).fetchone()
        known = Keys._make(keys)
        item = decode_kind(known.item, kind)
        if parent == WAITING_NODE and isinstance(item, Movie):
            parent = self.section(MOVIES_NODE, item.category, self.now)
        name = CutName(name) if cut else name
        own = self.titles.own_of(node) if self.merging and kind == NodeKind.EPISODE else 0
        return Incoming(NodeKind(kind), known, item, name, alias, created=0, parent=parent, own=own)

    def place(self, node: int, parent: int, name: str, alias: str = "") -> None:
        """Put a node into a directory, under a name that has yet to be settled there."""
        before, plain, alias_before = self.connection.execute(
            "SELECT parent, coalesce(plain, name), alias FROM node WHERE id = ?", (node,)
        ).fetchone()
        if (before, plain, bool(alias_before)) == (parent, name, bool(alias)):
            return
        self.connection.execute(
            "UPDATE node SET parent = ?, name = ?, fold = ?, plain = NULL, alias = ?, cut = ? WHERE id = ?",
            (parent, name, fold(name), alias, type(name) is CutName, node),
        )
        if not self.first:
            self.changed.add(node)
            self.unnamed.add(node)
            self.dirty |= {node, before, parent}

    def rename(self, node: int, name: str) -> None:
        """Give a node another name than it would have: that is taken in its directory."""
        [parent] = self.connection.execute(
            "UPDATE node SET plain = coalesce(plain, name), name = ?, fold = ?, cut = ? WHERE id = ? RETURNING parent",
            (name, fold(name), type(name) is CutName, node),
        ).fetchone()
        self._note_name(node, parent)

    def set_alias(self, node: int, alias: str) -> None:
        """Give an episode's second NFO another name."""
        [parent] = self.connection.execute(
            "UPDATE node SET alias = ? WHERE id = ? RETURNING parent", (alias, node)
        ).fetchone()
        self._note_name(node, parent)

    def _note_name(self, node: int, parent: int) -> None:
        if not self.first:
            self.changed.add(node)
            self.dirty |= {node, parent}

    def touch(self, directories: Iterable[int]) -> None:
        """Give directories, in or below which something changed, the time of this generation.

        It is a later second than the one that they had: some programs look at whole seconds. A time much further ahead
        was a wrong clock's, from which nobody should count on.
        """
        directories = list(directories)
        self.connection.executemany(
            f"UPDATE node SET mtime = CASE WHEN mtime > {self.now + _STEP} THEN {self.now}"
            f" ELSE max({self.now}, (mtime / {_SECOND} + 1) * {_SECOND}) END"
            f" WHERE id = ? AND kind NOT IN ({_FILE_KINDS})",
            [(node,) for node in directories],
        )
        self.changed.update(directories)
        self.retimed.update(directories)

    def age(self) -> None:
        """Make every directory as old as the newest thing in it, as in a first generation: the same on every host."""
        newest = "SELECT max(max(mtime, strm_mtime, nfo_mtime)) FROM node AS below WHERE below.parent = node.id"
        update = f"UPDATE node SET mtime = max(mtime, coalesce(({newest}), 0)) WHERE kind = ?"
        kinds = [NodeKind.SEASON, NodeKind.SERIES, NodeKind.CATEGORY, NodeKind.SECTION]
        if self.settings.versions == "all":
            kinds.insert(0, NodeKind.MOVIE)
        for kind in kinds:
            self.connection.execute(update, (kind,))
        self.connection.execute(f"UPDATE node SET mtime = coalesce(({newest} AND id != 0), 0) WHERE id = 0")

    def hold(self, nodes: Iterable[int], why: int = HELD_GONE) -> None:
        """Keep nodes whose items are gone, or (`HELD_NAME`) as they are called."""
        for node in nodes:
            statement = "UPDATE node SET held = ? WHERE id = ? AND held != ? RETURNING kind"
            if found := self.connection.execute(statement, (why, node, why)).fetchone():
                if why == HELD_NAME and node in self._released:
                    self._released.discard(node)  # It is as it was.
                else:
                    self.changed.add(node)
                    if why == HELD_NAME and found[0] == NodeKind.SERIES:
                        self.series.add(node)  # It may have been gone, and is back under another name.

    def release(self, node: int) -> None:
        """Have it judged anew whether a node may be called, and joined, as the catalogue has it."""
        self.connection.execute("UPDATE node SET held = 0 WHERE id = ?", (node,))
        self._released.add(node)
        if self.merging:
            self.titles.judge_anew(node)

    def settle_released(self) -> None:
        """Note which nodes nothing holds any more."""
        self.changed |= self._released
        self._released.clear()

    def remove(self, nodes: Iterable[int]) -> None:
        """Remove nodes that have nothing below them."""
        for node in nodes:
            kind, parent = self.connection.execute(
                "DELETE FROM node WHERE id = ? RETURNING kind, parent", (node,)
            ).fetchone()
            self.connection.execute("DELETE FROM content WHERE id = ?", (node,))
            if kind == NodeKind.MOVIE:
                self.connection.execute("DELETE FROM contradicted WHERE id = ?", (node,))
            self.unnamed.discard(node)
            if self.titles.are_known:
                self.titles.remove(node, kind)
                self.connection.execute("DELETE FROM played WHERE id = ?", (node,))
                self.others_play.discard(node)
            if node in self.added:
                self.added.discard(node)
                continue
            self.changed.add(node)
            self.dirty.add(parent)
            if kind in (NodeKind.SEASON, NodeKind.SERIES):
                self.series.add(parent if kind == NodeKind.SEASON else node)

    def season(self, series: int, title: str, number: int | None, created: int) -> int:
        """Add a season to a series; returns its node."""
        item = Season(number, title)
        name = node_name(item, self.settings)
        self.series.add(series)
        keys = _keys(encode(item), source=number)
        return self.add(Incoming(NodeKind.SEASON, keys, item, name, "", created, series))

    def section_of(self, section: int, incoming: Incoming, created: int) -> int:
        """The directory for a title: see `section`."""
        if self._is_flat(section):
            return section
        item = incoming.item
        assert isinstance(item, Movie | Series)
        return self.section(section, item.category, created)

    def _is_flat(self, section: int) -> bool:
        return self.settings.group_by == "none" or (section == TV_NODE and self.settings.group_by == "category")

    def section(self, section: int, category: str, created: int) -> int:
        """The directory for the titles of a category: `Movies` or `TV`, or the category's own in it.

        Servers take a folder in a library of series for a series, whatever is in it.
        """
        if self._is_flat(section):
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
            keys = _keys(encode(item), stream=category)
            node = self.add(Incoming(NodeKind.CATEGORY, keys, item, name, "", created, section))
            self._categories[section, category] = node
        return node

    def set_nfo(self, node: int, content: bytes) -> None:
        """Note the NFO of a node that was rendered after all that it depends on was known."""
        before = self.connection.execute(
            "SELECT nfo_size, nfo_mtime, nfo_hash FROM node WHERE id = ?", (node,)
        ).fetchone()
        file = file_facts(content, before[1] if before[2] == 0 else self.now)
        if file.digest != before[2]:
            self._set_file(node, "nfo", file)
            if not self.first:
                self.changed.add(node)
                self.dirty.add(node)

    def _set_file(self, node: int, kind: str, file: FileFacts) -> None:
        self.connection.execute(
            f"UPDATE node SET {kind}_version = {kind}_version + ({kind}_hash != 0),"
            f" {kind}_size = ?, {kind}_mtime = ?, {kind}_hash = ? WHERE id = ?",
            (*file, node),
        )


def _keys(item: bytes, *, source: int | None = None, stream: str = "") -> Keys:
    """Of what the catalogue has no row for."""
    return Keys(source, "", 0, stream, "", "", 0, item)
