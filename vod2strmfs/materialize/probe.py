"""What a file system makes of names and times, found out by trying in a folder of our own in the output root.

The library's names are legal on every common file system and differ by more than case and Unicode form, so no name
depends on the answer. What does: how names are recognised in a listing, and times that come back.
"""

import contextlib
import logging
import os
import secrets
import unicodedata
from typing import Final, NamedTuple

from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.materialize import files

_NAME: Final = "Probe é"
_CHARACTERS: Final = "S01E01 – 'É' [ö] {漢} 🎬, & #1; $5 %41 (1995)"
"""What names of the library hold beside letters and digits."""
_TIME: Final = 1_000_000_001_123_456_789
"""Odd in seconds and in each unit below."""
_GRAINS: Final = (1, 100, 1000, 10**6, 10**9, 2 * 10**9)
"""Nanoseconds: ext4, NTFS and SMB, microseconds, milliseconds, whole seconds, FAT."""

COARSEST: Final = _GRAINS[-1]
"""The grain of file systems that keep times as coarsely, or do not keep those that they are given."""

_log = logging.getLogger("vod2strmfs")


class FileSystem(NamedTuple):
    """How a file system behaves."""

    folds_case: bool = False
    """Whether names that differ in case alone are the same."""
    normalises: bool = False
    """Whether names that differ in Unicode form alone are the same."""
    grain: int = 1
    """Nanoseconds: times are multiples of it."""
    refuses: tuple[str, ...] = ()
    """Which of our names it refuses."""

    def same_time(self, first: int, second: int) -> bool:
        """Whether two times (ns) may be the same one, as it came back."""
        return abs(first - second) < self.grain

    def name(self, listed: str) -> str:
        """What we call a file that is listed so: our names are in NFC."""
        return unicodedata.normalize("NFC", listed) if self.normalises else listed


def probe(root: int) -> FileSystem | None:
    """Try, and leave nothing behind.

    Args:
        root: the descriptor of the output root.

    Returns:
        None if nothing can be written there.
    """
    folder = f".vod2strmfs-probe-{secrets.token_hex(4)}"
    try:
        os.mkdir(folder, dir_fd=root)
    except OSError:
        return None
    try:
        with files.opened(root, [folder]) as directory:
            return _try(directory)
    except OSError as error:
        _log.debug("probe of the output root: %s", error)
        return None
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder, dir_fd=root)


def _try(directory: int) -> FileSystem:
    files.write(directory, _NAME, b"", _TIME)
    try:
        found = os.stat(_NAME, dir_fd=directory)
        grain = next((grain for grain in _GRAINS if abs(found.st_mtime_ns - _TIME) < grain), COARSEST)
        folds_case = files.look(directory, _NAME.upper()) is not None
        normalises = files.look(directory, unicodedata.normalize("NFD", _NAME)) is not None
    finally:
        os.unlink(_NAME, dir_fd=directory)
    long = "n" * NAME_MAX
    refuses = tuple(name for name in (_CHARACTERS, long) if not _takes(directory, name))
    return FileSystem(folds_case, normalises, grain, refuses)


def _takes(directory: int, name: str) -> bool:
    try:
        files.write(directory, name, b"", _TIME)
    except OSError:
        return False
    os.unlink(name, dir_fd=directory)
    return True
