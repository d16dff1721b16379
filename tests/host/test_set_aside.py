"""Files that are taken for damaged, and those that are not, since only their disk did not answer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import failing_disk
import pytest
from disks import small_disk
from libraries import Library
from preloads import compiled

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.films.film import Key
from vod2strmfs.films.store import Films, Wish
from vod2strmfs.materialize.manifest import Manifest


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has reads fail."""
    return compiled(Path(failing_disk.__file__).with_suffix(".c"), tmp_path_factory.mktemp("failing"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory: hundreds of files are flushed."""
    with small_disk(tmp_path / "disk", "64M") as disk:
        yield disk


def test_what_a_disk_does_not_do_once_is_no_reason_to_begin_anew_and_leaves_no_half_index(
    folder: Path, preload: Path
) -> None:
    """Inode numbers would be others, what the brake holds would go, and films would be gone until learnt anew. SQLite
    says of a page that the disk did not give that the file is malformed."""
    made = Catalogue()
    for number in range(25):
        made.movie(f"Film {number}", description="Some plot. " * 40)
    library = Library(folder)
    library.show(made)
    before = library.tree()
    wishes = [Wish(node, Key("movie", 1, f"s{node}"), f"Film {node}", 60) for node in range(20, 150)]
    with Films(library.state_dir) as films:
        films.want(wishes, 1)
    Manifest(folder / "manifest.db").close()
    done = subprocess.run(
        [sys.executable, failing_disk.__file__, folder, library.last_url],
        env=os.environ | {"LD_PRELOAD": str(preload)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    failed = {name: int(number) for name, number in (line.split() for line in done.stdout.splitlines())}
    assert {name for name, number in failed.items() if number > 3} == {"index.db", "films.db", "manifest.db", "made"}
    assert list(folder.rglob("*unusable*")) == []
    assert library.tree() == before
    with Films(library.state_dir) as films:
        assert len(films.names()) == len(wishes)
