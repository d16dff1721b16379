"""Disks of the tests' own: a real file system in a file, by way of a loop device, or a small one in memory."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mounts import eventually

_SHUT_DOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""
_WITHOUT_FLUSHING = 2


class Disk:
    """A mounted disk; use it as a context manager.

    Args:
        image: the file that it is in; made if need be.
        mount_point: made if need be.
        kind: of the file system. exFAT is served in user space.
    """

    def __init__(self, image: Path, mount_point: Path, kind: Literal["ext4", "exfat"]) -> None:
        self.image = image
        self.mount_point = mount_point
        self._kind = kind

    def __enter__(self) -> "Disk":
        self.mount_point.mkdir(exist_ok=True)
        if not self.image.exists():
            with self.image.open("wb") as file:
                file.truncate(64 << 20)
            make = ["mkfs.ext4", "-q"] if self._kind == "ext4" else ["mkfs.exfat"]
            _run(*make, self.image)
        self._device = _run("losetup", "--find", "--show", self.image).strip()
        mount = "mount" if self._kind == "ext4" else "mount.exfat-fuse"
        _run(mount, self._device, self.mount_point)
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", "-l", self.mount_point)
        _run("losetup", "--detach", self._device)

    def lose_power(self) -> None:
        """Shut it down as if it lost its power, and mount it again: what was not flushed is gone."""
        self.shut_down()
        self.__exit__()
        # By its file: another test may have got the device by now.
        eventually(lambda: not _run("losetup", "--associated", self.image))
        self.__enter__()

    def shut_down(self) -> None:
        """Have every call fail from now on."""
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUT_DOWN, struct.pack("I", _WITHOUT_FLUSHING))
        finally:
            os.close(descriptor)


def _run(*command: object) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of that size at a folder, which is made."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)
