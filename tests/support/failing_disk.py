"""Opens and examines files of a folder, in a process that `failing_disk.c` is preloaded into: of each, every single
read fails once. Then makes indexes, of which every single call fails once. Says how many calls that were."""

import ctypes
import gc
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from vod2strmfs.catalog.open import open_source
from vod2strmfs.errors import UserError
from vod2strmfs.films.store import Films
from vod2strmfs.index.file import LOCK_NAME, create, is_whole, writing
from vod2strmfs.materialize.manifest import Manifest
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync


def _fail_each(path: Path, work: Callable[[], None], check: Callable[[], None], what: str = "fail_read") -> int:
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    number = 0
    while True:
        library[what](os.fsencode(path), ctypes.c_long(number + 1))
        with suppress(UserError, sqlite3.Error):
            work()
        gc.collect()  # What could not be opened is closed, so that each work begins alike.
        has_failed = not library.calls_left()
        library.fail_read(b"", ctypes.c_long(0))
        check()
        if not has_failed:
            return number
        number += 1


def _sync(url: str, state_dir: Path) -> None:
    with closing(open_source(url)) as source:
        sync(source, LibrarySettings(), state_dir, thorough=True)


def _open_films(state_dir: Path) -> None:
    with Films(state_dir) as films:
        films.note(clock=0)
        films.path.with_name(f"{films.path.name}-wal").unlink()
        films.mend()


def _open_manifest(path: Path) -> None:
    with closing(Manifest(path)) as manifest:
        manifest.check()


def _make_index(state_dir: Path) -> None:
    shutil.rmtree(state_dir, ignore_errors=True)
    with writing(state_dir):
        create(state_dir)


def _check_made(state_dir: Path) -> None:
    assert is_whole(state_dir) or [each.name for each in state_dir.iterdir()] == [LOCK_NAME]


def main() -> None:
    """Open the files, and make the indexes."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    gc.freeze()  # What was loaded need not be gone through each time.
    state_dir, manifest, made = folder / "state", folder / "manifest.db", folder / "made"

    def check() -> None:
        assert not list(folder.rglob("*unusable*"))

    print("index.db", _fail_each(state_dir / "index.db", lambda: _sync(url, state_dir), check))
    print("films.db", _fail_each(state_dir / "films/films.db", lambda: _open_films(state_dir), check))
    print("manifest.db", _fail_each(manifest, lambda: _open_manifest(manifest), check))
    print("made", _fail_each(made / "index.db", lambda: _make_index(made), lambda: _check_made(made), "fail_call"))


if __name__ == "__main__":
    main()
