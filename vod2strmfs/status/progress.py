"""How far a long piece of work is, for who looks at the status page: a small file in the state directory.

Whoever works holds a lock on the file, which ends with its process however that ends: so what a killed process left
behind is not taken for work that goes on. What is done within a second is never noted, so that disks can sleep.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from vod2strmfs.host.lock import is_locked
from vod2strmfs.host.private import private

FILE_NAME = "progress.json"

_EVERY_SECONDS = 1.0

Tell = Callable[[int, int], None]
"""Called now and then with how much is done, and of how much; 0 if that is not known."""


class Progress(msgspec.Struct, frozen=True):
    """A piece of work that goes on."""

    doing: str
    """What is done, as in `Reading the catalogue`."""
    unit: str
    """What is counted, as in `titles`."""
    done: int
    total: int
    """How much there is to do; 0 if that is not known."""
    began: float
    """Seconds since the epoch."""


@contextmanager
def noting(state_dir: Path, doing: str, unit: str, tell: Tell) -> Iterator[Tell]:
    """The function to call with how far a piece of work is while the context lasts: it notes that, and passes it on.

    Args:
        state_dir: where the note is made. If it cannot be, or somebody else's work is noted there, the work goes on
            without.
        doing: see `Progress`.
        unit: see `Progress`.
        tell: what else wants to know.
    """
    note = _Note(state_dir / FILE_NAME, doing, unit)

    def both(done: int, total: int) -> None:
        note(done, total)
        tell(done, total)

    try:
        yield both
    finally:
        note.close()


class _Note:
    def __init__(self, path: Path, doing: str, unit: str) -> None:
        self._path = path
        self._doing = doing
        self._unit = unit
        self._began = time.time()
        self._last = time.monotonic()
        self._file: int | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _EVERY_SECONDS:
            return
        self._last = now
        with suppress(OSError):
            if self._file is None:
                self._file = _locked(self._path)
            if self._file is not None:
                self._write(msgspec.json.encode(Progress(self._doing, self._unit, done, total, self._began)))

    def _write(self, text: bytes) -> None:
        assert self._file is not None
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)


def _locked(path: Path) -> int | None:
    """The descriptor of a file with a lock on it; None if somebody else has that."""
    file = private(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def read_progress(state_dir: Path) -> Progress | None:
    """How far the work on a state directory is that goes on now; None if there is none, or nothing of it is noted."""
    try:
        with (state_dir / FILE_NAME).open("rb") as file:
            if is_locked(file):
                return msgspec.json.decode(file.read(), type=Progress)
    except (OSError, msgspec.MsgspecError):
        pass
    return None
