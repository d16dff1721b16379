"""Workers: as many small tasks at once as help, and no faster than asked."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

_Result = TypeVar("_Result")


class StoppedError(Exception):
    """The run was told to end."""


class Throttle:
    """Lets a number of callers pass in a second, and none once the run is to end. Thread-safe.

    Args:
        rate: callers a second; 0 for any number.
        stop: set when the run is to end.
    """

    _NAP = 0.1
    """Seconds of sleep after which a caller looks whether the run is to end."""

    def __init__(self, rate: float, stop: threading.Event) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._stop = stop
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the caller may pass.

        Raises:
            StoppedError: the run is to end.
        """
        if self._interval:
            with self._lock:
                now = time.monotonic()
                turn = max(self._next, now)
                self._next = turn + self._interval
            # Event.wait would deadlock with a signal handler that sets the event meanwhile, in this very thread.
            while now < turn and not self._stop.is_set():
                time.sleep(min(turn - now, self._NAP))
                now = time.monotonic()
        self.check()

    def check(self) -> None:
        """Raise StoppedError if the run is to end."""
        if self._stop.is_set():
            raise StoppedError


class Pace:
    """How many workers to have, from how the work goes.

    Where files are written within microseconds, the interpreter is what is busy, and a second worker only gets in
    the way of the first. Where each call waits for a share, each worker more is a gain, until the share is overloaded:
    then a task takes many times what it took, and fewer workers get as much done and leave the share to others.

    Args:
        most: workers that there may be. There is one until it is known whether tasks wait.
    """

    BUSY = 0.7
    """Share of the time in which the processor works: above it, a further worker is in the way."""
    IDLE = 0.4
    """Share of the time in which the processor works: below it, there is room for further workers."""
    _NEW = 0.3
    """Weight of one stretch against those before it, in how busy the processor is."""
    SLOWER = 4.0
    """Times as long as usual that a task takes when a share is overloaded."""
    _MEMORY = 0.95
    """Weight of what was usual against one stretch: a share that is slow for good is not held back for long."""

    def __init__(self, most: int) -> None:
        self.workers = 1
        self._most = most
        self._usual = 0.0
        self._busy: float | None = None

    def adapt(self, elapsed: float, processor: float, each: float) -> None:
        """Take a stretch of work into account.

        Args:
            elapsed: length of the stretch, seconds.
            processor: seconds of processor time that this process used meanwhile; with one worker, also those in which
                it waited for a processor that other programs had.
            each: seconds that one file took, on average, in the tasks that ended meanwhile.
        """
        slower = self._usual and each > self.SLOWER * self._usual
        self._usual = self._MEMORY * (self._usual or each) + (1 - self._MEMORY) * each
        busy = processor / elapsed
        self._busy = busy if self._busy is None else (1 - self._NEW) * self._busy + self._NEW * busy
        if slower or self._busy > self.BUSY:
            self.workers = max(1, self.workers // 2)
        elif self._busy < self.IDLE:
            self.workers = min(self._most, self.workers * 2) if self.workers > 1 else self._most


class Workers:
    """Threads that do tasks. All methods are called in one thread, which gets the results.

    While one worker is enough, that calling thread is the worker: handing the interpreter to and fro costs as much as
    writing.

    Args:
        most: tasks that may be done at once.
        stop: set when no more tasks are to be begun.
    """

    _STRETCH = 0.05
    """Seconds in a stretch of work, after which the number of workers is thought over."""

    def __init__(self, most: int, stop: threading.Event) -> None:
        self._stop = stop
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="write")
        self._pending: dict[Future[_Done], tuple[Callable[[Any], None], int]] = {}
        self._pace = Pace(most)
        self._delay = _Delay()
        self._most = most
        self._has_thought = False
        self._begin_stretch()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._delay.close()

    @property
    def number(self) -> int:
        """The number of tasks that are done at once now; until that was thought over, the most that there may be."""
        return self._pace.workers if self._has_thought else self._most

    @property
    def busy(self) -> bool:
        """Whether some tasks are not done."""
        return bool(self._pending)

    def submit(self, task: Callable[[], _Result], then: Callable[[_Result], None], size: int = 1) -> None:
        """Have a worker do a task; waits while all workers are busy.

        Args:
            task: called in another thread, perhaps. An exception of it is raised here, now or by a later call.
            then: called in this thread with the task's result, now or during a later call. It must not submit anything.
            size: steps of the task, each about as long as another.

        Raises:
            StoppedError: the run is to end. Tasks that were begun are done, and their results taken.
        """
        if self._stop.is_set():
            self.drain()
            raise StoppedError
        while len(self._pending) >= self._pace.workers:
            self.wait()
        if self._pace.workers > 1:
            self._pending[self._executor.submit(_measured, task)] = then, size
        else:
            self._take(_measured(task), then, size)
            self._think()

    def wait(self) -> None:
        """Wait until a task is done, if there is any."""
        for future in wait(self._pending, return_when=FIRST_COMPLETED).done:
            then, size = self._pending.pop(future)
            self._take(future.result(), then, size)
        self._think()

    def drain(self) -> None:
        """Wait until all tasks are done."""
        while self._pending:
            self.wait()

    def finish(self) -> None:
        """Wait until no task is being done any more; results and exceptions are dropped."""
        wait(self._pending)

    def _take(self, done: "_Done", then: Callable[[Any], None], size: int) -> None:
        self._steps += size
        self._seconds += done.seconds
        then(done.result)

    def _think(self) -> None:
        """Think over how many workers to have, if it is time."""
        elapsed = time.monotonic() - self._since
        if elapsed >= self._STRETCH and self._steps:
            processor = time.process_time() - self._processor
            if self._pace.workers == 1:
                # Several threads wait at the same time, which tells nothing.
                processor += self._delay.seconds() - self._delayed
            self._has_thought = True
            self._pace.adapt(elapsed, processor, self._seconds / self._steps)
            self._begin_stretch()

    def _begin_stretch(self) -> None:
        self._since, self._processor, self._delayed = time.monotonic(), time.process_time(), self._delay.seconds()
        self._steps = 0
        self._seconds = 0.0


class _Done(NamedTuple):
    """The result of a task, and how long it took."""

    result: Any
    seconds: float
    """Seconds that the task took."""


def _measured(task: Callable[[], Any]) -> _Done:
    started = time.monotonic()
    result = task()
    return _Done(result, time.monotonic() - started)


class _Delay:
    """Tells for how long the thread that made it has waited for a processor, since other programs had them
    (proc_pid_schedstat(5))."""

    def __init__(self) -> None:
        self._descriptor = -1
        with suppress(OSError):  # Not every kernel says.
            self._descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def seconds(self) -> float:
        """Seconds since the thread began; 0 if the kernel does not say."""
        if self._descriptor < 0:
            return 0.0
        try:
            return int(os.pread(self._descriptor, 128, 0).split()[1]) / 10**9
        except (OSError, IndexError, ValueError):
            return 0.0

    def close(self) -> None:
        """Ask no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
