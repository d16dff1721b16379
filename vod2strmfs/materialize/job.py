"""What to materialize, and what came of it."""

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
    """What to do: the settings of the command, and what is no setting.

    Args:
        settings: all of them; `report_dir` and the like say where.
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
    """How far a run is."""

    done: int
    """How many folders have been dealt with, all but a few that are being written."""
    total: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    report: Path
    counts: Counter[Action]
    """How many rows of each action the report has."""
    folders: int
    """How many folders of the library were dealt with."""
    held: int = 0
    """How many files cleanup would have deleted, had the shrink brake not held it back."""
    name_max: int = NAME_MAX
    """How many bytes the output's file system takes for a name."""
    too_long: int = 0
    """How many files or folders could not be dealt with since their names are longer."""

    @property
    def errors(self) -> int:
        """How many files or folders could not be dealt with."""
        return self.counts[Action.FAILED]
