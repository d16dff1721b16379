"""What a generation changes for those who cached the one before."""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

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


class Change(NamedTuple):
    """One thing that a generation changed."""

    what: int
    """A `What`."""
    inode: int
    parent: int
    """ENTRY_GONE: the directory's inode; else 0."""
    name: str
    """ENTRY_GONE: the name in it; else empty."""


def differences(
    before: Node | None, after: Node | None, settings_before: LibrarySettings, settings_after: LibrarySettings
) -> Iterator[Change]:
    """What differs between two states of a node; None where it did not exist."""
    old = placed(before, settings_before) if before else {}
    new = placed(after, settings_after) if after else {}
    for (directory, name), entry in old.items():
        now = new.get((directory, name))
        if now is None or now.inode != entry.inode:
            yield Change(What.ENTRY_GONE, entry.inode, directory, name)
    mtimes = {entry.inode: entry.mtime for entry in old.values()}
    for entry in new.values():
        if mtimes.get(entry.inode, entry.mtime) != entry.mtime:
            yield Change(What.ATTRIBUTES_CHANGED, entry.inode, 0, "")
