"""Sets of numbers that stand close together, as those of nodes do."""

_BLOCK_BITS = 8
_MASK = (1 << _BLOCK_BITS) - 1


class Numbers:
    """A set of numbers from 0 on: some bits for each, where a set of Python's would take some 60 bytes."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        """Of 256 numbers each."""

    def __contains__(self, number: int) -> bool:
        return self._bits.get(number >> _BLOCK_BITS, 0) >> (number & _MASK) & 1 == 1

    def add(self, number: int) -> None:
        """Add a number."""
        block = number >> _BLOCK_BITS
        self._bits[block] = self._bits.get(block, 0) | 1 << (number & _MASK)

    def discard(self, number: int) -> None:
        """Take a number away, if it is there."""
        block = number >> _BLOCK_BITS
        if left := self._bits.get(block, 0) & ~(1 << (number & _MASK)):
            self._bits[block] = left
        else:
            self._bits.pop(block, None)

    def update(self, others: "Numbers") -> None:
        """Add all of another set."""
        for block, bits in others._bits.items():
            self._bits[block] = self._bits.get(block, 0) | bits
