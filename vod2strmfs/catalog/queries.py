"""The SELECTs that read Dispatcharr's tables: one for each kind of row, the same for PostgreSQL and SQLite.

A relation counts when its account is active and its category is null or enabled for that account. Among
the relations that count, Dispatcharr plays the one of the account with the highest priority, then the one
with the lowest id. The choice is made on narrow rows first; the wide ones are joined to the winner only.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Kind = Literal["movie", "version", "series", "episode"]
KINDS: tuple[Kind, ...] = ("movie", "version", "series", "episode")
"""Each may refer to those before it."""

BLOCK_BITS = 10
"""Rows are compared in blocks of 2 ** BLOCK_BITS consecutive ids."""


def _columns(names: str) -> frozenset[str]:
    return frozenset(names.split())


REQUIRED: Mapping[str, frozenset[str]] = {
    "vod_movie": _columns(
        "id uuid name description year rating genre duration_secs tmdb_id imdb_id custom_properties created_at"
    ),
    "vod_series": _columns("id uuid name description year rating genre tmdb_id imdb_id custom_properties created_at"),
    "vod_episode": _columns(
        "id uuid series_id name description air_date rating duration_secs season_number episode_number"
        " tmdb_id imdb_id custom_properties created_at"
    ),
    "vod_vodcategory": _columns("id name"),
    "vod_m3umovierelation": _columns(
        "id m3u_account_id movie_id category_id stream_id container_extension custom_properties"
    ),
    "vod_m3useriesrelation": _columns("id m3u_account_id series_id category_id external_series_id custom_properties"),
    "vod_m3uepisoderelation": _columns("id m3u_account_id episode_id stream_id container_extension custom_properties"),
    "vod_m3uvodcategoryrelation": _columns("m3u_account_id category_id enabled"),
    "m3u_m3uaccount": _columns("id name is_active priority"),
}
"""Tables and columns without which nothing can be read."""

OPTIONAL: Mapping[str, frozenset[str]] = {
    "vod_movie": _columns("is_adult logo_id"),
    "vod_series": _columns("logo_id"),
    "vod_vodlogo": _columns("id url"),
}
"""What later migrations added: logos in v0.12, `is_adult` in v0.29."""


class Dialect(NamedTuple):
    """How a database spells what the two spell differently; each takes the name of a column."""

    uuid: str
    json: str
    date: str
    epoch: str
    """Seconds since the epoch; times that do not fit into a file's (before 1970, after 2262) are its first or last."""


POSTGRESQL = Dialect(
    uuid="{}::text",
    json="{}::text",
    date="{}::text",
    epoch="floor(least(greatest(extract(epoch from {}), 0), 9223372036))::bigint",
)

_HEX_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
SQLITE = Dialect(
    # Django keeps UUIDs as 32 hex digits there.
    uuid="lower(" + " || '-' || ".join(f"substr({{0}}, {at}, {length})" for at, length in _HEX_PARTS) + ")",
    json="{}",
    date="{}",
    epoch="min(max(coalesce(cast(strftime('%s', {}) as integer), 0), 0), 9223372036)",
)

CREDENTIALS = """
    SELECT id, server_url, username, password FROM m3u_m3uaccount
    WHERE is_active AND account_type = 'XC' AND server_url != '' ORDER BY id"""

_ACTIVE = "JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id AND a.is_active"
_ENABLED = """LEFT JOIN vod_m3uvodcategoryrelation enabled
        ON enabled.m3u_account_id = r.m3u_account_id AND enabled.category_id = r.category_id"""
_COUNTS = "(r.category_id IS NULL OR enabled.enabled)"


def in_blocks(blocks: Iterable[int]) -> str:
    """The condition that `{id}` lies in one of the blocks, as ranges that an index can serve."""
    ranges: list[list[int]] = []
    for block in sorted(blocks):
        if ranges and ranges[-1][1] == block:
            ranges[-1][1] = block + 1
        else:
            ranges.append([block, block + 1])
    conditions = (f"{{id}} >= {first << BLOCK_BITS} AND {{id}} < {end << BLOCK_BITS}" for first, end in ranges)
    return "(" + " OR ".join(conditions) + ")"


class Queries:
    """The query texts for one dialect and the optional columns that the database has.

    Args:
        dialect: `POSTGRESQL` or `SQLITE`.
        columns: the columns that exist, by table.
        versions: whether every relation is wanted, or only the chosen one.
    """

    def __init__(
        self, dialect: Dialect, columns: Mapping[str, frozenset[str] | set[str]], *, versions: bool = False
    ) -> None:
        self._versions = versions
        self._dialect = dialect
        self._adult = "m.is_adult" if "is_adult" in columns["vod_movie"] else "false"
        self._logos = "vod_vodlogo" in columns and "logo_id" in columns["vod_movie"]

    def rows(self, kind: Kind, where: str = "") -> str:
        """Every eligible row of a kind in ascending order of its id, with the columns of its row type.

        Args:
            kind: the kind of row.
            where: a condition on `{id}`, to read a part.
        """
        text, key = {
            "movie": (self._movies, "m.id"),
            "version": (self._all_versions, "r.id"),
            "series": (self._series, "s.id"),
            "episode": (self._episodes, self._episode_key),
        }[kind]
        return text().replace("{where}", f"AND {where.format(id=key)}" if where else "") + f" ORDER BY {key}"

    def digests(self, kind: Kind) -> str:
        """A digest of every block of rows (PostgreSQL only): `block, digest`."""
        return f"""
            SELECT q.id >> {BLOCK_BITS}, count(*) || ':' || sum(hashtextextended(q::text, 0))
            FROM ({self.rows(kind).rpartition("ORDER BY")[0]}) q GROUP BY 1"""

    def counts(self) -> dict[str, str]:
        """Queries of one number each, by the metric's name: what the database holds, eligible or not."""
        movie = self._chosen("vod_m3umovierelation", "movie_id")
        series = self._chosen("vod_m3useriesrelation", "series_id")
        return {
            "movies": "SELECT count(*) FROM vod_movie",
            "series": "SELECT count(*) FROM vod_series",
            "episodes": "SELECT count(*) FROM vod_episode",
            "movies_eligible": f"SELECT count(*) FROM ({movie}) chosen WHERE place = 1",
            "series_eligible": f"SELECT count(*) FROM ({series}) chosen WHERE place = 1",
            "accounts": "SELECT count(*) FROM m3u_m3uaccount",
            "accounts_active": "SELECT count(*) FROM m3u_m3uaccount WHERE is_active",
        }

    def _chosen(self, table: str, item: str) -> str:
        return f"""
        SELECT r.id, row_number() OVER (PARTITION BY r.{item} ORDER BY a.priority DESC, r.id) AS place
        FROM {table} r {_ACTIVE} {_ENABLED} WHERE {_COUNTS}"""

    def _logo(self, item: str) -> tuple[str, str]:
        if not self._logos:
            return "NULL", ""
        return "logo.url", f"LEFT JOIN vod_vodlogo logo ON logo.id = {item}.logo_id"

    def _movies(self) -> str:
        d = self._dialect
        logo, logo_join = self._logo("m")
        return f"""
        SELECT m.id, {d.uuid.format("m.uuid")}, m.name, m.description, m.year, m.rating, m.genre, m.duration_secs,
            m.tmdb_id, m.imdb_id, {self._adult}, {d.json.format("m.custom_properties")},
            {d.epoch.format("m.created_at")}, {logo}, r.id AS relation_id, a.id AS account_id, a.name AS account_name,
            r.stream_id, c.name AS category, r.container_extension,
            {d.json.format("r.custom_properties")} AS relation_properties
        FROM ({self._chosen("vod_m3umovierelation", "movie_id")}) chosen
        JOIN vod_m3umovierelation r ON r.id = chosen.id
        JOIN vod_movie m ON m.id = r.movie_id
        JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id
        LEFT JOIN vod_vodcategory c ON c.id = r.category_id
        {logo_join}
        WHERE chosen.place = 1 {{where}}"""

    def _all_versions(self) -> str:
        d = self._dialect
        return f"""
        SELECT r.id, {d.uuid.format("m.uuid")}, m.id AS movie_id, {d.epoch.format("m.created_at")},
            a.id AS account_id, a.name AS account_name, r.stream_id, r.container_extension
        FROM vod_m3umovierelation r
        {_ACTIVE}
        {_ENABLED}
        JOIN vod_movie m ON m.id = r.movie_id
        WHERE {_COUNTS} {{where}}"""

    @property
    def _episode_key(self) -> str:
        return "r.id" if self._versions else "e.id"

    def _series(self) -> str:
        d = self._dialect
        logo, logo_join = self._logo("s")
        return f"""
        SELECT s.id, {d.uuid.format("s.uuid")}, s.name, s.description, s.year, s.rating, s.genre,
            s.tmdb_id, s.imdb_id, {d.json.format("s.custom_properties")},
            {d.epoch.format("s.created_at")}, {logo}, r.id AS relation_id, a.id AS account_id, a.name AS account_name,
            r.external_series_id, c.name AS category, {d.json.format("r.custom_properties")} AS relation_properties
        FROM ({self._chosen("vod_m3useriesrelation", "series_id")}) chosen
        JOIN vod_m3useriesrelation r ON r.id = chosen.id
        JOIN vod_series s ON s.id = r.series_id
        JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id
        LEFT JOIN vod_vodcategory c ON c.id = r.category_id
        {logo_join}
        WHERE chosen.place = 1 {{where}}"""

    def _episodes(self) -> str:
        """Episodes have no category of their own: the series' decides, the relation's account has to be active."""
        d = self._dialect
        return f"""
        SELECT {self._episode_key}, {d.uuid.format("e.uuid")}, e.series_id, e.name, e.description,
            {d.date.format("e.air_date")}, e.rating, e.duration_secs, e.season_number, e.episode_number,
            e.tmdb_id, e.imdb_id, {d.json.format("e.custom_properties")}, {d.epoch.format("e.created_at")},
            r.id AS relation_id, a.id AS account_id, a.name AS account_name, r.stream_id, r.container_extension,
            {d.json.format("r.custom_properties")} AS relation_properties
        FROM (
            SELECT r.id, row_number() OVER (PARTITION BY r.episode_id ORDER BY a.priority DESC, r.id) AS place
            FROM vod_m3uepisoderelation r {_ACTIVE}) chosen
        JOIN vod_m3uepisoderelation r ON r.id = chosen.id
        JOIN vod_episode e ON e.id = r.episode_id
        JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id
        WHERE {"true" if self._versions else "chosen.place = 1"}
            AND e.series_id IN (
                SELECT r.series_id FROM vod_m3useriesrelation r {_ACTIVE} {_ENABLED} WHERE {_COUNTS}) {{where}}"""
