"""The log file, which several processes may write at once."""

import fcntl
import logging
import os
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler

from vod2strmfs.host.private import private


class SharedFileHandler(RotatingFileHandler):
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
        """See logging. Rotation is left undone while another process does it."""
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
        """Whether the path still leads to the file that is open."""
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
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=private)
