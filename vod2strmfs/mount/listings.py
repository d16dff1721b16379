"""Listings: how far those of open directories have come, and which of them the kernel may go on using by itself.

The kernel keeps a listing that it has read to its end (FOPEN_CACHE_DIR), and asks only OPENDIR and RELEASEDIR when the
directory is listed again (FOPEN_KEEP_CACHE). What it is told of changes reaches it a moment later, and does not reach a
listing that somebody is just reading. So it is OPENDIR that decides, for every opening by itself:

* A directory that did not change since it was first opened: the kernel goes on using what it has.
* One that did: what the kernel has is dropped (no FOPEN_KEEP_CACHE). Only when it has asked something of such an
  opening has it dropped it, so those that are opened in between drop it as well.
* One that somebody opened before it changed, and has not closed: that reader may still add to what the kernel keeps, or
  complete it, with what was. So others read past it (no FOPEN_CACHE_DIR) until all of these are closed.
"""

from collections import Counter
from collections.abc import Collection

from vod2strmfs.library.kinds import folder_inode, node_of
from vod2strmfs.library.tree import Form, Tree
from vod2strmfs.mount.numbers import Numbers
from vod2strmfs.mount.wire import CACHE_DIR, ENTRY_SIZE, KEEP_CACHE, dot, place_of

DOTDOT = 2
"""The place of `..` in a listing; that of `.` is before it. No entry has these inode numbers."""

_CHILDREN = 256
"""For how many children the tree is asked at once: more than fit into one answer."""


class Cursor:
    """Where in a directory a listing is. Whoever takes entries moves it.

    Args:
        tree: that is listed.
        directory: the directory's inode.
        place: behind which it begins: 0, that of `.` or `..`, or the inode of an entry, which may have gone since.
        form: makes entries as those of `wire.lister`.

    Raises:
        FileNotFoundError: there is no such directory (any more).
    """

    __slots__ = ("_directory", "_form", "_position", "_records", "_tree", "place", "whole")

    def __init__(self, tree: Tree, directory: int, place: int, form: Form[bytes]) -> None:
        self._tree = tree
        self._directory = directory
        self._form = form
        self.place = place
        """Of the entry taken last."""
        self.whole: bool
        """Whether nothing comes after what was read of the tree until now."""
        self._records: list[bytes]
        self._position: int
        self._turn()

    def take(self, size: int, plus: bool) -> bytes | None:
        """The next entries, as many as there is room for; None if there is not enough for one.

        Args:
            size: bytes.
            plus: whether with attributes.
        """
        if plus and self.whole and not self._position and self._records:
            # So are most listings: at once.
            answer = b"".join(self._records)
            if len(answer) <= size:
                self._move_to(len(self._records))
                return answer
        skipped = 0 if plus else ENTRY_SIZE
        taken: list[bytes] = []
        while True:
            for position in range(self._position, len(self._records)):
                record = self._records[position]
                size -= len(record) - skipped
                if size < 0:
                    return b"".join(taken) if taken else None
                taken.append(record[skipped:])
                self._move_to(position + 1)
            if self.whole:
                return b"".join(taken)
            self._turn()

    def _move_to(self, position: int) -> None:
        self._position = position
        self.place = place_of(self._records[position - 1])

    def _turn(self) -> None:
        """Go on to the next part of the listing."""
        place = self.place
        page = self._tree.page_of(self._form, self._directory, place if place > DOTDOT else 0, _CHILDREN)
        if page is None:
            raise FileNotFoundError(self._directory)
        self._records = page.entries
        if place < DOTDOT:
            # Of these two, the kernel takes nothing but the number and the kind.
            dots = dot(b".", self._directory, DOTDOT - 1), dot(b"..", page.above, DOTDOT)
            self._records[:0] = dots[place:]
        self._position = 0
        self.whole = page.whole


class Opening:
    """A directory that somebody has opened.

    Args:
        directory: its inode.
        flags: what the kernel was told.
        cursor: where its listing is; None if nothing is known to be asked of it.
    """

    __slots__ = ("cursor", "directory", "flags", "lost", "outdated")

    def __init__(self, directory: int, flags: int, cursor: Cursor | None) -> None:
        self.directory = directory
        self.flags = flags
        self.cursor = cursor
        self.outdated = False
        """Whether the directory changed since it was opened."""
        self.lost = False
        """Whether its inode numbers have come to mean something else since it was opened."""


class Openings:
    """The directories that are open, by their handles, and what the kernel may use of what it keeps."""

    def __init__(self) -> None:
        self._openings: dict[int, Opening] = {}
        self._last_handle = 0
        self._whole = Numbers()
        """Those, by their nodes, that were found to be whole when they were opened, in the tree that is shown."""
        self._opened = Numbers()
        """Those that were opened since they last changed, so that the kernel may have their listing."""
        self._doubtful = Numbers()
        """Those of which the kernel may keep an older listing."""
        self._outdated: Counter[int] = Counter()
        """How many openings of a directory are older than its last change."""

    def __getitem__(self, handle: int) -> Opening:
        """What is open under a handle."""
        return self._openings[handle]

    def is_whole(self, directory: int) -> bool:
        """Whether a directory is known to be whole."""
        node = node_of(directory)
        return node in self._whole and directory == folder_inode(node)

    def open(self, directory: int, cursor: Cursor | None) -> tuple[int, int]:
        """Open a directory that is whole; returns the handle, and flags for OPENDIR."""
        node = node_of(directory)
        self._whole.add(node)
        if directory in self._outdated:
            flags = 0
        elif node in self._doubtful:
            flags = CACHE_DIR
        else:
            flags = CACHE_DIR | KEEP_CACHE
            self._opened.add(node)
        self._last_handle += 1
        self._openings[self._last_handle] = Opening(directory, flags, cursor)
        return self._last_handle, flags

    def asked(self, opening: Opening) -> None:
        """Note that the kernel has asked something of an opening, so that it has done what it was told at OPENDIR."""
        if opening.flags == CACHE_DIR and not opening.outdated:
            self._doubtful.discard(node_of(opening.directory))
            self._opened.add(node_of(opening.directory))
            opening.flags = CACHE_DIR | KEEP_CACHE

    def close(self, handle: int) -> None:
        """Close a directory."""
        opening = self._openings.pop(handle)
        self.asked(opening)
        if opening.outdated:
            self._outdated[opening.directory] -= 1
            if not self._outdated[opening.directory]:
                del self._outdated[opening.directory]

    def lose(self) -> None:
        """Note that no inode number means any more what it meant to those who have a directory open."""
        for opening in self._openings.values():
            opening.lost = True

    def changed(self, directories: Collection[int] | None) -> None:
        """Note that another tree is shown, in which the listings of some directories differ; None: of all."""
        self._whole = Numbers()
        for opening in self._openings.values():
            opening.cursor = None
            if not opening.outdated and (directories is None or opening.directory in directories):
                opening.outdated = True
                self._outdated[opening.directory] += 1
        if directories is None:
            self._doubtful.update(self._opened)
            self._opened = Numbers()
            return
        for directory in directories:
            node = node_of(directory)
            if node in self._opened:
                self._opened.discard(node)
                self._doubtful.add(node)
