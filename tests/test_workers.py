"""How many workers write: as many as help."""

import pytest

from vod2strmfs.materialize import workers
from vod2strmfs.materialize.workers import Pace, Throttle, Workers

WAITING = {"elapsed": 1.0, "processor": 0.05}
BUSY = {"elapsed": 1.0, "processor": 0.95}


def test_where_calls_wait_all_work() -> None:
    pace = Pace(12)
    for _ in range(20):
        pace.adapt(each=0.05, **WAITING)
    assert pace.workers == 12


def test_where_the_processor_is_busy_one_works() -> None:
    pace = Pace(12)
    for _ in range(5):
        pace.adapt(each=0.0001, **BUSY)
        assert pace.workers == 1
    pace = Pace(12)
    pace.adapt(each=0.0001, **WAITING)
    for _ in range(10):
        pace.adapt(each=0.0001, **BUSY)
    assert pace.workers == 1


def test_when_writes_slow_down_sharply_fewer_work_and_all_again_when_that_is_over() -> None:
    pace = Pace(12)
    for each in (0.05, 0.06, 0.05):
        pace.adapt(each=each, **WAITING)
    pace.adapt(each=0.5, **WAITING)
    assert pace.workers == 6
    pace.adapt(each=0.5, **WAITING)
    assert pace.workers == 3
    for _ in range(2):
        pace.adapt(each=0.05, **WAITING)
    assert pace.workers == 12


def test_a_share_that_is_slow_for_good_gets_all_workers_again() -> None:
    pace = Pace(12)
    pace.adapt(each=0.05, **WAITING)
    for _ in range(100):
        pace.adapt(each=0.5, **WAITING)
    assert pace.workers == 12


def test_workers_tell_their_pace_how_long_a_step_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(workers.Pace, "adapt", lambda self, elapsed, processor, each: told.append(each))
    monkeypatch.setattr(Workers, "_STRETCH", 0.0)
    done: list[int] = []
    with Workers(2) as team:
        for number in range(4):
            team.submit(lambda number=number: number, done.append, size=10)  # type: ignore[misc]
        team.drain()
    assert sorted(done) == [0, 1, 2, 3]
    assert told
    assert all(each >= 0 for each in told)


def test_a_throttle_spaces_out_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    slept: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", slept.append)
    throttle = Throttle(4)
    for _ in range(4):
        throttle.wait()
    assert slept == [0, 0.25, 0.5, 0.75]
