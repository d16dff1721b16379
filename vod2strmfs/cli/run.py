"""`vod2strmfs run`."""

import click

from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import (
    ARTWORK,
    CATALOGUE,
    HYDRATE,
    LIBRARY,
    NOTIFY,
    PAGE,
    REPORTS,
    SELECTION,
    STATE,
    WHEN,
    WRITING,
    GroupedCommand,
    complete_directory,
    mode_option,
    with_settings,
)
from vod2strmfs.cli.progress import shown
from vod2strmfs.settings import Mode, Settings


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@mode_option
@with_settings(WHEN, CATALOGUE, SELECTION, LIBRARY, WRITING, REPORTS, PAGE, HYDRATE, ARTWORK, NOTIFY, STATE)
def run(settings: Settings, mode: Mode) -> None:
    """Materialize on a schedule, or after changes, until ended.

    With --auto, a run comes at the start, and whenever the catalogue has changed and then stayed as it is for 30
    seconds. A run that fails is logged and tried again. SIGHUP makes it run now.
    """
    from vod2strmfs.service.serve import serve

    set_up_logs(settings)
    serve(settings, mode, display=shown)
