"""Runs that nobody asked for: at set times, and after a refresh of the catalogue.

Times are kept by Celery's beat, where it runs and can say what the schedule says. What else there is to wait for, the
*keeper* waits for: one process for the whole of Dispatcharr, which is `vod2strmfs run` by another name (see `work`).
Both follow what is written in `keep.json` whenever the settings are saved or a button is pressed.

Nobody tells a plugin that it was deleted while it was disabled. So the task and the keeper ask whether they are wanted.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from . import runs
from .launch import QUEUE, dvr_worker, is_same_user, look_after
from .places import Places, read, write
from .processes import StartError, start, wait

SCHEDULED = "vod2strm.scheduled"
_TEND_SECONDS = 60.0
_DAILY = re.compile(r"daily +(\d{1,2}):(\d\d)", re.IGNORECASE)
_BEAT_FIELD = re.compile(r"[\d*,/-]+")

_log = logging.getLogger("vod2strm")


def tend(places: Places, settings: dict[str, Any] | None) -> None:
    """Have the settings' schedule kept, in the background; returns at once.

    Args:
        places: of the plugin.
        settings: None for none: the plugin is not wanted any more.
    """
    asked = time.time()
    _in_background(lambda: _tend(places, settings, asked))


def _in_background(work: Callable[[], None]) -> None:
    def run() -> None:
        try:
            work()
        except Exception as error:
            _log.error("vod2strm: the schedule cannot be set (%s).", type(error).__name__, exc_info=True)
        finally:
            _close_connections()

    try:
        threading.Thread(target=run, name="vod2strm schedule", daemon=True).start()
    except RuntimeError:
        _log.error("vod2strm: the schedule cannot be set: there can be no more threads.")


def _close_connections() -> None:
    """Give back the connections that this thread has of Dispatcharr's."""
    try:
        from django.db import connections
    except ImportError:
        return
    connections.close_all()


def restore(places: Places) -> None:
    """Have the schedule kept as before the plugin was disabled, or Dispatcharr restarted; returns at once."""

    def work() -> None:
        asked = time.time()
        try:
            stored = stored_settings(places)
        except Exception as error:
            _log.debug("vod2strm: no stored settings (%s).", type(error).__name__)  # Dispatcharr is being installed
        else:
            said = read(places.keep)
            if stored is not None and (said.get("settings") != stored or said.get("beat")):
                _tend(places, stored, asked)
                return
        ensure_keeper(places)

    _in_background(work)


def _tend(places: Places, settings: dict[str, Any] | None, asked: float) -> None:
    """Follow settings, unless others were asked for later: what is asked for at once is not done in that order."""
    # Several workers do this at once when they start; Dispatcharr's helper would make two of a crontab.
    with runs.locked(places.data / "tend.lock", _TEND_SECONDS):
        # What was asked for by a clock that was set back since was not asked for later.
        if not asked <= read(places.keep).get("asked", 0) <= time.time():
            _follow(places, settings, asked)
    ensure_keeper(places)


def _follow(places: Places, settings: dict[str, Any] | None, asked: float) -> None:
    wanted = settings or {}
    schedule = str(wanted.get("schedule") or "").strip()
    crontab = for_beat(schedule)
    has_beat = bool(crontab and _has_helper() and dvr_worker())
    if has_beat:
        _keep_with_beat(places, crontab)
    else:
        _forget_at_beat(places)
    with runs.held(places):
        write(
            places.keep,
            {
                "asked": asked,
                "settings": settings,
                "time_zone": time_zone(),
                "schedule": "" if has_beat else schedule,
                "beat": crontab if has_beat else "",
            },
        )


def ensure_keeper(places: Places) -> None:
    """Start the keeper, if there is something for it to do and it is not there."""
    said = read(places.keep)
    settings = said.get("settings") or {}
    if not (said.get("schedule") or is_on(settings.get("auto"))):
        return
    if is_keeper_there(places):
        return
    try:
        process = start(places.folder, "keep", errors=places.data / "keeper-errors.txt")
    except StartError as error:
        _log.error("vod2strm: %s", error)
        return
    wait(process)  # in a thread: so that nothing is left of it when it ends


def is_keeper_there(places: Places) -> bool:
    """Whether a process keeps the schedule."""
    return runs.is_locked(places.data / "keep.lock")


def is_on(value: object) -> bool:
    """Whether a switch of the form is on: Dispatcharr keeps whatever it was sent."""
    return str(value).strip().lower() in ("true", "1", "on", "yes", "y", "t")


def for_beat(schedule: str) -> str:
    """A schedule as a crontab of five fields that Celery's beat understands as we do; "" if there is none.

    Seconds are left out, so that a run begins with its minute. Where a crontab names days of the month and of the week,
    beat takes those that are both, and cron those that are either; and beat knows no names of days as cron does.
    """
    if match := _DAILY.fullmatch(schedule):
        return f"{int(match[2])} {int(match[1])} * * *"
    fields = schedule.split()
    if len(fields) == 6 and fields[0].isdecimal():
        fields = fields[1:]
    if len(fields) != 5 or not all(_BEAT_FIELD.fullmatch(field) for field in fields):
        return ""
    if not (fields[2].startswith("*") or fields[4].startswith("*")) or "7" in fields[4]:
        return ""
    return " ".join(fields)


def time_zone() -> str:
    """Dispatcharr's time zone; "" if there is none to be asked."""
    try:
        from core.models import CoreSettings

        return str(CoreSettings.get_system_time_zone())
    except Exception:
        return ""


def _has_helper() -> bool:
    try:
        from core import scheduling  # noqa: F401
    except Exception:
        return False
    return True


def _name(places: Places) -> str:
    return f"{places.key}-schedule"


def _keep_with_beat(places: Places, crontab: str) -> None:
    from core.scheduling import create_or_update_periodic_task

    task = create_or_update_periodic_task(
        task_name=_name(places),
        celery_task_path=SCHEDULED,
        kwargs={"folder": str(places.folder)},
        cron_expression=crontab,
        enabled=True,
    )
    if task.queue != QUEUE:
        task.queue = QUEUE
        task.save(update_fields=["queue"])


def _forget_at_beat(places: Places) -> None:
    if not _has_helper():
        return
    from core.scheduling import delete_periodic_task
    from django_celery_beat.models import PeriodicTask

    if PeriodicTask.objects.filter(name=_name(places)).exists():
        delete_periodic_task(_name(places))


def scheduled(places: Places, who: str) -> None:
    """Run what the schedule is for, now that it is due; if it is not wanted any more, take it away.

    Args:
        places: of the plugin.
        who: does this, for people.
    """
    try:
        settings = stored_settings(places)
        if settings is None or not for_beat(str(settings.get("schedule") or "").strip()):
            _log.info("vod2strm: the schedule is not wanted any more.")
            _forget_at_beat(places)
            return
    finally:
        _close_connections()
    if not is_same_user(places):
        _log.error("vod2strm: the schedule is due, and Celery runs as another user than Dispatcharr's web workers.")
        return
    try:
        run = runs.ask(places, "generate_all", settings)
    except runs.BusyError as error:
        _log.warning("vod2strm: the schedule is due, and nothing is begun. %s", error)
        return
    look_after(places, run, who)


def stored_settings(places: Places) -> dict[str, Any] | None:
    """The plugin's settings as Dispatcharr has stored them, with the defaults; None if the plugin is not enabled."""
    from apps.plugins.models import PluginConfig

    stored = PluginConfig.objects.filter(key=places.key, enabled=True).first()
    if stored is None or not (places.folder / "plugin.py").is_file():
        return None
    return with_defaults(places, stored.settings or {})


def with_defaults(places: Places, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with the defaults of the form for what is not there, as Dispatcharr fills them in."""
    try:
        fields = json.loads((places.folder / "plugin.json").read_bytes())["fields"]
    except (OSError, ValueError, KeyError):
        fields = []
    return {field["id"]: field["default"] for field in fields if "default" in field} | settings


def follow_settings(places: Places) -> None:
    """Tend the schedule whenever Dispatcharr saves the plugin's settings, with no button pressed."""
    try:
        from apps.plugins.models import PluginConfig
        from django.db.models.signals import post_save
    except Exception:
        return
    uid = f"{places.key}-settings"

    def saved(sender: object, instance: Any, **_: object) -> None:
        if instance.key == places.key and instance.enabled:
            tend(places, with_defaults(places, instance.settings or {}))

    # Of a plugin that is reloaded, the first receiver would stay.
    post_save.disconnect(dispatch_uid=uid, sender=PluginConfig)
    post_save.connect(saved, sender=PluginConfig, dispatch_uid=uid, weak=False)
