"""What a real Kodi makes of a library (`make kodi`)."""

import os
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from databases import Database
from film_server import FilmServer, make_film
from golden_titles import EPISODES, TITLES
from kodi import Kodi
from libraries import Library
from mounts import eventually, mounted
from outputs import Output
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import LibrarySettings


def golden_catalogue() -> Catalogue:
    """Every golden title as a film and as a series, and every golden episode in its series."""
    catalogue = Catalogue()
    catalogue.account("Provider")
    titles = [raw for lines in TITLES.values() for raw, *_ in lines if can_be_stored(raw)]
    for identifier, raw in enumerate(titles, start=1):
        catalogue.movie(raw, tmdb_id=str(identifier))
        catalogue.episode(catalogue.series(raw, tmdb_id=str(identifier)), 1, 1, "Pilot")
    series: dict[tuple[str, int], Any] = {}
    places: Counter[tuple[str, int | None, int | None]] = Counter()
    for raw, place, *_ in (line for lines in EPISODES.values() for line in lines):
        key = (place[0], places[place])  # A series has one episode at a place.
        places[place] += 1
        if key not in series:
            series[key] = catalogue.series(place[0], tmdb_id=str(9000 + len(series)))
        catalogue.episode(series[key], *place[1:], raw)
    return catalogue


def can_be_stored(text: str) -> bool:
    """Whether PostgreSQL takes it."""
    return "\0" not in text and len(text) <= 255 and text == text.encode(errors="replace").decode()


class Seen(NamedTuple):
    """Something of the library as it ought to be seen."""

    file: str
    title: str
    place: tuple[int, int] | None = None


def shown(root: Path) -> Counter[Seen]:
    """Films, series and episodes with a number, by the tree and its NFOs."""
    seen: Counter[Seen] = Counter()
    for path in root.rglob("*.strm"):
        nfo = path.with_suffix(".nfo")
        if path.is_relative_to(root / "Movies") and not nfo.exists():
            nfo = path.with_name("movie.nfo")
        document = ET.parse(nfo).getroot()
        season, number = document.findtext("season"), document.findtext("episode")
        if document.tag == "movie":
            seen[Seen(str(path), document.findtext("title", ""))] += 1
        elif season is not None and number is not None:
            seen[Seen(str(path), document.findtext("title", ""), (int(season), int(number)))] += 1
    for path in root.rglob("tvshow.nfo"):
        seen[Seen(f"{path.parent}/", ET.parse(path).getroot().findtext("title", ""))] += 1
    return seen


def known(kodi: Kodi) -> Counter[Seen]:
    """The same as Kodi has it."""
    seen = Counter(Seen(item["file"], item["label"]) for item in (*kodi.movies(), *kodi.shows()))
    seen.update(Seen(item["file"], item["title"], (item["season"], item["episode"])) for item in kodi.episodes("title"))
    return seen


def assert_finds_all(kodi: Kodi, root: Path) -> None:
    """Fails with what is missing, and with what is there twice or should not be there."""
    kodi.scan()
    wanted, found = shown(root), known(kodi)
    missing = "".join(f"\n  missing: {seen}" for seen in wanted - found)
    surplus = "".join(f"\n  twice, or otherwise: {seen}" for seen in found - wanted)
    assert not missing + surplus, missing + surplus
    print(f"Kodi found {len(found)} films, series and episodes.")


@pytest.mark.parametrize("media_server", ["any", "kodi"])
def test_every_golden_title_is_found_once_in_a_mount(
    media_server: str, postgres: PostgresServer, tmp_path: Path, kodi_home: Path
) -> None:
    database = Database(postgres.new_database()).fill(golden_catalogue())
    with mounted(tmp_path, database.url, "--media-server", media_server) as mount:
        movies, series = mount.path / "Movies", mount.path / "TV"
        with Kodi(kodi_home, movies=(movies,), series=(series,), separate_folders=media_server == "any") as kodi:
            assert_finds_all(kodi, mount.path)


def test_every_golden_title_is_found_once_in_files(tmp_path: Path, kodi_home: Path) -> None:
    library = Library(tmp_path)
    library.show(golden_catalogue())
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(kodi_home, movies=(output.root / "Movies",), series=(output.root / "TV",)) as kodi:
        assert_finds_all(kodi, output.root)


def test_one_start_of_a_film_is_one_request(tmp_path: Path, kodi_home: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    library = Library(tmp_path)
    output = Output(library, tmp_path / "output")
    with FilmServer(make_film(tmp_path / "film.mkv")) as server:
        library.show(catalogue, LibrarySettings(media_server="kodi", base_url=server.url))
        output.write()
        with Kodi(kodi_home, movies=(output.root / "Movies",), separate_folders=False) as kodi:
            kodi.scan()
            [film] = kodi.movies()
            assert server.requests == []
            kodi.play(film["file"])
            assert server.requests == ["GET bytes=0-"]
            # What it would be without the line.
            strm = Path(film["file"])
            strm.write_bytes(strm.read_bytes().splitlines(keepends=True)[-1])
            server.requests.clear()
            kodi.play(film["file"])
            assert len(server.requests) > 3


def test_years_and_days_are_what_the_catalogue_knows(tmp_path: Path, kodi_home: Path) -> None:
    catalogue = Catalogue()
    catalogue.account("Provider")
    catalogue.movie("Heat", year=1995)
    for name, year in (("Dark", 2017), ("The Wire", 2002), ("Heat", 1995), ("Heat", 2020)):
        series = catalogue.series(name, year=year)
        catalogue.episode(series, 1, 7, "")
    library = Library(tmp_path)
    library.show(catalogue, LibrarySettings(media_server="kodi"))
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(
        kodi_home, movies=(output.root / "Movies",), series=(output.root / "TV",), separate_folders=False
    ) as kodi:
        assert_finds_all(kodi, output.root)
        assert [(film["label"], film["year"]) for film in kodi.movies("year")] == [("Heat", 1995)]
        shows = {(show["label"], show["year"]) for show in kodi.shows("year")}
        assert shows == {("Dark", 2017), ("The Wire", 2002), ("Heat", 1995), ("Heat", 2020)}
        assert {episode["title"] for episode in kodi.episodes("title")} == {"Episode 7"}


def grouped() -> Catalogue:
    """Films and series in three categories each."""
    catalogue = Catalogue()
    account = catalogue.account("Provider")
    for shelf in range(3):
        films, shows = (catalogue.category(f"Shelf {shelf}", kind) for kind in ("movie", "series"))
        for category in (films, shows):
            catalogue.enable(account, category)
        for number in (shelf, shelf + 3):
            catalogue.movie(f"Film {number}", category=films)
            show = catalogue.series(f"Show {number}", category=shows)
            catalogue.episode(show, 1, 1, "Pilot")
            catalogue.episode(show, 1, 2, "Second")
    return catalogue


def test_grouped_by_category_everything_is_found(tmp_path: Path, kodi_home: Path) -> None:
    library = Library(tmp_path)
    library.show(grouped(), LibrarySettings(group_by="category"))
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(kodi_home, movies=(output.root / "Movies",), series=(output.root / "TV",)) as kodi:
        assert_finds_all(kodi, output.root)


def test_with_categories_in_tv_each_of_them_has_to_be_a_source(tmp_path: Path, kodi_home: Path) -> None:
    library = Library(tmp_path)
    library.show(grouped(), LibrarySettings(group_by="category_tv"))
    output = Output(library, tmp_path / "output")
    output.write()
    shelves = tuple(sorted((output.root / "TV").iterdir()))
    assert len(shelves) == 3
    with Kodi(kodi_home, movies=(output.root / "Movies",), series=shelves) as kodi:
        assert_finds_all(kodi, output.root)


@pytest.mark.parametrize("separate_folders", [True, False])
def test_versions_are_films_of_their_own_where_films_have_folders(
    tmp_path: Path, kodi_home: Path, separate_folders: bool
) -> None:
    catalogue = Catalogue()
    accounts = [catalogue.account("Alpha", priority=2), catalogue.account("Beta", priority=1)]
    catalogue.movie("Heat", year=1995, relations=accounts)
    catalogue.episode(catalogue.series("Dark", year=2017, relations=accounts), 1, 1, "Secrets")
    library = Library(tmp_path)
    library.show(catalogue, LibrarySettings(media_server="kodi", versions="all"))
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(
        kodi_home,
        movies=(output.root / "Movies",),
        series=(output.root / "TV",),
        separate_folders=separate_folders,
    ) as kodi:
        kodi.scan()
        assert [film["label"] for film in kodi.movies()] == ["Heat", "Heat"] * separate_folders
        assert [(episode["season"], episode["episode"]) for episode in kodi.episodes()] == [(1, 1), (1, 1)]


def test_clean_removes_what_left_and_nothing_else(postgres: PostgresServer, tmp_path: Path, kodi_home: Path) -> None:
    database = Database(postgres.new_database()).fill(grouped())
    with mounted(tmp_path, database.url) as mount:
        movies, series = mount.path / "Movies", mount.path / "TV"
        with Kodi(kodi_home, movies=(movies,), series=(series,)) as kodi:
            assert_finds_all(kodi, mount.path)
            database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 1")
            eventually(lambda: not (movies / "Film 0").exists())
            kodi.clean()
            assert_finds_all(kodi, mount.path)
            assert len(kodi.movies()) == 5


@pytest.mark.parametrize("damage", ["whole", "in part", "lost"])
def test_clean_keeps_everything_when_the_index_is_gone_and_the_database_is_away(
    damage: str, postgres: PostgresServer, tmp_path: Path, kodi_home: Path
) -> None:
    database = Database(postgres.new_database()).fill(grouped())
    with mounted(tmp_path, database.url) as mount:
        movies, series = mount.path / "Movies", mount.path / "TV"
        with Kodi(kodi_home, movies=(movies,), series=(series,)) as kodi:
            assert_finds_all(kodi, mount.path)
            before = known(kodi)
            database.execute("ALTER TABLE vod_m3umovierelation RENAME TO away")
            for path in (tmp_path / "state").glob("index.db*"):
                if damage == "lost":
                    path.unlink()
                elif path.name == "index.db":
                    size = path.stat().st_size
                    path.write_bytes(path.read_bytes()[: _PAGE if damage == "in part" else 0].ljust(size, b"\xff"))
            # From the moment on when nobody has seen it yet. What a mount has open still, it may go on showing, whole.
            for _ in range(5):
                kodi.clean()
                assert known(kodi) == before
                time.sleep(1)


_PAGE = 4096


def move(source: Path, target: Path) -> None:
    """Move a file, and leave the times of both folders as they were."""
    times = {path: path.stat().st_mtime_ns for path in (source.parent, target.parent)}
    source.rename(target)
    for path, mtime in times.items():
        os.utime(path, ns=(mtime, mtime))


def test_what_kodi_missed_it_finds_when_it_scans_the_series_folder(tmp_path: Path, kodi_home: Path) -> None:
    library = Library(tmp_path)
    library.show(grouped())
    output = Output(library, tmp_path / "output")
    output.write()
    season = output.root / "TV/Show 1/Season 01"
    name = "S01E02 – Second.strm"
    move(season / name, tmp_path / name)
    with Kodi(kodi_home, movies=(output.root / "Movies",), series=(output.root / "TV",)) as kodi:
        kodi.scan()
        for episode in kodi.episodes():
            kodi.call("VideoLibrary.SetEpisodeDetails", episodeid=episode["episodeid"], playcount=1)
        move(tmp_path / name, season / name)
        kodi.scan()
        assert len(kodi.episodes()) == 11
        kodi.scan(season.parent)
        assert_finds_all(kodi, output.root)
        assert sum(episode["playcount"] for episode in kodi.episodes("playcount")) == 11


def test_a_corrected_nfo_is_read_when_the_title_is_refreshed(tmp_path: Path, kodi_home: Path) -> None:
    library = Library(tmp_path)
    catalogue = Catalogue()
    catalogue.movie("Heat", description="Wrong.")
    library.show(catalogue)
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(kodi_home, movies=(output.root / "Movies",)) as kodi:
        kodi.scan()
        corrected = Catalogue()
        corrected.movie("Heat", description="Right.")
        library.show(corrected)
        output.write()
        kodi.scan()
        [film] = kodi.movies("plot")
        assert film["plot"] == "Wrong."
        kodi.call("VideoLibrary.RefreshMovie", movieid=film["movieid"])
        eventually(lambda: [film["plot"] for film in kodi.movies("plot")] == ["Right."])


EPISODES_AT = [
    *((2, number, f"Title {number}") for number in (1, 3)),
    (2, 2, "Los Perdidos - S01E02 - Piloto"),
    *((1, number, f"Title {number}") for number in (1, 2, 3)),
    (3, 6, "What Happened in S02E03"),
    (3, 7, "Mass01E02"),
    (3, 8, "S03E08-S03E09 Double"),
    (3, 9, "Title 9"),
    (3, 10, "The 10x12 Room"),
    (3, 11, "Part 2 of 3"),
    (3, 12, "Season 4 Episode 5"),
    (3, 13, "1x05 and 1.06 and E07"),
    (4, 100, "Title 100"),
    (4, 1071, "Title 1071"),
    (21, 1071, "Title 1071"),
    (2024, 1, "2024.01.01"),
    (4, 0, "Title 0"),
    (0, 1, "S06 E01 - Bonus"),
]


def test_an_episode_is_one_and_where_the_catalogue_has_it(tmp_path: Path, kodi_home: Path) -> None:
    catalogue = Catalogue()
    series = catalogue.series("Lost", year=2004)
    for season, number, name in EPISODES_AT:
        catalogue.episode(series, season, number, name)
    unplaced: list[tuple[int | None, int | None, str]] = [
        (None, None, "1408"),
        (None, 7, "Pilot"),
        (None, 112, "Pilot"),
        (5, None, "101 Ways"),
        (5, None, "Part 3"),
        (5, None, "Pilot"),
    ]
    for place in unplaced:  # Without a number, or a season, there is no place for it.
        catalogue.episode(series, *place)
    library = Library(tmp_path)
    library.show(catalogue)
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(kodi_home, series=(output.root / "TV",)) as kodi:
        kodi.scan()
        found = sorted((episode["season"], episode["episode"]) for episode in kodi.episodes())
        assert found == sorted((season, number) for season, number, _ in EPISODES_AT)


def test_versions_are_never_taken_for_parts_of_one_film(tmp_path: Path, kodi_home: Path) -> None:
    catalogue = Catalogue()
    names = ("A", "B", "IPTV 1", "IPTV 2", "Disc 1", "Disc 2", "CD1", "CD2", "Part 1", "Part 2")
    accounts = [catalogue.account(name, priority=-place) for place, name in enumerate(names)]
    catalogue.movie("Heat", year=1995, relations=accounts)
    library = Library(tmp_path)
    library.show(catalogue, LibrarySettings(versions="all"))
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(kodi_home, movies=(output.root / "Movies",)) as kodi:
        kodi.scan()
        assert sorted(film["file"] for film in kodi.movies()) == sorted(map(str, output.root.rglob("*.strm")))


def catalogue_with_doubles() -> Catalogue:
    """Films and series as two accounts send them, in several languages and qualities."""
    catalogue = Catalogue()
    alpha, beta = catalogue.account("Alpha"), catalogue.account("Beta", priority=5)
    for number in range(20):
        for mark, account in (("", alpha), ("EN - ", alpha), ("4K-EN - ", beta), ("|FR| ", beta)):
            catalogue.movie(f"{mark}Film {number} (1999)", relations=[account])
            series = catalogue.series(f"{mark}Show {number} (1999)", relations=[account])
            for episode in range(1, 4):
                catalogue.episode(series, 1 + (episode > 2), episode, f"{mark}Part {episode}", relations=[account])
    return catalogue


@pytest.mark.parametrize("media_server", ["any", "kodi"])
def test_titles_of_several_rows_and_their_episodes_are_found_once(
    media_server: str, postgres: PostgresServer, tmp_path: Path, kodi_home: Path
) -> None:
    database = Database(postgres.new_database()).fill(catalogue_with_doubles())
    with mounted(tmp_path, database.url, "--media-server", media_server, "--merge", "titles") as mount:
        movies, series = mount.path / "Movies", mount.path / "TV"
        with Kodi(kodi_home, movies=(movies,), series=(series,), separate_folders=media_server == "any") as kodi:
            assert_finds_all(kodi, mount.path)
            assert sorted(Counter(film["label"] for film in kodi.movies()).values()) == [1] * 20
            assert sorted(Counter(show["label"] for show in kodi.shows()).values()) == [1] * 20
            episodes = Counter((each["showtitle"], each["season"], each["episode"]) for each in kodi.episodes())
            assert sorted(episodes.values()) == [1] * 60
