"""Going through the folders: those that are as they were left are passed by, the others are given to workers."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_NODE, NodeKind
from vod2strmfs.materialize.directories import LEAVES, Directory, Site
from vod2strmfs.materialize.ledger import Ledger, Mismatch
from vod2strmfs.materialize.manifest import Folder, Item, Manifest, State, decode
from vod2strmfs.materialize.reconcile import Reconciler, Wanted
from vod2strmfs.materialize.update import Part, Updater
from vod2strmfs.materialize.workers import Workers

_COUNTED = frozenset({NodeKind.MOVIE, NodeKind.SERIES, NodeKind.SEASON})
_FILES_IN_TASK = 32
_FILES_IN_BATCH = 512
_FOLDERS_IN_CHECK = 128


class _Check(NamedTuple):
    """A folder to be looked at from outside."""

    folder: Folder
    keeper: Directory
    """See `Mismatch`."""
    way: tuple[str, ...]


class Traversal:
    """One passage through the library's folders.

    Args:
        site: of the run.
        store: where contents come from.
        manifest: what is known of the folders.
        reconciler: plans the folders of sections that the manifest is not up to date with.
        updater: does the work.
        workers: for whom.
        ledger: where they say what they did.
        tell: called now and then with the number of folders gone through.
    """

    def __init__(
        self,
        site: Site,
        store: Store,
        manifest: Manifest,
        reconciler: Reconciler,
        updater: Updater,
        workers: Workers,
        ledger: Ledger,
        tell: Callable[[int], None],
    ) -> None:
        self.done = 0
        """How many folders were gone through, categories aside."""
        self._site = site
        self._store = store
        self._manifest = manifest
        self._reconciler = reconciler
        self._updater = updater
        self._workers = workers
        self._ledger = ledger
        self._tell = tell
        self._checks: list[_Check] = []
        self._parts: list[Part] = []
        self._files = 0

    def run(self, sections: Iterable[int], plan: str) -> None:
        """Go through some sections.

        Args:
            sections: their nodes.
            plan: what the library's side of the plan depends on. A section whose plan in the manifest has the same
                mark is not compared with the library again.
        """
        root = self._reconciler.fixed(ROOT_NODE, None)
        directory = self._begin(root, None)
        for node in sections:
            section = self._reconciler.fixed(node, root.folder)
            mark = f"plan of {node}"
            planned = self._manifest.fact(mark) == plan
            self._visit(section, directory, planned=planned)
            if not planned:
                self._manifest.note(mark, plan)
        self._finish()
        directory.release()
        self._workers.drain()

    def _begin(self, wanted: Wanted, parent: Directory | None) -> Directory:
        """Have a folder that can hold others looked at or updated; the caller releases it."""
        directory = Directory(self._site, wanted.folder, parent)
        if self._is_settled(wanted):
            self._check(wanted.folder, directory, directory.way)
        else:
            self._plan(directory, wanted.items, wanted.leftovers)
        return directory

    def _visit(self, wanted: Wanted, parent: Directory, *, planned: bool) -> None:
        folder = wanted.folder
        self.done += folder.kind in _COUNTED
        if folder.kind in LEAVES and self._is_settled(wanted):
            self._check(folder, parent, (*parent.way, folder.name))
            return
        directory = self._begin(wanted, parent)
        if folder.kind not in LEAVES:
            children = self._known(folder) if planned else self._reconciler.children(folder)
            for child in children:
                self._visit(child, directory, planned=planned)
        directory.release()

    def _known(self, folder: Folder) -> Iterator[Wanted]:
        return (Wanted(child, None) for child in self._manifest.children(folder.id))

    def _is_settled(self, wanted: Wanted) -> bool:
        return wanted.items is None and wanted.folder.state == State.SETTLED and not self._updater.verify

    def _check(self, folder: Folder, keeper: Directory, way: tuple[str, ...]) -> None:
        """Have a folder looked at from outside."""
        if not self._checks or self._checks[-1].keeper is not keeper:
            keeper.hold()
        self._checks.append(_Check(folder, keeper, way))
        if len(self._checks) >= _FOLDERS_IN_CHECK:
            self._flush_checks()
            self._take_mismatches()

    def _plan(self, directory: Directory, items: Sequence[Item] | None, leftovers: Sequence[Item]) -> None:
        """Have what is in a folder compared and written."""
        if items is None:
            plan = self._manifest.plan(directory.folder.id)
            items, leftovers = decode(plan.items), decode(plan.leftovers)
        directory.items, directory.leftovers = items, leftovers
        for some in _chunks(items):
            directory.hold()
            records = {item.node: self._store.record(item.node) for item in some}
            self._parts.append(Part(directory, some, records))
            self._files += sum(len(item.files) for item in some)
        if self._files >= _FILES_IN_BATCH:
            self._flush()

    def _flush(self) -> None:
        """Give what is planned to workers, once it is sure that the next run would know of it."""
        self._flush_checks()
        self._manifest.commit()
        self._tell(self.done)
        parts, self._parts, self._files = self._parts, [], 0
        task: list[Part] = []
        size = 0
        for part in parts:
            task.append(part)
            size += sum(len(item.files) for item in part.items)
            if size >= _FILES_IN_TASK:
                self._workers.submit(partial(self._updater.update, task))
                task, size = [], 0
        if task:
            self._workers.submit(partial(self._updater.update, task))
        self._take_mismatches()

    def _flush_checks(self) -> None:
        if self._checks:
            checks, self._checks = self._checks, []
            self._workers.submit(partial(_look, checks, self._site.root, self._ledger))
            self._tell(self.done)

    def _take_mismatches(self) -> None:
        """Plan the folders that were found changed."""
        mismatches, self._ledger.mismatches = self._ledger.mismatches, []
        for folder, keeper, missing in mismatches:
            if missing:
                self._manifest.reopen(folder.id)
                self._manifest.reopen(folder.parent)
            if keeper.folder.id == folder.id:
                self._plan(keeper, None, ())
            else:
                directory = Directory(self._site, folder, keeper)
                self._plan(directory, None, ())
                directory.release()
            keeper.release()

    def _finish(self) -> None:
        """Have everything done but for what the root itself needs."""
        self._flush()
        self._workers.drain()
        while self._ledger.mismatches:
            self._take_mismatches()
            self._flush()
            self._workers.drain()


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in portions for one task each. Of no items there is one portion too: the folder itself."""
    portion: list[Item] = []
    size = 0
    for item in items:
        portion.append(item)
        size += len(item.files)
        if size >= _FILES_IN_TASK:
            yield portion
            portion, size = [], 0
    if portion or not items:
        yield portion


def _look(checks: Sequence[_Check], root: int | None, ledger: Ledger) -> None:
    """Tell which folders are not as they were left. What is in them is not looked at: adding, removing or renaming a
    file gives its directory another time."""
    before = None
    for folder, keeper, way in checks:
        found = None
        try:
            if root is not None:
                found = os.stat("/".join(way) or ".", dir_fd=root, follow_symlinks=False)
        except OSError:
            pass  # Whoever opens it will meet the error again, and report it.
        if found is None or found.st_mtime_ns != folder.seen or not stat.S_ISDIR(found.st_mode):
            keeper.hold()
            ledger.say(Mismatch(folder, keeper, missing=found is None))
        if before is not None and before is not keeper:
            before.release()
        before = keeper
    if before is not None:
        before.release()
