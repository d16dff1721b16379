"""How a mount waits for requests: pyfuse3's event loop without the price of a scheduler for each of them.

pyfuse3 takes what it needs of trio from its module attribute `trio` (its asyncio mode replaces that too). While a
media server scans, the next request comes within microseconds of the last answer. So before waiting through trio,
we poll the FUSE descriptor for up to a millisecond; every `_TURNS` requests we go through trio all the same, where the
other tasks have their turn. After a millisecond without a request the loop is an ordinary trio program, and uses no
processor time.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pyfuse3
import trio

_TURNS = 64
"""Requests answered between two visits to trio's scheduler."""
_POLL_MILLISECONDS = 1


@contextmanager
def direct() -> Iterator[None]:
    """While it lasts, `pyfuse3.main(min_tasks=1, max_tasks=1)` waits for requests as this module says."""
    vars(pyfuse3)["trio"] = SimpleNamespace(
        Lock=_NoLock,
        ClosedResourceError=trio.ClosedResourceError,
        open_nursery=trio.open_nursery,
        lowlevel=SimpleNamespace(
            current_task=trio.lowlevel.current_task,
            current_trio_token=trio.lowlevel.current_trio_token,
            notify_closing=trio.lowlevel.notify_closing,
            wait_readable=_Waiter().wait_readable,
        ),
    )
    try:
        yield
    finally:
        vars(pyfuse3)["trio"] = trio


class _NoLock:
    """Stands for the lock that several workers would need: there is one."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *error: object) -> None:
        pass


class _Waiter:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._registered = -1
        self._turns = 0

    async def wait_readable(self, descriptor: int) -> None:
        """Return when the descriptor can be read, or raise what `trio.lowlevel.wait_readable` does."""
        if descriptor != self._registered:
            self._poll.register(descriptor, select.POLLIN)
            self._registered = descriptor
        if self._turns < _TURNS and self._poll.poll(_POLL_MILLISECONDS):
            self._turns += 1
            return
        self._turns = 0
        await trio.lowlevel.wait_readable(descriptor)
