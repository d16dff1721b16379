"""Following the index: from one generation to the next, and what the kernel has to forget."""

import logging
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pyfuse3
import trio
from pyfuse3 import InodeT

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.changes import Change, What
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_INODE, SECTIONS, folder_inode
from vod2strmfs.library.tree import STATS_NAME, Tree
from vod2strmfs.mount.operations import LibraryOperations

_log = logging.getLogger("vod2strmfs")


class Step(NamedTuple):
    """A mount went from one generation to another."""

    before: int
    """0: from none."""
    now: int
    """0: to none, since the index was lost or replaced."""


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
        self._shown = 0
        self._error = ""

    @property
    def store(self) -> Store | None:
        """The index that is shown; None while there is none that can be read."""
        return self._store

    @property
    def shows(self) -> bool:
        """Whether there is a tree to be seen."""
        return self._operations.tree is not None

    @property
    def damage(self) -> int:
        """How many requests met something in the index that cannot be."""
        return self._operations.damage

    @property
    def error(self) -> str:
        """Why the index cannot be read, if so."""
        return self._error

    def look(self) -> Step | None:
        """Show the newest generation; returns a step if anything that the kernel may have cached changed.

        As long as the index cannot be read, the tree is none, and every request fails. So it is as well between one
        index and another, until the kernel has forgotten the first.
        """
        try:
            if self._store is not None and self._store.replaced() and Store.exists(self._state_dir):
                self._let_go()
            elif not self._follow():
                return None
            self._error = ""
        except IndexFileError as error:
            if str(error) != self._error:
                _log.error("%s Until it can, every request is answered with an error.", error)
            self._error = str(error)
            self._let_go()
        step = Step(self._shown, self._store.generation if self._store is not None else 0)
        self._shown = step.now
        return step if step != (0, 0) else None

    def _follow(self) -> bool:
        """Read the index if there is anything new in it; returns whether there is."""
        if self._store is None:
            if not Store.exists(self._state_dir):
                return False
            self._store = Store(self._state_dir)
        elif self._store.outdated():
            self._store.refresh()
        else:
            return False
        if self._store.generation and (self._store.generation != self._shown or self._operations.tree is None):
            self._operations.tree = Tree(self._store, write_nfo=self._write_nfo, with_stats=True)
        return True

    def _let_go(self) -> None:
        self._operations.start_afresh()
        if self._store is not None:
            self._store.close()
            self._store = None


def forget(state_dir: Path, step: Step) -> None:
    """Tell the kernel what a step changed.

    May wait for requests in flight: it runs in a thread that trio has started, and ends early if that is cancelled. It
    reads the changes for itself, since there can be a million.
    """
    if step.before == 0:
        # The kernel knows nothing: it was told so when the index was lost. And at first it is not ready to be told.
        return
    _forget(Change(What.ENTRY_GONE, 0, ROOT_INODE, STATS_NAME))
    if step.now == 0:
        _forget_all()
        return
    if step.before == step.now:
        return
    try:
        with closing(Store(state_dir)) as store:
            changes = store.changes(step.before, step.now)
            if changes is None:
                _forget_all()
            for change in changes or ():
                trio.from_thread.check_cancelled()
                _forget(change)
    except IndexFileError as error:
        _log.error("%s So the kernel has to ask for everything again.", error)
        _forget_all()


def _forget_all() -> None:
    """Let the kernel look everything up again: with a directory it drops what it knows of all that is below."""
    for section in SECTIONS:
        _forget(Change(What.ENTRY_GONE, 0, ROOT_INODE, section))
    for inode in (ROOT_INODE, *map(folder_inode, SECTIONS.values())):
        _forget(Change(What.ATTRIBUTES_CHANGED, inode, 0, ""))


def _forget(change: Change) -> None:
    try:
        if change.what == What.ENTRY_GONE:
            pyfuse3.invalidate_entry(InodeT(change.parent), change.name.encode())
        else:
            pyfuse3.invalidate_inode(InodeT(change.inode), attr_only=True)
    except FileNotFoundError:
        pass  # The kernel does not know it.
