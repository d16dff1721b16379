"""Dispatcharr's PostgreSQL as a source."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from vod2strmfs.catalog.queries import CREDENTIALS, POSTGRESQL, REQUIRED, Kind, Queries, in_blocks
from vod2strmfs.catalog.rows import Credentials, EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.source import Row, check_schema, tables
from vod2strmfs.errors import CatalogError

_MAKERS = {"movie": MovieRow._make, "version": VersionRow._make, "series": SeriesRow._make, "episode": EpisodeRow._make}
_CHUNK_ROWS = 500

_DEFAULTS = {
    "application_name": "vod2strmfs",
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

_WRITTEN = """
    SELECT coalesce(string_agg(concat_ws(':', relid, n_tup_ins, n_tup_upd, n_tup_del), ' ' ORDER BY relid), '')
    FROM pg_stat_all_tables WHERE relname = ANY(%s)"""

# The server is left to plan for all rows (not the first few), without compiling the query:
# that takes longer than to run it.
_PLANNING = "SELECT set_config('jit', 'off', true), set_config('work_mem', '64MB', true)"


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
        self._conninfo = make_conninfo("", **{**_DEFAULTS, **given})
        self._name = _without_password(given)
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def marker(self) -> tuple[str, str]:
        """The server's transaction snapshot, and its counters of rows written.

        As long as `pg_current_snapshot` stands still no transaction has committed, which holds on a standby
        too. The counters tell other tables' writes from ours, but lag behind by up to a minute, and stand
        still on a standby.
        """
        with self._errors(), self._transaction() as connection:
            # Ids start anew when a server is rebuilt, but not at the same time.
            [[snapshot]] = connection.execute(
                "SELECT concat_ws(' ', extract(epoch from pg_postmaster_start_time()), pg_current_snapshot())"
            ).fetchall()
            [[written]] = connection.execute(_WRITTEN, [tables()]).fetchall()
            return str(snapshot), str(written)

    @contextmanager
    def snapshot(self, *, versions: bool = False) -> Iterator["PostgreSQLSnapshot"]:
        """See `Source.snapshot`."""
        with self._errors(), self._transaction() as connection:
            connection.execute(_PLANNING)
            yield PostgreSQLSnapshot(connection, self._name, versions)

    def close(self) -> None:
        """See `Source.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(self._conninfo, row_factory=tuple_row)
            connection.read_only = True
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            self._connection = connection
        with self._connection.transaction():
            yield self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self.close()
            reason = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
            raise CatalogError(f"database {self._name}: {reason or type(error).__name__}.\n{_advice(error)}") from error


class PostgreSQLSnapshot:
    """One repeatable-read, read-only transaction."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], name: str, versions: bool) -> None:
        self._connection = connection
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
        self._queries = Queries(POSTGRESQL, columns, versions=versions)

    def digests(self, kind: Kind) -> dict[int, str]:
        """See `Snapshot.digests`."""
        return {int(str(block)): str(digest) for block, digest in self._execute(self._queries.digests(kind))}

    def rows(self, kind: Kind, blocks: Set[int] | None = None) -> Iterator[Row]:
        """See `Snapshot.rows`. The server sends while the rows before are worked on."""
        query = self._queries.rows(kind, in_blocks(blocks) if blocks else "").encode()
        with self._connection.cursor() as cursor:
            yield from map(_MAKERS[kind], cursor.stream(query, binary=True, size=_CHUNK_ROWS))

    def counts(self) -> dict[str, int]:
        """See `Snapshot.counts`."""
        counts: dict[str, int] = {}
        for query, metrics in self._queries.counts():
            [row] = self._execute(query)
            counts.update(zip(metrics, (int(str(number)) for number in row), strict=True))
        return counts

    def credentials(self) -> list[Credentials]:
        """See `Snapshot.credentials`."""
        return [Credentials._make(row) for row in self._execute(CREDENTIALS)]

    def _execute(self, query: str) -> list[tuple[object, ...]]:
        return self._connection.execute(query.encode()).fetchall()


def _without_password(parameters: Mapping[str, str | int | None]) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "local socket"
    port = f":{parameters['port']}" if "port" in parameters else ""
    user = f"{parameters['user']}@" if "user" in parameters else ""
    return f"{user}{host}{port}/{parameters.get('dbname', '')}"


def _advice(error: psycopg.Error) -> str:
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return "Check the user and the password."
    if 'database "' in text and "does not exist" in text:
        return "Check the database's name (Dispatcharr's default is dispatcharr)."
    if "no pg_hba.conf entry" in text:
        return "The server's pg_hba.conf has to admit this host, user and database."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "Grant the role SELECT on the columns that docs/database-role.sql lists."
    return "Check that PostgreSQL runs there, accepts TCP connections and is reachable from this host."
