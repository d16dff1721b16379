"""Cleanup: finding what we wrote and the library no longer has.

A file goes if its bytes are ones that we wrote; a folder, if nothing is left in it. Whatever somebody edited or
added stays, and so does the folder that it is in.
"""

import errno
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from vod2strmfs import shrink
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import (
    FILE_KINDS,
    WAITING_NODE,
    NodeKind,
    Slot,
    in_library,
    shelf_of,
    shelved,
    slot_of,
)
from vod2strmfs.library.names import fold
from vod2strmfs.library.rendered import content_digest
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import ROOT, Folder, FolderState, Manifest, NodeFiles, WantedFile, decode
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.workers import Workers
from vod2strmfs.notify.change import What
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type, reason_of
from vod2strmfs.reports.writer import Report

_log = logging.getLogger("vod2strmfs")

_FROM_BELOW: tuple[Set[int], ...] = (
    {NodeKind.MOVIE, NodeKind.SEASON},
    {NodeKind.SERIES},
    {NodeKind.CATEGORY},
    {NodeKind.SECTION},
    {NodeKind.SHELF},
)
"""The kinds of folder, in the order in which they can be removed."""
_GONE = frozenset({Reason.GONE, Reason.OFF_SHELF})
"""To a media server that knows the shelf alone, what is taken off it is gone."""
_FINISHED = frozenset({FolderState.SETTLED, FolderState.WATCHED})


class Doomed(NamedTuple):
    """A file that is to be removed, and why."""

    file: WantedFile
    uuid: str
    reason: Reason


class Stale(NamedTuple):
    """A folder with files that are to be removed. One whose state is GONE is removed itself."""

    folder: Folder
    parts: tuple[str, ...]
    """The names on the way from the root to the folder, its own included."""
    series_name: str
    season: str
    files: Sequence[Doomed]
    wanted: frozenset[str] = frozenset()
    """The names of the files that stay."""
    top: int = ROOT
    """The folder, by its id, of the shelf that the folder is in; else the root."""


@dataclass
class Removed:
    """What was done to a stale folder."""

    stale: Stale
    rows: list[ReportRow] = field(default_factory=list)
    failed: bool = False
    finished_mtime: int = 0
    """The directory's mtime (ns) after that."""
    whole: bool = True
    """Whether the files that stay are all still there."""


@dataclass(frozen=True)
class Cleaner:
    """Finds the files and folders that are stale, and has them removed.

    Args:
        root: the descriptor of the output root.
        store: the generation that was written.
        tree: the tree over the store.
        manifest: knows what was written.
        workers: remove.
        report: gets the rows.
        touched: notes what went.
        sections: the nodes of the sections of the library that are cleaned up.
        dry_run: whether nothing was written before, so that no folder is finished.
        temporaries: the temporary files of the root.
    """

    root: int
    store: Store
    tree: Tree
    manifest: Manifest
    workers: Workers
    report: Report
    touched: Touched
    sections: Set[int]
    dry_run: bool
    temporaries: files.Temporaries
    _reopened: dict[int, FolderState] = field(default_factory=dict)
    """The states of finished folders that lose a folder, by id; see `_reopen_parents`."""

    def held(self, max_shrink: int) -> int:
        """How many .strm files the shrink brake holds back: all that are gone, or none. Those whose titles are there
        under another name do not count.

        Args:
            max_shrink: percent; see `shrink.holds`.
        """
        gone: Counter[tuple[int, int]] = Counter()
        """By the folder of a shelf, the root for the library itself, and by kind."""
        for kinds in _FROM_BELOW:
            for stale in self._stale(kinds):
                gone[stale.top, stale.folder.kind] += sum(
                    doomed.reason in _GONE and doomed.file.slot == Slot.STRM for doomed in stale.files
                )
        for (top, kind), number in gone.items():
            if shrink.holds(number, self.manifest.count_strms(NodeKind(kind), top) + number, max_shrink):
                return gone.total()
        return 0

    def preview(self) -> None:
        """Report what `apply` would remove."""
        for kinds in _FROM_BELOW:
            self._remove(kinds, apply=False)

    def apply(self) -> None:
        """Remove all that is stale."""
        self._reopen_parents()
        self.manifest.commit()
        for kinds in _FROM_BELOW:
            self._remove(kinds, apply=True)
        for parent, state in self._reopened.items():
            self._settle(self.manifest.folder(parent), state)

    def _remove(self, kinds: Set[int], *, apply: bool) -> None:
        for stale in self._stale(kinds):
            task = partial(remove, stale, self.root, self.temporaries, apply=apply)
            self.workers.submit(task, partial(self._take, apply=apply))
        self.workers.drain()
        self.report.flush()

    def _take(self, removed: Removed, *, apply: bool) -> None:
        """Account for what was done to a folder."""
        self.report.add(*removed.rows)
        folder = removed.stale.folder
        if not apply or removed.failed:
            return
        # Also if nothing was there any more: a run that was killed may have removed it.
        is_gone = folder.state == FolderState.GONE
        self.touched.note(folder.kind, removed.stale.parts, What.DELETED if is_gone else What.MODIFIED, lost=True)
        if is_gone:
            self.manifest.forget(folder.id)
        else:
            # A file system may take more names for one than we know of: what went with another name is written again.
            self.manifest.settle(
                folder.id, FolderState(folder.state) if removed.whole else FolderState.CHANGED, removed.finished_mtime
            )
            self.manifest.clear_leftovers(folder.id)

    def _stale(self, kinds: Set[int]) -> Iterator[Stale]:
        """The folders of some kinds in which something can be removed now."""
        for folder in self.manifest.stale():
            parts = self.manifest.path(folder)
            if folder.kind not in kinds or not self._is_of_sections(parts):
                continue
            if folder.state != FolderState.GONE and not self._is_finished(folder):
                continue
            doomed = self._doomed(folder)
            if doomed is not None:
                series = next((step.name for step in parts if step.kind == NodeKind.SERIES), "")
                season = folder.name if folder.kind == NodeKind.SEASON else ""
                names, wanted = tuple(step.name for step in parts), self._wanted(folder)
                top = parts[0].id if parts[0].kind == NodeKind.SHELF else ROOT
                yield Stale(folder, names, series, season, doomed, wanted, top)

    def _is_of_sections(self, parts: Sequence[Folder]) -> bool:
        """Whether a folder is in one of the sections that are cleaned up, or is a shelf's that holds no other one."""
        sections = [step for step in parts if step.kind == NodeKind.SECTION]
        if not sections:
            return not self.manifest.holds_folders(parts[0].id)
        return in_library(sections[0].node) in self.sections

    def _wanted(self, folder: Folder) -> frozenset[str]:
        """The names of the files that are wanted in a folder."""
        if folder.state == FolderState.GONE:
            return frozenset()
        items = decode(self.manifest.plan(folder.id).items)
        return frozenset(file.name for item in items for file in item.files)

    def _doomed(self, folder: Folder) -> list[Doomed] | None:
        """The files in a folder that are to be removed; None if one of them has to stay until it stands elsewhere."""
        plan = self.manifest.plan(folder.id)
        items = decode(plan.leftovers)
        if folder.state == FolderState.GONE:
            items += decode(plan.items)
        doomed = []
        for item in items:
            for file in item.files:
                reason = self._reason(folder, item, file)
                if reason is None:
                    return None
                doomed.append(Doomed(file, item.uuid, reason))
        return doomed

    def _reason(self, folder: Folder, item: NodeFiles, file: WantedFile) -> Reason | None:
        """Why a file is to be removed; None if it has to stay for now."""
        node = self.store.node(self._shown(item.node))
        if node is None or node.parent == WAITING_NODE or self.store.record(node.id).uuid != item.uuid:
            return None if self._is_last(folder, file) else self._why_gone(item)
        place = node.parent if node.kind in FILE_KINDS else node.id
        if file.slot == Slot.STRM and not self._keeps_strm(node.id, place):
            return None  # See `_is_last`.
        if place == folder.node and folder.state != FolderState.GONE:
            wanted = {slot_of(entry.inode) for entry in self.tree.files(node)}
            return Reason.RENAMED if file.slot in wanted else Reason.UNWANTED
        there = self.manifest.by_node(place)
        return Reason.RENAMED if there is not None and self._is_finished(there.folder) else None

    def _shown(self, node: int) -> int:
        """A node as it may be shown: where a shelf is all that there is, as it stands on that."""
        alone = self.store.shelves.alone
        return shelved(alone.number, node) if alone is not None and node > 0 and not shelf_of(node) else node

    def _why_gone(self, item: NodeFiles) -> Reason:
        """Whether what is not shown is in the library all the same, or another row of its title is."""
        node = self.store.node(in_library(item.node))
        if node is None:
            return Reason.GONE
        if node.parent == WAITING_NODE:
            return Reason.MERGED if node.kind == NodeKind.MOVIE else Reason.GONE
        is_there = self.store.record(node.id).uuid == item.uuid
        on_shelf = shelf_of(item.node) or self.store.shelves.alone is not None
        return Reason.OFF_SHELF if is_there and on_shelf else Reason.GONE

    def _is_last(self, folder: Folder, file: WantedFile) -> bool:
        """Whether a movie that is wanted would lose its only .strm.

        The brake may hold a movie of which the catalogue no longer tells what versions it has.
        """
        is_movie = folder.kind == NodeKind.MOVIE and folder.state != FolderState.GONE
        return is_movie and file.slot == Slot.STRM and not self._keeps_strm(folder.node, folder.node)

    def _keeps_strm(self, node: int, place: int) -> bool:
        """Whether a node that stands in a directory has a .strm there, or one for each of its versions."""
        there = self.manifest.by_node(place)
        return there is not None and any(
            file.slot == Slot.STRM
            for item in decode(there.items)
            if item.node == node or item.kind == NodeKind.VERSION
            for file in item.files
        )

    def _is_finished(self, folder: Folder) -> bool:
        return self.dry_run or folder.state in _FINISHED or folder.id in self._reopened

    def _reopen_parents(self) -> None:
        """Have the next run compare the folders that are about to lose a folder, should this one be cut off."""
        for folder in self.manifest.stale():
            if folder.state == FolderState.GONE and folder.parent not in self._reopened:
                parent = self.manifest.folder(folder.parent)
                if parent.state in _FINISHED:
                    self._reopened[parent.id] = FolderState(parent.state)
                    self.manifest.reopen(parent.id)

    def _settle(self, folder: Folder, state: FolderState) -> None:
        """Give a folder that lost a folder its mtime again, and note it as finished."""
        try:
            with files.opened(self.root, [step.name for step in self.manifest.path(folder)]) as descriptor:
                if os.fstat(descriptor).st_mtime_ns != folder.mtime:
                    files.set_directory_time(descriptor, folder.mtime)
                self.manifest.settle(folder.id, state, os.fstat(descriptor).st_mtime_ns)
        except OSError as error:
            row = ReportRow(Type.ERROR, "", "", folder.name, "", Action.FAILED, reason_of(error))
            self.report.add(row)


def remove(stale: Stale, root: int, temporaries: files.Temporaries, *, apply: bool) -> Removed:
    """Remove what is stale in a folder, in any thread, or say what would be removed.

    Args:
        stale: the folder.
        root: the descriptor of the output root.
        temporaries: the temporary files of the root.
        apply: whether anything is removed.
    """
    removal = _Removal(stale, temporaries, apply)
    removal.run(root)
    return removal.removed


class _Removal:
    """See `remove`."""

    def __init__(self, stale: Stale, temporaries: files.Temporaries, apply: bool) -> None:
        self.removed = Removed(stale)
        self._stale = stale
        self._temporaries = temporaries
        self._apply = apply

    def run(self, root: int) -> None:
        *above, name = self._stale.parts
        try:
            with files.opened(root, above) as parent:
                self._empty(parent, name)
                if self._apply and self._stale.folder.state == FolderState.GONE:
                    _remove_directory(parent, name)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in files.NO_DIRECTORY:
                self._say(Type.CLEANUP, name, "", Action.KEPT, Reason.NOT_OURS)
            else:
                self._fail(name, "", error)

    def _empty(self, parent: int, name: str) -> None:
        """Remove the files."""
        folder = self._stale.folder
        with files.opened(parent, [name]) as directory:
            staying = _Staying(directory, self._stale.wanted)
            for doomed in self._stale.files:
                try:
                    if not staying.has(doomed.file.name):
                        self._remove(directory, doomed)
                except OSError as error:
                    self._fail(self._title(doomed.file.name), doomed.uuid, error)
            if folder.state == FolderState.GONE:
                self._report_others(directory)
            if self._apply and folder.state != FolderState.GONE:
                files.set_directory_time(directory, folder.mtime)
            elif self._apply:
                # Without what a killed run left, it may be empty.
                self._temporaries.remove(directory, os.listdir(directory))
            self.removed.finished_mtime = os.fstat(directory).st_mtime_ns
            self.removed.whole = staying.is_whole()

    def _report_others(self, directory: int) -> None:
        """Report the NFOs that stay in a folder that is no longer wanted: they may be ours, though nothing is known of
        them."""
        doomed = {fold(doomed.file.name) for doomed in self._stale.files}
        for name in sorted(os.listdir(directory)):
            if name.endswith(".nfo") and fold(name) not in doomed:
                self._say(Type.CLEANUP, self._title(name), "", Action.KEPT, Reason.NOT_OURS)

    def _title(self, name: str) -> str:
        """The title of the row about a file: its name, after its folder's where the name does not say which movie's the
        file is."""
        folder = self._stale.folder
        tells = folder.kind != NodeKind.MOVIE or name.startswith(folder.name)
        return name if tells else f"{folder.name}/{name}"

    def _remove(self, directory: int, doomed: Doomed) -> None:
        file = doomed.file
        found = files.lstat(directory, file.name)
        if found is None:
            return
        ours = {file.digest, *file.earlier}
        if not files.is_file(found) or content_digest(files.read(directory, file.name)) not in ours:
            self._say(Type.CLEANUP, self._title(file.name), doomed.uuid, Action.KEPT, Reason.NOT_OURS)
            return
        if self._apply:
            os.unlink(file.name, dir_fd=directory)
        self._say(Type.CLEANUP, self._title(file.name), doomed.uuid, Action.DELETED, doomed.reason)

    def _fail(self, title: str, uuid: str, error: OSError) -> None:
        _log.debug("%s: %s", "/".join((*self._stale.parts, title)), error)
        self.removed.failed = True
        self._say(Type.ERROR, title, uuid, Action.FAILED, reason_of(error))

    def _say(self, kind: Type, title: str, uuid: str, action: Action, reason: Reason) -> None:
        if not self._apply:
            action = action.only_planned()
        row = ReportRow(kind, self._stale.series_name, self._stale.season, title, uuid, action, reason)
        self.removed.rows.append(row)


class _Staying:
    """The wanted files in a directory, which must not be removed by another spelling of their names.

    Args:
        directory: the descriptor of the directory.
        names: the names of the files.
    """

    def __init__(self, directory: int, names: Collection[str]) -> None:
        self._directory = directory
        self._by_fold = {fold(name): name for name in names}
        self._by_inode = {
            (found.st_dev, found.st_ino): name for name in names if (found := files.lstat(directory, name)) is not None
        }

    def has(self, name: str) -> bool:
        """Whether a name is a wanted file's."""
        found = files.lstat(self._directory, name)
        if found is None:
            return False
        likely = {self._by_fold.get(fold(name)), self._by_inode.get((found.st_dev, found.st_ino))} - {None}
        return any(name == wanted or files.is_same(self._directory, name, wanted) for wanted in likely if wanted)

    def is_whole(self) -> bool:
        """Whether all wanted files that were there still are."""
        return all(files.lstat(self._directory, name) for name in self._by_inode.values())


def _remove_directory(parent: int, name: str) -> None:
    """Remove a directory unless something is in it."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
