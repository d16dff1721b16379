"""Going through the folders: those that are as they were left are passed by, the others are worked on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from vod2strmfs.index.store import Store
from vod2strmfs.library.contents import Record
from vod2strmfs.library.kinds import ROOT_NODE, NodeKind
from vod2strmfs.materialize.changed import COUNTED, Glance, folders_in_task, look
from vod2strmfs.materialize.folder import Directory
from vod2strmfs.materialize.manifest import Folder, Item, Manifest, State, decode
from vod2strmfs.materialize.plan import Reconciler, Wanted
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.workers import Workers
from vod2strmfs.materialize.write import LEAVES, Done, Updater, Work
from vod2strmfs.reports.rows import Action, Reason, Report, Row, Type

_FILES_IN_TASK = 32
_FILES_IN_SMALL_TASK = 3
_FILES_IN_BATCH = 512


_Task = list[tuple[Directory, Work]]
"""Work for one worker."""


class _Check(NamedTuple):
    """A folder that is looked at from outside."""

    folder: Folder
    keeper: Directory
    """Kept open until then: the folder's own if there is one, else its parent's."""
    way: tuple[str, ...]


@dataclass
class Traversal:
    """One passage through the library's folders.

    Args:
        store: where contents come from.
        manifest: what is known of the folders.
        reconciler: plans the folders of sections that the manifest is not up to date with.
        updater: does the work.
        workers: for whom.
        report: gets the rows.
        ways: where folders stand that a dry run would have moved, by id.
        tell: called now and then with the number of folders gone through.
        touched: notes what was done to titles.
    """

    store: Store
    manifest: Manifest
    reconciler: Reconciler
    updater: Updater
    workers: Workers
    report: Report
    ways: Mapping[int, tuple[str, ...]]
    tell: Callable[[int], None]
    touched: Touched
    done: int = 0
    """How many folders were gone through, categories aside."""
    _checks: list[_Check] = field(default_factory=list)
    _mismatches: list[tuple[_Check, bool]] = field(default_factory=list)
    """Folders that are not as they were left; whether they are missing."""
    _works: list[tuple[Directory, Work]] = field(default_factory=list)
    _changed: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """See `Glanced`."""
    _files: int = 0
    """How many files that work is about."""

    def run(self, sections: Iterable[int], plan: str) -> bool:
        """Go through some sections.

        Args:
            sections: their nodes.
            plan: what the plan follows from. A section whose plan in the manifest follows from the same is not
                compared with the library again.

        Returns:
            Whether any section was compared with the library.
        """
        root = self.reconciler.fixed(ROOT_NODE, None)
        directory = self._begin(root, None)
        wanted = [self.reconciler.fixed(node, root.folder) for node in sorted(sections)]
        planned = [section.folder for section in wanted if self.manifest.fact(_plan_of(section.folder.node)) == plan]
        if planned and not self.updater.verify:
            self._glance(planned)
        for section in wanted:
            is_planned = section.folder in planned
            self._visit(section, directory, is_planned=is_planned)
            if not is_planned:
                self.manifest.note(_plan_of(section.folder.node), plan)
        self._close(directory)
        self._finish()
        return len(planned) < len(wanted)

    def _glance(self, sections: Sequence[Folder]) -> None:
        """Look at all folders of some sections that the manifest is up to date with."""
        glanced = Glance(self.manifest, self.updater.root, self.workers, self.tell).run(sections)
        self._changed = glanced.changed
        self.done += glanced.counted
        self.report.add(*(_matches(name) for name in glanced.matching))

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
        """Visit what the manifest has in a folder, as far as that changed."""
        for child in self._known(folder):
            self._visit(Wanted(child, None), directory, is_planned=True)

    def _known(self, folder: Folder) -> Iterator[Folder]:
        if self.updater.verify:
            return self.manifest.children(folder.id)
        return map(self.manifest.folder, self._changed.get(folder.id, ()))

    def _pass(self, folder: Folder, parent: Directory) -> None:
        """Look at a folder from outside, which is enough for one that was settled and holds no folders."""
        self.done += 1
        self._check(folder, parent, (*parent.way, folder.name))

    def _begin(self, wanted: Wanted, parent: Directory | None) -> Directory:
        """Have a folder looked at or worked on. The caller closes it."""
        directory = self._directory(wanted.folder, parent)
        if self._is_settled(wanted):
            self._check(wanted.folder, directory, directory.way)
        else:
            self._plan(directory, wanted)
        return directory

    def _directory(self, folder: Folder, parent: Directory | None) -> Directory:
        way = (*parent.way, folder.name) if parent else ()
        return Directory(folder, parent, self.ways.get(folder.id, way))

    def _is_settled(self, wanted: Wanted) -> bool:
        return wanted.items is None and wanted.folder.state == State.SETTLED and not self.updater.verify

    def _check(self, folder: Folder, keeper: Directory, way: tuple[str, ...]) -> None:
        keeper.open += 1
        self._checks.append(_Check(folder, keeper, way))
        if len(self._checks) >= folders_in_task(self.workers):
            self._flush_checks()
            self._take_mismatches()

    def _plan(self, directory: Directory, wanted: Wanted) -> None:
        """Have what is in a folder compared and written."""
        directory.look_at()
        items, records, leftovers = wanted.items, wanted.records, wanted.leftovers
        if items is None:
            plan = self.manifest.plan(directory.folder.id)
            items, leftovers = decode(plan.items), decode(plan.leftovers)
            records = [self.store.record(item.node) for item in items]
        directory.items, directory.leftovers = items, leftovers
        chunks = list(_chunks(items, records))
        in_one = len(chunks) == 1 and directory.folder.kind in LEAVES
        for some, made_from in chunks:
            self._add(directory, some, made_from, leftovers, leave=in_one)

    def _add(
        self,
        directory: Directory,
        items: Sequence[Item],
        records: Sequence[Record],
        leftovers: Sequence[Item],
        *,
        leave: bool,
    ) -> None:
        directory.open += 1
        directory.leaving |= leave
        folder, way, series_name = directory.folder, directory.way, directory.series_name
        work = Work(folder, way, series_name, items, records, leftovers, leave, directory.touched)
        self._works.append((directory, work))
        self._files += sum(len(item.files) for item in items)

    def _close(self, directory: Directory) -> None:
        """Note that something in a directory is done. The last thing to do is to leave it."""
        directory.open -= 1
        if directory.open:
            return
        if directory.has_to_be_left() and not self.updater.dry_run:
            self._add(directory, (), (), (*directory.items, *directory.leftovers), leave=True)
            return
        if not self.updater.dry_run:
            directory.settle(self.manifest)
            directory.tell(self.touched)
        if directory.passed_by and directory.folder.kind == NodeKind.SERIES:
            self.report.add(_matches(directory.folder.name))
        if directory.parent is not None:
            self._close(directory.parent)

    def _flush(self) -> None:
        """Give what is planned to workers, once it is sure that the next run would know of it."""
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
        """Few where files take their time and many workers wait for them; many where handing over is what costs."""
        return max(_FILES_IN_TASK // self.workers.number, _FILES_IN_SMALL_TASK)

    def _submit(self, task: _Task) -> None:
        directories = [directory for directory, _ in task]
        works = [work for _, work in task]
        self.workers.submit(partial(self.updater.run, works), partial(self._take, directories), _size(works))

    def _take(self, directories: Sequence[Directory], results: Sequence[Done]) -> None:
        """Account for what workers did."""
        for directory, done in zip(directories, results, strict=True):
            self.report.add(*done.rows)
            directory.take(done)
            self._close(directory)

    def _flush_checks(self) -> None:
        if self._checks:
            checks, self._checks = self._checks, []
            last_seen = [("/".join(check.way) or ".", check.folder.seen) for check in checks]
            self.workers.submit(partial(look, self.updater.root, last_seen), partial(self._take_looks, checks))
            self.tell(self.done)

    def _take_looks(self, checks: Sequence[_Check], changed: Mapping[int, bool]) -> None:
        for place, check in enumerate(checks):
            if place in changed:
                self._mismatches.append((check, changed[place]))
            else:
                self._close(check.keeper)

    def _take_mismatches(self) -> None:
        """Plan the folders that somebody changed."""
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
        """Have everything done, and what follows from it."""
        while self._works or self._checks or self._mismatches or self.workers.busy:
            self._take_mismatches()
            self._flush()
            if self.workers.busy:
                self.workers.wait()
        self.report.flush()


def _plan_of(section: int) -> str:
    """The name of the fact that says what the plan of a section follows from."""
    return f"plan of {section}"


def _matches(series: str) -> Row:
    return Row(Type.SERIES, series, "", "", "", Action.SKIPPED, Reason.MATCHES)


def _from_both_ends(tasks: Sequence[_Task]) -> Iterator[_Task]:
    """Tasks in an order for many workers. Neighbours are about the same directory, in which Linux makes one folder, or
    one file, at a time: workers would wait for each other."""
    rest = deque(tasks)
    while rest:
        yield rest.popleft()
        if rest:
            yield rest.pop()


def _size(works: Sequence[Work]) -> int:
    """How many steps some work has: each folder, and each file."""
    return len(works) + sum(len(item.files) for work in works for item in work.items)


def _chunks(items: Sequence[Item], records: Sequence[Record]) -> Iterator[tuple[Sequence[Item], Sequence[Record]]]:
    """Portions for one task each. Of no items there is one portion too: the folder itself."""
    start = size = 0
    for end, item in enumerate(items, 1):
        size += len(item.files)
        if size >= _FILES_IN_TASK:
            yield items[start:end], records[start:end]
            start, size = end, 0
    if size or not items:
        yield items[start:], records[start:]
