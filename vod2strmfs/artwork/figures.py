"""How far fetching is, for whoever asks: read from the queue's file, while another process works through it."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vod2strmfs.host.work_file import most_frequent, read_work_file
from vod2strmfs.status import words

if TYPE_CHECKING:
    import sqlite3

FILE_NAME = "artwork.db"

_HOUR = 3600.0
_COUNTS = """
    SELECT count(*) FILTER (WHERE image != ''), count(*) FILTER (WHERE image = '' AND kind = ''),
        count(*) FILTER (WHERE asked > ?)
    FROM url WHERE wanted = 1"""
_FAILING = """
    SELECT host || ': ' || why, count(*) FROM url
    WHERE wanted = 1 AND image = '' AND kind NOT IN ('', 'stored') GROUP BY 1 ORDER BY 2 DESC, 1"""
_BYTES = "SELECT count(*), coalesce(sum(size), 0) FROM image"
_HOSTS = "SELECT name, why FROM host WHERE not_before > ? AND why != '' ORDER BY name"


class Figures(msgspec.Struct, frozen=True):
    """How far fetching images is. Times are seconds since the epoch."""

    mode: str
    """`files`, or empty where nothing is fetched any more."""
    stored: int
    """URLs of the library whose images are there."""
    waiting: int
    """URLs that were not asked for yet."""
    failing: dict[str, int]
    """How many images could not be had, by host and reason, the most frequent first."""
    images: int
    """Images that are stored; several URLs can have the same."""
    bytes: int
    """Bytes of all images that are stored."""
    limit: int
    """Bytes that may be stored (artwork_cache)."""
    last_hour: int
    """How many images were asked for within the last hour."""
    rate: float
    """How many images a minute may be asked for."""
    paused: dict[str, str]
    """The hosts that are left alone for a while, and why."""
    stopped: str
    """Why nothing is fetched; empty if something can be."""
    done: float
    """When about nothing will be waiting; 0 where that is unknown, or so already."""

    @property
    def failed(self) -> int:
        """How many images could not be had."""
        return sum(self.failing.values())


def read_figures(state_dir: Path) -> Figures | None:
    """The figures of a state directory; None where no image was ever wanted, or they cannot be read now."""
    return read_work_file(state_dir / FILE_NAME, _read, 1)


def _read(connection: "sqlite3.Connection", now: float) -> Figures:
    info = dict(connection.execute("SELECT name, value FROM info"))
    stored, waiting, last_hour = connection.execute(_COUNTS, (now - _HOUR,)).fetchone()
    images, size = connection.execute(_BYTES).fetchone()
    rate, stopped, mode = float(info.get("rate", 0)), info.get("stopped", ""), info.get("mode", "")
    works = mode and waiting and rate and not stopped
    return Figures(
        mode=mode,
        stored=stored,
        waiting=waiting,
        failing=most_frequent(connection.execute(_FAILING), "other hosts and reasons"),
        images=images,
        bytes=size,
        limit=int(info.get("limit", 0)),
        last_hour=last_hour,
        rate=rate,
        paused=dict(connection.execute(_HOSTS, (now,))),
        stopped=stopped,
        done=now + waiting / rate * 60 if works else 0,
    )


def describe(figures: Figures, now: float) -> str:
    """How far fetching images is, in words."""
    parts = [f"{words.counted(figures.stored, 'images')} stored ({megabytes(figures.bytes)})"]
    if figures.waiting:
        parts.append(f"{figures.waiting:,} waiting, at most {figures.rate:g} a minute")
    parts += [f"{number:,} failed ({why})" for why, number in figures.failing.items()]
    if figures.done:
        parts.append(f"done in about {words.span(figures.done - now)}")
    parts += [f"{name} left alone: {why}" for name, why in figures.paused.items()]
    if figures.stopped:
        parts.append(f"stopped: {figures.stopped}")
    return "; ".join(parts)


def megabytes(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 1e6:,.0f} MB" if size >= 10_000_000 else f"{size / 1e3:,.0f} kB"
