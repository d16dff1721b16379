"""Films that are read: from what the store keeps, else from memory, else from where they come from.

All of it is one thread of trio. `now` answers at once or not at all; `read` waits, and gives up in time.
"""

import errno
from collections.abc import Sequence
from typing import NamedTuple

import trio

from vod2strmfs.films.admission import Admission
from vod2strmfs.films.buffer import MEMORY, Memory
from vod2strmfs.films.film import AddressOf, Film, ReadError
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.pace import Budget
from vod2strmfs.films.playing import Playing, Tools
from vod2strmfs.films.store import Films
from vod2strmfs.films.times import Times
from vod2strmfs.films.upstream import Upstream

TIMES = Times()
_LEFT = 4
"""Films that are held for somebody to open them again, at most: each may have a stream, and megabytes of memory."""


class Play(NamedTuple):
    """A film of which something is in memory, or that is open."""

    film: Film
    account: int
    """The account whose stream it uses, or would."""
    readers: int
    """The number of readers: those who have it open."""
    background: int
    """The number of readers whom nobody watches."""
    has_stream: bool
    place: int
    """Byte up to which it was read last."""
    received: int
    """Bytes that came for it."""
    error: str
    """What went wrong with it last, for people; empty: nothing."""


class Player:
    """The films that are read: answers reads of any film, each from the quickest place that has it.

    Args:
        order: what the settings say.
        films: what is known of films.
        upstream: where they come from.
        address_of: where each is.
        admission: who may have streams.
        times: how long things take.
        memory: bytes that the buffers of all films may take together.
    """

    def __init__(
        self,
        order: FilmsOrder,
        films: Films,
        upstream: Upstream,
        address_of: AddressOf,
        admission: Admission,
        times: Times = TIMES,
        memory: int = MEMORY,
    ) -> None:
        self._films = films
        self._times = times
        self.budget = Budget(order.background_bytes, films)
        """The bytes that readers got whom nobody watches."""
        self.memory = Memory(memory, self._give_up_buffer)
        """The memory that all buffers have in common."""
        self._tools = Tools(order, films, upstream, address_of, admission, self.budget, self.memory, times)
        self._playing: dict[tuple[int, int], Playing] = {}
        self._spoilt: dict[tuple[int, int], tuple[float, str]] = {}
        """Films that turned out to be others, until when they are not tried again, and why."""
        self._nursery: trio.Nursery | None = None
        self._early: list[Playing] = []
        """Films that were read while `run` did not run."""

    async def run(self) -> None:
        """Read for those who wait, until it is cancelled."""
        try:
            async with trio.open_nursery() as self._nursery:
                early, self._early = self._early, []
                for playing in early:
                    self._start(playing)
                await self.budget.run()
        finally:
            self._nursery = None

    def opened(self, film: Film, handle: int) -> None:
        """Note that a reader has opened a film.

        Args:
            film: which.
            handle: a number of the reader's own.
        """
        self._of(film).opened(handle)

    def released(self, film: Film, handle: int) -> None:
        """Note that a reader has closed a film."""
        playing = self._playing.get(film.identity)
        if playing is not None:
            playing.released(handle)
            self._forget_unless_used(playing)
            self._hold_few()

    def leaving(self, film: Film, handle: int) -> None:
        """Note that a reader has probably closed a film, though reads of it still wait: until it reads again, others
        need the stream more."""
        playing = self._playing.get(film.identity)
        if playing is not None:
            playing.leaving(handle)

    def now(self, film: Film, handle: int, offset: int, size: int) -> bytes | memoryview | None:
        """Bytes of a film that are at hand, fewer than asked for at its end alone; None: one has to wait for them.

        A view is good until something is awaited.
        """
        playing = self._playing.get(film.identity)
        if playing is not None:
            playing.stays(handle)
        return self._at_hand(film, handle, offset, size)

    def _at_hand(self, film: Film, handle: int, offset: int, size: int) -> bytes | memoryview | None:
        stop = min(offset + size, film.size)
        if offset >= stop:
            return b""
        playing = self._playing.get(film.identity)
        data = playing.look(handle, offset, stop) if playing is not None else None
        if data is None:
            data = self._films.blocks.read(film, offset, stop)
            if data is not None:
                self._films.blocks.touched(film, offset, stop)
        return data

    async def read(self, film: Film, handle: int, offset: int, size: int) -> bytes | memoryview:
        """Bytes of a film; see `now`.

        Raises:
            ReadError: they did not come in time, or are not to be had. They are never wrong.
        """
        data = self._at_hand(film, handle, offset, size)
        if data is not None:
            return data
        until, why = self._spoilt.get(film.identity, (-1e9, ""))
        if trio.current_time() < until:
            raise ReadError(errno.EIO, why)
        playing = self._of(film)
        before = playing.received
        with trio.move_on_after(self._times.read):
            return await playing.read(handle, offset, min(offset + size, film.size), lambda: self._start(playing))
        late = f"nothing came within {self._times.read:.0f} seconds"
        error = ReadError(errno.EIO, f"{late}: {playing.error}" if playing.error else late)
        playing.gave_up(error, playing.received - before)
        raise error

    def playing(self) -> Sequence[Play]:
        """The films that are read now, or were until lately."""
        return [
            Play(
                each.film, each.account, len(each.readers),
                sum(reader.watch.is_background for reader in each.readers.values()),
                each.has_stream, each.place, each.received, each.error,
            )
            for each in self._playing.values()
        ]  # fmt: skip

    def _of(self, film: Film) -> Playing:
        playing = self._playing.get(film.identity)
        if playing is None:
            playing = self._playing[film.identity] = Playing(film, self._tools)
        return playing

    def _hold_few(self) -> None:
        """Let go of what was left first. Whoever copies a library leaves a film every second."""
        left = sorted((each for each in self._playing.values() if not each.readers), key=lambda each: each.closed_at)
        for each in left[:-_LEFT]:
            each.let_go()

    def _start(self, playing: Playing) -> None:
        if self._nursery is None:
            self._early.append(playing)
        else:
            self._nursery.start_soon(self._live, playing)

    async def _live(self, playing: Playing) -> None:
        try:
            await playing.live()
        finally:
            if playing.is_spoilt:
                self._spoilt[playing.film.identity] = trio.current_time() + self._times.spoilt, playing.error
            self._forget_unless_used(playing)

    def _give_up_buffer(self) -> bool:
        """Give up the buffer that is needed least, of those that nobody reads; returns whether there was one."""
        spare = [(each[:2], playing, each[2]) for playing in self._playing.values() for each in playing.spare()]
        if spare:
            _, playing, buffer = min(spare, key=lambda each: each[0])
            playing.give_up(buffer)
        return bool(spare)

    def _forget_unless_used(self, playing: Playing) -> None:
        if not playing.is_alive and not playing.readers and self._playing.get(playing.film.identity) is playing:
            del self._playing[playing.film.identity]
