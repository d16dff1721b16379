"""Running a mount in the background: the foreground process lives until the mount is ready, and says so."""

import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from vod2strmfs.errors import Exit, MountError

Serve = Callable[[Callable[[], None]], None]
"""A mount in the foreground: serves until the end, and calls what it is given once, when the library can be seen."""

_READY = b"\n"
_PATIENCE_SECONDS = 2.0
"""Seconds of waiting after which a message says for what."""

_log = logging.getLogger("vod2strmfs")


def run_in_background(serve: Serve) -> None:
    """Serve in a child process, and end this one as soon as the child is ready.

    Once ready, the child is in a session of its own; until then it keeps standard error, so that its first messages
    are seen. It stays in the current directory, to which relative paths refer. It returns from here when serving
    has ended; this process never does. An interrupt, SIGTERM or SIGHUP before the child is ready ends both.

    Raises:
        MountError: the child ended well before it was ready.
        SystemExit: the child is ready, or failed and has said why.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _redirect(0, 1)
        _serve(serve, writer)
        return
    os.close(writer)
    try:
        code = _wait(child, reader)
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    sys.exit(code)


def _wait(child: int, reader: int) -> int:
    """Wait until the child is ready or has ended; returns the exit code."""
    if not select.select([reader], [], [], _PATIENCE_SECONDS)[0]:
        print("vod2strmfs: waiting for the library's first generation; Ctrl-C gives up.", file=sys.stderr)
    if os.read(reader, 1) == _READY:
        return Exit.OK
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code <= 0:
        raise MountError("The mount ended before the library could be seen: it was unmounted, or told to stop.")
    return code


def _serve(serve: Serve, writer: int) -> None:
    is_ready = False

    def ready() -> None:
        nonlocal is_ready
        is_ready = True
        # Not before: autofs lets nobody but its own process group through to the directory that is mounted on.
        os.setsid()
        _redirect(2)
        with suppress(BrokenPipeError):
            os.write(writer, _READY)
        os.close(writer)

    try:
        serve(ready)
    except Exception:
        if is_ready:  # Else the terminal shows it.
            _log.exception("The mount has ended.")
        raise


def _redirect(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)
