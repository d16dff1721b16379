"""Shares of the tests' own (`share.c`): slow, with folded case, with refused names, with coarse times, or gone."""

import atexit
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from mounts import eventually, is_mounted

_SOURCE = Path(__file__).with_name("share.c")


class Share:
    """A mounted share; use it as a context manager.

    Args:
        source: the folder that it shows; made if need be.
        mount_point: made if need be.
        options: see `share.c`.
    """

    def __init__(self, source: Path, mount_point: Path, *options: str) -> None:
        self.source = source
        self.mount_point = mount_point
        self._options = options

    def __enter__(self) -> "Share":
        self.source.mkdir(exist_ok=True)
        self.mount_point.mkdir(exist_ok=True)
        options = ",".join((f"source={self.source}", *self._options))
        self._process = subprocess.Popen([_program(), "-f", self.mount_point, "-o", options], stderr=subprocess.DEVNULL)
        eventually(lambda: is_mounted(self.mount_point) or self._process.poll() is not None)
        assert self._process.poll() is None
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.mount_point], check=True)
        self.die()

    def die(self) -> None:
        """Have it vanish: whatever is asked of it from now on is answered with an error."""
        self._process.kill()
        self._process.wait()


@cache
def _program() -> Path:
    """The compiled file system; it goes when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="vod2strmfs-share-")
    atexit.register(folder.cleanup)
    program = Path(folder.name, "share")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True, capture_output=True, text=True)
    subprocess.run(["cc", "-O2", "-o", program, _SOURCE, *flags.stdout.split()], check=True)
    return program
