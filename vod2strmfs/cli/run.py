"""`vod2strmfs run`."""

import logging
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from vod2strmfs.cli import logs
from vod2strmfs.cli.materialize import REPORTS, WRITING, Mode, export, mode_option
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
from vod2strmfs.errors import SettingsError, UserError
from vod2strmfs.schedule import next_time
from vod2strmfs.settings import Settings

_LONGEST_NAP = 60.0
"""Seconds: the clock may be set, and a laptop may sleep."""
_WHEN = Group("When", ("schedule", "time_zone"))

_log = logging.getLogger("vod2strmfs")


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@mode_option
@with_settings(_WHEN, CATALOGUE, SELECTION, LIBRARY, WRITING, REPORTS, STATE)
def run(settings: Settings, mode: Mode) -> None:
    """Materialize on a schedule, until ended.

    A run that fails is logged, and the next one comes at its time.
    """
    logs.set_up(settings)
    if not settings.schedule:
        raise SettingsError('schedule: is not set. Give --schedule "daily 03:30", or a crontab.')
    zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    while True:
        due = next_time(settings.schedule, datetime.now().astimezone(zone))
        _log.info("The next run is at %s.", due.isoformat(sep=" "))
        while (seconds := due.timestamp() - time.time()) > 0:
            time.sleep(min(seconds, _LONGEST_NAP))
        try:
            export(settings, mode)
        except UserError as error:
            _log.error("%s", str(error).replace("\n", " "))
