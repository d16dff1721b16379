"""Bringing the files of a folder to what is wanted: compare, then write."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vod2strmfs.index.draft import digest
from vod2strmfs.library.contents import Record, nfo_file, strm
from vod2strmfs.library.kinds import NodeKind, Slot
from vod2strmfs.materialize import files
from vod2strmfs.materialize.directories import Directory
from vod2strmfs.materialize.manifest import File, Item, State
from vod2strmfs.materialize.report import Action, Reason, type_of
from vod2strmfs.materialize.workers import Throttle
from vod2strmfs.settings import LibrarySettings

_log = logging.getLogger("vod2strmfs")


class Part(NamedTuple):
    """Some of the items of a directory, which is held until they are done."""

    directory: Directory
    items: Sequence[Item]
    records: Mapping[int, Record]
    """What their files are made from, by node."""


@dataclass(frozen=True)
class Updater:
    """Updates parts of directories, in any thread.

    Args:
        settings: the library's.
        verify: whether files are read even where size and time are as they were left.
        overwrite: whether files that are not ours give way.
        throttle: waited for before each file that is written.
    """

    settings: LibrarySettings
    verify: bool
    overwrite: bool
    throttle: Throttle

    def update(self, parts: Sequence[Part]) -> None:
        """Update some parts. What goes wrong is reported, and the rest goes on."""
        for part in parts:
            part.directory.looked_at = True
            try:
                descriptor = part.directory.open()
                for item in part.items:
                    _Update(self, part.directory, descriptor, item, part.records[item.node]).run()
            except OSError as error:
                _log.debug("%s: %s", part.directory.folder.name, error)
            finally:
                part.directory.release()


class _OutdatedIndexError(Exception):
    """What is rendered is not what the index says."""


class _Update:
    """The update of one item's files."""

    def __init__(
        self, updater: Updater, directory: Directory, descriptor: int | None, item: Item, record: Record
    ) -> None:
        self._updater = updater
        self._directory = directory
        self._descriptor = descriptor
        self._item = item
        self._record = record
        self._nfo = b""

    def run(self) -> None:
        for file in self._item.files:
            try:
                self._update(file)
            except OSError as error:
                _log.debug("%s/%s: %s", self._directory.folder.name, file.name, error)
                self._directory.fail(error, self._title(file), self._item.uuid)
            except _OutdatedIndexError:
                self._directory.failed = True
                self._say(file, Action.FAILED, Reason.OUTDATED_INDEX)

    def _update(self, file: File) -> None:
        directory = self._directory
        if self._descriptor is None or directory.created:
            self._write(file, Action.CREATED, self._loss(file))
            return
        known = {*file.earlier}
        found = files.look(self._descriptor, file.name)
        for old in self._former(file):
            known.update((old.digest, *old.earlier))
            if files.is_free(self._descriptor, old.name, self._descriptor, file.name) and self._move(old, file):
                found = files.look(self._descriptor, old.name if directory.site.dry_run else file.name)
        if found is None:
            self._write(file, Action.CREATED, self._loss(file))
        elif not files.is_file(found):
            raise FileExistsError(17, "not a regular file")
        else:
            self._compare(file, found, known)

    def _compare(self, file: File, found: os.stat_result, known: set[int]) -> None:
        assert self._descriptor is not None
        left_as = (file.size, file.mtime)
        trusted = self._directory.folder.state != State.NEW and not known and not self._updater.verify
        if trusted and (found.st_size, found.st_mtime_ns) == left_as:
            return
        content = digest(files.read(self._descriptor, file.name), 0)
        if content.digest == file.digest:
            if found.st_mtime_ns != file.mtime:
                self._set_time(file)
        elif content.digest in known:
            self._write(file, Action.UPDATED, Reason.CONTENT)
        elif not content.size:
            self._write(file, Action.UPDATED, Reason.EMPTY)
        else:
            reason = Reason.EDITED if known or self._directory.folder.state != State.NEW else Reason.FOREIGN
            if self._updater.overwrite:
                self._write(file, Action.UPDATED, reason)
            else:
                self._directory.kept = True
                self._say(file, Action.KEPT, reason)

    def _loss(self, file: File) -> Reason:
        """Why a file that is not there is written."""
        was_there = self._directory.folder.state in (State.SETTLED, State.WATCHED) or file.earlier
        return Reason.MISSING if was_there else Reason.NEW

    def _former(self, file: File) -> list[File]:
        """What the item's file was called before."""
        return [
            old
            for item in self._directory.leftovers
            if item.node == self._item.node and item.uuid == self._item.uuid
            for old in item.files
            if old.slot == file.slot
        ]

    def _move(self, old: File, file: File) -> bool:
        """Move a file to its new name, which is free."""
        assert self._descriptor is not None
        if files.look(self._descriptor, old.name) is None:
            return False
        if not self._directory.site.dry_run:
            os.rename(old.name, file.name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        self._directory.touched = True
        self._directory.moved.add(old.name)
        self._say(file, Action.MOVED, Reason.RENAMED)
        return True

    def _write(self, file: File, action: Action, reason: Reason) -> None:
        if self._descriptor is not None and not self._directory.site.dry_run:
            content = self._render(file)
            self._updater.throttle.wait()
            self._directory.touched = True
            files.write(self._descriptor, file.name, content, file.mtime)
        self._say(file, action, reason)

    def _set_time(self, file: File) -> None:
        """Give a file its time; it has its content. The directory's time stays."""
        if not self._directory.site.dry_run:
            os.utime(file.name, ns=(file.mtime, file.mtime), dir_fd=self._descriptor, follow_symlinks=False)
        self._say(file, Action.UPDATED, Reason.TIME)

    def _render(self, file: File) -> bytes:
        if file.slot == Slot.STRM:
            content = strm(self._record, self._updater.settings)
        else:
            # An episode has the same NFO under two names.
            self._nfo = self._nfo or nfo_file(self._record, self._updater.settings)
            content = self._nfo
        if digest(content, 0).digest != file.digest:
            raise _OutdatedIndexError
        return content

    def _say(self, file: File, action: Action, reason: Reason) -> None:
        self._directory.say(type_of(self._item.kind, file.slot), self._title(file), self._item.uuid, action, reason)

    def _title(self, file: File) -> str:
        if self._item.kind in (NodeKind.EPISODE, NodeKind.VERSION):
            return file.name.rpartition(".")[0]
        return "" if self._item.kind == NodeKind.SEASON else self._directory.folder.name
