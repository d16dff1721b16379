"""A database that goes away, in every way that one can: the mount goes on, says so, and catches up."""

import itertools
import logging.handlers
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest
from databases import Database
from mounts import TIMEOUT, Mount, eventually, is_mounted, mounted
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.order import Order
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync
from vod2strmfs.sync.worker import Worker

SOON = "?connect_timeout=2"
"""So many seconds of silence are enough."""

_ACTIVITY = "SELECT {} FROM pg_stat_activity WHERE application_name = 'vod2strmfs'"


def films(*names: str) -> Catalogue:
    catalogue = Catalogue()
    for name in names:
        catalogue.movie(name, description="Of men and money.")
    series = catalogue.series("Lost")
    for number in range(1, 9):
        catalogue.episode(series, 1, number, f"Part {number}")
    return catalogue


def served(mount: Mount) -> dict[str, tuple[object, ...]]:
    """Everything that the mount serves but `.stats.csv`, by path; bytes from its process, not from a cache."""
    found: dict[str, tuple[object, ...]] = {}
    for path in mount.path.rglob("*"):
        stat = path.lstat()
        content = b""
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                content = file.readall()
        found[str(path)] = (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns, content)
    del found[str(mount.path / ".stats.csv")]
    return found


def latencies(mount: Mount) -> list[float]:
    """Microseconds that opening and reading a file took, sorted; each was asked of the mount's process."""
    taken = []
    for path in itertools.islice(itertools.cycle(sorted(mount.path.rglob("*.nfo"))), 300):
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.perf_counter()
        path.read_bytes()
        taken.append((time.perf_counter() - begin) * 1e6)
    return sorted(taken)


def survives(mount: Mount, database: Database, begin: Callable[[], None], end: Callable[[], None]) -> None:
    """Take the database away and give it back."""
    started = int(time.time())  # A look that had begun before may be the one that fails.
    before, usual = served(mount), latencies(mount)
    begin()
    try:
        eventually(lambda: mount.stat("stale_since") != "")
        since = mount.stat("stale_since")
        assert started - 1 <= datetime.fromisoformat(since).timestamp() <= time.time()
        assert served(mount) == before
        time.sleep(2)  # more failures
        during = latencies(mount)
        assert served(mount) == before
        assert mount.stat("stale_since") == since
        assert mount.log.read_text().count("ERROR") == 1
    finally:
        end()
    database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
    eventually(lambda: (mount.path / "Movies/Ran").exists())
    assert mount.stat("stale_since") == ""
    # The worker says it once the generation is there to be seen.
    eventually(lambda: "can be read again" in mount.log.read_text())
    assert mount.log.read_text().count("ERROR") == 1
    assert mount.log.read_text().count("can be read again") == 1
    for name, taken in (("usual", usual), ("outage", during)):
        print(f"{name}: open, read and close of a file takes {taken[150]:.0f} µs (p50), {taken[297]:.0f} µs (p99)")


def open_files(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


@pytest.mark.parametrize("way", ["fast", "immediate", "killed", "paused", "no connections left", "password changed"])
def test_a_mount_outlives_its_database(postgres: PostgresServer, tmp_path: Path, way: str) -> None:
    database = Database(postgres.new_database()).fill(films("Heat", "Alien"))

    def cut_off(change: str) -> None:
        database.execute(change)
        database.execute(_ACTIVITY.format("pg_terminate_backend(pid)"))

    begin, end = {
        "fast": (lambda: postgres.stop("fast"), postgres.start),
        "immediate": (lambda: postgres.stop("immediate"), postgres.start),
        "killed": (postgres.kill, postgres.start),
        "paused": (postgres.pause, postgres.resume),
        "no connections left": (
            lambda: cut_off("ALTER ROLE vod2strmfs CONNECTION LIMIT 0"),
            lambda: database.execute("ALTER ROLE vod2strmfs CONNECTION LIMIT -1"),
        ),
        "password changed": (
            lambda: cut_off("ALTER ROLE vod2strmfs PASSWORD 'another-secret'"),
            lambda: database.execute("ALTER ROLE vod2strmfs PASSWORD 'role-secret'"),
        ),
    }[way]
    with mounted(tmp_path, database.url + SOON, "--poll-interval", "0.2") as mount:
        survives(mount, database, begin, end)


@pytest.fixture
def two_hosts() -> Iterator[tuple[str, str, str]]:
    """Two network namespaces with a cable between them: their names, and the address of the second."""
    number = random.randrange(1, 250)
    here, there = f"v2s-{os.getpid()}-a", f"v2s-{os.getpid()}-b"
    address = f"10.213.{number}.2"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    try:
        for name in (here, there):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there)
        for name, end in ((here, f"10.213.{number}.1/24"), (there, f"{address}/24")):
            ip("-n", name, "address", "add", end, "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        yield here, there, address
    finally:
        for name in (here, there):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.mark.parametrize("way", ["black hole", "cable pulled"])
def test_a_mount_outlives_the_network(two_hosts: tuple[str, str, str], tmp_path: Path, way: str) -> None:
    here, there, address = two_hosts

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", "-n", there, *arguments], check=True)

    mount_host = f"{address[:-1]}1"
    begin, end = {
        "black hole": (partial(ip, "route", "add", "blackhole", mount_host), partial(ip, "route", "del", mount_host)),
        "cable pulled": (partial(ip, "link", "set", "cable", "down"), partial(ip, "link", "set", "cable", "up")),
    }[way]
    with PostgresServer(namespace=there, address=address) as server:
        database = Database(server.new_database()).fill(films("Heat", "Alien"))
        login, _, place = database.url.rpartition("@")
        url = f"{login}@{address}:{server.port}/{place.rpartition('/')[2]}{SOON}"
        with mounted(tmp_path, url, "--poll-interval", "0.2", namespace=here) as mount:
            survives(mount, database, begin, end)


def test_a_slow_answer_is_waited_for_and_a_silent_server_is_not(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films("Heat", "Alien"))
    with mounted(tmp_path, database.url + SOON, "--poll-interval", "0.2") as mount:
        before = served(mount)
        with psycopg.connect(database.owner_url) as session:
            [[pid]] = session.execute(_ACTIVITY.format("pid").encode()).fetchall()
        own = connections(mount.worker(), postgres.port)
        os.kill(pid, signal.SIGSTOP)
        try:
            database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
            time.sleep(5)  # more than twice the patience
            # It still waits in its session, whether or not it is just asking in another if the server is alive.
            assert own <= connections(mount.worker(), postgres.port)
            assert mount.stat("stale_since") == ""
            postgres.pause()
            eventually(lambda: mount.stat("stale_since") != "")
            # The truth is since when, not since it was noticed.
            assert time.time() - datetime.fromisoformat(mount.stat("stale_since")).timestamp() > 6
            assert served(mount) == before
        finally:
            postgres.resume()
        eventually(lambda: (mount.path / "Movies/Ran").exists())
        assert mount.stat("stale_since") == ""
        assert mount.log.read_text().count("ERROR") == 1
        assert "timeout expired" in mount.log.read_text()


def test_a_mount_starts_from_its_index_when_there_is_no_server(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films("Heat", "Alien"))
    with mounted(tmp_path, database.url) as mount:
        before = served(mount)
    postgres.stop("immediate")
    try:
        with mounted(tmp_path, database.url) as mount:
            assert served(mount) == before
            eventually(lambda: mount.stat("stale_since") != "")
    finally:
        postgres.start()


def test_without_index_and_server_it_answers_with_errors_and_is_not_ready(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgres.new_database()).fill(films("Heat", "Alien"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        postgres.stop("immediate")
        try:
            with mounted(tmp_path, database.url, wait=False) as mount:
                eventually(lambda: is_mounted(mount.path) and "ERROR" in mount.log.read_text())
                for attempt in (lambda: os.listdir(mount.path), lambda: os.stat(mount.path / "Movies")):
                    with pytest.raises(OSError, match="Input/output error"):
                        attempt()
                manager.setblocking(False)
                with pytest.raises(BlockingIOError):
                    manager.recv(100)
                postgres.start()
                manager.settimeout(TIMEOUT)
                assert manager.recv(100) == b"READY=1"
                assert sorted(os.listdir(mount.path / "Movies")) == ["Alien", "Heat"]
        finally:
            if not postgres.is_running():
                postgres.start()


def test_what_serves_files_has_nothing_to_do_with_the_database(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films("Heat"))
    with mounted(tmp_path, database.url) as mount:
        served(mount)
        process, worker = mount.process.pid, mount.worker()
        assert len(connections(worker, postgres.port)) == 1
        assert not connections(process, postgres.port)
        assert "libpq" in Path(f"/proc/{worker}/maps").read_text()
        assert "libpq" not in Path(f"/proc/{process}/maps").read_text()


def connections(process: int, port: int) -> set[str]:
    """The sockets of a process that lead to a port."""
    own = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # It was closed just now.
            own.add(os.readlink(descriptor))
    rows = [line.split() for line in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]]
    return own & {f"socket:[{row[9]}]" for row in rows if int(row[2].partition(":")[2], 16) == port}


@pytest.fixture
def said() -> Iterator[list[logging.LogRecord]]:
    """What the program logs in this process."""
    handler = logging.handlers.BufferingHandler(100_000)
    records = handler.buffer
    logger = logging.getLogger("vod2strmfs")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(level)


@contextmanager
def a_worker(database: str, state_dir: Path) -> Iterator[Worker]:
    order = Order(database=database, library=LibrarySettings(), state_dir=state_dir, max_shrink=20, poll_interval=30.0)
    worker = Worker(order)
    yield worker
    if worker._source is not None:
        worker._source.close()


@pytest.fixture
def workers() -> Iterator[ExitStack]:
    """Closes the workers that enter it."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.complains("connection to server")
def test_a_thousand_failures_leave_nothing_open(
    postgres: PostgresServer, tmp_path: Path, said: list[logging.LogRecord], workers: ExitStack
) -> None:
    database = Database(postgres.new_database()).fill(films("Heat", "Alien"))
    worker = workers.enter_context(a_worker(database.url, tmp_path))
    other = workers.enter_context(a_worker(database.url.replace("role-secret", "wrong-secret"), tmp_path))
    worker.look()
    usual = open_files(os.getpid()), threading.active_count()
    with psycopg.connect(database.owner_url, autocommit=True) as session:
        for _ in range(50):
            session.execute(_ACTIVITY.format("pg_terminate_backend(pid)").encode())
            worker.look()  # connects anew, which is no failure
        for _ in range(400):
            other.look()
        [[sessions]] = session.execute(_ACTIVITY.format("count(*)").encode()).fetchall()
        assert sessions == 1
    postgres.stop("fast")
    try:
        for _ in range(600):
            worker.look()
    finally:
        postgres.start()
    errors = [record.getMessage() for record in said if record.levelno >= logging.ERROR]
    assert len(errors) == 2
    worker.look()
    assert said[-1].getMessage() == "The catalogue can be read again after 600 failed attempts."
    assert (open_files(os.getpid()), threading.active_count()) == usual
    assert not any("secret" in message for message in errors)


@pytest.mark.complains("no SQLite file")
def test_it_waits_longer_after_every_failure_and_never_in_step(tmp_path: Path, workers: ExitStack) -> None:
    worker = workers.enter_context(a_worker(f"sqlite:///{tmp_path}/nowhere.db", tmp_path))
    assert worker.pause() == 30
    pauses = []
    for _ in range(12):
        worker.look()
        pauses.append([worker.pause() for _ in range(50)])
    for number, drawn in enumerate(pauses):
        usual = min(2**number, 60)
        assert all(0.75 * usual <= pause <= 1.25 * usual for pause in drawn)
        assert len(set(drawn)) > 40


@pytest.mark.complains("Something else with other settings")
def test_two_that_write_one_index_with_different_settings_are_told_once(
    tmp_path: Path, said: list[logging.LogRecord], workers: ExitStack
) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films("Heat"))
    worker = workers.enter_context(a_worker(database.url, tmp_path))
    worker.look()
    for _ in range(2):
        with closing(open_source(database.url)) as source:
            sync(source, LibrarySettings(base_url="http://another:9191"), tmp_path)
        worker.look()
    [warning] = [record.getMessage() for record in said if record.levelno == logging.WARNING]
    assert "Give each mount and command a --state-dir of its own, or the same settings." in warning
