"""Dispatcharr's SQLite file (`DB_ENGINE=sqlite`) as a source."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterator, Set
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from vod2strmfs.catalog.queries import (
    ACCOUNTS,
    ALL,
    CATEGORIES,
    CATEGORY_NAMES,
    COUNTED,
    CREDENTIALS,
    SQLITE,
    Choice,
    Groups,
    Kind,
    Part,
    Queries,
    add_up,
    series_of,
)
from vod2strmfs.catalog.rows import Credentials, EpisodeRow, FillableRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.schema import check_schema, schema_version, tables
from vod2strmfs.catalog.source import Facts, Row
from vod2strmfs.catalog.written import Baseline
from vod2strmfs.errors import CatalogError


class SQLiteSource:
    """A Dispatcharr catalogue in a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def from_url(cls, url: str) -> "SQLiteSource":
        """From `sqlite:///PATH`: an absolute path if there is such a file, else one relative to here."""
        path = url.removeprefix("sqlite://")
        if not path.startswith("/") or path == "/":
            raise CatalogError("database: a SQLite database is given as sqlite:///PATH.")
        absolute, relative = Path("/" + path.lstrip("/")), Path(path[1:])
        return cls(absolute if os.path.exists(absolute) else relative.absolute())

    def marker(self) -> tuple[str, str]:
        """Size, time and identity of the file and its write-ahead log, which move with every commit."""
        signs = []
        for path in (self._path, self._path.with_name(self._path.name + "-wal")):
            try:
                found = path.stat()
            except OSError:
                continue
            signs.append(f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}")
        if not signs:
            raise self._missing()
        return " ".join(signs), ""

    @contextmanager
    def snapshot(self, *, versions: bool = False, after: str = "") -> Iterator["SQLiteSnapshot"]:
        """See `Source.snapshot`."""
        if not os.path.isfile(self._path):
            raise self._missing()
        uri, before = f"{self._path.absolute().as_uri()}?mode=ro", self.marker()
        with _errors(self._path):
            if frozen := self._is_frozen():
                uri += "&immutable=1"
            connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        with closing(connection):
            connection.text_factory = _text
            with _errors(self._path):
                connection.execute("PRAGMA query_only = 1")
                # SQLite sorts in parts of this size, and holds a row of each: of large rows a smaller one holds more.
                connection.execute("PRAGMA cache_size = -16000")
                connection.execute("BEGIN")
                snapshot = SQLiteSnapshot(connection, self._path, versions)
            yield snapshot
        if frozen and self.marker() != before:
            # Nothing kept its writer from writing meanwhile.
            raise CatalogError(f"database: {self._path} was changed while it was read. Try again.")

    def _is_frozen(self) -> bool:
        """Whether this is a file with a write-ahead log in a folder that we cannot write, and nobody has it open.

        To read one takes a second file beside it, even when the log is empty; who has it open makes both.
        """
        with self._path.open("rb") as file:
            has_log = file.read(19)[18:] == b"\2"
        beside = (self._path.with_name(self._path.name + suffix) for suffix in ("-wal", "-shm"))
        return has_log and not os.access(self._path.parent, os.W_OK) and not any(path.exists() for path in beside)

    def _missing(self) -> CatalogError:
        try:
            if stat.S_ISDIR(self._path.stat().st_mode):
                return CatalogError(f"database: {self._path} is a directory. Name the SQLite file in it.")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                return CatalogError(f"database: {self._path} cannot be read ({error.strerror}).")
        return CatalogError(f"database: no SQLite file {self._path}.")

    def facts(self) -> Facts:
        """See `Source.facts`."""
        with self.snapshot() as snapshot, _errors(self._path):
            categories, disabled = snapshot.categories()
        return Facts(
            str(self._path), f"SQLite {sqlite3.sqlite_version}", snapshot.schema, None, (), True, categories, disabled
        )

    def close(self) -> None:
        """Nothing is kept open between snapshots."""


class SQLiteSnapshot:
    """One read transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path, versions: bool) -> None:
        self._connection = connection
        self._path = path
        found = {
            table: {column[1] for column in connection.execute(f"PRAGMA table_info({table})")} for table in tables()
        }
        columns = {table: names for table, names in found.items() if names}
        check_schema(str(path), columns)
        self.schema = schema_version(columns)
        self._schema = columns, versions
        self.choose(ALL)

    def groups(self) -> Groups:
        """See `Snapshot.groups`."""
        with _errors(self._path):
            return Groups.of(self._connection.execute(ACCOUNTS), self._connection.execute(CATEGORY_NAMES))

    def choose(self, choice: Choice) -> None:
        """See `Snapshot.choose`."""
        columns, versions = self._schema
        self._queries = Queries(SQLITE, columns, versions=versions, choice=choice)

    def categories(self) -> tuple[int, int]:
        """How many categories active accounts have, and how many of them are disabled."""
        number, disabled = self._connection.execute(CATEGORIES).fetchone()
        return number, disabled

    def position(self) -> str:
        """There is one file, and it does not go back."""
        return ""

    def written_since(self, before: Baseline | None) -> None:
        """SQLite does not say who wrote a row."""

    def digests(self, kind: Kind, blocks: Set[int] | None = None) -> None:
        """SQLite has no hash function to digest rows with."""

    def rows(self, kind: Kind, part: Part | None = None) -> Iterator[Row]:
        """See `Snapshot.rows`."""
        query = self._queries.rows(kind, "" if part is None else part.condition())
        with _errors(self._path):
            yield from map(_MAKERS[kind], self._connection.execute(query))

    def is_large(self, rows: int) -> bool:
        """See `Snapshot.is_large`."""
        with _errors(self._path):
            return bool(self._connection.execute(self._queries.is_large(rows)).fetchall())

    def counts(self) -> dict[str, int]:
        """See `Snapshot.counts`."""
        counts = {}
        for name in COUNTED:
            with _errors(self._path):
                counts[name] = {row[0]: row[1:] for row in self._connection.execute(self._queries.count(name))}
        return add_up(counts)

    def fillable(self, series: int | None = None) -> list[FillableRow]:
        """See `Snapshot.fillable`."""
        with _errors(self._path):
            rows = self._connection.execute(self._queries.fillable(series)).fetchall()
        # SQLite holds what it is given: a stream id may be a number, and a name null.
        return [
            FillableRow._make((*row[:3], str(row[3] or ""), *row[4:6], str(row[6] or ""), str(row[7]), bool(row[8])))
            for row in rows
        ]

    def titles_in(self, kind: Literal["movie", "series"], categories: Set[int | None]) -> set[int]:
        """See `Snapshot.titles_in`."""
        with _errors(self._path):
            return {number for (number,) in self._connection.execute(self._queries.titles_in(kind, categories))}

    def below(self, kind: Kind, titles: Collection[int]) -> set[int]:
        """See `Snapshot.below`."""
        with _errors(self._path):
            return {number for (number,) in self._connection.execute(self._queries.below(kind, titles))}

    def series_of(self, episodes: Collection[UUID]) -> set[int]:
        """See `Snapshot.series_of`."""
        if not episodes:
            return set()
        with _errors(self._path):
            return {number for (number,) in self._connection.execute(series_of(episodes))}

    def logos(self) -> dict[str, int]:
        """See `Snapshot.logos`."""
        with _errors(self._path):
            return {url: number for number, url in self._connection.execute(self._queries.logos())}

    def credentials(self) -> list[Credentials]:
        """See `Snapshot.credentials`."""
        with _errors(self._path):
            return list(map(Credentials._make, self._connection.execute(CREDENTIALS)))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Around what reads this database, and nothing else: the index is SQLite too."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        advice = ""
        if path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK):
            advice = "\nIts write-ahead log can only be read where this user can write to the folder."
        elif "not a database" in str(error):
            advice = "\nName Dispatcharr's SQLite file, as in sqlite:////data/dispatcharr.db."
        raise CatalogError(f"database: {path} cannot be read: {error}.{advice}") from error


def _text(value: bytes) -> str:
    # SQLite stores what it is given: bytes that are no UTF-8, or lone surrogates.
    return value.decode("utf-8", "replace")


def _movie(row: tuple[Any, ...]) -> MovieRow:
    movie = MovieRow._make(row)
    return movie._replace(is_adult=bool(movie.is_adult), passes=bool(movie.passes))


def _series(row: tuple[Any, ...]) -> SeriesRow:
    series = SeriesRow._make(row)
    return series._replace(passes=bool(series.passes))


def _episode(row: tuple[Any, ...]) -> EpisodeRow:
    return EpisodeRow._make((*row[:-2], bool(row[-2]), row[-1]))


_MAKERS: dict[Kind, Callable[[tuple[Any, ...]], Row]] = {
    "movie": _movie,
    "version": VersionRow._make,
    "series": _series,
    "episode": _episode,
}
