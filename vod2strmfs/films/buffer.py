"""A part of a film in memory that moves on with its reader; and the memory that all such parts have in common."""

import mmap
from collections.abc import Callable, Iterable

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


class MemoryFullError(Exception):
    """There is no memory for another buffer."""


class Memory:
    """The memory that buffers have in common. Who needs some gets it from those that nobody reads; if all are read,
    from the largest, of what is behind its reader.

    Args:
        limit: bytes, at most.
        give_up: closes a buffer that nobody reads, and returns whether there was one.
    """

    def __init__(self, limit: int, give_up: Callable[[], bool]) -> None:
        self.limit = limit
        self.taken = 0
        """Bytes that are taken, or promised."""
        self._give_up = give_up
        self._buffers: set[Buffer] = set()
        self._spare: list[memoryview] = []
        """Chunks of buffers that were closed. A seek closes one and opens another, and to give memory back and get it
        anew takes milliseconds."""

    def opened(self, buffer: "Buffer") -> None:
        """Take what a new buffer has in any case.

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
        """Memory that was taken."""
        return self._spare.pop() if self._spare else memoryview(mmap.mmap(-1, CHUNK))

    def closed(self, buffer: "Buffer", chunks: Iterable[memoryview]) -> None:
        """Give back all that a buffer has."""
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
        """Give that back."""
        self.taken -= count

    def _find(self, count: int, share: int) -> bool:
        """Make room, but not at the cost of buffers that would then have less than whoever asks."""
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
    """Bytes of a film from `low` to `high`; grows at its end, and gives up its beginning for that.

    Args:
        place: where it begins.
        size: bytes of the film.
        memory: where its memory is from.

    Raises:
        MemoryFullError: there is none.
    """

    def __init__(self, place: int, size: int, memory: Memory) -> None:
        self.begin = place
        self.low = self.high = place
        self.size = size
        self.place = place
        """Up to where it was read."""
        self.read_at = -1e9
        """When it was last read."""
        self._chunks: dict[int, memoryview] = {}
        """By their numbers in the film, the first one first."""
        self._memory = memory
        memory.opened(self)

    @property
    def capacity(self) -> int:
        """Bytes that it has memory for."""
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
        """The same for a reader, whose place is noted."""
        part = self.part(start, stop)
        if part is not None:
            self.place = max(self.place, stop)
            self.read_at = now
        return part

    def reaches(self, start: int, stop: int, ahead: int = REACH) -> bool:
        """Whether bytes are here, or will soon be as it grows, if it may grow so far ahead for them."""
        is_near = self.low <= start <= max(self.high, self.place) + REACH or 0 <= start - self.high <= ahead
        return is_near and stop - self.high <= CAPACITY

    def begin_at(self, place: int) -> None:
        """Begin at a place a little before, with nothing in it. Its readers are where they were."""
        while len(self._chunks) * CHUNK > LEAST:
            self.shrink()
            self._memory.give(CHUNK)
        self._chunks.clear()
        self.low = self.high = place

    def wanted(self) -> int:
        """Up to where it is to be read ahead."""
        # A chunk or two stay behind the reader: not all who read ask in order.
        ahead = min(max(2 * (self.place - self.begin), _FIRST_AHEAD), AHEAD, self.capacity - 2 * CHUNK)
        return min(self.place + ahead, self.size)

    def lacks(self) -> bool:
        """Whether it is time to read on: not for every little that was read, but in good time."""
        wanted = self.wanted()
        return 0 < wanted - self.high >= min(_STEP, (wanted - self.place) // 2)

    def room(self, most: int) -> memoryview:
        """Where its next bytes go. What stood there is given up."""
        number, first = divmod(self.high, CHUNK)
        chunk = self._chunks[number] if number in self._chunks else self._next(number)
        return chunk[first : first + min(most, self.size - self.high)]

    def grow(self, count: int) -> None:
        """Note that so many bytes were put there."""
        self.high += count

    def append(self, data: bytes) -> None:
        """Put bytes at its end."""
        while data:
            room = self.room(len(data))
            room[:] = data[: len(room)]
            self.grow(len(room))
            data = data[len(room) :]

    def has_passed(self) -> bool:
        """Whether its reader has left a chunk behind that it can do without."""
        return len(self._chunks) * CHUNK > LEAST and (next(iter(self._chunks)) + 2) * CHUNK <= self.place

    def shrink(self) -> memoryview:
        """Give up the first chunk."""
        number = next(iter(self._chunks))
        self.low = max(self.low, (number + 1) * CHUNK)
        return self._chunks.pop(number)

    def close(self) -> None:
        """Give up everything. May be called again."""
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
