"""Shelves: parts of the library with a folder of their own, which change nothing in the library itself."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from hypothesis import given
from hypothesis import strategies as st
from libraries import Library

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import FilteredOutError, IndexFileError
from vod2strmfs.index.held import explain
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind, folder_inode, inode_of, node_of, shelved, slot_of
from vod2strmfs.library.tree import Entry, Tree
from vod2strmfs.settings import LibrarySettings

KIDS = {"name": "Kids", "genres": "Family"}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def films(number: int = 40, family: Sequence[int] = tuple(range(30)), **columns: Any) -> Catalogue:
    """Films, of which some are for families, and two series."""
    made = Catalogue()
    for each in range(number):
        made.movie(f"Film {each}", year=1950 + each, genre="Family" if each in family else "Crime", **columns)
    for genre, name in (("Family", "Bluey"), ("Crime", "Fargo")):
        series = made.series(name, year=2014, genre=genre)
        for episode in (1, 2):
            made.episode(series, 1, episode, f"Part {episode}")
    return made


def settings(*shelves: dict[str, Any], **more: Any) -> LibrarySettings:
    return LibrarySettings.model_validate({"base_url": "http://dispatcharr:9191", "shelf": shelves, **more})


def shelf(library: Library, name: str = "Kids") -> list[str]:
    """The titles on a shelf."""
    return [
        path.removeprefix(f"{name}/")
        for path in library.paths()
        if path.startswith(f"{name}/") and path.count("/") == 2
    ]


def of_library(tree: dict[str, Entry]) -> dict[str, Entry]:
    return {path: entry for path, entry in tree.items() if path.partition("/")[0] in ("Movies", "TV")}


def test_a_shelf_changes_nothing_in_the_library(library: Library) -> None:
    library.show(films(), settings())
    before = library.tree()
    library.sync(library.last_url, settings(KIDS, {"name": "Old", "years": "-1960"}))
    tree = library.tree()
    assert of_library(tree) == before
    assert {path for path in tree if "/" not in path} == {"Movies", "TV", "Kids", "Old"}
    library.sync(library.last_url, settings())
    assert library.tree() == before


def test_what_stands_on_a_shelf_has_the_same_files_under_the_same_numbers(library: Library) -> None:
    library.show(films(), settings(KIDS))
    tree, contents = library.tree(), library.files()
    on_shelf = {path.removeprefix("Kids/"): entry for path, entry in tree.items() if path.startswith("Kids/")}
    assert "TV/Bluey (2014)/Season 01/S01E02 – Part 2.nfo" in on_shelf
    for path, entry in on_shelf.items():
        assert (entry.inode == tree[path].inode) is not entry.is_dir
        if not entry.is_dir:
            assert contents[f"Kids/{path}"] == contents[path]
    folders = [entry.inode for entry in tree.values() if entry.is_dir]
    assert len(set(folders)) == len(folders)


def test_every_entry_of_a_shelf_is_found_by_its_number_and_by_its_name(library: Library) -> None:
    library.show(films(), settings(KIDS, group_by="category"))
    with closing(Store(library.state_dir)) as store:
        tree = Tree(store)
        entries = dict(tree.walk())
        for path, entry in entries.items():
            above, _, name = path.rpartition("/")
            directory = entries[above].inode if above else 1
            assert tree.attributes(entry.inode) == entry
            assert tree.lookup(directory, name) == entry
            if entry.is_dir:
                tree.check(entry.inode)
                assert tree.above(entry.inode) == (entries.get(above) or tree.attributes(1))
        # What is in the library and not on the shelf is not to be found there.
        assert tree.lookup(entries["Kids/TV"].inode, "Fargo (2014)") is None
        number = node_of(entries["TV/Fargo (2014)"].inode)
        assert tree.attributes(folder_inode(shelved(1, number))) is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a_listing_in_parts_has_every_entry_once(library: Library, limit: int) -> None:
    library.show(films(12, range(8)), settings(KIDS, {"name": "Old", "years": "-1955"}))
    with closing(Store(library.state_dir)) as store:
        tree = Tree(store, with_stats=True)
        for path, entry in [("", tree.attributes(1)), *tree.walk()]:
            assert entry is not None
            if not entry.is_dir:
                continue
            names, after, whole = list[str](), 0, False
            while not whole:
                page = tree.page(entry.inode, after, limit)
                assert page is not None
                names += [each.name for each in page.entries]
                after, whole = page.entries[-1].inode if page.entries else after, page.whole
            whole_page = tree.page(entry.inode, 0, 1000)
            assert whole_page is not None
            assert names == [each.name for each in whole_page.entries], path


@pytest.mark.parametrize(
    ("filters", "titles"),
    [
        ({"genres": "Family"}, {"Movies/Up (2009)", "TV/Bluey (2018)"}),
        ({"genres": "!Family"}, {"Movies/Amélie (2001)", "Movies/Heat (1995)", "Movies/Night (1999)"}),
        ({"years": "2000-"}, {"Movies/Amélie (2001)", "Movies/Up (2009)", "TV/Bluey (2018)"}),
        ({"languages": "FR"}, {"Movies/Amélie (2001)"}),
        ({"ids": "tmdb-949, imdb-tt0211915"}, {"Movies/Amélie (2001)", "Movies/Heat (1995)"}),
        ({"adult": "only"}, {"Movies/Night (1999)"}),
        ({"adult": "exclude", "years": "-2000"}, {"Movies/Heat (1995)"}),
        ({"categories": "Kids"}, {"Movies/Heat (1995)", "Movies/Up (2009)", "TV/Bluey (2018)"}),
        ({"categories": "!Kids, !Drama"}, {"Movies/Amélie (2001)", "Movies/Night (1999)"}),
        ({"categories": "Kids", "genres": "Family"}, {"Movies/Up (2009)", "TV/Bluey (2018)"}),
    ],
)
def test_a_shelf_holds_what_its_filters_let_in(
    tmp_path: Path, database: Database, filters: dict[str, str], titles: set[str]
) -> None:
    made = Catalogue()
    first, second = made.account("First", priority=5), made.account("Second")
    drama, kids, of_series = (
        made.category("Drama", "movie"),
        made.category("Kids", "movie"),
        made.category("Kids", "series"),
    )
    for account in (first, second):
        for category in (drama, kids, of_series):
            made.enable(account, category)
    heat = made.movie("EN - Heat", year=1995, genre="Crime", tmdb_id="949", relations=[first], category=drama)
    made.relate(heat, second, kids)  # Not the one that is played; it is in the category all the same.
    made.movie("|FR| Amélie", year=2001, genre="Comedy", imdb_id="tt0211915", relations=[first])
    made.movie("Night", year=1999, genre="Adult", is_adult=True, relations=[second])
    made.movie("Up", year=2009, genre="Animation, Family", relations=[second], category=kids)
    bluey = made.series("Bluey", year=2018, genre="Family", relations=[first], category=of_series)
    made.episode(bluey, 1, 1, "Magic", relations=[first])
    database.fill(made)
    library = Library(tmp_path)
    library.sync(database.url, settings({"name": "Shelf", **filters}))
    assert set(shelf(library, "Shelf")) == titles


def test_a_title_follows_a_relation_that_is_not_played_to_another_category(tmp_path: Path, database: Database) -> None:
    made = Catalogue()
    first, second = made.account("First", priority=5), made.account("Second")
    kids, drama = made.category("Kids", "movie"), made.category("Drama", "movie")
    for category in (kids, drama):
        made.enable(second, category)
    film = made.movie("Up", relations=[first])
    relation = made.relate(film, second, drama)
    made.movie("Alien", relations=[second], category=kids)
    database.fill(made)
    library, with_shelf = Library(tmp_path), settings({"name": "Kids", "categories": "Kids"})
    library.sync(database.url, with_shelf)
    assert shelf(library) == ["Movies/Alien"]
    database.execute("UPDATE vod_m3umovierelation SET category_id = ? WHERE id = ?", kids.id, relation.id)
    library.sync(database.url, with_shelf)
    assert shelf(library) == ["Movies/Alien", "Movies/Up"]


def test_picks_are_read_at_every_sync_and_join_what_the_filters_let_in(library: Library, tmp_path: Path) -> None:
    picks = tmp_path / "kids.txt"
    picks.write_text("# ours\nFilm 39\nTV/Fargo\n! Film 3 (1953)\n")
    with_shelf = settings({"name": "Kids", "years": "1952-1954", "picks": str(picks)})
    library.show(films(), with_shelf)
    assert shelf(library) == [
        "Movies/Film 2 (1952)",
        "Movies/Film 39 (1989)",
        "Movies/Film 4 (1954)",
        "TV/Fargo (2014)",
    ]
    picks.write_text("Film 38\n")
    result = library.sync(library.last_url, with_shelf)
    assert result.changed
    assert shelf(library) == [f"Movies/Film {number} ({1950 + number})" for number in (2, 3, 38, 4)]
    assert not library.sync(library.last_url, with_shelf).changed


@pytest.mark.parametrize("damage", ["gone", "empty", "no text", "a folder"])
def test_picks_that_cannot_be_read_are_those_that_were_read_last(library: Library, tmp_path: Path, damage: str) -> None:
    picks = tmp_path / "kids.txt"
    picks.write_text("Film 1\nFilm 2\n")
    with_shelf = settings({"name": "Kids", "picks": str(picks)})
    library.show(films(), with_shelf)
    before = library.tree()
    picks.unlink()
    if damage == "empty":
        picks.write_text("\n")
    elif damage == "no text":
        picks.write_bytes(b"Film 1\nAm\xe9lie\n")
    elif damage == "a folder":
        picks.mkdir()
    result = library.sync(library.last_url, with_shelf)
    assert library.tree() == before
    [warning] = result.warnings()
    assert warning.startswith(f"shelf Kids: {picks} ")
    assert "What it named before counts." in warning
    assert library.metrics()["index.picks_not_read"] == "1"
    # It is said again, whoever asks, and what the library has meanwhile is on the shelf.
    assert list(library.sync(library.last_url, with_shelf).warnings()) == [warning]
    library.show(films(2), with_shelf, accept_shrink=True)
    assert shelf(library) == ["Movies/Film 1 (1951)"]


def test_a_shelf_whose_picks_were_never_read_is_not_shown(library: Library, tmp_path: Path) -> None:
    with_shelf = settings({"name": "Kids", "genres": "Family", "picks": str(tmp_path / "kids.txt")})
    [warning] = library.show(films(), with_shelf).warnings()
    assert "cannot be read (No such file or directory). Until it can be read, the shelf is not shown." in warning
    assert "Kids" not in library.tree()
    (tmp_path / "kids.txt").write_text("# none\n")
    assert not list(library.sync(library.last_url, with_shelf).warnings())
    assert len(shelf(library)) == 31


def test_alone_and_without_its_picks_a_shelf_is_an_error_and_never_the_whole_library(
    library: Library, tmp_path: Path
) -> None:
    alone = settings({"name": "Kids", "picks": str(tmp_path / "kids.txt"), "only": True})
    with pytest.raises(FilteredOutError, match="all that is to be shown"):
        library.show(films(), alone)
    with closing(Store(library.state_dir)) as store:
        assert not store.generation


def test_alone_a_shelf_is_all_that_there_is(library: Library) -> None:
    library.show(films(), settings())
    whole = library.tree()
    library.sync(library.last_url, settings(KIDS | {"only": True}))
    tree = library.tree()
    assert {path for path in tree if "/" not in path} == {"Movies", "TV"}
    assert len([path for path in tree if path.count("/") == 1]) == 31
    assert {path for path, entry in tree.items() if not entry.is_dir} < set(whole)
    assert "TV/Fargo (2014)" not in tree
    for path, entry in tree.items():
        assert entry.is_dir or entry == whole[path]


def test_a_line_that_is_no_title_is_counted_and_listed(library: Library, tmp_path: Path) -> None:
    picks = tmp_path / "kids.txt"
    picks.write_text("Flim 12 (1962)\nFilm 1\n")
    with_shelf = settings({"name": "Kids", "genres": "Fammily, Family", "picks": str(picks)})
    warnings = list(library.show(films(), with_shelf).warnings())
    assert warnings == [
        "shelf Kids, genres: Fammily matches nothing in the catalogue, so it lets nothing in.",
        f"shelf Kids: Flim 12 (1962) (the nearest is Film 12 (1962)) of {picks} is no title here.",
    ]
    assert library.metrics()["index.picks_without_title"] == "1"
    assert library.metrics()["index.titles_on_shelf_Kids"] == "31"
    with closing(Store(library.state_dir)) as store:
        found = {
            (each.series, each.name, each.what, each.detail) for each in store.remarks() if each.kind == NodeKind.SHELF
        }
    assert found == {
        ("Kids", "Flim 12 (1962)", "no such title", "the nearest is Film 12 (1962)"),
        ("Kids", "Fammily", "no such title", "genres"),
    }


def test_what_would_be_taken_off_is_held_beyond_the_limit(library: Library) -> None:
    library.show(films(), settings(KIDS))
    result = library.show(films(family=range(5)), settings(KIDS))
    assert result.held == 25
    assert explain(result.kept) == (
        "25 of 31 titles of shelf Kids are kept out by the filters and picks of shelf Kids and were kept all the same"
        " (more than max_shrink = 20 %)."
    )
    assert len(shelf(library)) == 31
    assert library.metrics()["index.shelf_titles_held"] == "25"
    with closing(Store(library.state_dir)) as store:
        assert sum(each.what == "stays on shelf" for each in store.remarks()) == 25
        assert explain(store.held) == explain(result.kept)
    # Back again, nothing is held; accepted, it goes.
    assert library.show(films(), settings(KIDS)).held == 0
    library.show(films(family=range(5)), settings(KIDS))
    assert library.show(films(family=range(5)), settings(KIDS), accept_shrink=True).held == 0
    assert len(shelf(library)) == 6


def test_a_mistyped_filter_empties_no_shelf(library: Library) -> None:
    library.show(films(3), settings(KIDS))
    result = library.sync(library.last_url, settings(KIDS | {"genres": "Famly"}))
    assert [held.limit for held in result.kept] == ["nothing would be left"]
    assert len(shelf(library)) == 4


def test_picks_that_are_cut_short_take_little_off(library: Library, tmp_path: Path) -> None:
    picks = tmp_path / "kids.txt"
    picks.write_text("\n".join(f"Film {number}" for number in range(40)))
    with_shelf = settings({"name": "Kids", "picks": str(picks)})
    library.show(films(), with_shelf)
    picks.write_text("\n".join(f"Film {number}" for number in range(10)))
    assert library.sync(library.last_url, with_shelf).held == 30
    assert len(shelf(library)) == 40
    picks.write_text("\n".join(f"Film {number}" for number in range(38)))
    assert library.sync(library.last_url, with_shelf).held == 0
    assert len(shelf(library)) == 38


def test_the_removals_of_a_day_count_together(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    day = 24 * 3600 * 10**9
    now = 1_700_000_000 * 10**9
    monkeypatch.setattr("vod2strmfs.sync.run.time.time_ns", lambda: now)
    library.show(films(200, range(200)), settings(KIDS))
    now += 2 * day
    library.show(films(200, range(165)), settings(KIDS))
    assert len(shelf(library)) == 166
    now += day // 4
    assert library.show(films(200, range(140)), settings(KIDS)).held == 25
    assert len(shelf(library)) == 166
    now += day
    assert library.sync(library.last_url, settings(KIDS)).held == 0
    assert len(shelf(library)) == 141


def test_what_the_library_holds_stays_on_its_shelves_and_what_it_lets_go_leaves_them(library: Library) -> None:
    def in_category(number: int) -> Catalogue:
        made = Catalogue()
        account, kids = made.account("Provider"), made.category("Kids", "movie")
        made.enable(account, kids)
        for each in range(number):
            made.movie(f"Film {each}", relations=[account], category=kids)
        return made

    with_shelf = settings({"name": "Kids", "categories": "Kids"})
    library.show(in_category(100), with_shelf)
    result = library.show(in_category(60), with_shelf)
    assert (result.held, result.held_on_shelves) == (40, 0)
    assert len(shelf(library)) == 100
    library.sync(library.last_url, with_shelf, accept_shrink=True)
    assert len(shelf(library)) == 60


def test_the_times_of_a_shelf_are_those_of_what_is_on_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first, crime = settings(KIDS), films()
    library.show(crime, first)
    before = library.tree()
    assert before["Kids"].mtime == max(before["Kids/Movies"].mtime, before["Kids/TV"].mtime)
    assert before["Kids/TV"].mtime == before["TV/Bluey (2014)"].mtime
    library.show(films(41), first)  # One more crime film
    now = library.tree()
    assert now["Movies"].mtime > before["Movies"].mtime
    assert {path: now[path] for path in before if path.startswith("Kids")} == {
        path: entry for path, entry in before.items() if path.startswith("Kids")
    }
    library.show(films(41, (*range(30), 40)), first)
    later = library.tree()
    assert later["Kids/Movies"].mtime > now["Kids/Movies"].mtime
    assert later["Kids"].mtime == later["Kids/Movies"].mtime
    assert later["Kids/TV"].mtime == now["Kids/TV"].mtime


def test_a_shelf_that_comes_back_has_its_numbers_and_another_has_others(library: Library) -> None:
    library.show(films(), settings(KIDS))
    kids = library.tree()["Kids/Movies"].inode
    library.sync(library.last_url, settings({"name": "Crime", "genres": "Crime"}))
    crime = library.tree()["Crime/Movies"].inode
    library.sync(library.last_url, settings({"name": "Crime", "genres": "Crime"}, KIDS))
    tree = library.tree()
    assert (tree["Kids/Movies"].inode, tree["Crime/Movies"].inode) == (kids, crime)
    assert kids != crime


def test_files_and_bytes_of_shelves_are_counted(library: Library) -> None:
    for chosen in (
        settings(KIDS),
        settings(KIDS | {"only": True}),
        settings(KIDS, group_by="category_tv", versions="all"),
    ):
        library.show(films(), chosen)
        tree, metrics = library.tree(), library.metrics()
        assert metrics["filesystem.directories"] == str(sum(entry.is_dir for entry in tree.values()))
        assert metrics["filesystem.bytes"] == str(sum(entry.size for entry in tree.values()))
        assert metrics["filesystem.strm_files"] == str(sum(path.endswith(".strm") for path in tree))


def test_a_listing_that_lacks_something_is_an_error(library: Library) -> None:
    library.show(films(), settings(KIDS))
    with closing(Store(library.state_dir)) as store:
        directory = Tree(store).lookup(folder_inode(shelved(1, 0)), "Movies")
    assert directory is not None
    from vod2strmfs.index.file import connect

    with closing(connect(library.state_dir, writable=True)) as connection:
        connection.execute("DELETE FROM shelved WHERE node = (SELECT max(node) FROM shelved WHERE parent = 1)")
    with closing(Store(library.state_dir)) as store:
        tree = Tree(store)
        with pytest.raises(IndexFileError, match="damaged"):
            tree.check(directory.inode)
        with pytest.raises(IndexFileError, match="damaged"):
            tree.page(directory.inode)


def test_numbers_of_shelves_and_nodes_come_back_from_inodes() -> None:
    for shelf in (0, 1, 7, 255, 256, 4095):
        for node in (0, 1, 2, 16, 2**47 + 5, 2**48 - 1):
            if shelf or node:
                inode = folder_inode(shelved(shelf, node))
                assert node_of(inode) == shelved(shelf, node)
                assert inode < 2**63
                assert slot_of(inode) == 0
            assert inode_of(shelved(shelf, node), 2, 300) == inode_of(node, 2, 300)


CHOICES: dict[str, tuple[dict[str, Any], ...]] = {
    "none": (),
    "kids": (KIDS,),
    "both": (KIDS, {"name": "Old", "years": "-1955"}),
    "alone": ({"name": "Old", "years": "-1955", "only": True},),
}


@given(
    steps=st.lists(
        st.tuples(
            st.integers(3, 9),
            st.sets(st.integers(0, 8)),
            st.sampled_from(sorted(CHOICES)),
            st.sampled_from(["none", "category"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_after_any_history_shelves_are_those_of_a_fresh_index_and_every_change_is_told(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, set[int], str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("shelves")
    library, before, generation = Library(folder), dict[str, Entry](), 0
    for number, family, choice, group_by in steps:
        chosen = settings(*CHOICES[choice], group_by=group_by)
        library.show(films(number, sorted(family)), chosen, accept_shrink=True)
        fresh = Library(tmp_path_factory.mktemp("fresh"))
        fresh.sync(library.last_url, chosen)
        assert library.files() == fresh.files()
        now = library.tree()
        _check_told(library, generation, before, now)
        with closing(Store(library.state_dir)) as store:
            generation = store.generation
        before = now


def test_what_changes_in_a_title_is_told_on_each_of_its_shelves(library: Library) -> None:
    def show(plot: str, episodes: Sequence[tuple[int, int]]) -> Catalogue:
        made = Catalogue()
        made.movie("Up", year=2009, genre="Family", description=plot)
        series = made.series("Bluey", year=2018, genre="Family")
        for season, number in episodes:
            made.episode(series, season, number, f"Part {number}", id=season * 10 + number)
        return made

    chosen = settings(KIDS, {"name": "New", "years": "2000-"})
    library.show(show("A house flies.", [(1, 1), (1, 2)]), chosen)
    for generation, (plot, episodes) in enumerate(
        [
            ("A house flies away.", [(1, 1), (1, 2)]),
            ("A house flies away.", [(1, 2), (1, 3), (2, 1)]),
            ("Up.", [(2, 1)]),
        ],
        1,
    ):
        before = library.tree()
        library.show(show(plot, episodes), chosen, accept_shrink=True)
        now = library.tree()
        assert now.keys() != before.keys() or now != before
        _check_told(library, generation, before, now)


def _check_told(library: Library, since: int, before: dict[str, Entry], now: dict[str, Entry]) -> None:
    """That whoever cached names and attributes forgets each that is another one."""
    if not since:
        return
    with closing(Store(library.state_dir)) as store:
        changes = list(store.changes(since, store.generation) or ())
    names = {(change.parent, change.name) for change in changes}
    attributes = {change.inode for change in changes if not change.name}
    kept = {path for path, entry in before.items() if path in now and now[path].inode == entry.inode}
    for path in before.keys() | now.keys():
        above, _, name = path.rpartition("/")
        directory = (before.get(above) or now[above]).inode if above else 1
        if above and above not in kept:
            continue  # With a directory's name, all that is below is forgotten.
        if path not in kept:
            assert (directory, name) in names, path
        elif before[path].mtime != now[path].mtime:
            assert before[path].inode in attributes, path


def test_both_kinds_of_source_tell_the_titles_of_categories(database: Database) -> None:
    made = Catalogue()
    account, off = made.account("On"), made.account("Off", active=False)
    kids, shut = made.category("Kids", "movie"), made.category("Shut", "movie")
    made.enable(account, kids)
    made.enable(account, shut, False)
    made.enable(off, kids)
    here = made.movie("Here", relations=[account], category=kids)
    made.movie("Shut", relations=[account], category=shut)
    made.movie("Off", relations=[off], category=kids)
    bare = made.movie("Bare", relations=[account])
    database.fill(made)
    with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
        assert snapshot.titles_in("movie", {kids.id, shut.id}) == {here.id}
        assert snapshot.titles_in("movie", {None}) == {bare.id}
        assert snapshot.titles_in("series", {kids.id, None}) == set()
        assert snapshot.titles_in("movie", set()) == set()


MARKS, NAMES = ("", "EN - ", "4K - "), ("Heat", "Rook")


def rows(*several: tuple[str, str, str], series: bool = False) -> Catalogue:
    """Rows of titles of 1995, by the mark before the name, the name and the genre."""
    made = Catalogue()
    for mark, name, genre in several:
        columns: dict[str, Any] = {"year": 1995, "genre": genre, "id": 10 * MARKS.index(mark) + NAMES.index(name) + 1}
        if series:
            made.episode(made.series(f"{mark}{name}", **columns), 1, 1, "Part 1", id=columns["id"])
        else:
            made.movie(f"{mark}{name}", **columns)
    return made


@pytest.mark.parametrize("series", [False, True])
def test_a_title_is_on_a_shelf_if_any_of_its_rows_is(library: Library, series: bool) -> None:
    crime, family = ("", "Heat", "Crime"), ("EN - ", "Heat", "Family")
    chosen = settings(KIDS, merge="titles")
    place = "TV/Heat (1995)" if series else "Movies/Heat (1995)"
    for several, on in [
        ([crime], False), ([crime, family], True), ([crime, ("EN - ", "Heat", "Crime")], False),
        ([crime, family], True), ([crime], False), ([crime, family], True),
        ([crime, ("EN - ", "Rook", "Family")], False), ([crime, family], True), ([family], True),
    ]:  # fmt: skip
        library.show(rows(*several, series=series), chosen, accept_shrink=True)
        tree, contents = library.tree(), library.files()
        assert [path for path in shelf(library) if path == place] == [place] * on, several
        for path, content in contents.items():
            if path.startswith("Kids/"):
                assert content == contents[path.removeprefix("Kids/")]
                assert tree[path].inode == tree[path.removeprefix("Kids/")].inode


def test_picks_and_categories_mean_a_title_by_any_of_its_rows(library: Library, tmp_path: Path) -> None:
    made = Catalogue()
    account, kids = made.account("Alpha"), made.category("EN | Kids", "movie")
    for name in ("Heat", "Rook"):
        made.movie(name, year=1995, relations=[account])
    uuid = made.movie("EN - Heat", year=1995, relations=[account]).uuid
    made.enable(account, kids)
    made.movie("DE - Rook", year=1995, relations=[account], category=kids)
    picks = tmp_path / "picks.txt"
    picks.write_text(f"{uuid}\n")
    library.show(
        made, settings({"name": "Kids", "picks": str(picks)}, {"name": "English", "categories": "EN*"}, merge="titles")
    )
    assert shelf(library) == ["Movies/Heat (1995)"]
    assert shelf(library, "English") == ["Movies/Rook (1995)"]
    picks.write_text(f"Heat\nRook\n! {uuid}\n")
    library.sync(library.last_url, settings({"name": "Kids", "picks": str(picks)}, merge="titles"))
    assert shelf(library) == ["Movies/Rook (1995)"]


CHILDREN = {"name": "Kids", "adult": "exclude"}


@pytest.mark.parametrize(
    ("filters", "unwanted"),
    [
        ({"adult": "exclude"}, {"is_adult": True}),
        ({"genres": "!Horror"}, {"genre": "Family, Horror"}),
        ({"languages": "!FR"}, {"mark": "FR - "}),
        ({"ids": "!tmdb-949"}, {"tmdb_id": "949"}),
        ({"categories": "!XXX*"}, {"category": "XXX [18+]"}),
        ({"categories": ["EN*", "!EN | Late"], "genres": "Family"}, {"category": "EN | Late"}),
    ],
)
def test_what_is_excluded_keeps_the_whole_title_off_the_shelf(
    library: Library, filters: dict[str, Any], unwanted: dict[str, Any]
) -> None:
    """Whichever of its rows plays."""
    chosen = settings({"name": "Kids"} | filters, merge="titles")
    known = " [tmdbid-949]" if "adult" in filters else ""  # else they would not be one title

    def show(**columns: Any) -> list[str]:
        made = Catalogue()
        account = made.account("Alpha")
        categories = {name: made.category(name, "movie") for name in ("EN | All", "EN | Late", "XXX [18+]")}
        for category in categories.values():
            made.enable(account, category)
        given = {"mark": "EN - ", "category": "EN | All", "genre": "Family"} | columns
        mark, category = given.pop("mark"), categories[given.pop("category")]
        for name in ("Rook", "Fargo", "Heat"):  # so that some are left, and the brake lets go
            called = f"{name} (1995){known if name == 'Heat' else ''}"
            made.movie(called, genre="Family", relations=[account], category=categories["EN | All"])
        if columns:
            made.movie(f"{mark}Heat (1995){known}", relations=[account], category=category, **given)
        library.show(made, chosen)
        return shelf(library)

    there = ["Movies/Fargo (1995)", "Movies/Heat (1995)", "Movies/Rook (1995)"]
    for _ in range(2):
        assert show() == there
        assert show(year=1995) == there
        assert show(**unwanted) == [there[0], there[2]]
        assert "Movies/Heat (1995)" in library.paths()


def test_what_is_called_as_one_for_adults_is_on_no_childrens_shelf(library: Library) -> None:
    """It is another title, unless the provider who does not say so is wrong."""

    def show(*names: str) -> list[str]:
        made = Catalogue()
        for name in ("Heat (1995)", "Rook (1995)", "FR - Rook (1995)", "Fargo (1995)"):
            made.movie(name)
        for number, name in enumerate(names):
            made.movie(name, is_adult=True, id=90 + number)
        library.show(made, settings(CHILDREN, merge="titles"))
        return [path.removeprefix("Movies/") for path in shelf(library)]

    everything = ["Fargo (1995)", "Heat (1995)", "Rook (1995)"]
    for _ in range(2):
        assert show() == everything
        assert show("EN - Rook (1995)", "Heat (1994)") == everything[:2]
        assert {path for path in library.paths() if path.count("Rook") == 1 and path.count("/") == 1} > {
            "Movies/Rook (1995)"
        }
        assert show("EN - Rook (1995)", "4K | Rook (1995)", "Heat (1994)") == everything[:2]


def test_what_is_picked_by_hand_stands_there_whatever_the_filters_exclude(library: Library, tmp_path: Path) -> None:
    picks = tmp_path / "picks.txt"
    picks.write_text("Heat\n")
    made = Catalogue()
    made.movie("Heat (1995)", is_adult=True)
    made.movie("Rook (1995)")
    library.show(made, settings(CHILDREN | {"picks": str(picks)}, merge="titles"))
    assert shelf(library) == ["Movies/Heat (1995)", "Movies/Rook (1995)"]


def test_what_plays_on_a_shelf_is_what_plays_in_the_library(library: Library) -> None:
    library.show(rows(("", "Heat", "Family"), ("4K - ", "Heat", "Family")), settings(KIDS, merge="titles"))
    with closing(Store(library.state_dir)) as store:
        tree = dict(Tree(store).walk())
        details = [store.details(node_of(tree[path].inode), 0, 10) for path in ("Movies", "Kids/Movies")]
        assert details[0][0].record == details[1][0].record == store.record(node_of(tree["Movies/Heat (1995)"].inode))
        assert (details[0][0].strm_hash, details[0][0].nfo_hash) == (details[1][0].strm_hash, details[1][0].nfo_hash)
        own = store.node(node_of(tree["Movies/Heat (1995)"].inode))
        [(uuid,)] = store._query("SELECT uuid FROM content WHERE id = ?", own.id if own else 0)
        assert details[0][0].record.uuid != uuid


ROW = st.tuples(st.sampled_from(MARKS), st.sampled_from(NAMES))


@given(steps=st.lists(st.dictionaries(ROW, st.sampled_from(["Family", "Crime"]), min_size=1), min_size=2, max_size=5))
def test_after_any_history_of_rows_each_shelf_holds_the_titles_of_which_a_row_passes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[dict[tuple[str, str], str]]
) -> None:
    library, before, generation = Library(tmp_path_factory.mktemp("rows")), dict[str, Entry](), 0
    for step in steps:
        made = rows(*((mark, name, genre) for (mark, name), genre in sorted(step.items())))
        gentle = {"name": "Gentle", "genres": ["Family", "!Crime"]}
        library.show(made, settings(KIDS, gentle, merge="titles"), accept_shrink=True)
        for which, excluded in (("Kids", set[str]()), ("Gentle", {"Crime"})):
            wanted = {name for (_, name), genre in step.items() if genre == "Family"}
            wanted -= {name for (_, name), genre in step.items() if genre in excluded}
            assert set(shelf(library, which)) == {f"Movies/{name} (1995)" for name in wanted}
        now = library.tree()
        _check_told(library, generation, before, now)
        with closing(Store(library.state_dir)) as store:
            generation = store.generation
        before = now
