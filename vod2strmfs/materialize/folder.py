"""What is known of the folders that a run is working on."""

from collections.abc import Sequence

from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize.manifest import File, Folder, Item, Manifest, State, without
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.write import Done
from vod2strmfs.notify.change import What


class Directory:
    """A folder that something is done in, or below. Only the thread that plans uses it.

    It is finished when everything that was opened in it is closed again; its parent, after that.

    Args:
        folder: as the manifest has it.
        parent: the directory that it is in; None for the root.
        way: where it stands, name by name from the root.
    """

    def __init__(self, folder: Folder, parent: "Directory | None", way: tuple[str, ...]) -> None:
        self.folder = folder
        self.parent = parent
        self.way = way
        self.series_name: str = parent.series_name if parent else ""
        """The name of the series that it belongs to, or ""."""
        if folder.kind == NodeKind.SERIES:
            self.series_name = folder.name
        self.items: Sequence[Item] = ()
        self.leftovers: Sequence[Item] = ()
        self.open = 1
        """How many things in it are not done, planning included."""
        self.passed_by = True
        """Whether nothing had to be done in it or below."""
        self.looked_at = False
        """Whether its own files are compared."""
        self.touched = False
        """Whether something in it was changed."""
        self.leaving = False
        """Whether what gives it its time is under way, or was."""
        self._left = self._refused = False
        self._failed = self._kept = False
        self._moved: set[str] = set()
        self._seen = folder.seen
        if parent is not None:
            parent.open += 1

    def look_at(self) -> None:
        """Note that its files are compared."""
        self.looked_at = True
        directory: Directory | None = self
        while directory is not None and directory.passed_by:
            directory.passed_by = False
            directory = directory.parent

    def take(self, done: Done) -> None:
        """Take note of what was done."""
        self.touched |= done.touched
        self._failed |= done.failed
        self._refused |= not done.opened
        self._kept |= done.kept
        self._moved |= done.moved
        if done.seen is not None:
            self._left = True
            self._seen = done.seen
        if done.made:
            above = self.parent
            while above is not None:
                above.touched = True
                above = above.parent

    def has_to_be_left(self) -> bool:
        """Whether it may need to be given its time."""
        return (self.looked_at or self.touched) and not self.leaving and not self._refused

    def settle(self, manifest: Manifest) -> None:
        """Note in the manifest how it was left."""
        if self.looked_at or self._left:
            manifest.settle(self.folder.id, self._state(), self._seen)
        if self.looked_at and not self._failed and not self._kept and self._is_simpler():
            manifest.note_items(self.folder.id, list(map(_plain, self.items)), without(self.leftovers, self._moved))

    def tell(self, touched: Touched) -> None:
        """Note what became of it. A run that was killed may have done what there was to do."""
        was_due = self.folder.state in (State.NEW, State.CHANGED) and self.looked_at and not self._failed
        # Of a category, what changed in it is told of; in whose place it stands is told when it moves or goes.
        if (self.touched or was_due) and self.folder.kind != NodeKind.CATEGORY:
            what = What.CREATED if self.folder.state == State.NEW else What.MODIFIED
            touched.note(self.folder.kind, self.way, what, lost=bool(self._moved))

    def _is_simpler(self) -> bool:
        """Whether less is there than the manifest says: contents written over are gone, and so are names given up."""
        return bool(self._moved) or any(file.earlier for item in self.items for file in item.files)

    def _state(self) -> State:
        """How it is left."""
        if self._failed:
            return State.NEW if self.folder.state == State.NEW else State.CHANGED
        if not self.looked_at:
            return State(self.folder.state)
        return State.WATCHED if self._kept else State.SETTLED


def _plain(item: Item) -> Item:
    """The item without earlier contents."""
    files = (File(file.name, file.slot, file.size, file.mtime, file.digest) for file in item.files)
    return Item(item.node, item.kind, item.uuid, tuple(files))
