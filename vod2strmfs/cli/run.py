"""`vod2strmfs run`."""

import logging
import signal
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from vod2strmfs.cli import logs
from vod2strmfs.cli.materialize import REPORTS, WRITING, Mode, export, mode_option
from vod2strmfs.cli.notify import NOTIFY, order_of
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
from vod2strmfs.errors import SettingsError
from vod2strmfs.host.service_manager import notify
from vod2strmfs.schedule import next_time, zone
from vod2strmfs.service.when import Service
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.notify.courier import Courier

WHEN = Group("When", ("schedule", "time_zone", "auto", "poll_interval"))

_log = logging.getLogger("vod2strmfs")


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@mode_option
@with_settings(WHEN, CATALOGUE, SELECTION, LIBRARY, WRITING, REPORTS, NOTIFY, STATE)
def run(settings: Settings, mode: Mode) -> None:
    """Materialize on a schedule, or after changes, until ended.

    With --auto, a run comes at the start, and whenever the catalogue has changed and then stayed as it is for 30
    seconds. A run that fails is logged and tried again. SIGHUP makes it run now.
    """
    logs.set_up(settings)
    serve(settings, mode)


def serve(settings: Settings, mode: Mode = "all", *, quiet: float = 30.0) -> None:
    """Serve until SIGTERM or SIGINT, which end a run in the middle.

    Args:
        settings: of the command.
        mode: what to write.
        quiet: seconds for which the catalogue has to stay as it is.

    Raises:
        SettingsError: there is nothing to wait for.
    """
    check_when(settings)
    settings.database_url()  # A database that is not set is found out now.
    from vod2strmfs.notify.courier import Courier

    courier = Courier(order_of(settings))
    service = Service(
        _exporter(settings, mode, courier),
        look=_looker(settings) if settings.auto else None,
        due=_timer(settings) if settings.schedule else None,
        poll=settings.poll_interval,
        quiet=quiet,
    )

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for again in (signal.SIGTERM, signal.SIGINT):
            signal.signal(again, signal.SIG_IGN)
        notify("STOPPING=1")
        service.stop()
        raise _StoppedError(signal.Signals(number).name)

    signal.signal(signal.SIGHUP, lambda *_: service.run_now())
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        notify("READY=1", patience=60)
        with courier:
            courier.tell()
            service.serve()
    except _StoppedError as stopped:
        _log.info("Stopping on %s.", stopped)


def check_when(settings: Settings) -> None:
    """Make sure that there is something to wait for.

    Raises:
        SettingsError: neither a schedule nor `auto` is set.
    """
    if not settings.schedule and not settings.auto:
        raise SettingsError('schedule: is not set, nor is auto. Give --schedule "daily 03:30", a crontab, or --auto.')


class _StoppedError(BaseException):
    """A signal ends the service. Whatever it is doing can be cut off: the next run finishes the job."""


def _exporter(settings: Settings, mode: Mode, courier: "Courier") -> Callable[[], None]:
    def run() -> None:
        try:
            export(settings, mode).log()
        finally:
            courier.tell()

    return run


def _looker(settings: Settings) -> Callable[[], bool]:
    def look() -> bool:
        outcome = refresh(settings, patient=True, quiet=True)
        if outcome.changed:
            _log.info("Generation %d: %s.", outcome.generation, outcome.describe())
        return outcome.changed

    return look


def _timer(settings: Settings) -> Callable[[], datetime]:
    return lambda: next_time(settings.schedule, datetime.now(zone(settings.time_zone)))
