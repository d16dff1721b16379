"""The times at which the long-running service materializes: those of its schedule, whenever the catalogue has come to
rest after a change, and when it is told to."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

from vod2strmfs.catalog.source import retry_pause
from vod2strmfs.errors import CatalogError, ShrinkHeldError, UserError

_LONGEST_NAP = 60.0
"""Seconds that the service sleeps at most: the clock may be set, a laptop may sleep, and a signal may come in the last
instant before a nap, whose handler runs after it."""
_RETRIES = 5
"""Retries after a run that failed. After that the service waits for the next schedule or change."""
_FIRST_PAUSE = 60.0
"""Seconds before the first retry; doubled for each further one."""
_LONGEST_PAUSE = 60.0
"""Seconds between two attempts to reach a database that is away, the first ones being closer."""

_log = logging.getLogger("vod2strmfs")


class Service:
    """The service without its signals: decides when to run, and runs; never twice at once.

    Args:
        export: brings the index up to date, and materializes.
        sync_once: brings the index up to date, and says whether that made a new generation. None: the service waits
            for its times only.
        next_due: the next time to run. None: the service waits for changes only.
        poll_seconds: the time between two calls of `sync_once`.
        settle_seconds: the time for which the catalogue has to stay as it is after a change.
    """

    def __init__(
        self,
        export: Callable[[], None],
        *,
        sync_once: Callable[[], bool] | None,
        next_due: Callable[[], datetime] | None,
        poll_seconds: float,
        settle_seconds: float,
    ) -> None:
        self._export = export
        self._sync_once = sync_once
        self._next_due = next_due
        self._poll_seconds = poll_seconds
        self._settle_seconds = settle_seconds
        self.tell: Callable[..., None] = _tell_nobody
        """Called with fields of `ServiceState` that may have other values now."""
        self._woken: SimpleQueue[None] = SimpleQueue()
        """A queue that holds something when there is something to do. A signal handler may put that in at any moment:
        of the ways to wake a thread, this one is reentrant; an Event's lock may be held by the very thread that is
        interrupted."""
        self._asked = False
        self._stopped = False
        self._wanted = sync_once is not None
        """Whether a run is to come once the catalogue has settled. What changed before the start of the service is not
        known: so there is one."""
        self._not_before = 0.0
        """The time (monotonic seconds) before which no wanted run begins."""
        self._sync_at = 0.0
        """The time (monotonic seconds) of the next call of `sync_once`."""
        self._due = 0.0
        """The time (seconds since the epoch) of the next run of the schedule."""
        self._now = 0.0
        """What the clock showed when it was looked at last (seconds since the epoch)."""
        self._moment: datetime | None = None
        """The same time in the time zone of the schedule; None without a schedule."""
        self._away = 0
        """Attempts to read the catalogue that failed, since one succeeded."""
        self._failed = 0
        """Runs that could not write everything, since one could."""

    def run_now(self) -> None:
        """Run as soon as the run in progress, if any, has ended. May be called by a signal handler."""
        self._asked = True
        self._woken.put(None)

    def stop(self) -> None:
        """End when the run in progress, if any, has ended. May be called by a signal handler."""
        self._stopped = True
        self._woken.put(None)

    def serve(self) -> None:
        """Serve until stopped."""
        self._renew_due()
        self._tell_due()
        while not self._stopped:
            self._step()
            self.tell(next_run=self._next_run())
            with suppress(Empty):
                self._woken.get(timeout=self._pause())

    def _step(self) -> None:
        self._follow_clock()
        if self._asked or time.time() >= self._due:
            self._asked = False
            self._renew_due()  # before the run: what is due meanwhile comes after it
            self._run()
            self._tell_due()
            return
        if self._sync_once and (time.monotonic() >= self._sync_at or self._is_ripe()):
            self._sync(self._sync_once)
        if self._is_ripe():
            self._run()

    def _follow_clock(self) -> None:
        """Take the schedule's next time anew if the clock was set back: by the time before, it may be years away."""
        before, self._now = self._now, time.time()
        if self._now < before - _LONGEST_NAP:
            self._renew_due()
            self._tell_due()

    def _is_ripe(self) -> bool:
        return self._wanted and time.monotonic() >= self._not_before

    def _next_run(self) -> float:
        """When the next run comes (seconds since the epoch, whole ones), if nothing happens; 0 if none does."""
        at = self._due
        if self._wanted:
            # Rounded, since the two clocks do not go alike, and each other value is a note.
            at = min(at, 5 * round((time.time() + max(self._not_before - time.monotonic(), 0)) / 5))
        return 0.0 if at == float("inf") else at

    def _pause(self) -> float:
        """The time (seconds) for which nothing is to be done."""
        if self._asked or self._stopped:
            return 0.0
        pauses = [_LONGEST_NAP, self._due - time.time()]
        if self._sync_once:
            pauses.append(self._sync_at - time.monotonic())
        if self._wanted:
            pauses.append(self._not_before - time.monotonic())
        return max(0.0, min(pauses))

    def _renew_due(self) -> None:
        self._moment = self._next_due() if self._next_due else None
        self._due = self._moment.timestamp() if self._moment else float("inf")

    def _tell_due(self) -> None:
        if self._moment:
            _log.info("The next run is at %s.", self._moment.isoformat(sep=" "))

    def _sync(self, sync_once: Callable[[], bool]) -> None:
        """Bring the index up to date, and want a run if that made a new generation."""
        try:
            changed = sync_once()
        except CatalogError as error:
            pause = self._note_lost(error)
        except Exception as error:
            _tell(error)
            pause = _FIRST_PAUSE
        else:
            self._note_found()
            if changed:
                self._wanted = True
                self._not_before = time.monotonic() + self._settle_seconds
            self._sync_at = time.monotonic() + self._poll_seconds
            return
        self._sync_at = time.monotonic() + pause
        # A run would meet the same error.
        self._not_before = max(self._not_before, self._sync_at)

    def _run(self) -> None:
        self.tell(running_since=time.time())
        try:
            self._run_once()
        finally:
            self.tell(running_since=0.0, next_run=self._next_run())

    def _run_once(self) -> None:
        self._wanted = False
        try:
            self._export()
        except CatalogError as error:
            self._wanted = True
            self._not_before = time.monotonic() + self._note_lost(error)
            return
        except ShrinkHeldError as error:
            # All that may be done is done.
            _tell(error)
        except Exception as error:
            _tell(error)
            self._failed += 1
            self._wanted = self._failed <= _RETRIES
            self._not_before = time.monotonic() + _FIRST_PAUSE * 2.0 ** (self._failed - 1)
            if self._wanted:
                return
        self._failed = 0
        self._note_found()

    def _note_lost(self, error: CatalogError) -> float:
        """Note that the catalogue cannot be read; returns the seconds until the next attempt."""
        if not self._away:
            _log.error("%s What was written stays as it is; it is tried again.", _line(error))
            self.tell(stale_since=time.time(), error=str(error))
        self._away += 1
        return retry_pause(self._away, _LONGEST_PAUSE)

    def _note_found(self) -> None:
        """Note that the catalogue can be read."""
        if self._away:
            _log.info("The catalogue can be read again after %d failed attempts.", self._away)
            self.tell(stale_since=0.0, error="")
        self._away = 0


def _tell_nobody(**_: object) -> None:
    """Nobody wants to know."""


def _tell(error: Exception) -> None:
    known = isinstance(error, UserError)
    _log.error("%s", _line(error) if known else f"Unexpected error: {type(error).__name__}: {error}.")
    if not known:
        _log.debug("It came from here.", exc_info=True)


def _line(error: Exception) -> str:
    return str(error).replace("\n", " ")
