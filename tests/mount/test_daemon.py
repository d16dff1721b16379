"""`mount --daemon`: when it goes to the background, what it leaves behind, and what it says until then."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from mounts import TIMEOUT, command, eventually, is_mounted

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit

WAITING = "vod2strmfs: waiting for the library's first generation; Ctrl-C gives up.\n"
"""What is said after a while: on a slow machine also where nothing is waited for but the start."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with an empty directory `mount`; what is mounted there is gone afterwards."""
    (tmp_path / "mount").mkdir()
    yield tmp_path
    if is_mounted(tmp_path / "mount"):
        subprocess.run(["umount", "-l", tmp_path / "mount"], check=True)
    eventually(lambda: not daemons(tmp_path))


def options(folder: Path) -> list[str]:
    """Of a mount whose command line shows to which test it belongs."""
    return [
        "--daemon", f"--database=sqlite:///{folder}/demo.db", f"--state-dir={folder}/state", "--poll-interval=0.5",
    ]  # fmt: skip


def start(folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command("mount", folder / "mount", *options(folder)), stdout=said, stderr=said)


def said(folder: Path) -> str:
    """What the command wrote to the terminal so far."""
    return (folder / "said").read_text()


def daemons(folder: Path) -> list[int]:
    """The processes that live, and name the folder in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"--state-dir={folder}/state".encode() in arguments:
            found.append(int(process.name))
    return found


def fill(folder: Path, *names: str) -> Database:
    catalogue = Catalogue()
    for name in names:
        catalogue.movie(name)
    return Database(f"sqlite:///{folder}/demo.db").fill(catalogue)


def log(folder: Path) -> str:
    return (folder / "state/logs/vod2strm.log").read_text()


def test_it_returns_when_the_library_can_be_seen(folder: Path) -> None:
    fill(folder, "Heat")
    assert start(folder).wait(TIMEOUT) == Exit.OK
    assert os.listdir(folder / "mount/Movies") == ["Heat"]
    # The worker says it once the generation is there to be seen.
    eventually(lambda: "Generation 1: 1 movie added." in log(folder))


def test_it_lets_go_of_the_terminal_and_of_whoever_started_it(folder: Path) -> None:
    fill(folder, "Heat")
    whole = command("mount", folder / "mount", *options(folder))
    subprocess.run(whole, capture_output=True, check=True, timeout=TIMEOUT)  # ends when nobody holds the pipes
    [daemon] = daemons(folder)
    assert os.getsid(daemon) == daemon
    terminal = Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[4]
    assert terminal == "0"
    assert {os.readlink(f"/proc/{daemon}/fd/{number}") for number in range(3)} == {os.devnull}


def test_it_ends_cleanly(folder: Path) -> None:
    fill(folder, "Heat")
    start(folder).wait(TIMEOUT)
    [daemon] = daemons(folder)
    os.kill(daemon, signal.SIGTERM)
    eventually(lambda: not is_mounted(folder / "mount") and not daemons(folder))
    assert "Stopping on SIGTERM" in log(folder)


def test_relative_paths_go_on_to_mean_the_same(folder: Path) -> None:
    database = fill(folder, "Heat")
    (folder / "state").mkdir()
    arguments = (
        "mount", "mount", "--daemon", "--database=sqlite:///demo.db", "--state-dir", "state", "--log-dir=logs",
        "--poll-interval=0.2", f"--name-regex=--state-dir={folder}/state",
    )  # fmt: skip
    assert subprocess.run(command(*arguments), cwd=folder, check=False).returncode == 0
    database.execute("UPDATE vod_movie SET name = 'Ran'")
    eventually(lambda: os.listdir(folder / "mount/Movies") == ["Ran"])
    assert sorted(path.name for path in folder.iterdir()) == ["demo.db", "logs", "mount", "state"]


@pytest.mark.parametrize("mountpoint", ["", "none", "demo.db"])
def test_a_start_that_fails_is_told_as_in_the_foreground(folder: Path, mountpoint: str) -> None:
    fill(folder, "Heat")
    arguments = command("mount", folder / mountpoint if mountpoint else "", *options(folder))
    daemon = subprocess.run(arguments, capture_output=True, text=True, check=False)
    arguments.remove("--daemon")
    foreground = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert daemon.returncode in (Exit.MOUNT, Exit.USAGE)
    assert (daemon.returncode, daemon.stdout) == (foreground.returncode, foreground.stdout)
    assert daemon.stderr.replace(WAITING, "") == foreground.stderr


def test_without_a_library_it_waits_and_says_for_what(folder: Path) -> None:
    parent = start(folder)
    eventually(lambda: WAITING in said(folder) and "no SQLite file" in said(folder))
    assert parent.poll() is None
    fill(folder, "Heat")
    assert parent.wait(TIMEOUT) == Exit.OK
    assert os.listdir(folder / "mount/Movies") == ["Heat"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_it_waits_ends_it_all(folder: Path, number: signal.Signals) -> None:
    parent = start(folder)
    eventually(lambda: "no SQLite file" in said(folder))
    parent.send_signal(number)
    assert parent.wait(TIMEOUT) == 130
    assert "Traceback" not in said(folder)
    assert not is_mounted(folder / "mount")
    assert daemons(folder) == []


def test_it_is_no_success_when_the_mount_is_gone_before_it_was_ready(folder: Path) -> None:
    parent = start(folder)
    eventually(lambda: is_mounted(folder / "mount"))
    subprocess.run(["fusermount3", "-u", folder / "mount"], check=True)
    assert parent.wait(TIMEOUT) == Exit.MOUNT
    assert "before the library could be seen" in said(folder).splitlines()[-1]


def test_an_index_without_a_database_is_enough_to_be_ready(folder: Path) -> None:
    fill(folder, "Heat")
    subprocess.run(command("sync", *options(folder)[1:3]), check=True, capture_output=True)
    (folder / "demo.db").unlink()
    assert start(folder).wait(TIMEOUT) == Exit.OK
    assert os.listdir(folder / "mount/Movies") == ["Heat"]


def test_what_ends_it_later_is_in_the_log(tmp_path: Path) -> None:
    code = f"""
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.daemon import run_in_background
from vod2strmfs.settings import load

def serve(ready):
    ready()
    raise ZeroDivisionError("in the background")

set_up_logs(load(None, {{"log_dir": {str(tmp_path)!r}}}, {{}}), to_file=True)
run_in_background(serve)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.replace(WAITING, "")) == (0, "", "")
    eventually(lambda: "ZeroDivisionError: in the background" in (tmp_path / "vod2strm.log").read_text())
