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
    SHELF = 8
    """The directory of a shelf, in the root; a copy of the root on that shelf (see `shelved`)."""


FILE_KINDS = frozenset({NodeKind.EPISODE, NodeKind.VERSION})
"""Kinds whose files stand in their parent's directory; the others have one of their own."""


KINDS_WITHIN: dict[int, frozenset[NodeKind]] = {
    NodeKind.ROOT: frozenset({NodeKind.SECTION, NodeKind.SHELF}),
    NodeKind.SHELF: frozenset({NodeKind.SECTION}),
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
HIGHEST_NODE: Final = (1 << _NODE_BITS) - 1
"""What is above stands on a shelf; see `shelved`."""
_SHELF_MASK = ((1 << _MORE_BITS) - 1) << (NODE_SHIFT + _NODE_BITS) | _LOW_VERSIONS << SLOT_BITS
"""The bits of a version. A directory has no versions: there they hold the shelf that it stands on."""
HIGHEST_SHELF = _VERSIONS - 1

ROOT_INODE = 1
"""The inode number that FUSE demands of the root."""


def inode_of(node: int, slot: int, version: int = 0) -> int:
    """The inode number of one of a node's files, or of its directory, which is its `Slot`.

    A file whose content changes becomes another inode, as if it had been written anew and renamed over the old one:
    what the kernel has cached of an inode is always right, and who has the old file open goes on reading it.
    """
    if version <= _LOW_VERSIONS:
        return (node & HIGHEST_NODE) << NODE_SHIFT | version << SLOT_BITS | slot
    more = version >> _VERSION_BITS & (1 << _MORE_BITS) - 1
    low = version & _LOW_VERSIONS
    return more << (NODE_SHIFT + _NODE_BITS) | (node & HIGHEST_NODE) << NODE_SHIFT | low << SLOT_BITS | slot


def shelved(shelf: int, node: int) -> int:
    """A node as it stands on a shelf: another id for the same thing.

    Its directory is another directory, with an inode number of its own. Its files are the same files: the same bytes
    under the same inode number, like hard links. Shelf 0 is the library itself.
    """
    return shelf << _NODE_BITS | node


def shelf_of(node: int) -> int:
    """The shelf that a node stands on; 0 for one in the library itself."""
    return node >> _NODE_BITS if node > 0 else 0


def in_library(node: int) -> int:
    """The node of the library that a node on a shelf is a copy of."""
    return node & HIGHEST_NODE if node > 0 else node


def reuse_of(version: int) -> int:
    """How often the inode number of this version of a file has stood for other content of it before.

    The kernel gives up an inode that it still has when its number comes back with another reuse.
    """
    return version // _VERSIONS


def node_of(inode: int) -> int:
    """The node to which an inode belongs; of a directory on a shelf, as it stands there."""
    node = inode >> NODE_SHIFT & HIGHEST_NODE
    if inode & _SHELF_MASK and not inode & (1 << SLOT_BITS) - 1:
        low = inode >> SLOT_BITS & _LOW_VERSIONS
        return shelved(inode >> (NODE_SHIFT + _NODE_BITS) << _VERSION_BITS | low, node)
    return node


def slot_of(inode: int) -> int:
    """The Slot of an inode: which of a node's files, or its directory, it is."""
    return inode & ((1 << SLOT_BITS) - 1)


def content_inode(inode: int) -> int:
    """The inode of the file that holds the same bytes as long as both exist: an episode's two NFOs differ in name."""
    return inode - Slot.ALIAS + Slot.NFO if slot_of(inode) == Slot.ALIAS else inode


def folder_inode(node: int) -> int:
    """The inode number of a node's directory."""
    if node > HIGHEST_NODE:
        return inode_of(node, Slot.FOLDER, shelf_of(node))
    return node << NODE_SHIFT or ROOT_INODE
