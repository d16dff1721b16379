"""A mount under the scans of a media server, against C, C++ and Go file systems over the same tree as real files."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.catalogues import USUAL, catalogue
from bench.harness import Figure, alternate, timed

Mounted = Callable[[], AbstractContextManager[Path]]
"""Mounts the library anew, and gives the path."""

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
    with catalogue(USUAL) as url:
        options = ("--database", url, "--state-dir", directory / "state")
        _vod2strmfs("materialize", directory / "tree", *options)
        ours, bindfs, mergerfs, rclone = _mounts(directory, options)
        for mounted in (ours, bindfs, mergerfs):
            with mounted() as path:
                _read(path)

        for name, other, targets in (
            ("bindfs", bindfs, (0.9, 0.5, 1.0, 1.0, 1.1, 1.1)),
            ("mergerfs, which lets the kernel keep listings", mergerfs, (1.0, 1.0, 1.0, 1.0, 0.8, 0.8)),
        ):
            pairs = list(alternate(lambda: _scan(ours), lambda other=other: _scan(other)))  # type: ignore[misc]
            for number, (work, target) in enumerate(zip(_WORKS, targets, strict=True)):
                ratios = [mine[number] / theirs[number] for mine, theirs in pairs]
                yield Figure.of(work, name, ratios, target)

        pairs = list(alternate(lambda: _scan(ours), lambda: _scan(rclone)))
        yield Figure.of("all of the above", "rclone mount", [sum(mine) / sum(other) for mine, other in pairs], 0.1)

        together = list(alternate(lambda: _scan_together(ours), lambda: _scan_together(bindfs)))
        yield Figure.of(f"{_SCANNERS} scans at once", "bindfs", [mine / other for mine, other in together], 0.6)


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


def _mounts(directory: Path, options: tuple[str | Path, ...]) -> tuple[Mounted, Mounted, Mounted, Mounted]:
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

    return (
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


def _read(path: Path) -> None:
    assert _reader(path).wait() == 0


def _reader(path: Path) -> "subprocess.Popen[bytes]":
    command = ("find", path, "-type", "f", "-exec", "cat", "{}", "+")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _vod2strmfs(*arguments: str | Path) -> None:
    _run(sys.executable, "-m", "vod2strmfs", *arguments)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
