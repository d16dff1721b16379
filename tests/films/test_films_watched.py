"""When the process that shows films is told to look: whenever others are to be shown, and at nothing else."""

import time
from pathlib import Path

import pytest
import trio
from films_interrupted import WISHES, content_of, learn

from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Films
from vod2strmfs.index.order import FILMS_LEARNT
from vod2strmfs.mount import films_run

_AGES = 60.0
"""Seconds."""


def test_what_is_noted_beside_films_wakes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films_run, "_WATCH_SECONDS", 0.01)

    async def test(films: Films, other: Films) -> None:
        worker, told = trio.open_memory_channel[str](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(films_run._watch_learning, films, worker)
            with trio.fail_after(_AGES):
                assert await told.receive() == FILMS_LEARNT, "at first, in any case"
                first, second, _ = other.due(time.time(), (), 3)
                other.note_background({(1, 2): 3})
                other.settle(first, other.begin(first), Outcome(Kind.BUSY, "no stream is free"))
                await trio.sleep(0.3)
                with pytest.raises(trio.WouldBlock):
                    told.receive_nowait()
                learn(other, second, content_of(second.key.stream, 0))
                assert await told.receive() == FILMS_LEARNT, "by another process, too"
                films.want(WISHES, 2)
                assert await told.receive() == FILMS_LEARNT
            nursery.cancel_scope.cancel()

    with Films(tmp_path) as films, Films(tmp_path) as other:
        films.want(WISHES, 1)
        trio.run(test, films, other)
