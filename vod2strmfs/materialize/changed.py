"""Finding the folders that are not as they were finished, by their mtimes alone.

Where nothing changed, this is nearly all that a run does: one row of the manifest and one lstat for each folder.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from vod2strmfs.library.kinds import LEAVES, NodeKind
from vod2strmfs.materialize.manifest import ROOT, Folder, FolderState, Manifest
from vod2strmfs.materialize.workers import Workers

COUNTED = frozenset({NodeKind.MOVIE, NodeKind.SERIES, NodeKind.SEASON})
"""The kinds of folder that progress counts."""

Finished = tuple[str, int]
"""A folder's path from the root, and the mtime (ns) that it had when it was finished."""

_FOLDERS_IN_TASK = 512
_FOLDERS_IN_SMALL_TASK = 32


def folders_in_task(workers: Workers) -> int:
    """Folders to compare in one task: few where an lstat takes its time and many workers wait."""
    return max(_FOLDERS_IN_TASK // workers.number, _FOLDERS_IN_SMALL_TASK)


def compare_mtimes(root: int | None, finished: Sequence[Finished]) -> dict[int, bool]:
    """Compare the mtimes of some folders, in any thread. Their files need no lstat: adding, removing or renaming one
    gives its directory another mtime.

    Args:
        root: the descriptor of the output root; None if there is none.
        finished: the folders.

    Returns:
        The places (in `finished`) of the folders that are not as they were finished; True for those that are missing.
    """
    if root is None:
        return dict.fromkeys(range(len(finished)), True)
    changed = {}
    for place, (path, finished_mtime) in enumerate(finished):
        try:
            found = os.stat(path, dir_fd=root, follow_symlinks=False)
        except OSError:
            changed[place] = True  # Whoever opens it will meet the error again, and report it.
            continue
        if found.st_mtime_ns != finished_mtime or not stat.S_ISDIR(found.st_mode):
            changed[place] = False
    return changed


class Changed(NamedTuple):
    """The folders below some sections that are to be visited, and those that are not."""

    changed: Mapping[int, Sequence[int]]
    """The ids of the folders that are not as they were finished, or hold one that is not; by the id of the folder that
    they are in."""
    matching: Sequence[str]
    """The names of the series that are as they were finished, with all that is in them."""
    counted: int
    """How many folders are as they were finished, categories aside."""


class ChangedFinder:
    """Finds the changed folders among all that the manifest has in some sections.

    Args:
        manifest: not changed here.
        root: the descriptor of the output root; None if there is none.
        workers: run `compare_mtimes`.
        tell: called now and then with the number of folders gone through.
    """

    def __init__(self, manifest: Manifest, root: int | None, workers: Workers, tell: Callable[[int], None]) -> None:
        self._manifest = manifest
        self._root = root
        self._workers = workers
        self._tell = tell
        self._paths: dict[int, str] = {ROOT: ""}
        """The paths of folders that hold folders, by id; "" if they are in none of the sections."""
        self._series: dict[int, str] = {}
        self._above: dict[int, int] = {}
        """The ids of the parents of folders that hold folders, by id."""
        self._categories: set[int] = set()
        self._changed: dict[int, int] = {}
        """The ids of the parents of folders that are not as they were finished, by id."""

    def run(self, sections: Iterable[tuple[Folder, str]]) -> Changed:
        """Compare every folder of the sections, each of which comes with its path."""
        tops = {section.id: path for section, path in sections}
        self._paths |= tops
        steps: list[tuple[int, int]] = []
        finished: list[Finished] = []
        counted, settled, limit = 0, FolderState.SETTLED, folders_in_task(self._workers)
        for folder, parent, kind, name, state, finished_mtime in self._manifest.finished_mtimes():
            above = self._paths.get(parent)
            if above is None:
                above = self._path(parent)
            if not above:
                continue
            path = f"{above}/{name}"
            if kind not in LEAVES:
                self._paths[folder] = path
                self._above[folder] = parent
                if kind == NodeKind.SERIES:
                    self._series[folder] = name
                elif kind == NodeKind.CATEGORY:
                    self._categories.add(folder)
            counted += kind in COUNTED
            if state != settled:
                self._changed[folder] = parent
                continue
            steps.append((folder, parent))
            finished.append((path, finished_mtime))
            if len(finished) >= limit:
                self._submit(steps, finished)
                steps, finished = [], []
                limit = folders_in_task(self._workers)
                self._tell(counted)
        self._submit(steps, finished)
        self._workers.drain()
        return self._result(tops.keys(), counted)

    def _path(self, folder: int) -> str:
        """The path of a folder that holds folders; "" if it is in none of the sections, or in what has gone."""
        path = self._paths.get(folder)
        if path is None:
            found = self._manifest.folder(folder)
            above = self._path(found.parent) if found.state != FolderState.GONE else ""
            path = self._paths[folder] = above and f"{above}/{found.name}"
            self._above[folder] = found.parent
        return path

    def _submit(self, steps: Sequence[tuple[int, int]], finished: Sequence[Finished]) -> None:
        def take(changed: Mapping[int, bool]) -> None:
            self._changed.update(steps[place] for place in changed)

        self._workers.submit(partial(compare_mtimes, self._root, finished), take)

    def _result(self, tops: Collection[int], counted: int) -> Changed:
        to_visit = set(self._changed)
        below: dict[int, list[int]] = {}
        for folder, parent in self._changed.items():
            below.setdefault(parent, []).append(folder)
            while parent not in tops and parent not in to_visit:
                to_visit.add(parent)
                folder, parent = parent, self._above[parent]
                below.setdefault(parent, []).append(folder)
        categories = to_visit & self._categories
        matching = [name for folder, name in self._series.items() if folder not in to_visit]
        return Changed(below, matching, counted - len(to_visit) + len(categories))
