"""Learning one film: its exact size, what it is, and the parts of it that scanners read.

What an answer says is believed only once it fits what it holds.
"""

from collections.abc import Iterator, Sequence

import trio

from vod2strmfs.films.containers import (
    SIGNATURE_BYTES,
    TAIL_BYTES,
    MissingError,
    NotAFilmError,
    Scanned,
    ScatteredError,
    extension_of,
    scanned,
    what_else,
)
from vod2strmfs.films.film import BLOCK, Extent
from vod2strmfs.films.outcomes import Kind
from vod2strmfs.films.parts import Draft, merged
from vod2strmfs.films.store import Learnt
from vod2strmfs.films.upstream import NOTICES, REFUSALS, Answer, Session, UpstreamError, UpstreamKind
from vod2strmfs.library.rendered import content_digest

_STEP = 64 << 10
"""Bytes that are received at once, at most."""
_FETCH = 256 << 10
"""Bytes that are asked for at a place, at least: less would not be faster."""
_SKIP = 1 << 20
"""Bytes of an answer that are rather read on than skipped by asking anew."""
_FIRST = 5 << 18
"""Bytes of every film's beginning that scanners read, and some more."""


class NoFilmError(Exception):
    """What came is no film that can be shown.

    Args:
        kind: what is wrong with it.
        why: the same for people.
    """

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class OverBudgetError(Exception):
    """More would have to be taken from a provider than may be."""


class Fetched:
    """The bytes that one film takes from its provider."""

    def __init__(self) -> None:
        self.taken = 0
        """Bytes that came."""
        self.allowance = 1 << 62
        """Bytes that may come."""


class Lesson:
    """One film that is being learnt, in one session: what is asked for, and what of it is kept.

    Args:
        session: with Dispatcharr, or the provider.
        draft: where the film's parts go.
        fetched: counts the bytes that come.
        seconds: how long the film plays, as far as is known; 0: that is unknown.
        is_alone: whether an answer is closed before another one is opened: many providers allow one connection alone.
            Dispatcharr's sessions are better not left without an answer, so there it has to turn out.
    """

    def __init__(self, session: Session, draft: Draft, fetched: Fetched, seconds: int, *, is_alone: bool) -> None:
        self._session = session
        self._draft = draft
        self._fetched = fetched
        self._seconds = seconds
        self._size = 0
        self._head: Answer | None = None
        """One that began at the film's beginning, and has come up to `_head_at`."""
        self._head_at = 0
        self.is_alone = is_alone
        self._room = memoryview(bytearray(_STEP))

    async def learn(self) -> Learnt:
        """Learn the film.

        Raises:
            UpstreamError, NoFilmError, OverBudgetError: it cannot be learnt now.
            OSError: its parts cannot be kept.
        """
        # Held open to the end: a session whose last request has ended is deleted under the next one.
        self._head = await self._session.open(0)
        try:
            self._size = self._head.total
            await self._read_on(self._head, min(_FIRST if self.is_alone else BLOCK, self._size))
            beginning = self._have(0, min(BLOCK, self._size))
            extension = extension_of(beginning[:SIGNATURE_BYTES])
            if extension is None:
                raise NoFilmError(Kind.NOT_A_FILM, f"{self._session.who} sends {what_else(beginning)}")
            await self._prove_seekable(beginning)
            found = await self._parse(extension)
            for part in _joined(found.parts, self._size):
                await self._fetch(part)
        finally:
            await self._close_head()
        tail = self._have(max(self._size - BLOCK, 0), self._size)
        seconds = found.seconds or self._seconds
        return Learnt(self._size, extension, seconds, content_digest(beginning), content_digest(tail))

    async def _prove_seekable(self, beginning: bytes) -> None:
        """Fetch the film's end, and see that it is not its beginning again under the right name."""
        start = _block_start(self._size - TAIL_BYTES) or self._size // 2
        await self._fetch_range(Extent(start, self._size))
        first = self._have(start, min(start + len(beginning), self._size))
        if len(first) > 1 and beginning.startswith(first):
            who = self._session.who
            raise NoFilmError(Kind.UNSEEKABLE, f"{who} sends the beginning whatever part of the film is asked for")

    async def _parse(self, extension: str) -> Scanned:
        """What scanners read, for which parts of the film are fetched."""
        while True:
            try:
                # A damaged index can be long work.
                return await trio.to_thread.run_sync(scanned, extension, self._size, self._seconds, self._have)
            except MissingError as missing:
                start = _block_start(missing.extent.start)
                await self._fetch(Extent(start, min(max(missing.extent.stop, start + _FETCH), self._size)))
            except NotAFilmError as error:
                raise NoFilmError(Kind.NOT_A_FILM, f"{self._session.who} sends {error}") from None
            except ScatteredError as error:
                raise NoFilmError(Kind.UNSEEKABLE, f"{self._session.who} sends {error}") from None

    def _have(self, start: int, stop: int) -> bytes:
        data = self._draft.read(start, stop)
        if data is None:
            raise MissingError(start, stop)
        return data

    async def _fetch(self, part: Extent) -> None:
        """Fetch what is not there yet of a part of the film."""
        for start, stop in _lacking(part, self._draft.extents):
            if self._head is not None and self._head_at <= start <= self._head_at + _SKIP:
                await self._read_on(self._head, stop)
            else:
                await self._fetch_range(Extent(start, stop))

    async def _read_on(self, head: Answer, stop: int) -> None:
        """Read on in the answer that is held open."""
        while self._head_at < stop:
            self._head_at += await self._receive(head, self._head_at, stop)

    async def _fetch_range(self, part: Extent) -> None:
        at = part.start
        while at < part.stop:
            answer = await self._open(at, part.stop)
            try:
                # It may end before all that was asked for.
                while at < answer.stop:
                    at += await self._receive(answer, at, answer.stop)
            finally:
                await answer.close()

    async def _open(self, start: int, stop: int) -> Answer:
        if self.is_alone:
            await self._close_head()
        try:
            return await self._session.open(start, stop)
        except UpstreamError as error:
            if error.kind not in REFUSALS or error.pause:
                raise
        self.is_alone = True
        await self._close_head()
        await trio.sleep(NOTICES)
        return await self._session.open(start, stop)

    async def _close_head(self) -> None:
        if self._head is not None:
            await self._head.close()
            self._head = None

    async def _receive(self, answer: Answer, at: int, stop: int) -> int:
        count = await answer.receive_into(self._room[: min(stop - at, _STEP)])
        if not count:
            raise UpstreamError(UpstreamKind.SHORT, f"{self._session.who} ended in the middle of the film")
        self._fetched.taken += count
        self._draft.write(at, self._room[:count])
        if self._fetched.taken > self._fetched.allowance:
            raise OverBudgetError
        return count


def _block_start(at: int) -> int:
    return max(at, 0) // BLOCK * BLOCK


def _joined(extents: list[Extent], size: int) -> list[Extent]:
    """The same parts in whole blocks, and as one where they are near each other."""
    blocks = merged(Extent(_block_start(start), min(-(-stop // BLOCK) * BLOCK, size)) for start, stop in extents)
    found: list[Extent] = []
    for each in blocks:
        if found and each.start - found[-1].stop < _FETCH:
            found[-1] = Extent(found[-1].start, each.stop)
        else:
            found.append(each)
    return found


def _lacking(part: Extent, there: Sequence[Extent]) -> Iterator[Extent]:
    """What is not there of a part."""
    at = part.start
    for each in there:
        if each.stop <= at or each.start >= part.stop:
            continue
        if each.start > at:
            yield Extent(at, each.start)
        at = each.stop
    if at < part.stop:
        yield Extent(at, part.stop)
