"""Recognising items under new keys.

Dispatcharr deletes rows and makes them again, with new ids and UUIDs. What survives is the account and
stream id of a relation, the TMDB and IMDb ids, and the name: by them is told which of the items that
arrived is one that went. See docs/decisions/0011-what-is-the-same-title.md.
"""

import sqlite3
from collections.abc import Iterable

from vod2strmfs.library.kinds import NodeKind

_PLACE = f"node.parent * (node.kind IN ({NodeKind.EPISODE:d}, {NodeKind.VERSION:d}))"
"""An episode and a version are known by their names and ids within their folder alone."""
_FOLDER = f"node.parent * (node.kind = {NodeKind.VERSION:d})"
"""A version never leaves its movie: a movie that is held back would have nothing left to play."""
_NAME = "coalesce(node.plain, node.name)"

_OTHERS = """NOT (
    old.{0}tmdb != '' AND old.{0}tmdb = new.{0}tmdb OR old.{0}imdb != '' AND old.{0}imdb = new.{0}imdb
    OR (old.{0}tmdb = '' OR new.{0}tmdb = '' OR old.{0}tmdb = new.{0}tmdb)
        AND (old.{0}imdb = '' OR new.{0}imdb = '' OR old.{0}imdb = new.{0}imdb))"""
_OTHER_TITLES = f"({_OTHERS.format('')} OR {_OTHERS.format('series_')})"
"""Two items, or the series of two episodes, have ids that differ, and none that is the same."""

_EPISODE_PLACE = f"CASE node.kind WHEN {NodeKind.EPISODE:d} THEN node.parent END"

_KEYS = (
    ((_EPISODE_PLACE, "content.uuid", "content.account", "content.stream"), "true"),
    ((_EPISODE_PLACE, "content.uuid", "0", "0"), "true"),
    ((_PLACE, "content.account", "content.stream", _NAME), "true"),
    ((_PLACE, "nullif(content.tmdb, '')", "0", "0"), "true"),
    ((_PLACE, "nullif(content.imdb, '')", "0", "0"), "true"),
    ((_PLACE, _NAME, "0", "0"), f"NOT {_OTHER_TITLES}"),
    ((_FOLDER, "content.account", "nullif(content.stream, '')", "0"), f"NOT {_OTHER_TITLES}"),
)
"""What has to be equal, and what else must hold. The first two: episodes are rows' or relations', as `versions` is, and
have ids and names accordingly. The third one: a panel has corrected an id. The last one: what has neither an id nor a
name of before; panels deal out their stream ids anew."""

KEPT_OUT = """
CREATE TEMP TABLE IF NOT EXISTS kept_out (
    kind INTEGER NOT NULL, source INTEGER NOT NULL, uuid TEXT NOT NULL, account INTEGER NOT NULL, stream TEXT NOT NULL,
    tmdb TEXT NOT NULL, imdb TEXT NOT NULL
)"""
"""What the user's filters kept out of what this sync read, with its keys."""

_OTHER_THAN_KEPT_OUT = _OTHERS.format("").replace("new.", "kept.")
_SAME_AS_KEPT_OUT = (
    "kept.source = old.source AND kept.uuid = old.uuid",
    "kept.uuid = old.uuid AND kept.account = old.account AND kept.stream = old.stream",
    "kept.uuid = old.uuid",
    f"kept.account = old.account AND kept.stream = nullif(old.stream, '') AND NOT {_OTHER_THAN_KEPT_OUT}",
    "kept.tmdb = nullif(old.tmdb, '')",
    "kept.imdb = nullif(old.imdb, '')",
)

_SIDE = f"""
    SELECT node.id, content.tmdb, content.imdb,
        coalesce(series.tmdb, '') AS series_tmdb, coalesce(series.imdb, '') AS series_imdb,
        {{0}} AS a, {{1}} AS b, {{2}} AS c, {{3}} AS d,
        row_number() OVER (PARTITION BY {{0}}, {{1}}, {{2}}, {{3}} ORDER BY node.id) AS place
    FROM temp.{{side}} JOIN node USING (id) JOIN content USING (id)
    LEFT JOIN node AS season ON season.id = node.parent AND node.kind = {NodeKind.EPISODE:d}
    LEFT JOIN content AS series ON series.id = season.parent"""


def reunite(connection: sqlite3.Connection, gone: Iterable[int], arrived: Iterable[int]) -> dict[int, int]:
    """Which arrived node is which gone one; each at most once.

    Args:
        connection: to the index, with both among its nodes.
        gone: nodes of one kind that are no longer in the catalogue.
        arrived: nodes of the same kind that were added for rows that the index did not know.

    Returns:
        The gone node by the arrived one.
    """
    _fill(connection, gone, arrived)
    matches: dict[int, int] = {}
    for key, condition in _KEYS:
        pairs = _pairs(connection, key, condition)
        matches.update(pairs)
        connection.executemany("DELETE FROM temp.arrived WHERE id = ?", [(new,) for new, _ in pairs])
        connection.executemany("DELETE FROM temp.gone WHERE id = ?", [(old,) for _, old in pairs])
    return matches


def replaced(connection: sqlite3.Connection, gone: Iterable[int], others: Iterable[int]) -> dict[int, int]:
    """Which other title has the account and stream id of a gone one, by the node of that.

    Args:
        connection: to the index, with all of them among its nodes.
        gone: nodes of one kind that are no longer in the catalogue.
        others: nodes of the same kind that are.
    """
    _fill(connection, gone, others)
    key, _ = _KEYS[-1]
    return {old: new for new, old in _pairs(connection, key, _OTHER_TITLES)}


def name_kept_out(connection: sqlite3.Connection, kind: int, gone: Iterable[int]) -> None:
    """Give what is gone since a filter keeps it out the keys of the row that it is now: it may have another one by now,
    and is no less kept out.

    Args:
        connection: to the index, with the table `KEPT_OUT`.
        kind: a NodeKind.
        gone: nodes of that kind that are not among what is wanted.
    """
    _fill(connection, gone, ())
    for condition in _SAME_AS_KEPT_OUT:
        now = connection.execute(
            "SELECT min(kept.source), kept.uuid, old.id FROM temp.gone JOIN content AS old USING (id)"
            f" JOIN temp.kept_out AS kept ON kept.kind = ? AND {condition} GROUP BY old.id",
            (kind,),
        ).fetchall()
        connection.executemany("UPDATE content SET source = ?, uuid = ? WHERE id = ?", now)
        connection.executemany("DELETE FROM temp.gone WHERE id = ?", [(node,) for *_, node in now])


def _fill(connection: sqlite3.Connection, gone: Iterable[int], arrived: Iterable[int]) -> None:
    for table, nodes in (("gone", gone), ("arrived", arrived)):
        connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY)")
        connection.execute(f"DELETE FROM temp.{table}")
        connection.executemany(f"INSERT INTO temp.{table} VALUES (?)", [(node,) for node in sorted(nodes)])


def _pairs(connection: sqlite3.Connection, key: tuple[str, ...], condition: str) -> list[tuple[int, int]]:
    """Nodes of what arrived and of what went that have the same key; each at most once."""
    # Of several with the same key the first one that went is the first one that arrived, and so on.
    return connection.execute(
        f"SELECT new.id, old.id FROM ({_SIDE.format(*key, side='gone')}) old"
        f" JOIN ({_SIDE.format(*key, side='arrived')}) new USING (a, b, c, d, place) WHERE {condition}"
    ).fetchall()
