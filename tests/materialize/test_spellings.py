"""File systems that take two spellings of a name for one: what is wanted stays, whatever it is called by."""

import os
import time
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from disks import Disk
from libraries import Library
from outputs import Output, snapshot
from shares import Share

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.materialize import files
from vod2strmfs.materialize.output_stats import output_stats
from vod2strmfs.settings import LibrarySettings

FILMS = ("Heat Wave", "Ronin", "Café Müller", "Alien")
KINDS = [
    "share fold",
    "share fold,stubborn",
    "share fold,inodes",
    "share fold,normal",
    "share fold,normal,decompose",
    "exfat",
]


@contextmanager
def folding(kind: str, folder: Path, root: Path) -> Iterator[None]:
    """A file system at a root that folds case."""
    with ExitStack() as stack:
        if kind == "exfat":
            stack.enter_context(Disk(folder / "disk", root, "exfat"))
        else:
            stack.enter_context(Share(folder / "share", root, *kind.split()[1].split(",")))
        yield


@pytest.fixture(params=KINDS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Output]:
    """A small library, written to a file system that folds case."""
    with folding(request.param, tmp_path, tmp_path / "output"):
        output = Output(Library(tmp_path), tmp_path / "output")
        output.library.show(catalogue())
        assert output.write(cleanup="apply").errors == 0
        yield output


def catalogue(
    *spelled: str, plot: str = "A plot.", again: int = 0, show: str = "Dark", episode: str = "The Pilot"
) -> Catalogue:
    """Films and a series.

    Args:
        spelled: films by other spellings of their names.
        plot: of all.
        again: added to all ids, so that items are others in the index.
        show: the name of the series.
        episode: the name of its episode.
    """
    made = Catalogue()
    account = made.account("Provider")
    for number, name in enumerate(FILMS, 1):
        name = next((other for other in spelled if other.casefold() == name.casefold()), name)
        film = made.movie(name, id=number + again, description=plot, relations=[])
        made.relate(film, account, stream_id=str(number + again))
    made.episode(made.series(show, id=90 + again, relations=[account]), 1, 1, episode, id=95 + again)
    return made


def strms(output: Output) -> list[str]:
    """The .strm files that are listed, by their paths."""
    listed = (str(path.relative_to(output.root)) for path in output.root.rglob("*.strm"))
    return sorted(unicodedata.normalize("NFC", path) for path in listed)


def wanted(output: Output) -> list[str]:
    return [path for path in output.library.paths() if path.endswith(".strm")]


def contents(output: Output) -> dict[str, bytes]:
    """What is read under the names of the library."""
    return {path: (output.root / path).read_bytes() for path in output.library.files()}


OTHER = ("HEAT WAVE", "ronin", "CAFÉ MÜLLER", "aLiEn")


@pytest.mark.parametrize("runs", ["one run", "written first", "lost state", "lost index"])
def test_what_changes_case_alone_is_spelled_so_and_nothing_goes(output: Output, runs: str) -> None:
    poster = output.root / "Movies" / "Ronin" / "Ronin.jpg"
    poster.write_bytes(b"a poster")
    if runs.startswith("lost"):
        output.lose_manifest()
    if runs == "lost index":
        for path in output.library.state_dir.glob("index*"):
            path.unlink()
    # The NFO of a series is nobody's when the state is lost.
    output.library.show(catalogue(*OTHER, show="Dark" if runs.startswith("lost") else "DARK", episode="the pilot"))
    if runs == "written first":
        output.write()
    for _ in range(2):
        outcome = output.write(cleanup="apply")
        assert (outcome.errors, outcome.held) == (0, 0)
        assert strms(output) == wanted(output)
        assert contents(output) == output.library.files()
    assert output.rows(cleanup="apply", verify=True) == []
    assert poster.read_bytes() == b"a poster"


@pytest.mark.parametrize("lost", [False, True])
def test_an_item_that_takes_the_place_of_one_spelled_otherwise_has_its_own_bytes(output: Output, lost: bool) -> None:
    if lost:
        output.lose_manifest()
    show = "Dark" if lost else "DARK"
    output.library.show(catalogue(*OTHER, plot="Another plot.", again=10, show=show), accept_shrink=True)
    for _ in range(2):
        assert output.write(cleanup="apply", accept_shrink=True).errors == 0
        assert contents(output) == output.library.files()
        assert strms(output) == wanted(output)


def test_names_that_are_exchanged_but_for_case_end_in_their_places(output: Output) -> None:
    made = Catalogue()
    account = made.account("Provider")
    for number, name in enumerate(("RONIN", "heat wave", "alien", "Café Müller"), 1):
        made.relate(made.movie(name, id=number, relations=[]), account, stream_id=str(number))
    output.library.show(made, accept_shrink=True)
    for _ in range(3):
        assert output.write(cleanup="apply", accept_shrink=True).errors == 0
        assert contents(output) == output.library.files()


def test_an_edited_nfo_goes_with_its_film_to_another_case(output: Output) -> None:
    nfo = output.root / "Movies" / "Ronin" / "movie.nfo"
    nfo.write_text("mine")
    output.library.show(catalogue("RONIN"))
    for _ in range(2):
        output.write(cleanup="apply")
        assert (output.root / "Movies/RONIN/movie.nfo").read_text() == "mine"
        assert "Movies/RONIN/RONIN.strm" in strms(output)


def test_a_version_of_which_the_case_changes_stays(tmp_path: Path) -> None:
    with folding("share fold", tmp_path, tmp_path / "output"):
        output = Output(Library(tmp_path), tmp_path / "output")
        settings = LibrarySettings(versions="all")
        for names in (("First", "Second"), ("FIRST", "second")):
            made = Catalogue()
            made.movie("Heat", relations=[made.account(name) for name in names])
            output.library.show(made, settings)
            output.write(cleanup="apply", accept_shrink=True)
            assert strms(output) == wanted(output)
            assert contents(output) == output.library.files()


def test_cleanup_spares_what_it_is_about_to_delete_under_another_spelling(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should nothing have noticed before that the two are one file: as after a run of an earlier version."""
    output.library.show(catalogue("HEAT WAVE", "ronin", show="DARK", episode="the pilot"))
    with monkeypatch.context() as patched:
        patched.setattr(files, "move", lambda *_, **__: False)
        output.write(cleanup="apply")
        assert contents(output) == output.library.files()
    output.write(cleanup="apply")
    assert contents(output) == output.library.files()


@pytest.mark.parametrize("moment", range(1, 9))
def test_a_run_that_is_killed_between_two_spellings_is_finished(tmp_path: Path, moment: int) -> None:
    class KilledError(BaseException):
        pass

    with folding("share fold", tmp_path, tmp_path / "output"), pytest.MonkeyPatch.context() as patched:
        output = Output(Library(tmp_path), tmp_path / "output")
        output.library.show(catalogue())
        output.write()
        mine = output.root / "Movies" / "Ronin" / "movie.nfo"
        mine.write_text("mine")
        output.library.show(catalogue(*OTHER))
        left = [moment]
        rename = os.rename

        def killing(source: str, target: str, **fields: int) -> None:
            if ".moving" in source + target:
                left[0] -= 1
                if left[0] == 0:
                    raise KilledError
            rename(source, target, **fields)

        patched.setattr(os, "rename", killing)
        with pytest.raises(KilledError):
            output.write(cleanup="apply")
        patched.setattr(os, "rename", rename)
        time.sleep(1.1)  # so long the kernel has names that are gone
        for _ in range(2):
            output.write(cleanup="apply")
        assert (output.root / "Movies" / "ronin" / "movie.nfo").read_text() == "mine"
        assert {path for path in snapshot(output.root) if ".vod2strmfs" in path} == set()
        assert len(strms(output)) == len(wanted(output))


def test_what_is_ours_is_counted_under_any_spelling(output: Output) -> None:
    before = output_stats(output.root, output.library.state_dir)
    assert before is not None
    assert (before["missing_files"], before["stale_files"], before["foreign_files"]) == (0, 0, 0)
    for path in output.root.rglob("Ronin.strm"):
        path.rename(path.with_name("between"))
        path.with_name("between").rename(path.with_name("rONIN.strm"))
    assert output_stats(output.root, output.library.state_dir) == before
    assert output.write(cleanup="apply").errors == 0


def test_where_case_tells_names_apart_both_spellings_are_told_apart(tmp_path: Path) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue())
    output.write()
    theirs = output.root / "Movies" / "Ronin" / "RONIN.strm"
    theirs.write_text("theirs")
    output.library.show(catalogue(*OTHER))
    output.write(cleanup="apply")
    assert (output.root / "Movies" / "ronin" / "RONIN.strm").read_text() == "theirs"
    assert set(output.difference()) == {"Movies/ronin/RONIN.strm"} | {"Movies/ronin"} & output.difference().keys()


def test_a_folder_of_somebody_elses_that_differs_in_case_is_in_the_way_of_none(tmp_path: Path) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue())
    output.write()
    theirs = output.root / "Movies" / "RONIN"
    theirs.mkdir()
    (theirs / "poster.jpg").write_text("theirs")
    for _ in range(2):
        output.library.show(catalogue("RONIN"))
        for _ in range(2):
            output.write(cleanup="apply")
            assert [path for path in strms(output) if "ronin" in path.lower()] == ["Movies/Ronin/RONIN.strm"]
        assert (theirs / "poster.jpg").read_text() == "theirs"
        output.library.show(catalogue("RONIN", plot="Another plot."))
        output.write(cleanup="apply")
        assert b"Another plot." in (output.root / "Movies/Ronin/movie.nfo").read_bytes()


@pytest.mark.parametrize("kind", ["share normal", "share normal,decompose"])
@pytest.mark.parametrize("lost", [False, True])
def test_where_forms_of_a_name_are_one_nothing_goes_and_nothing_is_foreign(
    tmp_path: Path, kind: str, lost: bool
) -> None:
    with folding(kind, tmp_path, tmp_path / "output"):
        output = Output(Library(tmp_path), tmp_path / "output")
        output.library.show(catalogue())
        assert output.write(cleanup="apply").errors == 0
        if lost:
            output.lose_manifest()
        output.library.show(catalogue("CAFÉ MÜLLER"))
        for _ in range(2):
            assert output.write(cleanup="apply").errors == 0
            assert strms(output) == wanted(output)
            assert contents(output) == output.library.files()
        counts = output_stats(output.root, output.library.state_dir)
        assert counts is not None
        assert (counts["missing_files"], counts["stale_files"], counts["foreign_files"]) == (0, 0, 0)
        output.library.show(catalogue("CAFÉ MÜLLER", again=10, plot="Another plot."), accept_shrink=True)
        for _ in range(2):
            assert output.write(cleanup="apply", accept_shrink=True).errors == 0
            assert contents(output) == output.library.files()
