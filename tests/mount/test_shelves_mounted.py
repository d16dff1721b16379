"""Shelves in a real mount: what is there, and what the kernel is told when it changes."""

import os
from pathlib import Path

import pytest
import tomli_w
from databases import Database
from libraries import Library
from media_servers import MediaServer
from mounts import eventually, mounted, untold

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import load


def films(number: int = 12) -> Catalogue:
    made = Catalogue()
    for each in range(number):
        made.movie(f"Film {each}", year=1950 + each, genre="Family" if each % 2 else "Crime")
    series = made.series("Bluey", year=2018, genre="Family")
    made.episode(series, 1, 1, "Magic")
    return made


def settings_file(folder: Path, **values: object) -> Path:
    path = folder / "settings.toml"
    path.write_text(tomli_w.dumps({"base_url": "http://dispatcharr:9191", **values}))
    return path


def test_a_mounted_shelf_is_the_tree_and_follows_its_picks(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films())
    picks = tmp_path / "kids.txt"
    picks.write_text("Film 0\nBluey\n")
    config = settings_file(
        tmp_path, shelf=[{"name": "Kids", "picks": str(picks)}, {"name": "Crime", "genres": ["Crime"]}]
    )
    with mounted(tmp_path, database.url, "--config", str(config)) as mount:
        library = Library(tmp_path / "other")
        (tmp_path / "other").mkdir()
        library.sync(database.url, load(config, {}).library())
        shown = {}
        for directory, folders, files in os.walk(mount.path):
            for name in (*folders, *files):
                path = Path(directory, name)
                shown[str(path.relative_to(mount.path))] = path.read_bytes() if name in files else None
        shown.pop(".stats.csv")
        assert shown == {path: library.files().get(path) for path in library.paths()}

        kids, film = mount.path / "Kids/Movies", "Film 0 (1950)/Film 0 (1950).strm"
        on_shelf, in_library = (kids / film).stat(), (mount.path / "Movies" / film).stat()
        assert on_shelf.st_ino == in_library.st_ino
        assert on_shelf.st_nlink == in_library.st_nlink == 1
        assert (kids / "Film 0 (1950)").stat().st_ino != (mount.path / "Movies/Film 0 (1950)").stat().st_ino
        assert os.listdir(kids) == ["Film 0 (1950)"]
        assert not (kids / "Film 1 (1951)").exists()
        before = kids.stat().st_mtime_ns

        picks.write_text("Film 0\nBluey\nFilm 1\n")
        eventually(lambda: os.listdir(kids) == ["Film 0 (1950)", "Film 1 (1951)"])
        assert (kids / "Film 1 (1951)/movie.nfo").exists()
        assert kids.stat().st_mtime_ns > before
        assert (mount.path / "Kids").stat().st_mtime_ns == kids.stat().st_mtime_ns

        picks.write_text("")
        eventually(lambda: "is empty" in mount.log.read_text())
        assert os.listdir(kids) == ["Film 0 (1950)", "Film 1 (1951)"]

        database.execute("UPDATE vod_movie SET description = 'Another plot.' WHERE id = 1")
        nfo = "Film 0 (1950)/movie.nfo"
        eventually(lambda: "Another plot." in (mount.path / "Movies" / nfo).read_text())
        eventually(lambda: "Another plot." in (kids / nfo).read_text())
        assert (kids / nfo).stat().st_ino == (mount.path / "Movies" / nfo).stat().st_ino
        assert mount.stat("titles_on_shelf_Kids") == "3"


def test_a_shelf_whose_listing_is_new_has_its_new_time_before_the_kernel_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mounts.command", untold)
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films())
    picks = tmp_path / "kids.txt"
    picks.write_text("Film 0\n")
    config = settings_file(tmp_path, shelf=[{"name": "Kids", "picks": str(picks)}])
    with mounted(tmp_path, database.url, "--config", str(config)) as mount:
        kids = mount.path / "Kids/Movies"
        folders = kids.parent, kids
        before = [folder.stat().st_mtime_ns for folder in folders]
        assert os.listdir(kids) == ["Film 0 (1950)"]
        picks.write_text("Film 0\nFilm 1\n")
        eventually(lambda: len(os.listdir(kids)) == 2)
        after = [folder.stat().st_mtime_ns for folder in folders]
        assert after > before
        assert after[0] == after[1]


def test_servers_are_told_of_what_appears_on_a_shelf(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films())
    picks = tmp_path / "kids.txt"
    picks.write_text("Film 0\n")
    there = {"Kids": ["/media/vod/Kids/Movies"], "Movies": ["/media/vod/Movies"], "TV": ["/media/vod/TV"]}
    with MediaServer("jellyfin", there) as server:
        config = settings_file(
            tmp_path,
            shelf=[{"name": "Kids", "picks": str(picks)}],
            notify=[server.settings(paths={str(tmp_path / "mount"): "/media/vod"})],
        )
        with mounted(tmp_path, database.url, "--config", str(config)):
            eventually(lambda: {each.path for each in server.told} == {each for [each] in there.values()})
            server.told.clear()
            picks.write_text("Film 0\nFilm 3\n")
            eventually(lambda: bool(server.told))
            assert {(each.path, each.what) for each in server.told} == {
                ("/media/vod/Kids/Movies/Film 3 (1953)", "Created")
            }
            server.told.clear()
            database.execute("UPDATE vod_movie SET description = 'Another plot.' WHERE id = 1")
            eventually(lambda: len(server.told) == 2)
            assert {(each.path, each.what) for each in server.told} == {
                ("/media/vod/Movies/Film 0 (1950)", "Modified"),
                ("/media/vod/Kids/Movies/Film 0 (1950)", "Modified"),
            }
