"""Dispatcharr's refreshes, on PostgreSQL: what they touch without changing anything makes no generation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from libraries import Library
from postgres_server import PostgresServer

from vod2strmfs.catalog.postgresql import PostgreSQLSnapshot
from vod2strmfs.catalog.queries import Kind, Part
from vod2strmfs.catalog.source import Row
from vod2strmfs.demo.catalogue import Catalogue

PLOT = "A thief and a detective have coffee."


def catalogue() -> Catalogue:
    """A movie and a series that two accounts have; what the chosen one says of them is in its relation."""
    made = Catalogue()
    chosen, other = made.account("Alpha", priority=9), made.account("Beta")
    logo = made.logo("http://alpha.example/heat.jpg")
    made.logo("http://beta.example/heat.jpg")
    movie = made.movie("Heat", year=1995, tmdb_id="949", rating="8.2", logo_id=logo.id, relations=[])
    entry = {"plot": PLOT, "rating": "8.2", "stream_icon": logo.url, "added": "1700000000"}
    made.relate(movie, chosen, custom_properties={"basic_data": entry})
    made.relate(movie, other, custom_properties={"basic_data": {"rating": "3"}})
    series = made.series("Lost", year=2004, rating="7.5", custom_properties={"cast": "Alpha's"}, relations=[])
    entry = {"plot": PLOT, "rating": "7.5", "cover": logo.url, "cast": "Evangeline Lilly", "director": "Jack Bender",
             "releaseDate": "2004-09-22", "episode_run_time": "45", "backdrop_path": [logo.url]}  # fmt: skip
    made.relate(series, chosen, custom_properties={"basic_data": entry})
    made.relate(series, other)
    episode = made.episode(series, 1, 1, "Pilot", rating="7", air_date="2004-09-22", duration_secs=2520, relations=[])
    detail = {"plot": PLOT, "rating": "7", "releasedate": "2004-09-22", "duration_secs": 2520, "tmdb_id": "333"}
    made.relate(episode, chosen, custom_properties={"info": {"title": "Pilot", "info": detail}})
    made.relate(episode, other)
    return made


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    return Database(postgres.new_database()).fill(catalogue())


@pytest.fixture
def library(tmp_path: Path, database: Database) -> Library:
    library = Library(tmp_path)
    assert library.sync(database.url).generation == 1
    return library


@pytest.fixture
def rows_read(library: Library, monkeypatch: pytest.MonkeyPatch) -> list[Kind]:
    """The kinds whose rows were read since the first sync."""
    kinds: list[Kind] = []
    read = PostgreSQLSnapshot.rows

    def spy(snapshot: PostgreSQLSnapshot, kind: Kind, part: Part | None = None) -> Iterator[Row]:
        kinds.append(kind)
        return read(snapshot, kind, part)

    monkeypatch.setattr(PostgreSQLSnapshot, "rows", spy)
    return kinds


def test_a_refresh_that_only_looks_changes_nothing_and_no_row_is_read(
    library: Library, database: Database, rows_read: list[Kind]
) -> None:
    before = library.tree()
    for kind in ("movie", "series", "episode"):
        database.execute(f"UPDATE vod_m3u{kind}relation SET last_seen = now(), updated_at = now()")
        database.execute(f"UPDATE vod_{kind} SET updated_at = now()")
    outcome = library.sync(database.url)
    assert (outcome.generation, outcome.changed) == (1, False)
    assert library.tree() == before
    assert rows_read == []


@pytest.mark.parametrize(
    ("statement", "parameter", "kind"),
    [
        ("UPDATE vod_movie SET rating = ?", "3", "movie"),
        ("UPDATE vod_movie SET logo_id = ?", 2, "movie"),
        ("UPDATE vod_movie SET description = ?", "Another account's words.", "movie"),
        ("UPDATE vod_series SET rating = ?", "3", "series"),
        ("UPDATE vod_series SET custom_properties = ?", '{"cast": "Beta\'s", "release_date": "2005-01-01"}', "series"),
        ("UPDATE vod_episode SET name = ?", "EN - Lost - S01E01", "episode"),
        ("UPDATE vod_episode SET description = ?", "Another account's words.", "episode"),
        ("UPDATE vod_episode SET rating = ?", "3", "episode"),
        ("UPDATE vod_episode SET air_date = ?", "2005-01-01", "episode"),
        ("UPDATE vod_episode SET duration_secs = ?", 60, "episode"),
        ("UPDATE vod_episode SET tmdb_id = ?", "444", "episode"),
    ],
)
def test_a_shared_row_with_another_accounts_values_changes_nothing(
    library: Library, database: Database, rows_read: list[Kind], statement: str, parameter: Any, kind: Kind
) -> None:
    before, contents = library.tree(), library.files()
    database.execute(statement, parameter)
    outcome = library.sync(database.url)
    assert (outcome.generation, outcome.changed) == (1, False)
    assert (library.tree(), library.files()) == (before, contents)
    assert rows_read == [kind]


def test_what_the_chosen_relation_says_counts(library: Library, database: Database) -> None:
    database.execute(
        "UPDATE vod_m3umovierelation SET custom_properties = jsonb_set(custom_properties, '{basic_data,rating}', ?)"
        " WHERE id = 1", "9.1",
    )  # fmt: skip
    assert library.sync(database.url).generation == 2
    assert b"<rating>9.1</rating>" in library.files()["Movies/Heat (1995)/movie.nfo"]
