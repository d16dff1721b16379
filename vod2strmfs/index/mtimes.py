"""The modification times of directories."""

from vod2strmfs.index.draft import Draft
from vod2strmfs.library.kinds import FILE_KINDS, ROOT_NODE, WAITING_NODE, NodeKind

_FILE_KINDS = ", ".join(str(kind.value) for kind in sorted(FILE_KINDS))

_STEP = 60 * 10**9
"""Nanoseconds that a clock may be set back, and times go on. A time further ahead was a wrong clock's: to count on from
it would differ too little for a server that looks at seconds."""


def settle_mtimes(draft: Draft) -> None:
    """Give every directory in or below which something changed the time of the change."""
    if draft.first:
        _at_first_sight(draft)
        return
    todo = draft.dirty | {_parent(draft, node) for node in draft.added}
    todo.discard(WAITING_NODE)
    above: set[int] = set()
    while todo:
        above |= todo
        todo = {_parent(draft, node) for node in todo} - above - {WAITING_NODE}
    draft.connection.executemany(
        f"UPDATE node SET mtime = CASE WHEN mtime > ?1 + {_STEP} THEN ?1 ELSE max(?1, mtime + 1) END"
        f" WHERE id = ?2 AND kind NOT IN ({_FILE_KINDS})",
        [(draft.now, node) for node in above],
    )
    draft.changed |= above


def _at_first_sight(draft: Draft) -> None:
    """A directory is as old as the newest thing in it: the same on every host."""
    newest = "SELECT max(max(mtime, strm_mtime, nfo_mtime)) FROM node AS below WHERE below.parent = node.id"
    for kind in (NodeKind.MOVIE, NodeKind.SEASON, NodeKind.SERIES, NodeKind.CATEGORY, NodeKind.SECTION):
        draft.connection.execute(f"UPDATE node SET mtime = max(mtime, coalesce(({newest}), 0)) WHERE kind = ?", (kind,))
    draft.connection.execute(f"UPDATE node SET mtime = coalesce(({newest} AND id != 0), 0) WHERE id = 0")


def _parent(draft: Draft, node: int) -> int:
    row = draft.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
    return int(row[0]) if row else ROOT_NODE
