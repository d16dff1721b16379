"""Which films the library plays, and where each is today: what the index says."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.film import Address, Key
from vod2strmfs.films.store import Films, Wish
from vod2strmfs.index.joined import plays_others
from vod2strmfs.index.metrics import read_head
from vod2strmfs.index.reading import generation, reading, unreadable
from vod2strmfs.index.store import position
from vod2strmfs.library.contents import Record, decode_kind, direct_url, proxy_url
from vod2strmfs.library.items import Episode, Movie
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind

_PLAYABLE = f"{NodeKind.MOVIE:d}, {NodeKind.EPISODE:d}, {NodeKind.VERSION:d}"
_OWN = "content.uuid, content.account, content.stream, content.item"
_PLAYED = ", ".join(f"coalesce(played.{each.partition('.')[2]}, {each})" for each in _OWN.split(", "))
"""The same, where the files of some nodes are made of other rows than their own."""
_JOIN_PLAYED = "LEFT JOIN played ON played.id = content.id"
_FILMS = f"""
    SELECT content.id, content.kind, {{row}}, node.name, above.name, series.name,
        CASE WHEN content.kind = {NodeKind.VERSION:d} THEN whole.item END
    FROM content JOIN node USING (id) {{played}}
    LEFT JOIN node AS above ON above.id = node.parent LEFT JOIN node AS series ON series.id = above.parent
    LEFT JOIN content AS whole ON whole.id = node.parent
    WHERE node.parent != {WAITING_NODE} AND content.kind IN ({_PLAYABLE}) AND node.strm_size > 0
    ORDER BY content.id"""
_FILM = """
    SELECT content.kind, {row}, coalesce(provider.url, '') FROM content JOIN node USING (id) {played}
    LEFT JOIN provider ON provider.account = {account} WHERE content.id = ?"""

_log = logging.getLogger("vod2strmfs")


def wishes(state_dir: Path) -> Iterator[Wish]:
    """The films that the nodes of the library play, in order of node, but for nodes that wait out of sight.

    Raises:
        IndexFileError: the index cannot be read.
    """
    with reading(state_dir) as connection:
        for node, kind, _, account, stream, data, name, above, series, whole in _rows(connection, _FILMS):
            item = decode_kind(whole, NodeKind.MOVIE) if whole is not None else decode_kind(data, kind)
            seconds, added = 0, 0
            if isinstance(item, Movie | Episode):
                seconds, added = item.video.seconds or item.runtime * 60, item.added
            if kind == NodeKind.EPISODE:
                yield Wish(node, Key("episode", account, stream), f"{series or above}: {name}", seconds, added)
            else:
                yield Wish(node, Key("movie", account, stream), name, seconds, added)


def look(state_dir: Path, films: Films) -> None:
    """Note what the library wants, if it has changed since that was noted; may take some seconds.

    Raises:
        IndexFileError: the index cannot be read.
    """
    number = generation(state_dir)
    if not number:
        return
    with unreadable():
        index = position(state_dir)
    if number != films.wanted_generation() or not films.is_wanted_of(index):
        films.want(wishes(state_dir), number, index)


class Addresses:
    """The addresses of films today: called with a film's key, gives its address, or None if the library does not have
    it any more. Raises IndexFileError if the index cannot be read.

    Args:
        state_dir: where the index is.
        films: what the library's nodes play.
        server: Dispatcharr's address from this host; "": the one that stands in .strm files.
    """

    def __init__(self, state_dir: Path, films: Films, server: str = "") -> None:
        self._state_dir = state_dir
        self._films = films
        self._server = server

    def __call__(self, key: Key) -> Address | None:
        """See the class."""
        try:
            nodes = self._films.nodes(key)
            with reading(self._state_dir) as connection:
                for node in nodes:
                    if address := _address(connection, node, key, self._server):
                        return address
        except IndexFileError as error:
            if isinstance(error.__cause__, sqlite3.Error):
                raise
            _log.warning("%s", error)  # One row is damaged. It holds up no other film.
        return None


def _address(connection: sqlite3.Connection, node: int, key: Key, server: str) -> Address | None:
    """The address of a film that a node plays, at Dispatcharr's address, if one is given; None if it plays another one
    now."""
    for kind, uuid, account, stream, item, provider in _rows(connection, _FILM, node):
        if (account, stream) != key[1:] or (kind == NodeKind.EPISODE) != (key.kind == "episode"):
            continue
        record = Record(kind, uuid, account, stream, item, provider=provider)
        if provider:
            return Address(direct_url(record), direct=True)
        # Without the pin, the film of another account may come.
        changed = {"pin_stream": True} | ({"base_url": server} if server else {})
        settings = read_head(connection).library_settings().model_copy(update=changed)
        return Address(proxy_url(record, settings))
    return None


def _rows(connection: sqlite3.Connection, query: str, *values: object) -> sqlite3.Cursor:
    others = plays_others(connection)
    account = "coalesce(played.account, content.account)" if others else "content.account"
    row, played = (_PLAYED, _JOIN_PLAYED) if others else (_OWN, "")
    return connection.execute(query.format(row=row, played=played, account=account), values)
