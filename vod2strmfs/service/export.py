"""The use case of syncing and then materializing, which `materialize` does once and `run` again and again."""

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from vod2strmfs.errors import Exit, OutputError, ShrinkHeldError, UserError
from vod2strmfs.service.refresh import Display, logged, refresh
from vod2strmfs.service.tell import noting
from vod2strmfs.settings import Mode, Settings
from vod2strmfs.status import progress
from vod2strmfs.status.runs import LastRun, note_last
from vod2strmfs.status.words import counted

_INTERRUPTED = 130
"""The exit code that shells have for a command that was ended by Ctrl-C."""

if TYPE_CHECKING:
    from vod2strmfs.materialize.job import Job, RunResult
    from vod2strmfs.sync.result import SyncResult


@dataclass(frozen=True)
class Exported:
    """The result of syncing and materializing.

    Args:
        job: what was to be written.
        synced: the result of the sync.
        written: the result of materializing.
        seconds: the time that both took.
    """

    job: "Job"
    synced: "SyncResult"
    written: "RunResult"
    seconds: float

    def text(self) -> str:
        """Lines that tell people what was done, what one has to know to read that, and where the report is."""
        return "\n".join((self._summary(), *self._notes(), f"report: {self.written.report}"))

    def actions(self) -> dict[str, int]:
        """How many rows of each action the report has."""
        return {action.value: number for action, number in sorted(self.written.counts.items())}

    def error(self, accept: str) -> UserError | None:
        """The error that says what could not be done; None if all was.

        Args:
            accept: what to do to let go of what the shrink brake holds.
        """
        failed = self._failed()
        held = list(self._held())
        kept = f"{' '.join(held)}\n{self._advice(accept)}" if held else ""
        if failed:
            # One code for two things: what is held is held in the next run too.
            return OutputError("\n".join(filter(None, (failed, kept))))
        return ShrinkHeldError(kept) if kept else None

    def _summary(self) -> str:
        """A line that says what was done, where, and how long it took."""
        counts = sorted(self.written.counts.items())
        done = ", ".join(f"{number} {action.replace('_', ' ')}" for action, number in counts) or "nothing to do"
        folders = counted(self.written.folders, "folders")
        return f"{self.job.settings.output_root}: {folders} in {self.seconds:.1f} s: {done}"

    def _notes(self) -> Iterator[str]:
        """Sentences that one has to know to read the summary."""
        actions = {action.value for action in self.written.counts}
        if self.job.dry_run:
            yield "Nothing was written: this is what would be done."
        elif "would_delete" in actions:
            yield "Nothing was deleted: `would delete` is what `--cleanup apply` would delete."
        if "noted" in actions:
            yield "noted: titles that are there, of which one should know something (`vod2strmfs report --all`)."

    def _failed(self) -> str:
        """Sentences that say what could not be dealt with; empty if all was."""
        written = self.written
        if not written.errors:
            return ""
        what = "file or folder" if written.errors == 1 else "files or folders"
        reasons = written.failures.most_common()
        why = ", ".join(f"{number} {reason}" for reason, number in reasons) if len(reasons) > 1 else reasons[0][0]
        text = (
            f"output root {self.job.settings.output_root}: {written.errors} {what} could not be dealt with ({why});"
            " everything else was done.\n"
            f"Their rows in {written.report} have the action failed."
        )
        if written.too_long:
            text += (
                f" {written.too_long} of them have names of more than {written.name_max} bytes, which is all that this"
                f" file system takes: set name_max = {written.name_max}, write to one that takes 255, or mount the"
                " library."
            )
        return text

    def _held(self) -> Iterator[str]:
        """Sentences about what the shrink brakes hold: that of the sync, and that of cleanup."""
        from vod2strmfs.index.held import explain

        if self.synced.held:
            yield explain(self.synced.kept)
        if self.written.held:
            yield f"{self.written.held} files are stale and were not deleted, since they are too many at once."

    def _advice(self, accept: str) -> str:
        from vod2strmfs.index.held import advise

        return advise(self.synced.kept, accept) if self.synced.kept else f"If they are gone for good, {accept}."


def export(
    settings: Settings,
    mode: Mode,
    *,
    dry_run: bool = False,
    accept_shrink: bool = False,
    display: Display = logged,
) -> Exported:
    """Sync and materialize. SIGINT and SIGTERM end it when the files at hand are done.

    Args:
        settings: of the command.
        mode: which part of the library to write.
        dry_run: whether to write the report and nothing else.
        accept_shrink: whether to let go of what the shrink brakes hold.
        display: shows how far it is.

    Raises:
        UserError: it could not be done. What could not be done of it is said by `Exported.error`.
    """
    from vod2strmfs.materialize.root import check_path

    check_path(settings.output_root)  # A mistake is no run, and nothing is read for it.
    if dry_run:
        return _export(settings, mode, dry_run=True, accept_shrink=accept_shrink, display=display)
    began, root = time.time(), str(settings.output_root.absolute())
    try:
        done = _export(settings, mode, dry_run=False, accept_shrink=accept_shrink, display=display)
    except UserError as error:
        note_last(settings.state_dir, LastRun(root, began, time.time(), int(error.exit_code), str(error)))
        raise
    except BaseException as error:
        code = Exit.FAILED if isinstance(error, Exception) else _INTERRUPTED
        text = f"{type(error).__name__}: {error}" if code == Exit.FAILED else "It was ended before it was done."
        note_last(settings.state_dir, LastRun(root, began, time.time(), int(code), text))
        raise
    problem = done.error(f"run `{accept_command(settings, mode)}`")
    code, text = (problem.exit_code, str(problem)) if problem else (Exit.OK, "")
    report = str(done.written.report)
    note_last(settings.state_dir, LastRun(root, began, time.time(), int(code), text, done.actions(), report))
    return done


def accept_command(settings: Settings, mode: Mode) -> str:
    """The command that does what a run does, and lets go of what the shrink brake holds."""
    same = ["--mode", mode] if mode != "all" else []
    if settings.cleanup != "off":
        same += ["--cleanup", settings.cleanup]
    if not settings.write_nfo:
        same.append("--no-nfo")
    return settings.command("materialize", str(settings.output_root.absolute()), "--accept-shrink", *same)


def _export(settings: Settings, mode: Mode, *, dry_run: bool, accept_shrink: bool, display: Display) -> Exported:
    from vod2strmfs.index.store import Store
    from vod2strmfs.materialize.job import Job
    from vod2strmfs.materialize.run import materialize
    from vod2strmfs.service.artwork import show_stored
    from vod2strmfs.service.trial import trial

    began = time.monotonic()
    with trial(settings) if dry_run else nullcontext(settings) as indexed:
        synced = refresh(indexed, accept_shrink=accept_shrink, display=display)
        show_stored(indexed)
        job = Job(settings, mode, dry_run, accept_shrink)
        doing = "Comparing" if dry_run else "Writing"
        with (
            _stopping() as stop,
            closing(Store(indexed.state_dir)) as store,
            display(doing, "folders") as shown,
            progress.noting(settings.state_dir, f"{doing} files", "folders", shown) as tell,
            noting(settings) as touched,
        ):
            written = materialize(
                store, job, on_progress=lambda state: tell(state.done, state.total), stop=stop, touched=touched
            )
    return Exported(job, synced, written, time.monotonic() - began)


@contextmanager
def _stopping() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set. What they do otherwise they do when the context has ended.

    One that is ignored stays so: a shell starts commands in the background like that, which Ctrl-C is not for.
    """
    stop = Event()
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:  # a second signal may come in the middle of it
            stop.set()

    obeyed = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in obeyed}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
