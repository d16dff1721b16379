"""An output root under test: a library goes in, files and a report come out."""

import csv
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from libraries import Library

from vod2strmfs.index.store import Store
from vod2strmfs.materialize.job import Job, RunResult
from vod2strmfs.materialize.run import materialize
from vod2strmfs.reports.rows import Action, Reason, Type
from vod2strmfs.settings import Mode, Settings


class Found(NamedTuple):
    """Something on disk. It was written, made or given a time if inode or change time differ."""

    inode: int
    changed: int
    mtime: int
    content: bytes | None
    """None for a directory."""


class Output:
    """What one library is written to.

    Args:
        library: where the tree comes from.
        root: the output root, which need not exist.
    """

    def __init__(self, library: Library, root: Path) -> None:
        self.library = library
        self.root = root
        self.reports = library.state_dir.parent / "reports"

    def job(self, mode: Mode = "all", *, dry_run: bool = False, accept_shrink: bool = False, **settings: Any) -> Job:
        """A job for it."""
        places = {"output_root": self.root, "state_dir": self.library.state_dir, "report_dir": self.reports}
        return Job(Settings(**places | settings), mode, dry_run, accept_shrink)

    def write(self, **fields: Any) -> RunResult:
        """Materialize."""
        with closing(Store(self.library.state_dir)) as store:
            return materialize(store, self.job(**fields))

    def rows(self, **fields: Any) -> list[tuple[str, ...]]:
        """Materialize; the rows of the report, sorted, those about series that match left out."""
        return [row for row in report_rows(self.write(**fields).report) if "matches" not in row]

    def actions(self, **fields: Any) -> list[tuple[str, str, str]]:
        """Materialize; title (of a series or season: its name), action and reason of each row, sorted."""
        rows = self.rows(**fields)
        return sorted(
            (title or season or series, action, reason) for _, series, season, title, _, action, reason in rows
        )

    def difference(self) -> dict[str, tuple[object, object]]:
        """What is wanted and what is there, by path, where they differ."""
        contents = self.library.files()
        wanted = {path: (entry.mtime, contents.get(path)) for path, entry in self.library.tree().items()}
        there = {path: (found.mtime, found.content) for path, found in snapshot(self.root).items()}
        return {
            path: (wanted.get(path), there.get(path))
            for path in wanted.keys() | there.keys()
            if wanted.get(path) != there.get(path)
        }

    def lose_manifest(self) -> None:
        """Delete the manifest."""
        for path in self.library.state_dir.glob("output-*"):
            path.unlink()


def report_rows(report: Path) -> list[tuple[str, ...]]:
    """The rows of a report, sorted."""
    with report.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["type", "series_name", "season", "title", "uuid", "action", "reason"]
    for kind, *_, action, reason in rows:
        assert kind in set(Type)
        assert action in set(Action)
        assert reason.partition(": ")[0] in set(Reason)
    return sorted(map(tuple, rows))


def snapshot(root: Path) -> dict[str, Found]:
    """Everything below a folder, by its path."""
    found = {}
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(directory, name)
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            found[str(path.relative_to(root))] = Found(status.st_ino, status.st_ctime_ns, status.st_mtime_ns, content)
    return found
