"""The order to materialize, and the result of a run."""

from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.library.kinds import MOVIES_NODE, TV_NODE, NodeKind
from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.reports.rows import Action
from vod2strmfs.settings import Mode, Settings

_SECTIONS: dict[Mode, Set[int]] = {
    "all": {MOVIES_NODE, TV_NODE},
    "movies": {MOVIES_NODE},
    "series": {TV_NODE},
}
_MOVIES = {NodeKind.MOVIE, NodeKind.VERSION}
_SERIES = {NodeKind.SERIES, NodeKind.SEASON, NodeKind.EPISODE}
_KINDS: dict[Mode, Set[int]] = {"all": _MOVIES | _SERIES, "movies": _MOVIES, "series": _SERIES}


@dataclass(frozen=True)
class Job:
    """The order for a run: the settings of the command, and what is no setting.

    Args:
        settings: those of the command; they say where to write, and how.
        mode: which part of the library.
        dry_run: whether to write the report and nothing else.
        accept_shrink: whether cleanup deletes what it finds, however much that is.
    """

    settings: Settings
    mode: Mode
    dry_run: bool = False
    accept_shrink: bool = False

    @property
    def sections(self) -> Set[int]:
        """The nodes of the sections of the library that the mode means."""
        return _SECTIONS[self.mode]

    @property
    def kinds(self) -> Set[int]:
        """The kinds of node that the mode means."""
        return _KINDS[self.mode]


class Progress(NamedTuple):
    """The part of a run that is done."""

    done: int
    """Folders that have been dealt with; all but a few that are being written."""
    total: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class RunResult:
    """The result of a run."""

    report: Path
    counts: Counter[Action]
    """Numbers of the report's rows by action."""
    failures: Counter[str]
    """Numbers of the rows that failed, by reason."""
    folders: int
    """Folders of the library that were dealt with."""
    held: int = 0
    """Files that cleanup would have deleted, had the shrink brake not held it back."""
    name_max: int = NAME_MAX
    """Bytes that the output's file system takes for a name."""
    too_long: int = 0
    """Files and folders that could not be dealt with since their names are longer."""

    @property
    def errors(self) -> int:
        """Files and folders that could not be dealt with."""
        return self.counts[Action.FAILED]
