"""`vod2strmfs materialize`."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Literal, get_args

import click

from vod2strmfs.cli import logs
from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.notify import NOTIFY, noting, tell
from vod2strmfs.cli.options import (
    CATALOGUE,
    LIBRARY,
    SELECTION,
    STATE,
    Group,
    GroupedCommand,
    complete_directory,
    with_settings,
)
from vod2strmfs.cli.refresh import refresh, sync_fields
from vod2strmfs.errors import OutputError, ShrinkHeldError, UserError
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.materialize.job import RunResult
    from vod2strmfs.sync.result import SyncResult

Mode = Literal["all", "movies", "series"]

WRITING = Group(
    "Writing",
    ("cleanup", "write_nfo", "concurrency", "throttle", "verify", "overwrite"),
)
REPORTS = Group("Reports", ("report_dir", "keep_reports", "keep_report_days"))

mode_option = click.option(
    "--mode", type=click.Choice(get_args(Mode)), default="all", help="What to write.", show_default=True
)

_ACCEPT = "vod2strmfs materialize --cleanup apply --accept-shrink"

_log = logging.getLogger("vod2strmfs")


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@mode_option
@click.option("--dry-run", is_flag=True, help="Write nothing but the report, which says what would be done.")
@click.option("--accept-shrink", is_flag=True, help="Let go of what the shrink brake holds back, and clean it up.")
@answer_options
@with_settings(CATALOGUE, SELECTION, LIBRARY, WRITING, REPORTS, NOTIFY, STATE)
def materialize(settings: Settings, mode: Mode, dry_run: bool, accept_shrink: bool, quiet: bool, as_json: bool) -> None:
    """Write the library as real files.

    OUTPUT_ROOT is made if need be (default: /data/STRM). Only what differs is written. Files that this command did not
    write, or that were edited since, are left alone. A report says what was done to each file.
    """
    logs.set_up(settings, quiet=quiet)
    done = export(settings, mode, dry_run=dry_run, accept_shrink=accept_shrink, quiet=quiet)
    if not dry_run:
        tell(settings)
    answer(done.text(), done.fields(), done.error(), quiet=quiet, as_json=as_json)


@dataclass(frozen=True)
class Export:
    """What came of syncing and materializing."""

    output_root: Path
    synced: "SyncResult"
    outcome: "RunResult"
    seconds: float
    dry_run: bool = False

    def text(self) -> str:
        """For people."""
        return "\n".join((self._summary(), *self._notes(), f"report: {self.outcome.report}"))

    def _summary(self) -> str:
        """What was done, where, and how long it took."""
        counts = sorted(self.outcome.counts.items())
        done = ", ".join(f"{number} {action.replace('_', ' ')}" for action, number in counts)
        done = done or "nothing to do"
        return f"{self.output_root}: {self.outcome.folders} folders in {self.seconds:.1f} s: {done}"

    def _notes(self) -> Iterator[str]:
        """What one has to know to read that."""
        actions = {action.value for action in self.outcome.counts}
        if self.dry_run:
            yield "Nothing was written: this is what would be done."
        elif "would_delete" in actions:
            yield "Nothing was deleted: `would delete` is what `--cleanup apply` would delete."
        if "noted" in actions:
            yield "noted: titles that are there, of which one should know something (`vod2strmfs report --all`)."
        yield from self._held()

    def fields(self) -> dict[str, object]:
        """For programs; see docs/commands.md."""
        return {
            "output_root": str(self.output_root),
            "sync": sync_fields(self.synced),
            "folders": self.outcome.folders,
            "actions": dict(sorted(self.outcome.counts.items())),
            "held_files": self.outcome.held,
            "report": str(self.outcome.report),
            "seconds": round(self.seconds, 3),
        }

    def error(self, accept: str = "run the command again with --accept-shrink") -> UserError | None:
        """What could not be done, if anything.

        Args:
            accept: how to let go of what the shrink brake holds.
        """
        failed = self._failed()
        held = list(self._held())
        kept = f"{' '.join(held)}\n{self._advice(accept)}" if held else ""
        if failed:
            # One code for two things: what is held is held in the next run too.
            return OutputError("\n".join(filter(None, (failed, kept))))
        return ShrinkHeldError(kept) if kept else None

    def log(self) -> None:
        """Tell the log of a service, where nobody waits for an answer.

        Raises:
            UserError: see `error`.
        """
        _log.info("%s", self.text().replace("\n", "; "))
        if error := self.error(f"run `{_ACCEPT}` with the settings of this service"):
            raise error

    def _failed(self) -> str:
        """What could not be dealt with, if anything."""
        outcome = self.outcome
        if not outcome.errors:
            return ""
        what = "file or folder" if outcome.errors == 1 else "files or folders"
        text = (
            f"output root {self.output_root}: {outcome.errors} {what} could not be dealt with;"
            " everything else was done.\n"
            f"Their rows in {outcome.report} have the action failed, and say why."
        )
        if outcome.too_long:
            text += (
                f" {outcome.too_long} of them have names of more than {outcome.name_max} bytes, which is all that this"
                " file system takes. Write to one that takes 255 (encrypted folders take fewer), or mount the library."
            )
        return text

    def _held(self) -> Iterator[str]:
        from vod2strmfs.index.held import explain

        if self.synced.held:
            yield explain(self.synced.kept)
        if self.outcome.held:
            yield f"{self.outcome.held} files are stale and were not deleted, since they are too many at once."

    def _advice(self, accept: str) -> str:
        from vod2strmfs.index.held import advise

        return advise(self.synced.kept, accept) if self.synced.kept else f"If they are gone for good, {accept}."


@contextmanager
def stopping() -> Iterator[Event]:
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


def export(
    settings: Settings, mode: Mode, *, dry_run: bool = False, accept_shrink: bool = False, quiet: bool = False
) -> Export:
    """Sync and materialize.

    Raises:
        UserError: it could not be done.
    """
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.index.store import Store
    from vod2strmfs.materialize.job import Job
    from vod2strmfs.materialize.run import materialize as run

    began = time.monotonic()
    synced = refresh(settings, accept_shrink=accept_shrink, quiet=quiet)
    job = Job.from_settings(settings, mode, dry_run=dry_run, accept_shrink=accept_shrink)
    doing = "Comparing" if dry_run else "Writing"
    with (
        stopping() as stop,
        closing(Store(settings.state_dir)) as store,
        shown(doing, "folders", quiet=quiet) as progress,
        noting(settings) as touched,
    ):
        outcome = run(
            store, job, on_progress=lambda state: progress(state.done, state.total), stop=stop, touched=touched
        )
    return Export(settings.output_root, synced, outcome, time.monotonic() - began, dry_run)
