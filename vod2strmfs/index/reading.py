"""Reading some of an index by SQL, beside what a `Store` gives."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.file import FILE_NAME, connect


@contextmanager
def reading(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the index of a state directory.

    Raises:
        IndexFileError: it cannot be read, or holds what cannot be.
    """
    with unreadable(), closing(connect(state_dir)) as connection:
        yield connection


@contextmanager
def unreadable() -> Iterator[None]:
    """What is raised within, since an index cannot be read or holds what cannot be, becomes an IndexFileError."""
    try:
        yield
    except (sqlite3.Error, msgspec.MsgspecError, ValueError) as error:
        raise IndexFileError(f"the index cannot be read: {error}") from error


def generation(state_dir: Path) -> int:
    """The number of the index's generation; 0 if there is none, or no index.

    Raises:
        IndexFileError: the index cannot be read.
    """
    if not (state_dir / FILE_NAME).exists():
        return 0
    with reading(state_dir) as connection:
        return int(connection.execute("SELECT number FROM generation").fetchone()[0])
