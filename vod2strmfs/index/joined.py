"""Titles that several of the catalogue's rows stand for: the tables that say which rows, and which of them plays.

Each row keeps a node of its own. Of the nodes of one title the *host* stands in the tree; the others wait out of sight
(`WAITING_NODE`), so that nothing is forgotten when rows part again. See docs/decisions/0022-one-title-all-its-rows.md.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.file import connect
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind

TABLES = (
    """CREATE TABLE IF NOT EXISTS title (  -- by what a row is known to be the same title as another
        node INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        name INTEGER NOT NULL,             -- see `sync.same_title.name_key`; 0: unknown, < 0: adult
        tmdb TEXT NOT NULL, imdb TEXT NOT NULL,
        height INTEGER NOT NULL            -- lines of the picture, as measured now or before; 0: never
    )""",
    """CREATE TABLE IF NOT EXISTS joined (  -- the rows of titles that have more than one; a host is its own
        node INTEGER PRIMARY KEY, host INTEGER NOT NULL, why TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS joined_host ON joined (host)",
    """CREATE TABLE IF NOT EXISTS played (  -- what hosts' files are made of, where that is not their own row
        id INTEGER PRIMARY KEY, node INTEGER NOT NULL,
        uuid TEXT NOT NULL, account INTEGER NOT NULL, stream TEXT NOT NULL, item BLOB NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS contradicted (  -- movies whose marks say another quality than was measured
        id INTEGER PRIMARY KEY, what TEXT NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS priority (account INTEGER PRIMARY KEY, name TEXT NOT NULL, priority INTEGER NOT NULL)",
)
"""Tables that a sync makes when it first writes an index: those of earlier versions lack them."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS title_name ON title (name) WHERE name != 0",
    "CREATE INDEX IF NOT EXISTS title_tmdb ON title (tmdb) WHERE tmdb != ''",
    "CREATE INDEX IF NOT EXISTS title_imdb ON title (imdb) WHERE imdb != ''",
)
"""SQLite's indexes of these tables, made after many rows were written."""


def has_titles(connection: sqlite3.Connection) -> bool:
    """Whether an index has these tables: one that was last written by an earlier version has none."""
    return _has_table(connection, "played")


def has_contradictions(connection: sqlite3.Connection) -> bool:
    """Whether an index has the newest of these tables."""
    return _has_table(connection, "contradicted")


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def plays_others(connection: sqlite3.Connection) -> bool:
    """Whether any node's files are made of another row than its own."""
    return has_titles(connection) and connection.execute("SELECT 1 FROM played LIMIT 1").fetchone() is not None


class TitleVersion(NamedTuple):
    """A row of the catalogue, beside the folder in which its title stands."""

    host: int
    """The node of that folder."""
    kind: int
    """A NodeKind: a movie or a series."""
    folder: str
    node: int
    """The row's own; the host's, where the folder was made for it."""
    why: str
    """Why it is the same title as the host's row; "" for that itself."""
    is_played: bool
    """Whether the movie's files are made of it."""
    account: int
    account_name: str
    priority: int
    stream: str
    uuid: str
    item: bytes
    height: int
    """Lines of the picture, as measured now or before; 0: never."""


_VERSIONS = f"""
    SELECT host.id, host.kind, host.name, node.id, coalesce(joined.why, ''), coalesce(played.node, host.id) = node.id,
        content.account, coalesce(priority.name, ''), coalesce(priority, 0), content.stream, content.uuid, content.item,
        coalesce(height, 0)
    FROM node JOIN content USING (id) LEFT JOIN joined ON joined.node = node.id
    JOIN node AS host ON host.id = coalesce(joined.host, node.id)
    LEFT JOIN played ON played.id = host.id LEFT JOIN title ON title.node = node.id
    LEFT JOIN priority ON priority.account = content.account
    WHERE node.kind IN ({NodeKind.MOVIE:d}, {NodeKind.SERIES:d}) AND host.parent != {WAITING_NODE}"""
_ORDER = "ORDER BY host.kind, host.fold, host.id, node.id != host.id, node.id"


def title_versions(state_dir: Path, *, several: bool) -> Iterator[TitleVersion]:
    """The rows of movies and series, those of one title together, its own first.

    Args:
        state_dir: where the index is.
        several: whether only titles of several rows are wanted.

    Raises:
        IndexFileError: the index cannot be read, or an earlier version of the program wrote it.
    """
    only = "AND joined.node IS NOT NULL" if several else ""
    try:
        with closing(connect(state_dir)) as connection:
            if not has_titles(connection):
                raise IndexFileError(
                    f"state directory {state_dir}: no sync of this version has succeeded yet. `vod2strmfs sync` does"
                    " one; --state-dir names another place."
                )
            yield from map(TitleVersion._make, connection.execute(f"{_VERSIONS} {only} {_ORDER}"))
    except sqlite3.Error as error:
        raise IndexFileError(f"the index cannot be read: {error}") from error
