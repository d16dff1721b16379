"""What can come of learning a film, and when to try again."""

from enum import StrEnum
from typing import NamedTuple

from vod2strmfs.host.backoff import Backoff

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
PATIENT_TIMES = 3
"""Failures of an account, one after the other, from which on it is the account's and not the films'."""


class Kind(StrEnum):
    """The kinds of outcome of learning a film. The values stand in the store's file."""

    LEARNT = "learnt"
    UNSEEKABLE = "unseekable"
    """The provider gives it from its beginning only, or does not say how long it is."""
    NOT_A_FILM = "not a film"
    """Something else came, or in a container that is not known."""
    GONE = "gone"
    """The provider, or Dispatcharr, does not have it any more."""
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    """It was answered with another error. Dispatcharr also says so where its provider does not have the film."""
    FAILED = "failed"
    """It broke off, or took too long."""
    BUSY = "busy"
    """No stream is free, or we are to ask less. That is no fault of the film's."""
    AWAY = "away"
    """Nobody could be reached. That is no fault of the film's either."""
    FULL = "full"
    """The disk has no room for it."""
    YIELDED = "yielded"
    """A viewer needed the stream."""


class Outcome(NamedTuple):
    """The outcome of learning one film."""

    kind: Kind
    why: str = ""
    """For people; names no password."""
    pause: float = 0.0
    """Seconds for which the account is to be left alone, if that was said."""
    taken: int = 0
    """Bytes that were taken from the provider."""


_FILM = {
    Kind.UNSEEKABLE: Backoff(7 * _DAY, 30 * _DAY),
    Kind.NOT_A_FILM: Backoff(_DAY, 30 * _DAY),
    Kind.GONE: Backoff(_DAY, 30 * _DAY),
    Kind.FORBIDDEN: Backoff(_DAY, 7 * _DAY),
    Kind.REFUSED: Backoff(_DAY, 30 * _DAY),
    Kind.FAILED: Backoff(_HOUR, 7 * _DAY),
}
_ACCOUNT, _FAILING_ACCOUNT = Backoff(_MINUTE, _HOUR), Backoff(10 * _MINUTE, _DAY)

BLAMES_FILM = frozenset(_FILM)
"""Outcomes that are kept with the film."""


def film_pause(kind: Kind, failures: int) -> float:
    """Seconds until a film is asked for again that could not be learnt so many times in a row."""
    return _FILM[kind].after(failures)


def account_pause(kind: Kind, failures: int, asked: float) -> float:
    """Seconds for which an account is left alone after so many failures in a row, or when it asks for that."""
    if kind in (Kind.BUSY, Kind.AWAY):
        backoff = _ACCOUNT.after(failures)
    elif failures < PATIENT_TIMES:
        backoff = 0.0
    else:
        backoff = _FAILING_ACCOUNT.after(failures - PATIENT_TIMES + 1)
    return min(max(backoff, asked), _DAY)
