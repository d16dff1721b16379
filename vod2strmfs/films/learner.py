"""Learning films: each one's exact size, what it is, and the parts of it that scanners read.

Gentle to providers: one film of an account at a time, so many a minute and so many bytes a day, and only with a stream
that nobody who watches needs. What an answer says is believed only once it fits what it holds.
"""

import json
import logging
import time
from collections.abc import Callable, Set
from pathlib import Path

import trio

from vod2strmfs.errors import UserError
from vod2strmfs.films import wanted
from vod2strmfs.films.admission import QUIET_SECONDS, Admission, FullError, Lease, Rank
from vod2strmfs.films.film import AddressOf
from vod2strmfs.films.lesson import Fetched, Lesson, NoFilmError, OverBudgetError
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import CLAIM_BYTES, Due, Films, holding
from vod2strmfs.films.upstream import Upstream, UpstreamError, UpstreamKind
from vod2strmfs.host.causes import cause_of
from vod2strmfs.host.room import has_room, is_full, why_full
from vod2strmfs.index.accounts import account_names, called
from vod2strmfs.status.words import capitalized

_LOOK_SECONDS = 10.0
"""How often to see whether the library is another one."""
_IDLE_SECONDS = 1.0
"""How often to see whether there is something to do, where there was nothing."""
_TURN_SECONDS = 5.0
"""How often to see whether another process that learns has ended."""
_BUSY_SECONDS = 5.0
"""For which an account is left alone that had no stream free."""
_SAID_SECONDS = 30.0
"""After which it is said that an account has no stream free."""
_SEEN_SECONDS = 900.0
"""For which an account is believed to have none that is not asked: there was nothing to learn of it, say."""
_FULL_SECONDS = 600.0
"""After which it is seen whether a full disk, or a full store, has room again."""
_LEAST_ROOM = 1 << 20
"""Bytes of a disk. With less of them free, nothing is asked for that could not be kept."""
_TIDY_SECONDS = 60.0
_ACCOUNTS = 8
"""How many are asked at once."""
_PATIENCE_SECONDS = 60.0
"""For a stream that is free, where learning is to end when nothing can be learnt."""
_FILM_SECONDS = 300.0
"""For all of one film."""

_KINDS = {
    UpstreamKind.BUSY: Kind.BUSY,
    UpstreamKind.FORBIDDEN: Kind.FORBIDDEN,
    UpstreamKind.GONE: Kind.GONE,
    UpstreamKind.UNSEEKABLE: Kind.UNSEEKABLE,
    UpstreamKind.NOT_A_FILM: Kind.NOT_A_FILM,
    UpstreamKind.AWAY: Kind.AWAY,
    UpstreamKind.FAILED: Kind.REFUSED,
}
"""What is not named here has failed."""

_log = logging.getLogger("vod2strmfs")

Note = Callable[[Due, Outcome], None]


class Learner:
    """The loop that learns the films that the library wants: which one is next, and when.

    Args:
        order: how films are learnt.
        films: where it is noted what was learnt; its limit is the order's `cache`.
        upstream: where films come from.
        address_of: gives the addresses of films.
        admission: gives streams of accounts.
        state_dir: where the library's index is.
        note: called with what came of each film.
        quiet: seconds for which an account is left alone after each.
    """

    def __init__(
        self,
        order: FilmsOrder,
        films: Films,
        upstream: Upstream,
        address_of: AddressOf,
        admission: Admission,
        state_dir: Path,
        note: Note = lambda due, outcome: None,
        quiet: float = QUIET_SECONDS,
    ) -> None:
        self._order = order
        self._films = films
        self._upstream = upstream
        self._address_of = address_of
        self._admission = admission
        self._state_dir = state_dir
        self._note = note
        self._quiet = quiet
        self._asking: dict[int, Lease | None] = {}
        """Accounts of which a film is being learnt, with the stream for it, once there is one."""
        self._left_alone: dict[int, float] = {}
        """Accounts that had no stream free, or were asked just now, and until when they are not asked again."""
        self._full: dict[int, tuple[float, float]] = {}
        """Accounts that had no stream free, since when, and until when at least: seconds since the epoch."""
        self._said_full: dict[int, float] = {}
        """Those of which that was said."""
        self._alone: set[int] = set()
        """Accounts whose films were learnt by one connection at a time, where two were refused."""
        self._is_ended = False
        self._pausing = trio.CancelScope()
        """The scope of the wait until the next film may be begun."""
        self._nothing: tuple[float, Set[int]] = -1e9, set()
        """Until when it is not looked for films again that can be learnt beside some accounts: there were none."""
        self._is_spent = False
        """Whether no more bytes may be taken for a while."""
        self._waiting_since = 0.0
        self._stopped = ""
        self._stopped_until = 0.0
        self.begun = 0
        """The number of films that were asked for."""

    async def run(self) -> None:
        """Learn for as long as the process lives, whenever no other process does."""
        while True:
            try:
                with holding(self._state_dir) as held:
                    if held:
                        await self.work()
                await trio.to_thread.run_sync(self._films.blocks.note_touched)
            except* (UserError, OSError) as group:
                _log.error("%s Learning films waits.", str(cause_of(group)).replace("\n", " "))
                await trio.sleep(_TIDY_SECONDS)
            await trio.sleep(_TURN_SECONDS)

    async def work(self, *, until_done: bool = False, asked_since: float = 0, limit: int | None = None) -> None:
        """Learn, in the process that holds the right to.

        Args:
            until_done: whether to return when nothing can be learnt, or nothing could for a minute.
            asked_since: only what was asked for by name since then is learnt; 0: everything.
            limit: how many films at most are asked for.

        Raises:
            IndexFileError: the index, or what is known of films, cannot be used.
        """
        self._stopped = ""
        await trio.to_thread.run_sync(self._note_order)
        try:
            await self._work(until_done=until_done, asked_since=asked_since, limit=limit)
        finally:
            with trio.CancelScope(shield=True):
                await self._wait_no_more()

    async def _work(self, *, until_done: bool, asked_since: float, limit: int | None) -> None:
        looked, tidied = -1e9, trio.current_time()
        self._waiting_since = tidied
        async with trio.open_nursery() as nursery:
            while not self._is_ended and (limit is None or self.begun < limit):
                now = trio.current_time()
                if now - looked >= _LOOK_SECONDS:
                    await trio.to_thread.run_sync(self._look)
                    looked = now
                if now - tidied >= _TIDY_SECONDS:
                    await trio.to_thread.run_sync(self._tidy)
                    tidied = now
                due = await self._next(asked_since)
                if due is not None:
                    await self._in_pace()
                    if self._is_ended:
                        break
                    self._asking[due.key.account] = None
                    await nursery.start(self._ask, due)
                elif until_done and not self._asking and self._is_done(asked_since):
                    return
                else:
                    await trio.sleep(_IDLE_SECONDS if not self._asking else _IDLE_SECONDS / 10)

    def end(self) -> None:
        """Have `work` ask for nothing more, give up what it asks for now, and return."""
        self._is_ended = True
        self._pausing.cancel()
        for lease in self._asking.values():
            if lease is not None:
                lease.scope.cancel()

    # Which, and when.

    def _note_order(self) -> None:
        order = self._order
        self._films.note(rate=order.learn_rate, budget=order.learn_bytes, limit=order.cache, stopped="", full="{}")

    async def _next(self, asked_since: float) -> Due | None:
        now = trio.current_time()
        if now < self._stopped_until or len(self._asking) >= _ACCOUNTS:
            return None
        self._left_alone = {account: until for account, until in self._left_alone.items() if until > now}
        busy = self._asking.keys() | self._left_alone.keys()
        until, of = self._nothing
        if now < until and busy >= of:
            return None
        # Once it is used up, an hour's worth is waited for: what is half fetched when it is used up again is lost.
        least = max(CLAIM_BYTES, self._order.learn_bytes // 24) if self._is_spent else CLAIM_BYTES
        self._is_spent = self._allowance() < least
        if self._is_spent:
            await self._stop(self._over_budget(), _TIDY_SECONDS)
            return None
        found = await trio.to_thread.run_sync(self._look_for_due, busy, asked_since)
        if found is None:
            self._nothing = now + _IDLE_SECONDS, busy
        elif self._stopped:
            await self._stop("", 0)
        return found

    def _look_for_due(self, busy: Set[int], asked_since: float) -> Due | None:
        now = time.time()
        found = self._films.due(now, busy, 1, asked_since=asked_since)
        return self._films.in_its_place(found[0], now) if found else None

    def _is_done(self, asked_since: float) -> bool:
        """Whether nothing is left that could be learnt soon. What waits for a stream can, for a while."""
        now = trio.current_time()
        if now < self._stopped_until or now - self._waiting_since > _PATIENCE_SECONDS:
            return True
        return not self._films.due(time.time(), (), 1, asked_since=asked_since)

    def _allowance(self) -> int:
        """Bytes that may be taken yet."""
        return self._order.learn_bytes - self._films.taken(time.time())[0]

    def _over_budget(self) -> str:
        return f"learn_bytes ({self._order.learn_bytes / 1e9:g} GB within 24 hours) is used up"

    async def _in_pace(self) -> None:
        """Wait until the next film may be begun."""
        _, last = self._films.taken(time.time())
        pause = 60 / self._order.learn_rate
        with trio.CancelScope() as self._pausing:
            await trio.sleep(max(0.0, min(last + pause - time.time(), pause)))

    async def _stop(self, why: str, seconds: float) -> None:
        """Learn nothing for a while."""
        self._stopped_until = trio.current_time() + seconds
        if why != self._stopped:
            self._stopped = why
            # All that writes may have to wait for another process: a mount has better to do meanwhile.
            await trio.to_thread.run_sync(lambda: self._films.note(stopped=why))
            if why:
                _log.warning("No films are learnt for a while: %s.", why)

    def _look(self) -> None:
        self._films.follow_clock()
        wanted.look(self._state_dir, self._films)

    def _tidy(self) -> None:
        self._films.blocks.note_touched()
        self._films.tidy()

    # One film.

    async def _ask(self, due: Due, task_status: trio.TaskStatus[None]) -> None:
        """Learn one film, if there is a stream for it; has started when that is known."""
        account = due.key.account
        outcome = Outcome(Kind.YIELDED, "a viewer needed the stream")
        attempt = 0
        fetched = Fetched()
        try:
            try:
                async with self._admission.lease(account, Rank.LEARNER) as lease:
                    if self._is_ended:
                        task_status.started()
                        return
                    self._asking[account] = lease
                    self.begun += 1
                    self._waiting_since = trio.current_time()
                    await self._say_full(account, is_full=False)
                    attempt = await trio.to_thread.run_sync(self._films.begin, due)
                    task_status.started()
                    outcome = await self._learn(due, attempt, fetched)
            except FullError:
                self._left_alone[account] = trio.current_time() + _BUSY_SECONDS
                await self._say_full(account, is_full=True)
                task_status.started()
                return
            self._left_alone[account] = trio.current_time() + (_BUSY_SECONDS if lease.taken else self._quiet)
            if outcome.kind == Kind.FULL:
                await self._stop(outcome.why, _FULL_SECONDS)
            outcome = outcome._replace(taken=fetched.taken)
            if outcome.kind != Kind.LEARNT:
                await trio.to_thread.run_sync(self._films.settle, due, attempt, outcome)
            self._note(due, outcome)
        finally:
            del self._asking[account]

    async def _say_full(self, account: int, *, is_full: bool) -> None:
        """Have it known that an account has had no stream free for a while, or has one again."""
        now = time.time()
        since, seen = self._full.pop(account, (now, now))
        if is_full:
            since = since if now - seen < _SEEN_SECONDS else now
            self._full[account] = since, now
        is_said = is_full and now - since >= _SAID_SECONDS
        if is_said == (account in self._said_full):
            return
        if is_said:
            name = capitalized(called(account, account_names(self._state_dir)))
            _log.info("%s has no stream free to learn with: its films wait until it has.", name)
            self._said_full[account] = since
        else:
            del self._said_full[account]
        await self._note_full()

    async def _wait_no_more(self) -> None:
        """Have it known that nobody waits for a stream any more."""
        if self._said_full:
            self._said_full.clear()
            await self._note_full()

    async def _note_full(self) -> None:
        full = json.dumps(self._said_full)
        await trio.to_thread.run_sync(lambda: self._films.note(full=full))

    async def _learn(self, due: Due, attempt: int, fetched: Fetched) -> Outcome:
        """Learn one film. What was learnt is settled when this returns, unless there was nothing."""
        address = self._address_of(due.key)
        if address is None:
            return Outcome(Kind.GONE, "it is not in the library any more")
        if await trio.to_thread.run_sync(self._films.blocks.trim, CLAIM_BYTES):
            why = f"films_cache ({self._order.cache / 1e9:g} GB) is full of what scanners read"
            return Outcome(Kind.FULL, f"{why}; a filter, or a larger films_cache, lets more be learnt")
        if not has_room(self._films.root, _LEAST_ROOM):
            return Outcome(Kind.FULL, f"{self._films.root}: {why_full(self._films.folder)}")
        fetched.allowance = self._allowance()
        try:
            with self._films.draft(due) as draft, trio.fail_after(_FILM_SECONDS):
                async with self._upstream.session(address, due.key.label) as session:
                    is_alone = session.is_direct or due.key.account in self._alone
                    lesson = Lesson(session, draft, fetched, due.seconds, is_alone=is_alone)
                    learnt = await lesson.learn()
                if lesson.is_alone:
                    self._alone.add(due.key.account)
                outcome = Outcome(Kind.LEARNT, taken=fetched.taken)
                # What was fetched is worth keeping, even if a viewer wants the stream now.
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._films.settle, due, attempt, outcome, learnt, draft)
                return outcome
        except UpstreamError as error:
            return Outcome(_KINDS.get(error.kind, Kind.FAILED), error.why, error.pause)
        except NoFilmError as error:
            return Outcome(error.kind, str(error))
        except OverBudgetError:
            self._is_spent = True
            return Outcome(Kind.FULL, self._over_budget())
        except trio.TooSlowError:
            return Outcome(Kind.FAILED, f"it took more than {_FILM_SECONDS / 60:.0f} minutes")
        except OSError as error:
            why = why_full(self._films.folder) if is_full(error) else (error.strerror or str(error))
            why = f"{self._films.root}: {why}"
            return Outcome(Kind.FULL, why)
        except UserError:
            raise
        except Exception as error:
            # Whatever it is: all other films would wait for this one, which would be asked for again and again.
            what = type(error).__name__
            _log.error(
                "Learning film %s of account %d failed with an unexpected %s.", due.key.stream, due.key.account, what
            )
            _log.debug("unexpected error", exc_info=True)
            return Outcome(Kind.FAILED, f"learning it failed with an unexpected {what}")
