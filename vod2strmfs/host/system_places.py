"""Directories that belong to the system, where nobody ever means a library to be."""

import os
from pathlib import Path

_WHOLE = frozenset(
    Path("/", name)
    for name in ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc", "sbin", "sys")
)
"""Directories in which everything is the system's."""
_THEMSELVES = frozenset(
    Path("/", name)
    for name in (
        "", "home", "root", "run", "usr", "var", "var/cache", "var/lib", "var/lock", "var/log", "var/mail", "var/opt",
        "var/run", "var/spool",
    )
)  # fmt: skip
"""Directories in which others have theirs."""
_PROGRAMS = Path("/usr")
"""A directory in which each directory is as those of `_THEMSELVES`."""
_MEMORY = Path("/dev/shm")
"""A disk in memory, which anybody may use: the only place of its kind in `_WHOLE`."""


def is_systems(path: Path) -> bool:
    """Whether a directory, by its path with links followed, belongs to the system: `/etc` and all that is in it do,
    and `/home` and `/var/lib` do, but not what is in them."""
    path = Path(os.path.realpath(path))
    if _MEMORY in path.parents:
        return False
    return path in _THEMSELVES or path.parent == _PROGRAMS or not _WHOLE.isdisjoint((path, *path.parents))
