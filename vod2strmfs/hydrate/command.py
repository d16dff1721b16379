"""Filling series until nothing more is to be done: what `vod2strmfs hydrate` does."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from vod2strmfs.errors import CatalogError, SettingsError
from vod2strmfs.extract.filters import matching
from vod2strmfs.host.in_trio import in_trio
from vod2strmfs.hydrate.api import Api
from vod2strmfs.hydrate.catalogue import Catalogue
from vod2strmfs.hydrate.filler import Filler
from vod2strmfs.hydrate.outcomes import DAY, Kind, Outcome, Patience
from vod2strmfs.hydrate.queue import Entry, Item, Key, Limits, Queue
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.settings import LibrarySettings

_GRACE_SECONDS = 10.0
"""For an answer that is on its way when a signal comes."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """What to ask for.

    Args:
        order: how, and whom to ask.
        database: Dispatcharr's.
        library: what is wanted of it.
        state_dir: where the queue is.
        series: ids, UUIDs or globs of names; empty: all that are due.
        limit: how many at most; None: as many as the budget allows.
        older_than: days after which those are asked for again that have episodes; None: never.
    """

    order: HydrateOrder
    database: str
    library: LibrarySettings
    state_dir: Path
    series: tuple[str, ...] = ()
    limit: int | None = None
    older_than: float | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass
class Result:
    """What came of having episodes fetched."""

    planned: list[Item]
    """What was to be asked for, in its order."""
    counts: Counter[Kind] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why something failed."""
    missing: int = 0
    """How many series have no episodes still."""
    stopped: int = 0
    """The signal that ended it; 0: none did."""
    over_budget: bool = False


def hydrate(job: Job, *, dry_run: bool = False, begun: Callable[[int], None], tell: Tell) -> Result:
    """Have the episodes of series fetched.

    Args:
        job: what to ask for.
        dry_run: whether to ask for nothing, and only say what would be.
        begun: called with how many series it is about, before the first is asked for.
        tell: called with how many were asked for, and of how many.

    Raises:
        ApiError, CatalogError, IndexFileError: it could not be done, or not all of it.
        SettingsError: no such series.
    """
    return in_trio(_Run(job, begun, tell).run, dry_run)


class _Run:
    def __init__(self, job: Job, begun: Callable[[int], None], tell: Tell) -> None:
        self._job = job
        self._begun = begun
        self._tell = tell
        self._result = Result([])

    async def run(self, dry_run: bool) -> Result:
        job, result = self._job, self._result
        with ExitStack() as stack:
            queue = Queue(job.state_dir, job.patience)
            stack.callback(queue.close)
            catalogue = Catalogue(job.database, job.library)
            stack.callback(catalogue.close)
            async with Api(job.order, job.patience.answer) as api:
                filler = Filler(
                    queue, catalogue, api, self._limits(), job.patience, settled=self._settled, before=self._check_limit
                )
                self._filler = filler
                entries = await trio.to_thread.run_sync(catalogue.entries)
                queue.look(entries)
                queue.choose(_chosen(entries, job.series))
                result.planned = queue.due(filler.limits)
                if job.limit is not None:
                    result.planned = result.planned[: job.limit]
                if not dry_run:
                    self._begun(len(result.planned))
                    await self._fill()
                    with suppress(CatalogError):  # Else the numbers are those of the last look.
                        queue.look(await trio.to_thread.run_sync(catalogue.entries))
            result.missing = queue.missing()
            result.over_budget = filler.paused is not None and filler.paused.why == "budget"
        return result

    def _limits(self) -> Limits:
        job, order = self._job, self._job.order
        # Who says how many, or which, has thought of the budget.
        budget = 0 if job.series or job.limit is not None else order.budget
        older = 0 if job.older_than is None else job.older_than * DAY
        now = time.time()
        return Limits(order.rate, budget, order.parallel, older, now, chosen_since=now if job.series else 0)

    def _check_limit(self) -> None:
        limit = self._job.limit
        if limit is not None and self._filler.begun >= limit:
            self._filler.stop()

    def _settled(self, item: Item, outcome: Outcome) -> None:
        self._result.counts[outcome.kind] += 1
        if outcome.kind != Kind.FILLED:
            self._result.reasons[outcome.why] += 1
        total = len(self._result.planned)
        self._tell(min(self._result.counts.total(), total), total)

    async def _fill(self) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:

                async def obey() -> None:
                    async for number in signals:
                        if self._result.stopped:
                            nursery.cancel_scope.cancel()
                        self._result.stopped = number
                        self._filler.stop(_GRACE_SECONDS)

                nursery.start_soon(obey)
                await self._filler.run(until_done=True)
                nursery.cancel_scope.cancel()


def _chosen(entries: Collection[Entry], wanted: Collection[str]) -> list[Key]:
    """The series that a user names.

    Raises:
        SettingsError: one of them is none.
    """
    keys: list[Key] = []
    names = {Key(entry.account, entry.stream): entry.name for entry in entries}
    for each in wanted:
        found = [
            Key(entry.account, entry.stream)
            for entry in entries
            if each.strip().lower() in (str(entry.series), entry.uuid)
        ] or sorted(matching(each, names))
        if not found:
            raise SettingsError(
                f"--series: there is no series {each!r} in the catalogue that the library shows. Give Dispatcharr's id,"
                ' its UUID, or its name with * for what may differ, as in "Lost*".'
            )
        keys += found
    return keys
