"""The pages of the status page. Whatever they show is escaped: titles come from providers."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vod2strmfs.errors import IndexFileError, OutputError
from vod2strmfs.hydrate.figures import Figures, read_figures
from vod2strmfs.index.recent import changed_titles, gone_names
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.reports.files import read, reports
from vod2strmfs.reports.rows import COLUMNS, ReportRow
from vod2strmfs.status.channel import NotRunningError, ask
from vod2strmfs.status.runs import Runs, read_runs
from vod2strmfs.status.state import MountState

_RECENT = 25
_REPORTS = 25
_PAGE_ROWS = 500


class NoSuchPageError(Exception):
    """There is nothing at this address."""


class Pages:
    """Makes the pages about one state directory.

    Args:
        state_dir: the state directory of the mount.
        report_dir: the directory of materialize's reports.
    """

    def __init__(self, state_dir: Path, report_dir: Path) -> None:
        self._state_dir = state_dir
        self._report_dir = report_dir
        self._templates = Environment(
            loader=PackageLoader("vod2strmfs.web"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters["moment"] = _moment

    def state(self) -> MountState | None:
        """The state of the mount; None if it does not answer."""
        try:
            return ask(self._state_dir)
        except NotRunningError:
            return None

    def runs(self) -> Runs | None:
        """How materializing goes; None if there was never any."""
        return read_runs(self._state_dir)

    def hydrate(self) -> Figures | None:
        """How far filling series is; None where nothing is filled."""
        return read_figures(self._state_dir)

    def style(self) -> str:
        """The style sheet."""
        return self._render("style.css")

    def front(self) -> str:
        """The front page: how the mount is, what the library holds, what changed last, and the reports."""
        try:
            titles = changed_titles(self._state_dir, _RECENT)
            gone = gone_names(self._state_dir, _RECENT)
        except IndexFileError:
            titles, gone = [], []
        return self._render(
            "front.html",
            state=self.state(),
            titles=[(NodeKind(title.kind).name.lower(), title.name, title.changed / 1e9) for title in titles],
            gone=gone,
            hydrate=self.hydrate(),
            runs=self.runs(),
            reports=[path.name for path in reports(self._report_dir)[:_REPORTS]],
        )

    def report(self, name: str, action: str, page: int) -> str:
        """One report as a table.

        Args:
            name: the name of the report's file.
            action: the action whose rows are shown; empty: all rows.
            page: the number of the table's page, from 1.

        Raises:
            NoSuchPageError: there is no such report, or no such page of it.
        """
        # Names are compared with what is there: no path comes from the request.
        path = next((path for path in reports(self._report_dir) if path.name == name), None)
        if path is None or page < 1:
            raise NoSuchPageError
        try:
            counts, rows = _read(path, action, (page - 1) * _PAGE_ROWS)
        except OutputError:
            raise NoSuchPageError from None
        total = counts[action] if action else counts.total()
        pages = max(1, -(-total // _PAGE_ROWS))
        if page > pages:
            raise NoSuchPageError
        return self._render(
            "report.html", name=name, columns=COLUMNS, rows=rows, counts=sorted(counts.items()), action=action,
            total=total, page=page, pages=pages,
        )  # fmt: skip

    def _render(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)


def _read(path: Path, action: str, skip: int) -> tuple[Counter[str], list[ReportRow]]:
    """The number of rows of each action in a report, and the rows of one page, after `skip` others."""
    counts: Counter[str] = Counter()

    def wanted() -> Iterator[ReportRow]:
        for row in read(path):
            if row.action:  # The last row may be half written.
                counts[row.action] += 1
                if action in ("", row.action):
                    yield row

    selected = wanted()
    rows = list(islice(selected, skip, skip + _PAGE_ROWS))
    for _ in selected:  # Count the rest.
        pass
    return counts, rows


def _moment(seconds: float) -> str:
    """A time as people read it; empty for never."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if seconds else ""
