"""Showing how far a materialize run is: a bar on a terminal, a line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vod2strmfs.materialize.job import OnProgress
from vod2strmfs.materialize.job import Progress as State

_LINE_SECONDS = 30.0

_log = logging.getLogger("vod2strmfs")


@contextmanager
def shown(doing: str) -> Iterator[OnProgress]:
    """What to call with each state; the display goes when the context ends."""
    if not sys.stderr.isatty():
        yield _lines(doing)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("folders"))
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[written]} files"), transient=True) as bar:
        task = bar.add_task(doing, total=None, written=0)
        yield lambda state: bar.update(task, completed=state.done, total=state.total, written=state.written)


def _lines(doing: str) -> Callable[[State], None]:
    last = time.monotonic()

    def tell(state: State) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            _log.info("%s: %d of %d folders, %d files.", doing, state.done, state.total, state.written)

    return tell
