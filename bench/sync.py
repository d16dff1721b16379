"""The sync from PostgreSQL, against psql's `\\copy` of the rows that a first sync reads."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import psycopg

from bench.catalogues import USUAL, catalogue, make_index
from bench.harness import Figure, ratio, timed
from vod2strmfs.catalog.postgresql import PostgreSQLSource
from vod2strmfs.catalog.queries import KINDS, POSTGRESQL, Queries
from vod2strmfs.catalog.schema import OPTIONAL, REQUIRED
from vod2strmfs.index.file import connect
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync

_COPY = "`\\copy` of the rows to /dev/null"
_COLUMNS = {
    table: REQUIRED.get(table, frozenset()) | OPTIONAL.get(table, frozenset())
    for table in REQUIRED.keys() | OPTIONAL.keys()
}
_QUIET_LOOKS = 15
_EVERY_ROW = "the same, with every row hashed"


def measure(directory: Path) -> Iterator[Figure]:
    """First sync, sync after one change, and sync after none.

    In a process that runs already and has its connection, as the one beside a mount does; but a first sync
    makes a connection.
    """
    with catalogue(USUAL) as url, closing(PostgreSQLSource(url)) as source:
        copy = _copy(url)
        copy()  # the first reader sets hint bits

        numbers = count()
        yield ratio("first sync", lambda: _first_sync(url, directory / f"{next(numbers)}"), _COPY, copy, 3.5)

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


def looks(url: str, state_dir: Path) -> Iterator[Figure]:
    """Looks that know what was written since the last one, against looks that do not.

    Args:
        url: of the database.
        state_dir: its index, up to date.
    """
    knowing, forgetful = Path(f"{state_dir}-knowing"), Path(f"{state_dir}-forgetful")
    with closing(PostgreSQLSource(url)) as source, psycopg.connect(url, autocommit=True) as session:

        def look(directory: Path, *changes: str) -> float:
            for change in changes:
                session.execute(change.encode())
            if directory == forgetful:
                with closing(connect(directory, writable=True)) as index:
                    index.execute("DELETE FROM seen")
            return timed(lambda: sync(source, LibrarySettings(), directory))

        one = ["UPDATE vod_movie SET name = name || '!' WHERE id = 4711"]
        all_relations = [
            f"UPDATE vod_m3u{kind}relation SET last_seen = now()" for kind in ("movie", "series", "episode")
        ]
        all_relations.append("VACUUM")
        for directory in (knowing, forgetful):
            shutil.copytree(state_dir, directory)
            look(directory, *all_relations)
        for work, changes, target in (
            ("sync after one row changed", one, 1 / 10),
            ("sync after every relation was touched and nothing changed", all_relations, 1 / 4),
        ):
            ours, theirs = partial(look, knowing, *changes), partial(look, forgetful, *changes)
            yield ratio(work, ours, _EVERY_ROW, theirs, target)


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
