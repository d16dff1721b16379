"""What can come of asking for an image, and when to ask again."""

from enum import StrEnum
from typing import NamedTuple

from vod2strmfs.host.backoff import Backoff

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

RECHECK = 30 * DAY
"""After so long it is asked whether an image is still the same."""
_LONGEST_PAUSE = DAY
_PATIENT_TIMES = 2
"""Failures of a host, one after the other, after which it is left alone."""
_IMAGE, _HOST = Backoff(10 * MINUTE, DAY), Backoff(MINUTE, DAY)


class Kind(StrEnum):
    """The kinds of outcome."""

    STORED = "stored"
    SAME = "same"
    """It is as it was when it was fetched last."""
    GONE = "gone"
    """The host says that there is none."""
    BAD = "bad"
    """What came is no image, or must not be fetched."""
    FAILED = "failed"
    """The host did not answer as it should."""
    BUSY = "busy"
    """The host asks for patience. That is no fault of the image's."""


class Outcome(NamedTuple):
    """What came of asking for one image."""

    kind: Kind
    why: str = ""
    pause: float = 0
    """Seconds for which the host wants to be left alone."""
    content: bytes = b""
    etag: str = ""
    modified: str = ""
    """What the host wants to hear when it is asked whether it is still the same."""


def image_pause(kind: Kind, failures: int) -> float:
    """Seconds until an image is asked for again that could not be had so many times in a row."""
    if kind == Kind.GONE:
        return DAY if failures == 1 else RECHECK
    if kind == Kind.BAD:
        return 7 * DAY
    return _IMAGE.after(failures)


def host_pause(failures: int, asked: float) -> float:
    """Seconds for which a host is left alone after so many failures in a row, or when it asks for that."""
    backoff = _HOST.after(failures - _PATIENT_TIMES) if failures > _PATIENT_TIMES else 0.0
    return min(max(backoff, asked), _LONGEST_PAUSE)
