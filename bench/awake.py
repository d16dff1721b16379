"""`mounts` while no processor sleeps, since that is what decides how long bindfs takes (docs/performance.md)."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import mounts
from bench.harness import Figure


def measure(directory: Path) -> Iterator[Figure]:
    """The same works, against the same file systems."""
    with _awake():
        yield from mounts.measure(directory)


@contextmanager
def _awake() -> Iterator[None]:
    """Keep each processor from sleeping, with work that gives way to all other work at once."""
    spinning = [multiprocessing.Process(target=_spin, args=(each,), daemon=True) for each in os.sched_getaffinity(0)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def _spin(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parent = os.getppid()
    while os.getppid() == parent:  # However that ends.
        pass
