"""Files on disk, by the descriptor of their directory and their name. No link is followed.

Nothing is flushed to the disk (fsync) file by file: it would make a run many times slower. A file has its real name
only once it is whole, which holds whenever a program is killed; after a power cut, the manifest has the tree
compared in full.
"""

import contextlib
import errno
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP})
"""Errors of opening a directory where a file or a link stands."""

_LARGEST = 1 << 24
"""Bytes. No file of ours is larger."""
_TEMPORARY = re.compile(r"\.vod2strmfs-[0-9a-f]+\.tmp")


def look(directory: int, name: str) -> os.stat_result | None:
    """The attributes of a name in a directory; None if there is no such name."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_file(found: os.stat_result) -> bool:
    """Whether it is a regular file."""
    return stat.S_ISREG(found.st_mode)


def read(directory: int, name: str) -> bytes:
    """The content of a file, or as much as tells that it is larger than any file of ours."""
    descriptor = os.open(name, _READ_FLAGS, dir_fd=directory)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return file.read(_LARGEST) or b""


def write(directory: int, name: str, content: bytes, mtime: int) -> None:
    """Put a whole file in place, in one step for those who read it.

    Args:
        directory: its descriptor.
        name: an existing file of this name is replaced.
        content: the bytes.
        mtime: modification time, nanoseconds since the epoch.
    """
    temporary = f".vod2strmfs-{threading.get_ident():x}.tmp"
    descriptor = os.open(temporary, _WRITE_FLAGS, 0o666, dir_fd=directory)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.utime(descriptor, ns=(mtime, mtime))
        finally:
            # On a share this may be the call that tells of a full disk.
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def set_directory_time(directory: int, mtime: int) -> None:
    """Give a directory its time (ns), unless it is somebody else's: only its owner may, others can but write in it."""
    with contextlib.suppress(PermissionError):
        os.utime(directory, ns=(mtime, mtime))


def is_temporary(name: str) -> bool:
    """Whether it is the name of a file that a killed run may have left."""
    return _TEMPORARY.fullmatch(name) is not None


def tidy(directory: int) -> set[str]:
    """Remove temporary files that a killed run left in a directory; returns the names of what else is in it."""
    found = set()
    for name in os.listdir(directory):
        if is_temporary(name):
            os.unlink(name, dir_fd=directory)
        else:
            found.add(name)
    return found


def is_free(source: int, name: str, target: int, new_name: str) -> bool:
    """Whether a file or directory that exists can be moved without replacing another one.

    On a file system that folds case, a name that differs in case alone is taken by the thing itself.
    """
    taken = look(target, new_name)
    if taken is None:
        return True
    found = look(source, name)
    return found is not None and os.path.samestat(found, taken)


class Opener:
    """Opens directories below a root, and keeps the last one open: the next is often the same.

    Args:
        root: its descriptor.
        make: whether directories that do not exist are made.
    """

    def __init__(self, root: int, *, make: bool = False) -> None:
        self.made = False
        """Whether any directory was made."""
        self._root = root
        self._make = make
        self._way: tuple[str, ...] | None = None
        self._descriptor = -1

    def __enter__(self) -> "Opener":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def open(self, way: tuple[str, ...]) -> int:
        """A directory by the names on the way to it; valid until another one is opened.

        Raises:
            OSError: it does not exist, or there is a link or a file on the way.
        """
        if way != self._way:
            self._close()
            self._descriptor = os.dup(self._root)
            self._way = ()
            for name in way:
                self._go(name)
                self._way = (*self._way, name)
        return self._descriptor

    def _go(self, name: str) -> None:
        above = self._descriptor
        try:
            self._descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=above)
        except FileNotFoundError:
            if not self._make:
                raise
            self.made |= make(above, name)
            self._descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=above)
        os.close(above)

    def _close(self) -> None:
        if self._way is not None:
            os.close(self._descriptor)
            self._way = None


@contextlib.contextmanager
def opened(root: int, way: Iterable[str], *, make: bool = False) -> Iterator[int]:
    """A directory below a root; see `Opener`."""
    with Opener(root, make=make) as opener:
        yield opener.open(tuple(way))


def make(directory: int, name: str) -> bool:
    """Make a directory; returns whether there was none."""
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:
        return False
    return True
