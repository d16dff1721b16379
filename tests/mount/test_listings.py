"""Which listings the kernel may keep, and when it has to read them again."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import kernel
import pytest
from kernel import CACHE_DIR, KEEP_CACHE, Kernel
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import MOVIES_NODE, ROOT_INODE, folder_inode, shelved
from vod2strmfs.library.tree import Tree
from vod2strmfs.mount.handlers import LibraryHandlers, Owner
from vod2strmfs.mount.listings import Openings
from vod2strmfs.mount.numbers import Numbers

KEPT = CACHE_DIR | KEEP_CACHE
"""What the kernel has of the directory, it may use; what it has not, it may keep."""
ANEW = CACHE_DIR
"""What it has, it must drop; it may keep what it reads now."""
PAST = 0
"""It must neither use nor keep anything."""


class Shown:
    """A library whose catalogue changes, and the handlers that show it.

    Args:
        directory: for its files.
    """

    def __init__(self, directory: Path) -> None:
        self._library = Library(directory)
        self._catalogue = Catalogue()
        self._catalogue.movie("Heat")
        self._catalogue.movie("Ran")
        self._library.show(self._catalogue)
        self.store = Store(self._library.state_dir)
        self.handlers = LibraryHandlers(Owner(0, 0, 0))
        self.handlers.show(Tree(self.store))
        self.asked = Kernel(self.handlers)
        self.movies = self.asked.find("Movies").inode
        self.heat = self.asked.find("Movies/Heat").inode

    def change(self, known: bool = True) -> None:
        """Add a film; `known` says whether it is known what changed."""
        self._catalogue.movie(f"Film {self.store.generation}")
        self._library.show(self._catalogue)
        before = self.store.generation
        self.store.refresh()
        folders = self.store.changed_folders(before)
        assert folders is not None
        listings = {folder for folder, is_listing in folders if is_listing}
        self.handlers.show(Tree(self.store), listings if known else None)

    def open(self, directory: int) -> tuple[int, int]:
        """Open a directory; gives the handle and what the kernel is told."""
        return self.asked.opendir(directory)

    def told(self, directory: int) -> int:
        """What the kernel is told when somebody lists a directory."""
        handle, flags = self.asked.opendir(directory)
        self.asked.releasedir(directory, handle)
        return flags

    def names(self, handle: int) -> list[str]:
        """What an open `Movies` holds."""
        return [entry.name for entry in self.asked.readdir(self.movies, handle, 0, 1 << 16)]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """A library with two films."""
    shown = Shown(tmp_path)
    with closing(shown.store):
        yield shown


def test_what_did_not_change_is_kept(shown: Shown) -> None:
    for directory in (ROOT_INODE, shown.movies, shown.heat):
        assert [shown.told(directory) for _ in range(3)] == [KEPT] * 3
    shown.change()
    assert shown.told(shown.heat) == KEPT


def test_what_changed_is_read_again_by_the_next_who_opens_it(shown: Shown) -> None:
    assert shown.told(shown.movies) == KEPT
    shown.change()
    assert [shown.told(shown.movies) for _ in range(3)] == [ANEW, KEPT, KEPT]


def test_what_changed_before_anybody_opened_it_is_not_dropped(shown: Shown) -> None:
    shown.change()
    shown.change(known=False)
    assert shown.told(shown.movies) == KEPT


def test_when_it_is_not_known_what_changed_everything_is_read_again(shown: Shown) -> None:
    directories = (shown.movies, shown.heat)
    assert [shown.told(directory) for directory in directories] == [KEPT] * 2
    shown.change(known=False)
    assert [shown.told(directory) for directory in directories] == [ANEW] * 2
    assert [shown.told(directory) for directory in directories] == [KEPT] * 2


def test_until_the_kernel_has_dropped_a_listing_all_who_open_it_do(shown: Shown) -> None:
    shown.told(shown.movies)
    shown.change()
    first, flags = shown.open(shown.movies)
    assert flags == ANEW
    second, flags = shown.open(shown.movies)
    # That the first was answered does not say that the kernel has read the answer.
    assert flags == ANEW
    assert "Film 1" in shown.names(second)
    third, flags = shown.open(shown.movies)
    assert flags == KEPT
    for handle in (first, second, third):
        shown.asked.releasedir(shown.movies, handle)
    assert shown.told(shown.movies) == KEPT


def test_who_opened_a_folder_before_it_changed_keeps_nobody_from_what_is_new(shown: Shown) -> None:
    old, flags = shown.open(shown.movies)
    assert flags == KEPT
    shown.change()
    # The old one may be about to complete what the kernel keeps, with what was.
    new, flags = shown.open(shown.movies)
    assert flags == PAST
    assert "Film 1" in shown.names(new)
    shown.names(old)
    assert shown.told(shown.movies) == PAST
    shown.asked.releasedir(shown.movies, old)
    assert [shown.told(shown.movies) for _ in range(2)] == [ANEW, KEPT]
    shown.asked.releasedir(shown.movies, new)
    assert shown.told(shown.movies) == KEPT


def test_a_change_while_the_new_listing_is_read_makes_it_an_old_one(shown: Shown) -> None:
    shown.told(shown.movies)
    shown.change()
    first, flags = shown.open(shown.movies)
    assert flags == ANEW
    shown.change()
    shown.names(first)
    assert shown.told(shown.movies) == PAST
    shown.asked.releasedir(shown.movies, first)
    assert [shown.told(shown.movies) for _ in range(2)] == [ANEW, KEPT]


def test_a_listing_that_spans_a_change_repeats_nothing_and_skips_nothing(shown: Shown) -> None:
    handle, _ = shown.open(shown.movies)
    [dot, dotdot, heat] = shown.asked.readdir(shown.movies, handle, 0, 480)
    shown.change()
    rest = shown.asked.readdir(shown.movies, handle, heat.place, 1 << 16)
    assert [entry.name for entry in rest] == ["Ran", "Film 1"]
    assert (dot.place, dotdot.place) == (1, 2)


def test_what_is_known_to_be_whole_is_not_read_when_it_is_opened(shown: Shown) -> None:
    shown.told(shown.movies)
    read = shown.store.asked
    assert shown.told(shown.movies) == KEPT
    assert shown.store.asked == read
    handle, _ = shown.open(shown.movies)
    assert shown.names(handle) == [".", "..", "Heat", "Ran"]


def test_a_handle_that_is_not_open_is_an_error(shown: Shown) -> None:
    handle, _ = shown.open(shown.movies)
    shown.asked.releasedir(shown.movies, handle)
    with pytest.raises(OSError, match="Bad file descriptor"):
        shown.asked.readdir(shown.movies, handle)
    shown.asked.releasedir(shown.movies, handle)
    assert shown.asked.error(kernel.READDIR, shown.movies, b"too short") == "EINVAL"


def test_a_set_of_numbers() -> None:
    numbers = [*range(600), 1 << 30, (0x6A00_0000 << 16) + 5]
    some = Numbers()
    for number in numbers[::2]:
        some.add(number)
    for number in numbers[::4]:
        some.discard(number)
        some.discard(number)
    others = Numbers()
    others.add(1)
    some.update(others)
    there = {number for number in numbers if number in some}
    assert there == {*numbers[::2]} - {*numbers[::4]} | {1}


@pytest.mark.parametrize("shelf", [1, 300])
def test_what_changes_on_a_shelf_leaves_the_listing_in_the_library_alone(shelf: int) -> None:
    movies, on_shelf = folder_inode(MOVIES_NODE), folder_inode(shelved(shelf, MOVIES_NODE))
    openings = Openings()
    openings.close(openings.open(movies, None)[0])
    assert (openings.is_whole(movies), openings.is_whole(on_shelf)) == (True, False)
    openings.close(openings.open(on_shelf, None)[0])
    assert openings.is_whole(on_shelf)
    openings.changed({on_shelf})
    assert openings.open(movies, None)[1] == KEPT
    assert openings.open(on_shelf, None)[1] == ANEW
