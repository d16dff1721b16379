"""One film that is read: its readers, the buffers that they read from, and the answers that feed these.

Two buffers hold what was read at two places, since who plays a film looks elsewhere now and then, and comes back. One
of them at a time is fed, and it is the other one's turn, or that of a new place, when somebody waits there. All of it
belongs to the film, and not to who has it open.
"""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import NamedTuple

import trio

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.admission import Admission, FullError, Lease, Rank
from vod2strmfs.films.answers import Answers
from vod2strmfs.films.buffer import REACH, VISIT, Buffer, Buffers, Memory, MemoryFullError
from vod2strmfs.films.failures import Failures
from vod2strmfs.films.film import BLOCK, AddressOf, Film, ReadError
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.pace import Budget, Watch, proof_seconds
from vod2strmfs.films.store import Films
from vod2strmfs.films.times import Times
from vod2strmfs.films.upstream import Session, Upstream, UpstreamError, UpstreamKind

_DWELL = 4 << 20
"""Bytes that one of two readers gets at least before the other one's buffer is fed."""
_TURNS_AWAY = 2.0
"""Seconds without a read after which a reader is not at a place any more, if he reads at another one."""
_READS_ON = 0.5
"""Seconds within which a reader reads again who is at it."""
_GOES_ON = 0.02
"""The same where the reader reads elsewhere, too: he has left that place, or servers of files have several readers."""
_LATELY = 10.0
"""Seconds."""
_TRICKLE = 256 << 10
"""Bytes: if less of a film came while a read waited in vain, another answer may come faster."""

_log = logging.getLogger("vod2strmfs")


class Tools(NamedTuple):
    """What all films need to be read."""

    order: FilmsOrder
    films: Films
    upstream: Upstream
    address_of: AddressOf
    admission: Admission
    budget: Budget
    memory: Memory
    times: Times


class Reader:
    """Somebody who has a film open.

    Args:
        film: the one.
        tools: what is needed to read it.
    """

    def __init__(self, film: Film, tools: Tools) -> None:
        pace = tools.order.pace
        self.watch = Watch(pace, proof_seconds(film, pace, tools.times.proof))
        self.refusal: ReadError | None = None
        """Why the reader gets nothing more from upstream."""
        self.is_leaving = False
        """Whether the reader has probably closed the film, though reads of it still wait."""


class _Want:
    """A read that waits."""

    def __init__(self, reader: Reader, start: int, stop: int) -> None:
        self.reader = reader
        self.start = start
        self.stop = stop
        self.settled = trio.Event()
        self.data: bytes | None = None
        self.error: ReadError | None = None


class Playing:
    """One film that is read: brings together those who read it, and a stream while they need one.

    Args:
        film: which.
        tools: what is needed to read it.
    """

    def __init__(self, film: Film, tools: Tools) -> None:
        self.film = film
        self.readers: dict[int, Reader] = {}
        """Those who have the film open, by their numbers."""
        self.source: Film | None = None
        """The film whose bytes come, once they do: this one, or one alike of another account."""
        self.is_alive = False
        """Whether `live` runs."""
        self._tools = tools
        self._failures = Failures(film, tools.films, tools.times)
        self._buffers = Buffers(film.size, tools.memory)
        self._answers = Answers(film, tools.films.blocks, self._buffers, tools.order.pace, tools.times.pause)
        self._last_reader: dict[Buffer, Reader] = {}
        self._wants: list[_Want] = []
        self._at: Buffer | None = None
        """The buffer that is turned to, or into which something comes just now: it cannot be given up."""
        self._is_filling = False
        self._receiving: trio.CancelScope | None = None
        self._stepping = trio.CancelScope()
        """In which something is asked for, and comes."""
        self._woken: trio.Event | None = None
        self._lease: Lease | None = None
        self._read_at = self.closed_at = trio.current_time()
        """When the film was read last, and when somebody has closed it last."""
        self._is_robbed = False
        """Whether its stream was given to somebody else, and nobody has waited for anything since."""

    # What readers call.

    def opened(self, handle: int) -> Reader:
        """Note that somebody has the film open, by a number; returns the reader."""
        reader = self.readers.get(handle)
        if reader is None:
            reader = self.readers[handle] = Reader(self.film, self._tools)
            self._rank()
            self._limit_receiving()
        return reader

    def released(self, handle: int) -> None:
        """Note that a reader has closed the film."""
        self.readers.pop(handle, None)
        self.closed_at = trio.current_time()
        self._rank()
        self._limit_receiving()
        self._wake()

    def let_go(self) -> None:
        """Hold the film no longer for somebody to open it again."""
        self.closed_at = -1e9
        self._limit_receiving()
        self._wake()

    def leaving(self, handle: int) -> None:
        """Note that a reader probably has closed the film, though reads of it still wait."""
        reader = self.readers.get(handle)
        if reader is not None:
            reader.is_leaving = True
            self._rank()

    def stays(self, handle: int) -> None:
        """Note that a reader reads: what was closed is one of several descriptors."""
        reader = self.readers.get(handle)
        if reader is not None and reader.is_leaving:
            reader.is_leaving = False
            self._rank()

    def look(self, handle: int, start: int, stop: int) -> memoryview | bytes | None:
        """Bytes from memory, if they are there; good until one awaits anything."""
        now = trio.current_time()
        found = self._buffers.read(start, stop, now)
        if found is None:
            return None
        buffer, data = found
        self._read_at = now
        if reader := self.readers.get(handle):
            self._gave(reader, buffer, len(data), now)
        if buffer.lacks():
            self._wake()
        return data

    async def read(self, handle: int, start: int, stop: int, live: Callable[[], None]) -> bytes:
        """Bytes of the film, once they have come.

        Args:
            handle: the reader's number.
            start: the first of them.
            stop: the one after the last.
            live: starts `live` in the background.

        Raises:
            ReadError: they do not come.
        """
        reader = self.opened(handle)
        if reader.refusal:
            raise reader.refusal.again()
        if refusal := self._failures.refusal():
            raise refusal
        self._read_at = trio.current_time()
        want = _Want(reader, start, stop)
        self._wants.append(want)
        self._is_robbed = False
        try:
            if not self.is_alive:
                self.is_alive = True
                live()
            self._wake()
            if self._receiving is not None and self._answers.fed and not self._reaches(self._answers.fed, want):
                self._receiving.cancel()
            await want.settled.wait()
        finally:
            if want in self._wants:
                self._wants.remove(want)
        if want.error:
            raise want.error.again()
        assert want.data is not None
        return want.data

    def gave_up(self, error: ReadError, came: int) -> None:
        """Note that a read got nothing in time, though so many bytes of the film came. If nothing comes to anybody, the
        next ones fail at once for a while: the kernel asks again for what failed, and would have its caller wait
        twice."""
        if came < _TRICKLE:
            self._stepping.cancel()
        self._failures.refuse_if_failing(error)

    # What others ask.

    @property
    def received(self) -> int:
        """Bytes of the film that came from upstream."""
        return self._answers.received

    @property
    def error(self) -> str:
        """What went wrong last, for people; empty: nothing."""
        return self._failures.why

    @property
    def is_spoilt(self) -> bool:
        """Whether the film turned out to be another file."""
        return self._failures.is_spoilt

    @property
    def account(self) -> int:
        """The account whose stream the film uses, or would."""
        return (self.source or self.film).key.account

    @property
    def has_stream(self) -> bool:
        """Whether the film uses a stream of an account."""
        return self._lease is not None

    @property
    def place(self) -> int:
        """The place in the film up to which it was read last."""
        return self._buffers.place

    def spare(self) -> Iterator[tuple[bool, float, Buffer]]:
        """The film's buffers that nobody reads now; who needs them least comes first when they are ordered by what is
        said of each: whether somebody has the film open, and when it was read."""
        now = trio.current_time()
        latest = max((each.read_at for each in self._buffers), default=0.0)
        for buffer in self._buffers:
            away = _LATELY if buffer.read_at == latest else _TURNS_AWAY
            if buffer is not self._at and (not self.readers or now - buffer.read_at > away):
                yield bool(self.readers), buffer.read_at, buffer

    def give_up(self, buffer: Buffer) -> None:
        """Give up a buffer whose memory others need. Who comes back to it asks anew."""
        self._last_reader.pop(buffer, None)
        self._answers.let_go(buffer)
        self._buffers.give_up(buffer)

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()

    def _rank(self) -> Rank:
        """Say how much the film's stream is needed."""
        staying = [reader for reader in self.readers.values() if not reader.is_leaving]
        rank = Rank.BACKGROUND if staying else Rank.LEFT
        if not all(reader.watch.is_background for reader in staying):
            rank = Rank.VIEWER
        if self._lease:
            self._lease.rank = rank
        return rank

    # The life of its buffers, and of its stream.

    async def live(self) -> None:
        """Read for those who wait, and hold what was read until nobody needs it any more."""
        try:
            while self._wants or await self._is_needed():
                if self._wants or (
                    not self._is_robbed
                    and self._failures.are_forgiven
                    and self._failures.refusal() is None
                    and self._to_fill()
                ):
                    await self._play_or_refuse()
        finally:
            self.is_alive = False
            await self._end()

    async def _is_needed(self) -> bool:
        """Wait for somebody who reads; whether somebody does."""
        now = trio.current_time()
        until = min(self._read_at + self._tools.times.forget, self._left_until())
        await self._sleep_until(until)
        return bool(self._wants) or now < until

    def _left_until(self) -> float:
        """Until when the film is held for somebody to open it again, if nobody has it open."""
        return inf if self.readers else self.closed_at + self._tools.times.linger

    def _limit_receiving(self) -> None:
        """Receive no longer than that; an answer may come slowly, or be silent."""
        if self._receiving is not None:
            self._receiving.deadline = self._left_until()

    async def _sleep_until(self, until: float) -> None:
        """Until then, or until something is to be done."""
        self._woken = trio.Event()
        with trio.move_on_at(until):
            await self._woken.wait()
        self._woken = None

    async def _play_or_refuse(self) -> None:
        try:
            await self._play()
        except ReadError as error:
            self._refuse(error)
        except Exception:
            _log.exception("Film %s of account %d: reading it failed.", self.film.key.stream, self.film.key.account)
            self._refuse(ReadError(errno.EIO, "reading the film failed: the log says how"))

    def _refuse(self, error: ReadError) -> None:
        """Have all reads fail, and the next ones for a while."""
        self._failures.refuse(error)
        for want in self._wants[:]:
            self._settle(want, error=error)

    def _settle(self, want: _Want, data: bytes | None = None, error: ReadError | None = None) -> None:
        want.data, want.error = data, error
        self._wants.remove(want)
        want.settled.set()

    async def _play(self) -> None:
        """Have a stream, and feed readers from it, until nobody needs it. Once bytes came, it is of the same account.

        Raises:
            ReadError: the film cannot be read.
        """
        within = self._tools.times.admission
        deadline = trio.current_time() + within
        why = await self._play_from(self.source or self.film, within)
        if why and not self.source:
            for other in await trio.to_thread.run_sync(self._tools.films.alike, self.film):
                # One that learns has to make room first. Together, they are not waited for any longer.
                if not await self._play_from(other, max(deadline - trio.current_time(), 0.0)):
                    return
        if why:
            self._tools.admission.refused(self.account, why)
            raise ReadError(errno.EIO, why)

    async def _play_from(self, source: Film, within: float) -> str:
        """The same with a stream of one account; returns why it does not give one, or nothing."""
        try:
            address = self._tools.address_of(source.key)
        except IndexFileError as error:
            raise ReadError(errno.EIO, str(error)) from error
        if address is None:
            return "the library does not have it any more"
        try:
            async with (
                self._tools.admission.lease(source.key.account, self._rank(), within) as self._lease,
                self._tools.upstream.session(address, source.key.label, self.film.size) as session,
            ):
                self._rank()  # Readers may have come and gone while it was waited for.
                self._answers.begin(session, is_new_source=source is not self.source)
                await self._feed(session, source)
        except FullError as error:
            return str(error)
        finally:
            self._answers.forget()
            if self._lease and self._lease.taken:
                self._rob()
            self._lease = None
        return ""

    def _rob(self) -> None:
        """Note that the film's stream was given to somebody else, and answer those who were leaving: they do not ask
        again."""
        self._is_robbed = True
        for want in self._wants[:]:
            if want.reader.is_leaving:
                self._settle(want, error=ReadError(errno.EIO, "it was closed, and its stream is somebody else's"))

    async def _feed(self, session: Session, source: Film) -> None:
        while await self._may_ask():
            try:
                if not await self._step(session):
                    return
                if self._answers.since_turn:
                    self.source = source
            except UpstreamError as error:
                await self._answers.hang_up(session)
                await self._failures.weigh(error, source, has_begun=self.source is not None)

    async def _may_ask(self) -> bool:
        """Wait until what failed may be tried again; returns whether that is of use to anybody."""
        retry_at = self._failures.retry_at
        if trio.current_time() >= retry_at:
            return True
        if self._wants:
            await trio.sleep_until(retry_at)
        return bool(self._wants)

    async def _step(self, session: Session) -> bool:
        """Do what is to be done next; returns whether the stream is needed any longer."""
        self._serve()
        buffer = await self._choose()
        if buffer is None:
            return await self._wait()
        self._at = buffer
        try:
            with trio.CancelScope() as self._stepping:
                await self._go_on(buffer, session)
        finally:
            self._at = None
        if self._stepping.cancelled_caught:
            raise UpstreamError(UpstreamKind.STALLED, f"{session.who} sends it too slowly")
        return True

    async def _go_on(self, buffer: Buffer, session: Session) -> None:
        """Receive more into a buffer.

        Raises:
            UpstreamError: it does not come.
        """
        if buffer is not self._answers.fed or not self._answers.continues(buffer):
            await self._answers.turn_to(buffer, session)
            self._failures.believe()
        if buffer.high < self.film.size:  # Else all of it came with what was compared.
            await self._hold_back()
            await self._receive(buffer)

    async def _hold_back(self) -> None:
        """Wait until more of the film may be read."""
        seconds = self._answers.held_back()
        if not seconds:
            return
        await trio.sleep(seconds)
        now = trio.current_time()
        for want in self._wants[:]:
            want.reader.watch.held_up(now)
            if want.reader.watch.is_background and self._gives_nothing():
                why = "nobody watches who reads it, and such readers get no more of this account's films"
                want.reader.refusal = ReadError(errno.EIO, why)
                self._settle(want, error=want.reader.refusal)
        self._rank()

    def _gives_nothing(self) -> bool:
        """Whether readers get nothing whom nobody watches."""
        return self._tools.order.background_reads == "refuse" or self._tools.budget.is_spent(self.account)

    async def _receive(self, buffer: Buffer) -> None:
        """Receive what comes next, unless somebody begins to wait for something else."""
        elsewhere = any(not self._reaches(buffer, want) for want in self._wants)
        until = min(self._left_until(), trio.current_time() + _READS_ON if elsewhere else inf)
        count = 0
        with trio.CancelScope(deadline=until) as self._receiving:
            count = await self._answers.receive(buffer)
        stopped, self._receiving = self._receiving.cancelled_caught, None
        if count:
            self._failures.came(count)
        elif not stopped:
            self._failures.forgive()  # All of it came.

    async def _wait(self) -> bool:
        """Wait for somebody to read; returns whether somebody may."""
        until = min(self._read_at + self._tools.times.pause, self._left_until())
        if not self._answers.connections or trio.current_time() >= until:
            return False
        await self._sleep_until(until)
        return True

    # Readers, and what they get.

    def _serve(self) -> None:
        """Give those who wait what has come."""
        now = trio.current_time()
        for want in self._wants[:]:
            if found := self._buffers.read(want.start, want.stop, now):
                buffer, data = found
                self._gave(want.reader, buffer, len(data), now)
                self._settle(want, bytes(data))

    def _gave(self, reader: Reader, buffer: Buffer, count: int, now: float) -> None:
        """Note that a reader got bytes from a buffer."""
        self._last_reader[buffer] = reader
        if reader.watch.is_background:
            if reader.watch.look(now):
                self._tools.budget.take(self.account, count)
            else:
                self._rank()

    # Which buffer to feed.

    async def _choose(self) -> Buffer | None:
        """The buffer to feed now, if any."""
        if not self._wants:
            return self._to_fill()
        want = min(self._wants, key=lambda want: want.reader.watch.is_background)
        fed = self._answers.fed
        if fed and self._dwells(fed, want):
            return fed
        self._is_filling = True
        return self._reached(want) or await self._new_buffer(want)

    def _dwells(self, fed: Buffer, want: _Want) -> bool:
        """Whether another reader waits, while one is served who has not had his share."""
        within = _GOES_ON if self._last_reader.get(fed) is want.reader else _READS_ON
        is_read = not self._reaches(fed, want) and trio.current_time() - fed.read_at < within
        return is_read and self._answers.since_turn < _DWELL and fed.high < fed.wanted()

    def _to_fill(self) -> Buffer | None:
        """The buffer to read ahead into, if any."""
        if trio.current_time() >= self._left_until():
            return None
        fed = self._answers.fed
        if fed:
            self._is_filling = fed.high < fed.wanted() and (self._is_filling or fed.lacks())
            if self._is_filling:
                return fed
        late = trio.current_time() - _LATELY
        for buffer in self._buffers:
            # Another reader is there, who was not the one for whom it was turned away from this buffer.
            if buffer is not fed and buffer.read_at > max(self._answers.turned_at, late) and buffer.lacks():
                return buffer
        return None

    def _reached(self, want: _Want) -> Buffer | None:
        """The buffer that will soon have what somebody waits for, if any."""
        return next((buffer for buffer in self._buffers if self._reaches(buffer, want)), None)

    def _reaches(self, buffer: Buffer, want: _Want) -> bool:
        """Whether a buffer will soon have it, and at least as soon as another answer would."""
        ahead = REACH
        if self._answers.continues(buffer) and buffer.place - buffer.begin > VISIT:
            # Who only has a look at some places gets none of what is between them.
            ahead = max(ahead, self._answers.skip(0))
        return buffer.reaches(want.start, want.stop, ahead)

    async def _new_buffer(self, want: _Want) -> Buffer:
        """A buffer at a new place; the one that was not read for longest goes."""
        await trio.lowlevel.checkpoint()  # Others that have come with it may ask for what is just before it.
        near = [each.start for each in self._wants if want.start - REACH <= each.start and not self._reached(each)]
        if self._buffers.is_full:
            self.give_up(
                min((each for each in self._buffers if each is not self._answers.fed), key=lambda each: each.read_at)
            )
        try:
            return self._buffers.add(min([*near, want.start]) // BLOCK * BLOCK)
        except MemoryFullError:
            limit = self._tools.memory.limit >> 20
            raise ReadError(errno.EIO, f"too many films are read at once for the {limit} MB that they have") from None

    # What is left of it.

    async def _end(self) -> None:
        """Give up all that is in memory."""
        for buffer in self._buffers:
            self.give_up(buffer)
        for start, data in self._buffers.take_visits():
            if not self.is_spoilt:
                with suppress(IndexFileError):
                    await trio.to_thread.run_sync(self._tools.films.blocks.keep, self.film, start, data)
