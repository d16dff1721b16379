"""Whether files that were written may have been lost: the machine was restarted, or the disk went away under it.

Files that were whole can be empty then, with their names and times. What a run wrote is flushed to the disk once, when
all is written. The manifest knows on which mount a run that was cut off wrote.
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
"""Stands in the manifest for the id of a mount on which something was lost."""
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES})
"""Errors of file systems that do not flush."""

_log = logging.getLogger("vod2strmfs")


class Boots:
    """Tells whether the machine was rebooted, or the disk lost, since a section was last written.

    That is kept for each section, since a run may write Movies or TV only: the boot id of the machine when the section
    was written, and the id of the mount as long as what was written there is not flushed.

    Args:
        manifest: where that is kept. All of it is checked if files may have been lost.
        sections: the nodes of the sections that the run is about.
        mount_point: the mount point of the file system that the root is on.
    """

    def __init__(self, manifest: Manifest, sections: Set[int], mount_point: str) -> None:
        self._manifest = manifest
        self._boot = _boot_id()
        self._mount = _mount_id(mount_point)
        self._before = {section: manifest.get(_boot_of(section)) for section in sections}
        self.must_verify = any(map(self._can_be_lost, self._before.values()))
        """Whether files may have been lost, so that the run has to compare every byte."""
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
        """Flush to the disk what this run, or an earlier one that was cut off, wrote, if anything.

        Args:
            root: the descriptor of the output root.
            written: how many files this run wrote so far.

        Returns:
            The error, if files may have been lost; the next run then compares every byte. None if all is safe.
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
            written: whether the run wrote anything. If not, only what earlier runs wrote since the machine was started
                can be lost when the power fails.
        """
        mount = "" if self._flushed else self._mount
        for section, before in self._before.items():
            is_of_now = before.partition("\n")[0] == self._boot
            self._note(section, (_LOST if self._lost else mount) if written or is_of_now else None)

    def _note(self, section: int, mount: str | None) -> None:
        """Note the mount on which a section is not flushed, "" for none; None if nothing of the section can be lost."""
        fact = "" if mount is None else f"{self._boot}\n{mount}" if mount else self._boot
        self._manifest.put(_boot_of(section), fact)

    def _can_be_lost(self, before: str) -> bool:
        boot, _, mount = before.partition("\n")
        return boot not in ("", self._boot) or mount not in ("", self._mount)


def _flush(root: int) -> OSError | None:
    """Flush everything written below a root to its disk, which takes as long as the disk is busy.

    Sections may be mounts of their own.

    Returns:
        The error, if any.
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
    """The id of the mount that a path is on, "" if the kernel does not say (statx(2)). Since Linux 6.8 no later mount
    gets the same id; before, one can."""
    found = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        statx = ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        return ""
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_MNT_ID | _STATX_MNT_ID_UNIQUE, found) != 0:
        return ""
    return str(int.from_bytes(found.raw[_MNT_ID_AT : _MNT_ID_AT + 8], sys.byteorder))


def _boot_of(section: int) -> str:
    """The manifest's name for what can be lost of a section; the value is "" if nothing can."""
    return f"boot of {section}"


def _boot_id() -> str:
    """The machine's boot id, another one after each start."""
    return _BOOT_ID.read_text().strip()
