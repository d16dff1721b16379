"""The shrink brake, and what it makes of the refreshes that delete rows and make them again."""

import random
import subprocess
from collections.abc import Set
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from databases import Database
from hypothesis import example, given, settings
from hypothesis import strategies as st
from libraries import Library
from mounts import command, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.postgresql import PostgreSQLSnapshot
from vod2strmfs.catalog.queries import Kind
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_INODE
from vod2strmfs.library.tree import Entry, Tree
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.shrink import MIN_ITEMS
from vod2strmfs.sync.run import sync

HOUR = 3600 * 10**9


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


class Clock:
    """The time that syncs take to be now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000 * 10**9
        monkeypatch.setattr("vod2strmfs.sync.run.time.time_ns", lambda: self.now)

    def passes(self, hours: float) -> None:
        self.now += int(hours * HOUR)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def films(streams: range | set[int], seed: int = 0) -> Catalogue:
    """Movies of one account, named after their stream ids; another seed gives other ids and UUIDs."""
    catalogue = Catalogue(seed)
    account = catalogue.account("Alpha")
    for stream in sorted(streams):
        movie = catalogue.movie(f"Film {stream}", relations=[], id=seed * 100_000 + stream + 1)
        catalogue.relate(movie, account, stream_id=str(stream))
    return catalogue


def shown(library: Library) -> int:
    return sum(path.endswith(".strm") for path in library.paths())


def test_a_loss_of_a_little_again_and_again_is_stopped(library: Library, clock: Clock) -> None:
    left = 1000
    library.show(films(range(left)))
    for _ in range(10):
        clock.passes(1)
        left = left * 81 // 100
        outcome = library.show(films(range(left)))
    assert outcome.held == 810 - left
    assert shown(library) == 810


def test_a_slow_turnover_is_not_held(library: Library, clock: Clock) -> None:
    first = 0
    library.show(films(range(300)))
    for _ in range(10):
        clock.passes(24)
        first += 57
        outcome = library.show(films(range(first, first + 300)))
        assert outcome.held == 0
    assert shown(library) == 300


def hold_for_the_days_total(library: Library, clock: Clock) -> None:
    """Have 150 of 1,000 films held, since 150 others went an hour before."""
    library.show(films(range(1000)))
    clock.passes(1)
    library.show(films(range(850)))
    clock.passes(1)
    assert library.show(films(range(700))).held == 150


def test_what_was_held_for_the_days_sake_goes_when_the_day_is_over(library: Library, clock: Clock) -> None:
    hold_for_the_days_total(library, clock)
    clock.passes(22.9)
    assert library.show(films(range(699))).held == 151
    clock.passes(0.2)
    assert library.show(films(range(698))).held == 0
    assert shown(library) == 698


def test_what_is_too_much_on_its_own_stays_until_it_is_accepted(library: Library, clock: Clock) -> None:
    library.show(films(range(200)))
    library.show(films(range(150)))
    for day in range(5):
        clock.passes(24)
        assert library.show(films(range(151 + day)), max_shrink=20).held == 49 - day
    assert library.show(films(range(150)), accept_shrink=True).held == 0
    clock.passes(1)
    assert library.show(films(range(125))).held == 0
    assert shown(library) == 125


def test_what_is_held_for_the_days_total_goes_after_the_day_though_nothing_changes(
    library: Library, clock: Clock
) -> None:
    hold_for_the_days_total(library, clock)
    clock.passes(1)
    assert library.sync(library.last_url, patient=True).held == 150
    clock.passes(23.1)
    assert library.sync(library.last_url, patient=True).held == 0
    assert shown(library) == 700


def test_what_came_today_may_go_today(library: Library, clock: Clock) -> None:
    library.show(films(range(100)))
    clock.passes(1)
    library.show(films(range(2000)))
    clock.passes(0.01)
    assert library.show(films(range(1650))).held == 0
    clock.passes(1)
    assert library.show(films(range(1500))).held == 150


YEARS = 365 * 24.0


@pytest.mark.parametrize("years", [74, -57], ids=["2100", "1970"])
def test_a_clock_that_was_once_wrong_holds_nothing_for_good(library: Library, clock: Clock, years: int) -> None:
    library.show(films(range(1000)))
    clock.passes(years * YEARS)
    library.show(films(range(990)))
    clock.passes(-years * YEARS)
    left = 990
    for _ in range(8):
        clock.passes(48)
        left = left * 95 // 100
        assert library.show(films(range(left))).held == 0
    assert shown(library) == left


@pytest.mark.parametrize("years", [74, -57], ids=["2100", "1970"])
def test_a_clock_that_was_once_wrong_does_not_shorten_the_day(library: Library, clock: Clock, years: int) -> None:
    library.show(films(range(1000)))
    clock.passes(1)
    assert library.show(films(range(900))).held == 0
    clock.passes(years * YEARS)
    assert library.show(films(range(850))).held == 0
    clock.passes(0.5 - years * YEARS)
    assert library.show(films(range(750))).held == 100
    clock.passes(23)
    assert library.show(films(range(749))).held == 101
    clock.passes(2)
    assert library.show(films(range(748))).held == 0
    assert shown(library) == 748


def test_a_clock_that_is_set_at_last_does_not_end_the_day(library: Library, clock: Clock) -> None:
    clock.passes(-57 * YEARS)
    library.show(films(range(1000)))
    clock.passes(1)
    assert library.show(films(range(850))).held == 0
    clock.passes(57 * YEARS)
    assert library.show(films(range(700))).held == 150


@pytest.mark.parametrize("years", [74, -57], ids=["2100", "1970"])
def test_folders_that_changed_while_the_clock_was_wrong_get_other_times(
    library: Library, clock: Clock, years: int
) -> None:
    """In whole seconds, which is what Kodi compares."""
    library.show(films(range(100)))
    clock.passes(years * YEARS)
    library.show(films(range(101)))
    clock.passes(-years * YEARS)
    clock.passes(1)
    times = [library.tree()["Movies"].mtime]
    for more in (102, 103):
        clock.passes(0.01)
        library.show(films(range(more)))
        times.append(library.tree()["Movies"].mtime)
        assert times[-1] == clock.now
    assert len({time // 10**9 for time in times}) == 3


def test_additions_do_not_make_room_for_removals(library: Library) -> None:
    library.show(films(range(100)))
    outcome = library.show(films(range(30, 1000)))
    assert outcome.held == 30
    assert shown(library) == 1000


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[set[int], float, bool]]:
    """Catalogues, each with the hours that pass before it is seen and whether its losses are accepted."""
    numbers = random.Random(draw(st.integers(0, 2**32)))
    titles: set[int] = set(range(draw(st.integers(1, 150))))
    following = len(titles)
    steps = [(set(titles), 0.0, False)]
    for _ in range(draw(st.integers(1, 10))):
        lost = draw(st.sampled_from([0, 0.05, 0.15, 0.19, 0.2, 0.5, 1]))
        titles -= set(numbers.sample(sorted(titles), int(lost * len(titles))))
        added = draw(st.sampled_from([0, 0, 5, 60]))
        titles |= set(range(following, following + added))
        following += added
        if draw(st.booleans()):
            titles |= set(numbers.sample(range(following), following // 10))
        titles = titles or {0}
        hours = draw(st.sampled_from([0.02, 1, 5, 11, 23, 25]))
        steps.append((set(titles), hours, draw(st.integers(0, 9)) == 0))
    return steps


@settings(max_examples=12, deadline=None)
@given(steps=histories(), max_shrink=st.sampled_from([0, 5, 20, 50]))
def test_within_a_day_no_more_is_lost_than_allowed(steps: list[tuple[set[int], float, bool]], max_shrink: int) -> None:
    """Of the items that were there at any time, no more are gone a day later than the limit, unless accepted."""
    with pytest.MonkeyPatch.context() as monkeypatch, TemporaryDirectory() as folder:
        clock = Clock(monkeypatch)
        library = Library(Path(folder))
        past: list[tuple[int, set[int]]] = []
        for titles, hours, accept in steps:
            clock.passes(hours)
            library.show(films(titles), max_shrink=max_shrink, accept_shrink=accept)
            now = inodes(library)
            assert now
            if accept:
                past.clear()
            for then, were in past:
                if clock.now - then < 24 * HOUR:
                    assert len(were - now) <= max(MIN_ITEMS, max_shrink * len(were) // 100)
            past.append((clock.now, now))


def inodes(library: Library) -> set[int]:
    """Of the movies' folders."""
    return {entry.inode for path, entry in library.tree().items() if path.startswith("Movies/") and entry.is_dir}


def mixed(left: int, *, all_series: bool = False) -> Catalogue:
    """Sixty movies and sixty episodes of two accounts, of which the first `left` are there. Some share their names."""
    catalogue = Catalogue()
    alpha, beta = catalogue.account("Alpha"), catalogue.account("Beta", username="other")
    drama, comedy = catalogue.category("EN | Drama", "movie"), catalogue.category("Comedy", "movie")
    for account in (alpha, beta):
        for category in (drama, comedy):
            catalogue.enable(account, category)
    having = [[alpha], [beta], [alpha, beta], [beta]]
    for number in range(left):
        accounts, category = having[number % 4], comedy if number % 3 else drama
        columns = {"year": 1990 + number // 2, "tmdb_id": str(number + 1), "imdb_id": f"tt{number + 1:07}"}
        catalogue.movie(f"Film {number // 2 * 2}", relations=accounts, category=category, **columns)
    for number, accounts in enumerate(having):
        first = number * 15
        if first < left or all_series:
            series = catalogue.series(f"Show {number // 2 * 2}", tmdb_id=str(number + 1), relations=accounts)
            for episode in range(first, min(first + 15, left)):
                catalogue.episode(series, episode % 2, episode, f"Part {episode}", relations=accounts)
    return catalogue


OTHER_SETTINGS: list[dict[str, Any]] = [
    {"base_url": "http://dispatcharr.example:9191"},
    {"pin_stream": False},
    {"movie_path": "/vod/{uuid}", "episode_path": "/vod/{uuid}"},
    {"direct_urls": True},
    {"media_server": "plex", "folder_ids": "plex"},
    {"media_server": "emby"},
    {"media_server": "spec", "group_by": "category"},
    {"clean_titles": False, "name_regex": "Film"},
    {"accounts": ["Alpha"]},
    {"versions": "all"},
]


@pytest.mark.parametrize("other", OTHER_SETTINGS[:7], ids=str)
@pytest.mark.parametrize("back", [False, True], ids=["", "and back"])
def test_what_is_held_follows_the_settings(tmp_path: Path, other: dict[str, Any], back: bool) -> None:
    """It looks as it would if it were still in the catalogue."""
    (tmp_path / "held").mkdir()
    (tmp_path / "there").mkdir()
    held, there = Library(tmp_path / "held"), Library(tmp_path / "there")
    before, after = LibrarySettings(), LibrarySettings.model_validate(other)
    if back:
        before, after = after, before
    held.show(mixed(60), before)
    assert held.show(mixed(25), before).held >= 70
    assert held.show(mixed(25), after).held >= 70
    there.show(mixed(60), before)
    there.show(mixed(60), after)
    assert held.files() == there.files()
    sizes_are_right(held)


def sizes_are_right(library: Library) -> None:
    files = library.files()
    sizes = {path: entry.size for path, entry in library.tree().items() if not entry.is_dir}
    assert sizes == {path: len(content) for path, content in files.items()}


def playable(library: Library) -> set[str]:
    """The UUIDs of all that has a .strm, which can be found by its name and read."""
    with closing(Store(library.state_dir)) as store:
        tree = Tree(store)
        strms = [(path, entry) for path, entry in tree.walk() if path.endswith(".strm")]
        for path, entry in strms:
            inode = ROOT_INODE
            for name in path.split("/"):
                found = tree.lookup(inode, name)
                assert found
                inode = found.inode
            assert inode == entry.inode
            assert tree.attributes(inode) == entry
        return {tree.identity(entry.inode)["uuid"] for _, entry in strms}


@st.composite
def changes_of_settings(draw: st.DrawFn) -> list[tuple[int, bool, dict[str, Any]]]:
    """How many items are left, whether all series are, and the settings."""
    steps = [(60, True, draw(st.sampled_from([{}, {"versions": "all"}])))]
    for _ in range(draw(st.integers(2, 5))):
        chosen = draw(st.lists(st.sampled_from(OTHER_SETTINGS), max_size=3))
        changed = {name: value for settings in chosen for name, value in settings.items()}
        steps.append((draw(st.sampled_from([60, 30, 30, 8])), draw(st.booleans()), changed))
    return steps


@settings(max_examples=12, deadline=None)
@given(steps=changes_of_settings())
@example(steps=[(60, True, {}), (30, True, {}), (30, True, {"versions": "all"}), (60, True, {"versions": "all"})])
@example(steps=[(60, True, {"versions": "all"}), (30, True, {"versions": "all"}), (30, True, {}), (60, True, {})])
def test_no_change_of_settings_costs_what_is_held(steps: list[tuple[int, bool, dict[str, Any]]]) -> None:
    """Whatever is set while items are held: all that could be played can be played, and is as long as it says."""
    with TemporaryDirectory() as folder:
        library = Library(Path(folder))
        for left, all_series, changed in steps:
            library.show(mixed(left, all_series=all_series), LibrarySettings.model_validate(changed))
            assert len(playable(library)) == 120
            sizes_are_right(library)


class Refreshed:
    """A PostgreSQL catalogue that is refreshed as Dispatcharr does, and the library that is made of it."""

    def __init__(self, postgres: PostgresServer, directory: Path) -> None:
        catalogue = Catalogue()
        alpha, beta = catalogue.account("Alpha"), catalogue.account("Beta")
        for number in range(120):
            catalogue.movie(f"Film {number}", relations=[beta if number >= 60 else alpha])
        for title in ("Lost", "Fargo"):
            series = catalogue.series(title)
            for number in range(1, 13):
                catalogue.episode(series, 1, number, f"Part {number}")
        self.database = Database(postgres.new_database()).fill(catalogue)
        self.library = Library(directory)
        self.before: dict[str, Entry] = {}
        self.contents: dict[str, bytes] = {}

    def sync(self, *, accept_shrink: bool = False) -> int:
        """Sync; returns how many items are held."""
        return self.library.sync(self.database.url, accept_shrink=accept_shrink).held

    def empty(self) -> None:
        """Delete all relations."""
        for table in ("vod_m3umovierelation", "vod_m3uepisoderelation", "vod_m3useriesrelation"):
            self.database.execute(f"DELETE FROM {table}")

    def remember(self) -> None:
        self.before, self.contents = self.library.tree(), self.library.files()

    def is_as_before(self) -> bool:
        return (self.library.tree(), self.library.files()) == (self.before, self.contents)


@pytest.fixture
def refreshed(postgres: PostgresServer, tmp_path: Path) -> Refreshed:
    """Synced once."""
    made = Refreshed(postgres, tmp_path)
    made.sync()
    made.remember()
    return made


def test_a_provider_that_returns_an_empty_list_loses_nothing(refreshed: Refreshed) -> None:
    refreshed.empty()
    assert refreshed.sync() == 120 + 24
    assert refreshed.is_as_before()


def test_an_account_that_is_switched_off_is_held_until_that_is_accepted(refreshed: Refreshed) -> None:
    refreshed.database.execute("UPDATE m3u_m3uaccount SET is_active = false WHERE name = 'Beta'")
    assert refreshed.sync() == 60
    assert refreshed.is_as_before()
    refreshed.database.execute("UPDATE m3u_m3uaccount SET is_active = true WHERE name = 'Beta'")
    assert refreshed.sync() == 0
    assert refreshed.is_as_before()
    refreshed.database.execute("UPDATE m3u_m3uaccount SET is_active = false WHERE name = 'Beta'")
    assert refreshed.sync(accept_shrink=True) == 0
    assert sum(path.startswith("Movies/") and path.endswith(".strm") for path in refreshed.library.paths()) == 60


def test_everything_made_anew_keeps_all_but_the_urls(refreshed: Refreshed) -> None:
    renew(refreshed.database)
    assert refreshed.sync() == 0
    after, contents = refreshed.library.tree(), refreshed.library.files()
    assert after.keys() == refreshed.before.keys()
    for path, entry in after.items():
        if path.endswith(".strm"):
            assert contents[path] != refreshed.contents[path]
        else:
            assert entry == refreshed.before[path], path
            assert contents.get(path) == refreshed.contents.get(path), path


def renew(database: Database) -> None:
    """Give all rows new ids and UUIDs, as a refresh does that deletes and makes them."""
    database.execute("SET session_replication_role = replica")
    for table, relation, column in (
        ("vod_movie", "vod_m3umovierelation", "movie_id"),
        ("vod_series", "vod_m3useriesrelation", "series_id"),
        ("vod_episode", "vod_m3uepisoderelation", "episode_id"),
    ):
        constraints = "ALTER TABLE {} DISABLE TRIGGER ALL"
        database.execute(constraints.format(table))
        database.execute(constraints.format(relation))
        database.execute(f"UPDATE {table} SET id = id + 50000, uuid = gen_random_uuid()")
        database.execute(f"UPDATE {relation} SET id = id + 70000, {column} = {column} + 50000")
    database.execute("ALTER TABLE vod_episode DISABLE TRIGGER ALL")
    database.execute("UPDATE vod_episode SET series_id = series_id + 50000")


def test_a_chunk_that_is_gone_and_comes_back(postgres: PostgresServer, tmp_path: Path) -> None:
    catalogue = films(range(3000))
    database = Database(postgres.new_database()).fill(catalogue)
    library = Library(tmp_path)
    library.sync(database.url)
    before = library.tree()
    database.execute("CREATE TABLE chunk AS SELECT * FROM vod_m3umovierelation ORDER BY id LIMIT 1000")
    database.execute("DELETE FROM vod_m3umovierelation WHERE id IN (SELECT id FROM chunk)")
    assert library.sync(database.url).held == 1000
    assert library.tree() == before
    database.execute("INSERT INTO vod_m3umovierelation SELECT * FROM chunk")
    assert library.sync(database.url).held == 0
    assert library.tree() == before


def test_a_series_made_anew_without_episodes_keeps_them_until_they_are_back_or_given_up(refreshed: Refreshed) -> None:
    database = refreshed.database
    database.execute("CREATE TABLE kept AS SELECT * FROM vod_m3uepisoderelation")
    database.execute("UPDATE vod_series SET uuid = gen_random_uuid() WHERE name = 'Lost'")
    database.execute(
        "DELETE FROM vod_m3uepisoderelation WHERE episode_id IN"
        " (SELECT e.id FROM vod_episode e JOIN vod_series s ON s.id = e.series_id WHERE s.name = 'Lost')"
    )
    assert refreshed.sync() == 12
    assert refreshed.is_as_before()
    database.execute(
        "INSERT INTO vod_m3uepisoderelation SELECT * FROM kept k WHERE NOT EXISTS"
        " (SELECT FROM vod_m3uepisoderelation r WHERE r.id = k.id)"
    )
    assert refreshed.sync() == 0
    assert refreshed.is_as_before()
    database.execute("DELETE FROM vod_m3uepisoderelation WHERE episode_id <= 12")
    assert refreshed.sync() == 12
    assert refreshed.sync(accept_shrink=True) == 0
    assert not any(path.startswith("TV/Lost/") for path in refreshed.library.paths())
    assert any(path.startswith("TV/Fargo/") for path in refreshed.library.paths())


def test_one_sync_sees_one_state_of_the_catalogue(refreshed: Refreshed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is deleted and committed after the movies were read, before the episodes are."""
    database, library = refreshed.database, refreshed.library
    database.execute("UPDATE vod_movie SET description = 'Another plot'")
    emptied = []
    digests = PostgreSQLSnapshot.digests

    def after_a_while(self: PostgreSQLSnapshot, kind: Kind, blocks: Set[int] | None = None) -> dict[int, str]:
        if kind == "series":
            refreshed.empty()
            emptied.append(True)
        return digests(self, kind, blocks)

    monkeypatch.setattr(PostgreSQLSnapshot, "digests", after_a_while)
    with closing(open_source(database.url)) as source:
        outcome = sync(source, LibrarySettings(), library.state_dir)
    assert emptied
    assert (outcome.held, outcome.counts["movie", "changed"]) == (0, 120)
    assert len(library.paths()) == len(refreshed.before)


def test_what_a_mount_holds_is_accepted_beside_it(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films(range(100)))
    with mounted(tmp_path, database.url) as mount:
        movies = mount.path / "Movies"
        before = {path.name: path.stat().st_ino for path in movies.iterdir()}
        database.execute("DELETE FROM vod_m3umovierelation WHERE id <= 40")
        eventually(lambda: mount.stat("movies_held") == "40")
        assert {path.name: path.stat().st_ino for path in movies.iterdir()} == before
        eventually(
            lambda: (
                "40 of 100 movies are gone from the catalogue and were kept (more than max_shrink = 20 %)"
                in mount.log.read_text()
            )
        )
        state = ("--database", database.url, "--state-dir", tmp_path / "state")
        held = subprocess.run(command("sync", *state), capture_output=True, text=True, check=False)
        assert held.returncode == Exit.SHRINK
        assert "vod2strmfs sync --accept-shrink" in held.stderr
        assert {path.name for path in movies.iterdir()} == before.keys()
        subprocess.run(command("sync", "--accept-shrink", *state), check=True, capture_output=True)
        eventually(lambda: len(list(movies.iterdir())) == 60)
        assert mount.stat("movies_held") == "0"
        assert {path.name: path.stat().st_ino for path in movies.iterdir()}.items() <= before.items()
