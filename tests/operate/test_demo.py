"""The demo catalogue and the builder, read back with plain SQL from both databases."""

import json
import re
import resource
import sqlite3
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from postgres_server import PostgresServer
from psycopg.rows import dict_row

from vod2strmfs.demo import writer
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.demo.schema import TABLES
from vod2strmfs.demo.writer import Batch
from vod2strmfs.errors import UserError

Row = dict[str, Any]
Columns = dict[str, set[str]]

# Names as Dispatcharr's models have them; `?` marks what may be null.
DISPATCHARR = {
    "m3u_m3uaccount": "id name server_url? username? password? account_type is_active priority custom_properties?"
    " created_at updated_at?",
    "vod_vodlogo": "id name url",
    "vod_vodcategory": "id name category_type created_at updated_at",
    "vod_m3uvodcategoryrelation": "id m3u_account_id category_id enabled custom_properties? created_at updated_at",
    "vod_movie": "id uuid name description? year? rating? genre? duration_secs? tmdb_id? imdb_id? is_adult"
    " custom_properties? logo_id? created_at updated_at",
    "vod_series": "id uuid name description? year? rating? genre? tmdb_id? imdb_id? custom_properties? logo_id?"
    " created_at updated_at",
    "vod_episode": "id uuid name description? air_date? rating? duration_secs? season_number? episode_number? tmdb_id?"
    " imdb_id? custom_properties? series_id created_at updated_at",
    "vod_m3umovierelation": "id m3u_account_id movie_id category_id? stream_id container_extension? custom_properties?"
    " last_seen last_advanced_refresh? created_at updated_at",
    "vod_m3useriesrelation": "id m3u_account_id series_id category_id? external_series_id custom_properties? last_seen"
    " last_episode_refresh? created_at updated_at",
    "vod_m3uepisoderelation": "id m3u_account_id episode_id series_relation_id? stream_id container_extension?"
    " custom_properties? last_seen created_at updated_at",
    "django_migrations": "id app name applied",
}

INTEGRITY_ERRORS = (psycopg.IntegrityError, sqlite3.IntegrityError)


@pytest.fixture(params=["postgresql", "sqlite"])
def new_target(request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path: Path) -> Callable[[], str]:
    """Gives an empty target at each call."""
    if request.param == "postgresql":
        return postgres.new_database
    numbers = iter(range(1000))
    return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"


@pytest.fixture
def target(new_target: Callable[[], str]) -> str:
    return new_target()


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def empty_target(
    request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """One target for many tests: it stays empty, since whatever is written into it is refused."""
    if request.param == "postgresql":
        return postgres.new_database()
    return str(tmp_path_factory.mktemp("refused") / "demo.db")


def query(target: str, statement: str) -> list[Row]:
    """Rows with PostgreSQL's types, whichever database they come from."""
    if target.startswith("postgresql"):
        with psycopg.connect(target, row_factory=dict_row) as connection:
            return connection.execute(statement.encode()).fetchall()
    with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as file:
        cursor = file.execute(statement)
        names = [column[0] for column in cursor.description]
        return [{name: _typed(name, value) for name, value in zip(names, row, strict=True)} for row in cursor]


def _typed(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "uuid":
        return UUID(hex=value)
    if name == "custom_properties":
        return json.loads(value)
    if name in ("is_active", "is_adult", "enabled"):
        return bool(value)
    if name == "air_date":
        return datetime.fromisoformat(value).date()
    if name.endswith(("_at", "_seen", "_refresh")) or name == "applied":
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value


def rows(target: str, table: str) -> list[Row]:
    return query(target, f"SELECT * FROM {table} ORDER BY id")


def every_row(target: str) -> dict[str, list[Row]]:
    return {table: rows(target, table) for table in DISPATCHARR}


def number(target: str, count: str) -> int:
    [row] = query(target, f"SELECT count(*) AS n FROM {count}")
    return int(row["n"])


def execute(target: str, statement: str) -> None:
    if target.startswith("postgresql"):
        with psycopg.connect(target) as connection:
            connection.execute(statement.encode())
    else:
        with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as file, file:
            file.execute(statement)


def columns(target: str) -> Columns:
    """Each table's columns, with `?` behind those that may be null."""
    if target.startswith("postgresql"):
        found = query(
            target,
            "SELECT table_name AS t, column_name AS c, is_nullable = 'YES' AS nullable"
            " FROM information_schema.columns WHERE table_schema = 'public'",
        )
    else:
        found = query(
            target,
            'SELECT m.name AS t, c.name AS c, NOT c."notnull" AS nullable'
            " FROM sqlite_master m JOIN pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'",
        )
    result: Columns = {}
    for row in found:
        result.setdefault(row["t"], set()).add(row["c"] + "?" * bool(row["nullable"]))
    return result


def indexed_columns(target: str) -> set[tuple[str, str]]:
    """Table and first column of every index."""
    if target.startswith("postgresql"):
        found = query(
            target,
            "SELECT i.indrelid::regclass::text AS t, a.attname AS c FROM pg_index i JOIN pg_attribute a"
            " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] JOIN pg_class ON pg_class.oid = i.indrelid"
            " WHERE relnamespace = 'public'::regnamespace",
        )
    else:
        found = query(
            target,
            "SELECT m.tbl_name AS t, c.name AS c FROM sqlite_master m JOIN pragma_index_info(m.name) c"
            " WHERE m.type = 'index' AND c.seqno = 0",
        )
    return {(row["t"], row["c"]) for row in found}


# The schema


def test_tables_have_the_columns_that_dispatcharr_has(target: str) -> None:
    Catalogue().write(target)
    assert columns(target) == {table: set(names.split()) for table, names in DISPATCHARR.items()}


def test_every_foreign_key_is_indexed(target: str) -> None:
    Catalogue().write(target)
    references = {(table.name, c.name) for table in TABLES.values() for c in table.columns if c.references}
    assert ("vod_m3uepisoderelation", "episode_id") in references
    assert references <= indexed_columns(target)


def _same_uuid(catalogue: Catalogue) -> None:
    catalogue.movie("Heat", uuid=catalogue.movie("Ronin").uuid)


def _same_tmdb_id(catalogue: Catalogue) -> None:
    catalogue.movie("Heat", tmdb_id="949")
    catalogue.movie("Ronin", tmdb_id="949")


def _same_imdb_id(catalogue: Catalogue) -> None:
    catalogue.series("Heat", imdb_id="tt0113277")
    catalogue.series("Ronin", imdb_id="tt0113277")


def _same_movie_without_ids(catalogue: Catalogue) -> None:
    catalogue.movie("Heat", year=1995)
    catalogue.movie("Heat", year=1995)


def _same_series_without_ids(catalogue: Catalogue) -> None:
    catalogue.series("Lost", year=2004)
    catalogue.series("Lost", year=2004)


def _same_episode_number(catalogue: Catalogue) -> None:
    series = catalogue.series("Lost")
    catalogue.episode(series, 1, 1, "Pilot")
    catalogue.episode(series, 1, 1, "Pilot, Part 2")


def _same_movie_stream(catalogue: Catalogue) -> None:
    movie = catalogue.movie("Heat")
    catalogue.relate(movie, movie.relations[0].account, stream_id=movie.relations[0].stream_id)


def _same_series_stream(catalogue: Catalogue) -> None:
    series = catalogue.series("Lost")
    [relation] = series.relations
    catalogue.relate(series, relation.account, external_series_id=relation.external_series_id)


def _same_episode_stream(catalogue: Catalogue) -> None:
    episode = catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot")
    [relation] = episode.relations
    catalogue.relate(episode, relation.account, stream_id=relation.stream_id)


def _same_account_name(catalogue: Catalogue) -> None:
    catalogue.account("Alpha")
    catalogue.account("Alpha")


def _same_category(catalogue: Catalogue) -> None:
    catalogue.category("Drama", "movie")
    catalogue.category("Drama", "movie")


def _category_enabled_twice(catalogue: Catalogue) -> None:
    account, category = catalogue.account("Alpha"), catalogue.category("Drama", "movie")
    catalogue.enable(account, category)
    catalogue.enable(account, category, enabled=False)


def _same_logo(catalogue: Catalogue) -> None:
    catalogue.logo("http://images.example/1.jpg")
    catalogue.logo("http://images.example/1.jpg")


def _missing_logo(catalogue: Catalogue) -> None:
    catalogue.movie("Heat", logo_id=7)


def _missing_name(catalogue: Catalogue) -> None:
    catalogue.movie("Heat").name = None


@pytest.mark.parametrize(
    "spoil",
    [
        _same_uuid,
        _same_tmdb_id,
        _same_imdb_id,
        _same_movie_without_ids,
        _same_series_without_ids,
        _same_episode_number,
        _same_movie_stream,
        _same_series_stream,
        _same_episode_stream,
        _same_account_name,
        _same_category,
        _category_enabled_twice,
        _same_logo,
        _missing_logo,
        _missing_name,
    ],
)
def test_rows_that_dispatcharr_could_not_hold_are_refused(
    empty_target: str, spoil: Callable[[Catalogue], object]
) -> None:
    catalogue = Catalogue()
    spoil(catalogue)
    with pytest.raises(INTEGRITY_ERRORS):
        catalogue.write(empty_target)


def test_rows_that_look_alike_but_are_allowed_are_written(target: str) -> None:
    catalogue = Catalogue()
    alpha, beta = catalogue.account("Alpha"), catalogue.account("Beta")
    catalogue.category("Drama", "movie")
    catalogue.category("Drama", "series")
    catalogue.movie("Heat", year=1995)
    catalogue.movie("Heat", year=1995, tmdb_id="949")
    catalogue.movie("Heat", year=1995, imdb_id="tt0113277")
    catalogue.movie("Untitled")
    catalogue.movie("Untitled")
    catalogue.relate(catalogue.movie("One", relations=[]), alpha, stream_id="1")
    catalogue.relate(catalogue.movie("Other", relations=[]), beta, stream_id="1")
    catalogue.write(target)
    assert number(target, "vod_movie") == 7


# The builder


def _small_catalogue() -> Catalogue:
    catalogue = Catalogue(seed=3)
    alpha = catalogue.account("Alpha", priority=10)
    beta = catalogue.account("Beta", priority=20, active=False, password="pa'ss\\word")
    films = catalogue.category("Films", "movie")
    catalogue.enable(alpha, films)
    catalogue.enable(beta, films, enabled=False)
    poster = catalogue.logo("https://images.example/heat.jpg")
    heat = catalogue.movie(
        "Heat\t\\N “1995” 🎬",
        relations=[alpha, beta],
        category=films,
        year=1995,
        description="One line\nand another",
        logo_id=poster.id,
        custom_properties={"actors": "Ada, Émile", "backdrop_path": ["https://images.example/1.jpg"], "n": None},
        created_at=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    )
    heat.relations[0].custom_properties = {"basic_data": {"name": "Heat", "year": 1995, "rating_5based": 4.1}}
    series = catalogue.series("Lost", relations=[alpha, beta])
    catalogue.episode(series, 0, 1, "A special", air_date="2004-09-22", custom_properties='{"crew": []}')
    catalogue.episode(series, None, None, "", relations=[])
    return catalogue


def test_rows_read_back_as_they_were_built(target: str) -> None:
    catalogue = _small_catalogue()
    catalogue.write(target)
    [heat] = rows(target, "vod_movie")
    assert heat["name"] == "Heat\t\\N “1995” 🎬"
    assert heat["description"] == "One line\nand another"
    assert (heat["year"], heat["tmdb_id"], heat["is_adult"], heat["logo_id"]) == (1995, None, False, 1)
    assert heat["custom_properties"]["actors"] == "Ada, Émile"
    assert heat["created_at"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    alpha, beta = rows(target, "m3u_m3uaccount")
    assert (alpha["priority"], alpha["is_active"], beta["is_active"]) == (10, True, False)
    assert beta["password"] == "pa'ss\\word"
    first, second = rows(target, "vod_m3umovierelation")
    assert (first["m3u_account_id"], second["m3u_account_id"]) == (alpha["id"], beta["id"])
    assert (first["movie_id"], first["category_id"]) == (heat["id"], 1)
    assert first["custom_properties"] == {"basic_data": {"name": "Heat", "year": 1995, "rating_5based": 4.1}}
    assert [row["enabled"] for row in rows(target, "vod_m3uvodcategoryrelation")] == [True, False]


def test_both_databases_hold_the_same_rows(postgres: PostgresServer, tmp_path: Path) -> None:
    catalogue = _small_catalogue()
    first, second = postgres.new_database(), str(tmp_path / "demo.db")
    catalogue.write(first)
    catalogue.write(second)
    assert every_row(first) == every_row(second)
    assert all(every_row(first).values())


def test_sqlite_stores_values_as_django_does(tmp_path: Path) -> None:
    catalogue = _small_catalogue()
    catalogue.write(str(tmp_path / "demo.db"))
    with closing(sqlite3.connect(tmp_path / "demo.db")) as connection:
        movie = connection.execute("SELECT uuid, created_at, is_adult, custom_properties FROM vod_movie").fetchone()
        series = connection.execute("SELECT uuid, created_at FROM vod_series").fetchone()
        air_date = connection.execute("SELECT air_date FROM vod_episode WHERE id = 1").fetchone()
    assert len(movie[0]) == 32
    assert UUID(hex=movie[0]).version == 4
    # Django leaves the fraction out when it is zero.
    assert movie[1] == "2024-05-06 07:08:09"
    assert datetime.strptime(series[1], "%Y-%m-%d %H:%M:%S.%f")
    assert movie[2] == 0
    assert json.loads(movie[3])["actors"] == "Ada, Émile"
    assert air_date == ("2004-09-22",)


def test_an_item_is_on_the_first_account_unless_said_otherwise(target: str) -> None:
    catalogue = Catalogue()
    alpha, beta = catalogue.account("Alpha"), catalogue.account("Beta")
    assert [relation.account for relation in catalogue.movie("Heat").relations] == [alpha]
    assert catalogue.movie("Ronin", relations=[]).relations == []
    series = catalogue.series("Lost", relations=[beta])
    [relation] = catalogue.episode(series, 1, 1, "Pilot").relations
    assert relation.account is beta
    assert relation.series_relation_id == series.relations[0].id
    catalogue.write(target)
    assert number(target, "vod_m3uepisoderelation WHERE series_relation_id = 1 AND m3u_account_id = 2") == 1


def test_a_catalogue_without_accounts_gets_one(target: str) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    catalogue.write(target)
    assert number(target, "vod_m3umovierelation r JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id") == 1


def test_a_column_that_does_not_exist_is_a_mistake() -> None:
    catalogue = Catalogue()
    with pytest.raises(TypeError, match="vod_movie has no column tmdb"):
        catalogue.movie("Heat", tmdb="949")
    series = catalogue.series("Lost")
    with pytest.raises(TypeError, match="vod_m3uepisoderelation has no column category_id"):
        catalogue.relate(
            catalogue.episode(series, 1, 1, "Pilot"), catalogue.account("Alpha"), catalogue.category("Drama", "series")
        )


def test_ids_go_on_counting_after_one_that_was_given() -> None:
    catalogue = Catalogue()
    assert [catalogue.movie("a").id, catalogue.movie("b", id=50).id, catalogue.movie("c").id] == [1, 50, 51]


def test_uuids_and_times_come_from_the_seed() -> None:
    first, again, other = (Catalogue(seed).movie("Heat") for seed in (1, 1, 2))
    assert (first.uuid, first.created_at) == (again.uuid, again.created_at)
    assert first.uuid != other.uuid
    assert first.created_at != other.created_at
    assert first.created_at < datetime(2026, 1, 1, tzinfo=UTC)


def test_later_inserts_get_new_ids(target: str) -> None:
    catalogue = Catalogue()
    catalogue.logo("https://images.example/1.jpg", id=41)
    catalogue.write(target)
    execute(target, "INSERT INTO vod_vodlogo (name, url) VALUES ('', 'https://images.example/2.jpg')")
    execute(
        target,
        "INSERT INTO vod_vodcategory (name, category_type, created_at, updated_at)"
        " VALUES ('Drama', 'movie', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    )
    assert [row["id"] for row in rows(target, "vod_vodlogo")] == [41, 42]
    assert [row["id"] for row in rows(target, "vod_vodcategory")] == [1]


def test_the_planner_has_statistics(target: str) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    catalogue.write(target)
    if target.startswith("postgresql"):
        assert number(target, "pg_stats WHERE tablename = 'vod_movie' AND attname = 'name'") == 1
    else:
        assert number(target, "sqlite_stat1 WHERE tbl = 'vod_movie' AND idx LIKE '%uuid%'") == 1


# Targets


def test_a_target_that_is_not_empty_is_refused_and_left_alone(target: str) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    catalogue.write(target)
    before = every_row(target)
    with pytest.raises(UserError, match=r"not empty|exists already"):
        Catalogue().write(target)
    assert every_row(target) == before


def test_a_database_with_foreign_tables_is_refused(postgres: PostgresServer) -> None:
    target = postgres.new_database()
    execute(target, "CREATE SCHEMA other CREATE TABLE orders (id int)")
    with pytest.raises(UserError, match=r"is not empty: it has the table other\.orders"):
        Catalogue().write(target)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        Catalogue().write(str(file))
    assert file.read_text() == "mine"


def test_nothing_is_left_behind_when_writing_fails(target: str) -> None:
    def failing() -> Iterator[Batch]:
        yield from Catalogue().drain()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.write(target, failing())
    Catalogue().write(target)
    assert number(target, "vod_movie") == 0


def test_a_file_that_cannot_grow_is_explained_and_removed(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(UserError, match=r"demo\.db cannot be written: "):
            demo(str(tmp_path / "demo.db"), movies=3000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("", "neither a PostgreSQL URL nor a file"),
        ("sqlite:///", "neither a PostgreSQL URL nor a file"),
        ("mysql://root:hush@localhost/x", "neither a PostgreSQL URL nor a file"),
        ("postgresql://root:hush@[bad/x", "neither a PostgreSQL URL nor a file"),
        ("postgresql://root:hush@127.0.0.1:1/x", "cannot be written: .*port 1 failed"),
        ("host=127.0.0.1 port=1 password=hush", "cannot be written: .*port 1 failed"),
        ("/no/such/folder/demo.db", "/no/such/folder/demo.db cannot be created: No such file or directory"),
    ],
)
def test_a_target_that_cannot_be_used_is_explained_without_its_password(bad: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Catalogue().write(bad)
    assert "hush" not in str(caught.value)


def test_a_role_that_may_not_create_tables_is_explained(postgres: PostgresServer) -> None:
    target = postgres.create_role(postgres.new_database())
    with pytest.raises(UserError, match="cannot be written: permission denied for schema public"):
        Catalogue().write(target)


def test_a_sqlite_path_may_be_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given, made in (("a.db", "a.db"), ("sqlite:///b.db", "b.db"), (f"sqlite:///{tmp_path}/c.db", "c.db")):
        Catalogue().write(given)
        assert (tmp_path / made).stat().st_size > 0


# The demo


def demo(target: str, movies: int = 0, series: int = 0, episodes: int = 0, seed: int = 1) -> str:
    write_demo(target, movies=movies, series=series, episodes=episodes, seed=seed)
    return target


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    return demo(f"sqlite:///{tmp_path_factory.mktemp('demo')}/large.db", movies=2000, series=300, episodes=3000)


@pytest.mark.parametrize(
    ("movies", "series", "episodes"), [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, 1), (0, 30, 7), (1003, 25, 1009)]
)
def test_the_demo_has_as_many_rows_as_asked_for(
    new_target: Callable[[], str], movies: int, series: int, episodes: int
) -> None:
    target = demo(new_target(), movies, series, episodes)
    found = tuple(number(target, table) for table in ("vod_movie", "vod_series", "vod_episode"))
    assert found == (movies, series, episodes)


@pytest.mark.parametrize(
    ("movies", "series", "episodes"), [(-1, 0, 0), (0, -1, 0), (0, 1, -1), (0, 0, 5), (10**8, 0, 0), (0, 10**8, 0)]
)
def test_numbers_that_cannot_be_met_are_refused(tmp_path: Path, movies: int, series: int, episodes: int) -> None:
    with pytest.raises(UserError, match=r"demo has 0 to|cannot be spread"):
        demo(str(tmp_path / "demo.db"), movies, series, episodes)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_is_the_same_in_both_databases(postgres: PostgresServer, tmp_path: Path) -> None:
    first = demo(postgres.new_database(), movies=300, series=30, episodes=300)
    second = demo(str(tmp_path / "demo.db"), movies=300, series=30, episodes=300)
    assert every_row(first) == every_row(second)


def test_one_seed_gives_one_demo_and_another_seed_another(tmp_path: Path) -> None:
    first, again, other = (
        every_row(demo(str(tmp_path / f"{n}.db"), movies=120, series=30, episodes=100, seed=seed))
        for n, seed in enumerate((1, 1, 2))
    )
    assert first == again
    for table, column in (("vod_movie", "name"), ("vod_series", "name"), ("vod_episode", "description")):
        assert first[table]
        same = sum(row[column] == theirs[column] for row, theirs in zip(first[table], other[table], strict=True))
        assert same < 20
        assert not {row["uuid"] for row in first[table]} & {row["uuid"] for row in other[table]}


def test_the_demo_is_held_in_memory_by_pieces(tmp_path: Path) -> None:
    def peak(movies: int) -> int:
        tracemalloc.start()
        try:
            demo(str(tmp_path / f"{movies}.db"), movies=movies)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(3000) < 1.3 * peak(1000)


def test_progress_is_told_up_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    write_demo(
        str(tmp_path / "demo.db"),
        movies=2500,
        series=10,
        episodes=50,
        seed=1,
        progress=lambda kind, count: told.append((kind, count)),
    )
    assert told[:2] == [("movies", 500), ("movies", 1000)]
    assert dict(told) == {"movies": 2500, "series": 10, "episodes": 50}


def test_few_items_are_not_eligible(large: str) -> None:
    eligible = """vod_m3u{0}relation r JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id AND a.is_active
        JOIN vod_m3uvodcategoryrelation c ON (c.m3u_account_id, c.category_id) = (r.m3u_account_id, r.category_id)
        WHERE c.enabled"""
    movies, series = (
        {row["id"] for row in query(large, f"SELECT r.{kind}_id AS id FROM {eligible.format(kind)}")}
        for kind in ("movie", "series")
    )
    assert len(movies) == 1980
    assert len(series) == 297
    assert number(large, "vod_movie WHERE is_adult") == 10


def test_about_one_movie_in_seven_is_on_two_accounts(large: str) -> None:
    relations = Counter(row["movie_id"] for row in rows(large, "vod_m3umovierelation"))
    assert 0.12 < Counter(relations.values())[2] / 2000 < 0.18


def test_the_accounts_share_stream_ids_for_different_titles(large: str) -> None:
    shared = (
        "vod_m3umovierelation a JOIN vod_m3umovierelation b USING (stream_id)"
        " WHERE a.m3u_account_id = 1 AND b.m3u_account_id = 2 AND a.movie_id <> b.movie_id"
    )
    assert number(large, shared) > 100


def test_series_have_seasons_some_have_specials_and_some_no_episodes(large: str) -> None:
    episodes = rows(large, "vod_episode")
    seasons = {(row["series_id"], row["season_number"]) for row in episodes}
    with_specials = [series for series, season in seasons if season == 0]
    assert 15 < len(with_specials) < 90
    assert Counter(series for series, _ in seasons).most_common(1)[0][1] > 2
    assert 300 - len({row["series_id"] for row in episodes}) == 25
    for series in {series for series, _ in seasons}:
        numbers = [row["episode_number"] for row in episodes if (row["series_id"], row["season_number"]) == (series, 1)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_demo_looks_like_what_panels_send(large: str) -> None:
    movies = rows(large, "vod_movie")
    described = [row["description"] for row in movies if row["description"]]
    assert all(200 <= len(text) <= 600 for text in described)
    assert len(described) > 1900
    assert 0.75 < sum(row["tmdb_id"] is not None for row in movies) / 2000 < 0.85
    relations = rows(large, "vod_m3umovierelation")
    sizes = [len(json.dumps(row["custom_properties"])) for row in relations]
    assert 800 < sum(sizes) / len(sizes) < 2000
    detailed = [row["custom_properties"]["detailed_info"] for row in relations if row["last_advanced_refresh"]]
    assert 0.25 < len(detailed) / len(relations) < 0.35
    assert all(detail["video"]["width"] and detail["audio"]["channels"] and detail["cast"] for detail in detailed)
    for relation in rows(large, "vod_m3uepisoderelation"):
        entry = relation["custom_properties"]["info"]
        assert (entry["season"], entry["id"]) == (relation["custom_properties"]["season_number"], relation["stream_id"])
        assert entry["info"]["duration_secs"] > 0


@pytest.mark.parametrize(
    "pattern",
    [":", "/", "🎬", "ليلة", r"^.{255}$", r"\w\.\.\.$", r"^\.\.$", r"^\s|\s$", "^EN - ", "^4K-EN - ", r"^\|FR\| "],
)
def test_a_few_names_are_untidy(large: str, pattern: str) -> None:
    assert 0 < sum(bool(re.search(pattern, row["name"])) for row in rows(large, "vod_movie")) < 200


def test_some_names_come_twice(large: str) -> None:
    movies = rows(large, "vod_movie")
    exact = Counter((row["name"], row["year"]) for row in movies if row["year"])
    folded = Counter(name.casefold() for name in {row["name"] for row in movies})
    assert exact.most_common(1)[0][1] == 2
    assert folded.most_common(1)[0][1] == 2
