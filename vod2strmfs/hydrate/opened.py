"""From folders that somebody opened to the series that they are of."""

from collections.abc import Collection
from pathlib import Path

from vod2strmfs.hydrate.queue import Key
from vod2strmfs.index.reading import reading
from vod2strmfs.library.kinds import NodeKind


def series_of(state_dir: Path, nodes: Collection[int]) -> list[Key]:
    """What the series at some nodes are known by.

    Raises:
        IndexFileError: the index cannot be read.
    """
    numbers = ", ".join(map(str, nodes))
    query = f"SELECT account, stream FROM content WHERE kind = {NodeKind.SERIES:d} AND id IN ({numbers})"
    with reading(state_dir) as connection:
        return [Key(account, str(stream)) for account, stream in connection.execute(query)]
