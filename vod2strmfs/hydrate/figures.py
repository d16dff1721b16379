"""How far filling is, for whoever asks: read from the queue's file, while others work through it."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vod2strmfs.host.work_file import read_work_file
from vod2strmfs.status.words import span

if TYPE_CHECKING:
    import sqlite3

FILE_NAME = "hydrate.db"

_DAY = 86400.0
_HOUR = 3600.0
_COUNTS = """
    SELECT count(*), sum(missing = 0), sum(missing = 1 AND (kind IN ('', 'filled') OR asking != 0)),
        sum(missing = 1 AND kind = 'empty'), sum(asking != 0)
    FROM series WHERE there = 1"""
_FAILING = """
    SELECT why, count(*) FROM series
    WHERE there = 1 AND missing = 1 AND asking = 0 AND kind NOT IN ('', 'filled', 'empty')
    GROUP BY why ORDER BY count(*) DESC, why"""
_ACCOUNTS = """
    SELECT name, why FROM account WHERE not_before > ? AND why != ''
        AND id IN (SELECT account FROM series WHERE there = 1) ORDER BY name"""


class Figures(msgspec.Struct, frozen=True):
    """How far filling series is. Times are seconds since the epoch."""

    mode: str
    """`background` or `on_open`; empty where only the command has filled anything."""
    series: int
    """How many series the library has, with episodes or not."""
    filled: int
    """How many series have episodes."""
    waiting: int
    """How many series have not been asked for, or their episodes have not come yet."""
    without: int
    """Of how many series the provider named no episodes."""
    failing: dict[str, int]
    """How many series were asked for in vain, by why."""
    asking: int
    """For how many series is being asked now."""
    last_hour: int
    """For how many series was asked within the last hour."""
    rate: float
    """For how many series a minute it may be asked."""
    paused: dict[str, str]
    """Why accounts are left alone for a while, by their names."""
    stopped: str
    """Why nothing more is asked for at all; empty if it goes on."""
    done: float
    """When about nothing will be waiting any more; 0 if that is not known, or so already."""

    @property
    def failed(self) -> int:
        """How many series were asked for in vain."""
        return sum(self.failing.values())


def read_figures(state_dir: Path) -> Figures | None:
    """How far filling is; None where nothing was ever to be filled, or it cannot be read."""
    return read_work_file(state_dir / FILE_NAME, _read, 5)


def _read(connection: "sqlite3.Connection", now: float) -> Figures:
    info = dict(connection.execute("SELECT name, value FROM info"))
    counts = connection.execute(_COUNTS).fetchone()
    series, filled, waiting, without, asking = (int(number or 0) for number in counts)
    requests = "SELECT count(*) FROM request WHERE at > ? AND wished = 0"
    [last_hour] = connection.execute(requests, (now - _HOUR,)).fetchone()
    [last_day] = connection.execute(requests, (now - _DAY,)).fetchone()
    rate, budget = float(info.get("rate", 0)), int(info.get("budget", 0))
    works = info.get("mode") == "background" and not info.get("stopped")
    return Figures(
        mode=info.get("mode", ""),
        series=series,
        filled=filled,
        waiting=waiting,
        without=without,
        failing={why or "unknown": number for why, number in connection.execute(_FAILING)},
        asking=asking,
        last_hour=last_hour,
        rate=rate,
        paused=dict(connection.execute(_ACCOUNTS, (now,))),
        stopped=info.get("stopped", ""),
        done=now + _seconds(waiting, rate, budget, last_day) if works and waiting and rate else 0,
    )


def _seconds(waiting: int, rate: float, budget: int, used: int) -> float:
    """How long it takes to ask for what is waiting: as fast as allowed today, and the budget of a day each day then."""
    today = max(budget - used, 0)
    if waiting <= today:
        return waiting / rate * 60
    days, rest = divmod(waiting - today, budget)
    return (days + 1) * _DAY + rest / rate * 60


def describe(figures: Figures, now: float) -> str:
    """How far fetching episodes is, in words."""
    parts = [f"{figures.filled:,} of {figures.series:,} series filled"]
    if figures.waiting:
        parts.append(f"{figures.waiting:,} waiting")
    if figures.without:
        parts.append(f"{figures.without:,} without episodes at the provider")
    parts += [f"{number:,} failing ({why})" for why, number in figures.failing.items()]
    if figures.mode == "background" and figures.waiting:
        parts.append(f"{figures.last_hour:,} asked for in the last hour, at most {figures.rate:g} a minute")
    if figures.done:
        parts.append(f"done in about {span(figures.done - now)}")
    parts += [f"{name} left alone: {why}" for name, why in figures.paused.items()]
    if figures.stopped:
        parts.append(f"stopped: {figures.stopped}")
    return "; ".join(parts)
