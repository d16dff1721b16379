"""The changes that a generation makes for those who cached the one before."""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from vod2strmfs.library.kinds import FILE_KINDS, WAITING_NODE, folder_inode
from vod2strmfs.library.tree import Node, placed
from vod2strmfs.settings import LibrarySettings

GENERATIONS_REMEMBERED = 500
"""Generations that a reader may fall behind and still learn what changed."""


class What(IntEnum):
    """What happened to an inode."""

    ENTRY_GONE = 1
    """The inode no longer stands under that name in that directory. A file whose content changed is another inode."""
    ATTRIBUTES_CHANGED = 2
    """The inode is a directory in which, or below which, something changed."""
    ENTRY_NEW = 3
    """Nothing stood under that name in that directory: whoever cached that must forget it."""


class Change(NamedTuple):
    """One thing that a generation changed."""

    what: int
    """A `What`."""
    inode: int
    parent: int
    """The directory's inode, of an entry; else 0."""
    name: str
    """The name in the directory, of an entry; else empty."""


def differences(
    before: Node | None, after: Node | None, settings_before: LibrarySettings, settings_after: LibrarySettings
) -> Iterator[Change]:
    """The changes between two states of a node, which are None where the node did not exist.

    A series that waits for its first episode cannot be seen, so there are none of it.
    """
    old = placed(before, settings_before) if before else {}
    new = placed(after, settings_after) if after else {}
    for (directory, name), entry in old.items():
        now = new.get((directory, name))
        if now is None or now.inode != entry.inode:
            yield Change(What.ENTRY_GONE, entry.inode, directory, name)
    for (directory, name), entry in new.items():
        if (directory, name) not in old:
            yield Change(What.ENTRY_NEW, entry.inode, directory, name)
    mtimes = {entry.inode: entry.mtime for entry in old.values()}
    for entry in new.values():
        if mtimes.get(entry.inode, entry.mtime) != entry.mtime:
            yield Change(What.ATTRIBUTES_CHANGED, entry.inode, 0, "")


def arrivals(node: Node, settings: LibrarySettings) -> Iterator[Change]:
    """The changes that a new node makes. Nobody has cached its own directory yet."""
    if node.kind in FILE_KINDS:
        yield from differences(None, node, settings, settings)
    elif node.parent != WAITING_NODE:
        yield Change(What.ENTRY_NEW, folder_inode(node.id), folder_inode(node.parent), node.name)
