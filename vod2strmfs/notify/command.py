"""A command that is told: it gets the changes as JSON lines on standard input."""

import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec
import trio

from vod2strmfs.notify.change import What
from vod2strmfs.notify.client import Library, Step, Target
from vod2strmfs.notify.http import TellError
from vod2strmfs.notify.order import Server

_WORDS = {What.CREATED: "created", What.MODIFIED: "modified", What.DELETED: "deleted"}
_KILL_SECONDS = 2.0


@asynccontextmanager
async def connect(server: Server) -> AsyncIterator["Command"]:
    """The command."""
    yield Command(shlex.split(server.url), server.timeout)


class Command:
    """See `Client`. It has no libraries: it is told everything.

    Args:
        words: the program and its arguments.
        timeout: seconds after which it is ended.
    """

    def __init__(self, words: Sequence[str], timeout: float) -> None:
        self._words = words
        self._timeout = timeout

    async def about(self) -> str:
        """See `Client`."""
        return " ".join(self._words[:1])

    async def libraries(self) -> list[Library]:
        """See `Client`."""
        return []

    async def sees(self, path: str) -> bool | None:
        """See `Client`."""
        return None

    def steps(self, targets: Sequence[Target], libraries: Sequence[Library]) -> Iterator[Step]:
        """See `Client`."""
        if targets:
            yield Step([target.row for target in targets], partial(self._run, b"".join(map(_line, targets))))

    async def _run(self, lines: bytes) -> None:
        """Run it, and end it and what it started when its time is over."""
        try:
            process = await trio.lowlevel.open_process(
                list(self._words), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0
            )
        except OSError as error:
            raise TellError(f"{self._words[0]}: cannot be started ({error.strerror})", lasting=True) from None
        assert process.stdin is not None
        try:
            with trio.move_on_after(self._timeout) as deadline:
                async with process.stdin:
                    with suppress(trio.BrokenResourceError):  # It need not read them.
                        await process.stdin.send_all(lines)
                await process.wait()
        finally:
            if process.returncode is None:
                await _end(process)
        if deadline.cancelled_caught:
            raise TellError(f"{self._words[0]}: did not end within {self._timeout:g} seconds, and was ended")
        if process.returncode:
            raise TellError(f"{self._words[0]}: ended with code {process.returncode}")


async def _end(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                return
            with trio.move_on_after(_KILL_SECONDS):
                await process.wait()


def _line(target: Target) -> bytes:
    change = target.row.change
    fields = {
        "change": "scan" if change.is_section else _WORDS[What(change.what)],
        "section": change.section,
        "path": target.path,
    }
    return msgspec.json.encode(fields) + b"\n"
