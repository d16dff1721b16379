"""Writes rows into an empty database, whole or not at all: COPY into PostgreSQL, one transaction into SQLite."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from vod2strmfs.demo.schema import DATE, JSON, TABLES, TIMESTAMP, UUID, ColumnType, Table, create_keys, create_tables
from vod2strmfs.errors import UserError


class Record(SimpleNamespace):
    """A row: its columns are its attributes, and may be changed until it is written.

    JSON columns hold what `json.dumps` takes, or a str that is JSON text already; timestamps an aware datetime;
    UUIDs the canonical text.
    """


Batch = tuple[str, Sequence[Record]]
"""A table's name, and rows of it."""

_Convert = Callable[[Any], object]

_FOREIGN_TABLE = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' LIMIT 1"""

_SET_SEQUENCE = "SELECT setval(pg_get_serial_sequence('{0}', 'id'), max(id)) FROM {0} HAVING max(id) IS NOT NULL"


def write(target: str, batches: Iterable[Batch]) -> None:
    """Create the tables and write the rows, which may come in any order; nothing is left behind on failure.

    Args:
        target: an empty PostgreSQL database (URL or libpq connection string), or a SQLite file that does not
            exist yet (its path, or `sqlite:///PATH`; an absolute path then has four slashes).
        batches: rows, consumed as they are written.

    Raises:
        UserError: the target is not empty, cannot be reached or cannot be written.
        psycopg.IntegrityError, sqlite3.IntegrityError: rows break a key; Dispatcharr's database could not hold them.
    """
    if _is_conninfo(target):
        _write_postgresql(target, batches)
        return
    path = target.removeprefix("sqlite:///")
    if not path or "://" in path:
        raise UserError(
            "The target is neither a PostgreSQL URL nor a file. Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE,"
            " sqlite:///PATH or a path."
        )
    _write_sqlite(Path(path), batches)


def _is_conninfo(target: str) -> bool:
    try:
        return bool(conninfo_to_dict(target))
    except psycopg.ProgrammingError:
        return False


def _write_postgresql(conninfo: str, batches: Iterable[Batch]) -> None:
    try:
        with psycopg.connect(conninfo) as connection:
            _refuse_used_database(connection)
            for statement in create_tables("postgresql"):
                connection.execute(statement.encode())
            for name, records in batches:
                _copy(connection, TABLES[name], records)
            for statement in create_keys("postgresql"):
                connection.execute(statement.encode())
            for name in TABLES:
                connection.execute(_SET_SEQUENCE.format(name).encode())
            connection.execute(f"ANALYZE {', '.join(TABLES)}".encode())
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        raise UserError(f"The PostgreSQL database cannot be written: {error}") from error


def _refuse_used_database(connection: psycopg.Connection) -> None:
    found = connection.execute(_FOREIGN_TABLE).fetchone()
    if found:
        raise UserError(
            f"The database {connection.info.dbname} is not empty: it has the table {found[0]}."
            " Create a new database and give that one."
        )


def _copy(connection: psycopg.Connection, table: Table, records: Sequence[Record]) -> None:
    statement = f"COPY {table.name} ({', '.join(table.column_names)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in _rows(table, records, _TO_POSTGRESQL):
            copy.write_row(row)


def _write_sqlite(path: Path, batches: Iterable[Batch]) -> None:
    try:
        path.open("x").close()
    except FileExistsError:
        raise UserError(f"{path} exists already. Give the path of a new file.") from None
    except OSError as error:
        raise UserError(f"{path.absolute()} cannot be created: {error.strerror}.") from error
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            _fill_sqlite(connection, batches)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, sqlite3.OperationalError):
            raise UserError(f"{path.absolute()} cannot be written: {error}.") from error
        raise


def _fill_sqlite(connection: sqlite3.Connection, batches: Iterable[Batch]) -> None:
    # The file is deleted when anything fails, so a journal would only cost time.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN")
    for statement in create_tables("sqlite"):
        connection.execute(statement)
    for name, records in batches:
        table = TABLES[name]
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {name} ({', '.join(table.column_names)}) VALUES ({marks})"
        connection.executemany(statement, _rows(table, records, _TO_SQLITE))
    for statement in create_keys("sqlite"):
        connection.execute(statement)
    connection.execute("ANALYZE")
    connection.execute("COMMIT")


def _rows(
    table: Table, records: Sequence[Record], conversions: dict[ColumnType, _Convert]
) -> Iterator[list[object | None]]:
    values_of = attrgetter(*table.column_names)
    converted = [(at, conversions[c.type]) for at, c in enumerate(table.columns) if c.type in conversions]
    for record in records:
        row = list(values_of(record))
        for at, convert in converted:
            if row[at] is not None:
                row[at] = convert(row[at])
        yield row


def _json_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _utc_text(value: object) -> str:
    return str(value.astimezone(UTC).replace(tzinfo=None)) if isinstance(value, datetime) else str(value)


def _hex_digits(value: object) -> str:
    return str(value).replace("-", "")


_TO_POSTGRESQL: dict[ColumnType, _Convert] = {JSON: _json_text}
_TO_SQLITE: dict[ColumnType, _Convert] = {JSON: _json_text, TIMESTAMP: _utc_text, UUID: _hex_digits, DATE: str}
