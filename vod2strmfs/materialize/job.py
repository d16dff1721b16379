"""What to materialize, and what came of it."""

from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from vod2strmfs.library.kinds import MOVIES_NODE, TV_NODE, NodeKind
from vod2strmfs.library.names import NAME_MAX
from vod2strmfs.reports.rows import Action
from vod2strmfs.settings import Settings

Mode = Literal["all", "movies", "series"]

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
    """What to do. The fields that are also settings are described there.

    Args:
        mode: which part of the library.
        dry_run: write the report and nothing else.
        accept_shrink: delete whatever cleanup finds, however much that is.
    """

    output_root: Path
    state_dir: Path
    report_dir: Path
    mode: Mode = "all"
    write_nfo: bool = True
    cleanup: Literal["off", "preview", "apply"] = "off"
    max_shrink: int = 20
    accept_shrink: bool = False
    concurrency: int = 12
    throttle: float = 0
    verify: bool = False
    overwrite: bool = False
    dry_run: bool = False
    keep_reports: int = 100
    keep_report_days: int = 90

    @classmethod
    def from_settings(
        cls, settings: Settings, mode: Mode = "all", *, dry_run: bool = False, accept_shrink: bool = False
    ) -> "Job":
        """The job that the settings describe."""
        return cls(
            output_root=settings.output_root,
            state_dir=settings.state_dir,
            report_dir=settings.reports,
            mode=mode,
            write_nfo=settings.write_nfo,
            cleanup=settings.cleanup,
            max_shrink=settings.max_shrink,
            accept_shrink=accept_shrink,
            concurrency=settings.concurrency,
            throttle=settings.throttle,
            verify=settings.verify,
            overwrite=settings.overwrite,
            dry_run=dry_run,
            keep_reports=settings.keep_reports,
            keep_report_days=settings.keep_report_days,
        )

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
