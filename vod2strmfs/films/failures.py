"""What becomes of a film's reads when its bytes do not come: whether it is asked for again, and when."""

import errno
import logging

import trio

from vod2strmfs.films.admission import FullError
from vod2strmfs.films.film import Film, ReadError
from vod2strmfs.films.store import Films
from vod2strmfs.films.times import Times
from vod2strmfs.films.upstream import UpstreamError, UpstreamKind

_LONGEST_RETRY = 8.0
_PROGRESS = 1 << 20
"""Bytes that have to come after a failure until it is forgiven. Some give a few bytes and hang up, again and again."""
_BUSY_TRIES = 2

_log = logging.getLogger("vod2strmfs")


class Failures:
    """What went wrong with one film lately, and until when nothing is asked for because of that.

    Args:
        film: the one that is read.
        films: where it is noted that a film is another file now.
        times: how long to wait, and to refuse.
    """

    def __init__(self, film: Film, films: Films, times: Times) -> None:
        self.why = ""
        """What went wrong last, for people; empty: nothing ever did."""
        self.is_spoilt = False
        """Whether the film turned out to be another file."""
        self.retry_at = -1e9
        """Until when nothing is asked for, in trio's time."""
        self._film = film
        self._films = films
        self._times = times
        self._number = 0
        """Failures since the last one that was forgiven."""
        self._came = 0
        """Bytes that came since the last failure."""
        self._doubts = 0
        """How often another file seemed to answer, one time after the other."""
        self._refusal: tuple[float, ReadError] | None = None
        """Until when reads fail at once, and how."""

    @property
    def are_forgiven(self) -> bool:
        """Whether nothing failed, or enough has come since."""
        return not self._number

    def came(self, count: int) -> None:
        """Note that so many bytes of the film came."""
        self._came += count
        if self._came >= _PROGRESS:
            self._number = 0

    def forgive(self) -> None:
        """Forget failures, since all that was asked for came."""
        self._number = 0

    def believe(self) -> None:
        """Forget doubts, since an answer turned out to be of the film."""
        self._doubts = 0

    async def weigh(self, error: UpstreamError, source: Film, *, has_begun: bool) -> None:
        """Say when to try again, or give up.

        Args:
            error: what went wrong.
            source: the film that was asked for: the one that is read, or one alike of another account.
            has_begun: whether bytes of it came before, so that no other account is asked any more.

        Raises:
            ReadError: another try is of no use.
            FullError: another account may have a stream, this one has none for the film's first byte.
        """
        self.why = error.why
        self._number += 1
        self._came = 0
        match error.kind:
            case UpstreamKind.BUSY | UpstreamKind.FORBIDDEN if not has_begun:
                # A provider may forbid what is too much for it.
                raise FullError(error.why)
            case UpstreamKind.GONE | UpstreamKind.FORBIDDEN | UpstreamKind.NOT_A_FILM:
                raise ReadError(errno.EIO, error.why)
            case UpstreamKind.BUSY if self._number > _BUSY_TRIES:
                raise ReadError(errno.EIO, error.why)
            case UpstreamKind.CHANGED:
                await self._doubt(error, source)
        if error.pause > self._times.read:
            raise ReadError(errno.EIO, error.why)
        pause = min(self._times.retry * 2.0 ** min(self._number - 1, 9), _LONGEST_RETRY)
        self.retry_at = trio.current_time() + max(pause, error.pause)

    async def _doubt(self, error: UpstreamError, source: Film) -> None:
        """Take an answer of another file for a mistake, somebody else's; the second time, the film is another one."""
        self._doubts += 1
        if self._doubts > 1:
            _log.warning(
                "Film %s of account %d is another file now: %s. It will be learnt anew.",
                source.key.stream, source.key.account, error.why,
            )  # fmt: skip
            self.is_spoilt = source is self._film
            await trio.to_thread.run_sync(self._films.changed, source, error.why)
            raise ReadError(errno.EIO, error.why)

    def refuse(self, error: ReadError) -> None:
        """Have reads fail at once for a while, since none can be answered."""
        self.why = str(error)
        self._refuse(error, self._times.spoilt if self.is_spoilt else self._times.sulk)

    def refuse_if_failing(self, error: ReadError) -> None:
        """Have reads fail at once for a while after one that got nothing in time, if something failed meanwhile."""
        if self._number and self.refusal() is None:
            self._refuse(error, self._times.sulk)

    def refusal(self) -> ReadError | None:
        """The error with which reads fail now; None: they are tried."""
        if self._refusal is None or trio.current_time() >= self._refusal[0]:
            return None
        return self._refusal[1].again()

    def _refuse(self, error: ReadError, seconds: float) -> None:
        self._refusal = trio.current_time() + seconds, error
