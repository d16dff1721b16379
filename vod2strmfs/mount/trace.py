"""Logging each request with its time, when that is wanted."""

import logging
import time

from vod2strmfs.mount.device import Answer
from vod2strmfs.mount.wire import describe

_log = logging.getLogger("vod2strmfs")


def traced(answer: Answer) -> Answer:
    """What answers in the same way, and logs what was asked, how it ended, and how long that took.

    The time is the handler's own; what the kernel takes is not in it.
    """

    def timed(request: bytes) -> bytes | None:
        started = time.perf_counter_ns()
        reply = answer(request)
        took = (time.perf_counter_ns() - started) / 1000
        _log.debug("%s: %s, %.0f µs", *describe(request, reply), took)
        return reply

    return timed
