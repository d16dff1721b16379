"""Which titles a run touches: noted before the manifest forgets that there was something to do, so that a run that is
killed loses none of it."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from vod2strmfs.errors import UserError
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.notify.change import Change, What, merged, whole

_DEPTH = {NodeKind.CATEGORY: 0, NodeKind.MOVIE: 0, NodeKind.SERIES: 0, NodeKind.SEASON: 1}
"""How far above a folder the one stands that media servers are told of."""

_log = logging.getLogger("vod2strmfs")


class Touched:
    """Collects what a run did to titles.

    Args:
        keep: makes changes last, in a moment.
        limit: when more titles of a section than this are touched, the section stands for them.
    """

    def __init__(self, keep: Callable[[Sequence[Change]], None] = lambda changes: None, limit: int = 0) -> None:
        self._keep = keep
        self._limit = limit
        self._numbers: Counter[str] = Counter()
        self._pending: dict[str, Change] = {}

    def note(self, kind: int, way: Sequence[str], what: What, *, lost: bool = False) -> None:
        """Note that something was done to a folder.

        Args:
            kind: the folder's NodeKind.
            way: where it stands, name by name from the root.
            what: what was done to it.
            lost: whether something in it is gone.
        """
        depth = _DEPTH.get(NodeKind(kind))
        section = Change("/".join(way), what).section
        if depth is None or self._numbers[section] > self._limit:
            return
        path = "/".join(way[: len(way) - depth])
        change = Change(path, What.MODIFIED, lost or what == What.DELETED) if depth else Change(path, what, lost)
        before = self._pending.get(path)
        self._pending[path] = merged(before, change) if before else change
        self._numbers[section] += before is None
        if self._numbers[section] > self._limit:
            self._pending[section] = whole(section)

    def begin(self, *, is_first: bool) -> None:
        """Note whether nothing was written before: a first library is one scan, however small."""
        if is_first:
            self._limit = 0

    def moved(self, kind: int, before: Sequence[str], after: Sequence[str]) -> None:
        """Note that a folder stands elsewhere now."""
        self.note(kind, before, What.DELETED, lost=True)
        self.note(kind, after, What.CREATED)

    def flush(self) -> None:
        """Keep on disk what was noted. What cannot be kept now is kept with what comes next."""
        if not self._pending:
            return
        try:
            self._keep(list(self._pending.values()))
        except UserError as error:
            _log.error("%s So media servers may not be told of everything.", error)
            return
        self._pending = {}
