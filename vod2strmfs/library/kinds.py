"""The kinds of node that the tree is made of, the files that belong to a node, and their inode numbers."""

from enum import IntEnum
from typing import Final


class NodeKind(IntEnum):
    """What a node stands for. See `FILE_KINDS`."""

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


ROOT_NODE = 0
MOVIES_NODE = 1
TV_NODE = 2
SECTIONS = {"Movies": MOVIES_NODE, "TV": TV_NODE}
"""The directories in the root."""
WAITING_NODE = -1
"""The parent of series that have no episodes yet: they are known, and not shown."""
FIRST_FREE_NODE = 16

_SLOT_BITS = 3
_VERSION_BITS = 8
_NODE_SHIFT = _SLOT_BITS + _VERSION_BITS
VERSIONS = 1 << _VERSION_BITS
"""After so many changes of its content a file has its first inode number again."""

ROOT_INODE = 1
"""As FUSE demands."""


def inode_of(node: int, slot: int, version: int = 0) -> int:
    """The inode number of one of a node's files, or of its directory, which is its `Slot`.

    A file whose content changes becomes another inode, as if it had been written anew and renamed over the old one:
    what the kernel has cached of an inode is always right, and who has the old file open goes on reading it.
    """
    return node << _NODE_SHIFT | version % VERSIONS << _SLOT_BITS | slot


def node_of(inode: int) -> int:
    """The node to which an inode belongs."""
    return inode >> _NODE_SHIFT


def slot_of(inode: int) -> int:
    """Which of a node's files (or its directory) an inode is."""
    return inode & ((1 << _SLOT_BITS) - 1)


def content_inode(inode: int) -> int:
    """The inode of the file that holds the same bytes as long as both exist: an episode's two NFOs differ in name."""
    return inode - Slot.ALIAS + Slot.NFO if slot_of(inode) == Slot.ALIAS else inode


def folder_inode(node: int) -> int:
    """The inode number of a node's directory."""
    return node << _NODE_SHIFT or ROOT_INODE
