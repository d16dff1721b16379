"""What a generation changes for those who cached the one before."""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from vod2strmfs.library.kinds import FILE_KINDS, WAITING_NODE, folder_inode
from vod2strmfs.library.tree import Node, placed
from vod2strmfs.settings import LibrarySettings

GENERATIONS_REMEMBERED = 500
"""For so many generations a reader may fall behind and still learn what changed."""


class What(IntEnum):
    """What happened to an inode."""

    ENTRY_GONE = 1
    """It no longer stands under that name in that directory. A file whose content changed is another inode."""
    ATTRIBUTES_CHANGED = 2
    """It is a directory in or below which something changed."""
    ENTRY_NEW = 3
    """Nothing stood under that name in that directory: who knows that must forget it."""


class Change(NamedTuple):
    """One thing that a generation changed."""

    what: int
    """A `What`."""
    inode: int
    parent: int
    """Of an entry: the directory's inode; else 0."""
    name: str
    """Of an entry: the name in it; else empty."""


def differences(
    before: Node | None, after: Node | None, settings_before: LibrarySettings, settings_after: LibrarySettings
) -> Iterator[Change]:
    """What differs between two states of a node; None where it did not exist.

    Of a series that waits for its first episode nothing can be seen, so nothing is said.
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
    """What a node that did not exist changes. Nobody knows its own directory yet."""
    if node.kind in FILE_KINDS:
        yield from differences(None, node, settings, settings)
    elif node.parent != WAITING_NODE:
        yield Change(What.ENTRY_NEW, folder_inode(node.id), folder_inode(node.parent), node.name)
