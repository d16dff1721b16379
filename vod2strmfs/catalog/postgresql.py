"""Dispatcharr's PostgreSQL as a source."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from typing import Any, Literal, cast
from uuid import UUID

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from vod2strmfs.catalog.connection import Connection
from vod2strmfs.catalog.locks import Patience, hold
from vod2strmfs.catalog.position import Position
from vod2strmfs.catalog.queries import (
    ACCOUNTS,
    ALL,
    BLOCK_BITS,
    CATEGORIES,
    CATEGORY_NAMES,
    COUNTED,
    CREDENTIALS,
    POSTGRESQL,
    POSTGRESQL_13,
    Choice,
    Groups,
    Kind,
    Part,
    Queries,
    add_up,
    are_few,
    in_blocks,
    series_of,
)
from vod2strmfs.catalog.rows import Credentials, EpisodeRow, FillableRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.schema import REQUIRED, check_schema, schema_version, tables
from vod2strmfs.catalog.source import Facts, Row
from vod2strmfs.catalog.written import Baseline, Counts, Written, WrittenBlocks
from vod2strmfs.errors import CatalogError

_MAKERS: dict[Kind, Callable[[tuple[Any, ...]], Row]] = {
    "movie": MovieRow._make,
    "version": VersionRow._make,
    "series": SeriesRow._make,
    "episode": EpisodeRow._make,
}
_CHUNK_ROWS = 20
"""More are no faster, and each may be a megabyte."""

_DEFAULTS = {
    "application_name": "vod2strmfs",
    # As Django writes it. A database of SQL_ASCII, or a role with an encoding of its own, would send something else.
    "client_encoding": "UTF8",
    "connect_timeout": "10",
    # A network that went silent is noticed within a minute.
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "45000",
}

_COLUMNS = """
    SELECT c.relname, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'v', 'm', 'p') AND pg_table_is_visible(c.oid)"""

_FACTS = """
    SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())::float8,
        ARRAY(SELECT relname::text FROM pg_class WHERE relname = ANY(%s) AND pg_table_is_visible(oid)
            AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE') ORDER BY 1),
        EXISTS(SELECT FROM pg_attribute WHERE attrelid = to_regclass('m3u_m3uaccount') AND attname = 'password'
            AND has_column_privilege(attrelid, attnum, 'SELECT'))"""
# Ids start anew when a server is rebuilt, but not at the same time. A standby's snapshot does not list the
# transactions that are open, so it can stand still while one commits; what it has replayed cannot.
# A server has several databases, which share all of that; one that is made anew under its old name has another number.
_QUIET = """
    SELECT concat_ws(' ', extract(epoch from pg_postmaster_start_time()), d.oid, pg_current_snapshot(),
        pg_last_wal_replay_lsn())
    FROM pg_database d WHERE d.datname = current_database()"""

_WRITTEN = """
    SELECT concat_ws(' ', d.oid, (
        SELECT string_agg(concat_ws(':', relid, n_tup_ins, n_tup_upd, n_tup_del), ' ' ORDER BY relid)
        FROM pg_stat_all_tables WHERE relname = ANY(%s)))
    FROM pg_database d WHERE d.datname = current_database()"""

# The server is left to plan for all rows (not the first few), without compiling the query: that takes longer than to
# run it. Workers would each group all relations of episodes for themselves; where one is of use, `Written` has it.
# A first sync takes as long as it takes: limits that protect a server from programs that forgot their session would
# end it anew each time. All of it is for the transaction alone: behind a pooler the session is not ours.
_SETTINGS = """
    SELECT set_config(wanted.name, wanted.value, true) FROM (VALUES ('jit', 'off'), ('work_mem', '64MB'),
        ('max_parallel_workers_per_gather', '0'), ('statement_timeout', '0'), ('lock_timeout', '0'),
        ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
        ('DateStyle', 'ISO')) wanted (name, value)
    JOIN pg_settings USING (name)"""


class PostgreSQLSource:
    """A Dispatcharr catalogue in PostgreSQL. One connection, opened on first use and again after a failure.

    Args:
        conninfo: any libpq connection string or URL.

    Raises:
        CatalogError: libpq cannot parse it.
    """

    def __init__(self, conninfo: str) -> None:
        try:
            given = conninfo_to_dict(conninfo)
        except psycopg.Error:
            # libpq's message quotes the string, and with it the password.
            raise CatalogError(
                "database: not a libpq connection string. Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
                " (percent-encode special characters in the password) or sqlite:///PATH."
            ) from None
        parameters = {**_DEFAULTS, **given}
        self._conninfo = make_conninfo("", **parameters)
        try:
            self._patience = timeout_from_conninfo(parameters)
        except psycopg.Error as error:  # bad value for connect_timeout: 'soon'
            raise CatalogError(f"database: {error}. Give seconds, as in connect_timeout=10.") from None
        self._name = _without_password(given)
        self._connection: Connection | None = None

    def marker(self) -> tuple[str, str]:
        """Which server this is and the transactions that it has seen, and its counters of rows written.

        As long as the first stands still no transaction has committed, on a standby too. The counters tell
        other tables' writes from ours, but lag behind by up to a minute, and stand still on a standby.
        """
        if self._connection is not None:
            # One that was cut off since the last look says nothing of the server, which may be back.
            with suppress(CatalogError):
                return self._marker()
        return self._marker()

    def _marker(self) -> tuple[str, str]:
        with self._errors(), self._transaction() as connection:
            [[quiet]] = connection.execute(_QUIET).fetchall()
            [[written]] = connection.execute(_WRITTEN, [tables()]).fetchall()
            return str(quiet), str(written)

    @contextmanager
    def snapshot(self, *, versions: bool = False, after: str = "") -> Iterator["PostgreSQLSnapshot"]:
        """See `Source.snapshot`."""
        known = Position.parse(after) if after else None
        if known:
            # In a transaction of its own: within the snapshot's, a standby may have replayed more than is seen.
            with self._errors(), self._transaction() as connection:
                self._refuse_older(Position.of(connection), known)
        with self._errors(), self._transaction() as connection:
            yield PostgreSQLSnapshot(connection, self._name, versions, known)

    def facts(self) -> Facts:
        """See `Source.facts`."""
        with self._errors(), self._transaction() as connection:
            snapshot = PostgreSQLSnapshot(connection, self._name, versions=False, known=None)
            [[version, clock, writable, passwords]] = connection.execute(_FACTS, [tables()]).fetchall()
            [[categories, disabled]] = connection.execute(CATEGORIES).fetchall()
            return Facts(
                self._name,
                f"PostgreSQL {version}",
                snapshot.schema,
                float(str(clock)),
                tuple(map(str, cast("list[str]", writable))),
                bool(passwords),
                int(str(categories)),
                int(str(disabled)),
            )

    def close(self) -> None:
        """See `Source.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _refuse_older(self, here: Position, known: Position) -> None:
        if not here.is_older(known):
            return
        connection = self._connection
        server = f"{connection.info.host}:{connection.info.port}" if connection else ""
        self.close()  # The next look may find another server.
        if here.standby:
            raise CatalogError(
                f"database {self._name}: the standby {server} is {known.location - here.location} bytes of"
                " write-ahead log behind what was read last.\nIf it does not catch up, check its replication;"
                " `vod2strmfs sync --accept-shrink` takes what it has."
            )
        raise CatalogError(
            f"database {self._name}: the server {server} is the primary of timeline {here.timeline}, and what was read"
            f" last is of timeline {known.timeline}.\nStop it if a standby was promoted in its place;"
            " `vod2strmfs sync --accept-shrink` takes what it has."
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = self._connect()
        try:
            yield connection
            if connection.pgconn.transaction_status != TransactionStatus.ACTIVE:
                connection.rollback()  # There is nothing to commit.
            else:
                connection.abandon()  # Somebody has not read all rows.
        except BaseException:
            connection.abandon()
            raise

    def _connect(self) -> Connection:
        # No prepared statements: behind a pooler, the session that has them may be another's next time.
        connection = Connection.connect(self._conninfo, row_factory=tuple_row, prepare_threshold=None)
        connection.server = self._only(connection.info)
        connection.patience = self._patience
        connection.read_only = True
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        return connection

    def _only(self, connected: psycopg.ConnectionInfo) -> str:
        """The connection string, with the server connected to as the only one."""
        return make_conninfo(
            self._conninfo,
            host=connected.host,
            hostaddr=connected.hostaddr or None,
            port=connected.port,
            target_session_attrs="any",
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise CatalogError(f"database {self._name}: {_reason(error)}.\n{_advice(error)}") from error


class PostgreSQLSnapshot:
    """One repeatable-read, read-only transaction."""

    def __init__(self, connection: Connection, name: str, versions: bool, known: Position | None) -> None:
        self._connection = connection
        self._known = known
        patience = Patience(name)
        while True:
            connection.execute(_SETTINGS)
            columns = _readable(connection, name)
            if hold(connection, columns):
                break
            patience.wait(connection, columns)
        self.schema = schema_version(columns)
        dialect = POSTGRESQL if connection.info.server_version >= 140000 else POSTGRESQL_13
        self._schema = dialect, columns, versions
        self.choose(ALL)
        self._digests: dict[Kind, dict[int, str]] = {}
        self._written = Written(self._execute, dialect, columns)
        self._counts: Counts | None = None

    def groups(self) -> Groups:
        """See `Snapshot.groups`."""
        return Groups.of(self._execute(ACCOUNTS), self._execute(CATEGORY_NAMES))

    def choose(self, choice: Choice) -> None:
        """See `Snapshot.choose`."""
        dialect, columns, versions = self._schema
        self._queries = Queries(dialect, columns, versions=versions, choice=choice)

    def position(self) -> str:
        """See `Snapshot.position`."""
        return str(Position.of(self._connection).following(self._known))

    def written_since(self, before: Baseline | None) -> WrittenBlocks | None:
        """See `Snapshot.written_since`."""
        written = self._written.since(before, self._queries, Position.of(self._connection).location)
        if written:
            self._counts = written.baseline.counts
        return written

    def digests(self, kind: Kind, blocks: Set[int] | None = None) -> dict[int, str]:
        """See `Snapshot.digests`."""
        if blocks is not None and are_few(blocks):
            return self._digested(self._queries.digests(kind, in_blocks(blocks))) if blocks else {}
        if kind not in self._digests:
            self._digests[kind] = self._digested(self._queries.digests(kind))
        if blocks is None:
            return self._digests[kind]
        return {block: digest for block, digest in self._digests[kind].items() if block in blocks}

    def _digested(self, query: str) -> dict[int, str]:
        return {int(str(block)): f"{count}:{total}" for block, count, total in self._execute(query)}

    def rows(self, kind: Kind, part: Part | None = None) -> Iterator[Row]:
        """See `Snapshot.rows`. The server sends while the rows before are worked on."""
        if part is None:
            return self._all_rows(kind)
        return map(_MAKERS[kind], self._stream(self._queries.rows(kind, part.condition())))

    def _all_rows(self, kind: Kind) -> Iterator[Row]:
        """All rows. The server hashes them as it sends them, so that their digests cost no query of their own."""
        make = _MAKERS[kind]
        counts: Counter[int] = Counter()
        totals: Counter[int] = Counter()
        for row in self._stream(self._queries.rows_with_hashes(kind)):
            block = row[0] >> BLOCK_BITS
            counts[block] += 1
            totals[block] += row[-1]
            yield make(row[:-1])
        self._digests[kind] = {block: f"{count}:{totals[block]}" for block, count in counts.items()}

    def _stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            yield from cursor.stream(query.encode(), binary=True, size=_CHUNK_ROWS)

    def is_large(self, rows: int) -> bool:
        """See `Snapshot.is_large`."""
        return bool(self._execute(self._queries.is_large(rows)))

    def counts(self) -> dict[str, int]:
        """See `Snapshot.counts`."""
        if self._counts is None:
            self._counts = {name: self._written.count(self._queries, name) for name in COUNTED}
        return add_up(self._counts)

    def fillable(self, series: int | None = None) -> list[FillableRow]:
        """See `Snapshot.fillable`."""
        return [FillableRow._make(row) for row in self._execute(self._queries.fillable(series))]

    def titles_in(self, kind: Literal["movie", "series"], categories: Set[int | None]) -> set[int]:
        """See `Snapshot.titles_in`."""
        return {int(str(number)) for (number,) in self._execute(self._queries.titles_in(kind, categories))}

    def below(self, kind: Kind, titles: Collection[int]) -> set[int]:
        """See `Snapshot.below`."""
        return {int(str(number)) for (number,) in self._execute(self._queries.below(kind, titles))}

    def series_of(self, episodes: Collection[UUID]) -> set[int]:
        """See `Snapshot.series_of`."""
        return {int(str(number)) for (number,) in self._execute(series_of(episodes))} if episodes else set()

    def logos(self) -> dict[str, int]:
        """See `Snapshot.logos`."""
        return {str(url): int(str(number)) for number, url in self._execute(self._queries.logos())}

    def credentials(self) -> list[Credentials]:
        """See `Snapshot.credentials`."""
        return [Credentials._make(row) for row in self._execute(CREDENTIALS)]

    def _execute(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode()).fetchall()


def _readable(connection: Connection, name: str) -> dict[str, set[str]]:
    """The columns that this role may read, by table; all that are needed are among them."""
    columns: dict[str, set[str]] = {}
    refused: dict[str, list[str]] = {}
    for table, column, readable in connection.execute(_COLUMNS, [tables()]):
        if readable:
            columns.setdefault(str(table), set()).add(str(column))
        elif column in REQUIRED.get(str(table), ()):
            refused.setdefault(str(table), []).append(str(column))
    if refused:
        table, names = min(refused.items())
        raise CatalogError(
            f"database {name}: this role may not read {table} ({', '.join(sorted(names))}).\n"
            "Grant it SELECT on the columns that docs/database-role.sql lists."
        )
    check_schema(f"database {name}", columns)
    return columns


def _without_password(parameters: Mapping[str, str | int | None]) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "local socket"
    port = f":{parameters['port']}" if "port" in parameters else ""
    user = f"{parameters['user']}@" if "user" in parameters else ""
    return f"{user}{host}{port}/{parameters.get('dbname', '')}"


def _reason(error: psycopg.Error) -> str:
    """What libpq said, on one line: what it said of each server where it tried several, and none of its advice."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Is the server running")]
    each = [attempt[1] for line in lines if (attempt := re.fullmatch(r"- host: .*?'(?:, hostaddr: .*?')?: (.*)", line))]
    said = [re.sub(r"^connection (?:failed|is bad): ", "", line) for line in each or lines]
    return "; ".join(dict.fromkeys(said)).rstrip(".") or type(error).__name__


def _advice(error: psycopg.Error) -> str:
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return "Check the user and the password."
    if re.search(r"invalid (\w+ value|port number|value for parameter)", text):
        return "Check the port and the other parameters of `database`, or of POSTGRES_…."
    if "SSL was required" in text or "certificate" in text:
        return "Check sslmode and the certificates, here and on the server."
    if 'database "' in text and "does not exist" in text:
        return "Check the database's name (Dispatcharr's default is dispatcharr)."
    if "too many c" in text or "connection slots are reserved" in text:
        return "End sessions that nobody needs, or raise the server's or the role's limit of connections."
    if "conflict with recovery" in text:
        return "Set hot_standby_feedback = on on the standby, or raise its max_standby_streaming_delay."
    if "no pg_hba.conf entry" in text:
        return "The server's pg_hba.conf has to admit this host, user and database."
    if "timeout" in text and error.sqlstate:
        return "A time limit of the server, or of a pooler before it, ended the session: lift it for this role."
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.AdminShutdown):
        return "Somebody, or the server's shutdown, ended the session: try again."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "Grant the role SELECT on the columns that docs/database-role.sql lists."
    return "Check that PostgreSQL runs there, accepts TCP connections and is reachable from this host."
