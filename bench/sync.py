"""The sync from PostgreSQL, against psql's `\\copy` of the rows that a first sync reads."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg

from bench.catalogues import USUAL, catalogue, make_index
from bench.harness import Figure, ratio, single, timed
from vod2strmfs.catalog.queries import KINDS, OPTIONAL, POSTGRESQL, REQUIRED, Queries

_COPY = "`\\copy` of the rows to /dev/null"
_COLUMNS = {
    table: REQUIRED.get(table, frozenset()) | OPTIONAL.get(table, frozenset())
    for table in REQUIRED.keys() | OPTIONAL.keys()
}
_QUIET_LOOKS = 15


def measure(directory: Path) -> Iterator[Figure]:
    """First sync, sync after one change, and sync after none; in a process that runs already, as a mount's does."""
    with catalogue(USUAL) as url:
        copy = _copy(url)
        copy()  # the first reader sets hint bits

        numbers = count()
        yield ratio("first sync", lambda: _first_sync(url, directory / f"{next(numbers)}"), _COPY, copy, 5)

        kept = directory / "kept"
        make_index(url, kept)
        yield ratio("sync after one row changed", lambda: _sync_after_change(url, kept), _COPY, copy, 1.5)

        make_index(url, kept)
        looks = [1000 * timed(lambda: make_index(url, kept)) for _ in range(_QUIET_LOOKS)]
        yield single("sync when nothing changed", looks, 20, "ms")


def _copy(url: str) -> Callable[[], float]:
    """Copies the rows and columns that a first sync reads, planned as the sync has them planned."""
    queries = Queries(POSTGRESQL, _COLUMNS)
    script = "SET jit = off; SET work_mem = '64MB';\n"
    for kind in KINDS:
        if kind != "version":
            script += f"\\copy ({' '.join(queries.rows(kind).split())}) TO '/dev/null'\n"
    command = ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", "-", url]
    return lambda: timed(lambda: subprocess.run(command, input=script.encode(), check=True))


def _first_sync(url: str, state_dir: Path) -> float:
    seconds = timed(lambda: make_index(url, state_dir))
    shutil.rmtree(state_dir)
    return seconds


def _sync_after_change(url: str, state_dir: Path) -> float:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE vod_movie SET name = name || '!' WHERE id = 4711")
    return timed(lambda: make_index(url, state_dir))
