"""Counting what is in an output root: what we wrote, what is missing, what is somebody else's."""

import os
from collections import Counter
from contextlib import closing
from pathlib import Path

from vod2strmfs.errors import OutputError
from vod2strmfs.library.kinds import LEAVES, NodeKind, Slot
from vod2strmfs.library.rendered import content_digest
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import ROOT, Folder, FolderState, Manifest, Plan, WantedFile, decode
from vod2strmfs.materialize.probe import FileSystem, known_file_system
from vod2strmfs.materialize.root import locate

METRICS = (
    "movies", "series", "seasons", "episodes", "directories", "strm_files", "nfo_files", "missing_files",
    "stale_files", "foreign_files", "unreadable_directories",
)  # fmt: skip

_FOLDERS = {NodeKind.SERIES: "series", NodeKind.SEASON: "seasons"}


def output_stats(output_root: Path, state_dir: Path) -> dict[str, int] | None:
    """How much of what is in an output root, by metric; see docs/commands.md.

    A file is ours if the manifest has its name; where somebody's files were met in places of ours, if it has our
    bytes. Links are not followed. A run may go on meanwhile.

    Returns:
        None if no run with this state directory has written the root.

    Raises:
        OutputError: it cannot be read, or is no place for an output.
    """
    root = locate(output_root, state_dir)
    if not root.manifest.exists():
        return None
    if not root.path.is_dir():
        raise OutputError(f"output root {root.path}: is not there, or no directory. Is the share mounted?")
    with closing(Manifest(root.manifest, dry_run=True)) as manifest:
        return _OutputCount(manifest, root.temporaries()).run(root.path)


class _OutputCount:
    def __init__(self, manifest: Manifest, temporaries: files.Temporaries) -> None:
        self._manifest = manifest
        self._temporaries = temporaries
        self._file_system = known_file_system(manifest, "") or FileSystem()
        self._counts: Counter[str] = Counter()
        self._rest: list[tuple[str, Plan | None]] = []
        """The directories to be counted; None for what the manifest has of one that it does not know."""

    def run(self, root: Path) -> dict[str, int]:
        self._rest.append((str(root), self._manifest.plan(ROOT)))
        while self._rest:
            path, plan = self._rest.pop()
            try:
                with os.scandir(path) as entries:
                    found = list(entries)
            except OSError:
                self._counts["unreadable_directories"] += 1
                continue
            if plan is None:
                self._count_foreign(found)
            else:
                self._count(path, plan, found)
        return {metric: self._counts[metric] for metric in METRICS}

    def _count_foreign(self, found: "list[os.DirEntry[str]]") -> None:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                self._rest.append((entry.path, None))
            else:
                self._counts["foreign_files"] += 1

    def _count(self, path: str, plan: Plan, found: "list[os.DirEntry[str]]") -> None:
        """Count a directory that the manifest knows."""
        folder, counts = plan.folder, self._counts
        is_wanted = folder.state != FolderState.GONE
        if is_wanted and folder.id != ROOT:
            counts["directories"] += 1
            if kind := _FOLDERS.get(NodeKind(folder.kind)):
                counts[kind] += 1
        key = self._file_system.key
        wanted = {key(file.name): file for item in decode(plan.items) for file in item.files}
        leftovers = {key(file.name) for item in decode(plan.leftovers) for file in item.files}
        if not is_wanted:
            leftovers |= wanted.keys()
            wanted = {}
        strms, folders = 0, set()
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                below = self._below(folder, entry.name)
                folders.add(below.folder.id if below else 0)
                self._rest.append((entry.path, below))
            elif (file := wanted.get(key(entry.name))) and self._is_ours(path, file, folder.state, entry):
                del wanted[key(entry.name)]
                counts["strm_files" if file.slot == Slot.STRM else "nfo_files"] += 1
                strms += file.slot == Slot.STRM
            elif key(entry.name) in leftovers and entry.is_file(follow_symlinks=False):
                counts["stale_files"] += 1
            elif not self._temporaries.is_one(entry.name):
                counts["foreign_files"] += 1
        counts["missing_files"] += len(wanted)
        if folder.kind == NodeKind.MOVIE:
            counts["movies"] += strms > 0
        elif folder.kind == NodeKind.SEASON:
            counts["episodes"] += strms
        if is_wanted and folder.kind not in LEAVES:
            self._count_missing(folder.id, folders)

    def _below(self, folder: Folder, name: str) -> Plan | None:
        """The folder of a name in a folder, if it is one of ours."""
        below = self._manifest.child(folder.id, name) if files.is_utf8(name) else None
        key = self._file_system.key
        return below if below and key(below.folder.name) == key(name) else None

    def _is_ours(self, path: str, file: WantedFile, state: int, entry: "os.DirEntry[str]") -> bool:
        if not entry.is_file(follow_symlinks=False):
            return False
        if state != FolderState.WATCHED:
            return True
        try:
            content = Path(path, file.name).read_bytes()
        except OSError:
            return False
        return content_digest(content) == file.digest

    def _count_missing(self, folder: int, there: set[int]) -> None:
        """Count the files of the folders in a folder that are not there."""
        for child in self._manifest.children(folder):
            if child.id not in there:
                items = decode(self._manifest.plan(child.id).items)
                self._counts["missing_files"] += sum(len(item.files) for item in items)
                self._count_missing(child.id, set())
