"""The kernel's side of a mount, played: requests as the kernel makes them, and what it takes from the replies.

Written from <linux/fuse.h> by itself, so that a structure that `mount/wire.py` has wrong is not wrong here too.
"""

import errno
import itertools
import os
import struct
from typing import NamedTuple

from vod2strmfs.mount import wire
from vod2strmfs.mount.handlers import LibraryHandlers

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
GETXATTR, LISTXATTR, FLUSH, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR = 22, 23, 25, 27, 28, 29, 30
ACCESS, INTERRUPT, DESTROY, BATCH_FORGET, READDIRPLUS = 34, 36, 38, 42, 44
CREATE, FALLOCATE, WRITE = 35, 43, 16

KEEP_CACHE, CACHE_DIR = 1 << 1, 1 << 3
PAGE = 4096


class Attributes(NamedTuple):
    """A fuse_attr."""

    ino: int
    size: int
    blocks: int
    atime: int
    mtime: int
    ctime: int
    atimensec: int
    mtimensec: int
    ctimensec: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    blksize: int
    flags: int


class Name(NamedTuple):
    """A fuse_entry_out."""

    inode: int
    generation: int
    entry_valid: int
    attributes: Attributes


class Listed(NamedTuple):
    """A fuse_dirent, with what stood before it, if anything did."""

    name: str
    inode: int
    place: int
    kind: int
    entry: Name | None


def attributes(data: bytes) -> Attributes:
    """What is in a fuse_attr."""
    assert len(data) == 88
    return Attributes(*struct.unpack("=6Q10I", data))


def name_of(data: bytes) -> Name:
    """What is in a fuse_entry_out."""
    assert len(data) == 128
    inode, generation, entry_valid, _, _, _ = struct.unpack("=QQQQII", data[:40])
    return Name(inode, generation, entry_valid, attributes(data[40:]))


def listed(data: bytes, plus: bool) -> list[Listed]:
    """What is in the reply to READDIR, or READDIRPLUS."""
    found = []
    while data:
        entry = name_of(data[:128]) if plus else None
        data = data[128:] if plus else data
        inode, place, length, kind = struct.unpack("=QQII", data[:24])
        found.append(Listed(data[24 : 24 + length].decode(), inode, place, kind, entry))
        data = data[(24 + length + 7) // 8 * 8 :]
    return found


class Kernel:
    """Asks handlers through the protocol, as if they were mounted.

    Args:
        handlers: what answers.
    """

    def __init__(self, handlers: LibraryHandlers) -> None:
        self._handlers = handlers
        self._numbers = itertools.count(2, 2)

    def request(self, opcode: int, inode: int, body: bytes = b"") -> bytes:
        """A request's bytes."""
        return struct.pack("=IIQQIIIHH", 40 + len(body), opcode, next(self._numbers), inode, 0, 0, 77, 0, 0) + body

    def send(self, opcode: int, inode: int, body: bytes = b"") -> bytes | None:
        """What a request is answered, whole."""
        reply = wire.answer(self._handlers, self.request(opcode, inode, body))
        return b"".join(reply) if isinstance(reply, list) else reply

    def ask(self, opcode: int, inode: int, body: bytes = b"") -> bytes:
        """What a request is answered, without the header; raises OSError for an error."""
        request = self.request(opcode, inode, body)
        reply = wire.answer(self._handlers, request)
        assert isinstance(reply, bytes)
        length, number, unique = struct.unpack("=IiQ", reply[:16])
        assert length == len(reply)
        assert unique == struct.unpack_from("=Q", request, 8)[0]
        if number:
            assert length == 16
            raise OSError(-number, os.strerror(-number))
        return reply[16:]

    def error(self, opcode: int, inode: int, body: bytes = b"") -> str:
        """The name of the error that a request is answered with; "" for none."""
        try:
            self.ask(opcode, inode, body)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""

    def lookup(self, directory: int, name: bytes) -> Name:
        """Look up a name; its inode is 0 if it is not there."""
        return name_of(self.ask(LOOKUP, directory, name + b"\0"))

    def getattr(self, inode: int) -> Attributes:
        """The attributes of an inode."""
        data = self.ask(GETATTR, inode, bytes(16))
        return attributes(data[16:])

    def open(self, inode: int, flags: int = os.O_RDONLY, opcode: int = OPEN) -> tuple[int, int]:
        """Open a file, or a directory; returns the handle and flags."""
        handle, opened, _ = struct.unpack("=QII", self.ask(opcode, inode, struct.pack("=II", flags, 0)))
        return handle, opened

    def opendir(self, inode: int) -> tuple[int, int]:
        """Open a directory; returns the handle and flags."""
        return self.open(inode, os.O_DIRECTORY, OPENDIR)

    def read(self, inode: int, handle: int, offset: int, size: int) -> bytes:
        """Read of an open file."""
        return self.ask(READ, inode, struct.pack("=QQIIQII", handle, offset, size, 0, 0, 0, 0))

    def readdir(self, inode: int, handle: int, place: int = 0, size: int = PAGE, plus: bool = True) -> list[Listed]:
        """The entries in one answer."""
        body = struct.pack("=QQIIQII", handle, place, size, 0, 0, 0, 0)
        data = self.ask(READDIRPLUS if plus else READDIR, inode, body)
        assert len(data) <= size
        return listed(data, plus)

    def release(self, inode: int, handle: int, opcode: int = RELEASE) -> None:
        """Close a file, or a directory."""
        assert self.ask(opcode, inode, struct.pack("=QIIQ", handle, 0, 0, 0)) == b""

    def releasedir(self, inode: int, handle: int) -> None:
        """Close a directory."""
        self.release(inode, handle, RELEASEDIR)

    def list(self, inode: int, size: int = PAGE, plus: bool = True) -> "list[Listed]":
        """List a directory as the kernel does: from where the answer before ended, until one is empty."""
        handle, _ = self.opendir(inode)
        found: list[Listed] = []
        while part := self.readdir(inode, handle, found[-1].place if found else 0, size, plus):
            found += part
        self.releasedir(inode, handle)
        return found

    def find(self, path: str) -> Name:
        """What a path stands for, looked up name by name."""
        inode = 1
        for name in path.split("/"):
            found = self.lookup(inode, name.encode())
            inode = found.inode
        return found

    def getxattr(self, inode: int, name: bytes, size: int = 100) -> bytes:
        """An extended attribute."""
        return self.ask(GETXATTR, inode, struct.pack("=II", size, 0) + name + b"\0")
