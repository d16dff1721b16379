"""What is known of films: which ones the library plays, which are to be learnt, and what was learnt of each.

One process learns at a time (`holding`); any number read, keep what was read, and ask for films by name. A film is
known by its key, gets an id that is never used again, and another version when it turns out to be another file. What
the library wants (`want`) says which of its nodes plays which film, and which film that was learnt it shows meanwhile.
"""

import errno
import json
import logging
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films import parts
from vod2strmfs.films.blocks import Blocks
from vod2strmfs.films.figures import FILE_NAME, LOCK_NAME
from vod2strmfs.films.film import FOLDER, Film, Key
from vod2strmfs.films.outcomes import BLAMES_FILM, PATIENT_TIMES, Kind, Outcome, account_pause, film_pause
from vod2strmfs.films.store_file import USED, StoreFile, note, note_blocks, note_shown, unusable
from vod2strmfs.host.lock import held, is_held
from vod2strmfs.host.work_file import follow_clock, is_of_now
from vod2strmfs.index.file import FILE_NAME as INDEX_NAME
from vod2strmfs.index.store import follows

MOUNT_LOCK_NAME = "mount.lock"
"""What a mount of films holds as long as it lives."""
_PARTS = "parts"
_FILM = "id, version, kind, account, stream, size, extension, seconds"
_DUE = "id, version, kind, account, stream, name, seconds, size, asked"
_DAY = 86400.0
_FORMER_SECONDS = 7 * _DAY
CLAIM_BYTES = 4 << 20
"""What an attempt counts for that was killed."""
_SET_BACK = (
    "UPDATE film SET not_before = not_before - :behind WHERE not_before > :now",
    "UPDATE film SET asked = asked - :behind WHERE asked > :now",
    "UPDATE film SET touched = :now WHERE touched > :now",
    "UPDATE block SET touched = :now WHERE touched > :now",
    "UPDATE former SET until = until - :behind WHERE until > :now",
    "UPDATE account SET not_before = not_before - :behind WHERE not_before > :now",
    "UPDATE taken SET at = at - :behind WHERE at > :now",
)
"""What had to wait for some time when the clock was set back waits for as long from then on. When a film was learnt
stays: that is a file's time."""

_SAME = "(film.kind, film.account, film.stream) = (wish.kind, wish.account, wish.stream)"
_DOUBTED = f"""
    INSERT INTO doubted SELECT id FROM film WHERE size > 0 AND EXISTS (SELECT 1 FROM wish WHERE {_SAME})
    AND (name != '' AND NOT EXISTS (SELECT 1 FROM wish WHERE {_SAME} AND (instr(wish.name, film.name) = 1
            OR instr(film.name, wish.name) = 1 OR EXISTS (SELECT 1 FROM want WHERE want.node = wish.node
                AND want.film = film.id)))
        OR stale = 1 AND NOT EXISTS (SELECT 1 FROM want WHERE want.film = film.id AND want.shown = film.id))"""
"""Finds films that another title plays than before: panels deal out their stream ids anew, and what was learnt is the
former title's. What another version of a title is called begins with what the title is called. Films that were doubted
before are known by it that nobody who plays them shows them."""
_DOUBT = """
    UPDATE film SET stale = 1, why = 'another title has its stream now'
    WHERE stale = 0 AND id IN (SELECT id FROM doubted)"""
"""Has such films learnt anew."""

_log = logging.getLogger("vod2strmfs")


class Wish(NamedTuple):
    """A film that one of the library's nodes plays."""

    node: int
    key: Key
    name: str
    """For people: where it stands in the library."""
    seconds: int = 0
    """How long it plays; 0 where that is unknown."""
    added: int = 0
    """When it came into the library: seconds since the epoch."""


class Due(NamedTuple):
    """A film that is to be learnt."""

    id: int
    version: int
    """The one that is known, if `size` is not 0."""
    key: Key
    name: str
    seconds: int
    size: int
    asked: bool
    """Whether somebody asked for it by name."""


class Learnt(NamedTuple):
    """What was learnt of a film."""

    size: int
    extension: str
    seconds: int
    head: int
    tail: int
    """Digests of its first and last bytes."""


class Films:
    """What is known of films, in a folder of the state directory; and the blocks of them that are kept there.

    Methods may be called in any thread; those that write may wait for other processes.

    Args:
        state_dir: where the folder of films is, or is made. Of a file that is lost or damaged, all that was learnt is
            known again from the parts; what failed is tried again.
        limit: bytes of films that are kept, at most; None: nothing is trimmed.

    Raises:
        IndexFileError: it cannot be used, or the folder is that of another library. All methods raise it, but for
            `changed`, which readers use, `is_in_place`, `is_whole` and `close`.
    """

    def __init__(self, state_dir: Path, limit: int | None = None) -> None:
        self.folder = state_dir / FOLDER
        self.path = self.folder / FILE_NAME
        self.root = self.folder / _PARTS
        self._knows_holes = False
        try:
            if (self.folder / INDEX_NAME).exists() and not (self.path.exists() or self.root.exists()):
                raise IndexFileError(
                    f"state directory {self.folder}: is that of a library called {FOLDER}, and films would be kept"
                    " there. Give that library another name, or this one another state directory (--state-dir)."
                )
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = StoreFile(self.path, lambda: self._know_again(lost=True))
            self._know_again()
        except OSError as error:
            raise unusable(self.path, error) from error
        self.blocks = Blocks(self._file, self.root, limit, self.film)
        """The parts of films that are kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Note what was read, and close all files."""
        self.blocks.close()
        self._file.close()

    def is_in_place(self) -> bool:
        """Whether the file of what is known is still the one that is open."""
        return self._file.is_in_place()

    def is_whole(self) -> bool:
        """Whether the log beside that file is still the one that is in use."""
        return self._file.is_whole()

    def mend(self) -> None:
        """Open the file of what is known anew, if the log beside it was deleted or cut short by somebody.

        What was noted last may be lost with it, but for what was learnt, which is known again from the parts.
        """
        self._file.mend()

    # What is known.

    def film(self, film: int, version: int) -> Film | None:
        """A film that was learnt, in a version that it has or had lately."""
        rows = self._file.rows(f"SELECT {_FILM} FROM film WHERE id = ? AND version = ? AND size > 0", film, version)
        if not rows:
            query = (
                "SELECT id, former.version, kind, account, stream, former.size, former.extension, former.seconds"
                " FROM former JOIN film ON film.id = former.film WHERE former.film = ? AND former.version = ?"
            )
            rows = self._file.rows(query, film, version)
        return _film(rows[0]) if rows else None

    def alike(self, film: Film) -> list[Film]:
        """Other films with the same bytes, as far as size and fingerprint tell: those of other accounts, mostly."""
        query = (
            f"SELECT {', '.join(f'other.{column}' for column in _FILM.split(', '))} FROM film"
            " JOIN film AS other ON other.head = film.head AND other.tail = film.tail AND other.size = film.size"
            " WHERE film.id = ? AND film.version = ? AND film.size > 0 AND other.size > 0 AND other.id != film.id"
            " AND other.result NOT IN ('gone', 'forbidden', 'refused') ORDER BY other.wanted DESC, other.id"
        )
        return [_film(row) for row in self._file.rows(query, film.id, film.version)]

    def known(self, key: Key) -> Film | None:
        """The film with a key, if it was learnt."""
        rows = self._file.rows(f"SELECT {_FILM} FROM film WHERE (kind, account, stream) = (?, ?, ?) AND size > 0", *key)
        return _film(rows[0]) if rows else None

    def name(self, film: int) -> str:
        """Where a film stands in the library, for people; empty if it does not any more."""
        rows = self._file.rows("SELECT name FROM film WHERE id = ?", film)
        return str(rows[0][0]) if rows else ""

    def nodes(self, key: Key) -> list[int]:
        """The library's nodes that play a film."""
        query = (
            "SELECT want.node FROM film JOIN want ON want.film = film.id"
            " WHERE (film.kind, film.account, film.stream) = (?, ?, ?) ORDER BY want.node"
        )
        return [node for (node,) in self._file.rows(query, *key)]

    def tidy(self) -> None:
        """Forget versions that nobody can have open any more, and films that nothing plays whose parts are gone."""
        query = (
            "SELECT film, version FROM former WHERE until < ? UNION ALL"
            f" SELECT id, version FROM film WHERE size > 0 AND wanted = 0 AND NOT {USED}"
            " AND NOT EXISTS (SELECT 1 FROM block WHERE block.film = film.id)"
        )
        doomed = self._file.count(query, time.time())
        for film, version in doomed:
            with suppress(OSError):
                parts.part_path(self.root, film, version).unlink(missing_ok=True)
        with self._file.changing() as connection:
            for at in doomed:
                connection.execute("DELETE FROM block WHERE film = ? AND version = ?", at)
                connection.execute("DELETE FROM former WHERE film = ? AND version = ?", at)
                connection.execute(f"DELETE FROM film WHERE id = ? AND version = ? AND wanted = 0 AND NOT {USED}", at)
        for at in doomed:
            self.blocks.forget(*at)

    def shown(self) -> int:
        """A number that is another one whenever other films may have to be shown: one was learnt, by this process or by
        another one, or the library plays others."""
        return int(self._file.noted("shown") or 0)

    # What the library wants, and learning.

    def want(self, wishes: Iterable[Wish], generation: int, index: str = "") -> int:
        """Note what the library's nodes play now; returns how many nodes that changed for.

        Args:
            wishes: of every node that plays anything.
            generation: the library's, which these are of.
            index: its index (`index.store.position`). In another one than before, nodes are others: none of them goes
                on showing what it showed.
        """
        with self._file.changing() as connection:
            is_other = bool(index) and not self.is_wanted_of(index)
            if is_other:
                connection.execute("DELETE FROM want")
            connection.execute("DROP TABLE IF EXISTS temp.wish")
            connection.execute(
                "CREATE TEMP TABLE wish (node INTEGER PRIMARY KEY, kind TEXT, account INTEGER, stream TEXT,"
                " name TEXT, seconds INTEGER, added INTEGER)"
            )
            connection.executemany(
                "INSERT INTO wish VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((wish.node, *wish.key, wish.name, wish.seconds, wish.added) for wish in wishes),
            )
            connection.execute("CREATE INDEX temp.wish_key ON wish (kind, account, stream)")
            connection.execute("DROP TABLE IF EXISTS temp.doubted")
            connection.execute("CREATE TEMP TABLE doubted (id INTEGER PRIMARY KEY)")
            if not is_other:
                connection.execute(_DOUBTED)
                connection.execute(_DOUBT)
            changed = _take_over(connection)
            connection.execute("DROP TABLE temp.wish")
            connection.execute("DROP TABLE temp.doubted")
            note(connection, generation=generation, **({"index": index} if index else {}))
            note_shown(connection)
            return changed

    def wanted_generation(self) -> int:
        """The library's generation that the wishes are of; 0: there are none yet."""
        return int(self._file.noted("generation") or 0)

    def is_wanted_of(self, index: str) -> bool:
        """Whether the wishes, if there are any, are of an index (see `want`), or of a former state of it."""
        noted = self._file.noted("index")
        return not noted or follows(index, noted)

    def ask(self, keys: Iterable[Key]) -> int:
        """Have films learnt before all others, whatever became of them before; returns how many that is.

        Their accounts are tried again, too: whoever asks may have mended what was wrong.
        """
        keys = list(keys)
        with self._file.changing() as connection:
            accounts = {(key.account,) for key in keys}
            connection.executemany("UPDATE account SET not_before = 0 WHERE id = ?", accounts)
            return connection.executemany(
                "UPDATE film SET asked = ?, not_before = 0"
                " WHERE (kind, account, stream) = (?, ?, ?) AND wanted = 1 AND stale = 1",
                [(time.time(), *key) for key in keys],
            ).rowcount

    def waiting(self, now: float, *, asked_since: float = 0) -> int:
        """How many films may be learnt now, of those that were asked for by name since then; 0: of all."""
        query = "SELECT count(*) FROM film WHERE wanted = 1 AND stale = 1 AND not_before <= ? AND asked >= ?"
        return int(self._file.count(query, now, asked_since)[0][0])

    def waiting_of(self, now: float, *, asked_since: float = 0) -> set[int]:
        """The accounts that have films which may be learnt now, asked for by name since then; 0: any."""
        query = "SELECT DISTINCT account FROM film WHERE wanted = 1 AND stale = 1 AND not_before <= ? AND asked >= ?"
        return {account for (account,) in self._file.count(query, now, asked_since)}

    def names(self) -> list[tuple[Key, str]]:
        """The films that the library plays, with their names."""
        rows = self._file.count("SELECT kind, account, stream, name FROM film WHERE wanted = 1 ORDER BY name, id")
        return [(Key(kind, account, stream), name) for kind, account, stream, name in rows]

    def due(self, now: float, busy: Collection[int], limit: int, *, asked_since: float = 0) -> list[Due]:
        """The films that may be learnt now, the most important first; may take tenths of a second.

        Args:
            now: seconds since the epoch.
            busy: accounts that are to be left alone, beside those that are paused.
            limit: how many at most.
            asked_since: only those are meant that were asked for by name since then; 0: all.
        """
        marks = ", ".join("?" * len(busy))
        rows = self._file.count(
            f"SELECT {_DUE} FROM film INDEXED BY film_due"
            f" WHERE wanted = 1 AND stale = 1 AND not_before <= ? AND account NOT IN ({marks}) AND asked >= ?"
            " AND account NOT IN (SELECT id FROM account WHERE not_before > ?)"
            " ORDER BY asked DESC, added DESC, id DESC LIMIT ?",
            now, *busy, asked_since, now, limit,
        )  # fmt: skip
        return [_due(row) for row in rows]

    def in_its_place(self, due: Due, now: float) -> Due:
        """The film to learn in place of one that is due: any other of its account, if all of the last ones failed.

        Films that came into the library together are often gone together, and an account that fails is seldom asked.
        """
        if due.asked:
            return due
        query = (
            f"SELECT {_DUE} FROM film WHERE wanted = 1 AND stale = 1 AND not_before <= ? AND account = ?"
            " AND EXISTS (SELECT 1 FROM account WHERE id = film.account AND failures >= ?) ORDER BY random() LIMIT 1"
        )
        rows = self._file.count(query, now, due.key.account, PATIENT_TIMES)
        return _due(rows[0]) if rows else due

    def begin(self, due: Due) -> int:
        """Note that a film is asked for, before it is; returns the number of the attempt."""
        with self._file.changing() as connection:
            now = time.time()
            connection.execute("DELETE FROM taken WHERE at < ?", (now - 2 * _DAY,))
            query = "INSERT INTO taken (at, account, bytes) VALUES (?, ?, ?)"
            attempt = connection.execute(query, (now, due.key.account, CLAIM_BYTES)).lastrowid
            assert attempt is not None
            return attempt

    def draft(self, due: Due) -> parts.Draft:
        """A place for the parts of a film that is being learnt. Only who holds the right to learn may ask for it.

        Raises:
            OSError: it cannot be made, such as for a full disk.
        """
        if not self._knows_holes:
            if not parts.knows_holes(self.root):
                why = "its file system knows no files with holes, as films need them; choose another --state-dir"
                raise OSError(errno.EOPNOTSUPP, why)
            self._knows_holes = True
        return parts.Draft(self.root, due.id)

    def settle(
        self, due: Due, attempt: int, outcome: Outcome, learnt: Learnt | None = None, draft: parts.Draft | None = None
    ) -> Film | None:
        """Note what came of learning a film, in one transaction.

        Args:
            due: what was asked for.
            attempt: its number.
            outcome: what came.
            learnt: what was learnt, if it was.
            draft: the parts of it.

        Returns:
            The film, if it was learnt.

        Raises:
            OSError: the parts cannot be written, such as for a full disk. Nothing is noted then.
        """
        now = time.time()
        film, blocks = None, {}
        if learnt is not None and draft is not None:
            film, since = self._version_of(due, learnt, now)
            blocks = draft.blocks(learnt.size)
            draft.finish(parts.Description(
                film.id, film.version, *film.key, film.size, film.extension, film.seconds, learnt.head, learnt.tail,
                since, blocks,
            ))  # fmt: skip
        with self._file.changing() as connection:
            connection.execute("UPDATE taken SET bytes = ? WHERE id = ?", (outcome.taken, attempt))
            _note_account(connection, due.key.account, outcome, now)
            if film is not None and learnt is not None:
                _note_learnt(connection, due, film, learnt, blocks, now)
            elif outcome.kind in BLAMES_FILM:
                [failures] = connection.execute("SELECT failures + 1 FROM film WHERE id = ?", (due.id,)).fetchone()
                connection.execute(
                    "UPDATE film SET result = ?, why = ?, failures = ?, not_before = ?, asked = 0 WHERE id = ?",
                    (outcome.kind, outcome.why, failures, now + film_pause(outcome.kind, failures), due.id),
                )
        if film is not None:
            self.blocks.forget(film.id, film.version)
        return film

    def changed(self, film: Film, why: str) -> None:
        """Have a film learnt anew, since it turned out to be another file. It stays shown until then.

        If that cannot be noted, it is said in the log, and has to be found out again.
        """
        try:
            with self._file.changing() as connection:
                connection.execute(
                    "UPDATE film SET stale = 1, why = ?, failures = 0, not_before = 0 WHERE id = ? AND version = ?",
                    (why, film.id, film.version),
                )
        except IndexFileError as error:
            _log.warning("%s", error)

    def taken(self, now: float) -> tuple[int, float]:
        """Bytes that learning took within 24 hours, and when the last attempt began."""
        query = "SELECT coalesce(sum(bytes), 0), coalesce(max(at), 0) FROM taken WHERE at > ?"
        taken, last = self._file.rows(query, now - _DAY)[0]
        return int(taken), float(last)

    def background(self) -> dict[tuple[int, int], int]:
        """Bytes that readers got whom nobody watches, by account and hour since the epoch, as noted last."""
        rows: list[tuple[int, int, int]] = json.loads(self._file.noted("background") or "[]")
        return {(account, hour): taken for account, hour, taken in rows}

    def note_background(self, taken: Mapping[tuple[int, int], int]) -> None:
        """Note bytes that readers got whom nobody watches (see `background`), in place of those noted before."""
        self.note(background=json.dumps([(*at, count) for at, count in taken.items()]))

    def follow_clock(self) -> None:
        """Note what time it is; if the clock was set back since that was noted, nothing waits for the time before."""
        if not is_of_now(float(self._file.noted("clock") or 0)):
            with self._file.changing() as connection:
                follow_clock(connection, _SET_BACK)

    def note(self, **values: object) -> None:
        """Note what figures are to say."""
        with self._file.changing() as connection:
            note(connection, **values)

    # Within.

    def _know_again(self, *, lost: bool = False) -> None:
        """Know films again by their parts, once, in a file that is new, or of which something may be lost."""
        if self._file.noted("begun") and not lost:
            return
        with self._file.changing() as connection:
            info = dict(connection.execute("SELECT name, value FROM info"))
            if "begun" in info and not lost:
                return
            highest = int(info.get("next", 0))
            for each in sorted(parts.descriptions(self.root), key=lambda each: (each.film, each.version)):
                _note_again(connection, each)
                highest = max(highest, each.film)
            # Ids go on from the clock: what was known of films without parts is lost, and so are their ids.
            now = time.time()
            following = max(highest + 1, int(now * 1000))
            note(connection, next=following, begun=info.get("begun", int(now)), clock=int(now))
            # The next look at the library says which node plays what.
            note(connection, generation=0, shown=following)

    def _version_of(self, due: Due, learnt: Learnt, now: float) -> tuple[Film, float]:
        """Which version of the film this is, and since when that has been known."""
        query = "SELECT version, size, head, tail, learnt FROM film WHERE id = ?"
        version, size, head, tail, since = self._file.rows(query, due.id)[0]
        if not size:
            since = now
        elif (size, head, tail) != (learnt.size, learnt.head, learnt.tail):
            version, since = version + 1, now
        return Film(due.id, version, due.key, learnt.size, learnt.extension, learnt.seconds or due.seconds), since


@contextmanager
def holding(state_dir: Path, within: float = 0.0) -> Iterator[bool]:
    """Hold the right to learn films, across processes, if nobody else does; gives whether that is so.

    Args:
        state_dir: of the library.
        within: seconds to wait at most for who only looks at the lock.
    """
    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(folder / LOCK_NAME, within) as is_ours:
        if is_ours:
            parts.remove_unfinished(folder / _PARTS)
        yield is_ours


def are_mounted(state_dir: Path) -> bool:
    """Whether a mount shows the films of a state directory: a process that knows who watches them."""
    return is_held(state_dir / FOLDER / MOUNT_LOCK_NAME)


def _due(row: Sequence[Any]) -> Due:
    return Due(row[0], row[1], Key(*row[2:5]), row[5], row[6], row[7], bool(row[8]))


def _film(row: Sequence[Any]) -> Film:
    return Film(row[0], row[1], Key(*row[2:5]), *row[5:8])


def _take_over(connection: sqlite3.Connection) -> int:
    """Make the wishes in the table `wish` the library's; returns how many nodes that changed for. Films in the table
    `doubted` are shown by no node that did not play them before."""
    [last] = connection.execute("SELECT value FROM info WHERE name = 'next'").fetchone()
    added = connection.execute(
        "INSERT INTO film (id, kind, account, stream, name, seconds, added)"
        " SELECT ? + row_number() OVER (ORDER BY max(added), max(node)), kind, account, stream,"
        " min(name), max(seconds), max(added) FROM wish"
        f" WHERE NOT EXISTS (SELECT 1 FROM film WHERE {_SAME}) GROUP BY kind, account, stream",
        (int(last),),
    ).rowcount
    note(connection, next=int(last) + added)
    connection.execute(
        "UPDATE film SET name = wish.name, added = wish.added,"
        " seconds = CASE WHEN size = 0 OR film.seconds = 0 THEN wish.seconds ELSE film.seconds END"
        " FROM (SELECT kind, account, stream, min(name) AS name, max(seconds) AS seconds, max(added) AS added"
        f" FROM wish GROUP BY kind, account, stream) AS wish WHERE {_SAME} AND (film.name != wish.name"
        " OR film.added != wish.added OR film.seconds != wish.seconds AND (size = 0 OR film.seconds = 0))"
    )
    changed = connection.execute("DELETE FROM want WHERE node NOT IN (SELECT node FROM wish)").rowcount
    changed += connection.execute(
        "INSERT INTO want SELECT node, film.id,"
        " CASE WHEN size > 0 AND film.id NOT IN (SELECT id FROM doubted) THEN film.id ELSE 0 END"
        f" FROM wish JOIN film ON {_SAME} WHERE true ON CONFLICT (node) DO UPDATE SET film = excluded.film,"
        # What it showed stays shown until the other was learnt.
        " shown = CASE WHEN excluded.shown THEN excluded.shown ELSE want.shown END"
        " WHERE want.film != excluded.film"
    ).rowcount
    connection.execute(
        "UPDATE film SET wanted = NOT wanted WHERE wanted != EXISTS (SELECT 1 FROM want WHERE want.film = film.id)"
    )
    connection.execute("DELETE FROM film WHERE size = 0 AND wanted = 0")
    return changed


def _note_learnt(
    connection: sqlite3.Connection, due: Due, film: Film, learnt: Learnt, blocks: dict[int, int], now: float
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO former SELECT id, version, size, extension, seconds, ? FROM film"
        " WHERE id = ? AND size > 0 AND version != ?",
        (now + _FORMER_SECONDS, film.id, film.version),
    )
    connection.execute(
        "UPDATE film SET learnt = CASE WHEN size > 0 AND version = :version THEN learnt ELSE :now END,"
        " version = :version, size = :size, extension = :extension, seconds = :seconds, head = :head, tail = :tail,"
        " stale = 0, asked = 0, result = :result, why = '', failures = 0, not_before = 0 WHERE id = :id",
        {
            "id": film.id, "version": film.version, "size": film.size, "extension": film.extension,
            "seconds": film.seconds, "head": learnt.head, "tail": learnt.tail, "result": Kind.LEARNT, "now": now,
        },
    )  # fmt: skip
    connection.execute("DELETE FROM block WHERE film = ? AND version = ?", (film.id, film.version))
    note_blocks(connection, film.id, film.version, blocks, needed=True)
    if film.version != due.version:
        # A title that showed it until its own was learnt would show another title's film now.
        connection.execute("UPDATE want SET shown = 0 WHERE shown = ?", (film.id,))
    connection.execute("UPDATE want SET shown = film WHERE film = ?", (film.id,))
    note_shown(connection)


def _note_again(connection: sqlite3.Connection, each: parts.Description) -> None:
    """Note a film that is known by its parts alone, if it is. Descriptions come in order of their versions."""
    query = "SELECT 1 FROM film WHERE id = ? AND version >= ? AND size > 0"
    if connection.execute(query, (each.film, each.version)).fetchone():
        return
    key = parts.key_of(each)
    connection.execute(
        "INSERT OR IGNORE INTO former SELECT id, version, size, extension, seconds, ? FROM film"
        " WHERE id = ? AND size > 0",
        (time.time() + _FORMER_SECONDS, each.film),
    )
    connection.execute(
        "INSERT OR REPLACE INTO film (id, version, kind, account, stream, name, seconds, added, stale,"
        " size, extension, head, tail, learnt, result) VALUES (?, ?, ?, ?, ?, '', ?, 0, 0, ?, ?, ?, ?, ?, ?)",
        (
            each.film, each.version, *key, each.seconds, each.size, each.extension, each.head, each.tail, each.learnt,
            Kind.LEARNT,
        ),
    )  # fmt: skip
    note_blocks(connection, each.film, each.version, each.blocks, needed=True)
    connection.execute("UPDATE want SET shown = film WHERE film = ?", (each.film,))


def _note_account(connection: sqlite3.Connection, account: int, outcome: Outcome, now: float) -> None:
    if outcome.kind in (Kind.FULL, Kind.YIELDED, Kind.GONE):
        return
    if outcome.kind == Kind.LEARNT:
        connection.execute("DELETE FROM account WHERE id = ?", (account,))
        return
    row = connection.execute("SELECT failures FROM account WHERE id = ?", (account,)).fetchone()
    failures = (row[0] if row else 0) + 1
    pause = account_pause(outcome.kind, failures, outcome.pause)
    connection.execute(
        "INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?)", (account, failures, now + pause, outcome.why)
    )
