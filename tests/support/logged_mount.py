"""A file system that shows a folder and notes every read, so that one sees what programs touch of a film.

    python logged_mount.py FOLDER MOUNTPOINT LOG [exact]

mounts until it is unmounted. A line of the log is a name, an offset and a length. With `exact`, reads are those of the
programs; else they are the kernel's, which reads ahead.
"""

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyfuse3
import trio


class _Logged(pyfuse3.Operations):
    """The files of a folder, without its folders."""

    def __init__(self, folder: Path, log: Path, exact: bool) -> None:
        super().__init__()
        self._files = sorted(each for each in folder.iterdir() if each.is_file())
        self._log = log.open("a", buffering=1)
        self._exact = exact

    def _attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        entry.attr_timeout = entry.entry_timeout = 3600
        if inode == pyfuse3.ROOT_INODE:
            entry.st_mode = stat.S_IFDIR | 0o555
        else:
            entry.st_mode = stat.S_IFREG | 0o444
            entry.st_size = self._file(inode).stat().st_size
        return entry

    def _file(self, inode: int) -> Path:
        return self._files[inode - pyfuse3.ROOT_INODE - 1]

    async def lookup(self, parent: int, name: bytes, context: object) -> pyfuse3.EntryAttributes:
        for number, file in enumerate(self._files):
            if os.fsencode(file.name) == name:
                return self._attributes(pyfuse3.ROOT_INODE + 1 + number)
        raise pyfuse3.FUSEError(errno.ENOENT)

    async def getattr(self, inode: int, context: object = None) -> pyfuse3.EntryAttributes:
        return self._attributes(inode)

    async def statfs(self, context: object) -> pyfuse3.StatvfsData:
        # By what this answers, mpv knows a file system that may be slow, and then reads 150 MB ahead.
        found = pyfuse3.StatvfsData()
        found.f_bsize = found.f_frsize = 4096
        found.f_namemax = 255
        return found

    async def opendir(self, inode: int, context: object) -> int:
        return inode

    async def readdir(self, handle: int, start: int, token: pyfuse3.ReaddirToken) -> None:
        for number, file in enumerate(self._files[start:], start + 1):
            entry = self._attributes(pyfuse3.ROOT_INODE + number)
            if not pyfuse3.readdir_reply(token, os.fsencode(file.name), entry, number):
                return

    async def open(self, inode: int, flags: int, context: object) -> pyfuse3.FileInfo:
        self._log.write(f"{self._file(inode).name} open 0\n")
        return pyfuse3.FileInfo(fh=inode, direct_io=self._exact, keep_cache=not self._exact)

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        self._log.write(f"{self._file(handle).name} {offset} {size}\n")
        with self._file(handle).open("rb") as file:
            return os.pread(file.fileno(), size, offset)


class Reads:
    """What a log says of the films."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def clear(self) -> None:
        """Forget what was read so far."""
        self._log.write_text("")

    def of(self, name: str) -> tuple[int, list[tuple[int, int]]]:
        """How often a film was opened, and each read as offset and length, in order."""
        opened, reads = 0, []
        for line in self._log.read_text().splitlines():
            film, offset, length = line.rsplit(" ", 2)
            if film == name and offset == "open":
                opened += 1
            elif film == name:
                reads.append((int(offset), int(length)))
        return opened, reads


def touched(reads: Sequence[tuple[int, int]], size: int, gap: int = 0) -> list[tuple[int, int]]:
    """The extents that reads touched, as start and stop, joined where less than `gap` bytes lie between."""
    joined: list[tuple[int, int]] = []
    for offset, length in sorted(reads):
        stop = min(offset + length, size)
        if joined and offset <= joined[-1][1] + gap:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        elif stop > offset:
            joined.append((offset, stop))
    return joined


@contextmanager
def logged(folder: Path, mountpoint: Path, *, exact: bool = False) -> Iterator[Reads]:
    """Mount a folder's films; gives what is read of them."""
    mountpoint.mkdir(exist_ok=True)
    log = mountpoint.with_suffix(".log")
    log.write_text("")
    command: list[str | Path] = [sys.executable, __file__, folder, mountpoint, log, *(["exact"] if exact else [])]
    with subprocess.Popen(command) as process:
        try:
            while str(mountpoint) not in Path("/proc/mounts").read_text():
                assert process.poll() is None
                time.sleep(0.02)
            yield Reads(log)
        finally:
            subprocess.run(["fusermount3", "-uz", mountpoint], check=False)


def main() -> None:
    """Mount until unmounted."""
    folder, mountpoint, log, *exact = sys.argv[1:]
    options = {*pyfuse3.default_options, "ro", "fsname=logged", "allow_other"}
    pyfuse3.init(_Logged(Path(folder), Path(log), bool(exact)), mountpoint, options)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close()


if __name__ == "__main__":
    main()
