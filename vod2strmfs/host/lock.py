"""Locks on files, by which processes know of each other. They end with the process, however that ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vod2strmfs.host.private import private

_STEP_SECONDS = 0.02


@contextmanager
def held(path: Path, within: float = 0.0) -> Iterator[bool]:
    """Hold a lock while it lasts, if no other process does; gives whether that is so. The file is made if need be.

    Args:
        path: the lock's.
        within: seconds to wait for another process at most.
    """
    deadline = time.monotonic() + within
    with open(path, "a", opener=private) as lock:
        while not (is_ours := _is_taken(lock.fileno())) and time.monotonic() < deadline:
            time.sleep(_STEP_SECONDS)
        yield is_ours


def is_held(path: Path) -> bool:
    """Whether a process holds a lock; none does where there is no such file, or the file system has no locks. Who wants
    it at this very moment has to wait for it (`within`)."""
    try:
        with path.open("rb") as lock:
            return is_locked(lock)
    except OSError:
        return False


def is_locked(file: BinaryIO) -> bool:
    """Whether somebody else holds a lock on an open file, on which there is none of ours then."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # A file system without locks.
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
