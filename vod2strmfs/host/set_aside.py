"""Setting a damaged SQLite file aside, so that a new one can take its place and the old one can still be looked at."""

import time
from pathlib import Path

LOOKS_AT_DAMAGE = 2
"""So often a file has to look damaged before it is set aside. Of a page that a disk does not give, SQLite says that the
file is damaged, as of one that is; and the next time the disk may give it."""


def set_aside(path: Path) -> Path:
    """Move a SQLite file to a name with the time in it, and delete its log.

    Returns:
        The new path, in the same directory.

    Raises:
        OSError: it cannot be moved.
    """
    aside = path.with_name(f"{path.name}.unusable-{time.strftime('%Y%m%d-%H%M%S')}")
    path.replace(aside)
    delete_log(path)
    return aside


def delete_log(path: Path) -> None:
    """Delete the write-ahead log beside a SQLite file that is gone: a new file would take it for its own."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
