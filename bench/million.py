"""Materialize at a million items. Most of the time goes into making them, and two and a half million files."""

from collections.abc import Iterator
from pathlib import Path

from bench.catalogues import SIZES, catalogue
from bench.harness import Figure, needs_of


def measure(directory: Path) -> Iterator[Figure]:
    """The most memory that a first run has, sync included. The disk needs room for 12 GB and 4 million inodes."""
    with catalogue(SIZES[1_000_000]) as url:
        needs = needs_of("materialize", directory / "output", "--database", url, "--state-dir", directory / "state")
    yield Figure.of("materialize: peak memory at a million items", [needs.megabytes], 300, "MB")
