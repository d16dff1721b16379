"""The pages of the status page. Whatever they show is escaped: titles come from providers."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vod2strmfs import PROJECT_URL
from vod2strmfs.artwork import figures as artwork
from vod2strmfs.errors import IndexFileError, OutputError
from vod2strmfs.films import figures as learning
from vod2strmfs.index.accounts import account_names, called
from vod2strmfs.index.recent import HeldTitle, Moment, held_titles, recent_changes
from vod2strmfs.status.progress import read_progress
from vod2strmfs.web import words
from vod2strmfs.web.front import Index, changes_of, held_names, in_words, notices, read_index
from vod2strmfs.web.known import Known, look
from vod2strmfs.web.report import PAGE_ROWS, Reports, page_of, parts, rows_of

_CARDS = (("movies", "Films"), ("series", "Series"), ("episodes", "Episodes"))
_FILTERS = ("ago", "count", "iso", "moment", "number", "span")
_MOMENTS = 8
"""Generations whose changes are shown."""
_REPORTS = 25
_HELD_NAMES = 200
_FILES = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
}
"""Files that the pages refer to, and their types."""


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
        self._reports = Reports(report_dir)
        self._recent: tuple[tuple[int, float], list[Moment]] = (0, 0.0), []
        self._templates = Environment(
            loader=PackageLoader("vod2strmfs.web"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {name: getattr(words, name) for name in _FILTERS}
        self._templates.filters |= {"megabytes": artwork.megabytes, "gigabytes": learning.gigabytes}
        self._templates.globals["documents"] = f"{PROJECT_URL}/blob/main/docs/index.md"

    def known(self) -> Known:
        """What is known of the state directory now."""
        return look(self._state_dir)

    def file(self, name: str) -> tuple[str, str]:
        """The type and the content of a file that the pages refer to.

        Raises:
            NoSuchPageError: there is no such file.
        """
        if name not in _FILES:
            raise NoSuchPageError
        return _FILES[name], self._render(name)

    def front(self) -> str:
        """The front page: how the library is, what it holds, what changed last, and the reports."""
        known = self.known()
        # A library that only the mount of films shows is no worse for that.
        state = known.mount or known.films
        index = read_index(self._state_dir)
        if state is not None and state.generation:
            shown = Index(state.generation, state.metrics, state.made, state.synced)
        else:
            shown = index or Index(0, {}, 0.0, 0.0)
        return self._render(
            "front.html",
            state=state,
            word=in_words(state, known.runs),
            notices=list(notices(known, self._state_dir)),
            cards=[(thing, shown.metrics.get("index", {}).get(metric, "")) for metric, thing in _CARDS],
            compared=shown.compared,
            made=shown.made,
            progress=read_progress(self._state_dir),
            held=held_names(self._held())[:_HELD_NAMES] if state is not None and state.held else [],
            moments=[(each, list(changes_of(each))) for each in self._changes(index)],
            reports=self._reports.newest(_REPORTS),
            figures=list(words.figures(shown.metrics)),
            runs=known.runs,
            hydrate=known.hydrate,
            artwork=known.artwork,
            films=known.films,
            learning=known.learning,
            account=partial(called, names=account_names(self._state_dir) if known.films else {}),
        )

    def report(self, name: str, action: str, search: str, page: int) -> str:
        """A page of a report: failures first, then deletions.

        Args:
            name: the name of the report's file.
            action: the action whose rows are shown; empty: all rows.
            search: a text that the rows shown have in their path or reason; empty: all.
            page: the number of the page, from 1.

        Raises:
            NoSuchPageError: there is no such report, or no such page of it.
        """
        path = self._reports.find(name)
        if path is None or page < 1:
            raise NoSuchPageError
        try:
            summary = self._reports.summary(path)
            found = parts(Counter(row.action for row in rows_of(path, search))) if search else summary.parts
            wanted = [part for part in found if action in ("", part.action)]
            total = sum(part.number for part in wanted)
            pages = max(1, -(-total // PAGE_ROWS))
            if page > pages:
                raise NoSuchPageError
            groups = page_of(rows_of(path, search), wanted, page)
        except (OutputError, OSError):
            raise NoSuchPageError from None
        return self._render(
            "report.html", summary=summary, found=found, all=sum(part.number for part in found), groups=groups,
            words={part.action: part.words for part in found}, action=action, search=search, total=total, page=page,
            pages=pages,
        )  # fmt: skip

    def _changes(self, index: Index | None) -> list[Moment]:
        """What changed last; read once for each generation, since it goes through much of the log."""
        if index is None:
            return []
        key = index.generation, index.made
        try:
            if key != self._recent[0]:
                self._recent = key, recent_changes(self._state_dir, _MOMENTS)
            return self._recent[1]
        except IndexFileError:
            return []

    def _held(self) -> list[HeldTitle]:
        try:
            return held_titles(self._state_dir)
        except IndexFileError:
            return []

    def _render(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)
