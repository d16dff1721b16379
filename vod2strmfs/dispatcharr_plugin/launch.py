"""Where a run's process is started, and who looks after it.

A task of a plugin is thrown away by Dispatcharr's default Celery worker; the one with the queue `dvr` takes it, if the
plugin was there when it started. So: that worker, where it answers and then really begins; else a thread of the process
in which the button was pressed; else nobody. In a web worker a thread is a greenlet, and whatever computes in it stops
the page: so it is always a process that does the work, and what looks after it does nothing but wait.
"""

import logging
import os
import socket
import threading
import time

from . import runs
from .places import Places
from .processes import StartError, start, wait

TASK = "vod2strm.run"
QUEUE = "dvr"
"""Dispatcharr's queue for what takes long."""
_PING_SECONDS = 1.0
_BEGIN_SECONDS = 5.0
"""So long the worker has for beginning. It throws away what it does not know, and nobody hears of that."""
_TRIES = 3
"""So often a process is started while the plugin's folder is being replaced."""

_log = logging.getLogger("vod2strm")


def launch(places: Places, run: str) -> None:
    """Have a run that was asked for started; returns at once."""
    try:
        # A daemon: Dispatcharr can end without waiting for the run, which goes on.
        threading.Thread(target=_launch, args=(places, run), name="vod2strm", daemon=True).start()
    except RuntimeError:  # there can be no more threads
        look_after(places, run, "nobody", patient=False)


def _launch(places: Places, run: str) -> None:
    if not _hand_over(places, run):
        look_after(places, run, f"a thread of process {os.getpid()}")


def look_after(places: Places, run: str, who: str, *, patient: bool = True) -> None:
    """Start the process of a run that was asked for, and wait until it has ended, unless another has started it.

    Args:
        places: of the plugin.
        run: the run's id.
        who: does this, for people.
        patient: whether to wait.
    """
    try:
        if not runs.claim(places, run, who):
            return
        process = _start(places, run)
    except StartError as error:
        runs.end(places, run, error=str(error))
        _log.error("%s", error)
        return
    except (OSError, runs.BusyError) as error:
        _log.error("vod2strm: the run cannot be started: %s", error)
        return
    if not patient:
        return
    code = wait(process)
    said = runs.current(places)
    if said.get("id") == run and said["state"] in ("claimed", "lost"):
        how = f"was killed (signal {-code})" if code and code < 0 else f"ended with code {code}"
        runs.end(places, run, error=f"Its process {how} before it was done. The next run does what is left.")


def _start(places: Places, run: str) -> int:
    for _ in range(_TRIES):
        try:
            return start(places.folder, "run", run, errors=places.errors)
        except StartError:
            time.sleep(1)
    return start(places.folder, "run", run, errors=places.errors)


def _hand_over(places: Places, run: str) -> bool:
    """Have Celery look after a run; returns whether it does."""
    worker = dvr_worker()
    if not worker:
        return False
    try:
        from celery import current_app

        current_app.send_task(TASK, args=[str(places.folder), run], queue=QUEUE, ignore_result=True, expires=60)
    except Exception as error:
        _log.warning("vod2strm: Celery takes no task (%s): a thread does it.", type(error).__name__)
        return False
    deadline = time.monotonic() + _BEGIN_SECONDS
    while time.monotonic() < deadline:
        said = runs.current(places)
        if said.get("id") != run or said["state"] != "asked":
            return True
        time.sleep(0.05)
    _log.warning("vod2strm: the Celery worker %s does not know the plugin yet; it does when it is restarted.", worker)
    return False


def dvr_worker() -> str:
    """Name of a Celery worker in this container that takes tasks of plugins; "" if none answers. Takes a second."""
    try:
        from celery import current_app

        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=_PING_SECONDS)
            answers = current_app.control.inspect(timeout=_PING_SECONDS, connection=connection).active_queues()
    except Exception as error:  # There is no Celery, no broker, or it is another release's.
        _log.debug("vod2strm: Celery does not answer: %s", type(error).__name__)
        return ""
    for worker, queues in (answers or {}).items():
        if any(queue.get("name") == QUEUE for queue in queues) and is_here(str(worker)):
            return str(worker)
    return ""


def is_here(worker: str) -> bool:
    """Whether a Celery worker is in this container, by its name.

    Where Celery has a container of its own, it runs as root there, and sees only those of our folders that are mounted
    into both: it would write the library where nobody looks, and files that the web workers cannot read.
    """
    return worker.partition("@")[2] == socket.gethostname()


def is_same_user(places: Places) -> bool:
    """Whether this process is run by the user to whom the plugin's data belong."""
    return places.data.stat().st_uid == os.getuid()
