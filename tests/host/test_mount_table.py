"""The mount table, as real mounts stand in it."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vod2strmfs.host.mount_table import mount_of, mounted_at
from vod2strmfs.materialize.root import locate


@contextmanager
def mounted(place: Path, kind: str = "tmpfs", source: str = "nothing") -> Iterator[None]:
    """A file system in memory, at a directory that is made if need be."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, source, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("name", ["Film room", "a\\040b", "tab\there", "line\nend", "back\\slash"])
def test_a_mount_is_found_whatever_its_path_holds(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    with mounted(place):
        (place / "Movies").mkdir()
        at, above = mounted_at(place), mount_of(place / "Movies" / "not there yet")
        assert at is not None
        assert above is not None
        assert at.path == above.path == str(place)
        assert locate(place / "Movies", tmp_path / "state").mount_point == str(place)


def test_a_path_is_on_the_mount_that_hides_the_others(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with ExitStack() as mounts:
        mounts.enter_context(mounted(place))
        mounts.enter_context(mounted(place, kind="ramfs"))
        at, above = mounted_at(place), mount_of(place / "file")
        assert at is not None
        assert above is not None
        assert at.kind == above.kind == "ramfs"


def test_a_name_that_begins_like_a_mount_point_is_not_on_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "films"):
        on = mount_of(tmp_path / "films, all of them")
        assert on is not None
        assert on.path != str(tmp_path / "films")


def test_a_link_is_followed_to_the_mount_that_it_leads_to(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "place")
    with mounted(tmp_path / "place"):
        on = mount_of(link / "file")
        assert on is not None
        assert on.path == str(tmp_path / "place")
