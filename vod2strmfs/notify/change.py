"""What is told: that the folder of a title is new, changed or gone."""

from collections.abc import Iterable, Set
from enum import IntEnum
from pathlib import PurePosixPath

import msgspec

SECTIONS = ("Movies", "TV")
"""The topmost folders, and those of a shelf. One of them stands for everything in it: it is scanned as a whole."""


class What(IntEnum):
    """What happened to a folder."""

    CREATED = 1
    MODIFIED = 2
    DELETED = 3


class Change(msgspec.Struct, frozen=True, order=True):
    """A folder that is to be looked at."""

    path: str
    """Below the mount point or the output root: `Movies/Heat (1995)`, or a section."""
    what: int
    """A `What`."""
    lost: bool = False
    """Whether something in it, or what stood there before, is gone."""

    @property
    def section(self) -> str:
        """`Movies` or `TV`, or a shelf's, such as `Kids/Movies`."""
        first, _, rest = self.path.partition("/")
        return first if first in SECTIONS else f"{first}/{rest.partition('/')[0]}"

    @property
    def is_film(self) -> bool:
        """Whether this change is about films."""
        return self.section.rpartition("/")[2] == "Movies"

    @property
    def is_section(self) -> bool:
        """Whether this change stands for everything in a section."""
        return self.path == self.section


def merged(earlier: Change, later: Change) -> Change:
    """What a server that knows of neither of two changes of a folder has to be told."""
    lost = earlier.lost or later.lost
    if later.what == What.DELETED:
        return Change(later.path, What.DELETED, True)
    if earlier.what == What.DELETED:
        return Change(later.path, What.MODIFIED, True)
    return Change(later.path, min(earlier.what, later.what), lost)


def whole(section: str) -> Change:
    """What stands for everything in a section."""
    return Change(section, What.MODIFIED, True)


def coalesced(changes: Iterable[Change], limit: int) -> list[Change]:
    """The fewest changes that stand for all of some, in order of their paths.

    A folder stands for what is in it, and a section for its titles when more than `limit` of them changed. A section
    of which nothing but what is gone is to be told stands for nothing else.
    """
    kept: dict[str, Change] = {}
    for change in changes:
        before = kept.get(change.path)
        kept[change.path] = merged(before, change) if before else change
    sections = {change.section for change in kept.values()}
    for section in sections:
        below = [path for path, change in kept.items() if change.section == section]
        is_scanned = section in kept and kept[section].what != What.DELETED
        if len(below) > limit or is_scanned:
            for path in below:
                del kept[path]
            kept[section] = whole(section)
    folders = kept.keys() - sections
    return sorted(change for path, change in kept.items() if not _stands_in(path, folders))


def _stands_in(path: str, folders: Set[str]) -> bool:
    return any(str(above) in folders for above in PurePosixPath(path).parents)
