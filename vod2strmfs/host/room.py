"""Room on the disk of the state directory, where the index is, and where SQLite sorts."""

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from vod2strmfs.host.private import private

_RESERVE_NAME = "index.reserve"
_RESERVE_BYTES = 64 << 10
"""Bytes that are kept free: twice what SQLite needs beside an index (`-shm`) as long as anybody has it open."""


def is_full(error: Exception) -> bool:
    """Whether an error says that a disk is full, or a quota used up."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def keep_reserve(state_dir: Path) -> None:
    """Make a file that can be given up, so that a whole index can be read when its disk is full."""
    reserve = state_dir / _RESERVE_NAME
    with suppress(OSError):
        if reserve.exists():
            return
        try:
            with open(reserve, "wb", buffering=0, opener=private) as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
        except OSError:
            reserve.unlink()


def spend_reserve(state_dir: Path) -> bool:
    """Give the reserve up; returns whether there was one."""
    try:
        (state_dir / _RESERVE_NAME).unlink()
    except OSError:
        return False
    return True


def has_room(place: Path, size: int) -> bool:
    """Whether a disk has room for so many bytes, as far as that can be told."""
    return _free(place) >= size


def which_is_full(state_dir: Path) -> str:
    """Two sentences that say which disk has no room, how much of it is free, and what to do."""
    return f"{why_full(state_dir)}."


def why_full(state_dir: Path) -> str:
    """A reason, without a full stop: which disk has no room, how much of it is free, and what to do."""
    return (
        f"the disk at {_mount_point(state_dir)} has no room for it ({shown(_free(state_dir))} free)."
        " Make room there, or give another directory with --state-dir"
    )


def _free(place: Path) -> int:
    """Free bytes at a place; as many as can be, where that cannot be told."""
    try:
        room = os.statvfs(place)
    except OSError:
        return 2**63
    return room.f_bavail * room.f_frsize


def _mount_point(place: Path) -> Path:
    place = Path(os.path.realpath(place))
    return next(path for path in (place, *place.parents) if os.path.ismount(path) or path == path.parent)


def shown(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
