"""Recognising items under new keys.

Dispatcharr deletes rows and makes them again, with new ids and UUIDs. What survives is the account and
stream id of a relation, the TMDB and IMDb ids, and the name; in this order they tell which of the items that
arrived is one that went.
"""

import sqlite3
from collections.abc import Iterable

_KEYS = (
    ("content.account", "content.stream"),
    ("node.parent * (node.kind IN (5, 7))", "nullif(content.tmdb, '')"),
    ("node.parent * (node.kind IN (5, 7))", "nullif(content.imdb, '')"),
    ("node.parent * (node.kind IN (5, 7))", "coalesce(node.plain, node.name)"),
)
"""Two columns a key. An episode (kind 5) and a version (7) are known by the later ones within their folder alone."""


def reunite(connection: sqlite3.Connection, gone: Iterable[int], arrived: Iterable[int]) -> dict[int, int]:
    """Which arrived node is which gone one; each at most once.

    Args:
        connection: to the index, with both among its nodes.
        gone: nodes of one kind that are no longer in the catalogue.
        arrived: nodes of the same kind that were added for rows that the index did not know.

    Returns:
        The gone node by the arrived one.
    """
    for table, nodes in (("gone", gone), ("arrived", arrived)):
        connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY)")
        connection.execute(f"DELETE FROM temp.{table}")
        connection.executemany(f"INSERT INTO temp.{table} VALUES (?)", [(node,) for node in sorted(nodes)])
    matches: dict[int, int] = {}
    for first, second in _KEYS:
        side = f"SELECT id, {first} AS a, {second} AS b FROM temp.{{}} JOIN node USING (id) JOIN content USING (id)"
        pairs = connection.execute(
            f"SELECT new.id, old.id FROM ({side.format('gone')}) old JOIN ({side.format('arrived')}) new USING (a, b)"
            " ORDER BY old.id, new.id"
        ).fetchall()
        for new, old in pairs:
            if new not in matches:
                matches[new] = old
        connection.executemany("DELETE FROM temp.arrived WHERE id = ?", [(new,) for new in matches])
        connection.executemany("DELETE FROM temp.gone WHERE id = ?", [(old,) for old in matches.values()])
    return matches
