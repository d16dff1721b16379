"""Catalogues of a few items, built by hand: what Dispatcharr's tables would hold.

>>> catalogue = Catalogue()
>>> alpha = catalogue.account("Alpha", priority=10)
>>> heat = catalogue.movie("Heat", year=1995, tmdb_id="949")
>>> catalogue.write("sqlite:///demo.db")
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

from vod2strmfs.demo import writer
from vod2strmfs.demo.schema import TABLES
from vod2strmfs.demo.writer import Batch, Record

SCANNED = datetime(2026, 1, 10, 3, 0, tzinfo=UTC)
"""When the accounts were last scanned (`last_seen`)."""

_FIRST_CREATED = datetime(2024, 1, 1, tzinfo=UTC)
_CREATED_WITHIN = timedelta(days=700) // timedelta(microseconds=1)

_MIGRATIONS = (
    ("m3u", "0001_initial"),
    ("vod", "0001_initial"),
    ("vod", "0002_add_last_seen_with_default"),
    ("vod", "0003_vodlogo_alter_movie_logo_alter_series_logo"),
    ("vod", "0004_m3uepisoderelation_series_relation"),
    ("vod", "0005_movie_is_adult"),
)

_RELATIONS = {
    "vod_movie": ("vod_m3umovierelation", "movie_id", "stream_id"),
    "vod_series": ("vod_m3useriesrelation", "series_id", "external_series_id"),
    "vod_episode": ("vod_m3uepisoderelation", "episode_id", "stream_id"),
}

_NULLS = {name: {column.name: None for column in table.columns if column.null} for name, table in TABLES.items()}
_COLUMNS = {name: frozenset(table.column_names) for name, table in TABLES.items()}


class Catalogue:
    """Rows in memory, written into as many databases as wanted.

    Every method that adds a row takes its further columns by keyword (`TypeError` if there is none of that name)
    and returns the `Record`. What is not given is null, or a value that depends on the seed and the row's id.

    Args:
        seed: another seed gives other UUIDs and times.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._last_id = dict.fromkeys(TABLES, 0)
        self._records: dict[str, list[Record]] = {name: [] for name in TABLES}
        self._first_account: Record | None = None
        for app, name in _MIGRATIONS:
            self._add("django_migrations", {"app": app, "name": name, "applied": _FIRST_CREATED})

    def account(self, name: str, *, priority: int = 0, active: bool = True, **columns: Any) -> Record:
        """A provider's account with credentials (`m3u_m3uaccount`)."""
        defaults = {
            "name": name,
            "priority": priority,
            "is_active": active,
            "server_url": "http://panel.example:8080",
            "username": "viewer",
            "password": "panel-password",
            "account_type": "XC",
            "custom_properties": {"enable_vod": True},
        }
        account = self._add("m3u_m3uaccount", defaults | columns)
        self._first_account = self._first_account or account
        return account

    def category(self, name: str, category_type: str, **columns: Any) -> Record:
        """A category of `"movie"` or `"series"` (`vod_vodcategory`); it counts where it is enabled for an account."""
        return self._add("vod_vodcategory", {"name": name, "category_type": category_type} | columns)

    def enable(self, account: Record, category: Record, enabled: bool = True, **columns: Any) -> Record:
        """Switch a category on for an account, or off (`vod_m3uvodcategoryrelation`)."""
        defaults = {"m3u_account_id": account.id, "category_id": category.id, "enabled": enabled}
        return self._add("vod_m3uvodcategoryrelation", defaults | columns)

    def logo(self, url: str, name: str = "", **columns: Any) -> Record:
        """A poster (`vod_vodlogo`); an item shows it with `logo_id=`."""
        return self._add("vod_vodlogo", {"name": name, "url": url} | columns)

    def movie(
        self,
        name: str,
        *,
        relations: Iterable[Record] | None = None,
        category: Record | None = None,
        **columns: Any,
    ) -> Record:
        """A movie (`vod_movie`), with its relations in the record's `relations`.

        Args:
            name: as the panel sent it.
            relations: the accounts that have it; by default the first account, which is made if there is none.
            category: the category of all those relations.
            columns: further columns of the movie.
        """
        movie = self._add("vod_movie", {"name": name, "is_adult": False} | columns)
        return self._related(movie, relations, category)

    def series(
        self,
        name: str,
        *,
        relations: Iterable[Record] | None = None,
        category: Record | None = None,
        **columns: Any,
    ) -> Record:
        """A series (`vod_series`); see `movie`."""
        return self._related(self._add("vod_series", {"name": name} | columns), relations, category)

    def episode(
        self,
        series: Record,
        season: int | None,
        number: int | None,
        name: str,
        *,
        relations: Iterable[Record] | None = None,
        **columns: Any,
    ) -> Record:
        """An episode (`vod_episode`); see `movie`. By default every account that has the series has it."""
        defaults = {"series_id": series.id, "season_number": season, "episode_number": number, "name": name}
        episode = self._add("vod_episode", defaults | columns)
        episode.series = series
        if relations is None:
            relations = [relation.account for relation in series.relations]
        return self._related(episode, relations, None)

    def relate(self, item: Record, account: Record, category: Record | None = None, **columns: Any) -> Record:
        """A relation: the account has the movie, series or episode. An episode's takes no category.

        It has a stream id (a series: an `external_series_id`) of its own unless one is given.
        """
        table, item_column, stream_column = _RELATIONS[item.table]
        values: dict[str, Any] = {
            "m3u_account_id": account.id,
            item_column: item.id,
            stream_column: str(1001 + self._last_id[table]),
            "last_seen": SCANNED,
        }
        if "container_extension" in _COLUMNS[table]:
            values["container_extension"] = "mkv"
        if category is not None:
            values["category_id"] = category.id
        if item.table == "vod_episode":
            theirs = (relation.id for relation in item.series.relations if relation.account is account)
            values["series_relation_id"] = next(theirs, None)
        relation = self._add(table, values | columns)
        relation.account = account
        item.relations.append(relation)
        return relation

    def write(self, target: str) -> None:
        """Write everything into an empty target; see `vod2strmfs.demo.writer.write`."""
        writer.write(target, self._records.items())

    def drain(self) -> Iterator[Batch]:
        """Hand out the rows so far and forget them; ids go on counting. For more rows than memory can hold."""
        for name in TABLES:
            records, self._records[name] = self._records[name], []
            if records:
                yield name, records

    def _related(self, item: Record, accounts: Iterable[Record] | None, category: Record | None) -> Record:
        item.relations = []
        if accounts is None:
            accounts = [self._first_account or self.account("Provider")]
        for account in accounts:
            self.relate(item, account, category)
        return item

    def _add(self, table: str, values: dict[str, Any]) -> Record:
        if unknown := values.keys() - _COLUMNS[table]:
            raise TypeError(f"{table} has no column {', '.join(sorted(unknown))}")
        row_id = values.get("id", self._last_id[table] + 1)
        self._last_id[table] = max(row_id, self._last_id[table])
        record = Record(**(_NULLS[table] | self._derived(table, row_id) | values), table=table)
        self._records[table].append(record)
        return record

    def _derived(self, table: str, row_id: int) -> dict[str, Any]:
        """The columns that every row has, from a hash of the seed, the table and the id."""
        columns = _COLUMNS[table]
        derived: dict[str, Any] = {"id": row_id}
        digest = blake2b(f"{self._seed} {table} {row_id}".encode(), digest_size=16).digest()
        if "uuid" in columns:
            derived["uuid"] = str(UUID(bytes=digest, version=4))
        if "created_at" in columns:
            microseconds = int.from_bytes(digest[:8]) % _CREATED_WITHIN
            derived["created_at"] = derived["updated_at"] = _FIRST_CREATED + timedelta(microseconds=microseconds)
        return derived
