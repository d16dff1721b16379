"""How far the listings of open directories have come."""

from vod2strmfs.library.tree import Entry, Tree

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

    Raises:
        FileNotFoundError: there is no such directory (any more).
    """

    __slots__ = ("_directory", "_tree", "above", "entries", "place", "position", "whole")

    def __init__(self, tree: Tree, directory: int, place: int) -> None:
        self._tree = tree
        self._directory = directory
        self.place = place
        """Of the entry taken last."""
        self.above: int
        """The inode of the directory that it is in."""
        self.entries: list[Entry]
        """A part of the listing."""
        self.position: int
        """In `entries`, of the entry that comes next."""
        self.whole: bool
        """Whether nothing comes after `entries`."""
        self.turn()

    def turn(self) -> None:
        """Go on to the next part of the listing."""
        page = self._tree.page(self._directory, self.place if self.place > DOTDOT else 0, _CHILDREN)
        if page is None:
            raise FileNotFoundError(self._directory)
        self.above = page.above
        self.entries = page.entries
        self.whole = page.whole
        self.position = 0
