"""Measuring side by side: these machines are noisy, so seconds mean little and ratios of neighbours mean more."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

PAIRS = 5
"""Alternating pairs behind each ratio, at the least."""

Measure = Callable[[], float]
"""Does some work once; returns the seconds it took."""


class Figure(NamedTuple):
    """One line of the table."""

    work: str
    against: str
    value: float
    low: float
    high: float
    target: float
    unit: str = ""
    """Empty for a ratio."""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target


def ratio(work: str, ours: Measure, against: str, theirs: Measure, target: float, pairs: int = PAIRS) -> Figure:
    """The median over alternating pairs of what ours takes against theirs. Who goes first alternates too."""
    ratios = []
    for number in range(pairs):
        if number % 2:
            other = theirs()
            ratios.append(ours() / other)
        else:
            own = ours()
            ratios.append(own / theirs())
    return Figure(work, against, statistics.median(ratios), min(ratios), max(ratios), target)


def single(work: str, values: Sequence[float], target: float, unit: str) -> Figure:
    """The median of something measured by itself."""
    return Figure(work, unit, statistics.median(values), min(values), max(values), target, unit)


def timed(work: Callable[[], object]) -> float:
    """The seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def drop_caches() -> None:
    """Have the kernel forget names, attributes and pages; without the right to, warm caches serve both sides alike."""
    os.sync()
    with suppress(OSError), open("/proc/sys/vm/drop_caches", "w") as switch:
        switch.write("3")


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| work | against | median | from – to | target | |", "|---|---|---|---|---|---|"]
    for figure in figures:
        unit = f" {figure.unit}" if figure.unit else ""
        lines.append(
            f"| {figure.work} | {figure.against} | {figure.value:.3g}{unit} | {figure.low:.3g} – {figure.high:.3g}"
            f" | ≤ {figure.target:.3g}{unit} | {'reached' if figure.met else 'missed'} |"
        )
    return "\n".join(lines)
