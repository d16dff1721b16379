"""Episodes that come while a library is mounted, and who opens folders there."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from databases import Database
from dispatcharr_api import KEY, DispatcharrApi
from mounts import command, eventually, mounted
from postgres_server import PostgresServer, free_port
from test_hydrate import episodes, unopened

from vod2strmfs.mount.people import SETTLE


@pytest.fixture
def library(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Database]:
    """Makes a database with a catalogue; the mounts of the test know the key."""
    monkeypatch.setenv("VOD2STRMFS_API_KEY", KEY)
    return lambda catalogue: Database(postgres.new_database()).fill(catalogue)


class Scan:
    """Lists all of a tree again and again, in a thread, and keeps what it saw of each series."""

    def __init__(self, root: Path) -> None:
        self.seen: set[tuple[str, tuple[str, ...]]] = set()
        self.errors: list[OSError] = []
        self.rounds = 0
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Scan":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            for series in os.listdir(self._root / "TV"):
                try:
                    self.seen.add((series, tuple(self._files(self._root / "TV" / series))))
                except OSError as error:
                    self.errors.append(error)
            self.rounds += 1

    def _files(self, series: Path) -> list[str]:
        return sorted(
            f"{season.name}/{name}"
            for season in series.iterdir()
            if season.is_dir()
            for name in os.listdir(season)
            if name.endswith(".strm")
        )


def test_a_mount_fills_its_series_at_the_rate_and_no_scan_sees_a_part_of_one(
    library: Callable[..., Database], tmp_path: Path, soak: bool
) -> None:
    number, rate = (500, 600) if soak else (60, 600)
    database = library(unopened(number))
    with DispatcharrApi(database.owner_url) as api:
        options = ("--hydrate", "background", "--hydrate-rate", str(rate), "--api-url", api.url)
        with mounted(tmp_path, database.url, *options) as mount, Scan(mount.path) as scan:
            deadline = time.monotonic() + number / rate * 180 + 60
            while len(os.listdir(mount.path / "TV")) < number:
                assert time.monotonic() < deadline, mount.log.read_text()
                time.sleep(0.1)
            rounds = scan.rounds
            eventually(lambda: scan.rounds > rounds + 1)
        assert "WARNING" not in mount.log.read_text().replace("WARNING base_url", "")
    assert set(api.asked.values()) == {1}
    with closing(sqlite3.connect(tmp_path / "state/hydrate.db")) as queue:
        noted = [at for (at,) in queue.execute("SELECT at FROM request ORDER BY at")]
    # On a busy machine the first request may be late, and the last one on time; but none comes before its turn.
    assert noted[-1] - noted[0] >= (number - 1) / rate * 60 * 0.99
    assert all(came >= at for at, came in zip(noted, api.times, strict=True))
    assert not scan.errors
    whole = ("S01", "S02")
    for series, files in scan.seen:
        assert len(files) == 4, (series, files)
        assert all(part in " ".join(files) for part in whole), (series, files)


def test_the_memory_of_a_mount_that_fills_grows_by_less_than_15_mb(
    library: Callable[..., Database], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database = library(unopened(40))

    def used(folder: Path, *options: str) -> int:
        folder.mkdir()
        with mounted(folder, database.url, *options) as mount:
            if options:
                eventually(lambda: len(episodes(database)) == 40)
            time.sleep(2)
            return sum(map(_private, (mount.process.pid, mount.worker())))

    with DispatcharrApi(database.owner_url) as api:
        before = used(tmp_path / "off")
        options = ("--hydrate", "background", "--hydrate-rate", "3000", "--api-url", api.url)
        after = used(tmp_path / "on", *options)
    record_property("MB more of the mount and its worker", round((after - before) / 1e6, 1))
    assert after - before < 15e6


def _private(process: int) -> int:
    """The memory that a process alone has, in bytes."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


ON_OPEN = ("--hydrate", "on_open", "--empty-series", "show", "--hydrate-rate", "600")


def test_a_person_who_opens_an_empty_series_gets_that_one(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(30))
    with DispatcharrApi(database.owner_url) as api:
        api.delay = 1.0
        # What is there is found out once, and then when Dispatcharr has answered.
        options = (*ON_OPEN, "--api-url", api.url, "--poll-interval", "3600")
        with mounted(tmp_path, database.url, *options) as mount:
            lost = mount.path / "TV" / "Series 7 (1997)"
            assert os.listdir(lost) == ["tvshow.nfo"]
            # It is listed at once, and not when its episodes have come.
            assert not episodes(database)
            eventually(lambda: "Season 01" in os.listdir(lost))
    assert api.order == [8]


def test_scanners_that_open_everything_get_nothing(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(30))
    with (
        DispatcharrApi(database.owner_url) as api,
        mounted(tmp_path, database.url, *ON_OPEN, "--api-url", api.url) as m,
    ):
        for scanner in (["find", str(m.path)], ["rclone", "lsf", "-R", str(m.path)]):
            done = subprocess.run(scanner, capture_output=True, text=True, check=True)
            assert done.stdout.count("tvshow.nfo") == 30
        time.sleep(SETTLE + 3)
        assert not api.asked


def test_without_a_folder_to_open_on_open_is_refused(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(1))
    with mounted(tmp_path, database.url, "--hydrate", "on_open", wait=False) as mount:
        assert mount.process.wait(120) == 2
    assert "Set empty_series = show as well" in mount.log.read_text()


def test_status_metrics_and_the_page_say_how_far_it_is(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(6))
    listen = f"127.0.0.1:{free_port()}"

    def status(*options: str) -> str:
        arguments = command("status", "--state-dir", tmp_path / "state", *options)
        return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout

    with DispatcharrApi(database.owner_url, fault=lambda series, _: "failed" if series == 6 else "") as api:
        options = ("--hydrate", "background", "--hydrate-rate", "600", "--api-url", api.url, "--status-listen", listen)
        with mounted(tmp_path, database.url, *options):
            eventually(lambda: "failing" in status())
            assert "0 of 6 series filled; 5 waiting; 1 failing (Dispatcharr failed over it (500)" in status()
            assert "Account 0 left alone" in status()
            told = json.loads(status("--json"))["hydrate"]
            assert (told["series"], told["waiting"], sum(told["failing"].values())) == (6, 5, 1)

            def get(path: str) -> str:
                with urllib.request.urlopen(f"http://{listen}{path}") as answer:
                    return str(answer.read().decode())

            eventually(lambda: "The status page is at" in (tmp_path / "mount.log").read_text())
            assert 'vod2strmfs_hydrate_series{state="waiting"} 5.0' in get("/metrics")
            assert "vod2strmfs_hydrate_rate 600.0" in get("/metrics")
            assert "Episodes that were missing" in get("/")
            assert "0 of 6" in get("/")
        with mounted(tmp_path, database.url, "--status-listen", listen):
            eventually(lambda: json.loads(status("--json"))["hydrate"]["mode"] == "")


def test_a_refusal_is_said_once_and_tried_again_on_sighup(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(3))
    with DispatcharrApi(database.owner_url) as api:
        api.status = 401
        options = ("--hydrate", "background", "--hydrate-rate", "600", "--api-url", api.url)
        with mounted(tmp_path, database.url, *options) as mount:
            eventually(lambda: "does not accept the API key (401)" in mount.log.read_text())
            time.sleep(1)
            assert len(api.requests) == 1
            api.status = 0
            mount.process.send_signal(signal.SIGHUP)
            eventually(lambda: len(episodes(database)) == 3)
            assert mount.log.read_text().count("(401)") == 1
            assert KEY not in mount.log.read_text()


def test_the_key_is_in_no_log_and_on_no_command_line(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(3))
    with DispatcharrApi(database.owner_url) as api:
        url = api.url.replace("//", "//kim:geheim@")
        options = ("--hydrate", "background", "--hydrate-rate", "600", "--api-url", url, "--debug-logging")
        with mounted(tmp_path, database.url, *options) as mount:
            eventually(lambda: len(episodes(database)) == 3)
            assert KEY.encode() not in Path(f"/proc/{mount.process.pid}/cmdline").read_bytes()
            worker = Path(f"/proc/{mount.worker()}/cmdline").read_bytes()
            assert KEY.encode() not in worker
            assert b"geheim" not in worker
        for log in (mount.log, tmp_path / "state/logs/vod2strm.log"):
            assert "HTTP Request" not in log.read_text()
            assert KEY not in log.read_text()
            assert "geheim" not in log.read_text()
        assert "filled after" in (tmp_path / "state/logs/vod2strm.log").read_text()


def test_run_fills_in_the_background_and_writes_what_came(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(5))
    with DispatcharrApi(database.owner_url) as api:
        serve = (
            "import json, os, sys; from vod2strmfs.cli.logs.setup import set_up_logs;"
            " from vod2strmfs.service.serve import serve; from vod2strmfs.settings import load;"
            " s = load(None, json.loads(sys.argv[1]), os.environ); set_up_logs(s); serve(s, 'all', settle_seconds=0.5)"
        )
        settings = {
            "output_root": str(tmp_path / "out"), "database": database.url, "state_dir": str(tmp_path / "state"),
            "auto": True, "poll_interval": 0.3, "hydrate": "background", "hydrate_rate": 600, "api_url": api.url,
        }  # fmt: skip
        with subprocess.Popen([sys.executable, "-c", serve, json.dumps(settings)]) as running:
            try:
                eventually(lambda: len(list((tmp_path / "out").glob("TV/*/*/*.strm"))) == 20)
            finally:
                running.terminate()
            assert running.wait(120) == 0
    assert set(api.asked.values()) == {1}
