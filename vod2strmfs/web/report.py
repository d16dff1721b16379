"""Reports for people: what came of a run, in one line, and its rows, failures and deletions first."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import OutputError
from vod2strmfs.reports.files import TIMESTAMP, began, count_actions, in_progress, mode, read, reports
from vod2strmfs.reports.rows import ReportRow
from vod2strmfs.web.words import action_words, mode_words, number, reason_words, type_words

PAGE_ROWS = 500
_STRM = ".strm"
_FIRST = (
    "failed", "deleted", "would_delete", "kept", "moved", "would_move", "updated", "would_update", "created",
    "would_create", "noted",
)  # fmt: skip
"""The order of actions: what one has to know stands first. What was skipped stands last."""
_QUIET = ("noted", "skipped")
"""Actions that changed nothing."""


class Part(NamedTuple):
    """How many rows of a report have an action."""

    action: str
    number: int
    words: str
    """As in `3 failed`."""


class Summary(NamedTuple):
    """A report in one line."""

    name: str
    """Of its file."""
    when: float
    """When its run began, seconds since the epoch."""
    what: str
    """What it was about, in words."""
    parts: list[Part]
    running: bool
    """Whether its run goes on."""

    @property
    def shown(self) -> list[Part]:
        """The parts of the report that are shown: all that was done, or would be."""
        return [part for part in self.parts if part.action not in _QUIET]


class Group(NamedTuple):
    """Rows of one page that stand in one title's folder, and have one action."""

    action: str
    title: str
    rows: list[tuple[str, str]]
    """What the row is about, within the title's folder, and the reason."""


class Reports:
    """Reads the reports in a directory. What they hold is counted once for each.

    Args:
        directory: where they are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._counted: dict[Path, tuple[int, Counter[str]]] = {}

    def newest(self, limit: int) -> list[Summary]:
        """The newest reports."""
        paths = reports(self._directory)[:limit]
        self._counted = {path: self._counted[path] for path in paths if path in self._counted}
        return [summary for path in paths if (summary := self._summary(path)) is not None]

    def find(self, name: str) -> Path | None:
        """The report with a name. Names are compared with what is there: no path comes from a request."""
        return next((path for path in reports(self._directory) if path.name == name), None)

    def summary(self, path: Path) -> Summary:
        """A report in one line.

        Raises:
            OutputError: it cannot be read.
        """
        when = datetime.strptime(began(path), TIMESTAMP).timestamp()
        return Summary(path.name, when, mode_words(mode(path)), parts(self._counts(path)), in_progress(path))

    def _summary(self, path: Path) -> Summary | None:
        try:
            return self.summary(path)
        except (OutputError, OSError, ValueError):
            return None  # It was deleted just now, or is no report.

    def _counts(self, path: Path) -> Counter[str]:
        size = os.stat(path).st_size
        known = self._counted.get(path)
        if known is None or known[0] != size:
            known = self._counted[path] = size, count_actions(path)
        return known[1]


def rows_of(path: Path, search: str) -> Iterator[ReportRow]:
    """The rows of a report in whose path or reason a text stands."""
    wanted = search.casefold()
    for row in read(path):
        # The last row may be half written.
        if row.action and (not wanted or wanted in "/".join((*row[1:4], row.reason)).casefold()):
            yield row


def parts(counts: Counter[str]) -> list[Part]:
    """How many rows there are of each action, in the order in which they are shown."""
    return [
        Part(action, counts[action], f"{number(counts[action])} {action_words(action)}")
        for action in sorted(counts, key=lambda action: (_place(action), action))
    ]


def page_of(rows: Iterator[ReportRow], counted: Sequence[Part], page: int) -> list[Group]:
    """One page of rows, sorted by what was done.

    Args:
        rows: all of them.
        counted: how many there are of each action that is wanted, in order.
        page: its number, from 1.
    """
    # Where each row's place is follows from how many there are: a million rows need not be kept to be sorted.
    places: dict[str, Iterator[int]] = {}
    total = 0
    for part in counted:
        places[part.action] = iter(range(total, total + part.number))
        total += part.number
    wanted = range((page - 1) * PAGE_ROWS, page * PAGE_ROWS)
    shown: dict[int, ReportRow] = {}
    for row in rows:
        # A run that goes on may have written more by now.
        place = next(places.get(row.action, iter(())), None)
        if place is not None and place in wanted:
            shown[place] = row
    in_order = (shown[place] for place in sorted(shown))
    return [
        Group(action, title, [(_within(row), reason_words(row.reason)) for row in some])
        for (action, title), some in groupby(in_order, key=lambda row: (row.action, _title(row)))
    ]


def _place(action: str) -> int:
    return _FIRST.index(action) if action in _FIRST else len(_FIRST)


def _title(row: ReportRow) -> str:
    folder = row.series_name or row.title.partition("/")[0].removesuffix(_STRM)
    return folder or row.uuid


def _within(row: ReportRow) -> str:
    """The path within the title's folder; what it is, where that is the folder itself or its namesake."""
    path = "/".join(filter(None, (row.season, row.title))) if row.series_name else row.title.partition("/")[2]
    return path or type_words("movie" if row.title.endswith(_STRM) else row.type)
