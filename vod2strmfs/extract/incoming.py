"""An item as the catalogue has it now, and what its files are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vod2strmfs.library.contents import Item, Record, nfo_of, strm
from vod2strmfs.library.item_names import alias_name, node_name
from vod2strmfs.library.kinds import FILE_KINDS, NodeKind
from vod2strmfs.library.rendered import NO_FILE, FileFacts, file_facts
from vod2strmfs.settings import LibrarySettings


class Keys(NamedTuple):
    """What the catalogue knows an item by, and the item itself: columns of the table `content`."""

    source: int | None
    """The catalogue's id; of a season, its number."""
    uuid: str
    account: int
    stream: str
    tmdb: str
    imdb: str
    bad_fields: int
    item: bytes
    """See `library.contents.encode`."""


@dataclass(slots=True)
class Incoming:
    """An item, and its place in the tree when it has one."""

    kind: NodeKind
    keys: Keys
    item: Item
    """What `keys` has in its encoded form."""
    name: str
    alias: str
    created: int
    """Nanoseconds since the epoch."""
    parent: int = 0
    """Of a series: where it waits for its first episode; one that is in the index stays where it is."""
    own: int = 0
    """Of an episode whose series is joined with others: the node of its own series' row."""
    files: tuple[FileFacts, FileFacts] | None = None
    """What `files_of` gives, once that was asked for."""


def files_of(
    incoming: Incoming, settings: LibrarySettings, providers: Mapping[int, str]
) -> tuple[FileFacts, FileFacts]:
    """The .strm and the .nfo of an item, as they are at first sight.

    Args:
        incoming: the item.
        settings: the library's.
        providers: the beginning of an account's URLs, where direct URLs are wanted.
    """
    kind = incoming.kind
    if kind == NodeKind.CATEGORY:
        return NO_FILE, NO_FILE
    if kind == NodeKind.SERIES:
        # tvshow.nfo lists the seasons: it is rendered when they are known.
        return NO_FILE, FileFacts(0, incoming.created, 0)
    strm_file = nfo = NO_FILE
    if kind != NodeKind.VERSION:
        nfo = file_facts(nfo_of(incoming.item, settings), incoming.created)
    if kind in FILE_KINDS or (kind == NodeKind.MOVIE and settings.versions == "best"):
        strm_file = strm_of(incoming, settings, providers)
    return strm_file, nfo


def strm_of(incoming: Incoming, settings: LibrarySettings, providers: Mapping[int, str]) -> FileFacts:
    """The .strm of a movie, a version or an episode. Arguments as for `files_of`."""
    keys = incoming.keys
    provider = providers.get(keys.account, "")
    record = Record(incoming.kind, keys.uuid, keys.account, keys.stream, keys.item, provider=provider)
    return file_facts(strm(record, settings), incoming.created)


def names_of(item: Item, settings: LibrarySettings) -> tuple[str, str]:
    """The name and the alias of an item, but not of a version's: they depend on nothing else."""
    name, alias = node_name(item, settings), alias_name(item, settings)
    return name, alias if alias != name else ""
