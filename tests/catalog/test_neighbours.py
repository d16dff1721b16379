"""Getting along with others at the same PostgreSQL: migrations, limits, poolers."""

import os
import pwd
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from databases import Database
from mounts import command, eventually, mounted
from others import let_others_in
from postgres_server import PostgresServer, free_port
from psycopg.conninfo import conninfo_to_dict

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.source import Snapshot
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError, Exit
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.result import SyncResult
from vod2strmfs.sync.run import sync

_OURS = "FROM pg_stat_activity WHERE application_name = 'vod2strmfs'"


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    catalogue = Catalogue()
    for name in ("Heat", "Alien", "Ran"):
        catalogue.movie(name)
    series = catalogue.series("Lost")
    for number in range(1, 4):
        catalogue.episode(series, 1, number, f"Part {number}")
    return Database(postgres.new_database()).fill(catalogue)


def synced(database: Database, state_dir: Path) -> SyncResult:
    with closing(open_source(database.url)) as source:
        return sync(source, LibrarySettings(), state_dir)


@contextmanager
def syncing(database: Database, state_dir: Path) -> Iterator[list[SyncResult]]:
    """A sync beside what is in the context; when that ends, it has ended."""
    outcomes: list[SyncResult] = []
    thread = threading.Thread(target=lambda: outcomes.append(synced(database, state_dir)))
    thread.start()
    yield outcomes
    thread.join(120)
    assert outcomes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("vod_m3umovierelation", "vod_movie"),
        ("vod_movie", "vod_m3umovierelation"),
        ("vod_episode", "m3u_m3uaccount"),
        ("vod_series", "vod_movie"),
    ],
)
def test_a_migration_is_never_the_victim_of_a_deadlock_with_a_sync(
    database: Database, tmp_path: Path, first: str, second: str
) -> None:
    with psycopg.connect(database.owner_url) as migration:
        migration.execute(f"ALTER TABLE {first} ADD COLUMN zz1 int".encode())
        with syncing(database, tmp_path):
            time.sleep(2)
            migration.execute(f"ALTER TABLE {second} ADD COLUMN zz2 int".encode())
            migration.commit()


def test_a_sync_that_waits_for_a_table_holds_none_that_another_wants(database: Database, tmp_path: Path) -> None:
    # Nobody looks for a deadlock: if there were one, the migration would get no lock.
    name = database.owner_url.rpartition("/")[2]
    database.execute(f"ALTER ROLE vod2strmfs IN DATABASE {name} SET deadlock_timeout = '5min'")
    with psycopg.connect(database.owner_url) as migration, syncing(database, tmp_path):
        migration.execute("SET deadlock_timeout = '5min'")
        migration.execute("SET lock_timeout = '20s'")
        migration.execute("LOCK TABLE vod_vodcategory IN ACCESS EXCLUSIVE MODE")
        for table in ("vod_movie", "vod_episode", "m3u_m3uaccount", "vod_series"):
            eventually(lambda: bool(waiting(database)))
            migration.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        migration.rollback()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE vod_movie ALTER COLUMN year TYPE bigint",
        "CREATE TABLE copy (LIKE vod_movie INCLUDING ALL); INSERT INTO copy SELECT * FROM vod_movie;"
        " ALTER TABLE vod_movie RENAME TO old_movie; ALTER TABLE copy RENAME TO vod_movie;"
        " GRANT SELECT ON vod_movie TO vod2strmfs",
    ],
)
def test_a_table_that_is_written_anew_while_a_sync_begins_is_not_taken_for_empty(
    database: Database, tmp_path: Path, change: str
) -> None:
    synced(database, tmp_path)
    for _ in range(3):
        database.execute("UPDATE m3u_m3uaccount SET priority = priority + 1")  # or there would be nothing to look at
        with psycopg.connect(database.owner_url) as migration, syncing(database, tmp_path) as outcomes:
            migration.execute(change.encode())
            eventually(lambda: bool(waiting(database)))
            migration.commit()
        assert not outcomes[0].changed
        assert outcomes[0].held == 0
        change = "ALTER TABLE vod_movie ALTER COLUMN year TYPE " + ("int" if "bigint" in change else "bigint")


def ours(database: Database, which: str = "") -> list[tuple[object, ...]]:
    """Our sessions. A transaction is always told of those that there were when it first asked."""
    with psycopg.connect(database.owner_url) as session:
        return session.execute(f"SELECT pid {_OURS} {which}".encode()).fetchall()


def waiting(database: Database) -> list[tuple[object, ...]]:
    """Those that wait for a lock."""
    return ours(database, "AND wait_event_type = 'Lock'")


def test_a_table_that_stays_locked_is_said_and_leaves_no_session_waiting(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vod2strmfs.catalog.locks._PATIENCE", 3.0)
    with psycopg.connect(database.owner_url) as migration, closing(open_source(database.url)) as source:
        migration.execute("LOCK TABLE vod_movie IN ACCESS EXCLUSIVE MODE")
        for _ in range(2):
            with pytest.raises(CatalogError, match=r"table vod_movie has been locked for \d seconds"):
                sync(source, LibrarySettings(), tmp_path)
            # One that waits for the table would stay; one that was closed goes a moment later.
            eventually(lambda: not ours(database))
        migration.rollback()
        assert sync(source, LibrarySettings(), tmp_path).changed


def test_limits_of_the_server_do_not_end_a_sync(database: Database, tmp_path: Path) -> None:
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout", "idle_session_timeout")
    database.execute(
        "CREATE OR REPLACE FUNCTION slow() RETURNS float8 VOLATILE LANGUAGE sql AS 'SELECT 1.0 FROM pg_sleep(1)'"
    )
    for limit in limits:
        database.execute(f"ALTER ROLE vod2strmfs SET {limit} = '700ms'")
    try:
        with closing(open_source(database.url)) as source:
            for _ in range(2):
                with source.snapshot() as snapshot:
                    time.sleep(1)
                    assert len(list(snapshot.rows("movie"))) == 3
                    snapshot._connection.execute("SELECT slow()")  # type: ignore[attr-defined]
                time.sleep(1)
                assert sync(source, LibrarySettings(), tmp_path).generation == 1
    finally:
        for limit in limits:
            database.execute(f"ALTER ROLE vod2strmfs RESET {limit}")


def rows_without_a_session(database: Database, snapshot: Snapshot) -> None:
    database.execute(f"SELECT pg_terminate_backend(pid) {_OURS}")
    list(snapshot.rows("movie"))


def test_a_session_that_the_server_ended_is_explained(database: Database) -> None:
    with (
        pytest.raises(CatalogError, match="Somebody, or the server's shutdown, ended the session"),
        closing(open_source(database.url)) as source,
        source.snapshot() as snapshot,
    ):
        rows_without_a_session(database, snapshot)


@pytest.fixture
def pooler(postgres: PostgresServer, database: Database, tmp_path: Path) -> Iterator[str]:
    """The database's URL by way of a pgbouncer that gives each transaction another of two sessions."""
    server = conninfo_to_dict(database.url)
    port = free_port()
    (tmp_path / "users").write_text(f'"{server["user"]}" "{server["password"]}"\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server['port']}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {tmp_path}/users\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n"
    )
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if user:
        for path in (tmp_path, *tmp_path.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        let_others_in(tmp_path)
    process = subprocess.Popen(
        ["/usr/sbin/pgbouncer", "-q", tmp_path / "pgbouncer.ini"],
        user=user.pw_uid if user else None, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = database.url.replace(f":{server['port']}/", f":{port}/")
    try:
        eventually(lambda: process.poll() is None and answers(url))
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.Error:
        return False
    return True


def test_behind_a_pooler_two_mounts_and_a_sync_follow_every_change(
    database: Database, pooler: str, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with (
        mounted(folders[0], pooler, "--poll-interval", "0.2") as one,
        mounted(folders[1], pooler, "--poll-interval", "0.2") as two,
    ):
        for number in range(15):
            database.execute("UPDATE vod_movie SET name = ? WHERE id = 1", f"Film {number}")
            for mount in (one, two):
                eventually(lambda: (mount.path / f"Movies/Film {number}").exists())  # noqa: B023
        done = subprocess.run(
            command("sync", "--database", pooler, "--state-dir", tmp_path / "three"), check=False, capture_output=True
        )
        assert done.returncode == Exit.OK
        for mount in (one, two):
            assert "ERROR" not in mount.log.read_text()
    with psycopg.connect(pooler) as session:
        # What was set for our transactions has not stayed in the sessions that others get.
        for _ in range(4):
            for name, value in (("work_mem", "4MB"), ("jit", "on"), ("statement_timeout", "0")):
                assert session.execute(f"SHOW {name}".encode()).fetchone() == (value,)
            session.commit()
