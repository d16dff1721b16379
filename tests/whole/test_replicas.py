"""A primary and a streaming standby: which is read, what when one is gone, and which is not believed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from databases import Database
from libraries import Library
from mounts import Mount, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError


class Cluster(NamedTuple):
    """Two servers with the same database."""

    primary: PostgresServer
    standby: PostgresServer
    database: Database

    def url(self, server: PostgresServer, url: str = "") -> str:
        """The database on one server."""
        return (url or self.database.url).replace(f":{self.primary.port}/", f":{server.port}/")

    def both(self) -> str:
        """The connection string that the documentation recommends."""
        login, _, place = self.database.url.rpartition("@")
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return (
            f"{login}@{hosts}/{place.rpartition('/')[2]}"
            "?target_session_attrs=prefer-standby&load_balance_hosts=random&connect_timeout=2"
        )

    def on_standby(self, query: str, url: str = "") -> str:
        """What the superuser is answered there."""
        with psycopg.connect(self.url(self.standby, url or self.database.owner_url)) as session:
            [[answer]] = session.execute(query.encode()).fetchall()
        return str(answer)

    def catch_up(self) -> None:
        """Wait until the standby has replayed all that was written."""
        with psycopg.connect(self.database.owner_url) as session:
            [[written]] = session.execute("SELECT pg_current_wal_flush_lsn()").fetchall()
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        # The database itself may not have arrived yet.
        eventually(lambda: self.on_standby(replayed, self.primary.superuser_url) == "True")

    def promote(self) -> Database:
        """The primary is dead, the standby takes its place."""
        self.standby.promote()
        promoted = Database(self.url(self.standby, self.database.owner_url))
        promoted.url = self.url(self.standby)
        return promoted


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with PostgresServer() as primary, PostgresServer(primary=primary) as standby:
        catalogue = Catalogue()
        for name in ("Heat", "Alien", "Brazil"):
            catalogue.movie(name)
        made = Cluster(primary, standby, Database(primary.new_database()).fill(catalogue))
        made.catch_up()
        yield made


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def movies(mount: Mount) -> dict[str, int]:
    """Inodes by name."""
    return {entry.name: entry.inode() for entry in os.scandir(mount.path / "Movies")}


def sessions(url: str) -> int:
    with psycopg.connect(url) as session:
        [[number]] = session.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vod2strmfs'"
        ).fetchall()
    return int(number)


def test_mounts_read_the_standby_and_outlive_the_primary_and_the_promotion(cluster: Cluster, tmp_path: Path) -> None:
    with ExitStack() as stack:
        mounts = []
        for name in ("first", "second", "third"):
            (tmp_path / name).mkdir()
            mounts.append(stack.enter_context(mounted(tmp_path / name, cluster.both(), "--poll-interval", "0.2")))
        assert sessions(cluster.url(cluster.standby, cluster.database.owner_url)) == len(mounts)
        assert sessions(cluster.database.owner_url) == 0
        cluster.database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
        for mount in mounts:
            eventually(lambda mount=mount: "Ran" in movies(mount))  # type: ignore[misc]
        cluster.catch_up()
        before = [movies(mount) for mount in mounts]
        cluster.primary.kill()
        assert [movies(mount) for mount in mounts] == before
        promoted = cluster.promote()
        promoted.execute("UPDATE vod_movie SET name = 'Aliens' WHERE name = 'Alien'")
        for mount, names in zip(mounts, before, strict=True):
            eventually(lambda mount=mount: "Aliens" in movies(mount))  # type: ignore[misc]
            assert movies(mount) == {name.replace("Alien", "Aliens"): inode for name, inode in names.items()}
            assert mount.stat("stale_since") == ""
            assert "ERROR" not in mount.log.read_text()


def test_a_mount_goes_from_the_standby_to_the_primary(cluster: Cluster, tmp_path: Path) -> None:
    with mounted(tmp_path, cluster.both(), "--poll-interval", "0.2") as mount:
        before = movies(mount)
        cluster.standby.kill()
        cluster.database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
        eventually(lambda: "Ran" in movies(mount))
        assert movies(mount) == {name.replace("Heat", "Ran"): inode for name, inode in before.items()}
        assert mount.stat("stale_since") == ""
        assert "ERROR" not in mount.log.read_text()


def test_a_commit_is_noticed_on_a_standby_whose_snapshot_stands_still(cluster: Cluster) -> None:
    owner = cluster.database.owner_url
    snapshot = "SELECT pg_current_snapshot()"
    with (
        closing(open_source(cluster.url(cluster.standby))) as source,
        psycopg.connect(owner) as oldest,
        psycopg.connect(owner) as late,
    ):
        oldest.execute("UPDATE vod_movie SET year = 1 WHERE name = 'Brazil'")
        late.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
        cluster.database.execute("UPDATE vod_movie SET year = 1 WHERE name = 'Alien'")
        cluster.catch_up()
        before, seen = source.marker(), cluster.on_standby(snapshot)
        late.commit()
        cluster.catch_up()
        # Else this would not be the case that it is about.
        assert cluster.on_standby(snapshot) == seen
        assert cluster.on_standby("SELECT count(*) FROM vod_movie WHERE name = 'Ran'") == "1"
        assert source.marker() != before


def test_a_commit_is_noticed_on_a_primary_among_open_transactions(cluster: Cluster) -> None:
    owner = cluster.database.owner_url
    with (
        closing(open_source(cluster.database.url)) as source,
        psycopg.connect(owner) as oldest,
        psycopg.connect(owner) as late,
    ):
        oldest.execute("UPDATE vod_movie SET year = 1 WHERE name = 'Brazil'")
        late.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
        cluster.database.execute("UPDATE vod_movie SET year = 1 WHERE name = 'Alien'")
        before, _ = source.marker()
        assert source.marker()[0] == before
        late.commit()
        assert source.marker()[0] != before


def test_a_standby_that_lags_is_not_believed(cluster: Cluster, library: Library) -> None:
    primary, standby = cluster.database.url, cluster.url(cluster.standby)
    library.sync(primary)
    cluster.catch_up()
    cluster.on_standby("SELECT pg_wal_replay_pause()")
    eventually(lambda: cluster.on_standby("SELECT pg_get_wal_replay_pause_state()") == "paused")
    cluster.database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
    library.sync(primary)
    before = library.tree()
    assert "Movies/Ran" in before
    for _ in range(2):
        with pytest.raises(CatalogError, match=rf"standby 127\.0\.0\.1:{cluster.standby.port} is \d+ bytes"):
            library.sync(standby)
    assert library.tree() == before
    assert library.metrics()["index.stale_since"]
    cluster.on_standby("SELECT pg_wal_replay_resume()")
    cluster.catch_up()
    assert not library.sync(standby).changed
    assert library.tree() == before
    assert not library.metrics()["index.stale_since"]
    cluster.database.execute("UPDATE vod_movie SET name = 'Aliens' WHERE name = 'Alien'")
    cluster.catch_up()
    assert library.sync(standby).changed
    assert "Movies/Aliens" in library.paths()


def test_a_standby_that_has_all_of_an_idle_primary_is_believed(cluster: Cluster, library: Library) -> None:
    """After a switch of log files the primary stands behind the header of a page that nothing is on yet."""
    library.sync(cluster.database.url)
    cluster.database.execute("SELECT pg_switch_wal()")
    library.sync(cluster.database.url, accept_shrink=True)  # compares, though nothing has changed
    cluster.catch_up()
    assert not library.sync(cluster.url(cluster.standby)).changed
    assert not library.metrics()["index.stale_since"]


def test_an_operator_may_take_what_a_lagging_standby_has(cluster: Cluster, library: Library) -> None:
    cluster.on_standby("SELECT pg_wal_replay_pause()")
    eventually(lambda: cluster.on_standby("SELECT pg_get_wal_replay_pause_state()") == "paused")
    cluster.database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
    library.sync(cluster.database.url)
    assert library.sync(cluster.url(cluster.standby), accept_shrink=True).changed
    assert "Movies/Heat" in library.paths()
    assert not library.sync(cluster.url(cluster.standby)).changed


def test_a_primary_that_was_replaced_is_not_believed(cluster: Cluster, library: Library) -> None:
    library.sync(cluster.database.url)
    cluster.catch_up()
    cluster.primary.kill()
    promoted = cluster.promote()
    promoted.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
    library.sync(promoted.url)
    before = library.tree()
    assert "Movies/Ran" in before
    cluster.primary.start()
    with pytest.raises(CatalogError, match=r"primary of timeline 1, and what was read last is of timeline 2"):
        library.sync(cluster.database.url)
    assert library.tree() == before
    promoted.execute("UPDATE vod_movie SET name = 'Aliens' WHERE name = 'Alien'")
    assert library.sync(promoted.url).changed


def test_another_cluster_and_a_restarted_server_are_believed(cluster: Cluster, library: Library) -> None:
    for _ in range(3):
        cluster.database.execute("SELECT pg_switch_wal()")
        cluster.database.execute("UPDATE vod_movie SET year = 1")
    library.sync(cluster.database.url)
    cluster.primary.stop("immediate")
    cluster.primary.start()
    cluster.database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Heat'")
    assert library.sync(cluster.database.url).changed
    with PostgresServer() as other, PostgresServer(primary=other) as standby:
        catalogue = Catalogue()
        catalogue.movie("Heat")
        catalogue.movie("Alien")
        database = Database(other.new_database()).fill(catalogue)
        restored = Cluster(other, standby, database)
        restored.catch_up()
        assert library.sync(restored.url(standby)).changed
    assert "Movies/Heat" in library.paths()


def test_a_standby_that_cancels_what_is_read_says_what_to_set(cluster: Cluster, library: Library) -> None:
    with psycopg.connect(cluster.url(cluster.standby, cluster.primary.superuser_url), autocommit=True) as session:
        session.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        session.execute("SELECT pg_reload_conf()")
    url = cluster.url(cluster.standby)
    library.sync(url)
    with closing(open_source(url)) as source:

        def cancelled() -> bool:
            # The standby cannot keep what the primary has cleared away; it clears once nobody there looks at it.
            with psycopg.connect(cluster.database.owner_url, autocommit=True) as primary:
                primary.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
                primary.execute("VACUUM vod_movie")
            cluster.catch_up()
            conflicts = "SELECT sum(confl_snapshot) > 0 FROM pg_stat_database_conflicts"
            return cluster.on_standby(conflicts, cluster.primary.superuser_url) == "True"

        def read() -> None:
            with source.snapshot() as snapshot:
                snapshot.counts()
                eventually(cancelled)
                list(snapshot.rows("movie"))

        with pytest.raises(CatalogError, match=r"conflict with recovery(.|\n)*hot_standby_feedback = on"):
            read()
        assert "Movies/Heat" in library.paths()
        library.sync(url)
        assert "Movies/Ran" in library.paths()
