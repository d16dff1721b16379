"""The directories that are being worked on."""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import File, Folder, Item, State
from vod2strmfs.materialize.report import Action, Reason, Row, Type, reason_of

LEAVES = frozenset({NodeKind.MOVIE, NodeKind.SEASON})
"""Kinds of folder that hold no folders of ours."""


@dataclass(frozen=True)
class Settled:
    """How a directory was left."""

    folder: Folder
    state: State
    seen: int
    items: Sequence[Item] | None
    """What is in it now, if that is no longer what the manifest has; else None."""
    leftovers: Sequence[Item]


@dataclass(frozen=True)
class Site:
    """What all directories of a run have in common."""

    root: int | None
    """The descriptor of the output root; None if it does not exist."""
    dry_run: bool
    say: Callable[[Row | Settled], None]
    """Where rows and settled folders go. Called in any thread."""
    ways: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Where folders stand, name by name from the root, that a dry run would move; by id."""


class Directory:
    """A directory of the tree that a run works on.

    It is opened, and made if need be, when something in it is first asked for. It is finished when everyone who
    holds it has released it: then it gets its time, deeper directories before those that they are in. Threads may
    share it.

    Args:
        site: of the run.
        folder: as the manifest has it.
        parent: the directory that it is in; None for the root.
    """

    def __init__(self, site: Site, folder: Folder, parent: "Directory | None") -> None:
        self.site = site
        self.folder = folder
        self.parent = parent
        self.way: tuple[str, ...] = site.ways.get(folder.id) or ((*parent.way, folder.name) if parent else ())
        """Where it stands, name by name from the root."""
        self.created = False
        """Whether this run made it."""
        self.touched = False
        """Whether this run changed what is in it."""
        self.looked_at = False
        """Whether this run compares the files in it."""
        self.failed = False
        self.kept = False
        """Whether files that are not ours stand where ours should."""
        self.moved: set[str] = set()
        """Names that this run took away."""
        self.items: Sequence[Item] = ()
        self.leftovers: Sequence[Item] = ()
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._holders = 1
        self._descriptor: int | None = None
        self._missing = False
        self._error: OSError | None = None
        if parent is not None:
            parent.hold()

    def hold(self) -> None:
        """Keep it from being finished."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Let go of it. The last one to do so finishes it."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._finish()

    def open(self) -> int | None:
        """Its descriptor, valid while it is held; None if it does not exist and nothing may be written.

        Raises:
            OSError: it cannot be used. The report says so, once.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._descriptor is None and not self._missing:
                try:
                    self._open()
                except OSError as error:
                    self._error = error
                    self.fail(error)
                    raise
            return self._descriptor

    def fail(self, error: OSError, title: str = "", uuid: str = "") -> None:
        """Report an error with it or with something in it."""
        self.failed = True
        self.say(Type.ERROR, title or self.folder.name, uuid, Action.FAILED, reason_of(error))

    def say(self, kind: Type, title: str, uuid: str, action: Action, reason: Reason) -> None:
        """Report on something in it."""
        if self.site.dry_run:
            action = action.only_planned()
        self.site.say(Row(kind, self.series_name, self.season, title, uuid, action, reason))

    @property
    def series_name(self) -> str:
        """The name of the series that it belongs to, or ""."""
        if self.folder.kind == NodeKind.SERIES:
            return self.folder.name
        return self.parent.series_name if self.parent else ""

    @property
    def season(self) -> str:
        """The name of the season that it is, or ""."""
        return self.folder.name if self.folder.kind == NodeKind.SEASON else ""

    def _open(self) -> None:
        if self.parent is None or self.folder.id in self.site.ways:
            above, name = self.site.root, "/".join(self.way) or "."
        else:
            above, name = self.parent.open(), self.folder.name
        if above is None:
            self._missing = True
            return
        if self.folder.state == State.NEW and not self.site.dry_run and self.parent:
            self._make(above, name)
        try:
            self._descriptor = os.open(name, files.DIRECTORY_FLAGS, dir_fd=above)
        except FileNotFoundError:
            if self.site.dry_run:
                self._missing = True
                return
            self._make(above, name)
            self._descriptor = os.open(name, files.DIRECTORY_FLAGS, dir_fd=above)
        if not self.created and self.folder.kind in LEAVES and not self.site.dry_run:
            self._names = files.names(self._descriptor)

    def _make(self, above: int, name: str) -> None:
        assert self.parent is not None
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
            self.created = True
            self.parent.touched = True

    def _finish(self) -> None:
        try:
            if self._descriptor is not None and not self.site.dry_run:
                self._leave(self._descriptor)
            elif self._is_quiet_series():
                self.say(Type.SERIES, "", "", Action.SKIPPED, Reason.MATCHES)
        except OSError as error:
            self.fail(error)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
            if self.parent is not None:
                self.parent.release()

    def _is_quiet_series(self) -> bool:
        return (
            self.folder.kind == NodeKind.SERIES
            and self.folder.state == State.SETTLED
            and self._descriptor is None
            and not self._missing
            and self._error is None
        )

    def _leave(self, descriptor: int) -> None:
        """Set its time, and say how it is left."""
        unfinished = self.folder.state in (State.NEW, State.CHANGED)
        left = os.fstat(descriptor)
        due = self.touched or unfinished or (self.looked_at and not self._holds_others())
        if due and left.st_mtime_ns != self.folder.mtime:
            os.utime(descriptor, ns=(self.folder.mtime, self.folder.mtime))
            left = os.fstat(descriptor)
        if self.looked_at or self.touched:
            items, leftovers = self._contents()
            self.site.say(Settled(self.folder, self._state(), left.st_mtime_ns, items, leftovers))

    def _state(self) -> State:
        if self.failed:
            return State.NEW if self.folder.state == State.NEW else State.CHANGED
        if not self.looked_at:
            return State(self.folder.state)
        return State.WATCHED if self.kept else State.SETTLED

    def _holds_others(self) -> bool:
        """Whether somebody else's files are in it, as far as that is known. Their owner may wait for a media server
        to see by the directory's time that they came."""
        ours = {file.name for item in (*self.items, *self.leftovers) for file in item.files}
        return self.folder.kind not in LEAVES or not self._names <= ours

    def _contents(self) -> tuple[Sequence[Item] | None, Sequence[Item]]:
        """What is in it now: contents written over are gone, and so are names moved away."""
        if self.failed or self.kept or not self.looked_at:
            return None, ()
        if not self.moved and not any(file.earlier for item in self.items for file in item.files):
            return None, ()
        return [_settled(item) for item in self.items], without(self.leftovers, self.moved)


def without(items: Sequence[Item], names: set[str]) -> list[Item]:
    """The items but for the files of some names."""
    rest = [
        Item(item.node, item.kind, item.uuid, tuple(file for file in item.files if file.name not in names))
        for item in items
    ]
    return [item for item in rest if item.files]


def _settled(item: Item) -> Item:
    plain = (File(file.name, file.slot, file.size, file.mtime, file.digest) for file in item.files)
    return Item(item.node, item.kind, item.uuid, tuple(plain))
