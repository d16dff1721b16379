"""Everything as an ordinary user, with fusermount3."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from mounts import eventually
from processes import children, lives

from vod2strmfs.demo.generator import write_demo

USER = 65534
"""nobody's, on Debian and its kin."""


class Account:
    """An ordinary user, in a mount namespace in which anybody may open /dev/fuse, as on most machines.

    Args:
        home: a folder that the user can write.
        fuse_conf: the content of /etc/fuse.conf there.
    """

    def __init__(self, home: Path, fuse_conf: str) -> None:
        self.home = home
        device, conf = home / "fuse", home / "fuse.conf"
        os.mknod(device, stat.S_IFCHR | 0o666, os.stat("/dev/fuse").st_rdev)
        device.chmod(0o666)
        conf.write_text(fuse_conf)
        steps = [
            *_let_in(home / "binds"),
            f"mount --bind {device} /dev/fuse",
            "touch /etc/fuse.conf",
            f"mount --bind {conf} /etc/fuse.conf",
            "echo",
            "exec sleep 600",
        ]
        # What is left of a test ends with the first process of its namespace.
        namespaces = ("--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")
        self._process = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", " && ".join(steps)], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        with self._process.stdout:
            assert self._process.stdout.readline() == b"\n"
        [self._first] = children(self._process.pid)
        self._enter = ("nsenter", f"--target={self._first}", "--mount", "--pid")

    def command(self, *arguments: str | Path) -> list[str]:
        """A command line that runs a program as the user."""
        identity = (f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-sys_ptrace")
        environment = ("env", f"HOME={self.home}", f"XDG_STATE_HOME={self.home}/.local/state")
        return [*self._enter, f"--wd={self.home}", "setpriv", *identity, *environment, *map(str, arguments)]

    def run_as_root(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a program as another user, root, in the same namespace."""
        return subprocess.run([*self._enter, *map(str, arguments)], capture_output=True, text=True, check=False)

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a program as the user."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)

    def vod2strmfs(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run the program under test as the user."""
        return self.run(sys.executable, "-m", "vod2strmfs", *arguments)

    def end(self) -> None:
        """End the namespace, and with it every mount in it."""
        self._process.kill()
        self._process.wait()
        eventually(lambda: not lives(self._first))  # It goes after all others: they may be writing until then.


def _let_in(folder: Path) -> Iterator[str]:
    """Commands that let everybody reach the program and its Python, wherever they are: below /root, say."""
    needed = sorted({Path(__file__).parents[2], Path(sys.prefix), Path(sys.base_prefix)})
    closed = {
        next(above for above in reversed(path.parents) if not above.stat().st_mode & stat.S_IXOTH)
        for path in needed
        if not all(above.stat().st_mode & stat.S_IXOTH for above in path.parents)
    }
    for number, path in enumerate(needed):
        yield f"mkdir -p {folder}/{number} && mount --bind {path} {folder}/{number}"
    for above in closed:
        yield f"mount -t tmpfs -o mode=755 tmpfs {above}"
    for number, path in enumerate(needed):
        if any(path.is_relative_to(above) for above in closed):
            yield f"mkdir -p {path} && mount --bind {folder}/{number} {path}"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the user's; pytest's are root's alone."""
    with TemporaryDirectory(prefix="vod2strmfs-home-") as folder:
        os.chown(folder, USER, USER)
        yield Path(folder)


@pytest.fixture
def account(home: Path) -> Iterator[Account]:
    account = Account(home, "# user_allow_other\n")
    yield account
    account.end()


@pytest.fixture
def demo(home: Path) -> str:
    url = f"sqlite:///{home}/demo.db"
    write_demo(url, movies=20, series=2, episodes=10, seed=1)
    return url


def test_a_user_mounts_reads_and_unmounts(account: Account, demo: str) -> None:
    path = account.home / "mount"
    account.run("mkdir", path)
    done = account.vod2strmfs("mount", "--daemon", path, "--database", demo, "--state-dir", account.home / "state")
    assert done.returncode == 0, done.stderr
    listing = account.run("find", path).stdout.splitlines()
    assert len(listing) > 60
    owner = account.run("stat", "--format=%u %g", path / "Movies").stdout
    assert owner == f"{USER} {USER}\n"
    # Without allow_other it is the user's alone.
    other = account.run_as_root("ls", path)
    assert "Permission denied" in other.stderr
    done = account.run("fusermount3", "-u", path)
    assert (done.returncode, done.stderr) == (0, "")
    eventually(lambda: "sync.worker" not in account.run("pgrep", "-fa", "vod2strmfs").stdout)


def test_a_user_materializes_syncs_and_asks_for_statistics(account: Account, demo: str) -> None:
    state = ("--state-dir", account.home / "state")
    for command in (
        ("sync", "--database", demo, *state),
        ("stats", *state),
        ("materialize", account.home / "output", "--database", demo, *state, "--report-dir", account.home / "reports"),
    ):
        done = account.vod2strmfs(*command)
        assert done.returncode == 0, done.stderr
    files = [path for path in (account.home / "output").rglob("*") if path.is_file()]
    assert {path.stat().st_uid for path in files} == {USER}
    assert len(files) > 60


def test_a_user_who_may_not_let_others_in_is_told_what_to_write_where(account: Account, demo: str) -> None:
    account.run("mkdir", account.home / "mount")
    arguments = ("mount", account.home / "mount", "--database", demo, "--state-dir", account.home / "state")
    done = account.vod2strmfs(*arguments, "--allow-other")
    assert done.returncode == 5
    assert done.stderr == (
        "vod2strmfs: allow_other: root has not allowed this to users."
        " Write the line user_allow_other into /etc/fuse.conf.\n"
    )


def test_a_user_who_may_let_others_in_does(home: Path, demo: str) -> None:
    account = Account(home, "user_allow_other\n")
    try:
        path = home / "mount"
        account.run("mkdir", path)
        arguments = ("--database", demo, "--state-dir", home / "state", "--allow-other")
        done = account.vod2strmfs("mount", "--daemon", path, *arguments)
        assert done.returncode == 0, done.stderr
        other = account.run_as_root("ls", path)
        assert other.stdout.split() == ["Movies", "TV"]
        assert account.run("fusermount3", "-u", path).returncode == 0
    finally:
        account.end()


def test_after_a_crash_a_user_takes_the_dead_mounts_place(account: Account, demo: str) -> None:
    path = account.home / "mount"
    account.run("mkdir", path)
    arguments = ("mount", "--daemon", path, "--database", demo, "--state-dir", account.home / "state")
    assert account.vod2strmfs(*arguments).returncode == 0
    account.run("pkill", "-KILL", "-f", f"mount --daemon {path}")
    eventually(lambda: "not connected" in account.run("ls", path).stderr)
    done = account.vod2strmfs(*arguments)
    assert done.returncode == 0, done.stderr
    assert account.run("ls", path).stdout.split() == ["Movies", "TV"]
    assert account.run("fusermount3", "-u", path).returncode == 0


def test_a_user_who_may_not_open_the_device_is_told(account: Account, demo: str) -> None:
    (account.home / "fuse").chmod(0o600)
    account.run("mkdir", account.home / "mount")
    arguments = ("mount", account.home / "mount", "--database", demo, "--state-dir", account.home / "state")
    done = account.vod2strmfs(*arguments)
    assert done.returncode == 5
    assert done.stderr == (
        "vod2strmfs: /dev/fuse: this user may not open it (Permission denied). As root, run `chmod 666 /dev/fuse`, or"
        " mount as root; in a container, pass the device (--device /dev/fuse --cap-add SYS_ADMIN).\n"
    )
