"""Where messages go: standard error, and with `debug_logging` a rotated file."""

import fcntl
import logging
import os
import platform
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from vod2strmfs import __version__
from vod2strmfs.errors import OutputError
from vod2strmfs.settings import Settings

FILE_NAME = "vod2strm.log"
_BYTES, _FILES = 10_000_000, 5


class _SharedFileHandler(RotatingFileHandler):
    """A log file that several processes write and rotate; each part of it can be read by its owner alone.

    A line is one write at the end of the file, which needs no lock, and no process ever waits for another. One alone
    rotates: it holds a lock on the directory, and only if the file still is the one that it has open. The others
    notice that the file is another one before their next line.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        try:
            if not self._is_current():
                self._reopen()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802
        """See logging."""
        assert self.stream is not None
        length = len(self.format(record).encode(errors="replace")) + 1
        return os.fstat(self.stream.fileno()).st_size + length > self.maxBytes

    def doRollover(self) -> None:  # noqa: N802
        """See logging. Left undone while another process does it."""
        directory = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_current():
                super().doRollover()
            else:
                self._reopen()
        except OSError:
            pass  # Somebody rotates it, or nobody can: the line goes to the file that is open.
        finally:
            os.close(directory)
        if self.stream is None:
            self.stream = self._open()

    def _is_current(self) -> bool:
        """Whether the file is still the one that is open."""
        assert self.stream is not None
        try:
            return os.path.samestat(os.fstat(self.stream.fileno()), os.stat(self.baseFilename))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.stream = self._open()

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time: a progress bar takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self.stream = sys.stderr
        super().emit(record)


def set_up(settings: Settings, *, to_file: bool = False, quiet: bool = False) -> None:
    """Send the program's messages to standard error, and to the log file if that is wanted.

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
    logger.setLevel(logging.DEBUG if settings.debug_logging else logging.INFO)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [_StandardError()]
    handlers[0].setLevel(logging.ERROR if quiet else logging.INFO)
    if settings.debug_logging or to_file:
        handlers.append(_file(settings.logs / FILE_NAME))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.debug("vod2strmfs %s, Python %s, %s", __version__, platform.python_version(), settings)


def _file(path: Path) -> logging.Handler:
    try:
        for directory in (*reversed(path.parent.parents), path.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
        return _SharedFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(
            f"log file {path}: {error.strerror}. Give a directory that this user can write with --log-dir."
        ) from error
