"""The process in which the plugin's work is done: `python -m vod2strmfs.dispatcharr_plugin.work FOLDER COMMAND …`.

`check` reads settings as JSON from standard input and says what is wrong with them. `run ID` is a run. `keep` waits for
what runs begin with, as long as `keep.json` wants it.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from vod2strmfs.dispatcharr_plugin import form, log, periodic, runs
from vod2strmfs.dispatcharr_plugin.launch import look_after
from vod2strmfs.dispatcharr_plugin.places import Places, read, write
from vod2strmfs.errors import CatalogError, ShrinkHeldError, UserError
from vod2strmfs.settings import Settings

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 30.0
"""So long a run may take to stop in order."""
_SETTLE_SECONDS = 30.0
_REPLACE_SECONDS = 10.0
"""So long an update may take between the old folder and the new one."""
_ASK_SECONDS = 60.0
"""Between two looks at whether the plugin is enabled."""
_KEEP_LOCK_SECONDS = 0.5
"""For which somebody holds the keeper's lock who only looks whether there is one, and more."""
_OF_KEEPER = ("asked", "problem")
"""What `keep.json` says that makes no difference to what is to be done."""
_SQLITE = "sqlite:////data/dispatcharr.db"
"""Where Dispatcharr keeps its database with DB_ENGINE=sqlite."""

_log = logging.getLogger("vod2strmfs")


class StoppedRunError(BaseException):
    """A run is told to stop. Whatever it is doing can be cut off: the next run finishes the job."""


def main() -> None:
    """Do what the command line says."""
    folder, command, *arguments = sys.argv[1:]
    places = Places(Path(folder))
    if command == "check":
        print(json.dumps(_check(places, json.load(sys.stdin))))
    elif command == "run":
        run(places, arguments[0])
    elif command == "keep":
        keep(places)


def _check(places: Places, typed: dict[str, Any]) -> dict[str, str]:
    try:
        settings_of(places, typed)
    except UserError as error:
        return {"error": str(error)}
    return {}


def settings_of(places: Places, typed: dict[str, Any], time_zone: str = "") -> Settings:
    """The settings of a run in Dispatcharr's surroundings: the database is the one that Dispatcharr uses.

    Raises:
        SettingsError: values are wrong.
    """
    database = _SQLITE if os.environ.get("DB_ENGINE") == "sqlite" else None
    os.environ.setdefault("POSTGRES_HOST", "localhost")
    return form.settings(typed, places.data, database=database, time_zone=time_zone)


def run(places: Places, identity: str) -> None:
    """Be a run, from its settings to what is said of it.

    Args:
        places: of the plugin.
        identity: the run's id.
    """
    with runs.taken(places, identity) as request:
        if request is None:
            return
        _obey(places, identity)
        _do(places, identity, request["action"], lambda: settings_of(places, request["settings"]))


def _do(places: Places, identity: str, action: str, settings: Callable[[], Settings]) -> None:
    """Do what a run is for, and say what came of it."""
    from vod2strmfs.dispatcharr_plugin import jobs

    try:
        wanted = settings()
        log.set_up(wanted)
        _log.info("%s begins.", runs.LABELS[action])
        said = jobs.ACTIONS[action](wanted, jobs.display(places, identity))
        # By the path that users know, which leads there.
        said["report"] = str(places.folder / "reports" / Path(said["report"]).name)
    except StoppedRunError:
        said = {"message": "Stopped. The next run does what is left."}
    except UserError as error:
        said = {"error": " ".join(str(error).split()), "code": int(error.exit_code)}
    except Exception as error:
        _log.exception("unexpected error")
        traceback.print_exc()
        said = {"error": f"Unexpected error: {type(error).__name__}. {places.errors} says where."}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "error" in said:
        _log.error("%s", said["error"])
    else:
        _log.info("%s", said["message"])
    runs.end(places, identity, **said)


def _obey(places: Places, identity: str) -> None:
    """Stop when that is asked for, in this container or in another one."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        raise StoppedRunError

    def look() -> None:
        while not runs.is_stopped(places, identity):
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_STOP_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=look, daemon=True).start()


def keep(places: Places) -> None:
    """Be the keeper, until it is not wanted any more or another one is there."""
    try:
        with runs.locked(places.data / "keep.lock", _KEEP_LOCK_SECONDS):
            while said := _wanted(places):
                try:
                    _serve(places, said)
                except UserError as error:  # The settings were saved unchecked.
                    problem = " ".join(str(error).split())
                    _log.error("%s The schedule waits for other settings.", problem)
                    with runs.held(places):
                        write(places.keep, read(places.keep) | {"problem": problem})
                    while _wanted(places) == said:
                        time.sleep(_LOOK_SECONDS)
    except runs.BusyError:
        pass


def _wanted(places: Places) -> dict[str, Any] | None:
    """What `keep.json` wants, if there is anything to wait for, and the plugin is there or is just being replaced."""
    deadline = time.monotonic() + _REPLACE_SECONDS
    while True:
        said = {name: value for name, value in read(places.keep).items() if name not in _OF_KEEPER}
        typed = said.get("settings")
        if typed is None or not (said.get("schedule") or periodic.is_on(typed.get("auto"))):
            return None
        if (places.folder / "plugin.py").is_file():
            return said
        if time.monotonic() > deadline:
            return None
        time.sleep(_LOOK_SECONDS)


def _serve(places: Places, said: dict[str, Any]) -> None:
    """Wait, and run, until `keep.json` says something else."""
    from vod2strmfs.schedule import next_time, zone
    from vod2strmfs.service.refresh import refresh
    from vod2strmfs.service.when import Service

    typed = said["settings"]
    settings = settings_of(places, typed, said.get("time_zone") or "")
    log.set_up(settings)
    schedule = said.get("schedule") or ""
    service = Service(
        lambda: _run_beside(places, typed),
        sync_once=(lambda: refresh(settings, patient=True).changed) if settings.auto else None,
        next_due=(lambda: next_time(schedule, datetime.now(zone(settings.time_zone)))) if schedule else None,
        poll_seconds=settings.poll_interval,
        settle_seconds=_SETTLE_SECONDS,
    )

    def watch() -> None:
        asked = time.monotonic()
        while _wanted(places) == said:
            time.sleep(_LOOK_SECONDS)
            if time.monotonic() - asked > _ASK_SECONDS:
                asked = time.monotonic()
                if not is_enabled(places, settings.database_url()):
                    _log.info("The plugin is not enabled any more: its schedule ends.")
                    os._exit(0)
        service.stop()

    threading.Thread(target=watch, daemon=True).start()
    service.serve()


def _run_beside(places: Places, typed: dict[str, Any]) -> None:
    """Have a run in a process of its own, which gives its memory back when it ends.

    Raises:
        UserError: it could not do all; the class says whether the catalogue was away.
    """
    try:
        run = runs.ask(places, "generate_all", typed)
    except runs.BusyError as error:
        raise UserError(str(error)) from None
    look_after(places, run, "the plugin's keeper")
    said = runs.current(places)
    if said.get("id") != run or not said.get("error"):
        return
    kinds = {int(each.exit_code): each for each in (CatalogError, ShrinkHeldError)}
    raise kinds.get(said.get("code", 0), UserError)(said["error"])


def is_enabled(places: Places, database: str) -> bool:
    """Whether Dispatcharr has the plugin enabled. True if that cannot be found out."""
    if database.startswith("sqlite:"):
        return True
    import psycopg

    try:
        with psycopg.connect(database, connect_timeout=10, options="-c default_transaction_read_only=on") as session:
            found = session.execute("SELECT enabled FROM plugins_pluginconfig WHERE key = %s", (places.key,)).fetchone()
    except psycopg.Error:
        return True
    return found is not None and bool(found[0])


if __name__ == "__main__":
    main()
