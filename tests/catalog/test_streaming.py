"""Whatever happens while PostgreSQL sends rows: the program ends or recovers, and leaves no session behind."""

import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from databases import Database
from disks import small_disk
from mounts import TIMEOUT, command, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.source import Row
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import Exit, IndexFileError
from vod2strmfs.index.file import _is_index
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync

MOVIES = 6_000
"""Enough for a second process."""

_SESSIONS = "SELECT pid, state FROM pg_stat_activity WHERE application_name = 'vod2strmfs'"
_SENDS = "SELECT FROM pg_stat_activity WHERE application_name = 'vod2strmfs' AND query LIKE 'SELECT q.*, hash%'"


@pytest.fixture(scope="module")
def large(postgres: PostgresServer) -> Database:
    """A catalogue whose first sync takes some seconds."""
    database = Database(postgres.new_database())
    write_demo(database.owner_url, movies=MOVIES, series=100, episodes=3_000, seed=1)
    return database


@contextmanager
def watching(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as session:
        yield session


def nothing_left(session: psycopg.Connection) -> bool:
    """Whether no session of ours is left."""
    return not session.execute(_SESSIONS).fetchall()


def arguments(name: str, directory: Path, database: Database) -> list[str]:
    places = {"sync": (), "materialize": (directory / "output",), "run": (directory / "output", "--auto")}[name]
    reports = () if name == "sync" else ("--report-dir", directory / "reports")
    return command(name, *places, "--database", database.owner_url, "--state-dir", directory / "state", *reports)


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("sync", signal.SIGINT, 130),
        ("materialize", signal.SIGINT, 130),
        ("run", signal.SIGINT, 0),
        ("run", signal.SIGTERM, 0),
        ("sync", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_signal_while_rows_come_ends_the_command_and_its_session(
    large: Database, tmp_path: Path, name: str, number: signal.Signals, code: int, soak: bool
) -> None:
    chance = random.Random(f"{name} {number}")
    interrupted = 0
    with watching(large) as session:
        for attempt in range(40 if soak else 3):
            said = tmp_path / f"said{attempt}"
            with said.open("wb") as output:
                process = subprocess.Popen(
                    arguments(name, tmp_path / str(attempt), large), stdout=output, stderr=output
                )
            try:
                eventually(lambda: bool(session.execute(_SENDS.encode()).fetchall()))
                time.sleep(chance.uniform(0, 0.6))
                process.send_signal(number)
                ended = process.wait(TIMEOUT)
                # On a fast machine it may have been done before, or about to leave.
                is_done = ended in (Exit.OK, -number) and "generation 1:" in said.read_text()
                assert ended == code or is_done, said.read_text()
                interrupted += ended == code
            finally:
                process.kill()
                process.wait()
            assert "Traceback" not in said.read_text()
            eventually(partial(nothing_left, session))
    assert interrupted


@pytest.mark.parametrize("size", ["600k", "1m", "1500k"])
def test_a_full_state_directory_ends_a_first_sync_with_an_error(large: Database, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", size) as disk, watching(large) as session:
        options = command("sync", "--database", large.owner_url, "--state-dir", disk)
        ended = subprocess.run(options, check=False, capture_output=True, text=True, timeout=TIMEOUT)
        assert ended.returncode == Exit.INDEX
        assert (
            f"state directory {disk}: the index cannot be written: the disk at {disk} has no room for it"
            in ended.stderr
        )
        eventually(partial(nothing_left, session))


def test_a_file_size_limit_ends_a_first_sync_with_an_error(large: Database, tmp_path: Path) -> None:
    with watching(large) as session:
        options = command("sync", "--database", large.owner_url, "--state-dir", tmp_path)
        limited = ["prlimit", f"--fsize={500_000}", *options]
        ended = subprocess.run(limited, check=False, capture_output=True, text=True, timeout=TIMEOUT)
        assert (ended.returncode, "Traceback" in ended.stderr) == (Exit.INDEX, False)
        eventually(partial(nothing_left, session))


def test_a_mount_whose_disk_was_full_catches_up_when_there_is_room(large: Database, tmp_path: Path) -> None:
    with small_disk(tmp_path / "state", "40m") as disk, watching(large) as session:
        with mounted(tmp_path, large.owner_url, "--poll-interval", "0.2", "--max-shrink", "100") as mount:
            filler = disk / "filler"
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}"], check=False, stderr=subprocess.DEVNULL)
            session.execute("UPDATE vod_movie SET name = 'New ' || left(name, 200)")
            eventually(lambda: "ERROR" in mount.log.read_text())
            assert "has no room for it" in mount.log.read_text()
            eventually(lambda: mount.stat("generation") == "1")
            idle = "SELECT FROM pg_stat_activity WHERE application_name = 'vod2strmfs' AND state LIKE 'idle in%'"
            eventually(lambda: not session.execute(idle.encode()).fetchall())
            filler.unlink()
            eventually(lambda: mount.stat("generation") == "2")
            # The worker says it once the generation is there to be seen.
            eventually(lambda: "can be read again" in mount.log.read_text())
            log = mount.log.read_text()
            assert (log.count("ERROR"), log.count("can be read again")) == (1, 1)
        eventually(partial(nothing_left, session))


def fail(rows: Iterator[Row], rows_read: int, error: type[BaseException]) -> None:
    for _ in range(rows_read):
        next(rows)
    raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("rows_read", [0, 1, 50])
def test_whoever_reads_rows_may_fail_with_anything(large: Database, rows_read: int, error: type[BaseException]) -> None:
    with watching(large) as session, closing(open_source(large.owner_url)) as source:
        for _ in range(2):
            with pytest.raises(error), source.snapshot() as snapshot:
                fail(snapshot.rows("movie"), rows_read, error)
            eventually(partial(nothing_left, session))
        with source.snapshot() as snapshot:
            assert len(list(snapshot.rows("series"))) > 90


def test_whoever_reads_rows_may_leave_off(large: Database) -> None:
    """And keep what gives the rows, with the lock of the connection that it holds."""
    with watching(large) as session, closing(open_source(large.owner_url)) as source:
        with source.snapshot() as snapshot:
            rows = snapshot.rows("movie")
            assert next(rows)
        eventually(partial(nothing_left, session))
        del rows
        with source.snapshot() as snapshot:
            assert len(list(snapshot.rows("movie"))) > 5_000


def damage_films(index: Path) -> None:
    """Ruin the pages that hold films, and none that is looked at before any row is."""
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        names = [name.encode() for (name,) in connection.execute("SELECT name FROM node WHERE kind = 2 LIMIT 500")]
    pages = index.read_bytes()
    with index.open("r+b") as file:
        for place in range(4096, len(pages), 4096):
            if any(name in pages[place : place + 4096] for name in names):
                file.seek(place)
                file.write(bytes(2048))


@pytest.mark.complains("The index was damaged")
def test_an_index_that_is_damaged_while_rows_come_is_replaced(large: Database, tmp_path: Path) -> None:
    with watching(large) as session, closing(open_source(large.owner_url)) as source:
        sync(source, LibrarySettings(), tmp_path)
        session.execute("UPDATE vod_movie SET name = 'Newer ' || left(name, 200)")
        damage_films(tmp_path / "index.db")
        assert _is_index(tmp_path / "index.db")
        assert sync(source, LibrarySettings(), tmp_path).changed
        assert list(tmp_path.glob("index.db.unusable-*"))
        # One that was closed goes a moment later.
        eventually(lambda: len(session.execute(_SESSIONS.encode()).fetchall()) <= 1)


def test_a_full_disk_is_said_to_whoever_syncs(large: Database, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", "1m") as disk,
        closing(open_source(large.owner_url)) as source,
        pytest.raises(IndexFileError, match="has no room for it"),
    ):
        sync(source, LibrarySettings(), disk)
