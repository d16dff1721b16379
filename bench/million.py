"""Materialize at a million items. Most of the time goes into making them, and two and a half million files."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from postgres_server import PostgresServer

from bench.harness import Figure, single
from vod2strmfs.demo.generator import write_demo


def measure(directory: Path) -> Iterator[Figure]:
    """The most memory that a first run has, sync included. The disk needs room for 12 GB and 4 million inodes."""
    with PostgresServer() as server:
        database = server.new_database()
        write_demo(database, movies=200_000, series=10_000, episodes=800_000, seed=1)
        options = ("--database", database, "--state-dir", directory / "state")
        peak = _peak_memory("materialize", directory / "output", *options)
    yield single("materialize: peak memory at a million items", [peak], 300, "MB")


def _peak_memory(*arguments: str | Path) -> float:
    """The most memory that the program, or a child of its, had at once; MB."""
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    command = [sys.executable, "-c", script, sys.executable, "-m", "vod2strmfs", *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024
