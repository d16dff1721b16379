"""Renames: who is recognised under new keys, who is another title, and the brake for names."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from libraries import Library
from mounts import command, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.settings import LibrarySettings

JUNK = "HTTP 502 Bad Gateway"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def number_of(number: int) -> str:
    return f"Film {number}"


def films(
    count: int,
    name: Callable[[int], str] = number_of,
    *,
    seed: int = 0,
    columns: Callable[[int], dict[str, Any]] = lambda number: {},
    stream: Callable[[int], str] = str,
    category: str = "",
) -> Catalogue:
    """Movies of one account. Another seed gives other ids and UUIDs."""
    catalogue = Catalogue(seed)
    account = catalogue.account("Alpha")
    in_category = None
    if category:
        in_category = catalogue.category(category, "movie")
        catalogue.enable(account, in_category)
    for number in range(count):
        movie = catalogue.movie(name(number), relations=[], id=seed * 100_000 + number + 1, **columns(number))
        catalogue.relate(movie, account, in_category, stream_id=stream(number))
    return catalogue


def folders(library: Library) -> dict[str, int]:
    """Inodes of the movies' folders by name."""
    return {
        path.removeprefix("Movies/"): entry.inode
        for path, entry in library.tree().items()
        if path.startswith("Movies/") and entry.is_dir
    }


def ids(first: int) -> Callable[[int], dict[str, Any]]:
    return lambda number: {"tmdb_id": str(first + number), "imdb_id": f"tt{first + number:07}"}


def test_stream_ids_given_to_other_films_do_not_make_them_the_same(library: Library) -> None:
    library.show(films(100, columns=ids(1)))
    before = folders(library)
    outcome = library.show(films(100, lambda number: f"Other {number}", seed=1, columns=ids(5001)))
    assert outcome.held == 100
    assert folders(library).items() >= before.items()
    assert len(folders(library)) == 200


@pytest.mark.parametrize("key", ["tmdb_id", "imdb_id"])
def test_one_id_that_differs_is_enough(library: Library, key: str) -> None:
    def columns(first: int) -> Callable[[int], dict[str, Any]]:
        return lambda number: {key: ids(first)(number)[key]}

    library.show(films(100, columns=columns(1)))
    before = folders(library)
    assert library.show(films(100, lambda number: f"Other {number}", seed=1, columns=columns(5001))).held == 100
    assert folders(library).items() >= before.items()


def test_a_film_that_takes_over_a_stream_id_gets_an_inode_of_its_own(library: Library) -> None:
    library.show(films(3, columns=ids(1)))
    before = folders(library)
    outcome = library.show(partly_replaced(3, 1))
    assert outcome.held == 0
    assert folders(library).keys() == {"Other 0", "Film 1", "Film 2"}
    assert folders(library)["Other 0"] not in before.values()


def partly_replaced(count: int, others: int) -> Catalogue:
    """Films made anew, the first of which are others under the same stream ids."""
    return films(
        count,
        lambda number: f"Other {number}" if number < others else f"Film {number}",
        seed=1,
        columns=lambda number: ids(5001 if number < others else 1)(number),
    )


@pytest.mark.parametrize(("count", "others"), [(1, 1), (2, 2), (20, 20), (20, 11), (39, 20)])
def test_a_small_library_of_which_most_becomes_other_films_is_held(library: Library, count: int, others: int) -> None:
    library.show(films(count, columns=ids(1)))
    before = folders(library)
    for _ in range(2):
        assert library.show(partly_replaced(count, others)).held == others
        assert folders(library).items() >= before.items()
    [held] = library.sync(library.last_url).kept
    assert (held.number, held.limit) == (others, "other titles have their stream ids")
    assert library.sync(library.last_url, accept_shrink=True).held == 0
    assert len(folders(library)) == count


@pytest.mark.parametrize(("count", "others"), [(2, 1), (10, 2), (20, 10), (100, 20)])
def test_some_other_films_under_the_stream_ids_of_old_ones_are_everyday(
    library: Library, count: int, others: int
) -> None:
    library.show(films(count, columns=ids(1)))
    assert library.show(partly_replaced(count, others)).held == 0
    assert folders(library).keys() == {
        *(f"Other {number}" for number in range(others)),
        *(f"Film {number}" for number in range(others, count)),
    }


def test_what_else_arrives_makes_no_room_for_a_small_library_to_go(library: Library) -> None:
    library.show(films(10, columns=ids(1)))
    before = folders(library)
    for count in (200, 300):
        assert library.show(films(count, lambda number: f"Other {number}", seed=1, columns=ids(5001))).held == 10
        assert folders(library).items() >= before.items()


@pytest.mark.parametrize("corrected", [{"tmdb_id": "777"}, {"imdb_id": "tt0000777"}], ids=str)
def test_a_film_with_one_corrected_id_is_the_same(library: Library, corrected: dict[str, Any]) -> None:
    """Under a new stream id and name, for the other id."""

    def columns(number: int) -> dict[str, Any]:
        return ids(1)(number) | corrected

    library.show(films(1, columns=ids(1)))
    [before] = folders(library).values()
    library.show(films(1, lambda _: "Another name", seed=1, columns=columns, stream=lambda _: "9"))
    assert folders(library) == {"Another name": before}


def test_a_film_with_all_ids_corrected_is_the_same_under_its_stream_and_name(library: Library) -> None:
    """Dispatcharr makes a new row for another TMDB id, and gives it the relation."""
    library.show(films(50, columns=ids(1)))
    before = folders(library)
    outcome = library.show(films(50, seed=1, columns=ids(5001)))
    assert (outcome.held, outcome.counts["movie", "changed"]) == (0, 50)
    assert folders(library) == before


@pytest.mark.parametrize("columns", [lambda number: {}, ids(1)], ids=["without ids", "with ids"])
def test_stream_ids_that_the_panel_deals_out_anew_rename_nothing(
    library: Library, columns: Callable[[int], dict[str, Any]]
) -> None:
    """Under new rows, the films of a catalogue have each other's stream ids: the names tell who is who."""
    library.show(films(50, columns=columns))
    before = library.tree()
    outcome = library.show(films(50, seed=1, columns=columns, stream=lambda number: str((number + 1) % 50)))
    assert outcome.held == 0
    assert {path: entry.inode for path, entry in library.tree().items() if entry.is_dir} == {
        path: entry.inode for path, entry in before.items() if entry.is_dir
    }


def test_films_of_one_name_with_other_ids_are_others(library: Library) -> None:
    library.show(films(1, columns=ids(1)))
    before = folders(library)
    library.show(films(1, seed=1, columns=ids(5001), stream=lambda _: "other"))
    assert folders(library).keys() == before.keys()
    assert folders(library) != before


def test_of_two_of_one_name_that_arrive_none_is_lost(library: Library) -> None:
    apart = LibrarySettings(merge="off")
    library.show(films(2, lambda number: "Heat" if number else "Other", columns=lambda _: {"year": 1995}), apart)
    columns: list[dict[str, Any]] = [{"year": 1995}, {"year": 1995, "tmdb_id": "1"}, {"year": 1995}]
    names = ["Other", "Heat", "Heat"]
    library.show(films(3, lambda n: names[n], seed=1, columns=lambda n: columns[n], stream=lambda n: f"new {n}"), apart)
    assert len(folders(library)) == 3


def series(episodes: int, *, seed: int = 0, tmdb: str = "1", title: str = "Show", part: str = "Part") -> Catalogue:
    catalogue = Catalogue(seed)
    account = catalogue.account("Alpha")
    first = seed * 100_000
    show = catalogue.series(title, id=first + 1, tmdb_id=tmdb, relations=[])
    catalogue.relate(show, account, external_series_id="5")
    for number in range(1, episodes + 1):
        episode = catalogue.episode(show, 1, number, f"{part} {number}", id=first + number, relations=[])
        catalogue.relate(episode, account, stream_id=str(number))
    return catalogue


@pytest.mark.parametrize("episodes", [30, 3])
def test_episodes_of_another_series_under_the_same_stream_ids_are_others(library: Library, episodes: int) -> None:
    library.show(series(episodes))
    before = library.tree()
    assert library.show(series(episodes, seed=1, tmdb="2", title="Another")).held == episodes
    after = library.tree()
    assert {path: entry.inode for path, entry in before.items()}.items() <= {
        path: entry.inode for path, entry in after.items()
    }.items()
    assert sum(path.startswith("TV/Another/") and path.endswith(".strm") for path in after) == episodes


def test_a_version_stays_with_its_movie_when_another_film_gets_its_stream(library: Library) -> None:
    every = LibrarySettings(versions="all")
    library.show(films(30, columns=ids(1)), every)
    before = library.paths()
    library.show(films(30, lambda number: f"Other {number}", seed=1, columns=ids(5001)), every)
    assert {path for path in before if path.endswith(".strm")} <= set(library.paths())


def junk(number: int) -> str:
    return JUNK


def numbered_junk(number: int) -> str:
    return f"{JUNK} {number}"


@pytest.mark.parametrize("name", [junk, numbered_junk])
@pytest.mark.parametrize("seed", [0, 1], ids=["same rows", "new rows"])
def test_names_replaced_by_junk_are_held_until_they_are_back(
    library: Library, name: Callable[[int], str], seed: int
) -> None:
    library.show(films(100))
    before, contents = library.tree(), library.files()
    outcome = library.show(films(100, name, seed=seed))
    assert outcome.held == 100
    assert outcome.counts["movie", "not_renamed"] == 100
    assert library.metrics()["index.movies_not_renamed"] == "100"
    assert library.paths() == sorted(before)
    for path, content in library.files().items():
        assert seed or (library.tree()[path], content) == (before[path], contents[path])
        assert content == contents[path] or path.endswith(".strm")
    generation = library.sync(library.last_url).generation
    assert generation == outcome.generation
    assert library.sync(library.last_url).held == 100
    assert library.show(films(100, seed=seed)).held == 0
    assert library.paths() == sorted(before)
    assert library.metrics()["index.movies_not_renamed"] == "0"
    if not seed:
        assert (library.tree(), library.files()) == (before, contents)


def test_names_that_are_held_can_be_accepted(library: Library) -> None:
    library.show(films(100))
    before = folders(library)
    library.show(films(100, numbered_junk))
    assert library.sync(library.last_url, accept_shrink=True).held == 0
    after = folders(library)
    assert set(after) == {numbered_junk(number) for number in range(100)}
    assert sorted(after.values()) == sorted(before.values())
    assert library.sync(library.last_url).held == 0


def test_few_renames_pass(library: Library) -> None:
    library.show(films(100))
    assert library.show(films(100, lambda number: number_of(number) + "!" * (number < 20))).held == 0
    assert sum(name.endswith("!") for name in folders(library)) == 20


def test_renames_are_counted_over_a_day(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatcharr writes a refresh in batches, and a mount looks in between."""
    now = 1_800_000_000 * 10**9
    monkeypatch.setattr("vod2strmfs.sync.run.time.time_ns", lambda: now)

    def first(junk: int) -> Catalogue:
        return films(200, lambda number: numbered_junk(number) if number < junk else number_of(number))

    library.show(first(0))
    for count, held in ((20, 0), (40, 0), (60, 20), (80, 40)):
        now += 60 * 10**9
        assert library.show(first(count)).held == held
    assert sum(name.startswith(JUNK) for name in folders(library)) == 40
    now += 60 * 10**9
    # The old names come back by themselves, those that had been let through included.
    assert library.show(first(0)).held == 0
    assert set(folders(library)) == {number_of(number) for number in range(200)}
    now += 60 * 10**9
    assert library.show(first(40)).held == 0
    now += 25 * 3600 * 10**9
    assert library.show(first(80)).held == 0


def test_names_that_are_held_for_the_days_total_go_after_the_day(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000 * 10**9
    monkeypatch.setattr("vod2strmfs.sync.run.time.time_ns", lambda: now)

    def first(junk: int) -> Catalogue:
        return films(200, lambda number: numbered_junk(number) if number < junk else number_of(number))

    library.show(first(0))
    assert library.show(first(30)).held == 0
    now += 3600 * 10**9
    assert library.show(first(60)).held == 30
    now += 25 * 3600 * 10**9
    assert library.sync(library.last_url, patient=True).held == 0
    assert sum(name.startswith(JUNK) for name in folders(library)) == 60


@pytest.mark.parametrize(
    "other",
    [{"clean_titles": False}, {"folder_ids": "jellyfin"}, {"name_regex": "Film"}, {"group_by": "category"}],
    ids=str,
)
def test_other_settings_rename_freely(library: Library, other: dict[str, Any]) -> None:
    def name(number: int) -> str:
        return f"EN - Film {number}"

    library.show(films(100, name, columns=ids(1), category="Drama"))
    before = library.paths()
    assert (
        library.show(films(100, name, columns=ids(1), category="Drama"), LibrarySettings.model_validate(other)).held
        == 0
    )
    assert library.paths() != before


def test_another_version_of_the_program_renames_freely(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.show(films(100))
    monkeypatch.setattr("vod2strmfs.sync.run.__version__", "0.0.0")
    assert library.show(films(100, numbered_junk)).held == 0


@pytest.mark.parametrize(
    "other",
    [{"base_url": "http://x.example:1"}, {"folder_ids": "jellyfin"}, {"versions": "all"}, {"group_by": "category"}],
    ids=str,
)
def test_names_that_are_held_stay_so_under_other_settings(tmp_path: Path, other: dict[str, Any]) -> None:
    """What is held follows the settings, and the junk waits on."""
    (tmp_path / "held").mkdir()
    (tmp_path / "fresh").mkdir()
    held, fresh = Library(tmp_path / "held"), Library(tmp_path / "fresh")
    after = LibrarySettings.model_validate(other)
    fresh.show(films(100, columns=ids(1), category="Drama"), after)
    held.show(films(100, columns=ids(1), category="Drama"))
    assert held.show(films(100, junk, columns=ids(1), category="Drama")).held == 100
    assert held.show(films(100, junk, columns=ids(1), category="Drama"), after).held == 100
    assert held.files() == fresh.files()
    assert held.show(films(100, columns=ids(1), category="Drama"), after).held == 0
    assert held.files() == fresh.files()


def test_titles_that_move_to_another_category_are_held_too(library: Library) -> None:
    grouped = LibrarySettings(group_by="category")
    library.show(films(100, category="Drama"), grouped)
    before = library.files()
    assert library.show(films(100, category=JUNK), grouped).held == 100
    assert library.files() == before
    assert library.show(films(100, category=JUNK)).held == 0  # other settings


def test_names_that_are_held_and_then_gone_are_held_as_gone(library: Library) -> None:
    library.show(films(100))
    before = library.files()
    library.show(films(100, numbered_junk))
    outcome = library.show(films(30, numbered_junk))
    assert (outcome.counts["movie", "held"], outcome.counts["movie", "not_renamed"]) == (70, 30)
    assert library.files() == before
    # Back again, still with junk for names.
    assert library.show(films(100, numbered_junk)).counts["movie", "not_renamed"] == 100
    assert library.files() == before


@pytest.mark.parametrize("seed", [0, 1], ids=["same rows", "new rows"])
def test_series_and_episodes_have_limits_of_their_own(library: Library, seed: int) -> None:
    def shows(title: str, part: str, seed: int = 0) -> Catalogue:
        catalogue = Catalogue(seed)
        account = catalogue.account("Alpha")
        first = seed * 100_000
        for number in range(30):
            show = catalogue.series(f"{title} {number}", id=first + number + 1, relations=[])
            catalogue.relate(show, account, external_series_id=str(number))
            for episode in range(2):
                columns = {"id": first + number * 2 + episode + 1}
                made = catalogue.episode(show, 1, episode, f"{part} {episode}", relations=[], **columns)
                catalogue.relate(made, account, stream_id=str(number * 2 + episode))
        return catalogue

    library.show(shows("Show", "Part"))
    before = library.paths()
    outcome = library.show(shows(JUNK, "Part", seed))
    assert (outcome.counts["series", "not_renamed"], outcome.held) == (30, 30)
    assert library.paths() == before
    outcome = library.show(shows(JUNK, JUNK, seed))
    assert (outcome.counts["series", "not_renamed"], outcome.counts["episode", "not_renamed"]) == (30, 60)
    assert library.paths() == before
    assert library.metrics()["index.series_not_renamed"] == "30"
    assert library.metrics()["index.episodes_not_renamed"] == "60"
    assert library.show(shows("Show", "Part", seed)).held == 0
    assert library.paths() == before


def test_series_that_nobody_sees_are_renamed_freely(library: Library) -> None:
    def shows(title: str) -> Catalogue:
        catalogue = series(2)
        for number in range(60):
            catalogue.series(f"{title} {number}", id=100 + number)
        return catalogue

    library.show(shows("Waiting"))
    assert library.show(shows(JUNK)).held == 0


def test_junk_names_do_not_reach_a_mount(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films(100, columns=ids(1)))
    with mounted(tmp_path, database.url) as mount:
        movies = mount.path / "Movies"
        before = {name: os.stat(movies / name).st_ino for name in os.listdir(movies)}
        database.execute("CREATE TABLE kept AS SELECT id, name FROM vod_movie")
        database.execute(f"UPDATE vod_movie SET name = '{JUNK}'")
        eventually(lambda: mount.stat("movies_not_renamed") == "100")
        assert {name: os.stat(movies / name).st_ino for name in os.listdir(movies)} == before
        # The worker says it once the generation is there to be seen.
        eventually(lambda: "100 of 100 movies have another name" in mount.log.read_text())
        status = subprocess.run(
            command("status", "--state-dir", tmp_path / "state"), capture_output=True, text=True, check=False
        )
        assert status.returncode == Exit.SHRINK
        assert "If the new names are right, run `vod2strmfs sync --accept-shrink" in status.stderr
        database.execute("UPDATE vod_movie SET name = (SELECT name FROM kept WHERE kept.id = vod_movie.id)")
        eventually(lambda: mount.stat("movies_not_renamed") == "0")
        assert {name: os.stat(movies / name).st_ino for name in os.listdir(movies)} == before


def test_a_refresh_that_makes_other_films_of_all_rows_replaces_none(postgres: PostgresServer, tmp_path: Path) -> None:
    """The relations keep account and stream id."""
    database = Database(postgres.new_database()).fill(films(100, columns=ids(1)))
    library = Library(tmp_path)
    library.sync(database.url)
    before = folders(library)
    database.execute("ALTER TABLE vod_m3umovierelation DISABLE TRIGGER ALL")
    database.execute("ALTER TABLE vod_movie DISABLE TRIGGER ALL")
    database.execute(
        "UPDATE vod_movie SET id = id + 5000, uuid = gen_random_uuid(), name = 'Other ' || id, year = 1980,"
        " tmdb_id = tmdb_id::int + 5000, imdb_id = 'tt99' || id"
    )
    database.execute("UPDATE vod_m3umovierelation SET movie_id = movie_id + 5000")
    assert library.sync(database.url).held == 100
    assert folders(library).items() >= before.items()
