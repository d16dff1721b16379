"""What a report says of titles that are not in the tree, or not as one would expect."""

from collections.abc import Iterator, Set

from vod2strmfs.index.store import Remark, Store
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.reports.rows import Action, Reason, Row, Type

_TYPES = {
    NodeKind.MOVIE: Type.MOVIE,
    NodeKind.VERSION: Type.MOVIE,
    NodeKind.SERIES: Type.SERIES,
    NodeKind.SEASON: Type.SERIES,
    NodeKind.EPISODE: Type.EPISODE,
}
_ACTIONS = {
    Reason.FILTERED: Action.SKIPPED,
    Reason.NO_EPISODES: Action.SKIPPED,
}


def remark_rows(store: Store, kinds: Set[int]) -> Iterator[Row]:
    """A row for each remark of the index about a node of some kinds."""
    return (_row(remark) for remark in store.remarks() if remark.kind in kinds)


def _row(remark: Remark) -> Row:
    kind, reason = NodeKind(remark.kind), Reason(remark.what)
    series = remark.name if kind == NodeKind.SERIES else remark.series
    title = "" if kind == NodeKind.SERIES else remark.name
    action = _ACTIONS.get(reason, Action.NOTED)
    return Row(_TYPES[kind], series, remark.season, title, remark.uuid, action, reason.about(remark.detail or ""))
