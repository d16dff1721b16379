"""Fixtures that several tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; `new_database()` gives the URL of a fresh database."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/dispatcharr.db")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return Database(postgres.new_database())
