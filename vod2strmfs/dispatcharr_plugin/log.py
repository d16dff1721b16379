"""The log file, in the plugin's folder `logs`."""

import logging
from logging.handlers import WatchedFileHandler
from pathlib import Path

from vod2strmfs.errors import OutputError
from vod2strmfs.host.printable import LogFormatter
from vod2strmfs.settings import Settings

_NAME = "vod2strm.log"
_BYTES = 10_000_000
"""A file that is larger when a process begins makes room for a new one; the one before it is kept."""


def set_up(settings: Settings) -> None:
    """Send the program's messages to the log file; with `debug_logging`, all of them.

    A run and the keeper may write it at once: a line is one write at its end.

    Raises:
        OutputError: it cannot be written.
    """
    path = settings.logs / _NAME
    logging.raiseExceptions = False  # A disk that is full must not end a run.
    logger = logging.getLogger("vod2strmfs")
    logger.propagate = False
    logger.setLevel(logging.DEBUG if settings.debug_logging else logging.INFO)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(path)
        handler = WatchedFileHandler(path, encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"log file {path}: cannot be written ({error.strerror}).") from error
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)


def _make_room(path: Path) -> None:
    if path.exists() and path.stat().st_size > _BYTES:
        path.replace(path.with_name(f"{_NAME}.1"))
