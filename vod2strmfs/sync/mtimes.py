"""The modification times of directories."""

from vod2strmfs.library.kinds import ROOT_NODE, WAITING_NODE
from vod2strmfs.sync.draft import Draft


def settle_mtimes(draft: Draft) -> None:
    """Give every directory in or below which something changed the time of the change."""
    if draft.first:
        draft.age()
        return
    todo = draft.dirty | {_parent(draft, node) for node in draft.added}
    todo.discard(WAITING_NODE)
    above: set[int] = set()
    while todo:
        above |= todo
        todo = {_parent(draft, node) for node in todo} - above - {WAITING_NODE}
    draft.touch(above)


def _parent(draft: Draft, node: int) -> int:
    row = draft.connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
    return int(row[0]) if row else ROOT_NODE
