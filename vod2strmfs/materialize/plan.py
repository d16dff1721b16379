"""Bringing the manifest's plan up to the library: what is wanted of each folder.

Nothing on disk is touched here but for folders that are to have another name, or another place: these are moved with
all that is in them, posters and subtitles of the user included.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import msgspec

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.store import Detail, Store
from vod2strmfs.library.contents import Record, decode_kind
from vod2strmfs.library.items import Movie, Series
from vod2strmfs.library.kinds import FILE_KINDS, LEAVES, NodeKind, Slot, slot_of
from vod2strmfs.library.names import fold
from vod2strmfs.library.tree import Node, Tree
from vod2strmfs.materialize.manifest import (
    NO_NODE,
    ROOT,
    Folder,
    FolderState,
    Manifest,
    NewFolder,
    NodeFiles,
    Plan,
    WantedFile,
    decode,
    without,
)
from vod2strmfs.materialize.moves import Mover

_PAGE = 256
_MOST_ITEMS = 512
"""From so many on, items of folders are added before more are looked at."""


class Wanted(NamedTuple):
    """A folder that is wanted, as it was just planned."""

    folder: Folder
    items: Sequence[NodeFiles] | None
    """The files that are wanted in the folder; None if they are as the manifest has them."""
    records: Sequence[Record] = ()
    """What the items' files are made from, one record for each item."""
    leftovers: Sequence[NodeFiles] = ()
    """The other files of ours in the folder."""


@dataclass(frozen=True)
class Reconciler:
    """Compares the library with the manifest, folder by folder.

    Args:
        store: one generation of the index.
        tree: the tree over the store.
        manifest: the plan, which is changed here.
        mover: moves folders on disk.
        first: whether the manifest was empty, so that nothing has to be looked up in it.
    """

    store: Store
    tree: Tree
    manifest: Manifest
    mover: Mover
    first: bool

    def plan_fixed(self, node: int, parent: Folder | None) -> Wanted:
        """Plan a folder that is known by its name: the root, whose parent is None, a shelf's own, or a section.

        Raises:
            IndexFileError: the index lacks its node.
        """
        found = self.store.node(node)
        if found is None:
            raise IndexFileError(f"the index holds no node {node}")
        detail = Detail(found, 0, 0, Record(found.kind, "", 0, "", b""))
        before = self.manifest.child(parent.id, found.name) if parent else self.manifest.plan(ROOT)
        return self._plan(parent.id if parent else 0, detail, before)

    def children(self, parent: Folder) -> Iterator[Wanted]:
        """The folders that the library has in a folder below the root, in the library's order, each as it is planned.

        A folder that is not among them is marked as gone when all have been gone through.
        """
        number = 0
        for page in self._pages(parent.node):
            details = [detail for detail in page if detail.node.kind not in FILE_KINDS]
            number += len(details)
            if self.first:
                yield from self._add(parent.id, details)
            else:
                for detail in details:
                    yield self._plan(parent.id, detail, self._find(parent, detail))
        if self.manifest.count_wanted(parent.id) != number:
            self._mark_gone(parent)

    def _plan(self, parent: int, detail: Detail, before: Plan | None) -> Wanted:
        if before is None:
            return next(self._add(parent, [detail]))
        node, uuid, stream = detail.node, detail.record.uuid, _stream(detail)
        items, records = self._items(detail)
        known, leftovers = decode(before.items), decode(before.leftovers)
        was = before.folder
        # Its name is the node's, unless it could not be moved.
        folder = was._replace(kind=node.kind, node=node.id, mtime=node.mtime)
        if node.kind in LEAVES and was.kind not in LEAVES:
            self.manifest.forget_below(was.id)
        if known != items:
            items, leftovers = _merge(items, [*known, *leftovers])
        if (known, was.mtime) == (items, node.mtime) and was.state != FolderState.GONE:
            if (node.kind, node.id, uuid, stream) != (was.kind, was.node, before.uuid, before.stream):
                self.manifest.change(folder, uuid, stream, items, leftovers)
            return Wanted(folder, None)
        folder = folder._replace(
            state=FolderState.NEW if was.state in (FolderState.NEW, FolderState.GONE) else FolderState.CHANGED
        )
        self.manifest.change(folder, uuid, stream, items, leftovers)
        return Wanted(folder, items, records, leftovers)

    def _add(self, parent: int, details: Sequence[Detail]) -> Iterator[Wanted]:
        """Plan folders that the manifest does not have: many at once, but of seasons, which have all their episodes in
        them, no more than have room in memory."""
        new, made_from, number = list[NewFolder](), list[Sequence[Record]](), 0
        for detail in details:
            node = detail.node
            items, records = self._items(detail)
            folder = Folder(0, parent, node.kind, node.name, node.id, node.mtime, FolderState.NEW, 0)
            new.append(NewFolder(folder, detail.record.uuid, _stream(detail), items))
            made_from.append(records)
            number += len(items)
            if number >= _MOST_ITEMS or detail is details[-1]:
                for added, plan, made in zip(self.manifest.add(new), new, made_from, strict=True):
                    yield Wanted(added, plan.items, made)
                new, made_from, number = [], [], 0

    def _pages(self, parent: int) -> Iterator[list[Detail]]:
        after = 0
        while page := self.store.details(parent, after, _PAGE):
            yield page
            after = page[-1].node.id

    def _items(self, detail: Detail) -> tuple[list[NodeFiles], list[Record]]:
        """The files that belong into the directory of a node, and the records that they are made from."""
        kind = detail.node.kind
        details = [detail]
        if kind == NodeKind.SEASON or (kind == NodeKind.MOVIE and self.store.settings.versions == "all"):
            details += chain.from_iterable(self._pages(detail.node.id))
        items = [self._item(each) for each in details]
        pairs = [(item, each.record) for item, each in zip(items, details, strict=True) if item.files]
        return [item for item, _ in pairs], [record for _, record in pairs]

    def _item(self, detail: Detail) -> NodeFiles:
        files = []
        art = {art.slot: art for art in detail.node.art}
        for entry in self.tree.files(detail.node):
            slot, image = slot_of(entry.inode), ""
            digest = detail.strm_hash if slot == Slot.STRM else detail.nfo_hash
            if slot in art:
                digest, image = art[slot].digest, art[slot].image
            files.append(WantedFile(entry.name, slot, entry.size, entry.mtime, digest, image=image))
        return NodeFiles(detail.node.id, detail.node.kind, detail.record.uuid, tuple(files))

    def _find(self, parent: Folder, detail: Detail) -> Plan | None:
        """The manifest's folder for a node, moved to its place if it stood elsewhere; None if there is none."""
        if self.first:
            return None
        name, node = detail.node.name, detail.node.id
        here = self.manifest.child(parent.id, name)
        if here is not None and here.folder.node not in (node, NO_NODE) and self._give_way(parent, here):
            here = None
        if here is None:
            there = self.manifest.by_node(node)
            if there is not None and self._is_for(there, parent, detail) and not self._is_wanted(there.folder):
                here = self._moved(there, parent, name)
        elif here.folder.name != name:
            here = self._moved(here, parent, name) or here
        return here

    def _is_for(self, there: Plan, parent: Folder, detail: Detail) -> bool:
        """Whether a folder that stands elsewhere was made for an item that belongs into `parent`. Once the index has
        been made anew, any node may have the number of another."""
        if there.folder.kind != detail.node.kind:
            return False
        if detail.node.kind != NodeKind.SEASON or there.folder.parent == parent.id:
            return _same(there, detail)
        before, now = self.manifest.plan(there.folder.parent), self.manifest.plan(parent.id)
        return before.uuid == now.uuid != ""

    def _give_way(self, parent: Folder, here: Plan) -> bool:
        """Move away a folder whose item has another name in the same directory now."""
        owner = self._owner(parent, here)
        if owner is None or self.manifest.child(parent.id, owner.name) is not None:
            return False
        return self._moved(here, parent, owner.name) is not None

    def _owner(self, parent: Folder, here: Plan) -> Node | None:
        """The node that a folder was made for, if it is still in the same directory, under another name."""
        for detail in self.store.details(parent.node, here.folder.node - 1, 1):
            if detail.node.id == here.folder.node and detail.node.name != here.folder.name and _same(here, detail):
                return detail.node
        return None

    def _is_wanted(self, folder: Folder) -> bool:
        """Whether the library has a folder where the manifest has one."""
        above = self.manifest.folder(folder.parent)
        if above.state == FolderState.GONE:
            return False
        child = self.store.child(above.node, fold(folder.name))
        return child is not None and child.name == folder.name

    def _moved(self, plan: Plan, parent: Folder, name: str) -> Plan | None:
        self.manifest.begin_move(plan.folder.id, parent.id, name)
        moved = self.mover.move(plan, parent, name)
        self.manifest.end_move(moved=moved)
        return None if not moved else plan._replace(folder=plan.folder._replace(parent=parent.id, name=name))

    def _mark_gone(self, parent: Folder) -> None:
        for folder in self.manifest.children(parent.id):
            # By any spelling: one that could not be moved stands for the other.
            if self.store.child(parent.node, fold(folder.name)) is None:
                self.manifest.let_go(folder.id)


def _merge(items: Sequence[NodeFiles], before: Sequence[NodeFiles]) -> tuple[list[NodeFiles], list[NodeFiles]]:
    """The files that are wanted, each with the earlier contents that may stand in its place; and the files of `before`
    that are no longer wanted."""
    known: dict[str, set[int]] = {}
    for item in before:
        for file in item.files:
            # Where the file system folds case, what has another spelling of a name may stand in its place.
            known.setdefault(fold(file.name), set()).update((file.digest, *file.earlier))
    merged = []
    for item in items:
        files = []
        for file in item.files:
            earlier = tuple(sorted(known.get(fold(file.name), set()) - {file.digest}))
            files.append(msgspec.structs.replace(file, earlier=earlier))
        merged.append(NodeFiles(item.node, item.kind, item.uuid, tuple(files)))
    return merged, without(before, {file.name for item in items for file in item.files})


def _same(plan: Plan, detail: Detail) -> bool:
    """Whether a folder was made for an item. The node alone does not say so: the index may have been made anew."""
    if detail.node.kind == NodeKind.SEASON:
        return True
    if detail.record.uuid != "" and plan.uuid == detail.record.uuid:
        return True
    before, now = _Stream.of(plan.stream), _Stream.of(_stream(detail))
    # Providers give a stream id that has become free to another title.
    contradicts = any(was and is_now and was != is_now for was, is_now in zip(before.ids, now.ids, strict=True))
    return before.key == now.key and not contradicts


class _Stream(NamedTuple):
    """What a folder is for, beside a UUID."""

    key: str
    """The account's id and the stream id, with a colon between."""
    ids: tuple[str, str]
    """TMDB's id and IMDb's; "" for one that is not known."""

    @classmethod
    def of(cls, text: str) -> "_Stream":
        key, *ids = text.rsplit("\n", 2)
        return cls(key, (ids[0], ids[1])) if len(ids) == 2 else cls(text, ("", ""))


def _stream(detail: Detail) -> str:
    """What a detail's folder is for, in the form in which the manifest has it."""
    record = detail.record
    key = f"{record.account}:{record.stream}"
    item = decode_kind(record.item, record.kind) if record.kind in (NodeKind.MOVIE, NodeKind.SERIES) else None
    return f"{key}\n{item.tmdb}\n{item.imdb}" if isinstance(item, Movie | Series) else key
