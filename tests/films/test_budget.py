"""What readers get whom nobody watches, counted for a day: across restarts, kills, and clocks that are set."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from mounts import eventually

from vod2strmfs.films import pace
from vod2strmfs.films.pace import Budget
from vod2strmfs.films.store import Films

_HOUR = 3600.0
_TAKES_UNTIL_KILLED = """
import sys
from pathlib import Path

import trio

from vod2strmfs.films import pace
from vod2strmfs.films.store import Films

async def read():
    with Films(Path(sys.argv[1])) as films:
        budget = pace.Budget(10**9, films)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(budget.run)
            while True:
                budget.take(1, 1000)
                await trio.sleep(0.001)

pace._NOTE_SECONDS = 0.05
trio.run(read)
"""


class Clock:
    """The time that all see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_700_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time."""
    return Clock(monkeypatch)


async def _run_shortly(budget: Budget) -> None:
    with trio.move_on_after(0.02):
        await budget.run()


def test_it_is_the_same_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    with Films(tmp_path) as films:
        budget = Budget(5000, films)
        budget.take(1, 3000)
        clock.now += 2 * _HOUR
        budget.take(1, 1500)
        budget.take(2, 7)
        trio.run(_run_shortly, budget)
    clock.now += 21 * _HOUR
    with Films(tmp_path) as films:
        budget = Budget(5000, films)
        assert (budget.taken(1), budget.taken(2), budget.taken(3)) == (4500, 7, 0)
        assert budget.accounts() == {1, 2}
        assert not budget.is_spent(1)
        budget.take(1, 500)
        assert budget.is_spent(1)
        clock.now += 2 * _HOUR
        assert budget.taken(1) == 2000
        assert not budget.is_spent(1)
        clock.now += 24 * _HOUR
        assert budget.accounts() == set()


def test_it_is_written_down_now_and_then_and_not_at_each_read(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_NOTE_SECONDS", 0.01)

    async def read(films: Films, other: Films) -> None:
        budget = Budget(10**9, films)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(budget.run)
            for count in (1000, 5000):
                changes = other._file.state()
                for _ in range(count // 10):
                    budget.take(1, 10)
                assert other._file.state() == changes
                while Budget(10**9, other).taken(1) != budget.taken(1):
                    await trio.sleep(0.01)
            # Nor again, if nothing was read.
            changes = other._file.state()
            await trio.sleep(0.1)
            assert other._file.state() == changes
            nursery.cancel_scope.cancel()

    with Films(tmp_path) as films, Films(tmp_path) as other:
        trio.run(read, films, other)


def test_who_is_killed_has_lost_no_more_than_the_last_seconds(tmp_path: Path) -> None:
    with Films(tmp_path) as films:
        with subprocess.Popen([sys.executable, "-c", _TAKES_UNTIL_KILLED, tmp_path]) as process:
            eventually(lambda: Budget(1, films).taken(1) > 50_000)
            noted = Budget(1, films).taken(1)
            eventually(lambda: Budget(1, films).taken(1) > noted)
            process.send_signal(signal.SIGKILL)
        assert Budget(1, films).taken(1) > noted


def test_a_clock_that_is_set_back_makes_it_wait_no_longer_than_a_day(tmp_path: Path, clock: Clock) -> None:
    right = clock.now
    with Films(tmp_path) as films:
        for ahead in (2 * _HOUR, 40 * _HOUR, 13 * 365 * 24 * _HOUR):
            clock.now = right + ahead
            budget = Budget(5000, films)
            budget.take(1, 5000)
            assert budget.is_spent(1)
            trio.run(_run_shortly, budget)
            clock.now = right
            for mended in (budget, Budget(5000, films)):
                clock.now = right
                assert mended.is_spent(1), "what was read was read"
                clock.now = right + 24 * _HOUR
                assert not mended.is_spent(1)
            films.note_background({})
