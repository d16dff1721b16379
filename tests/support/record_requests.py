"""Recording what a real kernel asks: `python tests/support/record_requests.py`, as root, writes `FILE` anew.

The tests answer what is recorded there, without a kernel. It is to be recorded again when replies are meant to differ,
or when a newer kernel asks otherwise; the difference between the two files then shows what became different.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pyfuse3
import trio
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.mount import wire
from vod2strmfs.mount.device import Device, negotiated
from vod2strmfs.mount.handlers import LibraryHandlers, Owner
from vod2strmfs.mount.run import _Negotiation

FILE = Path(__file__).parents[1] / "mount" / "requests.txt"
"""Each request and its reply ("-" if it has none), in hexadecimal digits, a line each."""

_WORK = r"""
cd "$1"
ls -lai . Movies TV; ls -la Movies/*; ls -la Movies/*
find . -printf '%p %y %s %T@ %i\n'; find . -type f -exec cat {} +
cat Movies/Heat/movie.nfo; cat Movies/none/none; head -c 100 Movies/Ran/Ran.strm; tail -c 10 Movies/Ran/movie.nfo
stat . Movies/. Movies/.. Movies/Heat/..; stat -f .; test -w Movies; df .; cp -a Movies/Heat /tmp/. ; rm -r /tmp/Heat
python3 - <<'PYTHON'
import contextlib, fcntl, mmap, os, select
film = "Movies/Heat/movie.nfo"
tries = (
    lambda: os.getxattr(film, "user.vod2strmfs.uuid"), lambda: os.getxattr(film, "security.selinux"),
    lambda: os.listxattr(film), lambda: os.setxattr(film, "user.x", b"1"), lambda: os.removexattr(film, "user.x"),
    lambda: os.open(film, os.O_RDWR), lambda: os.open("Movies/new", os.O_CREAT | os.O_WRONLY), lambda: os.mkdir("new"),
    lambda: os.mknod("new"), lambda: os.unlink(film), lambda: os.rmdir("Movies/Heat"), lambda: os.rename(film, "new"),
    lambda: os.link(film, "new"), lambda: os.symlink(film, "new"), lambda: os.chmod(film, 0), lambda: os.utime(film),
    lambda: os.truncate(film, 0), lambda: os.readlink(film), lambda: os.stat("x" * 255), lambda: os.stat(b"\xff"),
    lambda: os.stat("é" * 127),
)
for attempt in tries:
    with contextlib.suppress(OSError):
        attempt()
with open(film, "rb") as file:
    os.lseek(file.fileno(), 0, os.SEEK_DATA)
    os.fsync(file.fileno())
    file.read(10), file.seek(-5, 2), file.read()
    mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:]
    select.select([file], [], [], 0)
    with contextlib.suppress(OSError):
        fcntl.ioctl(file.fileno(), 0x6601)
    fcntl.flock(file, fcntl.LOCK_SH)
direct = os.open(film, os.O_RDONLY | os.O_DIRECT)
os.preadv(direct, [mmap.mmap(-1, 4096)], 0)
folder = os.open("Movies", os.O_RDONLY)
os.listdir(folder), os.listdir(folder), os.fsync(folder)
PYTHON
echo 2 > /proc/sys/vm/drop_caches; ls -la Movies; true
"""


@contextmanager
def example(directory: Path) -> Iterator[LibraryHandlers]:
    """The handlers of the library that is asked: the same whenever it is made, so without `.stats.csv`."""
    catalogue = Catalogue()
    for name in ("Heat", "Ran", "Amélie"):
        catalogue.movie(name, description="Of men & money. " * 20)
    lost = catalogue.series("Lost")
    for number in range(1, 40):
        catalogue.episode(lost, 1, number, f"Episode of the number {number}, with a longer title")
    library = Library(directory)
    library.show(catalogue)
    handlers = LibraryHandlers(Owner(1000, 1001, 0o022))
    with closing(Store(library.state_dir)) as store:
        handlers.show(Tree(store))
        yield handlers


def recorded() -> Iterator[tuple[bytes, bytes | None]]:
    """The requests that were recorded, and their replies."""
    lines = iter(FILE.read_text().splitlines())
    for request, reply in zip(lines, lines, strict=True):
        yield bytes.fromhex(request), None if reply == "-" else bytes.fromhex(reply)


def record(directory: Path) -> list[tuple[bytes, bytes | None]]:
    """Mount the example, have it looked at in many ways, and give what was asked and answered."""
    place = directory / "mount"
    place.mkdir()
    seen: list[tuple[bytes, bytes | None]] = []
    with example(directory) as handlers:

        def answer(request: bytes) -> bytes | None:
            reply = wire.answer(handlers, request)
            assert not isinstance(reply, list)
            seen.append((request, reply))
            return reply

        # Not read-only, so that the kernel lets through what writes.
        pyfuse3.init(_Negotiation(), str(place), {"default_permissions", "fsname=recorded"})
        try:
            trio.run(partial(_serve, Device(answer), partial(_work, place)))
        finally:
            pyfuse3.close()
    return seen


def _work(place: Path) -> None:
    subprocess.run(["sh", "-c", _WORK, "sh", place], capture_output=True, check=True)


async def _serve(device: Device, work: Callable[[], None]) -> None:
    descriptor = await negotiated()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.serve, descriptor)
        await trio.to_thread.run_sync(work)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Write the file anew."""
    with tempfile.TemporaryDirectory() as directory:
        seen = record(Path(directory))
    lines = [part.hex() if part is not None else "-" for pair in seen for part in pair]
    FILE.write_text("\n".join(lines) + "\n")
    sys.stderr.write(f"{len(seen)} requests, {os.path.getsize(FILE)} bytes\n")


if __name__ == "__main__":
    main()
