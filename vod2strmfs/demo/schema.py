"""Dispatcharr's tables (as of v0.29), described once and spelled for PostgreSQL and for SQLite.

Only what concerns films is here: the tables of the `vod` app, the accounts that they refer to, and Django's
list of applied migrations. Types, keys and indexes are those that Dispatcharr's migrations make.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

Dialect = Literal["postgresql", "sqlite"]


class ColumnType(NamedTuple):
    """How the two databases spell a type."""

    postgresql: str
    sqlite: str


ID = ColumnType("bigint", "integer")
INTEGER = ColumnType("integer", "integer")
BOOLEAN = ColumnType("boolean", "bool")
TEXT = ColumnType("text", "text")
UUID = ColumnType("uuid", "char(32)")
DATE = ColumnType("date", "date")
TIMESTAMP = ColumnType("timestamp with time zone", "datetime")
JSON = ColumnType("jsonb", "text")


def varchar(length: int) -> ColumnType:
    """Text of at most `length` characters; PostgreSQL enforces it, SQLite does not."""
    return ColumnType(f"varchar({length})", f"varchar({length})")


class Column(NamedTuple):
    """A column. `references` names the table whose id it holds."""

    name: str
    type: ColumnType
    null: bool = False
    unique: bool = False
    indexed: bool = False
    references: str = ""


class Table(NamedTuple):
    """A table; its first column is the primary key `id`."""

    name: str
    columns: tuple[Column, ...]
    unique_together: tuple[str, ...] = ()
    unique_without_external_ids: tuple[str, ...] = ()
    """Unique only among rows whose `tmdb_id` and `imdb_id` are both null."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns' names in their order."""
        return tuple(column.name for column in self.columns)


def _reference(name: str, table: str, null: bool = False) -> Column:
    return Column(name, ID, null=null, references=table)


_ID = Column("id", ID)
_NAME = Column("name", varchar(255))
_PROPERTIES = Column("custom_properties", JSON, null=True)
_TIMES = (Column("created_at", TIMESTAMP), Column("updated_at", TIMESTAMP))

_ITEM = (
    _ID,
    Column("uuid", UUID, unique=True),
    _NAME,
    Column("description", TEXT, null=True),
    Column("rating", varchar(10), null=True),
    _PROPERTIES,
    *_TIMES,
)
_TITLE = (
    *_ITEM,
    Column("year", INTEGER, null=True),
    Column("genre", varchar(255), null=True),
    Column("tmdb_id", varchar(50), null=True, unique=True),
    Column("imdb_id", varchar(50), null=True, unique=True),
    _reference("logo_id", "vod_vodlogo", null=True),
)
_DURATION = Column("duration_secs", INTEGER, null=True)

_ACCOUNT = _reference("m3u_account_id", "m3u_m3uaccount")
_CATEGORY = _reference("category_id", "vod_vodcategory", null=True)
_RELATION = (_ID, _ACCOUNT, _PROPERTIES, *_TIMES, Column("last_seen", TIMESTAMP))
_STREAM = (Column("stream_id", varchar(255)), Column("container_extension", varchar(10), null=True))

_ALL = (
    Table("django_migrations", (_ID, Column("app", varchar(255)), _NAME, Column("applied", TIMESTAMP))),
    Table(
        "m3u_m3uaccount",
        (
            _ID,
            Column("name", varchar(255), unique=True),
            Column("server_url", varchar(1000), null=True),
            Column("username", varchar(255), null=True),
            Column("password", varchar(255), null=True),
            Column("account_type", ColumnType("varchar", "varchar")),
            Column("is_active", BOOLEAN),
            Column("priority", INTEGER),
            _PROPERTIES,
            Column("created_at", TIMESTAMP),
            Column("updated_at", TIMESTAMP, null=True),
        ),
    ),
    Table("vod_vodlogo", (_ID, _NAME, Column("url", TEXT, unique=True))),
    Table(
        "vod_vodcategory",
        (_ID, _NAME, Column("category_type", varchar(10)), *_TIMES),
        unique_together=("name", "category_type"),
    ),
    Table(
        "vod_m3uvodcategoryrelation",
        (_ID, _ACCOUNT, _reference("category_id", "vod_vodcategory"), Column("enabled", BOOLEAN), _PROPERTIES, *_TIMES),
        unique_together=("m3u_account_id", "category_id"),
    ),
    Table(
        "vod_movie",
        (*_TITLE, _DURATION, Column("is_adult", BOOLEAN)),
        unique_without_external_ids=("name", "year"),
    ),
    Table("vod_series", _TITLE, unique_without_external_ids=("name", "year")),
    Table(
        "vod_episode",
        (
            *_ITEM,
            _reference("series_id", "vod_series"),
            Column("season_number", INTEGER, null=True),
            Column("episode_number", INTEGER, null=True),
            Column("air_date", DATE, null=True),
            _DURATION,
            Column("tmdb_id", varchar(50), null=True, indexed=True),
            Column("imdb_id", varchar(50), null=True, indexed=True),
        ),
        unique_together=("series_id", "season_number", "episode_number"),
    ),
    Table(
        "vod_m3umovierelation",
        (
            *_RELATION,
            _reference("movie_id", "vod_movie"),
            _CATEGORY,
            *_STREAM,
            Column("last_advanced_refresh", TIMESTAMP, null=True),
        ),
        unique_together=("m3u_account_id", "stream_id"),
    ),
    Table(
        "vod_m3useriesrelation",
        (
            *_RELATION,
            _reference("series_id", "vod_series"),
            _CATEGORY,
            Column("external_series_id", varchar(255)),
            Column("last_episode_refresh", TIMESTAMP, null=True),
        ),
        unique_together=("m3u_account_id", "external_series_id"),
    ),
    Table(
        "vod_m3uepisoderelation",
        (
            *_RELATION,
            _reference("episode_id", "vod_episode"),
            _reference("series_relation_id", "vod_m3useriesrelation", null=True),
            *_STREAM,
        ),
        unique_together=("m3u_account_id", "stream_id"),
    ),
)

TABLES = {table.name: table for table in _ALL}
"""Every table by its name; a table comes after those that it refers to."""


def create_tables(dialect: Dialect) -> Iterator[str]:
    """The statements to run before rows are written."""
    definition = _postgresql_column if dialect == "postgresql" else _sqlite_column
    for table in TABLES.values():
        yield f"CREATE TABLE {table.name} ({', '.join(map(definition, table.columns))})"


def create_keys(dialect: Dialect) -> Iterator[str]:
    """The statements to run after rows are written: building an index once is faster than keeping it up to date.

    SQLite cannot add a primary or a foreign key later; there they are part of the tables.
    """
    if dialect == "postgresql":
        for table in TABLES.values():
            yield f"ALTER TABLE {table.name} ADD PRIMARY KEY (id)"
    for table in TABLES.values():
        yield from _unique_indexes(table)
        for column in table.columns:
            if column.references or column.indexed:
                yield f"CREATE INDEX {table.name}_{column.name} ON {table.name} ({column.name})"
            if column.references and dialect == "postgresql":
                yield f"ALTER TABLE {table.name} ADD FOREIGN KEY ({column.name}) {_references(column)}"


def _unique_indexes(table: Table) -> Iterator[str]:
    keys: list[tuple[str, ...]] = [(column.name,) for column in table.columns if column.unique]
    if table.unique_together:
        keys.append(table.unique_together)
    for key in keys:
        yield f"CREATE UNIQUE INDEX {'_'.join((table.name, *key))}_uniq ON {table.name} ({', '.join(key)})"
    if table.unique_without_external_ids:
        yield (
            f"CREATE UNIQUE INDEX unique_{table.name.removeprefix('vod_')}_name_year_no_external_id"
            f" ON {table.name} ({', '.join(table.unique_without_external_ids)})"
            " WHERE tmdb_id IS NULL AND imdb_id IS NULL"
        )


def _references(column: Column) -> str:
    return f"REFERENCES {column.references} (id) DEFERRABLE INITIALLY DEFERRED"


def _postgresql_column(column: Column) -> str:
    if column.name == "id":
        return "id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY"
    return f"{column.name} {column.type.postgresql}{'' if column.null else ' NOT NULL'}"


def _sqlite_column(column: Column) -> str:
    if column.name == "id":
        return "id integer NOT NULL PRIMARY KEY AUTOINCREMENT"
    parts = [column.name, column.type.sqlite, "NULL" if column.null else "NOT NULL"]
    if column.type is JSON:
        parts.append(f"CHECK (json_valid({column.name}) OR {column.name} IS NULL)")
    if column.references:
        parts.append(_references(column))
    return " ".join(parts)
