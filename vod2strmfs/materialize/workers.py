"""Doing many small tasks at once: as many as help, and no faster than asked."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Throttle:
    """Lets so many pass in a second. Thread-safe.

    Args:
        rate: how many; 0 for any number.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for one's turn."""
        if not self._interval:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._interval
        time.sleep(turn - now)


class Pace:
    """How many workers to have, from how the work goes.

    Where files are written within microseconds, the interpreter is what is busy, and a second worker only gets in
    the way of the first. Where each call waits for a share, each worker more is a gain, until the share is overloaded:
    then a task takes many times what it took, and fewer workers get as much done and leave the share to others.

    Args:
        most: how many there may be. So many there are at first.
    """

    BUSY = 0.7
    """Of the time: the processor works rather than waits."""
    SLOWER = 4.0
    """Times as long as usual: tasks take sharply longer."""
    _MEMORY = 0.95
    """How much of what is usual stays so over one stretch: a share that is slow for good is not held back for long."""

    def __init__(self, most: int) -> None:
        self.workers = most
        self._most = most
        self._usual = 0.0

    def adapt(self, elapsed: float, processor: float, each: float) -> None:
        """Take a stretch of work into account.

        Args:
            elapsed: seconds that passed.
            processor: seconds of processor time that this process used meanwhile.
            each: seconds that one file took, on average, in the tasks that ended meanwhile.
        """
        slower = self._usual and each > self.SLOWER * self._usual
        self._usual = self._MEMORY * (self._usual or each) + (1 - self._MEMORY) * each
        if slower or processor > self.BUSY * elapsed:
            self.workers = max(1, self.workers // 2)
        else:
            self.workers = min(self._most, self.workers * 2)


class Workers:
    """Threads that do tasks. All methods are called in one thread, which gets the results.

    Args:
        most: how many tasks may be done at once.
    """

    _STRETCH = 0.05
    """Seconds after which the number of workers is thought over."""

    def __init__(self, most: int) -> None:
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="write")
        self._pending: dict[Future[Any], tuple[Callable[[Any], None], int]] = {}
        self._pace = Pace(most)
        self._begin_stretch()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    @property
    def number(self) -> int:
        """How many tasks are done at once as things stand."""
        return self._pace.workers

    @property
    def busy(self) -> bool:
        """Whether some tasks are not done."""
        return bool(self._pending)

    def submit(self, task: Callable[[], _Result], then: Callable[[_Result], None], size: int = 1) -> None:
        """Have a task done; waits while all workers are busy.

        Args:
            task: done in another thread. What it raises is raised here by a later call.
            then: called with its result during a later call. It must not submit anything.
            size: how many steps it has, each about as long as another.
        """
        while len(self._pending) >= self._pace.workers:
            self.wait()
        self._pending[self._executor.submit(_timed, task)] = then, size

    def wait(self) -> None:
        """Wait until a task is done, if there is any."""
        for future in wait(self._pending, return_when=FIRST_COMPLETED).done:
            then, size = self._pending.pop(future)
            result, seconds = future.result()
            self._steps += size
            self._seconds += seconds
            then(result)
        elapsed = time.monotonic() - self._since
        if elapsed >= self._STRETCH and self._steps:
            self._pace.adapt(elapsed, time.process_time() - self._processor, self._seconds / self._steps)
            self._begin_stretch()

    def drain(self) -> None:
        """Wait until all tasks are done."""
        while self._pending:
            self.wait()

    def _begin_stretch(self) -> None:
        self._since, self._processor = time.monotonic(), time.process_time()
        self._steps, self._seconds = 0, 0.0


def _timed(task: Callable[[], _Result]) -> tuple[_Result, float]:
    started = time.monotonic()
    return task(), time.monotonic() - started
