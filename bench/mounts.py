"""A mount under the scans of a media server, against C, C++ and Go file systems over the same tree as real files."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.catalogues import USUAL, Size, catalogue
from bench.harness import Figure, alternate, ratio, timed

Mounted = Callable[[], AbstractContextManager[Path]]
"""Mounts the library anew, and gives the path."""

_SCANNED = Size(2_400, 300, 3_700)
"""Some 15,000 files: rclone takes a minute to show them all."""
_SCANNERS = 4
_LONG = "cache.attr=86400,cache.entry=86400,cache.negative_entry=86400,cache.statfs=86400"
"""For how long mergerfs lets the kernel keep what it knows, seconds."""
_WORKS = (
    "`find -type f`, first time after mount",
    "the same again",
    "`find -printf '%s %T@'`",
    "the same again (sizes and times)",
    "read every file",
    "the same again (reading)",
)


def measure(directory: Path) -> Iterator[Figure]:
    """Each pair mounts both file systems anew and scans them in turn, so that nothing is left in the kernel's caches.

    The files that the others show are in the page cache; so is our index.
    """
    with _mounts(directory / "large", USUAL) as (ours, bindfs, *_):
        yield ratio(
            f"{_WORKS[0]}, 100,000 files", lambda: _first_names(ours), "bindfs", lambda: _first_names(bindfs), 0.9
        )

    with _mounts(directory / "small", _SCANNED) as (ours, bindfs, mergerfs, rclone):
        for name, other, targets in (
            ("bindfs", bindfs, (0.9, 0.5, 1.0, 1.0, 1.1, 1.1)),
            ("mergerfs, which lets the kernel keep listings", mergerfs, (1.0, 1.0, 1.0, 1.0, 0.8, 0.8)),
        ):
            pairs = list(alternate(lambda: _scan(ours), lambda other=other: _scan(other)))  # type: ignore[misc]
            for number, (work, target) in enumerate(zip(_WORKS, targets, strict=True)):
                times = [(mine[number], theirs[number]) for mine, theirs in pairs]
                yield Figure.of_pairs(work, name, times, target)

        yield ratio(
            f"{_SCANNERS} scans at once", lambda: _scan_together(ours), "bindfs", lambda: _scan_together(bindfs), 0.6
        )

        pairs = list(alternate(lambda: _scan(ours), lambda: _scan(rclone)))
        sums = [(sum(mine), sum(other)) for mine, other in pairs]
        yield Figure.of_pairs("all of the above", "rclone mount", sums, 0.1)


def _first_names(mounted: Mounted) -> float:
    """The seconds of the first of `_WORKS`, on a fresh mount."""
    with mounted() as path:
        return timed(lambda: _run("find", path, "-type", "f"))


def _scan(mounted: Mounted) -> list[float]:
    """The seconds of one of `_WORKS` after the other, on a fresh mount."""
    with mounted() as path:

        def names() -> None:
            _run("find", path, "-type", "f")

        def attributes() -> None:
            _run("find", path, "-printf", "%s %T@\n")

        return [
            timed(work) for work in (names, names, attributes, attributes, lambda: _read(path), lambda: _read(path))
        ]


def _scan_together(mounted: Mounted) -> float:
    """The seconds until all scanners have listed and read everything, on a fresh mount."""
    with mounted() as path:

        def scan() -> None:
            scanners = [_reader(path) for _ in range(_SCANNERS)]
            for scanner in scanners:
                assert scanner.wait() == 0

        return timed(scan)


@contextmanager
def _mounts(directory: Path, size: Size) -> Iterator[tuple[Mounted, Mounted, Mounted, Mounted]]:
    """The same library as ours, bindfs, mergerfs and rclone show it; each has read all files once."""
    directory.mkdir()
    tree = directory / "tree"

    def at(name: str, mount: Callable[[Path], None]) -> Mounted:
        @contextmanager
        def mounted() -> Iterator[Path]:
            path = directory / name
            path.mkdir(exist_ok=True)
            mount(path)
            try:
                yield path
            finally:
                _run("fusermount3", "-u", path)

        return mounted

    with catalogue(size) as url:
        options = ("--database", url, "--state-dir", directory / "state")
        _vod2strmfs("materialize", tree, *options)
        mounts = (
            at("ours", lambda path: _vod2strmfs("mount", path, "--daemon", *options)),
            at("bindfs", lambda path: _run("bindfs", "-o", "ro", tree, path)),
            # As their users mount what does not change behind their backs.
            at(
                "mergerfs",
                lambda path: _run("mergerfs", "-o", f"ro,cache.readdir=true,cache.files=full,{_LONG}", tree, path),
            ),
            at(
                "rclone",
                lambda path: _run("rclone", "mount", tree, path, "--daemon", "--read-only", "--dir-cache-time=24h"),
            ),
        )
        for mounted in mounts[:3]:
            with mounted() as path:
                _read(path)
        yield mounts


def _read(path: Path) -> None:
    assert _reader(path).wait() == 0


def _reader(path: Path) -> "subprocess.Popen[bytes]":
    command = ("find", path, "-type", "f", "-exec", "cat", "{}", "+")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _vod2strmfs(*arguments: str | Path) -> None:
    _run(sys.executable, "-m", "vod2strmfs", *arguments)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
