"""How a catalogue looks as a file system: which files are where, with which attributes and contents.

This is defined here and only here. The mount and the writer of real files translate; neither decides a name.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Generic, Protocol, TypeVar

import msgspec

from vod2strmfs.errors import IndexFileError
from vod2strmfs.library.contents import Record, nfo_file, strm
from vod2strmfs.library.kinds import (
    FILE_KINDS,
    HIGHEST_NODE,
    PICTURES,
    ROOT_INODE,
    ROOT_NODE,
    WAITING_NODE,
    NodeKind,
    Slot,
    folder_inode,
    in_library,
    inode_of,
    node_of,
    reuse_of,
    shelf_of,
    shelved,
    slot_of,
)
from vod2strmfs.library.names import fold
from vod2strmfs.settings import LibrarySettings, MediaServer, Versions

STATS_NAME = ".stats.csv"

_TYPES: dict[int, str] = {
    NodeKind.MOVIE: "movie",
    NodeKind.VERSION: "movie",
    NodeKind.SERIES: "series",
    NodeKind.SEASON: "season",
    NodeKind.EPISODE: "episode",
}


_STILL = "-thumb"
_PictureNames = dict[tuple[int, int], str]
"""What images are called without extension, by kind of node and slot; `{}` is the name of the node."""
_PICTURE_NAMES: _PictureNames = {
    (NodeKind.MOVIE, Slot.POSTER): "poster",
    (NodeKind.MOVIE, Slot.FANART): "fanart",
    (NodeKind.SERIES, Slot.POSTER): "poster",
    (NodeKind.SERIES, Slot.FANART): "fanart",
    (NodeKind.EPISODE, Slot.POSTER): f"{{}}{_STILL}",
}


class Art(msgspec.Struct, frozen=True, gc=False):
    """An image that is shown of a node; in `Slot.STRM` a film, which takes the place of the .strm."""

    slot: int
    image: str
    """What the image is called where images are stored."""
    extension: str
    """With the dot."""
    size: int
    mtime: int
    """Nanoseconds since the epoch."""
    version: int
    """How often it was another image."""
    digest: int
    """See `library.rendered.content_digest`."""


class Node(msgspec.Struct, frozen=True, gc=False):
    """A node of the tree, without the contents of its files. All times are nanoseconds since the epoch."""

    id: int
    kind: int
    """A NodeKind."""
    parent: int
    name: str
    """The name of the directory; of an episode, the name of its files without extension."""
    alias: str
    """The name of an episode's second NFO without extension; "" where there is none."""
    mtime: int
    """The mtime of the directory."""
    strm_size: int
    strm_mtime: int
    strm_version: int
    """How often the content of the .strm changed."""
    nfo_size: int
    nfo_mtime: int
    nfo_version: int
    art: tuple[Art, ...] = ()
    """The images that are there, by slot."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One name in a directory."""

    name: str
    inode: int
    size: int
    """Size in bytes; 0 for a directory."""
    mtime: int
    """Modification time, nanoseconds since the epoch."""
    is_dir: bool
    reuse: int = 0
    """How often the inode number has stood for other content of the file before."""


Made = TypeVar("Made")

Form = Callable[[str, int, int, int, bool, int], Made]
"""What an entry is made into, by its name, inode, size, mtime, whether it is a directory, and reuse, in the order of
`Entry`, which is one. A mount makes its replies at once, since a listing of a hundred thousand files needs no objects.
"""


class Page(msgspec.Struct, Generic[Made], frozen=True, gc=False):
    """A part of a directory's entries, in some form."""

    above: int
    """The inode of the directory's parent; of the root, its own."""
    entries: list[Made]
    whole: bool
    """Whether these entries are the last ones."""


class Generation(Protocol):
    """One generation of the index, from which the tree's nodes come. All methods raise IndexFileError when the index
    cannot be read."""

    settings: LibrarySettings
    stats_version: int
    """How often the content of `.stats.csv` changed."""

    def node(self, node: int) -> Node | None:
        """A node by its id."""

    def child(self, parent: int, key: str) -> Node | None:
        """The node of a parent whose name folds to a key (`names.fold`)."""

    def child_by_alias(self, parent: int, alias: str) -> Node | None:
        """The episode of a season with an alias."""

    def children(self, parent: int, after: int, limit: int) -> list[Node]:
        """The nodes of a parent with an id above `after`, in ascending order of id."""

    def record(self, node: int) -> Record:
        """The record that a node's files are made from."""

    def check(self, parent: int) -> None:
        """Make sure that all the children of a parent can be told; raises IndexFileError otherwise."""

    def stats(self) -> bytes:
        """The content of `.stats.csv`."""

    def stats_mtime(self) -> int:
        """When the content of `.stats.csv` last changed, nanoseconds since the epoch."""


class Tree:
    """The tree of one generation.

    Args:
        store: the generation.
        write_nfo: whether there are .nfo files.
        with_stats: whether `.stats.csv` stands in the root, as it does in a mount alone.
    """

    def __init__(self, store: Generation, *, write_nfo: bool = True, with_stats: bool = False) -> None:
        self._store = store
        self._settings = store.settings
        self._makers = _makers(self._settings.media_server, self._settings.versions, write_nfo)
        self._pictures = _picture_names(self._settings.media_server, self._settings.versions)
        self._with_stats = with_stats

    def attributes(self, inode: int) -> Entry | None:
        """The entry of an inode, or None if there is no such inode (any more)."""
        if self._is_stats(inode):
            stats = self._stats(Entry)
            return stats if stats.inode == inode else None
        node = self._node(inode)
        if node is None:
            return None
        if inode == folder_inode(node.id):
            return folder_entry(node) if node.kind not in FILE_KINDS else None
        if slot_of(inode) >= PICTURES:
            entry = next((each for each in _pictures(node, self._pictures, Entry) if each.inode == inode), None)
        else:
            make = self._makers.get(node.kind, {}).get(slot_of(inode))
            entry = make(node, Entry) if make is not None else None
        return entry if entry is not None and entry.inode == inode else None

    def lookup(self, directory: int, name: str) -> Entry | None:
        """The entry of a name in a directory, or None."""
        parent = self._node(directory)
        if parent is None or directory != folder_inode(parent.id):
            return None
        if name == STATS_NAME and parent.id == ROOT_NODE and self._with_stats:
            return self._stats(Entry)
        for entry in self.files(parent):
            if entry.name == name:
                return entry
        if parent.kind in (NodeKind.SEASON, NodeKind.MOVIE):
            return self._lookup_file_of_child(parent, name)
        child = self._store.child(parent.id, fold(name))
        return folder_entry(child) if child is not None and child.name == name else None

    def page(self, directory: int, after: int = 0, limit: int = 256) -> Page[Entry] | None:
        """A part of a directory's entries; see `page_of`."""
        return self.page_of(Entry, directory, after, limit)

    def page_of(self, form: Form[Made], directory: int, after: int, limit: int) -> Page[Made] | None:
        """A part of a directory's entries, in a stable order.

        Args:
            form: what the entries are made into.
            directory: the directory's inode.
            after: the inode of the last entry that was given before, or 0. It may have gone since.
            limit: the number of children whose entries are wanted.

        Returns:
            The next entries, or None if there is no such directory. The order is by node, but for the directory's own
            files, which come first: an entry keeps its place as long as it exists, whatever comes and goes.
        """
        node = self._node(directory)
        if node is None or directory != folder_inode(node.id):
            return None
        is_movie = node.kind == _MOVIE
        is_single = is_movie and self._settings.versions == "best"
        if node.strm_size <= 0 if is_single else node.strm_size and not is_movie:
            raise IndexFileError(f"the index is damaged: the kind of directory {node.id} cannot be.")
        above = folder_inode(node.parent)
        last, slot = node_of(after), slot_of(after)
        if node.id > HIGHEST_NODE:
            last = shelved(shelf_of(node.id), in_library(last))  # A file has one number wherever it stands.
        entries: list[Made] = []
        if after == 0 or last == node.id:
            entries = self._own_files(node, form, slot)
            if is_single:
                return Page(above, entries, True)
            last = 0
        elif slot != Slot.FOLDER and (child := self._store.node(last)) is not None and child.parent == node.id:
            # The rest of the files of a child of which some were seen.
            entries = _files(child, self._makers, self._pictures, form, slot)
        children = self._store.children(node.id, last, limit)
        for child in children:
            if child.kind in FILE_KINDS:
                entries += _files(child, self._makers, self._pictures, form)
            else:
                entries.append(_folder(child, form))
        return Page(above, entries, len(children) < limit)

    def check(self, directory: int) -> None:
        """Make sure that a directory can be listed to its end; raises IndexFileError otherwise."""
        self._store.check(node_of(directory))

    def has_directory(self, inode: int) -> bool:
        """Whether an inode is a directory's."""
        node = self._node(inode)
        return node is not None and node.kind not in FILE_KINDS and inode == folder_inode(node.id)

    def above(self, directory: int) -> Entry | None:
        """The entry of the directory that a directory is in; the root is in itself."""
        node = self._node(directory) if self.has_directory(directory) else None
        return self.attributes(folder_inode(node.parent)) if node is not None else None

    def _own_files(self, node: Node, form: Form[Made], after: int) -> list[Made]:
        """The files that stand in a node's own directory, and are not its children's, from a slot on."""
        if node.id == ROOT_NODE and self._with_stats:
            return [self._stats(form)] if after < Slot.STATS else []
        return _files(node, self._makers, self._pictures, form, after)

    def files(self, node: Node) -> list[Entry]:
        """The files of a node: in its directory, or (an episode's) in its season's."""
        return _files(node, self._makers, self._pictures, Entry)

    def beside(self, inode: int) -> Entry | None:
        """The file of the same node that is listed after one, and is made from its record: the NFO after the .strm."""
        node = self._node(inode)
        rest = _files(node, self._makers, self._pictures, Entry, slot_of(inode)) if node is not None else []
        return rest[0] if rest and slot_of(rest[0].inode) < PICTURES else None

    def open(self, inode: int) -> Callable[[], bytes]:
        """A function that gives the whole content of a file as it is now, whenever it is called."""
        if self._is_stats(inode):
            content = self._store.stats()
            return lambda: content
        record = self._store.record(node_of(inode))
        return partial(strm if slot_of(inode) == Slot.STRM else nfo_file, record, self._settings)

    def art(self, inode: int) -> Art | None:
        """The image, or the film, that a file is; None if it is none, or not there (any more)."""
        if (node := self._node(inode)) is None:
            return None
        return next((art for art in node.art if _art_inode(node, art) == inode), None)

    def read(self, inode: int) -> bytes:
        """The whole content of a file, which is as long as its entry says. It must not be an image's."""
        return self.open(inode)()

    def identity(self, inode: int) -> dict[str, str]:
        """The title that a file or directory stands for: its `type`, and `uuid` and `stream_id` where it has them."""
        node = self._node(inode)
        if node is None or (kind := _TYPES.get(node.kind)) is None:
            return {}
        record = self._store.record(node.id)
        found = {"type": kind, "uuid": record.uuid, "stream_id": record.stream}
        return {name: value for name, value in found.items() if value}

    def walk(self, directory: int = ROOT_INODE, path: str = "") -> Iterator[tuple[str, Entry]]:
        """Every entry below a directory with its path relative to it, directories before what they hold.

        Raises:
            IndexFileError: there is no such directory, though its parent lists it.
        """
        after, whole = 0, False
        while not whole:
            if (page := self.page(directory, after)) is None:
                raise IndexFileError(f"the index is damaged: it lacks directory {node_of(directory)}.")
            for entry in page.entries:
                below = f"{path}{entry.name}"
                yield below, entry
                if entry.is_dir:
                    yield from self.walk(entry.inode, below + "/")
                after = entry.inode
            whole = page.whole

    def _node(self, inode: int) -> Node | None:
        """The node of an inode, if it is shown: a series that waits for its first episode is not."""
        node = self._store.node(node_of(inode))
        return node if node is not None and node.parent != WAITING_NODE else None

    def _lookup_file_of_child(self, parent: Node, name: str) -> Entry | None:
        base, dot, _ = name.rpartition(".")
        if not dot:
            return None
        candidates = [self._store.child(parent.id, fold(base)), self._store.child_by_alias(parent.id, base)]
        if base.endswith(_STILL):
            candidates.append(self._store.child(parent.id, fold(base.removesuffix(_STILL))))
        for node in filter(None, candidates):
            for entry in self.files(node):
                if entry.name == name:
                    return entry
        return None

    def _stats(self, form: Form[Made]) -> Made:
        inode = inode_of(ROOT_NODE, Slot.STATS, self._store.stats_version)
        size, reuse = len(self._store.stats()), reuse_of(self._store.stats_version)
        return form(STATS_NAME, inode, size, self._store.stats_mtime(), False, reuse)

    def _is_stats(self, inode: int) -> bool:
        return self._with_stats and node_of(inode) == ROOT_NODE and slot_of(inode) == Slot.STATS


def placed(node: Node, settings: LibrarySettings) -> dict[tuple[int, str], Entry]:
    """Every entry that exists because of a node, by the inode of the directory that it is in, and its name."""
    if node.parent == WAITING_NODE:
        return {}
    inside = folder_inode(node.parent if node.kind in FILE_KINDS else node.id)
    server, versions = settings.media_server, settings.versions
    files = _files(node, _makers(server, versions), _picture_names(server, versions), Entry)
    entries = {(inside, entry.name): entry for entry in files}
    if node.kind not in FILE_KINDS:
        entries[folder_inode(node.parent), node.name] = folder_entry(node)
    return entries


def folder_entry(node: Node) -> Entry:
    """The entry of a node's directory."""
    return _folder(node, Entry)


def _folder(node: Node, form: Form[Made]) -> Made:
    return form(node.name, folder_inode(node.id), 0, node.mtime, True, 0)


class _Maker(Protocol):
    def __call__(self, node: Node, form: Form[Made]) -> Made | None:
        """Makes the entry of one of a node's files; None if this node does not have it."""


_Makers = Mapping[int, Mapping[int, _Maker]]
"""Makers by the kind of node and the slot of the file, in ascending order of slot."""
_MOVIE = int(NodeKind.MOVIE)


@cache
def _makers(server: MediaServer, versions: Versions, write_nfo: bool = True) -> _Makers:
    """The makers of the entries of each kind of node, the .strm first."""
    makers: dict[int, dict[int, _Maker]] = {
        NodeKind.MOVIE: {Slot.STRM: _strm, Slot.NFO: _own_nfo if server in ("emby", "kodi") else _nfo_called("movie")},
        NodeKind.VERSION: {Slot.STRM: _strm},
        NodeKind.SERIES: {Slot.NFO: _nfo_called("tvshow")},
        NodeKind.SEASON: {Slot.NFO: _nfo_called("season")},
        NodeKind.EPISODE: {Slot.STRM: _strm, Slot.NFO: _own_nfo, Slot.ALIAS: _alias_nfo},
    }
    if versions == "all":
        # A movie that the shrink brake held when this was not yet the setting has a .strm of its own.
        makers[NodeKind.MOVIE] = {Slot.STRM: _strm_if_any, Slot.NFO: _nfo_called("movie")}
    if server == "spec":
        del makers[NodeKind.SERIES]
        makers[NodeKind.EPISODE][Slot.NFO] = _own_nfo_if_single
    if not write_nfo:
        return {kind: {Slot.STRM: files[Slot.STRM]} for kind, files in makers.items() if Slot.STRM in files}
    return makers


@cache
def _picture_names(server: MediaServer, versions: Versions) -> _PictureNames:
    if server != "kodi" or versions == "all":
        return _PICTURE_NAMES
    # As its NFO is called: Kodi looks for that whether its source has "movies in separate folders" or not.
    of_film = {Slot.POSTER: "{}-poster", Slot.FANART: "{}-fanart"}
    return _PICTURE_NAMES | {(NodeKind.MOVIE, slot): name for slot, name in of_film.items()}


def _files(node: Node, makers: _Makers, names: _PictureNames, form: Form[Made], after: int = 0) -> list[Made]:
    """The files of a node that stand in slots after one."""
    files = []
    if node.kind in makers:
        of_kind = makers[node.kind].items()
        files = [made for slot, make in of_kind if slot > after and (made := make(node, form)) is not None]
    if node.art:
        files += _pictures(node, names, form, after)
    return files


def _pictures(node: Node, names: _PictureNames, form: Form[Made], after: int = 0) -> Iterator[Made]:
    """A node's images that stand in slots after one."""
    for art in node.art:
        name = names.get((node.kind, art.slot), "").format(node.name) + art.extension
        if art.slot > after and name != art.extension:
            yield form(name, _art_inode(node, art), art.size, art.mtime, False, reuse_of(art.version))


def _art_inode(node: Node, art: Art) -> int:
    return inode_of(node.id, art.slot, art.version)


def _strm(node: Node, form: Form[Made]) -> Made:
    """The .strm; where a generation shows films, the film, which is called so but for its extension."""
    if node.art and (film := node.art[0]).slot == Slot.STRM:
        name = f"{node.name}{film.extension}"
        return form(name, _art_inode(node, film), film.size, film.mtime, False, reuse_of(film.version))
    inode = inode_of(node.id, Slot.STRM, node.strm_version)
    return form(f"{node.name}.strm", inode, node.strm_size, node.strm_mtime, False, reuse_of(node.strm_version))


def _strm_if_any(node: Node, form: Form[Made]) -> Made | None:
    return _strm(node, form) if node.strm_size else None


def _own_nfo(node: Node, form: Form[Made]) -> Made:
    return _nfo(node, node.name, Slot.NFO, form)


def _own_nfo_if_single(node: Node, form: Form[Made]) -> Made | None:
    """The NFO of an episode that has no second one, since that would have the same name."""
    return None if node.alias else _own_nfo(node, form)


def _alias_nfo(node: Node, form: Form[Made]) -> Made | None:
    return _nfo(node, node.alias, Slot.ALIAS, form) if node.alias else None


def _nfo_called(stem: str) -> _Maker:
    def make(node: Node, form: Form[Made]) -> Made | None:
        return _nfo(node, stem, Slot.NFO, form)

    return make


def _nfo(node: Node, stem: str, slot: int, form: Form[Made]) -> Made:
    inode = inode_of(node.id, slot, node.nfo_version)
    return form(f"{stem}.nfo", inode, node.nfo_size, node.nfo_mtime, False, reuse_of(node.nfo_version))
