"""A catalogue in a live database, of either kind, that a test can change."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from vod2strmfs.demo.catalogue import Catalogue


class Database:
    """A database that the test writes to, as Dispatcharr would.

    Args:
        url: as `--database` takes it.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def fill(self, catalogue: Catalogue) -> "Database":
        """Write a catalogue into the database, which is empty."""
        catalogue.write(self.url)
        return self

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run one statement; `?` stands for a parameter."""
        if self.url.startswith("sqlite:"):
            path = Path(self.url.removeprefix("sqlite:///"))
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(statement, parameters)
        else:
            with psycopg.connect(self.url) as session:
                session.execute(statement.replace("?", "%s").encode(), parameters)
