"""The run: whether there is one, what is known of it, and how it passes from the button to the process that does it.

All of that is in files, since each of Dispatcharr's processes has a plugin object of its own. A run is there as long as
its process holds the lock, however that process ends. Before it has the lock, the run is `asked` for, and then
`claimed` by whoever is to start the process; both count for a short time only.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .places import Places, read, write

_START_SECONDS = 60.0
"""So long it may take from one state to the next before the process has the lock."""
_LOCK_SECONDS = 5.0
"""So long whoever writes these files holds them, at the very most."""

LABELS = {
    "stats": "Stats (CSV)",
    "generate_movies": "Generate Movies",
    "generate_series": "Generate Series",
    "generate_all": "Generate All",
    "preview_cleanup": "Preview cleanup",
    "apply_cleanup": "Apply cleanup",
}
"""What runs are called, by action."""


class BusyError(Exception):
    """There is a run already; the text says which."""


def ask(places: Places, action: str, settings: dict[str, Any]) -> str:
    """Ask for a run; returns its id.

    Args:
        places: of the plugin.
        action: a key of `LABELS`.
        settings: as Dispatcharr has them.

    Raises:
        BusyError: there is one already.
        OSError: the data folder cannot be written.
    """
    places.prepare()
    with held(places):
        last = current(places)
        if last["state"] in ("asked", "claimed", "running"):
            raise BusyError(f"{describe(last)} One run at a time: wait, or press Stop.")
        run = os.urandom(6).hex()
        write(places.request, {"id": run, "action": action, "settings": settings})
        write(places.run, {"id": run, "action": action, "state": "asked", "asked": time.time()})
        return run


def claim(places: Places, run: str, where: str) -> bool:
    """Take it upon oneself to start a run's process; returns whether nobody else has.

    Args:
        places: of the plugin.
        run: its id.
        where: who starts it, as in "a thread of process 7".
    """
    with held(places):
        said = read(places.run)
        if said.get("id") != run or said.get("state") != "asked":
            return False
        write(places.run, said | {"state": "claimed", "claimed": time.time(), "where": where})
        return True


@contextmanager
def taken(places: Places, run: str) -> Iterator[dict[str, Any] | None]:
    """Be the process of a run; gives what it is to do, or None if it is not wanted any more.

    Raises:
        BusyError: another process still is one.
    """
    with locked(places.data / "run.lock", _LOCK_SECONDS):
        with held(places):
            said, request = read(places.run), read(places.request)
            wanted = said.get("id") == run == request.get("id") and said.get("state") == "claimed"
            if wanted:
                places.request.unlink()
                write(places.run, said | {"state": "running", "process": os.getpid(), "began": time.time()})
        yield request if wanted else None


def tell(places: Places, run: str, **said: Any) -> None:
    """Say something of a run, if it still is the last one."""
    with held(places):
        known = read(places.run)
        if known.get("id") == run:
            write(places.run, known | said)


def end(places: Places, run: str, **said: Any) -> None:
    """Say how a run has ended."""
    tell(places, run, state="ended", ended=time.time(), **said)


def current(places: Places) -> dict[str, Any]:
    """What is known of the last run. Its `state` is `none`, `asked`, `claimed`, `running`, `lost` or `ended`."""
    said = {"state": "none"} | read(places.run)
    state = said["state"]
    if is_running(places):
        return said | {"state": "running"}
    if state in ("asked", "claimed") and abs(time.time() - float(said[state])) < _START_SECONDS:
        return said
    if state in ("asked", "claimed", "running"):
        # Between the two looks it may have ended in order.
        said = {"state": "none"} | read(places.run)
        return said if said["state"] in ("ended", "none") else said | {"state": "lost"}
    return said


def is_running(places: Places) -> bool:
    """Whether a process holds the lock of the run."""
    return is_locked(places.data / "run.lock")


def request_stop(places: Places) -> dict[str, Any]:
    """Ask the run to stop, if there is one; returns what is known of it."""
    with held(places):
        last = current(places)
        if last["state"] == "running":
            write(places.stop, {"id": last.get("id")})
        elif last["state"] in ("asked", "claimed"):
            write(places.run, last | {"state": "ended", "ended": time.time(), "message": "Stopped before it began."})
        return last


def is_stopped(places: Places, run: str) -> bool:
    """Whether a run has been asked to stop."""
    return read(places.stop).get("id") == run


def describe(said: dict[str, Any]) -> str:
    """What is known of a run, in a sentence or a few."""
    state = said["state"]
    if state == "none":
        return "Nothing has run yet."
    name = LABELS.get(said.get("action", ""), "A run")
    where = f", in a process that {said['where']} looks after" if said.get("where") else ""
    if state == "asked":
        return f"{name} is about to start."
    if state == "claimed":
        return f"{name} is starting{where}."
    since = _moment(said.get("began"))
    if state == "running":
        return f"{name} has been running since {since}{where}{_progress(said)}."
    if state == "lost":
        begun = f"began at {since}" if said.get("began") else "never began"
        return f"{name} {begun} and lost its process before it had ended. The next run does what is left."
    parts = [f"{name} ended at {_moment(said.get('ended'))}.", said.get("error") or said.get("message") or ""]
    if said.get("report"):
        parts.append(f"Report: {said['report']}")
    return " ".join(filter(None, parts))


def _progress(said: dict[str, Any]) -> str:
    doing = str(said.get("doing") or "")
    if not doing:
        return ""
    total = f" of {said['total']:,}" if said.get("total") else ""
    return f", {doing.lower()}: {said.get('done', 0):,}{total} {said.get('unit', '')}"


def _moment(seconds: Any) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(seconds or 0)))


@contextmanager
def held(places: Places) -> Iterator[None]:
    """Keep others from writing the plugin's files meanwhile, for some milliseconds.

    Raises:
        BusyError: somebody else does, for ever.
    """
    with locked(places.data / "ask.lock", _LOCK_SECONDS):
        yield


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock. Its file stays: whoever deletes one lets two hold it. What holds it ends with its process.

    Args:
        path: of the file.
        seconds: how long to wait for it at most. It is not waited for in the kernel, where a web worker's other
            greenlets would wait too.

    Raises:
        BusyError: it could not be had in that time.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError("Another process of the plugin is busy. Try again in a moment.") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(lock)


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
