"""Files that are taken for damaged, and those that are not, since only their disk did not answer."""

import os
import subprocess
import sys
from pathlib import Path

import failing_disk
import pytest
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.films.film import Key
from vod2strmfs.films.store import Films, Wish
from vod2strmfs.materialize.manifest import Manifest


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has reads fail."""
    library = tmp_path_factory.mktemp("failing") / "failing_disk.so"
    source = Path(failing_disk.__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def test_what_a_disk_does_not_give_once_is_no_reason_to_begin_anew(tmp_path: Path, preload: Path) -> None:
    """Inode numbers would be others, what the brake holds would go, and films would be gone until learnt anew. SQLite
    says of a page that the disk did not give that the file is malformed."""
    made = Catalogue()
    for number in range(40):
        made.movie(f"Film {number}", description="Some plot. " * 40)
    library = Library(tmp_path)
    library.show(made)
    before = library.tree()
    wishes = [Wish(node, Key("movie", 1, f"s{node}"), f"Film {node}", 60) for node in range(20, 300)]
    with Films(library.state_dir) as films:
        films.want(wishes, 1)
    Manifest(tmp_path / "manifest.db").close()
    done = subprocess.run(
        [sys.executable, failing_disk.__file__, tmp_path, library.last_url],
        env=os.environ | {"LD_PRELOAD": str(preload)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    failed = {name: int(number) for name, number in (line.split() for line in done.stdout.splitlines())}
    assert {name for name, number in failed.items() if number > 3} == {"index.db", "films.db", "manifest.db"}
    assert list(tmp_path.rglob("*unusable*")) == []
    assert library.tree() == before
    with Films(library.state_dir) as films:
        assert len(films.names()) == len(wishes)
