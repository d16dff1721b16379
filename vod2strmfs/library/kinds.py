"""The kinds of node that the tree is made of, the files that belong to a node, and their inode numbers."""

from enum import IntEnum
from typing import Final


class NodeKind(IntEnum):
    """The kinds of node: what a node stands for. The index keeps the numbers."""

    ROOT = 0
    SECTION = 1
    """`Movies` or `TV`."""
    MOVIE = 2
    SERIES = 3
    SEASON = 4
    EPISODE = 5
    CATEGORY = 6
    VERSION = 7
    """One .strm of a movie that has one for each of its relations."""


FILE_KINDS = frozenset({NodeKind.EPISODE, NodeKind.VERSION})
"""Kinds whose files stand in their parent's directory; the others have one of their own."""


KINDS_WITHIN: dict[int, frozenset[NodeKind]] = {
    NodeKind.ROOT: frozenset({NodeKind.SECTION}),
    NodeKind.SECTION: frozenset({NodeKind.MOVIE, NodeKind.SERIES, NodeKind.CATEGORY}),
    NodeKind.CATEGORY: frozenset({NodeKind.MOVIE, NodeKind.SERIES}),
    NodeKind.MOVIE: frozenset({NodeKind.VERSION}),
    NodeKind.SERIES: frozenset({NodeKind.SEASON}),
    NodeKind.SEASON: frozenset({NodeKind.EPISODE}),
    NodeKind.EPISODE: frozenset(),
    NodeKind.VERSION: frozenset(),
}
"""The kinds of the nodes whose parent is of a kind."""

LEAVES = frozenset({NodeKind.MOVIE, NodeKind.SEASON})
"""Kinds of directory that hold no directories."""


class Slot:
    """A node's directory and the files that belong to it.

    Plain numbers: every answer of a mount counts with them, and Python 3.11 takes 0.1 µs to look up an Enum's member.
    """

    FOLDER: Final = 0
    ROOT_FOLDER: Final = 1
    STRM: Final = 2
    STATS: Final = 3
    NFO: Final = 4
    ALIAS: Final = 5
    """An episode's second NFO, under the original specification's name."""
    POSTER: Final = 6
    """The poster of a movie or a series; of an episode, its still."""
    FANART: Final = 7


PICTURES: Final = Slot.POSTER
"""The first of the slots of images, which are the last ones."""

ROOT_NODE = 0
MOVIES_NODE = 1
TV_NODE = 2
SECTIONS = {"Movies": MOVIES_NODE, "TV": TV_NODE}
"""The directories in the root."""
WAITING_NODE = -1
"""The parent of series that have no episodes yet: they are known, and not shown."""
FIRST_FREE_NODE = 16

SLOT_BITS: Final = 3
_VERSION_BITS = 8
NODE_SHIFT: Final = SLOT_BITS + _VERSION_BITS
"""Bits of an inode number below its node's; those of a directory are 0, but for the root's."""
_NODE_BITS = 48
_MORE_BITS = 4
"""Bits above the node for the high bits of a version that does not fit into its own: numbers stay below 2**63."""
_VERSIONS = 1 << (_VERSION_BITS + _MORE_BITS)
_LOW_VERSIONS = (1 << _VERSION_BITS) - 1

ROOT_INODE = 1
"""The inode number that FUSE demands of the root."""


def inode_of(node: int, slot: int, version: int = 0) -> int:
    """The inode number of one of a node's files, or of its directory, which is its `Slot`.

    A file whose content changes becomes another inode, as if it had been written anew and renamed over the old one:
    what the kernel has cached of an inode is always right, and who has the old file open goes on reading it.
    """
    if version <= _LOW_VERSIONS:
        return node << NODE_SHIFT | version << SLOT_BITS | slot
    more = version >> _VERSION_BITS & (1 << _MORE_BITS) - 1
    low = version & _LOW_VERSIONS
    return more << (NODE_SHIFT + _NODE_BITS) | node << NODE_SHIFT | low << SLOT_BITS | slot


def reuse_of(version: int) -> int:
    """How often the inode number of this version of a file has stood for other content of it before.

    The kernel gives up an inode that it still has when its number comes back with another reuse.
    """
    return version // _VERSIONS


def node_of(inode: int) -> int:
    """The node to which an inode belongs."""
    return inode >> NODE_SHIFT & (1 << _NODE_BITS) - 1


def slot_of(inode: int) -> int:
    """The Slot of an inode: which of a node's files, or its directory, it is."""
    return inode & ((1 << SLOT_BITS) - 1)


def content_inode(inode: int) -> int:
    """The inode of the file that holds the same bytes as long as both exist: an episode's two NFOs differ in name."""
    return inode - Slot.ALIAS + Slot.NFO if slot_of(inode) == Slot.ALIAS else inode


def folder_inode(node: int) -> int:
    """The inode number of a node's directory."""
    return node << NODE_SHIFT or ROOT_INODE
