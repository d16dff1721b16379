"""How films are learnt and played: what the settings say."""

from pydantic import BaseModel

from vod2strmfs.settings import Settings


class FilmsOrder(BaseModel):
    """The settings of learning films and of playing them."""

    cache: int
    """Bytes of films that are kept on disk, at most."""
    learn_rate: float
    """Films a minute that are learnt, at most."""
    learn_bytes: int
    """Bytes a day that learning may take from providers."""
    max_streams: int
    """Streams of an account; 0: as many as Dispatcharr says, and 1 where it does not say."""
    reserve_streams: int
    """Streams of an account that learning leaves free."""
    pace: float
    """Times its bit rate that a film is read at after its first minute."""
    background_reads: str
    """What a reader gets whom nobody watches: `pace` (as others), or `refuse` (nothing)."""
    background_bytes: int
    """Bytes a day and account that such readers get."""

    @classmethod
    def of(cls, settings: Settings) -> "FilmsOrder":
        """The order that the settings give."""
        gigabyte = 10**9
        return cls(
            cache=int(settings.films_cache * gigabyte),
            learn_rate=settings.learn_rate,
            learn_bytes=int(settings.learn_bytes * gigabyte),
            max_streams=settings.max_streams,
            reserve_streams=settings.reserve_streams,
            pace=settings.pace,
            background_reads=settings.background_reads,
            background_bytes=int(settings.background_bytes * gigabyte),
        )
