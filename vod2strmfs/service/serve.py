"""The long-running service: materializes when it is time, and obeys signals."""

import logging
import os
import signal
import time
from collections.abc import Callable, Set
from datetime import datetime
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from vod2strmfs.errors import SettingsError
from vod2strmfs.host.service_manager import notify
from vod2strmfs.index.file import make_directory
from vod2strmfs.schedule import next_time, zone
from vod2strmfs.service.export import accept_command, export
from vod2strmfs.service.page import serving_page
from vod2strmfs.service.refresh import Display, logged, refresh
from vod2strmfs.service.tell import order_of
from vod2strmfs.service.when import Service
from vod2strmfs.settings import Mode, Settings
from vod2strmfs.status.runs import ServiceState, noting

if TYPE_CHECKING:
    from vod2strmfs.hydrate.background import Background
    from vod2strmfs.notify.courier import Courier

_SETTLE_SECONDS = 30.0
_PUBLISH_SECONDS = 300.0
"""Between two generations that show images that came: with `auto`, files are written after each of them."""

_log = logging.getLogger("vod2strmfs")


def serve(
    settings: Settings, mode: Mode, *, display: Display = logged, settle_seconds: float = _SETTLE_SECONDS
) -> None:
    """Serve until SIGTERM or SIGINT, which end a run in the middle. SIGHUP makes it run at once.

    Args:
        settings: of the command.
        mode: which part of the library to write.
        display: shows how far a run is.
        settle_seconds: how long the catalogue has to stay as it is after a change.

    Raises:
        SettingsError: there is nothing to wait for.
        OutputError: the output root would be a mistake.
    """
    from vod2strmfs.materialize.root import check_path
    from vod2strmfs.notify.courier import Courier

    # What is wrong with these is found out now, and not at the first run.
    check_when(settings)
    settings.database_url()
    check_path(settings.output_root)

    courier = Courier(order_of(settings))
    pictures = _fetching(settings)
    service = Service(
        lambda: _export_and_tell(settings, mode, display, courier),
        sync_once=_syncer(settings, pictures) if settings.auto else None,
        next_due=_timer(settings) if settings.schedule else None,
        poll_seconds=settings.poll_interval,
        settle_seconds=settle_seconds,
    )
    state = ServiceState(os.getpid(), time.time(), str(settings.output_root.absolute()), _when(settings))

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for again in (signal.SIGTERM, signal.SIGINT):
            signal.signal(again, signal.SIG_IGN)
        notify("STOPPING=1")
        service.stop()
        raise _StoppedError(signal.Signals(number).name)

    make_directory(settings.state_dir)
    for warning in settings.page_warnings():
        _log.warning("%s", warning)
    filling = _filling(settings)

    def run_now() -> None:
        service.run_now()
        if filling:
            filling.try_again()

    signal.signal(signal.SIGHUP, lambda *_: run_now())
    if filling:
        filling.start()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        notify("READY=1", patience=60)
        with noting(settings.state_dir, state) as note, serving_page(settings), courier:
            service.tell = note.change
            courier.tell()
            service.serve()
    except _StoppedError as stopped:
        _log.info("Stopping on %s.", stopped)


def _when(settings: Settings) -> str:
    """What the service waits for, in words."""
    zone_of = f" ({settings.time_zone})" if settings.time_zone and settings.schedule else ""
    changes = "after changes of the catalogue" if settings.auto else ""
    return " and ".join(filter(None, (f"{settings.schedule}{zone_of}", changes)))


def check_when(settings: Settings) -> None:
    """Make sure that there is something to wait for, and nothing that only a mount can do.

    Raises:
        SettingsError: neither a schedule nor `auto` is set, or folders that people open are to be filled.
    """
    if not settings.schedule and not settings.auto:
        raise SettingsError('schedule: is not set, nor is auto. Give --schedule "daily 03:30", a crontab, or --auto.')
    if settings.hydrate == "on_open":
        raise SettingsError("hydrate: on_open is for a mount, whose folders people open. Set hydrate = background.")


def _filling(settings: Settings) -> "Background | None":
    """What has Dispatcharr fetch episodes in the background; None if that is off."""
    from vod2strmfs.hydrate.background import begin
    from vod2strmfs.index.order import HydrateOrder

    order = None if settings.hydrate == "off" else HydrateOrder.of(settings, settings.base_url)
    return begin(order, settings.database_url(), settings.library(), settings.state_dir.absolute())


def _fetching(settings: Settings) -> Event:
    """Begin to fetch images in the background, if they are wanted; returns what is set when another one is shown."""
    from vod2strmfs.artwork import background
    from vod2strmfs.index.order import ArtworkOrder
    from vod2strmfs.sync.pictures import Published, publish

    shown = Event()

    def publish_and_note(state_dir: Path, queue: Path, extensions: tuple[str, ...], lost: Set[str]) -> Published:
        done = publish(state_dir, queue, extensions, lost)
        if done.before != done.after:
            shown.set()
        return done

    order = ArtworkOrder.of(settings, publish=_PUBLISH_SECONDS, database=settings.database_url())
    background.begin(order, settings.state_dir.absolute(), publish_and_note)
    return shown


class _StoppedError(BaseException):
    """A signal ends the service. Whatever it is doing can be cut off: the next run finishes the job."""


def _export_and_tell(settings: Settings, mode: Mode, display: Display, courier: "Courier") -> None:
    """Export, and have media servers told of what was done, also if that was not all."""
    try:
        _export(settings, mode, display)
    finally:
        courier.tell()


def _export(settings: Settings, mode: Mode, display: Display) -> None:
    """Sync and materialize, and tell the log, where nobody waits for an answer.

    Raises:
        UserError: something could not be done.
    """
    done = export(settings, mode, display=display)
    _log.info("%s", done.text().replace("\n", "; "))
    if error := done.error(f"run `{accept_command(settings, mode)}`"):
        raise error


def _syncer(settings: Settings, pictures: Event) -> Callable[[], bool]:
    def sync_once() -> bool:
        result = refresh(settings, patient=True)
        if result.changed:
            _log.info("Generation %d: %s.", result.generation, result.describe())
        if not pictures.is_set():
            return result.changed
        pictures.clear()
        return True

    return sync_once


def _timer(settings: Settings) -> Callable[[], datetime]:
    return lambda: next_time(settings.schedule, datetime.now(zone(settings.time_zone)))
