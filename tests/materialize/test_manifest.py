"""What the manifest remembers, and what becomes of a tree when it is lost."""

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from libraries import Library, open_files
from outputs import Output, snapshot

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize import boot, files, plan, run
from vod2strmfs.materialize.manifest import ROOT, Folder, FolderState, Manifest, NewFolder
from vod2strmfs.materialize.root import hold
from vod2strmfs.materialize.workers import StoppedError
from vod2strmfs.settings import LibrarySettings

MOVIES = ("Heat", "Ronin", "Alien")


def catalogue(*movies: str, plot: str = "", episodes: int = 2) -> Catalogue:
    made = Catalogue()
    account = made.account("Provider")
    for number, name in enumerate(MOVIES, 1):
        if name in movies:
            made.relate(made.movie(name, id=number, description=plot, relations=[]), account, stream_id=str(number))
    dark = made.series("Dark")
    for number in range(1, episodes + 1):
        made.episode(dark, 1, number, "")
    return made


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A small library, written."""
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue(*MOVIES))
    output.write()
    return output


def forget_index(output: Output) -> None:
    for path in output.library.state_dir.glob("index.db*"):
        path.unlink()


@pytest.mark.parametrize("gone", [1, 2, 3, 4])
def test_a_folder_of_another_index_is_not_taken_for_one_that_only_has_its_number(tmp_path: Path, gone: int) -> None:
    """What is in it, the user's poster too, belongs to another series."""

    def shows(numbers: range, seed: int) -> Catalogue:
        made = Catalogue(seed)
        account = made.account("Provider")
        for number in numbers:
            show = made.series(f"Show {seed} {number}", relations=[])
            made.relate(show, account, external_series_id=f"{seed} {number}")
            for season in (1, 2):
                made.episode(show, season + seed, 1, "", relations=[account])
        return made

    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(shows(range(6), 0))
    output.write()
    posters = {folder: str(folder) for folder in (output.root / "TV").glob("*/Season *")}
    for folder, name in posters.items():
        (folder / "poster.jpg").write_text(name)
    forget_index(output)
    output.library.show(shows(range(gone), 1))
    output.write(cleanup="apply", accept_shrink=True)
    assert all((folder / "poster.jpg").read_text() == name for folder, name in posters.items())
    for folder in posters:
        (folder / "poster.jpg").unlink()
        folder.rmdir()
        with suppress(OSError):
            folder.parent.rmdir()
    assert not output.difference().keys() - {"TV"}


def test_a_lost_manifest_is_made_again_without_a_write(output: Output) -> None:
    before = snapshot(output.root)
    output.lose_manifest()
    assert output.rows() == []
    assert snapshot(output.root) == before


@pytest.mark.complains("The manifest was damaged")
def test_a_manifest_that_cannot_be_opened_is_left_closed(tmp_path: Path) -> None:
    (path := tmp_path / "output.db").touch()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE fact (name TEXT)")  # so that ours cannot be made
        with pytest.raises(OutputError) as refused:
            Manifest(path)
        assert refused.tb is not None  # what its frames hold is still there
    assert path not in open_files()
    path.write_bytes(b"SQLite no more" * 1000)
    with closing(Manifest(path)):
        [aside] = tmp_path.glob("*.unusable-*")
        assert aside not in open_files()


def test_a_lost_state_directory_is_made_again_without_a_write(output: Output) -> None:
    before = snapshot(output.root)
    shutil.rmtree(output.library.state_dir)
    output.library.show(catalogue(*MOVIES))
    assert output.rows() == []
    assert snapshot(output.root) == before


@pytest.mark.complains("it was moved to .*unusable")
@pytest.mark.parametrize("damage", ["not a database", "from the future"])
def test_a_manifest_that_cannot_be_used_is_set_aside(
    output: Output, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    [manifest] = output.library.state_dir.glob("output-*.db")
    if damage == "from the future":
        with closing(sqlite3.connect(manifest)) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        manifest.write_bytes(b"not a database" * 1000)
    assert output.rows(dry_run=True) == []
    assert output.rows() == []
    assert output.difference() == {}
    [aside] = output.library.state_dir.glob("output-*.unusable-*")
    assert f"it was moved to {aside}" in caplog.text


def test_without_a_manifest_a_strm_is_ours_by_its_url_and_an_nfo_by_its_bytes(output: Output) -> None:
    folder = output.root / "Movies" / "Heat"
    nfo = (folder / "movie.nfo").read_bytes()
    (folder / "movie.nfo").write_text("mine")
    (output.root / "Movies" / "Ronin" / "Ronin.strm").write_text("http://elsewhere/proxy/vod/movie/1\n")
    output.lose_manifest()
    output.library.show(catalogue(*MOVIES), LibrarySettings(pin_stream=False))
    assert output.actions() == [
        ("Alien", "updated", "content changed"),
        ("Heat", "kept", "not ours"),
        ("Heat", "updated", "content changed"),
        ("Ronin", "kept", "not ours"),
        ("S01E01", "updated", "content changed"),
        ("S01E02", "updated", "content changed"),
    ]
    assert (output.root / "Movies" / "Alien" / "movie.nfo").exists()
    (folder / "movie.nfo").write_bytes(nfo)
    assert output.actions(overwrite=True) == [("Heat", "updated", "time changed"), ("Ronin", "updated", "not ours")]
    assert output.difference() == {}


def test_without_a_manifest_cleanup_takes_strms_with_our_urls_and_the_nfos_that_belong_to_them(output: Output) -> None:
    foreign = output.root / "Movies" / "Mine" / "Mine.strm"
    foreign.parent.mkdir()
    foreign.write_text("http://elsewhere/movie.mkv\n")
    output.lose_manifest()
    output.library.show(catalogue("Heat", "Ronin", episodes=1))
    assert [row for row in output.actions(cleanup="apply") if row[1] in ("deleted", "kept")] == [
        ("Alien.strm", "deleted", "gone"),
        ("Alien/movie.nfo", "deleted", "gone"),
        ("S01E02.nfo", "deleted", "gone"),
        ("S01E02.strm", "deleted", "gone"),
    ]
    assert set(output.difference()) == {"Movies/Mine", "Movies/Mine/Mine.strm"}


def test_without_a_manifest_an_nfo_that_somebody_edited_stays_when_its_strm_goes(output: Output) -> None:
    edited = [output.root / path for path in ("Movies/Alien/movie.nfo", "TV/Dark/Season 01/S01E02.nfo")]
    for path in edited:
        # As an editor does it: the form stays ours, and the time is now.
        path.write_text(path.read_text().replace("<title>", "<title>My "))
    output.lose_manifest()
    output.library.show(catalogue("Heat", "Ronin", episodes=1))
    contents = [path.read_text() for path in edited]
    assert ("Alien/movie.nfo", "kept", "not ours") in output.actions(cleanup="apply")
    assert [path.read_text() for path in edited] == contents


def test_without_a_manifest_an_nfo_that_we_wrote_for_an_older_catalogue_is_brought_up_to_date(output: Output) -> None:
    edited = output.root / "Movies/Alien/movie.nfo"
    edited.write_text(edited.read_text().replace("<title>", "<title>My "))
    output.lose_manifest()
    output.library.show(catalogue(*MOVIES, plot="A heist."))
    assert output.actions() == [
        ("Alien", "kept", "not ours"),
        ("Heat", "updated", "content changed"),
        ("Ronin", "updated", "content changed"),
    ]


@pytest.mark.parametrize("folder", ["Movies/Heat", "TV/Dark/Season 01"])
@pytest.mark.parametrize("apart", [False, True])
def test_without_a_manifest_a_folder_that_somebody_put_into_one_of_ours_is_theirs(
    output: Output, folder: str, apart: bool
) -> None:
    """Also if it was copied from elsewhere in the library."""
    source = output.root / ("Movies/Ronin" if apart else folder)
    copy = output.root / folder / "copy"
    copy.mkdir()
    for strm in source.glob("*.strm"):
        shutil.copy2(strm, copy)
    before = snapshot(copy)
    output.lose_manifest()
    for _ in range(3):
        assert output.write(cleanup="apply", accept_shrink=True).errors == 0
    output.library.show(catalogue("Ronin", "Alien", episodes=1), accept_shrink=True)
    for _ in range(2):
        assert output.write(cleanup="apply", accept_shrink=True).errors == 0
        assert snapshot(copy) == before
    wrong = {path for path in output.difference() if not path.startswith(folder)}
    assert wrong == set()


@pytest.mark.parametrize("stray", ["TV/Dark/S01E01.strm", "TV/Dark/Mine.strm", "Movies/Mine.strm"])
def test_without_a_manifest_a_strm_that_somebody_put_between_our_folders_is_in_nobodys_way(
    output: Output, stray: str
) -> None:
    source = "TV/Dark/Season 01/S01E01.strm" if stray.startswith("TV") else "Movies/Heat/Heat.strm"
    shutil.copy2(output.root / source, output.root / stray)
    output.lose_manifest()
    output.write()
    output.library.show(catalogue(*MOVIES, plot="Another plot.", episodes=3))
    output.write()
    assert output.difference().keys() <= {stray, "TV/Dark"}
    for _ in range(2):
        assert output.rows() == []


def test_without_a_manifest_a_file_that_vanishes_while_it_is_read_is_one_less(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = files.read
    to_vanish = {"Alien.strm", "S01E01.strm"}

    def vanish(directory: int, name: str) -> bytes:
        if name in to_vanish:
            to_vanish.remove(name)
            os.unlink(name, dir_fd=directory)
        return read(directory, name)

    output.lose_manifest()
    output.library.show(catalogue("Alien"), accept_shrink=True)
    monkeypatch.setattr(files, "read", vanish)
    output.write(cleanup="apply", accept_shrink=True)
    assert not to_vanish
    assert output.difference() == {}


def test_an_index_made_anew_moves_no_folder_to_a_strangers_name(output: Output) -> None:
    (output.root / "Movies" / "Heat" / "poster.jpg").write_text("Heat")
    (output.root / "Movies" / "Ronin" / "poster.jpg").write_text("Ronin")
    forget_index(output)
    output.library.show(catalogue("Ronin", "Alien"))
    assert output.actions(cleanup="apply") == [("Heat.strm", "deleted", "gone"), ("Heat/movie.nfo", "deleted", "gone")]
    assert (output.root / "Movies" / "Heat" / "poster.jpg").read_text() == "Heat"
    assert (output.root / "Movies" / "Ronin" / "poster.jpg").read_text() == "Ronin"


def test_a_title_made_anew_under_another_uuid_and_name_is_moved(output: Output) -> None:
    (output.root / "Movies" / "Heat" / "poster.jpg").write_text("Heat")
    made = Catalogue()
    account = made.account("Provider")
    made.relate(made.movie("Heat Wave", id=50, relations=[]), account, stream_id="1")
    for number, name in enumerate(MOVIES[1:], 2):
        made.relate(made.movie(name, id=number, relations=[]), account, stream_id=str(number))
    dark = made.series("Dark")
    for number in (1, 2):
        made.episode(dark, 1, number, "")
    output.library.show(made)
    assert output.actions() == [
        ("Heat Wave", "moved", "renamed: Heat"),
        ("Heat Wave", "moved", "renamed: Heat.strm"),
        ("Heat Wave", "updated", "content changed"),
        ("Heat Wave", "updated", "content changed"),
    ]
    assert set(output.difference()) == {"Movies/Heat Wave/poster.jpg"}


@pytest.mark.parametrize("field", ["tmdb_id", "imdb_id"])
@pytest.mark.parametrize(("before", "after", "is_same"), [("1", "1", True), ("", "2", True), ("1", "2", False)])
def test_a_stream_that_is_given_to_another_title_takes_no_folder_with_it(
    tmp_path: Path, field: str, before: str, after: str, is_same: bool
) -> None:
    output = Output(Library(tmp_path), tmp_path / "output")

    def show(film: str, series: str, number: str, rows: int) -> None:
        made = Catalogue()
        account = made.account("Provider")
        ids: dict[str, Any] = {field: number and (number if field == "tmdb_id" else f"tt000000{number}")}
        made.relate(made.movie(film, id=rows, relations=[], **ids), account, stream_id="7")
        dark = made.series(series, id=rows, relations=[], **ids)
        made.relate(dark, account, external_series_id="8")
        made.episode(dark, 1, 1, "", id=rows)
        output.library.show(made)

    show("Heat", "Dark", before, 1)
    output.write()
    posters = [output.root / folder / "poster.jpg" for folder in ("Movies/Heat", "TV/Dark")]
    for poster in posters:
        poster.write_text("a poster")
    forget_index(output)
    show("Ronin", "Lost", after, 50)
    output.write(cleanup="apply", accept_shrink=True)
    assert [poster.exists() for poster in posters] == [not is_same] * 2
    assert (output.root / "Movies/Ronin/poster.jpg").exists() == is_same
    assert (output.root / "TV/Lost/poster.jpg").exists() == is_same
    show("Ronin again", "Lost again", after, 50)
    output.write(cleanup="apply", accept_shrink=True)
    assert (output.root / "Movies/Ronin again/poster.jpg").exists() == is_same


def test_after_a_restart_of_the_machine_every_byte_is_compared(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: the file has its name and its time, and no content."""
    nfo = output.root / "Movies" / "Heat" / "movie.nfo"
    mtime = nfo.stat().st_mtime_ns
    folder = nfo.parent.stat().st_mtime_ns
    nfo.write_bytes(b"")
    os.utime(nfo, ns=(mtime, mtime))
    assert nfo.parent.stat().st_mtime_ns == folder
    assert output.rows() == []
    other = tmp_path / "boot_id"
    other.write_text("another start of the machine\n")
    monkeypatch.setattr(boot, "_BOOT_ID", other)
    assert output.actions() == [("Heat", "updated", "empty")]
    assert output.difference() == {}


@pytest.mark.complains("^WARNING Interrupted")
def test_a_comparison_of_every_byte_that_is_cut_off_or_of_a_part_is_made_again(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nfo = output.root / "Movies" / "Ronin" / "movie.nfo"
    mtime = nfo.stat().st_mtime_ns
    nfo.write_bytes(b"")
    os.utime(nfo, ns=(mtime, mtime))
    other = tmp_path / "boot_id"
    other.write_text("another start of the machine\n")
    monkeypatch.setattr(boot, "_BOOT_ID", other)
    stop = Event()
    stop.set()
    with closing(Store(output.library.state_dir)) as store, pytest.raises(StoppedError):
        run.materialize(store, output.job(), stop=stop)
    assert output.rows(mode="series") == []
    assert output.actions() == [("Ronin", "updated", "empty")]
    assert output.rows() == []


def test_after_a_restart_runs_for_one_section_each_compare_every_byte_once(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nfos = [output.root / path for path in ("Movies/Ronin/movie.nfo", "TV/Dark/tvshow.nfo")]
    times = [nfo.stat().st_mtime_ns for nfo in nfos]

    def empty() -> None:
        for nfo, mtime in zip(nfos, times, strict=True):
            nfo.write_bytes(b"")
            os.utime(nfo, ns=(mtime, mtime))

    other = tmp_path / "boot_id"
    other.write_text("another start of the machine\n")
    monkeypatch.setattr(boot, "_BOOT_ID", other)
    empty()
    assert output.actions(mode="series") == [("Dark", "updated", "empty")]
    assert output.actions(mode="movies") == [("Ronin", "updated", "empty")]
    assert output.difference() == {}
    empty()
    assert output.rows(mode="series") == output.rows(mode="movies") == output.rows() == []


def test_a_manifest_that_finds_no_room_says_so(tmp_path: Path) -> None:
    with closing(Manifest(tmp_path / "manifest.db")) as manifest:
        manifest._run("PRAGMA max_page_count = 1")  # SQLite's own limit ends as a full disk does
        with pytest.raises(OutputError, match="Make room there"):
            manifest.put("fact", "x" * 100_000)


def test_what_is_planned_is_known_before_it_is_written(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut off after a file was written, and before that was noted, leaves a file that is ours."""
    output.library.show(catalogue(*MOVIES, plot="A second plot."))

    class CutOffError(Exception):
        pass

    def cut_off(*_: object) -> None:
        raise CutOffError

    with monkeypatch.context() as patched:
        patched.setattr("vod2strmfs.materialize.manifest.Manifest.settle", cut_off)
        with pytest.raises(CutOffError):
            output.write()
    assert b"A second plot." in (output.root / "Movies" / "Heat" / "movie.nfo").read_bytes()
    output.library.show(catalogue(*MOVIES, plot="A third plot."))
    assert {(action, reason) for _, action, reason in output.actions()} == {("updated", "content changed")}
    assert output.difference() == {}


def test_folders_that_are_added_together_keep_their_order_and_what_is_settled_is_seen_at_once(tmp_path: Path) -> None:
    names = ["Heat", "Alien", "Zodiac"]
    with closing(Manifest(tmp_path / "manifest.db")) as manifest:
        new = [Folder(0, ROOT, NodeKind.MOVIE, name, 100, 0, FolderState.NEW, 0) for name in names]
        added = manifest.add([NewFolder(folder, "", "", ()) for folder in new])
        assert [manifest.folder(folder.id).name for folder in added] == [folder.name for folder in added] == names
        manifest.settle(added[1].id, FolderState.SETTLED, 42)
        assert manifest.folder(added[1].id)[-2:] == (FolderState.SETTLED, 42)
        manifest.settle(added[1].id, FolderState.SETTLED, 43)
        manifest.reopen(added[1].id)
        manifest.settle(added[2].id, FolderState.WATCHED, 7)
        manifest.commit()
    with closing(Manifest(tmp_path / "manifest.db")) as manifest:
        found = {name: (state, seen) for _, _, _, name, state, seen in manifest.finished_mtimes()}
    assert found == {
        "Heat": (FolderState.NEW, 0), "Alien": (FolderState.CHANGED, 43), "Zodiac": (FolderState.WATCHED, 7)
    }  # fmt: skip


def test_of_a_long_series_few_seasons_are_planned_at_once(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[list[int]] = []
    add = Manifest.add

    def note(manifest: Manifest, folders: Sequence[NewFolder]) -> list[Folder]:
        planned.append([len(new.items) for new in folders])
        return add(manifest, folders)

    monkeypatch.setattr(Manifest, "add", note)
    monkeypatch.setattr(plan, "_MOST_ITEMS", 6)
    library = catalogue(*MOVIES)
    series = library.series("Lost")
    for season in range(1, 6):
        for number in range(1, 4):
            library.episode(series, season, number, f"Episode {number}")
    output.library.show(library)
    shutil.rmtree(output.root)
    output.lose_manifest()
    output.write()
    assert output.difference() == {}
    assert [numbers for numbers in planned if max(numbers) > 1] == [[3], [4, 4], [4, 4], [4]]
    assert [1] * len(MOVIES) in planned


def test_names_of_manifests_tell_roots_apart(tmp_path: Path) -> None:
    roots = [tmp_path / "a" / "STRM", tmp_path / "b" / "STRM"]
    manifests = set()
    for root in roots:
        with hold(root, tmp_path / "state") as held:
            manifests.add(held.manifest)
    assert len(manifests) == 2


def test_the_numbers_of_states_stay_for_manifests_that_were_written_before() -> None:
    assert {state.name: int(state) for state in FolderState} == {
        "NEW": 0, "CHANGED": 1, "SETTLED": 2, "WATCHED": 3, "GONE": 4,
    }  # fmt: skip
