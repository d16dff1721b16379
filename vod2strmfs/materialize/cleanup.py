"""Cleanup: finding what we wrote and the library no longer has.

A file goes if its bytes are ones that we wrote; a folder, if nothing is left in it. Whatever somebody edited or
added stays, and so does the folder that it is in.
"""

import os
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from functools import partial

from vod2strmfs import shrink
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import FILE_KINDS, WAITING_NODE, NodeKind, Slot, slot_of
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import File, Folder, Item, Manifest, State, decode
from vod2strmfs.materialize.removal import Doomed, Removed, Stale, remove
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.workers import Workers
from vod2strmfs.notify.change import What
from vod2strmfs.reports.rows import Action, Reason, Report, Row, Type, reason_of

_FROM_BELOW: tuple[Set[int], ...] = (
    {NodeKind.MOVIE, NodeKind.SEASON},
    {NodeKind.SERIES},
    {NodeKind.CATEGORY},
)
"""The kinds of folder in the order in which they can go."""
_FINISHED = frozenset({State.SETTLED, State.WATCHED})


@dataclass(frozen=True)
class Cleaner:
    """Finds what is stale, and has it removed.

    Args:
        root: the descriptor of the output root.
        store: the generation that was written.
        tree: over it.
        manifest: knows what was written.
        workers: do the work.
        report: gets the rows.
        touched: notes what went.
        sections: the nodes of the sections of the library that are cleaned up.
        dry_run: whether nothing was written before, so that no folder is finished.
        temporaries: the root's.
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
    _reopened: dict[int, State] = field(default_factory=dict)
    """Finished folders that lose a folder, and their states; see `_reopen_parents`."""

    def held(self, max_shrink: int) -> int:
        """How many .strm files the shrink brake holds back: all that are gone, or none.

        Args:
            max_shrink: see `shrink`. Files whose titles are there under another name do not count.
        """
        gone: Counter[int] = Counter()
        for kinds in _FROM_BELOW:
            for stale in self._stale(kinds):
                gone[stale.folder.kind] += sum(
                    doomed.reason == Reason.GONE and doomed.file.slot == Slot.STRM for doomed in stale.files
                )
        for kind in (NodeKind.MOVIE, NodeKind.SEASON):
            if shrink.holds(gone[kind], self.manifest.strms(kind) + gone[kind], max_shrink):
                return gone.total()
        return 0

    def preview(self) -> None:
        """Report what would go."""
        for kinds in _FROM_BELOW:
            self._remove(kinds, apply=False)

    def apply(self) -> None:
        """Take it away."""
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
        is_gone = folder.state == State.GONE
        self.touched.note(folder.kind, removed.stale.way, What.DELETED if is_gone else What.MODIFIED, lost=True)
        if is_gone:
            self.manifest.forget(folder.id)
        else:
            # A file system may take more names for one than we know of: what went with another name is written again.
            self.manifest.settle(folder.id, State(folder.state) if removed.whole else State.CHANGED, removed.seen)
            self.manifest.clear_leftovers(folder.id)

    def _stale(self, kinds: Set[int]) -> Iterator[Stale]:
        """The folders of some kinds that have something to go now."""
        for folder in self.manifest.stale():
            way = self.manifest.path(folder)
            if folder.kind not in kinds or way[0].node not in self.sections:
                continue
            if folder.state != State.GONE and not self._is_finished(folder):
                continue
            doomed = self._doomed(folder)
            if doomed is not None:
                series = next((step.name for step in way if step.kind == NodeKind.SERIES), "")
                season = folder.name if folder.kind == NodeKind.SEASON else ""
                yield Stale(folder, tuple(step.name for step in way), series, season, doomed, self._wanted(folder))

    def _wanted(self, folder: Folder) -> frozenset[str]:
        """The names of the files that are wanted in a folder."""
        if folder.state == State.GONE:
            return frozenset()
        items = decode(self.manifest.plan(folder.id).items)
        return frozenset(file.name for item in items for file in item.files)

    def _doomed(self, folder: Folder) -> list[Doomed] | None:
        """The files in a folder that are to go; None if one of them has to stay until it stands elsewhere."""
        plan = self.manifest.plan(folder.id)
        items = decode(plan.leftovers)
        if folder.state == State.GONE:
            items += decode(plan.items)
        doomed = []
        for item in items:
            for file in item.files:
                reason = self._reason(folder, item, file)
                if reason is None:
                    return None
                doomed.append(Doomed(file, item.uuid, reason))
        return doomed

    def _reason(self, folder: Folder, item: Item, file: File) -> Reason | None:
        """Why a file is to go; None if it has to stay for now."""
        node = self.store.node(item.node)
        if node is None or node.parent == WAITING_NODE or self.store.record(node.id).uuid != item.uuid:
            return None if self._is_last(folder, file) else Reason.GONE
        place = node.parent if node.kind in FILE_KINDS else node.id
        if file.slot == Slot.STRM and not self._keeps_strm(node.id, place):
            return None  # See `_is_last`.
        if place == folder.node and folder.state != State.GONE:
            wanted = {slot_of(entry.inode) for entry in self.tree.files(node)}
            return Reason.RENAMED if file.slot in wanted else Reason.UNWANTED
        there = self.manifest.by_node(place)
        return Reason.RENAMED if there is not None and self._is_finished(there.folder) else None

    def _is_last(self, folder: Folder, file: File) -> bool:
        """Whether a movie that is wanted would lose its only .strm.

        The brake may hold a movie of which the catalogue no longer tells what versions it has.
        """
        is_movie = folder.kind == NodeKind.MOVIE and folder.state != State.GONE
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
        """Have the folders that are about to lose a folder looked at again, should this run be cut off."""
        for folder in self.manifest.stale():
            if folder.state == State.GONE and folder.parent not in self._reopened:
                parent = self.manifest.folder(folder.parent)
                if parent.state in _FINISHED:
                    self._reopened[parent.id] = State(parent.state)
                    self.manifest.reopen(parent.id)

    def _settle(self, folder: Folder, state: State) -> None:
        """Give a folder that lost one its time again."""
        try:
            with files.opened(self.root, [step.name for step in self.manifest.path(folder)]) as descriptor:
                if os.fstat(descriptor).st_mtime_ns != folder.mtime:
                    files.set_directory_time(descriptor, folder.mtime)
                self.manifest.settle(folder.id, state, os.fstat(descriptor).st_mtime_ns)
        except OSError as error:
            row = Row(Type.ERROR, "", "", folder.name, "", Action.FAILED, reason_of(error))
            self.report.add(row)
