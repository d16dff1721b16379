"""Room on the disk of the state directory, where the index is, and where SQLite sorts."""

import errno
import os
import sqlite3
from pathlib import Path


def is_full(error: Exception) -> bool:
    """Whether an error says that a disk is full, or a quota used up."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def which_is_full(state_dir: Path) -> str:
    """A sentence that says which disk has no room, how much of it is free, and what to do."""
    return (
        f"the disk at {_mount_point(state_dir)} has no room for it ({_shown(_free(state_dir))} free)."
        " Make room there, or give another directory with --state-dir."
    )


def _free(place: Path) -> int:
    """Bytes; as many as can be, where that cannot be told."""
    try:
        room = os.statvfs(place)
    except OSError:
        return 2**63
    return room.f_bavail * room.f_frsize


def _mount_point(place: Path) -> Path:
    place = Path(os.path.realpath(place))
    return next(path for path in (place, *place.parents) if os.path.ismount(path) or path == path.parent)


def _shown(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
