"""How fast films are read, and who is taken for a reader that nobody watches.

A film is read as fast as it comes for its first minute's worth, and from then on no faster than `pace` times as it
plays. Whoever watches fills the player's own buffer so, and then takes what plays; the pace never holds him up for
long. A reader that makes a thumbnail of every scene takes all that it gets. So **a reader that nobody watches** is one
that the pace has held up again and again for three minutes, without a break of ten seconds. With a `pace` of less than
1.5 that would be said of viewers, too, and is said of none.
"""

import time

from vod2strmfs.films.film import Film

BURST_SECONDS = 60.0
PROOF_SECONDS = 180.0
"""For how long it holds up a reader that nobody watches."""
BREAK_SECONDS = 10.0
SLOWEST = 128 << 10
"""Bytes a second that any film is read at. Some are much smaller than the hours that they are said to play make likely,
and a read has to be answered within seconds."""
_TELLING_PACE = 1.5
_SUPPOSED_SECONDS = {"movie": 3600, "episode": 1200}
"""How long a film is supposed to play that does not say so: less than most do, so that nobody who watches one is held
up. With a pace of 3, one of a third of that plays without a halt."""
_HOURS = 24
_SMALLEST_PIECE = 32 << 10


def bit_rate(film: Film) -> float:
    """Bytes a second that a film plays at, or is supposed to."""
    return film.bit_rate or film.size / _SUPPOSED_SECONDS[film.key.kind]


class Allowance:
    """How many bytes of a film may be read now.

    Args:
        rate: bytes a second that come to it.
        burst: bytes that it holds at first, and at most.
        now: seconds of any clock.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, count: int, now: float) -> None:
        """Note that bytes were read."""
        self._level = min(self._level + (now - self._at) * self._rate, self._burst) - count
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until more may be read."""
        level = self._level + (now - self._at) * self._rate
        return max(-level / self._rate, 0.0)

    def piece(self, most: int) -> int:
        """Bytes to read at once, so that one does not wait long for the next."""
        return most if self._level > most else min(max(int(self._rate / 10), _SMALLEST_PIECE), most)


class Watch:
    """Tells of one reader whether anybody watches.

    Args:
        pace: how many times as fast as it plays the film is read.
        proof: see `PROOF_SECONDS`.
    """

    def __init__(self, pace: float, proof: float = PROOF_SECONDS) -> None:
        self._tells = pace >= _TELLING_PACE
        self._proof = proof
        self._since = self._last = -1e9
        self.is_background = False
        """Whether it is a reader that nobody watches."""

    def held_up(self, now: float) -> None:
        """Note that the pace holds it up."""
        if now - self._last > BREAK_SECONDS:
            self._since = now
        self._last = now
        self.is_background = self._tells and now - self._since >= self._proof

    def look(self, now: float) -> bool:
        """Whether it is one now."""
        if self.is_background and now - self._last > BREAK_SECONDS:
            self.is_background = False
        return self.is_background


class Budget:
    """Bytes that readers whom nobody watches may have of an account within 24 hours. It begins anew with the mount."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hours: dict[tuple[int, int], int] = {}

    def take(self, account: int, count: int) -> None:
        """Note that they got bytes."""
        hour = _hour()
        self._hours = {at: taken for at, taken in self._hours.items() if hour - at[1] < _HOURS}
        self._hours[account, hour] = self._hours.get((account, hour), 0) + count

    def taken(self, account: int) -> int:
        """How many they got."""
        hour = _hour()
        return sum(taken for (its, at), taken in self._hours.items() if its == account and hour - at < _HOURS)

    def is_spent(self, account: int) -> bool:
        """Whether they get no more."""
        return self.taken(account) >= self._limit


def _hour() -> int:
    return int(time.time() // 3600)
