"""Where messages go: standard error or the journal, and with `debug_logging` a rotated file.

A warning that is repeated word for word is shown once; later a line says how often it came.
"""

import atexit
import logging
import os
import platform
import sys
import threading
import time
from dataclasses import dataclass
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from vod2strmfs import __version__
from vod2strmfs.errors import OutputError
from vod2strmfs.private import private
from vod2strmfs.settings import Settings

FILE_NAME = "vod2strm.log"
_BYTES, _FILES = 10_000_000, 5
_REPEAT_SECONDS = 600.0
"""For so long repetitions are counted before they are told."""
_MOST_REMEMBERED = 1000
"""Different warnings; beyond that, those that came only once are forgotten."""
_FORM = "%(asctime)s %(levelname)s %(message)s"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""As sd-daemon(3) numbers them."""


class _PrivateFileHandler(RotatingFileHandler):
    """Each of its files can be read by their owner alone."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=private)


class _JournalFormatter(logging.Formatter):
    """The level as the journal reads it, before every line; the journal knows the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class Repetitions(logging.Filter):
    """Lets a warning pass once, and counts it from then on, until a while has gone by and the number is told.

    Args:
        logger: whose messages it filters, and to which it tells the numbers.
        seconds: how long it counts.
    """

    def __init__(self, logger: logging.Logger, seconds: float) -> None:
        super().__init__()
        self._logger = logger
        self._seconds = seconds
        self._seen: dict[tuple[int, str], _Seen] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a message."""
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
        """Tell what was counted so far, and begin anew."""
        with self._lock:
            told, self._seen, self._timer = self._seen, {}, None
        for (level, message), seen in told.items():
            if seen.count:
                self._logger.log(level, "%s (%d more %s)", message, seen.count, "time" if seen.count == 1 else "times")


@dataclass
class _Seen:
    first: float
    count: int = 0
    """How often it came after that."""


def set_up(settings: Settings, *, to_file: bool = False) -> None:
    """Send the program's messages to standard error, and to the log file if that is wanted.

    Args:
        settings: of the command. With `debug_logging`, the file gets every message.
        to_file: whether the file gets the messages of standard error otherwise.

    Raises:
        OutputError: the log file cannot be written.
    """
    # A disk that is full must not fill the terminal with tracebacks.
    logging.raiseExceptions = False
    logger = logging.getLogger("vod2strmfs")
    logger.propagate = False
    logger.setLevel(logging.DEBUG if settings.debug_logging else logging.INFO)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    for old in logger.filters[:]:
        logger.removeFilter(old)
    stream = logging.StreamHandler()
    stream.setLevel(logging.INFO)
    stream.setFormatter(_JournalFormatter() if _goes_to_journal() else logging.Formatter(_FORM))
    logger.addHandler(stream)
    if settings.debug_logging or to_file:
        file = _file(settings.logs / FILE_NAME)
        file.setFormatter(logging.Formatter(_FORM))
        logger.addHandler(file)
    repetitions = Repetitions(logger, _REPEAT_SECONDS)
    logger.addFilter(repetitions)
    atexit.register(repetitions.tell)
    logger.debug("vod2strmfs %s, Python %s, %s", __version__, platform.python_version(), settings)


def _goes_to_journal() -> bool:
    """Whether standard error is the stream that systemd connected to its journal (systemd.exec(5))."""
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def _file(path: Path) -> logging.Handler:
    try:
        for directory in (*reversed(path.parent.parents), path.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
        return _PrivateFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(
            f"log file {path}: {error.strerror}. Give a directory that this user can write with --log-dir."
        ) from error
