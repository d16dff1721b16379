"""The catalogue's items beside those that the index has, both in ascending order of the catalogue's id."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vod2strmfs.catalog.queries import Kind, Part
from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.sync.brake import HELD_GONE

NODE_KINDS: dict[Kind, NodeKind] = {
    "movie": NodeKind.MOVIE,
    "version": NodeKind.VERSION,
    "series": NodeKind.SERIES,
    "episode": NodeKind.EPISODE,
}


class Known(NamedTuple):
    """An item as the index has it."""

    source: int
    node: int
    parent: int
    held: int
    uuid: str
    account: int
    stream: str
    item: bytes
    name: str
    """Before a collision changed it."""

    def differs(self, incoming: Incoming) -> bool:
        """Whether the catalogue has it otherwise."""
        # What waits has its place when it is shown.
        moved = self.parent not in (incoming.parent, WAITING_NODE) and incoming.kind != NodeKind.SERIES
        known = (self.uuid, self.account, self.stream, self.item)
        keys = incoming.keys
        return moved or known != (keys.uuid, keys.account, keys.stream, keys.item)


def nodes_of(connection: sqlite3.Connection, kind: Kind, condition: str = "") -> set[int]:
    """The nodes of one kind of item that fulfil a condition, if there is one."""
    # By its kind alone, an index finds what a node shows, and not the node.
    where = f"node WHERE kind = ? AND {condition}" if condition else "content WHERE kind = ?"
    query = f"SELECT id FROM {where}"
    return {node for (node,) in connection.execute(query, (NODE_KINDS[kind],))}


def known_items(connection: sqlite3.Connection, kind: Kind, part: Part | None) -> Iterator[Known]:
    """What the index has of one kind; a part of it only, if one is given."""
    where = "" if part is None else "AND " + part.condition().format(id="source")
    rows = connection.execute(
        f"""SELECT source, id, parent, held, uuid, account, stream, item, coalesce(plain, name)
        FROM content JOIN node USING (id) WHERE content.kind = ? {where} ORDER BY source, held = {HELD_GONE}""",
        (NODE_KINDS[kind],),
    )
    return map(Known._make, rows)


def merge(
    arriving: Iterable[tuple[int, Incoming]], known: Iterator[Known]
) -> Iterator[tuple[Incoming | None, Known | None]]:
    """Pair two sequences, each in ascending order of the catalogue's id."""
    item = next(known, None)
    for source, incoming in arriving:
        while item is not None and item.source < source:
            yield None, item
            item = next(known, None)
        if item is not None and item.source == source:
            yield incoming, item
            item = next(known, None)
        else:
            yield incoming, None
    while item is not None:
        yield None, item
        item = next(known, None)
