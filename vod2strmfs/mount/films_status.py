"""Saying how the films' mount is: as every mount, and what plays, who was refused, and what came from providers."""

import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from vod2strmfs.films.admission import Admission
from vod2strmfs.films.player import Play, Player
from vod2strmfs.films.store import Films
from vod2strmfs.films.upstream import Upstream
from vod2strmfs.mount.status import SAMPLES, Mount, Reporter
from vod2strmfs.status.state import AccountStreams, FilmsState, MountState, PlayingFilm


class Sources(NamedTuple):
    """What is asked about films that play."""

    films: Films
    player: Player
    admission: Admission
    upstream: Upstream


class FilmsReporter(Reporter):
    """The state of the films' mount: as of every mount, and what plays.

    Args:
        mount: their mount.
        sources: what is asked about films that play.
    """

    def __init__(self, mount: Mount, sources: Sources) -> None:
        super().__init__(mount)
        self._sources = sources
        self._received: deque[tuple[float, dict[tuple[int, int], int]]] = deque(maxlen=SAMPLES + 1)
        """Bytes that had come for each film, at times in monotonic seconds, the oldest first."""

    def sample(self) -> None:
        """See `Reporter`; and how much has come for each film that plays."""
        super().sample()
        received = {play.film.identity: play.received for play in self._sources.player.playing()}
        self._received.append((time.monotonic(), received))

    def state(self) -> MountState:
        """How the mount is now."""
        admission, budget = self._sources.admission, self._sources.player.budget
        accounts = tuple(
            AccountStreams(
                account,
                streams.limit,
                streams.viewers,
                streams.learners,
                streams.refused,
                streams.last_refusal.at if streams.last_refusal else 0.0,
                streams.last_refusal.why if streams.last_refusal else "",
                budget.taken(account),
            )
            for account, streams in sorted(admission.streams(budget.accounts()).items())
        )
        films = FilmsState(tuple(self._playing()), accounts, self._sources.upstream.received)
        return msgspec.structs.replace(super().state(), films=films)

    def _playing(self) -> Iterator[PlayingFilm]:
        for play in self._sources.player.playing():
            # Who has a film open for what is kept of it takes nothing from anybody.
            if play.has_stream or (play.readers and play.received):
                is_background = 0 < play.readers == play.background
                name = self._sources.films.name(play.film.id)
                yield PlayingFilm(name, play.account, self._rate_of(play), is_background, play.error)

    def _rate_of(self, play: Play) -> float:
        key = play.film.identity
        for then, received in self._received:
            if key in received:
                return max(play.received - received[key], 0) / max(time.monotonic() - then, 1.0)
        return 0.0
