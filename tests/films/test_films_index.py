"""The films' own index: what was learnt of the library, and nothing else, follows it generation by generation."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from learnt import learn, want_all
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.films.store import Films
from vod2strmfs.index.art import ART
from vod2strmfs.index.changes import Change, What
from vod2strmfs.index.file import is_whole
from vod2strmfs.index.store import Store
from vod2strmfs.library import stats_csv
from vod2strmfs.library.kinds import ROOT_INODE, Slot
from vod2strmfs.library.tree import Entry, Tree
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.films import publish


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A library that shows nothing yet."""
    return Library(tmp_path)


def some(*movies: str, episodes: int = 0, edition: str = "") -> Catalogue:
    """A catalogue of movies, whose streams have their names, and of a series with so many episodes in two seasons."""
    made = Catalogue()
    made.account("Provider")
    for movie in movies:
        made.movie(movie, id=ord(movie[0])).relations[0].stream_id = movie + edition
    if episodes:
        series = made.series("Lost", tmdb_id="4607")
        for season in (1, 2):
            for number in range(1, episodes + 1):
                made.episode(series, season, number, f"Part {season}{number}")
    return made


def shown(library: Library) -> dict[str, Entry]:
    """Every entry of the films' tree by its path."""
    with closing(Store(library.state_dir / "films")) as store:
        return dict(Tree(store).walk())


def changes(library: Library, since: int) -> set[tuple[int, str]]:
    """What the films' index says that changed since a generation; of attributes, the number of them."""
    with closing(Store(library.state_dir / "films")) as store:
        found = store.changes(since, store.generation)
        assert found is not None
        return {(each.what, each.name) for each in map(Change._make, found)}


def test_a_title_appears_when_its_film_was_learnt_under_the_name_of_its_strm(library: Library) -> None:
    library.show(some("Heat", "Ronin"))
    learn(library.state_dir, "Heat", size=123_456_789_012, extension=".mp4")
    assert publish(library.state_dir) == (0, 1)
    films, all_of_it = shown(library), library.tree()
    assert sorted(films) == ["Movies", "Movies/Heat", "Movies/Heat/Heat.mp4", "Movies/Heat/movie.nfo", "TV"]
    film = films["Movies/Heat/Heat.mp4"]
    assert (film.size, film.is_dir) == (123_456_789_012, False)
    for path in ("Movies/Heat", "Movies/Heat/movie.nfo"):
        assert films[path].inode == all_of_it[path].inode
    learn(library.state_dir)
    assert publish(library.state_dir) == (1, 2)
    assert "Movies/Ronin/Ronin.mkv" in shown(library)
    assert changes(library, 1) == {(What.ENTRY_NEW, "Ronin"), (What.ATTRIBUTES_CHANGED, "")}
    assert shown(library)["Movies"].mtime > films["Movies"].mtime


def test_a_look_that_finds_nothing_new_makes_no_generation(library: Library) -> None:
    library.show(some("Heat"))
    assert publish(library.state_dir) == (0, 0), "nobody has asked for films"
    learn(library.state_dir)
    assert publish(library.state_dir) == (0, 1)
    assert publish(library.state_dir) == (1, 1)
    library.show(some("Heat"))
    assert publish(library.state_dir) == (1, 1)


def test_nothing_is_shown_and_nothing_fails_before_anything_was_learnt(library: Library) -> None:
    library.show(some("Heat", episodes=1))
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    assert publish(library.state_dir) == (0, 1)
    assert sorted(shown(library)) == ["Movies", "TV"]
    assert shown(library)["Movies"] == library.tree()["Movies"]


def test_the_nfo_of_a_series_names_the_seasons_that_are_there_and_each_is_another_inode(library: Library) -> None:
    library.show(some(episodes=2))
    learn(library.state_dir, "S01E01 – Part 11")
    publish(library.state_dir)
    first = shown(library)
    assert [path for path in first if path.endswith(".mkv")] == ["TV/Lost/Season 01/S01E01 – Part 11.mkv"]
    assert "TV/Lost/Season 02" not in first
    learn(library.state_dir, "S02E02 – Part 22")
    publish(library.state_dir)
    with closing(Store(library.state_dir / "films")) as store:
        tree = Tree(store)
        entries = dict(tree.walk())
        for path, entry in entries.items():
            if path.endswith(".nfo"):
                assert len(tree.read(entry.inode)) == entry.size, path
        both = tree.read(entries["TV/Lost/tvshow.nfo"].inode)
    assert both == library.files()["TV/Lost/tvshow.nfo"]
    assert entries["TV/Lost/tvshow.nfo"].inode != first["TV/Lost/tvshow.nfo"].inode
    assert entries["TV/Lost/Season 01/S01E01 – Part 11.nfo"] == first["TV/Lost/Season 01/S01E01 – Part 11.nfo"]
    assert (What.ENTRY_NEW, "Season 02") in changes(library, 1)


def test_a_film_that_is_another_file_is_another_inode_and_one_with_the_same_bytes_is_not(library: Library) -> None:
    library.show(some("Heat"))
    learn(library.state_dir)
    publish(library.state_dir)
    before = shown(library)["Movies/Heat/Heat.mkv"]
    with Films(library.state_dir) as films:
        for film in [films.known(key) for key, _ in films.names()]:
            assert film is not None
            films.changed(film, "its size is another one")
    assert publish(library.state_dir) == (1, 1), "it stays until it was learnt anew"
    learn(library.state_dir, size=1001, mark=1)
    assert publish(library.state_dir) == (1, 2)
    after = shown(library)["Movies/Heat/Heat.mkv"]
    assert (after.size, after.inode != before.inode, after.mtime > before.mtime) == (1001, True, True)
    assert (What.ENTRY_GONE, "Heat.mkv") in changes(library, 1)


def test_a_film_stays_while_its_key_is_another_one_that_was_not_learnt(library: Library) -> None:
    library.show(some("Heat", "Ronin"))
    learn(library.state_dir)
    publish(library.state_dir)
    before = shown(library)["Movies/Heat/Heat.mkv"]
    library.show(some("Heat", "Ronin", edition=" of another day"))
    publish(library.state_dir)
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    publish(library.state_dir)
    assert shown(library)["Movies/Heat/Heat.mkv"] == before
    learn(library.state_dir, mark=5)
    publish(library.state_dir)
    assert shown(library)["Movies/Heat/Heat.mkv"].inode != before.inode


def streams(**of: str) -> Catalogue:
    """A catalogue of movies, with their streams."""
    made = Catalogue()
    made.account("Provider")
    for name, stream in of.items():
        made.movie(name, id=ord(name[0])).relations[0].stream_id = stream
    return made


def sizes(library: Library) -> dict[str, int]:
    """The sizes of all films that are shown, by the names of their files."""
    publish(library.state_dir)
    return {Path(path).name: entry.size for path, entry in shown(library).items() if path.endswith(".mkv")}


def look(library: Library) -> None:
    """Have it noted what the library plays."""
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)


@pytest.fixture
def exchanged(library: Library) -> Library:
    """Two films that were learnt, of 1,000 and of 2,000 bytes, whose titles have exchanged their streams since."""
    library.show(streams(Heat="1", Ronin="2"))
    learn(library.state_dir, "Heat", size=1000)
    learn(library.state_dir, "Ronin", size=2000)
    assert sizes(library) == {"Heat.mkv": 1000, "Ronin.mkv": 2000}
    library.show(streams(Heat="2", Ronin="1"))
    publish(library.state_dir)
    look(library)
    return library


def test_titles_whose_provider_deals_out_its_streams_anew_show_no_other_titles_films(exchanged: Library) -> None:
    before = shown(exchanged)
    assert sizes(exchanged) == {"Heat.mkv": 1000, "Ronin.mkv": 2000}, "what a stream plays now is not known yet"
    learn(exchanged.state_dir, "Heat", size=1001, mark=1)
    assert sizes(exchanged) == {"Heat.mkv": 1001, "Ronin.mkv": 2000}
    assert shown(exchanged)["Movies/Ronin/Ronin.mkv"] == before["Movies/Ronin/Ronin.mkv"]
    learn(exchanged.state_dir, "Ronin", size=2001, mark=1)
    assert sizes(exchanged) == {"Heat.mkv": 1001, "Ronin.mkv": 2001}


def test_titles_whose_streams_are_corrected_show_the_films_that_these_play(exchanged: Library) -> None:
    assert len(learn(exchanged.state_dir, "Heat", size=2000) + learn(exchanged.state_dir, "Ronin", size=1000)) == 2
    assert sizes(exchanged) == {"Heat.mkv": 2000, "Ronin.mkv": 1000}


def test_a_new_title_does_not_show_the_film_of_one_that_had_its_stream(library: Library) -> None:
    library.show(streams(Heat="1", Ronin="2"))
    learn(library.state_dir)
    library.show(streams(Heat="1"), max_shrink=100)
    look(library)
    library.show(streams(Heat="1", Speed="2"))
    look(library)
    assert sizes(library) == {"Heat.mkv": 1000}
    learn(library.state_dir, size=3000)
    assert sizes(library) == {"Heat.mkv": 1000, "Speed.mkv": 3000}


@pytest.mark.parametrize("later", [LibrarySettings(versions="all"), LibrarySettings(folder_ids="plex")])
def test_other_settings_have_nothing_learnt_anew(library: Library, later: LibrarySettings) -> None:
    library.show(some("Heat", "Ronin", episodes=1))
    learn(library.state_dir)
    number = len(sizes(library))
    for settings in (later, LibrarySettings()):
        library.show(some("Heat", "Ronin", episodes=1), settings)
        look(library)
        assert (len(sizes(library)), learn(library.state_dir)) == (number, [])


def test_other_settings_hide_no_title_whose_film_is_to_be_learnt_anew(library: Library) -> None:
    library.show(some("Heat"))
    learn(library.state_dir)
    assert sizes(library) == {"Heat.mkv": 1000}
    with Films(library.state_dir) as films:
        [film] = [films.known(key) for key, _ in films.names()]
        assert film is not None
        films.changed(film, "its size is another one")
    for settings, name in ((LibrarySettings(versions="all"), "Heat - Provider.mkv"), (LibrarySettings(), "Heat.mkv")):
        library.show(some("Heat"), settings)
        look(library)
        assert sizes(library) == {name: 1000}


def test_a_title_that_has_another_ones_stream_does_not_show_its_film_under_other_settings_either(
    library: Library,
) -> None:
    library.show(streams(Heat="1", Ronin="2"))
    learn(library.state_dir)
    library.show(streams(Heat="1"), max_shrink=100)
    look(library)
    versions = LibrarySettings(versions="all")
    for settings, heat in ((LibrarySettings(), "Heat"), (versions, "Heat - Provider"), (LibrarySettings(), "Heat")):
        library.show(streams(Heat="1", Speed="2"), settings)
        look(library)
        assert sizes(library) == {f"{heat}.mkv": 1000}
    learn(library.state_dir, size=3000)
    assert sizes(library) == {"Heat.mkv": 1000, "Speed.mkv": 3000}


def test_a_title_that_leaves_the_library_goes_and_its_number_means_no_other_film(library: Library) -> None:
    library.show(some("Heat", "Ronin"))
    learn(library.state_dir)
    publish(library.state_dir)
    before = shown(library)
    library.show(some("Ronin"), max_shrink=100)
    assert publish(library.state_dir) == (1, 2)
    now = shown(library)
    assert not [path for path in now if "Heat" in path]
    assert changes(library, 1) >= {(What.ENTRY_GONE, "Heat"), (What.ENTRY_GONE, "Heat.mkv")}
    assert now["Movies/Ronin/Ronin.mkv"] == before["Movies/Ronin/Ronin.mkv"]
    assert now["Movies"].mtime > before["Movies"].mtime


def test_what_was_learnt_may_be_lost_and_nothing_vanishes(library: Library) -> None:
    library.show(some("Heat"))
    learn(library.state_dir)
    publish(library.state_dir)
    before = shown(library)
    for path in (library.state_dir / "films").glob("films.db*"):
        path.unlink()
    Films(library.state_dir).close()
    publish(library.state_dir)
    assert shown(library) == before
    library.show(some("Heat", "Ronin"))
    publish(library.state_dir)
    assert shown(library) == before


def test_an_index_of_another_library_is_made_anew(library: Library) -> None:
    library.show(some("Heat", "Ronin"))
    learn(library.state_dir)
    publish(library.state_dir)
    for path in library.state_dir.glob("index.db*"):
        path.unlink()
    library.show(some("Ronin", "Speed"))
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    with closing(Store(library.state_dir / "films")) as store:
        publish(library.state_dir)
        assert store.replaced(), "a mount notices"
    assert not [path for path in shown(library) if "Heat" in path]


@pytest.mark.parametrize("moved", ["another device", "another file", "both"])
def test_nothing_is_another_one_when_the_host_has_started_again(
    library: Library, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """Its devices may then be numbered otherwise, and on some file systems its files, too. Plex would analyse anew."""
    library.show(some("Heat", "Ronin", episodes=1))
    learn(library.state_dir)
    publish(library.state_dir)
    learn_another(library, "Heat")
    publish(library.state_dir)
    # What this one shows is not what its title plays today.
    library.show(some("Heat", "Ronin", episodes=1, edition=" of another day"))
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    after = publish(library.state_dir).after
    before = shown(library)

    file = library.state_dir / "index.db"
    if moved != "another device":
        content = file.read_bytes()
        file.rename(library.state_dir / "another")
        file.write_bytes(content)
    if moved != "another file":
        for module in ("index.store", "sync.films"):
            monkeypatch.setattr(f"vod2strmfs.{module}.identity", lambda _: (4711, file.stat().st_ino))
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    assert publish(library.state_dir).after == after
    assert shown(library) == before
    assert {path for path in before if path.endswith(".mkv")} >= {"Movies/Heat/Heat.mkv", "Movies/Ronin/Ronin.mkv"}


def learn_another(library: Library, name: str) -> None:
    """Have a film turn out to be another file."""
    with Films(library.state_dir) as films:
        film = films.known(want_all(library.state_dir, films)[name])
        assert film
        films.changed(film, "it is another file")
    learn(library.state_dir, name, mark=1)


def test_no_title_shows_a_film_that_another_index_had_at_its_place(library: Library) -> None:
    """A node's number means something else there. Until that is known what it plays, what was shown stays."""
    library.show(some("Heat"))
    learn(library.state_dir)
    publish(library.state_dir)
    before = shown(library)
    for path in library.state_dir.glob("index.db*"):
        path.unlink()
    library.show(some("Ronin", "Speed"))
    publish(library.state_dir)
    assert shown(library) == before
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    publish(library.state_dir)
    assert sorted(shown(library)) == ["Movies", "TV"]
    learn(library.state_dir, size=2000)
    publish(library.state_dir)
    assert {path: entry.size for path, entry in shown(library).items() if path.endswith(".mkv")} == {
        "Movies/Ronin/Ronin.mkv": 2000, "Movies/Speed/Speed.mkv": 2000
    }  # fmt: skip


def test_what_is_counted_is_true_of_this_tree(library: Library) -> None:
    library.show(some("Heat", "Ronin", episodes=2))
    learn(library.state_dir, "Heat", size=5_000_000_000)
    learn(library.state_dir, "S01E01 – Part 11", size=7)
    publish(library.state_dir)
    entries = shown(library)
    with closing(Store(library.state_dir / "films")) as store:
        counted = stats_csv.parse(store.stats())
        size = store.size
    files = [entry for entry in entries.values() if not entry.is_dir]
    nfos = sum(path.endswith(".nfo") for path in entries)
    assert counted["filesystem"] == {
        "directories": str(len(entries) - len(files)), "film_files": "2", "nfo_files": str(nfos), "image_files": "0",
        "bytes": str(sum(entry.size for entry in files)),
    }  # fmt: skip
    assert size == (sum(entry.size for entry in files), len(entries))
    wanted = {"movies": "1", "series": "1", "seasons": "1", "episodes": "1", "films_waiting": "4"}
    assert {metric: counted["index"][metric] for metric in wanted} == wanted


@pytest.mark.parametrize(
    "settings",
    [{}, {"versions": "all"}, {"merge": "titles"}, {"media_server": "kodi"}, {"media_server": "spec"}],
    ids=str,
)
def test_what_is_shown_is_the_library_with_films_in_place_of_strms(library: Library, settings: dict[str, str]) -> None:
    made = some("Heat", "Ronin", episodes=2)
    for name in ("Speed (1994)", "4K - Speed (1994)"):  # One title with `merge`, of which the second row plays.
        made.movie(name, year=1994, description=name).relations[0].stream_id = name
    library.show(made, LibrarySettings.model_validate(settings))
    learn(library.state_dir)
    publish(library.state_dir)
    assert is_whole(library.state_dir / "films")
    films, all_of_it = shown(library), library.tree()
    renamed = {path.removesuffix(".mkv") + ".strm" if path.endswith(".mkv") else path for path in films}
    assert renamed == set(all_of_it)
    with closing(Store(library.state_dir / "films")) as store:
        tree = Tree(store)
        for path, entry in films.items():
            parent, _, name = path.rpartition("/")
            above = films[parent].inode if parent else ROOT_INODE
            assert tree.lookup(above, name) == entry
            assert tree.attributes(entry.inode) == entry
        texts = {path: tree.read(entry.inode) for path, entry in films.items() if path.endswith(".nfo")}
    assert texts == {path: text for path, text in library.files().items() if path.endswith(".nfo")}
    with closing(sqlite3.connect(library.state_dir / "films/index.db")) as connection:
        assert connection.execute("SELECT count(*) FROM filtered").fetchone() == (0,)


def test_images_are_shown_of_what_was_learnt_and_go_with_the_librarys(library: Library) -> None:
    library.show(some("Heat", "Ronin"))
    learn(library.state_dir, "Heat")
    with closing(sqlite3.connect(library.state_dir / "index.db", isolation_level=None)) as connection:
        connection.execute(ART)
        nodes = [node for (node,) in connection.execute("SELECT id FROM node WHERE kind = 2")]
        row = (Slot.POSTER, "abc", ".jpg", 5, 9, 0, 7)
        connection.executemany("INSERT INTO art VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [(node, *row) for node in nodes])
        connection.execute("UPDATE generation SET number = number + 1")
        publish(library.state_dir)
        assert sorted(shown(library)) == [
            "Movies", "Movies/Heat", "Movies/Heat/Heat.mkv", "Movies/Heat/movie.nfo", "Movies/Heat/poster.jpg", "TV",
        ]  # fmt: skip
        assert shown(library)["Movies/Heat/poster.jpg"] == library.tree()["Movies/Heat/poster.jpg"]
        connection.execute("UPDATE art SET image = ''")
        connection.execute("UPDATE generation SET number = number + 1")
    publish(library.state_dir)
    assert "Movies/Heat/poster.jpg" not in shown(library)
    assert (What.ENTRY_GONE, "poster.jpg") in changes(library, 1)


def on_a_shelf(**shelf: object) -> LibrarySettings:
    """Settings with a shelf of films from 2000 on, and folders of categories."""
    return LibrarySettings.model_validate(
        {"group_by": "category_tv", "shelf": ({"name": "New", "years": "2000-", **shelf},)}
    )


def in_years(**films: int) -> Catalogue:
    """A catalogue of movies of some years, half of them in a category of their own."""
    made = Catalogue()
    account = made.account("Provider")
    category = made.category("Family", "movie")
    made.enable(account, category)
    for number, (name, year) in enumerate(films.items()):
        made.movie(name, year=year, category=category if number % 2 else None)
    return made


@pytest.mark.parametrize("only", [False, True])
def test_shelves_hold_what_of_them_was_learnt(library: Library, only: bool) -> None:
    settings = on_a_shelf(only=only)
    library.show(in_years(Heat=1995, Up=2009, Ronin=1998, Coco=2017, Dune=2021, Soul=2020), settings)
    with Films(library.state_dir) as films:
        want_all(library.state_dir, films)
    for names in (("Heat (1995)", "Dune (2021)"), ("Coco (2017)",), ("Soul (2020)", "Up (2009)", "Ronin (1998)")):
        generation = publish(library.state_dir).after
        before = shown(library)
        learn(library.state_dir, *names)
        publish(library.state_dir)
        now, all_of_it = shown(library), library.tree()
        found = {path for path, entry in now.items() if path.endswith(".mkv")}
        assert {path.removesuffix(".mkv") + ".strm" for path in found} <= all_of_it.keys()
        assert all(
            any(film.startswith(f"{path}/") for film in found) for path in now if "Family" in path.split("/")[-1]
        )
        told = {name for what, name in changes(library, generation) if what == What.ENTRY_NEW}
        new = {path for path in now.keys() - before.keys() if path.rpartition("/")[0] in {"", *before}}
        assert {path.rpartition("/")[2] for path in new} <= told
        with closing(Store(library.state_dir / "films")) as store:
            counted = stats_csv.parse(store.stats())["filesystem"]
            tree = Tree(store)
            assert all(tree.attributes(entry.inode) == entry for entry in now.values())
        files = [entry for entry in now.values() if not entry.is_dir]
        assert (counted["directories"], counted["bytes"]) == (
            str(len(now) - len(files)), str(sum(entry.size for entry in files)),
        )  # fmt: skip
    renamed = {path.removesuffix(".mkv") + ".strm" if path.endswith(".mkv") else path for path in now}
    assert renamed == set(all_of_it)
    library.show(in_years(Heat=1995, Up=2009), LibrarySettings(), max_shrink=100)
    publish(library.state_dir)
    assert not [path for path in shown(library) if path.startswith("New")]
