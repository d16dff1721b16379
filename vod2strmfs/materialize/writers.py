"""Who writes: the run's workers, and a second process where much is to be written and nothing waits.

Where files are written within microseconds, Python is what takes the time, and has one processor. So the second
process writes, while this one plans, notes what was done, and writes what the second has no time for. Who wrote a
folder makes no difference to what stands in it, nor to the report.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from types import TracebackType
from typing import NamedTuple, Self

from vod2strmfs.host.second_process import SecondProcessError
from vod2strmfs.materialize.workers import StoppedError, Workers
from vod2strmfs.materialize.write import FolderResult, FolderWork, Updater
from vod2strmfs.materialize.write_process import Order, WriteProcess

MANY_FILES = 1_000
"""From so many files on, a second process saves more than its start costs."""
_AT_PROCESS = 16
"""Tasks that the second process is given before it has answered: what it needs while the next folders are planned."""

_log = logging.getLogger("vod2strmfs")

Then = Callable[[Sequence[FolderResult]], None]


class _Given(NamedTuple):
    works: Sequence[FolderWork]
    then: Then
    size: int


class Writers:
    """What brings folders to what is wanted; a context manager, after which the second process is gone. All methods are
    called in one thread.

    Args:
        updater: does the work.
        workers: run it in this process.
        stop: set when no more work is to be begun.
        order: how a second process is to write; None if there may be none.
    """

    def __init__(self, updater: Updater, workers: Workers, stop: Event, order: Order | None) -> None:
        self._updater = updater
        self._workers = workers
        self._stop = stop
        self._order = order if len(os.sched_getaffinity(0)) > 1 else None
        self._process: WriteProcess | None = None
        self._given: deque[_Given] = deque()
        self._steps = 0
        """How much was submitted so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, StoppedError):
                while self._given:
                    self._take_answer()
        finally:
            self._close()

    @property
    def busy(self) -> bool:
        """Whether some work is not done."""
        return self._workers.busy or bool(self._given)

    def submit(self, works: Sequence[FolderWork], then: Then, size: int) -> None:
        """Have some work done; see `Workers.submit`.

        Raises:
            StoppedError: the run is to end.
        """
        given = _Given(works, then, size)
        self._steps += size
        while self._process and self._given and self._process.has_answered():
            self._take_answer()
        if not self._is_wanted() or not self._give(given):
            self._do(given)

    def wait(self) -> None:
        """Wait until some work is done, if there is any."""
        if self._workers.busy:
            self._workers.wait()
        elif self._given:
            self._take_answer()

    def _is_wanted(self) -> bool:
        """Whether the second process is to have work now; starts it when it is time."""
        if self._workers.number > 1 or self._stop.is_set():
            return False
        if self._order and not self._process and self._steps > MANY_FILES:
            try:
                self._process = WriteProcess(self._order)
            except OSError as error:
                self._go_on_alone(f"cannot be started ({error})")
            except SecondProcessError as error:
                self._go_on_alone(str(error))
        try:
            return self._process is not None and self._process.is_ready() and len(self._given) < _AT_PROCESS
        except SecondProcessError as error:
            self._go_on_alone(str(error))
            return False

    def _give(self, given: _Given) -> bool:
        assert self._process is not None
        try:
            self._process.give(given.works)
        except SecondProcessError as error:
            self._go_on_alone(str(error))
            return False
        self._given.append(given)
        return True

    def _do(self, given: _Given) -> None:
        self._workers.submit(partial(self._updater.run, given.works), given.then, given.size)

    def _take_answer(self) -> None:
        """Wait for what the second process has to say of the work that it was given first."""
        assert self._process is not None
        try:
            if self._stop.is_set():
                self._process.stop()
            results = self._process.answer(self._given[0].works)
        except SecondProcessError as error:
            self._go_on_alone(str(error))
            return
        self._given.popleft().then(results)

    def _go_on_alone(self, why: str) -> None:
        """Do without the second process, and do what it owes. The report has no row of what it did and did not tell."""
        _log.warning("The second process of the run %s; going on without it.", why)
        self._close()
        self._order = None
        owed, self._given = self._given, deque()
        for given in owed:
            self._do(given)

    def _close(self) -> None:
        if self._process:
            self._process.close()
            self._process = None
