"""Four viewers for five minutes."""

from collections.abc import Iterator
from pathlib import Path

from bench.films import show_films, view
from bench.harness import Figure

SECONDS = 300


def measure(directory: Path) -> Iterator[Figure]:
    """The viewers alone."""
    with show_films(directory) as mounts:
        yield from view(mounts, SECONDS)
