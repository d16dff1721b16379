"""Settling names: no two entries of a directory may be equal, or equal but for case or Unicode form.

Who has a name keeps it. Among newcomers the plain name goes to the one with the lowest account and stream
id; each of the others gets a tag that depends on itself alone.
"""

import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from vod2strmfs.library.contents import Item, decode_kind
from vod2strmfs.library.item_names import account_tag, alias_name, node_name, version_name
from vod2strmfs.library.items import Episode, LabelledVersion, Version
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.library.names import disambiguator, fold
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.draft import Draft

_MEMBERS = """
    SELECT id FROM node JOIN content USING (id) WHERE {condition}
    ORDER BY id IN (SELECT id FROM temp.unnamed), account, length(stream), stream, uuid"""

# CROSS JOIN: what is new is few beside what there is. SQLite does not know that, and goes through all nodes.
_UNNAMED = "temp.unnamed CROSS JOIN node USING (id)"
_BESIDE = {"fold": "parent, fold", "alias": "parent"}
"""What those of one name have in common, as far as an index finds it. Only episodes have aliases: where one stands,
there are few others."""


def settle(draft: Draft) -> None:
    """Make the names of a draft unique within each directory."""
    draft.connection.execute("CREATE TEMP TABLE IF NOT EXISTS unnamed (id INTEGER PRIMARY KEY)")
    draft.connection.execute("DELETE FROM temp.unnamed")
    draft.connection.executemany("INSERT INTO temp.unnamed VALUES (?)", [(node,) for node in sorted(draft.unnamed)])
    for node, tags in _colliding(draft, "fold"):
        _rename(draft, node, tags)
    for node, tags in _colliding(draft, "alias"):
        _rename_alias(draft, node, tags)
    for node in _aliases_that_are_names(draft):
        _rename_alias(draft, node, _tags(draft.connection, node))


def _colliding(draft: Draft, column: str) -> Iterator[tuple[int, Iterable[str]]]:
    """The nodes that have to give way, with the tags that each may take."""
    wanted, beside = f"{column} != '' AND parent != {WAITING_NODE}", _BESIDE[column]
    of_new = f"(SELECT DISTINCT {beside} FROM {_UNNAMED} WHERE {wanted}) CROSS JOIN node USING ({beside})"
    groups = draft.connection.execute(
        f"SELECT parent, {column} FROM {'node' if draft.first else of_new} WHERE {wanted}"
        " GROUP BY 1, 2 HAVING count(*) > 1"
    ).fetchall()
    query = _MEMBERS.format(condition=f"node.parent = ? AND node.{column} = ?")
    for group in groups:
        members = draft.connection.execute(query, group).fetchall()
        for (node,) in members[1:]:
            yield node, _tags(draft.connection, node)


def _aliases_that_are_names(draft: Draft) -> list[int]:
    """Episodes whose second NFO has the name of another episode's first one. Aliases are ASCII."""
    of_new = f"AND node.parent IN (SELECT parent FROM {_UNNAMED} WHERE kind = {NodeKind.EPISODE:d})"
    query = f"""
        SELECT DISTINCT node.id FROM node JOIN node AS holder ON holder.parent = node.parent
            AND holder.fold = lower(node.alias) AND holder.id != node.id
        WHERE node.alias != '' AND node.parent != {WAITING_NODE} {"" if draft.first else of_new}"""
    return [node for (node,) in draft.connection.execute(query).fetchall()]


def _tags(connection: sqlite3.Connection, node: int) -> Iterator[str]:
    """Tags from the most telling to one that is certain to be free."""
    tmdb, imdb, account, stream = connection.execute(
        "SELECT tmdb, imdb, account, stream FROM content WHERE id = ?", (node,)
    ).fetchone()
    item = _item(connection, node)
    if isinstance(item, LabelledVersion) and item.account:
        yield account_tag(item.account)
    yield disambiguator(tmdb, imdb, account, stream)
    yield disambiguator("", "", account, stream)
    yield f" [{node}]"


def _item(connection: sqlite3.Connection, node: int) -> Item:
    kind, item = connection.execute("SELECT kind, item FROM content WHERE id = ?", (node,)).fetchone()
    return decode_kind(item, kind)


def _rename(draft: Draft, node: int, tags: Iterable[str]) -> None:
    connection = draft.connection
    item = _item(connection, node)
    [parent] = connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
    for name in _names(connection, parent, node, item, draft.settings, tags):
        if not connection.execute("SELECT 1 FROM node WHERE parent = ? AND fold = ?", (parent, fold(name))).fetchone():
            draft.rename(node, name)
            return


def _names(
    connection: sqlite3.Connection, parent: int, node: int, item: Item, settings: LibrarySettings, tags: Iterable[str]
) -> Iterator[str]:
    """The names that an item may take, the most telling one first."""
    if isinstance(item, Episode) and item.label and (account := _account(connection, node)) not in ("", item.label):
        # In the label, where a name's figures are kept from being taken for the episode's.
        yield node_name(msgspec.structs.replace(item, label=f"{item.label} {account}"), settings)
    yield from (_name(connection, parent, item, settings, tag) for tag in tags)


def _account(connection: sqlite3.Connection, node: int) -> str:
    """The name of the account that an item is of; "" if that is not known."""
    query = "SELECT name FROM priority JOIN content USING (account) WHERE id = ?"
    found = connection.execute(query, (node,)).fetchone()
    return str(found[0]) if found else ""


def _name(connection: sqlite3.Connection, parent: int, item: Item, settings: LibrarySettings, tag: str) -> str:
    if not isinstance(item, Version):
        return node_name(item, settings, tag)
    [folder] = connection.execute("SELECT name FROM node WHERE id = ?", (parent,)).fetchone()
    return version_name(folder, item.label, settings, tag)


def _rename_alias(draft: Draft, node: int, tags: Iterable[str]) -> None:
    connection = draft.connection
    item = _item(connection, node)
    [parent] = connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
    for tag in tags:
        alias = alias_name(item, draft.settings, tag)
        taken = connection.execute(
            "SELECT 1 FROM node WHERE parent = ? AND id != ? AND (fold = ? OR alias = ?)",
            (parent, node, fold(alias), alias),
        ).fetchone()
        if not taken:
            draft.set_alias(node, alias)
            return
