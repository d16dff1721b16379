"""Moving folders whose titles or places changed."""

import logging
from dataclasses import dataclass, field

from vod2strmfs.errors import OutputError
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import Folder, Manifest, Plan
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.reports.rows import Action, Reason, Report, Row, Type, reason_of

_log = logging.getLogger("vod2strmfs")


@dataclass(frozen=True)
class Mover:
    """Moves folders, one at a time.

    That is slow on a share if a whole library is renamed, but safe: what one folder leaves, another may take.

    Args:
        root: the descriptor of the output root; None if there is none.
        manifest: knows where folders stand.
        report: gets the rows.
        touched: notes what was moved.
        dry_run: whether nothing is moved.
    """

    root: int | None
    manifest: Manifest
    report: Report
    touched: Touched
    dry_run: bool
    ways: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Where folders stand that were not moved since this is a dry run, name by name from the root; by id."""

    def move(self, plan: Plan, parent: Folder, name: str) -> bool:
        """Move a folder, with everything in it.

        Args:
            plan: the folder.
            parent: where it is to stand.
            name: what it is to be called.

        Returns:
            Whether its place is the new one. It is if the folder does not exist; it is not if something stands there.
        """
        way, target = self._way(plan.folder), self._way(parent)
        try:
            if not self._exists(way):
                return True
            if not self._move(way, target, name):
                return False
        except OSError as error:
            _log.debug("%s: %s", "/".join(way), error)
            self._report_failure(plan, reason_of(error))
            return False
        if self.dry_run:
            self.ways[plan.folder.id] = way
        else:
            self.touched.moved(plan.folder.kind, way, (*target, name))
        self._report(plan, parent, name)
        return True

    def resume(self) -> None:
        """Find out about a move that a killed run may have made.

        Raises:
            OutputError: the root cannot be read.
        """
        moving = self.manifest.moving()
        if moving is None or self.root is None:
            return
        folder, parent, name = moving
        try:
            way, target = self._way(folder), self._way(parent)
            moved = self._finish(target, name) or not self._exists(way)
        except OSError as error:
            raise OutputError(f"output root: what is in it cannot be read ({error}).") from error
        if moved and not self.dry_run:
            self.touched.moved(folder.kind, way, (*target, name))
        self.manifest.end_move(moved=moved)

    def _finish(self, target: tuple[str, ...], name: str) -> bool:
        """Finish a move to another spelling of a name; returns whether there was one."""
        assert self.root is not None
        if self.dry_run:
            return False
        try:
            with files.opened(self.root, target) as above:
                return files.finish_move(above, name)
        except FileNotFoundError:
            return False

    def _way(self, folder: Folder) -> tuple[str, ...]:
        """Where a folder stands on disk."""
        way: tuple[str, ...] = ()
        for step in self.manifest.path(folder):
            way = self.ways.get(step.id, (*way, step.name))
        return way

    def _exists(self, way: tuple[str, ...]) -> bool:
        if self.root is None:
            return False
        try:
            with files.opened(self.root, way[:-1]) as above:
                return files.look(above, way[-1]) is not None
        except FileNotFoundError:
            return False

    def _move(self, way: tuple[str, ...], target: tuple[str, ...], name: str) -> bool:
        assert self.root is not None
        with files.opened(self.root, way[:-1]) as before:
            try:
                with files.opened(self.root, target, make=not self.dry_run) as after:
                    return files.move(before, way[-1], after, name, apply=not self.dry_run)
            except FileNotFoundError:
                if not self.dry_run:
                    raise
        return True

    def _report_failure(self, plan: Plan, reason: Reason) -> None:
        folder = plan.folder
        series = season = ""
        if folder.kind == NodeKind.SEASON:
            series, season = self.manifest.folder(folder.parent).name, folder.name
        self.report.add(Row(Type.ERROR, series, season, folder.name, plan.uuid, Action.FAILED, reason))

    def _report(self, plan: Plan, parent: Folder, name: str) -> None:
        action = Action.MOVED.only_planned() if self.dry_run else Action.MOVED
        reason = Reason.RENAMED.about(plan.folder.name)
        match plan.folder.kind:
            case NodeKind.MOVIE:
                self.report.add(Row(Type.MOVIE, "", "", name, plan.uuid, action, reason))
            case NodeKind.SERIES:
                self.report.add(Row(Type.SERIES, name, "", "", plan.uuid, action, reason))
            case NodeKind.SEASON:
                self.report.add(Row(Type.SERIES, parent.name, name, "", "", action, reason))
