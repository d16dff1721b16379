"""What happens to a title happens to its versions or episodes, though nothing of it is in their rows: only those are
read anew."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import everyday
import pytest
from databases import Database, reader_url
from everyday import Chance, Event, Rows
from libraries import Library
from postgres_server import PostgresServer

from vod2strmfs.catalog.postgresql import PostgreSQLSnapshot
from vod2strmfs.catalog.queries import Kind, Part
from vod2strmfs.catalog.source import Row
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings

EPISODES = 6
SERIES = 30


def catalogue() -> Catalogue:
    """Series whose episodes are called by their names as well."""
    made = Catalogue()
    accounts = made.account("Alpha"), made.account("Beta")
    category, other = made.category("Drama", "series"), made.category("Crime", "series")
    for account in accounts:
        made.enable(account, category)
        made.enable(account, other)
    for film in ("Heat", "Ronin", "Solaris"):
        made.movie(film)
    for number in range(SERIES):
        series = made.series(f"Show {number}", category=category)
        for episode in range(EPISODES):
            made.episode(series, 1, episode, f"Show {number} - S01E{episode:02} - Part {episode}")
    return made


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    return Database(postgres.new_database()).fill(catalogue())


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the episodes that were read."""
    ids: list[int] = []
    rows = PostgreSQLSnapshot.rows

    def spy(snapshot: PostgreSQLSnapshot, kind: Kind, part: Part | None = None) -> Iterator[Row]:
        for row in rows(snapshot, kind, part):
            if kind == "episode":
                ids.append(row.id)
            yield row

    monkeypatch.setattr(PostgreSQLSnapshot, "rows", spy)
    return ids


def of(*series: int) -> list[int]:
    """The ids of the episodes of series, which are given by their ids."""
    return [(number - 1) * EPISODES + episode for number in series for episode in range(1, EPISODES + 1)]


@pytest.mark.parametrize(
    ("statement", "series"),
    [
        ("UPDATE vod_series SET name = 'Lost' WHERE id = 7", (7,)),
        # Its folder is called the same.
        ("UPDATE vod_series SET name = 'Show: 7' WHERE id = 7", (7,)),
        ("UPDATE vod_series SET name = 'Show ' || (14 - id) WHERE id IN (4, 12)", (4, 12)),
        ("UPDATE vod_series SET year = 2004 WHERE id = 7", ()),
        ("UPDATE vod_series SET description = 'Somewhere.' WHERE id = 7", ()),
        ("UPDATE vod_m3useriesrelation SET category_id = NULL WHERE series_id = 7", ()),
        ("UPDATE vod_series SET name = 'FR - Show 6' WHERE id = 7", (7,)),
    ],
)
def test_only_the_episodes_of_series_that_lead_them_elsewhere_are_read(
    library: Library, database: Database, read: list[int], statement: str, series: tuple[int, ...]
) -> None:
    settings = LibrarySettings(languages=("!FR",))
    library.sync(database.url, settings)
    read.clear()
    database.execute(statement)
    assert library.sync(database.url, settings).changed
    assert read == of(*series)


def test_what_is_held_is_not_read_at_every_look(library: Library, database: Database, read: list[int]) -> None:
    settings = LibrarySettings(languages=("!FR",))
    library.sync(database.url, settings)
    database.execute(f"UPDATE vod_series SET name = 'FR - ' || name WHERE id <= {SERIES // 2}")
    outcome = library.sync(database.url, settings)
    assert outcome.held
    read.clear()
    database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
    assert library.sync(database.url, settings).changed
    assert read == []
    library.sync(database.url, settings, accept_shrink=True)
    assert library.metrics()["index.episodes"] == str((SERIES - SERIES // 2) * EPISODES)


def test_episodes_are_back_with_a_series_that_comes_back_under_a_name_that_is_held(
    library: Library, database: Database
) -> None:
    settings = LibrarySettings(languages=("!FR",))
    library.sync(database.url, settings)
    before = library.paths()
    for name in ("'FR - ' || name", "replace(name, 'FR - ', 'Other ')", "replace(name, 'Other ', '')"):
        database.execute(f"UPDATE vod_series SET name = {name} WHERE id <= {SERIES - 5}")
        assert library.sync(database.url, settings).changed
    assert library.metrics()["index.episodes_held"] == "0"
    library.sync(database.url, settings, accept_shrink=True)
    assert library.paths() == before


@pytest.mark.parametrize("merge", ["off", "titles"])
def test_versions_go_and_come_with_their_movie_though_their_rows_are_as_they_were(
    library: Library, database: Database, merge: str
) -> None:
    settings = LibrarySettings.model_validate({"languages": ("!FR",), "versions": "all", "merge": merge})
    library.sync(database.url, settings)
    before = library.paths()
    assert "Movies/Heat/Heat - Alpha.strm" in before
    database.execute("UPDATE vod_movie SET name = 'FR - Heat' WHERE id = 1")
    library.sync(database.url, settings)
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        assert index.execute("SELECT count(*) FROM content WHERE kind = ?", (NodeKind.VERSION,)).fetchone() == (2,)
    database.execute("UPDATE vod_movie SET name = 'Heat' WHERE id = 1")
    library.sync(database.url, settings)
    assert library.paths() == before


@pytest.mark.parametrize("most", ["_MOST_TITLES", "_MOST_ALONE"])
def test_where_many_series_change_all_episodes_are_read(
    library: Library, database: Database, read: list[int], monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    monkeypatch.setattr(f"vod2strmfs.sync.intake.{most}", SERIES // 2 - 1)
    library.sync(database.url)
    read.clear()
    database.execute("UPDATE vod_series SET name = 'Other ' || id WHERE mod(id, 2) = 0")
    library.sync(database.url, max_shrink=100)
    assert read == of(*range(1, SERIES + 1))


def test_without_filters_new_series_are_no_reason_to_read_more_episodes_than_theirs(
    library: Library, database: Database, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vod2strmfs.sync.intake._MOST_TITLES", 0)
    library.sync(database.url)
    read.clear()
    database.execute(
        "WITH made AS (INSERT INTO vod_series (uuid, name, created_at, updated_at)"
        " VALUES (gen_random_uuid(), 'Lost', now(), now()) RETURNING id)"
        " INSERT INTO vod_m3useriesrelation"
        " (m3u_account_id, series_id, external_series_id, created_at, updated_at, last_seen)"
        " SELECT 1, id, 'lost', now(), now(), now() FROM made"
    )
    assert library.sync(database.url).changed
    assert library.metrics()["index.series_without_episodes"] == "1"
    assert read == []


def test_rows_in_many_places_are_read_at_once(postgres: PostgresServer, library: Library) -> None:
    url, films = postgres.new_database(), 1_100
    made = Catalogue()
    for _ in range(films):
        made.movie("Heat")
    made.write(url)
    database = Database(url)
    with closing(Rows(url)) as rows:
        assert rows.run(
            "SET CONSTRAINTS ALL DEFERRED",
            "UPDATE vod_m3umovierelation SET movie_id = movie_id * 2048",
            "UPDATE vod_movie SET id = id * 2048",
        )
    library.sync(reader_url(url))
    database.execute("UPDATE vod_movie SET description = 'Coffee.'")
    assert library.sync(reader_url(url)).changed
    nfos = [content for path, content in library.files().items() if path.endswith("movie.nfo")]
    assert len(nfos) == films
    assert all(b"Coffee." in nfo for nfo in nfos)


def called_by_series(rows: Rows, chance: Chance) -> str:
    """The episodes of a series are called by the name of one."""
    series, other = rows.one(chance, "vod_series"), rows.one(chance, "vod_series")
    before, after = chance.choice(((" - S01E0", " - Part"), (" (S01E0", ")")))
    rows.run(
        f"UPDATE vod_episode SET name = o.name || '{before}' || episode_number || '{after}'"
        f" FROM (SELECT name FROM vod_series WHERE id = {other}) o WHERE series_id = {series}"
    )
    return f"the episodes of series {series} are called by {other}"


def renamed(rows: Rows, chance: Chance) -> str:
    """A series gets another name, or a mark before it, or a year."""
    series = rows.one(chance, "vod_series")
    what = chance.choice(
        (f"name = '{chance.choice(('Lost', 'Show 3', 'Show', 'Heat'))}'", "name = 'FR - ' || name",
         "name = regexp_replace(name, '^.* - ', '')", "year = 1990", "year = 2004", "description = 'Text.'")
    )  # fmt: skip
    return f"series {series}: {what}: {rows.run(f'UPDATE vod_series SET {what} WHERE id = {series}')}"


def exchanged(rows: Rows, chance: Chance) -> str:
    """Two series exchange names, and with them perhaps their years."""
    one, other = rows.one(chance, "vod_series"), rows.one(chance, "vod_series")
    columns = chance.choice(("name", "name, year"))
    done = rows.run(
        "CREATE TEMPORARY TABLE taken ON COMMIT DROP AS"
        f" SELECT {one + other} - id AS id, {columns} FROM vod_series WHERE id IN ({one}, {other})",
        f"UPDATE vod_series s SET ({columns}) = (SELECT {columns} FROM taken WHERE taken.id = s.id)"
        f" WHERE id IN ({one}, {other})",
    )
    return f"series {one} and {other} exchange {columns}: {done}"


def moved(rows: Rows, chance: Chance) -> str:
    """A series goes to another category, or to another account."""
    relation = rows.one(chance, "vod_m3useriesrelation")
    column, of = chance.choice((("category_id", "vod_vodcategory"), ("m3u_account_id", "m3u_m3uaccount")))
    to = rows.one(chance, of, "category_type = 'series'" if column == "category_id" else "true")
    done = rows.run(f"UPDATE vod_m3useriesrelation SET {column} = {to} WHERE id = {relation}")
    return f"series relation {relation}: {column} = {to}: {done}"


_OF_SERIES = {
    "vod_series": "id = {0}",
    "vod_m3useriesrelation": "series_id = {0}",
    "vod_episode": "series_id = {0}",
    "vod_m3uepisoderelation": "episode_id IN (SELECT id FROM vod_episode WHERE series_id = {0})",
}
"""The rows of a series, by their tables; each refers to those before it."""


def gone_or_back(rows: Rows, chance: Chance) -> str:
    """A series goes with all that belongs to it, or the one that is gone is back, perhaps under another id."""
    for table in _OF_SERIES:
        rows.run(f"CREATE TABLE IF NOT EXISTS away_{table} (LIKE {table})")
    if rows.ids("away_vod_series"):
        by = chance.choice((0, 1000))
        uuid = ", uuid = gen_random_uuid()" if by else ""
        done = rows.run(
            f"UPDATE away_vod_series SET id = id + {by}{uuid}",
            f"UPDATE away_vod_m3useriesrelation SET series_id = series_id + {by}",
            f"UPDATE away_vod_episode SET series_id = series_id + {by}{uuid}",
            *(f"INSERT INTO {table} SELECT * FROM away_{table}" for table in _OF_SERIES),
            *(f"DELETE FROM away_{table}" for table in _OF_SERIES),
        )
        return f"what was gone is back, its id is {by} more: {done}"
    series = rows.one(chance, "vod_series")
    which = {table: condition.format(series) for table, condition in _OF_SERIES.items()}
    done = rows.run(
        *(f"INSERT INTO away_{table} SELECT * FROM {table} WHERE {where}" for table, where in which.items()),
        *(f"DELETE FROM {table} WHERE {where}" for table, where in reversed(which.items())),
    )
    return f"series {series} goes: {done}"


EVENTS: tuple[Event, ...] = (
    called_by_series, renamed, renamed, renamed, exchanged, exchanged, moved, gone_or_back, gone_or_back,
    everyday.rekeyed, everyday.switched, everyday.relation_comes, everyday.relation_goes, everyday.episode_comes,
)  # fmt: skip
SETTINGS: tuple[dict[str, Any], ...] = (
    {"merge": "titles", "languages": ("!FR",)},
    {"merge": "titles", "versions": "all"},
    {"merge": "off", "years": "-2003"},
    {"merge": "titles", "prefer_languages": ("FR",)},
    {"merge": "titles", "categories": ("!Crime",)},
)


def test_the_index_is_as_if_all_episodes_had_been_read(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soak: bool
) -> None:
    for number, chosen in enumerate(SETTINGS if soak else SETTINGS[:2]):
        (folder := tmp_path / str(number)).mkdir()
        live(postgres, folder, monkeypatch, LibrarySettings.model_validate(chosen), 120 if soak else 10)


def live(
    postgres: PostgresServer, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: LibrarySettings, events: int
) -> None:
    """Have two libraries follow the same events, of which one reads all episodes at each look."""
    url = postgres.new_database()
    catalogue().write(url)
    reader = reader_url(url)
    libraries = {folder / "some": 1_000, folder / "all": -1}
    chance = random.Random(str(settings.model_dump(exclude_defaults=True)))
    story: list[str] = []
    with closing(Rows(url)) as rows:
        for _ in range(events):
            for place, most in libraries.items():
                monkeypatch.setattr("vod2strmfs.sync.intake._MOST_TITLES", most)
                place.mkdir(exist_ok=True)
                with suppress(CatalogError):
                    Library(place).sync(reader, settings, accept_shrink=True)
            some, every = (contents(Library(place)) for place in libraries)
            assert some == every, "\n".join(story)
            story.append(chance.choice(EVENTS)(rows, chance))


def contents(library: Library) -> list[list[Any]]:
    """All that an index says of the tree but for times."""
    queries = (
        "SELECT id, kind, parent, name, alias, strm_hash, nfo_hash, held FROM node ORDER BY id",
        "SELECT id, source, uuid, account, stream, tmdb, imdb, item FROM content ORDER BY id",
        "SELECT node, host FROM joined ORDER BY node",
        "SELECT node, name FROM title ORDER BY node",
        "SELECT kind, source, setting, title FROM filtered ORDER BY kind, source",
    )
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        return [index.execute(query).fetchall() for query in queries]
