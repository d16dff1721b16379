"""The user's choices: which titles, in which folders, with which URLs and names."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError
from vod2strmfs.index.store import Store
from vod2strmfs.settings import LibrarySettings


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def catalogue() -> Catalogue:
    made = Catalogue()
    alpha, beta = made.account("Alpha"), made.account("Beta", priority=5, account_type="STD")
    drama, kids = made.category("Drama | 4K", "movie"), made.category("Kids", "movie")
    shows = made.category("Shows", "series")
    for account in (alpha, beta):
        for category in (drama, kids, shows):
            made.enable(account, category)
    made.movie("EN - Heat", year=1995, genre="Crime, Drama", tmdb_id="949", relations=[alpha], category=drama)
    made.movie("|FR| Amélie", year=2001, genre="Comedy", imdb_id="tt0211915", relations=[beta], category=kids)
    made.movie("After Dark", year=1999, genre="Adult", relations=[alpha], is_adult=True)
    lost = made.series("Lost", year=2004, genre="Drama", relations=[alpha], category=shows)
    made.episode(lost, 1, 1, "Pilot")
    made.episode(lost, 0, 1, "Extra")
    office = made.series("The Office (US)", year=2005, genre="Comedy", relations=[beta])
    made.episode(office, 1, 1, "Pilot")
    return made


ALL = {
    "Movies/Heat (1995)",
    "Movies/Amélie (2001)",
    "Movies/After Dark (1999)",
    "TV/Lost (2004)",
    "TV/The Office (US) (2005)",
}


def titles(library: Library) -> set[str]:
    return {path for path in library.paths() if path.count("/") == 1}


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ({}, ALL),
        ({"accounts": "Alpha"}, {"Movies/Heat (1995)", "Movies/After Dark (1999)", "TV/Lost (2004)"}),
        ({"accounts": "!alpha"}, {"Movies/Amélie (2001)", "TV/The Office (US) (2005)"}),
        ({"categories": "Drama*, Shows"}, {"Movies/Heat (1995)", "TV/Lost (2004)"}),
        ({"categories": "!Drama*"}, ALL - {"Movies/Heat (1995)"}),
        ({"categories": ["*", "!Kids"]}, ALL - {"Movies/Amélie (2001)"}),
        ({"genres": "drama"}, {"Movies/Heat (1995)", "TV/Lost (2004)"}),
        ({"genres": "Drama, !Crime"}, {"TV/Lost (2004)"}),
        ({"years": "1999-2004"}, {"Movies/Amélie (2001)", "Movies/After Dark (1999)", "TV/Lost (2004)"}),
        ({"years": "2001"}, {"Movies/Amélie (2001)"}),
        ({"years": "-1999"}, {"Movies/Heat (1995)", "Movies/After Dark (1999)"}),
        ({"years": "2004-"}, {"TV/Lost (2004)", "TV/The Office (US) (2005)"}),
        ({"languages": "FR"}, {"Movies/Amélie (2001)"}),
        ({"languages": "!FR,!EN"}, ALL - {"Movies/Amélie (2001)", "Movies/Heat (1995)"}),
        ({"languages": "-"}, ALL - {"Movies/Amélie (2001)", "Movies/Heat (1995)"}),
        ({"adult": "exclude"}, ALL - {"Movies/After Dark (1999)"}),
        ({"adult": "only"}, {"Movies/After Dark (1999)"}),
        ({"ids": "tmdb-949, imdb-tt0211915"}, {"Movies/Heat (1995)", "Movies/Amélie (2001)"}),
        ({"ids": "!tmdb-949"}, ALL - {"Movies/Heat (1995)"}),
    ],
)
def test_filters_choose_titles_and_episodes_go_with_their_series(
    library: Library, choice: dict[str, Any], shown: set[str]
) -> None:
    library.show(catalogue(), LibrarySettings(**choice))
    assert titles(library) == shown
    expected = sum(path.startswith("Movies") for path in shown) + 2 * ("TV/Lost (2004)" in shown)
    expected += "TV/The Office (US) (2005)" in shown
    assert sum(path.endswith(".strm") for path in library.paths()) == expected
    filtered = sum(int(count) for metric, count in library.metrics().items() if "filtered_by_" in metric)
    assert filtered == len(ALL) - len(shown)


def test_an_include_that_matches_nothing_is_named_and_means_nothing(library: Library) -> None:
    outcome = library.show(catalogue(), LibrarySettings(categories=("Shows", "Sports*"), genres=("Drama",)))
    assert outcome.unmatched == (("categories", "Sports*"),)
    assert titles(library) == {"TV/Lost (2004)"}


def test_a_library_is_not_made_of_nothing(library: Library) -> None:
    with pytest.raises(CatalogError, match="the filters keep out all 5 titles"):
        library.show(catalogue(), LibrarySettings(accounts=("Typo",)))


def test_a_filter_set_later_does_not_shrink_the_library_by_surprise(library: Library) -> None:
    library.show(catalogue())
    outcome = library.show(catalogue(), LibrarySettings(accounts=("Typo",)))
    assert outcome.held == 6
    assert titles(library) == ALL
    library.show(catalogue(), LibrarySettings(accounts=("Alpha",)), accept_shrink=True)
    assert titles(library) == {"Movies/Heat (1995)", "Movies/After Dark (1999)", "TV/Lost (2004)"}
    library.show(catalogue())
    assert titles(library) == ALL


def test_titles_are_grouped_by_the_category_of_their_chosen_relation(library: Library) -> None:
    library.show(catalogue(), LibrarySettings(group_by="category_tv"))
    assert {path for path in library.paths() if path.count("/") == 2 and not path.endswith("nfo")} == {
        "Movies/Drama - 4K/Heat (1995)",
        "Movies/Kids/Amélie (2001)",
        "Movies/Uncategorised/After Dark (1999)",
        "TV/Shows/Lost (2004)",
        "TV/Uncategorised/The Office (US) (2005)",
    }
    assert library.tree()["Movies/Kids"].mtime == library.tree()["Movies/Kids/Amélie (2001)"].mtime


def test_series_stand_right_below_tv_where_servers_find_them_unless_asked_for(library: Library) -> None:
    library.show(catalogue(), LibrarySettings(group_by="category_tv"))
    nested = library.tree()["TV/Shows/Lost (2004)"].inode
    library.show(catalogue(), LibrarySettings(group_by="category"))
    assert [path for path in library.paths() if path.startswith("TV/") and path.count("/") == 1] == [
        "TV/Lost (2004)",
        "TV/The Office (US) (2005)",
    ]
    assert library.tree()["TV/Lost (2004)"].inode == nested
    assert "Movies/Kids/Amélie (2001)" in library.paths()


@pytest.mark.parametrize("group_by", ["category", "category_tv"])
def test_grouping_can_be_switched_on_and_off(library: Library, group_by: Any) -> None:
    library.show(catalogue())
    flat, contents = library.tree(), library.files()
    library.show(catalogue(), LibrarySettings(group_by=group_by))
    assert library.tree()["Movies/Kids/Amélie (2001)"].inode == flat["Movies/Amélie (2001)"].inode
    library.show(catalogue())
    assert library.tree().keys() == flat.keys()
    assert library.files() == contents


def test_categories_of_one_name_stay_apart(library: Library) -> None:
    made = Catalogue()
    account = made.account("Alpha")
    for name in ("Drama", "DRAMA", "Drama:"):
        category = made.category(name, "movie")
        made.enable(account, category)
        made.movie(f"Film of {name}", category=category)
    library.show(made, LibrarySettings(group_by="category"))
    categories = [path.split("/")[1] for path in library.paths() if path.count("/") == 1]
    assert len({name.casefold() for name in categories}) == 3


@pytest.mark.parametrize(
    ("kind", "heat", "amelie"),
    [
        ("plex", "Movies/Heat (1995) {tmdb-949}", "Movies/Amélie (2001) {imdb-tt0211915}"),
        ("jellyfin", "Movies/Heat (1995) [tmdbid-949]", "Movies/Amélie (2001) [imdbid-tt0211915]"),
    ],
)
def test_ids_stand_in_folder_names_as_the_server_reads_them(
    library: Library, kind: Any, heat: str, amelie: str
) -> None:
    library.show(catalogue(), LibrarySettings(folder_ids=kind))
    assert {heat, amelie, "Movies/After Dark (1999)"} <= titles(library)
    assert f"{heat}/{heat.removeprefix('Movies/')}.strm" in library.paths()


@pytest.mark.parametrize(
    ("server", "movie", "episode", "special"),
    [
        ("any", {"movie.nfo"}, {"S01E01 – Pilot.nfo", "S01E01.nfo", "season.nfo"}, "Season 00 (Specials)"),
        ("jellyfin", {"movie.nfo"}, {"S01E01 – Pilot.nfo", "season.nfo"}, "Season 00 (Specials)"),
        ("emby", {"Heat (1995).nfo"}, {"S01E01 – Pilot.nfo", "season.nfo"}, "Season 00"),
        ("kodi", {"Heat (1995).nfo"}, {"S01E01 – Pilot.nfo", "season.nfo"}, "Season 00 (Specials)"),
        ("plex", {"movie.nfo"}, {"S01E01 – Pilot.nfo", "season.nfo"}, "Season 00"),
        ("spec", {"movie.nfo"}, {"S01E01.nfo", "season.nfo"}, "Season 00 (Specials)"),
    ],
)
def test_each_server_gets_the_names_that_it_reads(
    library: Library, server: Any, movie: set[str], episode: set[str], special: str
) -> None:
    # What it was before does not matter.
    library.show(catalogue(), LibrarySettings(media_server="kodi" if server != "kodi" else "any"))
    library.show(catalogue(), LibrarySettings(media_server=server))
    paths = library.paths()

    def nfos(folder: str) -> set[str]:
        return {path.removeprefix(folder) for path in paths if path.startswith(folder) and path.endswith(".nfo")}

    assert nfos("Movies/Heat (1995)/") == movie
    assert nfos("TV/Lost (2004)/Season 01/") == episode
    assert f"TV/Lost (2004)/{special}/season.nfo" in paths
    assert ("TV/Lost (2004)/tvshow.nfo" in paths) == (server != "spec")


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://192.168.199.10:9191/proxy/vod/movie/{uuid}?stream_id=1001&m3u_account_id=1"),
        ({"pin_stream": False}, "http://192.168.199.10:9191/proxy/vod/movie/{uuid}"),
        ({"base_url": "https://tv.example/dispatcharr/", "pin_stream": False}, "https://tv.example/dispatcharr/proxy/vod/movie/{uuid}"),
        ({"base_url": "http://[::1]:9191", "pin_stream": False}, "http://[::1]:9191/proxy/vod/movie/{uuid}"),
        ({"movie_path": "/proxy/vod/movies/{uuid}", "pin_stream": False}, "http://192.168.199.10:9191/proxy/vod/movies/{uuid}"),
        ({"movie_path": "/p?id={uuid}"}, "http://192.168.199.10:9191/p?id={uuid}&stream_id=1001&m3u_account_id=1"),
        ({"direct_urls": True}, "http://panel.example:8080/movie/viewer/panel-password/1001.mkv"),
    ],
)  # fmt: skip
def test_urls_are_made_as_set(library: Library, settings: dict[str, Any], url: str) -> None:
    made = Catalogue()
    movie = made.movie("Heat")
    library.show(made, LibrarySettings(**settings))
    assert library.files()["Movies/Heat/Heat.strm"].decode() == url.format(uuid=movie.uuid) + "\n"


def test_direct_urls_are_for_xtream_accounts_only(library: Library) -> None:
    library.show(catalogue(), LibrarySettings(direct_urls=True))
    files = library.files()
    assert files["Movies/Heat (1995)/Heat (1995).strm"].startswith(b"http://panel.example:8080/movie/viewer/")
    assert files["TV/Lost (2004)/Season 01/S01E01 – Pilot.strm"].startswith(b"http://panel.example:8080/series/viewer/")
    assert files["Movies/Amélie (2001)/Amélie (2001).strm"].startswith(b"http://192.168.199.10:9191/proxy/vod/movie/")


def test_passwords_are_not_kept_where_they_are_not_asked_for(library: Library) -> None:
    library.show(catalogue(), LibrarySettings(direct_urls=True))
    changed = catalogue()
    library.show(changed)
    assert b"panel-password" not in b"".join(library.files().values())
    library.show(catalogue())
    for path in library.state_dir.iterdir():
        assert path.name.startswith("index.db") or b"panel-password" not in path.read_bytes()


def test_a_stream_id_cannot_break_out_of_its_url(library: Library) -> None:
    made = Catalogue()
    made.relate(made.movie("Heat", relations=[]), made.account("Alpha"), stream_id="1&x=\n2/../é #")
    library.show(made)
    assert library.files()["Movies/Heat/Heat.strm"].endswith(
        b"?stream_id=1%26x%3D%0A2%2F..%2F%C3%A9%20%23&m3u_account_id=1\n"
    )


def two_providers(priority: int = 0) -> Catalogue:
    made = Catalogue()
    alpha, beta = made.account("Alpha", priority=1), made.account("Beta 4K", priority=priority)
    heat = made.movie("Heat", year=1995, relations=[])
    for account, stream in ((alpha, "1"), (alpha, "2"), (beta, "1")):
        made.relate(heat, account, stream_id=stream)
    made.movie("Ran", relations=[beta])
    lost = made.series("Lost", relations=[alpha, beta])
    made.episode(lost, 1, 1, "Pilot")
    return made


def test_every_relation_has_a_strm_of_its_own(library: Library) -> None:
    library.show(two_providers(), LibrarySettings(versions="all"))
    paths = library.paths()
    heat = [path.removeprefix("Movies/Heat (1995)/") for path in paths if path.startswith("Movies/Heat (1995)/")]
    assert len(heat) == 4
    assert {"Heat (1995) - Alpha.strm", "Heat (1995) - Beta 4K.strm", "movie.nfo"} < set(heat)
    assert all(name.startswith("Heat (1995) - ") for name in heat if name.endswith(".strm"))
    assert "Movies/Ran/Ran - Beta 4K.strm" in paths
    episodes = [path for path in paths if path.startswith("TV/Lost/Season 01/S01E01 – Pilot")]
    assert [path.removeprefix("TV/Lost/Season 01/") for path in episodes] == [
        "S01E01 – Pilot - Alpha.nfo",
        "S01E01 – Pilot - Alpha.strm",
        "S01E01 – Pilot - Beta 4K.nfo",
        "S01E01 – Pilot - Beta 4K.strm",
    ]
    assert len({content for path, content in library.files().items() if path.endswith(".strm")}) == 6


def test_versions_do_not_move_when_another_is_preferred(library: Library) -> None:
    library.show(two_providers(priority=0), LibrarySettings(versions="all"))
    before = library.tree()
    library.show(two_providers(priority=9), LibrarySettings(versions="all"))
    assert library.tree() == before


def test_versions_can_be_switched_on_and_off(library: Library) -> None:
    library.show(two_providers())
    best, contents = library.paths(), library.files()
    library.show(two_providers(), LibrarySettings(versions="all"))
    assert len(library.paths()) > len(best)
    library.show(two_providers(), accept_shrink=True)
    assert library.paths() == best
    assert library.files() == contents


def test_a_version_goes_with_its_relation_and_comes_back(library: Library) -> None:
    settings = LibrarySettings(versions="all")
    library.show(two_providers(), settings)
    before = library.paths()
    fewer = Catalogue()
    alpha = fewer.account("Alpha", priority=1)
    heat = fewer.movie("Heat", year=1995, relations=[])
    fewer.relate(heat, alpha, stream_id="1")
    fewer.movie("Ran", relations=[fewer.account("Beta 4K")])
    fewer.episode(fewer.series("Lost", relations=[alpha]), 1, 1, "Pilot")
    library.show(fewer, settings)
    assert {path for path in before if path not in library.paths()} >= {"Movies/Heat (1995)/Heat (1995) - Beta 4K.strm"}
    library.show(two_providers(), settings)
    assert library.paths() == before


def test_a_renamed_movie_renames_its_versions(library: Library) -> None:
    settings = LibrarySettings(versions="all")
    library.show(two_providers(), settings)
    inode = library.tree()["Movies/Heat (1995)/Heat (1995) - Beta 4K.strm"].inode
    renamed = two_providers()
    for movie in renamed._records["vod_movie"]:
        movie.name = movie.name.replace("Heat", "Heat Restored")
    library.show(renamed, settings)
    assert library.tree()["Movies/Heat Restored (1995)/Heat Restored (1995) - Beta 4K.strm"].inode == inode


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "base_url is not set"),
        ({"base_url": "http://192.168.1.10:9191"}, ""),
        ({"base_url": "http://localhost:9191"}, "its own container"),
        ({"base_url": "http://127.0.0.1:9191"}, "its own container"),
        ({"base_url": "http://[::1]:9191"}, "its own container"),
        ({"base_url": "http://kim:geheim@dispatcharr"}, "its password stands in every .strm"),
        ({"direct_urls": True}, "the account's password"),
    ],
)
def test_what_is_seldom_meant_is_warned_about(settings: dict[str, Any], said: str) -> None:
    warnings = " ".join(LibrarySettings(**settings).warnings())
    assert said in warnings
    assert bool(said) == bool(warnings)


def test_whatever_is_dropped_renamed_or_held_is_remarked_upon(library: Library) -> None:
    made = catalogue()
    made.movie("HEAT (1995)", relations=[made.account("Gamma")])
    made.series("Empty", relations=[made.account("Delta")])
    made.movie("Odd", rating="a lot", relations=[made.account("Epsilon")])
    library.show(made, LibrarySettings(adult="exclude", merge="off"))
    with closing(Store(library.state_dir)) as store:
        remarks = [(remark.name.partition(" [")[0], remark.what, remark.detail) for remark in store.remarks()]
    assert sorted(remarks, key=str) == [
        ("After Dark", "filtered", "adult"),
        ("Empty", "no episodes", None),
        ("HEAT (1995)", "collision", "HEAT (1995)"),
        ("Odd", "bad fields", None),
    ]
