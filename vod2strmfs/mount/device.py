"""The kernel's side of a mount: requests are read from its device, and replies written to it.

pyfuse3 mounts, and answers the first request (INIT), with which both sides agree on a version and on features. From
then on its descriptor is ours; see docs/decisions/0019-requests-of-our-own.md.

While a media server scans, the next request comes within microseconds of the last answer. So before waiting through
trio, we look at the descriptor for about a tenth of a millisecond without going to sleep, and sleep on it for another
millisecond; every `_TURNS` requests we go through trio all the same, where the other tasks have their turn. Then, if no
request has come, the loop is an ordinary trio program, and uses no processor time.
"""

import errno
import logging
import os
import select
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import SimpleNamespace

import pyfuse3
import trio

from vod2strmfs.mount.wire import (
    Body,
    LaterError,
    NotYetError,
    Reply,
    RequestError,
    amended,
    interrupted,
    refused,
    replied,
    unique_of,
)

_log = logging.getLogger("vod2strmfs")

Answer = Callable[[bytes], Reply | None]
"""Gives the reply to a request, as `wire.answer` does."""

_TURNS = 64
"""Requests answered between two visits to trio's scheduler."""
_LOOKS = 100
"""At the descriptor before going to sleep. A scan on another processor asks again before they are used up, and is
spared the waking of this one, which is dear in a virtual machine; one on this processor is let run in between."""
_POLL_MILLISECONDS = 1
_PATIENCE_STEP = 0.01
"""Seconds until a request that had to wait is tried again."""
_ROOM = (1 << 20) + (64 << 10)
"""Bytes: the kernel hands out no request to a buffer that has no room for the largest write that was agreed upon."""


async def negotiated() -> int:
    """Let pyfuse3 answer INIT, and nothing else; returns the descriptor of the device.

    pyfuse3 waits for requests through its module attribute `trio` (its asyncio mode replaces that too), by which we
    learn its descriptor, and stop it before it reads a second one. What it cannot be asked for is written into its
    answer, on the way.
    """
    descriptor = -1
    with ExitStack() as stack:

        async def wait_readable(its: int) -> None:
            nonlocal descriptor
            if descriptor >= 0:
                raise trio.ClosedResourceError
            descriptor = its
            await trio.lowlevel.wait_readable(its)
            stack.enter_context(_first_answer_changed(its))

        lowlevel = SimpleNamespace(**vars(trio.lowlevel) | {"wait_readable": wait_readable})
        vars(pyfuse3)["trio"] = SimpleNamespace(**vars(trio) | {"lowlevel": lowlevel})
        try:
            await pyfuse3.main(min_tasks=1, max_tasks=1)
        finally:
            vars(pyfuse3)["trio"] = trio
    return descriptor


@contextmanager
def _first_answer_changed(descriptor: int) -> Iterator[None]:
    """Have a socket in the device's place for as long as the context lasts, which gives the first request, takes the
    answer to it, and hands that on to the device at the end."""
    device = os.dup(descriptor)
    try:
        request = os.read(device, _ROOM)
    except OSError:
        # It is unmounted already. pyfuse3 meets the same, and so does whoever reads next.
        os.close(device)
        yield
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            ours.send(request)
            os.dup2(theirs.fileno(), descriptor, inheritable=False)
        try:
            yield
        finally:
            ours.setblocking(False)
            answer = b""
            with suppress(BlockingIOError):
                answer = ours.recv(_ROOM)
            os.dup2(device, descriptor, inheritable=False)
            os.close(device)
            # It may be unmounted by now.
            with suppress(OSError):
                os.write(descriptor, amended(answer))


class Device:
    """The kernel's device, whose requests are answered one after the other.

    Args:
        answer: gives the replies.
        prepare: called when there is no request yet. It takes microseconds, never raises, and helps with the next one.
        hurried: whether other tasks have work that must not wait until it is certain that there is no request. While
            an answer is waited for, they have.
    """

    def __init__(
        self,
        answer: Answer,
        prepare: Callable[[], None] = lambda: None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        self._answer = answer
        self._prepare = prepare
        self._hurried = hurried
        self._waiting: dict[int, trio.CancelScope] = {}
        """Requests that are answered later, by their `unique`."""
        self.requests = 0
        """How many have come."""

    async def serve(self, descriptor: int) -> None:
        """Answer requests until the file system is unmounted.

        Raises:
            OSError: the device cannot be read.
        """
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._buffers = [memoryview(bytearray(_ROOM))]
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        async with trio.open_nursery() as self._later:
            while self._answer_some():
                await trio.lowlevel.wait_readable(descriptor)
            self._later.cancel_scope.cancel()

    def _answer_some(self) -> bool:
        """Answer what comes, until nothing does, or it is the others' turn; returns whether there can be more."""
        for _ in range(_TURNS):
            if not self._readable_soon():
                break
            try:
                length = os.readv(self._descriptor, self._buffers)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return False
                self._read_again(error)
                continue
            self.requests += 1
            self._handle(self._buffers[0][:length].tobytes())
        return True

    def _readable_soon(self) -> bool:
        poll = self._poll.poll
        if poll(0):
            return True
        if self._waiting or self._hurried():
            return False
        self._prepare()
        for _ in range(_LOOKS):
            if poll(0):
                return True
            os.sched_yield()
        return bool(poll(_POLL_MILLISECONDS))

    def _read_again(self, error: OSError) -> None:
        """Go on if the device can be read again: the request was taken back, or there is too little room for it."""
        if error.errno == errno.EINVAL and len(self._buffers[0]) < 64 * _ROOM:
            self._buffers = [memoryview(bytearray(2 * len(self._buffers[0])))]
        # Out of memory, the kernel has refused the request itself.
        elif error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN, errno.ENOMEM):
            raise error

    def _handle(self, request: bytes) -> None:
        if self._waiting and (unique := interrupted(request)) in self._waiting:
            self._waiting.pop(unique).cancel()
            self.tell(refused(unique, errno.EINTR))
            return
        try:
            self._answer_now(request)
        except NotYetError:
            self._begin(unique_of(request), partial(self._ask_again, request))
        except LaterError as later:
            self._begin(unique_of(request), partial(self._answer_with, later.body))

    def _answer_now(self, request: bytes) -> None:
        reply = self._answer(request)
        if reply is not None:
            self.tell(reply)

    def _begin(self, unique: int, answer: Callable[[int], Awaitable[None]]) -> None:
        """Let a request be answered by a task of its own."""
        scope = self._waiting[unique] = trio.CancelScope()
        self._later.start_soon(self._answer_later, unique, answer, scope)

    async def _answer_later(
        self, unique: int, answer: Callable[[int], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        with scope:
            await answer(unique)
            self._waiting.pop(unique, None)

    async def _ask_again(self, request: bytes, unique: int) -> None:
        while True:
            await trio.sleep(_PATIENCE_STEP)
            if unique not in self._waiting:  # It was interrupted when this had been woken already.
                return
            with suppress(NotYetError):
                self._answer_now(request)
                return

    async def _answer_with(self, body: Callable[[], Awaitable[Body]], unique: int) -> None:
        try:
            reply = replied(unique, await body())
        except RequestError as refusal:
            reply = refused(unique, refusal.errno)
        if unique in self._waiting:
            self.tell(reply)

    def tell(self, message: Reply) -> None:
        """Write a reply or a notification."""
        try:
            os.writev(self._descriptor, [message] if isinstance(message, bytes) else message)
        except OSError as error:
            # Whoever asked is gone, or what it is about, or all of the file system.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                _log.debug("The kernel does not take an answer: %s.", error)
