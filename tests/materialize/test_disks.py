"""Disks that lose their power, or fail, while this machine goes on; and what is on them that is not ours."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from disks import Disk
from libraries import Library
from outputs import Output

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.materialize import run, workers
from vod2strmfs.materialize.boot import Boots
from vod2strmfs.materialize.root import locate
from vod2strmfs.materialize.workers import StoppedError


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Sixty films and a series, not written yet."""
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue())
    return output


def catalogue(number: int = 60, plot: str = "A plot.") -> Catalogue:
    made = Catalogue()
    for film in range(number):
        made.movie(f"Film {film}", description=plot)
    dark = made.series("Dark")
    made.episode(dark, 1, 1, "")
    return made


def is_whole(output: Output) -> bool:
    """Whether every file of the library is there with its bytes."""
    there = {path: output.root / path for path in output.library.files()}
    return {path: at.read_bytes() if at.exists() else None for path, at in there.items()} == output.library.files()


def test_what_was_written_outlives_a_disk_that_loses_its_power(output: Output, tmp_path: Path) -> None:
    with Disk(tmp_path / "disk", output.root, "ext4") as disk:
        assert output.write().errors == 0
        disk.lose_power()
        assert is_whole(output)
        assert output.rows() == []
        output.library.show(catalogue(plot="Another plot."))
        assert output.write().errors == 0
        disk.lose_power()
        assert output.rows() == []
        assert is_whole(output)


@pytest.mark.parametrize("mode", ["movies", "series"])
def test_a_part_that_was_written_outlives_it_too(output: Output, tmp_path: Path, mode: str) -> None:
    with Disk(tmp_path / "disk", output.root, "ext4") as disk:
        output.write(mode=mode)
        disk.lose_power()
        output.write()
        assert is_whole(output)
        disk.lose_power()
        assert is_whole(output)


@pytest.mark.parametrize("after", [1, 20, 40])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_disk_that_fails_in_the_middle_of_a_run_is_rows_and_all_is_compared_when_it_is_back(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, is_there: bool
) -> None:
    with Disk(tmp_path / "disk", output.root, "ext4") as disk:
        if is_there:
            output.write()
            output.library.show(catalogue(plot="Another plot."))
        failing(monkeypatch, after, disk.shut_down)
        assert output.write().errors > 0
        monkeypatch.undo()
        disk.lose_power()
        assert output.write().errors == 0
        assert is_whole(output)
        assert output.rows() == []


def cut_off(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is told to end when it has written some files."""
    stop = Event()
    failing(monkeypatch, 40, stop.set)
    with closing(Store(output.library.state_dir)) as store, pytest.raises(StoppedError):
        run.materialize(store, output.job(), stop=stop)
    monkeypatch.undo()


@pytest.mark.complains("Interrupted")
def test_what_a_run_that_was_cut_off_wrote_is_compared_when_the_disk_was_mounted_again(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Disk(tmp_path / "disk", output.root, "ext4") as disk:
        cut_off(output, monkeypatch)
        assert not is_whole(output)
        disk.lose_power()
        assert output.write().errors == 0
        assert is_whole(output)
        assert output.rows() == []


@pytest.mark.complains("Interrupted")
def test_what_a_run_that_was_cut_off_wrote_is_flushed_by_the_next(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Disk(tmp_path / "disk", output.root, "ext4") as disk:
        cut_off(output, monkeypatch)
        output.write()
        disk.lose_power()
        assert is_whole(output)


def test_a_run_that_writes_nothing_flushes_nothing(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.write()
    flushed: list[int] = []
    monkeypatch.setattr("vod2strmfs.materialize.boot._syncfs", flushed.append)
    output.write()
    output.write(dry_run=True)
    output.library.show(catalogue(plot="Another plot."))
    output.write(dry_run=True)
    assert flushed == []
    output.write()
    assert len(flushed) == 1


def test_a_disk_that_cannot_be_flushed_is_a_row_and_all_is_compared_when_it_is_back(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run can go on in memory when the disk is gone already."""
    with Disk(tmp_path / "disk", output.root, "ext4") as disk:
        output.write()
        output.library.show(catalogue(plot="Another plot."))
        flush = Boots.flush

        def shut_down_and_flush(boots: Boots, root: int, written: int) -> OSError | None:
            disk.shut_down()
            return flush(boots, root, written)

        monkeypatch.setattr(Boots, "flush", shut_down_and_flush)
        assert ("output", "failed", "input/output error") in output.actions()
        monkeypatch.undo()
        disk.lose_power()
        output.write()
        assert is_whole(output)


def failing(monkeypatch: pytest.MonkeyPatch, after: int, fail: Callable[[], None]) -> None:
    """Have something happen when so many files are written."""
    left = [after]
    wait = workers.Throttle.wait

    def counting(throttle: workers.Throttle) -> None:
        wait(throttle)
        left[0] -= 1
        if left[0] == 0:
            fail()

    monkeypatch.setattr(workers.Throttle, "wait", counting)


NAMES = [".vod2strmfs-abc123.tmp", ".vod2strmfs-7f1c2a3b4d40.tmp", ".vod2strmfs-0123456789ab-1f.tmp"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
@pytest.mark.parametrize("lost", [False, True])
def test_what_is_called_nearly_as_our_temporary_files_is_the_users(
    output: Output, name: str, kind: str, lost: bool
) -> None:
    output.write()
    folders = [output.root, output.root / "Movies", output.root / "Movies/Film 1", output.root / "TV/Dark/Season 01"]
    theirs = [folder / name for folder in folders]
    for path in theirs:
        if kind == "file":
            path.write_text("theirs")
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("elsewhere")
    if lost:
        output.lose_manifest()
    output.library.show(catalogue(plot="Another plot."))
    assert output.write(cleanup="apply").errors == 0
    assert output.write(cleanup="apply", verify=True).errors == 0
    assert is_whole(output)
    assert all(os.path.lexists(path) for path in theirs)
    output.library.show(catalogue(1), accept_shrink=True)
    assert output.write(cleanup="apply", accept_shrink=True).errors == 0
    assert all(os.path.lexists(path) for path in theirs)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_very_name_of_a_temporary_file_does_not_stop_a_title(output: Output, kind: str) -> None:
    output.write()
    film = output.root / "Movies" / "Film 1"
    temporaries = locate(output.root, output.library.state_dir).temporaries()
    descriptor = os.open(film, os.O_RDONLY)
    for _ in range(8):
        made, name = temporaries.create(descriptor)
        os.close(made)
        if kind == "folder":
            os.unlink(film / name)
            os.mkdir(film / name)
    os.close(descriptor)
    output.library.show(catalogue(plot="Another plot."))
    assert output.write().errors == 0
    assert is_whole(output)
    assert len(os.listdir(film)) == (2 if kind == "file" else 10)  # what a killed run left goes
