"""The SELECTs that read Dispatcharr's tables: one for each kind of row, the same for PostgreSQL and SQLite.

A relation counts when its account is active and its category is null or enabled for that account. Among
the relations that count, Dispatcharr plays the one of the account with the highest priority, then the one
with the lowest id; where the user wants some accounts or categories only, it is the first of those (`Choice`).
The choice is made on narrow rows first; the wide ones are joined to the winner only. It
leaves the narrow rows in the order in which all are wanted, and PostgreSQL keeps it when it looks up the wide
ones: no wide row is ever sorted, and the first ones come while the rest are still being looked up.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple
from uuid import UUID

Kind = Literal["movie", "version", "series", "episode"]
KINDS: tuple[Kind, ...] = ("movie", "version", "series", "episode")
"""Each may refer to those before it."""

BLOCK_BITS = 10
"""Rows are compared in blocks of 2 ** BLOCK_BITS consecutive ids."""
_MOST_RANGES = 32

COUNTED: Mapping[str, Kind | None] = {"movies": "movie", "series": "series", "episodes": "episode", "accounts": None}
"""What `Queries.count` counts, and the kind by whose blocks."""
_WHY_NOT = ("without_relation", "of_inactive_accounts")
_METRICS = {
    name: (name, *(f"{name}_{metric}" for metric in metrics))
    for name, metrics in {
        "movies": ("eligible", *_WHY_NOT, "of_disabled_categories"),
        "series": ("eligible", *_WHY_NOT, "of_disabled_categories"),
        "episodes": ("eligible", *_WHY_NOT, "of_ineligible_series"),
        "accounts": ("active",),
    }.items()
}


class Dialect(NamedTuple):
    """How a database spells what the two spell differently; each takes the name of a column."""

    uuid: str
    json: str
    date: str
    epoch: str
    """Seconds since the epoch; times that do not fit into a file's (before 1970, after 2262) are its first or last."""
    together: str
    """JSON of several rows as one value; see `rows.MovieRow.others`."""
    array: str
    """Takes several columns; a JSON array of them, as text."""
    hash: str = ""
    """Takes a row as it is read; 64 bits, whose sums tell any two sets of rows apart."""


POSTGRESQL = Dialect(
    uuid="{}::text",
    json="{}::text",
    date="{}::text",
    epoch="floor(least(greatest(date_part('epoch', {}), 0), 9223372036))::bigint",
    together="string_agg({}::text, chr(30))",
    array="json_build_array({})::text",
    # A record's hash adds up those of its columns, so the sum over rows alone would be the same whichever row has
    # which value. Of JSON it is the text's that counts: jsonb's own does not see values change places 32 apart.
    hash="hashint8extended(hash_record_extended({}, 0), 1)",
)
POSTGRESQL_13 = POSTGRESQL._replace(hash="hashtextextended({}::text, 0)")
"""Up to that version."""

_HEX_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
SQLITE = Dialect(
    # Django keeps UUIDs as 32 hex digits there.
    uuid="lower(" + " || '-' || ".join(f"substr({{0}}, {at}, {length})" for at, length in _HEX_PARTS) + ")",
    json="{}",
    date="{}",
    epoch="min(max(coalesce(cast(strftime('%s', {}) as integer), 0), 0), 9223372036)",
    together="group_concat({}, char(30))",
    array="json_array({})",
)

ACCOUNTS = "SELECT id, name, priority FROM m3u_m3uaccount WHERE is_active"
CATEGORY_NAMES = """
    SELECT c.id, c.name, EXISTS (SELECT 1 FROM vod_m3uvodcategoryrelation r
        JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id AND a.is_active WHERE r.category_id = c.id AND r.enabled)
    FROM vod_vodcategory c"""
"""Every category, and whether it is enabled for an account that is active."""

CREDENTIALS = """
    SELECT id, server_url, username, password FROM m3u_m3uaccount
    WHERE is_active AND account_type = 'XC' AND server_url != '' ORDER BY id"""

CATEGORIES = """
    SELECT count(*), coalesce(sum(CASE WHEN r.enabled THEN 0 ELSE 1 END), 0) FROM vod_m3uvodcategoryrelation r
    JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id AND a.is_active"""
"""How many categories active accounts have, and how many of them are disabled."""

_ACTIVE = "JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id AND a.is_active"
_ENABLED = """LEFT JOIN vod_m3uvodcategoryrelation enabled
        ON enabled.m3u_account_id = r.m3u_account_id AND enabled.category_id = r.category_id"""
_COUNTS = "(r.category_id IS NULL OR enabled.enabled)"
_OPEN_SERIES = f"SELECT r.series_id FROM vod_m3useriesrelation r {_ACTIVE} {_ENABLED} WHERE {_COUNTS}"


def series_of(episodes: Iterable[UUID]) -> str:
    """The ids of the series that some episodes belong to. Both databases take a UUID as 32 digits."""
    digits = ", ".join(f"'{episode.hex}'" for episode in episodes)
    return f"SELECT DISTINCT series_id FROM vod_episode WHERE uuid IN ({digits})"


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


class Part(NamedTuple):
    """Some of the rows of a kind: those of blocks, and single ones beside them."""

    blocks: Set[int] = frozenset()
    ids: Set[int] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any row in it."""
        return bool(self.blocks or self.ids)

    def condition(self) -> str:
        """The condition that `{id}` is in it."""
        conditions = [in_blocks(self.blocks)] if self.blocks else []
        if self.ids:
            conditions.append(f"{{id}} IN ({', '.join(map(str, sorted(self.ids)))})")
        return f"({' OR '.join(conditions) or 'false'})"


def are_few(blocks: Set[int], most: int = _MOST_RANGES) -> bool:
    """Whether it pays to ask for these blocks alone, as `in_blocks` does: they are no more ranges than that."""
    return len([block for block in blocks if block - 1 not in blocks]) <= most


class Groups(NamedTuple):
    """What relations are grouped by: accounts and categories, each its name by its id."""

    accounts: Mapping[int, str]
    """Those that are active."""
    categories: Mapping[int | None, str]
    """None stands for relations without a category."""
    enabled: Set[int | None]
    """The categories that are enabled for an active account, and None."""
    priorities: Mapping[int, int] = {}
    """Of the accounts. Dispatcharr plays the highest first."""

    @classmethod
    def of(cls, accounts: Iterable[tuple[Any, ...]], categories: Iterable[tuple[Any, ...]]) -> "Groups":
        """From the rows of the queries `ACCOUNTS` and `CATEGORY_NAMES`."""
        named, active = list(categories), list(accounts)
        return cls(
            # SQLite holds what it is given: a name may be a number, or null.
            {number: str(name or "") for number, name, _ in active},
            {None: "", **{number: str(name or "") for number, name, _ in named}},
            {None, *(number for number, _, enabled in named if enabled)},
            {number: priority if isinstance(priority, int) else 0 for number, _, priority in active},
        )


class Choice(NamedTuple):
    """Which relations the user wants, by the ids of accounts and categories; all of them where there is None."""

    accounts: Set[int] | None = None
    categories: Set[int | None] | None = None
    """None in it stands for relations without a category."""
    all_told: bool = False
    """Whether a row of several relations tells what there is of each; see `rows.MovieRow.relations`."""

    def refuses(self, account: int) -> str:
        """The setting by which a relation that does not pass is refused: `accounts` or `categories`."""
        return "accounts" if self.accounts is not None and account not in self.accounts else "categories"


ALL = Choice()


class _Relations(NamedTuple):
    """The relations of one kind of item, as far as they count."""

    table: str
    item: str
    """The column that names the item."""
    joins: str
    counts: str


_OF_MOVIES = _Relations("vod_m3umovierelation", "movie_id", f"{_ACTIVE} {_ENABLED}", _COUNTS)
_OF_SERIES = _Relations("vod_m3useriesrelation", "series_id", f"{_ACTIVE} {_ENABLED}", _COUNTS)
_OF_EPISODES = _Relations("vod_m3uepisoderelation", "episode_id", _ACTIVE, "true")
"""They have no category of their own: their series' decides."""


def add_up(counts: Mapping[str, Mapping[int, Sequence[int]]]) -> dict[str, int]:
    """What there is in all, by metric.

    Args:
        counts: the numbers of each block, by what is counted.
    """
    return {
        metric: sum(numbers[place] for numbers in counts[name].values())
        for name, metrics in _METRICS.items()
        for place, metric in enumerate(metrics)
    }


class Queries:
    """The query texts for one dialect and the optional columns that the database has.

    Args:
        dialect: `POSTGRESQL` or `SQLITE`.
        columns: the columns that exist, by table.
        versions: whether every relation is wanted, or only the chosen one.
        choice: which relations the user wants. An item that has none of these comes with the first of the others, and
            where all relations of episodes are wanted, each comes; `passes` tells them apart.
    """

    def __init__(
        self,
        dialect: Dialect,
        columns: Mapping[str, frozenset[str] | set[str]],
        *,
        versions: bool = False,
        choice: Choice = ALL,
    ) -> None:
        self._versions = versions
        self._choice = choice
        self._series_relation = "series_relation_id" in columns["vod_m3uepisoderelation"]
        self._dialect = dialect
        self._adult = "m.is_adult" if "is_adult" in columns["vod_movie"] else "false"
        self._language = {
            table: f"{short}.language" if "language" in columns.get(table, ()) else "CAST('' AS text)"
            for table, short in (("vod_movie", "m"), ("vod_series", "s"))
        }
        told = "custom_properties" in columns.get("vod_m3uvodcategoryrelation", ())
        self._category_tags = dialect.json.format("enabled.custom_properties") if told else "CAST(NULL AS text)"
        self._logos = "vod_vodlogo" in columns and "logo_id" in columns["vod_movie"]
        self._logo_url = "logo.url" if self._logos else "CAST(NULL AS text)"

    def logos(self) -> str:
        """Ids and URLs of all posters."""
        return "SELECT id, url FROM vod_vodlogo" if self._logos else "SELECT 0, '' WHERE false"

    def rows(self, kind: Kind, where: str = "") -> str:
        """Every eligible row of a kind in ascending order of its id, with the columns of its row type.

        Args:
            kind: the kind of row.
            where: a condition on `{id}`, to read a part.
        """
        return self._select(kind, self._columns(kind), where)

    def rows_with_hashes(self, kind: Kind) -> str:
        """Every eligible row of a kind, each with its hash as one more column (PostgreSQL only); see `rows`."""
        # OFFSET 0: so that what is computed for a column is computed once.
        return (
            f"SELECT q.*, {self._dialect.hash.format('q')} FROM ({self._select(kind, self._columns(kind))} OFFSET 0) q"
        )

    def digests(self, kind: Kind, where: str = "") -> str:
        """A digest of every block of rows (PostgreSQL only): `block, number of rows, sum of hashes`.

        Args:
            kind: the kind of row.
            where: a condition on `{id}`, for some blocks alone.
        """
        row_hash = self._dialect.hash.format(f"ROW({self._columns(kind)})")
        hashes = self._select(kind, f"{self._key(kind)} AS id, {row_hash} AS hash", where, ordered=False)
        # OFFSET 0: hash first, then sort by block; not the other way round, with wide rows.
        return f"SELECT id >> {BLOCK_BITS}, count(*), sum(hash) FROM ({hashes} OFFSET 0) q GROUP BY 1"

    def _key(self, kind: Kind) -> str:
        if kind == "version":
            return "r.id"
        return "chosen.id" if kind == "episode" and self._versions else "chosen.item"

    def _select(self, kind: Kind, columns: str, where: str = "", *, ordered: bool = True) -> str:
        source = {
            "movie": self._movies, "version": self._all_versions, "series": self._series,
            "episode": self._episodes if ordered else self._unordered_episodes,
        }[kind]  # fmt: skip
        key = self._key(kind)
        condition = f"AND {where.format(id=key)}" if where else ""
        return f"SELECT {columns} FROM {source()} {condition} {f'ORDER BY {key}' if ordered else ''}"

    def _columns(self, kind: Kind) -> str:
        """The columns of a row type."""
        d = self._dialect
        return {
            "movie": f"""m.id, {d.uuid.format("m.uuid")}, m.name, m.description, m.year, m.rating, m.genre,
                m.duration_secs, m.tmdb_id, m.imdb_id, {self._adult}, {d.json.format("m.custom_properties")},
                {d.epoch.format("m.created_at")}, {self._logo_url}, account_id, account_name, r.stream_id,
                category, r.container_extension, {d.json.format("r.custom_properties")},
                {self._language["vod_movie"]}, {self._others(_OF_MOVIES)}, chosen.passes, category_tags,
                {self._all(_OF_MOVIES)}""",
            "version": f"""r.id, {d.uuid.format("m.uuid")}, m.id, {d.epoch.format("m.created_at")}, a.id, a.name,
                r.stream_id, r.container_extension""",
            "series": f"""s.id, {d.uuid.format("s.uuid")}, s.name, s.description, s.year, s.rating, s.genre,
                s.tmdb_id, s.imdb_id, {d.json.format("s.custom_properties")}, {d.epoch.format("s.created_at")},
                {self._logo_url}, account_id, account_name, r.external_series_id, category,
                {d.json.format("r.custom_properties")}, {self._language["vod_series"]},
                {self._others(_OF_SERIES)}, chosen.passes, category_tags, {self._all(_OF_SERIES)}""",
            "episode": f"""{self._key("episode")}, {d.uuid.format("e.uuid")}, e.series_id, e.name, e.description,
                {d.date.format("e.air_date")}, e.rating, e.duration_secs, e.season_number, e.episode_number,
                e.tmdb_id, e.imdb_id, {d.json.format("e.custom_properties")}, {d.epoch.format("e.created_at")},
                account_id, account_name, r.stream_id, r.container_extension,
                {d.json.format("r.custom_properties")}, {self._others(_OF_EPISODES)}, chosen.passes,
                {self._all(_OF_EPISODES)}""",
        }[kind]

    @staticmethod
    def is_large(rows: int) -> str:
        """Whether there are so many movies, or episodes: a row for each of the two of which that is so."""
        nth = f"LIMIT 1 OFFSET {rows - 1:d}"
        return f"""SELECT * FROM (SELECT 1 AS found FROM vod_movie {nth}) movie
            UNION ALL SELECT * FROM (SELECT 1 AS found FROM vod_episode {nth}) episode"""

    def count(self, name: str, blocks: Set[int] | None = None) -> str:
        """What the database holds, eligible or not, and why not: a block, and its numbers in the order of the metrics.

        Args:
            name: what is counted, of `COUNTED`.
            blocks: those that are wanted, if not all.
        """
        where = in_blocks(blocks) if blocks is not None else "true"
        match name:
            case "movies":
                return self._titles("vod_movie", _OF_MOVIES, where)
            case "series":
                return self._titles("vod_series", _OF_SERIES, where)
            case "episodes":
                return f"""
                    SELECT block, count(*), count(*) FILTER (WHERE active > 0 AND open),
                        count(*) FILTER (WHERE active IS NULL), count(*) FILTER (WHERE active = 0),
                        count(*) FILTER (WHERE active > 0 AND NOT open)
                    FROM (SELECT e.id >> {BLOCK_BITS} AS block, related.active, e.series_id IN ({_OPEN_SERIES}) AS open
                        FROM vod_episode e LEFT JOIN (
                            SELECT r.episode_id, count(*) FILTER (WHERE a.is_active) AS active
                            FROM vod_m3uepisoderelation r JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id
                            WHERE {where.format(id="r.episode_id")} GROUP BY 1
                        ) related ON related.episode_id = e.id WHERE {where.format(id="e.id")}) episode GROUP BY 1"""
            case _:
                return "SELECT 0, count(*), count(*) FILTER (WHERE is_active) FROM m3u_m3uaccount"

    def fillable(self, series: int | None = None) -> str:
        """The series whose episodes Dispatcharr may be asked for, with the columns of `FillableRow`.

        Where every relation is wanted, or told of, there is a row for each: each has episodes of its own.

        Args:
            series: the id of the only one that is wanted.
        """
        d, condition = self._dialect, "" if series is None else f"AND s.id = {series:d}"
        columns = f"""r.id, s.id, {d.uuid.format("s.uuid")}, s.name, {d.epoch.format("s.created_at")}"""
        if self._versions or self._choice.all_told:
            return f"""SELECT {columns}, a.id, a.name, r.external_series_id,
                {self._has_episodes("er.m3u_account_id = r.m3u_account_id")}
                FROM vod_m3useriesrelation r {_ACTIVE} {_ENABLED} JOIN vod_series s ON s.id = r.series_id
                WHERE {_COUNTS} AND {self._passes(_OF_SERIES)} {condition}"""
        wanted = "true" if self._choice.accounts is None else _is_among("er.m3u_account_id", self._choice.accounts)
        return f"""SELECT {columns}, account_id, account_name, r.external_series_id, {self._has_episodes(wanted)}
            FROM ({self._chosen(_OF_SERIES)}) chosen
            JOIN vod_m3useriesrelation r ON r.id = chosen.id JOIN vod_series s ON s.id = chosen.item
            WHERE chosen.place = 1 AND chosen.passes {condition}"""

    def titles_in(self, kind: Literal["movie", "series"], categories: Set[int | None]) -> str:
        """The ids of the movies or series with a relation that the user wants in one of some categories (None in them:
        without a category), whichever relation is played."""
        of = _OF_MOVIES if kind == "movie" else _OF_SERIES
        among = _is_among("r.category_id", categories)
        return f"""SELECT DISTINCT r.{of.item} FROM {of.table} r {of.joins}
            WHERE {of.counts} AND {self._passes(of)} AND {among}"""

    def below(self, kind: Kind, titles: Iterable[int]) -> str:
        """The ids, as `rows` has them, of the versions of movies, or the episodes of series, eligible or not."""
        if kind == "version":
            return f"SELECT r.id FROM vod_m3umovierelation r WHERE {_is_among('r.movie_id', titles)}"
        among = _is_among("e.series_id", titles)
        if not self._versions:
            return f"SELECT e.id FROM vod_episode e WHERE {among}"
        return f"""SELECT r.id FROM vod_m3uepisoderelation r JOIN vod_episode e ON e.id = r.episode_id WHERE {among}"""

    def _has_episodes(self, condition: str) -> str:
        return f"""EXISTS (SELECT 1 FROM vod_episode e JOIN vod_m3uepisoderelation er ON er.episode_id = e.id
            JOIN m3u_m3uaccount ea ON ea.id = er.m3u_account_id AND ea.is_active
            WHERE e.series_id = s.id AND {condition})"""

    def _titles(self, table: str, relations: _Relations, where: str) -> str:
        """Of a title with several relations, the one that gets farthest tells why it is not eligible."""
        return f"""
            SELECT t.id >> {BLOCK_BITS}, count(*), count(*) FILTER (WHERE open > 0),
                count(*) FILTER (WHERE active IS NULL), count(*) FILTER (WHERE active = 0),
                count(*) FILTER (WHERE active > 0 AND open = 0)
            FROM {table} t LEFT JOIN (
                SELECT r.{relations.item} AS item, count(*) FILTER (WHERE a.is_active) AS active,
                    count(*) FILTER (WHERE a.is_active AND {_COUNTS}) AS open
                FROM {relations.table} r JOIN m3u_m3uaccount a ON a.id = r.m3u_account_id {_ENABLED}
                WHERE {where.format(id=f"r.{relations.item}")} GROUP BY 1
            ) title ON title.item = t.id WHERE {where.format(id="t.id")} GROUP BY 1"""

    def _chosen(self, relations: _Relations) -> str:
        category, names = "", ""
        if relations is not _OF_EPISODES:
            category = f"c.name AS category, {self._category_tags} AS category_tags,"
            names = "LEFT JOIN vod_vodcategory c ON c.id = r.category_id"
        return f"""
        SELECT r.id, r.{relations.item} AS item, a.id AS account_id, a.name AS account_name, {category}
            {self._passes(relations)} AS passes, row_number() OVER place AS place,
            count(*) OVER item > 1 AS shared
        FROM {relations.table} r {relations.joins} {names} WHERE {relations.counts}
        WINDOW item AS (PARTITION BY r.{relations.item}), place AS (item ORDER BY {self._order(relations)})"""

    def _order(self, relations: _Relations) -> str:
        """The order in which an item's relations are played, and speak: those that the user wants first."""
        wanted = "" if self._passes(relations) == "true" else f"{self._passes(relations)} DESC, "
        return f"{wanted}a.priority DESC, r.id"

    def _passes(self, relations: _Relations) -> str:
        """Whether `r` is a relation that the user wants."""
        conditions = []
        if self._choice.accounts is not None:
            conditions.append(_is_among("r.m3u_account_id", self._choice.accounts))
        if self._choice.categories is not None:
            conditions.append(
                self._series_passes() if relations is _OF_EPISODES
                else _is_among("r.category_id", self._choice.categories)
            )  # fmt: skip
        return f"({' AND '.join(conditions)})" if conditions else "true"

    def _series_passes(self) -> str:
        """Whether the series relation that an episode's relation `r` belongs to is in a category that is wanted.

        Where no series relation is named, it may be any that the same account has of the series.
        """
        wanted = _is_among("s.category_id", self._choice.categories or ())
        of_account = f"""EXISTS (
            SELECT 1 FROM vod_episode e JOIN vod_m3useriesrelation s ON s.series_id = e.series_id
            WHERE e.id = r.episode_id AND s.m3u_account_id = r.m3u_account_id AND {wanted})"""
        if not self._series_relation:
            return of_account
        return f"""CASE WHEN r.series_relation_id IS NULL THEN {of_account}
            ELSE r.series_relation_id IN (SELECT s.id FROM vod_m3useriesrelation s WHERE {wanted}) END"""

    def _others(self, relations: _Relations) -> str:
        """What the item's other relations say, in the order in which they would be played."""
        # Few items have any: without the CASE, the server would look for each of them.
        return f"""CASE WHEN chosen.shared THEN (SELECT {self._dialect.together.format("said")} FROM (
            SELECT r.custom_properties AS said FROM {relations.table} r {relations.joins}
            WHERE {relations.counts} AND r.{relations.item} = chosen.item AND r.id <> chosen.id
            ORDER BY {self._order(relations)}) other) END"""

    def _all(self, relations: _Relations) -> str:
        """All that is told of each of the item's relations, in the order in which they would be played."""
        if not self._choice.all_told or self._versions:
            return "CAST(NULL AS text)"
        names = "" if relations is _OF_EPISODES else "LEFT JOIN vod_vodcategory c ON c.id = r.category_id"
        stream = "external_series_id" if relations is _OF_SERIES else "stream_id"
        texts = [f"r.{stream}", "NULL" if relations is _OF_SERIES else "r.container_extension"]
        texts += ["r.custom_properties"]
        texts += ["NULL", "NULL"] if relations is _OF_EPISODES else ["c.name", self._category_tags]
        if relations is _OF_EPISODES and self._series_relation:
            texts.append("(SELECT s.external_series_id FROM vod_m3useriesrelation s WHERE s.id = r.series_relation_id)")
        told = ", ".join(
            (self._passes(relations), "a.id", "CAST(a.name AS text)", *(f"CAST({text} AS text)" for text in texts))
        )
        return f"""CASE WHEN chosen.shared THEN (SELECT {self._dialect.together.format("told")} FROM (
            SELECT {self._dialect.array.format(told)} AS told FROM {relations.table} r {relations.joins} {names}
            WHERE {relations.counts} AND r.{relations.item} = chosen.item
            ORDER BY {self._order(relations)}) each_one) END"""

    def _logo(self, item: str) -> str:
        return f"LEFT JOIN vod_vodlogo logo ON logo.id = {item}.logo_id" if self._logos else ""

    # What stands after FROM, up to where another condition may be added.

    def _movies(self) -> str:
        return f"""
        ({self._chosen(_OF_MOVIES)}) chosen
        JOIN vod_m3umovierelation r ON r.id = chosen.id
        JOIN vod_movie m ON m.id = chosen.item
        {self._logo("m")}
        WHERE chosen.place = 1"""

    def _all_versions(self) -> str:
        return f"""
        vod_m3umovierelation r
        {_ACTIVE}
        {_ENABLED}
        JOIN vod_movie m ON m.id = r.movie_id
        WHERE {_COUNTS} AND {self._passes(_OF_MOVIES)}"""

    def _series(self) -> str:
        return f"""
        ({self._chosen(_OF_SERIES)}) chosen
        JOIN vod_m3useriesrelation r ON r.id = chosen.id
        JOIN vod_series s ON s.id = chosen.item
        {self._logo("s")}
        WHERE chosen.place = 1"""

    def _episodes(self) -> str:
        """Episodes have no category of their own: the series' decides, the relation's account has to be active."""
        return self._episodes_where(f"e.series_id IN ({_OPEN_SERIES})")

    def _unordered_episodes(self) -> str:
        """The same. PostgreSQL makes one table of all open series, and does not look up each episode's.

        That takes it a third less, but it does not see that the rows are in order then, and would sort wide ones.
        """
        return self._episodes_where(f"(e.series_id IN ({_OPEN_SERIES})) IS TRUE")

    def _episodes_where(self, is_open: str) -> str:
        return f"""
        ({self._every_episode() if self._versions else self._chosen(_OF_EPISODES)}) chosen
        JOIN vod_m3uepisoderelation r ON r.id = chosen.id
        JOIN vod_episode e ON e.id = chosen.item
        WHERE chosen.place = 1 AND {is_open}"""

    def _every_episode(self) -> str:
        """All relations of episodes, whether the user wants them or not."""
        return f"""
        SELECT r.id, r.episode_id AS item, a.id AS account_id, a.name AS account_name,
            1 AS place, true AS shared, {self._passes(_OF_EPISODES)} AS passes
        FROM vod_m3uepisoderelation r {_ACTIVE}"""


def _is_among(column: str, ids: Iterable[int | None]) -> str:
    """The condition that a column holds one of these ids, or nothing if None is one of them; never null."""
    numbers = sorted(number for number in ids if number is not None)
    among = f"{column} IN ({', '.join(map(str, numbers))})" if numbers else "false"
    return f"({column} IS NULL OR {among})" if None in set(ids) else f"({column} IS NOT NULL AND {among})"
