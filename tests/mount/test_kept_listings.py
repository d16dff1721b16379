"""Listings that the kernel keeps: they cost nothing when nothing changed, and are never older than what was seen."""

import ctypes
import itertools
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from databases import Database
from mounts import Mount, command, eventually, mounted, untold

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.status.channel import ask
from vod2strmfs.sync.run import sync

NEVER = ("--poll-interval", "3600")


def library(films: int = 30) -> Catalogue:
    """Films, and a series of two seasons."""
    catalogue = Catalogue()
    for number in range(films):
        catalogue.movie(f"Film {number}", description="Plot.")
    lost = catalogue.series("Lost")
    for season, episode in itertools.product((1, 2), (1, 2, 3)):
        catalogue.episode(lost, season, episode, "Episode")
    return catalogue


def find(path: Path, *tests: str) -> list[str]:
    """What `find` finds."""
    return subprocess.run(["find", path, *tests], capture_output=True, text=True, check=True).stdout.split("\n")


def names(descriptor: int) -> set[str]:
    """What an open folder holds, read from its beginning."""
    return set(os.listdir(descriptor))


def test_a_second_find_makes_two_requests_a_folder(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url, *NEVER, "--debug-logging") as mount:
        first = find(mount.path, "-type", "f")
        folders = len(find(mount.path, "-type", "d")) - 1
        log = tmp_path / "state/logs/vod2strm.log"
        before, logged = mount.requests(), len(log.read_text())
        assert find(mount.path, "-type", "f") == first
        assert mount.requests() == before + 2 * folders + 1
        asked = log.read_text()[logged:]
        assert asked.count(" opendir(") == folders
        assert " readdir(" not in asked


def test_sizes_and_times_that_were_listed_are_not_asked_for(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url, *NEVER) as mount:
        find(mount.path)
        before = mount.requests()
        folders = len(find(mount.path, "-type", "d")) - 1
        find(mount.path, "-printf", "%s %T@\n")
        assert mount.requests() == before + 4 * folders + 1


def change(database: Database, state: Path, *statements: str, **settings: object) -> None:
    """Change the catalogue, and sync."""
    for statement in statements:
        database.execute(statement)
    with closing(open_source(database.url)) as source:
        sync(source, LibrarySettings.model_validate(settings), state, max_shrink=100)


def test_who_is_in_a_folder_or_has_it_open_sees_each_change(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    state = tmp_path / "state"
    with mounted(tmp_path, database.url, *NEVER) as mount:
        movies = os.open(mount.path / "Movies", os.O_RDONLY)
        inside = subprocess.Popen(
            ["sh", "-c", "while read -r _; do ls -a | tr '\\n' ' '; echo; done"], cwd=mount.path / "Movies",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert inside.stdin is not None
        assert inside.stdout is not None

        def by_process() -> str:
            assert inside.stdin is not None
            assert inside.stdout is not None
            inside.stdin.write("\n")
            inside.stdin.flush()
            return inside.stdout.readline()

        try:
            for number in range(6):
                assert "Film 1 " in by_process()
                assert "Film 1" in names(movies)
                change(database, state, f"UPDATE vod_movie SET name = 'Ran {number}' WHERE id = 1")
                eventually(lambda number=number: f"Ran {number}" in names(movies))  # type: ignore[misc]
                assert f"Ran {number} " in by_process()
                assert f"Ran {number - 1}" not in names(movies)
                assert len(names(movies)) == 30
        finally:
            os.close(movies)
            inside.stdin.close()
            inside.wait()
            inside.stdout.close()


def test_a_folder_that_is_opened_is_as_it_is_now_before_the_kernel_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mounts.command", untold)
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url, *NEVER) as mount:
        movies = mount.path / "Movies"
        for number in range(1, 4):
            assert len(os.listdir(movies)) == 30
            find(mount.path)
            before = {folder: folder.stat().st_mtime_ns for folder in (mount.path, movies)}
            change(database, tmp_path / "state", f"UPDATE vod_movie SET name = 'Ran {number}' WHERE id = 1")
            eventually(lambda number=number: ask(tmp_path / "state", 10).generation > number)  # type: ignore[misc]
            assert f"Ran {number}" in os.listdir(movies)
            assert all(folder.stat().st_mtime_ns > mtime for folder, mtime in before.items())


def test_a_listing_that_somebody_left_half_way_is_right_after_a_change(tmp_path: Path) -> None:
    """The kernel keeps half of it then; see docs/decisions/0021."""
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library(600))
    with mounted(tmp_path, database.url, *NEVER) as mount:
        movies = mount.path / "Movies"
        for number in range(1, 4):
            with os.scandir(movies) as listing:
                next(listing)
            change(database, tmp_path / "state", f"UPDATE vod_movie SET name = 'Ran {number}' WHERE id = {number}")
            eventually(partial(_has, mount, f"Ran {number}"))
            for _ in range(2):
                found = os.listdir(movies)
                assert len(found) == 600
                assert {f"Ran {each}" for each in range(1, number + 1)} <= {*found}


def test_settings_that_change_names_show_in_every_kept_listing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url, *NEVER) as mount:
        folder = os.open(mount.path / "Movies/Film 3", os.O_RDONLY)
        seasons = mount.path / "TV/Lost"
        try:
            for server, own in (("kodi", "Film 3.nfo"), ("jellyfin", "movie.nfo"), ("emby", "Film 3.nfo")):
                find(mount.path)
                change(database, tmp_path / "state", media_server=server)
                eventually(partial(_holds, folder, {own, "Film 3.strm"}))
                assert names(folder) == set(os.listdir(mount.path / "Movies/Film 3"))
                assert len([name for name in os.listdir(seasons) if name.startswith("Season")]) == 2
        finally:
            os.close(folder)


def _holds(descriptor: int, expected: set[str]) -> bool:
    return names(descriptor) == expected


def test_a_lost_index_leaves_no_kept_listing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url) as mount:
        before = find(mount.path, "-type", "f")
        folder = os.open(mount.path / "Movies", os.O_RDONLY)
        try:
            for path in (tmp_path / "state").glob("index.db*"):
                path.unlink()
            database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
            eventually(lambda: os.path.exists(mount.path / "Movies/Ran"))
            after = find(mount.path, "-type", "f")
            assert {path.replace("Film 0", "Ran") for path in before} == {*after}
            # Which folder this one was is not known any more: it is an error, or as it is now.
            with suppress(OSError):
                assert names(folder) == set(os.listdir(mount.path / "Movies"))
        finally:
            os.close(folder)


def test_what_is_held_stays_in_kept_listings_until_it_is_let_go(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library(40))
    with mounted(tmp_path, database.url) as mount:
        movies = mount.path / "Movies"
        before = set(os.listdir(movies))
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id < 31")
        eventually(lambda: mount.stat("movies_held") == "30")
        assert set(os.listdir(movies)) == before
        arguments = ("sync", "--database", database.url, "--state-dir", tmp_path / "state", "--accept-shrink")
        subprocess.run(command(*arguments), check=True, capture_output=True)
        eventually(lambda: len(os.listdir(movies)) == 10)


def test_a_mount_that_is_started_again_shows_what_changed_meanwhile(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    for number in range(3):
        with mounted(tmp_path, database.url, *NEVER) as mount:
            eventually(lambda mount=mount, number=number: _has(mount, f"Ran {number - 1}") or not number)  # type: ignore[misc]
            assert len(os.listdir(mount.path / "Movies")) == 30
        database.execute(f"UPDATE vod_movie SET name = 'Ran {number}' WHERE id = 1")


def _has(mount: Mount, name: str) -> bool:
    return name in os.listdir(mount.path / "Movies")


@pytest.mark.parametrize("large", [False, True])
def test_listings_are_never_older_than_what_was_seen_while_names_change(
    tmp_path: Path, soak: bool, large: bool, record_property: Callable[[str, object], None]
) -> None:
    """A film has the number of its generation in its name. Whoever lists the folder must never find a lower one than
    anybody found before; some keep the folder open, so that their listings span changes."""
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library(600 if large else 30))
    state = tmp_path / "state"
    stop = threading.Event()
    seen = 0
    wrong: list[str] = []
    counts = [0, 0, 0]
    with mounted(tmp_path, database.url, *NEVER) as mount:
        movies = mount.path / "Movies"
        expected = len(os.listdir(movies))
        change(database, state, "UPDATE vod_movie SET name = 'Number 0' WHERE id = 1")
        eventually(lambda: _has(mount, "Number 0"))

        def look(kind: int) -> None:
            nonlocal seen
            chance = random.Random(kind)
            while not stop.is_set():
                before = seen
                found = slowly(movies, chance.random() / 50 if kind == 1 else 0) if kind else os.listdir(movies)
                numbers = [int(name.removeprefix("Number ")) for name in found if name.startswith("Number ")]
                if len(found) != expected or len(numbers) != 1:
                    wrong.append(f"{len(found)} names, {numbers}")
                elif numbers[0] < before:
                    wrong.append(f"{numbers[0]} after {before}")
                else:
                    seen = max(seen, numbers[0])
                counts[kind] += 1

        readers = [threading.Thread(target=look, args=(number % 3,)) for number in range(12)]
        for reader in readers:
            reader.start()
        end, number = time.monotonic() + (60 if soak else 3), 0
        with closing(open_source(database.url)) as source:
            while (time.monotonic() < end or number < 6) and not wrong:
                number += 1
                database.execute(f"UPDATE vod_movie SET name = 'Number {number}' WHERE id = 1")
                sync(source, LibrarySettings(), state, max_shrink=100)
                time.sleep(0.05)
        eventually(lambda: _has(mount, f"Number {number}"))
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    record_property("changes, and listings of each kind", (number, *counts))


def slowly(folder: Path, pause: float) -> list[str]:
    """List a folder in two parts, with a pause between opening it and the first, and between the parts."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(libc.opendir(os.fsencode(folder)))
    found: list[str] = []
    try:
        while entry := libc.readdir(handle):
            name = ctypes.string_at(entry + 19).decode()
            if len(found) == 2 and pause:
                time.sleep(pause)
            if name not in (".", ".."):
                found.append(name)
    finally:
        libc.closedir(handle)
    return found
