"""The place where the file system is mounted: what has to be true of it, and of this machine."""

import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import MountError

SUBTYPE = "vod2strmfs"
KIND = f"fuse.{SUBTYPE}"
"""The type that the mount table shows."""

_AUTOMOUNT = "autofs"
"""What autofs and systemd's automount units lay where they want something mounted."""
_FUSE_CONF = Path("/etc/fuse.conf")


class Mounted(NamedTuple):
    """A line of the mount table."""

    path: str
    kind: str
    """The type of the file system."""
    is_shared: bool
    """Whether what is mounted below it appears in containers that were given it with `rslave` or `rshared`."""
    user: int
    """Of a FUSE file system: the id of the user who mounted it."""
    options: str
    """Of the file system, with commas between."""


def prepare(mountpoint: Path, *, allow_other: bool, uncovered: Iterable[Path] = ()) -> None:
    """Make sure that the file system can be mounted there. A dead mount of ours is detached.

    Args:
        mountpoint: an existing directory.
        allow_other: whether other users shall read the mount.
        uncovered: directories that the mounting process uses: below the mount point it would wait for itself.

    Raises:
        MountError: says what is missing and what to do.
    """
    check_fuse(allow_other=allow_other)
    mount = mounted_at(mountpoint)
    if mount is not None and mount.kind == KIND and is_dead(mountpoint):
        detach(mountpoint)
        mount = mounted_at(mountpoint)
    if mount is not None and mount.kind != _AUTOMOUNT:
        raise MountError(
            f"mount point {mountpoint}: a {mount.kind} file system is already mounted there."
            f" Unmount it (`fusermount3 -u {mountpoint}`) or choose another directory."
        )
    try:
        is_directory = stat.S_ISDIR(mountpoint.stat().st_mode)
    except FileNotFoundError:
        raise MountError(f"mount point {mountpoint}: does not exist. Make it with `mkdir -p {mountpoint}`.") from None
    except OSError as error:
        raise MountError(f"mount point {mountpoint}: cannot be used ({error.strerror}).") from error
    if not is_directory:
        raise MountError(f"mount point {mountpoint}: is not a directory.")
    if os.geteuid() != 0 and not os.access(mountpoint, os.W_OK):
        raise MountError(f"mount point {mountpoint}: only a directory that you can write can be mounted on.")
    for directory in uncovered:
        if Path(os.path.realpath(directory)).is_relative_to(os.path.realpath(mountpoint)):
            raise MountError(f"mount point {mountpoint}: the mount would hide {directory}, which it needs.")
    check_device()


def detach(mountpoint: Path) -> None:
    """Unmount lazily, so that a process that still uses the dead mount does not keep it in place."""
    command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    done = subprocess.run([*command, str(mountpoint)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MountError(f"mount point {mountpoint}: cannot detach the dead mount: {done.stderr.strip()}")


def check_fuse(*, allow_other: bool) -> None:
    """Make sure that this user can mount file systems.

    Raises:
        MountError: says what is missing and what to do.
    """
    if not Path("/dev/fuse").exists():
        raise MountError(
            "/dev/fuse: does not exist. Load the kernel module (`modprobe fuse`);"
            " in a container, pass the device (--device /dev/fuse --cap-add SYS_ADMIN)."
        )
    if os.geteuid() == 0:
        return
    if shutil.which("fusermount3") is None:
        raise MountError("fusermount3: is not installed. Install the package fuse3, or mount as root.")
    if allow_other and "user_allow_other" not in _fuse_conf():
        raise MountError(
            f"allow_other: root has not allowed this to users. Write the line user_allow_other into {_FUSE_CONF}."
        )


def check_device() -> None:
    """Make sure that this user can open the FUSE device.

    Raises:
        MountError: says why not and what to do.
    """
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise MountError(
            f"/dev/fuse: this user may not open it ({error.strerror}). As root, run `chmod 666 /dev/fuse`, or mount as"
            " root; in a container, pass the device (--device /dev/fuse --cap-add SYS_ADMIN)."
        ) from error


def _fuse_conf() -> list[str]:
    try:
        return [line.strip() for line in _FUSE_CONF.read_text().splitlines()]
    except OSError:
        return []


def mounted_at(mountpoint: Path) -> Mounted | None:
    """The file system mounted there, if any."""
    wanted = os.path.realpath(mountpoint)
    return next((mount for mount in reversed(list(_mounts())) if mount.path == wanted), None)


def libraries() -> list[tuple[str, int]]:
    """Where libraries are mounted on this host, and the id of the user who did that; the last mount first."""
    return [(mount.path, mount.user) for mount in reversed(list(_mounts())) if mount.kind == KIND]


def mounted_above(path: Path) -> Mounted | None:
    """The file system on which a directory's parent lies; None if the mount table does not say."""
    parent = Path(os.path.realpath(path.parent))
    above = [mount for mount in _mounts() if parent.is_relative_to(mount.path)]
    return max(above, key=lambda mount: len(mount.path), default=None)


def overlay_over(mountpoint: Path) -> Mounted | None:
    """An overlay file system of which the mount, or what is in it, is a lower folder."""
    place = Path(os.path.realpath(mountpoint))
    for mount in _mounts():
        if mount.kind == "overlay":
            options = [option.partition("=") for option in mount.options.split(",")]
            lower = [path for key, _, paths in options if key.startswith("lowerdir") for path in paths.split(":")]
            if any(Path(path).is_relative_to(place) for path in lower if path):
                return mount
    return None


def _mounts() -> Iterator[Mounted]:
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = os.fsdecode(line).split(" ")
        end = fields.index("-")
        # The kernel writes spaces, tabs, line ends and backslashes as octal numbers.
        path, options = (re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), fields[at]) for at in (4, end + 3))
        user = re.search(r"\buser_id=(\d+)", options)
        is_shared = any(field.startswith("shared:") for field in fields[6:end])
        yield Mounted(path, fields[end + 1], is_shared, int(user[1]) if user else 0, options)


def is_dead(mountpoint: Path) -> bool:
    """Whether the process behind a mount has gone. Attributes may be cached; statfs always asks."""
    try:
        os.statvfs(mountpoint)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False
