"""A real Kodi that is told what changed (`make kodi`)."""

import time
from collections.abc import Callable
from pathlib import Path

import tomli_w
from databases import Database
from kodi import PASSWORD, Kodi
from mounts import mounted
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue

_IN_TIME = 30.0
"""Seconds after which a library has to be right."""


def some_library() -> Catalogue:
    catalogue = Catalogue()
    for number in range(30):
        catalogue.movie(f"Film {number}", year=1990 + number % 10, tmdb_id=str(number + 1))
    for number in range(5):
        series = catalogue.series(f"Show {number}", year=2000 + number, tmdb_id=str(500 + number))
        for episode in range(1, 3):
            catalogue.episode(series, 1, episode, f"Part {episode}")
    return catalogue


def settings_file(folder: Path, kodi: Kodi, **more: object) -> Path:
    """Settings with Kodi as the server that is told."""
    server = {
        "kind": "kodi", "url": f"http://127.0.0.1:{kodi.web_port}", "user": "kodi", "token": PASSWORD,
    } | more  # fmt: skip
    path = folder / "settings.toml"
    path.write_text(tomli_w.dumps({"base_url": "http://dispatcharr:9191", "notify": [server]}))
    return path


def films(kodi: Kodi) -> set[str]:
    return {film["label"] for film in kodi.movies()}


def episodes(kodi: Kodi) -> set[tuple[str, int, int]]:
    return {(each["showtitle"], each["season"], each["episode"]) for each in kodi.episodes()}


def plots(kodi: Kodi) -> set[str]:
    return {film["plot"] for film in kodi.movies("plot")}


class Clock:
    """Measures how long it takes until Kodi's library is right."""

    def __init__(self, note: Callable[[str, object], None]) -> None:
        self._note = note

    def wait(self, what: str, is_right: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not is_right():
            assert time.monotonic() < began + _IN_TIME, f"{what}: not within {_IN_TIME:.0f} seconds"
            time.sleep(0.2)
        self._note(what, f"{time.monotonic() - began:.1f} s")


def put_aside(database: Database, table: str, where: str) -> None:
    """Take rows out of a table; `put_back` brings them again."""
    database.execute(f"CREATE TABLE IF NOT EXISTS aside_{table} AS SELECT * FROM {table} WHERE {where}")
    database.execute(f"DELETE FROM {table} WHERE {where}")


def put_back(database: Database, table: str) -> None:
    database.execute(f"INSERT INTO {table} SELECT * FROM aside_{table}")


def test_its_library_follows_what_changes_without_a_full_scan(
    postgres: PostgresServer,
    tmp_path: Path,
    kodi_home: Path,
    record_property: Callable[[str, object], None],
) -> None:
    database = Database(postgres.new_database()).fill(some_library())
    put_aside(database, "vod_m3umovierelation", "movie_id = 30")
    put_aside(database, "vod_m3uepisoderelation", "episode_id IN (2, 9, 10)")
    clock = Clock(record_property)
    mount_point, others = tmp_path / "mount", tmp_path / "others"
    mount_point.mkdir()
    # A scan of everything would find it.
    (others / "Unannounced").mkdir(parents=True)
    (others / "Unannounced/Unannounced.strm").write_text("http://dispatcharr:9191/1\n")
    (others / "Unannounced/movie.nfo").write_text("<movie><title>Unannounced</title></movie>\n")
    options = ("--config", str(tmp_path / "settings.toml"))
    with Kodi(kodi_home, movies=(mount_point / "Movies", others), series=(mount_point / "TV",)) as kodi:
        settings_file(tmp_path, kodi, refresh=True)
        with mounted(tmp_path, database.url, *options):
            clock.wait("the first library", lambda: (len(films(kodi)), len(episodes(kodi))) == (29, 7))
            put_back(database, "vod_m3umovierelation")
            clock.wait("a film that appears", lambda: "Film 29" in films(kodi))
            database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 1")
            clock.wait("a film that goes", lambda: "Film 0" not in films(kodi))
            database.execute("UPDATE vod_movie SET name = 'Newcomer' WHERE id = 3")
            clock.wait("a film with another name", lambda: "Newcomer" in films(kodi) and "Film 2" not in films(kodi))
            database.execute("UPDATE vod_movie SET description = 'Another plot.' WHERE id = 2")
            clock.wait("an NFO that changes", lambda: "Another plot." in plots(kodi))
            database.execute("UPDATE vod_episode SET season_number = 2, episode_number = 1 WHERE id = 2")
            put_back(database, "vod_m3uepisoderelation")
            clock.wait("an episode in a new season", lambda: ("Show 0", 2, 1) in episodes(kodi))
            clock.wait("a series that appears", lambda: ("Show 4", 1, 2) in episodes(kodi))
            database.execute("DELETE FROM vod_m3uepisoderelation WHERE episode_id = 3")
            clock.wait("an episode that goes", lambda: ("Show 1", 1, 1) not in episodes(kodi))
            database.execute("UPDATE vod_series SET name = 'Another show' WHERE id = 3")
            clock.wait(
                "a series with another name",
                lambda: (
                    {show["label"] for show in kodi.shows()}
                    == {*(f"Show {number}" for number in (0, 1, 3, 4)), "Another show"}
                ),
            )
            assert films(kodi) == {f"Film {number}" for number in range(30)} - {"Film 0", "Film 2"} | {"Newcomer"}
            assert episodes(kodi) == {
                ("Show 0", 1, 1), ("Show 0", 2, 1), ("Show 1", 1, 2), ("Another show", 1, 1), ("Another show", 1, 2),
                ("Show 3", 1, 1), ("Show 3", 1, 2), ("Show 4", 1, 1), ("Show 4", 1, 2),
            }  # fmt: skip


def test_twenty_changes_at_once_all_get_there(
    postgres: PostgresServer, tmp_path: Path, kodi_home: Path, record_property: Callable[[str, object], None]
) -> None:
    database = Database(postgres.new_database()).fill(some_library())
    put_aside(database, "vod_m3umovierelation", "movie_id > 20")
    mount_point = tmp_path / "mount"
    mount_point.mkdir()
    with Kodi(kodi_home, movies=(mount_point / "Movies",), series=(mount_point / "TV",)) as kodi:
        settings_file(tmp_path, kodi)
        with mounted(tmp_path, database.url, "--config", str(tmp_path / "settings.toml"), "--max-shrink", "100"):
            clock = Clock(record_property)
            clock.wait("the first library", lambda: len(films(kodi)) == 20)
            put_back(database, "vod_m3umovierelation")
            database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id <= 10")
            wanted = {f"Film {number}" for number in range(10, 30)}
            clock.wait("10 films that appear and 10 that go", lambda: films(kodi) == wanted)
