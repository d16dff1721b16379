"""Writing the library as real files: what is written, what is left alone, and what the report says."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from libraries import Library
from outputs import Output, report_rows, snapshot

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.settings import LibrarySettings


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(Library(tmp_path), tmp_path / "output")


@pytest.fixture
def small(output: Output) -> Output:
    """Two movies and a series of two episodes, written."""
    output.library.show(catalogue())
    output.write()
    return output


def catalogue(*, heat: str = "Heat", pilot: str = "Pilot", plot: str = "Cops and robbers.") -> Catalogue:
    made = Catalogue()
    made.movie(heat, year=1995, description=plot)
    made.movie("Ronin", year=1998)
    dark = made.series("Dark", year=2017)
    made.episode(dark, 1, 1, pilot)
    made.episode(dark, 1, 2, "Lies")
    return made


def demo(output: Output, directory: Path, **numbers: int) -> None:
    url = f"sqlite:///{directory}/demo.db"
    counts = {"movies": 40, "series": 4, "episodes": 60, "seed": 5} | numbers
    write_demo(url, movies=counts["movies"], series=counts["series"], episodes=counts["episodes"], seed=counts["seed"])
    output.library.sync(url)


def test_the_tree_is_the_librarys(output: Output, tmp_path: Path) -> None:
    demo(output, tmp_path)
    outcome = output.write()
    assert output.difference() == {}
    assert outcome.errors == 0
    assert outcome.counts.total() == len(output.library.files())


def test_an_empty_section_is_a_folder_too(output: Output) -> None:
    only_movies = Catalogue()
    only_movies.movie("Heat")
    output.library.show(only_movies)
    output.write()
    assert output.difference() == {}
    assert (output.root / "TV").is_dir()


def test_a_second_run_touches_nothing(output: Output, tmp_path: Path) -> None:
    demo(output, tmp_path)
    output.write()
    before = snapshot(output.root)
    root = output.root.stat()
    assert output.rows() == []
    assert snapshot(output.root) == before
    assert output.root.stat().st_ctime_ns == root.st_ctime_ns


def test_verifying_touches_nothing_that_is_as_it_should_be(small: Output) -> None:
    before = snapshot(small.root)
    assert small.rows(verify=True) == []
    assert snapshot(small.root) == before


def test_the_report_names_every_file_by_type_place_and_uuid(output: Output) -> None:
    output.library.show(catalogue())
    rows = report_rows(output.write().report)
    heat = next(row[4] for row in rows if row[3] == "Heat (1995)")
    assert ("movie", "", "", "Heat (1995)", heat, "created", "new") in rows
    assert ("movie_nfo", "", "", "Heat (1995)", heat, "created", "new") in rows
    places = [(kind, series, season, title) for kind, series, season, title, *_ in rows if series]
    assert places == [
        ("episode", "Dark (2017)", "Season 01", "S01E01 – Pilot"),
        ("episode", "Dark (2017)", "Season 01", "S01E02 – Lies"),
        ("episode_nfo", "Dark (2017)", "Season 01", "S01E01"),
        ("episode_nfo", "Dark (2017)", "Season 01", "S01E01 – Pilot"),
        ("episode_nfo", "Dark (2017)", "Season 01", "S01E02"),
        ("episode_nfo", "Dark (2017)", "Season 01", "S01E02 – Lies"),
        ("season_nfo", "Dark (2017)", "Season 01", ""),
        ("tvshow_nfo", "Dark (2017)", "", "Dark (2017)"),
    ]


def test_only_what_changed_is_written(small: Output) -> None:
    before = snapshot(small.root)
    small.library.show(catalogue(plot="Robbers and cops."))
    assert small.actions() == [("Heat (1995)", "updated", "content changed")]
    assert small.difference() == {}
    after = snapshot(small.root)
    assert {path for path in after if after[path].inode != before[path].inode} == {"Movies/Heat (1995)/movie.nfo"}


def test_a_series_that_matches_is_skipped_in_one_row(small: Output) -> None:
    assert report_rows(small.write().report) == [("series", "Dark (2017)", "", "", "", "skipped", "matches")]


def test_a_folder_that_was_deleted_comes_back(small: Output) -> None:
    shutil.rmtree(small.root / "Movies" / "Heat (1995)")
    shutil.rmtree(small.root / "TV")
    actions = small.actions()
    assert ("Heat (1995)", "created", "missing") in actions
    assert {(action, reason) for _, action, reason in actions} == {("created", "missing")}
    assert len(actions) == 10
    assert small.difference() == {}


def test_a_file_that_was_deleted_comes_back(small: Output) -> None:
    (small.root / "TV" / "Dark (2017)" / "Season 01" / "S01E02 – Lies.strm").unlink()
    assert small.actions() == [("S01E02 – Lies", "created", "missing")]
    assert small.difference() == {}


def test_a_file_that_was_emptied_is_written_again(small: Output) -> None:
    os.truncate(small.root / "Movies" / "Heat (1995)" / "movie.nfo", 0)
    assert small.actions(verify=True) == [("Heat (1995)", "updated", "empty")]
    assert small.difference() == {}


def test_an_edited_nfo_is_kept_and_reported_in_every_run(small: Output) -> None:
    nfo = small.root / "Movies" / "Heat (1995)" / "movie.nfo"
    edited = nfo.with_name("not ours")
    edited.write_text("<movie><title>Mine</title></movie>")
    edited.rename(nfo)
    for _ in range(2):
        assert small.actions() == [("Heat (1995)", "kept", "not ours")]
    small.library.show(catalogue(plot="Robbers and cops."))
    for _ in range(2):
        assert small.actions() == [("Heat (1995)", "kept", "not ours")]
    assert nfo.read_text() == "<movie><title>Mine</title></movie>"


def test_an_nfo_edited_in_place_is_kept_when_it_would_be_updated(small: Output) -> None:
    nfo = small.root / "Movies" / "Heat (1995)" / "movie.nfo"
    nfo.write_text("<movie><title>Mine</title></movie>")
    small.library.show(catalogue(plot="Robbers and cops."))
    assert small.actions() == [("Heat (1995)", "kept", "not ours")]
    assert nfo.read_text() == "<movie><title>Mine</title></movie>"


def test_an_edited_file_gives_way_when_that_is_wanted(small: Output) -> None:
    for name in ("movie.nfo", "Heat (1995).strm"):
        (small.root / "Movies" / "Heat (1995)" / name).write_text("mine")
    assert small.actions(verify=True) == [("Heat (1995)", "kept", "not ours")] * 2
    assert small.actions(overwrite=True) == [("Heat (1995)", "updated", "not ours")] * 2
    assert small.difference() == {}


def test_an_edit_that_is_taken_back_is_no_edit(small: Output) -> None:
    nfo = small.root / "Movies" / "Heat (1995)" / "movie.nfo"
    ours = nfo.read_bytes()
    nfo.write_text("mine")
    small.actions(verify=True)
    nfo.write_bytes(ours)
    assert small.actions() == [("Heat (1995)", "updated", "time changed")]
    assert small.difference() == {}
    assert small.actions() == []


def test_a_file_in_the_place_of_ours_is_kept(output: Output) -> None:
    mine = output.root / "Movies" / "Heat (1995)" / "movie.nfo"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    output.library.show(catalogue())
    assert ("Heat (1995)", "kept", "not ours") in output.actions()
    assert mine.read_text() == "mine"


def test_other_files_in_our_folders_stay_and_do_not_disturb(small: Output) -> None:
    poster = small.root / "Movies" / "Heat (1995)" / "poster.jpg"
    poster.write_bytes(b"\xff\xd8")
    subtitles = small.root / "TV" / "Dark (2017)" / "Season 01" / "S01E01 – Pilot.en.srt"
    subtitles.write_text("1")
    before = snapshot(small.root)
    for _ in range(2):
        assert small.rows() == []
        assert snapshot(small.root) == before


def test_a_folder_where_something_came_and_went_has_its_time_again(small: Output) -> None:
    poster = small.root / "Movies" / "Heat (1995)" / "poster.jpg"
    poster.write_bytes(b"\xff\xd8")
    poster.unlink()
    small.write()
    assert small.difference() == {}


def test_a_renamed_movie_is_moved_with_all_that_is_in_its_folder(small: Output) -> None:
    poster = small.root / "Movies" / "Heat (1995)" / "poster.jpg"
    poster.write_bytes(b"\xff\xd8")
    strm = (small.root / "Movies" / "Heat (1995)" / "Heat (1995).strm").stat().st_ino
    small.library.show(catalogue(heat="Heat Wave"))
    assert small.actions() == [
        ("Heat Wave (1995)", "moved", "renamed: Heat (1995)"),
        ("Heat Wave (1995)", "moved", "renamed: Heat (1995).strm"),
        ("Heat Wave (1995)", "updated", "content changed"),
    ]
    moved = small.root / "Movies" / "Heat Wave (1995)"
    assert not (small.root / "Movies" / "Heat (1995)").exists()
    assert (moved / "poster.jpg").read_bytes() == b"\xff\xd8"
    assert (moved / "Heat Wave (1995).strm").stat().st_ino == strm
    (moved / "poster.jpg").unlink()
    small.write()
    assert small.difference() == {}


def test_a_renamed_episode_is_moved_and_an_edit_goes_with_it(small: Output) -> None:
    season = small.root / "TV" / "Dark (2017)" / "Season 01"
    (season / "S01E01 – Pilot.nfo").write_text("mine")
    strm = (season / "S01E01 – Pilot.strm").stat().st_ino
    small.library.show(catalogue(pilot="Secrets"))
    assert small.actions() == [
        ("S01E01", "updated", "content changed"),
        ("S01E01 – Secrets", "kept", "not ours"),
        ("S01E01 – Secrets", "moved", "renamed: S01E01 – Pilot.nfo"),
        ("S01E01 – Secrets", "moved", "renamed: S01E01 – Pilot.strm"),
    ]
    assert (season / "S01E01 – Secrets.strm").stat().st_ino == strm
    assert (season / "S01E01 – Secrets.nfo").read_text() == "mine"
    assert set(small.difference()) == {"TV/Dark (2017)/Season 01/S01E01 – Secrets.nfo"}


def test_names_that_are_swapped_end_in_their_places(output: Output) -> None:
    first, second = Catalogue(), Catalogue()
    for made, names in ((first, ("Heat", "Ronin", "Alien")), (second, ("Ronin", "Alien", "Heat"))):
        for name in names:
            made.movie(name)
    output.library.show(first)
    output.write()
    output.library.show(second)
    output.write()
    assert output.difference() == {}
    assert output.rows() == []


def test_a_movie_takes_the_name_that_another_one_gave_up(output: Output) -> None:
    first, second = Catalogue(), Catalogue()
    first.movie("Heat")
    first.movie("Ronin")
    second.movie("Ronin")
    second.movie("Alien")
    output.library.show(first)
    output.write()
    (output.root / "Movies" / "Ronin" / "poster.jpg").write_text("of the second movie")
    output.library.show(second)
    output.write()
    assert (output.root / "Movies" / "Alien" / "poster.jpg").read_text() == "of the second movie"
    (output.root / "Movies" / "Alien" / "poster.jpg").unlink()
    output.write()
    assert output.difference() == {}


def test_a_movie_is_not_moved_onto_somebody_elses_folder(small: Output) -> None:
    taken = small.root / "Movies" / "Heat Wave (1995)"
    taken.mkdir()
    (taken / "film.mkv").write_text("film")
    small.library.show(catalogue(heat="Heat Wave"))
    actions = small.actions(cleanup="apply")
    assert ("Heat (1995).strm", "deleted", "renamed") in actions
    assert ("Heat Wave (1995)", "created", "new") in actions
    (taken / "film.mkv").unlink()
    small.write()
    assert small.difference() == {}


@pytest.mark.parametrize("group_by", ["category", "category_tv"])
def test_groups_are_folders_that_titles_move_into(small: Output, group_by: Any) -> None:
    heat = (small.root / "Movies" / "Heat (1995)" / "Heat (1995).strm").stat().st_ino
    small.library.show(catalogue(), LibrarySettings(group_by=group_by))
    actions = small.actions(cleanup="apply")
    assert small.difference() == {}
    assert {action for _, action, _ in actions} == {"moved"}
    place = next(small.root.glob("Movies/*/Heat (1995)")).parent.relative_to(small.root)
    assert ("Heat (1995)", "moved", f"renamed: from Movies to {place}") in actions
    small.library.show(catalogue(heat="Heat Wave"))
    moved = f"renamed: from {place}/Heat (1995) to Movies"
    assert ("Heat Wave (1995)", "would_move", moved) in small.actions(dry_run=True)
    small.library.show(catalogue(), LibrarySettings(group_by=group_by))
    assert next(small.root.glob("Movies/*/Heat (1995)/*.strm")).stat().st_ino == heat


@pytest.mark.parametrize("server", ["jellyfin", "emby", "kodi", "plex", "spec"])
def test_another_media_server_means_other_names(small: Output, server: str) -> None:
    small.library.show(catalogue(), LibrarySettings.model_validate({"media_server": server}))
    small.write(cleanup="apply")
    assert small.difference() == {}


def test_versions_are_files_of_one_folder(output: Output) -> None:
    made = Catalogue()
    alpha, beta = made.account("Alpha", priority=2), made.account("Beta", priority=1)
    made.movie("Heat", relations=[alpha, beta])
    output.library.show(made, LibrarySettings(versions="all"))
    output.write()
    assert output.difference() == {}
    assert len(list(output.root.glob("Movies/Heat/*.strm"))) == 2


def test_without_nfos_there_are_only_strms(small: Output) -> None:
    small.write(write_nfo=False, cleanup="apply")
    assert {path.suffix for path in small.root.rglob("*.*")} == {".strm"}
    small.write()
    assert small.difference() == {}


@pytest.mark.parametrize(("mode", "section"), [("movies", "Movies"), ("series", "TV")])
def test_a_mode_writes_its_section_alone(output: Output, mode: str, section: str) -> None:
    output.library.show(catalogue())
    outcome = output.write(mode=mode)
    assert os.listdir(output.root) == [section]
    assert outcome.report.name.startswith(f"report_{mode}_")
    output.write()
    assert output.difference() == {}


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(small: Output, tmp_path: Path) -> None:
    small.library.show(catalogue(heat="Heat Wave", pilot="Secrets"))
    (small.root / "Movies" / "Ronin (1998)" / "Ronin (1998).strm").unlink()
    before = snapshot(tmp_path)
    planned = small.actions(dry_run=True)
    written = snapshot(tmp_path).items() - before.items()
    assert {path.split("/")[0] for path, _ in written} == {"reports", "state"}
    assert not {path for path, _ in written if path.startswith("state/output") and path.endswith(".db")}
    would = {"would_move": "moved", "would_update": "updated", "would_create": "created"}
    assert sorted((title, would[action], reason) for title, action, reason in planned) == small.actions()


def test_a_dry_run_makes_no_root(output: Output) -> None:
    output.library.show(catalogue())
    assert {action for _, action, _ in output.actions(dry_run=True)} == {"would_create"}
    assert not output.root.exists()


def test_what_the_index_remarks_upon_is_in_the_report(output: Output) -> None:
    made = catalogue()
    made.movie("HEAT", year=1995)
    made.series("Empty")
    output.library.show(made, LibrarySettings(merge="off"))
    actions = output.actions()
    assert ("Empty", "skipped", "no episodes") in actions
    assert [reason for _, action, reason in actions if action == "noted"] == ["collision: HEAT (1995)"]
