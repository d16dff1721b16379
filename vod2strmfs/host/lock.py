"""Locks on files, by which processes know of each other. They end with the process, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vod2strmfs.host.private import private


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a lock for as long as the context lasts, if no other process does; gives whether that is so.

    The file is made if need be.
    """
    with open(path, "a", opener=private) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_held(path: Path) -> bool:
    """Whether a process holds a lock; none does where there is no such file, or the file system has no locks."""
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
