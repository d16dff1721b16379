"""Files on disk, by the descriptor of their directory and their name. No link is followed.

Nothing is flushed to the disk (fsync) file by file: it would make a run many times slower. A file has its real name
only once it is whole, which holds whenever a program is killed; after a power cut, the manifest has the tree
compared in full.
"""

import contextlib
import errno
import itertools
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from vod2strmfs.library.names import fold

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP})
"""Errors of opening a directory where a file or a link stands."""

_LARGEST = 1 << 24
"""Bytes that are read of a file. No file of ours is larger."""
_ATTEMPTS = 100
"""Names that are tried for a temporary file."""


def lstat(directory: int, name: str) -> os.stat_result | None:
    """The attributes (lstat(2)) of a name in a directory; None if there is no such name."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_utf8(name: str) -> bool:
    """Whether a listed name is UTF-8, as all of ours are; no other may be asked for in the manifest."""
    return name == name.encode(errors="replace").decode()


def is_file(found: os.stat_result) -> bool:
    """Whether attributes are those of a regular file."""
    return stat.S_ISREG(found.st_mode)


def read(directory: int, name: str) -> bytes:
    """The content of a file, at most `_LARGEST` bytes: as much as tells that it is none of ours."""
    descriptor = os.open(name, _READ_FLAGS, dir_fd=directory)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return file.read(_LARGEST) or b""


class Temporaries:
    """Temporary files of one output root, which have names that nobody else gives to a file.

    Args:
        root: a key of the output root, the same in every run, so that the files of a killed run are recognised.
        writer: tells the names of one process from those of another that writes at the same time; no hexadecimal digit.
    """

    def __init__(self, root: str, writer: str = "") -> None:
        self.root = root
        self._start = f".vod2strmfs-{root}-"
        self._writer = writer
        self._numbers = itertools.count()

    def is_one(self, name: str) -> bool:
        """Whether a name is one of a temporary file, which a killed run may have left."""
        return name.startswith(self._start) and name.endswith(".tmp")

    def create(self, directory: int) -> tuple[int, str]:
        """A new temporary file in a directory: its descriptor, which the caller closes, and its name. Thread-safe."""
        for _ in range(_ATTEMPTS):
            name = f"{self._start}{self._writer}{next(self._numbers):x}.tmp"
            try:
                return os.open(name, _WRITE_FLAGS, 0o666, dir_fd=directory), name
            except FileExistsError:
                continue  # A killed run left it.
        raise FileExistsError(errno.EEXIST, "no name for a temporary file is free")

    def remove(self, directory: int, names: Iterable[str]) -> set[str]:
        """Remove the temporary files among the names in a directory; returns the names that are still there."""
        rest = set(names)
        for name in list(filter(self.is_one, rest)):
            with contextlib.suppress(IsADirectoryError, PermissionError):
                os.unlink(name, dir_fd=directory)
                rest.remove(name)
        return rest


def write(directory: int, name: str, content: bytes, mtime: int, temporaries: Temporaries) -> None:
    """Write a file in one step for those who read it: they see the old one, or the whole new one.

    Args:
        directory: the descriptor of the directory.
        name: the file's name. An existing file of this name is replaced.
        content: the bytes of the file.
        mtime: nanoseconds since the epoch. A file system that lets only a file's owner set it, and gives files to
            somebody else, keeps its own.
        temporaries: the temporary files of the output root.
    """
    descriptor, temporary = temporaries.create(directory)
    try:
        try:
            written = os.write(descriptor, content)
            while written < len(content):
                written += os.write(descriptor, content[written:])
            try:  # noqa: SIM105  # contextlib.suppress takes longer than the call
                os.utime(descriptor, ns=(mtime, mtime))
            except PermissionError:
                pass
        finally:
            # On a share this may be the call that tells of a full disk.
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def set_directory_time(directory: int, mtime: int) -> None:
    """Give a directory its mtime (ns), unless it is somebody else's, who alone may do that."""
    with contextlib.suppress(PermissionError):
        os.utime(directory, ns=(mtime, mtime))


def is_same(directory: int, name: str, other: str) -> bool:
    """Whether two different names in a directory are spellings of one: the file system folds case or Unicode forms.

    Attributes do not always tell. Many file systems give each spelling an inode number of its own, and hard links have
    one in common. What tells is that only one of them is listed, perhaps in another form.
    """
    found, taken = lstat(directory, name), lstat(directory, other)
    if found is None or taken is None:
        return False
    if os.path.samestat(found, taken):
        if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode):
            return True
    elif fold(name) != fold(other):
        return False
    listed = set(os.listdir(directory))
    listed |= {unicodedata.normalize("NFC", each) for each in listed}
    return not listed.issuperset((name, other))


def move(source: int, name: str, target: int, new_name: str, *, apply: bool = True) -> bool:
    """Rename a file or directory, unless the new name is another one's.

    Args:
        source: the descriptor of the directory that it is in.
        name: its name there.
        target: the descriptor of the directory that it is to be in.
        new_name: the name that it is to have there. Another spelling of its name, where the file system takes both
            for one, is a new name too.
        apply: whether to rename it, or only to say what would come of it.

    Returns:
        Whether the file or directory was there, and is found under the new name.
    """
    if lstat(source, name) is None:
        return False
    if lstat(target, new_name) is None:
        if apply:
            os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
        return True
    if not os.path.samestat(os.fstat(source), os.fstat(target)) or not is_same(source, name, new_name):
        return False
    if apply:
        # Linux takes a rename to another name of the same file for done, and asks nobody.
        between = _between(new_name)
        os.rename(name, between, src_dir_fd=source, dst_dir_fd=source)
        os.rename(between, new_name, src_dir_fd=source, dst_dir_fd=source)
    return True


def _between(new_name: str) -> str:
    """The name that a file or directory has while it is on the way to another spelling of its own."""
    return f".vod2strmfs-{blake2b(os.fsencode(new_name), digest_size=16).hexdigest()}.moving"


def finish_move(directory: int, new_name: str) -> bool:
    """Finish a move to another spelling of a name that a killed run began; returns whether there was one."""
    between = _between(new_name)
    if lstat(directory, between) is None or new_name in os.listdir(directory):
        return False
    os.rename(between, new_name, src_dir_fd=directory, dst_dir_fd=directory)
    return True


class Opener:
    """Opens directories below a root, and keeps the last one open: the next is often the same.

    Args:
        root: the descriptor of the root.
        make: whether directories that do not exist are made.
    """

    def __init__(self, root: int, *, make: bool = False) -> None:
        self.made = False
        """Whether any directory was made; set back by whoever reads it."""
        self._root = root
        self._make = make
        self._parts: tuple[str, ...] | None = None
        self._descriptor = -1

    def __enter__(self) -> "Opener":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def open(self, parts: tuple[str, ...]) -> int:
        """The descriptor of a directory by the names on the way to it; valid until another one is opened.

        Raises:
            OSError: the directory does not exist, or there is a link or a file on the way.
        """
        if parts != self._parts:
            self._close()
            self._descriptor = os.dup(self._root)
            self._parts = ()
            for name in parts:
                self._go(name)
                self._parts = (*self._parts, name)
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
        if self._parts is not None:
            os.close(self._descriptor)
            self._parts = None


@contextlib.contextmanager
def opened(root: int, parts: Iterable[str], *, make: bool = False) -> Iterator[int]:
    """The descriptor of a directory below a root, for as long as the context lasts; see `Opener`."""
    with Opener(root, make=make) as opener:
        yield opener.open(tuple(parts))


def make(directory: int, name: str) -> bool:
    """Make a directory in a directory; returns whether there was none."""
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:
        return False
    return True
