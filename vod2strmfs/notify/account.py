"""The state of telling a media server what changed."""

import msgspec


class Account(msgspec.Struct, frozen=True):
    """The state of telling a media server what changed. Times are seconds since the epoch; 0 stands for never."""

    name: str
    waiting: int
    """How many folders it is to be told of."""
    told: int
    """Of how many it was told."""
    told_at: float
    failures: int
    """How many attempts failed since one succeeded."""
    failing_since: float
    next_try: float
    """From when on it is asked again, if it failed or has no library of what changed."""
    error: str
    """Why the last attempt failed; empty if it did not."""
