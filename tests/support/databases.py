"""A catalogue in a live database, of either kind, that a test can change."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from vod2strmfs.demo.catalogue import Catalogue

_ROLE = Path(__file__).parents[2] / "docs" / "database-role.sql"
_ROLE_PASSWORD = "role-secret"


class Database:
    """A database that the test writes to, as Dispatcharr would.

    Args:
        url: as `--database` takes it, of the owner.
    """

    def __init__(self, url: str) -> None:
        self.owner_url = url
        self.url = url
        """As `--database` takes it: PostgreSQL as the role of docs/database-role.sql, as soon as there are tables."""

    def fill(self, catalogue: Catalogue) -> "Database":
        """Write a catalogue into the database, which is empty."""
        catalogue.write(self.owner_url)
        self.url = reader_url(self.owner_url)
        return self

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run one statement; `?` stands for a parameter."""
        if self.owner_url.startswith("sqlite:"):
            path = Path(self.owner_url.removeprefix("sqlite:///"))
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(statement, parameters)
        else:
            with psycopg.connect(self.owner_url) as session:
                session.execute(statement.replace("?", "%s").encode(), parameters)


def reader_url(owner_url: str) -> str:
    """The URL of a database with tables for the role that docs/database-role.sql makes; SQLite has no roles."""
    if owner_url.startswith("sqlite:"):
        return owner_url
    with psycopg.connect(owner_url) as session:
        session.execute(_ROLE.read_bytes())
        session.execute(f"ALTER ROLE vod2strmfs PASSWORD '{_ROLE_PASSWORD}'".encode())
    scheme, _, rest = owner_url.partition("://")
    return f"{scheme}://vod2strmfs:{_ROLE_PASSWORD}@{rest.rpartition('@')[2]}"
