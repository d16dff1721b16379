"""Who may have a stream of a provider's account now: whoever watches before whoever learns, and never more than it has.

A stream that has ended counts as used for a little while: Dispatcharr hangs up on the provider a second later.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import trio

from vod2strmfs.errors import ApiError
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.hydrate.api import Api, AwayError
from vod2strmfs.status.words import counted

QUIET_SECONDS = 2.1
_ASK_SECONDS = 2.0
"""For what Dispatcharr says of its streams, while somebody waits for one."""
_LIMIT_SECONDS = 300.0
"""So long a limit is remembered; one that could not be had, a tenth of that."""
_UNLIMITED = 1 << 30
_UNKNOWN = 1


class Rank(IntEnum):
    """The use of a stream: for the sake of a higher one, it is taken away from a lower one."""

    LEARNER = 0
    LEFT = 1
    """A film that nobody has open any more."""
    BACKGROUND = 2
    """A reader that nobody watches."""
    VIEWER = 3


class FullError(Exception):
    """An account has no stream free; the text says so for people."""


class Lease:
    """A stream of an account, in use.

    Args:
        rank: what the stream is used for; may be changed while it is used.
    """

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self.scope = trio.CancelScope()
        """What uses the stream runs in this scope, which is cancelled when the stream is taken away."""

    @property
    def taken(self) -> bool:
        """Whether the stream was taken away, for a higher rank."""
        return self.scope.cancel_called


class Refusal(NamedTuple):
    """A film that could not be read for want of a stream: when, and why."""

    at: float
    """Unix time."""
    why: str


class Streams(NamedTuple):
    """The streams of an account, by what they are used for."""

    limit: int
    """Streams that the account has; 0: without a limit."""
    viewers: int
    """Streams of films that are read, by whomever, or were until lately."""
    learners: int
    refused: int
    """How often a film could not be read for want of a stream."""
    last_refusal: Refusal | None


@dataclass
class _Account:
    leases: list[Lease] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    """The times until which streams that have ended count as used."""
    waiting: list[Rank] = field(default_factory=list)
    """The ranks of those who wait for a stream, other than learners; the highest one gets it."""
    changed: trio.Event = field(default_factory=trio.Event)
    limit: int = _UNKNOWN
    limit_until: float = -1e9
    refused: int = 0
    last_refusal: Refusal | None = None

    def used(self) -> int:
        """The number of streams that count as used."""
        now = trio.current_time()
        self.quiet = [until for until in self.quiet if until > now]
        return len(self.leases) + len(self.quiet)

    def tell(self) -> None:
        """Wake those who wait."""
        self.changed.set()
        self.changed = trio.Event()


class Admission:
    """The streams of all accounts: gives them to those who need one, and takes them away again.

    Args:
        order: what the settings say.
        api: Dispatcharr, if we may ask it how many streams there are.
        quiet: seconds for which a stream that has ended counts as used.
    """

    def __init__(self, order: FilmsOrder, api: Api | None = None, *, quiet: float = QUIET_SECONDS) -> None:
        self._order = order
        self._api = api
        self._quiet = quiet
        self._accounts: dict[int, _Account] = {}

    @asynccontextmanager
    async def lease(self, account: int, rank: Rank, within: float = 0.0) -> AsyncIterator[Lease]:
        """A stream of an account, for as long as the context lasts. If it is taken away, the context is cancelled and
        ends, and the lease says so (`taken`).

        Args:
            account: whose stream.
            rank: what for.
            within: seconds to wait at most, for one that is about to be free.

        Raises:
            FullError: there is none.
        """
        its = self._account(account)
        lease = Lease(rank)
        if rank == Rank.LEARNER:
            if not await self.has_room_to_learn(account):
                raise FullError("its account has no stream free to learn with")
        else:
            its.waiting.append(rank)
            try:
                await self._wait(account, its, rank, within)
            finally:
                its.waiting.remove(rank)
                its.tell()
        # Nothing is awaited between the last look at what is used and this.
        its.leases.append(lease)
        try:
            with lease.scope:
                yield lease
        finally:
            its.leases.remove(lease)
            its.quiet.append(trio.current_time() + self._quiet)
            its.tell()

    async def has_room_to_learn(self, account: int) -> bool:
        """Whether an account has a stream free for a learner now."""
        its = self._account(account)
        room = await self._limit(account, its) - self._order.reserve_streams
        used_by_all = 0
        if self._api and room < _UNLIMITED // 2:
            with trio.move_on_after(_ASK_SECONDS) as scope:
                try:
                    _, used_by_all = await self._api.streams(account)
                except (AwayError, ApiError):
                    return False
            if scope.cancelled_caught:
                return False
        return not its.waiting and max(its.used(), used_by_all) < room

    def refused(self, account: int, why: str) -> None:
        """Note that a film could not be read for want of a stream."""
        its = self._account(account)
        its.refused += 1
        its.last_refusal = Refusal(time.time(), why)

    def streams(self, others: Iterable[int] = ()) -> Mapping[int, Streams]:
        """What streams are used for, by account: of the accounts that were asked for a stream, and of others."""
        for account in others:
            self._account(account)
        found = {}
        for account, its in self._accounts.items():
            learners = sum(lease.rank == Rank.LEARNER for lease in its.leases)
            limit = 0 if its.limit == _UNLIMITED else its.limit
            found[account] = Streams(limit, len(its.leases) - learners, learners, its.refused, its.last_refusal)
        return found

    def _account(self, account: int) -> _Account:
        return self._accounts.setdefault(account, _Account())

    async def _wait(self, account: int, its: _Account, rank: Rank, within: float) -> None:
        """Return when there is a stream free, and take one away from a lower rank if need be."""
        deadline = trio.current_time() + within
        limit = await self._limit(account, its)
        while (is_full := its.used() >= limit) or max(its.waiting) > rank:
            if is_full and sum(not lease.taken for lease in its.leases) >= limit and not _take_away(its, rank):
                raise FullError(f"films that play use the {counted(limit, 'streams')} of its account")
            changed, now = its.changed, trio.current_time()
            if now >= deadline:
                raise FullError(f"no stream of its account became free in {within:.0f} seconds")
            with trio.move_on_at(min([deadline, *its.quiet])):
                await changed.wait()

    async def _limit(self, account: int, its: _Account) -> int:
        """The number of streams that an account has."""
        if self._order.max_streams:
            its.limit = self._order.max_streams
        elif self._api and trio.current_time() >= its.limit_until:
            remembered = _LIMIT_SECONDS / 10
            with trio.move_on_after(_ASK_SECONDS):
                try:
                    limit, _ = await self._api.streams(account)
                    its.limit, remembered = limit or _UNLIMITED, _LIMIT_SECONDS
                except (AwayError, ApiError):
                    pass  # What it last said holds; `doctor` says what is wrong with its API.
            its.limit_until = trio.current_time() + remembered
        return its.limit


def _take_away(its: _Account, rank: Rank) -> bool:
    """Take the stream of the lowest rank away, if it is lower than this; returns whether there was one."""
    lower = [lease for lease in its.leases if lease.rank < rank and not lease.taken]
    if not lower:
        return False
    min(lower, key=lambda lease: lease.rank).scope.cancel()
    return True
