"""Reports on disk: the list of them, the one reader of their rows, and how long they are kept.

The name of a report, as the original specification has it, says what was written and when its run began.
"""

import csv
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, get_args

from vod2strmfs.errors import OutputError
from vod2strmfs.host.lock import is_held, is_locked
from vod2strmfs.reports.rows import COLUMNS, ReportRow, original
from vod2strmfs.settings import Mode

TIMESTAMP = "%Y%m%d_%H%M%S"
"""The form of the time, local to the host, that the name of a report has."""

_NAME = re.compile(rf"report_(?:{'|'.join(get_args(Mode))})_(\d{{8}}_\d{{6}})\.csv")
_READ_SECONDS = 0.2
"""Seconds between two readings of a report that is being followed."""
_BIRTH_SECONDS = 2.0
"""Seconds in which a run locks its report and writes the header, once the report has its name."""


def reports(directory: Path) -> list[Path]:
    """The reports in a directory, the newest first."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted((directory / name for name in names if _NAME.fullmatch(name)), key=began, reverse=True)


def began(report: Path) -> str:
    """The time at which the run of a report began, from its name, in the form of `TIMESTAMP`."""
    return report.stem.partition("_")[2].partition("_")[2]


def mode(report: Path) -> str:
    """The mode of a report's run, from its name: a `settings.Mode`."""
    return report.stem.split("_")[1]


def prune(directory: Path, keep: int, days: int) -> None:
    """Delete the reports beyond a number and an age, but for those that are being written.

    Args:
        directory: where they are. Other files in it stay.
        keep: how many of the newest stay at most.
        days: how many days the others stay at most.
    """
    oldest = time.strftime(TIMESTAMP, time.localtime(time.time() - days * 86400))
    for place, path in enumerate(reports(directory)):
        if (place >= keep or began(path) < oldest) and not in_progress(path):
            path.unlink(missing_ok=True)


def read(path: Path, *, follow: bool = False) -> Iterator[ReportRow]:
    """The rows of a report, without what keeps spreadsheets from taking a cell for a formula.

    Types and actions are plain strings: those of another version may be others. The last row of a run that was
    killed may lack its end.

    Args:
        path: of the report.
        follow: whether to wait for more as long as its run lasts.

    Raises:
        OutputError: it cannot be read, or is no report.
    """
    for cells in _cells(path, follow=follow):
        yield ReportRow._make([*map(original, cells), *[""] * len(COLUMNS)][: len(COLUMNS)])


def count_actions(path: Path) -> Counter[str]:
    """The number of rows of a report by action; much faster than to read them. A row that lacks its end is left out.

    Raises:
        OutputError: it cannot be read, or is no report.
    """
    place = COLUMNS.index("action")
    return Counter(cells[place] for cells in _cells(path) if len(cells) == len(COLUMNS))


def _cells(path: Path, *, follow: bool = False) -> Iterator[list[str]]:
    """The cells of each row of a report, but for its first line; see `read`."""
    try:
        with path.open("rb") as file:
            lines = _growing(file) if follow else file
            rows = csv.reader(line.decode(errors="replace") for line in lines)
            if tuple(next(rows, ())) != COLUMNS:
                raise OutputError(f"report {path}: is not a report: its first line is not {','.join(COLUMNS)}.")
            yield from rows
    except OSError as error:
        raise OutputError(f"report {path}: cannot be read ({error.strerror}).") from error
    except csv.Error as error:
        raise OutputError(f"report {path}: is not a report ({error}).") from error


def _growing(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a report, old and new, until its run has ended."""
    deadline = time.monotonic() + _BIRTH_SECONDS
    rest = b""
    while True:
        # Asked before the file is read: what is written until the run ends is not missed.
        in_progress = is_locked(file) or (file.tell() == 0 and time.monotonic() < deadline)
        *lines, rest = (rest + file.read()).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if not in_progress:
            break
        if not lines:
            time.sleep(_READ_SECONDS)
    if rest:
        yield rest


def in_progress(path: Path) -> bool:
    """Whether the run of a report still writes it."""
    return is_held(path)
