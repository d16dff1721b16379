"""Where messages go: standard error, and with `debug_logging` a rotated file."""

import logging
from logging.handlers import RotatingFileHandler

from vod2strmfs.errors import OutputError
from vod2strmfs.settings import Settings

FILE_NAME = "vod2strm.log"
_BYTES, _FILES = 10_000_000, 5


def set_up(settings: Settings) -> None:
    """Send the program's messages to standard error, and to the log file if that is wanted.

    Raises:
        OutputError: the log file cannot be written.
    """
    logger = logging.getLogger("vod2strmfs")
    logger.handlers.clear()
    logger.propagate = False
    logger.setLevel(logging.INFO)
    _add(logger, logging.StreamHandler(), logging.INFO)
    if not settings.debug_logging:
        return
    path = settings.logs / FILE_NAME
    try:
        settings.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        handler = RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"log file {path}: {error.strerror}. Give a directory that this user can write with --log-dir."
        ) from error
    logger.setLevel(logging.DEBUG)
    _add(logger, handler, logging.DEBUG)


def _add(logger: logging.Logger, handler: logging.Handler, level: int) -> None:
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
