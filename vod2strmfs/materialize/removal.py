"""Taking files of ours out of a folder, and the folder if nothing is left in it. Anything else stays."""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vod2strmfs.index.draft import digest
from vod2strmfs.materialize import files
from vod2strmfs.materialize.ledger import Cleaned, Ledger
from vod2strmfs.materialize.manifest import File, Folder, State
from vod2strmfs.materialize.report import Action, Reason, Row, Type, reason_of

_log = logging.getLogger("vod2strmfs")

_NOT_OURS = frozenset({errno.ENOTDIR, errno.ELOOP})
"""Errors of opening a directory where a file or a link stands."""


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


@dataclass(frozen=True)
class Removal:
    """Removes what is stale, in any thread, or says what would be removed.

    Args:
        root: the descriptor of the output root.
        ledger: gets the rows.
        apply: whether anything is removed.
    """

    root: int
    ledger: Ledger
    apply: bool

    def run(self, stale: Stale) -> None:
        """Deal with one folder."""
        *above, name = stale.way
        try:
            with files.opened(self.root, above) as parent:
                seen = self._empty(stale, parent, name)
                if self.apply and stale.folder.state == State.GONE:
                    _remove_directory(parent, name)
        except FileNotFoundError:
            seen = 0
        except OSError as error:
            if error.errno not in _NOT_OURS:
                self._fail(stale, name, "", error)
                return
            seen = 0
            self._say(stale, name, "", Action.KEPT, Reason.FOREIGN)
        if self.apply and seen is not None:
            self.ledger.say(Cleaned(stale.folder, seen))

    def _empty(self, stale: Stale, parent: int, name: str) -> int | None:
        """Remove the files.

        Returns:
            The directory's time as it is left; None if something went wrong.
        """
        failed = False
        with files.opened(parent, [name]) as directory:
            for doomed in stale.files:
                try:
                    self._remove(stale, directory, doomed)
                except OSError as error:
                    failed = True
                    self._fail(stale, doomed.file.name, doomed.uuid, error)
            if self.apply and stale.folder.state != State.GONE:
                os.utime(directory, ns=(stale.folder.mtime, stale.folder.mtime))
            return None if failed else os.fstat(directory).st_mtime_ns

    def _remove(self, stale: Stale, directory: int, doomed: Doomed) -> None:
        file = doomed.file
        found = files.look(directory, file.name)
        if found is None:
            return
        ours = files.is_file(found) and digest(files.read(directory, file.name), 0).digest in (
            file.digest,
            *file.earlier,
        )
        if not ours:
            self._say(stale, file.name, doomed.uuid, Action.KEPT, Reason.EDITED)
            return
        if self.apply:
            os.unlink(file.name, dir_fd=directory)
        self._say(stale, file.name, doomed.uuid, Action.DELETED, doomed.reason)

    def _fail(self, stale: Stale, title: str, uuid: str, error: OSError) -> None:
        _log.debug("%s: %s", "/".join(stale.way), error)
        row = Row(Type.ERROR, stale.series_name, stale.season, title, uuid, Action.FAILED, reason_of(error))
        self.ledger.say(row)

    def _say(self, stale: Stale, title: str, uuid: str, action: Action, reason: Reason) -> None:
        if not self.apply:
            action = action.only_planned()
        self.ledger.say(Row(Type.CLEANUP, stale.series_name, stale.season, title, uuid, action, reason))


def _remove_directory(parent: int, name: str) -> None:
    """Remove a directory unless something is in it."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
