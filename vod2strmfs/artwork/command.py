"""Fetching images until no more can be had: what `vod2strmfs artwork` does."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from vod2strmfs.artwork.client import Client
from vod2strmfs.artwork.fetcher import Fetcher, Publish
from vod2strmfs.artwork.figures import Figures, read_figures
from vod2strmfs.artwork.outcomes import Outcome
from vod2strmfs.artwork.queue import Queue, holding
from vod2strmfs.host.in_trio import in_trio, until_signal
from vod2strmfs.index.order import ArtworkOrder

_WATCH_SECONDS = 1.0

Tell = Callable[[int, int], None]


@dataclass
class Result:
    """What came of fetching images."""

    counts: Counter[str] = field(default_factory=Counter)
    """Outcomes, by kind."""
    figures: Figures | None = None
    """How it stands at the end."""
    stopped: int = 0
    """The signal that ended it; 0: none did."""
    elsewhere: bool = False
    """Whether another process fetched, and this one looked on."""


def work(order: ArtworkOrder, state_dir: Path, publish: Publish, *, until_done: bool) -> None:
    """Fetch images in this thread, whose process holds the right to; see `Fetcher.run`."""
    in_trio(_Work(order, state_dir, publish, Result(), lambda done, total: None).run, until_done)


def fetch(order: ArtworkOrder, state_dir: Path, publish: Publish, *, retry_failed: bool, tell: Tell) -> Result:
    """Fetch what can be had now, or look on while another process does.

    Args:
        order: how.
        state_dir: where the index is.
        publish: has images shown.
        retry_failed: whether to ask again for what could not be had before.
        tell: called with how many images are there, and of how many.

    Raises:
        IndexFileError: the index or the queue cannot be used.
    """
    result = Result()
    if retry_failed:
        with closing(Queue(state_dir)) as queue:
            queue.retry_failed()
    with holding(state_dir) as held:
        if held:
            in_trio(_Work(order, state_dir, publish, result, tell).run_with_signals)
    if not held:
        result.elsewhere = True
        _look_on(state_dir, tell)
    result.figures = read_figures(state_dir)
    return result


def _look_on(state_dir: Path, tell: Tell) -> None:
    """Tell how far another process is, until nothing waits any more, or nothing comes."""
    while (figures := read_figures(state_dir)) is not None:
        tell(figures.stored, figures.stored + figures.waiting + figures.failed)
        if not figures.waiting or figures.stopped or figures.paused:
            return
        time.sleep(_WATCH_SECONDS)


class _Work:
    def __init__(self, order: ArtworkOrder, state_dir: Path, publish: Publish, result: Result, tell: Tell) -> None:
        self._order = order
        self._state_dir = state_dir
        self._publish = publish
        self._result = result
        self._tell = tell
        self._told = 0.0

    async def run(self, until_done: bool) -> None:
        order = self._order
        with closing(Queue(self._state_dir)) as queue:
            queue.note(mode="files", rate=order.rate, limit=order.cache, stopped="")
            async with Client(order.own, order.max_bytes) as client:
                fetcher = Fetcher(order, self._state_dir, queue, client, self._publish, self._note)
                try:
                    await fetcher.run(until_done=until_done)
                finally:
                    # What came before a signal is to be seen all the same.
                    with trio.CancelScope(shield=True):
                        await fetcher.show()

    async def run_with_signals(self) -> None:
        await until_signal(partial(self.run, until_done=True), self._stop)

    def _stop(self, number: int) -> None:
        self._result.stopped = number

    def _note(self, outcome: Outcome) -> None:
        self._result.counts[outcome.kind] += 1
        now = time.monotonic()
        if now - self._told >= _WATCH_SECONDS and (figures := read_figures(self._state_dir)):
            self._told = now
            self._tell(figures.stored, figures.stored + figures.waiting + figures.failed)
