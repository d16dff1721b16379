"""`mounts` with server and scanner on one processor: what a scan costs, whatever it takes to wake another one."""

from collections.abc import Iterator
from pathlib import Path

from bench import mounts
from bench.harness import Figure, on_one_processor


def measure(directory: Path) -> Iterator[Figure]:
    """The same works, against the same file systems, all of which inherit the processor from here."""
    with on_one_processor():
        yield from mounts.measure(directory)
