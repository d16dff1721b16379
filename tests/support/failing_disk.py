"""Opens and examines files of a folder, in a process that `failing_disk.c` is preloaded into: of each, every single
read fails once. Says how many reads that were of each file."""

import ctypes
import gc
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from vod2strmfs.catalog.open import open_source
from vod2strmfs.errors import UserError
from vod2strmfs.films.store import Films
from vod2strmfs.materialize.manifest import Manifest
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync


def _fail_each(path: Path, work: Callable[[], None]) -> int:
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    number = 0
    while True:
        library.fail_read(os.fsencode(path), ctypes.c_long(number + 1))
        with suppress(UserError, sqlite3.Error):
            work()
        gc.collect()  # What could not be opened is closed, so that each work begins alike.
        if library.reads_left():
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


def main() -> None:
    """Open the files."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    state_dir, manifest = folder / "state", folder / "manifest.db"
    print("index.db", _fail_each(state_dir / "index.db", lambda: _sync(url, state_dir)))
    print("films.db", _fail_each(state_dir / "films/films.db", lambda: _open_films(state_dir)))
    print("manifest.db", _fail_each(manifest, lambda: _open_manifest(manifest)))


if __name__ == "__main__":
    main()
