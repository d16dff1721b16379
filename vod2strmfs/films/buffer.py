"""A part of a film in memory that moves on with its reader."""

import mmap

CAPACITY = 20 << 20
"""Bytes: of one buffer."""
AHEAD = 15 << 20
"""Bytes that are read ahead of a reader at most; the rest is what stays behind it, for whoever goes back a little."""
REACH = 1 << 20
"""Bytes: a reader that asks for what is so little ahead of the buffer waits for it. Readers in the kernel ask out of
order, and none of that is a seek."""
_FIRST_AHEAD = 1 << 20
"""Bytes that are read ahead of who has read nothing here yet. From there on, twice of what was read: whoever looks at
the end of a film for a moment does not cost its provider megabytes."""

_STEP = 1 << 20


class Buffer:
    """Bytes of a film from `low` to `high`; grows at its end, and gives up its beginning for that.

    Args:
        place: where it begins.
        size: bytes of the film.
        capacity: bytes that it holds at most.
    """

    def __init__(self, place: int, size: int, capacity: int = CAPACITY) -> None:
        self.begin = place
        self.low = self.high = place
        self.size = size
        self.place = place
        """Up to where it was read."""
        self.read_at = -1e9
        """When it was last read."""
        self._capacity = capacity
        # Unlike a bytearray, it takes memory only as far as it is written.
        self._ring = memoryview(mmap.mmap(-1, capacity))

    def part(self, start: int, stop: int) -> memoryview | bytes | None:
        """Bytes of the film, if all are here. A view is good until the buffer grows."""
        if start < self.low or stop > self.high:
            return None
        first, last = start % self._capacity, (stop - 1) % self._capacity + 1
        if first < last:
            return self._ring[first:last]
        return b"".join((self._ring[first:], self._ring[:last]))

    def read(self, start: int, stop: int, now: float) -> memoryview | bytes | None:
        """The same for a reader, whose place is noted."""
        part = self.part(start, stop)
        if part is not None:
            self.place = max(self.place, stop)
            self.read_at = now
        return part

    def reaches(self, start: int, stop: int) -> bool:
        """Whether bytes are here, or will soon be as it grows."""
        return self.low <= start <= max(self.high, self.place) + REACH and stop - self.high <= self._capacity

    def begin_at(self, place: int) -> None:
        """Begin at a place a little before, with nothing in it. Its readers are where they were."""
        self.low = self.high = place

    def wanted(self) -> int:
        """Up to where it is to be read ahead."""
        ahead = min(max(2 * (self.place - self.begin), _FIRST_AHEAD), AHEAD, self._capacity // 4 * 3)
        return min(self.place + ahead, self.size)

    def lacks(self) -> bool:
        """Whether it is time to read on: not for every little that was read, but in good time."""
        wanted = self.wanted()
        return 0 < wanted - self.high >= min(_STEP, (wanted - self.place) // 2)

    def room(self, most: int) -> memoryview:
        """Where its next bytes go. What stood there is given up."""
        first = self.high % self._capacity
        count = min(most, self._capacity - first, self.size - self.high)
        self.low = max(self.low, self.high + count - self._capacity)
        return self._ring[first : first + count]

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
