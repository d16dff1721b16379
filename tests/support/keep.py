"""Keeps what a build of this program made: an index and an output with its manifest, for later builds to go on with.

    git worktree add /tmp/build COMMIT
    PYTHONPATH=/tmp/build .venv/bin/python tests/support/keep.py COMMIT

writes `tests/kept/NAME-COMMIT.tar.xz` for each of `_OPTIONS`. Two generations were written, so that the index has a
change log, and the output files that the library has no more. The build is asked by commands, which stay what they are.
"""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree

KEPT = Path(__file__).parents[1] / "kept"

_OPTIONS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "full": (
        *("--media-server", "jellyfin", "--versions", "all", "--group-by", "category_tv", "--folder-ids", "jellyfin"),
        *("--years", "1960-", "--direct-urls"),
    ),
}
_LATER = """
    UPDATE vod_movie SET name = 'Another Title' WHERE id = (SELECT min(movie_id) FROM vod_m3umovierelation);
    DELETE FROM vod_m3umovierelation WHERE movie_id = (SELECT max(movie_id) FROM vod_m3umovierelation);
    DELETE FROM vod_m3uepisoderelation WHERE episode_id = (SELECT max(episode_id) FROM vod_m3uepisoderelation);
"""


class Entry(NamedTuple):
    """A directory (without content) or a file."""

    inode: int
    """The mount's; 0 for what the library has no more."""
    mtime: int
    """Nanoseconds since the epoch."""
    content: str | None


class Kept:
    """What was kept, laid out in a folder so that it can be used.

    Args:
        path: of the archive.
        folder: an empty one.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
        self.database = f"sqlite:///{folder}/dispatcharr.db"
        self.state_dir = folder / "state"
        self.manifest = folder / "manifest.db"
        """The manifest of the output. Its name in the state directory follows from where the output is."""
        kept = json.loads((folder / "kept.json").read_text())
        self.settings: dict[str, object] = kept["settings"]
        """The library's settings."""
        self.tree = {path: Entry(*entry) for path, entry in kept["tree"].items()}
        """What a mount of the index showed, by path."""
        self.output = {path: Entry(*entry) for path, entry in kept["output"].items()}
        """What was on disk, by path."""

    def write_output(self, root: Path) -> None:
        """Put back what was on disk."""
        for path, entry in sorted(self.output.items()):
            if entry.content is None:
                (root / path).mkdir(parents=True)
            else:
                (root / path).write_text(entry.content, newline="")
        for path, entry in sorted(self.output.items(), reverse=True):  # A folder's time is set after what is in it.
            os.utime(root / path, ns=(entry.mtime, entry.mtime))


def shown(store: Store) -> dict[str, Entry]:
    """What a mount of an index shows, by path."""
    tree = Tree(store)
    return {
        path: Entry(entry.inode, entry.mtime, None if entry.is_dir else tree.read(entry.inode).decode())
        for path, entry in tree.walk()
    }


def _run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "vod2strmfs", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def _on_disk(root: Path) -> dict[str, Entry]:
    return {
        str(path.relative_to(root)): Entry(0, path.stat().st_mtime_ns, None if path.is_dir() else path.read_text())
        for path in root.rglob("*")
    }


def _keep(name: str, options: tuple[str, ...], commit: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database, state, output = (Path(folder, part) for part in ("dispatcharr.db", "state", "output"))
        url = f"sqlite:///{database}"
        given: tuple[str | Path, ...] = (
            "--database",
            url,
            "--state-dir",
            state,
            "--base-url",
            "http://dispatcharr:9191",
            *options,
        )
        _run("demo", database, "--movies", "24", "--series", "5", "--episodes", "30")
        _run("materialize", output, *given)
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(_LATER)
        _run("materialize", output, *given)
        [manifest] = state.glob("output-*.db")
        with closing(Store(state)) as store:
            kept = {"settings": store.settings.model_dump(), "tree": shown(store), "output": _on_disk(output)}
        with tarfile.open(KEPT / f"{name}-{commit}.tar.xz", "w:xz") as archive:
            for path, target in ((database, ""), (state / "index.db", "state/"), (manifest, "")):
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                _add(archive, f"{target}{'manifest.db' if path == manifest else path.name}", path.read_bytes())
            _add(archive, "kept.json", json.dumps(kept, indent=0).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir()
    for each, chosen in _OPTIONS.items():
        _keep(each, chosen, sys.argv[1])
