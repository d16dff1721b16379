"""Shelves in the films' index: the library's, with what of them is shown."""

import sqlite3
from collections.abc import Set

from vod2strmfs.library.kinds import MOVIES_NODE, ROOT_NODE, TV_NODE, NodeKind, shelved
from vod2strmfs.sync.draft import Draft

_SECOND = 10**9
_NOW = (
    "CREATE TEMP TABLE shelved_now (shelf INTEGER, parent INTEGER, node INTEGER, PRIMARY KEY (shelf, parent, node))",
    f"""INSERT INTO shelved_now SELECT shelf, theirs.parent, theirs.node FROM library_shelved AS theirs
    JOIN main.node ON node.id = theirs.node WHERE node.kind != {NodeKind.CATEGORY:d}""",
    # A category stands on a shelf that has a title in it.
    """INSERT OR IGNORE INTO shelved_now SELECT shelf, parent, node FROM library_shelved AS theirs
    WHERE EXISTS (SELECT 1 FROM shelved_now AS held WHERE held.shelf = theirs.shelf AND held.parent = theirs.node)""",
)
_OURS, _THEIRS = "SELECT shelf, parent, node FROM main.shelved", "SELECT shelf, parent, node FROM shelved_now"
_DIFFERENT = (f"{_THEIRS} EXCEPT {_OURS}", f"{_OURS} EXCEPT {_THEIRS}")
_SHELF = "number, name, shown, alone, settings, picks, problem"
_WRITE = (
    "DELETE FROM main.shelved",
    f"INSERT INTO main.shelved SELECT shelf, parent, node, 0, 0 FROM ({_THEIRS})",
)


def settle_shelves(draft: Draft) -> set[int] | None:
    """Put what is shown on the library's shelves.

    Args:
        draft: the generation being made, but for its shelves; there are views of the library's tables.

    Returns:
        The nodes, as they stand on shelves, that may not have been there, or be no more, or have another time; None if
        there are no shelves.
    """
    connection = draft.connection
    rows = [connection.execute(f"SELECT {_SHELF} FROM {table}").fetchall() for table in ("library_shelf", "main.shelf")]
    if not any(rows):
        return None
    theirs, ours = ({row[0]: row for row in each} for each in rows)
    other = {number for number in theirs.keys() | ours.keys() if _seen(theirs.get(number)) != _seen(ours.get(number))}
    if theirs != ours:
        connection.execute("DELETE FROM main.shelf")
        connection.execute(f"INSERT INTO main.shelf SELECT {_SHELF} FROM library_shelf")
    for statement in _NOW:
        connection.execute(statement)
    different = [row for query in _DIFFERENT for row in connection.execute(query)]
    if different:
        for statement in _WRITE:
            connection.execute(statement)
    moved = {shelved(number, node) for number in other for node in (ROOT_NODE, MOVIES_NODE, TV_NODE)}
    moved |= {shelved(shelf, node) for shelf, _, node in different}
    dirty = {(shelf, parent) for shelf, parent, _ in different} | _touched(connection, draft.retimed)
    return moved | _settle_folders(draft, dirty, other)


def _seen(row: tuple[object, ...] | None) -> tuple[object, ...]:
    """What is to be seen of a shelf: its name, whether it is shown, and whether alone; empty if it is not shown."""
    return row[1:4] if row is not None and row[2] else ()


def _touched(connection: sqlite3.Connection, directories: Set[int]) -> set[tuple[int, int]]:
    """The directories of shelves that hold directories which got another time."""
    # All at once: there is no index by node.
    return {(shelf, parent) for shelf, parent, node in connection.execute(_OURS) if node in directories}


def _settle_folders(draft: Draft, dirty: Set[tuple[int, int]], new: Set[int]) -> set[int]:
    """Settle the times of the topmost directories, and what they hold; returns those that are otherwise."""
    connection = draft.connection
    before = {
        (shelf, node): rest for shelf, node, *rest in connection.execute("SELECT * FROM main.shelf_folder").fetchall()
    }
    query = """SELECT theirs.shelf, theirs.node, theirs.mtime, count(held.node), coalesce(sum(held.node), 0)
        FROM library_shelf_folder AS theirs LEFT JOIN main.shelved AS held
        ON held.shelf = theirs.shelf AND held.parent = theirs.node GROUP BY 1, 2"""
    moved = set()
    above = dict(connection.execute("SELECT id, parent FROM main.node WHERE kind = ?", (NodeKind.CATEGORY,)))
    dirty = {(shelf, up) for shelf, node in dirty for up in (node, above.get(node, ROOT_NODE), ROOT_NODE)}
    for shelf, node, mtime, number, total in connection.execute(query).fetchall():
        if not number and node not in (ROOT_NODE, MOVIES_NODE, TV_NODE):
            continue
        old = before.pop((shelf, node), None)
        time = mtime if old is None and (draft.first or shelf in new) else old[0] if old else draft.now
        if old is not None and (shelf, node) in dirty:
            time = max(draft.now, (time // _SECOND + 1) * _SECOND)
        if old != [time, number, total]:
            moved.add(shelved(shelf, node))
            row = (shelf, node, time, number, total)
            connection.execute("INSERT OR REPLACE INTO main.shelf_folder VALUES (?, ?, ?, ?, ?)", row)
    connection.executemany("DELETE FROM main.shelf_folder WHERE shelf = ? AND node = ?", list(before))
    return moved
