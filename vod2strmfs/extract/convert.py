"""From a catalogue's row to what the index keeps of it, but for its place in the tree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow
from vod2strmfs.catalog.source import Row
from vod2strmfs.extract import items as extract
from vod2strmfs.extract.choosing import best_relation, wish_of
from vod2strmfs.extract.filters import Filter
from vod2strmfs.extract.incoming import Incoming, Keys, files_of, names_of
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import facts, known_language, tagged, tags
from vod2strmfs.library.contents import Item, encode
from vod2strmfs.library.item_names import version_name
from vod2strmfs.library.items import Movie, Title, Version
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings

SECOND = 10**9

TitledRow = tuple[Row, str]
"""A row; an episode's with the title of its series."""


class _Extracted(NamedTuple):
    """What was made of a row."""

    row: Row
    """With the relation that was chosen."""
    kind: NodeKind
    item: Item
    bad_fields: int


class Converter:
    """Extracts and names items, each from nothing but its row: it does not matter where, or in which order.

    Args:
        settings: the library's.
        providers: the beginning of an account's URLs, where direct URLs are wanted.
        render: whether the files of every item are wanted, too, but for movies that the filters keep out.
    """

    def __init__(self, settings: LibrarySettings, providers: Mapping[int, str], *, render: bool) -> None:
        self._settings = settings
        self._providers = providers
        self._render = render
        self._all_versions = settings.versions == "all"
        self._cleaner = TitleCleaner(settings.clean_titles, settings.name_regex)
        self._bad_fields: Counter[str] = Counter()
        self._filter = Filter(settings)
        self._wish = wish_of(settings)

    def convert(self, rows: Sequence[TitledRow]) -> list[Incoming]:
        """The items of some rows, in their order, with their places yet to be found.

        Each step is done for all of them before the next: of one step's code and data, a processor has in its caches
        what the next row needs, and row by row takes a sixth longer. So a hundred rows are better than one, and no
        worse than a thousand.

        Args:
            rows: of any kind.
        """
        extracted = list(map(self._extract, rows))
        incoming = [self._fresh(*each) for each in extracted]
        if self._render:
            for (row, *_), each in zip(extracted, incoming, strict=True):
                if not self._is_refused(row, each.item):
                    each.files = files_of(each, self._settings, self._providers)
        return incoming

    def _extract(self, titled: TitledRow) -> _Extracted:
        """The item of a row."""
        row, series_title = titled
        item: Item
        match row:
            case EpisodeRow():  # first, since most rows are
                kind, item = NodeKind.EPISODE, extract.episode(row, series_title, self._cleaner, self._bad_fields)
                if self._all_versions:
                    item = msgspec.structs.replace(item, label=row.account_name)
            case MovieRow():
                if row.relations and self._wish:
                    row = best_relation(row, self._wish, self._cleaner)
                kind, item = NodeKind.MOVIE, extract.movie(row, self._cleaner, self._bad_fields)
                if self._settings.version_tags:
                    item = tagged(item, tags([facts(item, self._cleaner)]))
            case SeriesRow():
                if row.relations and self._wish:
                    row = best_relation(row, self._wish, self._cleaner)
                kind, item = NodeKind.SERIES, extract.series(row, self._cleaner, self._bad_fields)
                if self._settings.version_tags:
                    item = tagged(item, tags([facts(item, self._cleaner)]))
            case _:
                kind, item = NodeKind.VERSION, Version(row.account_name, row.container_extension or "")
        bad_fields = 0
        if self._bad_fields:
            bad_fields = self._bad_fields.total()
            self._bad_fields.clear()
        return _Extracted(row, kind, item, bad_fields)

    def _is_refused(self, row: Row, item: Item) -> bool:
        """Whether the filters keep out a movie: to render its files for nothing takes longer than to look."""
        if not self._filter.active or not (isinstance(row, MovieRow) and isinstance(item, Movie)):
            return False
        return not row.passes or bool(
            self._filter.refuses(item, known_language(item) or self._cleaner.language(row.name), row.uuid)
        )

    def _fresh(self, row: Row, kind: NodeKind, item: Item, bad_fields: int) -> Incoming:
        if isinstance(item, Version):
            name, alias = version_name("", item.label, self._settings), ""
        else:
            name, alias = names_of(item, self._settings)
        tmdb, imdb = (item.tmdb, item.imdb) if isinstance(item, Title) else ("", "")
        keys = Keys(row.id, row.uuid, row.account_id, row.stream_id, tmdb, imdb, bad_fields, encode(item))
        return Incoming(kind, keys, item, name, alias, row.created_at * SECOND)
