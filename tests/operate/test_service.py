"""`vod2strmfs run` as a service: real processes, a real PostgreSQL, real signals."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from databases import Database
from mounts import TIMEOUT, command, eventually
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError, Exit, OutputError, ShrinkHeldError
from vod2strmfs.materialize.root import hold
from vod2strmfs.schedule import next_time
from vod2strmfs.service.when import Service
from vod2strmfs.status.runs import read_runs

_SERVE = """
import json, sys
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.service.serve import serve
from vod2strmfs.settings import load
settings = load(None, json.loads(sys.argv[1]), {})
set_up_logs(settings)
serve(settings, "all", settle_seconds=float(sys.argv[2]))
"""
_ALARMED = """
import signal
from vod2strmfs.service import when as module
module._LONGEST_NAP = 0.01
runs = 0
def export():
    global runs
    runs += 1
    if runs < 5000:
        signal.setitimer(signal.ITIMER_REAL, (runs % 100 + 1) / 1e6)
    else:
        service.stop()
service = module.Service(export, sync_once=None, next_due=None, poll_seconds=60, settle_seconds=30)
signal.signal(signal.SIGALRM, lambda *_: service.run_now())
service.run_now()
service.serve()
"""
NEVER = "0 0 29 2 *"


class Running:
    """A service that runs.

    Args:
        process: of the service.
        folder: where its output, state and log are.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.process = process
        self.folder = folder

    def runs(self) -> int:
        """How many runs have begun."""
        return len(list(self.folder.glob("state/reports/*.csv")))

    def ended(self) -> int:
        """How many have ended well."""
        return self.log().count("report: ")

    def last_code(self) -> int | None:
        """The exit code of the last run, if there was one."""
        known = read_runs(self.folder / "state")
        return known.last.exit_code if known and known.last else None

    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def movies(self) -> list[str]:
        """The folders of movies in the output."""
        return sorted(path.name for path in self.folder.glob("output/Movies/*"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


@contextmanager
def service(
    folder: Path,
    database: str,
    settle_seconds: float = 0.3,
    environment: dict[str, str] | None = None,
    **settings: object,
) -> Iterator[Running]:
    options = {
        "database": database, "output_root": str(folder / "output"), "state_dir": str(folder / "state"),
        "base_url": "http://dispatcharr:9191", "poll_interval": 0.2, "cleanup": "apply",
    } | settings  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, json.dumps(options), str(settle_seconds)],
            stdout=log, stderr=log, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        yield Running(process, folder)
    finally:
        process.kill()
        process.wait(TIMEOUT)


def films(*names: str) -> Catalogue:
    catalogue = Catalogue()
    for name in names:
        catalogue.movie(name)
    return catalogue


def rename(database: Database, name: str) -> None:
    database.execute("UPDATE vod_movie SET name = ? WHERE id = 1", name)


def test_changes_are_written_once_when_they_have_come_to_rest(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films("Heat"))
    settle_seconds = 2.0
    with service(tmp_path, database.url, settle_seconds, auto=True) as running:
        eventually(lambda: running.ended() == 1)
        assert running.movies() == ["Heat"]
        moments = []
        for number in range(20):
            rename(database, f"Film {number}")
            moments.append(time.monotonic())
            time.sleep(0.2)
        eventually(lambda: running.movies() == ["Film 19"] and running.log().count("report: ") >= 2)
        # A machine that stood still for a while may have given the catalogue its rest.
        rests = sum(after - before >= settle_seconds for before, after in pairwise(moments))
        assert 2 <= running.runs() <= 2 + rests
        time.sleep(1)  # No further one follows, now that nothing changes.
        assert 2 <= running.runs() <= 2 + rests


def test_an_outage_is_said_once_and_what_changed_is_written_after_it(tmp_path: Path) -> None:
    with PostgresServer() as server:
        database = Database(server.new_database()).fill(films("Heat"))
        with service(tmp_path, database.url, auto=True) as running:
            eventually(lambda: running.ended() == 1)
            server.stop("immediate")
            eventually(lambda: "it is tried again" in running.log())
            os.kill(running.process.pid, signal.SIGHUP)  # A run is tried, and fails too.
            eventually(lambda: running.last_code() == Exit.DATABASE)
            time.sleep(2)  # more failures
            assert running.movies() == ["Heat"]
            server.start()
            rename(database, "Ran")
            eventually(lambda: running.movies() == ["Ran"])
            assert running.log().count("it is tried again") == 1
            assert running.log().count("can be read again") == 1
            assert "Traceback" not in running.log()


def test_a_run_that_is_due_during_an_outage_comes_when_it_is_over(tmp_path: Path) -> None:
    with service(tmp_path, f"sqlite:///{tmp_path}/demo.db", schedule=NEVER) as running:
        eventually(lambda: "The next run is at" in running.log())
        os.kill(running.process.pid, signal.SIGHUP)
        eventually(lambda: "no SQLite file" in running.log())
        Database(f"sqlite:///{tmp_path}/demo.db").fill(films("Heat"))
        eventually(lambda: running.movies() == ["Heat"])


def test_it_ends_in_the_middle_of_a_run_and_the_next_one_finishes_the_job(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(films(*(f"Film {number}" for number in range(1000))))
    with service(tmp_path, database.url, auto=True, throttle=50) as running:
        eventually(lambda: len(list(tmp_path.glob("output/Movies/*/*.strm"))) > 2)
        assert running.stop() == 0
        assert "Stopping on SIGTERM" in running.log()
        assert "Traceback" not in running.log()
        assert len(list(tmp_path.glob("output/Movies/*/*.strm"))) < 1000
        assert not list(tmp_path.glob("output/**/*.tmp"))
    options = ("--database", database.url, "--state-dir", tmp_path / "state", "--base-url=http://dispatcharr:9191")
    assert subprocess.run(command("materialize", tmp_path / "output", *options), check=False).returncode == 0
    assert len(list(tmp_path.glob("output/Movies/*/*.strm"))) == 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_it_waits_it_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with service(tmp_path, "sqlite:////none.db", schedule=NEVER) as running:
        eventually(lambda: "The next run is at" in running.log())
        assert running.stop(number) == 0
        assert running.runs() == 0


def test_a_signal_may_ask_for_a_run_at_any_moment() -> None:
    """Also while it goes to sleep or wakes up, which a lock that the handler takes too would end for good."""
    subprocess.run([sys.executable, "-c", _ALARMED], check=True, timeout=TIMEOUT)


def test_systemd_is_told_of_its_start_and_end(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(TIMEOUT)
        environment = {"NOTIFY_SOCKET": str(address)}
        with service(tmp_path, "sqlite:////none.db", schedule=NEVER, environment=environment) as running:
            assert manager.recv(100) == b"READY=1"
            assert running.stop() == 0
            assert manager.recv(100) == b"STOPPING=1"


def test_it_waits_for_a_run_that_somebody_else_has_begun(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(films("Heat"))
    with service(tmp_path, database.url, schedule=NEVER) as running:
        eventually(lambda: "The next run is at" in running.log())
        with hold(tmp_path / "output", tmp_path / "state"):
            os.kill(running.process.pid, signal.SIGHUP)
            eventually(lambda: f"process {os.getpid()} on" in running.log())
            assert running.runs() == 0
        os.kill(running.process.pid, signal.SIGHUP)
        eventually(lambda: running.movies() == ["Heat"])


def test_what_the_brake_holds_is_accepted_beside_the_service_as_its_log_says(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(films(*(f"Film {number}" for number in range(40))))
    with service(tmp_path, database.url, auto=True) as running:
        eventually(lambda: running.ended() == 1)
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id > 10")
        os.kill(running.process.pid, signal.SIGHUP)
        eventually(lambda: "30 of 40 movies are gone" in running.log())
        assert len(running.movies()) == 40
        # What was done is said first, and then what is to be done.
        eventually(lambda: "run `vod2strmfs" in running.log())
        [advice, *_] = re.findall(r"run `vod2strmfs (.*?)`", running.log())
        accept = command(*shlex.split(advice))
        # The service may hold the lock of the sync, or of the output root, for a moment.
        eventually(lambda: subprocess.run(accept, check=False).returncode == 0)
        assert len(running.movies()) == 10
        ended = running.ended()
        os.kill(running.process.pid, signal.SIGHUP)
        eventually(lambda: running.ended() > ended)
        assert len(running.movies()) == 10


def test_without_anything_to_wait_for_it_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        command("run", "--database", "sqlite:///x.db", "--state-dir", tmp_path),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "schedule: is not set, nor is auto" in done.stderr


def test_where_it_must_not_write_is_said_when_it_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        command("run", "/etc", "--database", "sqlite:///x.db", "--state-dir", tmp_path, "--schedule", "0 0 29 2 *"),
        capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert done.returncode == 6
    assert "output root /etc: is a directory of the system" in done.stderr


class Deciding:
    """A service in a thread, whose runs end as they are told to."""

    def __init__(self, *failures: Exception, sync_once: Callable[[], bool] | None = None) -> None:
        self.calls = 0
        self._failures = list(failures)
        self.service = Service(
            self._export, sync_once=sync_once, next_due=None, poll_seconds=0.001, settle_seconds=0.001
        )
        self._thread = threading.Thread(target=self.service.serve)

    def __enter__(self) -> "Deciding":
        self._thread.start()
        self.service.run_now()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()

    def _export(self) -> None:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)


@pytest.mark.complains("the share is gone", "ZeroDivisionError", "a name is refused")
def test_a_run_that_failed_is_tried_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.service.when._FIRST_PAUSE", 0.001)
    with Deciding(OutputError("the share is gone"), ZeroDivisionError()) as deciding:
        eventually(lambda: deciding.calls == 3)
    with Deciding(*[OutputError("a name is refused")] * 100) as deciding:
        eventually(lambda: deciding.calls == 6)
        time.sleep(0.5)
        assert deciding.calls == 6
        deciding.service.run_now()
        eventually(lambda: deciding.calls == 12)


@pytest.mark.complains("a name is refused")
def test_syncs_that_succeed_do_not_make_it_try_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.service.when._FIRST_PAUSE", 0.01)
    with Deciding(*[OutputError("a name is refused")] * 100, sync_once=lambda: False) as deciding:
        eventually(lambda: deciding.calls == 6)
        time.sleep(0.5)
        assert deciding.calls == 6


@pytest.mark.complains("away What was written stays as it is")
def test_a_database_that_is_away_is_tried_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.service.when._LONGEST_PAUSE", 0.001)
    with Deciding(*[CatalogError("away")] * 50) as deciding:
        eventually(lambda: deciding.calls == 51)


@pytest.mark.complains("many are held")
def test_what_the_brake_holds_is_no_reason_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.service.when._FIRST_PAUSE", 0.001)
    with Deciding(ShrinkHeldError("many are held")) as deciding:
        eventually(lambda: deciding.calls == 1)
        time.sleep(0.3)
        assert deciding.calls == 1


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=365)], ids=str)
def test_a_clock_that_is_set_back_puts_no_run_off(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """By the clock before, the next time is that of another day, or of another year."""
    right = datetime(2026, 11, 30, 3, tzinfo=UTC)
    now = [right + ahead]
    monkeypatch.setattr("vod2strmfs.service.when.time.time", lambda: now[0].timestamp())
    monkeypatch.setattr("vod2strmfs.service.when._LONGEST_NAP", 0.01)
    ran: list[datetime] = []
    service = Service(
        lambda: ran.append(now[0]), sync_once=None, next_due=lambda: next_time("daily 04:00", now[0]),
        poll_seconds=60, settle_seconds=30,
    )  # fmt: skip
    seen: list[float] = []
    service.tell = lambda **said: seen.append(said.get("next_run", 0.0))
    thread = threading.Thread(target=service.serve)
    thread.start()
    try:
        eventually(lambda: right.replace(hour=4).timestamp() + ahead.total_seconds() in seen)
        now[0] = right
        eventually(lambda: right.replace(hour=4).timestamp() in seen)
        assert ran == []
        now[0] = right.replace(hour=4)
        eventually(lambda: ran == [right.replace(hour=4)])
    finally:
        service.stop()
        thread.join(TIMEOUT)


def test_when_the_next_run_is_due_is_said_when_a_run_has_ended(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(films("Heat"))
    with service(tmp_path, database.url, schedule="* * * * * *") as running:
        eventually(lambda: running.log().count("report: ") >= 2)
    said = [line for line in running.log().splitlines() if "report: " in line or "The next run is at" in line]
    assert ["report: " in line for line in said[:4]] == [False, True, False, True]
