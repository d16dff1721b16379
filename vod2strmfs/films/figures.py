"""How far learning films is, for whoever asks: read from the store's file, while another process works with it."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vod2strmfs.films.film import BLOCK, FOLDER
from vod2strmfs.host.lock import is_held
from vod2strmfs.host.work_file import most_frequent, read_work_file
from vod2strmfs.index.accounts import account_names, called
from vod2strmfs.status import words

if TYPE_CHECKING:
    import sqlite3

FILE_NAME = "films.db"
LOCK_NAME = "films.lock"
"""What the process that learns holds as long as it does."""

_HOUR, _DAY = 3600.0, 86400.0
_COUNTS = """
    SELECT count(*) FILTER (WHERE size > 0), count(*) FILTER (WHERE stale = 1 AND result IN ('', 'learnt')),
        count(*) FILTER (WHERE stale = 1 AND size > 0)
    FROM film WHERE wanted = 1"""
_FAILING = """
    SELECT result || ': ' || why, count(*) FROM film
    WHERE wanted = 1 AND stale = 1 AND result NOT IN ('', 'learnt') GROUP BY 1 ORDER BY 2 DESC, 1"""
_TAKEN = "SELECT coalesce(sum(bytes), 0), count(*) FILTER (WHERE at > ?), coalesce(min(at), 0) FROM taken WHERE at > ?"
_PAUSED = "SELECT id, why FROM account WHERE not_before > ? AND why != '' ORDER BY id"
_TYPICAL_BYTES = 3 << 20
"""What a film costs that was never learnt before, until that is known."""


class Figures(msgspec.Struct, frozen=True):
    """The figures of learning films: how far it is. Times are seconds since the epoch."""

    learnt: int
    """Films of the library whose size is known."""
    waiting: int
    """Films that are to be learnt and did not fail yet."""
    changed: int
    """Films that are shown and are to be learnt anew."""
    failing: dict[str, int]
    """How many films could not be learnt, by kind and reason, the most frequent first."""
    kept: int
    """Bytes of films on disk."""
    limit: int
    """Bytes that may be kept (films_cache)."""
    last_hour: int
    """How many films were tried within the last hour."""
    rate: float
    """How many films a minute may be tried; 0 if nobody has begun to learn."""
    taken: int
    """Bytes that were taken from providers within 24 hours."""
    budget: int
    """Bytes that may be taken from them within 24 hours (learn_bytes)."""
    each: int
    """Bytes that a film costs, on average."""
    paused: dict[str, str]
    """Why accounts are left alone for a while, by what they are called."""
    full: dict[str, float]
    """Since when accounts have no stream free to learn with, by what they are called."""
    stopped: str
    """Why nothing is learnt; empty if something can be."""
    done: float
    """When about nothing will be waiting; 0 where that is unknown, or so already, or nobody learns."""

    @property
    def failed(self) -> int:
        """How many films could not be learnt."""
        return sum(self.failing.values())


def read_figures(state_dir: Path) -> Figures | None:
    """The figures of a state directory; None where no film was ever wanted, or they cannot be read now."""
    figures = read_work_file(state_dir / FOLDER / FILE_NAME, partial(_read, state_dir), 1)
    if figures is None or are_learnt(state_dir):
        return figures
    return msgspec.structs.replace(figures, done=0)


def are_learnt(state_dir: Path) -> bool:
    """Whether a process learns films now."""
    return is_held(state_dir / FOLDER / LOCK_NAME)


def _read(state_dir: Path, connection: "sqlite3.Connection", now: float) -> Figures:
    info = dict(connection.execute("SELECT name, value FROM info"))
    learnt, waiting, changed = connection.execute(_COUNTS).fetchone()
    taken, last_hour, since = connection.execute(_TAKEN, (now - _HOUR, now - _DAY)).fetchone()
    tries, cost = connection.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM taken WHERE bytes > 0").fetchone()
    each = cost // tries if tries else _TYPICAL_BYTES
    rate, budget, stopped = float(info.get("rate", 0)), int(info.get("budget", 0)), info.get("stopped", "")
    seconds = seconds_to_learn(waiting, each, rate, budget, taken, since + _DAY - now if taken else 0)
    paused, full = connection.execute(_PAUSED, (now,)).fetchall(), json.loads(info.get("full", "{}"))
    names = account_names(state_dir) if paused or full else {}
    return Figures(
        learnt=learnt,
        waiting=waiting,
        changed=changed,
        failing=most_frequent(connection.execute(_FAILING), "other reasons"),
        kept=connection.execute("SELECT count(*) FROM block").fetchone()[0] * BLOCK,
        limit=int(info.get("limit", 0)),
        last_hour=last_hour,
        rate=rate,
        taken=taken,
        budget=budget,
        each=each,
        paused={called(account, names): why for account, why in paused},
        full={called(int(account), names): since for account, since in full.items()},
        stopped=stopped,
        done=now + seconds if waiting and rate and not stopped else 0,
    )


def seconds_to_learn(films: int, each: int, rate: float, budget: int, taken: int, renewed: float) -> float:
    """Seconds that it takes to learn films, as far as the limits that are set tell; providers can be slower.

    Args:
        films: how many.
        each: bytes that each costs.
        rate: films a minute that may be learnt.
        budget: bytes within 24 hours that learning may take.
        taken: how many of them it took.
        renewed: seconds until the first of them count no more.
    """
    by_rate = films / rate * 60 if rate else 0.0
    over = films * each - max(budget - taken, 0)
    if over <= 0 or not budget:
        return by_rate
    return max(by_rate, max(renewed, 0.0) + (-(-over // budget) - 1) * _DAY)


def describe(figures: Figures, now: float) -> str:
    """The figures of learning in words, for people."""
    parts = [f"{words.counted(figures.learnt, 'films')} learnt ({gigabytes(figures.kept)} kept)"]
    if figures.waiting:
        parts.append(f"{figures.waiting:,} waiting{f', at most {figures.rate:g} a minute' if figures.rate else ''}")
    if figures.changed:
        parts.append(f"{figures.changed:,} to be learnt anew")
    parts += [f"{number:,} could not be learnt ({why})" for why, number in figures.failing.items()]
    if figures.done:
        parts.append(f"done in about {words.span(figures.done - now)}")
    parts += [f"{name} left alone: {why}" for name, why in figures.paused.items()]
    if figures.waiting or figures.changed:
        parts += [waits(name, now - since) for name, since in figures.full.items()]
    if figures.stopped:
        parts.append(f"stopped: {figures.stopped}")
    return "; ".join(parts)


def waits(account: str, seconds: float) -> str:
    """That films of an account wait, and for how long, in words."""
    return f"those of {account} wait for a stream of it, since {words.span(seconds)}"


def gigabytes(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 1e9:,.1f} GB" if size >= 1_000_000_000 else f"{size / 1e6:,.1f} MB"
