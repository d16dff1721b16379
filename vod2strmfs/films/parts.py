"""The parts of films that are kept on disk: for each film a sparse file, with every byte at its true offset.

What is kept is kept in whole blocks, each with a digest that is compared whenever it is read: so what a crash, a full
disk or a hand has left is never served, whatever the store's file says. Behind the film's last byte stands a
description of it, by which films are known again when the store's file is lost.
"""

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from vod2strmfs.films.film import BLOCK, Extent, Film, Key
from vod2strmfs.library.rendered import content_digest

_MAGIC = b"v2sfilm1"
_FOOTER = len(_MAGIC) + 8 + 8
"""Bytes at the end of a file: the magic, the digest of the description, and its length."""
_LONGEST_DESCRIPTION = 4 << 20
_UNFINISHED = ".new"
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_FOLDERS = 256
_TRIED_HOLE = 1 << 20


class Description(msgspec.Struct, frozen=True, array_like=True):
    """The description, in a part file, of the film whose parts it holds."""

    film: int
    version: int
    kind: str
    account: int
    stream: str
    size: int
    extension: str
    seconds: int
    head: int
    tail: int
    learnt: float
    blocks: dict[int, int]
    """Digests by number, of what was kept when it was learnt."""


class Draft:
    """The parts of a film that is being learnt, in a file of their own.

    Args:
        root: where parts are.
        film: the film's id. There is one draft of a film at a time.

    Raises:
        OSError: it cannot be written, such as for a full disk. All methods raise it.
    """

    def __init__(self, root: Path, film: int) -> None:
        self._root = root
        self._path = _folder(root, film) / f"{film}{_UNFINISHED}"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._extents: list[Extent] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)

    @property
    def extents(self) -> Sequence[Extent]:
        """The parts that are there, in order, as few as possible."""
        return self._extents

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Keep bytes of the film."""
        _write(self._descriptor, start, data)
        self._extents = merged([*self._extents, Extent(start, start + len(data))])

    def read(self, start: int, stop: int) -> bytes | None:
        """Bytes of the film; None if some of them are not there yet."""
        if not any(each.start <= start and stop <= each.stop for each in self._extents):
            return None
        return os.pread(self._descriptor, stop - start, start)

    def blocks(self, size: int) -> dict[int, int]:
        """The digests, by number, of the blocks that are there whole, of a film of so many bytes."""
        found = {}
        for extent in self._extents:
            for number in whole_blocks(extent, size):
                start, stop = block_extent(number, size)
                found[number] = content_digest(os.pread(self._descriptor, stop - start, start))
        return found

    def finish(self, description: Description) -> None:
        """Make the draft the part file of the film that a description is of: it is on the disk when this returns."""
        content = msgspec.msgpack.encode(description)
        digest = content_digest(content).to_bytes(8, "little", signed=True)
        footer = content + _MAGIC + digest + len(content).to_bytes(8, "little")
        _write(self._descriptor, description.size, footer)
        os.fsync(self._descriptor)
        self._path.replace(part_path(self._root, description.film, description.version))
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class PartFile:
    """The part file of one film, open.

    Args:
        root: where parts are.
        film: the film that it is of.
        create: whether to make the file, if it is lost.

    Raises:
        OSError: there is none, or it cannot be used. All methods raise it.
    """

    def __init__(self, root: Path, film: Film, *, create: bool = False) -> None:
        self._size = film.size
        path = part_path(root, film.id, film.version)
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def read(self, number: int, digest: int) -> bytes | None:
        """A block of the film; None if what is there is not what the digest is of."""
        start, stop = block_extent(number, self._size)
        data = os.pread(self._descriptor, stop - start, start)
        return data if len(data) == stop - start and content_digest(data) == digest else None

    def write(self, number: int, data: bytes | memoryview) -> None:
        """Write a block."""
        _write(self._descriptor, number * BLOCK, data)

    def sync(self) -> None:
        """Have what was written on the disk when this returns."""
        os.fdatasync(self._descriptor)

    def punch(self, numbers: Iterable[int]) -> None:
        """Give the room of blocks back."""
        for number in numbers:
            start, stop = block_extent(number, self._size)
            _punch(self._descriptor, start, stop - start)


def knows_holes(root: Path) -> bool:
    """Whether files in a folder may have holes that take no room: exFAT fills them with gigabytes of zeros.

    Raises:
        OSError: nothing can be written.
    """
    path = root / f"holes{_UNFINISHED}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, b"x", _TRIED_HOLE)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_blocks * 512 < _TRIED_HOLE
    finally:
        os.close(descriptor)
        path.unlink()


def part_path(root: Path, film: int, version: int) -> Path:
    """The path of the part file of a film."""
    return _folder(root, film) / f"{film}-{version}"


def descriptions(root: Path) -> Iterator[Description]:
    """The descriptions in all part files that are whole."""
    for path in root.glob("*/*"):
        try:
            with open(path, "rb", buffering=0) as file:
                found = _description(file.fileno())
        except (OSError, msgspec.MsgspecError):
            continue
        if found and path == part_path(root, found.film, found.version):
            yield found


def remove_unfinished(root: Path) -> None:
    """Remove the drafts that a killed process left. No other process may be learning."""
    for path in root.glob(f"*/*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def block_extent(number: int, size: int) -> Extent:
    """The part of a film of so many bytes that is a block: the last one is as long as is left."""
    return Extent(number * BLOCK, min((number + 1) * BLOCK, size))


def whole_blocks(extent: Extent, size: int) -> range:
    """The numbers of the blocks that lie wholly within a part of a film of so many bytes."""
    stop = -(-size // BLOCK) if extent.stop >= size else extent.stop // BLOCK
    return range(-(-extent.start // BLOCK), stop)


def touched_blocks(extent: Extent) -> range:
    """The numbers of the blocks of which a part of a film has any byte."""
    return range(extent.start // BLOCK, -(-extent.stop // BLOCK))


def merged(extents: Iterable[Extent]) -> list[Extent]:
    """The fewest parts, in order, that hold the same bytes."""
    result: list[Extent] = []
    for each in sorted(extents):
        if result and each.start <= result[-1].stop:
            result[-1] = Extent(result[-1].start, max(result[-1].stop, each.stop))
        elif each.start < each.stop:
            result.append(each)
    return result


def key_of(description: Description) -> Key:
    """The key of the film that a description is of."""
    return Key("episode" if description.kind == "episode" else "movie", description.account, description.stream)


def _folder(root: Path, film: int) -> Path:
    return root / f"{film % _FOLDERS:02x}"


def _description(descriptor: int) -> Description | None:
    end = os.fstat(descriptor).st_size
    footer = os.pread(descriptor, _FOOTER, max(end - _FOOTER, 0))
    length = int.from_bytes(footer[-8:], "little")
    if len(footer) < _FOOTER or not footer.startswith(_MAGIC) or length > min(_LONGEST_DESCRIPTION, end - _FOOTER):
        return None
    content = os.pread(descriptor, length, end - _FOOTER - length)
    if content_digest(content).to_bytes(8, "little", signed=True) != footer[-16:-8]:
        return None
    found = msgspec.msgpack.decode(content, type=Description)
    return found if found.size == end - _FOOTER - length else None


def _write(descriptor: int, start: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written


_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def _punch(descriptor: int, start: int, length: int) -> None:
    """Make a hole in a file; where the file system knows none, its room stays taken."""
    if _libc.fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, start, length):
        number = ctypes.get_errno()
        if number not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise OSError(number, os.strerror(number))
