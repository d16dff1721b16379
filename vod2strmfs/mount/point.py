"""The place where the file system is mounted: what has to be true of it, and of this machine."""

import errno
import logging
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vod2strmfs.errors import MountError
from vod2strmfs.host.mount_table import KIND, libraries, mounted_at
from vod2strmfs.host.system_places import is_systems

SUBTYPE = KIND.removeprefix("fuse.")
"""What the mount is asked to be, so that the mount table shows it as `KIND`."""

_AUTOMOUNT = "autofs"
"""What autofs and systemd's automount units lay where they want something mounted."""
_FUSE_CONF = Path("/etc/fuse.conf")

_log = logging.getLogger("vod2strmfs")


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
    check_path(mountpoint)
    mount = mounted_at(mountpoint)
    if mount is not None and mount.kind == KIND and is_dead(mountpoint):
        detach(mountpoint)
        mount = mounted_at(mountpoint)
    if mount is not None and mount.kind == KIND:
        raise MountError(
            f"mount point {mountpoint}: a library is already mounted there. `vod2strmfs status` shows how it is,"
            f" `vod2strmfs umount {mountpoint}` unmounts it."
        )
    if mount is not None and mount.kind != _AUTOMOUNT:
        raise MountError(
            f"mount point {mountpoint}: a {mount.kind} file system is already mounted there."
            f" Unmount it (`umount {mountpoint}`) or choose another directory."
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
    if mount is None:
        _warn_of_files(mountpoint)
    check_device()


def check_path(mountpoint: Path) -> None:
    """Refuse a path that would be a mistake as a mount point whatever is there.

    Raises:
        MountError: it is the system's.
    """
    if is_systems(mountpoint):
        raise MountError(
            f"mount point {mountpoint}: is a directory of the system, which the mount would hide. Name a directory of"
            " its own, such as /data/STRM."
        )


def _warn_of_files(mountpoint: Path) -> None:
    with suppress(OSError), os.scandir(mountpoint) as entries:
        if next(entries, None) is not None:
            _log.warning("mount point %s: has files in it, which nobody sees while it is mounted on.", mountpoint)


def detach(mountpoint: Path) -> None:
    """Unmount lazily, so that a process that still uses the dead mount does not keep it in place."""
    command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    done = subprocess.run([*command, str(mountpoint)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MountError(f"mount point {mountpoint}: cannot detach the dead mount: {done.stderr.strip()}")


def unmount(mountpoint: Path, *, lazy: bool = False) -> None:
    """Unmount a library; a dead mount goes even if somebody uses it.

    Args:
        mountpoint: where it is mounted.
        lazy: whether it goes even if somebody uses it; for them it ends when they are done.

    Raises:
        MountError: no library is mounted there, or it cannot be unmounted.
    """
    mount = mounted_at(mountpoint)
    if mount is None or mount.kind != KIND:
        there = f"a {mount.kind} file system, and no library, is mounted there" if mount else "nothing is mounted there"
        others = [path for path, _ in libraries()]
        elsewhere = f" Libraries are mounted at {', '.join(others)}." if others else ""
        raise MountError(f"mount point {mountpoint}: {there}.{elsewhere}")
    if is_dead(mountpoint):
        detach(mountpoint)
        return
    command = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    lazily = [] if not lazy else ["-l"] if os.geteuid() == 0 else ["-z"]
    done = subprocess.run([*command, *lazily, str(mountpoint)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "busy" in done.stderr:
        raise MountError(
            f"mount point {mountpoint}: is in use; `fuser -vm {mountpoint}` says by whom.\n"
            f"`vod2strmfs umount --lazy {mountpoint}` takes it away all the same."
        )
    if os.geteuid() != mount.user:
        raise MountError(f"mount point {mountpoint}: another user has mounted it. Run this as that user, or with sudo.")
    raise MountError(f"mount point {mountpoint}: cannot be unmounted ({done.stderr.strip()}).")


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


def is_dead(mountpoint: Path) -> bool:
    """Whether the process behind a mount has gone. Attributes may be cached; statfs always asks."""
    try:
        os.statvfs(mountpoint)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False
