"""Which titles' folders changed between two generations of the index. Reads the index, and nothing else."""

from collections.abc import Iterator

from vod2strmfs.index.changes import What as Entry
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_INODE, ROOT_NODE, WAITING_NODE, NodeKind, node_of
from vod2strmfs.library.tree import Node, Tree
from vod2strmfs.notify.change import SECTIONS, Change, What, coalesced, whole

_MOST_ENTRIES = 20_000
"""Where more names than that changed, nobody counts titles any more."""
_TOLD = frozenset({NodeKind.SHELF, NodeKind.SECTION, NodeKind.CATEGORY, NodeKind.MOVIE, NodeKind.SERIES})
"""Kinds of folder that are told of."""


def changed_titles(store: Store, since: int, limit: int, *, write_nfo: bool = True) -> list[Change]:
    """The changes from a generation to the one that the store shows.

    Args:
        store: the index.
        since: the generation before; 0: none, so that everything that is there is new.
        limit: see `coalesced`.
        write_nfo: whether the tree has .nfo files.

    Raises:
        IndexFileError: the index cannot be read.
    """
    is_known = 0 < since <= store.generation
    logged = store.changes(since, store.generation) if is_known else None
    if logged is None:
        # Of a new index nobody is sent to look at what is empty: it may be one that was lost, and is just filling.
        return [whole(each) for each in sections_of(store) if is_known or _has_titles(store, each)]
    before: dict[tuple[int, str], bool] = {}
    for change in logged:
        if change.what != Entry.ATTRIBUTES_CHANGED:
            before.setdefault((change.parent, change.name), change.what == Entry.ENTRY_GONE)
        if len(before) > _MOST_ENTRIES:
            return [whole(section) for section in sections_of(store)]
    names = {key: was for key, was in before.items() if write_nfo or not key[1].endswith(".nfo")}
    changes = list(_compared(store, Tree(store, write_nfo=write_nfo), names))
    # Of a folder that has another name now, nothing is lost under the new one.
    created = {change.path: change for change in changes if change.what == What.CREATED}
    return coalesced((created.get(change.path, change) for change in changes), limit)


def sections_of(store: Store) -> list[str]:
    """`Movies` and `TV`, and those of each shelf, as far as they are to be seen."""
    shelves = [
        section for shelf in store.shelves.shown.values() if not shelf.alone for section in _in_shelf(shelf.name)
    ]
    return [*SECTIONS, *shelves]


def _has_titles(store: Store, section: str) -> bool:
    tree, inode = Tree(store), ROOT_INODE
    for name in section.split("/"):
        if (entry := tree.lookup(inode, name)) is None:
            return False
        inode = entry.inode
    page = tree.page(inode, limit=1)
    return page is not None and bool(page.entries)


def _in_shelf(name: str) -> list[str]:
    return [f"{name}/{section}" for section in SECTIONS]


def _compared(store: Store, tree: Tree, before: dict[tuple[int, str], bool]) -> Iterator[Change]:
    """What differs from how it was.

    Args:
        store: how it is.
        tree: over it.
        before: whether a name was in a directory (an inode), for each that is not as it was. A directory that is gone
            itself needs no word on what was in it.
    """
    for (directory, name), was_there in before.items():
        is_there = tree.lookup(directory, name) is not None
        parent = _shown(store, node_of(directory))
        if parent is None or not (was_there or is_there):
            continue
        if parent.kind in (NodeKind.ROOT, NodeKind.SHELF):
            # A shelf is new, is gone, or stands elsewhere: it is looked at as a whole.
            above = f"{parent.name}/" if parent.kind == NodeKind.SHELF else ""
            yield from (whole(f"{above}{below}") for below in ([name] if name in SECTIONS else _in_shelf(name)))
        elif parent.kind in (NodeKind.SECTION, NodeKind.CATEGORY):
            what = What.CREATED if not was_there else What.MODIFIED if is_there else What.DELETED
            yield from (Change(f"{path}/{name}", what, was_there) for path in _path(store, parent))
        else:
            lost = was_there and not is_there and not name.endswith(".nfo")
            yield from (Change(path, What.MODIFIED, lost) for path in _path(store, parent))


def _shown(store: Store, node: int) -> Node | None:
    """A folder that is to be seen."""
    found = store.node(node)
    return found if found is not None and found.parent != WAITING_NODE else None


def _path(store: Store, folder: Node) -> Iterator[str]:
    """The path of a title's folder, a category's or a section's, from a folder that is it or is in it; none if it is
    not to be seen."""
    steps: list[str] = []
    node: Node | None = folder
    while node is not None and node.id != ROOT_NODE:
        steps = [node.name, *steps] if node.kind in _TOLD else []
        node = _shown(store, node.parent)
    if node is not None:
        yield "/".join(steps)
