"""What each request is answered, asked of the handlers themselves: without a kernel, a mount or a process."""

import errno
import os
from collections.abc import Awaitable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pyfuse3
import pytest
import trio
from libraries import Library
from pyfuse3 import EntryAttributes, FUSEError, InodeT

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_INODE
from vod2strmfs.library.tree import Tree
from vod2strmfs.mount.operations import CACHE_SECONDS, LibraryOperations, Owner

T = TypeVar("T")

NOBODY: Any = None
"""Handlers do not look at who asks."""
ROOT = InodeT(ROOT_INODE)


def answer(request: Awaitable[T]) -> T:
    """What a handler answers."""

    async def wait() -> T:
        return await request

    return trio.run(wait)


def refusal(request: Awaitable[object]) -> int:
    """The error that a handler answers with."""
    with pytest.raises(FUSEError) as refused:
        answer(request)
    return refused.value.errno


@pytest.fixture
def operations(tmp_path: Path) -> Iterator[LibraryOperations]:
    """The handlers of a library with films and a series."""
    catalogue = Catalogue()
    for number in range(30):
        catalogue.movie(f"Film {number}", description="Of men and money.")
    catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot")
    library = Library(tmp_path)
    library.show(catalogue)
    operations = LibraryOperations(Owner(1000, 1001, 0o027))
    with closing(Store(library.state_dir)) as store:
        operations.tree = Tree(store, with_stats=True)
        yield operations


def find(operations: LibraryOperations, path: str) -> EntryAttributes:
    """The attributes at a path, looked up name by name."""
    found = answer(operations.getattr(ROOT, NOBODY))
    for name in path.split("/"):
        found = answer(operations.lookup(found.st_ino, name.encode(), NOBODY))
    return found


class Listing:
    """What is listed, with room for so many entries in an answer; stands for the kernel's side of `readdir`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.names: list[str] = []
        self.answers = 0
        self._room = room
        self._places = [0]
        monkeypatch.setattr(pyfuse3, "readdir_reply", self._take)

    def read(self, operations: LibraryOperations, inode: InodeT) -> None:
        """List a directory as the kernel does: from where the answer before ended, until one is empty."""
        handle = answer(operations.opendir(inode, NOBODY))
        before = -1
        while len(self.names) > before:
            before = len(self.names)
            self._left = self._room
            answer(operations.readdir(handle, self._places[-1], NOBODY))
            self.answers += 1
        answer(operations.releasedir(handle))

    def _take(self, token: object, name: bytes, attributes: EntryAttributes, place: int) -> bool:
        if not self._left:
            return False
        self._left -= 1
        self.names.append(name.decode())
        self._places.append(place)
        return True


@pytest.mark.parametrize("room", [1, 2, 3, 7, 1000])
def test_a_listing_is_whole_and_in_one_order_however_little_fits_into_an_answer(
    operations: LibraryOperations, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    listing = Listing(monkeypatch, room)
    listing.read(operations, find(operations, "Movies").st_ino)
    assert listing.names == [".", "..", *(f"Film {number}" for number in range(30))]


def test_a_name_is_found_with_its_attributes_and_its_absence_is_for_the_kernel_to_remember(
    operations: LibraryOperations,
) -> None:
    film = find(operations, "Movies/Film 3/Film 3.strm")
    assert (film.st_uid, film.st_gid, oct(film.st_mode)) == (1000, 1001, "0o100440")
    assert (film.st_nlink, film.entry_timeout, film.attr_timeout) == (1, CACHE_SECONDS, CACHE_SECONDS)
    nothing = find(operations, "Movies/Film 3/poster.jpg")
    assert (nothing.st_ino, nothing.entry_timeout) == (0, CACHE_SECONDS)


def test_names_that_cannot_be_are_refused(operations: LibraryOperations) -> None:
    assert refusal(operations.lookup(ROOT, b"x" * 256, NOBODY)) == errno.ENAMETOOLONG
    assert refusal(operations.lookup(ROOT, b"\xff", NOBODY)) == errno.ENOENT


def test_what_is_read_is_as_long_as_was_said_at_any_offset(operations: LibraryOperations) -> None:
    found = find(operations, "Movies/Film 3/movie.nfo")
    file = answer(operations.open(found.st_ino, os.O_RDONLY, NOBODY))
    whole = answer(operations.read(file.fh, 0, 1 << 20))
    assert len(whole) == found.st_size
    for offset, size in ((0, 10), (5, 1), (found.st_size - 1, 100), (found.st_size, 10), (found.st_size + 5, 10)):
        assert answer(operations.read(file.fh, offset, size)) == whole[offset : offset + size]
    answer(operations.release(file.fh))


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_RDONLY | os.O_APPEND])
def test_nothing_is_opened_for_writing(operations: LibraryOperations, flags: int) -> None:
    found = find(operations, "Movies/Film 3/movie.nfo")
    assert refusal(operations.open(found.st_ino, flags, NOBODY)) == errno.EROFS


def test_dots_are_answered_for_those_who_have_nothing_but_a_number(operations: LibraryOperations) -> None:
    movies, film = find(operations, "Movies").st_ino, find(operations, "Movies/Film 3").st_ino
    assert answer(operations.lookup(film, b".", NOBODY)).st_ino == film
    assert answer(operations.lookup(film, b"..", NOBODY)).st_ino == movies
    assert answer(operations.lookup(movies, b"..", NOBODY)).st_ino == ROOT


def test_no_attribute_is_listed_and_those_of_ours_can_be_asked_for(operations: LibraryOperations) -> None:
    film = find(operations, "Movies/Film 3/Film 3.strm").st_ino
    assert answer(operations.listxattr(film, NOBODY)) == []
    assert answer(operations.getxattr(film, b"user.vod2strmfs.type", NOBODY)) == b"movie"
    for name in (b"user.vod2strmfs.none", b"security.capability", b"user.DOSATTRIB"):
        assert refusal(operations.getxattr(film, name, NOBODY)) == pyfuse3.ENOATTR


def test_requests_that_change_nothing_are_not_sent_again(operations: LibraryOperations) -> None:
    film = find(operations, "Movies/Film 3/Film 3.strm").st_ino
    file = answer(operations.open(film, os.O_RDONLY, NOBODY))
    assert refusal(operations.flush(file.fh)) == errno.ENOSYS
    assert refusal(operations.access(film, os.R_OK, NOBODY)) == errno.ENOSYS


def test_an_inode_that_is_not_there_is_stale(operations: LibraryOperations) -> None:
    for inode in (InodeT(1 << 40), InodeT((1 << 63) - 1)):
        assert refusal(operations.getattr(inode, NOBODY)) == errno.ESTALE
        assert refusal(operations.open(inode, os.O_RDONLY, NOBODY)) == errno.ESTALE


def test_without_a_tree_every_request_is_an_error_and_the_numbers_mean_something_else_afterwards(
    operations: LibraryOperations,
) -> None:
    movies = find(operations, "Movies")
    inode, before = movies.st_ino, movies.generation
    tree = operations.tree
    operations.start_afresh()
    for request in (
        operations.lookup(ROOT, b"Movies", NOBODY),
        operations.getattr(ROOT, NOBODY),
        operations.opendir(inode, NOBODY),
        operations.open(inode, os.O_RDONLY, NOBODY),
    ):
        assert refusal(request) == errno.EIO
    assert operations.failures == 4
    operations.tree = tree
    again = find(operations, "Movies")
    assert (again.st_ino, again.generation) != (inode, before)
