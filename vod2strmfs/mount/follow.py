"""Following the index: from one generation to the next, and what the kernel has to forget."""

import logging
from collections.abc import Iterable
from pathlib import Path

import pyfuse3
from pyfuse3 import InodeT

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.changes import Change, What
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_INODE
from vod2strmfs.library.tree import STATS_NAME, Tree
from vod2strmfs.mount.operations import LibraryOperations

_log = logging.getLogger("vod2strmfs")


class Follower:
    """Keeps a mount at the newest generation of its index.

    Args:
        operations: whose tree is replaced.
        state_dir: where the index is, or will be.
        write_nfo: whether the tree has .nfo files.
    """

    def __init__(self, operations: LibraryOperations, state_dir: Path, write_nfo: bool) -> None:
        self._operations = operations
        self._state_dir = state_dir
        self._write_nfo = write_nfo
        self._store: Store | None = None
        self._error = ""

    def look(self) -> list[Change]:
        """Show the newest generation; returns what the kernel has to forget.

        As long as the index cannot be read, the tree is none, and every request fails.
        """
        try:
            changes = self._follow()
        except IndexFileError as error:
            self._lose(str(error))
            return []
        self._error = ""
        return changes

    def _follow(self) -> list[Change]:
        if self._store is None or self._store.replaced():
            self._open()
            return []
        if not self._store.outdated():
            return []
        before = self._store.generation
        self._store.refresh()
        changes: list[Change] = []
        if self._store.generation != before:
            self._show(self._store)
            known = self._store.changes(before) if before else []
            if known is None:
                _log.warning("The index is too far ahead: what the kernel has cached is not renewed. Mount anew.")
            changes = known or []
        return [*changes, Change(What.ENTRY_GONE, 0, ROOT_INODE, STATS_NAME)]

    def _open(self) -> None:
        if not Store.exists(self._state_dir):
            return
        if self._store is not None:
            self._store.close()
        self._store = Store(self._state_dir)
        self._show(self._store)

    def _show(self, store: Store) -> None:
        if store.generation:
            self._operations.tree = Tree(store, write_nfo=self._write_nfo, with_stats=True)

    def _lose(self, error: str) -> None:
        if error != self._error:
            _log.error("%s Until it can, every request is answered with an error.", error)
        self._error = error
        self._operations.tree = None
        if self._store is not None:
            self._store.close()
            self._store = None


def invalidate(changes: Iterable[Change]) -> None:
    """Tell the kernel what to forget. May wait for requests in flight: never call it where they are answered."""
    for change in changes:
        inode = InodeT(change.inode)
        try:
            match change.what:
                case What.ENTRY_GONE:
                    pyfuse3.invalidate_entry(InodeT(change.parent), change.name.encode())
                case What.ATTRIBUTES_CHANGED:
                    pyfuse3.invalidate_inode(inode, attr_only=True)
        except FileNotFoundError:
            continue  # The kernel does not know it.
