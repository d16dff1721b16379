"""A machine for the documents' commands: this one, but what is written there is gone with it.

The addresses, names and passwords are those of the documents, so that nothing in them has to be replaced: in a network
of its own, PostgreSQL listens at 192.168.1.10:5432 as it does for an all-in-one Dispatcharr, with the demo catalogue,
and what answers as Dispatcharr does at 192.168.1.10:9191. What cannot run here has a stand-in in `stand_ins`, which
says why.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psycopg
from postgres_server import PostgresServer

from vod2strmfs.demo.generator import write_demo

ROOT = Path(__file__).parents[2]
ADDRESS = "192.168.1.10"

_MAKE = """
mount -t tmpfs sandbox {folder}
mkdir {folder}/upper {folder}/work {root}
mount -t overlay sandbox -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {root}
for place in {places}; do mount --rbind "$place" "{root}$place"; done
mount -t proc proc {root}/proc
mount -t tmpfs run {root}/run
cp -r {stand_ins} {root}/stand-ins
mkdir {root}/former
cd {root}
pivot_root . former
cd /
umount --lazy former  # The mounts of other tests go with it: while they are seen anywhere, they do not end.
rmdir former
mount --make-rshared /  # as systemd leaves it
echo ready
exec sleep infinity
"""

_DISPATCHARR = f"""
import tempfile
from pathlib import Path
from dispatcharr_server import DispatcharrServer
from films import make_films
with tempfile.TemporaryDirectory() as folder:
    film = make_films(Path(folder))["mkv-cues-before"].read_bytes()
with DispatcharrServer(address=("{ADDRESS}", 9191), film=film) as server:
    print("ready", flush=True)
    server.wait()
"""


class Ended(NamedTuple):
    """A script that has ended."""

    code: int
    said: str


class Network:
    """A network with PostgreSQL and Dispatcharr in it; use it as a context manager."""

    def __init__(self) -> None:
        self.name = f"vod2strmfs-docs-{os.getpid()}"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._ip("netns", "add", self.name)
            stack.callback(self._ip, "netns", "delete", self.name)
            self._ip("-n", self.name, "link", "set", "lo", "up")
            self._ip("-n", self.name, "address", "add", f"{ADDRESS}/32", "dev", "lo")
            self.postgres = stack.enter_context(PostgresServer(namespace=self.name, address=ADDRESS, port=5432))
            self._fill()
            dispatcharr = [*self.enter, sys.executable, "-c", _DISPATCHARR]
            stack.enter_context(_running(dispatcharr, {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def enter(self) -> list[str]:
        """What stands before a command that is to run in it."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--"]

    def _fill(self) -> None:
        """The database as the all-in-one container makes it: its role is a superuser there."""
        superuser = self.postgres.superuser_url
        with psycopg.connect(superuser, autocommit=True) as session:
            session.execute("CREATE ROLE dispatch SUPERUSER LOGIN PASSWORD 'secret'")
            session.execute("CREATE DATABASE dispatcharr OWNER dispatch")
        place = superuser.rpartition("@")[2].rpartition("/")[0]
        write_demo(f"postgresql://dispatch:secret@{place}/dispatcharr", movies=60, series=5, episodes=60, seed=1)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)


class Sandbox:
    """A root directory that looks like this machine's; use it as a context manager.

    Args:
        folder: an empty folder.
        network: what it is connected to.
    """

    def __init__(self, folder: Path, network: Network) -> None:
        self._folder = folder
        self._network = network

    def __enter__(self) -> Self:
        root = self._folder / "root"
        make = _MAKE.format(
            folder=self._folder,
            root=root,
            stand_ins=ROOT / "tests/support/stand_ins",
            places=shlex.join(_mounted_below_root(self._folder)),
        )
        whole = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", make]
        self._process = _running([*self._network.enter, *whole], dict(os.environ))
        [child] = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._enter = ["nsenter", f"--target={child}", "--mount", "--pid", "--net", "--root", "--"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def run(self, script: str) -> Ended:
        """Run a script in the project's folder until a command fails."""
        # Python and the libraries are those that the tests run with; pip, offline, installs this project alone.
        environment = {
            "PATH": f"/stand-ins:{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root", "LANG": "C.UTF-8", "PYTHONPATH": sysconfig.get_path("purelib"),
            "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
        }  # fmt: skip
        whole = [*self._enter, "sh", "-euxc", f"test -d /stand-ins\ncd {shlex.quote(str(ROOT))}\n{script}"]
        # What it leaves running would keep a pipe open.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                whole, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=900, check=False
            )
            said.seek(0)
            return Ended(done.returncode, said.read())


class _running(subprocess.Popen[str]):  # noqa: N801
    """A process that has said that it is ready, and that ends with the context."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        super().__init__(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.stdout is not None
        assert self.stdout.readline() == "ready\n"

    def __exit__(self, *error: object) -> None:
        self.kill()  # unshare takes no other signal, and the kernel then ends what is in its namespaces
        super().__exit__(None, None, None)


def _mounted_below_root(folder: Path) -> list[str]:
    """What is mounted directly on the root file system and is needed: devices, and where the programs and files are."""
    needed = ["/dev", "/sys", "/usr", "/var", "/opt", "/home", sys.base_prefix, str(ROOT), str(folder)]
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    top = [identity for identity, _, _, _, path, *_ in lines if path == "/"][-1]
    below = dict.fromkeys(path for _, parent, _, _, path, *_ in lines if parent == top and path != "/")
    return [path for path in below if any(Path(place).is_relative_to(path) for place in needed)]
