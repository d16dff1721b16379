"""Materialize when it is killed, when the disk is full or read-only, and when it runs twice at once."""

import csv
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.index.store import Store
from vod2strmfs.materialize.job import Job, Outcome
from vod2strmfs.materialize.run import materialize


class Export:
    """A library and an output root."""

    def __init__(self, directory: Path) -> None:
        self.library = Library(directory)
        self.root = directory / "output"
        self.state = self.library.state_dir
        self.reports = directory / "reports"

    def run(self, catalogue: Catalogue | None = None, **options: Any) -> Outcome:
        """Show a catalogue to the library, if one is given, and materialize."""
        if catalogue is not None:
            self.library.show(catalogue, accept_shrink=True)
        job = Job(output_root=self.root, state_dir=self.state, report_dir=self.reports, **options)
        with closing(Store(self.state)) as store:
            return materialize(store, job)

    def rows(self, outcome: Outcome) -> list[dict[str, str]]:
        with outcome.report.open(newline="") as file:
            return list(csv.DictReader(file))

    def files(self) -> dict[str, bytes]:
        """Every file of the output root."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def wanted(self) -> dict[str, bytes]:
        return self.library.files()


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def films(*names: str, **columns: Any) -> Catalogue:
    catalogue = Catalogue()
    account = catalogue.account("Alpha")
    for number, name in enumerate(names):
        movie = catalogue.movie(name, relations=[], **columns)
        catalogue.relate(movie, account, stream_id=str(number))
    series = catalogue.series("Lost")
    for number in range(1, 6):
        catalogue.episode(series, 1, number, f"Part {number}")
    return catalogue


def test_two_runs_at_once_are_refused(export: Export) -> None:
    export.run(films("Heat"))
    job = Job(output_root=export.root, state_dir=export.state, report_dir=export.reports)
    with closing(Store(export.state)) as store:
        second: list[Exception] = []

        def interfere(_: object) -> None:
            if not second:
                with closing(Store(export.state)) as other, pytest.raises(OutputError) as refused:
                    materialize(other, job)
                second.append(refused.value)

        export.library.show(films("Heat", *[f"Film {number}" for number in range(300)]), accept_shrink=True)
        store.refresh()
        materialize(store, job, on_progress=interfere)
    assert second


def test_a_full_disk_is_rows_and_the_next_run_finishes(export: Export) -> None:
    export.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", export.root], check=True)
    try:
        outcome = export.run(films(*[f"Film {number}" for number in range(100)]))
        assert outcome.errors
        assert "disk full" in {row["reason"] for row in export.rows(outcome)}
        wanted = export.wanted()
        for path, content in export.files().items():
            assert wanted.get(path) == content, path
        subprocess.run(["mount", "-o", "remount,size=30m", export.root], check=True)
        assert not export.run().errors
        assert export.files() == wanted
    finally:
        subprocess.run(["umount", "-l", export.root], check=True)


def test_a_read_only_root_is_an_error(export: Export) -> None:
    export.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", export.root], check=True)
    try:
        with pytest.raises(OutputError, match="output root"):
            assert not export.run(films("Heat")).errors
    finally:
        subprocess.run(["umount", "-l", export.root], check=True)


def test_killed_at_any_moment_it_leaves_no_half_file_and_the_next_run_finishes(export: Export) -> None:
    export.library.show(films(*[f"Film {number}" for number in range(400)]))
    wanted = export.wanted()
    script = (
        "import sys; from pathlib import Path; from vod2strmfs.index.store import Store;"
        "from vod2strmfs.materialize.job import Job; from vod2strmfs.materialize.run import materialize;"
        "root, state, reports = map(Path, sys.argv[1:]); print('ready', flush=True);"
        "materialize(Store(state), Job(output_root=root, state_dir=state, report_dir=reports))"
    )
    delays = random.Random(1)
    killed = 0
    for _ in range(12):
        shutil.rmtree(export.root, ignore_errors=True)
        process = subprocess.Popen(
            [sys.executable, "-c", script, export.root, export.state, export.reports], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        for path, content in export.files().items() if export.root.exists() else ():
            if path.endswith((".strm", ".nfo")):
                assert wanted.get(path) == content, path
        export.run()
        assert export.files() == wanted
    assert killed > 2
