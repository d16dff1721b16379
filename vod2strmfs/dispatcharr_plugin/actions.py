"""What the buttons do. Each answers at once; what takes longer is done elsewhere.

Dispatcharr's page shows whatever is returned in green. So what has failed is raised, in one line and without a secret.
"""

import hashlib
import json
import time
from typing import Any

from . import periodic, runs
from .launch import launch
from .places import Places, read, write
from .processes import StartError, ask

_CHECK_SECONDS = 45.0
"""So long it may take to check settings that are new; it takes half a second, or ten on a very busy machine. The web
server in front of Dispatcharr waits for a minute."""

Answer = dict[str, Any]
"""What Dispatcharr's page shows: `status`, `message` and `file`."""


class PluginError(Exception):
    """What went wrong, and what to do, in one line for the page."""


def act(places: Places, action: str, settings: dict[str, Any]) -> Answer:
    """Do what a button stands for.

    Args:
        places: of the plugin.
        action: its id.
        settings: as Dispatcharr has stored them.

    Raises:
        PluginError: it could not be done.
    """
    try:
        return _act(places, action, settings)
    except (PluginError, runs.BusyError, StartError) as error:
        raise PluginError(_line(str(error))) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise PluginError(f"{where}{error.strerror or 'cannot be used'}. The plugin keeps its data there.") from None
    except Exception as error:
        # Its text may hold anything.
        raise PluginError(f"Unexpected error ({type(error).__name__}). Dispatcharr's log says where.") from error


def _act(places: Places, action: str, settings: dict[str, Any]) -> Answer:
    if action == "status":
        return _said(status(places))
    if action == "stop":
        return _said(stop(places))
    if action not in runs.LABELS:
        raise PluginError(f"There is no action {action!r:.60}.")
    last = runs.current(places)
    if last["state"] == "running":  # before the settings are checked, which takes longer
        raise runs.BusyError(f"{runs.describe(last)} One run at a time: wait, or press Stop.")
    check(places, settings)
    run = runs.ask(places, action, settings)
    periodic.tend(places, settings)
    launch(places, run)
    return _said(f"{runs.LABELS[action]} has begun. Status says how far it is.")


def check(places: Places, settings: dict[str, Any]) -> None:
    """Make sure that the settings can be used. Those that were checked last are not checked again.

    Raises:
        PluginError: they cannot; says which, and why.
        StartError: that cannot be found out.
    """
    places.prepare()
    release = (places.folder / "plugin.json").read_bytes() if (places.folder / "plugin.json").exists() else b""
    text = json.dumps(settings, sort_keys=True).encode()
    digest = hashlib.sha256(release + b"\0" + text).hexdigest()
    if read(places.checked).get("digest") == digest:
        return
    answer = json.loads(ask(places.folder, "check", question=text, seconds=_CHECK_SECONDS))
    if answer.get("error"):
        raise PluginError(_line(answer["error"]))
    with runs.held(places):
        write(places.checked, {"digest": digest, "checked": time.time()})


def status(places: Places) -> str:
    """What the button Status says."""
    parts = [runs.describe(runs.current(places))]
    keep = read(places.keep)
    if keep.get("problem"):
        return f"{parts[0]} Nothing is scheduled: {keep['problem']}"
    if keep.get("beat"):
        parts.append(f"Dispatcharr's scheduler runs Generate All at {keep['beat']} ({keep.get('time_zone') or 'UTC'}).")
    elif keep.get("schedule"):
        parts.append(f"A process of the plugin runs Generate All at {keep['schedule']}{_absent(places)}.")
    if periodic.is_on((keep.get("settings") or {}).get("auto")):
        parts.append(
            f"A process of the plugin watches the catalogue, and runs Generate All after changes{_absent(places)}."
        )
    return " ".join(parts)


def _absent(places: Places) -> str:
    return "" if periodic.is_keeper_there(places) else ", but it is not there: press Generate All to start it"


def stop(places: Places) -> str:
    """What the button Stop does, and says."""
    places.prepare()
    last = runs.request_stop(places)
    if last["state"] in ("asked", "claimed", "running"):
        return f"{runs.LABELS.get(last.get('action', ''), 'The run')} is told to stop. The next run does what is left."
    return f"Nothing is running. {runs.describe(last)}"


def _said(message: str) -> Answer:
    return {"status": "ok", "message": message}


def _line(text: str) -> str:
    return " ".join(text.split())
