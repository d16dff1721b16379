"""How far a long piece of work is, for who waits."""

import logging
import time
from collections.abc import Callable

from vod2strmfs.status.words import span

Tell = Callable[[int, int], None]
"""Called now and then with how much is done, and of how much; 0 if that is not known."""

LINE_SECONDS = 30.0

_log = logging.getLogger("vod2strmfs")


class Lines:
    """Logs a line now and then, where no terminal shows a bar.

    Args:
        doing: what is done, as in "Writing".
        unit: of what is counted, as in "folders".
        every: seconds between lines.
    """

    def __init__(self, doing: str, unit: str, *, every: float = LINE_SECONDS) -> None:
        self._doing = doing
        self._unit = unit
        self._every = every
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """See `Tell`."""
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        rate = done / max(now - self._began, 0.001)
        if not total:
            _log.info("%s: %d %s, %d a second.", self._doing, done, self._unit, rate)
            return
        left = (total - done) / max(rate, 0.001)
        _log.info("%s: %d of %d %s, %d a second, %s left.", self._doing, done, total, self._unit, rate, span(left))
