"""The rows of a report, one for each thing that was done, would be done or failed.

Columns are the original specification's. What matches and stays as it is has no row, but for one row a series: a
million rows that say nothing would hide the few that matter.
"""

import errno
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from vod2strmfs.library.kinds import PICTURES, NodeKind, Slot

COLUMNS = ("type", "series_name", "season", "title", "uuid", "action", "reason")

_FORMULA = "=+\\-@\t\r\n＝＋－＠"
_NEEDS_MARK = re.compile(f"'*[{_FORMULA}]")
_HAS_MARK = re.compile(f"'+[{_FORMULA}]")
_SUSPECT = frozenset(f"'{_FORMULA}")


class Type(StrEnum):
    """The kind of thing that a row is about."""

    MOVIE = "movie"
    EPISODE = "episode"
    MOVIE_NFO = "movie_nfo"
    TVSHOW_NFO = "tvshow_nfo"
    SEASON_NFO = "season_nfo"
    EPISODE_NFO = "episode_nfo"
    IMAGE = "image"
    SERIES = "series"
    """The folder of a series or of a season."""
    CLEANUP = "cleanup"
    """A file that the library no longer has."""
    ERROR = "error"
    SHELF = "shelf"
    """A line of a shelf's picks, or a pattern of its filters."""


class Action(StrEnum):
    """The action that a row reports."""

    CREATED = "created"
    UPDATED = "updated"
    MOVED = "moved"
    DELETED = "deleted"
    KEPT = "kept"
    """It is not ours (any more), and stays as it is."""
    SKIPPED = "skipped"
    NOTED = "noted"
    """Nothing was done; one should know."""
    FAILED = "failed"
    WOULD_CREATE = "would_create"
    WOULD_UPDATE = "would_update"
    WOULD_MOVE = "would_move"
    WOULD_DELETE = "would_delete"

    def only_planned(self) -> "Action":
        """The action that stands for this one where nothing may be written."""
        return _PLANNED.get(self, self)


WRITING = frozenset(Action) - {Action.KEPT, Action.SKIPPED, Action.NOTED, Action.FAILED}
"""The actions that change the disk, or would."""
_PLANNED = {
    Action.CREATED: Action.WOULD_CREATE,
    Action.UPDATED: Action.WOULD_UPDATE,
    Action.MOVED: Action.WOULD_MOVE,
    Action.DELETED: Action.WOULD_DELETE,
}


class Reason(StrEnum):
    """The reason for the action of a row. Some are followed by a colon and what they are about.

    The comments say with which actions a reason comes, and what it says of the file or the title.
    """

    NEW = "new"
    """created: it was not there."""
    MISSING = "missing"
    """created: it was there, and somebody took it away."""
    CONTENT = "content changed"
    EMPTY = "empty"
    """updated: it had no content, as after a power cut."""
    TIME = "time changed"
    RENAMED = "renamed"
    """moved: its title or place changed; its name before, or from where to where. deleted: it stands under another name
    now."""
    NOT_OURS = "not ours"
    """kept, updated: its bytes are not ones that we wrote. Somebody edited it, or put it there."""
    MATCHES = "matches"
    """skipped: everything in the series is as it should be."""
    GONE = "gone"
    """deleted: the library no longer has it."""
    UNWANTED = "unwanted"
    """deleted: its item is there, and has no such file under the settings of now."""
    FILTERED = "filtered"
    """skipped: a setting keeps it out; which one."""
    NO_EPISODES = "no episodes"
    """skipped: a series of which Dispatcharr knows no episodes yet."""
    COLLISION = "collision"
    """noted: its name was told from another's; the name that it would have."""
    CUT = "cut"
    """noted: its name had no room for all of its title."""
    LONG_URL = "long url"
    """noted: its URL has 4,095 bytes or more; Kodi leaves it out, and says nothing."""
    MERGED = "merged"
    """noted: it is a version of another title, which stands under that name; and why. deleted: so it is now."""
    HELD = "held"
    """noted: it is gone from the catalogue, and the shrink brake of the sync keeps it in the library."""
    NOT_RENAMED = "not renamed"
    """noted: it has another name in the catalogue, and the shrink brake of the sync keeps the one it had."""
    NO_TITLE = "no such title"
    """noted: a line of a shelf's picks that is no title, or a pattern that matches none; the nearest, or its filter."""
    STAYS = "stays on shelf"
    """noted: nothing puts it on this shelf any more, and the shrink brake of the sync keeps it there."""
    OFF_SHELF = "off the shelf"
    """deleted: the shelf no longer has it, or is in the settings no more; the library may have it."""
    BAD_FIELDS = "bad fields"
    """noted: something that the provider said of it was left out."""
    OTHER_QUALITY = "other quality"
    """noted: its mark says another quality than was measured; which."""
    IN_THE_WAY = "in the way"
    """failed: a link, or something of another kind, stands in its place."""
    DISK_FULL = "disk full"
    READ_ONLY = "read-only"
    NOT_PERMITTED = "not permitted"
    NAME_REFUSED = "name refused"
    """failed: by the file system; how many bytes it takes, if that is why."""
    UNREACHABLE = "unreachable"
    """failed: the file system, as a share over the network, does not answer."""
    INPUT_OUTPUT = "input/output error"
    """failed: for any other reason, which the log has."""
    OUTDATED_INDEX = "outdated index"
    """failed: another version of this program made the index. A sync mends that."""

    def about(self, detail: str) -> str:
        """The reason with what it is about, if anything."""
        return f"{self}: {detail}" if detail else self.value


_ERRORS = {
    Reason.IN_THE_WAY: (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY),
    Reason.DISK_FULL: (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMLINK),
    Reason.READ_ONLY: (errno.EROFS,),
    Reason.NOT_PERMITTED: (errno.EACCES, errno.EPERM),
    Reason.NAME_REFUSED: (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ),
    Reason.UNREACHABLE: (
        errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO,
        errno.ESHUTDOWN, errno.ENETUNREACH, errno.ECONNABORTED, errno.ECONNRESET,
    ),
}  # fmt: skip
_REASONS = {number: reason for reason, numbers in _ERRORS.items() for number in numbers}

_STRM_TYPES: dict[int, Type] = {
    NodeKind.MOVIE: Type.MOVIE,
    NodeKind.VERSION: Type.MOVIE,
    NodeKind.EPISODE: Type.EPISODE,
}
_NFO_TYPES: dict[int, Type] = {
    NodeKind.MOVIE: Type.MOVIE_NFO,
    NodeKind.SERIES: Type.TVSHOW_NFO,
    NodeKind.SEASON: Type.SEASON_NFO,
    NodeKind.EPISODE: Type.EPISODE_NFO,
}


class ReportRow(NamedTuple):
    """A row of a report. Series, season and title are called as their folders and files are."""

    type: Type
    series_name: str
    season: str
    title: str
    uuid: str
    action: Action
    reason: str
    """A `Reason`, or one with what it is about."""


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: what begins like one gets an apostrophe in front.

    So does what begins with apostrophes and then like one, so that `original` knows which of them is ours.
    """
    return f"'{cell}" if _NEEDS_MARK.match(cell) else cell


def inert_row(row: ReportRow) -> Iterable[str]:
    """The cells of a row, none of which a spreadsheet takes for a formula."""
    # A run writes some cells for each file, and next to none of them begins like one.
    for cell in row:
        if cell[:1] in _SUSPECT:
            return map(inert, row)
    return row


def original(cell: str) -> str:
    """The text of a cell before `inert`."""
    return cell[1:] if _HAS_MARK.match(cell) else cell


def type_of(kind: int, slot: int) -> Type:
    """The type of a row about a node's file."""
    if slot >= PICTURES:
        return Type.IMAGE
    types = _STRM_TYPES if slot == Slot.STRM else _NFO_TYPES
    return types[kind]


def reason_of(error: OSError) -> Reason:
    """The reason that an error of the file system stands for."""
    return _REASONS.get(error.errno or 0, Reason.INPUT_OUTPUT)
