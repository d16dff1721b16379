"""The titles and names that changed last, for people to look at."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.changes import What
from vod2strmfs.index.file import connect
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind

_TITLES = f"""
    SELECT kind, name, mtime FROM node
    WHERE kind IN ({NodeKind.MOVIE:d}, {NodeKind.SERIES:d}) AND parent != {WAITING_NODE}
    ORDER BY mtime DESC, id DESC LIMIT ?"""
_GONE = f"""
    SELECT generation, name FROM change WHERE what = {What.ENTRY_GONE:d}
    ORDER BY generation DESC, rowid DESC LIMIT ?"""


class ChangedTitle(NamedTuple):
    """A movie or a series that was added, or in which something changed."""

    kind: int
    """A NodeKind."""
    name: str
    """The name of the title's directory."""
    changed: int
    """When the title changed, nanoseconds since the epoch."""


class GoneName(NamedTuple):
    """A name that left a directory, since its file was removed or renamed, or has other content now."""

    generation: int
    """The number of the first generation without the name."""
    name: str


def changed_titles(state_dir: Path, limit: int) -> list[ChangedTitle]:
    """The titles that changed last. Goes through the whole index.

    Raises:
        IndexFileError: the index cannot be read.
    """
    return [ChangedTitle._make(row) for row in _rows(state_dir, _TITLES, limit)]


def gone_names(state_dir: Path, limit: int) -> list[GoneName]:
    """The names that left last.

    Raises:
        IndexFileError: the index cannot be read.
    """
    return [GoneName._make(row) for row in _rows(state_dir, _GONE, limit)]


def _rows(state_dir: Path, query: str, limit: int) -> list[tuple[object, ...]]:
    try:
        with closing(connect(state_dir)) as connection:
            return connection.execute(query, (limit,)).fetchall()
    except sqlite3.Error as error:
        raise IndexFileError(f"the index cannot be read: {error}") from error
