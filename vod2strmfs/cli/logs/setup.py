"""Where messages go: standard error or the journal, and with `debug_logging` a rotated file."""

import atexit
import logging
import os
import platform
import sys
from pathlib import Path
from typing import TextIO

import click

from vod2strmfs import __version__
from vod2strmfs.cli.logs.repetitions import Repetitions
from vod2strmfs.cli.pasteable import current_pasting
from vod2strmfs.errors import OutputError
from vod2strmfs.host.printable import LogFormatter
from vod2strmfs.settings import Settings

FILE_NAME = "vod2strm.log"
_BYTES, _FILES = 10_000_000, 5
_REPEAT_SECONDS = 600.0
"""Seconds for which repetitions of a warning are counted before their number is logged."""
_FORM = "%(asctime)s %(levelname)s %(message)s"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Priorities of the journal for levels of logging; see sd-daemon(3)."""


class _StandardError(logging.StreamHandler[TextIO]):
    """A handler that writes to whatever standard error is at the time: a progress bar takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self.stream = sys.stderr
        super().emit(record)


class _JournalFormatter(LogFormatter):
    """A formatter that puts the level before every line, as the journal reads it; the journal knows the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


def set_up_logs(settings: Settings, *, to_file: bool = False, quiet: bool = False) -> None:
    """Send the program's messages to standard error, and to the log file if that is wanted.

    With the command's option --verbose, standard error gets every message.

    Args:
        settings: of the command. With `debug_logging`, the file gets every message.
        to_file: whether the file gets the messages of standard error otherwise.
        quiet: whether standard error gets errors only.

    Raises:
        OutputError: the log file cannot be written.
    """
    # A disk that is full must not fill the terminal with tracebacks.
    logging.raiseExceptions = False
    logger = logging.getLogger("vod2strmfs")
    logger.propagate = False
    context = click.get_current_context(silent=True)
    verbose = context is not None and context.meta.get("verbose", False)
    logger.setLevel(logging.DEBUG if settings.debug_logging or verbose else logging.INFO)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    for old in logger.filters[:]:
        logger.removeFilter(old)
    stream = _StandardError()
    stream.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    stream.setFormatter(_JournalFormatter() if _goes_to_journal() else LogFormatter(_FORM))
    logger.addHandler(stream)
    if settings.debug_logging or to_file:
        file = _file(settings.logs / FILE_NAME)
        file.setFormatter(LogFormatter(_FORM))
        logger.addHandler(file)
    if pasting := current_pasting():
        logger.addFilter(pasting)
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
    from vod2strmfs.cli.logs.shared_file import SharedFileHandler  # most commands have no log file

    try:
        for directory in (*reversed(path.parent.parents), path.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
        return SharedFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(
            f"log file {path}: {error.strerror}. Give a directory that this user can write with --log-dir."
        ) from error
