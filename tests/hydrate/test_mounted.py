"""Episodes that come while a library is mounted, and who opens folders there."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from databases import Database
from dispatcharr_api import KEY, DispatcharrApi
from mounts import eventually, mounted
from postgres_server import PostgresServer
from test_hydrate import episodes, unopened


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
            deadline = time.monotonic() + number / rate * 60 + 60
            while len(os.listdir(mount.path / "TV")) < number:
                assert time.monotonic() < deadline, mount.log.read_text()
                time.sleep(0.1)
            rounds = scan.rounds
            eventually(lambda: scan.rounds > rounds + 1)
        assert "WARNING" not in mount.log.read_text().replace("WARNING base_url", "")
    assert set(api.asked.values()) == {1}
    assert api.times[-1] - api.times[0] >= (number - 1) / rate * 60 * 0.99
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
            began = time.monotonic()
            assert os.listdir(lost) == ["tvshow.nfo"]
            assert time.monotonic() - began < 0.5
            eventually(lambda: "Season 01" in os.listdir(lost))
    assert api.order == [8]


@pytest.mark.parametrize("scanner", [("find", "{}"), ("rclone", "lsf", "-R", "{}")], ids=["find", "rclone"])
def test_a_scanner_that_opens_everything_gets_nothing(
    library: Callable[..., Database], tmp_path: Path, scanner: tuple[str, ...]
) -> None:
    database = library(unopened(30))
    with (
        DispatcharrApi(database.owner_url) as api,
        mounted(tmp_path, database.url, *ON_OPEN, "--api-url", api.url) as m,
    ):
        command = [word.format(m.path) for word in scanner]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.count("tvshow.nfo") == 30
        time.sleep(7)
        assert not api.asked
        assert "Season" not in done.stdout


def test_without_a_folder_to_open_on_open_is_refused(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(1))
    with mounted(tmp_path, database.url, "--hydrate", "on_open", wait=False) as mount:
        assert mount.process.wait(30) == 2
    assert "Set empty_series = show as well" in mount.log.read_text()
