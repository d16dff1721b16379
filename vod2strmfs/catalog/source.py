"""Where a catalogue comes from: one small protocol, two sources."""

import random
from collections.abc import Iterator, Mapping, Set
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from vod2strmfs.catalog.queries import OPTIONAL, REQUIRED, Choice, Groups, Kind
from vod2strmfs.catalog.rows import Credentials, EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.errors import CatalogError

Row = MovieRow | VersionRow | SeriesRow | EpisodeRow


class Snapshot(Protocol):
    """One consistent view of the catalogue; everything read from it belongs together."""

    def groups(self) -> Groups:
        """The accounts and categories among which `choose` can choose."""

    def choose(self, choice: Choice) -> None:
        """Have the relations of some accounts or categories only; before any rows or digests are asked for."""

    def digests(self, kind: Kind) -> dict[int, str] | None:
        """A digest by block of ids, equal as long as no row of the block changed; None if the source has none.

        They cost next to nothing once all rows of the kind were read.
        """

    def rows(self, kind: Kind, blocks: Set[int] | None = None) -> Iterator[Row]:
        """The eligible rows in ascending order of id, streamed; of the given blocks only, if any are given."""

    def position(self) -> str:
        """Where in the database's history the snapshot stands, or a little later: see `Source.snapshot`."""

    def counts(self) -> dict[str, int]:
        """What the database holds, eligible or not, by metric."""

    def credentials(self) -> list[Credentials]:
        """The active Xtream accounts' addresses and passwords. The only method that reads them."""


class Source(Protocol):
    """A Dispatcharr database, opened read-only. Every method raises CatalogError when it cannot answer."""

    def marker(self) -> tuple[str, str]:
        """Two cheap signs: while the first is the same, nothing was written at all; while the second is the
        same, no writes to Dispatcharr's tables have been counted (counting can lag behind)."""

    def snapshot(self, *, versions: bool = False, after: str = "") -> AbstractContextManager[Snapshot]:
        """A consistent snapshot, for as long as the context lasts.

        Args:
            versions: whether it has the relations that Dispatcharr would not choose, too.
            after: a position; a server that is certain to show something older is refused.
        """

    def facts(self) -> "Facts":
        """What it is that is read, for those who examine a set-up."""

    def close(self) -> None:
        """Give back the connection."""


class Facts(NamedTuple):
    """What one should know of a database, beside what it holds."""

    name: str
    """As the user knows it, without a password."""
    server: str
    """The program and its version."""
    schema: str
    """Dispatcharr's version, as far as its tables show it."""
    clock: float | None
    """The server's time, seconds since the epoch; None where there is no server."""
    writable: tuple[str, ...]
    """Tables of those read which this role may change; it never does."""
    reads_passwords: bool
    """Whether this role may read the providers' passwords."""
    categories: int
    """Of active accounts."""
    categories_disabled: int


def schema_version(columns: Mapping[str, Set[str]]) -> str:
    """Dispatcharr's version, by what its migrations have added."""
    if "is_adult" in columns.get("vod_movie", ()):
        return "v0.29 or later"
    return "v0.12 to v0.28" if "vod_vodlogo" in columns else "v0.9 to v0.11"


def retry_pause(failures: int, longest: float) -> float:
    """Seconds after which a database that could not be read is tried again.

    Args:
        failures: how many attempts have failed, one after the other; at least one.
        longest: no more than about so many seconds.
    """
    # Many hosts that lost the same database should not come back in step.
    return min(2.0 ** min(failures - 1, 16), longest) * random.uniform(0.75, 1.25)


def check_schema(name: str, found: Mapping[str, Set[str]]) -> None:
    """Refuse a database that lacks a table or column that is read.

    Args:
        name: the database, as the user knows it.
        found: the columns that exist, by table.

    Raises:
        CatalogError: names what is missing.
    """
    for table, columns in REQUIRED.items():
        if table not in found:
            raise CatalogError(
                f"{name}: this is not a Dispatcharr database with VOD tables (v0.9 or later): no table {table}.\n"
                "Check the database's name, and that Dispatcharr has run its migrations."
            )
        if missing := sorted(columns - found[table]):
            raise CatalogError(
                f"{name}: table {table} has no column {', '.join(missing)}; this Dispatcharr is too old"
                " or too new for this version. Update both."
            )


def tables() -> list[str]:
    """Every table that may be read."""
    return sorted(REQUIRED.keys() | OPTIONAL.keys())


def open_source(url: str) -> Source:
    """Open the database that a `--database` value names. Connects on first use.

    Raises:
        CatalogError: the value is neither a libpq connection string nor sqlite:///PATH.
    """
    if url.startswith("sqlite:"):
        from vod2strmfs.catalog.sqlite import SQLiteSource

        return SQLiteSource.from_url(url)
    from vod2strmfs.catalog.postgresql import PostgreSQLSource  # a mount over SQLite need not load libpq

    return PostgreSQLSource(url)
