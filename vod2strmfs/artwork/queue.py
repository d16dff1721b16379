"""What is known of each image that the library wants: a SQLite file in the state directory, which survives everything.

One process works through it at a time (`holding`); others read it, and may mark images to be asked for again.
"""

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from vod2strmfs.artwork.figures import FILE_NAME
from vod2strmfs.artwork.outcomes import RECHECK, Kind, Outcome, host_pause, image_pause
from vod2strmfs.artwork.signature import Image
from vod2strmfs.errors import IndexFileError
from vod2strmfs.host.lock import held
from vod2strmfs.host.private import private
from vod2strmfs.host.set_aside import set_aside
from vod2strmfs.host.work_file import changing, copy_database, follow_clock, is_of_now, open_work_file

_LOCK_NAME = "artwork.lock"
_VERSION = 1
_SCHEMA = """
CREATE TABLE url (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,                 -- with its port, if the URL names one
    rank INTEGER NOT NULL,              -- 0 a poster, 1 a background, 2 a still: the lowest comes first
    wanted INTEGER NOT NULL DEFAULT 0,  -- whether anything in the library has it
    logo INTEGER NOT NULL DEFAULT 0,    -- the id that Dispatcharr has for it, 0 for none
    image TEXT NOT NULL DEFAULT '',     -- what came last, '' for nothing yet
    kind TEXT NOT NULL DEFAULT '',      -- outcomes.Kind of the last answer, '' for none yet
    why TEXT NOT NULL DEFAULT '',
    failures INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0, -- seconds since the epoch, as all times here
    asked REAL NOT NULL DEFAULT 0,
    etag TEXT NOT NULL DEFAULT '',
    modified TEXT NOT NULL DEFAULT ''
);
CREATE INDEX url_due ON url (rank, not_before) WHERE wanted = 1;
CREATE INDEX url_asked ON url (asked);
CREATE INDEX url_image ON url (image);
CREATE TABLE image (
    name TEXT PRIMARY KEY,
    extension TEXT NOT NULL,
    size INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL,
    stored INTEGER NOT NULL,            -- nanoseconds since the epoch
    digest INTEGER NOT NULL             -- library.rendered.content_digest
) WITHOUT ROWID;
CREATE TABLE want (                     -- which URL each of the library's files is made from
    node INTEGER NOT NULL, slot INTEGER NOT NULL, url INTEGER NOT NULL, PRIMARY KEY (node, slot)
) WITHOUT ROWID;
CREATE INDEX want_url ON want (url);
CREATE TABLE host (
    name TEXT PRIMARY KEY, not_before REAL NOT NULL, failures INTEGER NOT NULL, why TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE info (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_SET_BACK = (
    "UPDATE url SET not_before = not_before - :behind WHERE not_before > :now",
    "UPDATE host SET not_before = not_before - :behind WHERE not_before > :now",
)
"""What had to wait for some time when the clock was set back waits for as long from then on."""


class Wish(NamedTuple):
    """An image that one of the library's files is to be made from."""

    node: int
    slot: int
    rank: int
    url: str


class Item(NamedTuple):
    """An image to be asked for."""

    id: int
    url: str
    host: str
    image: str
    etag: str
    modified: str
    logo: int


class Queue:
    """See the module. A queue is used by one thread at a time.

    Args:
        state_dir: where the file is, or is made. One that is damaged is set aside: what is stored is fetched again.

    Raises:
        IndexFileError: it cannot be used. All methods raise it.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE_NAME
        try:
            if not self.path.exists():
                # Not when it is there: to close it again would end the locks that this process has on it.
                with suppress(FileExistsError):
                    open(self.path, "x", opener=private).close()
            self._connection = open_work_file(self.path, _SCHEMA, _VERSION, set_aside)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def want(self, wishes: Iterable[Wish]) -> int:
        """Note what the library wants now, in order of node and slot; returns how many notes changed."""
        with self._changing() as connection:
            before = connection.execute(
                "SELECT node, slot, rank, url.url FROM want JOIN url ON url.id = want.url ORDER BY node, slot"
            )
            # Read to the end before anything is written.
            new, old = _differences(map(Wish._make, before), wishes)
            if not new and not old:
                return 0
            connection.executemany("DELETE FROM want WHERE node = ? AND slot = ?", [each[:2] for each in old])
            for wish in new:
                connection.execute(
                    "INSERT INTO url (url, host, rank) VALUES (?, ?, ?)"
                    " ON CONFLICT (url) DO UPDATE SET rank = min(rank, excluded.rank)",
                    (wish.url, host_of(wish.url), wish.rank),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO want SELECT ?, ?, id FROM url WHERE url = ?",
                [(wish.node, wish.slot, wish.url) for wish in new],
            )
            connection.execute(
                "UPDATE url SET wanted = NOT wanted WHERE wanted != EXISTS (SELECT 1 FROM want WHERE want.url = url.id)"
            )
            connection.execute("DELETE FROM url WHERE wanted = 0 AND image = ''")
            return len(new) + len(old)

    def know(self, logos: Mapping[str, int]) -> None:
        """Note which ids Dispatcharr has for URLs."""
        with self._changing() as connection:
            rows = connection.execute("SELECT id, url, logo FROM url WHERE wanted = 1 AND image = ''").fetchall()
            changed = [(logo, row) for row, url, known in rows if (logo := logos.get(url, 0)) != known]
            connection.executemany("UPDATE url SET logo = ? WHERE id = ?", changed)

    def due(self, now: float, busy: Collection[str], limit: int) -> list[Item]:
        """What may be asked for now, the most important first.

        Args:
            now: seconds since the epoch.
            busy: hosts that are to be left alone.
            limit: how many at most.
        """
        marks = ", ".join("?" * len(busy))
        rows = self._rows(
            "SELECT id, url, host, image, etag, modified, logo FROM url INDEXED BY url_due"
            f" WHERE wanted = 1 AND not_before <= ? AND host NOT IN ({marks}) ORDER BY rank, not_before, id LIMIT ?",
            now, *busy, limit,
        )  # fmt: skip
        return [Item(*row) for row in rows]

    def paused(self, now: float) -> dict[str, float]:
        """The hosts that are left alone, and until when."""
        return dict(self._rows("SELECT name, not_before FROM host WHERE not_before > ?", now))

    def begin(self, item: Item) -> None:
        """Note that an image is asked for, before it is."""
        with self._changing() as connection:
            connection.execute("UPDATE url SET asked = ? WHERE id = ?", (time.time(), item.id))

    def settle(self, item: Item, outcome: Outcome, stored: tuple[str, Image, int] | None = None) -> bool:
        """Note what came of asking for an image; returns whether it is another image than before.

        Args:
            item: what was asked for.
            outcome: what came.
            stored: of an image that came: its name, what it is, and its digest.
        """
        now = time.time()
        with self._changing() as connection:
            if outcome.kind == Kind.BUSY:
                _note_host(connection, item.host, outcome, now)
                return False
            if outcome.kind in (Kind.STORED, Kind.SAME):
                connection.execute("DELETE FROM host WHERE name = ?", (item.host,))
                if stored is not None:
                    name, image, digest = stored
                    size, at = len(outcome.content), time.time_ns()
                    connection.execute(
                        "INSERT OR IGNORE INTO image VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (name, image.extension, size, image.width, image.height, at, digest),
                    )
                connection.execute(
                    "UPDATE url SET kind = 'stored', why = '', failures = 0, not_before = ?, image = ?,"
                    " etag = ?, modified = ? WHERE id = ?",
                    (
                        now + RECHECK, stored[0] if stored else item.image, outcome.etag or item.etag,
                        outcome.modified or item.modified, item.id,
                    ),
                )  # fmt: skip
                return stored is not None and stored[0] != item.image
            [failures] = connection.execute("SELECT failures + 1 FROM url WHERE id = ?", (item.id,)).fetchone()
            connection.execute(
                "UPDATE url SET kind = ?, why = ?, failures = ?, not_before = ? WHERE id = ?",
                (outcome.kind, outcome.why, failures, now + image_pause(outcome.kind, failures), item.id),
            )
            if outcome.kind == Kind.FAILED:
                _note_host(connection, item.host, outcome, now)
            else:
                connection.execute("DELETE FROM host WHERE name = ?", (item.host,))
            return False

    def retry_failed(self) -> int:
        """Have everything asked for again that could not be had; returns how many images that is."""
        with self._changing() as connection:
            connection.execute("DELETE FROM host")
            return connection.execute(
                "UPDATE url SET not_before = 0, failures = 0, kind = '', why = ''"
                " WHERE wanted = 1 AND kind NOT IN ('', 'stored')"
            ).rowcount

    def images(self) -> list[tuple[str, int, int]]:
        """The images that are stored: name, size, and when (nanoseconds since the epoch)."""
        return self._rows("SELECT name, size, stored FROM image")

    def has_image(self, name: str) -> bool:
        """Whether it is known that an image is stored."""
        return bool(self._rows("SELECT 1 FROM image WHERE name = ?", name))

    def bytes_stored(self) -> int:
        """Bytes of all images."""
        return int(self._rows("SELECT coalesce(sum(size), 0) FROM image")[0][0])

    def unwanted(self) -> list[tuple[str, int]]:
        """The images that nothing in the library wants, the oldest first: name and size."""
        return self._rows(
            "SELECT name, size FROM image WHERE NOT EXISTS"
            " (SELECT 1 FROM url WHERE url.image = image.name AND wanted = 1) ORDER BY stored"
        )

    def adopt(self, name: str, extension: str, size: int, stored: int, digest: int) -> None:
        """Note an image that is there, and shown, though this file knows nothing of it."""
        with self._changing() as connection:
            row = (name, extension, size, 0, 0, stored, digest)
            connection.execute("INSERT OR IGNORE INTO image VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def forget(self, names: Iterable[str]) -> None:
        """Note that images are not there any more: whatever wants them asks for them anew."""
        with self._changing() as connection:
            for name in names:
                connection.execute("DELETE FROM image WHERE name = ?", (name,))
                connection.execute(
                    "UPDATE url SET image = '', kind = '', not_before = 0, etag = '', modified = '' WHERE image = ?",
                    (name,),
                )

    def follow_clock(self) -> None:
        """Note what time it is; if the clock was set back since that was noted, nothing waits for the time before."""
        noted = self._rows("SELECT value FROM info WHERE name = 'clock'")
        if not noted or not is_of_now(float(noted[0][0])):
            with self._changing() as connection:
                follow_clock(connection, _SET_BACK)

    def note(self, **values: object) -> None:
        """Note what figures are to say."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO info VALUES (?, ?)", [(name, str(value)) for name, value in values.items()]
            )

    def _rows(self, query: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        try:
            with changing(self._connection) as connection:
                yield connection
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error


def copy(state_dir: Path, other: Path) -> None:
    """Copy the queue of a state directory, if there is one, into another one, which has none. One that is damaged is
    not copied: a run would set it aside.

    Raises:
        IndexFileError: it cannot be read, or there is no room for a copy.
    """
    path = state_dir / FILE_NAME
    try:
        copy_database(path, other / FILE_NAME)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


@contextmanager
def holding(state_dir: Path) -> Iterator[bool]:
    """Hold the right to fetch images, across processes, if nobody else does; gives whether that is so."""
    with held(state_dir / _LOCK_NAME) as is_ours:
        yield is_ours


def host_of(url: str) -> str:
    """The host of a URL, with its port if that is named; empty if it is no URL."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _differences(before: Iterator[Wish], after: Iterable[Wish]) -> tuple[list[Wish], list[Wish]]:
    """What is new, and what is gone, of two sequences in order of node and slot."""
    new: list[Wish] = []
    old: list[Wish] = []
    was = next(before, None)
    for wish in after:
        while was is not None and was[:2] < wish[:2]:
            old.append(was)
            was = next(before, None)
        if was is not None and was[:2] == wish[:2]:
            if was.url != wish.url:
                new.append(wish)
            was = next(before, None)
        else:
            new.append(wish)
    while was is not None:
        old.append(was)
        was = next(before, None)
    return new, old


def _note_host(connection: sqlite3.Connection, host: str, outcome: Outcome, now: float) -> None:
    row = connection.execute("SELECT failures FROM host WHERE name = ?", (host,)).fetchone()
    failures = (row[0] if row else 0) + 1
    connection.execute(
        "INSERT OR REPLACE INTO host VALUES (?, ?, ?, ?)",
        (host, now + host_pause(failures, outcome.pause), failures, outcome.why),
    )


def _unusable(path: Path, error: Exception) -> IndexFileError:
    return IndexFileError(f"{path}: the list of images to fetch cannot be used ({error}).")
