"""Shelves on disk: the same files as in the mount, and a brake for each shelf."""

from pathlib import Path
from typing import Any

import pytest
from libraries import Library
from outputs import Output, snapshot

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import LibrarySettings, load

KIDS = {"name": "Kids", "genres": "Family"}


def films(number: int = 40, family: int = 25) -> Catalogue:
    made = Catalogue()
    for each in range(number):
        made.movie(f"Film {each}", year=1950 + each, genre="Family" if each < family else "Crime")
    series = made.series("Bluey", year=2018, genre="Family")
    for episode in (1, 2):
        made.episode(series, 1, episode, f"Part {episode}")
    return made


def settings(*shelves: dict[str, Any], **more: Any) -> LibrarySettings:
    return LibrarySettings.model_validate({"shelf": shelves, **more})


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A library with a shelf, written."""
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(films(), settings(KIDS))
    output.write()
    return output


def test_what_is_written_is_what_is_shown(output: Output) -> None:
    assert output.difference() == {}
    assert (output.root / "Kids/TV/Bluey (2018)/Season 01/S01E02 – Part 2.strm").exists()
    before = snapshot(output.root)
    assert output.rows() == []
    assert snapshot(output.root) == before


def test_a_shelf_follows_the_library_and_its_filters(output: Output) -> None:
    output.library.show(films(41, 24), settings(KIDS))
    rows = {(title, action, reason) for title, action, reason in output.actions(cleanup="apply") if action != "updated"}
    assert rows == {
        ("Film 24 (1974).strm", "deleted", "off the shelf"),
        ("Film 24 (1974)/movie.nfo", "deleted", "off the shelf"),
        ("Film 40 (1990)", "created", "new"),
    }
    assert output.difference() == {}


def test_a_run_for_films_alone_leaves_the_series_of_a_shelf(output: Output) -> None:
    made = films()
    made.episode(made.series("Other", year=2020, genre="Family"), 1, 1, "Only")
    made.movie("New", year=2020, genre="Family")
    output.library.show(made, settings(KIDS))
    output.write(mode="movies")
    assert (output.root / "Kids/Movies/New (2020)").exists()
    assert not (output.root / "Kids/TV/Other (2020)").exists()
    output.write()
    assert output.difference() == {}


@pytest.mark.parametrize("shelves", [[], [{"name": "Old", "years": "-1960"}]])
def test_a_shelf_that_left_the_settings_is_kept_until_somebody_accepts_that(
    output: Output, shelves: list[dict[str, Any]]
) -> None:
    before = {path for path in snapshot(output.root) if path.startswith("Kids")}
    result = output.library.sync(output.library.last_url, settings(*shelves))
    assert any("shelf Kids is not in the settings any more" in warning for warning in result.warnings())
    assert output.write().held == 0
    held = output.write(cleanup="apply")
    assert held.held == 27
    assert before <= set(snapshot(output.root))
    rows = output.rows(cleanup="preview")
    assert {(row[-2], row[-1]) for row in rows} == {("would_delete", "off the shelf")}
    assert len(rows) == 25 * 2 + 2 * 3 + 2
    output.write(cleanup="apply", accept_shrink=True)
    assert output.difference() == {}
    assert not (output.root / "Kids").exists()


def test_what_the_user_put_on_a_shelf_stays_when_the_shelf_goes(output: Output) -> None:
    poster = output.root / "Kids/Movies/Film 1 (1951)/poster.jpg"
    poster.write_bytes(b"mine")
    output.library.sync(output.library.last_url, settings())
    output.write(cleanup="apply", accept_shrink=True)
    left = set(snapshot(output.root))
    assert {path for path in left if path.startswith("Kids")} == {
        "Kids", "Kids/Movies", "Kids/Movies/Film 1 (1951)", "Kids/Movies/Film 1 (1951)/poster.jpg"
    }  # fmt: skip


def test_a_small_shelf_is_not_lost_among_a_large_library(tmp_path: Path) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(films(200, 25), settings(KIDS))
    output.write()
    output.library.show(films(200, 0), settings(KIDS), accept_shrink=True)
    result = output.write(cleanup="apply")
    assert result.held == 25  # The series is there still.
    assert (output.root / "Kids/Movies/Film 3 (1953)").exists()
    assert output.write(cleanup="apply", accept_shrink=True).held == 0
    assert output.difference() == {}


def test_to_show_a_shelf_alone_deletes_no_library_in_silence(output: Output) -> None:
    output.library.show(films(60), settings(KIDS))
    output.write()
    output.library.sync(output.library.last_url, settings(KIDS | {"only": True}))
    # What the shelf has stands in the root now.
    assert output.write(cleanup="apply").held == 35
    assert (output.root / "Movies/Film 39 (1989)").exists()
    output.write(cleanup="apply", accept_shrink=True)
    assert output.difference() == {}
    output.library.sync(output.library.last_url, settings(KIDS))
    output.write(cleanup="apply")
    assert output.difference() == {}


def test_without_a_manifest_files_on_shelves_are_known_as_ours(output: Output) -> None:
    output.lose_manifest()
    before = snapshot(output.root)
    assert output.rows() == []
    assert snapshot(output.root) == before
    output.library.show(films(39, 25), settings(KIDS))
    output.lose_manifest()
    output.library.show(films(39, 24), settings(KIDS))
    output.write(cleanup="apply")
    assert output.difference() == {}


def test_folders_on_a_shelf_are_moved_with_all_that_is_in_them(output: Output) -> None:
    poster = output.root / "Kids/Movies/Film 1 (1951)/poster.jpg"
    poster.write_bytes(b"mine")
    output.library.sync(output.library.last_url, settings(KIDS, folder_ids="none", group_by="category"))
    output.write(cleanup="apply")
    assert (output.root / "Kids/Movies/Uncategorised/Film 1 (1951)/poster.jpg").exists()
    assert set(output.difference()) == {"Kids/Movies/Uncategorised/Film 1 (1951)/poster.jpg"}


def test_settings_with_shelves_make_the_same_library_again(tmp_path: Path) -> None:
    given = load(None, {}, {"VOD2STRMFS_SHELF": '{"name": "Kids", "genres": "Family"}'})
    library = Library(tmp_path)
    library.show(films(), given.library())
    with_file = set(library.paths())
    assert "Kids/TV/Bluey (2018)" in with_file
