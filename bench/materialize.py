"""Writing real files, against `cp -r` and `find` on the same disk, and against itself on a slow share."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from math import inf
from pathlib import Path

from shares import Share

from bench.catalogues import USUAL, Size, catalogue, make_index
from bench.harness import PAIRS, Figure, Measure, ratio, timed
from vod2strmfs.index.store import Store
from vod2strmfs.materialize.job import Job
from vod2strmfs.materialize.run import materialize
from vod2strmfs.service.export import export
from vod2strmfs.settings import Settings

_OF_SHARE = Size(movies=60, series=30, episodes=120)
_SHARE_DELAY = "delay=5000"
"""Microseconds that each call to the share takes."""


class _Library:
    """A catalogue in a database, and what the program makes of it.

    Args:
        directory: for state and output.
        database: its URL.
    """

    def __init__(self, directory: Path, database: str) -> None:
        self._directory = directory
        self._database = database
        self.output = directory / "output"

    def materialize(self) -> float:
        """One run of the program; seconds."""
        options = ("--database", self._database, "--state-dir", self._directory / "state")
        return timed(lambda: _program("materialize", self.output, *options))

    def export(self) -> float:
        """The same in this process, which has started and loaded what it needs; it connects to the database."""
        settings = Settings(output_root=self.output, state_dir=self._directory / "state", database=self._database)
        return timed(lambda: export(settings, "all"))

    def first_run(self) -> float:
        """A run onto an empty disk, with no index yet."""
        self.clear()
        return self.materialize()

    def write_again(self) -> float:
        """A run onto an empty disk, with an index; seconds."""
        self.forget_output()
        return self.materialize()

    def export_again(self) -> float:
        """The same in this process; see `export`."""
        self.forget_output()
        return self.export()

    def forget_output(self) -> None:
        """Have nothing of what was written left, and nothing that knows of it."""
        for path in (self.output, *(self._directory / "state").glob("output-*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def clear(self) -> None:
        """Have nothing of it left, and nothing of anybody's still to be written to the disk."""
        for name in ("output", "state", "copy"):
            shutil.rmtree(self._directory / name, ignore_errors=True)
        os.sync()

    def copy(self) -> float:
        """`cp -r` of the output to the same disk; seconds."""
        copy = self._directory / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        os.sync()
        return timed(lambda: subprocess.run(["cp", "-r", self.output, copy], check=True))

    def find(self) -> float:
        """`find` over the output; seconds."""
        return timed(lambda: subprocess.run(["find", self.output, "-type", "f"], check=True, stdout=subprocess.DEVNULL))


def measure(directory: Path) -> Iterator[Figure]:
    """Measure what issue and docs promise of materialize, but for a million items; see `bench.million`."""
    with catalogue(USUAL) as database:
        library = _Library(directory, database)
        library.first_run()  # so that there is something to copy, whoever goes first
        firsts: list[float] = []
        yield ratio(
            f"materialize: first run, {USUAL.movies} movies and {USUAL.episodes} episodes, sync included",
            _remembered(library.first_run, firsts),
            "`cp -r` of that tree",
            _with_output(library, library.copy),
            target=2.0,
        )
        shutil.rmtree(directory / "copy", ignore_errors=True)
        os.sync()
        idle = [library.materialize() for _ in range(PAIRS)]
        pairs = list(zip(idle, firsts, strict=True))
        yield Figure.of_pairs("materialize: nothing changed", "the first run", pairs, target=1 / 50)
        library.export()  # loads what it needs
        yield ratio(
            "materialize: nothing changed, the interpreter's start aside",
            library.export,
            "`find OUTPUT -type f`",
            library.find,
            target=1.0,
        )
        library.clear()
        yield from _in_memory(database)
    yield _slow_share(directory)


def _in_memory(database: str) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="vod2strmfs-bench-", dir="/dev/shm") as directory:
        library = _Library(Path(directory), database)
        library.materialize()
        for work, measure_it in (
            ("materialize: first run in memory (tmpfs), sync done before", library.write_again),
            ("the same, the interpreter's start aside", library.export_again),
        ):
            yield ratio(work, measure_it, "`cp -r` of that tree", library.copy, target=1.5)
        idle = [1000 * library.materialize() for _ in range(PAIRS)]
        yield Figure.of("materialize: nothing to do, in memory: a command's start", idle, inf, "ms")


def _remembered(work: Measure, times: list[float]) -> Measure:
    def measured() -> float:
        times.append(work())
        return times[-1]

    return measured


def _with_output(library: _Library, work: Measure) -> Measure:
    """The same, of a library that is written."""

    def measured() -> float:
        if not library.output.exists():
            library.materialize()
        return work()

    return measured


def _slow_share(directory: Path) -> Figure:
    state = directory / "share-state"
    with catalogue(_OF_SHARE) as database:
        make_index(database, state)
    with Share(directory / "share", directory / "mount", _SHARE_DELAY) as share:
        return ratio(
            f"materialize: {_OF_SHARE.movies} movies and {_OF_SHARE.episodes} episodes to a share of 5 ms a call,"
            " 12 workers",
            _writing(share, state, workers=12),
            "1 worker",
            _writing(share, state, workers=1),
            target=1 / 8,
        )


def _writing(share: Share, state: Path, workers: int) -> Measure:
    """A first run onto a share."""

    def measured() -> float:
        for path in (*state.glob("output-*"), share.source / "output"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        settings = Settings(output_root=share.mount_point / "output", state_dir=state, concurrency=workers)
        with closing(Store(state)) as store:
            return timed(lambda: materialize(store, Job(settings, "all")))

    return measured


def _program(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "vod2strmfs", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
