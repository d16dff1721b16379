"""Real mounts: `vod2strmfs mount` in a process of its own."""

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from processes import children, command_of

from vod2strmfs.status.channel import ask

TIMEOUT = 120.0
"""Seconds that anything may take before a test gives up."""
_REMOUNT_READ_ONLY = 0x20 | 0x1 | 0x2 | 0x4 | 0x400
"""MS_REMOUNT, and the flags that a mount has: read-only, and neither set-user-ids, nor devices, nor times of access."""


class Mount:
    """A mounted library.

    Args:
        process: the one that serves it.
        path: the mount point.
        log: what the process has said.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
        self.process = process
        self.path = path
        self.log = log

    def stop(self) -> int:
        """End it as systemd would; returns its exit code."""
        self.process.terminate()
        return self.process.wait(TIMEOUT)

    def worker(self) -> int:
        """The process that keeps its index up to date."""
        [worker] = [each for each in children(self.process.pid) if "vod2strmfs.sync.worker" in command_of(each)]
        return worker

    def stat(self, metric: str) -> str:
        """A value of `.stats.csv`."""
        rows = (line.split(",") for line in (self.path / ".stats.csv").read_text().splitlines())
        return next(value for _, name, value in rows if name == metric)

    def requests(self) -> int:
        """How many requests there were until now, this one included: the kernel hands them over in their order, and
        does not wait until it is answered that a file was closed."""
        os.statvfs(self.path)
        return ask(self.path.parent / "state", TIMEOUT).requests

    def drop_caches(self) -> None:
        """Have the kernel forget what nobody uses of this mount. Of the whole machine (`/proc/sys/vm/drop_caches`), it
        would be asked again also by tests beside this one, which count."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(None, os.fsencode(self.path), None, ctypes.c_ulong(_REMOUNT_READ_ONLY), None):
            raise OSError(ctypes.get_errno(), "mount")


def is_mounted(path: Path) -> bool:
    """Whether a file system is mounted there, dead or alive."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(path) for line in mounts)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def poison(directory: Path) -> Path:
    """Lay modules into a folder that nobody should import from there; returns a file that they make when imported."""
    told = directory / "was imported"
    for name in ("msgspec", "random", "trio"):
        (directory / f"{name}.py").write_text(f"open({str(told)!r}, 'w')\nraise ImportError\n")
    return told


def command(*arguments: str | Path) -> list[str]:
    """A command line of the program under test."""
    return [sys.executable, "-m", "vod2strmfs", *map(str, arguments)]


_TELLS_NOBODY = """
import sys
from vod2strmfs.cli.start import main
from vod2strmfs.mount import run
run.forget = lambda state_dir, step: True
main()
"""


def untold(*arguments: str | Path) -> list[str]:
    """What `command` gives, of a program that is never done with telling the kernel what a generation changed."""
    return [sys.executable, "-c", _TELLS_NOBODY, *map(str, arguments)]


@contextlib.contextmanager
def mounted(
    directory: Path, database: str, *options: str, wait: bool = True, namespace: str = "", what: str = "mount"
) -> Iterator[Mount]:
    """Mount a database's library at `directory/mount`, with its state in `directory/state`.

    Args:
        directory: an existing folder.
        database: as `--database` takes it.
        options: of the command.
        wait: whether to wait until the library can be seen.
        namespace: the network namespace that its processes run in, if not ours.
        what: the command; `films` is mounted at `directory/films`, from the same state.
    """
    path, log = directory / what, directory / f"{what}.log"
    if not is_mounted(path):  # Of a mount whose process has died, the kernel may not know any more that it is a folder.
        path.mkdir(exist_ok=True)
    arguments = (what, path, "--database", database, "--state-dir", directory / "state", "--poll-interval", "0.5")
    enter = ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []
    with log.open("ab") as output:
        process = subprocess.Popen([*enter, *command(*arguments, *options)], stdout=output, stderr=output)
    mount = Mount(process, path, log)
    try:
        if wait:
            eventually(lambda: (is_mounted(path) and _answers(path)) or _ended(mount))
        yield mount
    finally:
        if process.poll() is None:
            mount.stop()
        if is_mounted(path):
            subprocess.run(["umount", "-l", path], check=False)


def _answers(path: Path) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return False


def _ended(mount: Mount) -> bool:
    assert mount.process.poll() is None, mount.log.read_text()
    return False


@contextlib.contextmanager
def seen_elsewhere(path: Path) -> Iterator[Path]:
    """A path as processes in another mount namespace see it, which has been given the mounts of this one with `rslave`,
    like a container."""
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
        yield Path(f"/proc/{process.pid}/root") / path.relative_to("/")
    finally:
        process.kill()
        process.wait()
