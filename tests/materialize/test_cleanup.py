"""Cleanup: what we wrote and the library no longer has goes; whatever else there is stays."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import Library
from outputs import Output, snapshot

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import LibrarySettings

MOVIES = ("Heat", "Ronin", "Alien", "Fargo")
EPISODES = ((1, 1), (1, 2), (2, 1))


def catalogue(movies: Iterable[str] = MOVIES, episodes: Iterable[tuple[int, int]] = EPISODES) -> Catalogue:
    """Some of the movies, and of the episodes of one of two series; each has the same ids whatever else there is."""
    made = Catalogue()
    account = made.account("Provider")
    for number, name in enumerate(MOVIES, 1):
        if name in movies:
            made.relate(made.movie(name, id=number, relations=[]), account, stream_id=str(number))
    dark, other = made.series("Dark"), made.series("Other")
    made.relate(made.episode(other, 1, 1, "Only", id=99, relations=[]), account, stream_id="99")
    for number, (season, episode) in enumerate(EPISODES, 1):
        if (season, episode) in episodes:
            added = made.episode(dark, season, episode, "", id=number, relations=[])
            made.relate(added, account, stream_id=str(number))
    return made


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A small library, written."""
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue())
    output.write()
    return output


def test_without_cleanup_everything_stays(output: Output) -> None:
    before = set(snapshot(output.root))
    output.library.show(catalogue(movies=["Heat"]))
    assert output.rows() == []
    assert set(snapshot(output.root)) == before


def test_what_left_the_catalogue_goes(output: Output) -> None:
    output.library.show(catalogue(movies=["Heat", "Ronin"], episodes=[(1, 1)]))
    actions = [
        ("Alien.strm", "deleted", "gone"),
        ("Alien/movie.nfo", "deleted", "gone"),
        ("Dark", "updated", "content changed"),
        ("Fargo.strm", "deleted", "gone"),
        ("Fargo/movie.nfo", "deleted", "gone"),
        ("S01E02.nfo", "deleted", "gone"),
        ("S01E02.strm", "deleted", "gone"),
        ("S02E01.nfo", "deleted", "gone"),
        ("S02E01.strm", "deleted", "gone"),
        ("season.nfo", "deleted", "gone"),
    ]
    assert output.actions(cleanup="apply") == actions
    assert output.difference() == {}


def test_a_series_that_left_goes_with_its_folders(output: Output) -> None:
    output.library.show(catalogue(episodes=()), accept_shrink=True)
    output.write(cleanup="apply")
    assert not (output.root / "TV" / "Dark").exists()
    assert output.difference() == {}


def test_a_preview_says_what_cleanup_does(output: Output) -> None:
    output.library.show(catalogue(movies=["Heat", "Ronin"], episodes=[(1, 1)]))
    output.write()
    written = snapshot(output.root)
    preview = output.rows(cleanup="preview")
    assert {(row[0], row[5]) for row in preview} == {("cleanup", "would_delete")}
    assert output.rows(cleanup="preview") == preview
    assert output.rows(cleanup="apply", dry_run=True) == preview
    assert snapshot(output.root) == written
    deleted = [tuple(value.replace("would_delete", "deleted") for value in row) for row in preview]
    assert output.rows(cleanup="apply") == deleted
    assert output.difference() == {}
    assert output.rows(cleanup="apply") == []


def test_cleanup_of_one_mode_leaves_the_other_section_alone(output: Output) -> None:
    output.library.show(catalogue(movies=["Heat", "Ronin", "Alien"], episodes=[(1, 1)]))
    output.write(cleanup="apply", mode="movies")
    assert not (output.root / "Movies" / "Fargo").exists()
    assert (output.root / "TV" / "Dark" / "Season 02").exists()
    output.write(cleanup="apply")
    assert output.difference() == {}


def test_a_folder_with_a_users_file_stays_with_the_file(output: Output) -> None:
    poster = output.root / "Movies" / "Alien" / "poster.jpg"
    poster.write_bytes(b"\xff\xd8")
    output.library.show(catalogue(movies=["Heat", "Ronin", "Fargo"]))
    output.write(cleanup="apply")
    assert os.listdir(poster.parent) == ["poster.jpg"]
    assert output.rows(cleanup="apply") == []


def test_an_edited_nfo_stays_and_is_reported_once(output: Output) -> None:
    nfo = output.root / "Movies" / "Alien" / "movie.nfo"
    nfo.write_text("mine")
    output.library.show(catalogue(movies=["Heat", "Ronin", "Fargo"]))
    assert output.actions(cleanup="apply") == [
        ("Alien.strm", "deleted", "gone"),
        ("Alien/movie.nfo", "kept", "not ours"),
    ]
    assert nfo.read_text() == "mine"
    assert output.rows(cleanup="apply") == []


def test_what_comes_back_is_not_cleaned_up(output: Output) -> None:
    output.library.show(catalogue(movies=["Heat", "Ronin"]))
    output.write()
    output.library.show(catalogue())
    assert output.rows(cleanup="apply") == []
    assert output.difference() == {}


def test_files_that_the_settings_no_longer_want_go(output: Output) -> None:
    output.library.show(catalogue(), LibrarySettings(media_server="spec"))
    output.write()
    output.library.show(catalogue(), LibrarySettings(media_server="jellyfin"))
    actions = output.actions(cleanup="preview")
    assert {reason for _, action, reason in actions if action == "would_delete"} <= {"unwanted"}
    output.write(cleanup="apply")
    assert output.difference() == {}


@pytest.fixture
def large(tmp_path: Path) -> Output:
    """A hundred movies, written, of which thirty left since."""
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(many("Movie", 100))
    output.write()
    output.library.show(many("Movie", 70), accept_shrink=True)
    return output


def many(name: str, number: int) -> Catalogue:
    made = Catalogue()
    for movie in range(number):
        made.movie(f"{name} {movie}")
    return made


def test_more_than_max_shrink_is_refused(large: Output) -> None:
    before = set(snapshot(large.root))
    outcome = large.write(cleanup="apply")
    assert outcome.held == 30
    assert outcome.errors == 0
    assert set(snapshot(large.root)) == before
    assert [row[5] for row in large.rows(cleanup="apply")] == ["would_delete"] * 60


def test_what_is_refused_can_be_accepted(large: Output) -> None:
    large.write(cleanup="apply")
    assert large.write(cleanup="apply", accept_shrink=True).held == 0
    assert large.difference() == {}


def test_a_higher_limit_lets_go_of_more(large: Output) -> None:
    assert large.write(cleanup="apply", max_shrink=30).held == 0
    assert large.difference() == {}


@pytest.mark.parametrize("lost", [False, True])
def test_what_the_brake_of_the_sync_holds_keeps_its_strm_when_versions_are_asked_for(large: Output, lost: bool) -> None:
    """Whatever share of all the files that is: who is asked about a loss has been asked by the sync."""
    large.library.show(many("Movie", 100))
    large.write()
    if lost:
        large.lose_manifest()
    every = LibrarySettings(versions="all")
    assert large.library.show(many("Movie", 60), every).held
    for _ in range(2):
        assert large.write(cleanup="apply", max_shrink=99).errors == 0
        assert {path.parent.name for path in large.root.glob("Movies/*/*.strm")} == {
            f"Movie {number}" for number in range(100)
        }
    large.library.show(many("Movie", 60), every, accept_shrink=True)
    large.write(cleanup="apply", accept_shrink=True)
    assert large.difference() == {}


def test_new_names_are_no_shrinking(large: Output) -> None:
    large.write(cleanup="apply", accept_shrink=True)
    large.library.show(many("Film", 70))
    assert large.write(cleanup="apply").held == 0
    assert large.difference() == {}


NAMES = st.sampled_from(
    (
        *("Heat", "heat", "Ronin", "Dark", "Other", "Season 01", "Season 02", "mine", "movie.nfo", "Heat.strm"),
        *("Alien.strm", "S01E01.strm", "S01E02.nfo", "tvshow.nfo", "season.nfo", "poster.jpg", ".vod2strmfs-1.tmp.jpg"),
    )
)
PATHS = st.tuples(st.sampled_from(("Movies", "TV", ".")), NAMES, NAMES, NAMES).flatmap(
    lambda parts: st.integers(2, 4).map(lambda depth: Path(*parts[:depth]))
)
LEFT = st.tuples(st.sets(st.sampled_from(MOVIES)), st.sets(st.sampled_from(EPISODES)))


def place(root: Path, path: Path) -> Path:
    """Put a user's file somewhere, as far as nothing is in the way."""
    target = root / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"the user's {path}")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        pass
    return target


def nfos(root: Path, numbers: Iterable[int]) -> list[Path]:
    """Some of the NFOs that are there."""
    there = sorted(path for path in root.rglob("*.nfo") if path.is_file())
    return [there[number] for number in numbers if number < len(there)]


def edit(nfo: Path) -> Path:
    """Add a plot to an NFO in place, as one does with a text editor."""
    declaration, root, rest = nfo.read_text().split("\n", 2)
    nfo.write_text("\n".join((declaration, root, "  <plot>My own words.</plot>", rest)))
    return nfo


@settings(max_examples=60, deadline=None)
@given(
    before=st.sets(PATHS, max_size=6),
    after=st.sets(PATHS, max_size=6),
    edited=st.sets(st.integers(0, 15), max_size=6),
    left=LEFT,
    lost=st.booleans(),
)
def test_no_file_of_a_users_is_ever_changed(
    before: set[Path], after: set[Path], edited: set[int], left: tuple[set[str], set[tuple[int, int]]], lost: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        output = Output(Library(Path(directory)), Path(directory) / "output")
        output.library.show(catalogue())
        theirs = {place(output.root, path) for path in sorted(before)}
        output.write()
        theirs |= {place(output.root, path) for path in sorted(after)}
        theirs |= {edit(nfo) for nfo in nfos(output.root, edited) if nfo not in theirs}
        if lost:
            output.lose_manifest()
        output.library.show(catalogue(*left), accept_shrink=True)
        contents = {path: path.read_text() for path in theirs if path.is_file()}
        output.write(cleanup="apply", accept_shrink=True)
        assert {path: path.read_text() for path in contents if path.is_file()} == contents


@settings(max_examples=20, deadline=None)
@given(left=LEFT)
def test_without_a_manifest_all_goes_but_for_the_nfo_of_a_series(left: tuple[set[str], set[tuple[int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        output = Output(Library(Path(directory)), Path(directory) / "output")
        output.library.show(catalogue())
        output.write()
        output.lose_manifest()
        output.library.show(catalogue(*left), accept_shrink=True)
        output.write(cleanup="apply", accept_shrink=True)
        # Nothing tells a series' NFO from one that somebody edited.
        assert output.difference().keys() <= {"TV/Dark", "TV/Dark/tvshow.nfo"}
