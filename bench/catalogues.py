"""Catalogues of a given size in a PostgreSQL server of the benchmark's own, and indexes of them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from postgres_server import PostgresServer

from vod2strmfs.catalog.postgresql import PostgreSQLSource
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.result import SyncResult
from vod2strmfs.sync.run import sync


class Size(NamedTuple):
    """How many rows a catalogue has; not all of the demo's are eligible."""

    movies: int
    series: int
    episodes: int


USUAL = Size(20_000, 1_000, 20_000)
"""What speeds are measured with."""
SIZES = {
    10_000: Size(2_000, 100, 8_000),
    100_000: Size(20_000, 1_000, 80_000),
    1_000_000: Size(200_000, 10_000, 800_000),
}
"""Catalogues of one shape, by their number of movies and episodes."""


@contextmanager
def catalogue(size: Size) -> Iterator[str]:
    """The URL of a PostgreSQL database that holds the demo catalogue in that size, for as long as the context lasts."""
    with PostgresServer() as server:
        url = server.new_database()
        write_demo(url, **size._asdict(), seed=1)
        yield url


def make_index(url: str, state_dir: Path, settings: LibrarySettings | None = None) -> SyncResult:
    """Bring the index of a state directory up to date with a database; the first time, make it."""
    with closing(PostgreSQLSource(url)) as source:
        return sync(source, settings or LibrarySettings(), state_dir)
