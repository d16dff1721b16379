"""`vod2strmfs report`."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from vod2strmfs.cli.options import Group, GroupedCommand, with_settings
from vod2strmfs.errors import OutputError
from vod2strmfs.host.printable import printable
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.reports.rows import ReportRow

_UNLISTED = frozenset({"skipped", "noted"})
"""Actions that did nothing, whose rows are listed on demand alone."""
_FIRST = ("failed", "deleted", "would_delete", "kept")
"""Actions whose rows are listed before all others, in this order."""
_HEADS = ("action", "type", "file", "reason")
_COLORS = {"failed": "red", "kept": "yellow", "deleted": "magenta", "would_delete": "magenta"}
_ACTION_CELLS, _TYPE_CELLS = 12, 11
_NARROW_CELLS = 60
"""Cells of a terminal below which the reasons of rows are left out: the summary has them."""
_GAP = "  "

_Counts = Counter[tuple[str, str]]
"""Numbers of rows by action and reason."""


@click.command(cls=GroupedCommand)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("--all", "everything", is_flag=True, help="List what was skipped or only noted, too.")
@click.option("--follow", is_flag=True, help="Show the rows of a run in progress as they come, until it ends.")
@with_settings(Group("Where reports are", ("report_dir", "state_dir")))
def report(settings: Settings, file: Path | None, everything: bool, follow: bool) -> None:
    """Show what a materialize run did.

    FILE is a report (default: the newest one). A summary by action and reason is followed by the rows that stand for
    something done, kept or failed: failures and deletions first, else by the alphabet. In a pipe, their columns
    (action, type, file, reason) are separated by tabs.
    """
    from vod2strmfs.reports.files import read, reports

    if file is None:
        found = reports(settings.reports)
        if not found:
            _check_readable(settings.reports)
            raise OutputError(
                f"report directory {settings.reports}: holds no report yet. `vod2strmfs materialize` writes one;"
                " --report-dir or --state-dir name another place."
            )
        file = found[0]
    layout = _layout()
    if follow:
        _follow(file, read(file, follow=True), layout, everything)
        return
    counts = _count(read(file))
    rows = (row for row in read(file) if everything or row.action not in _UNLISTED)
    _page(_whole(file, counts, layout, _sorted(rows), everything))


class _Layout(NamedTuple):
    """Widths of columns in cells of a terminal; 0 without a terminal, where no cell is cut or filled up."""

    item: int
    reason: int

    def heads(self) -> str:
        """The line above the rows."""
        line = self._cells(_HEADS)
        return click.style(line, bold=True) + "\n" if self.item else f"{line}\n"

    def line(self, row: "ReportRow") -> str:
        """A row as a line."""
        line = self._cells((row.action, row.type, _item(row), row.reason))
        return click.style(line, fg=_COLORS.get(row.action)) + "\n" if self.item else f"{line}\n"

    def _cells(self, texts: Sequence[str]) -> str:
        if not self.item:
            return "\t".join(map(printable, texts))
        action, type_, item, reason = texts
        cells = [_fit(action, _ACTION_CELLS), _fit(type_, _TYPE_CELLS), _fit_item(item, self.item)]
        return _GAP.join([*cells, _fit(reason, self.reason)] if self.reason else cells).rstrip()


def _item(row: "ReportRow") -> str:
    """The path or the id of what a row is about."""
    return "/".join(filter(None, (row.series_name, row.season, row.title))) or row.uuid


def _sorted(rows: "Iterable[ReportRow]") -> "Iterator[ReportRow]":
    """Rows in the order in which they are read. Millions are sorted on disk, in a file that SQLite looks after."""
    import sqlite3

    from vod2strmfs.reports.rows import COLUMNS, ReportRow

    with closing(sqlite3.connect("")) as table:
        try:
            table.execute(f"CREATE TABLE report (place, item, {', '.join(COLUMNS)})")
            values = ((_place(row), _item(row).casefold(), *row) for row in rows)
            table.executemany(f"INSERT INTO report VALUES (?, ?{', ?' * len(COLUMNS)})", values)
            for cells in table.execute(f"SELECT {', '.join(COLUMNS)} FROM report ORDER BY place, item, rowid"):
                yield ReportRow._make(cells)
        except sqlite3.Error as error:
            raise OutputError(
                f"report: its rows cannot be sorted ({error}). Name a folder with room in the variable TMPDIR."
            ) from error


def _place(row: "ReportRow") -> int:
    return _FIRST.index(row.action) if row.action in _FIRST else len(_FIRST)


def _check_readable(directory: Path) -> None:
    try:
        os.listdir(directory)
    except PermissionError as error:
        raise OutputError(
            f"report directory {directory}: cannot be read ({error.strerror})."
            " Run it as the user who materializes, with sudo."
        ) from error
    except OSError:
        pass  # There is none yet.


def _layout() -> _Layout:
    if not sys.stdout.isatty():
        return _Layout(0, 0)
    width = shutil.get_terminal_size().columns
    reason = width // 4 if width >= _NARROW_CELLS else 0
    taken = _ACTION_CELLS + _TYPE_CELLS + 2 * len(_GAP) + (reason and reason + len(_GAP))
    return _Layout(max(width - taken, 8), reason)


def _follow(path: Path, rows: "Iterable[ReportRow]", layout: _Layout, everything: bool) -> None:
    click.echo(f"{path}\n")
    click.echo(layout.heads(), nl=False)
    counts: _Counts = Counter()
    for row in rows:
        counts[row.action, _reason(row)] += 1
        if everything or row.action not in _UNLISTED:
            click.echo(layout.line(row), nl=False)
    click.echo()
    click.echo("".join(_summary(counts)), nl=False)


def _count(rows: "Iterable[ReportRow]") -> _Counts:
    return Counter((row.action, _reason(row)) for row in rows)


def _reason(row: "ReportRow") -> str:
    return row.reason.partition(":")[0]


def _whole(
    path: Path, counts: _Counts, layout: _Layout, rows: "Iterator[ReportRow]", everything: bool
) -> Iterator[str]:
    yield f"{path}\n\n"
    yield from _summary(counts)
    hidden = sorted({action for action, _ in counts} & _UNLISTED)
    if hidden and not everything:
        yield f"\nNot listed: what was {' or '.join(hidden)} (--all).\n"
    first = next(rows, None)
    if first is not None:
        yield f"\n{layout.heads()}{layout.line(first)}"
        yield from map(layout.line, rows)


def _summary(counts: _Counts) -> Iterator[str]:
    if not counts:
        yield "No rows: there was nothing to do.\n"
    for (action, reason), number in sorted(counts.items()):
        yield f"{number:>9,}{_GAP}{_fit(printable(action), _ACTION_CELLS)}{_GAP}{printable(reason)}\n"


def _page(text: Iterator[str]) -> None:
    """Write a text to standard output; on a terminal, page by page if it is more than one."""
    if sys.stdout.isatty():
        os.environ.setdefault("LESS", "FRX")  # as git does: leave what fits on one page, keep colours, do not clear
        click.echo_via_pager(text)
        return
    for line in text:
        click.echo(line, nl=False)


def _fit_item(item: str, width: int) -> str:
    """A path that takes just `width` cells: the beginning of one that is longer, and that of its last name.

    Else all episodes of a series with a long name would look alike.
    """
    from rich.cells import cell_len

    above, slash, name = printable(item).rpartition("/")
    if not slash or cell_len(above) + 1 + cell_len(name) <= width:
        return _fit(item, width)
    kept = min(cell_len(name), max(width // 2, width - 1 - cell_len(above)))
    return f"{_fit(above, width - 1 - kept)}/{_fit(name, kept)}"


def _fit(text: str, width: int) -> str:
    """A text that takes just `width` cells of a terminal, cut or filled up."""
    from rich.cells import cell_len, set_cell_size

    shown = printable(text)
    return set_cell_size(shown, width) if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "…"
