"""Reading ahead: who asks for one row and then for its neighbour is about to ask for the rest."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

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
        self._weigh = weigh
        self._limit = limit
        # Every answer of a mount comes by here. That of cachetools is Python, and takes ten times as long.
        self._blocks: OrderedDict[int, dict[int, Row] | None] = OrderedDict()
        """The blocks by their number, the one that was asked about last at the end; None for one that was asked about
        once."""
        self._bytes = 0
        self.asked = 0
        """Number of rows that were asked for."""
        self.missed = 0
        """Number of rows asked for that were not in memory."""

    def get(self, number: int) -> Row | None:
        """The row with this id, if there is one."""
        at = number >> _BLOCK_BITS
        self.asked += 1
        block = self._blocks.get(at)
        if block is not None:
            self._blocks.move_to_end(at)
            return block.get(number)
        self.missed += 1
        if at not in self._blocks and at - 1 not in self._blocks:
            self._keep(at, None)
            return self._read(number, number).get(number)
        block = self._read(at << _BLOCK_BITS, at << _BLOCK_BITS | _BLOCK_MASK)
        self._keep(at, block)
        return block.get(number)

    def _keep(self, at: int, block: dict[int, Row] | None) -> None:
        """Keep a block, and as many of the others as there is room for."""
        size = self._bytes_of(block)
        if size > self._limit:
            return
        if at in self._blocks:
            self._bytes -= self._bytes_of(self._blocks.pop(at))
        self._blocks[at] = block
        self._bytes += size
        while self._bytes > self._limit:
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= self._bytes_of(oldest)

    def _bytes_of(self, block: dict[int, Row] | None) -> int:
        return _OVERHEAD_BYTES + sum(map(self._weigh, (block or {}).values()))

    def clear(self) -> None:
        """Forget all rows."""
        self._blocks.clear()
        self._bytes = 0
