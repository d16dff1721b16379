"""The second process of a run: it must not change what comes of it, whatever that is and however either ends."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event, Timer

import pytest
from libraries import Library
from mounts import eventually
from outputs import Output, report_rows, snapshot

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.index.store import Store
from vod2strmfs.materialize import root, writers
from vod2strmfs.materialize.probe import FileSystem
from vod2strmfs.materialize.run import materialize
from vod2strmfs.materialize.workers import StoppedError, Workers
from vod2strmfs.materialize.write import FolderWork
from vod2strmfs.materialize.write_process import Order, WriteProcess

FILMS = 150
COMPLAINT = "The second process of the run"


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much every test has, and nothing waits; which of them they are does not matter."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr(Workers, "number", 1)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue())
    return output


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[WriteProcess]:
    """Grows by one with each task that a second process is given, which has all that it can take."""
    tasks: list[WriteProcess] = []
    give, is_ready = WriteProcess.give, WriteProcess.is_ready

    def wait(process: WriteProcess) -> bool:
        eventually(lambda: is_ready(process))
        return True

    def note(process: WriteProcess, works: Sequence[FolderWork]) -> None:
        give(process, works)
        tasks.append(process)

    monkeypatch.setattr(WriteProcess, "is_ready", wait)
    monkeypatch.setattr(WriteProcess, "give", note)
    monkeypatch.setattr(writers, "MANY_FILES", 0)
    return tasks


def catalogue(plot: str = "One plot.", films: int = FILMS) -> Catalogue:
    made = Catalogue()
    account = made.account("Provider")
    for film in range(films):
        made.relate(made.movie(f"Film {film}", description=plot, relations=[]), account, stream_id=str(film))
    series = made.series("Lost", description=plot)
    for number in range(1, 100):
        made.episode(series, 1 + number // 60, number, f"Part {number}", description=plot)
    return made


def alone(tmp_path: Path, *catalogues: Catalogue) -> list[list[tuple[str, ...]]]:
    """The rows of the reports of runs of one process, one for each state of the library."""
    directory = tmp_path / "alone"
    directory.mkdir()
    output = Output(Library(directory), directory / "output")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(writers, "MANY_FILES", sys.maxsize)
        reports = []
        for state in catalogues:
            output.library.show(state)
            reports.append([row[:4] + row[5:] for row in output.rows()])
    return reports


def rows(output: Output) -> list[tuple[str, ...]]:
    """The rows of the report of a run, without the UUIDs."""
    return [row[:4] + row[5:] for row in output.rows()]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_two_processes_write_what_one_writes_and_report_it(
    output: Output, tmp_path: Path, given: list[WriteProcess]
) -> None:
    first, second = alone(tmp_path, catalogue(), catalogue("Another plot."))
    assert rows(output) == first
    assert output.difference() == {}
    assert len(given) > 3
    given.clear()
    output.library.show(catalogue("Another plot."))
    assert rows(output) == second
    assert output.difference() == {}
    assert given
    assert output.rows() == []
    assert not Path(f"/proc/{given[0].pid}").exists()


def test_files_that_are_not_ours_are_kept_by_either(output: Output, given: list[WriteProcess]) -> None:
    films = [output.root / "Movies" / f"Film {film}" for film in range(FILMS)]
    for folder in films:
        folder.mkdir(parents=True)
        (folder / "movie.nfo").write_text("mine")
    kept = [row for row in output.rows() if row[5] == "kept"]
    assert given
    assert len(kept) == FILMS
    assert {(folder / "movie.nfo").read_text() for folder in films} == {"mine"}


@pytest.mark.complains(COMPLAINT)
@pytest.mark.parametrize("task", [1, 4])
def test_a_second_process_that_is_killed_is_done_without(
    output: Output,
    given: list[WriteProcess],
    task: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    note = WriteProcess.give

    def give(process: WriteProcess, works: Sequence[FolderWork]) -> None:
        note(process, works)
        if len(given) == task:
            os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(WriteProcess, "give", give)
    assert output.write().errors == 0
    assert output.difference() == {}
    assert warnings(caplog) == [f"{COMPLAINT} has ended (code -9); going on without it."]
    assert output.rows() == []


@pytest.mark.complains(COMPLAINT)
@pytest.mark.parametrize(("program", "why"), [("/bin/false", "has ended (code 1)"), ("/none", "cannot be started")])
def test_a_second_process_that_does_not_start_is_done_without(
    output: Output,
    given: list[WriteProcess],
    program: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert output.write().errors == 0
    assert not given
    assert output.difference() == {}
    [warning] = warnings(caplog)
    assert warning.startswith(f"{COMPLAINT} {why}")


@pytest.mark.complains(COMPLAINT)
@pytest.mark.parametrize("answer", [b"\xc1", b"\x90", b"\x91\x01"], ids=["no MessagePack", "too few", "no result"])
def test_an_answer_that_is_none_is_done_without(
    output: Output, given: list[WriteProcess], answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = WriteProcess._receive
    monkeypatch.setattr(WriteProcess, "_receive", lambda process: receive(process) and answer)
    assert output.write().errors == 0
    assert given
    assert output.difference() == {}
    assert output.rows() == []


@pytest.mark.parametrize("reason", ["one processor", "few files", "a throttle", "a dry run"])
def test_without_gain_there_is_no_second_process(output: Output, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteProcess, "__init__", None)
    if reason != "few files":
        monkeypatch.setattr(writers, "MANY_FILES", 0)
    if reason == "one processor":
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    throttle = 10**6 if reason == "a throttle" else 0
    assert output.write(dry_run=reason == "a dry run", throttle=throttle).counts.total()


def test_a_full_disk_is_rows_of_either_and_the_next_run_finishes(output: Output, given: list[WriteProcess]) -> None:
    output.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", output.root], check=True)
    try:
        assert {row[6] for row in output.rows() if row[5] == "failed"} == {"disk full"}
        assert given
        wanted = output.library.files()
        for path, found in snapshot(output.root).items():
            assert found.content is None or wanted[path] == found.content
        subprocess.run(["mount", "-o", "remount,size=30m", output.root], check=True)
        assert output.write().errors == 0
        assert output.difference() == {}
    finally:
        subprocess.run(["umount", "-l", output.root], check=True)


def test_what_goes_wrong_in_the_second_process_is_in_the_log(
    output: Output, given: list[WriteProcess], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vod2strmfs")
    for film in range(FILMS):
        (output.root / "Movies" / f"Film {film}" / "movie.nfo").mkdir(parents=True)
    assert output.write().errors == FILMS
    assert given
    said = {record.message for record in caplog.records}
    assert {f"Movies/Film {film}/Film {film}: [Errno 17] not a regular file" for film in range(FILMS)} <= said


@pytest.mark.complains("Interrupted")
def test_a_run_that_is_told_to_end_accounts_for_all_that_the_second_process_wrote(
    output: Output, given: list[WriteProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Event()
    note = WriteProcess.give

    def give(process: WriteProcess, works: Sequence[FolderWork]) -> None:
        note(process, works)
        if len(given) == 3:
            eventually(lambda: any(output.root.glob("Movies/*/*.nfo")))
            stop.set()

    monkeypatch.setattr(WriteProcess, "give", give)
    with closing(Store(output.library.state_dir)) as store, pytest.raises(StoppedError):
        materialize(store, output.job(), stop=stop)
    [report] = output.reports.iterdir()
    created = [row for row in report_rows(report) if row[5] == "created"]
    there = [path for path, found in snapshot(output.root).items() if found.content is not None]
    assert len(created) == len(there) < len(output.library.files())
    assert not Path(f"/proc/{given[0].pid}").exists()
    assert output.write().errors == 0
    assert output.difference() == {}


_RUN = """
import os, sys
from contextlib import closing
from pathlib import Path
from vod2strmfs.index.store import Store
from vod2strmfs.materialize import writers
from vod2strmfs.materialize.job import Job
from vod2strmfs.materialize.probe import FileSystem
from vod2strmfs.materialize.run import materialize
from vod2strmfs.materialize.workers import Workers
from vod2strmfs.materialize.write_process import WriteProcess
from vod2strmfs.settings import Settings
state, output, reports = map(Path, sys.argv[1:4])
sys.executable = sys.argv[4]
os.sched_getaffinity = lambda process: {0, 1}
Workers.number = 1
writers.MANY_FILES = 0
is_ready = WriteProcess.is_ready
def wait(process):
    print(process.pid, flush=True)
    while not is_ready(process):
        pass
    return True
WriteProcess.is_ready = wait
with closing(Store(state)) as store:
    materialize(store, Job(Settings(output_root=output, state_dir=state, report_dir=reports), "all"))
"""


def start(output: Output, python: Path | str = sys.executable) -> "subprocess.Popen[str]":
    """A run in a process of its own, which says the number of the second before each task that it gives it.

    Args:
        output: where it writes.
        python: what runs the second process.
    """
    places = [output.library.state_dir, output.root, output.reports]
    return subprocess.Popen([sys.executable, "-c", _RUN, *places, python], stdout=subprocess.PIPE, text=True)


def test_when_the_first_is_killed_no_half_file_is_left_and_the_next_run_finishes_at_once(
    output: Output, soak: bool
) -> None:
    wanted = set(output.library.files().values())
    random = Random(1)
    for _ in range(30 if soak else 2):
        with start(output) as first:
            assert first.stdout is not None
            for _ in range(random.randint(2, 5)):
                first.stdout.readline()
            time.sleep(random.uniform(0, 0.02))
            first.kill()
        left = snapshot(output.root)
        # It waits for what was left to end.
        assert output.write().errors == 0
        assert output.difference() == {}
        for path, found in left.items():
            assert found.content is None or found.content in wanted or path.endswith(".tmp"), path
        subprocess.run(["rm", "-r", output.root], check=True)


def test_while_the_second_of_a_killed_run_is_there_nobody_else_writes_and_then_one_goes_on(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not notice the end of the first, since the share that it writes to has gone away, say."""
    monkeypatch.setattr(root, "_PATIENCE", 0.1)
    deaf = tmp_path / "deaf"
    deaf.write_text("#!/bin/sh\nexec sleep 1000\n")
    deaf.chmod(0o755)
    with start(output, deaf) as first:
        assert first.stdout is not None
        second = int(first.stdout.readline())
        try:
            first.kill()
            first.wait()
            for state in (output.library.state_dir, tmp_path / "another"):
                with (
                    closing(Store(output.library.state_dir)) as store,
                    pytest.raises(OutputError, match="is writing it"),
                ):
                    materialize(store, output.job(state_dir=state))
            monkeypatch.setattr(root, "_PATIENCE", 60.0)
            Timer(0.3, os.kill, (second, signal.SIGKILL)).start()
            assert output.write().errors == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(second, signal.SIGKILL)
    assert output.difference() == {}


def test_ending_both_is_the_first_ones_to_handle(tmp_path: Path) -> None:
    """As a service manager does it."""
    with open(tmp_path / "lock", "wb") as lock:
        order = Order(lock.fileno(), lock.fileno(), "key", b"{}", "/", False, False, FileSystem())
        process = WriteProcess(order)
    with closing(process):
        eventually(process.is_ready)
        os.kill(process.pid, signal.SIGTERM)
        process.give([])
        assert process.answer([]) == []
