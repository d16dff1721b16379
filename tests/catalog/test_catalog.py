"""What a catalogue source yields: the same rows from PostgreSQL and SQLite."""

import json
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import Database
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.postgresql import PostgreSQLSource
from vod2strmfs.catalog.queries import KINDS, POSTGRESQL, POSTGRESQL_13, Dialect, Part
from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import CatalogError


def rows(url: str, kind: Any) -> list[Any]:
    with closing(open_source(url)) as source, source.snapshot() as snapshot:
        return list(snapshot.rows(kind))


def names(url: str, kind: Any = "movie") -> list[str]:
    return [row.name for row in rows(url, kind)]


def test_both_sources_give_the_same_rows(postgres: PostgresServer, tmp_path: Path) -> None:
    urls = postgres.new_database(), f"sqlite:///{tmp_path}/demo.db"
    for url in urls:
        write_demo(url, movies=300, series=20, episodes=300, seed=7)

    def comparable(row: MovieRow | SeriesRow | EpisodeRow) -> dict[str, object]:
        # PostgreSQL keeps JSON in a form of its own.
        columns = row._asdict()
        for name in ("properties", "relation_properties", "others", "category_tags"):
            if columns.get(name):
                columns[name] = [json.loads(text) for text in columns[name].split("\x1e")]
        return columns

    for kind in KINDS:
        from_postgresql, from_sqlite = ([comparable(row) for row in rows(url, kind)] for url in urls)
        assert from_postgresql == from_sqlite
        assert len(from_sqlite) > 10


def test_a_movie_has_every_column(database: Database) -> None:
    catalogue = Catalogue()
    account = catalogue.account("Alpha")
    category = catalogue.category("Films", "movie")
    catalogue.enable(account, category, custom_properties={"language": "en"})
    logo = catalogue.logo("http://images/heat.jpg")
    movie = catalogue.movie(
        "Heat", relations=[], description="Cops.", year=1995, rating="8.3", genre="Crime", duration_secs=10200,
        tmdb_id="949", imdb_id="tt0113277", is_adult=True, custom_properties={"director": "Mann"}, logo_id=logo.id,
    )  # fmt: skip
    catalogue.relate(movie, account, category, stream_id="77", container_extension="mp4", custom_properties={"a": [1]})
    [row] = rows(database.fill(catalogue).url, "movie")
    assert isinstance(row, MovieRow)
    assert row.properties is not None
    assert row.relation_properties is not None
    assert json.loads(row.properties) == {"director": "Mann"}
    assert json.loads(row.relation_properties) == {"a": [1]}
    assert row.uuid == movie.uuid
    assert row.created_at == int(movie.created_at.timestamp())
    assert tuple(row._replace(properties=None, relation_properties=None, uuid="", created_at=0)) == (
        movie.id, "", "Heat", "Cops.", 1995, "8.3", "Crime", 10200, "949", "tt0113277", True, None, 0,
        "http://images/heat.jpg", account.id, "Alpha", "77", "Films", "mp4", None, "", None, True,
        '{"language": "en"}', None,
    )  # fmt: skip


def test_only_relations_of_active_accounts_count(database: Database) -> None:
    catalogue = Catalogue()
    active, inactive = catalogue.account("On"), catalogue.account("Off", active=False, priority=9)
    catalogue.movie("Both", relations=[active, inactive])
    catalogue.movie("Neither", relations=[inactive])
    [row] = rows(database.fill(catalogue).url, "movie")
    assert (row.name, row.account_name) == ("Both", "On")


def test_only_enabled_categories_count(database: Database) -> None:
    catalogue = Catalogue()
    alpha, beta = catalogue.account("Alpha"), catalogue.account("Beta")
    category = catalogue.category("Films", "movie")
    catalogue.enable(alpha, category, enabled=False)
    catalogue.enable(beta, category)
    catalogue.movie("Disabled", relations=[alpha], category=category)
    catalogue.movie("Enabled", relations=[beta], category=category)
    catalogue.movie("Never chosen", relations=[alpha], category=catalogue.category("Other", "movie"))
    catalogue.movie("Without", relations=[alpha])
    assert names(database.fill(catalogue).url) == ["Enabled", "Without"]


def test_the_relation_of_the_highest_priority_speaks_then_the_lowest_id(database: Database) -> None:
    catalogue = Catalogue()
    low, high, also_high = (catalogue.account(name, priority=p) for name, p in (("L", 1), ("H", 5), ("M", 5)))
    catalogue.movie("Heat", relations=[low, also_high, high])
    [row] = rows(database.fill(catalogue).url, "movie")
    assert row.account_name == "M"


def test_episodes_need_an_eligible_series_and_an_active_account(database: Database) -> None:
    catalogue = Catalogue()
    on, off = catalogue.account("On"), catalogue.account("Off", active=False)
    category = catalogue.category("Shows", "series")
    catalogue.enable(on, category, enabled=False)
    good = catalogue.series("Good", relations=[on])
    catalogue.episode(good, 1, 1, "Shown")
    catalogue.episode(good, 1, 2, "Inactive", relations=[off])
    catalogue.episode(catalogue.series("Disabled", relations=[on], category=category), 1, 1, "Disabled", relations=[on])
    catalogue.episode(catalogue.series("Off", relations=[off]), 1, 1, "Off", relations=[on])
    assert names(database.fill(catalogue).url, "episode") == ["Shown"]


def test_rows_come_in_order_of_id_and_by_block(database: Database) -> None:
    catalogue = Catalogue()
    for number in (5000, 3, 1023, 1024, 2047, 2048):
        catalogue.movie(f"Film {number}", id=number)
    url = database.fill(catalogue).url
    with closing(open_source(url)) as source, source.snapshot() as snapshot:
        assert [row.id for row in snapshot.rows("movie")] == [3, 1023, 1024, 2047, 2048, 5000]
        assert [row.id for row in snapshot.rows("movie", Part({1, 4}))] == [1024, 2047, 5000]
        assert [row.id for row in snapshot.rows("movie", Part({1, 2}))] == [1024, 2047, 2048]


def test_columns_of_later_migrations_are_optional(database: Database) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat", is_adult=False)
    database.fill(catalogue)
    database.execute("ALTER TABLE vod_movie DROP COLUMN is_adult")
    database.execute("ALTER TABLE vod_vodlogo RENAME TO old_logo")
    [row] = rows(database.url, "movie")
    assert (row.is_adult, row.logo_url) == (False, None)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE vod_m3umovierelation RENAME TO gone", "vod_m3umovierelation"),
        ("ALTER TABLE vod_episode RENAME COLUMN air_date TO aired", "air_date"),
    ],
)
def test_what_is_missing_is_named(database: Database, statement: str, named: str) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database.fill(catalogue).execute(statement)
    with pytest.raises(CatalogError, match=named):
        rows(database.url, "movie")


def test_the_marker_stands_still_while_nothing_is_written(database: Database) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database.fill(catalogue)
    with closing(open_source(database.url)) as source:
        first = source.marker()
        assert source.marker() == first
        database.execute("UPDATE vod_movie SET name = 'Ran'")
        assert source.marker()[0] != first[0]


@pytest.mark.parametrize("dialect", [POSTGRESQL, POSTGRESQL_13])
def test_digests_tell_which_blocks_changed(
    postgres: PostgresServer, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vod2strmfs.catalog.postgresql.POSTGRESQL", dialect)
    database = Database(postgres.new_database())
    catalogue = Catalogue()
    for number in (1, 2, 1024, 5000):
        catalogue.movie(f"Film {number}", id=number)
    database.fill(catalogue)
    with closing(open_source(database.url)) as source:
        with source.snapshot() as snapshot:
            before = snapshot.digests("movie")
        database.execute("UPDATE vod_m3umovierelation SET last_seen = now()")
        with source.snapshot() as snapshot:
            assert snapshot.digests("movie") == before
        database.execute("UPDATE vod_movie SET rating = '9' WHERE id = 2")
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 5000")
        with source.snapshot() as snapshot:
            after = snapshot.digests("movie")
    assert before is not None
    assert after is not None
    assert {block for block, _ in before.items() ^ after.items()} == {0, 4}


_EXCHANGES = (
    "UPDATE vod_movie SET name = CASE id WHEN 1 THEN 'Film 2' ELSE 'Film 1' END WHERE id < 3",
    "UPDATE vod_movie SET year = 2000 + mod(id + 1, 5)",
    "UPDATE vod_movie SET name = 'Film ' || (mod(id, 5) + 1)",
    "UPDATE vod_movie SET tmdb_id = imdb_id, imdb_id = tmdb_id WHERE id = 1",
    "UPDATE vod_movie a SET uuid = b.uuid FROM vod_movie b WHERE (a.id, b.id) IN ((1, 2), (2, 1))",
    "UPDATE vod_movie a SET custom_properties = b.custom_properties FROM vod_movie b"
    " WHERE (a.id, b.id) IN ((1, 2), (2, 1))",
    "UPDATE vod_m3umovierelation SET stream_id = 's' || (6 - movie_id)",
    "UPDATE vod_m3umovierelation a SET custom_properties = b.custom_properties FROM vod_m3umovierelation b"
    " WHERE (a.movie_id, b.movie_id) IN ((1, 3), (3, 1))",
    "UPDATE vod_movie SET custom_properties = '{\"rating\": 7}' WHERE id = 5",
    "UPDATE vod_movie SET custom_properties = (SELECT jsonb_agg(CASE n WHEN 3 THEN 35 WHEN 35 THEN 3 ELSE n END)"
    " FROM generate_series(0, 39) n) WHERE id = 4",
    "UPDATE vod_series a SET name = b.name, uuid = b.uuid FROM vod_series b WHERE a.id = 3 - b.id",
    "UPDATE vod_m3useriesrelation a SET custom_properties = b.custom_properties FROM vod_m3useriesrelation b"
    " WHERE a.series_id = 3 - b.series_id",
    "UPDATE vod_episode a SET name = b.name FROM vod_episode b WHERE a.id = 3 - b.id",
    "UPDATE vod_episode SET season_number = episode_number, episode_number = season_number WHERE id = 2",
    "UPDATE vod_m3uepisoderelation a SET stream_id = b.stream_id FROM vod_m3uepisoderelation b"
    " WHERE a.episode_id = 3 - b.episode_id AND a.m3u_account_id = b.m3u_account_id",
)


@pytest.mark.parametrize("versions", [False, True])
@pytest.mark.parametrize("dialect", [POSTGRESQL, POSTGRESQL_13])
def test_digests_notice_what_changes_places(
    postgres: PostgresServer, dialect: Dialect, versions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vod2strmfs.catalog.postgresql.POSTGRESQL", dialect)
    database = Database(postgres.new_database())
    catalogue = Catalogue()
    account = catalogue.account("Alpha")
    for number in range(1, 6):
        movie = catalogue.movie(
            f"Film {number}", id=number, relations=[], year=2000 + number % 5, tmdb_id=str(number),
            imdb_id=f"tt{number}", custom_properties={"rating": number},
        )  # fmt: skip
        catalogue.relate(movie, account, stream_id=f"s{number}", custom_properties={"cover": f"http://{number}/"})
    for number in (1, 2):
        series = catalogue.series(f"Series {number}", relations=[])
        catalogue.relate(series, account, custom_properties={"plot": f"Of {number}."})
        catalogue.episode(series, 1, number + 1, f"Part {number}", relations=[account])
    database.fill(catalogue)
    database.execute("UPDATE vod_movie SET custom_properties = '{\"rating\": 7.0}' WHERE id = 5")
    database.execute(
        "UPDATE vod_movie SET custom_properties = (SELECT jsonb_agg(n) FROM generate_series(0, 39) n) WHERE id = 4"
    )
    database.execute(  # or values could not change places one by one
        "DO $$ DECLARE i regclass; BEGIN FOR i IN SELECT indexrelid FROM pg_index JOIN pg_class ON oid = indexrelid"
        " WHERE indisunique AND NOT indisprimary AND starts_with(relname, 'vod_') LOOP EXECUTE 'DROP INDEX ' || i;"
        " END LOOP; END $$"
    )
    with closing(open_source(database.url)) as source:

        def digests() -> list[dict[int, str] | None]:
            with source.snapshot(versions=versions) as snapshot:
                return [snapshot.digests(kind) for kind in KINDS]

        before = digests()
        unseen = []
        for exchange in _EXCHANGES:
            database.execute(exchange)
            if (after := digests()) == before:
                unseen.append(exchange)
            before = after
        assert unseen == []


def test_a_relation_made_anew_with_the_same_content_is_no_change(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database())
    catalogue = Catalogue()
    catalogue.movie("Heat")
    catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot")
    database.fill(catalogue).execute("UPDATE vod_m3uepisoderelation SET series_relation_id = NULL")
    with closing(open_source(database.url)) as source:
        with source.snapshot() as snapshot:
            before = [snapshot.digests(kind) for kind in KINDS if kind != "version"]
        for table in ("vod_m3umovierelation", "vod_m3useriesrelation", "vod_m3uepisoderelation"):
            database.execute(f"UPDATE {table} SET id = id + 5000")
        with source.snapshot() as snapshot:
            assert [snapshot.digests(kind) for kind in KINDS if kind != "version"] == before


def test_another_database_of_the_same_server_is_another_marker(postgres: PostgresServer) -> None:
    urls = []
    for name in ("Heat", "Ran"):
        catalogue = Catalogue()
        catalogue.movie(name)
        urls.append(Database(postgres.new_database()).fill(catalogue).url)
    first, second, first_again = (open_marker(url) for url in (*urls, urls[0]))
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert first == first_again


def open_marker(url: str) -> tuple[str, str]:
    with closing(open_source(url)) as source:
        return source.marker()


@pytest.mark.parametrize("versions", [False, True])
def test_digests_are_the_same_whether_all_rows_were_read_before_or_not(
    postgres: PostgresServer, versions: bool
) -> None:
    url = postgres.new_database()
    write_demo(url, movies=1500, series=40, episodes=1200, seed=1)
    with closing(open_source(url)) as source:
        with source.snapshot(versions=versions) as snapshot:
            before = {kind: snapshot.digests(kind) for kind in KINDS}
        with source.snapshot(versions=versions) as snapshot:
            for kind in KINDS:
                ids = [row.id for row in snapshot.rows(kind)]
                assert ids == sorted(set(ids))
                assert snapshot.digests(kind) == before[kind]
    assert before["movie"]
    assert len(before["movie"]) == 2


_OF_SESSIONS = (
    "DateStyle = German", "DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Kathmandu'", "client_encoding = LATIN1",
    "bytea_output = escape", "extra_float_digits = -15", "standard_conforming_strings = off", "array_nulls = off",
    "transform_null_equals = on", "default_transaction_isolation = serializable", "quote_all_identifiers = on",
)  # fmt: skip
"""What a database or a role may have set for its sessions."""


def test_what_is_set_for_sessions_changes_no_row(postgres: PostgresServer) -> None:
    catalogue = Catalogue()
    catalogue.account("Prövider 片")
    catalogue.movie("Ночной дозор")
    catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot", air_date=date(2004, 3, 9))
    database = Database(postgres.new_database()).fill(catalogue)

    def seen() -> list[Any]:
        with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
            return [(list(snapshot.rows(kind)), snapshot.digests(kind), snapshot.groups()) for kind in KINDS]

    before = seen()
    name = database.url.rpartition("/")[2]
    for setting in _OF_SESSIONS:
        database.execute(f"ALTER DATABASE {name} SET {setting}")
        assert seen() == before, setting
        database.execute(f"ALTER DATABASE {name} RESET ALL")


def test_a_database_that_calls_its_text_ascii_holds_what_was_written(postgres: PostgresServer) -> None:
    owner = postgres.new_database()
    name = f"{owner.rpartition('/')[2]}_ascii"
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII'".encode())
    catalogue = Catalogue()
    catalogue.account("Prövider 片")
    catalogue.movie("Ночной дозор")
    [row] = rows(Database(f"{owner}_ascii").fill(catalogue).url, "movie")
    assert (row.name, row.account_name) == ("Ночной дозор", "Prövider 片")


def test_one_snapshot_sees_one_state(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database())
    catalogue = Catalogue()
    series = catalogue.series("Lost")
    catalogue.episode(series, 1, 1, "Pilot")
    database.fill(catalogue)
    with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
        assert len(list(snapshot.rows("series"))) == 1
        database.execute("DELETE FROM vod_m3uepisoderelation")
        assert len(list(snapshot.rows("episode"))) == 1


def test_every_session_refuses_to_write(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database())
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database.fill(catalogue)
    source = PostgreSQLSource(database.owner_url)
    with (
        closing(source),
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        source._transaction() as connection,
    ):
        connection.execute("UPDATE vod_movie SET name = 'Ran'")


def test_a_role_without_rights_is_told_what_it_may_not_read(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    write_demo(url, movies=20, series=2, episodes=5, seed=1)
    with pytest.raises(CatalogError, match=r"may not read m3u_m3uaccount \(id, is_active, name, priority\)"):
        rows(postgres.create_role(url), "movie")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody:wrong-secret@127.0.0.1:{port}/postgres", "Check the user and the password"),
        ("postgresql://{user}@127.0.0.1:{port}/nosuch", "database's name"),
        ("postgresql://nobody:wrong-secret@127.0.0.1:1/postgres", "Check that PostgreSQL runs there"),
        ("postgresql://nobody:wrong-secret@[::bad/postgres", "not a libpq connection string"),
        ("mysql://nobody:wrong-secret@localhost/db", "not a libpq connection string"),
        ("postgresql://nobody:wrong-secret@127.0.0.1:99999/postgres", "Check the port"),
        ("host=127.0.0.1 port=no password=wrong-secret", "Check the port"),
        ("postgresql://nobody:wrong-secret@127.0.0.1:{port}/postgres?sslmode=bogus", "Check the port and the other"),
        ("postgresql://nobody:wrong-secret@127.0.0.1:{port}/postgres?sslmode=require", "Check sslmode"),
        ("postgresql://nobody:wrong-secret@127.0.0.1:1/postgres?connect_timeout=soon", "connect_timeout=10"),
        ("sqlite:////etc/passwd", "Name Dispatcharr's SQLite file"),
        ("sqlite://nowhere", "sqlite:///PATH"),
        ("sqlite:///nowhere/at/all.db", "no SQLite file"),
    ],
)
def test_a_bad_address_is_explained_without_its_password(postgres: PostgresServer, url: str, said: str) -> None:
    superuser = psycopg.conninfo.conninfo_to_dict(postgres.superuser_url)
    user = f"{superuser['user']}:{superuser['password']}"
    with pytest.raises(CatalogError) as caught:
        rows(url.format(port=superuser["port"], user=user), "movie")
    assert said in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert str(superuser["password"]) not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("kim@127.0.0.1:1/films", 'connection to server at "127.0.0.1", port 1 failed: Connection refused.'),
        (
            "kim@127.0.0.1:1,127.0.0.1:2/films",
            'connection to server at "127.0.0.1", port 1 failed: Connection refused;'
            ' connection to server at "127.0.0.1", port 2 failed: Connection refused.',
        ),
    ],
)
def test_a_server_that_refuses_is_said_once(address: str, reason: str) -> None:
    with pytest.raises(CatalogError) as caught:
        rows(f"postgresql://{address}", "movie")
    said, advice = str(caught.value).splitlines()
    assert said.endswith(f"/films: {reason}")
    assert advice.startswith("Check that PostgreSQL runs there")


def test_a_broken_connection_is_opened_again(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database())
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database.fill(catalogue)
    with closing(open_source(database.url)) as source:
        source.marker()
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vod2strmfs'")
        assert source.marker()
