"""What a command shows while it works and when it is done: to people, to a journal, and to programs."""

import json
import logging
import re
import subprocess
from pathlib import Path

import pytest
from databases import Database
from mounts import TIMEOUT, command
from terminals import on_terminal

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import Exit
from vod2strmfs.sync.progress import Lines


@pytest.fixture
def demo(tmp_path: Path) -> list[str]:
    """The options for a library of 1,200 titles."""
    write_demo(f"{tmp_path}/demo.db", movies=1000, series=10, episodes=200, seed=1)
    return options(tmp_path, f"sqlite:///{tmp_path}/demo.db")


def options(folder: Path, database: str) -> list[str]:
    return [f"--database={database}", f"--state-dir={folder}/state", "--base-url=http://dispatcharr:9191"]


def finish(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    whole = command(*arguments)
    return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def test_on_a_terminal_a_bar_shows_how_far_it_is_how_fast_and_how_long_it_takes(
    tmp_path: Path, demo: list[str]
) -> None:
    code, text = on_terminal("materialize", tmp_path / "output", *demo)
    assert code == 0
    plain = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", text)
    assert re.search(r"Reading .* +\d+/1\d{3} titles", plain)
    assert re.search(r"Writing .* +\d+/1\d{3} folders +[\d,]+/s +\d+:\d\d:\d\d", plain)
    assert re.search(rf"{tmp_path}/output: 1,\d{{3}} folders in \d+\.\d s: ", plain)
    assert plain.splitlines()[-1].startswith("report: ")


def test_what_is_logged_meanwhile_stands_in_lines_of_its_own(tmp_path: Path) -> None:
    script = """
import logging, sys, time
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.progress import shown
from vod2strmfs.settings import load
set_up_logs(load(None, {"state_dir": sys.argv[1]}, {}))
with shown("Writing", "folders") as tell:
    for number in range(5):
        tell(number, 5)
        logging.getLogger("vod2strmfs").warning("number %d", number)
        time.sleep(0.2)
"""
    code, text = on_terminal(tmp_path, script=script)
    assert code == 0
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", text))
    logged = [line for line in lines if "WARNING" in line]
    assert [line[24:].rstrip() for line in logged] == [f"WARNING number {number}" for number in range(5)]
    assert any(line.startswith("Writing") for line in lines)


@pytest.mark.parametrize("name", ["materialize", "sync"])
def test_quiet_says_nothing_but_errors(tmp_path: Path, demo: list[str], name: str) -> None:
    local = [*demo[:2], "--base-url=http://localhost:9191"]
    output = [str(tmp_path / "output")] if name == "materialize" else []
    assert on_terminal(name, *output, *local, "--quiet") == (0, "")
    done = finish(name, *output, *local, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = finish(name, *output, "--database=sqlite:////none.db", *local[1:], "--quiet")
    assert (done.returncode, done.stdout) == (Exit.DATABASE, "")
    assert done.stderr.startswith("vod2strmfs: database: no SQLite file")


def test_sync_answers_programs_with_one_object(tmp_path: Path, demo: list[str]) -> None:
    done = finish("sync", *demo, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    changes = found.pop("changes")
    assert set(changes) == {"movie", "series", "episode"}
    assert set(changes["movie"]) == {"added"}
    assert found == {"generation": 1, "changed": True, "held": 0, "warnings": [], "exit_code": 0, "error": None}
    again = json.loads(finish("sync", *demo, "--json").stdout)
    assert (again["generation"], again["changed"], again["changes"]) == (1, False, {})


def test_materialize_answers_programs_with_one_object(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue)
    given = options(tmp_path, f"sqlite:///{tmp_path}/demo.db")
    done = finish("materialize", tmp_path / "output", *given, "--json")
    found = json.loads(done.stdout)
    assert Path(found.pop("report")).exists()
    assert found.pop("seconds") > 0
    assert found.pop("sync")["changes"] == {"movie": {"added": 1}}
    assert found == {
        "output_root": str(tmp_path / "output"), "folders": 1, "actions": {"created": 2}, "held_files": 0,
        "exit_code": 0, "error": None,
    }  # fmt: skip


def test_what_could_not_be_done_is_in_the_object(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    catalogue.movie("Ran")
    Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue)
    (tmp_path / "output/Movies").mkdir(parents=True)
    (tmp_path / "output/Movies/Heat").touch()
    given = options(tmp_path, f"sqlite:///{tmp_path}/demo.db")
    done = finish("materialize", tmp_path / "output", *given, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], done.stderr) == (Exit.OUTPUT, Exit.OUTPUT, "")
    assert found["actions"] == {"created": 2, "failed": 1}
    assert "1 file or folder could not be dealt with (in the way)" in found["error"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sync", "--database=sqlite:////none.db"], Exit.DATABASE, "no SQLite file"),
        (["materialize", "--concurrency=0"], Exit.USAGE, "--concurrency"),
        (["materialize", "--nonesuch"], Exit.USAGE, "--nonesuch"),
        (["stats"], Exit.INDEX, "vod2strmfs sync"),
    ],
)
def test_an_error_is_an_object_too(tmp_path: Path, arguments: list[str], code: Exit, words: str) -> None:
    done = finish(*arguments, f"--state-dir={tmp_path}/state", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], done.stderr) == (code, code, "")
    assert set(found) == {"exit_code", "error"}
    assert words in found["error"]


def test_a_journal_gets_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell = Lines("Writing", "folders", every=0)
    tell(100, 400)
    tell(300, 0)
    [first, second] = caplog.messages
    assert re.fullmatch(r"Writing: 100 of 400 folders, \d+ a second, \d+ seconds? left\.", first)
    assert re.fullmatch(r"Writing: 300 folders, \d+ a second\.", second)
    caplog.clear()
    seldom = Lines("Writing", "folders", every=3600)
    for number in range(1000):
        seldom(number, 1000)
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["materialize", "sync"])
def test_in_a_pipe_long_work_is_told_by_lines(tmp_path: Path, demo: list[str], name: str) -> None:
    said = told_by(name, tmp_path, demo)
    assert "Reading: 1000 of 12" in said
    if name == "materialize":
        assert re.search(r"Writing: \d+ of 1\d{3} folders, \d+ a second, .* left\.", said)


def told_by(name: str, folder: Path, given: list[str]) -> str:
    """What a command writes to standard error, which is a pipe, in a process where lines are not rare."""
    code = (
        "from vod2strmfs.sync.progress import Lines; Lines.__init__.__kwdefaults__['every'] = 0\n"
        "from vod2strmfs.cli.start import main; main()"
    )
    output = [str(folder / "output")] if name == "materialize" else []
    whole = [command()[0], "-c", code, name, *output, *given]
    return subprocess.run(whole, capture_output=True, text=True, check=True, timeout=TIMEOUT).stderr


def test_a_mount_tells_how_far_its_first_sync_is(tmp_path: Path, demo: list[str]) -> None:
    code = (
        "from vod2strmfs.sync.progress import Lines; Lines.__init__.__kwdefaults__['every'] = 0\n"
        "from vod2strmfs.sync.worker import main; main()"
    )
    order = {
        "database": f"sqlite:///{tmp_path}/demo.db", "library": {}, "state_dir": f"{tmp_path}/state",
        "max_shrink": 20, "poll_interval": 60,
    }  # fmt: skip
    process = subprocess.Popen(
        [command()[0], "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stderr is not None
    with process.stdin, process.stderr:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        assert process.stderr.readline().startswith("INFO Reading the catalogue: 500 of 12")
    assert process.wait(TIMEOUT) == 0
