"""What changed last, title by title, as people see it, and how far a sync is."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.recent import Change, HeldTitle, TitleChange, held_titles, recent_changes
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.status.progress import Progress, noting, read_progress

FILM, SERIES, EPISODE = NodeKind.MOVIE, NodeKind.SERIES, NodeKind.EPISODE


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def _number(name: str) -> int:
    return int.from_bytes(name.encode()[:4])


def catalogue(films: tuple[str, ...], **episodes: int) -> Catalogue:
    """Films by name, and series with so many episodes in a season."""
    made = Catalogue()
    account = made.account("A")
    for name in films:
        number = _number(name)
        film = made.movie(name, id=number, year=1995, relations=[])
        made.relate(film, account, stream_id=f"f{number}")
    for name, count in episodes.items():
        number = _number(name)
        series = made.series(name, id=number, year=2004, relations=[])
        made.relate(series, account, external_series_id=f"s{number}")
        for each in range(1, count + 1):
            season = (each + 9) // 10
            episode = made.episode(series, season, each, f"Part {each}", id=number * 100 + each, relations=[])
            made.relate(episode, account, stream_id=f"e{number}.{each}")
    return made


def changes(library: Library) -> list[list[TitleChange]]:
    return [moment.changes for moment in recent_changes(library.state_dir, 10)]


def test_a_first_generation_changed_nothing(library: Library) -> None:
    library.show(catalogue(("Heat",), Lost=3))
    assert changes(library) == []


def test_films_and_series_come_go_and_change_by_name_and_by_the_time_of_here(library: Library) -> None:
    began = time.time_ns()
    library.show(catalogue(("Heat", "Alien"), Lost=3, Fringe=4))
    library.show(catalogue(("Heat", "Brazil"), Lost=6, Dark=12), max_shrink=100, accept_shrink=True)
    [moment] = recent_changes(library.state_dir, 10)
    assert moment.generation == 2
    assert began < moment.made < time.time_ns()
    assert moment.changes == [
        TitleChange(Change.REMOVED, FILM, "Alien (1995)"),
        TitleChange(Change.ADDED, FILM, "Brazil (1995)"),
        TitleChange(Change.ADDED, SERIES, "Dark (2004)", episodes=12),
        TitleChange(Change.REMOVED, SERIES, "Fringe (2004)", episodes=4),
        TitleChange(Change.ADDED, SERIES, "Lost (2004)", episodes=3, whole=False),
    ]


def test_the_newest_generation_stands_first_and_former_ones_keep_their_time(library: Library) -> None:
    for films in (("Heat",), ("Heat", "Alien"), ("Heat", "Alien", "Brazil")):
        library.show(catalogue(films))
    newest, before = recent_changes(library.state_dir, 10)
    assert [change.name for change in (*newest.changes, *before.changes)] == ["Brazil (1995)", "Alien (1995)"]
    assert newest.made > before.made > 0
    assert recent_changes(library.state_dir, 1) == [newest]
    with closing(sqlite3.connect(library.state_dir / "index.db")) as connection, connection:
        connection.execute("DROP TABLE past")  # as an earlier version leaves it
    newest, before = recent_changes(library.state_dir, 10)
    assert (newest.made > 0, before.made) == (True, 0)


def test_a_season_that_goes_and_one_episode_that_goes_are_the_series_losses(library: Library) -> None:
    library.show(catalogue(("Heat",), Lost=15, Dark=8))
    library.show(catalogue(("Heat",), Lost=10, Dark=7), max_shrink=100)
    assert changes(library) == [
        [
            TitleChange(Change.REMOVED, SERIES, "Dark (2004)", episodes=1, whole=False),
            TitleChange(Change.REMOVED, SERIES, "Lost (2004)", episodes=5, whole=False),
        ]
    ]


def test_other_names_links_and_details_are_told_apart(library: Library) -> None:
    plain = LibrarySettings(clean_titles=False)
    library.show(catalogue(("Heat [4K]", "Alien"), Lost=2), plain)
    library.show(catalogue(("Heat [4K]", "Alien"), Lost=2))
    library.show(catalogue(("Heat [4K]", "Alien"), Lost=2), LibrarySettings(base_url="http://elsewhere:9191"))
    other_address, other_names = changes(library)
    assert TitleChange(Change.RENAMED, FILM, "Heat (1995)", "Heat [4K] (1995)") in other_names
    assert other_address == [
        TitleChange(Change.CHANGED, FILM, "Alien (1995)"),
        TitleChange(Change.CHANGED, FILM, "Heat (1995)"),
        TitleChange(Change.CHANGED, SERIES, "Lost (2004)", episodes=2, whole=False),
    ]


def test_films_in_categories_are_known_by_name_also_when_their_category_goes_with_them(library: Library) -> None:
    grouped = LibrarySettings(group_by="category")

    def shelves(*names: str) -> Catalogue:
        made = Catalogue()
        account = made.account("A")
        for number, name in enumerate(("Drama", "Crime"), 1):
            category = made.category(name, "movie", id=number)
            made.enable(account, category)
            if name in names:
                made.movie(f"{name} film", id=number, year=1995, relations=[account], category=category)
        return made

    library.show(shelves("Drama", "Crime"), grouped)
    library.show(shelves("Drama"), grouped, max_shrink=100)
    library.show(shelves("Drama", "Crime"), grouped)
    assert changes(library) == [
        [TitleChange(Change.ADDED, FILM, "Crime film (1995)")],
        [TitleChange(Change.REMOVED, FILM, "Crime film (1995)")],
    ]


def test_of_a_generation_that_changed_too_much_to_be_read_whole_that_is_said(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for films in (("Heat",), ("Heat", "Alien"), ("Heat", "Alien", "Brazil", "Metropolis", "Nosferatu")):
        library.show(catalogue(films))
    assert [moment.whole for moment in recent_changes(library.state_dir, 10)] == [True, True]
    monkeypatch.setattr("vod2strmfs.index.recent._MOST_ENTRIES", 2)
    [moment] = recent_changes(library.state_dir, 10)
    assert (moment.generation, len(moment.changes), moment.whole) == (3, 2, False)


def test_what_is_held_has_a_name(library: Library) -> None:
    films = tuple(f"{letter}{letter} film" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    library.show(catalogue(films, Lost=30))
    assert held_titles(library.state_dir) == []
    library.show(catalogue(films[:2], Lost=5))
    held = held_titles(library.state_dir)
    assert HeldTitle(FILM, "CC film (1995)", False, 1) in held
    assert HeldTitle(EPISODE, "Lost (2004)", False, 25) in held
    assert len(held) == 25


def test_how_far_work_is_can_be_read_while_it_lasts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.status.progress._EVERY_SECONDS", 0.0)
    passed_on: list[tuple[int, int]] = []
    assert read_progress(tmp_path) is None
    with noting(tmp_path, "Reading", "titles", lambda *state: passed_on.append(state)) as tell:
        assert read_progress(tmp_path) is None
        tell(1000, 2000)
        tell(10, 0)
        found = read_progress(tmp_path)
        assert found is not None
        assert found == Progress("Reading", "titles", 10, 0, found.began)
        with noting(tmp_path, "Writing", "folders", lambda *state: None) as other:
            other(1, 2)  # somebody else's work is noted already
        assert read_progress(tmp_path) == found
    assert read_progress(tmp_path) is None
    assert passed_on == [(1000, 2000), (10, 0)]


def test_what_a_killed_process_noted_is_not_taken_for_work_that_goes_on(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from vod2strmfs.status import progress\n"
        "progress._EVERY_SECONDS = 0.0\n"
        "with progress.noting(Path(sys.argv[1]), 'Reading', 'titles', lambda *state: None) as tell:\n"
        "    tell(1, 2); print(flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert read_progress(tmp_path) is not None
        os.kill(process.pid, signal.SIGKILL)
    assert read_progress(tmp_path) is None
    assert (tmp_path / "progress.json").stat().st_size > 0


def test_a_sync_that_cannot_note_how_far_it_is_goes_on(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.status.progress._EVERY_SECONDS", 0.0)
    monkeypatch.setattr("vod2strmfs.sync.intake._ROWS_TOLD", 1)
    library.state_dir.mkdir()
    (library.state_dir / "progress.json").mkdir()
    library.show(catalogue(("Heat", "Alien")))
    assert "/Movies/Heat (1995)" in library.paths() or "Movies/Heat (1995)" in library.paths()


def test_a_sync_notes_how_far_it_is(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.status.progress._EVERY_SECONDS", 0.0)
    monkeypatch.setattr("vod2strmfs.sync.intake._ROWS_TOLD", 1)
    seen: list[Progress | None] = []
    library.show(catalogue(("Heat", "Alien")), tell=lambda *state: seen.append(read_progress(library.state_dir)))
    assert [(each.doing, each.done) for each in seen if each] == [
        ("Reading the catalogue", 1), ("Reading the catalogue", 2),
    ]  # fmt: skip
