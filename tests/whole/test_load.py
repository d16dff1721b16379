"""Load: many scanners while the catalogue changes, and many lives of a mount."""

import math
import multiprocessing
import os
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from ctypes import c_byte
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import psycopg
from databases import Database
from mounts import Mount, eventually, is_mounted, mounted
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue

FILMS = 120
PROCESSES = 4
THREADS = 16
"""In each of the processes."""
_VERSION = re.compile(rb"\[(\d+)\]")


class Scan(NamedTuple):
    """What one process of scanners saw."""

    files: int
    bytes_read: int
    wrong: list[str]


def films() -> Catalogue:
    catalogue = Catalogue()
    account = catalogue.account("Alpha")
    for number in range(FILMS):
        movie = catalogue.movie(f"Film {number}", description="[0] " * 200, relations=[])
        catalogue.relate(movie, account, stream_id=str(number))
    return catalogue


def scan(root: Path, over: c_byte, newest: list[int], seed: int, channel: Connection) -> None:
    """Read random films in many threads until that is over.

    Args:
        root: the directory of the films.
        over: whether it is; shared memory.
        newest: the version last written, by film; shared memory.
        seed: of this process.
        channel: where the `Scan` goes, and nothing when it begins.
    """
    channel.send(None)
    found: list[Scan] = []

    def work(number: int) -> None:
        chance = random.Random(seed * THREADS + number)
        shown = [0] * FILMS
        files = size = 0
        wrong: list[str] = []
        while not over.value:
            film = chance.randrange(FILMS)
            path = root / f"Film {film}" / "movie.nfo"
            try:
                with path.open("rb") as file:
                    content = file.read()
                    length = os.fstat(file.fileno()).st_size
                if chance.random() < 0.02 and len(os.listdir(root)) != FILMS:
                    wrong.append("a shorter listing")
            except OSError as error:
                wrong.append(f"{path.name} of {film}: {error}")
                continue
            files, size = files + 1, size + len(content)
            plot = content.partition(b"<plot>")[2].partition(b"</plot>")[0]
            versions = set(_VERSION.findall(plot))
            version = int(versions.pop()) if len(versions) == 1 else -1
            whole = plot == b" ".join([b"[%d]" % version] * plot.count(b"[")) and plot.count(b"[") >= 200
            if not whole or length != len(content):
                wrong.append(f"film {film}: {content!r}")
            elif not shown[film] <= version <= newest[film]:
                wrong.append(f"film {film}: version {version} after {shown[film]}")
            shown[film] = version
        found.append(Scan(files, size, wrong))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [text for one in found for text in one.wrong]
    channel.send(Scan(sum(one.files for one in found), sum(one.bytes_read for one in found), wrong[:5]))


def shows(path: Path, version: int) -> bool:
    """Whether a film's file is of that version."""
    return f"[{version}]".encode() in path.read_bytes()


def stat_seconds(path: Path) -> float:
    """How long it takes to ask for a file's attributes."""
    started = time.perf_counter()
    with suppress(FileNotFoundError):
        path.stat()
    return time.perf_counter() - started


def resident(mount: Mount) -> int:
    """Memory of the mount's process in kB, without that of files."""
    text = Path(f"/proc/{mount.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1])  # type: ignore[index]


def generations(mount: Mount) -> int:
    """How many were made."""
    return mount.log.read_text().count("Generation")


def test_64_scanners_see_whole_files_that_never_go_back_while_the_catalogue_changes(
    postgres: PostgresServer, tmp_path: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    seconds = 300.0 if soak else 6.0
    database = Database(postgres.new_database()).fill(films())
    context = multiprocessing.get_context("spawn")
    newest, over = context.Array("q", FILMS, lock=False), context.Value("b", 0, lock=False)
    chance = random.Random(0)
    changes = 0
    memory: list[int] = []
    cached: list[float] = []
    asked: list[float] = []
    with (
        psycopg.connect(database.owner_url, autocommit=True) as session,
        mounted(tmp_path, database.url, "--poll-interval", "0.2") as mount,
    ):
        movies = mount.path / "Movies"
        channels, processes = [], []
        for seed in range(PROCESSES):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=scan, args=(movies, over, newest, seed, sender), daemon=True)
            process.start()
            processes.append(process)
            channels.append(receiver)
        for channel in channels:
            channel.recv()
        started = time.monotonic()
        while time.monotonic() < started + seconds or generations(mount) < 3:
            film = chance.randrange(FILMS)
            changes += 1
            # Noted first: a reader may be quicker than we are.
            newest[film] = changes
            description = f"[{changes}] " * chance.randint(200, 900)
            session.execute("UPDATE vod_movie SET description = %s WHERE id = %s", (description, film + 1))
            memory.append(resident(mount))
            for _ in range(5):
                folder = movies / f"Film {chance.randrange(FILMS)}"
                cached.append(stat_seconds(folder / "movie.nfo"))
                # The kernel caches no name that does not exist, so this one the mount has to answer.
                asked.append(stat_seconds(folder / "none"))
            time.sleep(max(0.0, started + changes / 10 - time.monotonic()))
        over.value = 1
        scans = [channel.recv() for channel in channels]
        for process in processes:
            process.join()
        assert [wrong for scan in scans for wrong in scan.wrong] == []
        for film, version in enumerate(newest):
            eventually(partial(shows, movies / f"Film {film}" / "movie.nfo", version))
        assert mount.process.poll() is None
        assert "ERROR" not in mount.log.read_text()
    early, late = memory[len(memory) // 3], memory[-1]
    # What it keeps to be quick is bounded; a leak is not.
    assert late - early < 20_000
    record_property("seconds", seconds)
    record_property("changes", changes)
    record_property("files read", sum(scan.files for scan in scans))
    record_property("bytes checked", sum(scan.bytes_read for scan in scans))
    record_property("generations", generations(mount))
    for what, taken in (("a file", cached), ("a name that does not exist", asked)):
        record_property(
            f"stat of {what}, p50 and p99 in ms", [round(quantiles(taken, n=100)[n] * 1000, 3) for n in (49, 98)]
        )
    record_property("memory in kB after a third, at the end", (early, late))


def test_lives_of_a_mount_leave_nothing_behind(
    tmp_path: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """Several at a time, since most of a life is waiting; on a busy machine fewer, to leave time for other tests."""
    lives, at_once, seconds = (200, 4, 240.0) if soak else (6, 2, math.inf)
    directories = [tmp_path / f"lives{number}" for number in range(at_once)]
    with fuse_connections(tmp_path) as connections, ThreadPoolExecutor(at_once) as pool:
        first = [*pool.map(partial(live, lives=1), directories)]
        before = remains(tmp_path)
        end = time.monotonic() + seconds
        all_numbers = [*pool.map(partial(live, lives=lives // at_once, end=end), directories)]
        # What a killed one leaves, the next one clears away.
        last = [*pool.map(partial(live, lives=1), directories)]
        numbers = {number for part in (*first, *all_numbers, *last) for number in part}
        eventually(lambda: remains(tmp_path) == before)
        eventually(lambda: not connections() & numbers - mounted_devices())
    record_property("lives", sum(map(len, all_numbers)))


def live(directory: Path, lives: int, end: float = math.inf) -> list[int]:
    """Mount and end it again and again, until the end of the time; returns the numbers of the kernel's connections."""
    directory.mkdir(exist_ok=True)
    database = Database(f"sqlite:///{directory}/dispatcharr.db")
    if not (directory / "state").exists():
        database.fill(films())
    numbers: list[int] = []
    path = directory / "mount"
    for life in range(lives):
        if time.monotonic() > end:
            break
        with mounted(directory, database.url) as mount:
            assert len(os.listdir(mount.path / "Movies")) == FILMS
            numbers.append(os.minor(mount.path.stat().st_dev))
            if life % 3 == 0:
                # A process that another thread is starting may still hold our descriptor of the listing.
                eventually(lambda: subprocess.run(["fusermount3", "-u", path], check=False).returncode == 0)
                assert mount.process.wait(120) == 0
            elif life % 3 == 1:
                mount.process.kill()
                mount.process.wait()
                subprocess.run(["umount", "-l", mount.path], check=True)
        assert not is_mounted(mount.path)
    return numbers


@contextmanager
def fuse_connections(directory: Path) -> Iterator[Callable[[], set[int]]]:
    """What tells which file systems the kernel holds a connection to a process for, mounted or not."""
    control = directory / "connections"
    control.mkdir()
    subprocess.run(["mount", "-t", "fusectl", "fusectl", control], check=True)
    try:
        yield lambda: {int(path.name) for path in control.iterdir()}
    finally:
        subprocess.run(["umount", control], check=True)


def mounted_devices() -> set[int]:
    """The device numbers of all that is mounted anywhere: another's mount may have got the number that ours had."""
    numbers = set()
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        with suppress(OSError):
            numbers |= {int(line.split()[2].partition(":")[2]) for line in path.read_text().splitlines()}
    return numbers


def remains(directory: Path) -> dict[str, object]:
    """What a mount could leave on a machine."""
    processes = subprocess.run(["pgrep", "-f", str(directory)], capture_output=True, text=True, check=False)
    return {
        "our descriptors": len(os.listdir("/proc/self/fd")),
        "our threads": len(os.listdir("/proc/self/task")),
        "mounts": sum(str(directory) in line for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes": processes.stdout.split(),
        # The index has a log beside it, or not: that depends on who closed it last.
        # The kernel's connections are those of the whole machine.
        "files": sorted(
            path.name
            for path in directory.rglob("*")
            if not path.name.endswith((".log", "-wal", "-shm")) and "connections" not in path.parts
        ),
    }


def test_a_mounts_descriptors_and_threads_stay_the_same(tmp_path: Path, soak: bool) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films())
    with mounted(tmp_path, database.url, "--poll-interval", "0.2") as mount:
        film = mount.path / "Movies/Film 0/movie.nfo"

        def used() -> tuple[int, int]:
            process = Path(f"/proc/{mount.process.pid}")
            return len(os.listdir(process / "fd")), len(os.listdir(process / "task"))

        def change(number: int) -> None:
            database.execute("UPDATE vod_movie SET description = ? WHERE id = 1", f"[{number}]")
            eventually(lambda: f"[{number}]".encode() in film.read_bytes())

        change(1)
        time.sleep(1)  # What copies the index's log after a change has closed it by then.
        descriptors, threads = used()
        for number in range(2, 20 if soak else 12):
            change(number)
        # A thread with nothing to do ends after some seconds.
        eventually(lambda: used()[0] == descriptors and used()[1] <= threads)
