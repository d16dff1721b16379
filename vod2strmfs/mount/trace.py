"""Logging each request with its time, when that is wanted."""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from vod2strmfs.mount.device import Answer
from vod2strmfs.mount.wire import Body, LaterError, Reply, RequestError, describe, refused, replied, unique_of

_log = logging.getLogger("vod2strmfs")


def traced(answer: Answer) -> Answer:
    """What answers in the same way, and logs what was asked, how it ended, and how long that took.

    The time is the handler's own, and of an answer that was awaited all of it; what the kernel takes is not in it.
    """

    def timed(request: bytes) -> Reply | None:
        started = time.perf_counter_ns()
        try:
            reply = answer(request)
        except LaterError as later:
            raise LaterError(partial(_awaited, request, later.body, started)) from None
        _note(request, reply, started)
        return reply

    return timed


async def _awaited(request: bytes, body: Callable[[], Awaitable[Body]], started: int) -> Body:
    try:
        answered = await body()
    except RequestError as refusal:
        _note(request, refused(unique_of(request), refusal.errno), started)
        raise
    _note(request, replied(unique_of(request), answered), started)
    return answered


def _note(request: bytes, reply: Reply | None, started: int) -> None:
    took = (time.perf_counter_ns() - started) / 1000
    _log.debug("%s: %s, %.0f µs", *describe(request, reply), took)
