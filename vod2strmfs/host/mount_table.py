"""The mount table of this process (/proc/self/mountinfo; see proc_pid_mountinfo(5))."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KIND = "fuse.vod2strmfs"
"""The type that the mount table shows of a mounted library."""

_TABLE = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\(\d{3})")
"""Spaces, tabs, line ends and backslashes, which the kernel writes as octal numbers."""
_USER = re.compile(r"\buser_id=(\d+)")


class Mounted(NamedTuple):
    """A line of the mount table."""

    path: str
    kind: str
    """The type of the file system."""
    is_shared: bool
    """Whether what is mounted below it appears in containers that were given it with `rslave` or `rshared`."""
    user: int
    """The id of the user who mounted a FUSE file system; else 0."""
    options: str
    """The options of the file system, with commas between."""


def mounts() -> Iterator[Mounted]:
    """The lines of the mount table; of mounts at one path, the last hides the others."""
    for line in _TABLE.read_bytes().splitlines():
        fields = os.fsdecode(line).split(" ")
        end = fields.index("-")
        path, options = (_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[at]) for at in (4, end + 3))
        user = _USER.search(options)
        is_shared = any(field.startswith("shared:") for field in fields[6:end])
        yield Mounted(path, fields[end + 1], is_shared, int(user[1]) if user else 0, options)


def mounted_at(mountpoint: Path) -> Mounted | None:
    """The file system that is mounted at a directory, if any."""
    wanted = os.path.realpath(mountpoint)
    return next((mount for mount in reversed(list(mounts())) if mount.path == wanted), None)


def mount_of(path: Path) -> Mounted | None:
    """The file system that a path is on, links followed; None if the mount table does not say."""
    real = Path(os.path.realpath(path))
    above = [mount for mount in mounts() if real.is_relative_to(mount.path)]
    return max(reversed(above), key=lambda mount: len(mount.path), default=None)


def libraries() -> list[tuple[str, int]]:
    """Where libraries are mounted on this host, and the id of the user who did that; the last mount first."""
    return [(mount.path, mount.user) for mount in reversed(list(mounts())) if mount.kind == KIND]


def overlay_over(mountpoint: Path) -> Mounted | None:
    """An overlay file system of which a mount, or what is in it, is a lower folder."""
    place = Path(os.path.realpath(mountpoint))
    for mount in mounts():
        if mount.kind == "overlay":
            options = [option.partition("=") for option in mount.options.split(",")]
            lower = [path for key, _, paths in options if key.startswith("lowerdir") for path in paths.split(":")]
            if any(Path(path).is_relative_to(place) for path in lower if path):
                return mount
    return None
