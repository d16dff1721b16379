"""What each request is answered, asked in the kernel's words: without a kernel, a mount or a process."""

import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import kernel
import pytest
from kernel import Kernel
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import ROOT_INODE
from vod2strmfs.library.tree import Tree
from vod2strmfs.mount.handlers import CACHE_SECONDS, LibraryHandlers, Owner


@pytest.fixture
def handlers(tmp_path: Path) -> Iterator[LibraryHandlers]:
    """The handlers of a library with films and a series."""
    catalogue = Catalogue()
    for number in range(30):
        catalogue.movie(f"Film {number}", description="Of men and money.")
    catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot")
    library = Library(tmp_path)
    library.show(catalogue)
    handlers = LibraryHandlers(Owner(1000, 1001, 0o027))
    with closing(Store(library.state_dir)) as store:
        handlers.show(Tree(store, with_stats=True))
        yield handlers


@pytest.fixture
def asked(handlers: LibraryHandlers) -> Kernel:
    """Who asks these handlers."""
    return Kernel(handlers)


@pytest.mark.parametrize("plus", [True, False])
@pytest.mark.parametrize("size", [160, 200, 400, 1000, 4096, 32768])
def test_a_listing_is_whole_and_in_one_order_however_little_fits_into_an_answer(
    asked: Kernel, size: int, plus: bool
) -> None:
    listed = asked.list(asked.find("Movies").inode, size, plus)
    assert [entry.name for entry in listed] == [".", "..", *(f"Film {number}" for number in range(30))]
    assert {entry.kind for entry in listed} == {stat.S_IFDIR >> 12}


def test_a_listing_goes_on_from_any_place(asked: Kernel) -> None:
    movies = asked.find("Movies").inode
    whole = asked.list(movies)
    handle, _ = asked.opendir(movies)
    for position, entry in enumerate(whole):
        rest = asked.readdir(movies, handle, entry.place, 1 << 16)
        assert rest == whole[position + 1 :]
    assert asked.readdir(movies, handle, 0, 1 << 16) == whole


def test_an_answer_without_room_for_an_entry_is_an_error_and_not_the_end(asked: Kernel) -> None:
    movies = asked.find("Movies").inode
    handle, _ = asked.opendir(movies)
    body = struct.pack("=QQIIQII", handle, 0, 100, 0, 0, 0, 0)
    assert asked.error(kernel.READDIRPLUS, movies, body) == "EINVAL"


def test_a_listing_tells_the_attributes_that_a_name_has(asked: Kernel) -> None:
    film = asked.find("Movies/Film 3").inode
    for entry in asked.list(film)[2:]:
        found = asked.lookup(film, entry.name.encode())
        assert entry.entry == found
        assert (entry.inode, entry.place) == (found.inode, found.inode)
        assert found.attributes == asked.getattr(found.inode)


def test_a_name_is_found_with_its_attributes_and_its_absence_is_for_the_kernel_to_remember(asked: Kernel) -> None:
    film = asked.find("Movies/Film 3/Film 3.strm")
    assert (film.attributes.uid, film.attributes.gid, oct(film.attributes.mode)) == (1000, 1001, "0o100440")
    assert (film.attributes.nlink, film.attributes.blocks, film.entry_valid) == (1, 1, CACHE_SECONDS)
    nothing = asked.find("Movies/Film 3/poster.jpg")
    assert (nothing.inode, nothing.entry_valid) == (0, CACHE_SECONDS)


def test_names_that_cannot_be_are_refused(asked: Kernel) -> None:
    assert asked.error(kernel.LOOKUP, ROOT_INODE, b"x" * 256 + b"\0") == "ENAMETOOLONG"
    assert asked.error(kernel.LOOKUP, ROOT_INODE, b"\xff\0") == "ENOENT"
    for name in (b"", b"\0", b"Movies"):
        assert asked.error(kernel.LOOKUP, ROOT_INODE, name) == "EINVAL"


def test_the_kernel_is_given_a_file_when_it_is_first_opened(handlers: LibraryHandlers, asked: Kernel) -> None:
    told: list[bytes] = []
    handlers.tell = told.append
    for name in ("movie.nfo", "Film 3.strm"):
        found = asked.find(f"Movies/Film 3/{name}")
        for _ in range(2):
            handle, flags = asked.open(found.inode)
            assert flags == kernel.KEEP_CACHE
            handlers.show(handlers.tree)
        content = asked.read(found.inode, handle, 0, 1 << 20)
        # fuse_out_header: len, error (FUSE_NOTIFY_STORE), unique; fuse_notify_store_out: nodeid, offset, size, padding.
        head = struct.pack("=IiQQQII", 40 + len(content), 4, 0, found.inode, 0, len(content), 0)
        assert told == [head + content]
        told.clear()
        handlers.prepare()


def test_an_open_file_stays_what_it_was_though_nobody_has_read_it(tmp_path: Path) -> None:
    catalogue = Catalogue()
    film = catalogue.movie("Heat", description="Of men and money.")
    library = Library(tmp_path)
    library.show(catalogue)
    handlers = LibraryHandlers(Owner(0, 0, 0))
    with closing(Store(library.state_dir)) as store:
        handlers.show(Tree(store))
        asked = Kernel(handlers)
        before = asked.find("Movies/Heat/movie.nfo")
        handle, _ = asked.open(before.inode)
        film.description = "Of something else, told at length."
        library.show(catalogue)
        handlers.settle()
        store.refresh()
        handlers.show(Tree(store))
        after = asked.find("Movies/Heat/movie.nfo")
        assert after.inode != before.inode
        content = asked.read(before.inode, handle, 0, 1 << 20)
        assert len(content) == before.attributes.size
        assert b"Of men and money." in content
        again, _ = asked.open(after.inode)
        assert b"Of something else" in asked.read(after.inode, again, 0, 1 << 20)


def test_an_open_file_of_an_index_that_is_lost_says_nothing_of_the_file_that_has_its_number_now(
    tmp_path: Path,
) -> None:
    handlers = LibraryHandlers(Owner(0, 0, 0))
    asked, told = Kernel(handlers), list[bytes]()
    handlers.tell = told.append
    libraries = []
    for plot in ("Of men and money.", "Of cats and honey."):
        library = Library(tmp_path / plot)
        catalogue = Catalogue()
        catalogue.movie("Heat", description=plot)
        (tmp_path / plot).mkdir()
        library.show(catalogue)
        libraries.append(library)
    with closing(Store(libraries[0].state_dir)) as first, closing(Store(libraries[1].state_dir)) as second:
        handlers.show(Tree(first))
        before = asked.find("Movies/Heat/movie.nfo")
        old, _ = asked.open(before.inode)
        handlers.settle()
        handlers.start_afresh()
        handlers.show(Tree(second))
        after = asked.find("Movies/Heat/movie.nfo")
        assert after.inode == before.inode
        for _ in range(2):
            assert b"men and money" in asked.read(before.inode, old, 0, 1 << 20)
            new, _ = asked.open(after.inode)
            assert b"cats and honey" in asked.read(after.inode, new, 0, 1 << 20)


def test_a_file_whose_content_could_not_be_read_for_once_can_be_read_the_next_time(
    handlers: LibraryHandlers, asked: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers.tell = list[bytes]().append
    film = asked.find("Movies/Film 3/movie.nfo")
    body = struct.pack("=QQIIQII", 0, 0, 1 << 16, 0, 0, 0, 0)
    with monkeypatch.context() as failing:
        failing.setattr(Tree, "open", raising(IndexFileError("the index cannot be read: disk I/O error")))
        handle, _ = asked.open(film.inode)
        assert asked.error(kernel.READ, film.inode, struct.pack("=Q", handle) + body[8:]) == "EIO"
        unread, _ = asked.open(asked.find("Movies/Film 4/movie.nfo").inode)
    assert b"men and money" in asked.read(film.inode, handle, 0, 1 << 20)
    with monkeypatch.context() as failing:
        failing.setattr(Tree, "open", raising(IndexFileError("the index cannot be read: disk I/O error")))
        handlers.settle()
    lost = asked.find("Movies/Film 4/movie.nfo").inode
    assert asked.error(kernel.READ, lost, struct.pack("=Q", unread) + body[8:]) == "EIO"
    again, _ = asked.open(lost)
    assert b"men and money" in asked.read(lost, again, 0, 1 << 20)


def raising(error: Exception) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise error

    return fail


def test_what_is_read_is_as_long_as_was_said_at_any_offset(asked: Kernel) -> None:
    found = asked.find("Movies/Film 3/movie.nfo")
    length = found.attributes.size
    handle, flags = asked.open(found.inode)
    assert flags == kernel.KEEP_CACHE
    whole = asked.read(found.inode, handle, 0, 1 << 20)
    assert len(whole) == length
    for offset, size in ((0, 10), (5, 1), (length - 1, 100), (length, 10), (length + 5, 10), (1 << 62, 10)):
        assert asked.read(found.inode, handle, offset, size) == whole[offset : offset + size]
    asked.release(found.inode, handle)
    body = struct.pack("=QQIIQII", handle, 0, 10, 0, 0, 0, 0)
    assert asked.error(kernel.READ, found.inode, body) == "EBADF"


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_RDONLY | os.O_APPEND])
def test_nothing_is_opened_for_writing(asked: Kernel, flags: int) -> None:
    found = asked.find("Movies/Film 3/movie.nfo")
    assert asked.error(kernel.OPEN, found.inode, struct.pack("=II", flags, 0)) == "EROFS"


def test_dots_are_answered_for_those_who_have_nothing_but_a_number(asked: Kernel) -> None:
    movies, film = asked.find("Movies").inode, asked.find("Movies/Film 3").inode
    assert asked.lookup(film, b".").inode == film
    assert asked.lookup(film, b"..").inode == movies
    assert asked.lookup(movies, b"..").inode == ROOT_INODE


def test_no_attribute_is_listed_and_those_of_ours_can_be_asked_for(asked: Kernel) -> None:
    film = asked.find("Movies/Film 3/Film 3.strm").inode
    assert asked.ask(kernel.LISTXATTR, film, struct.pack("=II", 0, 0)) == bytes(8)
    assert asked.ask(kernel.LISTXATTR, film, struct.pack("=II", 100, 0)) == b""
    name = b"user.vod2strmfs.type"
    assert asked.getxattr(film, name) == b"movie"
    assert asked.getxattr(film, name, 0) == struct.pack("=II", len("movie"), 0)
    assert asked.error(kernel.GETXATTR, film, struct.pack("=II", 4, 0) + name + b"\0") == "ERANGE"
    for other in (b"user.vod2strmfs.none", b"security.capability", b"user.other"):
        assert asked.error(kernel.GETXATTR, film, struct.pack("=II", 100, 0) + other + b"\0") == "ENODATA"


def test_requests_that_change_nothing_are_not_sent_again(asked: Kernel) -> None:
    film = asked.find("Movies/Film 3/Film 3.strm").inode
    for opcode in (kernel.FLUSH, kernel.ACCESS, kernel.FSYNCDIR, 20, 39, 40, 46, 50, 52, 4711, 0):
        assert asked.error(opcode, film, bytes(64)) == "ENOSYS"


def test_the_attributes_that_samba_asks_of_every_file_are_not_asked_again(asked: Kernel) -> None:
    film = asked.find("Movies/Film 3/Film 3.strm").inode
    room = struct.pack("=II", 100, 0)
    assert asked.error(kernel.LISTXATTR, film, room) == ""
    assert asked.error(kernel.GETXATTR, film, room + b"user.DOSATTRIB\0") == "ENOSYS"
    assert asked.error(kernel.LISTXATTR, film, room) == "ENOSYS"


def test_what_writes_is_refused(asked: Kernel) -> None:
    for opcode in (4, 6, 8, 9, 10, 11, 12, 13, kernel.WRITE, 21, 24, kernel.CREATE, kernel.FALLOCATE, 45, 51):
        assert asked.error(opcode, ROOT_INODE, bytes(100)) == "EROFS"


def test_what_expects_no_reply_gets_none(asked: Kernel) -> None:
    for opcode in (kernel.FORGET, kernel.BATCH_FORGET, kernel.INTERRUPT):
        assert asked.send(opcode, ROOT_INODE, bytes(24)) is None
    assert asked.ask(kernel.DESTROY, 0) == b""


def test_the_file_system_is_full(asked: Kernel) -> None:
    blocks, free, available, files, free_files, block, longest, fragment = struct.unpack_from(
        "=5Q3I", asked.ask(kernel.STATFS, ROOT_INODE)
    )
    assert (free, available, free_files, block, longest, fragment) == (0, 0, 0, 4096, 255, 4096)
    assert (blocks, files) == (0, 0)


def test_an_inode_that_is_not_there_is_stale(asked: Kernel) -> None:
    for inode in (1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        assert asked.error(kernel.GETATTR, inode, bytes(16)) == "ESTALE"
        assert asked.error(kernel.OPEN, inode, bytes(8)) == "ESTALE"
        assert asked.error(kernel.OPENDIR, inode, bytes(8)) == "ESTALE"


def test_a_file_is_not_opened_as_a_directory(asked: Kernel) -> None:
    asked.list(asked.find("Movies/Film 3").inode)
    film = asked.find("Movies/Film 3/Film 3.strm").inode
    assert asked.error(kernel.OPENDIR, film, bytes(8)) == "ESTALE"


def test_without_a_tree_every_request_is_an_error_and_the_numbers_mean_something_else_afterwards(
    handlers: LibraryHandlers, asked: Kernel
) -> None:
    movies = asked.find("Movies")
    asked.list(movies.inode)
    tree = handlers.tree
    handlers.start_afresh()
    for opcode, body in (
        (kernel.LOOKUP, b"Movies\0"),
        (kernel.GETATTR, bytes(16)),
        (kernel.OPENDIR, bytes(8)),
        (kernel.OPEN, bytes(8)),
    ):
        assert asked.error(opcode, movies.inode, body) == "EIO"
    assert handlers.failures == 4
    handlers.show(tree)
    again = asked.find("Movies")
    assert again.inode == movies.inode
    assert again.generation != movies.generation


def test_a_listing_that_was_begun_in_an_index_that_is_lost_ends_with_an_error(
    handlers: LibraryHandlers, asked: Kernel
) -> None:
    movies = asked.find("Movies").inode
    handle, _ = asked.opendir(movies)
    begun = asked.readdir(movies, handle, 0, 1000)
    tree = handlers.tree
    handlers.start_afresh(patience=60)
    body = struct.pack("=QQIIQII", handle, begun[-1].place, 1 << 16, 0, 0, 0, 0)
    for shown in (None, tree):
        handlers.show(shown)
        assert asked.error(kernel.READDIRPLUS, movies, body) == "EIO"
    assert len(asked.list(asked.find("Movies").inode)) == 32


def test_while_a_tree_is_about_to_come_requests_have_to_wait(handlers: LibraryHandlers, asked: Kernel) -> None:
    from vod2strmfs.mount.wire import NotYetError

    tree = handlers.tree
    film = asked.find("Movies/Film 3")
    handlers.start_afresh(patience=60)
    failing = handlers.failures
    for opcode, body in ((kernel.LOOKUP, b"Movies\0"), (kernel.GETATTR, bytes(16)), (kernel.OPENDIR, bytes(8))):
        with pytest.raises(NotYetError):
            asked.send(opcode, ROOT_INODE, body)
        # In the next tree this number may be another film's.
        assert asked.error(opcode, film.inode, body) == "ESTALE"
    assert handlers.failures == failing
    handlers.show(tree)
    assert asked.find("Movies").inode
