"""Bringing the files of a folder to what is wanted: compare, then write."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.library.contents import Record, nfo_file, strm
from vod2strmfs.library.kinds import FILE_KINDS, LEAVES, NodeKind, Slot
from vod2strmfs.library.names import fold
from vod2strmfs.library.rendered import content_digest, file_facts
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import Folder, FolderState, NodeFiles, WantedFile
from vod2strmfs.materialize.probe import FileSystem
from vod2strmfs.materialize.workers import StoppedError, Throttle
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type, reason_of, type_of
from vod2strmfs.settings import LibrarySettings

_WITHOUT_FILES = frozenset({NodeKind.ROOT, NodeKind.SECTION, NodeKind.CATEGORY})
_UNFINISHED = frozenset({FolderState.NEW, FolderState.CHANGED})
_FINISHED = frozenset({FolderState.SETTLED, FolderState.WATCHED})

# What is asked for every file: Python 3.11 takes 0.1 µs to look a member of an Enum up.
_SEASON, _STRM = int(NodeKind.SEASON), int(Slot.STRM)
_CREATED, _NEW, _MISSING = Action.CREATED, Reason.NEW, Reason.MISSING

_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".tbn", ".gif")
"""Extensions of images that media servers take."""


class FolderWork(NamedTuple):
    """The files of a folder, or some of them, that are to be compared and written."""

    folder: Folder
    parts: tuple[str, ...]
    """The names on the way from the root to the folder, its own included."""
    series_name: str
    items: Sequence[NodeFiles]
    records: Sequence[Record]
    """What the items' files are made from, one record for each item."""
    leftovers: Sequence[NodeFiles]
    """The other files of ours in the folder."""
    finish: bool
    """Whether this is the last task in the folder, so that the folder gets its mtime."""
    touched: bool = False
    """Whether an earlier task changed something in the folder."""


@dataclass
class FolderResult:
    """What came of a FolderWork."""

    rows: list[ReportRow] = field(default_factory=list)
    opened: bool = False
    """Whether the folder could be used; in a dry run it need not be there."""
    made: bool = False
    """Whether a directory was made: the folder's own, or one that it is in."""
    touched: bool = False
    """Whether anything in the folder was changed."""
    failed: bool = False
    kept: bool = False
    """Whether files that are not ours stand where ours should."""
    moved: set[str] = field(default_factory=set)
    """Names of files that were moved to other names."""
    finished_mtime: int | None = None
    """The directory's mtime (ns), if it was finished."""
    errors: list[str] = field(default_factory=list)
    """What went wrong, for the log."""


@dataclass(frozen=True)
class Updater:
    """Updates folders, in any thread.

    Args:
        root: the descriptor of the output root; None if there is none.
        settings: the settings that the library was made with.
        verify: whether files are read even where size and time are as they were written.
        overwrite: whether files that are not ours give way.
        dry_run: whether nothing is written.
        throttle: waited for before each file that is written, and asked whether to go on.
        file_system: how the root's file system behaves.
        temporaries: the temporary files of the root.
        pictures: where images are stored.
    """

    root: int | None
    settings: LibrarySettings
    verify: bool
    overwrite: bool
    dry_run: bool
    throttle: Throttle
    file_system: FileSystem
    temporaries: files.Temporaries
    pictures: Pictures

    def run(self, works: Sequence[FolderWork]) -> list[FolderResult]:
        """Do some work. An error is reported, and the rest goes on. When the run is to end, the rest fails without a
        report.

        Returns:
            A result for each work, in the same order.
        """
        if self.root is None:
            return [_FolderUpdate(self, work, None).run() for work in works]
        with files.Opener(self.root, make=not self.dry_run) as opener:
            return [_FolderUpdate(self, work, opener).run() for work in works]


class _FolderUpdate:
    """The update of one folder, or of a part of it.

    Args:
        updater: the updater that does the work.
        work: what is to be done.
        opener: opens the folders above; None if there is no root.
    """

    def __init__(self, updater: Updater, work: FolderWork, opener: files.Opener | None) -> None:
        self.updater = updater
        self.work = work
        self.done = FolderResult(touched=work.touched)
        self.descriptor: int | None = None
        """The directory's; None as long as it does not exist."""
        self.created = False
        """Whether the directory was made just now, so that nothing can be in it."""
        self._opener = opener

    def run(self) -> FolderResult:
        try:
            self.updater.throttle.check()
            self._open()
            self.done.opened = True
            for item, record in zip(self.work.items, self.work.records, strict=True):
                _ItemUpdate(self, item, record).run()
            if self.work.finish and not self.updater.dry_run:
                self._finish()
        except OSError as error:
            # A folder that takes no file takes no time either: one row says enough.
            if not self.done.failed:
                self.fail(error, self.work.folder.name)
        except StoppedError:
            self.done.failed = True
        finally:
            if self.descriptor is not None:
                os.close(self.descriptor)
        return self.done

    def fail(self, error: OSError, title: str, uuid: str = "") -> None:
        """Report an error with something in the folder."""
        self.done.errors.append(f"{'/'.join((*self.work.parts, title))}: {error}")
        self.done.failed = True
        reason: str = reason_of(error)
        if error.errno == errno.ENAMETOOLONG:
            reason = Reason.NAME_REFUSED.about(f"more than {self.updater.file_system.name_max} bytes")
        self.say(Type.ERROR, title, uuid, Action.FAILED, reason)

    def say(self, kind: Type, title: str, uuid: str, action: Action, reason: str) -> None:
        """Add a row about something in the folder."""
        folder = self.work.folder
        season = folder.name if folder.kind == _SEASON else ""
        if self.updater.dry_run:
            action = action.only_planned()
        self.done.rows.append(ReportRow(kind, self.work.series_name, season, title, uuid, action, reason))

    def _open(self) -> None:
        if self._opener is None:
            return
        *above, name = self.work.parts or (".",)
        try:
            parent = self._opener.open(tuple(above))
            if not self.updater.dry_run and self.work.folder.state == FolderState.NEW:
                self.created = files.make(parent, name)
            self.descriptor = self._open_or_make(parent, name)
        except FileNotFoundError:
            if not self.updater.dry_run:
                raise
        self.done.made = self.created or self._opener.made
        self._opener.made = False

    def _open_or_make(self, parent: int, name: str) -> int:
        try:
            return os.open(name, files.DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            if self.updater.dry_run:
                raise
            self.created = files.make(parent, name)
            return os.open(name, files.DIRECTORY_FLAGS, dir_fd=parent)

    def _finish(self) -> None:
        """Give the directory its mtime, unless somebody else changed it and we did not: their media server may learn
        from the mtime that something came."""
        assert self.descriptor is not None
        folder = self.work.folder
        others = self._others()
        due = self.done.touched or folder.state in _UNFINISHED or not others
        if self.created or (due and not self._has_time(folder.mtime)):
            files.set_directory_time(self.descriptor, folder.mtime)
        self.done.finished_mtime = os.fstat(self.descriptor).st_mtime_ns

    def _has_time(self, mtime: int) -> bool:
        assert self.descriptor is not None
        return self.updater.file_system.same_time(os.fstat(self.descriptor).st_mtime_ns, mtime)

    def _others(self) -> bool:
        """Whether something that is not ours is in the directory, or might be."""
        assert self.descriptor is not None
        if self.created:
            return False
        if self.work.folder.kind in _WITHOUT_FILES:
            return True
        key = self.updater.file_system.key
        ours = {key(file.name) for item in (*self.work.items, *self.work.leftovers) for file in item.files}
        others = set(map(key, self.updater.temporaries.remove(self.descriptor, os.listdir(self.descriptor)))) - ours
        return self.work.folder.kind not in LEAVES or bool(others)


class _OutdatedIndexError(Exception):
    """A rendered file is not what the index says of it."""


class _ItemUpdate:
    """The update of one item's files.

    Args:
        folder: the update of the folder that they are in.
        item: the files that are wanted.
        record: what they are made from.
    """

    def __init__(self, folder: _FolderUpdate, item: NodeFiles, record: Record) -> None:
        self._folder = folder
        self._item = item
        self._record = record
        self._nfo = b""

    def run(self) -> None:
        for file in self._item.files:
            self._folder.updater.throttle.check()
            try:
                self._bring(file)
            except OSError as error:
                self._folder.fail(error, self._title(file), self._item.uuid)
            except _OutdatedIndexError:
                self._folder.done.failed = True
                self._folder.say(Type.ERROR, self._title(file), self._item.uuid, Action.FAILED, Reason.OUTDATED_INDEX)

    def _bring(self, file: WantedFile) -> None:
        """Bring one file to what is wanted."""
        if self._folder.descriptor is None or self._folder.created:
            self._write(file, _CREATED, self._loss(file))
            return
        known = {*file.earlier}
        name = file.name
        if self._folder.updater.file_system.folds:
            self._respell(file)
        for old in self._former(file):
            known.update((old.digest, *old.earlier))
            if self._move(old, file) and self._folder.updater.dry_run:
                name = old.name
        found = files.lstat(self._folder.descriptor, name) or self._finish_move(file)
        if found is None and self._has_rival(file):
            self._keep(file)
        elif found is None:
            self._write(file, Action.CREATED, self._loss(file))
        elif not files.is_file(found):
            raise FileExistsError(errno.EEXIST, "not a regular file")
        else:
            self._compare(file, name, found, known)

    def _compare(self, file: WantedFile, name: str, found: os.stat_result, known: set[int]) -> None:
        """Compare a file that is there with what is wanted, under the name that it has on disk."""
        assert self._folder.descriptor is not None
        trusted = self._folder.work.folder.state != FolderState.NEW and not known and not self._folder.updater.verify
        same_time = self._folder.updater.file_system.same_time(found.st_mtime_ns, file.mtime)
        if trusted and same_time and found.st_size == file.size:
            return
        content = file_facts(files.read(self._folder.descriptor, name), 0)
        if content.digest == file.digest:
            if not same_time:
                self._set_time(file)
        elif content.digest in known:
            self._write(file, Action.UPDATED, Reason.CONTENT)
        elif not content.size:
            self._write(file, Action.UPDATED, Reason.EMPTY)
        else:
            self._give_way(file)

    def _give_way(self, file: WantedFile) -> None:
        """Leave a file that is not ours alone, unless it is to be overwritten. A user's image is never."""
        if self._folder.updater.overwrite and not file.image:
            self._write(file, Action.UPDATED, Reason.NOT_OURS)
        else:
            self._keep(file)

    def _keep(self, file: WantedFile) -> None:
        self._folder.done.kept = True
        self._say(file, Action.KEPT, Reason.NOT_OURS)

    def _has_rival(self, file: WantedFile) -> bool:
        """Whether an image of the user's has the name of ours, but for its extension: servers would show one of them,
        and nobody knows which."""
        if not file.image:
            return False
        assert self._folder.descriptor is not None
        stems = {stem := file.name.rpartition(".")[0]}
        if self._item.kind == NodeKind.MOVIE:
            stems.add(stem.rpartition("-")[2])  # `poster`, where ours is `Heat-poster`.
        former = {old.name for old in self._former(file)}
        names = {f"{each}{extension}" for each in stems for extension in _IMAGES} - former
        return any(files.lstat(self._folder.descriptor, name) is not None for name in names)

    def _former(self, file: WantedFile) -> list[WantedFile]:
        """The item's file as it was called before. A movie is the same if its folder is, whatever its UUID."""
        return [
            old
            for item in self._folder.work.leftovers
            if item.node == self._item.node and (item.uuid == self._item.uuid or item.kind == NodeKind.MOVIE)
            for old in item.files
            if old.slot == file.slot
        ]

    def _finish_move(self, file: WantedFile) -> os.stat_result | None:
        """The attributes of a file that a killed run was about to spell otherwise, now under its name; None if there is
        no such file."""
        assert self._folder.descriptor is not None
        if self._folder.updater.file_system.folds and not self._folder.updater.dry_run:
            files.finish_move(self._folder.descriptor, file.name)
            return files.lstat(self._folder.descriptor, file.name)
        return None

    def _respell(self, file: WantedFile) -> None:
        """Spell a file's name as it is wanted, if the file system takes another spelling for the same. An item that
        has gone may have left the file."""
        assert self._folder.descriptor is not None
        former = {old.name for old in self._former(file)}
        for item in self._folder.work.leftovers:
            for old in item.files:
                is_other = old.name != file.name and old.name not in former and fold(old.name) == fold(file.name)
                if is_other and files.is_same(self._folder.descriptor, old.name, file.name):
                    self._move(old, file)

    def _move(self, old: WantedFile, file: WantedFile) -> bool:
        """Give a file its new name if it is there and the name is free; returns whether that is so."""
        directory = self._folder.descriptor
        assert directory is not None
        if not files.move(directory, old.name, directory, file.name, apply=not self._folder.updater.dry_run):
            return False
        self._folder.done.touched = True
        self._folder.done.moved.add(old.name)
        self._say(file, Action.MOVED, Reason.RENAMED.about(old.name))
        return True

    def _write(self, file: WantedFile, action: Action, reason: Reason) -> None:
        if self._folder.descriptor is not None and not self._folder.updater.dry_run:
            content = self._render(file)
            self._folder.updater.throttle.wait()
            self._folder.done.touched = True
            files.write(self._folder.descriptor, file.name, content, file.mtime, self._folder.updater.temporaries)
        self._say(file, action, reason)

    def _set_time(self, file: WantedFile) -> None:
        """Give a file that has its content its mtime. That does not change the directory's."""
        if not self._folder.updater.dry_run:
            os.utime(file.name, ns=(file.mtime, file.mtime), dir_fd=self._folder.descriptor, follow_symlinks=False)
        self._say(file, Action.UPDATED, Reason.TIME)

    def _render(self, file: WantedFile) -> bytes:
        if file.image:
            content = self._folder.updater.pictures.read(file.image)
        elif file.slot == _STRM:
            content = strm(self._record, self._folder.updater.settings)
        else:
            # An episode has the same NFO under two names.
            self._nfo = self._nfo or nfo_file(self._record, self._folder.updater.settings)
            content = self._nfo
        if content_digest(content) != file.digest:
            raise _OutdatedIndexError
        return content

    def _loss(self, file: WantedFile) -> Reason:
        """Why a file that is not there is written."""
        was_there = self._folder.work.folder.state in _FINISHED or file.earlier
        return _MISSING if was_there else _NEW

    def _say(self, file: WantedFile, action: Action, reason: str) -> None:
        self._folder.say(type_of(self._item.kind, file.slot), self._title(file), self._item.uuid, action, reason)

    def _title(self, file: WantedFile) -> str:
        if self._item.kind in FILE_KINDS:
            return file.name.rpartition(".")[0]
        return "" if self._item.kind == _SEASON else self._folder.work.folder.name
