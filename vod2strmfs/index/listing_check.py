"""Making sure that a listing is whole before anybody believes it: what it lacks would be taken for gone.

SQLite does not notice every damage. But the file has the children of a directory in two B-trees, and what a page of the
one has lost, the other still has.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.file import WRONG_TYPES
from vod2strmfs.library.names import fold
from vod2strmfs.library.tree import Node

_BEFORE = "SELECT count(*), sum(id) FROM node INDEXED BY node_children WHERE parent = ? AND id BETWEEN 1 AND ?"
_BY_NAME = "SELECT count(*), sum(id) FROM node INDEXED BY node_name WHERE parent = ? AND id > 0"
_CHECK = f"""
    SELECT count(*), sum(id), count(*) FILTER (
        WHERE kind NOT IN ({{kinds}}) OR {WRONG_TYPES})
    FROM node INDEXED BY node_children WHERE parent = ?"""
_OTHER_KEYS = "SELECT id, name, fold FROM node INDEXED BY node_children WHERE parent = ? AND lower(name) IS NOT fold"

_LARGE_DIRECTORY = 1000
"""Children. So many take a while to count, and few directories have them."""


class ListingCheck:
    """Checks listings of one generation. Its methods raise IndexFileError where a directory's children cannot be told.

    Args:
        query: gives the rows that a statement finds with some arguments.
    """

    def __init__(self, query: Callable[..., list[Any]]) -> None:
        self._query = query
        self._whole: set[int] = set()
        """Large directories whose listing was found to be whole."""

    def clear(self) -> None:
        """Forget what was found, for another generation."""
        self._whole.clear()

    def check(self, parent: int, kinds: Set[int]) -> None:
        """Check a whole listing without reading it.

        Args:
            parent: the directory.
            kinds: those that may be in it.
        """
        if parent in self._whole:
            return
        query = _CHECK.format(kinds=", ".join(f"{kind:d}" for kind in sorted(kinds)))
        [(count, total, wrong)] = self._query(query, parent)
        [named] = self._query(_BY_NAME, parent)
        if wrong or (count, total) != tuple(named):
            raise _untellable(parent)
        check_names(self._query(_OTHER_KEYS, parent))
        self._note(parent, count)

    def check_part(self, parent: int, kinds: Set[int], after: int, children: Sequence[Node], limit: int) -> None:
        """Check that a part of a listing holds nothing wrong; and, if it is the last one, that nothing is lacking.

        Args:
            parent: the directory.
            kinds: those that may be in it.
            after: the child before this part of the listing.
            children: those in this part.
            limit: fewer of them are the end of the listing.
        """
        whole = kinds >= {child.kind for child in children}
        if whole and len(children) < limit and parent not in self._whole:
            whole = self._is_whole(parent, after, children)
        if not whole:
            raise _untellable(parent)

    def _is_whole(self, parent: int, after: int, rest: Sequence[Node]) -> bool:
        """Whether a listing has everything, by what is in its last part."""
        count, total = self._query(_BEFORE, parent, after)[0] if after > 0 else (0, None)
        [named] = self._query(_BY_NAME, parent)
        counted = count + len(rest), (total or 0) + sum(node.id for node in rest)
        if counted != (named[0], named[1] or 0):
            return False
        self._note(parent, counted[0])
        return True

    def _note(self, parent: int, count: int) -> None:
        if count > _LARGE_DIRECTORY:
            self._whole.add(parent)


def check_names(nodes: Iterable[tuple[int, str, str]]) -> None:
    """Check of nodes, by their id, name and folded name, that they are called what they were stored under.

    Raises:
        IndexFileError: one is not.
    """
    for node, name, key in nodes:
        if fold(name) != key:
            raise IndexFileError(f"the index is damaged: it holds another name of node {node} than it should.")


def _untellable(parent: int) -> IndexFileError:
    return IndexFileError(f"the index is damaged: what directory {parent} holds cannot be told.")
