"""How fast films are read, and who is taken for a reader that nobody watches.

A film is read as fast as it comes for its first minute's worth, and from then on no faster than `pace` times as it
plays. Whoever watches fills the player's own buffer so, and then takes what plays; the pace never holds him up for
long. A reader that makes a thumbnail of every scene takes all that it gets. So **a reader that nobody watches** is one
that the pace has held up again and again for three minutes, without a break of ten seconds, and for as long as it takes
a player to fill the largest buffer that any has: of a small film, that is longer. With a `pace` of less than 1.5 that
would be said of viewers, too, and is said of none.
"""

import logging
import time
from collections import deque
from collections.abc import Set

import trio

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.film import Film
from vod2strmfs.films.store import Films

BURST_SECONDS = 60.0
PROOF_SECONDS = 180.0
"""Seconds for which the pace holds a reader up that is then taken for one that nobody watches."""
BREAK_SECONDS = 10.0
SLOWEST = 128 << 10
"""Bytes a second that any film is read at. Some are much smaller than the hours that they are said to play make likely,
and a read has to be answered within seconds."""
_TELLING_PACE = 1.5
_LARGEST_BUFFER = 160 << 20
"""Bytes that players read ahead of what they show: mpv does up to 150 MiB, wherever it is."""
_SUPPOSED_SECONDS = {"movie": 3600, "episode": 1200}
"""How long a film is supposed to play that does not say so: less than most do, so that nobody who watches one is held
up. With a pace of 3, one of a third of that plays without a halt."""
_HOURS = 24
_NOTE_SECONDS = 10.0
"""How often it is written down what readers got whom nobody watches: so much of it is not counted if the mount is
killed."""
_SMALLEST_PIECE = 32 << 10
_OPENINGS = 4
_ABOUT_AS_QUICK = 1.5
"""What another answer takes is multiplied by it: it is another request for the provider."""
_MEASURED_BYTES, _REMEMBERED_BYTES = 1 << 20, 8 << 20
_BREATH = 0.05
"""Seconds without receiving after which bytes have piled up on the way, and come faster than those behind them."""

_log = logging.getLogger("vod2strmfs")


def bit_rate(film: Film) -> float:
    """Bytes a second that a film plays at, or is supposed to."""
    return film.bit_rate or film.size / _SUPPOSED_SECONDS[film.key.kind]


def allowed_rate(film: Film, pace: float) -> float:
    """Bytes a second that a film may be read at."""
    return max(pace * bit_rate(film), SLOWEST)


def proof_seconds(film: Film, pace: float, least: float = PROOF_SECONDS) -> float:
    """Seconds for which the pace holds a reader of a film up that is then taken for one that nobody watches.

    Args:
        film: which.
        pace: how many times as fast as it plays it is read.
        least: see `PROOF_SECONDS`.
    """
    gained = allowed_rate(film, pace) - bit_rate(film)
    filled = _LARGEST_BUFFER / gained if gained > 0 else 0.0
    return least * max(filled / PROOF_SECONDS, 1.0)


class Allowance:
    """The bytes of a film that may be read now, by its pace: a bucket that fills as the film plays.

    Args:
        rate: bytes a second that come into the bucket.
        burst: bytes that are in it at first, and at most.
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

    def within(self, seconds: float, now: float) -> int:
        """Bytes that may be read within a time from now on."""
        level = min(self._level + (now - self._at) * self._rate, self._burst)
        return max(int(level + seconds * self._rate), 0)

    def piece(self, most: int) -> int:
        """Bytes to read at once, so that one does not wait long for the next."""
        return most if self._level > most else min(max(int(self._rate / 10), _SMALLEST_PIECE), most)


class Flow:
    """The seconds that it takes to read on in an answer, and to have another one: what is a little ahead is had in the
    quicker way.
    """

    def __init__(self) -> None:
        self._openings: deque[float] = deque(maxlen=_OPENINGS)
        self._bytes = self._seconds = 0.0
        self._at = -1e9
        self._is_even = False

    def opened(self, seconds: float, now: float) -> None:
        """Note that an answer was opened, and how long that took."""
        self._openings.append(seconds)
        self._at = now
        self._is_even = True

    def came(self, count: int, began: float, now: float) -> None:
        """Note that bytes came, and since when they were waited for."""
        self._is_even &= began - self._at <= _BREATH
        self._at = now
        if self._is_even:
            if self._bytes > _REMEMBERED_BYTES:
                self._bytes, self._seconds = self._bytes / 2, self._seconds / 2
            self._bytes += count
            self._seconds += now - began

    @property
    def is_known(self) -> bool:
        """Whether both opening an answer and receiving one were measured."""
        return bool(self._openings) and self._bytes >= _MEASURED_BYTES

    @property
    def opening(self) -> float:
        """Seconds for which one may rather read on than have another answer."""
        return _ABOUT_AS_QUICK * min(self._openings)

    @property
    def speed(self) -> float:
        """Bytes a second that come."""
        return self._bytes / max(self._seconds, 1e-6)


class Watch:
    """The way in which one reader reads, which tells whether anybody watches.

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
        """Note that the pace holds the reader up."""
        if now - self._last > BREAK_SECONDS:
            self._since = now
        self._last = now
        self.is_background = self._tells and now - self._since >= self._proof

    def look(self, now: float) -> bool:
        """Whether the reader is one that nobody watches, now that it reads."""
        if self.is_background and now - self._last > BREAK_SECONDS:
            self.is_background = False
        return self.is_background


class Budget:
    """Bytes that readers whom nobody watches may have of an account within 24 hours, also across restarts.

    Args:
        limit: bytes.
        films: where it is written down what readers got.
    """

    def __init__(self, limit: int, films: Films) -> None:
        self._limit = limit
        self._films = films
        self._hours = films.background()
        """Bytes that such readers got, by account and hour since the epoch."""
        self._is_noted = True

    async def run(self) -> None:
        """Write down what such readers got, every few seconds, until it is cancelled."""
        try:
            while True:
                await trio.sleep(_NOTE_SECONDS)
                await self._note()
        finally:
            with trio.CancelScope(shield=True):
                await self._note()

    def take(self, account: int, count: int) -> None:
        """Note that such readers got bytes of an account."""
        hour = self._renew()
        self._hours[account, hour] = self._hours.get((account, hour), 0) + count
        self._is_noted = False

    def taken(self, account: int) -> int:
        """Bytes that such readers got of an account within 24 hours."""
        self._renew()
        return sum(taken for (its, _), taken in self._hours.items() if its == account)

    def accounts(self) -> Set[int]:
        """The accounts of which such readers got any bytes within 24 hours."""
        self._renew()
        return {account for account, _ in self._hours}

    def is_spent(self, account: int) -> bool:
        """Whether such readers get no more of an account."""
        return self.taken(account) >= self._limit

    def _renew(self) -> int:
        """Forget what is a day ago; returns the hour. What readers got while the clock was ahead counts as of now."""
        hour = _hour()
        if any(not hour - _HOURS < at <= hour for _, at in self._hours):
            before, self._hours = self._hours, {}
            for (account, at), taken in before.items():
                if at > hour - _HOURS:
                    key = account, min(at, hour)
                    self._hours[key] = self._hours.get(key, 0) + taken
        return hour

    async def _note(self) -> None:
        if self._is_noted:
            return
        self._is_noted = True
        try:
            await trio.to_thread.run_sync(self._films.note_background, dict(self._hours))
        except IndexFileError as error:
            # Whoever reads goes on. It is written down as soon as that can be.
            self._is_noted = False
            _log.debug("%s", error)


def _hour() -> int:
    return int(time.time() // 3600)
