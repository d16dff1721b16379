"""pyfuse3's view of the tree: each handler translates one request, and decides nothing."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

import pyfuse3
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, ReaddirToken, RequestContext

from vod2strmfs.errors import IndexFileError
from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.library.tree import Entry, Tree

CACHE_SECONDS = 86400.0
"""How long the kernel may keep names and attributes. Whatever changes is invalidated at once."""

_BLOCK = 4096
_DOT, _DOTDOT = 1, 2
"""Places of `.` and `..` in a listing. No entry has these inode numbers."""
_XATTR_PREFIX = b"user.vod2strmfs."
_WRITE = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND


class Owner(NamedTuple):
    """Whose files they appear to be."""

    uid: int
    gid: int
    umask: int


class Opened(NamedTuple):
    """A file as it was when it was opened."""

    entry: Entry
    content: bytes


class LibraryOperations(pyfuse3.Operations):
    """The file system's request handlers. None of them waits for anything.

    Args:
        owner: whose files they are.
    """

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self.tree: Tree | None = None
        """The tree that is shown. While there is none, every request but statfs fails with EIO."""
        self._owner = owner
        self._opened: dict[FileHandleT, Opened] = {}
        self._next_handle = 1

    async def lookup(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """Find a name in a directory."""
        if len(name) > NAME_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise FUSEError(errno.ENOENT) from None
        try:
            entry = self._shown().lookup(parent_inode, text)
        except IndexFileError:
            raise FUSEError(errno.EIO) from None
        if entry is None:
            raise FUSEError(errno.ENOENT)
        return self._attributes(entry)

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        """The attributes of an inode."""
        return self._attributes(self._entry(inode))

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        """Directories have no state: the handle is the inode."""
        self._shown()
        return FileHandleT(inode)

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        """List a directory from an entry on; see `Tree.entries` for what the positions are."""
        directory = InodeT(fh)
        after = start_id
        if after < _DOTDOT:
            attributes = self._attributes(self._entry(directory))
            for place, name in ((_DOT, b"."), (_DOTDOT, b"..")):
                if after < place and not pyfuse3.readdir_reply(token, name, attributes, place):
                    return
            after = 0
        elif after == _DOTDOT:
            after = 0
        try:
            while page := self._shown().entries(directory, after):
                for entry in page:
                    if not pyfuse3.readdir_reply(token, entry.name.encode(), self._attributes(entry), entry.inode):
                        return
                after = page[-1].inode
        except IndexFileError:
            raise FUSEError(errno.EIO) from None

    async def open(self, inode: InodeT, flags: int, ctx: RequestContext) -> FileInfo:
        """Open a file; what it holds now is what its readers get until they close it."""
        if flags & _WRITE:
            raise FUSEError(errno.EROFS)
        entry = self._entry(inode)
        try:
            content = self._shown().read(inode)
        except IndexFileError:
            raise FUSEError(errno.EIO) from None
        handle = FileHandleT(self._next_handle)
        self._next_handle += 1
        self._opened[handle] = Opened(entry, content)
        return FileInfo(fh=handle, keep_cache=True)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        """Part of an open file."""
        return self._opened[fh].content[off : off + size]

    async def release(self, fh: FileHandleT) -> None:
        """Forget an open file."""
        del self._opened[fh]

    async def flush(self, fh: FileHandleT) -> None:
        """There is nothing to flush; the kernel does not ask again."""
        raise FUSEError(errno.ENOSYS)

    async def getxattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> bytes:
        """What a file stands for, as a help to scripts: see `Tree.identity`."""
        identity = self._identity(inode)
        if not name.startswith(_XATTR_PREFIX) or (key := name[len(_XATTR_PREFIX) :].decode()) not in identity:
            raise FUSEError(pyfuse3.ENOATTR)
        return identity[key].encode()

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[bytes]:
        """The names of the attributes that `getxattr` knows."""
        return [_XATTR_PREFIX + name.encode() for name in self._identity(inode)]

    async def access(self, inode: InodeT, mode: int, ctx: RequestContext) -> bool:
        """The kernel checks permissions itself (default_permissions)."""
        raise FUSEError(errno.ENOSYS)

    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        """A full file system: nothing can be written."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = _BLOCK
        data.f_namemax = NAME_MAX
        return data

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Inodes live in the index; there is nothing to forget."""

    def _identity(self, inode: InodeT) -> dict[str, str]:
        try:
            return self._shown().identity(inode)
        except IndexFileError:
            raise FUSEError(errno.EIO) from None

    def _shown(self) -> Tree:
        if self.tree is None:
            raise FUSEError(errno.EIO)
        return self.tree

    def _entry(self, inode: InodeT) -> Entry:
        try:
            entry = self._shown().attributes(inode)
        except IndexFileError:
            raise FUSEError(errno.EIO) from None
        if entry is None:
            # The kernel answers ESTALE by looking the path up again; an open file has no path to look up.
            opened = (file.entry for file in self._opened.values() if file.entry.inode == inode)
            if (entry := next(opened, None)) is None:
                raise FUSEError(errno.ESTALE)
        return entry

    def _attributes(self, entry: Entry) -> EntryAttributes:
        attributes = EntryAttributes()
        attributes.st_ino = InodeT(entry.inode)
        kind, mode = (stat.S_IFDIR, 0o555) if entry.is_dir else (stat.S_IFREG, 0o444)
        attributes.st_mode = pyfuse3.ModeT(kind | mode & ~self._owner.umask)
        # One link says of a directory that its subdirectories are not counted.
        attributes.st_nlink = 1
        attributes.st_uid = self._owner.uid
        attributes.st_gid = self._owner.gid
        attributes.st_size = entry.size
        attributes.st_blksize = _BLOCK
        attributes.st_blocks = (entry.size + 511) // 512
        attributes.st_atime_ns = attributes.st_ctime_ns = attributes.st_mtime_ns = entry.mtime
        attributes.entry_timeout = attributes.attr_timeout = CACHE_SECONDS
        return attributes
