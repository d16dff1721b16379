"""Warnings that are repeated word for word are shown once; a line says later how often they came."""

import logging
import threading
import time
from dataclasses import dataclass

_MOST_REMEMBERED = 1000
"""The number of different warnings beyond which those that came only once are forgotten."""


class Repetitions(logging.Filter):
    """A filter that lets a warning pass once, and counts its repetitions until it tells their number.

    Args:
        logger: whose messages it filters, and to which it tells the numbers.
        seconds: how long it counts before it tells.
    """

    def __init__(self, logger: logging.Logger, seconds: float) -> None:
        super().__init__()
        self._logger = logger
        self._seconds = seconds
        self._seen: dict[tuple[int, str], _Seen] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging. False for a warning that is counted and not shown."""
        if record.levelno < logging.WARNING or record.exc_info:
            return True
        with self._lock:
            now = time.monotonic()
            seen = self._seen.get((record.levelno, record.getMessage()))
            if seen is None or (not seen.count and now - seen.first > self._seconds):
                if len(self._seen) >= _MOST_REMEMBERED:
                    self._seen = {key: seen for key, seen in self._seen.items() if seen.count}
                self._seen[record.levelno, record.getMessage()] = _Seen(now)
                return True
            seen.count += 1
            # A timer that a fork has left behind is not alive.
            if self._timer is None or not self._timer.is_alive():
                self._timer = threading.Timer(self._seconds, self.tell)
                self._timer.daemon = True
                self._timer.start()
            return False

    def tell(self) -> None:
        """Log how often each warning was repeated, and begin to count anew."""
        with self._lock:
            told, self._seen, self._timer = self._seen, {}, None
        for (level, message), seen in told.items():
            if seen.count:
                self._logger.log(level, "%s (%d more %s)", message, seen.count, "time" if seen.count == 1 else "times")


@dataclass
class _Seen:
    first: float
    count: int = 0
    """Repetitions since the warning was shown."""
