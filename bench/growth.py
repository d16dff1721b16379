"""First syncs of catalogues of 10,000, 100,000 and 1,000,000 items: what an item costs, and what the process needs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.catalogues import SIZES, catalogue
from bench.harness import Figure, single


class Needs(NamedTuple):
    """What a process needed until it ended."""

    seconds: float
    """Of processor time."""
    megabytes: float
    """Of memory, at the most."""


def measure(directory: Path) -> Iterator[Figure]:
    """Takes minutes, and about 5 GB of disk for the largest one."""
    small = 0.0
    for items, size in SIZES.items():
        with catalogue(size) as url:
            needs = first_sync(url, directory / str(items))
        cost = needs.seconds / items
        small = small or cost
        work = f"first sync of {items:,} items"
        yield single(f"{work}: memory", [needs.megabytes], 300, "MB")
        yield Figure(
            f"{work}: processor time an item", "one of the smallest", cost / small, cost / small, cost / small, 1.5
        )


def first_sync(url: str, state_dir: Path) -> Needs:
    """Make an index in a process of its own, by `vod2strmfs sync`.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", "vod2strmfs", "sync", "--state-dir", str(state_dir)]
    process = subprocess.Popen(command, env=os.environ | {"VOD2STRMFS_DATABASE": url}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Needs(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
