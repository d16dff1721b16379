"""One title of several rows: which rows are joined, which of them stands in the tree, and which plays."""

import json
import re
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from databases import Database, reader_url
from golden_merges import GROUPS, Row
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import Library
from outputs import Output
from postgres_server import PostgresServer

from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.settings import LibrarySettings

TITLES = LibrarySettings(merge="titles")
OFF = LibrarySettings(merge="off")
STREAM = re.compile(rb"stream_id=(\w+)")


@dataclass(frozen=True)
class Film:
    """A row with one relation."""

    name: str
    year: int | None = None
    account: str = "Alpha"
    stream: str = ""
    tmdb: str = ""
    imdb: str = ""
    category: str = ""
    height: int = 0
    columns: dict[str, Any] = field(default_factory=dict, hash=False)


def catalogue(films: Sequence[Film], *, priorities: dict[str, int] | None = None, seed: int = 0) -> Catalogue:
    """Films as rows in this order. Where a film names no stream, its place is its stream id."""
    made = Catalogue(seed)
    accounts = {name: made.account(name, priority=(priorities or {}).get(name, 0)) for name in ("Alpha", "Beta")}
    categories: dict[str, Any] = {}
    for place, film in enumerate(films):
        movie = made.movie(film.name, year=film.year, relations=[], id=seed * 1000 + place + 1, **film.columns)
        said = {"basic_data": {"tmdb": film.tmdb, "imdb": film.imdb}}
        if film.height:
            said["detailed_info"] = {"video": {"codec_name": "h264", "width": 16, "height": film.height}}  # type: ignore[dict-item]
        category = None
        if film.category:
            category = categories.get(film.category) or made.category(film.category, "movie")
            if film.category not in categories:
                for account in accounts.values():
                    made.enable(account, category)
            categories[film.category] = category
        made.relate(
            movie, accounts[film.account], category, stream_id=film.stream or str(place), custom_properties=said
        )
    return made


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def played(library: Library) -> dict[str, str]:
    """The stream that each folder plays."""
    return {
        path.split("/")[1]: stream[1].decode()
        for path, content in library.files().items()
        if path.startswith("Movies/") and (stream := STREAM.search(content))
    }


def folders(library: Library) -> dict[str, int]:
    """Inodes of the movies' folders by name."""
    return {
        path.removeprefix("Movies/"): entry.inode
        for path, entry in library.tree().items()
        if path.startswith("Movies/") and entry.is_dir
    }


def titles(library: Library) -> dict[int, set[str]]:
    """The streams of each title's rows, by the inode of its folder."""
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        rows = index.execute(
            "SELECT coalesce(host, id), stream FROM content LEFT JOIN joined ON node = id WHERE kind = 2"
        ).fetchall()
    found: defaultdict[int, set[str]] = defaultdict(set)
    for host, stream in rows:
        found[host << 11].add(stream)
    return dict(found)


# Which rows are one title.


def golden(groups: Iterable[list[list[Row]]]) -> tuple[list[Film], set[frozenset[str]]]:
    """The films of groups, and which streams belong together."""
    films: list[Film] = []
    expected = set()
    for group in groups:
        for rows in group:
            streams = [str(len(films) + place) for place in range(len(rows))]
            films += [
                Film(row.name, row.year, stream=stream, tmdb=row.tmdb, imdb=row.imdb)
                for row, stream in zip(rows, streams, strict=True)
            ]
            expected.add(frozenset(streams))
    return films, expected


def shown_apart(library: Library, made: Catalogue) -> list[int]:
    """How many folders there are of films, and of series."""
    library.show(made, TITLES)
    paths = [path for path in library.paths() if path.count("/") == 1]
    return [sum(path.startswith(section) for path in paths) for section in ("Movies", "TV")]


@pytest.mark.parametrize("known", [{}, {"tmdb_id": "949"}])
def test_what_is_for_adults_is_never_the_film_of_that_name(library: Library, known: dict[str, Any]) -> None:
    made = Catalogue()
    made.movie("Heat (1995)", **known)
    made.movie("EN - Heat (1995)", is_adult=True)
    made.movie("4K | Heat (1995)", is_adult=True)
    assert shown_apart(library, made) == [2, 0]


@pytest.mark.parametrize(
    ("name", "category"), [("Heat (1995) [3D]", ""), ("3D - Heat (1995)", ""), ("EN - Heat (1995)", "3D Movies")]
)
def test_a_film_in_3d_is_another_one_to_whoever_has_no_glasses(library: Library, name: str, category: str) -> None:
    films = [Film("Heat (1995)"), Film(name, category=category), Film("FR - Heat (1995)")]
    assert shown_apart(library, catalogue(films)) == [2, 0]


def test_a_title_that_says_3d_itself_is_as_any_other(library: Library) -> None:
    films = [Film("Step High 3D (2010)"), Film("EN - Step High 3D (2010)")]
    assert shown_apart(library, catalogue(films)) == [1, 0]


@pytest.mark.parametrize("genre", ["Reality", "Reality-TV, Music", "Téléréalité", "Talk", "Game-Show", "News"])
def test_each_country_has_a_series_of_its_own_of_one_format(library: Library, genre: str) -> None:
    made = Catalogue()
    for name in ("UK - The Choir (2012)", "FR - The Choir (2012)", "4K-FR | The Choir (2012)", "The Choir (2012)"):
        made.episode(made.series(name, genre=genre), 1, 1, "")
    assert shown_apart(library, made) == [0, 3]


def test_a_series_that_is_told_is_the_same_in_each_language(library: Library) -> None:
    made = Catalogue()
    for name in ("EN - Dark Hill (2017)", "FR - Dark Hill (2017)", "Dark Hill (2017)"):
        made.episode(made.series(name, genre="Drama, Newsroom"), 1, 1, "")
    assert shown_apart(library, made) == [0, 1]


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_rows_as_panels_send_them(library: Library, group: list[list[Row]]) -> None:
    films, expected = golden([group])
    library.show(catalogue(films), TITLES)
    assert set(map(frozenset, titles(library).values())) == expected
    assert len(played(library)) == len(expected)


def test_all_groups_at_once_in_any_order(tmp_path: Path) -> None:
    films, expected = golden(GROUPS.values())
    seen = []
    for order in range(3):
        (tmp_path / str(order)).mkdir()
        library = Library(tmp_path / str(order))
        Random(order).shuffle(films)
        library.show(catalogue(films), TITLES)
        assert set(map(frozenset, titles(library).values())) == expected
        seen.append(library.files())
    # The UUIDs go by the place, and of the URLs the streams alone are the same.
    assert seen[0].keys() == seen[1].keys() == seen[2].keys()


def test_ids_alone(library: Library) -> None:
    films = [Film("Heat (1995)"), Film("EN - Heat (1995)"), Film("Rook (1986)", tmdb="1"), Film("Turm", tmdb="1")]
    library.show(catalogue(films), LibrarySettings(merge="ids"))
    assert set(map(frozenset, titles(library).values())) == {frozenset("0"), frozenset("1"), frozenset("23")}


def test_nothing_is_joined_unless_it_is_asked_for(library: Library) -> None:
    library.show(catalogue([Film("Heat (1995)"), Film("EN - Heat (1995)")]), LibrarySettings(merge="off"))
    assert len(folders(library)) == 2


# Which of them plays.


@pytest.mark.parametrize(
    ("films", "wish", "best"),
    [
        ([Film("FR - Heat (1995)"), Film("EN - Heat (1995)")], {"prefer_languages": ("EN", "FR")}, "1"),
        ([Film("EN - Heat (1995)"), Film("FR - Heat (1995)")], {"prefer_languages": ("FR", "EN")}, "1"),
        ([Film("4K - Heat (1995)"), Film("EN - Heat (1995)")], {"prefer_languages": ("english",)}, "1"),
        ([Film("Heat (1995)"), Film("Heat (1995) VOSTFR")], {"prefer_languages": ("FR",)}, "1"),
        ([Film("Heat (1995)"), Film("Heat", 1995, category="FR | Films")], {"prefer_languages": ("FR",)}, "1"),
        ([Film("Heat (1995)"), Film("Heat", 1995, category="French Films")], {"prefer_languages": ("FR",)}, "1"),
        ([Film("EN - Heat (1995)"), Film("4K-EN - Heat (1995)")], {}, "1"),
        ([Film("Heat (1995)"), Film("Heat", 1995, category="4K | Films")], {}, "1"),
        ([Film("CAM - Heat (1995)"), Film("Heat (1995)")], {}, "1"),
        ([Film("HD - Heat (1995)"), Film("Heat", 1995, height=2160)], {}, "1"),
        ([Film("4K - Heat (1995)", height=1080), Film("Heat", 1995, height=2160)], {}, "1"),
        ([Film("4K - Heat (1995)"), Film("FHD - Heat (1995)")], {"prefer_quality": "up_to_1080p"}, "1"),
        ([Film("4K - Heat (1995)"), Film("Heat (1995) 480p")], {"prefer_quality": "lowest"}, "1"),
        ([Film("CAM - Heat (1995)"), Film("Heat (1995) 720p")], {"prefer_quality": "lowest"}, "1"),
        ([Film("Heat (1995)"), Film("EN - Heat (1995)", account="Beta")], {}, "1"),
        ([Film("Heat (1995)", stream="10"), Film("EN - Heat (1995)", stream="9")], {}, "9"),
    ],
)
def test_the_version_that_plays(library: Library, films: list[Film], wish: dict[str, Any], best: str) -> None:
    library.show(catalogue(films, priorities={"Beta": 5}), LibrarySettings(merge="titles", **wish))
    assert played(library) == {"Heat (1995)": best}


def test_a_better_version_that_comes_later_plays_in_the_same_folder(library: Library) -> None:
    library.show(catalogue([Film("Heat (1995)", stream="a")]), TITLES)
    [inode] = folders(library).values()
    outcome = library.show(catalogue([Film("Heat (1995)", stream="a"), Film("4K - Heat (1995)", stream="b")]), TITLES)
    assert outcome.describe() == "1 movie added"
    assert (folders(library), played(library)) == ({"Heat (1995)": inode}, {"Heat (1995)": "b"})
    library.show(catalogue([Film("Heat (1995)", stream="a")]), TITLES)
    assert (folders(library), played(library)) == ({"Heat (1995)": inode}, {"Heat (1995)": "a"})


def test_a_measurement_that_is_lost_changes_nothing(library: Library) -> None:
    """A refresh that makes rows anew loses what was measured, until somebody opens the film again."""
    films = [Film("HD - Heat (1995)", stream="a"), Film("Heat (1995)", stream="b", height=2160)]
    library.show(catalogue(films), TITLES)
    assert played(library) == {"Heat (1995)": "b"}
    library.show(catalogue([films[0], replace(films[1], height=0)], seed=1), TITLES)
    assert played(library) == {"Heat (1995)": "b"}


def test_another_priority_has_another_account_play(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", account="Beta", stream="b")]
    library.show(catalogue(films, priorities={"Alpha": 1}), TITLES)
    assert played(library) == {"Heat (1995)": "a"}
    library.show(catalogue(films, priorities={"Beta": 1}), TITLES)
    assert played(library) == {"Heat (1995)": "b"}


def test_the_nfo_is_that_of_the_version_that_plays(library: Library) -> None:
    library.show(catalogue([Film("Heat (1995)", height=480), Film("4K - Heat (1995)", height=2160)]), TITLES)
    nfo = library.files()["Movies/Heat (1995)/movie.nfo"]
    assert b"<height>2160</height>" in nfo
    assert b"480" not in nfo


# What stays when rows come and go.


def test_the_folder_outlives_the_row_that_it_was_made_for(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", account="Beta", stream="b")]
    library.show(catalogue(films), TITLES)
    before = folders(library)
    outcome = library.show(catalogue(films[1:]), TITLES)
    assert (outcome.held, outcome.counts["movie", "removed"]) == (0, 0)
    assert (folders(library), played(library)) == (before, {"Heat (1995)": "b"})
    library.show(catalogue(films), TITLES)
    assert folders(library) == before


def test_two_folders_that_become_one_title_leave_the_first_one(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", stream="b"), Film("Rook (1986)", stream="c")]
    library.show(catalogue(films), OFF)
    before = folders(library)
    outcome = library.show(catalogue(films), TITLES)
    assert outcome.counts["movie", "merged"] == 1
    assert folders(library).items() <= before.items()
    assert folders(library).keys() == {"Heat (1995)", "Rook (1986)"}
    with closing(Store(library.state_dir)) as store:
        [remark] = [remark for remark in store.remarks() if remark.what == "merged"]
    assert (remark.name, remark.detail) == ("Heat (1995)", "Heat (1995) (title and year)")
    assert library.metrics()["index.movies_merged"] == "1"
    assert library.metrics()["index.movies"] == "2"
    library.show(catalogue(films), OFF)
    assert folders(library).keys() == before.keys()
    assert set(folders(library).values()) == set(before.values())


def test_a_row_that_gets_another_id_parts(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a", tmdb="1"), Film("EN - Heat (1995)", stream="b")]
    library.show(catalogue(films), TITLES)
    before = folders(library)
    library.show(catalogue([films[0], replace(films[1], tmdb="2")]), TITLES)
    assert len(folders(library)) == 2
    assert folders(library).items() >= before.items()
    library.show(catalogue(films), TITLES)
    assert folders(library) == before


def test_a_row_that_bridged_two_others_leaves_and_they_part(library: Library) -> None:
    films = [
        Film("Heat (1995)", stream="a", tmdb="1"),
        Film("Canicule (1995)", stream="b", tmdb="1"),
        Film("EN - Canicule (1995)", stream="c"),
    ]
    library.show(catalogue(films), TITLES)
    assert folders(library).keys() == {"Heat (1995)"}
    library.show(catalogue([films[0], films[2]]), TITLES)
    assert folders(library).keys() == {"Heat (1995)", "Canicule (1995)"}


def test_a_row_that_could_be_two_titles_joins_the_one_that_is_left(library: Library) -> None:
    films = [
        Film("Heat (1995)", stream="a", tmdb="1"),
        Film("Heat (1995)", stream="b", tmdb="2"),
        Film("EN - Heat (1995)", stream="c"),
    ]
    library.show(catalogue(films), TITLES)
    assert len(folders(library)) == 3
    library.show(catalogue([films[0], films[2]]), TITLES)
    assert set(map(frozenset, titles(library).values())) == {frozenset("ac")}


def test_what_did_not_change_makes_no_generation(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("4K - Heat (1995)", stream="b")]
    first = library.show(catalogue(films), TITLES)
    before = library.tree()
    again = library.show(catalogue(films), TITLES)
    assert (again.changed, again.generation) == (False, first.generation)
    assert library.tree() == before


def test_each_relation_of_each_row_has_a_file_in_the_one_folder(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", account="Beta", stream="b")]
    settings = LibrarySettings(merge="titles", versions="all")
    library.show(catalogue(films), settings)
    strms = [path for path in library.paths() if path.endswith(".strm")]
    assert len(strms) == 2
    assert {path.rpartition("/")[0] for path in strms} == {"Movies/Heat (1995)"}
    before = {path: entry.inode for path, entry in library.tree().items()}
    library.show(catalogue(films[1:], seed=1), settings)
    after = {path: entry.inode for path, entry in library.tree().items() if path.startswith("Movies/")}
    assert after["Movies/Heat (1995)"] == before["Movies/Heat (1995)"]
    [strm] = [path for path in after if path.endswith(".strm")]
    assert after[strm] >> 11 == before[strm] >> 11


def test_versions_move_when_titles_join_and_part(library: Library) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", account="Beta", stream="b")]
    apart = LibrarySettings(merge="off", versions="all")

    def inodes() -> set[int]:
        return {entry.inode for path, entry in library.tree().items() if path.endswith(".strm")}

    library.show(catalogue(films), apart)
    before = inodes()
    assert len(folders(library)) == 2
    library.show(catalogue(films), LibrarySettings(versions="all", merge="titles"))
    assert (len(folders(library)), inodes()) == (1, before)
    library.show(catalogue(films), apart)
    assert (len(folders(library)), inodes()) == (2, before)


def files(library: Library) -> dict[str, str]:
    """The stream of each film's file, by its name without the extension."""
    return {
        path.split("/")[-1].removesuffix(".strm"): stream[1].decode()
        for path, content in library.files().items()
        if path.startswith("Movies/") and (stream := STREAM.search(content))
    }


def test_files_of_versions_say_language_and_quality_and_the_account_where_both_are_equal(library: Library) -> None:
    films = [
        Film("4K-EN - Heat (1995)", stream="a"),
        Film("|FR| Heat (1995)", stream="b"),
        Film("4K-EN | Heat (1995)", account="Beta", stream="c"),
        Film("Heat (1995)", stream="d", height=2160),
    ]
    settings = LibrarySettings(merge="titles", versions="all")
    library.show(catalogue(films), settings)
    expected = {
        "Heat (1995) - English 4K": "a",
        "Heat (1995) - French": "b",
        "Heat (1995) - English 4K Beta": "c",
        "Heat (1995) - Alpha": "d",
    }
    assert files(library) == expected
    assert all(name.startswith("Heat (1995) - ") for name in files(library))
    # Names stay, whoever goes and comes.
    library.show(catalogue(films[1:], seed=1), settings)
    assert files(library) == {name: stream for name, stream in expected.items() if stream != "a"}
    library.show(catalogue(films, seed=2), settings)
    assert files(library) == expected


def test_a_version_is_called_as_its_row_is_now(library: Library) -> None:
    settings = LibrarySettings(merge="titles", versions="all")
    library.show(catalogue([Film("EN - Heat (1995)", stream="a")]), settings)
    library.show(catalogue([Film("EN - Heat (1995)", stream="a", category="4K | Films")]), settings)
    assert files(library) == {"Heat (1995) - English 4K": "a"}
    library.show(
        catalogue([Film("EN - Heat (1995)", stream="a", category="4K | Films")]),
        LibrarySettings(merge="off", versions="all"),
    )
    assert files(library) == {"Heat (1995) - Alpha": "a"}


def test_names_of_versions_begin_with_their_folders_however_long(library: Library) -> None:
    long = "A very long title " * 14
    marks = [("4K-EN - ", "Alpha"), ("4K-EN | ", "Beta"), ("4K-EN ┃ ", "Beta")]
    films = [Film(f"{mark}{long}(1995)", account=account, stream=mark) for mark, account in marks]
    library.show(catalogue(films), LibrarySettings(merge="titles", versions="all"))
    [folder] = folders(library)
    assert len(files(library)) == 3
    assert all(name.startswith(folder) and len(f"{name}.strm".encode()) <= 255 for name in files(library))


# The brake.


def many(count: int, account: str, **columns: Any) -> list[Film]:
    return [Film(f"Film {number} (2001)", account=account, stream=f"{account}{number}", **columns)
            for number in range(count)]  # fmt: skip


def test_an_account_that_is_away_removes_no_title_that_another_one_has(library: Library) -> None:
    films = many(60, "Alpha") + many(60, "Beta")
    library.show(catalogue(films), TITLES)
    before = folders(library)
    assert len(before) == 60
    outcome = library.show(catalogue(films[60:]), TITLES)
    assert outcome.held == 0
    assert folders(library) == before
    assert all(stream.startswith("Beta") for stream in played(library).values())


def test_the_limit_counts_titles_and_not_rows(library: Library) -> None:
    """30 of 100 titles are more than 20 %, and 60 of 300 rows would not be."""
    films = many(100, "Alpha") + many(100, "Beta") + [replace(film, name=f"EN - {film.name}", stream=f"x{film.stream}")
                                                      for film in many(100, "Alpha")]  # fmt: skip
    library.show(catalogue(films), TITLES)
    before = folders(library)
    left = [film for film in films if int(re.sub("[a-zA-Z]", "", film.stream)) >= 25]
    outcome = library.show(catalogue(left, seed=1), TITLES)
    assert outcome.held == 25
    assert folders(library) == before
    assert library.show(catalogue(films, seed=2), TITLES).held == 0
    assert folders(library) == before


def test_an_id_that_is_suddenly_that_of_all_films_joins_none(library: Library) -> None:
    films = many(100, "Alpha")
    library.show(catalogue(films), TITLES)
    before = folders(library)
    outcome = library.show(catalogue([replace(film, tmdb="1") for film in films]), TITLES)
    assert outcome.held == 99
    assert folders(library) == before
    again = library.show(catalogue([replace(film, tmdb="1") for film in films]), TITLES)
    assert (again.held, again.changed) == (99, False)
    # What nobody keeps apart any more is not held, though its own row is as it was.
    library.show(catalogue([*films[:-1], replace(films[-1], tmdb="1")]), TITLES)
    assert library.metrics()["index.movies_not_renamed"] == "0"
    assert library.show(catalogue(films), TITLES).held == 0
    assert folders(library) == before
    library.show(catalogue([replace(film, tmdb="1") for film in films]), TITLES)
    outcome = library.sync(library.last_url, TITLES, accept_shrink=True)
    assert (outcome.held, len(folders(library))) == (0, 1)


@pytest.mark.parametrize("let_go", [{"accept_shrink": True}, {"max_shrink": 100}])
def test_what_was_kept_apart_is_joined_when_it_may_be(
    library: Library, postgres: PostgresServer, let_go: dict[str, Any]
) -> None:
    """Though no row has changed since."""
    database = Database(postgres.new_database()).fill(catalogue(many(100, "Alpha")))
    library.sync(database.url, TITLES)
    database.execute("UPDATE vod_movie SET imdb_id = NULL, tmdb_id = NULL")
    database.execute("""UPDATE vod_m3umovierelation SET custom_properties = '{"basic_data": {"tmdb": "1"}}'""")
    assert library.sync(database.url, TITLES).held == 99
    database.execute("UPDATE vod_movie SET rating = '1' WHERE id = 1")
    assert library.sync(database.url, TITLES).changed
    database.execute("UPDATE vod_movie SET rating = rating")
    again = library.sync(database.url, TITLES)
    assert (again.held, again.changed) == (99, False)
    assert library.sync(database.url, TITLES, **let_go).held == 0
    assert len(folders(library)) == 1


# Any history.

NAMES = ("Heat (1995)", "EN - Heat (1995)", "4K | Heat (1995)", "Heat", "Rook (1986)", "FR - Rook (1986)", "Rook")
FILMS = st.lists(
    st.builds(
        Film,
        name=st.sampled_from(NAMES),
        account=st.sampled_from(("Alpha", "Beta")),
        tmdb=st.sampled_from(("", "", "1", "2")),
        imdb=st.sampled_from(("", "", "tt0000001", "tt0000002")),
        height=st.sampled_from((0, 0, 720, 2160)),
    ),
    min_size=1,
    max_size=7,
)
ANCHOR = Film("Anchor (2000)", stream="anchor")


def shown(films: Sequence[Film], directory: Path) -> Library:
    directory.mkdir()
    library = Library(directory)
    library.show(catalogue(films), TITLES)
    return library


def choices(library: Library) -> dict[frozenset[str], str]:
    """The stream that plays of each title."""
    tree, files = library.tree(), library.files()
    by_inode = {entry.inode: path for path, entry in tree.items() if entry.is_dir}
    found = {}
    for inode, streams in titles(library).items():
        [content] = [files[path] for path in files if path.startswith(f"{by_inode[inode]}/") and path.endswith("strm")]
        stream = STREAM.search(content)
        assert stream is not None
        found[frozenset(streams)] = stream[1].decode()
    return found


STEPS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 6)),
        st.dictionaries(st.integers(0, 6), st.sampled_from(("", "1", "2")), max_size=2),
        st.randoms(use_true_random=False),
    ),
    min_size=1,
    max_size=3,
)
"""What happens to films: which are there, which get another id, and in which order their rows are made anew."""


@settings(max_examples=10)
@given(FILMS, STEPS)
def test_whatever_happens_every_row_is_in_one_title_that_plays_the_best(
    first: list[Film], history: list[tuple[set[int], dict[int, str], Random]]
) -> None:
    films = {f"s{number}": replace(film, stream=f"s{number}") for number, film in enumerate(first)}
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "lived").mkdir()
        library = Library(Path(directory) / "lived")
        before: dict[int, set[str]] = {}
        were: dict[str, Film] = {}
        for step, (there, ids, random) in enumerate(history):
            for number, tmdb in ids.items():
                if f"s{number}" in films:
                    films[f"s{number}"] = replace(films[f"s{number}"], tmdb=tmdb)
            present = [ANCHOR, *(film for stream, film in films.items() if int(stream[1:]) in there)]
            random.shuffle(present)
            library.show(catalogue(present, seed=step), TITLES, max_shrink=100)
            now = titles(library)
            assert sorted(stream for streams in now.values() for stream in streams) == sorted(
                film.stream for film in present
            )
            fresh = shown(present, Path(directory) / f"fresh{step}")
            other = shown(present[::-1], Path(directory) / f"other{step}")
            assert fresh.files().keys() == other.files().keys()
            assert choices(fresh) == choices(other) == choices(library)
            _check_kept(before, now, {film.stream for film in present if were.get(film.stream) == film})
            before, were = now, {film.stream: film for film in present}


def _check_kept(before: dict[int, set[str]], now: dict[int, set[str]], same: Set[str]) -> None:
    """A folder goes only when all that is left of its title joined one that was there, too.

    Args:
        before: the streams of each title, by the inode of its folder.
        now: the same a step later.
        same: the streams that play the same as before.
    """
    for inode, streams in before.items():
        heirs = [new for new, theirs in now.items() if theirs & streams & same]
        assert not heirs or inode in now or all(heir in before for heir in heirs)


# Series.


@dataclass(frozen=True)
class Show:
    """A series' row with its episodes, each by its number and with its stream id."""

    name: str
    episodes: dict[tuple[int, int], str]
    account: str = "Alpha"
    tmdb: str = ""
    height: int = 0


def shows(rows: Sequence[Show], *, priorities: dict[str, int] | None = None, seed: int = 0) -> Catalogue:
    made = Catalogue(seed)
    accounts = {name: made.account(name, priority=(priorities or {}).get(name, 0)) for name in ("Alpha", "Beta")}
    number = seed * 1000
    for place, row in enumerate(rows):
        series = made.series(row.name, relations=[], id=seed * 1000 + place + 1)
        account = accounts[row.account]
        first = min(row.episodes.values(), default=str(place))
        said: dict[str, Any] = {"basic_data": {"tmdb": row.tmdb}}
        made.relate(series, account, external_series_id=f"of {first}", custom_properties=said)
        for (season, episode), stream in row.episodes.items():
            number += 1
            item = made.episode(series, season, episode, "", relations=[], id=number)
            said = {"info": {"info": {"video": {"width": 16, "height": row.height}}}} if row.height else {}
            made.relate(item, account, stream_id=stream, custom_properties=said)
    return made


def streams(library: Library) -> dict[str, str]:
    """The stream that each episode plays, by series, season and file."""
    return {
        path.removeprefix("TV/").removesuffix(".strm"): stream[1].decode()
        for path, content in library.files().items()
        if path.startswith("TV/") and (stream := STREAM.search(content))
    }


def nodes(library: Library) -> dict[str, int]:
    """The nodes of series' folders and of episodes; seasons without any go."""
    tree = library.tree()
    return {
        path: entry.inode >> 11
        for path, entry in tree.items()
        if path.startswith("TV/") and (path.count("/") == 1 or path.endswith(".strm"))
    }


LOST = [
    Show("Lost (2004)", {(1, 1): "a1", (1, 2): "a2"}),
    Show("4K-EN - Lost (2004)", {(1, 2): "b2", (2, 1): "b3"}, "Beta", height=2160),
]
JOINED = {
    "Lost (2004)/Season 01/S01E01": "a1",
    "Lost (2004)/Season 01/S01E02": "b2",
    "Lost (2004)/Season 02/S02E01": "b3",
}
APART = {"Lost (2004)/Season 01/S01E01": "a1", "Lost (2004)/Season 01/S01E02": "a2"}


def test_seasons_and_episodes_are_joined_by_their_numbers(library: Library) -> None:
    library.show(shows(LOST), TITLES)
    assert streams(library) == JOINED
    assert library.metrics()["index.series_merged"] == "1"
    assert library.metrics()["index.episodes_merged"] == "1"
    assert library.metrics()["index.episodes"] == "3"
    [nfo] = [content for path, content in library.files().items() if path.endswith("tvshow.nfo")]
    assert b'<namedseason number="2">' in nfo


def test_a_film_and_a_series_of_one_name_are_two_titles(library: Library) -> None:
    made = shows(LOST[:1])
    made.movie("Lost (2004)")
    library.show(made, TITLES)
    assert {path for path in library.paths() if path.count("/") == 1} == {"Movies/Lost (2004)", "TV/Lost (2004)"}


def test_series_that_become_one_keep_what_the_first_one_has(library: Library) -> None:
    library.show(shows(LOST), OFF)
    before = nodes(library)
    assert len(streams(library)) == 4
    outcome = library.show(shows(LOST), TITLES)
    assert outcome.held == 0
    assert streams(library) == JOINED
    now = nodes(library)
    for path in ("TV/Lost (2004)", "TV/Lost (2004)/Season 01/S01E01.strm"):
        assert now[path] == before[path]
    library.show(shows(LOST), OFF)
    assert nodes(library) == before


def test_episodes_outlive_the_rows_that_they_were_made_for(library: Library) -> None:
    library.show(shows(LOST), TITLES)
    before = nodes(library)
    outcome = library.show(shows(LOST[1:], seed=1), TITLES)
    assert outcome.held == 0
    assert streams(library) == {path: stream for path, stream in JOINED.items() if stream != "a1"}
    assert nodes(library).items() <= before.items()
    library.show(shows(LOST, seed=2), TITLES)
    assert streams(library) == JOINED


def test_episodes_of_a_row_that_parts_go_with_it(library: Library) -> None:
    ids = [replace(LOST[0], tmdb="1"), replace(LOST[1], tmdb="1")]
    library.show(shows(ids), TITLES)
    assert streams(library) == JOINED
    before = nodes(library)
    library.show(shows([ids[0], replace(ids[1], tmdb="2")]), TITLES)
    theirs = {path: stream for path, stream in streams(library).items() if path not in APART}
    assert {path: stream for path, stream in streams(library).items() if path in APART} == APART
    assert sorted(theirs.values()) == ["b2", "b3"]
    library.show(shows(ids), TITLES)
    assert streams(library) == JOINED
    assert nodes(library) == before


def test_episodes_that_come_and_go_are_joined_as_they_come(library: Library) -> None:
    library.show(shows([LOST[0], replace(LOST[1], episodes={(3, 1): "b9"})]), TITLES)
    assert streams(library) == APART | {"Lost (2004)/Season 03/S03E01": "b9"}
    more = replace(LOST[1], episodes={(3, 1): "b9", (1, 1): "b1"})
    library.show(shows([LOST[0], more]), TITLES)
    assert streams(library)["Lost (2004)/Season 01/S01E01"] == "b1"
    library.show(shows([LOST[0], replace(LOST[1], episodes={(3, 1): "b9"})]), TITLES)
    assert streams(library) == APART | {"Lost (2004)/Season 03/S03E01": "b9"}


@pytest.mark.parametrize("leaving", [0, 1])
def test_episodes_of_a_row_that_a_filter_keeps_out_from_now_on_go_with_it(
    library: Library, postgres: PostgresServer, leaving: int
) -> None:
    """Their own rows are as they were."""
    rows = [replace(LOST[0], name="EN - Lost (2004)"), LOST[1]]
    english = LibrarySettings(merge="titles", languages=("EN",))
    database = Database(postgres.new_database()).fill(shows(rows))
    library.sync(database.url, english)
    assert streams(library) == JOINED
    database.execute("UPDATE vod_series SET name = 'FR - Lost (2004)' WHERE id = ?", leaving + 1)
    library.sync(database.url, english)
    assert sorted(streams(library).values()) == sorted(rows[1 - leaving].episodes.values())


def test_a_series_that_must_not_be_joined_at_once_keeps_the_episodes_of_all_its_rows(library: Library) -> None:
    rows = [Show(f"Show {number} (2001)", {(1, 1): f"a{number}"}) for number in range(40)]
    rows += [Show(f"EN - Show {number} (2001)", {(1, 1): f"b{number}", (1, 2): f"c{number}"}) for number in range(40)]
    library.show(shows(rows), TITLES)
    before = nodes(library), streams(library)
    for _ in range(2):
        outcome = library.show(shows([replace(row, tmdb="1") for row in rows]), TITLES)
        assert outcome.counts["series", "not_renamed"] == 39
        assert (nodes(library), streams(library)) == before
    again = library.show(shows([replace(row, tmdb="1") for row in rows]), TITLES)
    assert (again.counts["series", "not_renamed"], again.changed) == (39, False)
    library.show(shows(rows), TITLES)
    assert (nodes(library), streams(library)) == before
    library.show(shows([replace(row, tmdb="1") for row in rows]), TITLES)
    library.sync(library.last_url, TITLES, accept_shrink=True)
    assert len(streams(library)) == 2


def test_what_did_not_change_of_joined_series_makes_no_generation(library: Library) -> None:
    library.show(shows(LOST), TITLES)
    before = library.tree()
    assert not library.show(shows(LOST), TITLES).changed
    assert library.tree() == before


def test_with_a_file_for_each_version_the_episodes_of_all_rows_stand_in_one_folder(library: Library) -> None:
    library.show(shows(LOST), LibrarySettings(merge="titles", versions="all"))
    assert sorted(streams(library).values()) == ["a1", "a2", "b2", "b3"]
    assert {path.partition("/")[0] for path in streams(library)} == {"Lost (2004)"}


ALL = LibrarySettings(merge="titles", versions="all")


def called(library: Library) -> dict[str, str]:
    """The name of each episode's file, by its stream."""
    return {stream: path.rpartition("/")[2] for path, stream in streams(library).items()}


def test_files_of_episodes_say_language_and_quality_and_the_account_where_both_are_equal(library: Library) -> None:
    rows = [
        Show("EN - Lost (2004)", {(1, 1): "a"}),
        Show("4K-FR - Lost (2004)", {(1, 1): "b"}),
        Show("|EN| Lost (2004)", {(1, 1): "c"}, "Beta"),
        Show("EN ┃ Lost (2004)", {(1, 1): "d"}, "Beta"),
        Show("Lost (2004)", {(1, 1): "e"}, "Beta", height=2160),
    ]
    library.show(shows(rows), ALL)
    names = called(library)
    assert re.fullmatch(r"S01E01 - English \[[0-9a-f]{8}\]", names.pop("d"))
    expected = {
        "a": "S01E01 - English", "b": "S01E01 - French 4K", "c": "S01E01 - English Beta", "e": "S01E01 - Beta",
    }  # fmt: skip
    assert names == expected
    # Names stay, whoever goes and comes.
    library.show(shows(rows[1:], seed=1), ALL)
    assert called(library).items() >= {stream: name for stream, name in expected.items() if stream != "a"}.items()
    library.show(shows(rows, seed=2), ALL)
    assert called(library).items() >= expected.items()


@pytest.mark.parametrize("joined", [False, True])
def test_an_episode_is_called_as_its_row_is_now(library: Library, postgres: PostgresServer, joined: bool) -> None:
    """Its own row in the catalogue is as it was."""
    rows = [Show("EN - Lost (2004)", {(1, 1): "a"}), *([Show("Lost (2004)", {(1, 1): "b"})] if joined else [])]
    database = Database(postgres.new_database()).fill(shows(rows))
    library.sync(database.url, ALL)
    before = nodes(library)["TV/Lost (2004)/Season 01/S01E01 - English.strm"]
    database.execute("UPDATE vod_series SET name = '4K-FR - Lost (2004)' WHERE id = 1")
    library.sync(database.url, ALL)
    assert called(library)["a"] == "S01E01 - French 4K"
    assert nodes(library)["TV/Lost (2004)/Season 01/S01E01 - French 4K.strm"] == before
    library.sync(database.url, LibrarySettings(merge="off", versions="all"))
    assert called(library)["a"] == "S01E01 - Alpha"


def test_names_of_episodes_have_room_for_any_title_and_label(library: Library) -> None:
    made = Catalogue()
    marks = "EN FR DE ES IT PT NL PL RU TR AR SE DK NO FI GR HU RO CZ BG".split()
    accounts = [made.account(f"{letter} {'account ' * 30}") for letter in "AB"]
    series = made.series(f"[{'-'.join(marks)}] Lost (2004)", relations=accounts)
    other = made.series(f"|{marks[0]}| [{'-'.join(marks)}] Lost (2004)", relations=accounts)
    for each in (series, other):
        made.episode(each, 1, 1, "Ä very long title " * 14, relations=accounts)
    library.show(made, ALL)
    names = [path.rpartition("/")[2] for path in library.paths() if path.endswith(".strm")]
    assert len(set(names)) == 4
    assert all(len(name.encode()) <= 255 and name.startswith("S01E01") for name in names)


SHOWS = st.lists(
    st.tuples(
        st.sampled_from(("Lost (2004)", "EN - Lost (2004)", "Lost", "Dark (2017)", "4K - Dark (2017)")),
        st.sampled_from(("", "", "1", "2")),
        st.dictionaries(st.tuples(st.integers(0, 2), st.integers(1, 2)), st.sampled_from((0, 720)), max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=10)
@given(st.lists(st.tuples(SHOWS, st.booleans()), min_size=1, max_size=3))
def test_whatever_happens_to_series_every_episode_is_there_once(
    history: list[tuple[list[tuple[str, str, dict[tuple[int, int], int]]], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "lived").mkdir()
        library = Library(Path(directory) / "lived")
        for step, (drawn, joins) in enumerate(history):
            rows = [Show("Anchor (2000)", {(1, 1): "anchor"})]
            for place, (name, tmdb, episodes) in enumerate(drawn):
                numbered = {number: f"s{place}e{number[0]}x{number[1]}" for number in sorted(episodes)}
                rows.append(Show(name, numbered, ("Alpha", "Beta")[place % 2], tmdb))
            settings = TITLES if joins else OFF
            library.show(shows(rows, seed=step), settings, accept_shrink=True)
            (Path(directory) / f"fresh{step}").mkdir()
            fresh = Library(Path(directory) / f"fresh{step}")
            fresh.show(shows(rows, seed=step + 50), settings)
            assert sorted(streams(library).values()) == sorted(streams(fresh).values())
            assert len(streams(library)) == len(streams(fresh))
            _check_whole(library)


def _check_whole(library: Library) -> None:
    """What waits has somebody that stands for it, and nothing is joined to what waits."""
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        [lost] = index.execute(
            "SELECT count(*) FROM node WHERE kind IN (2, 5) AND parent = -1 AND NOT EXISTS (SELECT 1 FROM joined"
            " JOIN node AS host ON host.id = joined.host WHERE joined.node = node.id AND host.parent != -1)"
        ).fetchone()
        [dangling] = index.execute(
            "SELECT count(*) FROM joined WHERE node NOT IN (SELECT id FROM node) OR host NOT IN (SELECT id FROM node)"
        ).fetchone()
    assert (lost, dangling) == (0, 0)


# What there is of a title, as tags.

TAGGED = LibrarySettings(merge="titles", version_tags=True)


def tags_of(library: Library, nfo: str) -> list[str]:
    return re.findall(r"<tag>(.*)</tag>", library.files()[nfo].decode())


def test_tags_say_the_languages_and_qualities_of_all_versions(library: Library) -> None:
    films = [Film("EN - Heat (1995)", height=480), Film("4K-FR - Heat (1995)"), Film("Alien (1979)")]
    library.show(catalogue(films), TAGGED)
    heat, alien = "Movies/Heat (1995)/movie.nfo", "Movies/Alien (1979)/movie.nfo"
    assert tags_of(library, heat) == ["English", "French", "4K", "SD"]
    assert tags_of(library, alien) == []
    before = library.tree()
    library.show(catalogue([*films[:1], films[2]]), TAGGED)
    assert tags_of(library, heat) == ["English", "SD"]
    library.show(catalogue([*films, Film("DE - Heat (1995)", stream="late")]), TAGGED)
    assert tags_of(library, heat) == ["English", "French", "German", "4K", "SD"]
    assert library.tree()["Movies/Heat (1995)"].inode == before["Movies/Heat (1995)"].inode


def test_whose_own_row_plays_has_its_files_with_the_tags_of_all(library: Library, tmp_path: Path) -> None:
    films = [Film("4K-EN - Heat (1995)", stream="a"), Film("FR - Heat (1995) HD", stream="b", category="x")]
    for made in (films[:1], films, [films[0], replace(films[1], name="CAM-FR - Heat (1995)")]):
        library.show(catalogue(made), TAGGED)
        assert played(library) == {"Heat (1995)": "a"}
        (tmp_path / made[-1].name).mkdir()
        fresh = Library(tmp_path / made[-1].name)
        fresh.show(catalogue(made), TAGGED)
        mine, theirs = library.files(), fresh.files()
        assert {path: mine[path] for path in mine if path != ".stats.csv"} == {
            path: theirs[path] for path in theirs if path != ".stats.csv"
        }


def test_a_film_without_further_versions_has_tags_of_its_own(library: Library) -> None:
    library.show(catalogue([Film("FR - Heat (1995)", height=1080)]), LibrarySettings(version_tags=True))
    assert tags_of(library, "Movies/Heat (1995)/movie.nfo") == ["French", "1080p"]


def test_a_series_has_the_tags_of_all_its_rows(library: Library) -> None:
    library.show(shows(LOST), TAGGED)
    assert tags_of(library, "TV/Lost (2004)/tvshow.nfo") == ["English", "4K"]
    library.show(shows(LOST[:1]), TAGGED)
    assert tags_of(library, "TV/Lost (2004)/tvshow.nfo") == []
    library.show(shows([*LOST, Show("FR - Lost (2004)", {(3, 1): "c"})]), TAGGED)
    assert tags_of(library, "TV/Lost (2004)/tvshow.nfo") == ["English", "French", "4K"]
    [nfo] = [content for path, content in library.files().items() if path.endswith("tvshow.nfo")]
    assert b'<namedseason number="3">' in nfo


def test_tags_are_no_bytes_unless_they_are_asked_for(library: Library) -> None:
    films = [Film("EN - Heat (1995)", height=480), Film("4K-FR - Heat (1995)")]
    library.show(catalogue(films), TITLES)
    before = library.files()
    assert not any(b"<tag>" in content for content in before.values())
    library.show(catalogue(films), TAGGED)
    assert library.files() != before
    library.show(catalogue(films), TITLES)
    assert library.files() == before


# Marks that are not true.


@pytest.mark.parametrize(
    ("name", "height", "said"),
    [
        ("4K-EN - Heat (1995)", 480, "marked 4K, measured SD"),
        ("EN - Heat (1995) FHD", 2160, "marked 1080p, measured 4K"),
        ("EN - Heat (1995) HD", 576, "marked 720p, measured SD"),
        ("EN - Heat (1995) HD", 1080, None),
        ("4K-EN - Heat (1995)", 1704, None),
        ("CAM - Heat (1995)", 1080, None),
        ("EN - Heat (1995)", 480, None),
        ("4K-EN - Heat (1995)", 0, None),
    ],
)
def test_a_mark_that_the_measurement_contradicts_is_counted(
    library: Library, name: str, height: int, said: str | None
) -> None:
    def check(said: str | None) -> None:
        assert library.metrics()["index.marks_contradicted"] == str(int(said is not None))
        with closing(Store(library.state_dir)) as store:
            found = [remark.detail for remark in store.remarks() if remark.what == "other quality"]
        assert found == ([said] if said else [])

    others = [Film("Alien (1979)", height=480)]
    library.show(catalogue([Film(name), *others]))
    check(None)
    library.show(catalogue([Film(name, height=height), *others]))
    check(said)
    library.show(catalogue([Film("Heat (1995)", stream="anew"), *others], seed=1), accept_shrink=True)
    check(None)


def test_what_a_category_says_can_be_contradicted_and_is_reported(tmp_path: Path) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue([Film("Heat (1995)", category="4K Movies", height=480)]), TITLES)
    assert output.library.metrics()["index.marks_contradicted"] == "1"
    assert ("Heat (1995)", "noted", "other quality: marked 4K, measured SD") in output.actions()


# A column of a Dispatcharr to come.


def test_the_language_that_dispatcharr_knows_comes_before_marks(library: Library, tmp_path: Path) -> None:
    films = [
        Film("EN - Heat (1995)", stream="a"),
        Film("Heat (1995)", stream="b"),
        Film("Heat (1995) 1080p", stream="c"),
    ]
    path = tmp_path / "tagged.db"
    catalogue(films).write(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE vod_movie ADD COLUMN language varchar(2) NOT NULL DEFAULT ''")
        database.execute("UPDATE vod_movie SET language = iif(id = 1, 'de', iif(id = 2, 'fr', ''))")
    for wish, stream in (("EN", "c"), ("DE", "a"), ("FR", "b")):
        settings = LibrarySettings(merge="titles", prefer_languages=(wish,))
        library.sync(f"sqlite:///{path}", settings)
        assert played(library) == {"Heat (1995)": stream}
    library.sync(f"sqlite:///{path}", LibrarySettings(merge="titles", languages=("DE",)))
    assert played(library) == {"Heat (1995)": "a"}


@pytest.mark.parametrize(
    ("tags", "label"),
    [
        ({"language": "fr", "quality": "4K"}, "French 4K"),
        ({"language": "fr"}, "French 1080p"),
        ({"quality": "sd", "language": None}, "English SD"),
        ({"language": "../x", "quality": "huge"}, "English 1080p"),
        ({"language": ["fr"], "quality": {"4K": 1}}, "English 1080p"),
        (["fr", "4K"], "English 1080p"),
        (None, "English 1080p"),
    ],
)
def test_the_tags_of_a_category_come_before_marks(
    library: Library, database: Database, tags: object, label: str
) -> None:
    films = [Film("FHD-EN - Heat (1995)", category="Any", stream="a"), Film("Heat (1995)", stream="b")]
    database.fill(catalogue(films))
    everything = LibrarySettings(merge="titles", versions="all")
    library.sync(database.url, everything)
    before = set(files(library))
    assert "Heat (1995) - English 1080p" in before
    database.execute("UPDATE vod_m3uvodcategoryrelation SET custom_properties = ?", json.dumps(tags))
    library.sync(database.url, everything)
    assert set(files(library)) == {*before - {"Heat (1995) - English 1080p"}, f"Heat (1995) - {label}"}


def test_a_language_that_a_row_gets_is_seen_at_once(library: Library, database: Database) -> None:
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", stream="b")]
    database.fill(catalogue(films))
    database.execute("ALTER TABLE vod_movie ADD COLUMN language varchar(2) NOT NULL DEFAULT ''")
    url = reader_url(database.owner_url)
    wish = LibrarySettings(merge="titles", prefer_languages=("FR", "EN"))
    library.sync(url, wish)
    database.execute("UPDATE vod_movie SET language = 'de' WHERE id = 2")
    library.sync(url, wish)
    assert played(library) == {"Heat (1995)": "a"}
    database.execute("UPDATE vod_movie SET language = 'fr' WHERE id = 2")
    library.sync(url, wish)
    assert played(library) == {"Heat (1995)": "b"}


def test_tags_of_categories_say_what_plays(library: Library, database: Database) -> None:
    films = [
        Film("Heat (1995)", category="Any", stream="a"),
        Film("Heat (1995)", account="Beta", stream="b", tmdb="949"),
    ]
    database.fill(catalogue(films, priorities={"Beta": 1}))
    wish = LibrarySettings(merge="titles", prefer_languages=("FR",), version_tags=True)
    library.sync(database.url, wish)
    assert played(library) == {"Heat (1995)": "b"}
    database.execute(
        "UPDATE vod_m3uvodcategoryrelation SET custom_properties = ?", '{"language": "fr", "quality": "720p"}'
    )
    library.sync(database.url, wish)
    assert played(library) == {"Heat (1995)": "a"}
    assert tags_of(library, "Movies/Heat (1995)/movie.nfo") == ["French", "720p"]


# What is written to disk, and what is said.


def test_files_of_titles_that_were_joined_are_cleaned_up_as_merged(tmp_path: Path) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")
    films = [Film("Heat (1995)", stream="a"), Film("EN - Heat (1995)", stream="b"), Film("Rook (1986)", stream="c")]
    output.library.show(catalogue(films), OFF)
    output.write()
    assert len(list((output.root / "Movies").iterdir())) == 3
    output.library.show(catalogue(films), TITLES)
    assert ("Heat (1995)", "noted", "merged: Heat (1995) (title and year)") in output.actions()
    assert len(list((output.root / "Movies").iterdir())) == 3
    actions = output.actions(cleanup="apply")
    assert {reason for _, action, reason in actions if action == "deleted"} == {"merged"}
    assert output.difference() == {}
    assert len(list((output.root / "Movies").iterdir())) == 2


def test_joined_series_are_written_as_they_are_shown(tmp_path: Path) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(shows(LOST), OFF)
    output.write()
    output.library.show(shows(LOST), TITLES)
    output.write(cleanup="apply")
    assert output.difference() == {}
    output.library.show(shows(LOST[1:], seed=1), TITLES)
    output.write(cleanup="apply")
    assert output.difference() == {}


def test_titles_are_listed_with_their_rows(library: Library) -> None:
    films = [Film("EN - Heat (1995)", stream="a"), Film("4K-FR | Heat (1995)", account="Beta", stream="b")]
    library.show(catalogue([*films, Film("Rook (1986)", stream="c")]), TITLES)

    def listed(*arguments: str) -> Any:
        ended = CliRunner().invoke(cli, ["titles", "--state-dir", str(library.state_dir), *arguments])
        assert ended.exit_code == 0
        return ended.output

    assert listed() == (
        "Heat (1995)  movie  (by prefer_quality)\n    EN - Heat (1995)  Alpha  EN\n"
        "  * 4K-FR | Heat (1995)  Beta  FR  4K  joined by title and year\n"
    )
    assert listed("rook") == "Rook (1986)  movie\n  * Rook (1986)  Alpha\n"
    assert listed("nonesuch") == "No folder is called so.\n"
    [title] = json.loads(listed("heat*", "--json"))["titles"]
    assert [(row["stream_id"], row["plays"], row["languages"], row["quality"]) for row in title["versions"]] == [
        ("a", False, ["EN"], None),
        ("b", True, ["FR"], "4K"),
    ]


def test_where_each_version_has_its_file_all_of_them_play(library: Library) -> None:
    films = [Film("EN - Heat (1995)", stream="a"), Film("4K-FR | Heat (1995)", account="Beta", stream="b")]
    library.show(catalogue(films), LibrarySettings(merge="titles", versions="all"))
    ended = CliRunner().invoke(cli, ["titles", "--state-dir", str(library.state_dir)])
    assert ended.output == (
        "Heat (1995)  movie\n  * EN - Heat (1995)  Alpha  EN\n"
        "  * 4K-FR | Heat (1995)  Beta  FR  4K  joined by title and year\n"
    )
