"""Counting a generation, for `.stats.csv`, and what the shrink brake holds."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from contextlib import closing
from pathlib import Path

from vod2strmfs.index.art import shows_art
from vod2strmfs.index.file import connect
from vod2strmfs.index.held import GONE, RENAMED, Held
from vod2strmfs.index.remarks import RemarkKind
from vod2strmfs.index.shelves import ShownShelf, shown_shelves
from vod2strmfs.library.contents import long_strm
from vod2strmfs.library.kinds import FILE_KINDS, WAITING_NODE, NodeKind, Slot
from vod2strmfs.settings import LibrarySettings, MediaServer
from vod2strmfs.shrink import too_many
from vod2strmfs.sync.brake import HELD_GONE, HELD_NAME, is_replaced

_FEW_CHANGES = 20_000
"""Up to so many nodes it is worth to count them alone."""
_MERGED = "SELECT joined.node FROM joined WHERE joined.node != host"
"""The nodes of rows that other rows of their title stand for."""
_INDEX = {
    "movies": f"kind = {NodeKind.MOVIE:d} AND parent != {WAITING_NODE}",
    "movies_merged": f"kind = {NodeKind.MOVIE:d} AND parent = {WAITING_NODE}",
    "series": f"kind = {NodeKind.SERIES:d} AND parent != {WAITING_NODE}",
    "seasons": f"kind = {NodeKind.SEASON:d}",
    "episodes": f"kind = {NodeKind.EPISODE:d} AND parent != {WAITING_NODE}",
    "series_merged": f"kind = {NodeKind.SERIES:d} AND id IN ({_MERGED})",
    "episodes_merged": f"kind = {NodeKind.EPISODE:d} AND parent = {WAITING_NODE}",
    "series_without_episodes": f"kind = {NodeKind.SERIES:d} AND id NOT IN ({_MERGED})"
    " AND NOT EXISTS (SELECT 1 FROM node AS below WHERE below.parent = node.id)",
    "collisions": "plain IS NOT NULL",
    "names_cut": "cut",
    "movies_held": f"kind = {NodeKind.MOVIE:d} AND held = {HELD_GONE} AND parent != {WAITING_NODE}",
    "episodes_held": f"kind = {NodeKind.EPISODE:d} AND held = {HELD_GONE} AND parent != {WAITING_NODE}",
    "movies_not_renamed": f"kind = {NodeKind.MOVIE:d} AND held = {HELD_NAME}",
    "series_not_renamed": f"kind = {NodeKind.SERIES:d} AND held = {HELD_NAME}",
    "episodes_not_renamed": f"kind = {NodeKind.EPISODE:d} AND held = {HELD_NAME}",
    "marks_contradicted": f"kind = {NodeKind.MOVIE:d} AND id IN (SELECT id FROM contradicted)",
    "long_urls": "strm_size >= :long",
}
_CONTENT = {
    "movies_without_ids": f"kind = {NodeKind.MOVIE:d} AND tmdb = '' AND imdb = ''",
    "series_without_ids": f"kind = {NodeKind.SERIES:d} AND tmdb = '' AND imdb = ''",
}
_NFOS = {"spec": f"(nfo_size > 0 AND kind != {NodeKind.SERIES:d})"}
"""How many NFOs a node has, where that is not `_ALL_NFOS`; see `library.tree`."""
_ALL_NFOS = "((nfo_size > 0) + (alias != ''))"
_FILES = {
    "directories": f"count(*) FILTER (WHERE kind NOT IN ({', '.join(f'{kind:d}' for kind in sorted(FILE_KINDS))}))",
    "strm_files": "count(*) FILTER (WHERE strm_size > 0)",
    "nfo_files": "sum({nfos})",
    "bytes": "sum(strm_size + {nfos} * nfo_size)",
}
_IMAGES = "count(*), coalesce(sum(art.size), 0)"
_ON_SHELF = """
    WITH title AS (SELECT node AS id FROM shelved WHERE shelf = :shelf),
    below AS (SELECT node.id, node.kind FROM title JOIN node ON node.parent = title.id WHERE node.kind IN {below})
    SELECT {{counted}} FROM (
        SELECT id FROM title UNION ALL SELECT id FROM below
        UNION ALL SELECT node.id FROM below JOIN node ON node.parent = below.id
    ) JOIN node USING (id) {{joined}}""".format(below=f"({NodeKind.SEASON:d}, {NodeKind.VERSION:d})")
"""What stands on a shelf, of which `counted` is to be said. What a category holds is on the shelf by itself."""
_WITH_ART = "JOIN art ON art.node = node.id AND art.image != ''"
_WAITING = f"""
    SELECT (SELECT count(*) FROM library.node WHERE strm_size > 0 AND parent != {WAITING_NODE})
        - (SELECT count(*) FROM main.node WHERE strm_size > 0)"""
"""Films of the library that are not in the films' index."""
_FILM_NODES = f"{_FILES['directories']}, coalesce(sum({{nfos}}), 0), coalesce(sum({{nfos}} * nfo_size), 0)"
_FILM_ART = (
    f"count(*) FILTER (WHERE slot = {Slot.STRM}), count(*) FILTER (WHERE slot != {Slot.STRM}),"
    " coalesce(sum(art.size), 0)"
)
_FILM_METRICS = ("directories", "nfo_files", "nfo_bytes", "film_files", "image_files", "art_bytes")
_FILM_FILES = ("directories", "film_files", "nfo_files", "image_files", "bytes")
_KINDS = {NodeKind.MOVIE: "movies", NodeKind.SERIES: "series", NodeKind.EPISODE: "episodes"}

_HELD = f"""
    SELECT node.kind, node.held, coalesce(own.setting, above.setting, ''), count(*)
    FROM node JOIN content USING (id)
    LEFT JOIN filtered AS own ON own.source = content.source AND own.uuid = content.uuid
        AND own.kind = CASE node.kind WHEN {NodeKind.MOVIE:d} THEN 'movie' ELSE 'episode' END
    LEFT JOIN node AS season ON season.id = node.parent AND node.kind = {NodeKind.EPISODE:d}
    LEFT JOIN content AS series ON series.id = season.parent
    LEFT JOIN filtered AS above ON above.kind = 'series' AND above.source = series.source AND above.uuid = series.uuid
    WHERE node.kind = ? AND node.held = {{held}} AND node.parent != {WAITING_NODE} GROUP BY 1, 2, 3"""
_HAS_OTHERS = f"""
    SELECT 1 FROM node JOIN node AS season ON season.id = node.parent JOIN node AS other ON other.parent IN
        (SELECT id FROM node AS sibling WHERE sibling.parent = season.parent)
    WHERE node.kind = {NodeKind.EPISODE:d} AND node.held = {HELD_GONE} AND other.held = 0 LIMIT 1"""


def count(
    connection: sqlite3.Connection, media_server: MediaServer, nodes: Set[int] | None = None
) -> dict[str, dict[str, int]]:
    """Metrics by scope and name.

    Args:
        connection: to the index.
        media_server: for which the library is made.
        nodes: those that are counted, if not all. What the filters keep out is counted in either case.
    """
    among = "" if nodes is None else "AND id IN (SELECT value FROM json_each(:nodes))"
    values = {"long": long_strm(media_server), "nodes": json.dumps(sorted(nodes or ()))}
    filters = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in _INDEX.values())
    found = connection.execute(f"SELECT {filters} FROM node WHERE true {among}", values).fetchone()
    filters = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in _CONTENT.values())
    contents = connection.execute(
        f"SELECT {filters}, coalesce(sum(bad_fields), 0) FROM content WHERE true {among}", values
    ).fetchone()
    counted = ", ".join(_FILES.values()).format(nfos=_NFOS.get(media_server, _ALL_NFOS))
    files = connection.execute(
        f"SELECT {counted} FROM node WHERE parent != {WAITING_NODE} AND id != 0 {among}", values
    ).fetchone()
    index = dict(zip((*_INDEX, *_CONTENT, "bad_fields"), (*found, *contents), strict=True))
    images = f"SELECT {_IMAGES} FROM node {_WITH_ART} WHERE parent != {WAITING_NODE} {among}"
    return {
        "index": index | _filtered(connection),
        "filesystem": _with_images(connection, zip(_FILES, files, strict=True), images, values),
    }


def count_films(connection: sqlite3.Connection, media_server: MediaServer) -> dict[str, dict[str, int]]:
    """Metrics of the films' index, by scope and name; the library's is attached as `library`.

    Args:
        connection: to the index.
        media_server: for which the library is made.
    """
    kinds = ("movies", "series", "seasons", "episodes")
    index = ", ".join(f"count(*) FILTER (WHERE {_INDEX[kind]})" for kind in kinds)
    found = connection.execute(f"SELECT {index} FROM main.node").fetchone()
    [waiting] = connection.execute(_WAITING).fetchone()
    metrics = dict(zip(kinds, found, strict=True)) | {"films_waiting": waiting}
    shelves = shown_shelves(connection)
    queries: list[tuple[str, dict[str, int], int]] = [
        (_ON_SHELF, {"shelf": number}, 2 if shelf.alone else 3) for number, shelf in shelves.items()
    ]
    if not any(shelf.alone for shelf in shelves.values()):
        queries.append(("SELECT {counted} FROM main.node {joined} WHERE id != 0", {}, 0))
    files = Counter[str]()
    for query, values, directories in queries:
        nfos = _NFOS.get(media_server, _ALL_NFOS)
        nodes = query.format(counted=_FILM_NODES.format(nfos=nfos), joined="")
        art = query.format(counted=_FILM_ART, joined=_WITH_ART)
        row = (*connection.execute(nodes, values).fetchone(), *connection.execute(art, values).fetchone())
        files.update(dict(zip(_FILM_METRICS, row, strict=True)), directories=directories)
    files["bytes"] += files.pop("nfo_bytes") + files.pop("art_bytes")
    counted = {"index": metrics, "filesystem": {metric: files[metric] for metric in _FILM_FILES}}
    return counted | {"index": metrics | _titles_on(connection, shelves)} if shelves else counted


def _with_images(
    connection: sqlite3.Connection, files: Iterable[tuple[str, int | None]], query: str, values: Mapping[str, object]
) -> dict[str, int]:
    """Metrics of files, images included.

    Args:
        connection: to the index.
        files: the metrics of the other files.
        query: asks how many images there are, and of how many bytes.
        values: for the query.
    """
    counted = {metric: number or 0 for metric, number in files}
    number, size = connection.execute(query, values).fetchone() if shows_art(connection) else (0, 0)
    return counted | {"image_files": number, "bytes": counted["bytes"] + size}


def count_changes(
    connection: sqlite3.Connection,
    state_dir: Path,
    media_server: MediaServer,
    before: Mapping[str, Mapping[str, int]],
    gone: Set[int],
    come: Set[int],
) -> dict[str, dict[str, int]]:
    """Metrics of a generation being made in an index without shelves, by those of the one before it.

    Args:
        connection: to the index.
        state_dir: where the index is, as it was.
        media_server: for which the library is made.
        before: the metrics of the generation before.
        gone: the nodes of that one that are otherwise now.
        come: what became of them, and nodes that were added.
    """
    if len(come) > _FEW_CHANGES:
        return count(connection, media_server)
    with closing(connect(state_dir)) as index:
        gone_metrics = count(index, media_server, gone)
    return recount(connection, before, gone_metrics, count(connection, media_server, come))


def recount(
    connection: sqlite3.Connection,
    before: Mapping[str, Mapping[str, int]],
    gone: Mapping[str, Mapping[str, int]],
    come: Mapping[str, Mapping[str, int]],
) -> dict[str, dict[str, int]]:
    """Metrics of a generation, by those of the one before it.

    Args:
        connection: to the index.
        before: the metrics of that one.
        gone: what those nodes counted in it that are otherwise now.
        come: what they count now, and those that were added.
    """
    changed = {
        # A metric that an earlier version of this program did not count is counted with the next whole sync.
        scope: {
            metric: before[scope].get(metric, 0) - number + come[scope][metric] for metric, number in numbers.items()
        }
        for scope, numbers in (("index", _without_filtered(gone["index"])), ("filesystem", gone["filesystem"]))
    }
    return changed | {"index": with_filtered(connection, changed["index"])}


def with_filtered(connection: sqlite3.Connection, index: Mapping[str, int]) -> dict[str, int]:
    """The metrics of a generation's index, with what the filters keep out as it is now."""
    return _without_filtered(index) | _filtered(connection)


def _filtered(connection: sqlite3.Connection) -> dict[str, int]:
    """How many titles, and episodes of titles that are shown, the filters keep out."""
    return dict(
        connection.execute(
            "SELECT iif(kind = 'episode', 'episodes_', '') || 'filtered_by_' || setting, count(*) FROM filtered"
            " GROUP BY 1 ORDER BY 1"
        )
    )


def _without_filtered(numbers: Mapping[str, int]) -> dict[str, int]:
    return {metric: number for metric, number in numbers.items() if "filtered_by_" not in metric}


def count_shelves(
    connection: sqlite3.Connection, media_server: MediaServer, library: dict[str, dict[str, int]]
) -> dict[str, dict[str, int]]:
    """Metrics by scope and name, shelves included.

    Args:
        connection: to the index.
        media_server: for which the library is made.
        library: the metrics of the library, without shelves.
    """
    if not (shelves := shown_shelves(connection)):
        return library
    counted = ", ".join(_FILES.values()).format(nfos=_NFOS.get(media_server, _ALL_NFOS))
    files = {} if any(shelf.alone for shelf in shelves.values()) else library["filesystem"]
    for number, shelf in shelves.items():
        rows = connection.execute(_ON_SHELF.format(counted=counted, joined=""), {"shelf": number}).fetchone()
        images = _ON_SHELF.format(counted=_IMAGES, joined=_WITH_ART)
        found = _with_images(connection, zip(_FILES, rows, strict=True), images, {"shelf": number})
        # Movies, TV, and the shelf's own.
        found["directories"] += 2 if shelf.alone else 3
        files = {metric: value + files.get(metric, 0) for metric, value in found.items()}
    return library | {"index": library["index"] | _titles_on(connection, shelves), "filesystem": files}


def _titles_on(connection: sqlite3.Connection, shelves: Mapping[int, ShownShelf]) -> dict[str, int]:
    """How many titles stand on each shelf, and what is wrong with them."""
    titles = f"kind IN ({NodeKind.MOVIE:d}, {NodeKind.SERIES:d})"
    query = f"SELECT count(*) FROM shelved JOIN node ON node.id = shelved.node WHERE shelf = ? AND {titles}"
    counted = {
        f"titles_on_shelf_{shelf.name}": connection.execute(query, (number,)).fetchone()[0]
        for number, shelf in shelves.items()
    }
    [held] = connection.execute("SELECT count(*) FROM shelved WHERE held").fetchone()
    lines = "SELECT count(*) FROM shelf_remark WHERE what = ?"
    [unmatched] = connection.execute(lines, (RemarkKind.NO_TITLE,)).fetchone()
    [unread] = connection.execute("SELECT count(*) FROM shelf WHERE problem != ''").fetchone()
    return counted | {"shelf_titles_held": held, "picks_without_title": unmatched, "picks_not_read": unread}


def find_held(connection: sqlite3.Connection, settings: LibrarySettings, max_shrink: int) -> list[Held]:
    """What is held.

    Args:
        connection: to the index.
        settings: the library's.
        max_shrink: the percentage beyond which it was held.
    """
    found: list[Held] = []
    for kind, name in _KINDS.items():
        rows = [
            row
            for held in (HELD_GONE, HELD_NAME)
            # Series are held for their episodes' sake, unless for their names'.
            if (kind, held) != (NodeKind.SERIES, HELD_GONE)
            for row in connection.execute(_HELD.format(held=held), (kind,)).fetchall()
        ]
        if not rows:
            continue
        [total] = connection.execute(
            f"SELECT count(*) FROM node WHERE kind = ? AND parent != {WAITING_NODE}", (kind,)
        ).fetchone()
        numbers = Counter[int]()
        for _, held, _, number in rows:
            numbers[held] += number
        for _, held, setting, number in rows:
            cause = RENAMED if held == HELD_NAME else _given(setting, settings) or GONE
            limit = _limit(connection, kind, held, numbers[held], total, max_shrink)
            found.append(Held(name, number, total, cause, limit))
    return found


def _given(setting: str, settings: LibrarySettings) -> str:
    """A setting and its value, as in `years = 2000-`."""
    if not setting:
        return ""
    value = getattr(settings, setting, "")
    return f"{setting} = {', '.join(map(str, value)) if isinstance(value, tuple) else value}"


def _limit(connection: sqlite3.Connection, kind: NodeKind, held: int, number: int, total: int, max_shrink: int) -> str:
    percent = f"max_shrink = {max_shrink} %"
    if number == total and held == HELD_GONE:
        return "nothing would be left"
    if too_many(number, total, max_shrink):
        return f"more than {percent}"
    if held == HELD_GONE:
        nodes = connection.execute("SELECT id FROM node WHERE kind = ? AND held = ?", (kind, HELD_GONE))
        gone = {node for (node,) in nodes}
        if is_replaced(connection, kind, gone, total, max_shrink):
            return "other titles have their stream ids"
    if (kind, held) == (NodeKind.EPISODE, HELD_GONE) and not connection.execute(_HAS_OTHERS).fetchone():
        return "their series would have none left"
    what = "went" if held == HELD_GONE else "was renamed"
    return f"with what {what} in the last 24 hours more than {percent}"
