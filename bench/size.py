"""Libraries of 10 k, 100 k and a million items: what grows with them, and what must not."""

import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from bench.catalogues import SIZES, catalogue
from bench.harness import PAIRS, Figure, needs_of, timed
from bench.sync import looks
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import MOVIES_NODE, folder_inode
from vod2strmfs.library.tree import Tree

_SAMPLES = 2000
_MEGABYTE = 1 << 20
_LOADING = 2.0
"""Seconds until the worker has seen that there is no database."""


def measure(directory: Path) -> Iterator[Figure]:
    """Syncs and mounts one library of each size. Takes about 35 minutes."""
    small, *_, large = SIZES
    names: dict[int, list[str]] = {}
    syncs: dict[int, float] = {}
    for items, size in SIZES.items():
        state_dir = directory / f"{items}"
        with catalogue(size) as url:
            needs = needs_of("sync", "--database", url, "--state-dir", state_dir)
            if items == large:
                yield from looks(url, state_dir)
        syncs[items] = needs.seconds / items
        names[items] = _movies(state_dir)
    yield from _lookups(directory, names)
    yield Figure.of_pairs(
        f"an item of the first sync of {large:,}", f"of {small:,}", [(syncs[large], syncs[small])], 1.5
    )
    yield Figure.of("peak memory of that sync", [needs.megabytes], 300, "MB")
    starts = [_start(directory, state_dir) for _ in range(PAIRS)]
    yield Figure.of("start, until the first `ls` answers", starts, 1.0, "s")
    listed, memory, pause = _scan(directory, state_dir, names[large])
    yield Figure.of("memory of mount and worker after listing all", [listed / _MEGABYTE], 100, "MB")
    yield Figure.of("memory of the mount after a full scan", [memory / _MEGABYTE], 250, "MB")
    yield Figure.of("longest pause while `Movies` is listed", [pause], 1.0, "s")


def _movies(state_dir: Path) -> list[str]:
    """The names of some movies' directories."""
    with closing(Store(state_dir)) as store:
        tree, chance = Tree(store), random.Random(1)
        names, after = [], 0
        while (page := tree.page(folder_inode(MOVIES_NODE), after)) and page.entries:
            names += [entry.name for entry in page.entries]
            after = page.entries[-1].inode
        return chance.sample(names, min(_SAMPLES, len(names)))


@contextmanager
def _mounted(directory: Path, state_dir: Path) -> Iterator[Path]:
    path = directory / "mount"
    path.mkdir(exist_ok=True)
    # There is no database any more, and none is needed; but the driver is loaded.
    options = ("--database", "postgresql://127.0.0.1:1/none", "--state-dir", state_dir)
    command = (sys.executable, "-m", "vod2strmfs", "mount", path, "--daemon", *options)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    try:
        yield path
    finally:
        subprocess.run(["fusermount3", "-u", path], check=True)


def _lookups(directory: Path, names: dict[int, list[str]]) -> Iterator[Figure]:
    """Of each size in turn: what it takes to be woken differs from minute to minute, and more than a lookup takes."""
    small, *_, large = names
    rounds = [{items: _lookup(directory, items, some) for items, some in names.items()} for _ in range(PAIRS)]
    for items in names:
        microseconds = [1e6 * seconds[items] for seconds in rounds]
        yield Figure.of(f"a lookup among {items:,} items", microseconds, math.inf, "µs")
    pairs = [(seconds[large], seconds[small]) for seconds in rounds]
    target = math.log(large) / math.log(small)
    yield Figure.of_pairs(f"a lookup among {large:,} items", f"{small:,}", pairs, target)


def _lookup(directory: Path, items: int, names: list[str]) -> float:
    """Seconds that the mount takes to find a name that the kernel has not cached."""
    with _mounted(directory, directory / f"{items}") as path:
        return timed(lambda: [os.stat(path / "Movies" / name) for name in names]) / len(names)


def _start(directory: Path, state_dir: Path) -> float:
    """Seconds from the command to the answer."""
    started = time.perf_counter()
    with _mounted(directory, state_dir) as path:
        assert os.listdir(path)
        return time.perf_counter() - started


def _scan(directory: Path, state_dir: Path, names: list[str]) -> tuple[int, int, float]:
    """List and read everything; returns the memory (bytes) of the mount and its worker when all is listed, that of the
    mount when all is read, and the longest pause of a reader (seconds) while the largest directory is listed."""
    with _mounted(directory, state_dir) as path:
        with subprocess.Popen(["ls", "-f", path / "Movies"], stdout=subprocess.DEVNULL) as listing:
            pauses = [0.0]
            for name in names:
                if listing.poll() is not None:
                    break
                pauses.append(timed(partial(os.stat, path / "Movies" / name)))
                time.sleep(0.002)
        subprocess.run(["find", path, "-type", "f"], check=True, stdout=subprocess.DEVNULL)
        process = _process(path)
        _wait_for_worker(process)
        listed = sum(map(_memory, [process, *_children(process)]))
        reading = ("find", path, "-type", "f", "-exec", "cat", "{}", "+")
        subprocess.run(reading, check=True, stdout=subprocess.DEVNULL)
        return listed, _memory(process), max(pauses)


def _process(mount: Path) -> str:
    """The process that serves a mount."""
    found = subprocess.run(["pgrep", "-f", f"vod2strmfs mount {mount}"], check=True, capture_output=True, text=True)
    return found.stdout.split()[0]


def _children(process: str) -> list[str]:
    threads = Path("/proc", process, "task").glob("*/children")
    return " ".join(children.read_text() for children in threads).split()


def _memory(process: str) -> int:
    """The memory of a process, in bytes: what it shares with others (libraries, the interpreter) is shared out."""
    rollup = Path("/proc", process, "smaps_rollup").read_text()
    return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))


def _wait_for_worker(process: str) -> None:
    """Wait until the worker of a mount has loaded what it needs: it lets the first scan end before."""
    while not any("psycopg" in Path("/proc", child, "maps").read_text() for child in _children(process)):
        time.sleep(0.1)
    time.sleep(_LOADING)
