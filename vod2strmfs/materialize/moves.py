"""Moving folders whose titles or places changed."""

import logging
import os
from dataclasses import dataclass

from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.materialize import files
from vod2strmfs.materialize.directories import Site
from vod2strmfs.materialize.manifest import Folder, Manifest, Plan
from vod2strmfs.materialize.report import Action, Reason, Row, Type, reason_of

_log = logging.getLogger("vod2strmfs")


@dataclass(frozen=True)
class Mover:
    """Moves folders, one at a time.

    That is slow on a share if a whole library is renamed, but safe: what one folder leaves, another may take.

    Args:
        site: of the run.
        manifest: knows where folders stand.
    """

    site: Site
    manifest: Manifest

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
            self.site.say(Row(Type.ERROR, "", "", plan.folder.name, plan.uuid, Action.FAILED, reason_of(error)))
            return False
        if self.site.dry_run:
            self.site.ways[plan.folder.id] = way
        self._report(plan, parent, name)
        return True

    def _way(self, folder: Folder) -> tuple[str, ...]:
        """Where a folder stands on disk."""
        way: tuple[str, ...] = ()
        for step in self.manifest.path(folder):
            way = self.site.ways.get(step.id) or (*way, step.name)
        return way

    def _exists(self, way: tuple[str, ...]) -> bool:
        if self.site.root is None:
            return False
        try:
            with files.opened(self.site.root, way[:-1]) as above:
                return files.look(above, way[-1]) is not None
        except FileNotFoundError:
            return False

    def _move(self, way: tuple[str, ...], target: tuple[str, ...], name: str) -> bool:
        assert self.site.root is not None
        with files.opened(self.site.root, way[:-1]) as before:
            if self.site.dry_run:
                return True
            with files.opened(self.site.root, target, make=True) as after:
                if files.is_free(before, way[-1], after, name):
                    os.rename(way[-1], name, src_dir_fd=before, dst_dir_fd=after)
                    return True
        return False

    def _report(self, plan: Plan, parent: Folder, name: str) -> None:
        action = Action.MOVED.only_planned() if self.site.dry_run else Action.MOVED
        match plan.folder.kind:
            case NodeKind.MOVIE:
                row = Row(Type.MOVIE, "", "", name, plan.uuid, action, Reason.RENAMED)
            case NodeKind.SERIES:
                row = Row(Type.SERIES, name, "", "", plan.uuid, action, Reason.RENAMED)
            case NodeKind.SEASON:
                row = Row(Type.SERIES, parent.name, name, "", "", action, Reason.RENAMED)
            case _:
                return
        self.site.say(row)
