"""Parts of films in memory: buffers that move on with their readers, and the memory that all buffers have in common."""

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence

from vod2strmfs.films.film import BLOCK

CHUNK = 1 << 20
"""Bytes: memory is taken, given back and used again in such pieces. They lie at multiples of it in the film."""
CAPACITY = 20 << 20
"""Bytes: of one buffer."""
LEAST = 4 << 20
"""Bytes that a buffer has in any case, however many films are read."""
MEMORY = 512 << 20
"""Bytes: of all buffers together."""
AHEAD = 15 << 20
"""Bytes that are read ahead of a reader at most; the rest is what stays behind it, for whoever goes back a little."""
REACH = 1 << 20
"""Bytes: a reader that asks for what is so little ahead of the buffer waits for it. Readers in the kernel ask out of
order, and none of that is a seek."""
_FIRST_AHEAD = 1 << 20
"""Bytes that are read ahead of who has read nothing here yet. From there on, twice of what was read: whoever looks at
the end of a film for a moment does not cost its provider megabytes."""

_STEP = 1 << 20
VISIT = 2 << 20
"""Bytes: who reads no more than that at a place is a scanner, and comes again. They are kept on disk."""
_BUFFERS = 2
"""Of one film."""


class MemoryFullError(Exception):
    """There is no memory for another buffer."""


class Memory:
    """The memory that all buffers have in common. A buffer that needs some gets it from buffers that nobody reads; if
    all are read, from the largest one, of what is behind its reader.

    Args:
        limit: bytes, at most.
        give_up: closes a buffer that nobody reads, and returns whether there was one.
    """

    def __init__(self, limit: int, give_up: Callable[[], bool]) -> None:
        self.limit = limit
        self.taken = 0
        """Bytes that are taken, or promised to buffers."""
        self._give_up = give_up
        self._buffers: set[Buffer] = set()
        self._spare: list[memoryview] = []
        """Chunks of buffers that were closed. A seek closes one and opens another, and to give memory back and get it
        anew takes milliseconds."""

    def opened(self, buffer: "Buffer") -> None:
        """Take the memory that a new buffer has in any case.

        Raises:
            MemoryFullError: there is none.
        """
        if not self._find(LEAST, LEAST):
            raise MemoryFullError
        self.taken += LEAST
        self._buffers.add(buffer)

    def grown(self, buffer: "Buffer") -> bool:
        """Take another chunk for a buffer; returns whether there is one."""
        found = self._find(CHUNK, buffer.capacity + CHUNK)
        self.taken += CHUNK if found else 0
        return found

    def chunk(self) -> memoryview:
        """A chunk of memory that was taken."""
        return self._spare.pop() if self._spare else memoryview(mmap.mmap(-1, CHUNK))

    def closed(self, buffer: "Buffer", chunks: Iterable[memoryview]) -> None:
        """Give back all memory of a buffer."""
        if buffer in self._buffers:
            self._buffers.remove(buffer)
            self.taken -= buffer.capacity
            self._spare = [*self._spare, *chunks][: CAPACITY // CHUNK] if self._buffers else []

    def take(self, count: int) -> bool:
        """Take memory for something else, if there is some that nobody has; returns whether there is."""
        found = self.taken + count <= self.limit
        self.taken += count if found else 0
        return found

    def give(self, count: int) -> None:
        """Give back memory that was taken by `take`."""
        self.taken -= count

    def _find(self, count: int, share: int) -> bool:
        """Make room, but not at the cost of buffers that would then have less than the one that asks."""
        while self.taken + len(self._spare) * CHUNK + count > self.limit:
            if self._spare:
                self._spare.pop()
            elif not self._give_up() and not self._shrink(share):
                return False
        return True

    def _shrink(self, share: int) -> bool:
        larger = [each for each in self._buffers if each.capacity > share and each.has_passed()]
        if not larger:
            return False
        max(larger, key=lambda each: each.capacity).shrink()
        self.taken -= CHUNK
        return True


class Buffer:
    """A part of a film in memory, from `low` to `high`: it grows at its end, and gives up its beginning for that.

    Args:
        place: the byte of the film where the buffer begins.
        size: bytes of the film.
        memory: where the buffer's memory is from.

    Raises:
        MemoryFullError: there is none.
    """

    def __init__(self, place: int, size: int, memory: Memory) -> None:
        self.begin = place
        self.low = self.high = place
        self.size = size
        self.place = place
        """The byte of the film up to which the buffer was read."""
        self.read_at = -1e9
        """When the buffer was read last, in trio's time."""
        self._chunks: dict[int, memoryview] = {}
        """Chunks by their numbers in the film, the first one first."""
        self._memory = memory
        memory.opened(self)

    @property
    def capacity(self) -> int:
        """Bytes that the buffer has memory for."""
        return max(len(self._chunks) * CHUNK, LEAST)

    def part(self, start: int, stop: int) -> memoryview | bytes | None:
        """Bytes of the film, if all are here. A view is good until the buffer grows."""
        if start < self.low or stop > self.high:
            return None
        number, first = divmod(start, CHUNK)
        if first + stop - start <= CHUNK:
            return self._chunks[number][first : first + stop - start]
        last = (stop - 1) // CHUNK
        between = (self._chunks[each] for each in range(number + 1, last))
        return b"".join((self._chunks[number][first:], *between, self._chunks[last][: stop - last * CHUNK]))

    def read(self, start: int, stop: int, now: float) -> memoryview | bytes | None:
        """Bytes of the film for a reader, whose place is noted; see `part`."""
        part = self.part(start, stop)
        if part is not None:
            self.place = max(self.place, stop)
            self.read_at = now
        return part

    def reaches(self, start: int, stop: int, ahead: int = REACH) -> bool:
        """Whether bytes are here, or will soon be as the buffer grows, if it may grow so far ahead for them."""
        is_near = self.low <= start <= max(self.high, self.place) + REACH or 0 <= start - self.high <= ahead
        return is_near and stop - self.high <= CAPACITY

    def begin_at(self, place: int) -> None:
        """Have the buffer begin at a place a little before, with nothing in it. Its readers are where they were."""
        while len(self._chunks) * CHUNK > LEAST:
            self.shrink()
            self._memory.give(CHUNK)
        self._chunks.clear()
        self.low = self.high = place

    def wanted(self) -> int:
        """The byte of the film up to which the buffer is to be filled, ahead of its reader."""
        # A chunk or two stay behind the reader: not all who read ask in order.
        ahead = min(max(2 * (self.place - self.begin), _FIRST_AHEAD), AHEAD, self.capacity - 2 * CHUNK)
        return min(self.place + ahead, self.size)

    def lacks(self) -> bool:
        """Whether it is time to fill the buffer: not for every little that was read, but in good time."""
        wanted = self.wanted()
        return 0 < wanted - self.high >= min(_STEP, (wanted - self.place) // 2)

    def room(self, most: int) -> memoryview:
        """The memory into which the next bytes go, a chunk's rest at most. What stood there is given up."""
        number, first = divmod(self.high, CHUNK)
        chunk = self._chunks[number] if number in self._chunks else self._next(number)
        return chunk[first : first + min(most, self.size - self.high)]

    def grow(self, count: int) -> None:
        """Note that so many bytes were put into `room`."""
        self.high += count

    def append(self, data: bytes) -> None:
        """Put bytes at the buffer's end."""
        while data:
            room = self.room(len(data))
            room[:] = data[: len(room)]
            self.grow(len(room))
            data = data[len(room) :]

    def has_passed(self) -> bool:
        """Whether the reader has left a chunk behind, which the buffer can do without."""
        return len(self._chunks) * CHUNK > LEAST and (next(iter(self._chunks)) + 2) * CHUNK <= self.place

    def shrink(self) -> memoryview:
        """Give up the first chunk; returns its memory."""
        number = next(iter(self._chunks))
        self.low = max(self.low, (number + 1) * CHUNK)
        return self._chunks.pop(number)

    def close(self) -> None:
        """Give up the whole buffer. May be called again."""
        self._memory.closed(self, self._chunks.values())
        self._chunks.clear()
        self.low = self.high

    def _next(self, number: int) -> memoryview:
        """Another chunk: new memory if there is some, else that of the first chunk."""
        count = len(self._chunks) * CHUNK
        if count < LEAST or (count < CAPACITY and self._memory.grown(self)):
            self._chunks[number] = self._memory.chunk()
        else:
            self._chunks[number] = self.shrink()
        return self._chunks[number]


class Buffers:
    """The buffers of one film, two at most, and what was seen in those that were given up by who only had a look.

    Args:
        size: bytes of the film.
        memory: where the buffers' memory is from.
    """

    def __init__(self, size: int, memory: Memory) -> None:
        self._size = size
        self._memory = memory
        self._buffers: list[Buffer] = []
        self._visits: list[tuple[int, bytes]] = []
        """Where somebody had a look, and what he saw."""

    def __iter__(self) -> Iterator[Buffer]:
        """The buffers that are there now, the oldest first."""
        return iter(tuple(self._buffers))

    @property
    def is_full(self) -> bool:
        """Whether the film has as many buffers as it may have."""
        return len(self._buffers) == _BUFFERS

    @property
    def place(self) -> int:
        """The place in the film up to which it was read last."""
        return max(self._buffers, key=lambda buffer: buffer.read_at).place if self._buffers else 0

    def read(self, start: int, stop: int, now: float) -> tuple[Buffer, memoryview | bytes] | None:
        """Bytes of the film for a reader, and the buffer that has them; None if no buffer has all of them."""
        for buffer in self._buffers:
            data = buffer.read(start, stop, now)
            if data is not None:
                return buffer, data
        return None

    def add(self, place: int) -> Buffer:
        """A new buffer that begins at a place of the film.

        Raises:
            MemoryFullError: there is no memory for it.
        """
        buffer = Buffer(place, self._size, self._memory)
        self._buffers.append(buffer)
        return buffer

    def give_up(self, buffer: Buffer) -> None:
        """Give a buffer up, but for what was read of it by somebody who only had a look."""
        self._buffers.remove(buffer)
        stop = min(-(-buffer.place // BLOCK) * BLOCK, buffer.high)
        data = buffer.part(buffer.begin, stop) if 0 < stop - buffer.begin <= VISIT else None
        is_kept = data is not None and sum(len(each) for _, each in self._visits) < VISIT
        # Not of what the buffer gives back: whoever needs that needs all of it.
        if data is not None and is_kept and self._memory.take(len(data)):
            self._visits.append((buffer.begin, bytes(data)))
        buffer.close()

    def take_visits(self) -> Sequence[tuple[int, bytes]]:
        """What those saw who only had a look: places in the film, and the bytes from there on. It is forgotten here."""
        visits, self._visits = self._visits, []
        self._memory.give(sum(len(data) for _, data in visits))
        return visits
