"""The protocol that the kernel speaks at /dev/fuse: a request is bytes, and so is its reply.

Structures, numbers and flags are those of the kernel's header <linux/fuse.h>, whose names stand beside each, in the
byte order of the machine. The kernel and pyfuse3 have settled the minor version when the first of these requests comes.
What is used here has had its size since 7.9 and READDIRPLUS since 7.21, without which pyfuse3 does not mount; what came
later are flags, which an older kernel passes over. Knows nothing of a tree, of descriptors or of waiting.
"""

import errno
import stat
from collections.abc import Awaitable, Callable
from struct import Struct, error
from typing import Final, Protocol

KEEP_CACHE: Final = 1 << 1
"""FOPEN_KEEP_CACHE: what the kernel has of the contents stays when they are opened. For a directory, its listing."""
CACHE_DIR: Final = 1 << 3
"""FOPEN_CACHE_DIR: the kernel may keep the listing that it reads. Since 7.28."""

_HEADER = Struct("=IIQQIIIHH")
"""fuse_in_header: len, opcode, unique, nodeid, uid, gid, pid, total_extlen, padding."""
_START = Struct("=IIQQ")
"""The part of it that every request is answered by."""
_REPLY = Struct("=IiQ")
"""fuse_out_header: len, error, unique."""
_OPEN_IN = Struct("=II")
"""fuse_open_in: flags, open_flags."""
_READ_IN = Struct("=QQIIQII")
"""fuse_read_in: fh, offset, size, read_flags, lock_owner, flags, padding. That of a listing, too."""
_RELEASE_IN = Struct("=QIIQ")
"""fuse_release_in: fh, flags, release_flags, lock_owner."""
_GETXATTR_IN = Struct("=II")
"""fuse_getxattr_in: size, padding; a name follows."""
_INIT_OUT = Struct("=IIIIHH")
"""The beginning of fuse_init_out: major, minor, max_readahead, flags, max_background, congestion_threshold."""
_INTERRUPT_IN = Struct("=Q")
"""fuse_interrupt_in: unique."""

_VALID = "QQII"
_ATTR = "QQQqqqIIIIIIIIII"
"""fuse_attr: ino, size, blocks, atime, mtime, ctime, atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev,
blksize, flags. The kernel takes times for signed, though the header does not say so."""
_ENTRY_OUT = Struct("=QQ" + _VALID + _ATTR)
"""fuse_entry_out: nodeid, generation, entry_valid, attr_valid, entry_valid_nsec, attr_valid_nsec, attr."""
_ATTR_OUT = Struct("=QII" + _ATTR)
"""fuse_attr_out: attr_valid, attr_valid_nsec, dummy, attr."""
_OPEN_OUT = Struct("=QII")
"""fuse_open_out: fh, open_flags, padding."""
_KSTATFS = Struct("=QQQQQIIII24x")
"""fuse_kstatfs: blocks, bfree, bavail, files, ffree, bsize, namelen, frsize, padding, spare."""
_GETXATTR_OUT = Struct("=II")
"""fuse_getxattr_out: size, padding."""
ENTRY_SIZE: Final = _ENTRY_OUT.size
"""Before each entry of a listing (a fuse_dirent: ino, off, namelen, type, and the name, filled up to a multiple of 8
bytes) stands a fuse_entry_out, if it has attributes (fuse_direntplus)."""

_ASYNC_DIO = 1 << 15
"""A flag of fuse_init_out: reads with O_DIRECT are work in the background."""
_MOST_WAITING = 1024
"""Reads; the pages that the largest of them are to fill are 128 MiB."""
_LISTED = tuple(Struct(f"=QQ24sQQQqqqIII28sQQII{length}s").pack for length in range(0, 264, 8))
"""Make a fuse_direntplus, by the length of its name in steps of 8 bytes. What all entries share stands in them as
bytes, which takes less time than numbers: how long they are valid, and the attributes from `mode` on."""
_SHARED = Struct("=IIIIIII")
_VALID_OUT = Struct("=" + _VALID)
_PLACE = Struct("=Q")
_DOT = Struct(f"={ENTRY_SIZE}xQQII8s")
_STORE_OUT = Struct("=QQII")
"""fuse_notify_store_out: nodeid, offset, size, padding; the data follow."""
_NOTIFY_STORE = 4
_DIRECTORY = stat.S_IFDIR >> 12
"""The type of a directory in a fuse_dirent."""
_BODY = _HEADER.size


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        number: of the error, as in `errno`.
    """

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, number))
        self.errno = number


class NotYetError(Exception):
    """Raised for a request that should be asked again in a moment: what it needs is about to come."""


Body = bytes | memoryview
"""The body of a reply. Bytes are put together with the header; what a memoryview shows is copied by the kernel alone.
"""
Reply = bytes | list[Body]
"""A reply, or the parts of one."""


class LaterError(Exception):
    """Raised for a request whose answer has to be waited for, while others are answered.

    Args:
        body: gives the body of the reply, or raises RequestError.
    """

    def __init__(self, body: Callable[[], Awaitable[Body]]) -> None:
        super().__init__()
        self.body = body


class Handlers(Protocol):
    """What answers requests: gives the body of the reply, or raises RequestError, NotYetError or LaterError."""

    def lookup(self, directory: int, name: bytes) -> bytes:
        """A name in a directory, as `entry` or `absent` make it."""

    def getattr(self, inode: int) -> bytes:
        """The attributes of an inode, as `attributes` makes them."""

    def opendir(self, inode: int) -> bytes:
        """A handle for listing a directory, as `opened` makes it."""

    def readdir(self, handle: int, place: int, size: int, plus: bool) -> bytes:
        """Entries of a directory after a place, as `dot` and `lister` make them, without the first
        `ENTRY_SIZE` bytes of each if not `plus`; no more than `size` bytes, and none at the end."""

    def releasedir(self, handle: int) -> None:
        """Close a directory."""

    def open(self, inode: int, flags: int) -> bytes:
        """A handle for reading a file, as `opened` makes it."""

    def read(self, handle: int, offset: int, size: int) -> Body:
        """Part of an open file."""

    def release(self, handle: int) -> None:
        """Close a file."""

    def flush(self, handle: int) -> None:
        """Note that a descriptor of an open file was closed, perhaps the last one."""

    def getxattr(self, inode: int, name: bytes) -> bytes:
        """The value of an extended attribute."""

    def listxattr(self, inode: int) -> bytes:
        """The names of extended attributes, each with a NUL at its end."""

    def statfs(self) -> bytes:
        """The size of the file system, as `sizes` makes it."""


class Attributes:
    """The attributes of files, or of directories: what all of them share, to be put together with one entry's.

    Args:
        mode: kind and permissions.
        uid: whose they are.
        gid: whose they are.
        block: size of a block, bytes.
        seconds: how long the kernel may keep names and attributes.
    """

    def __init__(self, mode: int, uid: int, gid: int, block: int, seconds: int) -> None:
        self._seconds = seconds
        # One link says of a directory that its subdirectories are not counted.
        self._shared = (mode, 1, uid, gid, 0, block, 0)
        self.listed = _VALID_OUT.pack(seconds, seconds, 0, 0), _SHARED.pack(*self._shared), mode >> 12
        """What entries of a listing share; see `lister`."""

    def entry(self, inode: int, generation: int, size: int, mtime: int) -> bytes:
        """What a name stands for (fuse_entry_out).

        Args:
            inode: its number.
            generation: with another one, the number means another inode.
            size: bytes.
            mtime: nanoseconds since the epoch; stands for all three times.

        Raises:
            struct.error: these are no attributes of anything.
        """
        seconds, rest = divmod(mtime, 1_000_000_000)
        valid = self._seconds
        return _ENTRY_OUT.pack(
            inode, generation, valid, valid, 0, 0,
            inode, size, (size + 511) // 512, seconds, seconds, seconds, rest, rest, rest, *self._shared,
        )  # fmt: skip

    def alone(self, inode: int, size: int, mtime: int) -> bytes:
        """The attributes of an inode (fuse_attr_out); arguments and errors as those of `entry`."""
        seconds, rest = divmod(mtime, 1_000_000_000)
        return _ATTR_OUT.pack(
            self._seconds, 0, 0,
            inode, size, (size + 511) // 512, seconds, seconds, seconds, rest, rest, rest, *self._shared,
        )  # fmt: skip


def lister(files: Attributes, directories: Attributes, era: int) -> Callable[[str, int, int, int, bool, int], bytes]:
    """What makes the entries of listings (fuse_direntplus), after each of which the listing goes on at its inode's
    number: of a name of at most 255 bytes, and the inode, size, mtime, whether it is a directory, and reuse, as those
    of `library.tree.Entry`.

    Args:
        files: the attributes of files.
        directories: the attributes of directories.
        era: is put before reuse in each `generation`.
    """
    of_files, of_directories = files.listed, directories.listed

    def listed(name: str, inode: int, size: int, mtime: int, is_dir: bool, reuse: int) -> bytes:
        valid, shared, kind = of_directories if is_dir else of_files
        seconds, rest = divmod(mtime, 1_000_000_000)
        encoded = name.encode()
        length = len(encoded)
        return _LISTED[length + 7 >> 3](
            inode, era | reuse, valid,
            inode, size, size + 511 >> 9, seconds, seconds, seconds, rest, rest, rest, shared,
            inode, inode, length, kind, encoded,
        )  # fmt: skip

    return listed


def place_of(listed: bytes) -> int:
    """Where a listing goes on after an entry of it."""
    return int(_PLACE.unpack_from(listed, ENTRY_SIZE + 8)[0])


def absent(seconds: int) -> bytes:
    """What a name stands for that is not there, to be remembered for some seconds (fuse_entry_out)."""
    return Struct("=QQ" + _VALID).pack(0, 0, seconds, 0, 0, 0) + bytes(ENTRY_SIZE - 40)


def opened(handle: int, flags: int) -> bytes:
    """The reply to OPEN and OPENDIR (fuse_open_out)."""
    return _OPEN_OUT.pack(handle, flags, 0)


def stored(inode: int, content: bytes) -> bytes:
    """A notification by which the kernel has all that is in a file, and need not ask for it (FUSE_NOTIFY_STORE)."""
    size = _REPLY.size + _STORE_OUT.size + len(content)
    return _REPLY.pack(size, _NOTIFY_STORE, 0) + _STORE_OUT.pack(inode, 0, len(content), 0) + content


def dot(name: bytes, inode: int, place: int) -> bytes:
    """`.` or `..` in a listing (fuse_direntplus), of which the kernel takes the number alone."""
    return _DOT.pack(inode, place, len(name), _DIRECTORY, name)


def sizes(blocks: int, files: int, block: int, name_max: int) -> bytes:
    """The size of a file system in which nothing is free (fuse_statfs_out)."""
    return _KSTATFS.pack(blocks, 0, 0, files, 0, block, name_max, block, 0)


def answer(handlers: Handlers, request: bytes) -> Reply | None:
    """The reply to a request; None if it gets none.

    Whatever the request holds, it is answered: EINVAL if it is none, ENOSYS if it is unknown, which for some tells the
    kernel not to send it again.

    Raises:
        NotYetError: it cannot be answered yet.
        LaterError: its answer has to be waited for.
    """
    if len(request) < _BODY:
        return None
    _, opcode, unique, inode = _START.unpack_from(request)
    if not unique or opcode in _WITHOUT_REPLY:  # 0 would make a notification of the reply.
        return None
    handle = _ANSWERS.get(opcode)
    if handle is None:
        return refused(unique, errno.EROFS if opcode in _WRITES else errno.ENOSYS)
    try:
        body = handle(handlers, inode, request)
    except RequestError as refusal:
        return refused(unique, refusal.errno)
    except error:  # It is shorter than its structure.
        return refused(unique, errno.EINVAL)
    return replied(unique, body)


def replied(unique: int, body: Body) -> Reply:
    """The reply with a body to the request of that `unique`."""
    header = _REPLY.pack(_REPLY.size + len(body), 0, unique)
    return header + body if isinstance(body, bytes) else [header, body]


def refused(unique: int, number: int) -> bytes:
    """The reply with an error to the request of that `unique`."""
    return _REPLY.pack(_REPLY.size, -number, unique)


def unique_of(request: bytes) -> int:
    """What a reply to a request is known by; 0 if it is none."""
    return int(_START.unpack_from(request)[2]) if len(request) >= _BODY else 0


def interrupted(request: bytes) -> int:
    """The `unique` of the request that an INTERRUPT is about; 0 if a request is no INTERRUPT."""
    if len(request) < _BODY + _INTERRUPT_IN.size or _START.unpack_from(request)[1] != _INTERRUPT:
        return 0
    return int(_INTERRUPT_IN.unpack_from(request, _BODY)[0])


def amended(answer: bytes) -> bytes:
    """The answer to INIT, changed where pyfuse3 cannot be asked to.

    * As many reads may wait at a time as readers have use for. Those into the page cache count as work in the
      background, of which the kernel has 12 going, as long as nobody asks for more. So a few films whose provider is
      silent would hold up all others.
    * Who reads with O_DIRECT waits for each of the reads itself, and so can be ended meanwhile. For work in the
      background the kernel waits whatever happens to the program, and sends no INTERRUPT.
    """
    if len(answer) < _REPLY.size + _INIT_OUT.size or _REPLY.unpack_from(answer)[1]:
        return answer
    changed = bytearray(answer)
    *begun, flags, _, _ = _INIT_OUT.unpack_from(answer, _REPLY.size)
    threshold = _MOST_WAITING // 4 * 3
    _INIT_OUT.pack_into(changed, _REPLY.size, *begun, flags & ~_ASYNC_DIO, _MOST_WAITING, threshold)
    return bytes(changed)


def describe(request: bytes, reply: Reply | None) -> tuple[str, str]:
    """What a request asks, and how it ended, for people."""
    if len(request) < _BODY:
        return repr(request), "no request"
    _, opcode, _, inode, _, _, pid, _, _ = _HEADER.unpack_from(request)
    arguments = [str(inode)]
    if opcode in (_LOOKUP, _GETXATTR):
        start = _BODY + (_GETXATTR_IN.size if opcode == _GETXATTR else 0)
        arguments.append(repr(request[start:].partition(b"\0")[0].decode(errors="replace")))
    elif opcode in (_READ, _READDIR, _READDIRPLUS) and len(request) >= _BODY + _READ_IN.size:
        _, offset, size, *_ = _READ_IN.unpack_from(request, _BODY)
        arguments += [str(offset), str(size)]
    asked = f"{_NAMES.get(opcode, f'request {opcode}')}({', '.join(arguments)}, process {pid})"
    if reply is None:
        return asked, "no reply"
    head = reply if isinstance(reply, bytes) else reply[0]
    _, number, _ = _REPLY.unpack_from(head)
    if opcode == _LOOKUP and not number and not any(head[_REPLY.size : _REPLY.size + 8]):
        number = -errno.ENOENT
    return asked, errno.errorcode.get(-number, str(-number)) if number else "ok"


def _name(request: bytes, start: int = _BODY) -> bytes:
    name, end, _ = request[start:].partition(b"\0")
    if not name or not end:
        raise RequestError(errno.EINVAL)
    return name


def _lookup(handlers: Handlers, inode: int, request: bytes) -> bytes:
    return handlers.lookup(inode, _name(request))


def _getattr(handlers: Handlers, inode: int, request: bytes) -> bytes:
    return handlers.getattr(inode)


def _opendir(handlers: Handlers, inode: int, request: bytes) -> bytes:
    return handlers.opendir(inode)


def _readdir(handlers: Handlers, inode: int, request: bytes) -> bytes:
    handle, place, size, *_ = _READ_IN.unpack_from(request, _BODY)
    return handlers.readdir(handle, place, size, False)


def _readdirplus(handlers: Handlers, inode: int, request: bytes) -> bytes:
    handle, place, size, *_ = _READ_IN.unpack_from(request, _BODY)
    return handlers.readdir(handle, place, size, True)


def _releasedir(handlers: Handlers, inode: int, request: bytes) -> bytes:
    handlers.releasedir(_RELEASE_IN.unpack_from(request, _BODY)[0])
    return b""


def _open(handlers: Handlers, inode: int, request: bytes) -> bytes:
    return handlers.open(inode, _OPEN_IN.unpack_from(request, _BODY)[0])


def _read(handlers: Handlers, inode: int, request: bytes) -> Body:
    handle, offset, size, *_ = _READ_IN.unpack_from(request, _BODY)
    return handlers.read(handle, offset, size)


def _release(handlers: Handlers, inode: int, request: bytes) -> bytes:
    handlers.release(_RELEASE_IN.unpack_from(request, _BODY)[0])
    return b""


def _flush(handlers: Handlers, inode: int, request: bytes) -> bytes:
    handlers.flush(_RELEASE_IN.unpack_from(request, _BODY)[0])
    return b""


def _getxattr(handlers: Handlers, inode: int, request: bytes) -> bytes:
    [size, _] = _GETXATTR_IN.unpack_from(request, _BODY)
    return _as_asked(handlers.getxattr(inode, _name(request, _BODY + _GETXATTR_IN.size)), size)


def _listxattr(handlers: Handlers, inode: int, request: bytes) -> bytes:
    [size, _] = _GETXATTR_IN.unpack_from(request, _BODY)
    return _as_asked(handlers.listxattr(inode), size)


def _as_asked(value: bytes, size: int) -> bytes:
    """Who gives no room asks for the size."""
    if not size:
        return _GETXATTR_OUT.pack(len(value), 0)
    if len(value) > size:
        raise RequestError(errno.ERANGE)
    return value


def _statfs(handlers: Handlers, inode: int, request: bytes) -> bytes:
    return handlers.statfs()


def _destroy(handlers: Handlers, inode: int, request: bytes) -> bytes:
    return b""


_LOOKUP, _READ, _GETXATTR, _READDIR, _INTERRUPT, _READDIRPLUS = 1, 15, 22, 28, 36, 44
_ANSWERS: dict[int, Callable[[Handlers, int, bytes], Body]] = {
    _LOOKUP: _lookup,
    3: _getattr,
    14: _open,
    _READ: _read,
    17: _statfs,
    18: _release,
    _GETXATTR: _getxattr,
    23: _listxattr,
    25: _flush,
    27: _opendir,
    _READDIR: _readdir,
    29: _releasedir,
    38: _destroy,
    _READDIRPLUS: _readdirplus,
}
_WITHOUT_REPLY = frozenset({2, _INTERRUPT, 41, 42})
"""FORGET, INTERRUPT, NOTIFY_REPLY, BATCH_FORGET."""
_WRITES = frozenset({4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 51})
"""SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, WRITE, SETXATTR, REMOVEXATTR, CREATE, FALLOCATE,
RENAME2, TMPFILE."""
_NAMES = {
    1: "lookup", 2: "forget", 3: "getattr", 14: "open", 15: "read", 17: "statfs", 18: "release", 20: "fsync",
    22: "getxattr", 23: "listxattr", 25: "flush", 27: "opendir", 28: "readdir", 29: "releasedir", 30: "fsyncdir",
    34: "access", 36: "interrupt", 38: "destroy", 39: "ioctl", 40: "poll", 42: "forget", 44: "readdir", 46: "lseek",
    50: "syncfs", 52: "statx",
}  # fmt: skip
