"""The queue: what is asked for next, when, and what is remembered of it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from vod2strmfs.hydrate.asker import lives, myself
from vod2strmfs.hydrate.figures import FILE_NAME, Figures, describe, read_figures
from vod2strmfs.hydrate.outcomes import Kind, Outcome, Patience
from vod2strmfs.hydrate.queue import Entry, Item, Key, Limits, Pause, Queue

DAY = 86400.0
START = 1_800_000_000.0
FAST = Limits(rate=6000)


class Clock:
    """The time that the queue sees."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time of the queue."""
    clock = Clock()
    monkeypatch.setattr("vod2strmfs.hydrate.queue.time.time", clock)
    return clock


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[Queue]:
    """An empty queue."""
    with closing(Queue(tmp_path, Patience())) as queue:
        yield queue


def entry(number: int, account: int = 1, *, created: float = 0.0, missing: bool = True) -> Entry:
    return Entry(
        account, f"Account {account}", str(number), number, number, f"u{number}", f"S{number}", created, missing
    )


def ask(queue: Queue, clock: Clock, outcome: Outcome | None = None, limits: Limits = FAST) -> int:
    """Ask for the next series; returns its number, 0 if there is none."""
    clock.wait(0.01)
    item = queue.next(limits)
    if isinstance(item, Pause):
        return 0
    assert queue.claim(item, limits)
    queue.settle(item.key, outcome or Outcome(Kind.FILLED))
    return item.series


def all_due(queue: Queue, clock: Clock) -> list[int]:
    """Ask for everything, with success."""
    found = []
    while number := ask(queue, clock):
        found.append(number)
    return found


def test_the_first_are_asked_for_by_age_those_that_came_later_first(queue: Queue, clock: Clock) -> None:
    first = [entry(1, created=10), entry(2, created=30), entry(3, created=20)]
    queue.look(first)
    clock.wait(DAY)
    queue.look([*first, entry(4, created=5)])
    queue.use([Key(1, "1")])
    assert all_due(queue, clock) == [4, 1, 2, 3]


def test_what_somebody_waits_for_comes_before_all(queue: Queue, clock: Clock) -> None:
    queue.look([entry(1, created=3), entry(2, created=2), entry(3, created=1)])
    queue.use([Key(1, "3")], wish=True)
    assert all_due(queue, clock) == [3, 1, 2]


def test_series_with_episodes_are_asked_for_again_the_used_first(queue: Queue, clock: Clock) -> None:
    queue.look([entry(number, missing=False) for number in (1, 2, 3)])
    old = FAST._replace(older_than=10 * DAY)
    assert ask(queue, clock, limits=old) == 0
    clock.wait(11 * DAY)
    queue.use_series([2])
    assert [ask(queue, clock, limits=old) for _ in range(4)] == [2, 1, 3, 0]


def test_a_failure_is_tried_again_after_twice_as_long_each_time(queue: Queue, clock: Clock) -> None:
    queue.look([entry(1)])
    failed = Outcome(Kind.FAILED, "500")
    for days in (1, 2, 4, 8, 16, 30, 30):
        assert ask(queue, clock, failed) == 1
        clock.wait(days * DAY - 60)
        assert ask(queue, clock, failed) == 0
        clock.wait(120)


def test_an_empty_answer_is_believed_when_it_came_on_three_days(queue: Queue, clock: Clock) -> None:
    queue.look([entry(1)])
    empty = Outcome(Kind.EMPTY, "none")
    for _ in range(3):
        assert ask(queue, clock, empty) == 1
        assert ask(queue, clock, empty) == 0
        clock.wait(DAY)
    assert ask(queue, clock, empty) == 0
    clock.wait(28 * DAY)
    assert ask(queue, clock, empty) == 0
    clock.wait(2 * DAY)
    item = queue.next(FAST)
    assert isinstance(item, Item)
    assert item.empty_days == 3


def test_an_account_that_asks_for_less_is_left_alone_as_long_as_it_says(queue: Queue, clock: Clock) -> None:
    queue.look([entry(1), entry(2, account=2), entry(3)])
    busy = Outcome(Kind.BUSY, "429", pause=1000)
    assert ask(queue, clock, busy) == 1
    assert ask(queue, clock) == 2
    clock.wait(1)
    pause = queue.next(FAST)
    assert isinstance(pause, Pause)
    assert (pause.why, round(pause.seconds)) == ("account", 999)
    clock.wait(1001)
    # It was not the series' fault.
    assert all_due(queue, clock) == [1, 3]


def test_failures_make_an_account_wait_and_success_forgives_them(queue: Queue, clock: Clock) -> None:
    queue.look([entry(number) for number in range(1, 9)])
    for minutes in (1, 2, 4):
        assert ask(queue, clock, Outcome(Kind.FAILED, "500"))
        clock.wait(minutes * 60 - 5)
        assert ask(queue, clock) == 0
        clock.wait(6)
    assert ask(queue, clock)
    assert ask(queue, clock)


def test_an_account_of_which_nobody_says_who_watches_is_left_alone_and_longer_each_time(
    queue: Queue, clock: Clock
) -> None:
    """Before each series Dispatcharr is asked for that. Without a pause, it would be asked as fast as it answers."""
    queue.look([entry(1), entry(2, account=2)])
    for seconds in (15, 30, 60):
        queue.punish(1, Outcome(Kind.AWAY, "it answers 502"))
        clock.wait(seconds - 1)
        assert ask(queue, clock, Outcome(Kind.BUSY, pause=0.001)) != 1
        clock.wait(2)
        item = queue.next(FAST)
        assert isinstance(item, Item)
        assert item.account == 1


def test_the_rate_and_the_budget_hold_for_all_who_use_the_queue(queue: Queue, clock: Clock, tmp_path: Path) -> None:
    limits = Limits(rate=6, budget=3, parallel=9)
    queue.look([entry(number) for number in range(9)])
    with closing(Queue(tmp_path, Patience())) as other:
        for each in (queue, other, queue):
            item = each.next(limits)
            assert isinstance(item, Item)
            assert each.claim(item, limits)
            for one in (queue, other):
                pause = one.next(limits)
                assert isinstance(pause, Pause)
                assert (pause.why, round(pause.seconds)) == ("rate", 10)
            clock.wait(10.1)
        pause = other.next(limits)
        assert isinstance(pause, Pause)
        assert pause.why == "budget"
        clock.wait(pause.seconds + 1)
        assert isinstance(other.next(limits), Item)


def test_nothing_is_claimed_twice(queue: Queue, clock: Clock, tmp_path: Path) -> None:
    limits = FAST._replace(parallel=5)
    queue.look([entry(1)])
    with closing(Queue(tmp_path, Patience())) as other:
        mine, theirs = queue.next(limits), other.next(limits)
        assert isinstance(mine, Item)
        assert mine == theirs
        assert queue.claim(mine, limits)
        clock.wait(1)
        assert not other.claim(mine, limits)


def test_what_a_killed_process_asked_for_is_in_its_way_until_an_answer_is_due(
    queue: Queue, clock: Clock, tmp_path: Path
) -> None:
    entries = [entry(1), entry(2)]
    queue.look(entries)
    dead = (
        "import pathlib, sys, time; from vod2strmfs.hydrate import queue as q; from vod2strmfs.hydrate.outcomes import"
    )
    dead += " Patience; q.time.time = lambda: float(sys.argv[2]); x = q.Queue(pathlib.Path(sys.argv[1]), Patience());"
    dead += " i = x.next(q.Limits(6000)); assert x.claim(i, q.Limits(6000))"
    subprocess.run([sys.executable, "-c", dead, tmp_path, str(clock.now)], check=True)
    clock.wait(60)
    queue.look(entries)
    assert ask(queue, clock) == 0
    clock.wait(61)
    queue.look(entries)
    assert ask(queue, clock) == 2
    clock.wait(700)
    assert ask(queue, clock) == 1


def test_what_was_cut_off_in_this_process_is_settled_when_the_queue_is_opened_again(
    queue: Queue, clock: Clock, tmp_path: Path
) -> None:
    queue.look([entry(1), entry(2)])
    item = queue.next(FAST)
    assert isinstance(item, Item)
    assert queue.claim(item, FAST)
    clock.wait(1)
    with closing(Queue(tmp_path, Patience())) as again:
        clock.wait(1)
        assert isinstance(again.next(FAST), Pause)  # An answer may come still.
        clock.wait(2 * Patience().answer)
        again.next(FAST)
        clock.wait(3600)
        assert isinstance(again.next(FAST), Item)


def test_what_a_killed_process_asked_for_and_got_is_done(queue: Queue, clock: Clock, tmp_path: Path) -> None:
    queue.look([entry(1), entry(2)])
    dead = "import pathlib, sys; from vod2strmfs.hydrate import queue as q; from vod2strmfs.hydrate.outcomes import"
    dead += " Patience; x = q.Queue(pathlib.Path(sys.argv[1]), Patience());"
    dead += " q.time.time = lambda: float(sys.argv[2]); assert x.claim(x.next(q.Limits(6000)), q.Limits(6000))"
    subprocess.run([sys.executable, "-c", dead, tmp_path, str(clock.now)], check=True)
    clock.wait(1)
    queue.look([entry(1, missing=False), entry(2)])
    assert all_due(queue, clock) == [2]


def test_a_process_is_told_from_another_of_its_number() -> None:
    assert lives(myself())
    namespace, number, _ = myself().split(":")
    assert not lives(f"{namespace}:{number}:1")
    assert not lives(f"{namespace}:4194305:1")
    assert lives(f"1:{number}:1")


def test_a_series_keeps_its_place_under_new_ids_and_is_not_asked_for_when_it_is_gone(
    queue: Queue, clock: Clock
) -> None:
    queue.look([entry(1), entry(2)])
    assert ask(queue, clock, Outcome(Kind.FAILED, "500")) == 1
    clock.wait(3600)
    queue.look([entry(1)._replace(series=70, relation=71, uuid="other")])
    assert ask(queue, clock) == 0
    clock.wait(DAY)
    item = queue.next(FAST)
    assert isinstance(item, Item)
    assert (item.series, item.relation) == (70, 71)


def test_a_clock_that_is_set_back_does_not_stop_it(queue: Queue, clock: Clock) -> None:
    queue.look([entry(1), entry(2)])
    assert ask(queue, clock)
    clock.wait(-10 * DAY)
    assert ask(queue, clock)


def test_what_waits_when_the_clock_is_set_back_waits_no_longer_than_it_had_to(queue: Queue, clock: Clock) -> None:
    clock.wait(365 * DAY)
    queue.look([entry(1), entry(2, missing=False), entry(3, account=2)])
    for _ in range(2):
        assert ask(queue, clock, Outcome(Kind.FAILED, "it failed (500)"))
    queue.use([entry(2).key])
    clock.wait(-365 * DAY)
    queue.look([entry(1), entry(2, missing=False), entry(3, account=2)])
    pause = queue.next(FAST)
    assert isinstance(pause, Pause)
    assert pause.seconds < DAY + 1
    clock.wait(DAY + 60)
    queue.look([entry(1), entry(2, missing=False), entry(3, account=2)])
    assert sorted(all_due(queue, clock)) == [1, 3]
    clock.wait(DAY + 60)
    assert ask(queue, clock, limits=FAST._replace(older_than=DAY)) == 2


def test_a_damaged_queue_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with closing(Queue(tmp_path, Patience())) as queue:
        queue.look([entry(1)])
        assert queue.missing() == 1


def figures(state_dir: Path) -> Figures:
    found = read_figures(state_dir)
    assert found is not None
    return found


def test_figures_say_what_is_filled_waiting_and_failing_and_when_it_is_done(
    queue: Queue, clock: Clock, tmp_path: Path
) -> None:
    assert figures(tmp_path).series == 0
    queue.note(mode="background", rate=10.0, budget=100, stopped="")
    queue.look([*(entry(number, missing=False) for number in (1, 2)), *(entry(number) for number in range(3, 10))])
    ask(queue, clock, Outcome(Kind.FAILED, "it failed (500)"))
    clock.wait(100)
    ask(queue, clock, Outcome(Kind.EMPTY, "none"))
    found = figures(tmp_path)
    assert (found.series, found.filled, found.waiting, found.without) == (9, 2, 5, 1)
    assert found.failing == {"it failed (500)": 1}
    text = describe(found, found.done - 30)
    assert "2 of 9 series filled; 5 waiting; 1 without episodes at the provider; 1 failing (it failed (500))" in text
    assert "at most 10 a minute; done in about 30 seconds" in text
    queue.note(stopped="the key is refused")
    assert "stopped: the key is refused" in describe(figures(tmp_path), clock.now)


def test_the_estimate_counts_the_budget(queue: Queue, tmp_path: Path, clock: Clock) -> None:
    queue.note(mode="background", rate=10.0, budget=100, stopped="")
    queue.look([entry(number) for number in range(250)])
    found = figures(tmp_path)
    assert describe(found, found.done - 2 * DAY - 300).endswith("done in about 2 days")
