"""The sync from PostgreSQL, against psql's `\\copy` of the rows that a first sync reads."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg

from bench.catalogues import USUAL, catalogue, make_index
from bench.harness import Figure, ratio, timed
from vod2strmfs.catalog.postgresql import PostgreSQLSource
from vod2strmfs.catalog.queries import KINDS, POSTGRESQL, Queries
from vod2strmfs.catalog.schema import OPTIONAL, REQUIRED
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync

_COPY = "`\\copy` of the rows to /dev/null"
_COLUMNS = {
    table: REQUIRED.get(table, frozenset()) | OPTIONAL.get(table, frozenset())
    for table in REQUIRED.keys() | OPTIONAL.keys()
}
_QUIET_LOOKS = 15


def measure(directory: Path) -> Iterator[Figure]:
    """First sync, sync after one change, and sync after none.

    In a process that runs already and has its connection, as the one beside a mount does; but a first sync
    makes a connection.
    """
    with catalogue(USUAL) as url, closing(PostgreSQLSource(url)) as source:
        copy = _copy(url)
        copy()  # the first reader sets hint bits

        numbers = count()
        yield ratio("first sync", lambda: _first_sync(url, directory / f"{next(numbers)}"), _COPY, copy, 5)

        kept = directory / "kept"

        def look() -> float:
            return timed(lambda: sync(source, LibrarySettings(), kept))

        def change_and_look() -> float:
            with psycopg.connect(url) as connection:
                connection.execute("UPDATE vod_movie SET name = name || '!' WHERE id = 4711")
            return look()

        look()
        yield ratio("sync after one row changed", change_and_look, _COPY, copy, 1.5)

        look()
        yield Figure.of("sync when nothing changed", [1000 * look() for _ in range(_QUIET_LOOKS)], 20, "ms")


def _copy(url: str) -> Callable[[], float]:
    """Copies the rows and columns that a first sync reads, planned as the sync has them planned."""
    queries = Queries(POSTGRESQL, _COLUMNS)
    script = "SET jit = off; SET work_mem = '64MB'; SET max_parallel_workers_per_gather = 0;\n"
    for kind in KINDS:
        if kind != "version":
            script += f"\\copy ({' '.join(queries.rows(kind).split())}) TO '/dev/null'\n"
    command = ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", "-", url]
    return lambda: timed(lambda: subprocess.run(command, input=script.encode(), check=True))


def _first_sync(url: str, state_dir: Path) -> float:
    seconds = timed(lambda: make_index(url, state_dir))
    shutil.rmtree(state_dir)
    return seconds
