"""pyfuse3's view of the tree: each handler translates one request, and decides nothing."""

import errno
import logging
import math
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

import pyfuse3
import trio
from cachetools import LRUCache
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, ModeT, ReaddirToken, RequestContext

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.store import Size
from vod2strmfs.library.kinds import content_inode
from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.library.tree import Entry, Tree
from vod2strmfs.mount.listings import DOTDOT, Cursor

_log = logging.getLogger("vod2strmfs")

CACHE_SECONDS = 86400.0
"""How long the kernel may keep names and attributes. Whatever changes is invalidated at once."""

_BLOCK = 4096
_PATIENCE_STEP = 0.01
_FILES_BYTES = 16 << 20
_OPENED_BYTES = 1200
"""Of memory, roughly: a file as it was opened, with what its content is made from."""
_REUSE_BITS = 16
"""Of a `generation`, of which the kernel keeps 32 bits."""
_WRITE = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND
_XATTR_PREFIX = b"user.vod2strmfs."


class Owner(NamedTuple):
    """Whose files they appear to be."""

    uid: int
    gid: int
    umask: int


class Opened:
    """A file as it was when it was opened; all who open it until it changes share this.

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
        """All that is in it; made when first asked for, since most readers find it in the kernel's page cache.

        Raises:
            IndexFileError: it is not as long as was said of it, so the index is damaged.
        """
        if self._content is None:
            content = self._render()
            if len(content) != self.entry.size:
                raise IndexFileError(f"the index holds the wrong size of {self.entry.name}")
            self._content = content
        return self._content


class Attributes(EntryAttributes):
    """The attributes of files, or of directories: some are those of all, the others of one entry at a time.

    To set one through pyfuse3 costs about as much as a call, and a listing has thousands: what is there already stays.

    Args:
        owner: whose they are.
        kind: S_IFREG or S_IFDIR.
        mode: permissions, before the owner's umask.
    """

    def __init__(self, owner: Owner, kind: int, mode: int) -> None:
        self.st_mode = ModeT(kind | mode & ~owner.umask)
        # One link says of a directory that its subdirectories are not counted.
        self.st_nlink = 1
        self.st_uid = owner.uid
        self.st_gid = owner.gid
        self.st_blksize = _BLOCK
        self.entry_timeout = self.attr_timeout = CACHE_SECONDS
        self._mtime = 0
        self._reuse = 0
        self._renewals = 0

    def renew(self) -> None:
        """Let no inode number mean from now on what it meant before: to the kernel a number with another `generation`
        is another inode."""
        self._renewals += 1
        self.generation = self._renewals << _REUSE_BITS | self._reuse

    def of(self, entry: Entry) -> Self:
        """The same attributes, with those of an entry."""
        self.st_ino = entry.inode
        if not entry.is_dir:
            self.st_size = entry.size
            self.st_blocks = (entry.size + 511) // 512
        if entry.mtime != self._mtime:
            self._mtime = self.st_atime_ns = self.st_ctime_ns = self.st_mtime_ns = entry.mtime
        if entry.reuse != self._reuse:
            self._reuse = entry.reuse
            self.generation = self._renewals << _REUSE_BITS | entry.reuse
        return self


class LibraryOperations(pyfuse3.Operations):
    """The file system's request handlers. None of them waits for anything, but for a moment for a tree to come.

    Attributes that a handler returns hold until the next request; pyfuse3 copies them at once.

    Args:
        owner: whose files they are.
    """

    supports_dot_lookup = True
    enable_writeback_cache = False

    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self._tree: Tree | None = None
        self._patient_until = -math.inf
        self.size = Size(0, 0)
        """What the tree holds."""
        self.failures = 0
        """How many requests were answered with an input/output error."""
        self.damage = 0
        """How many of these requests met something in the index that cannot be."""
        self.on_damage: Callable[[], None] = lambda: None
        """Called when a name, a listing or attributes cannot be told, before the request is answered."""
        self.opened: Callable[[int], None] | None = None
        """Called with the inode of each directory that is opened, if anybody wants to know."""
        self._index = _Index(self, tells=True)
        self._contents = _Index(self, tells=False)
        self._absent = EntryAttributes()
        self._absent.st_ino = InodeT(0)
        self._absent.entry_timeout = CACHE_SECONDS
        self._file = Attributes(owner, stat.S_IFREG, 0o444)
        self._folder = Attributes(owner, stat.S_IFDIR, 0o555)
        self._cursors: dict[int, Cursor] = {}
        """Of directories that are open. What did not fit into one answer waits there for the next."""
        self._files: LRUCache[int, Opened] = LRUCache(_FILES_BYTES, lambda opened: _OPENED_BYTES + opened.entry.size)
        """Files that were opened lately, by their inodes: several scanners at once open each file in turn."""
        self._opened: dict[FileHandleT, Opened] = {}
        self._last_handle = 0
        self._unread: Opened | None = None
        """The file that is probably read next."""
        self._reading = False
        """Whether anything was read since a file was opened last: what the kernel has in its page cache is not."""

    @property
    def tree(self) -> Tree | None:
        """The tree that is shown. While there is none, every request but statfs fails with EIO."""
        return self._tree

    @tree.setter
    def tree(self, tree: Tree | None) -> None:
        self._tree = tree
        self._cursors.clear()
        self._files.clear()

    def start_afresh(self, patience: float = 0) -> None:
        """Show nothing, and let no inode number mean from now on what it meant before.

        Args:
            patience: for how many seconds requests may wait for the next tree.
        """
        self.tree = None
        self._patient_until = time.monotonic() + patience
        self._file.renew()
        self._folder.renew()

    async def lookup(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """Find a name in a directory. That it is not there is remembered by the kernel, too."""
        if len(name) > NAME_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise FUSEError(errno.ENOENT) from None
        if self._tree is None:
            await self._patience()
        with self._index:
            tree = self._shown()
            entry = tree.lookup(parent_inode, text)
            if entry is None:
                entry = self._dot(parent_inode, text)
            if entry is not None:
                return self._attributes(entry)
            if not tree.has_directory(parent_inode):
                raise FUSEError(errno.ENOENT)
            return self._absent

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        """The attributes of an inode."""
        if self._tree is None:
            await self._patience()
        with self._index:
            return self._attributes(self._entry(inode))

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        """Open a directory, if it can be listed whole. The handle is the inode, so that a listing can be taken up
        anywhere at any time.

        An error in the middle of a listing would be too late: Samba, for one, takes it for the end.
        """
        if self._tree is None:
            await self._patience()
        with self._index:
            tree = self._shown()
            cursor = Cursor(tree, inode, 0)
            for entry in cursor.entries:
                self._attributes(entry)
                entry.name.encode()
            if not cursor.whole:
                tree.check(inode)
            self._cursors.setdefault(inode, cursor)
        if self.opened is not None:
            self.opened(inode)
        return inode

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        """List a directory from an entry on; see `Tree.page` for their order."""
        with self._index:
            cursor = self._cursors.get(fh)
            if cursor is None or cursor.place != start_id or not start_id:
                cursor = self._cursors[fh] = Cursor(self._shown(), fh, start_id)
            if start_id >= DOTDOT or self._reply_dots(fh, cursor, token):
                self._reply_entries(cursor, token)

    async def releasedir(self, fh: FileHandleT) -> None:
        """Close a directory."""
        self._cursors.pop(fh, None)

    async def open(self, inode: InodeT, flags: int, ctx: RequestContext) -> FileInfo:
        """Open a file; what it holds now is what its readers get until they close it."""
        if flags & _WRITE:
            raise FUSEError(errno.EROFS)
        if self._tree is None:
            await self._patience()
        with self._contents:
            opened = self._files.get(inode) or self._open(inode)
        self._unread = opened if self._reading else None
        self._reading = False
        self._last_handle += 1
        handle = FileHandleT(self._last_handle)
        self._opened[handle] = opened
        return FileInfo(fh=handle, keep_cache=True)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        """Part of an open file."""
        opened = self._opened[fh]
        self._reading = True
        with self._contents:
            content = opened.content()
        return content[off : off + size]

    def prepare(self) -> None:
        """Make the content that is probably asked for next. A problem shows when it is asked for."""
        opened, self._unread = self._unread, None
        if opened is not None:
            with suppress(Exception):
                opened.content()

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
        """None: Samba and others ask for each that is named, of each file of a listing."""
        return []

    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        """A full file system: nothing can be written."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = _BLOCK
        data.f_blocks = -(-self.size.bytes // _BLOCK)
        data.f_files = self.size.entries
        data.f_namemax = NAME_MAX
        return data

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Inodes live in the index; there is nothing to forget."""

    async def _patience(self) -> None:
        """Wait for the next tree if it should be there at once: to a scanner a passing error is one like any other."""
        while self._tree is None and time.monotonic() < self._patient_until:
            await trio.sleep(_PATIENCE_STEP)

    def _shown(self) -> Tree:
        if self._tree is None:
            self.failures += 1
            raise FUSEError(errno.EIO)
        return self._tree

    def _entry(self, inode: InodeT) -> Entry:
        entry = self._shown().attributes(inode)
        return entry if entry is not None else self._still_open(inode).entry

    def _dot(self, inode: int, name: str) -> Entry | None:
        """What `.` and `..` are, for which the kernel asks when all that it has is an inode number (NFS)."""
        if name == ".":
            return self._entry(InodeT(inode))
        return self._shown().above(inode) if name == ".." else None

    def _still_open(self, inode: InodeT) -> Opened:
        """A file that is not in the tree any more. The kernel answers ESTALE by looking the path up again; what is open
        has no path to look up."""
        for opened in self._opened.values():
            if opened.entry.inode == inode:
                return opened
        raise FUSEError(errno.ESTALE)

    def _open(self, inode: InodeT) -> Opened:
        twin = self._files.get(content_inode(inode))
        entry = self._shown().attributes(inode)
        if entry is None:
            return self._still_open(inode)
        opened = Opened(entry, twin.content if twin is not None else self._shown().open(inode))
        if entry.size < _FILES_BYTES // 2:
            self._files[inode] = opened
        return opened

    def _identity(self, inode: InodeT) -> dict[str, str]:
        with self._contents:
            return self._shown().identity(inode)

    def _reply_dots(self, directory: int, cursor: Cursor, token: ReaddirToken) -> bool:
        """List `.` and `..`; returns whether there is room for more."""
        for name, inode, place in ((b".", directory, DOTDOT - 1), (b"..", cursor.above, DOTDOT)):
            if cursor.place < place:
                # The kernel takes nothing but the number and the kind from these two.
                self._folder.st_ino = inode
                if not pyfuse3.readdir_reply(token, name, self._folder, place):
                    return False
                cursor.place = place
        return True

    def _reply_entries(self, cursor: Cursor, token: ReaddirToken) -> None:
        """List as many entries as there is room for."""
        reply, file, folder = pyfuse3.readdir_reply, self._file, self._folder
        while True:
            for entry in cursor.entries[cursor.position :]:
                attributes = (folder if entry.is_dir else file).of(entry)
                if not reply(token, entry.name.encode(), attributes, entry.inode):
                    return
                cursor.position += 1
                cursor.place = entry.inode
            if cursor.whole:
                return
            cursor.turn()

    def _attributes(self, entry: Entry) -> EntryAttributes:
        return (self._folder if entry.is_dir else self._file).of(entry)


class _Index:
    """What is made from the index within it, and cannot be, is answered with EIO.

    Damage that SQLite does not notice shows as errors of any kind; none of them may end the mount.

    Args:
        operations: that answer.
        tells: whether they tell what is there; contents of files do not.
    """

    def __init__(self, operations: LibraryOperations, *, tells: bool) -> None:
        self._operations = operations
        self._tells = tells

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, FileNotFoundError):
            raise FUSEError(errno.ESTALE) from error
        if isinstance(error, Exception) and not isinstance(error, FUSEError):
            self._operations.failures += 1
            self._operations.damage += 1
            _log.debug("A request failed.", exc_info=error)
            if self._tells:
                self._operations.on_damage()
            raise FUSEError(errno.EIO) from error
