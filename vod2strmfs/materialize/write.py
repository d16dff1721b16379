"""Bringing the files of a folder to what is wanted: compare, then write."""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vod2strmfs.library.contents import Record, nfo_file, strm
from vod2strmfs.library.kinds import NodeKind, Slot
from vod2strmfs.library.names import fold
from vod2strmfs.library.rendered import content_digest, file_facts
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import File, Folder, Item, State
from vod2strmfs.materialize.probe import FileSystem
from vod2strmfs.materialize.workers import StoppedError, Throttle
from vod2strmfs.reports.rows import Action, Reason, Row, Type, reason_of, type_of
from vod2strmfs.settings import LibrarySettings

LEAVES = frozenset({NodeKind.MOVIE, NodeKind.SEASON})
"""Kinds of folder that hold no folders of ours."""

_WITHOUT_FILES = frozenset({NodeKind.ROOT, NodeKind.SECTION, NodeKind.CATEGORY})
_UNFINISHED = frozenset({State.NEW, State.CHANGED})

_log = logging.getLogger("vod2strmfs")


class Work(NamedTuple):
    """What is to be done in a folder, or a part of it."""

    folder: Folder
    way: tuple[str, ...]
    """Where it stands, name by name from the root."""
    series_name: str
    items: Sequence[Item]
    records: Sequence[Record]
    """What the items' files are made from."""
    leftovers: Sequence[Item]
    """What else is ours in the folder."""
    leave: bool
    """Whether this is the last that is done in it, so that it gets its time."""
    touched: bool = False
    """Whether it was changed by what was done in it before."""


@dataclass
class Done:
    """What was done."""

    rows: list[Row] = field(default_factory=list)
    opened: bool = False
    """Whether the folder could be used; in a dry run it need not be there."""
    made: bool = False
    """Whether a directory was made, the folder's own or one that it is in."""
    touched: bool = False
    """Whether anything in the folder was changed."""
    failed: bool = False
    kept: bool = False
    """Whether files that are not ours stand where ours should."""
    moved: set[str] = field(default_factory=set)
    """Names that were given up."""
    seen: int | None = None
    """The directory's mtime, if it was left."""


@dataclass(frozen=True)
class Updater:
    """Updates folders, in any thread.

    Args:
        root: the descriptor of the output root; None if there is none.
        settings: the library's.
        verify: whether files are read even where size and time are as they were left.
        overwrite: whether files that are not ours give way.
        dry_run: whether nothing is written.
        throttle: waited for before each file that is written, and asked whether to go on.
        file_system: the root's.
        temporaries: the root's.
    """

    root: int | None
    settings: LibrarySettings
    verify: bool
    overwrite: bool
    dry_run: bool
    throttle: Throttle
    file_system: FileSystem
    temporaries: files.Temporaries

    def run(self, works: Sequence[Work]) -> list[Done]:
        """Do some work. What goes wrong is reported, and the rest goes on. When the run is to end, the rest fails
        without a report."""
        if self.root is None:
            return [_FolderUpdate(self, work, None).run() for work in works]
        with files.Opener(self.root, make=not self.dry_run) as opener:
            return [_FolderUpdate(self, work, opener).run() for work in works]


class _FolderUpdate:
    """The update of one folder, or of a part of it.

    Args:
        updater: whose work it is.
        work: what is to be done.
        opener: for the folders above; None if there is no root.
    """

    def __init__(self, updater: Updater, work: Work, opener: files.Opener | None) -> None:
        self.updater = updater
        self.work = work
        self.done = Done(touched=work.touched)
        self.descriptor: int | None = None
        """None as long as the directory does not exist."""
        self.created = False
        """Whether it was made just now, so that nothing can be in it."""
        self._opener = opener

    def run(self) -> Done:
        try:
            self.updater.throttle.check()
            self._open()
            self.done.opened = True
            for item, record in zip(self.work.items, self.work.records, strict=True):
                _ItemUpdate(self, item, record).run()
            if self.work.leave and not self.updater.dry_run:
                self._leave()
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
        """Report an error."""
        _log.debug("%s: %s", "/".join((*self.work.way, title)), error)
        self.done.failed = True
        reason: str = reason_of(error)
        if error.errno == errno.ENAMETOOLONG:
            reason = Reason.NAME_REFUSED.about(f"more than {self.updater.file_system.name_max} bytes")
        self.say(Type.ERROR, title, uuid, Action.FAILED, reason)

    def say(self, kind: Type, title: str, uuid: str, action: Action, reason: str) -> None:
        """Report on something in the folder."""
        folder = self.work.folder
        season = folder.name if folder.kind == NodeKind.SEASON else ""
        if self.updater.dry_run:
            action = action.only_planned()
        self.done.rows.append(Row(kind, self.work.series_name, season, title, uuid, action, reason))

    def _open(self) -> None:
        if self._opener is None:
            return
        *above, name = self.work.way or (".",)
        try:
            parent = self._opener.open(tuple(above))
            if not self.updater.dry_run and self.work.folder.state == State.NEW:
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

    def _leave(self) -> None:
        """Give the directory its time, unless somebody else changed it and we did not: their media server may learn
        from the time that something came."""
        assert self.descriptor is not None
        folder = self.work.folder
        others = self._others()
        left = os.fstat(self.descriptor)
        due = self.done.touched or folder.state in _UNFINISHED or not others
        if due and not self.updater.file_system.same_time(left.st_mtime_ns, folder.mtime):
            files.set_directory_time(self.descriptor, folder.mtime)
            left = os.fstat(self.descriptor)
        self.done.seen = left.st_mtime_ns

    def _others(self) -> bool:
        """Whether something that is not ours is in the directory, or might be."""
        assert self.descriptor is not None
        if self.created:
            return False
        if self.work.folder.kind in _WITHOUT_FILES:
            return True
        key = self.updater.file_system.key
        ours = {key(file.name) for item in (*self.work.items, *self.work.leftovers) for file in item.files}
        others = set(map(key, self.updater.temporaries.tidy(self.descriptor))) - ours
        return self.work.folder.kind not in LEAVES or bool(others)


class _OutdatedIndexError(Exception):
    """What is rendered is not what the index says."""


class _ItemUpdate:
    """The update of one item's files."""

    def __init__(self, update: _FolderUpdate, item: Item, record: Record) -> None:
        self._update = update
        self._updater = update.updater
        self._work = update.work
        self._done = update.done
        self._descriptor = update.descriptor
        self._item = item
        self._record = record
        self._nfo = b""

    def run(self) -> None:
        for file in self._item.files:
            self._updater.throttle.check()
            try:
                self._bring(file)
            except OSError as error:
                self._update.fail(error, self._title(file), self._item.uuid)
            except _OutdatedIndexError:
                self._done.failed = True
                self._update.say(Type.ERROR, self._title(file), self._item.uuid, Action.FAILED, Reason.OUTDATED_INDEX)

    def _bring(self, file: File) -> None:
        """Have a file there as it is wanted."""
        if self._descriptor is None or self._update.created:
            self._write(file, Action.CREATED, self._loss(file))
            return
        known = {*file.earlier}
        name = file.name
        if self._updater.file_system.folds:
            self._respell(file)
        for old in self._former(file):
            known.update((old.digest, *old.earlier))
            if self._move(old, file) and self._updater.dry_run:
                name = old.name
        found = files.look(self._descriptor, name) or self._finish_move(file)
        if found is None:
            self._write(file, Action.CREATED, self._loss(file))
        elif not files.is_file(found):
            raise FileExistsError(errno.EEXIST, "not a regular file")
        else:
            self._compare(file, name, found, known)

    def _compare(self, file: File, name: str, found: os.stat_result, known: set[int]) -> None:
        """Compare a file that is there, under the name that it has on disk."""
        assert self._descriptor is not None
        trusted = self._work.folder.state != State.NEW and not known and not self._updater.verify
        same_time = self._updater.file_system.same_time(found.st_mtime_ns, file.mtime)
        if trusted and same_time and found.st_size == file.size:
            return
        content = file_facts(files.read(self._descriptor, name), 0)
        if content.digest == file.digest:
            if not same_time:
                self._set_time(file)
        elif content.digest in known:
            self._write(file, Action.UPDATED, Reason.CONTENT)
        elif not content.size:
            self._write(file, Action.UPDATED, Reason.EMPTY)
        else:
            self._give_way(file)

    def _give_way(self, file: File) -> None:
        """Leave a file that is not ours alone, unless it is to be overwritten."""
        if self._updater.overwrite:
            self._write(file, Action.UPDATED, Reason.NOT_OURS)
        else:
            self._done.kept = True
            self._say(file, Action.KEPT, Reason.NOT_OURS)

    def _former(self, file: File) -> list[File]:
        """What the item's file was called before. A movie is the same as its folder is."""
        return [
            old
            for item in self._work.leftovers
            if item.node == self._item.node and (item.uuid == self._item.uuid or item.kind == NodeKind.MOVIE)
            for old in item.files
            if old.slot == file.slot
        ]

    def _finish_move(self, file: File) -> os.stat_result | None:
        """What a killed run was about to spell otherwise, under its name; None if there is no such thing."""
        assert self._descriptor is not None
        if self._updater.file_system.folds and not self._updater.dry_run:
            files.finish_move(self._descriptor, file.name)
            return files.look(self._descriptor, file.name)
        return None

    def _respell(self, file: File) -> None:
        """Spell a file's name as it is wanted, if the file system takes another spelling for the same. An item that
        has gone may have left the file."""
        assert self._descriptor is not None
        former = {old.name for old in self._former(file)}
        for item in self._work.leftovers:
            for old in item.files:
                is_other = old.name != file.name and old.name not in former and fold(old.name) == fold(file.name)
                if is_other and files.is_same(self._descriptor, old.name, file.name):
                    self._move(old, file)

    def _move(self, old: File, file: File) -> bool:
        """Give a file its new name if it is there and the name is free; returns whether that is so."""
        directory = self._descriptor
        assert directory is not None
        if not files.move(directory, old.name, directory, file.name, apply=not self._updater.dry_run):
            return False
        self._done.touched = True
        self._done.moved.add(old.name)
        self._say(file, Action.MOVED, Reason.RENAMED.about(old.name))
        return True

    def _write(self, file: File, action: Action, reason: Reason) -> None:
        if self._descriptor is not None and not self._updater.dry_run:
            content = self._render(file)
            self._updater.throttle.wait()
            self._done.touched = True
            files.write(self._descriptor, file.name, content, file.mtime, self._updater.temporaries)
        self._say(file, action, reason)

    def _set_time(self, file: File) -> None:
        """Give a file that has its content its time. That does not change the directory's."""
        if not self._updater.dry_run:
            os.utime(file.name, ns=(file.mtime, file.mtime), dir_fd=self._descriptor, follow_symlinks=False)
        self._say(file, Action.UPDATED, Reason.TIME)

    def _render(self, file: File) -> bytes:
        if file.slot == Slot.STRM:
            content = strm(self._record, self._updater.settings)
        else:
            # An episode has the same NFO under two names.
            self._nfo = self._nfo or nfo_file(self._record, self._updater.settings)
            content = self._nfo
        if content_digest(content) != file.digest:
            raise _OutdatedIndexError
        return content

    def _loss(self, file: File) -> Reason:
        """Why a file that is not there is written."""
        was_there = self._work.folder.state in (State.SETTLED, State.WATCHED) or file.earlier
        return Reason.MISSING if was_there else Reason.NEW

    def _say(self, file: File, action: Action, reason: str) -> None:
        self._update.say(type_of(self._item.kind, file.slot), self._title(file), self._item.uuid, action, reason)

    def _title(self, file: File) -> str:
        if self._item.kind in (NodeKind.EPISODE, NodeKind.VERSION):
            return file.name.rpartition(".")[0]
        return "" if self._item.kind == NodeKind.SEASON else self._work.folder.name
