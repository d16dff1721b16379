"""Working through the queue: one series after the other, as fast as is allowed."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import trio

from vod2strmfs.errors import ApiError
from vod2strmfs.hydrate.api import Api, AwayError
from vod2strmfs.hydrate.catalogue import Catalogue
from vod2strmfs.hydrate.outcomes import Kind, Outcome, Patience
from vod2strmfs.hydrate.queue import Entry, Item, Limits, Pause, Queue

_T = TypeVar("_T")

_log = logging.getLogger("vod2strmfs")


class Filler:
    """Has Dispatcharr fetch episodes. All methods belong to the thread that runs it.

    Args:
        queue: what is to be asked for.
        catalogue: where that comes from, and where it is seen what came of it.
        api: whom to ask.
        limits: how much may be asked.
        patience: how long everything may take.
        settled: called with each request that is over.
        before: called before each step; it may add to the queue.
    """

    def __init__(
        self,
        queue: Queue,
        catalogue: Catalogue,
        api: Api,
        limits: Limits,
        patience: Patience,
        *,
        settled: Callable[[Item, Outcome], None] = lambda item, outcome: None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.queue = queue
        self.catalogue = catalogue
        self.api = api
        self.limits = limits
        self.patience = patience
        self.counts: Counter[Kind] = Counter()
        """How many requests ended how."""
        self.begun = 0
        """How many were begun."""
        self.paused: Pause | None = None
        """Why nothing is asked just now."""
        self._settled = settled
        self._before = before
        self._asking = 0
        self._stopping = False
        self._ended = trio.CancelScope()
        self._woken = trio.Event()
        self._looked = -1e12
        self._database = trio.CapacityLimiter(1)

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def stop(self, grace: float = math.inf) -> None:
        """Ask for nothing more, and end when what was asked for is answered, or after some seconds."""
        self._stopping = True
        self._ended.deadline = min(self._ended.deadline, trio.current_time() + grace)
        self.wake()

    async def look(self) -> None:
        """Take note of what the catalogue has, and of what was played."""
        entries = await self._read(self.catalogue.entries)
        self.queue.look(entries)
        self._looked = trio.current_time()
        if self.limits.older_than and not self.limits.chosen_since:
            try:
                played = await self.api.played()
            except AwayError:
                return
            self.queue.use_series(await self._read(lambda: self.catalogue.series_of(played)))

    async def run(self, *, until_done: bool) -> None:
        """Work until told to stop.

        Args:
            until_done: whether to end when nothing more is to be done now.

        Raises:
            ApiError: Dispatcharr refuses; or, if this is to end, it cannot be reached for long.
            CatalogError: its database cannot be read.
        """
        with self._ended:
            async with trio.open_nursery() as nursery:
                while not self._stopping:
                    self._woken = trio.Event()
                    self._before()
                    if self._stopping:
                        break
                    if trio.current_time() - self._looked > self.patience.look:
                        await self.look()
                    if not await self._step(nursery, until_done):
                        break

    async def _step(self, nursery: trio.Nursery, until_done: bool) -> bool:
        """Ask for the next series, or wait; returns whether there may be more to do."""
        step = self.queue.next(self.limits)
        if isinstance(step, Item):
            self.paused = None
            if await self._may_ask(step) and self.queue.claim(step, self.limits):
                self.begun += 1
                self._asking += 1
                nursery.start_soon(self._ask, step)
            return True
        if until_done and not self._asking:
            if step.why in ("nothing", "later", "budget"):
                self.paused = step
                return False
            if why := self.queue.away():
                raise ApiError(f"Dispatcharr cannot be asked: {why}. What is done stays done; run this again later.")
        self.paused = step
        with trio.move_on_after(min(step.seconds, self.patience.look)):
            await self._woken.wait()
        return True

    async def _may_ask(self, item: Item) -> bool:
        """Whether a series can be asked for: its account has a stream to spare, and nobody has got its episodes."""
        try:
            if await self.api.is_at_limit(item.account):
                if name := self.queue.hold(item.account):
                    _log.info("Account %s is at its stream limit: its series wait until somebody has stopped.", name)
                return False
        except AwayError as error:
            self.queue.punish(item.account, error.outcome)
            return False
        now = await self._entry(item)
        if now is None:
            await self.look()
            return False
        if now.missing != item.missing or (now.relation, now.series) != (item.relation, item.series):
            self.queue.look([now], whole=False)
            return False
        return True

    async def _entry(self, item: Item) -> Entry | None:
        entries = await self._read(lambda: self.catalogue.entries_of(item.series))
        return next((each for each in entries if each.key == item.key), None)

    async def _ask(self, item: Item) -> None:
        # Dispatcharr takes a series without episodes for one that it knows.
        force = item.empty_days > 0
        began = time.monotonic()
        try:
            outcome = await self.api.fetch_episodes(
                item.series, item.relation, force=force, older_than=0 if item.missing else self.limits.older_than
            )
        except ApiError as error:
            self.queue.settle(item.key, Outcome(Kind.AWAY, str(error)))
            raise
        self.queue.settle(item.key, outcome)
        self._asking -= 1
        self.counts[outcome.kind] += 1
        _log.debug(
            "Series %d (%s): %s after %.1f s. %s", item.series, item.name, outcome.kind, time.monotonic() - began,
            outcome.why,
        )  # fmt: skip
        self._settled(item, outcome)
        self.wake()

    async def _read(self, read: Callable[[], _T]) -> _T:
        return await trio.to_thread.run_sync(read, limiter=self._database)
