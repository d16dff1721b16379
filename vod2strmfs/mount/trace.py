"""Logging each request with its time, when that is wanted; otherwise the handlers stay as they are."""

import errno
import logging
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from pyfuse3 import EntryAttributes, FUSEError, RequestContext

from vod2strmfs.mount.operations import LibraryOperations

_log = logging.getLogger("vod2strmfs")

_HANDLERS = (
    "lookup", "getattr", "opendir", "readdir", "releasedir", "open", "read", "release", "getxattr",
    "listxattr", "statfs", "forget",
)  # fmt: skip


def trace(operations: LibraryOperations) -> None:
    """Let every handler log what it was asked, how it ended, and how long that took.

    The time is the handler's own; what the kernel and libfuse take is not in it.
    """
    for name in _HANDLERS:
        setattr(operations, name, _timed(name, getattr(operations, name)))


def _timed(name: str, handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(handle)
    async def timed(*arguments: Any) -> Any:
        result = "ok"
        started = time.perf_counter_ns()
        try:
            answer = await handle(*arguments)
            if isinstance(answer, EntryAttributes) and not answer.st_ino:
                result = errno.errorcode[errno.ENOENT]
            return answer
        except FUSEError as error:
            result = errno.errorcode.get(error.errno, str(error.errno))
            raise
        except BaseException as error:
            result = type(error).__name__
            raise
        finally:
            took = (time.perf_counter_ns() - started) / 1000
            _log.debug("%s(%s): %s, %.0f µs", name, ", ".join(map(_shown, arguments)), result, took)

    return timed


def _shown(argument: object) -> str:
    if isinstance(argument, RequestContext):
        return f"process {argument.pid}"
    if isinstance(argument, bytes):
        return repr(argument.decode(errors="replace"))
    return str(argument) if isinstance(argument, int) else type(argument).__name__
