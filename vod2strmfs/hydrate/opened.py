"""From folders that somebody opened to the series that they are of."""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from vod2strmfs.errors import IndexFileError
from vod2strmfs.hydrate.queue import Key
from vod2strmfs.index.file import connect
from vod2strmfs.library.kinds import NodeKind


def series_of(state_dir: Path, nodes: Collection[int]) -> list[Key]:
    """What the series at some nodes are known by.

    Raises:
        IndexFileError: the index cannot be read.
    """
    numbers = ", ".join(map(str, nodes))
    query = f"SELECT account, stream FROM content WHERE kind = {NodeKind.SERIES:d} AND id IN ({numbers})"
    try:
        with closing(connect(state_dir)) as connection:
            return [Key(account, str(stream)) for account, stream in connection.execute(query)]
    except sqlite3.Error as error:
        raise IndexFileError(f"the index cannot be read: {error}") from error
