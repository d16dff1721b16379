"""One film that is read: its readers, its buffers, and its one upstream.

Two buffers hold what was read at two places, since who plays a film looks elsewhere now and then, and comes back. One
of them at a time is fed by the upstream, which turns to the other one, or to a new place, when somebody waits there:
the new answer is opened before the old one is closed. All of it belongs to the film, and not to who has it open.
"""

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from typing import NamedTuple

import trio

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.admission import Admission, FullError, Lease, Rank
from vod2strmfs.films.buffer import AHEAD, REACH, Buffer, Memory, MemoryFullError
from vod2strmfs.films.film import BLOCK, AddressOf, Film, ReadError
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.pace import BURST_SECONDS, PROOF_SECONDS, SLOWEST, Allowance, Budget, Flow, Watch, bit_rate
from vod2strmfs.films.store import Films
from vod2strmfs.films.upstream import (
    NOTICES,
    ON_ITS_WAY,
    REFUSALS,
    Answer,
    Session,
    Upstream,
    UpstreamError,
    UpstreamKind,
)

_BUFFERS = 2
_KNOWN = 64 << 10
"""Bytes that are compared with what is at hand when a film is opened again, at most."""
_ENOUGH = 4 << 10
"""Bytes of a film that tell it from another one."""
_SKIP = 4 << 20
"""Bytes that are rather read than skipped by another request, while it is not known what either takes."""
_FARTHEST_SKIP = 16 << 20
_PIECE = 1 << 20
"""Bytes that are received at once, at most."""
_DWELL = 4 << 20
"""Bytes that one of two readers gets at least before the upstream turns to the other one."""
_VISIT = 2 << 20
"""Bytes: who reads no more than that at a place is a scanner, and comes again. They are kept on disk."""
_TURNS_AWAY = 2.0
"""Seconds without a read after which a reader is not at a place any more, if he reads at another one."""
_READS_ON = 0.5
"""Seconds within which a reader reads again who is at it."""
_GOES_ON = 0.02
"""The same where the reader reads elsewhere, too: he has left that place, or servers of files have several readers."""
_LATELY = 10.0
"""Seconds."""
_LONGEST_RETRY = 8.0
_PROGRESS = 1 << 20
"""Bytes that have to come after a failure until it is forgiven. Some give a few bytes and hang up, again and again."""
_TRICKLE = 256 << 10
"""Bytes: if less of a film came while a read waited in vain, another answer may come faster."""
_SERVERS = 8
"""Of a provider, that mark a film in their own ways. Where there are more ways, marks say nothing."""
_BUSY_TRIES = 2

_log = logging.getLogger("vod2strmfs")


class Times(NamedTuple):
    """How long things take, in seconds."""

    read: float = 25.0
    """Until a read is answered with an error."""
    admission: float = 3.0
    """To wait for a stream that is about to be free."""
    linger: float = 30.0
    """That buffers and upstream outlive the last close."""
    pause: float = 45.0
    """That an upstream is held which nobody reads. What stands before Dispatcharr hangs up after 60."""
    forget: float = 300.0
    """That buffers are held which nobody reads."""
    retry: float = 0.5
    """Before another try, at first."""
    sulk: float = 5.0
    """For which reads fail at once after all tries have failed, so that readers that ask again harm nobody."""
    spoilt: float = 600.0
    """For which a film is not tried again that turned out to be another one, unless it was learnt anew."""
    proof: float = PROOF_SECONDS


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
    """Who has a film open.

    Args:
        tools: see there.
    """

    def __init__(self, tools: Tools) -> None:
        self.watch = Watch(tools.order.pace, tools.times.proof)
        self.refusal: ReadError | None = None
        """Why it gets nothing more from upstream."""
        self.is_leaving = False
        """Whether it has probably closed the film, though reads of it still wait."""


class _Want:
    """A read that waits."""

    def __init__(self, reader: Reader, start: int, stop: int) -> None:
        self.reader = reader
        self.start = start
        self.stop = stop
        self.settled = trio.Event()
        self.data: bytes | None = None
        self.error: ReadError | None = None


class _BusyError(Exception):
    """There is no stream for the film's first byte, whatever we thought."""


class Playing:
    """See the module.

    Args:
        film: which.
        tools: what is needed to read it.
    """

    def __init__(self, film: Film, tools: Tools) -> None:
        self.film = film
        self.readers: dict[int, Reader] = {}
        self.received = 0
        """Bytes that came from upstream."""
        self.error = ""
        """What went wrong last."""
        self.source: Film | None = None
        """The one whose bytes come, once they do: the film itself, or one alike of another account."""
        self.is_spoilt = False
        """Whether it turned out to be another file."""
        self.is_alive = False
        """Whether `live` runs."""
        self._tools = tools
        now = trio.current_time()
        rate = max(tools.order.pace * bit_rate(film), SLOWEST)
        self._allowance = Allowance(rate, max(BURST_SECONDS * bit_rate(film), _PIECE), now)
        self._flow = Flow()
        self._buffers: list[Buffer] = []
        self._last_reader: dict[Buffer, Reader] = {}
        self._wants: list[_Want] = []
        self._fed: Buffer | None = None
        """The buffer that is fed."""
        self._at: Buffer | None = None
        """The one that is turned to, or into which something comes just now: it cannot be given up."""
        self._answers: dict[Buffer, Answer] = {}
        """Those that go on from the ends of buffers: of the one that is fed, and perhaps of the other one."""
        self._loose: list[Answer] = []
        """Those whose buffers were given up."""
        self._turned_at = now
        self._since_turn = 0
        """Bytes that came since the upstream turned to this buffer."""
        self._is_filling = False
        self._is_alone = False
        """Whether the old answer is closed before the new one is opened."""
        self._hung_up_at = -1e9
        self._marks: set[tuple[str, ...]] = set()
        """Of answers that were this film's."""
        self._proven: Session | None = None
        """One of whom it is known that it is of this film, also while it has no open answer."""
        self._receiving: trio.CancelScope | None = None
        self._stepping = trio.CancelScope()
        """In which something is asked for, and comes."""
        self._woken: trio.Event | None = None
        self._lease: Lease | None = None
        self._read_at = now
        self.closed_at = now
        """When somebody has closed it last."""
        self._visits: list[tuple[int, bytes]] = []
        """Where somebody had a look, and what he saw."""
        self._failures = 0
        """How often it failed, until it was forgiven."""
        self._since_failure = 0
        """Bytes that came since."""
        self._retry_at = -1e9
        """Until when nothing is asked for, because it failed."""
        self._doubts = 0
        """How often another file seemed to answer, one time after the other."""
        self._refusal: tuple[float, ReadError] | None = None
        """Until when reads fail at once, and how."""
        self._is_robbed = False
        """Whether its stream was given to somebody else, and nobody has waited for anything since."""

    # What readers call.

    def opened(self, handle: int) -> Reader:
        """Note that somebody has it open."""
        reader = self.readers.get(handle)
        if reader is None:
            reader = self.readers[handle] = Reader(self._tools)
            self._rank()
            self._limit_receiving()
        return reader

    def released(self, handle: int) -> None:
        """Note that somebody has closed it."""
        self.readers.pop(handle, None)
        self.closed_at = trio.current_time()
        self._rank()
        self._limit_receiving()
        self._wake()

    def let_go(self) -> None:
        """Hold it no longer for somebody to open it again."""
        self.closed_at = -1e9
        self._limit_receiving()
        self._wake()

    def leaving(self, handle: int) -> None:
        """Note that somebody probably has closed it, though reads of his still wait."""
        reader = self.readers.get(handle)
        if reader is not None:
            reader.is_leaving = True
            self._rank()

    def stays(self, handle: int) -> None:
        """Note that somebody reads: what he closed was one of several descriptors."""
        reader = self.readers.get(handle)
        if reader is not None and reader.is_leaving:
            reader.is_leaving = False
            self._rank()

    def look(self, handle: int, start: int, stop: int) -> memoryview | bytes | None:
        """Bytes from memory, if they are there; good until one awaits anything."""
        now = trio.current_time()
        for buffer in self._buffers:
            data = buffer.read(start, stop, now)
            if data is not None:
                self._read_at = now
                if reader := self.readers.get(handle):
                    self._gave(reader, buffer, len(data), now)
                if buffer.lacks():
                    self._wake()
                return data
        return None

    async def read(self, handle: int, start: int, stop: int, live: Callable[[], None]) -> bytes:
        """Bytes of the film, once they have come.

        Args:
            handle: who reads.
            start: the first of them.
            stop: the one after the last.
            live: starts `live` in the background.

        Raises:
            ReadError: they do not come.
        """
        reader = self.opened(handle)
        now = trio.current_time()
        if reader.refusal:
            raise reader.refusal.again()
        if self._refusal and self._is_refused():
            raise self._refusal[1].again()
        self._read_at = now
        want = _Want(reader, start, stop)
        self._wants.append(want)
        self._is_robbed = False
        try:
            if not self.is_alive:
                self.is_alive = True
                live()
            self._wake()
            if self._receiving is not None and self._fed and not self._reaches(self._fed, want):
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
        if self._failures and not self._is_refused():
            self._refusal = trio.current_time() + self._tools.times.sulk, error

    @property
    def account(self) -> int:
        """Whose stream it uses."""
        return (self.source or self.film).key.account

    @property
    def has_stream(self) -> bool:
        """Whether it uses one."""
        return self._lease is not None

    @property
    def place(self) -> int:
        """Up to where it was read last."""
        return max(self._buffers, key=lambda buffer: buffer.read_at).place if self._buffers else 0

    def spare(self) -> Iterator[tuple[bool, float, Buffer]]:
        """Its buffers that nobody reads now; who needs them least comes first when they are ordered by what is said of
        each: whether somebody has the film open, and when it was read."""
        now = trio.current_time()
        latest = max((each.read_at for each in self._buffers), default=0.0)
        for buffer in self._buffers:
            away = _LATELY if buffer.read_at == latest else _TURNS_AWAY
            if buffer is not self._at and (not self.readers or now - buffer.read_at > away):
                yield bool(self.readers), buffer.read_at, buffer

    def give_up(self, buffer: Buffer) -> None:
        """Give up a buffer whose memory others need. Who comes back to it asks anew."""
        self._retire(buffer)
        if buffer is self._fed:
            self._fed = None

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()

    def _rank(self) -> Rank:
        """Say how much its stream is needed."""
        staying = [reader for reader in self.readers.values() if not reader.is_leaving]
        rank = Rank.BACKGROUND if staying else Rank.LEFT
        if not all(reader.watch.is_background for reader in staying):
            rank = Rank.VIEWER
        if self._lease:
            self._lease.rank = rank
        return rank

    # The life of its buffers, and of its upstream.

    async def live(self) -> None:
        """Read for those who wait, and hold what was read until nobody needs it any more."""
        try:
            while self._wants or await self._is_needed():
                if self._wants or (
                    not self._is_robbed and not self._failures and not self._is_refused() and self._to_fill()
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
        """Until when it is held for somebody to open it again, if nobody has it open."""
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
        self.error = str(error)
        seconds = self._tools.times.spoilt if self.is_spoilt else self._tools.times.sulk
        self._refusal = trio.current_time() + seconds, error
        for want in self._wants[:]:
            self._settle(want, error=error)

    def _is_refused(self) -> bool:
        return self._refusal is not None and trio.current_time() < self._refusal[0]

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
        # Many providers allow one connection alone. Dispatcharr's sessions are better not left without an answer, so
        # there it has to turn out.
        self._is_alone = address.direct
        if source is not self.source:
            self._marks.clear()
        try:
            async with (
                self._tools.admission.lease(source.key.account, self._rank(), within) as self._lease,
                self._tools.upstream.session(address, source.key.label, self.film.size) as session,
            ):
                self._rank()  # Readers may have come and gone while it was waited for.
                await self._feed(session, source)
        except (FullError, _BusyError) as error:
            return str(error)
        finally:
            self._forget_answers()
            if self._lease and self._lease.taken:
                self._rob()
            self._lease = None
        return ""

    def _rob(self) -> None:
        """Note that its stream was given to somebody else, and answer those who were leaving: they do not ask again."""
        self._is_robbed = True
        for want in self._wants[:]:
            if want.reader.is_leaving:
                self._settle(want, error=ReadError(errno.EIO, "it was closed, and its stream is somebody else's"))

    async def _feed(self, session: Session, source: Film) -> None:
        while await self._may_ask():
            try:
                if not await self._step(session):
                    return
                if self._since_turn:
                    self.source = source
            except UpstreamError as error:
                if session.connections:
                    self._hung_up_at = trio.current_time()
                await session.hang_up()
                self._forget_answers()
                await self._weigh(error, source)

    async def _may_ask(self) -> bool:
        """Wait until what failed may be tried again; returns whether that is of use to anybody."""
        if trio.current_time() >= self._retry_at:
            return True
        if self._wants:
            await trio.sleep_until(self._retry_at)
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
        if buffer is not self._fed or buffer not in self._answers:
            await self._turn_to(buffer, session)
        if buffer.high < self.film.size:  # Else all of it came with what was compared.
            await self._hold_back()
            await self._receive(buffer)

    async def _wait(self) -> bool:
        """Wait for somebody to read; returns whether somebody may."""
        until = min(self._read_at + self._tools.times.pause, self._left_until())
        if not self._connections() or trio.current_time() >= until:
            return False
        await self._sleep_until(until)
        return True

    async def _weigh(self, error: UpstreamError, source: Film) -> None:
        """Say when to try again, or give up.

        Raises:
            ReadError: another try is of no use.
            _BusyError: another account may have a stream.
        """
        self.error = error.why
        self._failures += 1
        self._since_failure = 0
        match error.kind:
            case UpstreamKind.BUSY | UpstreamKind.FORBIDDEN if self.source is None:
                # A provider may forbid what is too much for it.
                raise _BusyError(error.why)
            case UpstreamKind.GONE | UpstreamKind.FORBIDDEN | UpstreamKind.NOT_A_FILM:
                raise ReadError(errno.EIO, error.why)
            case UpstreamKind.BUSY if self._failures > _BUSY_TRIES:
                raise ReadError(errno.EIO, error.why)
            case UpstreamKind.CHANGED:
                await self._doubt(error, source)
        if error.pause > self._tools.times.read:
            raise ReadError(errno.EIO, error.why)
        pause = min(self._tools.times.retry * 2.0 ** min(self._failures - 1, 9), _LONGEST_RETRY)
        self._retry_at = trio.current_time() + max(pause, error.pause)

    async def _doubt(self, error: UpstreamError, source: Film) -> None:
        """Another file answered. It may have been somebody else's, by mistake; the second time, the film is another."""
        self._doubts += 1
        if self._doubts > 1:
            _log.warning(
                "Film %s of account %d is another file now: %s. It will be learnt anew.",
                source.key.stream, source.key.account, error.why,
            )  # fmt: skip
            self.is_spoilt = source is self.film
            await trio.to_thread.run_sync(self._tools.films.changed, source, error.why)
            raise ReadError(errno.EIO, error.why)

    # Readers, and what they get.

    def _serve(self) -> None:
        """Give those who wait what has come."""
        now = trio.current_time()
        for want in self._wants[:]:
            for buffer in self._buffers:
                data = buffer.read(want.start, want.stop, now)
                if data is not None:
                    self._gave(want.reader, buffer, len(data), now)
                    self._settle(want, bytes(data))
                    break

    def _gave(self, reader: Reader, buffer: Buffer, count: int, now: float) -> None:
        """Note that a reader got bytes from a buffer."""
        self._last_reader[buffer] = reader
        if reader.watch.is_background:
            if reader.watch.look(now):
                self._tools.budget.take(self.account, count)
            else:
                self._rank()

    async def _choose(self) -> Buffer | None:
        """The buffer to feed now, if any."""
        if not self._wants:
            return self._to_fill()
        want = min(self._wants, key=lambda want: want.reader.watch.is_background)
        if self._fed and self._dwells(self._fed, want):
            return self._fed
        self._is_filling = True
        return self._reached(want) or await self._new_buffer(want)

    def _dwells(self, fed: Buffer, want: _Want) -> bool:
        """Whether another reader waits, while one is served who has not had his share."""
        within = _GOES_ON if self._last_reader.get(fed) is want.reader else _READS_ON
        is_read = not self._reaches(fed, want) and trio.current_time() - fed.read_at < within
        return is_read and self._since_turn < _DWELL and fed.high < fed.wanted()

    def _to_fill(self) -> Buffer | None:
        """The buffer to read ahead into, if any."""
        if trio.current_time() >= self._left_until():
            return None
        fed = self._fed
        if fed:
            self._is_filling = fed.high < fed.wanted() and (self._is_filling or fed.lacks())
            if self._is_filling:
                return fed
        late = trio.current_time() - _LATELY
        for buffer in self._buffers:
            # Another reader is there, who was not the one for whom the upstream turned away.
            if buffer is not fed and buffer.read_at > max(self._turned_at, late) and buffer.lacks():
                return buffer
        return None

    def _reached(self, want: _Want) -> Buffer | None:
        """The buffer that will soon have what somebody waits for, if any."""
        return next((buffer for buffer in self._buffers if self._reaches(buffer, want)), None)

    def _reaches(self, buffer: Buffer, want: _Want) -> bool:
        """Whether a buffer will soon have it, and at least as soon as another answer would."""
        ahead = REACH
        if buffer in self._answers and buffer.place - buffer.begin > _VISIT:
            # Who only has a look at some places gets none of what is between them.
            ahead = max(ahead, self._skip(0))
        return buffer.reaches(want.start, want.stop, ahead)

    def _skip(self, unknown: int) -> int:
        """Bytes that are rather read than skipped by another request; a given number if that is not known yet."""
        flow = self._flow
        if not flow.is_known:
            return unknown
        allowed = self._allowance.within(flow.opening, trio.current_time())
        return min(int(flow.opening * flow.speed), allowed, _FARTHEST_SKIP)

    async def _new_buffer(self, want: _Want) -> Buffer:
        """A buffer at a new place; the one that was not read for longest goes."""
        await trio.lowlevel.checkpoint()  # Others that have come with it may ask for what is just before it.
        near = [each.start for each in self._wants if want.start - REACH <= each.start and not self._reached(each)]
        if len(self._buffers) == _BUFFERS:
            self._retire(min((each for each in self._buffers if each is not self._fed), key=lambda each: each.read_at))
        try:
            new = self._add_buffer(min([*near, want.start]) // BLOCK * BLOCK)
        except MemoryFullError:
            limit = self._tools.memory.limit >> 20
            raise ReadError(errno.EIO, f"too many films are read at once for the {limit} MB that they have") from None
        return new

    def _add_buffer(self, place: int) -> Buffer:
        buffer = Buffer(place, self.film.size, self._tools.memory)
        self._buffers.append(buffer)
        return buffer

    # The upstream.

    async def _turn_to(self, buffer: Buffer, session: Session) -> None:
        """Have an answer that goes on where a buffer ends."""
        if buffer in self._answers and trio.current_time() - self._turned_at > self._tools.times.pause:
            self._loose.append(self._answers.pop(buffer))  # It was not read for so long that it may be cut.
        while self._loose and self._connections() > 1:
            await self._loose.pop().close()
        if buffer not in self._answers:
            # A direct session is alone from its start.
            if self._is_alone or not any(each.holds_session for each in self._all_answers()):
                await self._close_others()
            answer = await self._open(buffer, session)
            if answer.stop - answer.start > AHEAD:
                await self._close_others()
            self._answers[buffer] = answer
        # Of one that is short, all will have come in no time, and a session with no open answer has to be left alone
        # for seconds. So the other one stays; most who look at a film's end go back.
        self._fed = buffer
        self._turned_at = trio.current_time()
        self._since_turn = 0
        self._doubts = 0

    async def _open(self, buffer: Buffer, session: Session) -> Answer:
        """Open the film where a buffer ends, and make sure that it is the same film."""
        place, known = self._at_hand(buffer)
        if not known and not self._connections() and session is not self._proven:
            # It may be a session of another film by now.
            place, known = self._known()
        began = trio.current_time()
        answer = await (self._ask(session, place) if known else self._ask_for_unknown(session, place))
        await self._compare(answer, known)
        if session.is_direct:
            self._proven = session  # Nobody but we know it: it stays what it is also while nothing is open.
        place += len(known)
        near = max(self._skip(_SKIP), REACH, 0 if session.is_direct or answer.holds_session else ON_ITS_WAY)
        if 0 < buffer.high - place <= near:
            buffer.begin_at(place)
        elif buffer.high != place:
            if self._is_alone:
                await self._close(answer)
            began = trio.current_time()
            first, answer = answer, await self._ask_for_unknown(session, buffer.high)
            self._set_aside(first, place)
        if answer.start == buffer.high:
            await self._begin(answer, buffer)
        now = trio.current_time()
        self._flow.opened(now - began, now)
        return answer

    async def _ask_for_unknown(self, session: Session, place: int) -> Answer:
        """Open the film at a place of which nothing is known. If it is marked as another file there, make sure
        elsewhere that it is none: the servers of a provider may differ in their marks."""
        answer = await self._ask(session, place)
        if answer.marks not in self._marks and 0 < len(self._marks) <= _SERVERS:
            its_place, known = self._known()
            if known:
                await self._close(answer)
                again = await self._ask(session, its_place)
                await self._compare(again, known)
                await self._close(again)
                answer = await self._ask(session, place)
        self._note_marks(answer)
        return answer

    def _note_marks(self, answer: Answer) -> None:
        if len(self._marks) <= _SERVERS:
            self._marks.add(answer.marks)

    async def _ask(self, session: Session, place: int) -> Answer:
        """Open the film at a place; if it is refused beside another answer, it will be tried alone."""
        try:
            return await session.open(place)
        except UpstreamError as error:
            if error.kind not in REFUSALS:
                raise
            if session.connections:
                self._is_alone = True
            elif trio.current_time() - self._hung_up_at > NOTICES:
                raise
            raise UpstreamError(UpstreamKind.FAILED, f"{error.why}, beside another answer") from None

    def _set_aside(self, answer: Answer, place: int) -> None:
        """Hold an answer from which nobody waits for anything."""
        if len(self._buffers) < _BUFFERS and place < self.film.size:
            with suppress(MemoryFullError):
                self._answers[self._add_buffer(place)] = answer
                return
        self._loose.append(answer)

    async def _close_others(self) -> None:
        """Close all answers that are there."""
        for answer in self._all_answers():
            await self._close(answer)
        self._forget_answers()

    async def _close(self, answer: Answer) -> None:
        await answer.close()
        self._hung_up_at = trio.current_time()

    def _forget_answers(self) -> None:
        self._answers.clear()
        self._loose.clear()
        self._fed = None

    def _all_answers(self) -> Sequence[Answer]:
        return (*self._answers.values(), *self._loose)

    def _connections(self) -> int:
        """How many answers are open: with none, the session does not live."""
        return sum(answer.is_open for answer in self._all_answers())

    def _at_hand(self, buffer: Buffer) -> tuple[int, bytes]:
        """The place of the last bytes of a buffer, and these."""
        place = max(buffer.low, buffer.high - _KNOWN)
        if buffer.high - place < _ENOUGH:
            return buffer.high, b""
        return place, bytes(buffer.part(place, buffer.high) or b"")

    def _known(self) -> tuple[int, bytes]:
        """A place of the film, and bytes that are known to stand there: of its head, if possible."""
        film, films = self.film, self._tools.films
        if head := films.read(film, 0, _KNOWN):
            return 0, head
        for start, stop in films.kept(film):
            data = films.read(film, start, min(stop, start + _KNOWN))
            if data and len(data) >= _ENOUGH:
                return start, data
        for buffer in self._buffers:
            place, data = self._at_hand(buffer)
            if data:
                return place, data
        return 0, b""

    async def _compare(self, answer: Answer, known: bytes) -> None:
        """Make sure that an answer begins with bytes that are known."""
        if await self._receive_exactly(answer, len(known)) != known:
            self._proven = None
            raise UpstreamError(UpstreamKind.CHANGED, "other bytes come than came before: it is another file")
        if known:
            self._note_marks(answer)

    async def _begin(self, answer: Answer, buffer: Buffer) -> None:
        """Take the first bytes of an answer, unless they are the film's. Asked for its middle, some send all of it, and
        Dispatcharr calls that the middle."""
        first = await self._receive_exactly(answer, min(_ENOUGH, answer.stop - answer.start))
        if answer.start and len(first) == _ENOUGH and first == self._tools.films.read(self.film, 0, _ENOUGH):
            raise UpstreamError(UpstreamKind.UNSEEKABLE, "its beginning comes where its middle was asked for")
        buffer.append(first)

    async def _receive_exactly(self, answer: Answer, count: int) -> bytes:
        room = memoryview(bytearray(count))
        done = 0
        while done < count:
            received = await answer.receive_into(room[done:])
            if not received:
                raise UpstreamError(UpstreamKind.SHORT, "the answer ended early")
            done += received
        self._count(count)
        return bytes(room)

    async def _hold_back(self) -> None:
        """Wait until more of the film may be read."""
        seconds = self._allowance.wait(trio.current_time())
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
        answer = self._answers[buffer]
        room = buffer.room(self._allowance.piece(_PIECE))
        began = trio.current_time()
        elsewhere = any(not self._reaches(buffer, want) for want in self._wants)
        until = min(self._left_until(), began + _READS_ON if elsewhere else inf)
        with trio.CancelScope(deadline=until) as self._receiving:
            count = await answer.receive_into(room)
        stopped, self._receiving = self._receiving.cancelled_caught, None
        if stopped:
            return
        if not count:
            del self._answers[buffer]
            self._failures = 0  # All of it came.
            return
        self._flow.came(count, began, trio.current_time())
        buffer.grow(count)
        self._count(count)
        self._since_turn += count
        self._since_failure += count
        if self._since_failure >= _PROGRESS:
            self._failures = 0

    def _count(self, count: int) -> None:
        self.received += count
        self._allowance.take(count, trio.current_time())

    # What is left of it.

    def _retire(self, buffer: Buffer) -> None:
        """Give a buffer up, but for what was read of it by somebody who only had a look."""
        self._buffers.remove(buffer)
        self._last_reader.pop(buffer, None)
        if buffer in self._answers:
            self._loose.append(self._answers.pop(buffer))
        stop = min(-(-buffer.place // BLOCK) * BLOCK, buffer.high)
        data = buffer.part(buffer.begin, stop) if 0 < stop - buffer.begin <= _VISIT else None
        is_kept = data is not None and sum(len(each) for _, each in self._visits) < _VISIT
        # Not of what the buffer gives back: whoever needs that needs all of it.
        if data is not None and is_kept and self._tools.memory.take(len(data)):
            self._visits.append((buffer.begin, bytes(data)))
        buffer.close()

    async def _end(self) -> None:
        """Give up all that is in memory."""
        for buffer in self._buffers[:]:
            self._retire(buffer)
        visits, self._visits = self._visits, []
        self._tools.memory.give(sum(len(data) for _, data in visits))
        for start, data in visits:
            if not self.is_spoilt:
                with suppress(IndexFileError):
                    await trio.to_thread.run_sync(self._tools.films.keep, self.film, start, data)
