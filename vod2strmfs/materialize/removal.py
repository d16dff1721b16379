"""Taking files of ours out of a folder, and the folder if nothing is left in it. Anything else stays."""

import errno
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.library.names import fold
from vod2strmfs.library.rendered import content_digest
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import File, Folder, State
from vod2strmfs.reports.rows import Action, Reason, Row, Type, reason_of

_log = logging.getLogger("vod2strmfs")


class Doomed(NamedTuple):
    """A file that is to go."""

    file: File
    uuid: str
    reason: Reason


class Stale(NamedTuple):
    """A folder with files that are to go; a State.GONE one goes itself."""

    folder: Folder
    way: tuple[str, ...]
    """Its name after those of the folders that it is in, from the root."""
    series_name: str
    season: str
    files: Sequence[Doomed]
    wanted: frozenset[str] = frozenset()
    """Names of files that stay."""


@dataclass
class Removed:
    """What was done to a folder."""

    stale: Stale
    rows: list[Row] = field(default_factory=list)
    failed: bool = False
    seen: int = 0
    """The directory's mtime as it was left."""
    whole: bool = True
    """Whether what is wanted is still there."""


def remove(stale: Stale, root: int, temporaries: files.Temporaries, *, apply: bool) -> Removed:
    """Remove what is stale in a folder, in any thread, or say what would be removed.

    Args:
        stale: the folder.
        root: the descriptor of the output root.
        temporaries: the root's.
        apply: whether anything is removed.
    """
    removal = _Removal(stale, temporaries, apply)
    removal.run(root)
    return removal.removed


class _Removal:
    """See `remove`."""

    def __init__(self, stale: Stale, temporaries: files.Temporaries, apply: bool) -> None:
        self.removed = Removed(stale)
        self._stale = stale
        self._temporaries = temporaries
        self._apply = apply

    def run(self, root: int) -> None:
        *above, name = self._stale.way
        try:
            with files.opened(root, above) as parent:
                self._empty(parent, name)
                if self._apply and self._stale.folder.state == State.GONE:
                    _remove_directory(parent, name)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in files.NO_DIRECTORY:
                self._say(Type.CLEANUP, name, "", Action.KEPT, Reason.NOT_OURS)
            else:
                self._fail(name, "", error)

    def _empty(self, parent: int, name: str) -> None:
        """Remove the files."""
        folder = self._stale.folder
        with files.opened(parent, [name]) as directory:
            staying = _Staying(directory, self._stale.wanted)
            for doomed in self._stale.files:
                try:
                    if not staying.has(doomed.file.name):
                        self._remove(directory, doomed)
                except OSError as error:
                    self._fail(self._title(doomed.file.name), doomed.uuid, error)
            if folder.state == State.GONE:
                self._report_others(directory)
            if self._apply and folder.state != State.GONE:
                files.set_directory_time(directory, folder.mtime)
            elif self._apply:
                self._temporaries.tidy(directory)  # without what a killed run left, it may be empty
            self.removed.seen = os.fstat(directory).st_mtime_ns
            self.removed.whole = staying.is_whole()

    def _report_others(self, directory: int) -> None:
        """Say which NFOs stay in a folder that is no longer wanted: they may be ours, of which nothing is known."""
        doomed = {fold(doomed.file.name) for doomed in self._stale.files}
        for name in sorted(os.listdir(directory)):
            if name.endswith(".nfo") and fold(name) not in doomed:
                self._say(Type.CLEANUP, self._title(name), "", Action.KEPT, Reason.NOT_OURS)

    def _title(self, name: str) -> str:
        """What the row about a file is called, so that it can be told which title's it is: of one that has not the name
        of its movie, with the folder."""
        folder = self._stale.folder
        tells = folder.kind != NodeKind.MOVIE or name.startswith(folder.name)
        return name if tells else f"{folder.name}/{name}"

    def _remove(self, directory: int, doomed: Doomed) -> None:
        file = doomed.file
        found = files.look(directory, file.name)
        if found is None:
            return
        ours = {file.digest, *file.earlier}
        if not files.is_file(found) or content_digest(files.read(directory, file.name)) not in ours:
            self._say(Type.CLEANUP, self._title(file.name), doomed.uuid, Action.KEPT, Reason.NOT_OURS)
            return
        if self._apply:
            os.unlink(file.name, dir_fd=directory)
        self._say(Type.CLEANUP, self._title(file.name), doomed.uuid, Action.DELETED, doomed.reason)

    def _fail(self, title: str, uuid: str, error: OSError) -> None:
        _log.debug("%s: %s", "/".join((*self._stale.way, title)), error)
        self.removed.failed = True
        self._say(Type.ERROR, title, uuid, Action.FAILED, reason_of(error))

    def _say(self, kind: Type, title: str, uuid: str, action: Action, reason: Reason) -> None:
        if not self._apply:
            action = action.only_planned()
        row = Row(kind, self._stale.series_name, self._stale.season, title, uuid, action, reason)
        self.removed.rows.append(row)


class _Staying:
    """The files in a directory that are wanted. None of them goes by another spelling of its name.

    Args:
        directory: its descriptor.
        names: of the files.
    """

    def __init__(self, directory: int, names: Collection[str]) -> None:
        self._directory = directory
        self._by_fold = {fold(name): name for name in names}
        self._by_inode = {
            (found.st_dev, found.st_ino): name for name in names if (found := files.look(directory, name)) is not None
        }

    def has(self, name: str) -> bool:
        """Whether a name is a wanted file's."""
        found = files.look(self._directory, name)
        if found is None:
            return False
        likely = {self._by_fold.get(fold(name)), self._by_inode.get((found.st_dev, found.st_ino))} - {None}
        return any(name == wanted or files.is_same(self._directory, name, wanted) for wanted in likely if wanted)

    def is_whole(self) -> bool:
        """Whether all that were there still are."""
        return all(files.look(self._directory, name) for name in self._by_inode.values())


def _remove_directory(parent: int, name: str) -> None:
    """Remove a directory unless something is in it."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
