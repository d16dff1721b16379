"""Counting what is in an output root: what we wrote, what is missing, what is somebody else's."""

import os
from collections import Counter
from collections.abc import Iterable, Set
from contextlib import closing
from pathlib import Path

from vod2strmfs.errors import OutputError
from vod2strmfs.library.kinds import LEAVES, PICTURES, NodeKind, Slot
from vod2strmfs.library.rendered import content_digest
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import ROOT, Folder, FolderState, Manifest, Plan, WantedFile, decode
from vod2strmfs.materialize.probe import FileSystem, known_file_system
from vod2strmfs.materialize.root import locate

METRICS = (
    "movies", "series", "seasons", "episodes", "directories", "strm_files", "nfo_files", "image_files",
    "missing_files", "stale_files", "foreign_files", "unreadable_directories",
)  # fmt: skip

_FOLDERS = {NodeKind.SERIES: "series", NodeKind.SEASON: "seasons"}
"""The metrics that count folders of a kind."""


def output_stats(output_root: Path, state_dir: Path) -> dict[str, int] | None:
    """How much of what is in an output root, by metric; see docs/commands.md.

    A file is ours if the manifest has its name; where somebody's files were met in places of ours, if it has our
    bytes. Links are not followed. A run may go on meanwhile.

    Returns:
        None if no run with this state directory has written the root.

    Raises:
        OutputError: the root cannot be read, or is no place for an output.
    """
    root = locate(output_root, state_dir)
    if not root.manifest.exists():
        return None
    if not os.path.isdir(root.path):
        raise OutputError(f"output root {root.path}: is not there, or no directory. Is the share mounted?")
    with closing(Manifest(root.manifest, dry_run=True)) as manifest:
        return _OutputCount(manifest, root.temporaries()).run(root.path)


class _OutputCount:
    """The count of one output root, directory by directory.

    Args:
        manifest: knows what we wrote; not changed here.
        temporaries: the root's, which are not counted.
    """

    def __init__(self, manifest: Manifest, temporaries: files.Temporaries) -> None:
        self._manifest = manifest
        self._temporaries = temporaries
        self._file_system = known_file_system(manifest, "") or FileSystem()
        self._counts: Counter[str] = Counter()
        self._rest: list[tuple[str, Plan | None]] = []
        """The directories that are still to be counted, and what the manifest has of each; None for one that it does
        not know."""

    def run(self, root: Path) -> dict[str, int]:
        self._rest.append((str(root), self._manifest.plan(ROOT)))
        while self._rest:
            path, plan = self._rest.pop()
            try:
                with os.scandir(path) as entries:
                    found = list(entries)
            except OSError as error:
                if path == str(root):
                    raise OutputError(
                        f"output root {root}: cannot be read ({error.strerror}). Is the share mounted?"
                    ) from error
                self._counts["unreadable_directories"] += 1
                continue
            self._count(path, plan, found)
        return {metric: self._counts[metric] for metric in METRICS}

    def _count(self, path: str, plan: Plan | None, found: "list[os.DirEntry[str]]") -> None:
        """Count a directory: first what is ours, then what is left of ours, then what is missing."""
        directories = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
        others = [entry for entry in found if not entry.is_dir(follow_symlinks=False)]
        if plan is None:
            self._rest += [(entry.path, None) for entry in directories]
            self._counts["foreign_files"] += len(others)
            return
        folders = self._count_folder(plan.folder, directories)
        others, missing = self._count_ours(path, plan, others)
        self._count_leftovers(plan, others)
        self._counts["missing_files"] += missing
        if plan.folder.state != FolderState.GONE and plan.folder.kind not in LEAVES:
            self._count_missing(plan.folder.id, folders)

    def _count_folder(self, folder: Folder, directories: "Iterable[os.DirEntry[str]]") -> Set[int]:
        """Count a folder itself, and have those in it counted; returns the ids of those that are ours."""
        if folder.state != FolderState.GONE and folder.id != ROOT:
            self._counts["directories"] += 1
            if metric := _FOLDERS.get(NodeKind(folder.kind)):
                self._counts[metric] += 1
        below = [(entry.path, self._below(folder, entry.name)) for entry in directories]
        self._rest += below
        return {plan.folder.id for _, plan in below if plan is not None}

    def _count_ours(
        self, path: str, plan: Plan, found: "Iterable[os.DirEntry[str]]"
    ) -> "tuple[list[os.DirEntry[str]], int]":
        """Count the files that are wanted and there; returns what else is there, and how many are not."""
        folder, key = plan.folder, self._file_system.key
        wanted = {key(file.name): file for file in _files(plan.items)} if folder.state != FolderState.GONE else {}
        others, strms = [], 0
        for entry in found:
            file = wanted.get(key(entry.name))
            if file is None or not self._is_ours(path, file, folder.state, entry):
                others.append(entry)
                continue
            del wanted[key(entry.name)]
            strms += file.slot == Slot.STRM
            self._counts[_metric(file.slot)] += 1
        if folder.kind == NodeKind.MOVIE:
            self._counts["movies"] += strms > 0
        elif folder.kind == NodeKind.SEASON:
            self._counts["episodes"] += strms
        return others, len(wanted)

    def _count_leftovers(self, plan: Plan, others: "Iterable[os.DirEntry[str]]") -> None:
        """Count the files that are not wanted: those that we wrote once, and somebody else's."""
        key = self._file_system.key
        stale = {key(file.name) for file in _files(plan.leftovers)}
        if plan.folder.state == FolderState.GONE:
            stale |= {key(file.name) for file in _files(plan.items)}
        for entry in others:
            if key(entry.name) in stale and entry.is_file(follow_symlinks=False):
                self._counts["stale_files"] += 1
            elif not self._temporaries.is_one(entry.name):
                self._counts["foreign_files"] += 1

    def _count_missing(self, folder: int, there: Set[int]) -> None:
        """Count the files of the folders in a folder that are not there."""
        for child in self._manifest.children(folder):
            if child.id not in there:
                self._counts["missing_files"] += len(_files(self._manifest.plan(child.id).items))
                self._count_missing(child.id, set())

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
            # A user's file may be larger than memory.
            if entry.stat(follow_symlinks=False).st_size != file.size:
                return False
            content = Path(path, file.name).read_bytes()
        except OSError:
            return False
        return content_digest(content) == file.digest


def _metric(slot: int) -> str:
    """The metric that counts files of a slot."""
    if slot >= PICTURES:
        return "image_files"
    return "strm_files" if slot == Slot.STRM else "nfo_files"


def _files(items: bytes) -> list[WantedFile]:
    """The files of all items, as the manifest has them."""
    return [file for item in decode(items) for file in item.files]
