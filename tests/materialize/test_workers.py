"""How many workers write: as many as help."""

import threading

import pytest

from vod2strmfs.materialize import workers
from vod2strmfs.materialize.workers import Pace, StoppedError, Throttle, Workers

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
    with Workers(2, threading.Event()) as team:
        for number in range(4):
            team.submit(lambda number=number: number, done.append, size=10)  # type: ignore[misc]
        team.drain()
    assert sorted(done) == [0, 1, 2, 3]
    assert told
    assert all(each >= 0 for each in told)


def test_a_throttle_spaces_out_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    passed = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", sleep)
    throttle = Throttle(4, threading.Event())
    for _ in range(4):
        throttle.wait()
        passed.append(now)
    assert passed == pytest.approx([100, 100.25, 100.5, 100.75])


def test_a_throttle_lets_nothing_pass_when_the_run_is_to_end() -> None:
    stop = threading.Event()
    throttle = Throttle(1 / 3600, stop)
    throttle.wait()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(StoppedError):
        throttle.wait()  # its turn would come in an hour
    with pytest.raises(StoppedError):
        throttle.check()


def test_when_the_run_is_to_end_no_task_is_begun_and_the_results_of_those_that_were_are_taken() -> None:
    stop, go_on = threading.Event(), threading.Event()
    done: list[int] = []
    with Workers(3, stop) as team:
        team._pace.workers = 3
        for number in range(3):
            team.submit(lambda number=number: (go_on.wait(), number)[1], done.append)  # type: ignore[misc]
        stop.set()
        threading.Timer(0.1, go_on.set).start()
        with pytest.raises(StoppedError):
            team.submit(lambda: 3, done.append)
        assert sorted(done) == [0, 1, 2]


def test_when_a_task_has_failed_the_others_can_be_waited_for() -> None:
    """They may use what whoever gave them wants to close."""
    release, ended = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait()
        ended.set()

    with Workers(2, threading.Event()) as team:
        team._pace.workers = 2
        team.submit(slow, lambda _: None)
        team.submit(lambda: 1 // 0, lambda _: None)
        with pytest.raises(ZeroDivisionError):
            team.drain()
        threading.Timer(0.1, release.set).start()
        team.finish()
        assert ended.is_set()
