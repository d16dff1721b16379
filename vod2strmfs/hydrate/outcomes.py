"""What can come of asking for a series' episodes, and when to ask again."""

from enum import StrEnum
from typing import NamedTuple

from vod2strmfs.host.backoff import Backoff

HOUR = 3600.0
DAY = 24 * HOUR


class Kind(StrEnum):
    """What came of a request. The values stand in the queue's file."""

    FILLED = "filled"
    """Dispatcharr says that it has episodes now."""
    EMPTY = "empty"
    """It was told of none."""
    FAILED = "failed"
    """Its provider cannot serve this series, or it failed over what the provider sent."""
    GONE = "gone"
    """It does not know the series, or the relation, any more."""
    INACTIVE = "inactive"
    """The account is not active any more."""
    BUSY = "busy"
    """It, or somebody before it, asks to be left alone for a while."""
    AWAY = "away"
    """It could not be asked."""
    LOST = "lost"
    """It was asked, and what came of that is not known: the answer came too late, in part, or not at all."""


class Outcome(NamedTuple):
    """What came of one request."""

    kind: Kind
    why: str = ""
    """In words, for the user; never what Dispatcharr answered, which may hold a provider's password."""
    pause: float = 0.0
    """Seconds for which Dispatcharr wants to be left alone, if it says so."""


_NONE = Backoff(0, 0)


class Patience(NamedTuple):
    """How long everything may take, and how long to wait, in seconds."""

    answer: float = 120.0
    """For an answer; so long a request whose asker died counts as under way, too."""
    look: float = 600.0
    """Between two looks for series that are new or have got episodes."""
    at_limit: float = 30.0
    """Before looking again at an account that was at its stream limit."""
    day: float = DAY
    """After which the budget begins anew, and an empty answer counts again."""
    unit: float = 1.0
    """What the backoffs are multiplied by; tests have less time."""

    def of_series(self, kind: Kind, times: int) -> float:
        """How long a series is not asked for after so many of one kind in a row."""
        return self.unit * _SERIES[kind].after(times)

    def of_account(self, kind: Kind, times: int) -> float:
        """How long nothing is asked of an account."""
        return self.unit * _ACCOUNT.get(kind, _NONE).after(times)

    def without_episodes(self) -> float:
        """How long a series is not asked for that has no episodes."""
        return self.unit * 30 * DAY


EMPTY_DAYS = 3
"""On so many days an empty answer has to come before it is believed: a provider's error can look like one."""

_SERIES = {
    # Asked for again only if its episodes have not come into the catalogue.
    Kind.FILLED: Backoff(1800, 30 * DAY),
    Kind.EMPTY: Backoff(20 * HOUR, 20 * HOUR),
    Kind.FAILED: Backoff(DAY, 30 * DAY),
    Kind.GONE: Backoff(HOUR, DAY),
    Kind.INACTIVE: Backoff(DAY, DAY),
    Kind.BUSY: _NONE,
    Kind.AWAY: _NONE,
    # Dispatcharr may still be at it.
    Kind.LOST: Backoff(600, DAY),
}
_ACCOUNT = {
    Kind.FAILED: Backoff(60, HOUR),
    Kind.BUSY: Backoff(60, HOUR),
    Kind.AWAY: Backoff(15, 900),
    Kind.LOST: Backoff(60, HOUR),
}
