"""How a mount waits for requests: pyfuse3's event loop without the price of a scheduler for each of them.

pyfuse3 takes what it needs of trio from its module attribute `trio` (its asyncio mode replaces that too). While a
media server scans, the next request comes within microseconds of the last answer. So before waiting through trio,
we look at the FUSE descriptor for about a tenth of a millisecond without going to sleep, and sleep on it for another
millisecond; every `_TURNS` requests we go through trio all the same, where the other tasks have their turn. Then, if no
request has come, the loop is an ordinary trio program, and uses no processor time.
"""

import os
import select
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pyfuse3
import trio

_TURNS = 64
"""Requests answered between two visits to trio's scheduler."""
_LOOKS = 100
"""At the descriptor before going to sleep. A scan on another processor asks again before they are used up, and is
spared the waking of this one, which is dear in a virtual machine; one on this processor is let run in between."""
_POLL_MILLISECONDS = 1


@contextmanager
def direct(waiter: "Waiter | None" = None) -> Iterator[None]:
    """While it lasts, `pyfuse3.main(min_tasks=1, max_tasks=1)` waits for requests as this module says.

    Args:
        waiter: which does the waiting, and counts.
    """
    waiter = waiter or Waiter()
    vars(pyfuse3)["trio"] = SimpleNamespace(
        Lock=_NoLock,
        ClosedResourceError=trio.ClosedResourceError,
        open_nursery=trio.open_nursery,
        lowlevel=SimpleNamespace(
            current_task=trio.lowlevel.current_task,
            current_trio_token=trio.lowlevel.current_trio_token,
            notify_closing=trio.lowlevel.notify_closing,
            wait_readable=waiter.wait_readable,
        ),
    )
    try:
        yield
    finally:
        vars(pyfuse3)["trio"] = trio


class _Done:
    """Awaited, it is done: without a coroutine, of which there would be three for each request."""

    def __await__(self) -> Iterator[None]:
        return iter(())


_DONE = _Done()


class _NoLock:
    """Stands for the lock that several workers would need: there is one."""

    def __aenter__(self) -> _Done:
        return _DONE

    def __aexit__(self, *error: object) -> _Done:
        return _DONE


class Waiter:
    """Waits for requests, one at a time.

    Args:
        prepare: called when there is no request yet. It takes microseconds, never raises, and helps with the next one.
    """

    def __init__(self, prepare: Callable[[], None] = lambda: None) -> None:
        self._prepare = prepare
        self._poll = select.poll()
        self._registered = -1
        self._turns = 0
        self.requests = 0
        """For how many it has waited."""

    def wait_readable(self, descriptor: int) -> Awaitable[None] | _Done:
        """Return when the descriptor can be read, or raise what `trio.lowlevel.wait_readable` does."""
        if descriptor != self._registered:
            self._poll.register(descriptor, select.POLLIN)
            self._registered = descriptor
        self.requests += 1
        if self._turns < _TURNS and self._readable_soon():
            self._turns += 1
            return _DONE
        self._turns = 0
        return trio.lowlevel.wait_readable(descriptor)

    def _readable_soon(self) -> bool:
        poll = self._poll.poll
        if poll(0):
            return True
        self._prepare()
        for _ in range(_LOOKS):
            if poll(0):
                return True
            os.sched_yield()
        return bool(poll(_POLL_MILLISECONDS))
