"""How materializing goes, for whoever asks: the last run, and the service that runs time and again.

Both are noted in files of the state directory, so that they are known also while nothing runs, as between two runs of a
timer. Whether the service lives is said by a lock, which ends with its process however that ends.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from vod2strmfs.host.lock import held, is_held
from vod2strmfs.host.private import private

LAST_NAME = "last-run.json"
SERVICE_NAME = "service.json"
LOCK_NAME = "service.lock"
_LOCK_SECONDS = 0.5
"""In which whoever only asks whether a service lives is done with its lock."""

_log = logging.getLogger("vod2strmfs")


class LastRun(msgspec.Struct, frozen=True):
    """The last run of `materialize`, or of a service, that was no dry run. Times are seconds since the epoch."""

    output_root: str
    began: float
    ended: float
    exit_code: int
    """The exit code that `materialize` has for it; 130 if it was ended in the middle."""
    error: str = ""
    """What could not be done, and what to do about it; empty if all was done."""
    actions: dict[str, int] = {}
    """How many rows of each action the report has."""
    report: str = ""
    """The path of the report; empty if the run did not come so far."""


class ServiceState(msgspec.Struct, frozen=True):
    """The service that materializes (`run`), as it noted it last. Times are seconds since the epoch; 0: never."""

    pid: int
    started: float
    output_root: str
    when: str
    """What it waits for, in words: its schedule, changes of the catalogue, or both."""
    next_run: float = 0
    """When it runs next; 0 if that depends on the catalogue."""
    running_since: float = 0
    """When the run in progress began; 0 if there is none."""
    stale_since: float = 0
    """Since when the database cannot be read; 0 while it can."""
    error: str = ""
    """Why it cannot be read."""


class Runs(msgspec.Struct, frozen=True):
    """All that is known of a state directory's runs."""

    last: LastRun | None
    service: ServiceState | None
    """None if no service runs, or has ended as it should."""
    is_alive: bool
    """Whether the service runs. If not, although there is one, it has ended without a word."""


def read_runs(state_dir: Path) -> Runs | None:
    """How materializing with this state directory goes; None if it never did, or is not for this user to know."""
    last, service = _read(state_dir / LAST_NAME, LastRun), _read(state_dir / SERVICE_NAME, ServiceState)
    while service is not None and not (is_alive := is_held(state_dir / LOCK_NAME)):
        was, service = service, _read(state_dir / SERVICE_NAME, ServiceState)
        if service == was:  # Else it ended as it should, or another one began, since its note was read.
            break
    if last is None and service is None:
        return None
    return Runs(last, service, service is not None and is_alive)


def note_last(state_dir: Path, last: LastRun) -> None:
    """Note a run that has ended. What cannot be noted is no reason for a run to fail."""
    if os.path.isdir(state_dir):  # Else there was no run yet, or its disk is gone.
        _write(state_dir / LAST_NAME, last)


class ServiceNote:
    """The note of how a service is, written whenever that changes.

    Args:
        path: the file to note it in; None: nowhere.
        state: how it is at the start.
    """

    def __init__(self, path: Path | None, state: ServiceState) -> None:
        self._path = path
        self._state = state
        self._write()

    def change(self, **fields: object) -> None:
        """Note fields of the state that have other values now."""
        if (changed := msgspec.structs.replace(self._state, **fields)) != self._state:
            self._state = changed
            self._write()

    def _write(self) -> None:
        if self._path:
            _write(self._path, self._state)


@contextmanager
def noting(state_dir: Path, state: ServiceState) -> Iterator[ServiceNote]:
    """Have it known that a service runs for as long as the context lasts, and how it is.

    Args:
        state_dir: an existing directory.
        state: how the service is at the start.
    """
    with ExitStack() as stack:
        try:
            is_ours = stack.enter_context(held(state_dir / LOCK_NAME, _LOCK_SECONDS))
        except OSError:  # The file system has no locks.
            is_ours = False
        if not is_ours:
            _log.warning("`vod2strmfs status` cannot ask this service: another one has the state directory.")
            yield ServiceNote(None, state)
            return
        try:
            yield ServiceNote(state_dir / SERVICE_NAME, state)
        except Exception:
            raise  # The note stays: it ended, and should not have.
        except BaseException:
            _forget(state_dir)
            raise
        _forget(state_dir)


def _forget(state_dir: Path) -> None:
    with suppress(OSError):
        os.unlink(state_dir / SERVICE_NAME)


_Noted = TypeVar("_Noted", LastRun, ServiceState)


def _read(path: Path, kind: type[_Noted]) -> _Noted | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, noted: msgspec.Struct) -> None:
    draft = f"{path}.new"
    try:
        with open(draft, "wb", opener=private) as file:
            file.write(msgspec.json.encode(noted))
        os.replace(draft, path)
    except OSError as error:
        _log.warning("%s: cannot be written (%s); `vod2strmfs status` will not know of it.", path, error.strerror)
