"""What a file system makes of names and times, which is tried in a folder of our own in the output root.

The library's names are legal on every common file system and differ by more than case and Unicode form, so no name
depends on the answer. What does: whether two names are one file's, as where a title got another spelling, and times
that come back.
"""

import contextlib
import logging
import os
import secrets
import unicodedata
from bisect import bisect_left
from typing import Final, NamedTuple

import msgspec

from vod2strmfs.library.names import NAME_MAX, fold
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import Manifest

_NAME: Final = "Probe é"
_CHARACTERS: Final = "S01E01 – 'É' [ö] {漢} 🎬, & #1; $5 %41 (1995)"
"""What names of the library hold beside letters and digits."""
_TIME: Final = 1_000_000_001_123_456_789
"""An mtime (ns) that is odd in seconds and in each smaller unit."""
_GRAINS: Final = (1, 100, 1000, 10**6, 10**9, 2 * 10**9)
"""Granularities of mtimes (ns): ext4; NTFS and SMB; microseconds; milliseconds; whole seconds; FAT."""

COARSEST: Final = _GRAINS[-1]
"""Granularity (ns) assumed when mtimes do not come back: FAT's two seconds. With it, times prove nothing."""

_FACT: Final = "file system, as tried"
"""The manifest's name for the FileSystem that was found."""

_log = logging.getLogger("vod2strmfs")


class FileSystem(NamedTuple):
    """How a file system behaves."""

    folds_case: bool = False
    """Whether names that differ in case alone are the same to it."""
    normalises: bool = False
    """Whether names that differ in Unicode form alone are the same to it."""
    grain: int = 1
    """The granularity of mtimes, nanoseconds."""
    keeps_times: bool = True
    """Whether files keep the mtimes that they are given. They do not where they belong to somebody else at once, as on
    a share that is mounted for one user."""
    takes_characters: bool = True
    """Whether it takes all the characters that the library's names hold."""
    name_max: int = NAME_MAX
    """Bytes of UTF-8 that it takes for a name. File systems that encrypt names take some 143."""

    @property
    def folds(self) -> bool:
        """Whether two spellings can be one name."""
        return self.folds_case or self.normalises

    def key(self, name: str) -> str:
        """A key of a name: equal for names that are the same to this file system, and perhaps for others."""
        return fold(name) if self.folds else name

    def same_time(self, first: int, second: int) -> bool:
        """Whether two mtimes (ns) may be one that came back as the other."""
        return not self.keeps_times or abs(first - second) < self.grain

    def name(self, listed: str) -> str:
        """Our name, in NFC, for a file that is listed under a name."""
        return unicodedata.normalize("NFC", listed) if self.normalises else listed


def probe(root: int, temporaries: files.Temporaries) -> FileSystem | None:
    """Try, and leave nothing behind.

    Args:
        root: the descriptor of the output root.
        temporaries: the temporary files of the root.

    Returns:
        None if it cannot be found out.

    Raises:
        OSError: nothing can be written there.
    """
    folder = f".vod2strmfs-probe-{secrets.token_hex(4)}"
    os.mkdir(folder, dir_fd=root)
    try:
        with files.opened(root, [folder]) as directory:
            _create(directory, "probe")
            try:
                return _try(directory, temporaries)
            except OSError as error:
                _log.debug("probe of the output root: %s", error)
                return None
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder, dir_fd=root)


def _try(directory: int, temporaries: files.Temporaries) -> FileSystem:
    files.write(directory, _NAME, b"", _TIME, temporaries)
    try:
        found = os.stat(_NAME, dir_fd=directory)
        grain = next((grain for grain in _GRAINS if abs(found.st_mtime_ns - _TIME) < grain), 0)
        # Some fold the letters of ASCII alone.
        folds_case = any(files.lstat(directory, name) for name in (_NAME.upper(), "PROBE é"))
        normalises = files.lstat(directory, unicodedata.normalize("NFD", _NAME)) is not None
    finally:
        os.unlink(_NAME, dir_fd=directory)
    return FileSystem(
        folds_case, normalises, grain or COARSEST, grain != 0, _takes(directory, _CHARACTERS), _longest(directory)
    )


def _longest(directory: int) -> int:
    """Bytes that a name may have in a directory."""
    if _takes(directory, "n" * NAME_MAX):
        return NAME_MAX
    return bisect_left(range(1, NAME_MAX), True, key=lambda length: not _takes(directory, "n" * length))


def _takes(directory: int, name: str) -> bool:
    try:
        _create(directory, name)
    except OSError:
        return False
    return True


def _create(directory: int, name: str) -> None:
    """Make an empty file, and delete it again."""
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=directory))
    os.unlink(name, dir_fd=directory)


def known_file_system(manifest: Manifest, mount: str) -> FileSystem | None:
    """The behaviour of the root's file system, as it was tried before; None if it was not.

    Args:
        manifest: the manifest of the root.
        mount: a key of the mount that the root is on; "" for whichever it was tried on.
    """
    found, _, tried_on = manifest.get(_FACT).partition("\n")
    if not found or mount not in ("", tried_on):
        return None
    return msgspec.json.decode(found, type=FileSystem)


def note_file_system(manifest: Manifest, mount: str, found: FileSystem) -> None:
    """Note the behaviour of the root's file system for `known_file_system`."""
    manifest.put(_FACT, f"{msgspec.json.encode(found).decode()}\n{mount}")
