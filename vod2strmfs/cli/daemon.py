"""Running a mount in the background: the foreground process lives until the mount is ready, and says so."""

import os
import sys
from collections.abc import Callable

from vod2strmfs.errors import Exit, UserError

_READY = b"\n"


def run_in_background(serve: Callable[[Callable[[], None]], None]) -> int:
    """Fork; the child serves.

    Args:
        serve: called in the child with what it has to call when it is ready.

    Returns:
        The exit code of the parent: that of the child if that ends before it is ready.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        os._exit(_serve(serve, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if pipe.read(1) == _READY:
            return Exit.OK
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _serve(serve: Callable[[Callable[[], None]], None], writer: int) -> int:
    open_writer = [writer]

    def ready() -> None:
        while open_writer:
            _leave_terminal()
            os.write(writer, _READY)
            os.close(open_writer.pop())

    try:
        serve(ready)
    except UserError as error:
        print(f"vod2strmfs: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return Exit.OK


def _leave_terminal() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
