"""Whether files can be lost that were written: the machine was started again, or the disk went away under it.

Files can be empty then that were whole, with their names and times. What a run wrote is flushed to the disk once, when
all is written. Of a run that was cut off, it is known on which mount it wrote.
"""

import ctypes
import errno
import logging
import os
import sys
from collections.abc import Set
from pathlib import Path

from vod2strmfs.library.kinds import SECTIONS
from vod2strmfs.materialize.files import DIRECTORY_FLAGS
from vod2strmfs.materialize.manifest import Manifest

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOST = "lost"
"""Stands for a mount on which something was lost."""
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES})
"""Errors of file systems that do not flush."""

_log = logging.getLogger("vod2strmfs")


class Boots:
    """Tells whether files of some sections can be lost, and notes what is safe.

    Each section has its own fact in the manifest, since a run may be about one alone: during which start of the machine
    it was written; and on which mount, as long as that is not flushed.

    Args:
        manifest: of which all is checked if files can be lost.
        sections: the nodes of the sections that the run is about.
        mount_point: of the file system that the root is on.
    """

    def __init__(self, manifest: Manifest, sections: Set[int], mount_point: str) -> None:
        self._manifest = manifest
        self._boot = _boot_id()
        self._mount = _mount_id(mount_point)
        self._before = {section: manifest.get(_boot_of(section)) for section in sections}
        self.must_verify = any(map(self._can_be_lost, self._before.values()))
        """Whether every byte is to be compared."""
        self._flushed = not any("\n" in before for before in self._before.values())
        self._lost = False
        self._written = 0
        if self.must_verify:
            manifest.check()
        for section, before in self._before.items():
            # Of the others it is noted when every byte was compared: this run may be cut off.
            if not self._can_be_lost(before):
                self._note(section, self._mount)

    def flush(self, root: int, written: int) -> OSError | None:
        """Flush what this run, or an earlier one that was cut off, wrote, if anything.

        Args:
            root: the descriptor of the output root.
            written: how many files this run wrote so far.

        Returns:
            The error, if files may have been lost. The next run compares every byte.
        """
        if written == self._written and self._flushed:
            return None
        self._written = written
        error = _flush(root)
        self._flushed = error is None
        if error is None or error.errno in _UNABLE:
            return None
        self._lost = True
        return error

    def end(self, *, written: bool) -> None:
        """Note that the run went through all of its sections.

        Args:
            written: whether it wrote anything. If not, only what earlier runs wrote since the machine's start can be
                lost with its power.
        """
        mount = "" if self._flushed else self._mount
        for section, before in self._before.items():
            is_of_now = before.partition("\n")[0] == self._boot
            self._note(section, (_LOST if self._lost else mount) if written or is_of_now else None)

    def _note(self, section: int, mount: str | None) -> None:
        """Note on which mount a section is not flushed, "" for none; None if nothing of it can be lost."""
        fact = "" if mount is None else f"{self._boot}\n{mount}" if mount else self._boot
        self._manifest.put(_boot_of(section), fact)

    def _can_be_lost(self, before: str) -> bool:
        boot, _, mount = before.partition("\n")
        return boot not in ("", self._boot) or mount not in ("", self._mount)


def _flush(root: int) -> OSError | None:
    """Have everything written below a root on its disk, which takes as long as that is busy; returns an error, if any.

    Sections may be mounts of their own.
    """
    flushed = set()
    for name in (".", *SECTIONS):
        try:
            directory = os.open(name, DIRECTORY_FLAGS, dir_fd=root)
        except OSError:
            continue
        try:
            device = os.fstat(directory).st_dev
            if device not in flushed:
                flushed.add(device)
                _syncfs(directory)
                os.fsync(directory)  # which asks file systems in user space, of which the kernel has no data to flush
        except OSError as error:
            return error
        finally:
            os.close(directory)
    return None


def _syncfs(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


_AT_FDCWD = -100
_STATX_MNT_ID, _STATX_MNT_ID_UNIQUE = 0x1000, 0x4000
_STATX_SIZE, _MNT_ID_AT = 256, 144
"""Bytes; see statx(2)."""


def _mount_id(path: str) -> str:
    """The number of a mount. Since Linux 6.8 no other one ever has it; before, one that is made later can."""
    found = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        statx = ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        return ""
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_MNT_ID | _STATX_MNT_ID_UNIQUE, found) != 0:
        return ""
    return str(int.from_bytes(found.raw[_MNT_ID_AT : _MNT_ID_AT + 8], sys.byteorder))


def _boot_of(section: int) -> str:
    """The name of the fact that says what can be lost of a section; "" if nothing can."""
    return f"boot of {section}"


def _boot_id() -> str:
    """What is another one each time the machine is started."""
    return _BOOT_ID.read_text().strip()
