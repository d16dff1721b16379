"""The rows that a catalogue source yields: one type for each kind, the same from PostgreSQL and SQLite.

Field order is the column order of the queries in `vod2strmfs.catalog.queries`.
"""

from typing import NamedTuple


class MovieRow(NamedTuple):
    """An eligible movie with the relation that Dispatcharr plays (`vod_movie`, `vod_m3umovierelation`)."""

    id: int
    uuid: str
    """Canonical: lower case, with dashes."""
    name: str
    description: str | None
    year: int | None
    rating: str | None
    genre: str | None
    duration_secs: int | None
    tmdb_id: str | None
    imdb_id: str | None
    is_adult: bool
    """False where the column does not exist (before v0.29)."""
    properties: str | None
    """`custom_properties` as JSON text; its content is the panel's, of any shape."""
    created_at: int
    """Seconds since the epoch."""
    logo_url: str | None
    account_id: int
    account_name: str
    stream_id: str
    category: str | None
    container_extension: str | None
    relation_properties: str | None
    """The relation's `custom_properties` as JSON text."""
    language: str = ""
    """The two letters of ISO 639-1, where Dispatcharr knows it; "" where the column does not exist."""
    others: str | None = None
    """The same of the movie's other relations that count, in the order in which Dispatcharr would play them. Between
    two of them stands U+001E, which no JSON text holds."""
    passes: bool = True
    """Whether the relation is one that the user wants; if not, the movie has none."""
    category_tags: str | None = None
    """The `custom_properties` of the category as that account has it, as JSON text; None where they cannot be read."""
    relations: str | None = None
    """What there is of each relation that counts, if there are several and that was asked for: JSON arrays, see
    `extract.choosing`, in the order and with what stands between them as in `others`."""


class SeriesRow(NamedTuple):
    """An eligible series with its chosen relation (`vod_series`, `vod_m3useriesrelation`)."""

    id: int
    uuid: str
    name: str
    description: str | None
    year: int | None
    rating: str | None
    genre: str | None
    tmdb_id: str | None
    imdb_id: str | None
    properties: str | None
    created_at: int
    logo_url: str | None
    account_id: int
    account_name: str
    stream_id: str
    """The relation's `external_series_id`."""
    category: str | None
    relation_properties: str | None
    language: str = ""
    """As a movie's."""
    others: str | None = None
    """As a movie's."""
    passes: bool = True
    """As a movie's."""
    category_tags: str | None = None
    """As a movie's."""
    relations: str | None = None
    """As a movie's."""


class FillableRow(NamedTuple):
    """A series by one of its relations, as far as it has to be known to ask for its episodes."""

    relation_id: int
    series_id: int
    uuid: str
    name: str
    created_at: int
    """Seconds since the epoch."""
    account_id: int
    account_name: str
    stream_id: str
    has_episodes: bool
    """Whether there is any that the library would show."""


class EpisodeRow(NamedTuple):
    """An episode of an eligible series, with its chosen relation (`vod_episode`, `vod_m3uepisoderelation`).

    A snapshot of all versions has a row for each relation.
    """

    id: int
    """The episode's; in a snapshot of all versions, the relation's."""
    uuid: str
    series_id: int
    name: str
    description: str | None
    air_date: str | None
    """ISO date, or whatever text SQLite holds."""
    rating: str | None
    duration_secs: int | None
    season_number: int | None
    episode_number: int | None
    tmdb_id: str | None
    imdb_id: str | None
    properties: str | None
    created_at: int
    account_id: int
    account_name: str
    stream_id: str
    container_extension: str | None
    relation_properties: str | None
    others: str | None = None
    """As a movie's."""
    passes: bool = True
    """As a movie's."""
    relations: str | None = None
    """As a movie's."""


class VersionRow(NamedTuple):
    """Any relation of an eligible movie that counts and is wanted, the chosen one included (`vod_m3umovierelation`)."""

    id: int
    """The relation's."""
    uuid: str
    """The movie's."""
    movie_id: int
    created_at: int
    account_id: int
    account_name: str
    stream_id: str
    container_extension: str | None


class Credentials(NamedTuple):
    """How to reach the provider of an Xtream account (`m3u_m3uaccount`)."""

    account_id: int
    server_url: str
    username: str
    password: str
