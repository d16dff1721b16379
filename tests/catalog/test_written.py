"""What was written since a comparison, by the transactions that wrote the rows: never less than what differs."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import everyday
import psycopg
import pytest
from databases import Database, reader_url
from everyday import EVENTS, Rows
from libraries import Library
from mounts import eventually
from postgres_server import PostgresServer

from vod2strmfs.catalog.postgresql import PostgreSQLSnapshot, PostgreSQLSource
from vod2strmfs.catalog.queries import ALL, COUNTED, Choice, Kind, add_up
from vod2strmfs.catalog.schema import OPTIONAL, REQUIRED, tables
from vod2strmfs.catalog.written import Baseline, WrittenBlocks, decode, encode
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.file import connect
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.counts import count
from vod2strmfs.sync.last_comparison import ComparisonCache
from vod2strmfs.sync.run import sync

KINDS: tuple[Kind, ...] = ("movie", "series", "episode")
TABLES = (
    "vod_movie", "vod_series", "vod_episode", "vod_vodlogo", "vod_m3umovierelation", "vod_m3useriesrelation",
    "vod_m3uepisoderelation",
)  # fmt: skip
READ = {table: REQUIRED.get(table, frozenset()) | OPTIONAL.get(table, frozenset()) for table in tables()}
_APART = 700
"""So far apart are ids, that some rows share a block and most do not."""


def spread(url: str) -> str:
    """Have the rows of a small library in many blocks; returns the URL of a role that may see who wrote them."""
    rows = Rows(url)
    with closing(rows):
        references = (
            ("vod_movie", "vod_m3umovierelation", "movie_id"), ("vod_series", "vod_m3useriesrelation", "series_id"),
            ("vod_series", "vod_episode", "series_id"), ("vod_episode", "vod_m3uepisoderelation", "episode_id"),
            ("vod_vodlogo", "vod_movie", "logo_id"), ("vod_vodlogo", "vod_series", "logo_id"),
        )  # fmt: skip
        tables = {table for table, _, _ in references}
        assert rows.run(
            *(f"UPDATE {table} SET {column} = {column} * {_APART}" for _, table, column in references),
            *(f"UPDATE {table} SET id = id * {_APART}" for table in tables),
            *(f"SELECT setval(pg_get_serial_sequence('{t}', 'id'), (SELECT max(id) FROM {t}))" for t in tables),
        )
    return reader_url(url)


@pytest.fixture
def owner(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    everyday.small_library().write(url)
    return url


@pytest.fixture
def reader(owner: str) -> str:
    return spread(owner)


class Comparer:
    """Compares again and again as a sync does, and holds each comparison against one that hashes every row."""

    def __init__(self, url: str, choice: Choice = ALL) -> None:
        self._source = PostgreSQLSource(url)
        self._choice = choice
        self._known: dict[Kind, dict[int, str]] = {}
        self._baseline: bytes = b""
        self.told = 0
        """Comparisons that did not have to look at every block."""

    def close(self) -> None:
        self._source.close()

    def look(self) -> WrittenBlocks:
        self._source.marker()  # It notices that the server is another one by now.
        with self._source.snapshot() as snapshot:
            assert isinstance(snapshot, PostgreSQLSnapshot)
            snapshot.choose(self._choice)
            written = snapshot.written_since(decode(self._baseline) if self._baseline else None)
            assert written
            for kind in KINDS:
                every = snapshot._digested(snapshot._queries.digests(kind))
                if written.blocks is not None:
                    known = self._known[kind]
                    unwritten = {block: digest for block, digest in known.items() if block not in written.blocks[kind]}
                    assert unwritten | snapshot.digests(kind, written.blocks[kind]) == every
                    self.told += not every.keys() <= written.blocks[kind]
                self._known[kind] = every
            counted = {name: snapshot._written.count(snapshot._queries, name) for name in COUNTED}
            assert snapshot.counts() == add_up(counted)
            assert written.baseline.counts == counted
        self._baseline = encode(written.baseline)
        return written


@contextmanager
def comparing(url: str, choice: Choice = ALL) -> Iterator[Comparer]:
    with closing(Comparer(url, choice)) as comparer:
        comparer.look()
        yield comparer


class History:
    """What others do to the database meanwhile, as chance has it."""

    def __init__(self, url: str, seed: int, *, freezes: bool = True) -> None:
        self._url = url
        self._freezes = freezes
        self._chance = random.Random(seed)
        self._open: list[psycopg.Connection[tuple[object, ...]]] = []
        self.rows = Rows(url)
        self.rows.run("SELECT 1")
        self.rows._session.execute("SET lock_timeout = '20ms'")

    def close(self) -> None:
        self.rows.close()
        for session in self._open:
            session.close()

    def step(self) -> str:
        """Something happens; says what."""
        steps = (self._event, self._event, self._event, self._scan, self._begin, self._begin, self._end, self._end,
                 self._freeze, self._logos, self._remade)  # fmt: skip
        happening = self._chance.choice(steps)
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return happening()
        return f"{happening.__name__} met a lock"

    def _event(self) -> str:
        return self._chance.choice(EVENTS)(self.rows, self._chance)

    def _scan(self) -> str:
        for kind in KINDS:
            self.rows.run(f"UPDATE vod_m3u{kind}relation SET last_seen = now()")
        return "a scan that changes nothing"

    def _begin(self) -> str:
        session = psycopg.connect(self._url)
        session.execute("SET lock_timeout = '20ms'")
        self._open.append(session)
        with suppress(psycopg.errors.LockNotAvailable):
            with session.transaction(), suppress(ZeroDivisionError), session.transaction():
                self._write(session)
                if self._chance.random() < 0.4:
                    raise ZeroDivisionError
            self._write(session)
            return "a transaction begins"
        session.rollback()
        return "a transaction met a lock"

    def _write(self, session: "psycopg.Connection[tuple[object, ...]]") -> None:
        table = self._chance.choice(TABLES)
        if (number := self.rows.one(self._chance, table)) and table != "vod_vodlogo":
            column = {"vod_m3useriesrelation": "external_series_id"}.get(
                table, "name" if "relation" not in table else "stream_id"
            )
            session.execute(f"UPDATE {table} SET {column} = {column} || '~' WHERE id = {number}".encode())

    def _end(self) -> str:
        if not self._open:
            return "nothing ends"
        session = self._open.pop(self._chance.randrange(len(self._open)))
        with closing(session):
            if self._chance.random() < 0.7:
                with suppress(psycopg.Error):
                    session.commit()
                return "a transaction is committed"
        return "a transaction is rolled back"

    def _freeze(self) -> str:
        table = self._chance.choice(TABLES)
        if self._freezes:
            self.rows._session.execute(f"VACUUM (FREEZE) {table}".encode())
        return f"{table} is frozen"

    def _logos(self) -> str:
        number = self.rows.one(self._chance, "vod_vodlogo")
        self.rows.run(f"UPDATE vod_vodlogo SET url = url || '?' WHERE id = {number}")
        if self._chance.random() < 0.3:
            self.rows.run(
                "UPDATE vod_movie SET logo_id = NULL WHERE logo_id = 700", "DELETE FROM vod_vodlogo WHERE id = 700"
            )
        return "a logo changes"

    def _remade(self) -> str:
        if self._chance.random() < 0.7:
            return "nothing"
        self.rows.run(
            "CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE vod_m3uepisoderelation", "TRUNCATE vod_m3uepisoderelation",
            "INSERT INTO vod_m3uepisoderelation OVERRIDING SYSTEM VALUE SELECT * FROM kept",
        )  # fmt: skip
        return "a table is filled anew"


WANTED = Choice(frozenset([1]), frozenset([1, 3]))


@pytest.mark.parametrize(("seed", "choice"), [(1, ALL), (2, WANTED)])
def test_both_ways_find_the_same_in_random_histories(
    owner: str, reader: str, seed: int, choice: Choice, soak: bool
) -> None:
    said = []
    with closing(History(owner, seed)) as history, comparing(reader, choice) as comparer:
        for _ in range(1500 if soak else 90):
            said.append(history.step())
            if len(said) % 3:
                comparer.look()
        assert comparer.told > 30, said


def have_helpers(url: str, most: int) -> None:
    """Have up to so many processes help with any query; for small tables, a server thinks them too dear."""
    settings = ("parallel_setup_cost = 0", "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0")
    with psycopg.connect(url, autocommit=True) as session:
        for setting in (*settings, f"max_parallel_workers_per_gather = {most}"):
            session.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting}".encode())


def test_both_ways_find_the_same_where_a_second_process_helps(owner: str, reader: str) -> None:
    have_helpers(owner, 2)
    with closing(History(owner, 5)) as history, comparing(reader) as comparer:
        for _ in range(12):
            history.step()
            comparer.look()
        assert comparer.told > 3


@pytest.mark.parametrize(("most", "helping"), [(0, 0), (1, 1), (2, 1)])
def test_one_process_helps_to_go_through_tables_where_the_server_allows_any(
    owner: str, reader: str, most: int, helping: int
) -> None:
    have_helpers(owner, most)
    with closing(PostgreSQLSource(reader)) as source:
        with source.snapshot() as snapshot:
            first = snapshot.written_since(None)
        assert first
        for table in TABLES:
            Database(owner).execute(f"UPDATE {table} SET id = id")
        with source.snapshot() as snapshot:
            plans = explained(snapshot)
            assert snapshot.written_since(first.baseline)
            # What is joined is another matter: each process would group all relations for itself.
            assert snapshot._execute("SHOW max_parallel_workers_per_gather") == [("0",)]
    assert len(plans) >= 2 * len(TABLES)
    assert {plan.count("Workers Planned: 1") for plan in plans} == {helping}
    assert not any("Workers Planned: 2" in plan for plan in plans)


def explained(snapshot: PostgreSQLSnapshot) -> list[str]:
    """The plans of what goes through tables from now on."""
    plans: list[str] = []
    execute = snapshot._written._execute

    def explain_and_execute(query: str) -> list[tuple[Any, ...]]:
        if any(f"FROM {table}" in query for table in TABLES) and "JOIN" not in query:
            plans.append("\n".join(line for (line,) in execute(f"EXPLAIN {query}")))
        return execute(query)

    snapshot._written._execute = explain_and_execute
    return plans


def test_both_ways_find_the_same_where_transaction_numbers_come_around(soak: bool) -> None:
    with PostgresServer() as server:
        url = server.new_database()
        everyday.small_library().write(url)
        reader = spread(url)
        come_around(server, url)
        with closing(History(url, 3, freezes=False)) as history, comparing(reader) as comparer:
            first = transaction(url)
            for _ in range(600 if soak else 60):
                history.step()
                comparer.look()
            assert first < 1 << 32 < transaction(url)
            assert comparer.told > 20


def transaction(url: str) -> int:
    with psycopg.connect(url) as session:
        [[number]] = session.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchall()
    return int(number)


def come_around(server: PostgresServer, url: str) -> None:
    """Have the next transactions be the last ones before the numbers begin anew.

    Nothing can be frozen from then on: the tables' own numbers are those of before.
    """
    for database in (server.superuser_url, server.superuser_url.removesuffix("postgres") + "template1", url):
        with psycopg.connect(database, autocommit=True) as session:
            session.execute("VACUUM (FREEZE)")
            session.execute("ALTER SYSTEM SET autovacuum = off")
    server.stop()
    last = (1 << 32) - 40
    log = server._folder / f"data/pg_xact/{last >> 20:04X}"
    log.write_bytes(bytes(1 << 18))
    owner = (server._folder / "data/pg_xact/0000").stat()
    os.chown(log, owner.st_uid, owner.st_gid)
    server._run("pg_resetwal", "-D", "data", "-x", str(last))
    server.start()


def test_what_was_not_committed_at_the_last_look_is_found_at_the_next(owner: str, reader: str) -> None:
    with comparing(reader) as comparer, psycopg.connect(owner) as late, psycopg.connect(owner) as other:
        with suppress(ZeroDivisionError), late.transaction():
            with late.transaction():
                late.execute(f"UPDATE vod_movie SET name = 'Late' WHERE id = {_APART}")
            late.execute(f"UPDATE vod_series SET name = 'Late' WHERE id = {_APART}")
            other.execute(f"UPDATE vod_movie SET name = 'Never' WHERE id = {5 * _APART}")
            for number in range(3):
                with psycopg.connect(owner) as session:
                    session.execute(f"UPDATE vod_movie SET name = 'Now {number}' WHERE id = {20 * _APART}")
                written = comparer.look()
                assert written.blocks
                assert written.blocks["movie"] == {20 * _APART >> 10}
            other.rollback()
        written = comparer.look()
        assert written.blocks == {"movie": {0}, "series": {0}, "episode": set()}
        written = comparer.look()
        assert written.blocks == {"movie": set(), "series": set(), "episode": set()}


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("UPDATE vod_m3umovierelation SET last_seen = now()", {}),
        ("UPDATE vod_m3uepisoderelation SET last_seen = now()", {}),
        ("UPDATE vod_m3useriesrelation SET last_seen = now(), last_episode_refresh = now()", {}),
        ("UPDATE vod_movie SET updated_at = now()", {}),
        ("UPDATE vod_m3umovierelation SET movie_id = 7000 WHERE movie_id = 1400", {"movie": {1, 6}}),
        ("DELETE FROM vod_m3umovierelation WHERE movie_id = 1400", {"movie": {1}}),
        ("UPDATE vod_m3umovierelation SET custom_properties = '{}' WHERE movie_id = 1400", {"movie": {1}}),
        ("UPDATE vod_m3useriesrelation SET custom_properties = '{}' WHERE series_id = 1400", {"series": {1}}),
        ("UPDATE vod_m3useriesrelation SET category_id = NULL WHERE series_id = 2100",
         {"series": {2}, "episode": "SELECT id >> 10 FROM vod_episode WHERE series_id >> 10 = 2"}),
        ("UPDATE vod_vodlogo SET url = 'http://other' WHERE id = 700",
         {"movie": "SELECT id >> 10 FROM vod_movie WHERE logo_id >> 10 = 0"}),
    ],
)  # fmt: skip
def test_only_what_depends_on_what_differs_is_compared(
    owner: str, reader: str, statement: str, written: dict[Kind, set[int] | str]
) -> None:
    with comparing(reader) as comparer, psycopg.connect(owner, autocommit=True) as session:
        for table in TABLES:
            session.execute(f"UPDATE {table} SET id = id".encode())
        comparer.look()  # It has digests of the tables from now on.
        session.execute(statement.encode())
        after = comparer.look()
        assert after.blocks is not None
        for kind in KINDS:
            blocks = written.get(kind, set())
            if isinstance(blocks, str):
                blocks = {int(str(block)) for (block,) in session.execute(blocks.encode())}
                assert blocks
            assert after.blocks[kind] == blocks


def restart(server: PostgresServer, url: str) -> None:
    server.stop("immediate")
    server.start()


def crash(server: PostgresServer, url: str) -> None:
    """One session is killed; the server ends all others, and begins anew from what is on the disk."""
    with psycopg.connect(url, autocommit=True) as other:
        with suppress(psycopg.OperationalError), psycopg.connect(url) as session:
            subprocess.run(["kill", f"-{signal.SIGKILL:d}", str(session.info.backend_pid)], check=True)
        # Until it has noticed, the server answers as before.
        eventually(lambda: not has_session(other))
    eventually(lambda: answers(url))


def has_session(connection: psycopg.Connection) -> bool:
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT 1")
    return not connection.broken


def answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False


def executing(statement: str) -> Callable[[PostgresServer, str], None]:
    def execute(server: PostgresServer, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(statement.encode())

    return execute


DOUBTS: dict[str, Callable[[PostgresServer, str], None]] = {
    "the server was started anew": restart,
    "all sessions were ended after a crash": crash,
    "a table was written anew": executing("VACUUM FULL vod_movie"),
    "a table was emptied": executing("TRUNCATE vod_m3uepisoderelation"),
    "a column was added": executing("ALTER TABLE vod_movie ADD COLUMN more text NOT NULL DEFAULT 'x'"),
    "an account changed": executing("UPDATE m3u_m3uaccount SET priority = 99 WHERE id = 2"),
    "a category was switched off": executing("UPDATE vod_m3uvodcategoryrelation SET enabled = false WHERE id = 1"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_in_doubt_everything_is_compared(doubt: str) -> None:
    with PostgresServer() as server:
        url = server.new_database()
        everyday.small_library().write(url)
        with comparing(spread(url)) as comparer:
            assert comparer.look().blocks is not None
            DOUBTS[doubt](server, url)
            assert comparer.look().blocks is None
            assert comparer.look().blocks is not None


def test_another_server_with_the_same_rows_is_compared_in_full(owner: str, reader: str) -> None:
    with PostgresServer() as other, comparing(reader) as comparer:
        restored = other.new_database()
        dump = subprocess.run(["pg_dump", "--no-privileges", owner], check=True, capture_output=True).stdout
        subprocess.run(["psql", "-q", restored], input=dump, check=True, stdout=subprocess.DEVNULL)
        comparer.close()
        comparer._source = PostgreSQLSource(reader_url(restored))
        assert comparer.look().blocks is None
        assert comparer.look().blocks is not None


def test_a_restored_database_is_compared_in_full(owner: str, reader: str) -> None:
    dump = subprocess.run(["pg_dump", "--clean", owner], check=True, capture_output=True).stdout
    with comparing(reader) as comparer, psycopg.connect(owner, autocommit=True) as session:
        session.execute("UPDATE vod_movie SET name = 'Since'")
        comparer.look()
        subprocess.run(["psql", "-q", owner], input=dump, check=True, stdout=subprocess.DEVNULL)
        assert comparer.look().blocks is None


def test_a_standby_tells_too_and_its_promotion_is_a_doubt() -> None:
    with PostgresServer() as primary, PostgresServer(primary=primary) as standby:
        url = primary.new_database()
        everyday.small_library().write(url)
        there = spread(url).replace(f":{primary.port}/", f":{standby.port}/")

        def arrived(query: str) -> bool:
            with suppress(psycopg.Error), psycopg.connect(there) as session:
                return bool(session.execute(query.encode()).fetchone() == (True,))
            return False

        eventually(lambda: arrived("SELECT has_column_privilege('vod_m3uepisoderelation', 'xmin', 'SELECT')"))
        with closing(History(url, 4)) as history, comparing(there) as comparer:
            for _ in range(60):
                history.step()
                comparer.look()
            assert comparer.told > 20
            comparer.look()
            primary.stop("immediate")
            standby.promote()
            assert comparer.look().blocks is None
            with psycopg.connect(there.replace("vod2strmfs:role-secret", f"postgres:{primary._password}")) as session:
                session.execute(f"UPDATE vod_movie SET name = 'Promoted' WHERE id = {20 * _APART}")
            written = comparer.look()
            assert written.blocks
            assert written.blocks["movie"] == {20 * _APART >> 10}


def first_look(url: str) -> WrittenBlocks | None:
    with closing(PostgreSQLSource(url)) as source, source.snapshot() as snapshot:
        return snapshot.written_since(None)


def test_without_the_right_to_see_who_wrote_a_row_every_row_is_compared(
    owner: str, reader: str, tmp_path: Path
) -> None:
    library = Library(tmp_path)
    library.sync(reader)
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute("REVOKE SELECT (xmin) ON vod_movie FROM vod2strmfs")
        assert first_look(reader) is None
        session.execute(f"UPDATE vod_movie SET name = 'Renamed' WHERE id = {_APART}")
        assert library.sync(reader).changed
        session.execute("GRANT SELECT (xmin) ON vod_movie TO vod2strmfs")
        assert first_look(reader)
        session.execute("ALTER TABLE vod_movie ENABLE ROW LEVEL SECURITY")
        session.execute("CREATE POLICY few ON vod_movie USING (id < 7000)")
        assert first_look(reader) is None


def test_a_language_that_a_later_dispatcharr_tells_is_compared_as_well(owner: str, reader: str) -> None:
    with psycopg.connect(owner, autocommit=True) as session:
        for table in ("vod_movie", "vod_series"):
            session.execute(f"ALTER TABLE {table} ADD COLUMN language text NOT NULL DEFAULT ''".encode())
        with comparing(reader_url(owner)) as comparer:
            for table in ("vod_movie", "vod_series"):
                session.execute(f"UPDATE {table} SET id = id".encode())
                comparer.look()  # It has digests of the table from now on.
                session.execute(f"UPDATE {table} SET language = 'fr' WHERE id = {2 * _APART}".encode())
                written = comparer.look()
                assert written.blocks
                assert written.blocks[table.removeprefix("vod_")] == {2 * _APART >> 10}  # type: ignore[index]


def test_a_right_to_a_column_that_is_granted_later_is_a_doubt(owner: str, reader: str) -> None:
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute("UPDATE vod_movie SET is_adult = true WHERE id % 2 = 0")
        session.execute("REVOKE SELECT (is_adult) ON vod_movie FROM vod2strmfs")
        with comparing(reader) as comparer:
            session.execute("GRANT SELECT (is_adult) ON vod_movie TO vod2strmfs")
            assert comparer.look().blocks is None
            assert comparer.look().blocks is not None


def test_rows_that_are_not_kept_in_a_heap_are_not_asked_who_wrote_them(postgres: PostgresServer, owner: str) -> None:
    reader = spread(owner)
    assert first_look(reader)
    with psycopg.connect(postgres.superuser_url.removesuffix("postgres") + owner.rpartition("/")[2]) as session:
        session.execute("CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler")
        session.execute("SET default_table_access_method = other")
        session.execute("CREATE TABLE kept AS TABLE vod_m3uepisoderelation")
        session.execute("DROP TABLE vod_m3uepisoderelation")
        session.execute("ALTER TABLE kept RENAME TO vod_m3uepisoderelation")
        session.execute("GRANT SELECT ON vod_m3uepisoderelation TO vod2strmfs")
        session.execute("GRANT SELECT (xmin) ON vod_m3uepisoderelation TO vod2strmfs")
    assert first_look(reader) is None


@pytest.mark.parametrize(
    "change", [{"oldest": -(1 << 30) - 1}, {"next": 1 << 20}, {"oldest": 1 << 20}, {"location": 1 << 40}]
)
def test_numbers_that_are_too_far_away_or_went_back_are_not_believed(reader: str, change: dict[str, int]) -> None:
    with closing(PostgreSQLSource(reader)) as source, source.snapshot() as snapshot:
        written = snapshot.written_since(None)
        assert written
        baseline: Baseline = written.baseline
        for name, by in change.items():
            setattr(baseline, name, getattr(baseline, name) + by)
        again = snapshot.written_since(baseline)
        assert again
        assert again.blocks is None


def remember(library: Library, statement: str) -> None:
    with closing(connect(library.state_dir, writable=True)) as index:
        assert index.execute(statement).rowcount == 1


@pytest.mark.complains("1 blocks of the catalogue \\(movie\\) had changed without a transaction")
def test_all_blocks_are_compared_once_a_day_and_what_was_missed_is_said(
    owner: str, reader: str, tmp_path: Path
) -> None:
    library = Library(tmp_path)
    library.sync(reader)
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute(f"UPDATE vod_movie SET name = 'Missed' WHERE id = {_APART}")
        with closing(connect(library.state_dir, writable=True)) as index:
            # As if the transaction had been seen already.
            [data] = index.execute("SELECT data FROM seen").fetchone()
            baseline = decode(data)
            assert baseline
            baseline.oldest = baseline.next = transaction(owner)
            index.execute("UPDATE seen SET data = ?", (encode(baseline),))
        session.execute(f"UPDATE vod_movie SET updated_at = now() WHERE id = {20 * _APART}")
        assert not library.sync(reader).changed
        session.execute(f"UPDATE vod_movie SET updated_at = now() WHERE id = {20 * _APART}")
        remember(library, f"UPDATE seen SET whole = whole - {86_400 * 10**9}")
        assert library.sync(reader).changed
        assert "Movies/Missed (1980)" in library.paths()
        with closing(connect(library.state_dir)) as index:
            [whole] = index.execute("SELECT whole FROM seen").fetchone()
        assert abs(time.time_ns() - whole) < 60 * 10**9


def test_syncs_that_can_tell_and_that_cannot_make_the_same_library(
    postgres: PostgresServer, owner: str, reader: str, tmp_path: Path, soak: bool
) -> None:
    """One has the last comparison in memory, as beside a mount, and one begins anew each time."""
    blind = postgres.create_role(
        owner, *(f"SELECT ({', '.join(columns)}) ON {table}" for table, columns in READ.items())
    )
    libraries = [Library(tmp_path / name) for name in ("beside", "anew", "blind")]
    for name in ("beside", "anew", "blind"):
        (tmp_path / name).mkdir()
    chance, cache, settings = random.Random(7), ComparisonCache(), LibrarySettings()
    with closing(Rows(owner)) as rows, closing(PostgreSQLSource(reader)) as source:
        said = []
        for _ in range(200 if soak else 25):
            said.append(chance.choice(EVENTS)(rows, chance))
            sync(source, settings, libraries[0].state_dir, cache=cache, max_shrink=100)
            if chance.random() < 0.3:
                sync(source, settings, libraries[0].state_dir, max_shrink=100)  # somebody else
            libraries[1].sync(reader, max_shrink=100)
            libraries[2].sync(blind, max_shrink=100)
            files = [library.files() for library in libraries]
            assert files[0] == files[1] == files[2], said
            with closing(connect(libraries[0].state_dir)) as index:
                [stats] = index.execute("SELECT stats FROM generation").fetchone()
                counted = count(index, settings.media_server)
            assert {scope: json.loads(stats)[scope] for scope in counted} == counted, said


def test_what_a_changed_row_costs_does_not_grow_with_the_index(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def connect_and_count(*arguments: Any, **options: Any) -> sqlite3.Connection:
        def count_steps() -> None:
            nonlocal steps
            steps += 1

        connection = connect(*arguments, **options)
        connection.set_progress_handler(count_steps, 100)
        return connection

    def cost(episodes: int) -> int:
        """Hundreds of steps that SQLite takes for a look at a movie that has another name."""
        nonlocal steps
        url, library = postgres.new_database(), Library(tmp_path / f"{episodes}")
        catalogue = Catalogue()
        catalogue.movie("Heat")
        series = catalogue.series("Lost")
        for number in range(episodes):
            catalogue.episode(series, number // 20, number % 20, "Part")
        catalogue.write(url)
        library.sync(url)
        Database(url).execute("UPDATE vod_movie SET name = 'Ronin'")
        with monkeypatch.context() as patched:
            patched.setattr("vod2strmfs.sync.run.connect", connect_and_count)
            steps = 0
            assert library.sync(url).changed
        return steps

    assert cost(2000) < 1.5 * cost(200)


def test_a_value_that_comes_and_goes_between_looks_of_two_is_found(owner: str, reader: str, tmp_path: Path) -> None:
    library = Library(tmp_path)
    cache, settings = ComparisonCache(), LibrarySettings()
    with closing(PostgreSQLSource(reader)) as source, psycopg.connect(owner, autocommit=True) as session:

        def called(name: str) -> None:
            session.execute(f"UPDATE vod_movie SET name = '{name}' WHERE id = {_APART}".encode())

        sync(source, settings, library.state_dir, cache=cache)
        for _ in range(2):
            called("A")
            sync(source, settings, library.state_dir, cache=cache)
            called("B")
            sync(source, settings, library.state_dir)
            called("A")
            sync(source, settings, library.state_dir, cache=cache)
            assert "Movies/A (1980)" in library.paths()


def test_what_a_sync_found_and_could_not_write_is_found_by_the_next(owner: str, reader: str, tmp_path: Path) -> None:
    library = Library(tmp_path)
    cache, settings = ComparisonCache(), LibrarySettings()
    with closing(PostgreSQLSource(reader)) as source:
        sync(source, settings, library.state_dir, cache=cache)
        Database(owner).execute(f"UPDATE vod_movie SET name = 'Renamed' WHERE id = {_APART}")
        with closing(connect(library.state_dir, writable=True)) as index:
            index.execute("CREATE TRIGGER full BEFORE INSERT ON seen BEGIN SELECT raise(ABORT, 'disk is full'); END")
        with pytest.raises(IndexFileError, match="disk is full"):
            sync(source, settings, library.state_dir, cache=cache)
        with closing(connect(library.state_dir, writable=True)) as index:
            index.execute("DROP TRIGGER full")
        assert sync(source, settings, library.state_dir, cache=cache).changed
    assert "Movies/Renamed (1980)" in library.paths()


def test_a_second_scan_that_changes_nothing_hashes_no_joined_row(
    owner: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path)
    library.sync(reader)
    hashed: list[str] = []
    digested = PostgreSQLSnapshot._digested

    def spy(snapshot: PostgreSQLSnapshot, query: str) -> dict[int, str]:
        hashed.append(query)
        return digested(snapshot, query)

    monkeypatch.setattr(PostgreSQLSnapshot, "_digested", spy)
    for number in range(3):
        for kind in KINDS:
            Database(owner).execute(f"UPDATE vod_m3u{kind}relation SET last_seen = now()")
        hashed.clear()
        assert not library.sync(reader).changed
        assert bool(hashed) == (number == 0)


def test_an_index_of_before_is_compared_in_full_and_goes_on(owner: str, reader: str, tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.sync(reader)
    before = library.tree()
    with closing(connect(library.state_dir, writable=True)) as index:
        index.execute("DROP TABLE seen")
    Database(owner).execute("UPDATE vod_movie SET updated_at = now()")
    assert not library.sync(reader).changed
    assert library.tree() == before
    remember(library, "UPDATE seen SET data = x'00'")
    Database(owner).execute(f"UPDATE vod_movie SET name = 'Renamed' WHERE id = {_APART}")
    assert library.sync(reader).changed
