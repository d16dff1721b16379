"""What is known of the folders that a run is working on."""

from collections.abc import Sequence

from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize.manifest import Folder, FolderState, Manifest, NodeFiles, WantedFile, without
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.materialize.write import FolderResult
from vod2strmfs.notify.change import What


class Directory:
    """A folder in which, or below which, something is being done. Only the thread that plans uses it.

    A directory is finished when nothing in it is pending any more; after that, its parent can be.

    Args:
        folder: the folder as the manifest has it.
        parent: the directory that the folder is in; None for the root.
        parts: the names on the way from the root to the folder, its own included.
    """

    def __init__(self, folder: Folder, parent: "Directory | None", parts: tuple[str, ...]) -> None:
        self.folder = folder
        self.parent = parent
        self.parts = parts
        self.series_name: str = parent.series_name if parent else ""
        """The name of the series that the folder belongs to, or is; else ""."""
        if folder.kind == NodeKind.SERIES:
            self.series_name = folder.name
        self.items: Sequence[NodeFiles] = ()
        self.leftovers: Sequence[NodeFiles] = ()
        self.pending = 1
        """Pending tasks in this directory and its subdirectories, plus one while it is still being planned. At 0 the
        directory is finished."""
        self.passed_by = True
        """True while nothing had to be compared in this directory or below."""
        self.compared = False
        """True once the directory's own files are compared with the plan."""
        self.touched = False
        """True once something in the directory was changed by this run."""
        self.finishing = False
        """True once the task that restores the directory's mtime has been queued."""
        self._finished = self._refused = False
        self._failed = self._kept = False
        self._moved: set[str] = set()
        self._finished_mtime = folder.finished_mtime
        if parent is not None:
            parent.pending += 1

    def mark_compared(self) -> None:
        """Note that the directory's own files are compared: neither it nor what it is in is passed by."""
        self.compared = True
        directory: Directory | None = self
        while directory is not None and directory.passed_by:
            directory.passed_by = False
            directory = directory.parent

    def take(self, done: FolderResult) -> None:
        """Take note of the result of one of the directory's tasks."""
        self.touched |= done.touched
        self._failed |= done.failed
        self._refused |= not done.opened
        self._kept |= done.kept
        self._moved |= done.moved
        if done.finished_mtime is not None:
            self._finished = True
            self._finished_mtime = done.finished_mtime
        if done.made:
            above = self.parent
            while above is not None:
                above.touched = True
                above = above.parent

    def must_be_finished(self) -> bool:
        """Whether the directory may need its mtime restored, by a last task of its own."""
        return (self.compared or self.touched) and not self.finishing and not self._refused

    def settle(self, manifest: Manifest) -> None:
        """Note in the manifest how the directory was finished: its state, its mtime, and what is in it."""
        if self.compared or self._finished:
            manifest.settle(self.folder.id, self._state(), self._finished_mtime)
        if self.compared and not self._failed and not self._kept and self._is_simpler():
            manifest.note_items(self.folder.id, list(map(_plain, self.items)), without(self.leftovers, self._moved))

    def tell(self, touched: Touched) -> None:
        """Note for media servers what became of the folder. A killed run may have done what there was to do."""
        was_due = self.folder.state in (FolderState.NEW, FolderState.CHANGED) and self.compared and not self._failed
        # Of a category, what changed in it is told of; in whose place it stands is told when it moves or goes.
        if (self.touched or was_due) and self.folder.kind != NodeKind.CATEGORY:
            what = What.CREATED if self.folder.state == FolderState.NEW else What.MODIFIED
            touched.note(self.folder.kind, self.parts, what, lost=bool(self._moved))

    def _is_simpler(self) -> bool:
        """Whether less is on disk than the manifest says: contents written over are gone, and so are names given up."""
        return bool(self._moved) or any(file.earlier for item in self.items for file in item.files)

    def _state(self) -> FolderState:
        """The state in which the directory is finished."""
        if self._failed:
            return FolderState.NEW if self.folder.state == FolderState.NEW else FolderState.CHANGED
        if not self.compared:
            return FolderState(self.folder.state)
        return FolderState.WATCHED if self._kept else FolderState.SETTLED


def _plain(item: NodeFiles) -> NodeFiles:
    """The files of a node without their earlier contents."""
    files = (
        WantedFile(file.name, file.slot, file.size, file.mtime, file.digest, image=file.image) for file in item.files
    )
    return NodeFiles(item.node, item.kind, item.uuid, tuple(files))
