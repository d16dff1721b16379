"""What materialize does to a tree that is not all its own."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize.job import Job, Outcome
from vod2strmfs.materialize.run import materialize


class Export:
    """A library and an output root."""

    def __init__(self, directory: Path) -> None:
        self.library = Library(directory)
        self.root = directory / "output"
        self.state = self.library.state_dir
        self.reports = directory / "reports"

    def run(self, catalogue: Catalogue | None = None, **options: Any) -> Outcome:
        """Show a catalogue to the library, if one is given, and materialize."""
        if catalogue is not None:
            self.library.show(catalogue, accept_shrink=True)
        job = Job(output_root=self.root, state_dir=self.state, report_dir=self.reports, **options)
        with closing(Store(self.state)) as store:
            return materialize(store, job)

    def rows(self, outcome: Outcome) -> list[dict[str, str]]:
        with outcome.report.open(newline="") as file:
            return list(csv.DictReader(file))

    def files(self) -> dict[str, bytes]:
        """Every file of the output root."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def wanted(self) -> dict[str, bytes]:
        return self.library.files()


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def films(*names: str, **columns: Any) -> Catalogue:
    catalogue = Catalogue()
    account = catalogue.account("Alpha")
    for number, name in enumerate(names):
        movie = catalogue.movie(name, relations=[], **columns)
        catalogue.relate(movie, account, stream_id=str(number))
    series = catalogue.series("Lost")
    for number in range(1, 6):
        catalogue.episode(series, 1, number, f"Part {number}")
    return catalogue


def test_a_first_run_writes_the_tree_and_a_second_nothing(export: Export) -> None:
    first = export.run(films("Heat", "Ran"))
    assert export.files() == export.wanted()
    assert {row["action"] for row in export.rows(first)} == {"created"}
    before = {path: path.lstat() for path in export.root.rglob("*")}
    second = export.run()
    assert {row["action"] for row in export.rows(second)} <= {"skipped"}
    for path, stat in before.items():
        assert (path.lstat().st_ino, path.lstat().st_ctime_ns) == (stat.st_ino, stat.st_ctime_ns)


def test_only_what_differs_is_written(export: Export) -> None:
    export.run(films("Heat", "Ran"))
    before = {path: path.stat().st_ino for path in export.root.rglob("*") if path.is_file()}
    outcome = export.run(films("Heat", "Ran", description="New."))
    assert export.files() == export.wanted()
    written = {path.name for path, inode in before.items() if path.stat().st_ino != inode}
    assert written == {"movie.nfo"}
    actions = Counter((row["type"], row["action"]) for row in export.rows(outcome))
    assert actions["movie_nfo", "updated"] == 2


def test_users_files_stay_whatever_happens(export: Export) -> None:
    export.run(films("Heat", "Ran", "Alien"))
    users = {
        "Movies/Heat/poster.jpg": b"poster",
        "Movies/Ran/Ran.en.srt": b"subtitles",
        "Movies/Home Video/film.mkv": b"film",
        "Movies/Home Video/film.strm": b"http://elsewhere/film\n",
        "notes.txt": b"notes",
    }
    for path, content in users.items():
        (export.root / path).parent.mkdir(exist_ok=True)
        (export.root / path).write_bytes(content)
    (export.root / "Movies/Alien/movie.nfo").write_bytes(b"<movie><title>Mine</title></movie>")
    export.run(films("Heat"), cleanup="apply")
    files = export.files()
    for path, content in users.items():
        assert files[path] == content
    assert files["Movies/Alien/movie.nfo"] == b"<movie><title>Mine</title></movie>"
    assert "Movies/Ran/Ran.strm" not in files
    assert "Movies/Alien/Alien.strm" not in files


def test_preview_lists_what_apply_deletes(export: Export) -> None:
    export.run(films("Heat", "Ran", "Alien"))
    before = export.files()
    preview = export.run(films("Heat", "Ran"), cleanup="preview")
    assert export.files() == before
    applied = export.run(cleanup="apply", accept_shrink=True)
    assert export.files() == export.wanted()
    would, did = (
        [
            (row["type"], row["title"], row["uuid"], row["reason"])
            for row in export.rows(outcome)
            if row["action"] == action
        ]
        for outcome, action in ((preview, "would_delete"), (applied, "deleted"))
    )
    assert would == did
    assert len(did) == 2


def test_off_deletes_nothing(export: Export) -> None:
    export.run(films("Heat", "Ran"))
    before = export.files()
    export.run(films("Heat"))
    assert export.files() == before


def test_the_brake_holds_a_cleanup_that_would_delete_too_much(export: Export) -> None:
    names = [f"Film {number}" for number in range(60)]
    export.run(films(*names))
    before = export.files()
    held = export.run(films(*names[:30]), cleanup="apply")
    assert held.held > 20
    assert export.files() == before
    assert {row["action"] for row in export.rows(held) if row["type"] == "cleanup"} == {"would_delete"}
    export.run(cleanup="apply", accept_shrink=True)
    assert export.files() == export.wanted()


def test_a_renamed_title_is_moved_with_what_lies_beside_it(export: Export) -> None:
    export.run(films("Heat", "Alien"))
    inode = (export.root / "Movies/Alien/Alien.strm").stat().st_ino
    (export.root / "Movies/Alien/poster.jpg").write_bytes(b"poster")
    outcome = export.run(films("Heat", "Aliens"))
    assert (export.root / "Movies/Aliens/Aliens.strm").stat().st_ino == inode
    assert (export.root / "Movies/Aliens/poster.jpg").read_bytes() == b"poster"
    assert not (export.root / "Movies/Alien").exists()
    assert "moved" in {row["action"] for row in export.rows(outcome)}


def test_an_edited_nfo_is_kept_and_reported_unless_it_is_to_be_overwritten(export: Export) -> None:
    export.run(films("Heat"))
    nfo = export.root / "Movies/Heat/movie.nfo"
    nfo.write_bytes(b"mine")
    outcome = export.run(films("Heat", description="New."))
    assert nfo.read_bytes() == b"mine"
    assert ("kept", "edited") in {(row["action"], row["reason"]) for row in export.rows(outcome)}
    export.run(overwrite=True)
    assert export.files() == export.wanted()


def test_a_lost_manifest_is_made_again_from_the_tree(export: Export) -> None:
    export.run(films("Heat", "Ran"))
    (export.root / "Movies/Heat/poster.jpg").write_bytes(b"poster")
    before = {path: path.lstat() for path in export.root.rglob("*") if path.is_file()}
    for path in export.state.iterdir():
        if not path.name.startswith(("index.db", "sync.lock")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    export.run()
    for path, stat in before.items():
        assert (path.lstat().st_ino, path.lstat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    export.run(films("Heat"), cleanup="apply", accept_shrink=True)
    assert export.files() == {**export.wanted(), "Movies/Heat/poster.jpg": b"poster"}


def test_links_are_not_followed(export: Export, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "Ran.strm").write_bytes(b"http://192.168.199.10:9191/proxy/vod/movie/x\n")
    export.run(films("Heat"))
    os.symlink(outside, export.root / "Movies/Ran")
    os.symlink(outside / "Ran.strm", export.root / "Movies/Heat/link.strm")
    outcome = export.run(films("Heat", "Ran"), cleanup="apply")
    assert (outside / "Ran.strm").read_bytes() == b"http://192.168.199.10:9191/proxy/vod/movie/x\n"
    assert os.listdir(outside) == ["Ran.strm"]
    assert outcome.errors
    assert (export.root / "Movies/Heat/link.strm").is_symlink()


@pytest.mark.parametrize("root", ["/", str(Path.home())])
def test_roots_that_cannot_be_meant_are_refused(export: Export, root: str) -> None:
    export.library.show(films("Heat"))
    export.root = Path(root)
    with pytest.raises(OutputError, match="output root"):
        export.run()


def test_two_runs_at_once_are_refused(export: Export) -> None:
    export.run(films("Heat"))
    job = Job(output_root=export.root, state_dir=export.state, report_dir=export.reports)
    with closing(Store(export.state)) as store:
        second: list[Exception] = []

        def interfere(_: object) -> None:
            if not second:
                with closing(Store(export.state)) as other, pytest.raises(OutputError) as refused:
                    materialize(other, job)
                second.append(refused.value)

        export.library.show(films("Heat", *[f"Film {number}" for number in range(300)]), accept_shrink=True)
        store.refresh()
        materialize(store, job, on_progress=interfere)
    assert second


def test_a_full_disk_is_rows_and_the_next_run_finishes(export: Export) -> None:
    export.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", export.root], check=True)
    try:
        outcome = export.run(films(*[f"Film {number}" for number in range(100)]))
        assert outcome.errors
        assert "disk full" in {row["reason"] for row in export.rows(outcome)}
        wanted = export.wanted()
        for path, content in export.files().items():
            assert wanted.get(path) == content, path
        subprocess.run(["mount", "-o", "remount,size=30m", export.root], check=True)
        assert not export.run().errors
        assert export.files() == wanted
    finally:
        subprocess.run(["umount", "-l", export.root], check=True)


def test_a_read_only_root_is_an_error(export: Export) -> None:
    export.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", export.root], check=True)
    try:
        with pytest.raises(OutputError, match="output root"):
            assert not export.run(films("Heat")).errors
    finally:
        subprocess.run(["umount", "-l", export.root], check=True)


def test_killed_at_any_moment_it_leaves_no_half_file_and_the_next_run_finishes(export: Export) -> None:
    export.library.show(films(*[f"Film {number}" for number in range(400)]))
    wanted = export.wanted()
    script = (
        "import sys; from pathlib import Path; from vod2strmfs.index.store import Store;"
        "from vod2strmfs.materialize.job import Job; from vod2strmfs.materialize.run import materialize;"
        "root, state, reports = map(Path, sys.argv[1:]); print('ready', flush=True);"
        "materialize(Store(state), Job(output_root=root, state_dir=state, report_dir=reports))"
    )
    delays = random.Random(1)
    killed = 0
    for _ in range(12):
        shutil.rmtree(export.root, ignore_errors=True)
        process = subprocess.Popen(
            [sys.executable, "-c", script, export.root, export.state, export.reports], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        for path, content in export.files().items() if export.root.exists() else ():
            if path.endswith((".strm", ".nfo")):
                assert wanted.get(path) == content, path
        export.run()
        assert export.files() == wanted
    assert killed > 3


def test_the_same_tree_as_the_library_with_its_times(export: Export) -> None:
    export.run(films("Heat", "Ran"))
    with closing(Store(export.state)) as store:
        for path, entry in Tree(store).walk():
            assert (export.root / path).lstat().st_mtime_ns == entry.mtime, path
