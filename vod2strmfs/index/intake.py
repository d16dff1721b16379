"""From a catalogue's row to what the index keeps of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set

import msgspec

from vod2strmfs.catalog.queries import Kind
from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.source import Row
from vod2strmfs.index.draft import Draft
from vod2strmfs.index.fresh import Fresh, Keys
from vod2strmfs.library import extract
from vod2strmfs.library.contents import decode, encode
from vod2strmfs.library.filters import Filter
from vod2strmfs.library.items import Episode, Movie, Series, Version
from vod2strmfs.library.kinds import MOVIES_NODE, WAITING_NODE, NodeKind
from vod2strmfs.library.naming import alias_name, node_name, version_name
from vod2strmfs.library.titles import TitleCleaner

_SECOND = 10**9


class Intake:
    """Extracts items from rows and finds their places. Seasons are made when their first episode comes.

    Args:
        draft: the generation that is being made.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.filter = Filter(draft.settings)
        self._cleaner = TitleCleaner(draft.settings.clean_titles, draft.settings.name_regex)
        self._bad_fields: Counter[str] = Counter()
        self._movies: dict[int, int] = {}
        self._series: dict[int, tuple[int, str]] = {}
        self._seasons: dict[tuple[int, int | None], int] = {}

    def prepare(self, kind: Kind, lost: Mapping[Kind, Set[int]]) -> None:
        """Get ready for rows of a kind: take note of the movies or series that they refer to.

        Args:
            kind: of the rows that come next.
            lost: nodes that are still in the draft, but no longer to be shown, of the kinds before.
        """
        if kind == "version":
            rows = self._contents(NodeKind.MOVIE)
            self._movies = {source: node for source, node, _ in rows if node not in lost["movie"]}
        elif kind == "episode":
            rows = self._contents(NodeKind.SERIES)
            self._series = {
                source: (node, decode(item, Series).title) for source, node, item in rows if node not in lost["series"]
            }
            seasons = self._draft.connection.execute(
                "SELECT parent, source, id FROM content JOIN node USING (id) WHERE content.kind = ?",
                (NodeKind.SEASON,),
            )
            self._seasons = {(series, number): node for series, number, node in seasons}

    def _contents(self, kind: NodeKind) -> Iterator[tuple[int, int, bytes]]:
        return self._draft.connection.execute("SELECT source, id, item FROM content WHERE kind = ?", (kind,))

    def take(self, row: Row) -> Fresh | None:
        """The item of a row; None for a title that the user's filters keep out, and for an episode of such a one."""
        match row:
            case MovieRow():
                movie = extract.movie(row, self._cleaner, self._bad_fields)
                if self._refuses("movie", row, movie):
                    return None
                place = self._draft.section(MOVIES_NODE, movie.category, row.created_at * _SECOND)
                return self._fresh(row, NodeKind.MOVIE, movie, place)
            case VersionRow():
                return self._version(row)
            case SeriesRow():
                series = extract.series(row, self._cleaner, self._bad_fields)
                if self._refuses("series", row, series):
                    return None
                return self._fresh(row, NodeKind.SERIES, series, WAITING_NODE)
            case EpisodeRow():
                return self._episode(row)

    def _version(self, row: VersionRow) -> Fresh | None:
        movie = self._movies.get(row.movie_id)
        if movie is None:
            return None
        item = Version(row.account_name, row.container_extension or "")
        keys = Keys(row.id, row.uuid, row.account_id, row.stream_id, "", "", 0, encode(item))
        name = version_name("", row.account_name)
        return Fresh(NodeKind.VERSION, movie, keys, item, name, "", row.created_at * _SECOND)

    def _refuses(self, kind: Kind, row: MovieRow | SeriesRow, item: Movie | Series) -> bool:
        if not self.filter.active:
            return False
        setting = self.filter.refuses(item, row.account_name, self._cleaner.language(row.name), row.uuid)
        if setting:
            self._bad_fields.clear()
            values = (kind, row.id, setting, item.title, row.uuid)
            self._draft.connection.execute("INSERT INTO filtered VALUES (?, ?, ?, ?, ?)", values)
        return bool(setting)

    def _episode(self, row: EpisodeRow) -> Fresh | None:
        known = self._series.get(row.series_id)
        if known is None:
            return None
        series, title = known
        episode = extract.episode(row, title, self._cleaner, self._bad_fields)
        if self._draft.settings.versions == "all":
            episode = msgspec.structs.replace(episode, label=row.account_name)
        season = self._seasons.get((series, episode.season))
        if season is None:
            season = self._draft.season(series, title, episode.season, row.created_at * _SECOND)
            self._seasons[series, episode.season] = season
        return self._fresh(row, NodeKind.EPISODE, episode, season)

    def _fresh(self, row: Row, kind: NodeKind, item: Movie | Series | Episode, parent: int) -> Fresh:
        bad_fields = 0
        if self._bad_fields:
            bad_fields = self._bad_fields.total()
            self._bad_fields.clear()
        settings = self._draft.settings
        name = node_name(item, settings)
        alias = alias_name(item, settings)
        keys = Keys(
            row.id, row.uuid, row.account_id, row.stream_id, item.tmdb, item.imdb, bad_fields, encode(item)
        )  # fmt: skip
        return Fresh(kind, parent, keys, item, name, alias if alias != name else "", row.created_at * _SECOND)
