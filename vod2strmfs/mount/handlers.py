"""The tree as the kernel asks for it: each handler answers one request, and decides nothing."""

import errno
import logging
import math
import os
import stat
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.store import Size
from vod2strmfs.library.kinds import (
    PICTURES,
    ROOT_INODE,
    SECTIONS,
    SLOT_BITS,
    content_inode,
    folder_inode,
    node_of,
    slot_of,
)
from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.library.tree import Entry, Tree
from vod2strmfs.mount.listings import Cursor, Openings
from vod2strmfs.mount.numbers import Numbers
from vod2strmfs.mount.wire import (
    KEEP_CACHE,
    Attributes,
    Body,
    NotYetError,
    RequestError,
    absent,
    lister,
    opened,
    sizes,
    stored,
)

_log = logging.getLogger("vod2strmfs")

CACHE_SECONDS = 86400
"""How long the kernel may keep names and attributes. Whatever changes is invalidated at once."""

_IN_EVERY_TREE = frozenset((ROOT_INODE, *map(folder_inode, SECTIONS.values())))
"""Numbers that mean the same, whatever index there is."""
_BLOCK = 4096
_REUSE_BITS = 16
"""Of a `generation`, of which the kernel keeps 32 bits."""
_RECENT = 2048
_NOTHING = (0, 0, 0), b""
WRITE = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND
"""Flags of whoever wants to write to a file."""
_XATTR_PREFIX = b"user.vod2strmfs."
_SAMBA_XATTR = b"user.DOSATTRIB"


class Owner(NamedTuple):
    """The user and the group to whom all files appear to belong."""

    uid: int
    gid: int
    umask: int


class Opened:
    """A file as it was when it was opened.

    Most readers find its content in the kernel's page cache. So nothing is read for it until it is asked for, or until
    the tree goes on to another generation, which may hold another content.

    Args:
        entry: the file's.
        tree: in which it is.
        era: what inode numbers mean in the tree; see `LibraryHandlers.start_afresh`.
    """

    __slots__ = ("_render", "_tree", "entry", "holds")

    def __init__(self, entry: Entry, tree: Tree, era: int) -> None:
        self.entry = entry
        self.holds = content_inode(entry.inode), entry.reuse, era
        """What is in it, in the sense that two files of which this is equal have the same bytes."""
        self._tree: Tree | None = tree
        self._render: Callable[[], bytes] | None = None

    def settle(self) -> None:
        """Read what the content is made from, if that has not been done. What fails may be tried again."""
        if self._tree is not None:
            self._render = self._tree.open(self.entry.inode)
            self._tree = None

    def lose(self) -> None:
        """Read nothing any more: the tree goes on, and what this is made from could not be read."""
        self._tree = None

    def content(self) -> bytes:
        """All bytes of the file.

        Raises:
            IndexFileError: it cannot be told, or is not as long as was said of it, so the index is damaged.
        """
        self.settle()
        if self._render is None:
            raise IndexFileError(f"the index could not be read for {self.entry.name}")
        content = self._render()
        if len(content) != self.entry.size:
            raise IndexFileError(f"the index holds the wrong size of {self.entry.name}")
        return content


class OpenedPicture:
    """An image that somebody has open. Of its file, only what is asked for is read.

    Args:
        entry: the file's.
        descriptor: of the stored image, which this closes.
    """

    __slots__ = ("_descriptor", "entry")

    def __init__(self, entry: Entry, descriptor: int) -> None:
        self.entry = entry
        self._descriptor = descriptor

    def read(self, offset: int, size: int) -> bytes:
        """Part of the image: `size` bytes, fewer at its end."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Close the image; nothing can be read of it any more."""
        os.close(self._descriptor)


class LibraryHandlers:
    """What answers the kernel's requests (see `wire.Handlers`). None of it waits for anything but a local disk.

    Args:
        owner: whose files they are.
        pictures: where images are stored.
    """

    def __init__(self, owner: Owner, pictures: Pictures | None = None) -> None:
        self._pictures = pictures
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
        self.tell: Callable[[bytes], None] | None = None
        """Takes what the kernel is told without having asked, if it can be told."""
        self._index = _Index(self, tells=True)
        self._contents = _Index(self, tells=False)
        self._file = Attributes(stat.S_IFREG | 0o444 & ~owner.umask, owner.uid, owner.gid, _BLOCK, CACHE_SECONDS)
        self._folder = Attributes(stat.S_IFDIR | 0o555 & ~owner.umask, owner.uid, owner.gid, _BLOCK, CACHE_SECONDS)
        self._absent = absent(CACHE_SECONDS)
        self._begin_era(0)
        self._shared_by_samba = False
        self._folders = Openings()
        self._opened: dict[int, Opened | OpenedPicture] = {}
        self._recent: dict[int, Opened] = {}
        """Files that were opened lately, by their inodes: several scanners at once open each file in turn."""
        self._read: tuple[tuple[int, int, int], bytes] = _NOTHING
        """What was read last, and `Opened.holds` of it: an episode's second NFO is read after its first."""
        self._last_handle = 0
        self._given = Numbers()
        """The files that the kernel was given when they were first opened, by node and slot."""
        self._given_last = 0
        """The inode of the one that it was given last, until what is beside it was prepared."""

    @property
    def tree(self) -> Tree | None:
        """The tree that is shown. While there is none, every request but statfs fails with EIO."""
        return self._tree

    def show(self, tree: Tree | None, changed: Collection[int] | None = None) -> None:
        """Show another tree.

        Args:
            tree: the tree, or none.
            changed: the directories, by their inodes, whose listings may differ from those of the tree before; None:
                all of them.
        """
        self._tree = tree
        self._folders.changed(changed)
        self._read = _NOTHING
        self._recent.clear()

    def settle(self) -> None:
        """Get ready for the tree's going on to another generation: what is open stays what it was."""
        for file in self._opened.values():
            if isinstance(file, OpenedPicture):
                continue
            try:
                file.settle()
            except Exception:  # Who reads it gets an error, and who opens it from now on another chance.
                file.lose()
                self._recent.pop(file.entry.inode, None)

    def start_afresh(self, patience: float = 0) -> None:
        """Show nothing, and let no inode number mean from now on what it meant before: to the kernel, a number with
        another `generation` is another inode.

        Args:
            patience: for how many seconds requests may wait for the next tree.
        """
        self.show(None)
        self._folders.lose()
        self._patient_until = time.monotonic() + patience
        self._begin_era(self._renewals + 1)

    def lookup(self, directory: int, name: bytes) -> bytes:
        """Find a name in a directory. That it is not there is remembered by the kernel, too."""
        if len(name) > NAME_MAX:
            raise RequestError(errno.ENAMETOOLONG)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise RequestError(errno.ENOENT) from None
        with self._index:
            tree = self._shown(directory)
            entry = tree.lookup(directory, text)
            if entry is None:
                entry = self._dot(directory, text)
            if entry is not None:
                return self._stands_for(entry)
            if not tree.has_directory(directory):
                raise RequestError(errno.ENOENT)
            return self._absent

    def getattr(self, inode: int) -> bytes:
        """The attributes of an inode."""
        with self._index:
            entry = self._entry(inode)
            return (self._folder if entry.is_dir else self._file).alone(entry.inode, entry.size, entry.mtime)

    def opendir(self, inode: int) -> bytes:
        """Open a directory, if it can be listed whole.

        An error in the middle of a listing would be too late: Samba, for one, takes it for the end. So the listing is
        begun here. Of a directory that is known to be whole nothing is read, as the kernel has its listing.
        """
        with self._index:
            tree = self._shown(inode)
            cursor = None
            if not self._folders.is_whole(inode):
                cursor = Cursor(tree, inode, 0, self._listed)
                if not cursor.whole:
                    tree.check(inode)
            answer = opened(*self._folders.open(inode, cursor))
        if self.opened is not None:
            self.opened(inode)
        return answer

    def readdir(self, handle: int, place: int, size: int, plus: bool) -> bytes:
        """List a directory from a place on; see `Tree.page` for the order of entries."""
        try:
            opening = self._folders[handle]
        except KeyError:
            raise RequestError(errno.EBADF) from None
        if opening.lost:
            # What was listed of another index can only go on by leaving something out.
            raise RequestError(errno.EIO)
        self._folders.asked(opening)
        with self._index:
            cursor = opening.cursor
            if cursor is None or cursor.place != place:
                cursor = opening.cursor = Cursor(self._shown(opening.directory), opening.directory, place, self._listed)
            entries = cursor.take(size, plus)
        if not entries:
            opening.cursor = None  # Somebody may keep the directory open for long.
        if entries is None:
            raise RequestError(errno.EINVAL)
        return entries

    def releasedir(self, handle: int) -> None:
        """Close a directory."""
        with suppress(KeyError):
            self._folders.close(handle)

    def open(self, inode: int, flags: int) -> bytes:
        """Open a file; what it holds now is what its readers get until they close it."""
        if flags & WRITE:
            raise RequestError(errno.EROFS)
        file = self._recent.get(inode)
        if file is None and slot_of(inode) >= PICTURES:
            return self._open_picture(inode)
        if file is None:
            with self._contents:
                file = self._open(inode)
        self._last_handle += 1
        self._opened[self._last_handle] = file
        return opened(self._last_handle, KEEP_CACHE)

    def read(self, handle: int, offset: int, size: int) -> Body:
        """Part of an open file."""
        try:
            file = self._opened[handle]
        except KeyError:
            raise RequestError(errno.EBADF) from None
        if isinstance(file, OpenedPicture):
            return self._read_picture(file, offset, size)
        with self._contents:
            content = self._content(file)
        return content[offset : offset + size]

    def _give(self, file: Opened, tell: Callable[[bytes], None]) -> None:
        """Give the kernel all that is in a file that is opened for the first time: it is about to be read.

        Only then. The kernel waits for a page of which it has asked us, and this would wait with it. What was never
        opened it cannot have asked for; whatever it gives up later, it asks for.
        """
        number = node_of(file.entry.inode) << SLOT_BITS | slot_of(file.entry.inode)
        if number in self._given:
            return
        self._given.add(number)
        if file.entry.size:
            with suppress(Exception):  # A problem shows when it is read.
                tell(stored(file.entry.inode, self._content(file)))
                self._given_last = file.entry.inode

    def is_streaming(self) -> bool:
        """Whether bytes are coming in that others wait for. Never: all that is read here is at hand."""
        return False

    def prepare(self) -> None:
        """Make the content that is probably opened next: that of the file beside the one that was just given."""
        inode, self._given_last = self._given_last, 0
        if inode and self._tree is not None:
            with suppress(Exception):
                entry = self._tree.beside(inode)
                if entry is not None:
                    self._content(Opened(entry, self._tree, self._renewals))

    def release(self, handle: int) -> None:
        """Close a file."""
        file = self._opened.pop(handle, None)
        if isinstance(file, OpenedPicture):
            file.close()

    def flush(self, handle: int) -> None:
        """Nothing to be done: the kernel does not ask again."""
        raise RequestError(errno.ENOSYS)

    def getxattr(self, inode: int, name: bytes) -> bytes:
        """What a file stands for, as a help to scripts: see `Tree.identity`."""
        # Samba asks for this, and for the names of all, for each file of a listing. The kernel answers both itself, for
        # as long as the mount lasts, once it was told that there is no such request; then it answers ours in this way
        # too. docs/sharing.md says how to share a folder without Samba asking.
        if name.startswith(_SAMBA_XATTR):
            if not self._shared_by_samba:
                _log.info("Samba asks for its attributes: until the next mount, user.vod2strmfs.* cannot be read.")
            self._shared_by_samba = True
            raise RequestError(errno.ENOSYS)
        # `ls -l` asks every file for attributes of others.
        if name.startswith(_XATTR_PREFIX):
            for key, value in self._identity(inode).items():
                if name == _XATTR_PREFIX + key.encode():
                    return value.encode()
        raise RequestError(errno.ENODATA)

    def listxattr(self, inode: int) -> bytes:
        """The names of extended attributes: none. Samba and others ask for each that is named, of each file."""
        if self._shared_by_samba:
            raise RequestError(errno.ENOSYS)
        return b""

    def statfs(self) -> bytes:
        """A full file system: nothing can be written."""
        return sizes(-(-self.size.bytes // _BLOCK), self.size.entries, _BLOCK, NAME_MAX)

    def _shown(self, inode: int) -> Tree:
        """The tree in which an inode is asked for, or an error; for a moment, another may be about to come: to a
        scanner a passing error is one like any other.

        What waits for the next tree is answered by that. A number of the one before would mean another file or folder
        there, so it is stale at once: the kernel looks the path up again, and that waits.
        """
        if self._tree is None:
            if time.monotonic() < self._patient_until:
                raise NotYetError if inode in _IN_EVERY_TREE else RequestError(errno.ESTALE)
            self.failures += 1
            raise RequestError(errno.EIO)
        return self._tree

    def _entry(self, inode: int) -> Entry:
        entry = self._shown(inode).attributes(inode)
        if entry is not None:
            return entry
        # What is open has no path to look up, be it an image.
        for file in self._opened.values():
            if file.entry.inode == inode:
                return file.entry
        raise RequestError(errno.ESTALE)

    def _dot(self, inode: int, name: str) -> Entry | None:
        """What `.` and `..` are, for which the kernel asks when all that it has is an inode number (NFS)."""
        if name == ".":
            return self._entry(inode)
        return self._shown(inode).above(inode) if name == ".." else None

    def _still_open(self, inode: int) -> Opened:
        """A file that is not in the tree any more. The kernel answers ESTALE by looking the path up again; what is open
        has no path to look up."""
        for file in self._opened.values():
            if isinstance(file, Opened) and file.entry.inode == inode:
                return file
        raise RequestError(errno.ESTALE)

    def _open_picture(self, inode: int) -> bytes:
        """Open an image. One that is lost, or cannot be opened for now, says nothing of the index."""
        with self._contents:
            tree = self._shown(inode)
            entry, art = tree.attributes(inode), tree.art(inode)
        if entry is None or art is None or self._pictures is None:
            raise RequestError(errno.ESTALE)
        try:
            descriptor = self._pictures.open(art.image, art.size, art.mtime)
        except OSError as error:
            self.failures += 1
            raise RequestError(errno.EIO) from error
        self._last_handle += 1
        self._opened[self._last_handle] = OpenedPicture(entry, descriptor)
        return opened(self._last_handle, KEEP_CACHE)

    def _read_picture(self, file: OpenedPicture, offset: int, size: int) -> bytes:
        try:
            return file.read(offset, size)
        except OSError as error:
            self.failures += 1
            raise RequestError(errno.EIO) from error

    def _open(self, inode: int) -> Opened:
        tree = self._shown(inode)
        entry = tree.attributes(inode)
        if entry is None:
            return self._still_open(inode)
        if entry.is_dir:
            raise RequestError(errno.EISDIR)
        file = Opened(entry, tree, self._renewals)
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent[inode] = file
        if self.tell is not None:
            self._give(file, self.tell)
        return file

    def _content(self, file: Opened) -> bytes:
        read, content = self._read
        if file.holds != read:
            content = file.content()
            self._read = file.holds, content
        return content

    def _identity(self, inode: int) -> dict[str, str]:
        with self._contents:
            return self._shown(inode).identity(inode)

    def _begin_era(self, renewals: int) -> None:
        self._renewals = renewals
        self._listed = lister(self._file, self._folder, renewals << _REUSE_BITS)

    def _stands_for(self, entry: Entry) -> bytes:
        generation = self._renewals << _REUSE_BITS | entry.reuse
        return (self._folder if entry.is_dir else self._file).entry(entry.inode, generation, entry.size, entry.mtime)


class _Index:
    """What is made from the index within it, and cannot be, is answered with EIO.

    Damage that SQLite does not notice shows as errors of any kind; none of them may end the mount.

    Args:
        handlers: that answer.
        tells: whether they tell what is there; contents of files do not.
    """

    def __init__(self, handlers: LibraryHandlers, *, tells: bool) -> None:
        self._handlers = handlers
        self._tells = tells

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, FileNotFoundError):
            raise RequestError(errno.ESTALE) from error
        if isinstance(error, Exception) and not isinstance(error, RequestError | NotYetError):
            self._handlers.failures += 1
            self._handlers.damage += 1
            _log.debug("A request failed.", exc_info=error)
            if self._tells:
                self._handlers.on_damage()
            raise RequestError(errno.EIO) from error
