"""The images themselves: files that are named after their content, in a folder of the state directory.

A file has its name only once it is whole and flushed, so what is named in a database survives a power cut. It is never
written again: whoever has it open reads it to the end, also when it has been removed meanwhile.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from vod2strmfs.host.private import private

_DIGEST_BYTES = 16
_TEMPORARY = ".new"


class Pictures:
    """The images that are stored in a state directory. All methods may be called by any thread.

    Args:
        state_dir: the state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "artwork"

    def open(self, name: str, size: int, stored: int) -> int:
        """A descriptor of an image, which the caller closes.

        Args:
            name: what it is called.
            size: how many bytes it has.
            stored: when it was stored, nanoseconds since the epoch.

        Raises:
            OSError: it is not there, or somebody has changed it.
        """
        descriptor = self._opened(name)
        if not _is_whole(descriptor, name, size, stored):
            os.close(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return descriptor

    def read(self, name: str) -> bytes:
        """All bytes of what has the name of an image.

        Raises:
            OSError: it is not there.
        """
        with open(self._opened(name), "rb") as file:
            return file.read()

    def has(self, name: str, size: int, stored: int) -> bool:
        """Whether an image is there, with all of its bytes; see `open`."""
        try:
            os.close(self.open(name, size, stored))
        except OSError:
            return False
        return True

    def add(self, content: bytes) -> str:
        """Store an image; returns its name. It is on the disk then.

        Raises:
            OSError: it cannot be written.
        """
        name = _name_of(content)
        path = self._path(name)
        if self.has(name, len(content), 0):
            return name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(path.name + _TEMPORARY)
        try:
            with open(temporary, "wb", buffering=0, opener=private) as file:
                written = 0
                while written < len(content):
                    written += os.pwrite(file.fileno(), content[written:], written)
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        _flush(path.parent)
        return name

    def remove(self, name: str) -> None:
        """Remove an image, if it is there."""
        with suppress(FileNotFoundError):
            self._path(name).unlink()

    def names(self) -> Iterator[str]:
        """The names of all images. What a killed process left unfinished is removed on the way."""
        for part in sorted(self._folder.glob("[0-9a-f][0-9a-f]")):
            for path in part.iterdir():
                if path.name.endswith(_TEMPORARY):
                    path.unlink(missing_ok=True)
                else:
                    yield part.name + path.name

    def _opened(self, name: str) -> int:
        return os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name[2:]


def _name_of(content: bytes) -> str:
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def _is_whole(descriptor: int, name: str, size: int, stored: int) -> bool:
    """Whether an image has the bytes that it is named after. They are read only if it was written to later than it was
    stored: by hand, or by whoever restored it from a backup."""
    status = os.fstat(descriptor)
    if status.st_size != size:
        return False
    return status.st_mtime_ns <= stored or _name_of(os.pread(descriptor, size, 0)) == name


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
