"""The writer of a report, a CSV file that grows while its run lasts.

A report is locked (flock) as long as its run lasts, and however that ends: who follows it knows by this.
"""

import csv
import fcntl
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import TextIO

from vod2strmfs.errors import OutputError
from vod2strmfs.host.private import private
from vod2strmfs.host.room import is_full
from vod2strmfs.reports.files import TIMESTAMP, began, reports
from vod2strmfs.reports.rows import COLUMNS, WRITING, Action, ReportRow, inert_row
from vod2strmfs.settings import Mode

_IN_STEP = timedelta(minutes=1)
"""The time that a report's name may be ahead of the clock, to be a later one than that of the report before."""
_FLUSH_SECONDS = 1.0
_ACTION_OF = attrgetter("action")


class Report:
    """A report that is being written.

    Args:
        directory: where reports are; made if need be.
        mode: which part of the library the run is about; its name has it.

    Raises:
        OutputError: it cannot be written. So does `flush`.
    """

    def __init__(self, directory: Path, mode: Mode) -> None:
        self.path = directory
        """The path of the file."""
        self.counts: Counter[Action] = Counter()
        """Numbers of rows by action."""
        self.failures: Counter[str] = Counter()
        """Numbers of rows that failed, by `Reason`."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._create(directory, mode)
        except OSError as error:
            raise self._problem(error) from error
        with suppress(OSError):  # A file system without locks: nobody can follow the report, and that is all.
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self.flush()

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flush()
        self._file.close()

    def add(self, *rows: ReportRow) -> None:
        """Add rows. Readers see them within a second or so, if other rows follow."""
        for action, group in groupby(rows, _ACTION_OF):
            of_action = list(group)
            self.counts[action] += len(of_action)
            if action == Action.FAILED:
                self.failures.update(row.reason.partition(": ")[0] for row in of_action)
        try:
            self._writer.writerows(map(inert_row, rows))
        except OSError as error:
            raise self._problem(error) from error
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    @property
    def written(self) -> int:
        """The number of files that were written, moved or deleted; in a dry run, would be."""
        return sum(number for action, number in self.counts.items() if action in WRITING)

    def flush(self) -> None:
        """Let readers see every row so far."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._problem(error) from error
        self._flushed = time.monotonic()

    def _create(self, directory: Path, mode: Mode) -> TextIO:
        moment = datetime.now().replace(microsecond=0)
        for path in reports(directory)[:1]:
            latest = datetime.strptime(began(path), TIMESTAMP)
            if moment <= latest < moment + _IN_STEP:
                # Two runs within a second: the later one has the later name.
                moment = latest + timedelta(seconds=1)
        while True:
            self.path = directory / f"report_{mode}_{moment:{TIMESTAMP}}.csv"
            try:
                return open(self.path, "x", encoding="utf-8", newline="", errors="replace", opener=private)
            except FileExistsError:
                moment += timedelta(seconds=1)

    def _problem(self, error: OSError) -> OutputError:
        what = (
            "Make room there, or give another directory"
            if is_full(error)
            else "Give a directory that this user can write"
        )
        return OutputError(f"report {self.path}: {error.strerror}. {what} with --report-dir.")
