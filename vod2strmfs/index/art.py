"""The images that a generation shows: a table of its own, which an index has only once there was an image to show.

A sync leaves it alone; `sync.pictures` writes it. Node ids are never used again, so what is left of a node that has
gone is in nobody's way.
"""

import sqlite3
from collections.abc import Iterator

from vod2strmfs.library.tree import Art

ART = """
CREATE TABLE IF NOT EXISTS art (
    node INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    image TEXT NOT NULL,               -- what it is called where images are stored; '': there is none (any more)
    extension TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,            -- nanoseconds since the epoch
    version INTEGER NOT NULL,
    digest INTEGER NOT NULL,           -- library.rendered.content_digest
    PRIMARY KEY (node, slot)
) WITHOUT ROWID"""

_COLUMNS = "slot, image, extension, size, mtime, version, digest"
_ART = f"SELECT node, {_COLUMNS} FROM art WHERE node BETWEEN ? AND ? AND image != '' ORDER BY node, slot"


def shows_art(connection: sqlite3.Connection) -> bool:
    """Whether the generation that a connection sees, or writes, shows any image."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'art'").fetchone():
        return False
    return connection.execute("SELECT 1 FROM art WHERE image != '' LIMIT 1").fetchone() is not None


def art_between(connection: sqlite3.Connection, first: int, last: int) -> dict[int, tuple[Art, ...]]:
    """The images of the nodes with ids from `first` to `last`, by node. There has to be the table."""
    found: dict[int, tuple[Art, ...]] = {}
    for node, *columns in connection.execute(_ART, (first, last)):
        found[node] = (*found.get(node, ()), Art(*columns))
    return found


def shown_images(connection: sqlite3.Connection) -> Iterator[tuple[str, str, int, int, int]]:
    """The images that are shown: name, extension, size, mtime and digest of each, some of them more than once."""
    if shows_art(connection):
        yield from connection.execute("SELECT image, extension, size, mtime, digest FROM art WHERE image != ''")
