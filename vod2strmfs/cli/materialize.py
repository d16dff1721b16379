"""`vod2strmfs materialize`."""

from functools import partial
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import (
    CATALOGUE,
    LIBRARY,
    NOTIFY,
    REPORTS,
    SELECTION,
    STATE,
    WRITING,
    GroupedCommand,
    complete_directory,
    mode_option,
    with_settings,
)
from vod2strmfs.cli.progress import shown
from vod2strmfs.cli.sync import sync_fields
from vod2strmfs.settings import Mode, Settings

if TYPE_CHECKING:
    from vod2strmfs.service.export import Exported


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@mode_option
@click.option("-n", "--dry-run", is_flag=True, help="Write nothing but the report, which says what would be done.")
@click.option(
    "--accept-shrink", is_flag=True, help="Accept the removals that the shrink brake holds back, also those of cleanup."
)
@answer_options
@with_settings(CATALOGUE, SELECTION, LIBRARY, WRITING, REPORTS, NOTIFY, STATE)
def materialize(settings: Settings, mode: Mode, dry_run: bool, accept_shrink: bool, quiet: bool, as_json: bool) -> None:
    """Write the library as real files.

    OUTPUT_ROOT is made if need be (default: /data/STRM). Only what differs is written. Files that this command did not
    write, or that were edited since, are left alone. A report says what was done to each file.
    """
    from vod2strmfs.service.export import accept_command, export
    from vod2strmfs.service.tell import tell

    set_up_logs(settings, quiet=quiet)
    display = partial(shown, quiet=quiet)
    done = export(settings, mode, dry_run=dry_run, accept_shrink=accept_shrink, display=display)
    if not dry_run:
        tell(settings)
    error = done.error(f"run `{accept_command(settings, mode)}`")
    answer(done.text(), _fields(done), error, quiet=quiet, as_json=as_json)


def _fields(done: "Exported") -> dict[str, object]:
    """What was done, for programs; see docs/commands.md."""
    return {
        "output_root": str(done.job.settings.output_root),
        "sync": sync_fields(done.synced),
        "folders": done.written.folders,
        "actions": dict(sorted(done.written.counts.items())),
        "held_files": done.written.held,
        "report": str(done.written.report),
        "seconds": round(done.seconds, 3),
    }
