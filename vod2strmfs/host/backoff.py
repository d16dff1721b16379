"""Waiting longer after each failure."""

from typing import NamedTuple


class Backoff(NamedTuple):
    """How long to wait, in seconds: at first, and at most; each time twice as long as the time before."""

    first: float
    longest: float

    def after(self, times: int) -> float:
        """How long to wait after so many failures, one after the other."""
        return min(self.first * 2.0 ** min(max(times - 1, 0), 40), self.longest)
