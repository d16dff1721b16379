"""From a catalogue's row to what the index keeps of it, but for its place in the tree."""

from collections import Counter
from collections.abc import Mapping

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
from vod2strmfs.library.items import Movie, Version
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings

SECOND = 10**9

TitledRow = tuple[Row, str]
"""A row; an episode's with the title of its series."""


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

    def convert(self, row: Row, series_title: str) -> Incoming:
        """The item of a row, with its place yet to be found.

        Args:
            row: of any kind.
            series_title: the title of an episode's series.
        """
        match row:
            case EpisodeRow():  # first, since most rows are
                episode = extract.episode(row, series_title, self._cleaner, self._bad_fields)
                if self._all_versions:
                    episode = msgspec.structs.replace(episode, label=row.account_name)
                incoming = self._fresh(row, NodeKind.EPISODE, episode, episode.tmdb, episode.imdb)
            case MovieRow():
                if row.relations and self._wish:
                    row = best_relation(row, self._wish, self._cleaner)
                movie = extract.movie(row, self._cleaner, self._bad_fields)
                if self._settings.version_tags:
                    movie = tagged(movie, tags([facts(movie, self._cleaner)]))
                incoming = self._fresh(row, NodeKind.MOVIE, movie, movie.tmdb, movie.imdb)
            case SeriesRow():
                if row.relations and self._wish:
                    row = best_relation(row, self._wish, self._cleaner)
                series = extract.series(row, self._cleaner, self._bad_fields)
                if self._settings.version_tags:
                    series = tagged(series, tags([facts(series, self._cleaner)]))
                incoming = self._fresh(row, NodeKind.SERIES, series, series.tmdb, series.imdb)
            case _:
                incoming = self._fresh(row, NodeKind.VERSION, Version(row.account_name, row.container_extension or ""))
        if self._render and not self._is_refused(row, incoming.item):
            incoming.files = files_of(incoming, self._settings, self._providers)
        return incoming

    def _is_refused(self, row: Row, item: Item) -> bool:
        """Whether the filters keep out a movie: to render its files for nothing takes longer than to look."""
        if not self._filter.active or not (isinstance(row, MovieRow) and isinstance(item, Movie)):
            return False
        return not row.passes or bool(
            self._filter.refuses(item, known_language(item) or self._cleaner.language(row.name), row.uuid)
        )

    def _fresh(self, row: Row, kind: NodeKind, item: Item, tmdb: str = "", imdb: str = "") -> Incoming:
        bad_fields = 0
        if self._bad_fields:
            bad_fields = self._bad_fields.total()
            self._bad_fields.clear()
        if isinstance(item, Version):
            name, alias = version_name("", item.label, self._settings), ""
        else:
            name, alias = names_of(item, self._settings)
        keys = Keys(row.id, row.uuid, row.account_id, row.stream_id, tmdb, imdb, bad_fields, encode(item))
        return Incoming(kind, keys, item, name, alias, row.created_at * SECOND)
