"""What a catalogue can be asked: one small protocol. `open` finds which of the two sources serves it."""

import random
from collections.abc import Collection, Iterator, Set
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from vod2strmfs.catalog.queries import Choice, Groups, Kind, Part
from vod2strmfs.catalog.rows import Credentials, EpisodeRow, FillableRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.written import Baseline, WrittenBlocks

Row = MovieRow | VersionRow | SeriesRow | EpisodeRow


class Snapshot(Protocol):
    """One consistent view of the catalogue; everything read from it belongs together."""

    def groups(self) -> Groups:
        """The accounts and categories among which `choose` can choose."""

    def choose(self, choice: Choice) -> None:
        """Have the relations of some accounts or categories only; before any rows or digests are asked for."""

    def written_since(self, before: Baseline | None) -> WrittenBlocks | None:
        """Which blocks of rows were written since a comparison; None if the source cannot tell.

        It knows of each item's chosen relation, and not of every version.

        Args:
            before: of that comparison, if there is one. What is chosen must be the same.
        """

    def digests(self, kind: Kind, blocks: Set[int] | None = None) -> dict[int, str] | None:
        """A digest by block of ids, equal as long as no row of the block changed; None if the source has none.

        All of them cost next to nothing once all rows of the kind were read.

        Args:
            kind: of the rows.
            blocks: those that are wanted, if not all. One without rows has no digest.
        """

    def rows(self, kind: Kind, part: Part | None = None) -> Iterator[Row]:
        """The eligible rows in ascending order of id, streamed; a part of them only, if one is given."""

    def position(self) -> str:
        """Where in the database's history the snapshot stands, or a little later: see `Source.snapshot`."""

    def is_large(self, rows: int) -> bool:
        """Whether there are so many movies, or episodes, eligible or not. Costs next to nothing."""

    def counts(self) -> dict[str, int]:
        """What the database holds, eligible or not, by metric."""

    def fillable(self, series: int | None = None) -> list[FillableRow]:
        """The eligible series of which `choose` chose a relation, or one of them; with each relation that is wanted,
        where `choose` was told to tell of all."""

    def titles_in(self, kind: Literal["movie", "series"], categories: Set[int | None]) -> set[int]:
        """The ids of the eligible movies or series with a relation in one of some categories, of those that `choose`
        can choose; None in the categories stands for relations without one."""

    def below(self, kind: Kind, titles: Collection[int]) -> set[int]:
        """The ids, as `rows` has them, of the versions of movies, or the episodes of series, eligible or not."""

    def series_of(self, episodes: Collection[UUID]) -> set[int]:
        """The ids of the series that some episodes belong to."""

    def logos(self) -> dict[str, int]:
        """The ids of the posters that Dispatcharr hands on itself, by their URLs; none before v0.12."""

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
        """Facts about the database, for those who examine a set-up."""

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


def retry_pause(failures: int, longest: float) -> float:
    """Seconds after which a database that could not be read is tried again.

    Args:
        failures: how many attempts have failed, one after the other; at least one.
        longest: no more than about so many seconds.
    """
    # Many hosts that lost the same database should not come back in step.
    return min(2.0 ** min(failures - 1, 16), longest) * random.uniform(0.75, 1.25)
