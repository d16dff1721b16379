"""The queue: which series are to be asked for, kept in a SQLite file of the state directory.

A series is known by its account and stream id, which outlive the ids of Dispatcharr's rows. A request is noted before
it is sent, so that nobody asks again for what somebody who was killed has asked for. Several processes may work
through one queue: what may be asked is decided in one transaction, and limits count for all of them together.
"""

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from vod2strmfs.errors import IndexFileError
from vod2strmfs.host.work_file import changing, follow_clock, open_work_file
from vod2strmfs.hydrate.asker import lives, myself
from vod2strmfs.hydrate.figures import FILE_NAME
from vod2strmfs.hydrate.outcomes import DAY, EMPTY_DAYS, Kind, Outcome, Patience
from vod2strmfs.index.file import make_directory

_VERSION = 1
_USED_LATELY = 30 * DAY

_SCHEMA = """
CREATE TABLE series (
    account INTEGER NOT NULL,
    stream TEXT NOT NULL,
    relation INTEGER NOT NULL,             -- its id, and the series', in the catalogue as it was when looked at last
    series INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,                 -- times are seconds since the epoch, 0 is never
    there INTEGER NOT NULL,                -- whether it is in the catalogue
    missing INTEGER NOT NULL,              -- whether it has no episodes
    seen REAL NOT NULL,                    -- when it was first in the catalogue
    used REAL NOT NULL DEFAULT 0,          -- when somebody played or opened it last
    wished REAL NOT NULL DEFAULT 0,        -- when somebody opened it who is waiting
    asking REAL NOT NULL DEFAULT 0,        -- since when a request is under way, and whose it is
    asker TEXT NOT NULL DEFAULT '',
    asked REAL NOT NULL DEFAULT 0,         -- when the last one was sent
    kind TEXT NOT NULL DEFAULT '',         -- what came of it, and of how many in a row
    times INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT '',
    not_before REAL NOT NULL DEFAULT 0,    -- when it may be asked for again
    empty_days INTEGER NOT NULL DEFAULT 0, -- on how many days there were no episodes
    empty_day INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, stream)
);
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '',
    times INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT '',
    not_before REAL NOT NULL DEFAULT 0
);
CREATE TABLE request (at REAL NOT NULL, wished INTEGER NOT NULL);
CREATE TABLE info (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_UPDATE = """
    INSERT INTO series (account, stream, relation, series, uuid, name, created, there, missing, seen)
    VALUES (:account, :stream, :relation, :series, :uuid, :name, :created, 1, :missing, :now)
    ON CONFLICT (account, stream) DO UPDATE SET relation = excluded.relation, series = excluded.series,
        uuid = excluded.uuid, name = excluded.name, created = excluded.created, there = 1, missing = excluded.missing"""
_ARRIVED = """
    UPDATE series SET kind = 'filled', times = 0, why = '', not_before = 0, empty_days = 0, wished = 0
    WHERE there = 1 AND missing = 0 AND (kind NOT IN ('', 'filled') OR times != 0 OR wished != 0)"""
# The first that were ever seen are not new.
_ORDER = """
    wished = 0, wished, NOT (missing = 1 AND asked = 0 AND seen > (SELECT min(seen) FROM series)),
    iif(used > :used_since, -used, 0), missing = 0, iif(missing = 1, -created, max(asked, seen)), series"""
_DUE = """((missing = 1 OR :old > 0 AND max(asked, seen) < :aged - :old) AND not_before <= :now)"""
_CHOSEN = "(account, stream) IN (SELECT account, stream FROM temp.chosen) AND asked < :began"
_WISHED = "wished != 0 AND missing = 1 AND not_before <= :now"
_SET_BACK = (
    "UPDATE series SET not_before = not_before - :behind WHERE not_before > :now",
    "UPDATE series SET asking = asking - :behind WHERE asking > :now",
    "UPDATE series SET asked = min(asked, :now), seen = min(seen, :now), used = min(used, :now),"
    " wished = min(wished, :now) WHERE max(asked, seen, used, wished) > :now",
    "UPDATE account SET not_before = not_before - :behind WHERE not_before > :now",
    "UPDATE request SET at = at - :behind WHERE at > :now",
)
"""What had to wait for some time when the clock was set back waits for as long from then on."""
_NOT_ASKED = (Kind.BUSY, Kind.AWAY)
"""What is no fault of the series: it was not asked for, and waits on."""
_SHORTEST = 0.2
"""Seconds to wait for a process that should have had its answer."""
_GIVE_UP = 3
"""So often an account is tried before it is said that Dispatcharr cannot be asked."""
_WATCHED = "watched"
"""What an account is that is at its stream limit."""


class Key(NamedTuple):
    """What a series is known by."""

    account: int
    stream: str


class Item(NamedTuple):
    """A series that may be asked for."""

    account: int
    stream: str
    relation: int
    series: int
    name: str
    missing: bool
    empty_days: int
    """On how many days it had no episodes."""
    wished: bool
    """Whether somebody is waiting for it."""

    @property
    def key(self) -> Key:
        """The key by which the queue knows a series."""
        return Key(self.account, self.stream)


class Entry(NamedTuple):
    """A series of the catalogue."""

    account: int
    account_name: str
    stream: str
    relation: int
    series: int
    uuid: str
    name: str
    created: float
    missing: bool

    @property
    def key(self) -> Key:
        """The key by which the queue knows a series."""
        return Key(self.account, self.stream)


class Limits(NamedTuple):
    """How much may be asked."""

    rate: float
    """Requests a minute."""
    budget: int = 0
    """Requests within 24 hours; 0: no limit."""
    parallel: int = 1
    """Requests of one account at once."""
    older_than: float = 0
    """Seconds after which a series is asked for again; 0: never."""
    aged_at: float = 0
    """When these seconds end, so that a run asks for none twice; 0: now."""
    wished_only: bool = False
    """Whether only what somebody opened is asked for; of that, `wishes` an hour, and no budget holds for them."""
    wishes: int = 20
    chosen_since: float = 0
    """If not 0, only what was chosen (`Queue.choose`) is asked for, if it was not since then, whatever was before."""


class Pause(NamedTuple):
    """Nothing may be asked for now."""

    seconds: float
    why: str
    """`rate`, `budget` or `account` (there is more to do), `later` (what failed may be tried again) or `nothing`."""


class Queue:
    """The queue of one state directory. One thread uses it.

    Args:
        state_dir: where its file is; made if need be.
        patience: how long everything may take.

    Raises:
        IndexFileError: the file cannot be opened or made.
    """

    def __init__(self, state_dir: Path, patience: Patience) -> None:
        make_directory(state_dir)
        self._path = state_dir / FILE_NAME
        self._patience = patience
        self._me = myself()
        self._opened = time.time()
        try:
            self._connection = open_work_file(self._path, _SCHEMA, _VERSION, _discard)
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def look(self, entries: Iterable[Entry], *, whole: bool = True) -> None:
        """Take note of what the catalogue has.

        Args:
            entries: its eligible series.
            whole: whether these are all.
        """
        now = time.time()
        with self._changing() as connection:
            follow_clock(connection, _SET_BACK)
            if whole:
                connection.execute("UPDATE series SET there = 0")
            accounts: dict[int, str] = {}
            for entry in entries:
                connection.execute(_UPDATE, entry._asdict() | {"now": now})
                accounts[entry.account] = entry.account_name
            connection.executemany(
                "INSERT INTO account (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                accounts.items(),
            )
            connection.execute(_ARRIVED)
            self._bury(connection, now)
            connection.execute("DELETE FROM request WHERE at < ?", (now - self._patience.day,))

    def _bury(self, connection: sqlite3.Connection, now: float) -> None:
        """Settle requests whose asker is dead, when it is clear what came of them, or nobody will know any more."""
        rows = connection.execute("SELECT account, stream, missing, asking, asker FROM series WHERE asking != 0")
        for account, stream, missing, asking, asker in rows.fetchall():
            # What this process began before it opened the queue again was cut off, and is settled like another's.
            ours = asker == self._me and asking >= self._opened
            if ours or (lives(asker) and asking > now - 2 * self._patience.answer):
                continue
            if not missing:
                self._end(connection, Key(account, stream), Outcome(Kind.FILLED), now)
            elif asking < now - self._patience.answer:
                why = "this program ended before the answer came"
                self._end(connection, Key(account, stream), Outcome(Kind.LOST, why), now)

    def choose(self, keys: Iterable[Key]) -> None:
        """Name the series that `Limits.chosen_since` is about."""
        self._connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS chosen (account, stream, PRIMARY KEY (account, stream))"
        )
        self._connection.execute("DELETE FROM temp.chosen")
        self._connection.executemany("INSERT OR IGNORE INTO temp.chosen VALUES (?, ?)", keys)

    def next(self, limits: Limits) -> Item | Pause:
        """What may be asked for now, or how long nothing may be."""
        now = time.time()
        with self._changing() as connection:
            self._bury(connection, now)
            return self._next(connection, limits, now)

    def claim(self, item: Item, limits: Limits) -> bool:
        """Whether a series may still be asked for; if so it is noted that this process does it."""
        now = time.time()
        with self._changing() as connection:
            if not isinstance(self._next(connection, limits, now, item.key), Item):
                return False
            connection.execute(
                "UPDATE series SET asking = ?, asker = ? WHERE account = ? AND stream = ?", (now, self._me, *item.key)
            )
            connection.execute("INSERT INTO request VALUES (?, ?)", (now, item.wished))
            return True

    def settle(self, key: Key, outcome: Outcome) -> None:
        """Take note of what came of a request of this process."""
        now = time.time()
        with self._changing() as connection:
            self._end(connection, key, outcome, now)
            if outcome.kind in (Kind.FILLED, Kind.EMPTY, Kind.GONE, Kind.INACTIVE):
                connection.execute(
                    "UPDATE account SET kind = '', times = 0, why = '', not_before = 0 WHERE id = ?", (key.account,)
                )
            else:
                self._punish(connection, key.account, outcome, now)

    def _end(self, connection: sqlite3.Connection, key: Key, outcome: Outcome, now: float) -> None:
        kind, times, empty_days, empty_day = connection.execute(
            "SELECT kind, times, empty_days, empty_day FROM series WHERE account = ? AND stream = ?", key
        ).fetchone()
        if outcome.kind in _NOT_ASKED:
            connection.execute("UPDATE series SET asking = 0 WHERE account = ? AND stream = ?", key)
            return
        times = times + 1 if kind == outcome.kind else 1
        pause = self._patience.of_series(outcome.kind, times)
        if outcome.kind == Kind.EMPTY:
            today = int(now // self._patience.day)
            empty_days, empty_day = empty_days + (today != empty_day), today
            if empty_days >= EMPTY_DAYS:
                pause = self._patience.without_episodes()
        connection.execute(
            "UPDATE series SET asked = asking, asking = 0, wished = 0, kind = ?, times = ?, why = ?, not_before = ?,"
            " empty_days = ?, empty_day = ? WHERE account = ? AND stream = ?",
            (outcome.kind, times, outcome.why, now + pause, empty_days, empty_day, *key),
        )

    def punish(self, account: int, outcome: Outcome) -> None:
        """Ask nothing of an account for a while, since something went wrong that is no series' fault."""
        with self._changing() as connection:
            self._punish(connection, account, outcome, time.time())

    def _punish(self, connection: sqlite3.Connection, account: int, outcome: Outcome, now: float) -> None:
        [times] = connection.execute(
            "SELECT iif(kind IN ('', ?), 0, times) + 1 FROM account WHERE id = ?", (_WATCHED, account)
        ).fetchone()
        pause = max(self._patience.of_account(outcome.kind, times), outcome.pause)
        connection.execute(
            "UPDATE account SET kind = ?, times = ?, why = ?, not_before = ? WHERE id = ?",
            (outcome.kind, times, outcome.why, now + pause, account),
        )

    def hold(self, account: int) -> str:
        """Ask nothing of an account for a moment, since it is at its stream limit.

        Returns:
            Its name, unless it was so before.
        """
        with self._changing() as connection:
            name, before = connection.execute("SELECT name, kind FROM account WHERE id = ?", (account,)).fetchone()
            connection.execute(
                "UPDATE account SET kind = ?, times = 0, why = 'somebody watches, up to its stream limit',"
                " not_before = ? WHERE id = ?",
                (_WATCHED, time.time() + self._patience.at_limit, account),
            )
        return "" if before == _WATCHED else str(name)

    def use(self, keys: Iterable[Key], *, wish: bool = False) -> None:
        """Note that series were opened.

        Args:
            keys: which.
            wish: whether somebody waits for the episodes.
        """
        wished = "wished = iif(wished = 0 AND missing = 1, ?1, wished), " if wish else ""
        now = time.time()
        with self._changing() as connection:
            connection.executemany(
                f"UPDATE series SET {wished}used = ?1 WHERE account = ?2 AND stream = ?3", [(now, *key) for key in keys]
            )

    def use_series(self, series: Collection[int]) -> None:
        """Note that episodes of series, by their ids in the catalogue, were played."""
        with self._changing() as connection:
            connection.executemany(
                "UPDATE series SET used = ? WHERE series = ?", [(time.time(), each) for each in series]
            )

    def missing(self) -> int:
        """How many series have no episodes."""
        [[number]] = self._query("SELECT count(*) FROM series WHERE there = 1 AND missing = 1")
        return int(number)

    def due(self, limits: Limits) -> list[Item]:
        """All that is to be asked for, in its order, whatever holds it up now."""
        with self._reading() as connection:
            return self._select(connection, limits, time.time())

    def away(self) -> str:
        """Why Dispatcharr cannot be asked for any account, if that is so and has been tried several times."""
        rows = self._query(
            "SELECT a.kind, a.times, a.why FROM account a WHERE EXISTS"
            " (SELECT 1 FROM series WHERE account = a.id AND there = 1)"
        )
        is_away = bool(rows) and all(kind == Kind.AWAY and times >= _GIVE_UP for kind, times, _ in rows)
        return str(rows[0][2]) if is_away else ""

    def note(self, **values: object) -> None:
        """Leave word for whoever asks how it goes."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT INTO info VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, str(value)) for name, value in values.items()],
            )

    def _next(
        self, connection: sqlite3.Connection, limits: Limits, now: float, only: Key | None = None
    ) -> Item | Pause:
        wait = self._rate_allows_in(connection, limits, now)
        if wait > 0:
            return Pause(wait, "rate")
        blocked = self._blocked(connection, limits, now)
        for item in self._select(connection, limits, now, blocked.keys(), only=only, first=True):
            wait = self._budget_allows_in(connection, limits, now, item.wished)
            return Pause(wait, "budget") if wait > 0 else item
        condition, values = self._due(limits, now, only)
        rows = connection.execute(f"SELECT DISTINCT account FROM series WHERE {condition}", values)
        if waits := [blocked[account] - now for (account,) in rows if account in blocked]:
            return Pause(max(min(waits), _SHORTEST), "account")
        later = connection.execute(
            "SELECT min(not_before) FROM series WHERE there = 1 AND missing = 1 AND not_before > ?", (now,)
        ).fetchone()[0]
        return Pause(later - now, "later") if later else Pause(self._patience.look, "nothing")

    def _rate_allows_in(self, connection: sqlite3.Connection, limits: Limits, now: float) -> float:
        # What a clock that was set back since then puts into the future must not make it wait.
        last = connection.execute("SELECT max(at) FROM request WHERE at <= ?", (now,)).fetchone()[0]
        return float(last + 60 / limits.rate - now) if last else 0.0

    def _budget_allows_in(self, connection: sqlite3.Connection, limits: Limits, now: float, wished: bool) -> float:
        """How long until the number of requests of the last while is below what is allowed."""
        number, span = (limits.wishes, self._patience.day / 24) if wished else (limits.budget, self._patience.day)
        if not number:
            return 0.0
        rows = connection.execute(
            "SELECT at FROM request WHERE wished = ? AND at > ? AND at <= ? ORDER BY at DESC LIMIT ?",
            (wished, now - span, now, number),
        ).fetchall()
        return float(rows[-1][0]) + span - now if len(rows) == number else 0.0

    def _blocked(self, connection: sqlite3.Connection, limits: Limits, now: float) -> dict[int, float]:
        """The accounts of which nothing may be asked now, and until when about."""
        paused = dict(connection.execute("SELECT id, not_before FROM account WHERE not_before > ?", (now,)))
        busy = connection.execute(
            "SELECT account, min(asking) FROM series WHERE asking != 0 GROUP BY account HAVING count(*) >= ?",
            (limits.parallel,),
        )
        return paused | {account: since + self._patience.answer for account, since in busy}

    def _select(
        self,
        connection: sqlite3.Connection,
        limits: Limits,
        now: float,
        blocked: Collection[int] = (),
        *,
        only: Key | None = None,
        first: bool = False,
    ) -> list[Item]:
        condition, values = self._due(limits, now, only)
        rows = connection.execute(
            "SELECT account, stream, relation, series, name, missing, empty_days, wished != 0 FROM series"
            f" WHERE {condition} AND account NOT IN ({', '.join(map(str, blocked))})"
            f" ORDER BY {_ORDER} {'LIMIT 1' if first else ''}",
            values | {"used_since": now - _USED_LATELY},
        )
        return [Item._make((*row[:5], bool(row[5]), row[6], bool(row[7]))) for row in rows]

    def _due(self, limits: Limits, now: float, only: Key | None) -> tuple[str, dict[str, object]]:
        """The condition that a series is to be asked for, whatever holds it up, and the values of its parameters."""
        values: dict[str, object] = {"now": now, "old": limits.older_than, "began": limits.chosen_since}
        values["aged"] = limits.aged_at or now
        due = _CHOSEN if limits.chosen_since else _WISHED if limits.wished_only else _DUE
        condition = f"there = 1 AND asking = 0 AND {due}"
        if only is None:
            return condition, values
        return f"{condition} AND account = :account AND stream = :stream", values | only._asdict()

    def _query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading(), changing(self._connection) as connection:
            yield connection


def _discard(path: Path) -> None:
    """Forget what was asked for; Dispatcharr knows which episodes it has."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _unusable(path: Path, error: sqlite3.Error) -> IndexFileError:
    return IndexFileError(f"{path}: the queue of episodes to fetch cannot be used ({error}).")
