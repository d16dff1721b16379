"""`vod2strmfs materialize`."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Literal, get_args

import click

from vod2strmfs.cli import logs
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
from vod2strmfs.cli.refresh import refresh
from vod2strmfs.errors import OutputError, ShrinkHeldError
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.materialize.job import Outcome

Mode = Literal["all", "movies", "series"]

WRITING = Group(
    "Writing",
    ("cleanup", "write_nfo", "concurrency", "throttle", "verify", "overwrite"),
)
REPORTS = Group("Reports", ("report_dir", "keep_reports", "keep_report_days"))

mode_option = click.option(
    "--mode", type=click.Choice(get_args(Mode)), default="all", help="What to write.", show_default=True
)


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@mode_option
@click.option("--dry-run", is_flag=True, help="Write nothing but the report, which says what would be done.")
@click.option("--accept-shrink", is_flag=True, help="Let go of what the shrink brake holds back, and clean it up.")
@with_settings(CATALOGUE, SELECTION, LIBRARY, WRITING, REPORTS, STATE)
def materialize(settings: Settings, mode: Mode, dry_run: bool, accept_shrink: bool) -> None:
    """Write the library as real files.

    OUTPUT_ROOT is made if need be (default: /data/STRM). Only what differs is written. Files that this command did not
    write, or that were edited since, are left alone. A report says what was done to each file.
    """
    logs.set_up(settings)
    export(settings, mode, dry_run=dry_run, accept_shrink=accept_shrink)


def export(settings: Settings, mode: Mode, *, dry_run: bool = False, accept_shrink: bool = False) -> None:
    """Sync and materialize, and say what came of it.

    Raises:
        UserError: it could not be done, or not all of it.
    """
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.index.store import Store
    from vod2strmfs.materialize.job import Job
    from vod2strmfs.materialize.run import materialize as run

    synced = refresh(settings, accept_shrink=accept_shrink)
    job = Job.from_settings(settings, mode, dry_run=dry_run, accept_shrink=accept_shrink)
    with closing(Store(settings.state_dir)) as store, shown("Comparing" if dry_run else "Writing") as on_progress:
        outcome = run(store, job, on_progress=on_progress)
    click.echo(_summary(outcome))
    if outcome.errors:
        raise OutputError(
            f"output root {settings.output_root}: {outcome.errors} files or folders could not be dealt with;"
            " everything else was done.\n"
            f"Their rows in {outcome.report} have the action failed, and say why."
        )
    held = list(_held(synced.held, outcome.held))
    if held:
        raise ShrinkHeldError(
            f"{' and '.join(held)}, since they are too many at once.\n"
            "If they are gone for good, run the command again with --accept-shrink."
        )


def _summary(outcome: "Outcome") -> str:
    done = ", ".join(f"{number} {action.replace('_', ' ')}" for action, number in sorted(outcome.counts.items()))
    return f"{outcome.folders} folders: {done or 'nothing to do'}\nreport: {outcome.report}"


def _held(items: int, files: int) -> Iterator[str]:
    if items:
        yield f"{items} items are gone from the catalogue and were kept"
    if files:
        yield f"{files} files are stale and were not deleted"
