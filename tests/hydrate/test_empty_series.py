"""Series without episodes: hidden, or shown as folders that wait for them."""

import subprocess
from pathlib import Path

import pytest
from libraries import Library
from mounts import command

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError
from vod2strmfs.settings import LibrarySettings

SHOW = LibrarySettings(empty_series="show")


def unopened(*, opened: bool = False, without: str = "") -> Catalogue:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    for name in ("Lost", "Dark"):
        series = catalogue.series(name, year=2004)
        if opened and name != without:
            catalogue.episode(series, 1, 1, "Pilot")
    return catalogue


def test_they_are_hidden_by_default(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.show(unopened())
    assert not [path for path in library.paths() if "Lost" in path]
    assert library.metrics()["index.series_without_episodes"] == "2"


def test_shown_they_have_a_folder_with_an_nfo_which_stays_the_same_when_episodes_come(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.show(unopened(), SHOW)
    before = library.tree()
    assert [path for path in before if "Lost" in path] == ["TV/Lost (2004)", "TV/Lost (2004)/tvshow.nfo"]
    assert library.metrics()["index.series_without_episodes"] == "2"
    assert library.metrics()["index.series"] == "2"
    library.show(unopened(opened=True), SHOW)
    after = library.tree()
    assert any(path.endswith(".strm") and "Lost" in path for path in after)
    assert after["TV/Lost (2004)"].inode == before["TV/Lost (2004)"].inode
    assert library.metrics()["index.series_without_episodes"] == "0"


def test_the_setting_can_be_changed_there_and_back(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.show(unopened())
    hidden = library.paths()
    library.show(unopened(), SHOW)
    shown = library.tree()
    assert "TV/Lost (2004)/tvshow.nfo" in shown
    library.show(unopened())
    assert library.paths() == hidden
    library.show(unopened(), SHOW)
    assert library.tree()["TV/Lost (2004)"].inode == shown["TV/Lost (2004)"].inode


def test_one_that_leaves_the_catalogue_goes(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.show(unopened(), SHOW)
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    catalogue.series("Lost", year=2004)
    library.show(catalogue, SHOW)
    assert "TV/Lost (2004)" in library.paths()
    assert "TV/Dark (2004)" not in library.paths()


def test_a_catalogue_of_nothing_else_is_a_library_only_if_they_are_shown(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.series("Lost", year=2004)
    library = Library(tmp_path)
    with pytest.raises(CatalogError, match="no movie and no episode"):
        library.show(catalogue)
    library.show(catalogue, SHOW)
    assert "TV/Lost (2004)/tvshow.nfo" in library.paths()
    with pytest.raises(CatalogError):
        library.show(Catalogue(), SHOW)
    assert "TV/Lost (2004)/tvshow.nfo" in library.paths()


def test_materialize_writes_the_same_tree_and_fills_it_when_episodes_come(tmp_path: Path) -> None:
    library = Library(tmp_path / "state of the tree")
    (tmp_path / "state of the tree").mkdir()
    output = tmp_path / "output"
    for opened in (False, True):
        library.show(unopened(opened=opened), SHOW)
        options = ("--database", library.last_url, "--state-dir", tmp_path / "state", "--empty-series", "show")
        subprocess.run(command("materialize", output, *options), check=True, capture_output=True)
        written = {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
        shown = {path: content for path, content in library.files().items() if path != ".stats.csv"}
        assert written == shown
        assert "TV/Lost (2004)/tvshow.nfo" in written
