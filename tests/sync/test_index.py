"""Generations: what a sync changes, what it keeps, and what it refuses to believe."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from databases import Database
from libraries import Library, open_files

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError, IndexFileError
from vod2strmfs.index.changes import What
from vod2strmfs.index.file import connect, is_whole
from vod2strmfs.index.read_ahead import Ahead
from vod2strmfs.index.store import Store
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.last_comparison import ComparisonCache


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def films(*names: str, seed: int = 0, first_stream: int = 1) -> Catalogue:
    """A catalogue of movies from one account; another seed stands for rows made anew."""
    catalogue = Catalogue(seed)
    account = catalogue.account("Alpha")
    for number, name in enumerate(names):
        movie = catalogue.movie(name, relations=[])
        catalogue.relate(movie, account, stream_id=str(first_stream + number))
    return catalogue


def show(*episodes: str, name: str = "Lost", seed: int = 0) -> Catalogue:
    """A catalogue of one movie and one series with episodes in season 1."""
    catalogue = films("Heat", seed=seed)
    series = catalogue.series(name)
    for number, title in enumerate(episodes, 1):
        catalogue.episode(series, 1, number, title)
    return catalogue


def test_the_first_sync_makes_the_whole_tree(library: Library) -> None:
    outcome = library.show(show("Pilot"))
    assert (outcome.generation, outcome.changed) == (1, True)
    assert library.paths() == [
        "Movies",
        "Movies/Heat",
        "Movies/Heat/Heat.strm",
        "Movies/Heat/movie.nfo",
        "TV",
        "TV/Lost",
        "TV/Lost/Season 01",
        "TV/Lost/Season 01/S01E01 – Pilot.nfo",
        "TV/Lost/Season 01/S01E01 – Pilot.strm",
        "TV/Lost/Season 01/S01E01.nfo",
        "TV/Lost/Season 01/season.nfo",
        "TV/Lost/tvshow.nfo",
    ]


def test_sizes_are_those_of_the_contents(library: Library) -> None:
    library.show(show("Pilot", "Tabula Rasa"))
    tree = library.tree()
    for path, content in library.files().items():
        assert tree[path].size == len(content), path


def test_an_unchanged_catalogue_makes_no_new_generation(library: Library) -> None:
    library.show(show("Pilot"))
    before = library.tree()
    outcome = library.show(show("Pilot"))
    assert (outcome.generation, outcome.changed) == (1, False)
    assert library.tree() == before


def test_an_addition_touches_only_itself_and_the_folders_above(library: Library) -> None:
    library.show(films("Heat", "Alien"))
    before = library.tree()
    outcome = library.show(films("Heat", "Alien", "Ran"))
    assert outcome.counts["movie", "added"] == 1
    after = library.tree()
    assert after.keys() - before.keys() == {"Movies/Ran", "Movies/Ran/Ran.strm", "Movies/Ran/movie.nfo"}
    assert [path for path in before if after[path] != before[path]] == ["Movies"]
    assert after["Movies"].mtime > before["Movies"].mtime


def test_an_edited_episode_is_newer_and_so_is_every_folder_above_it(library: Library) -> None:
    library.show(show("Pilot", "Tabula Rasa"))
    before = library.tree()
    changed = show("Pilot", "Tabula Rasa")
    changed.account("Beta", priority=-1)
    library.show(changed)
    assert library.tree() == before
    edited = films("Heat")
    series = edited.series("Lost")
    edited.episode(series, 1, 1, "Pilot", description="A plane comes down.")
    edited.episode(series, 1, 2, "Tabula Rasa")
    library.show(edited)
    after = library.tree()
    assert sorted(path for path in before if after[path].mtime > before[path].mtime) == [
        "TV",
        "TV/Lost",
        "TV/Lost/Season 01",
        "TV/Lost/Season 01/S01E01 – Pilot.nfo",
        "TV/Lost/Season 01/S01E01.nfo",
    ]


def test_a_renamed_title_keeps_its_inodes(library: Library) -> None:
    library.show(films("Heat", "Alien"))
    before = library.tree()
    library.show(films("Heat", "Aliens"))
    after = library.tree()
    assert "Movies/Alien" not in after
    assert after["Movies/Aliens"].inode == before["Movies/Alien"].inode
    assert after["Movies/Aliens/Aliens.strm"].inode == before["Movies/Alien/Alien.strm"].inode


def test_inodes_are_never_used_again(library: Library) -> None:
    library.show(films("Heat", "Alien", "Ran"))
    gone = library.tree()["Movies/Ran"].inode
    library.show(films("Heat", "Alien"), max_shrink=100)
    library.show(films("Heat", "Alien", "Brazil", first_stream=1))
    assert library.tree()["Movies/Brazil"].inode > gone


def test_rows_made_anew_keep_their_paths_inodes_and_folder_times(library: Library) -> None:
    library.show(show("Pilot", "Tabula Rasa", seed=1))
    before = library.tree()
    urls = {path: content for path, content in library.files().items() if path.endswith(".strm")}
    outcome = library.show(show("Pilot", "Tabula Rasa", seed=2))
    after = library.tree()
    assert outcome.counts["movie", "removed"] == outcome.counts["movie", "added"] == 0
    assert after.keys() == before.keys()
    for path, entry in after.items():
        if not path.endswith(".strm"):
            assert entry == before[path], path
    assert all(library.files()[path] != url for path, url in urls.items())


def test_a_movie_under_a_new_stream_is_known_by_its_id(library: Library) -> None:
    first = Catalogue(1)
    first.movie("Heat", tmdb_id="949", year=1995)
    library.show(first)
    before = library.tree()
    second = Catalogue(2)
    movie = second.movie("Heat (Restored)", tmdb_id="949", year=1995, relations=[])
    second.relate(movie, second.account("Beta"), stream_id="77")
    library.show(second)
    assert library.tree()["Movies/Heat (Restored) (1995)"].inode == before["Movies/Heat (1995)"].inode


def test_two_titles_of_one_name_both_appear_and_keep_their_names(library: Library) -> None:
    library.show(films("Heat", "HEAT"))
    first = [path for path in library.paths() if path.count("/") == 1]
    assert len(first) == 2
    assert "Movies/Heat" in first
    assert any(path.startswith("Movies/HEAT [") for path in first)
    library.show(films("heat", "Heat", "HEAT", seed=2, first_stream=0))
    second = [path for path in library.paths() if path.count("/") == 1]
    assert set(first) < set(second)
    assert library.metrics()["index.collisions"] == "2"


def cut_names(library: Library) -> list[str]:
    with closing(Store(library.state_dir)) as store:
        names = [remark.name for remark in store.remarks() if remark.what == "cut"]
    assert library.metrics()["index.names_cut"] == str(len(names))
    return names


def test_a_name_without_room_for_its_title_is_remarked_upon(library: Library) -> None:
    def catalogue(title: str, seed: int) -> Catalogue:
        made = show(title, seed=seed)
        made.movie(title, year=1995)
        return made

    long = " ".join(["A Very Long Way Home"] * 12)
    for seed in (0, 1):  # the second time the same items under new keys
        library.show(catalogue(long, seed))
        film, episode = cut_names(library)
        assert film.startswith(long[:190])
        assert film.endswith(" (1995)")
        assert episode.startswith(f"S01E01 – {long[:190]}")
    library.show(catalogue("A Short Way Home", 1))
    assert cut_names(library) == []
    library.show(catalogue(long, 1))
    assert len(cut_names(library)) == 2


def test_a_name_cut_for_what_tells_it_from_another_is_remarked_upon(library: Library) -> None:
    name = "x" * 205
    library.show(films(name, name.upper()))
    [cut] = cut_names(library)
    assert cut.startswith("X" * 190)
    assert cut.endswith("]")


def test_names_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    catalogues = []
    for order in ((9, 10, 11), (11, 9, 10)):
        catalogue = Catalogue()
        account = catalogue.account("Alpha")
        for stream in order:
            catalogue.relate(catalogue.movie("Heat", relations=[]), account, stream_id=str(stream))
        library = Library(tmp_path / str(order))
        (tmp_path / str(order)).mkdir()
        library.show(catalogue)
        catalogues.append({path.split("/")[1]: url for path, url in library.files().items() if path.endswith(".strm")})
    streams = [
        {name: url.split(b"stream_id=")[1] for name, url in sorted(catalogue.items())} for catalogue in catalogues
    ]
    assert streams[0] == streams[1]
    assert streams[0]["Heat"].startswith(b"9&")


def test_episodes_that_share_a_number_all_appear(library: Library) -> None:
    catalogue = films("Heat")
    series = catalogue.series("Lost")
    for season, number, name in ((None, None, "Pilot"), (None, None, "Pilot"), (None, None, "")):
        catalogue.episode(series, season, number, name)
    library.show(catalogue)
    assert sum(path.endswith(".strm") for path in library.paths()) == 4
    assert len({path.casefold() for path in library.paths()}) == len(library.paths())


def test_a_series_without_episodes_is_counted_and_not_shown(library: Library) -> None:
    catalogue = films("Heat")
    catalogue.series("Lost")
    library.show(catalogue)
    assert "TV/Lost" not in library.paths()
    assert library.metrics()["index.series_without_episodes"] == "1"
    library.show(show("Pilot"))
    assert "TV/Lost/Season 01/S01E01 – Pilot.strm" in library.paths()


def test_tvshow_nfo_follows_the_seasons(library: Library) -> None:
    library.show(show("Pilot"))
    before = library.files()["TV/Lost/tvshow.nfo"]
    catalogue = films("Heat")
    series = catalogue.series("Lost")
    catalogue.episode(series, 1, 1, "Pilot")
    catalogue.episode(series, 0, 1, "Making of")
    library.show(catalogue)
    assert "TV/Lost/Season 00 (Specials)/S00E01 – Making of.strm" in library.paths()
    after = library.files()["TV/Lost/tvshow.nfo"]
    assert b"Specials" in after
    assert after != before
    assert library.tree()["TV/Lost/tvshow.nfo"].size == len(after)


def test_few_removals_are_carried_out(library: Library) -> None:
    library.show(films(*[f"Film {number}" for number in range(200)]))
    outcome = library.show(films(*[f"Film {number}" for number in range(180)]))
    assert outcome.counts["movie", "removed"] == 20
    assert sum(path.endswith(".strm") for path in library.paths()) == 180


def test_many_removals_are_held_until_they_are_accepted(library: Library) -> None:
    library.show(films(*[f"Film {number}" for number in range(100)]))
    before = library.tree()
    outcome = library.show(films(*[f"Film {number}" for number in range(79)]))
    assert outcome.held == 21
    assert library.tree() == before
    assert library.metrics()["index.movies_held"] == "21"
    assert library.sync(library.last_url).held == 21
    outcome = library.show(films(*[f"Film {number}" for number in range(79)]), accept_shrink=True)
    assert outcome.counts["movie", "removed"] == 21
    assert sum(path.endswith(".strm") for path in library.paths()) == 79


def test_held_items_that_come_back_are_as_if_they_had_never_gone(library: Library) -> None:
    names = [f"Film {number}" for number in range(100)]
    library.show(films(*names, seed=1))
    before = library.tree()
    library.show(films(*names[:50], seed=1))
    outcome = library.show(films(*names, seed=2))
    assert outcome.held == 0
    assert library.metrics()["index.movies_held"] == "0"
    after = library.tree()
    assert after.keys() == before.keys()
    assert {after[path].inode for path in after if after[path].is_dir} == {
        before[path].inode for path in before if before[path].is_dir
    }


def test_a_provider_that_returns_nothing_loses_nothing(library: Library) -> None:
    library.show(show("Pilot"))
    before = library.tree()
    empty = Catalogue()
    empty.account("Alpha")
    outcome = library.show(empty)
    assert outcome.held == 2
    assert library.tree() == before


def test_a_series_made_anew_without_its_episodes_keeps_them(library: Library) -> None:
    names = [f"Film {number}" for number in range(300)]
    catalogue = films(*names, seed=1)
    for title in ("Lost", "Fargo"):
        series = catalogue.series(title)
        for number in range(1, 31):
            catalogue.episode(series, 1, number, f"Part {number}")
    library.show(catalogue, max_shrink=90)
    before = library.tree()
    catalogue = films(*names, seed=2)
    account = catalogue.account("Alpha again")
    catalogue.series("Lost")
    series = catalogue.series("Fargo")
    for number in range(1, 31):
        episode = catalogue.episode(series, 1, number, f"Part {number}", relations=[])
        catalogue.relate(episode, account, stream_id=str(number))
    outcome = library.show(catalogue, max_shrink=90)
    assert outcome.counts["episode", "held"] == 30
    assert library.tree().keys() == before.keys()


def test_an_empty_catalogue_makes_no_library(library: Library) -> None:
    with pytest.raises(CatalogError, match="no movie and no episode"):
        library.show(Catalogue())
    with closing(Store(library.state_dir)) as store:
        assert store.generation == 0
        assert store.failing_since > 0


def test_a_database_that_cannot_be_read_changes_nothing_but_says_so(library: Library, tmp_path: Path) -> None:
    library.show(films("Heat"))
    before = library.tree()
    with pytest.raises(CatalogError, match=r"no SQLite file .*/nowhere\.db"):
        library.sync(f"sqlite:///{tmp_path}/nowhere.db")
    assert library.tree() == before
    assert library.metrics()["index.stale_since"]
    library.show(films("Heat"))
    assert not library.metrics()["index.stale_since"]


def test_a_new_base_url_changes_every_strm_and_nothing_else(library: Library) -> None:
    library.show(show("Pilot"))
    before, contents = library.tree(), library.files()
    library.show(show("Pilot"), LibrarySettings(base_url="http://dispatcharr:9191"))
    after = library.tree()
    for path, content in library.files().items():
        assert (content != contents[path]) == path.endswith(".strm")
        assert (after[path].mtime > before[path].mtime) == path.endswith(".strm")


@pytest.mark.parametrize("versions", ["best", "all"])
def test_another_version_of_the_program_changes_nothing_that_is_as_before(
    library: Library, versions: Literal["best", "all"]
) -> None:
    catalogue = films("Heat")
    alpha, beta = catalogue.account("Beta"), catalogue.account("Gamma")
    ran = catalogue.movie("Ran", relations=[alpha, beta, alpha])
    catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot", relations=[alpha, beta])
    settings = LibrarySettings(versions=versions)
    library.show(catalogue, settings)
    catalogue.relate(ran, alpha, stream_id="1")  # which would be called as the first one is, if it were not there
    library.show(catalogue, settings)
    before = library.tree(), library.files()
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index, index:
        index.execute("UPDATE generation SET version = '0'")
    assert library.sync(library.last_url, settings).remade
    assert (library.tree(), library.files()) == before


def test_readers_see_the_generation_they_opened(library: Library) -> None:
    library.show(films("Heat"))
    with closing(Store(library.state_dir)) as store:
        library.show(films("Heat", "Ran"))
        assert store.outdated()
        assert len(store.children(1, 0, 10)) == 1
        store.refresh()
        assert not store.outdated()
        assert len(store.children(1, 0, 10)) == 2


def test_changes_name_what_a_cache_has_to_forget(library: Library) -> None:
    library.show(films("Heat", "Alien"))
    before = library.tree()
    library.show(films("Heat", "Aliens"))
    with closing(Store(library.state_dir)) as store:
        changes = list(store.changes(1, 2) or ())
    gone = {(change.parent, change.name) for change in changes if change.what == What.ENTRY_GONE}
    folder = before["Movies/Alien"].inode
    assert gone == {(before["Movies"].inode, "Alien"), (folder, "Alien.strm"), (folder, "movie.nfo")}
    stale = {change.inode for change in changes if change.what == What.ATTRIBUTES_CHANGED}
    assert stale == {1, before["Movies"].inode, folder}


def test_a_sync_cut_off_leaves_the_generation_before(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.show(films("Heat"))
    before = library.tree()

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vod2strmfs.sync.run.settle_folders", cut_off)
    with pytest.raises(KeyboardInterrupt):
        library.show(films("Heat", "Ran"))
    assert library.tree() == before


@pytest.mark.parametrize("ahead", [0, 86400 * 10**9])
def test_a_clock_that_was_set_back_puts_no_comparison_off(library: Library, ahead: int) -> None:
    library.show(films("Heat"))
    catalogue = films("Heat", "Ran")
    catalogue.write(url := f"sqlite:///{library.state_dir}/changed.db")
    with closing(open_source(url)) as source, closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        # As on a standby, whose counters stand still; and as if comparing had taken an hour.
        index.execute(
            "UPDATE attempt SET written = ?, compared = compared + ?, took = 3600 * 1000000000",
            (source.marker()[1], ahead),
        )
        index.commit()
    assert library.sync(url, patient=True).changed == bool(ahead)


@pytest.mark.complains("The index was damaged or not ours; it was moved")
@pytest.mark.parametrize("damage", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_moved_aside_and_made_anew(library: Library, damage: bytes) -> None:
    library.show(films("Heat"))
    inode = library.tree()["Movies/Heat"].inode
    for path in library.state_dir.glob("index.db*"):
        path.unlink()
    (library.state_dir / "index.db").write_bytes(damage)
    library.show(films("Heat"))
    assert library.tree()["Movies/Heat"].inode > inode
    [aside] = library.state_dir.glob("index.db.unusable-*")
    assert aside.read_bytes() == damage


@pytest.mark.complains("The index was damaged or not ours; it was moved")
@pytest.mark.parametrize("name", ["node_name", "node_children", "content_source"])
def test_an_index_whose_schema_lost_something_is_made_anew(library: Library, name: str) -> None:
    library.show(films("Heat"))
    assert is_whole(library.state_dir)
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index, index:
        index.execute(f"DROP INDEX {name}")
    assert not is_whole(library.state_dir)
    library.sync(library.last_url, thorough=True)
    assert is_whole(library.state_dir)
    assert "Movies/Heat/Heat.strm" in library.paths()
    assert len(list(library.state_dir.glob("index.db.unusable-*"))) == 1


@pytest.mark.complains("The index was damaged or not ours; it was moved")
@pytest.mark.parametrize("table", ["generation", "attempt"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "INSERT INTO {0} SELECT * FROM {0}"])
def test_an_index_that_has_not_one_row_of_itself_is_made_anew(library: Library, table: str, statement: str) -> None:
    library.show(films("Heat"))
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index, index:
        index.execute(statement.format(table))
    if statement.startswith("DELETE"):
        with pytest.raises(IndexFileError, match="damaged"):
            Store(library.state_dir)
    library.sync(library.last_url)
    assert "Movies/Heat/Heat.strm" in library.paths()
    assert len(list(library.state_dir.glob("index.db.unusable-*"))) == 1


@pytest.mark.parametrize("damage", [b"SQLite no more" * 1000, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_an_index_that_cannot_be_read_is_left_closed(library: Library, damage: bytes) -> None:
    library.state_dir.mkdir()
    (index := library.state_dir / "index.db").write_bytes(damage)
    with pytest.raises(IndexFileError) as refused:
        Store(library.state_dir)
    assert refused.tb is not None  # what its frames hold is still there
    assert index not in open_files()


@pytest.mark.complains("The index was damaged or not ours; it was moved")
def test_another_programs_database_is_not_taken_for_an_index(library: Library) -> None:
    library.state_dir.mkdir()
    with closing(sqlite3.connect(library.state_dir / "index.db")) as foreign:
        foreign.execute("CREATE TABLE generation (number INTEGER)")
        foreign.execute("INSERT INTO generation VALUES (1)")
        foreign.commit()
    library.show(films("Heat"))
    assert "Movies/Heat/Heat.strm" in library.paths()


@pytest.mark.complains("The index was of an earlier version of this program; it was moved")
def test_an_index_with_tables_of_before_is_called_so_and_made_anew(library: Library) -> None:
    library.show(films("Heat"))
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index, index:
        index.execute("ALTER TABLE node DROP COLUMN cut")
        index.execute("PRAGMA user_version = 1")
    library.sync(library.last_url)
    assert "Movies/Heat/Heat.strm" in library.paths()
    assert len(list(library.state_dir.glob("index.db.unusable-*"))) == 1


def test_rows_that_are_too_much_to_keep_are_read_all_the_same() -> None:
    asked = []

    def read(first: int, last: int) -> dict[int, str]:
        asked.append((first, last))
        return dict.fromkeys(range(first, last + 1), "x" * 100)

    rows = Ahead(read, len, limit=3000)
    assert [len(rows.get(number) or "") for number in range(130)] == [100] * 130
    assert (0, 63) in asked


@pytest.mark.parametrize("server", ["any", "jellyfin", "emby", "kodi", "plex", "spec"])
@pytest.mark.parametrize("versions", ["best", "all"])
def test_what_the_tree_is_made_of_is_counted_as_it_is(library: Library, server: str, versions: str) -> None:
    """Both NFOs of an episode, and the only one of an episode without a title."""
    catalogue = Catalogue()
    accounts = catalogue.account("Alpha"), catalogue.account("Beta")
    catalogue.movie("Heat", relations=accounts)
    series = catalogue.series("Lost", relations=accounts)
    catalogue.series("Without episodes")
    catalogue.episode(series, 1, 1, "Pilot", relations=accounts)
    catalogue.episode(series, 1, 2, "")
    library.show(catalogue, LibrarySettings.model_validate({"media_server": server, "versions": versions}))
    files = library.files()
    metrics = library.metrics()
    for metric, suffix in (("strm_files", ".strm"), ("nfo_files", ".nfo")):
        assert metrics[f"filesystem.{metric}"] == str(sum(path.endswith(suffix) for path in files))
    assert metrics["filesystem.bytes"] == str(sum(map(len, files.values())))
    episodes = {path.partition(".")[0] for path in files if path.startswith("TV/Lost/Season 01/S")}
    with_nfo = {path.partition(".")[0] for path in files if path.endswith(".nfo")}
    assert server == "spec" or episodes <= with_nfo
    assert "TV/Lost/Season 01/S01E02" in {stem.partition(" - ")[0] for stem in episodes & with_nfo}


def test_looks_that_find_nothing_write_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the database was written each time; but for one in ten minutes, of which doctor and status tell."""
    catalogue = Catalogue()
    for number in range(30):
        catalogue.movie(f"Film {number}")
    library, cache = Library(tmp_path), ComparisonCache()
    url = database.fill(catalogue).url
    now = time.time_ns()
    monkeypatch.setattr("vod2strmfs.sync.run.time.time_ns", lambda: now)
    library.sync(url, cache=cache)
    with closing(connect(library.state_dir)) as watch:

        def version() -> int:
            return int(watch.execute("PRAGMA data_version").fetchone()[0])

        before = version()
        for look in range(3):
            now += 30 * 10**9
            database.execute("UPDATE vod_m3umovierelation SET last_seen = ?", f"2026-01-0{look + 1} 00:00:00+00")
            assert not library.sync(url, cache=cache).changed
            now += 1
            library.sync(url, cache=cache)
            if url.startswith("sqlite"):  # PostgreSQL writes by itself now and then.
                assert cache.comparison.compared == now - 1
        assert version() == before
        now += 600 * 10**9
        database.execute("UPDATE vod_m3umovierelation SET last_seen = '2026-02-01 00:00:00+00'")
        library.sync(url, cache=cache)
        assert version() != before
        with closing(Store(library.state_dir)) as store:
            assert store.compared == now


@pytest.mark.parametrize("limit", [128, 143, 255])
@pytest.mark.parametrize("versions", ["best", "all"])
def test_no_name_is_longer_than_it_may_be(library: Library, limit: int, versions: str) -> None:
    """With a long name of everything, accounts included: each file of an episode still has its number."""
    catalogue = Catalogue()
    accounts = [catalogue.account("P" * 200 + last) for last in ("", "Q", "R")]
    category = catalogue.category("c" * 200, "movie")
    for account in accounts:
        catalogue.enable(account, category)
    for number in range(3):
        columns: dict[str, Any] = {"year": 1995, "imdb_id": f"tt{number:09}"}
        catalogue.movie("m" * 240, relations=accounts, category=category, **columns)
        series = catalogue.series("ю" * 120, relations=accounts, **columns)
        for episode in (1, 99_999, None):
            catalogue.episode(series, 99_999, episode, "한" * 80, relations=accounts)
    settings = {"versions": versions, "group_by": "category", "folder_ids": "jellyfin", "name_max": limit}
    library.show(catalogue, LibrarySettings.model_validate(settings))
    names = [path.rpartition("/")[2] for path in library.paths()]
    assert limit - 50 < max(len(name.encode()) for name in names) <= limit
    strms = [name for name in names if name.endswith(".strm")]
    assert len(strms) == len({*library.files()} & {path for path in library.paths() if path.endswith(".strm")})
    assert len(strms) == (12 if versions == "best" else 36)
    assert sum(name.startswith("S99999E99999") for name in strms) == len(strms) // 4
