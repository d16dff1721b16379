"""Reading through a mount: what it asks of us, and that the bytes are right whoever reads at the same time."""

import os
import random
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from databases import Database
from mounts import mounted

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.mount.device import Device
from vod2strmfs.mount.run import first_scan

NEVER = ("--poll-interval", "3600")


def library() -> Catalogue:
    """Films, one of which has a long story, and a series."""
    catalogue = Catalogue()
    for number in range(60):
        catalogue.movie(f"Film {number}", description=f"Plot {number}. " * (number % 30))
    catalogue.movie("Long", description="Of men and money. " * 6000)
    lost = catalogue.series("Lost")
    for number in range(1, 20):
        catalogue.episode(lost, 1, number, "Episode")
    return catalogue


def contents(state: Path) -> dict[str, bytes]:
    """Every file by its path, as the index has it."""
    with closing(Store(state)) as store:
        tree = Tree(store)
        return {path: tree.read(entry.inode) for path, entry in tree.walk() if not entry.is_dir}


def read(path: Path) -> bytes:
    """All that is in a file. Python's own way asks besides whether it is a terminal."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def forget_pages(path: Path) -> None:
    """Let the kernel give up what it has of a file's content."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def test_reading_a_file_makes_two_requests_the_first_time_too(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url, *NEVER) as mount:
        expected = contents(tmp_path / "state")
        # Whoever lists knows every name.
        assert len([path for path in mount.path.rglob("*") if path.is_file()]) == len(expected) + 1
        # The first who closes a file tells the kernel that there is nothing to flush.
        read(mount.path / ".stats.csv")
        for _ in range(2):
            before = mount.requests()
            for path, content in expected.items():
                assert read(mount.path / path) == content
            assert mount.requests() == before + 2 * len(expected) + 1


def test_what_the_kernel_has_given_up_is_read_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    with mounted(tmp_path, database.url, *NEVER) as mount:
        path, content = mount.path / "Movies/Film 7/movie.nfo", contents(tmp_path / "state")["Movies/Film 7/movie.nfo"]
        for _ in range(3):
            assert read(path) == content
            forget_pages(path)
        before = mount.requests()
        assert read(path) == content
        assert mount.requests() >= before + 3 + 1


def test_who_reads_the_same_files_at_once_gets_them_whole(tmp_path: Path, soak: bool) -> None:
    """Some of them through pages that the kernel is giving up, some past its pages."""
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(library())
    wrong: list[str] = []
    with mounted(tmp_path, database.url, *NEVER) as mount:
        expected = contents(tmp_path / "state")

        def read_all(number: int) -> None:
            chance = random.Random(number)
            for _ in range(40 if soak else 4):
                for path in chance.sample([*expected], len(expected)):
                    if number % 4 == 1:
                        forget_pages(mount.path / path)
                    if read(mount.path / path) != expected[path]:
                        wrong.append(path)

        readers = [threading.Thread(target=partial(read_all, number)) for number in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert wrong == []


@pytest.mark.parametrize(("a_second", "lasts", "seconds"), [(0, 9, 0.3), (200, 9, 0.3), (5000, 2, 2.3), (5000, 9, 5)])
def test_the_worker_waits_for_a_scan_right_after_the_start_but_not_for_long(
    a_second: int, lasts: float, seconds: float
) -> None:
    device, waited = Device(lambda _: None), 0.0

    async def scan() -> None:
        while trio.current_time() < lasts:
            device.requests += a_second // 100
            await trio.sleep(0.01)

    async def main() -> None:
        nonlocal waited
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scan)
            await first_scan(device)
            waited = trio.current_time()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert waited == pytest.approx(seconds, abs=0.31)
