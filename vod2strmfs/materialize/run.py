"""A run: the library of one generation, written to an output root."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from vod2strmfs.errors import IndexFileError, OutputError
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize.cleanup import Cleaner
from vod2strmfs.materialize.job import Job, OnProgress, Outcome, Progress
from vod2strmfs.materialize.manifest import Manifest
from vod2strmfs.materialize.moves import Mover
from vod2strmfs.materialize.rebuild import rebuild
from vod2strmfs.materialize.reconcile import Reconciler
from vod2strmfs.materialize.remarks import remark_rows
from vod2strmfs.materialize.report import Report
from vod2strmfs.materialize.reports import prune
from vod2strmfs.materialize.root import OutputRoot, hold, opened
from vod2strmfs.materialize.traversal import COUNTED, Traversal
from vod2strmfs.materialize.update import Updater
from vod2strmfs.materialize.workers import Throttle, Workers

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def materialize(store: Store, job: Job, *, on_progress: OnProgress | None = None) -> Outcome:
    """Write the library to the output root.

    Args:
        store: the generation to write. It is read in this thread alone.
        job: what to do.
        on_progress: called now and then, in this thread.

    Returns:
        What was done, errors with single files included.

    Raises:
        OutputError: the output root, the manifest or the report cannot be used, or another run holds the root.
        IndexFileError: the index cannot be read, or has no generation yet. Nothing is deleted then.
    """
    if not store.generation:
        raise IndexFileError("The index holds no library yet. Run `vod2strmfs sync` first.")
    with ExitStack() as stack:
        root = stack.enter_context(hold(job.output_root, job.state_dir))
        manifest = stack.enter_context(closing(Manifest(root.manifest, dry_run=job.dry_run)))
        _check_mount(root, manifest)
        descriptor = stack.enter_context(opened(root.path, dry_run=job.dry_run))
        workers = stack.enter_context(Workers(job.concurrency))
        _rebuild_if_new(manifest, descriptor, store, workers)
        report = stack.enter_context(Report(job.report_dir, job.mode))
        prune(job.report_dir, job.keep_reports, job.keep_report_days)
        boot = manifest.fact("boot")
        manifest.note("boot", _boot_id())
        run = _Run(store, job, descriptor, manifest, report, workers)
        folders = run.write(verify=boot not in ("", _boot_id()), tell=run.teller(on_progress))
        held = run.clean_up()
        if not report.written:
            # Nothing new can be lost with the power, only what earlier runs wrote since the machine was started.
            manifest.note("boot", boot if boot == _boot_id() else "")
        manifest.commit()
    return Outcome(report.path, report.counts, folders, held)


@dataclass(frozen=True)
class _Run:
    """The two halves of a run, and what both need."""

    store: Store
    job: Job
    root: int | None
    manifest: Manifest
    report: Report
    workers: Workers

    def write(self, *, verify: bool, tell: Callable[[int], None]) -> int:
        """Write what is wanted; returns how many folders were gone through.

        Args:
            verify: whether every byte is compared: after a power cut, files can be empty that were whole.
            tell: called now and then with how many folders were gone through.
        """
        job, manifest = self.job, self.manifest
        mover = Mover(self.root, manifest, self.report, job.dry_run)
        reconciler = Reconciler(self.store, self._tree(), manifest, mover.move, fresh=manifest.folders() == 1)
        updater = Updater(
            self.root,
            self.store.settings,
            verify or job.verify or job.overwrite,
            job.overwrite,
            job.dry_run,
            Throttle(job.throttle),
        )
        traversal = Traversal(self.store, manifest, reconciler, updater, self.workers, self.report, mover.ways, tell)
        compared = traversal.run(job.sections, plan=f"{self.store.generation} {self.store.made} {job.write_nfo}")
        if compared:
            for row in remark_rows(self.store, job.kinds):
                self.report.add(row)
        return traversal.done

    def clean_up(self) -> int:
        """Clean up as the job says; returns how many files the brake held back."""
        job = self.job
        if job.cleanup == "off" or self.root is None:
            return 0
        cleaner = Cleaner(
            self.root, self.store, self._tree(), self.manifest, self.workers, self.report, job.sections, job.dry_run
        )
        only_preview = job.cleanup == "preview" or job.dry_run
        held = 0 if only_preview or job.accept_shrink else cleaner.held(job.max_shrink)
        if only_preview or held:
            cleaner.preview()
        else:
            cleaner.apply()
        return held

    def teller(self, on_progress: OnProgress | None) -> Callable[[int], None]:
        """What turns a number of folders into a progress."""
        if on_progress is None:
            return lambda done: None
        total = self.store.count(self.job.kinds & COUNTED)
        return lambda done: on_progress(Progress(done, total, self.report.written))

    def _tree(self) -> Tree:
        return Tree(self.store, write_nfo=self.job.write_nfo)


def _check_mount(root: OutputRoot, manifest: Manifest) -> None:
    """Refuse to write below the mount point of a share that is not mounted."""
    known = manifest.fact("mount point")
    if known.startswith(root.mount_point) and known != root.mount_point:
        raise OutputError(
            f"output root {root.path}: nothing is mounted at {known}, where the library was written to."
            f" Mount it. If the root has moved for good, delete {root.manifest}."
        )
    manifest.note("mount point", root.mount_point)


def _rebuild_if_new(manifest: Manifest, root: int | None, store: Store, workers: Workers) -> None:
    if root is None or manifest.fact("rebuilt"):
        return
    try:
        rebuild(manifest, root, store.settings, workers)
    except OSError as error:
        raise OutputError(f"output root: what is in it cannot be read ({error}).") from error
    manifest.note("rebuilt", "yes")
    manifest.commit()


def _boot_id() -> str:
    """What is another one each time the machine is started."""
    return _BOOT_ID.read_text().strip()
