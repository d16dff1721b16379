"""From a catalogue's rows to items in their places."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from vod2strmfs.catalog.queries import Kind
from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.source import Row, Snapshot
from vod2strmfs.extract.choosing import relation_of_series, wish_of
from vod2strmfs.extract.convert import TitledRow
from vod2strmfs.extract.filters import Filter
from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import known_language, series_label
from vod2strmfs.library.contents import decode
from vod2strmfs.library.items import Movie, Series, TaggedSeries
from vod2strmfs.library.kinds import MOVIES_NODE, WAITING_NODE, NodeKind
from vod2strmfs.sync.brake import HELD_GONE
from vod2strmfs.sync.convert_many import ManyRows
from vod2strmfs.sync.draft import Draft

# By its nodes first: SQLite does not know how few they are.
_TITLES = f"""
    SELECT source, content.id, account, stream, item
    FROM json_each(?) CROSS JOIN content ON content.id = value CROSS JOIN node ON node.id = value
    WHERE content.kind = ? AND held != {HELD_GONE}"""
"""Those of some nodes whose versions or episodes are wanted."""


class _OfSeries(NamedTuple):
    """What an episode has to know of its series."""

    node: int
    """The one that stands in the tree."""
    title: str
    own: int
    """See `Incoming.own`."""
    account: int
    """Of its relation."""
    stream: str
    """That relation's stream id."""
    label: str
    """What tells its episodes from those of other rows of the title; "" where their accounts do."""


class Placer:
    """Finds the places of the items in rows. Seasons are made when their first episode comes.

    Args:
        draft: the generation that is being made.
        many_rows: makes items of rows.
        snapshot: where the rows will come from; it is told which relations the user wants.
    """

    def __init__(self, draft: Draft, many_rows: ManyRows, snapshot: Snapshot) -> None:
        self._draft = draft
        self._many_rows = many_rows
        self.filter = Filter(draft.settings)
        self.groups = snapshot.groups()
        """The accounts and categories."""
        self._wishes = wish_of(draft.settings) is not None
        self._choice = self.filter.choose(self.groups)._replace(all_told=self._wishes)
        snapshot.choose(self._choice)
        self._cleaner = TitleCleaner(draft.settings.clean_titles, draft.settings.name_regex)
        self._movies: dict[int, int] = {}
        self._hosts: Mapping[int, int] = {}
        self.labels: Callable[[int], str] = lambda movie: ""
        """The labels of versions, by the node of their movie's row; see `joining`."""
        self._series: dict[int, _OfSeries] = {}
        self._seasons: dict[tuple[int, int | None], int] = {}

    def prepare(self, kind: Kind, lost: Mapping[Kind, Set[int]], hosts: Mapping[int, int]) -> None:
        """Get ready for rows of a kind: take note of the movies or series that they refer to.

        Args:
            kind: of the rows that come next.
            lost: nodes that are still in the draft, but no longer to be shown, of the kinds before.
            hosts: the nodes that stand in the tree for those of joined rows; see `joining`.
        """
        if kind == "version":
            rows = self._contents(NodeKind.MOVIE)
            self._movies = {source: node for source, node, *_ in rows if node not in lost["movie"]}
            self._hosts = hosts
        elif kind == "episode":
            rows = self._contents(NodeKind.SERIES)
            self._series = {
                source: self._of_series(node, hosts, account, stream, decode(item, TaggedSeries))
                for source, node, account, stream, item in rows
                if node not in lost["series"]
            }
            seasons = self._draft.connection.execute(
                "SELECT parent, source, id FROM content JOIN node USING (id) WHERE content.kind = ?",
                (NodeKind.SEASON,),
            )
            self._seasons = {(series, number): node for series, number, node in seasons}

    def other_titles(self, above: NodeKind, before: sqlite3.Connection, lost: Set[int]) -> set[int]:
        """The catalogue's ids of the movies or series for whose sake their versions or episodes may be others than
        before: kept out or let in, below another node, called or played otherwise. Nothing of that is in the own rows
        of these.

        Args:
            above: the kind of the titles.
            before: to the index, as the generation before has it.
            lost: nodes of titles that may still be in the draft, but are no longer to be shown.
        """
        draft = self._draft
        touched = lost | (draft.series if above == NodeKind.SERIES else draft.changed | draft.added)
        then, now = self._leading(above, before, touched), self._leading(above, draft.connection, touched - lost)
        others = {source for source, _ in then.items() ^ now.items()}
        # Without filters, what is below a title becomes eligible with it, and so differs itself: thousands may come.
        return others if self.filter.active else others & then.keys() & now.keys()

    def _leading(
        self, above: NodeKind, connection: sqlite3.Connection, nodes: Set[int]
    ) -> dict[int, tuple[object, ...]]:
        """What counts for what is below titles, as far as it does not move with the titles' nodes."""
        leading: dict[int, tuple[object, ...]] = {}
        for source, node, account, stream, item in connection.execute(_TITLES, (json.dumps(sorted(nodes)), above)):
            leading[source] = (node,)
            if above == NodeKind.SERIES:
                known = self._of_series(node, {}, account, stream, decode(item, TaggedSeries))
                leading[source] += (known.title, known.label, *((account, stream) if self._wishes else ()))
        return leading

    def _of_series(self, node: int, hosts: Mapping[int, int], account: int, stream: str, series: Series) -> _OfSeries:
        label = series_label(series, self._cleaner, self._draft.settings)
        own = node if node in hosts else 0
        return _OfSeries(hosts.get(node, node), series.title, own, account, stream, label)

    def _contents(self, kind: NodeKind) -> Iterator[tuple[int, int, int, str, bytes]]:
        query = "SELECT source, id, account, stream, item FROM content WHERE kind = ?"
        return self._draft.connection.execute(query, (kind,))

    def take(self, rows: Iterable[Row], expected: int) -> Iterator[tuple[int, Incoming]]:
        """The catalogue's ids and the items of rows of one kind, in their places.

        Left out are titles and episodes that the user's filters keep out, and the versions and episodes of what is
        left out.

        Args:
            rows: in the order in which the items are wanted.
            expected: about how many there are.
        """
        for row, incoming in self._many_rows.convert(self._wanted(rows), expected):
            if self._place(row, incoming):
                yield row.id, incoming

    def _wanted(self, rows: Iterable[Row]) -> Iterator[TitledRow]:
        for row in rows:
            match row:
                case EpisodeRow():
                    if known := self._series.get(row.series_id):
                        if row.relations:
                            row = relation_of_series(row, known.account, known.stream)
                        yield row, known.title
                case VersionRow():
                    if row.movie_id in self._movies:
                        yield row, ""
                case _:
                    yield row, ""

    def _place(self, row: Row, incoming: Incoming) -> bool:
        """Give an item its place; False if the user's filters keep it out."""
        match row:
            case EpisodeRow():
                if not row.passes:
                    title = f"{self._series[row.series_id].title} {incoming.name}"
                    self._keep_out("episode", incoming, self._choice.refuses(row.account_id), title)
                    return False
                season = self._draft.traits_of(incoming).season
                incoming.parent = self._season(row.series_id, season, incoming.created)
                incoming.own = self._series[row.series_id].own
                if label := self._series[row.series_id].label:
                    self._draft.label_episode(incoming, label)
            case VersionRow():
                movie = self._movies[row.movie_id]
                incoming.parent = self._hosts.get(movie, movie)
                if self._draft.merging:
                    self._draft.label(incoming, self.labels(movie))
            case MovieRow():
                if self._refuses("movie", row, incoming):
                    return False
                incoming.parent = self._draft.section_of(MOVIES_NODE, incoming, incoming.created)
            case SeriesRow():
                if self._refuses("series", row, incoming):
                    return False
                incoming.parent = WAITING_NODE
        return True

    def _season(self, series_id: int, number: int | None, created: int) -> int:
        series = self._series[series_id]
        season = self._seasons.get((series.node, number))
        if season is None:
            season = self._draft.season(series.node, series.title, number, created)
            self._seasons[series.node, number] = season
        return season

    def _refuses(self, kind: Kind, row: MovieRow | SeriesRow, incoming: Incoming) -> bool:
        if not self.filter.active:
            return False
        item = incoming.item
        assert isinstance(item, Movie | Series)
        setting = self.filter.refuses(item, known_language(item) or self._cleaner.language(row.name), row.uuid)
        if not row.passes:
            setting = self._choice.refuses(row.account_id)
        if setting:
            self._keep_out(kind, incoming, setting, item.title)
        return bool(setting)

    def _keep_out(self, kind: Kind, incoming: Incoming, setting: str, title: str) -> None:
        connection, keys = self._draft.connection, incoming.keys
        values = (kind, keys.source, setting, title, keys.uuid)
        connection.execute("INSERT INTO filtered VALUES (?, ?, ?, ?, ?)", values)
        if not self._draft.first:
            known_by = (incoming.kind, keys.source, keys.uuid, keys.account, keys.stream, keys.tmdb, keys.imdb)
            connection.execute("INSERT INTO temp.kept_out VALUES (?, ?, ?, ?, ?, ?, ?)", known_by)
