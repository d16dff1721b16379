"""The answer of a mount that is asked how it is."""

import msgspec

from vod2strmfs.index.held import number_held
from vod2strmfs.notify.account import Account


class PlayingFilm(msgspec.Struct, frozen=True):
    """A film that is read from its provider."""

    name: str
    """Where it stands in the library, for people."""
    account: int
    rate: float
    """Bytes a second that come for it, over the last seconds."""
    background: bool = False
    """Whether it is read as by a task that nobody watches."""
    error: str = ""
    """What went wrong with it last; empty: nothing."""


class AccountStreams(msgspec.Struct, frozen=True):
    """What the streams of an account are used for."""

    account: int
    limit: int
    """How many it has; 0: as many as it likes."""
    viewers: int
    learners: int
    refused: int
    """How often a film could not be read for want of a stream, since the start."""
    refused_at: float = 0.0
    """When that was last; 0: never."""
    refused_because: str = ""
    background: int = 0
    """Bytes that readers whom nobody watches got within 24 hours."""


class FilmsState(msgspec.Struct, frozen=True):
    """What a mount of films that play says beside what every mount says."""

    playing: tuple[PlayingFilm, ...] = ()
    accounts: tuple[AccountStreams, ...] = ()
    received: int = 0
    """Bytes of films that came from providers since the start, learning included."""


class MountState(msgspec.Struct, frozen=True):
    """A mount at a moment. Times are seconds since the epoch; 0 stands for never."""

    version: str
    """The program's version."""
    pid: int
    mountpoint: str
    now: float
    started: float
    generation: int
    """The number of the generation shown; 0 while there is none, or the index cannot be read. Every request is then an
    error."""
    made: float
    """When the generation was made."""
    synced: float
    """When the catalogue was last compared with the index. A sync that finds the database at rest does not count."""
    stale_since: float
    """Since when the database cannot be read; 0 while it can."""
    error: str
    """Why the database, or the index, cannot be read."""
    metrics: dict[str, dict[str, str]]
    """What `.stats.csv` says of the generation: by scope and metric."""
    requests: int
    """Requests answered since the start. Those that the kernel answers from its own cache never reach the mount."""
    requests_per_second: float
    """Requests a second, over the last seconds."""
    failed: int
    """Requests answered with an input/output error, since the index could not be read."""
    cache_asked: int
    """How often a row of the index was asked for by its id."""
    cache_missed: int
    """How often a row that was asked for had to be read from the index file."""
    logged_errors: int
    """Error messages since the start."""
    logged_warnings: int

    held_because: str = ""
    """What the shrink brake holds, and why; empty if it holds nothing."""
    held_advice: str = ""
    """What to do about what the shrink brake holds; empty if it holds nothing."""
    accept: str = ""
    """The command that accepts what the shrink brake holds; empty if it holds nothing."""
    merge: str = ""
    """Which rows are joined to one title, and why; empty while there is no generation."""
    servers: tuple[Account, ...] = ()
    """The media servers that are told what changed, as they were when one was told last."""
    films: FilmsState | None = None
    """What a mount of films that play says of them; None of any other mount."""

    @property
    def held(self) -> int:
        """Number of items that the shrink brake holds."""
        return number_held(self.metrics.get("index", {}))

    @property
    def cache_hit_rate(self) -> float | None:
        """Share of the rows asked for that were in memory; None while none was asked for."""
        return 1 - self.cache_missed / self.cache_asked if self.cache_asked else None


def encode(state: MountState) -> bytes:
    """A state as JSON, with the properties that are computed."""
    derived = {"held": state.held, "cache_hit_rate": state.cache_hit_rate}
    return msgspec.json.encode(msgspec.structs.asdict(state) | derived)


def for_programs(state: MountState) -> dict[str, object]:
    """The fields of a state for programs: with what is computed, and counted metrics as numbers."""
    metrics = {
        scope: {metric: int(value) if value.isdecimal() else value for metric, value in counted.items()}
        for scope, counted in state.metrics.items()
    }
    fields: dict[str, object] = msgspec.json.decode(encode(state))
    return fields | {"metrics": metrics}


def decode(text: bytes) -> MountState:
    """The state that `encode` wrote.

    Raises:
        msgspec.MsgspecError: the text is not what `encode` writes.
    """
    return msgspec.json.decode(text, type=MountState)
