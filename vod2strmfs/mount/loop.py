"""proto"""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pyfuse3
import trio

_MODE = os.environ.get("LOOPMODE", "poll1")


class _Lock:
    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


_fd = -1
_turns = 0
_p = None


async def wait_readable(fd: int) -> None:
    global _fd, _turns, _p
    if fd != _fd:
        p = select.poll()
        p.register(fd, select.POLLIN)
        _p = p.poll
        _fd = fd
    if _turns < 64:
        _turns += 1
        if _MODE == "poll1":
            if _p(1):
                return
        elif _MODE == "spin":
            for _ in range(200):
                if _p(0):
                    return
        elif _MODE == "spinpoll":
            for _ in range(20):
                if _p(0):
                    return
            if _p(1):
                return
    _turns = 0
    await trio.lowlevel.wait_readable(fd)


@contextmanager
def direct() -> Iterator[None]:
    if _MODE == "trio":
        yield
        return
    ll = SimpleNamespace(
        wait_readable=wait_readable,
        notify_closing=trio.lowlevel.notify_closing,
        current_task=trio.lowlevel.current_task,
        current_trio_token=trio.lowlevel.current_trio_token,
    )
    pyfuse3.trio = SimpleNamespace(
        Lock=_Lock, lowlevel=ll, open_nursery=trio.open_nursery, ClosedResourceError=trio.ClosedResourceError
    )
    try:
        yield
    finally:
        pyfuse3.trio = trio
