"""Counting a generation, for `.stats.csv`."""

import sqlite3

from vod2strmfs.library.kinds import FILE_KINDS, WAITING_NODE, NodeKind

_INDEX = {
    "movies": f"kind = {NodeKind.MOVIE:d}",
    "series": f"kind = {NodeKind.SERIES:d} AND parent != {WAITING_NODE}",
    "seasons": f"kind = {NodeKind.SEASON:d}",
    "episodes": f"kind = {NodeKind.EPISODE:d}",
    "series_without_episodes": f"kind = {NodeKind.SERIES:d} AND parent = {WAITING_NODE}",
    "collisions": "plain IS NOT NULL",
    "names_cut": "cut",
    "movies_held": f"kind = {NodeKind.MOVIE:d} AND held",
    "episodes_held": f"kind = {NodeKind.EPISODE:d} AND held",
}
_CONTENT = {
    "movies_without_ids": f"kind = {NodeKind.MOVIE:d} AND tmdb = '' AND imdb = ''",
    "series_without_ids": f"kind = {NodeKind.SERIES:d} AND tmdb = '' AND imdb = ''",
}
_FILES = {
    "directories": f"count(*) FILTER (WHERE kind NOT IN ({', '.join(f'{kind:d}' for kind in sorted(FILE_KINDS))}))",
    "strm_files": "count(*) FILTER (WHERE strm_size > 0)",
    "nfo_files": "count(*) FILTER (WHERE nfo_size > 0) + count(*) FILTER (WHERE alias != '')",
    "bytes": "sum(strm_size + nfo_size)",
}


def count(connection: sqlite3.Connection, in_database: dict[str, int]) -> dict[str, dict[str, int]]:
    """Metrics by scope and name.

    Args:
        connection: to the index.
        in_database: what the catalogue holds, by metric.
    """
    filters = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in _INDEX.values())
    nodes = connection.execute(f"SELECT {filters} FROM node").fetchone()
    filters = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in _CONTENT.values())
    contents = connection.execute(f"SELECT {filters}, coalesce(sum(bad_fields), 0) FROM content").fetchone()
    # Titles, and episodes of titles that are shown.
    filtered = connection.execute(
        "SELECT iif(kind = 'episode', 'episodes_', '') || 'filtered_by_' || setting, count(*) FROM filtered"
        " GROUP BY 1 ORDER BY 1"
    )
    files = connection.execute(
        f"SELECT {', '.join(_FILES.values())} FROM node WHERE parent != {WAITING_NODE} AND id != 0"
    ).fetchone()
    return {
        "database": in_database,
        "index": dict(zip((*_INDEX, *_CONTENT, "bad_fields"), (*nodes, *contents), strict=True)) | dict(filtered),
        "filesystem": dict(zip(_FILES, files, strict=True)),
    }
