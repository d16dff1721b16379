"""The films' own index: the library's generation, less what was not learnt. What changes makes another generation.

It has the form of any index, so that a mount follows it as it follows the library's. Node ids are the library's, and so
are all names, NFOs and images. A film is a row of the table `art`, in the slot of the .strm whose place it takes.

Nearly all is done by SQL, with the library's index and what was learnt attached: a hundred thousand films take seconds.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.film import FOLDER
from vod2strmfs.index.art import ART
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, Change, arrivals, differences
from vod2strmfs.index.file import FILE_NAME, INDEXES, connect, create, writing
from vod2strmfs.index.joined import TABLES
from vod2strmfs.index.metrics import Head, readable
from vod2strmfs.index.shelves import SHELVES
from vod2strmfs.index.store import Identity, Store, follows, identity, node_in, of_series, position
from vod2strmfs.library.contents import Record, nfo_file
from vod2strmfs.library.kinds import FILE_KINDS, FIRST_FREE_NODE, PICTURES, WAITING_NODE, NodeKind, Slot
from vod2strmfs.library.rendered import content_digest
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.counts import count_films
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.films_shelves import settle_shelves
from vod2strmfs.sync.mtimes import settle_mtimes
from vod2strmfs.sync.pictures import Published
from vod2strmfs.sync.shelf_changes import ShelfChanges

STORE_NAME = "films.db"
"""The file of what was learnt (`films.store`), beside the films' index."""
_MANY_CHANGES = 50_000
"""Nodes. Of more, it is noted that anything may be otherwise: to name each would take longer."""

_HAS_FILM = f"node.strm_size > 0 AND node.parent != {WAITING_NODE}"
_MARK = """
    SELECT json_array((SELECT json_array(number, made) FROM library.generation),
        (SELECT json_array(count(*), sum(node), sum(shown), sum(node % 65521 * (shown % 65521))) FROM films.want),
        (SELECT json_array(count(*), max(learnt)) FROM films.film WHERE size > 0))"""
"""What is another one whenever something else is to be shown, also where two nodes exchange what they show."""

_TEMPORARY = (
    "film_now (node INTEGER PRIMARY KEY, image TEXT, extension TEXT, size INTEGER, mtime INTEGER, digest INTEGER)",
    "shown (id INTEGER PRIMARY KEY, parent INTEGER)",
    "come (id INTEGER PRIMARY KEY, parent INTEGER)",
    "gone (id INTEGER PRIMARY KEY, parent INTEGER)",
    "other (id INTEGER PRIMARY KEY)",
)
"""Tables: the film of each node that has one; what is to be shown; what of it is new, gone, and otherwise."""
_OPTIONAL = ("art", "played", "shelf", "shelved", "shelf_folder")
"""Tables that an index may lack."""
_IMAGE_OF_FILM = "film.id || '-' || film.version"
_LEARNT = f"""
    INSERT INTO film_now
    SELECT node.id, {_IMAGE_OF_FILM}, film.extension, film.size, CAST(film.learnt * 1e9 AS INTEGER),
        film.head & ~0xFFFFFFFF | film.tail & 0xFFFFFFFF
    FROM films.want JOIN films.film ON film.id = want.shown JOIN library.node ON node.id = want.node
    LEFT JOIN main.art ON art.node = want.node AND slot = {Slot.STRM} WHERE film.size > 0 AND {_HAS_FILM}"""
"""The digest tells the same bytes from other accounts, together with the size."""
_ABOVE = f"""
    INSERT INTO shown WITH RECURSIVE up (id, parent) AS (
        SELECT node.id, node.parent FROM film_now JOIN library.node ON node.id = film_now.node
        UNION SELECT node.id, node.parent FROM up JOIN library.node ON node.id = up.parent
    ) SELECT id, parent FROM up UNION SELECT id, parent FROM library.node WHERE id < {FIRST_FREE_NODE}"""
_CHOOSE_NEW = (f"{_LEARNT} AND art.image IS NOT {_IMAGE_OF_FILM}", _ABOVE)
"""Where the library is as it was, what is shown stays, and what was learnt since comes to it."""
_CHOOSE = (
    _LEARNT,
    # What is shown, and of which nothing is known any more: who reads it gets an error until it was learnt anew.
    f"""INSERT OR IGNORE INTO film_now
    SELECT node, image, extension, size, art.mtime, digest FROM main.art JOIN library.node ON node.id = art.node
    WHERE slot = {Slot.STRM} AND image != '' AND {_HAS_FILM}""",
    _ABOVE,
)
_OUT_OF_SIGHT = "DELETE FROM shown WHERE parent NOT IN (SELECT id FROM shown)"

_NAMED = "kind, parent, name, fold, plain, alias"
_NFO = "nfo_size, nfo_mtime, nfo_hash, nfo_version"
_CONTENT = "kind, source, uuid, account, stream, tmdb, imdb, bad_fields, item"
_PLAYED = "node, uuid, account, stream, item"
_IMAGE = "image, extension, size, mtime, digest, version"
_IS_SERIES = f"kind = {NodeKind.SERIES:d}"


def _differ(columns: str) -> str:
    """A condition: a row of the library differs from ours in some columns."""
    mine, theirs = (", ".join(f"{table}.{column}" for column in columns.split(", ")) for table in ("mine", "theirs"))
    return f"({mine}) IS NOT ({theirs})"


_COMPARE_NEW = (
    "DELETE FROM film_now WHERE node NOT IN (SELECT id FROM shown)",
    "INSERT INTO come SELECT id, parent FROM shown WHERE id NOT IN (SELECT id FROM main.node)",
    "INSERT INTO other SELECT node FROM film_now WHERE node IN (SELECT id FROM main.node)",
)
_COMPARE = (
    *_COMPARE_NEW[:2],
    "INSERT INTO gone SELECT id, parent FROM main.node WHERE id NOT IN (SELECT id FROM shown)",
    # The NFO of a series is our own, since it names its seasons, of which fewer may be here.
    f"""INSERT INTO other SELECT mine.id FROM main.node AS mine JOIN library.node AS theirs USING (id)
    WHERE {_differ(_NAMED)} OR mine.kind != {NodeKind.SERIES:d} AND {_differ(_NFO)}
        OR (mine.strm_size > 0) != (id IN (SELECT node FROM film_now))""",
    f"""INSERT OR IGNORE INTO other SELECT mine.id FROM main.content AS mine JOIN library.content AS theirs USING (id)
    WHERE {_differ(_CONTENT)}""",
    f"""INSERT OR IGNORE INTO other SELECT id FROM shown LEFT JOIN main.played AS mine USING (id)
    LEFT JOIN library_played AS theirs USING (id) WHERE {_differ(_PLAYED)}""",
    f"""INSERT OR IGNORE INTO other SELECT film_now.node FROM film_now
    LEFT JOIN main.art ON art.node = film_now.node AND slot = {Slot.STRM} WHERE art.image IS NOT film_now.image""",
    f"""INSERT OR IGNORE INTO other SELECT node FROM library_art AS theirs JOIN shown ON id = node
    LEFT JOIN main.art AS mine USING (node, slot) WHERE slot >= {PICTURES} AND {_differ(_IMAGE)}""",
    f"""INSERT OR IGNORE INTO other SELECT node FROM main.art AS mine LEFT JOIN library_art AS theirs USING (node, slot)
    WHERE slot >= {PICTURES} AND theirs.node IS NULL""",
    "DELETE FROM other WHERE id IN (SELECT id FROM come UNION SELECT id FROM gone)",
)
_ANEW = "(SELECT id FROM come UNION SELECT id FROM other)"
_OLD = "(SELECT id FROM gone UNION SELECT id FROM other)"
_HIDE = f"UPDATE main.art SET image = '' WHERE slot = {Slot.STRM} AND node NOT IN (SELECT node FROM film_now)"
"""The version stays: what comes in its place must not get its inode number."""
_WRITE = (
    "DELETE FROM main.node WHERE id IN (SELECT id FROM gone)",
    f"DELETE FROM main.content WHERE id IN {_OLD}",
    f"DELETE FROM main.played WHERE id IN {_OLD}",
    f"DELETE FROM main.art WHERE slot >= {PICTURES} AND node IN {_OLD}",
    # A node that has a film is known by the size of its .strm, which is not there.
    f"""INSERT INTO main.node SELECT id, {_NAMED}, mtime, id IN (SELECT node FROM film_now), 0, 0, 0, {_NFO}, 0, 0
    FROM library.node WHERE id IN (SELECT id FROM come)""",
    f"UPDATE main.node SET nfo_hash = 0 WHERE id IN (SELECT id FROM come) AND {_IS_SERIES}",
    f"""UPDATE main.node SET ({_NAMED}) = (SELECT {_NAMED} FROM library.node AS theirs WHERE theirs.id = node.id),
        strm_size = id IN (SELECT node FROM film_now) WHERE id IN (SELECT id FROM other)""",
    f"""UPDATE main.node SET ({_NFO}) = (SELECT {_NFO} FROM library.node AS theirs WHERE theirs.id = node.id)
    WHERE id IN (SELECT id FROM other) AND NOT {_IS_SERIES}""",
    f"INSERT INTO main.content SELECT id, {_CONTENT} FROM library.content WHERE id IN {_ANEW}",
    f"INSERT INTO main.played SELECT id, {_PLAYED} FROM library_played WHERE id IN {_ANEW}",
    f"""INSERT INTO main.art (node, slot, {_IMAGE}) SELECT node, slot, {_IMAGE} FROM library_art
    WHERE slot >= {PICTURES} AND node IN {_ANEW}""",
    f"""INSERT INTO main.art (node, slot, {_IMAGE}) SELECT node, {Slot.STRM}, image, extension, size, mtime, digest, 0
    FROM film_now WHERE true ON CONFLICT (node, slot) DO UPDATE SET
        version = version + ((size, digest, extension) IS NOT (excluded.size, excluded.digest, excluded.extension)),
        mtime = iif((size, digest) IS (excluded.size, excluded.digest), mtime, excluded.mtime),
        image = excluded.image, extension = excluded.extension, size = excluded.size, digest = excluded.digest
    WHERE image != excluded.image""",
)
_SERIES = f"""
    SELECT mine.id, uuid, account, stream, item, theirs.nfo_mtime, theirs.nfo_hash
    FROM main.node AS mine JOIN main.content USING (id) JOIN library.node AS theirs USING (id)
    WHERE mine.{_IS_SERIES} AND theirs.nfo_size > 0 AND (? OR mine.id IN {_ANEW}
        OR mine.id IN (SELECT parent FROM come UNION SELECT parent FROM gone))"""
_SET_NFO = """
    UPDATE main.node SET nfo_size = ?, nfo_mtime = ?, nfo_hash = ?, nfo_version = ? WHERE id = ? AND nfo_hash != ?"""
_DIRTY = f"""
    SELECT iif(kind IN ({", ".join(f"{kind:d}" for kind in sorted(FILE_KINDS))}), parent, id)
    FROM main.node WHERE id IN {_ANEW} UNION SELECT parent FROM come UNION SELECT parent FROM gone"""

_AGE_OF_EMPTY = """
    UPDATE main.node SET mtime = (SELECT mtime FROM library.node AS theirs WHERE theirs.id = node.id) WHERE mtime = 0"""
"""Directories in which there is nothing yet are as old as they are in the library."""


def publish(state_dir: Path, *, thorough: bool = False) -> Published:
    """Bring the films' index up to date with the library's, and with what was learnt.

    A film that is shown stays until another one takes its place, or its title leaves the library. A title is there once
    its film was learnt; so are the directories above it. Where the library's index is another file, all stays as it is
    until it is known what its nodes play.

    Args:
        state_dir: where the library's index is; the films' is in a folder of it.
        thorough: whether to make sure that all of the films' index is whole.

    Raises:
        IndexFileError: an index cannot be read or written.
    """
    folder = state_dir / FOLDER
    if not (state_dir / FILE_NAME).exists() or not (folder / STORE_NAME).exists():
        return Published(0, 0)
    try:
        with writing(folder):
            create(folder, thorough=thorough)
            if not _wishes_are_of(state_dir, folder):
                return Published(0, 0)
            if not _is_of(state_dir, folder):
                # Its node ids would come to mean something else. A mount that shows it notices that it is another file.
                (folder / FILE_NAME).unlink()
                create(folder)
            with closing(connect(folder, writable=True)) as connection:
                _attach(connection, state_dir)
                return _publish(connection, state_dir)
    except sqlite3.Error as error:
        raise IndexFileError(f"state directory {folder}: the index cannot be written ({error}).") from error


def _attach(connection: sqlite3.Connection, state_dir: Path) -> None:
    files = {"library": state_dir / FILE_NAME, "films": state_dir / FOLDER / STORE_NAME}
    for name, path in files.items():
        connection.execute(f"ATTACH ? AS {name}", (f"{path.absolute().as_uri()}?mode=ro",))


def _is_of(state_dir: Path, folder: Path) -> bool:
    """Whether the films' index was made from the library's that is there, in which no node id means something else."""
    with closing(connect(folder)) as ours:
        [noted] = ours.execute("SELECT position FROM attempt").fetchone()
    return not noted or follows(position(state_dir), noted)


def _wishes_are_of(state_dir: Path, folder: Path) -> bool:
    """Whether the store's wishes are those of the library's index that is there. In one that was made anew, a node may
    be any other title."""
    path = folder / STORE_NAME
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
        noted = store.execute("SELECT value FROM info WHERE name = 'index'").fetchone()
    return follows(position(state_dir), noted[0]) if noted else _is_of(state_dir, folder)


def _publish(connection: sqlite3.Connection, state_dir: Path) -> Published:
    connection.execute("BEGIN IMMEDIATE")
    [number, noted] = connection.execute("SELECT number, quiet FROM main.generation, main.attempt").fetchone()
    head = Head(
        *connection.execute(f"SELECT {', '.join(Head._fields)} FROM library.generation, library.attempt").fetchone()
    )
    [mark] = connection.execute(_MARK).fetchone()
    after = number
    if head.number and mark != noted:
        with readable():
            settings = head.library_settings()
        with closing(Store(state_dir / FOLDER)) as before:
            is_same = bool(noted) and json.loads(mark)[0] == json.loads(noted)[0]
            after = _make(connection, before, settings, whole=not is_same)
        if after != number:
            _describe(connection, after, head, settings)
    _note(connection, mark, identity(state_dir))
    connection.execute("COMMIT")
    return Published(number, after)


def _make(connection: sqlite3.Connection, before: Store, settings: LibrarySettings, *, whole: bool) -> int:
    """Write another generation, if anything in it differs from the one before; returns its number, or that one's.

    Args:
        connection: to the films' index.
        before: the generation before.
        settings: the library's.
        whole: whether the library is another one, and not just what was learnt.
    """
    for statement in (*TABLES, *SHELVES, ART):
        connection.execute(statement)
    _compare(connection, whole=whole)
    [next_node] = connection.execute("SELECT next_node FROM library.generation").fetchone()
    draft = Draft(connection, settings, not before.generation, time.time_ns(), next_node)
    for statement in (_HIDE, *_WRITE) if whole else _WRITE:
        connection.execute(statement)
    series = _write_series(draft, before)
    draft.changed = series | _ids(connection, f"SELECT id FROM gone UNION SELECT id FROM {_ANEW}")
    draft.dirty = series | (_ids(connection, _DIRTY) - {WAITING_NODE})
    settle_mtimes(draft)
    on_shelves = settle_shelves(draft)
    if draft.first:
        for statement in (_AGE_OF_EMPTY, *INDEXES):
            connection.execute(statement)
        return 1
    if not draft.changed and not on_shelves:
        return before.generation
    return _log_changes(draft, before, on_shelves)


def _compare(connection: sqlite3.Connection, *, whole: bool) -> None:
    """Fill the temporary tables; see `_make`."""
    for name in _OPTIONAL:
        has = connection.execute("SELECT 1 FROM library.sqlite_master WHERE name = ?", (name,)).fetchone()
        rows = f"SELECT * FROM library.{name}" if has else f"SELECT * FROM main.{name} WHERE false"
        connection.execute(f"CREATE TEMP VIEW library_{name} AS {rows}")
    for table in _TEMPORARY:
        connection.execute(f"CREATE TEMP TABLE {table}")
    for statement in _CHOOSE if whole else _CHOOSE_NEW:
        connection.execute(statement)
    while connection.execute(_OUT_OF_SIGHT).rowcount:
        pass
    for statement in _COMPARE if whole else _COMPARE_NEW:
        connection.execute(statement)


def _write_series(draft: Draft, before: Store) -> set[int]:
    """Make the NFOs of series, which name the seasons that are here; returns those whose NFO is another one.

    Its version is the generation's number, so that no two NFOs ever have one inode number.
    """
    others = draft.first or draft.settings != before.settings
    changed = set()
    for node, uuid, account, stream, item, mtime, digest in draft.connection.execute(_SERIES, (others,)).fetchall():
        record = of_series(draft.connection, node, Record(NodeKind.SERIES, uuid, account, stream, item))
        content = nfo_file(record, draft.settings)
        ours = content_digest(content)
        time_of_it = mtime if ours == digest else draft.now
        values = (len(content), time_of_it, ours, before.generation + 1, node, ours)
        if draft.connection.execute(_SET_NFO, values).rowcount:
            changed.add(node)
    return changed


def _log_changes(draft: Draft, before: Store, on_shelves: set[int] | None) -> int:
    """Note what differs for those who cached the generation before; returns the number of the next one.

    Args:
        draft: the generation being made.
        before: the generation before.
        on_shelves: see `settle_shelves`.
    """
    number = before.generation + 1
    if len(draft.changed) > _MANY_CHANGES:
        # Who is so far behind takes everything for changed.
        number += GENERATIONS_REMEMBERED
    else:
        shelves = ShelfChanges(before, draft.connection, draft.settings, on_shelves or set())
        rows = ((number, *change) for change in chain(_changes(draft, before, shelves), shelves.moved()))
        draft.connection.executemany("INSERT INTO main.change VALUES (?, ?, ?, ?, ?)", rows)
    draft.connection.execute("DELETE FROM main.change WHERE generation <= ?", (number - GENERATIONS_REMEMBERED,))
    return number


def _changes(draft: Draft, before: Store, shelves: ShelfChanges) -> Iterator[Change]:
    come = dict(draft.connection.execute("SELECT id, parent FROM come"))
    for node in sorted(draft.changed):
        now = node_in(draft.connection, node, art=True)
        if node not in come:
            was = before.node(node)
            yield from differences(was, now, before.settings, draft.settings)
            yield from shelves.of(was, now)
        elif now is not None and come[node] not in come:
            yield from arrivals(now, draft.settings)
            yield from shelves.arrived(now)


def _describe(connection: sqlite3.Connection, number: int, head: Head, settings: LibrarySettings) -> None:
    """Note what a generation is: its number, its settings, and its counts."""
    counted = {"database": json.loads(head.stats).get("database", {})} | count_films(connection, settings.media_server)
    connection.execute(
        "UPDATE main.generation SET number = ?, made = ?, settings = ?, stats = ?, (next_node, version) ="
        " (SELECT next_node, version FROM library.generation)",
        (number, time.time_ns(), head.settings, json.dumps(counted)),
    )


def _note(connection: sqlite3.Connection, mark: str, library: Identity | None) -> None:
    """Note what was looked at, and how the library stands with the catalogue, unless that is noted already."""
    theirs = "SELECT compared, failing_since, error FROM library.attempt"
    position = connection.execute(
        "SELECT json_array(?, ?, number, made, next_node) FROM library.generation", library or (0, 0)
    ).fetchone()
    now = (*connection.execute(theirs).fetchone(), mark, *position)
    columns = "compared, failing_since, error, quiet, position"
    if connection.execute(f"SELECT {columns} FROM main.attempt").fetchone() != now:
        connection.execute(f"UPDATE main.attempt SET ({columns}) = (?, ?, ?, ?, ?)", now)


def _ids(connection: sqlite3.Connection, query: str) -> set[int]:
    return {number for (number,) in connection.execute(query)}
