"""A run: the library of one generation, written to an output root."""

import errno
import logging
import os
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from threading import Event

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.errors import IndexFileError, OutputError
from vod2strmfs.index.remarks import Remark
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize.boot import Boots
from vod2strmfs.materialize.changed import COUNTED
from vod2strmfs.materialize.cleanup import Cleaner
from vod2strmfs.materialize.files import Temporaries
from vod2strmfs.materialize.job import Job, OnProgress, Progress, RunResult
from vod2strmfs.materialize.manifest import Manifest
from vod2strmfs.materialize.moves import Mover
from vod2strmfs.materialize.plan import Reconciler
from vod2strmfs.materialize.probe import FileSystem, known_file_system, note_file_system, probe
from vod2strmfs.materialize.recover import rebuild
from vod2strmfs.materialize.root import OutputRoot, hold, opened
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.traversal import Traversal
from vod2strmfs.materialize.workers import StoppedError, Throttle, Workers
from vod2strmfs.materialize.write import Updater
from vod2strmfs.materialize.write_process import Order
from vod2strmfs.materialize.writers import Writers
from vod2strmfs.reports.files import prune
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type, reason_of
from vod2strmfs.reports.writer import Report

_log = logging.getLogger("vod2strmfs")

_TYPES = {
    NodeKind.MOVIE: Type.MOVIE,
    NodeKind.VERSION: Type.MOVIE,
    NodeKind.SERIES: Type.SERIES,
    NodeKind.SEASON: Type.SERIES,
    NodeKind.EPISODE: Type.EPISODE,
    NodeKind.SHELF: Type.SHELF,
}
_ACTIONS = {
    Reason.FILTERED: Action.SKIPPED,
    Reason.NO_EPISODES: Action.SKIPPED,
}


def materialize(
    store: Store,
    job: Job,
    *,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
    touched: Touched | None = None,
) -> RunResult:
    """Write the library of one generation to the output root.

    Args:
        store: the generation. It is read in this thread alone.
        job: the root, and what to do there.
        on_progress: called now and then, in this thread.
        stop: set, perhaps by a signal handler, when the run is to end: it ends as soon as the files at hand are done.
        touched: notes which titles are touched.

    Returns:
        What was done, errors with single files included.

    Raises:
        OutputError: the output root, the manifest or the report cannot be used, or another run holds the root.
        IndexFileError: the index cannot be read, or has no generation yet. Nothing is deleted then.
        StoppedError: the run was told to end. The report has what was done; the next run does the rest.
    """
    stop = stop or Event()
    settings = job.settings
    touched = touched or Touched()
    if not store.generation:
        raise IndexFileError("The index holds no library yet. Run `vod2strmfs sync` first.")
    with ExitStack() as stack:
        root = stack.enter_context(hold(settings.output_root, settings.state_dir))
        report = stack.enter_context(Report(settings.reports, job.mode))
        prune(settings.reports, settings.keep_reports, settings.keep_report_days)
        manifest = stack.enter_context(closing(Manifest(root.manifest, dry_run=job.dry_run)))
        boots = Boots(manifest, job.sections, root.mount_point)
        manifest.begin_run()
        manifest.before_commit = touched.flush
        workers = stack.enter_context(Workers(settings.concurrency, stop))
        with _reported(root, report):
            _check_mount(root, manifest)
            descriptor = stack.enter_context(opened(root.path, dry_run=job.dry_run))
            temporaries = root.temporaries()
            file_system = _file_system(root, manifest, descriptor, temporaries, dry_run=job.dry_run)
            _warn_of_short_names(root, file_system, store.settings.name_max)
            _rebuild_if_new(manifest, descriptor, store, workers, file_system)
            mover = Mover(descriptor, manifest, report, touched, job.dry_run)
            mover.resume()
        throttle = Throttle(settings.throttle, stop)
        run = _Run(
            store, job, root.lock, descriptor, manifest, report, workers, throttle, file_system, temporaries, mover,
            touched, stop,
        )  # fmt: skip
        held = 0
        try:
            folders = run.write(verify=boots.must_verify, tell=run.teller(on_progress))
            # What is new is safe before it is forgotten what was there, and before anything goes.
            if run.flush(boots):
                manifest.forget_former()
                held = run.clean_up()
                run.flush(boots)
            throttle.check()
        except StoppedError:
            manifest.commit()
            _log.warning("Interrupted. What was done is in %s; the next run does the rest.", report.path)
            raise
        boots.end(written=bool(report.written))
        manifest.commit()
    too_long = report.failures[Reason.NAME_REFUSED] if file_system.name_max < store.settings.name_max else 0
    return RunResult(report.path, report.counts, report.failures, folders, held, file_system.name_max, too_long)


@dataclass(frozen=True)
class _Run:
    """The two halves of a run, to write and to clean up, and what both need."""

    store: Store
    job: Job
    lock: int
    root: int | None
    manifest: Manifest
    report: Report
    workers: Workers
    throttle: Throttle
    file_system: FileSystem
    temporaries: Temporaries
    mover: Mover
    touched: Touched
    stop: Event

    def write(self, *, verify: bool, tell: Callable[[int], None]) -> int:
        """Write the files that are wanted; returns how many folders were gone through.

        Args:
            verify: whether every byte is compared: after a power cut, files can be empty that were whole.
            tell: called now and then with how many folders were gone through.
        """
        job, settings, manifest = self.job, self.job.settings, self.manifest
        is_first = manifest.count_folders() == 1
        self.touched.begin(is_first=is_first)
        reconciler = Reconciler(self.store, self._tree(), manifest, self.mover, first=is_first)
        updater = Updater(
            self.root,
            self.store.settings,
            verify or settings.verify or settings.overwrite,
            settings.overwrite,
            job.dry_run,
            self.throttle,
            self.file_system,
            self.temporaries,
            Pictures(settings.state_dir),
        )
        with Writers(updater, self.workers, self.stop, self._order(updater)) as writers:
            traversal = Traversal(
                self.store, manifest, reconciler, updater, self.workers, writers, self.report, self.mover.unmoved, tell,
                self.touched,
            )  # fmt: skip
            plan = f"{self.store.generation} {self.store.made} {settings.write_nfo}"
            compared = traversal.run(job.sections, plan)
        if compared:
            for row in remark_rows(self.store, job.kinds):
                self.report.add(row)
        return traversal.done

    def _order(self, updater: Updater) -> Order | None:
        """How a second process is to write; None if this one does it alone."""
        if updater.root is None or self.job.dry_run or self.job.settings.throttle:
            return None
        return Order(
            updater.root,
            self.lock,
            self.temporaries.root,
            updater.settings.model_dump_json().encode(),
            str(self.job.settings.state_dir.absolute()),
            updater.verify,
            updater.overwrite,
            updater.file_system,
        )

    def flush(self, boots: Boots) -> bool:
        """Flush what was written to the disk; returns False, after a row, if it may be lost."""
        if self.root is None or self.job.dry_run:
            return True
        error = boots.flush(self.root, self.report.written)
        if error is None:
            return True
        _log.debug("flushing the output root: %s", error)
        title = self.job.settings.output_root.name
        self.report.add(ReportRow(Type.ERROR, "", "", title, "", Action.FAILED, reason_of(error)))
        return False

    def clean_up(self) -> int:
        """Clean up as the job says; returns how many files the brake held back."""
        job, settings = self.job, self.job.settings
        if settings.cleanup == "off" or self.root is None:
            return 0
        cleaner = Cleaner(
            self.root,
            self.store,
            self._tree(),
            self.manifest,
            self.workers,
            self.report,
            self.touched,
            job.sections,
            job.dry_run,
            self.temporaries,
        )
        only_preview = settings.cleanup == "preview" or job.dry_run
        held = 0 if only_preview or job.accept_shrink else cleaner.held(settings.max_shrink)
        if only_preview or held:
            cleaner.preview()
        else:
            cleaner.apply()
        return held

    def teller(self, on_progress: OnProgress | None) -> Callable[[int], None]:
        """A function that tells `on_progress` a number of folders gone through, out of all."""
        if on_progress is None:
            return lambda done: None
        total = self.store.count(self.job.kinds & COUNTED)
        return lambda done: on_progress(Progress(done, total))

    def _tree(self) -> Tree:
        return Tree(self.store, write_nfo=self.job.settings.write_nfo)


@contextmanager
def _reported(root: OutputRoot, report: Report) -> Iterator[None]:
    """Give a root that cannot be used its row in the report."""
    try:
        yield
    except OutputError as error:
        if isinstance(error.__cause__, OSError):
            report.add(ReportRow(Type.ERROR, "", "", root.path.name, "", Action.FAILED, reason_of(error.__cause__)))
        raise


def _check_mount(root: OutputRoot, manifest: Manifest) -> None:
    """Refuse to write below the mount point of a share that is not mounted."""
    known = manifest.get("mount point")
    if known.startswith(root.mount_point) and known != root.mount_point:
        raise OutputError(
            f"output root {root.path}: nothing is mounted at {known}, where the library was written to."
            f" Mount it. If the root has moved for good, delete {root.manifest}."
        ) from OSError(errno.ENODEV, "not mounted")
    manifest.put("mount point", root.mount_point)


def _file_system(
    root: OutputRoot, manifest: Manifest, descriptor: int | None, temporaries: Temporaries, *, dry_run: bool
) -> FileSystem:
    """The behaviour of the root's file system, which is probed once for each mount: a run with nothing to do writes
    nothing."""
    if descriptor is None:
        return FileSystem()
    try:
        mount = f"{root.mount_point} {os.fstat(descriptor).st_dev}"
        known = known_file_system(manifest, mount)
        if known is not None:
            return known
        found = None if dry_run else probe(descriptor, temporaries)
    except OSError as error:
        raise OutputError(f"output root {root.path}: nothing can be written there ({error.strerror}).") from error
    if found is None:
        return FileSystem()
    _log.debug("output root %s: %s", root.path, found)
    if not found.takes_characters:
        _log.warning("output root %s: its file system refuses characters that names of titles hold.", root.path)
    note_file_system(manifest, mount, found)
    return found


def _warn_of_short_names(root: OutputRoot, file_system: FileSystem, name_max: int) -> None:
    if file_system.name_max < name_max:
        _log.warning(
            "output root %s: its file system takes %d bytes for a name, and not %d: titles with longer ones fail. Set"
            " name_max.",
            root.path,
            file_system.name_max,
            name_max,
        )


def _rebuild_if_new(
    manifest: Manifest, root: int | None, store: Store, workers: Workers, file_system: FileSystem
) -> None:
    if root is None or manifest.get("rebuilt"):
        return
    try:
        rebuild(manifest, root, store.settings, workers, file_system)
    except OSError as error:
        raise OutputError(f"output root: what is in it cannot be read ({error}).") from error
    manifest.put("rebuilt", "yes")
    manifest.commit()


def remark_rows(store: Store, kinds: Set[int]) -> Iterator[ReportRow]:
    """A row for each remark of the index about a node of some kinds."""
    return (_row(remark) for remark in store.remarks() if remark.kind in kinds or remark.kind == NodeKind.SHELF)


def _row(remark: Remark) -> ReportRow:
    kind, reason = NodeKind(remark.kind), Reason(remark.what)
    series = remark.name if kind == NodeKind.SERIES else remark.series
    title = "" if kind == NodeKind.SERIES else remark.name
    action = _ACTIONS.get(reason, Action.NOTED)
    return ReportRow(_TYPES[kind], series, remark.season, title, remark.uuid, action, reason.about(remark.detail or ""))
