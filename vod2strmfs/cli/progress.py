"""The display of how far a command is: a bar on a terminal, a line in the log now and then elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vod2strmfs.sync.progress import Lines, Tell

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def shown(doing: str, unit: str, *, quiet: bool = False) -> Iterator[Tell]:
    """The `Display` of commands, which gives what to call with each state; the bar goes when the context ends.

    Args:
        doing: what is done, as in "Writing".
        unit: of what is counted, as in "folders".
        quiet: whether to show nothing on a terminal. The log knows for itself what it shows.
    """
    if quiet or not sys.stderr.isatty():
        yield Lines(doing, unit)
        return
    with _bar(unit) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _bar(unit: str) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """The column of the bar that says how many are done a second."""

        def render(self, task: Task) -> Text:
            """See rich."""
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "")

    # What is logged meanwhile appears above the bar: rich takes over sys.stderr, to which the log writes.
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), Rate(),
        TimeRemainingColumn(), console=Console(stderr=True), transient=True,
    )  # fmt: skip
