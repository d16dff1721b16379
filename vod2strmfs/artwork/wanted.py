"""Which images the library wants: what the items of the index say."""

from collections.abc import Iterator
from pathlib import Path

from vod2strmfs.artwork.queue import Wish
from vod2strmfs.index.joined import plays_others
from vod2strmfs.index.reading import reading
from vod2strmfs.library.contents import decode_kind
from vod2strmfs.library.items import Episode, Movie, Series
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind, Slot

_ITEMS = f"""
    SELECT content.id, content.kind, content.item FROM content JOIN node USING (id)
    WHERE parent != {WAITING_NODE} AND content.kind IN ({{kinds}}) ORDER BY content.id"""
_PLAYED_ITEMS = _ITEMS.replace("content.item", "coalesce(played.item, content.item)").replace(
    "WHERE", "LEFT JOIN played ON played.id = content.id WHERE"
)
"""The same, where the NFOs of some nodes are made of other rows than their own."""
_LONGEST_URL = 2000
"""Characters."""


def wishes(state_dir: Path, *, episodes: bool) -> Iterator[Wish]:
    """What the library wants, in order of node and slot: what it shows, and not what waits out of sight.

    Args:
        state_dir: where the index is.
        episodes: whether episodes are to have stills.

    Raises:
        IndexFileError: the index cannot be read.
    """
    kinds = [NodeKind.MOVIE, NodeKind.SERIES, *([NodeKind.EPISODE] if episodes else [])]
    marks = ", ".join(f"{kind:d}" for kind in kinds)
    with reading(state_dir) as connection:
        query = _PLAYED_ITEMS if plays_others(connection) else _ITEMS
        for node, kind, data in connection.execute(query.format(kinds=marks)):
            item = decode_kind(data, kind)
            if isinstance(item, Episode):
                if _is_usable(item.poster):
                    yield Wish(node, Slot.POSTER, 2, item.poster)
            elif isinstance(item, Movie | Series):
                if _is_usable(item.poster):
                    yield Wish(node, Slot.POSTER, 0, item.poster)
                if item.fanart and _is_usable(item.fanart[0]):
                    yield Wish(node, Slot.FANART, 1, item.fanart[0])


def _is_usable(url: str) -> bool:
    return 0 < len(url) <= _LONGEST_URL
