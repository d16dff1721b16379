"""Going through the folders: those that are as they were finished are passed by, the others are worked on."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from vod2strmfs.index.store import Store
from vod2strmfs.library.contents import Record
from vod2strmfs.library.kinds import LEAVES, ROOT_NODE, NodeKind, shelf_of, shelved
from vod2strmfs.materialize.changed import COUNTED, ChangedFinder, compare_mtimes, folders_in_task
from vod2strmfs.materialize.folder import Directory
from vod2strmfs.materialize.manifest import Folder, FolderState, Manifest, NodeFiles, decode
from vod2strmfs.materialize.plan import Reconciler, Wanted
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.workers import Workers
from vod2strmfs.materialize.write import FolderResult, FolderWork, Updater
from vod2strmfs.materialize.writers import Writers
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type
from vod2strmfs.reports.writer import Report

_log = logging.getLogger("vod2strmfs")

_FILES_IN_TASK = 32
_FILES_IN_SMALL_TASK = 3
_FILES_IN_BATCH = 512


_Task = list[tuple[Directory, FolderWork]]
"""What one worker does at a time."""


class _Top(NamedTuple):
    """The root, or the directory of a shelf, and the sections in it."""

    directory: Directory
    sections: Sequence[Wanted]


class _Check(NamedTuple):
    """A folder whose mtime is to be compared with the manifest's."""

    folder: Folder
    keeper: Directory
    """The `Directory` whose pending count was raised for this check: the folder's own, or its parent's if the folder
    has none yet."""
    parts: tuple[str, ...]


@dataclass
class Traversal:
    """One passage through the library's folders.

    Args:
        store: the generation that contents come from.
        manifest: what is known of the folders; changed here.
        reconciler: plans the folders of sections that the manifest is not up to date with.
        updater: compares and writes.
        workers: compare the times of folders.
        writers: do what is work for an updater.
        report: gets a row for each thing done, and one for each series that matches.
        unmoved: the parts of folders that a dry run would have moved, by id.
        tell: called now and then with the number of folders gone through.
        touched: notes what was done to titles.
    """

    store: Store
    manifest: Manifest
    reconciler: Reconciler
    updater: Updater
    workers: Workers
    writers: Writers
    report: Report
    unmoved: Mapping[int, tuple[str, ...]]
    tell: Callable[[int], None]
    touched: Touched
    done: int = 0
    """Folders gone through so far, categories aside."""
    _checks: list[_Check] = field(default_factory=list)
    _mismatches: list[tuple[_Check, bool]] = field(default_factory=list)
    """Folders that are not as they were finished, and whether they are missing."""
    _works: list[tuple[Directory, FolderWork]] = field(default_factory=list)
    _changed: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """See `changed.Changed`."""
    _files: int = 0
    """Files that the work in `_works` is about."""

    def run(self, sections: Iterable[int], plan: str) -> bool:
        """Go through some sections.

        Args:
            sections: the nodes of the sections.
            plan: identifies generation and settings. A section whose manifest carries the same value is already planned
                and is not compared again.

        Returns:
            Whether any section was compared with the library.
        """
        root = self.reconciler.plan_fixed(ROOT_NODE, None)
        tops = [_Top(self._begin(root, None), self._plan_sections(sections, root.folder))]
        for shelf in self._plan_shelves(root.folder):
            directory = self._begin(shelf, tops[0].directory)
            tops.append(_Top(directory, self._plan_sections(sections, shelf.folder)))
        planned = {
            section.folder: "/".join((*top.directory.parts, section.folder.name))
            for top in tops
            for section in top.sections
            if self.manifest.get(_plan_of(section.folder.node)) == plan
        }
        if planned and not self.updater.verify:
            self._find_changed(planned.items())
        for top in tops:
            for section in top.sections:
                is_planned = section.folder in planned
                self._visit(section, top.directory, is_planned=is_planned)
                if not is_planned:
                    self.manifest.put(_plan_of(section.folder.node), plan)
        for top in reversed(tops):
            self._close(top.directory)
        self._finish()
        return len(planned) < sum(len(top.sections) for top in tops)

    def _plan_shelves(self, root: Folder) -> list[Wanted]:
        """Plan the directories of shelves. Those that are no shelf's any more are marked as gone."""
        shelves = self.store.shelves
        nodes = [] if shelves.alone is not None else shelves.tops
        planned = [self.reconciler.plan_fixed(node, root) for node in nodes]
        wanted = {shelf.folder.id for shelf in planned}
        for folder in self.manifest.children(root.id):
            if folder.kind == NodeKind.SHELF and folder.id not in wanted:
                self.manifest.let_go(folder.id)
        return planned

    def _plan_sections(self, sections: Iterable[int], above: Folder) -> list[Wanted]:
        """Plan the sections in the root, or in the directory of a shelf."""
        alone = self.store.shelves.alone
        shelf = shelf_of(above.node) or (alone.number if alone is not None else 0)
        return [self.reconciler.plan_fixed(shelved(shelf, node), above) for node in sorted(sections)]

    def _find_changed(self, sections: Iterable[tuple[Folder, str]]) -> None:
        """Find the folders that somebody changed in sections that the manifest is up to date with."""
        found = ChangedFinder(self.manifest, self.updater.root, self.workers, self.tell).run(sections)
        self._changed = found.changed
        self.done += found.counted
        self.report.add(*(_matches(name) for name in found.matching))

    def _visit(self, wanted: Wanted, parent: Directory, *, is_planned: bool) -> None:
        folder = wanted.folder
        if folder.kind in LEAVES and self._is_settled(wanted):
            self._pass(folder, parent)
            return
        self.done += folder.kind in COUNTED
        directory = self._begin(wanted, parent)
        if folder.kind not in LEAVES and is_planned:
            self._visit_known(folder, directory)
        elif folder.kind not in LEAVES:
            for child in self.reconciler.children(folder):
                self._visit(child, directory, is_planned=False)
        self._close(directory)
        self._flush_if_due()

    def _visit_known(self, folder: Folder, directory: Directory) -> None:
        """Visit the folders that the manifest has in a folder, as far as they changed."""
        for child in self._known(folder):
            self._visit(Wanted(child, None), directory, is_planned=True)

    def _known(self, folder: Folder) -> Iterator[Folder]:
        if self.updater.verify:
            return self.manifest.children(folder.id)
        return map(self.manifest.folder, self._changed.get(folder.id, ()))

    def _pass(self, folder: Folder, parent: Directory) -> None:
        """Compare a folder's mtime alone, which is enough for one that is settled and holds no folders."""
        self.done += 1
        self._check(folder, parent, (*parent.parts, folder.name))

    def _begin(self, wanted: Wanted, parent: Directory | None) -> Directory:
        """Have a folder checked or planned. The caller closes the directory."""
        directory = self._directory(wanted.folder, parent)
        if self._is_settled(wanted):
            self._check(wanted.folder, directory, directory.parts)
        else:
            self._plan(directory, wanted)
        return directory

    def _directory(self, folder: Folder, parent: Directory | None) -> Directory:
        parts = (*parent.parts, folder.name) if parent else ()
        return Directory(folder, parent, self.unmoved.get(folder.id, parts))

    def _is_settled(self, wanted: Wanted) -> bool:
        return wanted.items is None and wanted.folder.state == FolderState.SETTLED and not self.updater.verify

    def _check(self, folder: Folder, keeper: Directory, parts: tuple[str, ...]) -> None:
        keeper.pending += 1
        self._checks.append(_Check(folder, keeper, parts))
        if len(self._checks) >= folders_in_task(self.workers):
            self._flush_checks()
            self._take_mismatches()

    def _plan(self, directory: Directory, wanted: Wanted) -> None:
        """Have the files of a folder compared and written."""
        directory.mark_compared()
        items, records, leftovers = wanted.items, wanted.records, wanted.leftovers
        if items is None:
            plan = self.manifest.plan(directory.folder.id)
            items, leftovers = decode(plan.items), decode(plan.leftovers)
            records = [self.store.record(item.node) for item in items]
        directory.items, directory.leftovers = items, leftovers
        chunks = list(_chunks(items, records))
        in_one = len(chunks) == 1 and directory.folder.kind in LEAVES
        for some, made_from in chunks:
            self._add(directory, some, made_from, leftovers, finish=in_one)

    def _add(
        self,
        directory: Directory,
        items: Sequence[NodeFiles],
        records: Sequence[Record],
        leftovers: Sequence[NodeFiles],
        *,
        finish: bool,
    ) -> None:
        directory.pending += 1
        directory.finishing |= finish
        folder, parts, series_name = directory.folder, directory.parts, directory.series_name
        work = FolderWork(folder, parts, series_name, items, records, leftovers, finish, directory.touched)
        self._works.append((directory, work))
        self._files += sum(len(item.files) for item in items)

    def _close(self, directory: Directory) -> None:
        """Note that something in a directory is done. Restoring its mtime is the last thing."""
        directory.pending -= 1
        if directory.pending:
            return
        if directory.must_be_finished() and not self.updater.dry_run:
            self._add(directory, (), (), (*directory.items, *directory.leftovers), finish=True)
            return
        if not self.updater.dry_run:
            directory.settle(self.manifest)
            directory.tell(self.touched)
        if directory.passed_by and directory.folder.kind == NodeKind.SERIES:
            self.report.add(_matches(directory.folder.name))
        if directory.parent is not None:
            self._close(directory.parent)

    def _flush(self) -> None:
        """Commit the plan, so that the next run knows of it whatever happens, and give the work to workers."""
        self._flush_checks()
        self.manifest.commit()
        works, self._works, self._files = self._works, [], 0
        tasks: list[_Task] = [[]]
        size, limit = 0, self._files_in_task()
        for directory, work in works:
            if size >= limit:
                tasks.append([])
                size = 0
            tasks[-1].append((directory, work))
            size += _size([work])
        for task in tasks if self.workers.number == 1 else _from_both_ends(tasks):
            if task:
                self._submit(task)
        self.report.flush()
        self.tell(self.done)

    def _files_in_task(self) -> int:
        """Files in one task: few where each takes its time and many workers wait, many where handing over costs."""
        return max(_FILES_IN_TASK // self.workers.number, _FILES_IN_SMALL_TASK)

    def _submit(self, task: _Task) -> None:
        directories = [directory for directory, _ in task]
        works = [work for _, work in task]
        self.writers.submit(works, partial(self._take, directories), _size(works))

    def _take(self, directories: Sequence[Directory], results: Sequence[FolderResult]) -> None:
        """Account for the results of one task, a result for each directory."""
        for directory, done in zip(directories, results, strict=True):
            for error in done.errors:
                _log.debug("%s", error)
            self.report.add(*done.rows)
            directory.take(done)
            self._close(directory)

    def _flush_checks(self) -> None:
        if self._checks:
            checks, self._checks = self._checks, []
            finished = [("/".join(check.parts) or ".", check.folder.finished_mtime) for check in checks]
            self.workers.submit(partial(compare_mtimes, self.updater.root, finished), partial(self._take_looks, checks))
            self.tell(self.done)

    def _take_looks(self, checks: Sequence[_Check], changed: Mapping[int, bool]) -> None:
        for place, check in enumerate(checks):
            if place in changed:
                self._mismatches.append((check, changed[place]))
            else:
                self._close(check.keeper)

    def _take_mismatches(self) -> None:
        """Plan the folders whose check found them changed or missing."""
        mismatches, self._mismatches = self._mismatches, []
        for (folder, keeper, _), missing in mismatches:
            if missing:
                self.manifest.reopen(folder.id)
                self.manifest.reopen(folder.parent)
            if keeper.folder.id == folder.id:
                self._plan(keeper, Wanted(folder, None))
            else:
                directory = self._directory(folder, keeper)
                self._plan(directory, Wanted(folder, None))
                self._close(directory)
            self._close(keeper)
            self._flush_if_due()

    def _flush_if_due(self) -> None:
        if self._files >= _FILES_IN_BATCH:
            self._flush()

    def _finish(self) -> None:
        """Have everything done that is planned, and all that follows from it."""
        while self._works or self._checks or self._mismatches or self.writers.busy:
            self._take_mismatches()
            self._flush()
            self.writers.wait()
        self.report.flush()


def _plan_of(section: int) -> str:
    """The manifest's name for what identifies the plan of a section; see `Traversal.run`."""
    return f"plan of {section}"


def _matches(series: str) -> ReportRow:
    return ReportRow(Type.SERIES, series, "", "", "", Action.SKIPPED, Reason.MATCHES)


def _from_both_ends(tasks: Sequence[_Task]) -> Iterator[_Task]:
    """The tasks, from both ends in turn, for many workers. Neighbours are about the same directory, in which Linux
    makes one folder, or one file, at a time: workers would wait for each other."""
    rest = deque(tasks)
    while rest:
        yield rest.popleft()
        if rest:
            yield rest.pop()


def _size(works: Sequence[FolderWork]) -> int:
    """Steps of some work: one for each folder, and one for each file."""
    return len(works) + sum(len(item.files) for work in works for item in work.items)


def _chunks(
    items: Sequence[NodeFiles], records: Sequence[Record]
) -> Iterator[tuple[Sequence[NodeFiles], Sequence[Record]]]:
    """Portions of items for one task each, with their records. No items make one portion too: the folder itself."""
    start = size = 0
    for end, item in enumerate(items, 1):
        size += len(item.files)
        if size >= _FILES_IN_TASK:
            yield items[start:end], records[start:end]
            start, size = end, 0
    if size or not items:
        yield items[start:], records[start:]
