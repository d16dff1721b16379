"""What Dispatcharr's database says of series and their episodes, for the library that the user wants."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.rows import FillableRow, SeriesRow
from vod2strmfs.catalog.source import Snapshot
from vod2strmfs.extract.choosing import best_relation, wish_of
from vod2strmfs.extract.filters import Filter
from vod2strmfs.extract.items import series as series_item
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import known_language
from vod2strmfs.hydrate.queue import Entry, Key
from vod2strmfs.settings import LibrarySettings


class Catalogue:
    """Reads the database by a connection of its own; one thread at a time.

    Args:
        database: as `--database` takes it.
        library: which says what is wanted of it.

    Raises:
        CatalogError: here and in every method, if it cannot be read.
    """

    def __init__(self, database: str, library: LibrarySettings) -> None:
        self._source = open_source(database)
        self._library = library
        self._cleaner = TitleCleaner(library.clean_titles, library.name_regex)
        self._wish = wish_of(library)

    def close(self) -> None:
        """Give back the connection."""
        self._source.close()

    def entries(self) -> list[Entry]:
        """The series that the library shows, or would show if they had episodes, by the relation that it shows."""
        with self._snapshot() as (snapshot, wanted):
            refused, preferred = self._judged(snapshot, wanted)
            entries = [_entry(row) for row in snapshot.fillable() if row.series_id not in refused]
            return [each for each in entries if preferred.get(each.series, each.key) == each.key]

    def entries_of(self, series: int) -> list[Entry]:
        """One series by each of its relations that is wanted, whatever its title."""
        with self._snapshot() as (snapshot, _):
            return [_entry(row) for row in snapshot.fillable(series)]

    def series_of(self, episodes: Collection[UUID]) -> set[int]:
        """The ids of the series that some episodes belong to."""
        with self._snapshot() as (snapshot, _):
            return snapshot.series_of(episodes)

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[Snapshot, Filter]]:
        wanted = Filter(self._library)
        with self._source.snapshot(versions=self._library.versions == "all") as snapshot:
            choice = wanted.choose(snapshot.groups())
            snapshot.choose(choice._replace(all_told=self._wish is not None))
            yield snapshot, wanted

    def _judged(self, snapshot: Snapshot, wanted: Filter) -> tuple[set[int], dict[int, Key]]:
        """The series whose titles are not wanted; and, if the user prefers some relations to others, which one each
        series is shown by. To judge that takes all of their rows, so it is done if need be."""
        problems: Counter[str] = Counter()
        refused: set[int] = set()
        preferred: dict[int, Key] = {}
        if not wanted.judges_titles and not self._wish:
            return refused, preferred
        for row in snapshot.rows("series"):
            assert isinstance(row, SeriesRow)
            if self._wish:
                row = best_relation(row, self._wish, self._cleaner)
                preferred[row.id] = Key(row.account_id, row.stream_id)
            item = series_item(row, self._cleaner, problems)
            if wanted.refuses(item, known_language(item) or self._cleaner.language(row.name), row.uuid):
                refused.add(row.id)
        return refused, preferred


def _entry(row: FillableRow) -> Entry:
    return Entry(
        row.account_id, row.account_name, row.stream_id, row.relation_id, row.series_id, row.uuid,
        " ".join(row.name.split()), row.created_at, not row.has_episodes,
    )  # fmt: skip
