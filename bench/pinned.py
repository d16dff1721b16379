"""`mounts` with server and scanner on one processor: what a scan costs, whatever it takes to wake another one."""

import os
from collections.abc import Iterator
from pathlib import Path

from bench import mounts
from bench.harness import Figure


def measure(directory: Path) -> Iterator[Figure]:
    """The same works, against the same file systems, all of which inherit the processor from here."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield from mounts.measure(directory)
    finally:
        os.sched_setaffinity(0, allowed)
