"""The open answers of one film: each goes on where one of its buffers ends, and its bytes go there.

One buffer at a time is fed. To turn to another one, or to a new place, a new answer is opened before the old one is
closed, where that is allowed. Whether an answer is of this film is known from bytes that were there before.
"""

from collections.abc import Sequence
from contextlib import suppress

import trio

from vod2strmfs.films.blocks import Blocks
from vod2strmfs.films.buffer import AHEAD, REACH, Buffer, Buffers, MemoryFullError
from vod2strmfs.films.film import Film
from vod2strmfs.films.pace import BURST_SECONDS, Allowance, Flow, allowed_rate, bit_rate
from vod2strmfs.films.upstream import (
    NOTICES,
    ON_ITS_WAY,
    REFUSALS,
    Answer,
    Session,
    UpstreamError,
    UpstreamKind,
)

_KNOWN = 64 << 10
"""Bytes that are compared with what is at hand when a film is opened again, at most."""
_ENOUGH = 4 << 10
"""Bytes of a film that tell it from another one."""
_SKIP = 4 << 20
"""Bytes that are rather read than skipped by another request, while it is not known what either takes."""
_FARTHEST_SKIP = 16 << 20
_PIECE = 1 << 20
"""Bytes that are received at once, at most."""
_SERVERS = 8
"""Of a provider, that mark a film in their own ways. Where there are more ways, marks say nothing."""


class Answers:
    """The open answers of one film, whose bytes go into its buffers.

    Args:
        film: the one that is read.
        blocks: has bytes of it that are known.
        buffers: its buffers.
        pace: how many times as fast as it plays the film is received, after its first minute.
        pause: seconds that an answer may be left unread.
    """

    def __init__(self, film: Film, blocks: Blocks, buffers: Buffers, pace: float, pause: float) -> None:
        now = trio.current_time()
        self.fed: Buffer | None = None
        """The buffer that is fed."""
        self.turned_at = now
        """When another buffer was turned to last, in trio's time."""
        self.since_turn = 0
        """Bytes that came for the buffer that is fed since it was turned to."""
        self.received = 0
        """Bytes of the film that came, those included that were compared alone."""
        self._film = film
        self._blocks = blocks
        self._buffers = buffers
        self._pause = pause
        self._allowance = Allowance(allowed_rate(film, pace), max(BURST_SECONDS * bit_rate(film), _PIECE), now)
        self._flow = Flow()
        self._answers: dict[Buffer, Answer] = {}
        """Those that go on from the ends of buffers: of the one that is fed, and perhaps of the other one."""
        self._loose: list[Answer] = []
        """Those whose buffers were given up."""
        self._is_alone = False
        """Whether the old answer is closed before the new one is opened."""
        self._hung_up_at = -1e9
        """When an answer was closed last, in trio's time: its provider may not have noticed yet."""
        self._marks: set[tuple[str, ...]] = set()
        """Of answers that were this film's."""
        self._is_proven = False
        """Whether the session is known to be of this film, also while it has no open answer."""

    # Which there are.

    def begin(self, session: Session, *, is_new_source: bool) -> None:
        """Begin with a session, in which there is no answer yet.

        Args:
            session: the one that `turn_to` will be called with.
            is_new_source: whether it is with another account than the bytes that came before.
        """
        # Many providers allow one connection alone. Dispatcharr's sessions are better not left without an answer, so
        # there it has to turn out.
        self._is_alone = session.is_direct
        self._is_proven = False
        if is_new_source:
            self._marks.clear()

    async def hang_up(self, session: Session) -> None:
        """Close all answers of a session, one of which has failed."""
        if session.connections:
            self._hung_up_at = trio.current_time()
        await session.hang_up()
        self.forget()

    def forget(self) -> None:
        """Forget all answers, since their session has closed them."""
        self._answers.clear()
        self._loose.clear()
        self.fed = None

    def let_go(self, buffer: Buffer) -> None:
        """Feed a buffer no longer, since it is given up."""
        if buffer in self._answers:
            self._loose.append(self._answers.pop(buffer))
        if buffer is self.fed:
            self.fed = None

    def continues(self, buffer: Buffer) -> bool:
        """Whether there is an answer that goes on where a buffer ends."""
        return buffer in self._answers

    @property
    def connections(self) -> int:
        """The number of answers that are open: with none, the session does not live."""
        return sum(answer.is_open for answer in self._all())

    # Turning to a buffer.

    async def turn_to(self, buffer: Buffer, session: Session) -> None:
        """Have an answer that goes on where a buffer ends, and feed that one.

        Raises:
            UpstreamError: there is none, or it is not of this film.
        """
        if buffer in self._answers and trio.current_time() - self.turned_at > self._pause:
            self._loose.append(self._answers.pop(buffer))  # It was not read for so long that it may be cut.
        while self._loose and self.connections > 1:
            await self._loose.pop().close()
        if buffer not in self._answers:
            # A direct session is alone from its start.
            if self._is_alone or not any(each.holds_session for each in self._all()):
                await self._close_all()
            answer = await self._open(buffer, session)
            if answer.stop - answer.start > AHEAD:
                await self._close_all()
            self._answers[buffer] = answer
        # Of one that is short, all will have come in no time, and a session with no open answer has to be left alone
        # for seconds. So the other one stays; most who look at a film's end go back.
        self.fed = buffer
        self.turned_at = trio.current_time()
        self.since_turn = 0

    async def _open(self, buffer: Buffer, session: Session) -> Answer:
        """Open the film where a buffer ends, and make sure that it is the same film."""
        place, known = _at_hand(buffer)
        if not known and not self.connections and not self._is_proven:
            # It may be a session of another film by now.
            place, known = self._known()
        began = trio.current_time()
        answer = await (self._ask(session, place) if known else self._ask_for_unknown(session, place))
        await self._compare(answer, known)
        if session.is_direct:
            self._is_proven = True  # Nobody but we know it: it stays what it is also while nothing is open.
        place += len(known)
        near = max(self.skip(_SKIP), REACH, 0 if session.is_direct or answer.holds_session else ON_ITS_WAY)
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
        if not self._buffers.is_full and place < self._film.size:
            with suppress(MemoryFullError):
                self._answers[self._buffers.add(place)] = answer
                return
        self._loose.append(answer)

    async def _close_all(self) -> None:
        for answer in self._all():
            await self._close(answer)
        self.forget()

    async def _close(self, answer: Answer) -> None:
        await answer.close()
        self._hung_up_at = trio.current_time()

    def _all(self) -> Sequence[Answer]:
        return (*self._answers.values(), *self._loose)

    # Whether it is the film.

    def _known(self) -> tuple[int, bytes]:
        """A place of the film, and bytes that are known to stand there: of its head, if possible."""
        film, blocks = self._film, self._blocks
        if head := blocks.read(film, 0, _KNOWN):
            return 0, head
        for start, stop in blocks.kept(film):
            data = blocks.read(film, start, min(stop, start + _KNOWN))
            if data and len(data) >= _ENOUGH:
                return start, data
        for buffer in self._buffers:
            place, data = _at_hand(buffer)
            if data:
                return place, data
        return 0, b""

    async def _compare(self, answer: Answer, known: bytes) -> None:
        """Make sure that an answer begins with bytes that are known."""
        if await self._receive_exactly(answer, len(known)) != known:
            self._is_proven = False
            raise UpstreamError(UpstreamKind.CHANGED, "other bytes come than came before: it is another file")
        if known:
            self._note_marks(answer)

    def _note_marks(self, answer: Answer) -> None:
        if len(self._marks) <= _SERVERS:
            self._marks.add(answer.marks)

    async def _begin(self, answer: Answer, buffer: Buffer) -> None:
        """Take the first bytes of an answer, unless they are the film's. Asked for its middle, some send all of it, and
        Dispatcharr calls that the middle."""
        first = await self._receive_exactly(answer, min(_ENOUGH, answer.stop - answer.start))
        if answer.start and len(first) == _ENOUGH and first == self._blocks.read(self._film, 0, _ENOUGH):
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

    # What comes.

    async def receive(self, buffer: Buffer) -> int:
        """Receive what comes next into the buffer that is fed.

        Returns:
            Bytes that came; 0 at the end of its answer, which is forgotten then.

        Raises:
            UpstreamError: the rest of it does not come.
        """
        room = buffer.room(self._allowance.piece(_PIECE))
        began = trio.current_time()
        count = await self._answers[buffer].receive_into(room)
        if not count:
            del self._answers[buffer]
            return 0
        self._flow.came(count, began, trio.current_time())
        buffer.grow(count)
        self._count(count)
        self.since_turn += count
        return count

    def held_back(self) -> float:
        """Seconds until more of the film may be received, by its pace."""
        return self._allowance.wait(trio.current_time())

    def skip(self, unknown: int) -> int:
        """Bytes that are rather read than skipped by another request.

        Args:
            unknown: the answer if it is not known yet what either takes.
        """
        flow = self._flow
        if not flow.is_known:
            return unknown
        allowed = self._allowance.within(flow.opening, trio.current_time())
        return min(int(flow.opening * flow.speed), allowed, _FARTHEST_SKIP)

    def _count(self, count: int) -> None:
        self.received += count
        self._allowance.take(count, trio.current_time())


def _at_hand(buffer: Buffer) -> tuple[int, bytes]:
    """The place of the last bytes of a buffer, and these."""
    place = max(buffer.low, buffer.high - _KNOWN)
    if buffer.high - place < _ENOUGH:
        return buffer.high, b""
    return place, bytes(buffer.part(place, buffer.high) or b"")
