"""`make demo`, `make clean` and `make test`, as somebody uses them who has only just come."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounts import TIMEOUT, eventually, is_mounted
from others import let_others_in

ROOT = Path(__file__).parents[2]

WITHOUT_MTAB = """
cp -a /etc "$0/etc"; rm -f "$0/etc/mtab"; mount --bind "$0/etc" /etc; shift; exec "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder with the scripts, in which this program is installed."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / "Makefile", folder)
    program = folder / ".venv/bin/vod2strmfs"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m vod2strmfs "$@"\n')
    program.chmod(0o755)
    yield folder
    if is_mounted(mount := folder / ".demo/mount") or is_mounted(Path(str(mount).replace(" ", r"\040"))):
        subprocess.run(["umount", "-l", mount], check=True)


def demo(checkout: Path, *prefix: str | Path) -> "subprocess.Popen[str]":
    """The demo, in a process group of its own, as a terminal would have it."""
    return subprocess.Popen(
        [*prefix, "sh", checkout / "scripts/demo.sh"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def mounts_below(folder: Path) -> list[str]:
    """What is mounted in a folder, dead or alive."""
    name = str(folder).replace(" ", r"\040")
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if name in line]


def read_until(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what a process says until it says this."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it never said {words}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", ["The library, mounted", "directories, ", "The same library as real files"])
def test_a_demo_that_is_ended_anywhere_leaves_nothing_mounted(
    checkout: Path, step: str, number: signal.Signals
) -> None:
    with demo(checkout) as process:
        read_until(process, step)
        os.killpg(process.pid, number)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + number
    assert mounts_below(checkout) == []


def test_a_demo_says_that_it_has_unmounted_when_it_has(checkout: Path) -> None:
    with demo(checkout) as process:
        read_until(process, "== Unmounted")
        assert mounts_below(checkout) == []
        assert process.wait(TIMEOUT) == 0


def test_a_demo_says_first_what_it_does_and_shows_one_films_way_and_what_next(checkout: Path) -> None:
    make = ["make", "--no-print-directory", "demo"]
    (checkout / "scripts/setup.sh").write_text("exit 7\n")  # What is said comes before what takes long.
    done = subprocess.run(make, cwd=checkout, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert "It takes about" in done.stdout
    with demo(checkout) as process:
        out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, out
    row = re.search(r"^  name +(.+)\n  year +(\d+)\n.*?uuid +(\w+)$", out, re.M | re.S)
    assert row, out
    name, year, uuid = row.groups()
    assert f"mount/Movies/{name} ({year})/{name} ({year}).strm" in out
    assert uuid in out.partition("a player opens")[2].replace("-", "")
    assert f"<title>{name}</title>" in out
    assert re.search(r"http://127.0.0.1:\d+/ \(its first lines\):\n  \S", out)
    assert len(out.splitlines()) < 60
    assert "make demo STAY=1" in out.partition("What next?")[2]


def test_a_demo_needs_no_mtab(checkout: Path, tmp_path: Path) -> None:
    with demo(checkout, "unshare", "--mount", "sh", "-ec", WITHOUT_MTAB, tmp_path, "") as process:
        out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, out
    assert "\n== Unmounted\nWhat next?\n" in out


@pytest.mark.parametrize("dead", [False, True], ids=["alive", "dead"])
def test_clean_unmounts_what_a_killed_demo_has_left(checkout: Path, dead: bool) -> None:
    with demo(checkout) as process:
        read_until(process, "directories, ")
        os.killpg(process.pid, signal.SIGKILL)
    assert mounts_below(checkout) != []
    if dead:
        [serving] = pids_of(checkout)
        os.kill(serving, signal.SIGKILL)
        eventually(lambda: not pids_of(checkout))
    done = subprocess.run(["make", "--no-print-directory", "clean"], cwd=checkout, capture_output=True, text=True,
                          check=False, timeout=TIMEOUT)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert mounts_below(checkout) == []
    assert not (checkout / ".demo").exists()
    eventually(lambda: not pids_of(checkout))


def pids_of(checkout: Path) -> list[int]:
    """The processes that serve a demo's mount."""
    found = subprocess.run(["pgrep", "--full", f"vod2strmfs mount {checkout}"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    [targets] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert set(targets.split()) - {"format"} == set(re.findall(r"^make (\S+)", shown, re.M))


def test_as_an_ordinary_user_make_test_says_that_it_needs_root_and_installs_nothing(checkout: Path) -> None:
    let_others_in(checkout)
    as_nobody = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
    # These tests may run under make themselves.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        [*as_nobody, "make", "--no-print-directory", "test", "PYTHON=/usr/bin/python3"],
        cwd=checkout, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=alone,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""
    said, *makes = done.stderr.splitlines()
    assert all(line.startswith("make: ***") for line in makes)
    for words in ("need root", "sudo make test", "installs", ".venv", "minutes"):
        assert words in said


@pytest.mark.parametrize(("number", "passes_alone", "wanted"), [(3, True, 0), (4, True, 1), (1, False, 1)])
def test_few_tests_that_fail_are_tried_once_more_and_pass_aloud(
    checkout: Path, number: int, passes_alone: bool, wanted: int
) -> None:
    """See docs/decisions/0027-a-test-that-fails-in-company.md."""
    (checkout / "test_moody.py").write_text(
        "import pathlib, pytest\n\n"
        f"@pytest.mark.parametrize('number', range({number}))\n"
        "def test_it(number):\n"
        "    with pathlib.Path(f'tried-{number}').open('a') as tried:\n"
        "        is_first = tried.tell() == 0\n"
        "        tried.write('.')\n"
        f"    assert not is_first and {passes_alone}\n"
    )
    for name in ("python", "pytest"):
        (checkout / ".venv/bin" / name).symlink_to(Path(sys.executable).with_name(name))
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        ["scripts/test.sh", "--numprocesses", "0"],
        cwd=checkout, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=alone,
    )  # fmt: skip
    assert done.returncode == wanted, done.stdout + done.stderr
    assert ("PASSED ALONE, FAILED IN COMPANY: 3" in done.stdout) is (wanted == 0)
    tries = [len(path.read_text()) for path in checkout.glob("tried-*")]
    assert tries == [1 if number > 3 else 2] * number
