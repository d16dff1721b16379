"""Moving folders whose titles or places changed."""

import logging
from dataclasses import dataclass, field

from vod2strmfs.errors import OutputError
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize import files
from vod2strmfs.materialize.manifest import Folder, Manifest, Plan
from vod2strmfs.materialize.touched import Touched
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type, reason_of
from vod2strmfs.reports.writer import Report

_log = logging.getLogger("vod2strmfs")


@dataclass(frozen=True)
class Mover:
    """Moves folders, one at a time.

    One at a time is slow on a share if a whole library is renamed, but safe: another folder may take the name that one
    gives up.

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
    unmoved: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The parts of folders that were not moved since this is a dry run, by id."""

    def move(self, plan: Plan, parent: Folder, name: str) -> bool:
        """Move a folder, with everything in it.

        Args:
            plan: the folder.
            parent: the folder that it is to stand in.
            name: the name that it is to have.

        Returns:
            Whether its place is the new one: True too if the folder does not exist, False if something stands there.
        """
        parts, target = self._parts(plan.folder), self._parts(parent)
        try:
            if not self._exists(parts):
                return True
            if not self._move(parts, target, name):
                return False
        except OSError as error:
            _log.debug("%s: %s", "/".join(parts), error)
            self._report_failure(plan, reason_of(error))
            return False
        if self.dry_run:
            self.unmoved[plan.folder.id] = parts
        else:
            self.touched.moved(plan.folder.kind, parts, (*target, name))
        self._report(plan, parent, name, _before(parts, target, name))
        return True

    def resume(self) -> None:
        """Find out whether a killed run made the move that it had begun.

        Raises:
            OutputError: the root cannot be read.
        """
        moving = self.manifest.moving()
        if moving is None or self.root is None:
            return
        folder, parent, name = moving
        try:
            parts, target = self._parts(folder), self._parts(parent)
            moved = self._finish(target, name) or not self._exists(parts)
        except OSError as error:
            raise OutputError(f"output root: what is in it cannot be read ({error}).") from error
        if moved and not self.dry_run:
            self.touched.moved(folder.kind, parts, (*target, name))
        self.manifest.end_move(moved=moved)

    def _finish(self, target: tuple[str, ...], name: str) -> bool:
        """Finish a move to another spelling of a name that a killed run began; returns whether there was one."""
        assert self.root is not None
        if self.dry_run:
            return False
        try:
            with files.opened(self.root, target) as above:
                return files.finish_move(above, name)
        except FileNotFoundError:
            return False

    def _parts(self, folder: Folder) -> tuple[str, ...]:
        """The names on the way from the root to where a folder stands on disk, its own included."""
        parts: tuple[str, ...] = ()
        for step in self.manifest.path(folder):
            parts = self.unmoved.get(step.id, (*parts, step.name))
        return parts

    def _exists(self, parts: tuple[str, ...]) -> bool:
        if self.root is None:
            return False
        try:
            with files.opened(self.root, parts[:-1]) as above:
                return files.lstat(above, parts[-1]) is not None
        except FileNotFoundError:
            return False

    def _move(self, parts: tuple[str, ...], target: tuple[str, ...], name: str) -> bool:
        assert self.root is not None
        with files.opened(self.root, parts[:-1]) as before:
            try:
                with files.opened(self.root, target, make=not self.dry_run) as after:
                    return files.move(before, parts[-1], after, name, apply=not self.dry_run)
            except FileNotFoundError:
                if not self.dry_run:
                    raise
        return True

    def _report_failure(self, plan: Plan, reason: Reason) -> None:
        folder = plan.folder
        series = season = ""
        if folder.kind == NodeKind.SEASON:
            series, season = self.manifest.folder(folder.parent).name, folder.name
        self.report.add(ReportRow(Type.ERROR, series, season, folder.name, plan.uuid, Action.FAILED, reason))

    def _report(self, plan: Plan, parent: Folder, name: str, before: str) -> None:
        action = Action.MOVED.only_planned() if self.dry_run else Action.MOVED
        reason = Reason.RENAMED.about(before)
        match plan.folder.kind:
            case NodeKind.MOVIE:
                self.report.add(ReportRow(Type.MOVIE, "", "", name, plan.uuid, action, reason))
            case NodeKind.SERIES:
                self.report.add(ReportRow(Type.SERIES, name, "", "", plan.uuid, action, reason))
            case NodeKind.SEASON:
                self.report.add(ReportRow(Type.SERIES, parent.name, name, "", "", action, reason))


def _before(parts: tuple[str, ...], target: tuple[str, ...], name: str) -> str:
    """What to say of a move: the name before, or, if the folder comes to stand elsewhere, from where to where."""
    if parts[:-1] == target:
        return parts[-1]
    whence = parts[:-1] if parts[-1] == name else parts
    return f"from {'/'.join(whence)} to {'/'.join(target)}"
