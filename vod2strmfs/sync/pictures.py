"""Which images a generation shows: what is stored, and wanted. What changes makes another generation.

The contents of the catalogue stay as they are; nobody but a sync and this writes the index, one at a time.
"""

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Set
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.art import ART, shows_art
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, differences
from vod2strmfs.index.file import FILE_NAME, connect, writing
from vod2strmfs.index.shelves import shown_shelves
from vod2strmfs.index.store import Store, node_in
from vod2strmfs.library.kinds import FILE_KINDS
from vod2strmfs.sync.counts import count, count_changes, count_shelves
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.mtimes import settle_mtimes

_NEW = """
    SELECT want.node, want.slot, image.name, image.extension, image.size, image.stored, image.digest,
        coalesce(art.version + 1, 0)
    FROM pictures.want JOIN node ON node.id = want.node
    JOIN pictures.url ON url.id = want.url JOIN pictures.image ON image.name = url.image
    LEFT JOIN art ON art.node = want.node AND art.slot = want.slot
    WHERE art.image IS NOT image.name AND image.extension IN ({extensions})"""
_UNWANTED = """
    SELECT node, slot, image, extension,
        EXISTS (SELECT 1 FROM pictures.want WHERE want.node = art.node AND want.slot = art.slot)
    FROM art WHERE image != ''"""


class Published(NamedTuple):
    """The numbers of two generations; equal if there was nothing to change."""

    before: int
    after: int


def publish(state_dir: Path, queue: Path, extensions: Collection[str], lost: Set[str] = frozenset()) -> Published:
    """Show the images that are stored and wanted, and no others.

    An image stays until another one takes its place, or nothing wants it any more: also if its URL is another one now
    that could not be fetched yet.

    Args:
        state_dir: where the index is.
        queue: the file of `artwork.queue`.
        extensions: what the media server reads.
        lost: images that are not there any more.

    Raises:
        IndexFileError: there is no index, or it cannot be written.
    """
    if not (state_dir / FILE_NAME).exists():
        return Published(0, 0)
    try:
        with writing(state_dir), closing(connect(state_dir, writable=True)) as connection:
            connection.execute("ATTACH ? AS pictures", (f"{queue.absolute().as_uri()}?mode=ro",))
            return _publish(connection, state_dir, extensions, lost)
    except sqlite3.Error as error:
        raise IndexFileError(f"state directory {state_dir}: the index cannot be written ({error}).") from error


def hide_pictures(draft: Draft) -> None:
    """Show no images in the generation being made."""
    if not draft.first and shows_art(draft.connection):
        shown = draft.connection.execute("SELECT node, slot FROM art WHERE image != ''").fetchall()
        _hide(draft, shown)


def _publish(connection: sqlite3.Connection, state_dir: Path, extensions: Collection[str], lost: Set[str]) -> Published:
    connection.execute("BEGIN IMMEDIATE")
    [number, next_node] = connection.execute("SELECT number, next_node FROM generation").fetchone()
    if not number:
        connection.execute("ROLLBACK")
        return Published(0, 0)
    connection.execute(ART)
    marks = ", ".join("?" * len(extensions))
    new = [
        row
        for row in connection.execute(_NEW.format(extensions=marks), tuple(extensions)).fetchall()
        if row[2] not in lost
    ]
    replaced = {row[:2] for row in new}
    old = [
        (node, slot)
        for node, slot, image, extension, wanted in connection.execute(_UNWANTED).fetchall()
        if (not wanted or image in lost or extension not in extensions) and (node, slot) not in replaced
    ]
    if not new and not old:
        connection.execute("ROLLBACK")
        return Published(number, number)
    with closing(Store(state_dir)) as before:
        draft = Draft(connection, before.settings, False, time.time_ns(), next_node)
        connection.executemany(
            "INSERT OR REPLACE INTO art (node, slot, image, extension, size, mtime, digest, version)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            new,
        )
        _note(draft, {row[0] for row in new})
        _hide(draft, old)
        settle_mtimes(draft)
        _log_changes(draft, before, number + 1)
        counted = json.dumps(_counted(draft, state_dir))
    connection.execute("UPDATE generation SET number = ?, made = ?, stats = ?", (number + 1, draft.now, counted))
    connection.execute("COMMIT")
    return Published(number, number + 1)


def _counted(draft: Draft, state_dir: Path) -> dict[str, Any]:
    """What there is in the generation being made, images included, and what was noted of the one before it."""
    [text] = draft.connection.execute("SELECT stats FROM generation").fetchone()
    noted: dict[str, Any] = json.loads(text)
    server = draft.settings.media_server
    if shown_shelves(draft.connection):
        counted = count_shelves(draft.connection, server, count(draft.connection, server))
    else:
        counted = count_changes(draft.connection, state_dir, server, noted, draft.changed, draft.changed)
    return noted | counted


def _hide(draft: Draft, shown: Collection[tuple[int, int]]) -> None:
    """Take images away. Their versions stay: what comes in their places must not get their inode numbers."""
    draft.connection.executemany("UPDATE art SET image = '' WHERE node = ? AND slot = ?", shown)
    _note(draft, {node for node, _ in shown})


def _note(draft: Draft, nodes: Iterable[int]) -> None:
    """Note that the files of nodes are others. A node that has gone is nobody's any more."""
    for node in nodes:
        row = draft.connection.execute("SELECT kind, parent FROM node WHERE id = ?", (node,)).fetchone()
        if row is not None:
            draft.changed.add(node)
            draft.dirty.add(row[1] if row[0] in FILE_KINDS else node)


def _log_changes(draft: Draft, before: Store, number: int) -> None:
    """Note what differs for those who cached the generation before."""
    rows = (
        (number, *change)
        for node in sorted(draft.changed)
        for change in differences(
            before.node(node), node_in(draft.connection, node, art=True), before.settings, before.settings
        )
    )
    draft.connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows)
    draft.connection.execute("DELETE FROM change WHERE generation <= ?", (number - GENERATIONS_REMEMBERED,))
