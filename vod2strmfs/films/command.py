"""Learning films now, until no more can be: what `vod2strmfs learn` does."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trio

from vod2strmfs.films import wanted
from vod2strmfs.films.admission import Admission
from vod2strmfs.films.figures import Figures, are_learnt, read_figures, seconds_to_learn
from vod2strmfs.films.film import Key
from vod2strmfs.films.learner import Learner
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Due, Films, are_mounted, holding
from vod2strmfs.films.upstream import Upstream
from vod2strmfs.host.in_trio import in_trio, until_signal
from vod2strmfs.hydrate.api import Api
from vod2strmfs.index.accounts import account_names, called
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.status.words import capitalized, moment

_WATCH_SECONDS = 1.0
_API_SECONDS = 10.0
_GLANCE_SECONDS = 0.2
"""In which whoever looks whether somebody learns, such as `status`, has done so."""

_log = logging.getLogger("vod2strmfs")

Tell = Callable[[int, int], None]
Match = Callable[[str, Mapping[Key, str]], Set[Key]]
"""Gives the keys of the names that a user means, or raises SettingsError."""


@dataclass(frozen=True)
class Job:
    """An order to learn films.

    Args:
        order: how films are learnt.
        state_dir: where the library's index is.
        match: finds films by name.
        api: how to ask Dispatcharr for its streams; None: it is not asked.
        ca_file: see `Upstream`.
        names: globs; empty: everything.
        limit: how many films at most; None: as many as can be.
        server: see `wanted.Addresses`.
    """

    order: FilmsOrder
    state_dir: Path
    match: Match
    api: HydrateOrder | None = None
    ca_file: Path | None = None
    names: Sequence[str] = ()
    limit: int | None = None
    server: str = ""


@dataclass
class Plan:
    """The cost of learning films, as far as that is known beforehand."""

    films: int
    bytes: int
    seconds: float
    """At least: providers can be slower."""
    asked_since: float
    """The time since when films were asked for by name that are meant; 0: all films are."""


@dataclass
class Result:
    """The result of learning films."""

    plan: Plan
    counts: Counter[Kind] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why films could not be learnt."""
    taken: int = 0
    """Bytes that were taken from providers."""
    left: int = 0
    """The number of films that are still to be learnt."""
    figures: Figures | None = None
    """How far learning is at the end."""
    stopped: int = 0
    """The number of the signal that ended it; 0: none did."""
    elsewhere: bool = False
    """Whether another process learnt, or took over, and this one looked on."""


def learn(job: Job, *, begun: Callable[[Plan], None], tell: Tell) -> Result:
    """Learn what can be learnt now, or have it learnt first by the process that does, and look on.

    Args:
        job: what to learn.
        begun: called with what it will cost, before the first film is asked for.
        tell: called with how many were tried, and of how many.

    Raises:
        IndexFileError: the index, or what is known of films, cannot be used.
        SettingsError: no film is called so.
    """
    with Films(job.state_dir, job.order.cache) as films:
        films.follow_clock()
        wanted.look(job.state_dir, films)
        result = Result(_plan(films, job, _ask(films, job) if job.names else 0))
        begun(result.plan)
        with holding(job.state_dir, _GLANCE_SECONDS) as held:
            result.elsewhere = not held
            if held:
                in_trio(_Work(job, films, result, tell).run)
        if result.elsewhere and not result.stopped:
            _look_on(films, job, result, tell)
        result.left = films.waiting(time.time(), asked_since=result.plan.asked_since)
    result.figures = read_figures(job.state_dir)
    return result


def _ask(films: Films, job: Job) -> float:
    """Have the films learnt that are named; returns since when they are asked for, as no others are: what an earlier
    command named and nobody learnt yet is not meant.
    """
    names = dict(films.names())
    keys: list[Key] = []
    for each in job.names:
        keys += sorted(job.match(each, names))
    since = time.time()
    films.ask(keys)
    return since


def _plan(films: Films, job: Job, asked_since: float) -> Plan:
    number = films.waiting(time.time(), asked_since=asked_since)
    if job.limit is not None:
        number = min(number, job.limit)
    figures = read_figures(job.state_dir)
    each = figures.each if figures else 0
    order, taken = job.order, figures.taken if figures else 0
    seconds = seconds_to_learn(number, each, order.learn_rate, order.learn_bytes, taken, 0)
    return Plan(number, number * each, seconds, asked_since)


def _look_on(films: Films, job: Job, result: Result, tell: Tell) -> None:
    """Tell how far another process is, until nothing waits any more, or nothing comes, or it has ended."""
    total, tried, since = result.plan.films, result.counts.total(), result.plan.asked_since
    before = films.waiting(time.time(), asked_since=since)
    said: Set[str] = set()
    while (figures := read_figures(job.state_dir)) is not None:
        waiting = films.waiting(time.time(), asked_since=since)
        # Others may wait that are not to be waited for: --limit.
        done = min(tried + max(before - waiting, 0), total)
        tell(done, total)
        if not waiting or done >= total or figures.stopped or figures.paused:
            return
        said = _say_full(films, job.state_dir, since, figures, said)
        time.sleep(_WATCH_SECONDS)
        if not are_mounted(job.state_dir) and not are_learnt(job.state_dir):
            return


def _say_full(films: Films, state_dir: Path, asked_since: float, figures: Figures, said: Set[str]) -> Set[str]:
    """Say of which accounts a stream is waited for, unless that was said; returns those accounts."""
    names = account_names(state_dir) if figures.full else {}
    awaited = {called(account, names) for account in films.waiting_of(time.time(), asked_since=asked_since)}
    full = awaited & figures.full.keys()
    for name in sorted(full - said):
        since = moment(figures.full[name])
        _log.info("%s has no stream free to learn with since %s: its films wait.", capitalized(name), since)
    return full


class _Work:
    def __init__(self, job: Job, films: Films, result: Result, tell: Tell) -> None:
        self._job = job
        self._films = films
        self._result = result
        self._tell = tell

    async def run(self) -> None:
        await until_signal(self._learn, self._stop)

    def _stop(self, number: int) -> None:
        self._result.stopped = number

    async def _learn(self) -> None:
        job, films = self._job, self._films
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(Api(job.api, _API_SECONDS)) if job.api else None
            learner = Learner(
                job.order, films, Upstream(ca_file=job.ca_file), wanted.Addresses(job.state_dir, films, job.server),
                Admission(job.order, api), job.state_dir, self._note,
            )  # fmt: skip
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_way, learner)
                since = self._result.plan.asked_since
                await learner.work(until_done=True, asked_since=since, limit=job.limit)
                nursery.cancel_scope.cancel()

    async def _give_way(self, learner: Learner) -> None:
        """Leave the rest to a mount of films, once there is one: it alone knows who watches."""
        while not are_mounted(self._job.state_dir):
            await trio.sleep(_WATCH_SECONDS)
        self._result.elsewhere = True
        learner.end()

    def _note(self, due: Due, outcome: Outcome) -> None:
        result = self._result
        result.taken += outcome.taken
        if outcome.kind == Kind.YIELDED and result.elsewhere:
            return  # The mount learns it.
        result.counts[outcome.kind] += 1
        if outcome.kind != Kind.LEARNT:
            result.reasons[f"{outcome.kind}: {outcome.why}"] += 1
        self._tell(min(result.counts.total(), result.plan.films), result.plan.films)
