"""Following the index: from one generation to the next, and what the kernel has to forget."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyfuse3
import trio
from pyfuse3 import InodeT

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.changes import Change, What
from vod2strmfs.index.file import checkpoint, is_whole
from vod2strmfs.index.store import Identity, Store, identity
from vod2strmfs.library.kinds import ROOT_INODE, ROOT_NODE, SECTIONS, folder_inode, shelved
from vod2strmfs.library.tree import STATS_NAME, Tree
from vod2strmfs.mount.handlers import LibraryHandlers

_log = logging.getLogger("vod2strmfs")

_DAMAGED = "the index is damaged, or cannot be read everywhere."
_PATIENCE_SECONDS = 1.5
"""How long requests may wait while one index takes the place of another."""
_FOLDERS_AT_ONCE = 20_000
"""So many changes of folders are read within some milliseconds, while requests wait. After more, all listings are read
again."""
_TOPMOST = (ROOT_INODE, *map(folder_inode, SECTIONS.values()))
_shelves: dict[int, str] = {}
"""The names of shelves that were shown, by their numbers: the kernel may know them, whatever becomes of the index. They
are the process's, as pyfuse3's mount is."""


class Step(NamedTuple):
    """A mount went from one generation to another."""

    before: int
    """0: from none."""
    now: int
    """0: to none, since the index was lost or replaced."""


class Follower:
    """The follower of an index, which keeps a mount at its newest generation.

    Args:
        handlers: whose tree is replaced.
        state_dir: where the index is, or will be.
        write_nfo: whether the tree has .nfo files.
    """

    def __init__(self, handlers: LibraryHandlers, state_dir: Path, write_nfo: bool) -> None:
        self._handlers = handlers
        self._state_dir = state_dir
        self._write_nfo = write_nfo
        self._store: Store | None = None
        self._shown = 0
        self._error = ""
        self._suspect: Identity | None = None
        """The index file in which a request met damage. Nothing of it is shown until it is found to be whole."""
        handlers.on_damage = self._doubt

    @property
    def store(self) -> Store | None:
        """The index that is shown; None while there is none that can be read."""
        return self._store

    @property
    def shows(self) -> bool:
        """Whether there is a tree to be seen."""
        return self._handlers.tree is not None

    @property
    def damage(self) -> int:
        """How many requests met something in the index that cannot be."""
        return self._handlers.damage

    @property
    def doubted(self) -> bool:
        """Whether nothing is shown since a request met damage in the index."""
        return self._suspect is not None

    def trust(self) -> None:
        """Show the index again: it was found to be whole."""
        # One that has taken its place meanwhile is another, and what is open still has to be let go.
        if self._store is None and self._suspect == identity(self._state_dir):
            self._suspect = None

    @property
    def error(self) -> str:
        """Why the index cannot be read, if so."""
        return self._error

    def look(self) -> Step | None:
        """Show the newest generation; returns a step if anything that the kernel may have cached changed.

        As long as the index cannot be read, the tree is none, and every request fails. So it is as well between one
        index and another, until the kernel has forgotten the first.
        """
        self._handlers.settle()
        try:
            if not self._look():
                return None
            if not self.doubted:
                self._error = ""
        except Exception as error:  # Whatever it is: an error of its own must not end the mount.
            if not isinstance(error, IndexFileError):
                _log.debug("unexpected error", exc_info=True)
            self._complain(str(error) or type(error).__name__)
            self._let_go()
        step = Step(self._shown, self._store.generation if self._store is not None else 0)
        self._shown = step.now
        return step if step != (0, 0) else None

    def _look(self) -> bool:
        """Do what `look` does, as long as the index can be read; returns whether there was anything to do."""
        if self._store is not None and self.doubted:
            self._complain(_DAMAGED)
            self._let_go()
            return True
        if self._store is not None and self._store.replaced() and self._has_successor():
            self._let_go(_PATIENCE_SECONDS)
            return True
        if self.doubted and self._suspect == identity(self._state_dir):
            return False
        self._suspect = None
        return self._follow()

    def _has_successor(self) -> bool:
        """Whether there is another index to show. Until it has a generation, the one that is open is the last good."""
        if not Store.exists(self._state_dir):
            return False
        with closing(Store(self._state_dir)) as store:
            return bool(store.generation)

    def _complain(self, error: str) -> None:
        if error != self._error:
            _log.error("%s Until it can, every request is answered with an error.", error)
        self._error = error

    def _doubt(self) -> None:
        """Show nothing from now on, and let the kernel ask for what it knows of the topmost folders.

        Kodi, for one, keeps its library while a source cannot be looked at, and removes all of it if a source can be
        looked at and not be listed. So this comes before the request that met the damage is answered. It waits for
        nothing: names, which could make it wait, are forgotten later.
        """
        self._suspect = self._store.identity if self._store is not None else None
        self._handlers.show(None)
        _let_the_kernel_ask(_topmost())

    def _follow(self) -> bool:
        """Read the index if there is anything new in it; returns whether there is."""
        if self._store is None:
            if not Store.exists(self._state_dir):
                return False
            self._store = Store(self._state_dir)
        elif self._store.outdated() or not self._store.begin_anew():
            self._store.refresh()
        else:
            return False
        if self._store.generation:
            self._show(self._store)
        self._handlers.size = self._store.size
        return True

    def _show(self, store: Store) -> None:
        """Show the generation that is read. What it says of itself stands in the root, whether it is another or not."""
        tree = self._handlers.tree
        if tree is not None and store.generation == self._shown:
            self._handlers.show(tree, {ROOT_INODE})
            return
        is_first = tree is None
        changed = None if is_first else _few(store.changed_folders(self._shown))
        _shelves.update({number: shelf.name for number, shelf in store.shelves.shown.items()})
        tree = Tree(store, write_nfo=self._write_nfo, with_stats=True)
        listings = None if changed is None else {ROOT_INODE, *(each for each, is_listing in changed if is_listing)}
        self._handlers.show(tree, listings)
        if not is_first:
            # Who opens a folder now finds another listing in it, and must not find the time that it had before.
            _let_the_kernel_ask(_topmost() if changed is None else {ROOT_INODE, *(each for each, _ in changed)})

    def _let_go(self, patience: float = 0) -> None:
        self._handlers.start_afresh(patience)
        _let_the_kernel_ask(_topmost())
        if self._store is not None:
            self._store.close()
            self._store = None


def _few(folders: Iterator[tuple[int, bool]] | None) -> set[tuple[int, bool]] | None:
    """So many changes of folders as can be told while requests wait; None if there are more."""
    few = set(islice(folders, _FOLDERS_AT_ONCE)) if folders is not None else None
    return few if folders is not None and next(folders, None) is None else None


def _topmost() -> Iterator[int]:
    """The topmost folders, by their inodes, those of shelves included."""
    yield from _TOPMOST
    for shelf in list(_shelves):
        yield from (folder_inode(shelved(shelf, node)) for node in (ROOT_NODE, *SECTIONS.values()))


def _let_the_kernel_ask(folders: Iterable[int]) -> None:
    """Let the kernel ask for the attributes of folders. That waits for nothing."""
    for inode in folders:
        with suppress(OSError):
            pyfuse3.invalidate_inode(InodeT(inode), attr_only=True)


def is_sound(state_dir: Path) -> bool:
    """Whether an index that was doubted can be shown: it is whole, and all of its tree can be listed.

    Goes through all of it, which takes some ten seconds for a million items.
    """
    if not is_whole(state_dir):
        return False
    try:
        with closing(Store(state_dir)) as store:
            for _ in Tree(store, with_stats=True).walk():
                trio.from_thread.check_cancelled()
    except Exception:  # Damage shows as errors of any kind.
        _log.debug("The index is not sound.", exc_info=True)
        return False
    return True


def forget(state_dir: Path, step: Step) -> bool:
    """Tell the kernel what a step changed; returns whether it knows all that it has to.

    May wait for requests in flight: it runs in a thread that trio has started, and ends early if that is cancelled. It
    reads the changes for itself, since there can be a million.
    """
    # At first the kernel knows nothing, since it was told so when the index was lost; and is not ready to be told.
    told = step.before == 0 or _tell(state_dir, step)
    # The mount has just moved on, so what was written until now is in nobody's way.
    with suppress(IndexFileError):
        checkpoint(state_dir)
    return told


def _tell(state_dir: Path, step: Step) -> bool:
    try:
        _forget_step(state_dir, step)
    except Exception as error:  # Whatever it is, it must not end the mount.
        _log.error("%s So the kernel has to ask for everything again.", str(error) or type(error).__name__)
        _log.debug("unexpected error", exc_info=True)
        return forget_all()
    return True


def forget_all() -> bool:
    """Let the kernel look everything up again; returns whether it could be told."""
    try:
        _forget_all()
    except Exception:  # See `forget`.
        _log.debug("The kernel cannot be told to forget.", exc_info=True)
        return False
    return True


def _forget_step(state_dir: Path, step: Step) -> None:
    _forget(Change(What.ENTRY_GONE, 0, ROOT_INODE, STATS_NAME))
    _forget_listing(ROOT_INODE)
    if step.now == 0:
        _forget_all()
        return
    if step.before == step.now:
        return
    with closing(Store(state_dir)) as store:
        changes = store.changes(step.before, step.now)
        folders = store.changed_folders(step.before)
        if changes is None or folders is None:
            _forget_all()
            return
        for change in changes:
            trio.from_thread.check_cancelled()
            _forget(change)
        for folder, is_listing in folders:
            trio.from_thread.check_cancelled()
            if is_listing:
                _forget_listing(folder)


def _forget_all() -> None:
    """With a directory, the kernel drops what it knows of all that is below."""
    for name in (*SECTIONS, *list(_shelves.values())):
        _forget(Change(What.ENTRY_GONE, 0, ROOT_INODE, name))
    for inode in list(_topmost()):
        _forget_listing(inode)


def _forget_listing(directory: int) -> None:
    """Let the kernel forget the listing of a directory that it keeps, and its attributes.

    Who opens the directory gets the new listing without this (see `listings`); it is for those who have it open.
    """
    with suppress(FileNotFoundError):  # The kernel does not know it.
        pyfuse3.invalidate_inode(InodeT(directory))


def _forget(change: Change) -> None:
    try:
        if change.what == What.ATTRIBUTES_CHANGED:
            pyfuse3.invalidate_inode(InodeT(change.inode), attr_only=True)
        else:
            pyfuse3.invalidate_entry(InodeT(change.parent), change.name.encode())
    except FileNotFoundError:
        pass  # The kernel does not know it.
