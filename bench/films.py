"""Films that play, against rclone mount: both show the films of one double, at whose provider an answer takes 30 ms.

Ours comes through the double of Dispatcharr's proxy. rclone needs a listing and HEAD, which Dispatcharr has not, so it
asks the provider's side of the same double: the same code sends it the bytes. For a seek, another mount of ours asks
that side, too (`direct_urls`). All are asked by the same reads. What is read for the first time is a film that nobody
has read: nobody has it in a cache.
"""

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple
from urllib.request import Request, urlopen
from uuid import UUID

from dispatcharr_proxy import ProxyProcess
from film_provider import Stream
from films import catalogue_of, make_films, make_large
from postgres_server import PostgresServer

from bench.catalogues import Size, catalogue
from bench.harness import PAIRS, Figure, alternate, timed

LATENCY = 0.03
"""Seconds until the provider's answer begins."""
VIEWERS = 4
VIEW_SECONDS = 60
"""How long they view; the issue's 5 minutes are `films-long`."""
_RATE = 10_000_000
"""Bytes a second of a viewer: 80 Mbit/s."""
_BLOCK = 1 << 17
_MEGABYTE = 1 << 20
_READ_BYTES = 400 * _MEGABYTE
_LARGE_BYTES = 12_000_000_000
_VIEW_FROM = 7_000 * _MEGABYTE
"""Behind what is read before: the kernel and rclone's cache keep that."""
_SEEKS = 20
_MODES = ("full", "off")
"""Of rclone's `--vfs-cache-mode`."""
_LEARNT = PAIRS + 3 * len(_MODES) + 1
"""Films that something is done with for the first time: of ours, and as many for each of rclone's modes."""
_HURRY = ("--learn-rate", "6000", "--max-streams", "100")
_LIBRARY = Size(2_400, 300, 3_700)
"""What the .strm library has that is mounted beside the films."""
_SCANS = 30
"""Of the library, while films are viewed: each takes a twentieth of a second, and others work meanwhile, too."""
_TIMEOUT = 300.0


class Mounts(NamedTuple):
    """What shows the films."""

    ours: Path
    """The folder of the movies."""
    direct: Path
    """The same of another mount, which asks the provider itself."""
    library: Path
    """The .strm library's mount, beside it."""
    rclones: dict[str, Path]
    """By mode."""
    proxy: ProxyProcess
    process: int
    """The one that serves ours."""
    resting: int
    """Bytes of its memory before anything was read."""
    learnt: Iterator[str]
    """Streams that are learnt and that nobody has read."""
    learnt_directly: Iterator[str]
    """The same by the other mount."""
    fresh: Iterator[str]
    """Streams that nobody has read, for rclone."""


def measure(directory: Path) -> Iterator[Figure]:
    """All of it, with viewers for a minute. Takes about six minutes."""
    with show_films(directory) as mounts:
        yield from _small_reads(mounts)
        yield from _throughput(mounts)
        yield from _requests(mounts)
        yield from view(mounts, VIEW_SECONDS)


def _small_reads(mounts: Mounts) -> Iterator[Figure]:
    """Each round has a film for each of them that nobody has read, in turn."""
    rounds = []
    for number in range(PAIRS):
        films = {
            "ours": _ours(mounts),
            "direct": mounts.direct / _name(next(mounts.learnt_directly), ".mkv"),
            **{mode: _theirs(mounts, mode) for mode in _MODES},
        }
        names = [*films][number % 4 :] + [*films][: number % 4]
        rounds.append({name: (_first_byte(films[name]), _seek(films[name])) for name in names})
    for title, work, ours, target in (
        ("first byte after open, of a learnt film", 0, "ours", 0.2),
        ("a seek until its first byte", 1, "ours", 0.7),
        ("a seek until its first byte, of the same server", 1, "direct", 0.7),
    ):
        for mode in _MODES:
            pairs = [(each[ours][work], each[mode][work]) for each in rounds]
            yield Figure.of_pairs(title, f"rclone mount, {mode}", pairs, target)


def _throughput(mounts: Mounts) -> Iterator[Figure]:
    places = itertools.count(0, _READ_BYTES // VIEWERS)
    for readers, target in ((1, 1 / 0.9), (VIEWERS, 1.0)):
        for mode, rclone in mounts.rclones.items():

            def read(path: Callable[[int], Path], readers: int = readers) -> float:
                # Each time another part of the films: the kernel and rclone's cache keep what was read.
                start = next(places)
                for _ in range(VIEWERS // readers - 1):
                    next(places)
                commands = [
                    ["dd", f"if={path(number)}", "of=/dev/null", "bs=1M", f"skip={start // _MEGABYTE}",
                     f"count={_READ_BYTES // readers // _MEGABYTE}", "status=none"]
                    for number in range(readers)
                ]  # fmt: skip
                return timed(lambda: _run_all(commands))

            pairs = list(
                alternate(
                    lambda: read(lambda number: mounts.ours / _name(_large(number), ".mp4")),
                    lambda: read(lambda number: rclone / f"{_large(number)}.mp4"),  # noqa: B023
                    3,
                )
            )
            yield Figure.of_pairs(
                f"sequential reading, {readers} at once", f"rclone mount, {mode}", pairs, target
            )  # fmt: skip


def _requests(mounts: Mounts) -> Iterator[Figure]:
    account, film = _ours_of_account(mounts)
    before = mounts.proxy.counters()["sent_of"][account]
    command: list[str | Path] = ["ffprobe", "-v", "error", "-show_format", "-show_streams", film]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    sent = mounts.proxy.counters()["sent_of"][account] - before
    yield Figure.of("sent by the provider for an ffprobe", [sent], 0, "bytes")
    for mode in _MODES:
        pairs = []
        for _ in range(3):
            counted = []
            for film in (_ours(mounts), _theirs(mounts, mode)):
                before = mounts.proxy.counters()["requests"]
                _play(film)
                counted.append(float(mounts.proxy.counters()["requests"] - before))
            pairs.append((counted[0], counted[1]))
        yield Figure.of_pairs(
            f"answers that the provider opens in a play with {_SEEKS} seeks", f"rclone mount, {mode}", pairs, 0.5
        )


class Watched(NamedTuple):
    """What was measured while films were viewed."""

    late: list[float]
    """By how many seconds the worst block of each viewer came too late."""
    scans: list[float]
    """Seconds that each scan of the library took."""
    memory: int
    """Bytes of ours, near the end."""
    cores: float
    """Seconds of processor time that ours took a second."""


def view(mounts: Mounts, seconds: float) -> Iterator[Figure]:
    at_rest = [timed(lambda: _scan(mounts.library)) for _ in range(_SCANS)]
    films = [mounts.ours / _name(_large(number), ".mp4") for number in range(VIEWERS)]
    ours = _watch(mounts, [partial(_open_film, film) for film in films], seconds)
    # The viewers and the provider's double take of the same machine. This is what they take without us.
    urls = [f"{mounts.proxy.provider_url}/listing/0/{_large(number)}.mp4" for number in range(VIEWERS)]
    plain = _watch(mounts, [partial(_open_url, url) for url in urls], seconds / 2)
    watched = f"{VIEWERS} viewers at 80 Mbit/s for {seconds:.0f} s"
    memory = (ours.memory - mounts.resting) / VIEWERS / _MEGABYTE
    yield Figure.of(f"{watched}: processor time a second", [ours.cores], 1.0, "s")
    yield Figure.of(f"{watched}: memory a film", [memory], 48, "MB")
    yield Figure.of(f"{watched}: longest wait for what should be here", ours.late, 0.5, "s")
    for against, scans in (("at rest", at_rest), ("while they view without us, by plain HTTP", plain.scans)):
        pairs = list(zip(ours.scans, scans, strict=True))
        yield Figure.of_pairs("`find -type f` in the library's mount meanwhile", f"the same {against}", pairs, 1.1)


def _watch(mounts: Mounts, films: list[Callable[[], IO[bytes]]], seconds: float) -> Watched:
    """Have films viewed at once, and scan the library meanwhile."""
    late: list[float] = []
    threads = [threading.Thread(target=lambda film=film: late.append(_view(film, seconds))) for film in films]
    began, used = time.monotonic(), _processor(mounts.process)
    for each in threads:
        each.start()
    time.sleep(seconds / 4)
    scans = [timed(lambda: _scan(mounts.library)) for _ in range(_SCANS)]
    time.sleep(max(0.0, began + seconds * 0.9 - time.monotonic()))
    memory = _memory(mounts.process)
    for each in threads:
        each.join()
    return Watched(late, scans, memory, (_processor(mounts.process) - used) / (time.monotonic() - began))


# What readers do. Each opens the film anew.


def _first_byte(film: Path) -> float:
    started = time.perf_counter()
    with film.open("rb", buffering=0) as file:
        file.read(1)
        return time.perf_counter() - started


def _seek(film: Path) -> float:
    """Play 8 MB, then go to the middle."""
    with film.open("rb", buffering=0) as file:
        for _ in range(64):
            file.read(_BLOCK)
        started = time.perf_counter()
        file.seek(film.stat().st_size // 2)
        file.read(1)
        return time.perf_counter() - started


def _play(film: Path) -> None:
    """As a media server plays: each seek opens the film anew, reads its head and its index, then goes where it is to.
    Every other seek is a short way on; a player at 3 MB/s would have got there by itself in four seconds."""
    size = film.stat().st_size
    chance, place = random.Random(1), 0
    for number in range(_SEEKS + 1):
        with film.open("rb", buffering=0) as file:
            if number:
                place = place + 12_000_000 if number % 2 else chance.randrange(size // 10, size * 8 // 10)
            for start, count in ((0, 1), (size - _BLOCK, 1), (place, 24)):
                file.seek(start)
                for _ in range(count):
                    file.read(_BLOCK)


def _view(open_film: Callable[[], IO[bytes]], seconds: float) -> float:
    """Read at a viewer's rate, four seconds ahead; returns by how many seconds the worst block came too late."""
    worst, position, ahead = 0.0, 0, 4.0
    with open_film() as file:
        began = time.monotonic()
        while position < _RATE * seconds:
            due = began + position / _RATE
            time.sleep(max(0.0, due - time.monotonic()))
            position += len(file.read(_BLOCK))
            worst = max(worst, time.monotonic() - due - ahead)
    return worst


def _open_film(film: Path) -> IO[bytes]:
    file = film.open("rb", buffering=0)
    file.seek(_VIEW_FROM)
    return file


def _open_url(url: str) -> IO[bytes]:
    answer: IO[bytes] = urlopen(Request(url, headers={"Range": f"bytes={_VIEW_FROM}-"}), timeout=_TIMEOUT)
    return answer


def _scan(library: Path) -> None:
    subprocess.run(["find", library, "-type", "f"], check=True, stdout=subprocess.DEVNULL)


# The mounts.


def _stream(number: int) -> str:
    return f"{1000 + number}"


def _large(number: int) -> str:
    return f"{9000 + number}"


def _name(stream: str, extension: str) -> Path:
    name = f"Film {stream} (2001)"
    return Path(name, name + extension)


def _ours(mounts: Mounts) -> Path:
    return _ours_of_account(mounts)[1]


def _ours_of_account(mounts: Mounts) -> tuple[str, Path]:
    """A film of ours, with its account, which has no other."""
    stream = next(mounts.learnt)
    return stream, mounts.ours / _name(stream, ".mkv")


def _theirs(mounts: Mounts, mode: str) -> Path:
    return mounts.rclones[mode] / f"{next(mounts.fresh)}.mkv"


@contextmanager
def show_films(directory: Path) -> Iterator[Mounts]:
    films = make_films(directory / "films", times=60)
    large = make_large(films["mp4-moov-behind"], directory / "films/large.mp4", _LARGE_BYTES)
    fresh = [_stream(number) for number in range(_LEARNT * (1 + len(_MODES)))]
    # An account for each film: of one account, they are learnt one after the other.
    streams = [Stream(str(UUID(int=int(each))), int(each), each, films["mkv-cues-behind"]) for each in fresh]
    of_rclone = streams[_LEARNT:]
    del streams[_LEARNT:]
    for number in range(VIEWERS):
        name = _large(number)
        streams.append(Stream(str(UUID(int=int(name))), int(name), name, large, extension=".mp4"))
    with ExitStack() as stack:
        proxy = stack.enter_context(ProxyProcess([*streams, *of_rclone], window=0.0))
        database = stack.enter_context(PostgresServer()).new_database()
        names = {each.uuid: f"Film {each.stream}" for each in streams}
        catalogue_of(streams, names, server_url=proxy.provider_url).write(database)
        library = directory / "library"
        library.mkdir()
        url = stack.enter_context(catalogue(_LIBRARY))
        at = ("--database", url, "--state-dir", directory / "library-state")
        stack.enter_context(_serving(("mount", library, *at), library))
        shown = []
        for name, more in (("ours", ()), ("direct", ("--direct-urls",))):
            path, state = directory / name, directory / f"state-{name}"
            path.mkdir()
            options = ("--database", database, "--base-url", proxy.url, "--state-dir", state, *more)
            _vod2strmfs("sync", *options)
            # How gently films are learnt is not asked here, nor how much faster than it plays a film is read.
            process = stack.enter_context(_serving(("films", path, *options, *_HURRY, "--pace", "1000"), path))
            _wait(lambda: len(os.listdir(path / "Movies")) == len(streams))  # noqa: B023
            shown.append((path / "Movies", process))
        (ours, process), (direct, _) = shown
        proxy.change(always={"latency": LATENCY})
        rclones = {}
        for mode in _MODES:
            path = rclones[mode] = directory / f"rclone-{mode}"
            path.mkdir()
            stack.enter_context(_rclone(path, mode, proxy.provider_url, directory))
        yield Mounts(
            ours,
            direct,
            library,
            rclones,
            proxy,
            process,
            _memory(process),
            iter(fresh[:_LEARNT]),
            iter(fresh[:_LEARNT]),
            iter(fresh[_LEARNT:]),
        )


@contextmanager
def _serving(arguments: tuple[str | Path, ...], path: Path) -> Iterator[int]:
    """A mount of ours; gives its process."""
    command = [sys.executable, "-m", "vod2strmfs", *map(str, arguments)]
    with path.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(lambda: os.path.ismount(path) and (path / "Movies").exists() and bool(os.listdir(path / "Movies")))
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _rclone(path: Path, mode: str, url: str, directory: Path) -> Iterator[None]:
    """rclone as its users mount films."""
    subprocess.run(
        ["rclone", "mount", ":http:", path, "--http-url", f"{url}/listing/0/", "--vfs-cache-mode", mode,
         "--cache-dir", directory / "rclone-cache", "--read-only", "--dir-cache-time", "24h", "--daemon"],
        check=True, env={**os.environ, "RCLONE_CONFIG": "/dev/null"},
    )  # fmt: skip
    try:
        os.listdir(path)
        yield
    finally:
        subprocess.run(["fusermount3", "-uz", path], check=True)


def _vod2strmfs(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "vod2strmfs", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _TIMEOUT
    while not condition():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.1)


def _run_all(commands: list[list[str]]) -> None:
    running = [subprocess.Popen(each) for each in commands]
    for each in running:
        assert each.wait() == 0


def _processes(process: int) -> Iterator[int]:
    """A process and its children."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _processes(int(child))


def _processor(process: int) -> float:
    """Seconds of processor time that it and its children have used."""
    ticks = 0
    for each in _processes(process):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory(process: int) -> int:
    """Resident memory, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))
