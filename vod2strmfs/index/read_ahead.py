"""Reading ahead: who asks for one row and then for its neighbour is about to ask for the rest."""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import LRUCache

Row = TypeVar("Row")

_BLOCK_BITS = 6
_BLOCK_MASK = (1 << _BLOCK_BITS) - 1
_OVERHEAD_BYTES = 500


class Ahead(Generic[Row]):
    """Rows by their ids, read in blocks of 64 consecutive ids where that pays, and kept for a while.

    The first question about a block is answered by itself, unless the block before it was asked about lately; the
    second one reads the block. So a scan, in whatever order it goes, needs few queries, and a lone look-up one row.

    Args:
        read: gives all rows whose ids lie between two numbers, both included, by id.
        weigh: gives the bytes of memory that a row takes, roughly.
        limit: bytes of memory for rows.
    """

    def __init__(self, read: Callable[[int, int], dict[int, Row]], weigh: Callable[[Row], int], limit: int) -> None:
        self._read = read
        self._blocks: LRUCache[int, dict[int, Row] | None] = LRUCache(
            limit, getsizeof=lambda block: _OVERHEAD_BYTES + sum(map(weigh, (block or {}).values()))
        )
        """The blocks by their number; None for one that was asked about once."""
        self.asked = 0
        """Number of rows that were asked for."""
        self.missed = 0
        """Number of rows asked for that were not in memory."""

    def get(self, number: int) -> Row | None:
        """The row with this id, if there is one."""
        at = number >> _BLOCK_BITS
        self.asked += 1
        try:
            block = self._blocks[at]
        except KeyError:
            if at - 1 not in self._blocks:
                self._blocks[at] = None
                self.missed += 1
                return self._read(number, number).get(number)
            block = None
        if block is None:
            self.missed += 1
            block = self._read(at << _BLOCK_BITS, at << _BLOCK_BITS | _BLOCK_MASK)
            with suppress(ValueError):  # more than may be kept at all
                self._blocks[at] = block
        return block.get(number)

    def clear(self) -> None:
        """Forget all rows."""
        self._blocks.clear()
