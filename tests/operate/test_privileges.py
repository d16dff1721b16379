"""What the program may do, and what it lets others see: rights in the database, secrets, file modes."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from databases import Database, reader_url
from mounts import Mount, command, eventually
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.postgresql import PostgreSQLSource
from vod2strmfs.catalog.queries import COUNTED, KINDS, POSTGRESQL, Choice, Queries
from vod2strmfs.catalog.schema import OPTIONAL, REQUIRED, tables
from vod2strmfs.catalog.written import WRITTEN, Written
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import CatalogError, Exit
from vod2strmfs.index.order import Order

ROLE = Path(__file__).parents[2] / "docs" / "database-role.sql"
XMIN = {"xmin"}
"""Who wrote a row."""
READ = {
    table: REQUIRED.get(table, frozenset()) | OPTIONAL.get(table, frozenset()) | (XMIN if table in WRITTEN else set())
    for table in tables()
}
SECRETS = (b"role-secret", b"panel-password", b"moved-secret")


def granted() -> dict[str, set[str]]:
    """The columns that the script grants, by table."""
    grants = re.findall(r"^GRANT SELECT \((.*)\) ON (\w+) TO vod2strmfs;$", ROLE.read_text(), re.MULTILINE)
    return {table: set(columns.split(", ")) for columns, table in grants}


def test_the_script_grants_what_is_read_and_nothing_else() -> None:
    assert granted() == READ
    assert ROLE.read_text().count("\nGRANT") == len(READ)


def test_every_granted_column_is_needed_by_a_query(postgres: PostgresServer) -> None:
    owner = postgres.new_database()
    write_demo(owner, movies=5, series=2, episodes=5, seed=1)
    reader = reader_url(owner)
    texts = []
    for versions in (False, True):
        queries = Queries(POSTGRESQL, READ, versions=versions, choice=Choice(frozenset([1]), frozenset([1])))
        texts += [queries.rows(kind) for kind in KINDS] + [queries.digests(kind) for kind in KINDS]
        texts += [queries.count(name) for name in COUNTED]
    texts += Written(lambda query: [], POSTGRESQL, READ).texts()
    with (
        psycopg.connect(owner, autocommit=True) as session,
        psycopg.connect(reader, autocommit=True) as reading,
    ):
        for text in texts:
            reading.execute(text.encode())
        for table, columns in READ.items():
            for column in columns:
                session.execute(f"REVOKE SELECT ({column}) ON {table} FROM vod2strmfs".encode())
                assert any(is_refused(reading, text) for text in texts), (table, column)
                session.execute(f"GRANT SELECT ({column}) ON {table} TO vod2strmfs".encode())
        for secret in ("password", "username", "server_url", "*"):
            assert is_refused(reading, f"SELECT {secret} FROM m3u_m3uaccount")


def is_refused(session: "psycopg.Connection[tuple[object, ...]]", query: str) -> bool:
    try:
        session.execute(query.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_the_role_reads_what_the_owner_reads(postgres: PostgresServer) -> None:
    owner = postgres.new_database()
    write_demo(owner, movies=20, series=2, episodes=5, seed=1)
    reader = reader_url(reader_url(owner) and owner)  # running the script again does no harm
    for kind in KINDS:
        found = []
        for url in (owner, reader):
            with closing(open_source(url)) as source, source.snapshot(versions=True) as snapshot:
                found.append((list(snapshot.rows(kind)), snapshot.digests(kind), snapshot.counts()))
        assert found[0] == found[1]
        assert found[0][0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vod_movie SET name = 'Ran'",
        "DELETE FROM vod_movie",
        "INSERT INTO vod_vodcategory (name) VALUES ('x')",
        "CREATE TABLE mine (id int)",
        "SELECT nextval(pg_get_serial_sequence('vod_movie', 'id'))",
        "TRUNCATE vod_movie CASCADE",
    ],
)
def test_the_server_refuses_writes_even_of_the_owner_in_our_sessions(postgres: PostgresServer, statement: str) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database = Database(postgres.new_database()).fill(catalogue)
    with closing(PostgreSQLSource(database.owner_url)) as source:
        source.marker()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), source._transaction() as connection:
            connection.execute(statement.encode())
    with psycopg.connect(database.url, autocommit=True) as session:
        with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)):
            session.execute(statement.encode())
        session.execute("SET default_transaction_read_only = off")
        if "CREATE" not in statement:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement.encode())


def test_direct_urls_without_the_right_to_read_passwords_are_explained(postgres: PostgresServer) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database = Database(postgres.new_database()).fill(catalogue)
    with (
        closing(open_source(database.url)) as source,
        pytest.raises(CatalogError, match=r"m3u_m3uaccount.*\n.*database-role\.sql"),
        source.snapshot() as snapshot,
    ):
        snapshot.credentials()
    [grant] = re.findall(r"^-- (GRANT .*;)$", ROLE.read_text(), re.MULTILINE)
    database.execute(grant)
    with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
        assert [account.password for account in snapshot.credentials()] == ["panel-password"]


@pytest.fixture
def catalogue() -> Catalogue:
    made = Catalogue()
    made.movie("Heat")
    made.episode(made.series("Lost"), 1, 1, "Pilot")
    return made


@contextmanager
def mounting(directory: Path, *options: str | Path) -> Iterator[Mount]:
    """A mount whose command line names no database."""
    mount_point, log = directory / "mount", directory / "mount.log"
    mount_point.mkdir()
    with log.open("ab") as output:
        process = subprocess.Popen(command("mount", mount_point, *options), stdout=output, stderr=output)
    mount = Mount(process, mount_point, log)
    try:
        eventually(lambda: os.path.exists(mount_point / ".stats.csv") or process.poll() is not None)
        yield mount
    finally:
        mount.stop()


@pytest.mark.parametrize("direct", [False, True])
def test_secrets_are_nowhere_and_every_file_is_private(
    postgres: PostgresServer, tmp_path: Path, catalogue: Catalogue, direct: bool
) -> None:
    """With direct URLs the provider's password is what the user wants written: to the index, and to every .strm."""
    database = Database(postgres.new_database()).fill(catalogue)
    for column in ("server_url", "username", "password", "account_type") if direct else ():
        database.execute(f"GRANT SELECT ({column}) ON m3u_m3uaccount TO vod2strmfs")
    config = tmp_path / "vod2strmfs.toml"
    config.write_text(
        f'database = "{database.url}?connect_timeout=2"\ndirect_urls = {str(direct).lower()}\npoll_interval = 0.5\n'
    )
    state = tmp_path / "state"
    state.mkdir(mode=0o777)
    state.chmod(0o777)
    options = ("--config", config, "--state-dir", state, "--debug-logging")
    before = os.umask(0)
    try:
        with mounting(tmp_path, *options) as mount:
            for number in (mount.process.pid, mount.worker()):
                seen = Path(f"/proc/{number}/cmdline").read_bytes() + Path(f"/proc/{number}/environ").read_bytes()
                assert not any(secret in seen for secret in SECRETS)
            output = tmp_path / "output"
            done = subprocess.run(command("materialize", output, *options), capture_output=True, check=True)
            stats = (mount.path / ".stats.csv").read_bytes()
            database.execute("ALTER ROLE vod2strmfs PASSWORD 'moved-secret'")
            database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vod2strmfs'")
            failed = subprocess.run(command("sync", *options), capture_output=True, check=False)
            assert failed.returncode == Exit.DATABASE
            eventually(lambda: "password authentication failed" in mount.log.read_text())
    finally:
        os.umask(before)
    said = done.stdout + done.stderr + failed.stdout + failed.stderr + mount.log.read_bytes() + stats
    assert not any(secret in said for secret in SECRETS)
    holding = set()
    kinds = set()
    for path in state.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        kinds.add(path.suffix)
        if path.is_file():
            content = path.read_bytes()
            assert b"role-secret" not in content, path
            if any(secret in content for secret in SECRETS):
                holding.add(path.name.removesuffix("-wal"))
    assert kinds >= {".db", ".log", ".csv", ".lock"}
    assert holding == ({"index.db"} if direct else set())
    urls = [path.read_bytes() for path in output.rglob("*.strm")]
    assert len(urls) == 2
    assert all((b"panel-password" in url) == direct for url in urls)


def test_an_order_that_cannot_be_read_does_not_tell_the_password() -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        Order.model_validate_json('{"database": "postgresql://u:role-secret@h/d", "poll_interval": "role-secret"}')
    assert "role-secret" not in str(caught.value)
