"""One tree, however it is served: the pure tree, a mount, and real files."""

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest
from libraries import Library
from mounts import command, mounted

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.library.names import fold


class Found(NamedTuple):
    """A directory (without content) or a file."""

    mtime: int
    content: bytes | None


View = dict[str, Found]


def of_tree(directory: Path, url: str) -> View:
    library = Library(directory)
    library.sync(url)
    files = library.files()
    return {path: Found(entry.mtime, files.get(path)) for path, entry in library.tree().items()}


def of_mount(directory: Path, url: str) -> View:
    with mounted(directory, url) as mount:
        return on_disk(mount.path)


def of_real_files(directory: Path, url: str) -> View:
    output = directory / "output"
    arguments = ("materialize", output, "--database", url, "--state-dir", directory / "state")
    subprocess.run(command(*arguments), check=True, capture_output=True)
    return on_disk(output)


def on_disk(root: Path) -> View:
    found: View = {}
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(directory, name)
            content = path.read_bytes() if name in files else None
            found[str(path.relative_to(root))] = Found(path.lstat().st_mtime_ns, content)
    found.pop(".stats.csv", None)
    return found


SERVED = {"tree": of_tree, "mount": of_mount, "real files": of_real_files}


@pytest.fixture(scope="module", params=SERVED)
def views(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[View, View]:
    """The pure tree, and the same library as it is served."""
    folder = tmp_path_factory.mktemp("one-tree")
    url = f"sqlite:///{folder}/dispatcharr.db"
    write_demo(url, movies=150, series=10, episodes=200, seed=11)
    (folder / "tree").mkdir()
    (folder / "served").mkdir()
    return of_tree(folder / "tree", url), SERVED[request.param](folder / "served", url)


def test_the_same_names_times_and_bytes(views: tuple[View, View]) -> None:
    tree, served = views
    assert served == tree


def test_every_strm_holds_one_url(views: tuple[View, View]) -> None:
    strms = [found.content for path, found in views[1].items() if path.endswith(".strm")]
    assert len(strms) > 300
    for content in strms:
        assert content is not None
        assert content.startswith(b"http://192.168.199.10:9191/proxy/vod/")
        assert content.count(b"\n") == 1


def test_every_nfo_is_the_xml_that_its_name_says(views: tuple[View, View]) -> None:
    roots = {"movie.nfo": "movie", "tvshow.nfo": "tvshow", "season.nfo": "season"}
    for path, found in views[1].items():
        if path.endswith(".nfo"):
            assert found.content is not None
            assert ET.fromstring(found.content).tag == roots.get(path.rpartition("/")[2], "episodedetails")


def test_every_folder_holds_what_a_server_looks_for(views: tuple[View, View]) -> None:
    served = views[1]
    below: dict[str, set[str]] = {}
    for path in served:
        directory, _, name = path.rpartition("/")
        below.setdefault(directory, set()).add(name)
    assert below[""] == {"Movies", "TV"}
    for movie in below["Movies"]:
        assert below[f"Movies/{movie}"] == {f"{movie}.strm", "movie.nfo"}
    for series in below["TV"]:
        assert "tvshow.nfo" in below[f"TV/{series}"]
        for season in below[f"TV/{series}"] - {"tvshow.nfo"}:
            names = below[f"TV/{series}/{season}"]
            assert "season.nfo" in names
            for name in names:
                if name.endswith(".strm"):
                    assert name.removesuffix(".strm") + ".nfo" in names


def test_no_two_names_of_a_folder_fold_together(views: tuple[View, View]) -> None:
    folded = [fold(path) for path in views[1]]
    assert len(set(folded)) == len(folded)
