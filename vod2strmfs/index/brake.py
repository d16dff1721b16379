"""The shrink brake: a catalogue that suddenly lacks much of what it held is not believed at once.

A media server deletes what it no longer finds, with its watch state. So removals beyond a limit are held
back: the items stay in the tree until they are back in the catalogue, or an operator accepts their loss.
"""

import sqlite3
from collections.abc import Set

MIN_ITEMS = 20
"""So few removals are not held back, unless nothing would be left."""


def holds(gone: int, total: int, max_shrink: int) -> bool:
    """Whether removals are to be held back.

    Args:
        gone: how many items would be removed, those held back before included.
        total: how many there are, the gone ones included.
        max_shrink: the percentage that may be removed at once.
    """
    if gone == total:
        return gone > 0
    return gone > MIN_ITEMS and gone * 100 > max_shrink * total


def emptied_series(connection: sqlite3.Connection, gone: Set[int], lost_series: Set[int]) -> set[int]:
    """The episodes among those gone whose series is still there, and would have none left.

    Dispatcharr re-creates a series without its episodes, which come back when somebody opens it.

    Args:
        connection: to the index.
        gone: nodes of episodes.
        lost_series: nodes of series that are no longer in the catalogue either.
    """
    series_of: dict[int, list[int]] = {}
    for node in gone:
        [series] = connection.execute(
            "SELECT season.parent FROM node JOIN node AS season ON season.id = node.parent WHERE node.id = ?", (node,)
        ).fetchone()
        series_of.setdefault(series, []).append(node)
    emptied: set[int] = set()
    for series in series_of.keys() - lost_series:
        [episodes] = connection.execute(
            "SELECT count(*) FROM node JOIN node AS season ON season.id = node.parent WHERE season.parent = ?",
            (series,),
        ).fetchone()
        if episodes == len(series_of[series]):
            emptied.update(series_of[series])
    return emptied
