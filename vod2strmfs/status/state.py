"""What a mount says of itself when it is asked."""

import msgspec

from vod2strmfs.index.held import number_held
from vod2strmfs.notify.account import Account


class State(msgspec.Struct, frozen=True):
    """A mount at a moment. Times are seconds since the epoch; 0 stands for never."""

    version: str
    """Of the program."""
    pid: int
    mountpoint: str
    now: float
    started: float
    generation: int
    """Its number; 0 while there is none, or the index cannot be read. Every request is then an error."""
    made: float
    """When the generation was made."""
    synced: float
    """When the catalogue was last compared with the index. Looks that find the database at rest do not count."""
    stale_since: float
    """Since when the database cannot be read; 0 while it can."""
    error: str
    """Why the database, or the index, cannot be read."""
    metrics: dict[str, dict[str, str]]
    """What `.stats.csv` says of the generation: by scope and metric."""
    requests: int
    """Answered since the start; those that the kernel answered from its own cache never get here."""
    requests_per_second: float
    """Over the last seconds."""
    failed: int
    """Requests answered with an input/output error, since the index could not be read."""
    cache_asked: int
    """How often a row of the index was asked for by its number."""
    cache_missed: int
    """How many of these had to be read from the index file."""
    logged_errors: int
    """Error messages since the start."""
    logged_warnings: int

    held_because: str = ""
    """What the shrink brake holds, and why; empty if that is nothing."""
    held_advice: str = ""
    """What to do about it."""
    servers: tuple[Account, ...] = ()
    """The media servers that are told what changed, as they were when one was told last."""

    @property
    def held(self) -> int:
        """How many items the shrink brake holds."""
        return number_held(self.metrics.get("index", {}))

    @property
    def cache_hit_rate(self) -> float | None:
        """Of the rows asked for, the share that was in memory; None while there were none."""
        return 1 - self.cache_missed / self.cache_asked if self.cache_asked else None


def encode(state: State) -> bytes:
    """As JSON, with what is computed."""
    derived = {"held": state.held, "cache_hit_rate": state.cache_hit_rate}
    return msgspec.json.encode(msgspec.structs.asdict(state) | derived)


def for_programs(state: State) -> bytes:
    """As JSON, in which what is counted is a number."""
    metrics = {
        scope: {metric: int(value) if value.isdecimal() else value for metric, value in counted.items()}
        for scope, counted in state.metrics.items()
    }
    return msgspec.json.encode(msgspec.json.decode(encode(state)) | {"metrics": metrics})


def decode(text: bytes) -> State:
    """From JSON.

    Raises:
        msgspec.MsgspecError: it is not what `encode` writes.
    """
    return msgspec.json.decode(text, type=State)
