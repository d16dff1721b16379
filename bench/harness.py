"""Measuring side by side: these machines are noisy, so seconds mean little and ratios of neighbours mean more."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

PAIRS = 7
"""Alternating pairs behind each ratio, at the least."""

Result = TypeVar("Result")
Measure = Callable[[], float]
"""Does some work once; returns the seconds it took."""


class Figure(NamedTuple):
    """One line of the table."""

    work: str
    against: str
    value: float
    """The ratio of the minima, for what is compared; what other work of the machine adds is in them the least."""
    median: float
    """Of the pairs' ratios, or of what was measured alone."""
    low: float
    high: float
    target: float
    unit: str = ""
    """Empty for a ratio."""

    @classmethod
    def of(cls, work: str, values: Sequence[float], target: float, unit: str) -> "Figure":
        """From what was measured alone, whose median counts."""
        median = statistics.median(values)
        return cls(work, "", median, median, min(values), max(values), target, unit)

    @classmethod
    def of_pairs(cls, work: str, against: str, pairs: Sequence[tuple[float, float]], target: float) -> "Figure":
        """From pairs of what ours and theirs took."""
        value = min(own for own, _ in pairs) / min(other for _, other in pairs)
        ratios = [own / other for own, other in pairs]
        return cls(work, against, value, statistics.median(ratios), min(ratios), max(ratios), target)

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target


def alternate(
    ours: Callable[[], Result], theirs: Callable[[], Result], pairs: int = PAIRS
) -> Iterator[tuple[Result, Result]]:
    """What ours and theirs return, pair by pair. Who goes first alternates too."""
    for number in range(pairs):
        if number % 2:
            other = theirs()
            yield ours(), other
        else:
            own = ours()
            yield own, theirs()


def ratio(work: str, ours: Measure, against: str, theirs: Measure, target: float, pairs: int = PAIRS) -> Figure:
    """What ours takes against theirs, in alternating pairs."""
    return Figure.of_pairs(work, against, list(alternate(ours, theirs, pairs)), target)


def timed(work: Callable[[], object]) -> float:
    """The seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Needs(NamedTuple):
    """What a process needed until it ended."""

    seconds: float
    """Of processor time."""
    megabytes: float
    """Of memory, at the most."""


def needs_of(*arguments: str | Path) -> Needs:
    """Run a command of the program.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", "vod2strmfs", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Needs(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| work | against | minima | median | from – to | target | |", "|---|---|---|---|---|---|---|"]
    for figure in figures:
        unit = f" {figure.unit}" if figure.unit else ""
        lines.append(
            f"| {figure.work} | {figure.against} | {figure.value:.3g}{unit} | {figure.median:.3g}"
            f" | {figure.low:.3g} – {figure.high:.3g} | ≤ {figure.target:.3g}{unit}"
            f" | {'reached' if figure.met else 'missed'} |"
        )
    return "\n".join(lines)
