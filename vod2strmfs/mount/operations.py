"""pyfuse3's view of the tree: each handler translates one request, and decides nothing."""

import errno
import logging
import os
import stat
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple

import pyfuse3
from cachetools import LRUCache
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, ModeT, ReaddirToken, RequestContext

from vod2strmfs.errors import IndexFileError
from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.library.tree import Entry, Tree

_log = logging.getLogger("vod2strmfs")

CACHE_SECONDS = 86400.0
"""How long the kernel may keep names and attributes. Whatever changes is invalidated at once."""

_BLOCK = 4096
_DOT, _DOTDOT = 1, 2
"""Places of `.` and `..` in a listing. No entry has these inode numbers."""
_PAGE = 256
"""For how many children a listing asks the tree at once: more than fit into one answer."""
_REST_ENTRIES = 1 << 14
"""A few megabytes."""
_WRITE = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND
_XATTR_PREFIX = b"user.vod2strmfs."


class Owner(NamedTuple):
    """Whose files they appear to be."""

    uid: int
    gid: int
    umask: int


class Opened:
    """A file as it was when it was opened.

    Args:
        entry: the file's.
        render: gives its content.
    """

    __slots__ = ("_content", "_render", "entry")

    def __init__(self, entry: Entry, render: Callable[[], bytes]) -> None:
        self.entry = entry
        self._render = render
        self._content: bytes | None = None

    def content(self) -> bytes:
        """The whole content, made when it is first asked for: most readers find it in the kernel's page cache.

        Raises:
            IndexFileError: it is not as long as was said of it, so the index is damaged.
        """
        if self._content is None:
            content = self._render()
            if len(content) != self.entry.size:
                raise IndexFileError(f"the index holds the wrong size of {self.entry.name}")
            self._content = content
        return self._content


class LibraryOperations(pyfuse3.Operations):
    """The file system's request handlers. None of them waits for anything.

    Attributes that a handler returns hold until the next request; pyfuse3 copies them at once.

    Args:
        owner: whose files they are.
    """

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self._tree: Tree | None = None
        self._file = _template(owner, stat.S_IFREG, 0o444)
        self._folder = _template(owner, stat.S_IFDIR, 0o555)
        self._rests: LRUCache[tuple[int, int], list[Entry]] = LRUCache(_REST_ENTRIES, getsizeof=len)
        """What did not fit into an answer, by directory and the place after which it comes."""
        self._ends: dict[int, int] = {}
        """The last places of directories that were listed whole and are still open."""
        self._opened: dict[FileHandleT, Opened] = {}
        self._last_handle = 0

    @property
    def tree(self) -> Tree | None:
        """The tree that is shown. While there is none, every request but statfs fails with EIO."""
        return self._tree

    @tree.setter
    def tree(self, tree: Tree | None) -> None:
        self._tree = tree
        self._rests.clear()
        self._ends.clear()

    def start_afresh(self) -> None:
        """Show nothing, and let no inode number mean from now on what it meant before.

        To the kernel a number with another `generation` is another inode.
        """
        self.tree = None
        self._file.generation += 1
        self._folder.generation += 1

    async def lookup(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """Find a name in a directory."""
        if len(name) > NAME_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise FUSEError(errno.ENOENT) from None
        with _INDEX:
            entry = self._shown().lookup(parent_inode, text)
        if entry is None:
            raise FUSEError(errno.ENOENT)
        return self._attributes(entry)

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        """The attributes of an inode."""
        return self._attributes(self._entry(inode))

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        """Open a directory. The handle is the inode, so that a listing can be taken up anywhere at any time."""
        self._shown()
        return FileHandleT(inode)

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        """List a directory from an entry on; see `Tree.entries` for what the places are."""
        if self._ends.get(fh) == start_id:
            return
        with _INDEX:
            if start_id < _DOTDOT and not self._reply_dots(fh, start_id, token):
                return
            after = start_id if start_id > _DOTDOT else 0
            entries = self._rests.pop((fh, after), None) if after else None
            if entries is None:
                entries = self._shown().entries(fh, after, _PAGE)
        reply = pyfuse3.readdir_reply
        for number, entry in enumerate(entries):
            if not reply(token, entry.name.encode(), self._attributes(entry), entry.inode):
                if number:
                    self._rests[fh, entries[number - 1].inode] = entries[number:]
                return
        if not after and 0 < len(entries) < _PAGE:
            self._ends[fh] = entries[-1].inode

    async def releasedir(self, fh: FileHandleT) -> None:
        """Close a directory."""
        self._ends.pop(fh, None)

    async def open(self, inode: InodeT, flags: int, ctx: RequestContext) -> FileInfo:
        """Open a file; what it holds now is what its readers get until they close it."""
        if flags & _WRITE:
            raise FUSEError(errno.EROFS)
        entry = self._entry(inode)
        with _INDEX:
            opened = Opened(entry, self._shown().open(inode))
        self._last_handle += 1
        handle = FileHandleT(self._last_handle)
        self._opened[handle] = opened
        return FileInfo(fh=handle, keep_cache=True)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        """Part of an open file."""
        with _INDEX:
            return self._opened[fh].content()[off : off + size]

    async def release(self, fh: FileHandleT) -> None:
        """Close a file."""
        del self._opened[fh]

    async def flush(self, fh: FileHandleT) -> None:
        """There is nothing to flush; the kernel does not ask again."""
        raise FUSEError(errno.ENOSYS)

    async def access(self, inode: InodeT, mode: int, ctx: RequestContext) -> bool:
        """The kernel checks permissions itself (default_permissions)."""
        raise FUSEError(errno.ENOSYS)

    async def getxattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> bytes:
        """What a file stands for, as a help to scripts: see `Tree.identity`."""
        # `ls -l` asks every file for attributes of others.
        if name.startswith(_XATTR_PREFIX):
            for key, value in self._identity(inode).items():
                if name == _XATTR_PREFIX + key.encode():
                    return value.encode()
        raise FUSEError(pyfuse3.ENOATTR)

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[bytes]:
        """The names of the attributes that `getxattr` knows."""
        return [_XATTR_PREFIX + name.encode() for name in self._identity(inode)]

    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        """A full file system: nothing can be written."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = _BLOCK
        data.f_namemax = NAME_MAX
        return data

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Inodes live in the index; there is nothing to forget."""

    def _shown(self) -> Tree:
        if self._tree is None:
            raise FUSEError(errno.EIO)
        return self._tree

    def _entry(self, inode: InodeT) -> Entry:
        with _INDEX:
            entry = self._shown().attributes(inode)
        if entry is None:
            # The kernel answers ESTALE by looking the path up again; an open file has no path to look up.
            opened = (file.entry for file in self._opened.values() if file.entry.inode == inode)
            if (entry := next(opened, None)) is None:
                raise FUSEError(errno.ESTALE)
        return entry

    def _identity(self, inode: InodeT) -> dict[str, str]:
        with _INDEX:
            return self._shown().identity(inode)

    def _reply_dots(self, directory: int, start_id: int, token: ReaddirToken) -> bool:
        """List `.` and `..`; returns whether there is room for more."""
        above = self._shown().parent(directory)
        if above is None:
            raise FUSEError(errno.ESTALE)
        for name, inode, place in ((b".", directory, _DOT), (b"..", above, _DOTDOT)):
            if start_id < place:
                # The kernel takes nothing but the number and the kind from these two.
                self._folder.st_ino = InodeT(inode)
                if not pyfuse3.readdir_reply(token, name, self._folder, place):
                    return False
        return True

    def _attributes(self, entry: Entry) -> EntryAttributes:
        if entry.is_dir:
            attributes = self._folder
        else:
            attributes = self._file
            attributes.st_size = entry.size
            attributes.st_blocks = (entry.size + 511) // 512
        attributes.st_ino = InodeT(entry.inode)
        attributes.st_atime_ns = attributes.st_ctime_ns = attributes.st_mtime_ns = entry.mtime
        return attributes


def _template(owner: Owner, kind: int, mode: int) -> EntryAttributes:
    """Attributes that all files, or all directories, have in common."""
    attributes = EntryAttributes()
    attributes.st_mode = ModeT(kind | mode & ~owner.umask)
    # One link says of a directory that its subdirectories are not counted.
    attributes.st_nlink = 1
    attributes.st_uid = owner.uid
    attributes.st_gid = owner.gid
    attributes.st_blksize = _BLOCK
    attributes.entry_timeout = attributes.attr_timeout = CACHE_SECONDS
    return attributes


class _Index:
    """What is made from the index within it, and cannot be, is answered with EIO.

    Damage that SQLite does not notice shows as errors of any kind; none of them may end the mount.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, FUSEError):
            _log.debug("A request failed.", exc_info=error)
            raise FUSEError(errno.EIO) from error


_INDEX = _Index()
