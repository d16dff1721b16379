"""An item as the catalogue has it now, and what its files are."""

from collections.abc import Mapping
from typing import NamedTuple

from vod2strmfs.library.contents import Item, Record, decode_kind, nfo_of, strm
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


class Traits(NamedTuple):
    """What a sync asks of every item, and not only of some: so that it need not decode those of another process."""

    season: int | None = None
    """An episode's."""
    name: int = 0
    """See `sync.same_title.name_key`; 0 where nothing is joined."""
    lines: int = 0
    """See `versions.lines`."""
    contradiction: str = ""
    """See `versions.contradiction`."""


class Incoming:
    """An item, and its place in the tree when it has one.

    Args:
        kind: the item's.
        keys: what the catalogue knows it by.
        item: the item; None if that of `keys` is to be decoded once somebody asks for it.
        name: its name.
        alias: its alias.
        created: nanoseconds since the epoch.
        parent: the directory that it is in.
        own: of an episode whose series is joined with others, the node of its own series' row.
        files: what `files_of` gives, once that was asked for.
        traits: what there is to say of it without looking into it, if anybody has looked.
    """

    __slots__ = ("_item", "alias", "created", "files", "keys", "kind", "name", "own", "parent", "traits")

    def __init__(
        self,
        kind: NodeKind,
        keys: Keys,
        item: Item | None,
        name: str,
        alias: str,
        created: int,
        parent: int = 0,
        own: int = 0,
        files: tuple[FileFacts, FileFacts] | None = None,
        traits: Traits | None = None,
    ) -> None:
        self.kind = kind
        self.keys = keys
        self._item = item
        self.name = name
        self.alias = alias
        self.created = created
        self.parent = parent
        """Of a series: where it waits for its first episode; one that is in the index stays where it is."""
        self.own = own
        self.files = files
        self.traits = traits

    @property
    def item(self) -> Item:
        """What `keys` has in its encoded form."""
        if self._item is None:
            self._item = decode_kind(self.keys.item, self.kind)
        return self._item

    @item.setter
    def item(self, item: Item) -> None:
        self._item = item


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
