"""The first hour: the settings file that is read without being named, commands that can be pasted, help, `init`."""

import os
import pty
import re
import select
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from databases import Database
from dispatcharr_server import DispatcharrServer
from mounts import TIMEOUT, command, eventually, is_mounted, mounted
from postgres_server import free_port
from terminals import on_terminal

from vod2strmfs import PROJECT_URL
from vod2strmfs.cli.examples import EPILOGS
from vod2strmfs.cli.main import cli
from vod2strmfs.cli.start import main
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.settings import load, place

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vod2strmfs", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


class Usual:
    """The two usual settings files, of which neither exists at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.system = folder / "etc.toml"
        self.user = folder / "home/vod2strmfs/config.toml"
        self.user.parent.mkdir(parents=True)

    def text(self, **settings: str) -> str:
        """The text of a file for a small library with its state in the folder."""
        values = {"database": f"sqlite:///{self.folder}/demo.db", "state_dir": f"{self.folder}/state"} | settings
        return "".join(f'{name} = "{value}"\n' for name, value in values.items())


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Usual:
    made = Usual(tmp_path)
    monkeypatch.delenv("VOD2STRMFS_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(place, "SYSTEM_FILE", made.system)
    monkeypatch.setattr("vod2strmfs.doctor.settings.SYSTEM_FILE", made.system)
    monkeypatch.setattr("vod2strmfs.cli.init.SYSTEM_FILE", made.system)
    films(tmp_path, 50)
    return made


def films(folder: Path, number: int) -> Database:
    catalogue = Catalogue()
    for each in range(number):
        catalogue.movie(f"Film {each}")
    return Database(f"sqlite:///{folder}/demo.db").fill(catalogue)


def test_a_users_file_is_read_in_place_of_the_hosts_and_what_is_named_in_place_of_both(usual: Usual) -> None:
    assert place.config_file(None) == (None, False)
    usual.system.write_text("")
    assert place.config_file(None) == (usual.system, True)
    usual.user.write_text("")
    assert place.config_file(None) == (usual.user, True)
    assert place.config_file(None, {"VOD2STRMFS_CONFIG": "a.toml"}) == (Path("a.toml"), False)
    assert place.config_file("b.toml", {"VOD2STRMFS_CONFIG": "a.toml"}) == (Path("b.toml"), False)
    assert place.config_file("") == place.config_file(None, {"VOD2STRMFS_CONFIG": ""}) == (None, False)


def test_a_relative_xdg_directory_is_ignored_as_its_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/kim")
    assert place.user_file({"XDG_CONFIG_HOME": "config"}) == Path("/home/kim/.config/vod2strmfs/config.toml")
    assert place.user_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/vod2strmfs/config.toml")


def test_the_usual_file_is_read_and_said_where_one_wants_to_know(run: Run, usual: Usual) -> None:
    usual.system.write_text(usual.text(base_url="http://192.168.1.10:9191"))
    assert run("sync") == (0, "generation 1: 50 movies added\n", "")
    assert f"settings from {usual.system}" in run("stats", "-v")[2]
    assert f"from {usual.system}, which is read unless --config names another" in run("doctor", "--no-play")[1]
    usual.user.write_text(usual.text(base_ulr="x"))
    code, _, said = run("sync")
    assert (code, f"base_ulr in {usual.user}: there is no such setting" in said) == (Exit.USAGE, True)
    usual.user.write_text(usual.text(base_url="http://192.168.1.10:9191"))
    assert f"from {usual.user}, in place of {usual.system}" in run("doctor", "--no-play")[1]
    code, _, said = run("sync", "--config", "")
    assert (code, "There is no settings file; `vod2strmfs init` writes one." in said) == (Exit.USAGE, True)


def test_a_usual_file_that_cannot_be_read_is_an_error_and_not_another_library(run: Run, usual: Usual) -> None:
    usual.system.symlink_to(usual.folder / "gone.toml")
    code, _, said = run("sync")
    assert (code, len(said.splitlines())) == (Exit.USAGE, 2)
    assert f"{usual.system}: cannot be read" in said
    assert "with --config '' none is" in said


@pytest.mark.parametrize("is_named", [False, True])
def test_what_is_proposed_can_be_pasted(run: Run, usual: Usual, is_named: bool) -> None:
    file = usual.folder / "films of mine.toml" if is_named else usual.system
    file.write_text(usual.text(base_url="http://192.168.1.10:9191"))
    named = ("--config", str(file)) if is_named else ()
    assert "`" + shlex.join(("vod2strmfs", "sync", *named)) + "` makes the index" in run("stats", *named)[2]
    assert run("sync", *named)[0] == 0
    Database(f"sqlite:///{usual.folder}/demo.db").execute("DELETE FROM vod_m3umovierelation WHERE movie_id > 10")
    code, _, said = run("sync", *named)
    assert code == Exit.SHRINK
    [proposed] = re.findall("`(vod2strmfs .*?)`", said)
    assert ("--config" in proposed) == is_named
    assert f"`{proposed}`" in run("doctor", "--no-play", *named)[1]
    assert run(*shlex.split(proposed)[1:]) == (0, "generation 3: 40 movies removed\n", "")


def test_a_proposed_command_gets_only_the_options_that_it_has(run: Run, usual: Usual) -> None:
    code, _, said = run("report", "--state-dir", usual.folder)
    assert code == Exit.OUTPUT
    assert f"`vod2strmfs materialize --state-dir {usual.folder}` writes one" in said


def test_each_help_ends_with_three_examples_that_are_understood_and_with_exit_codes(run: Run) -> None:
    assert set(EPILOGS) == {*cli.commands, "vod2strmfs"}
    for name in cli.commands:
        shown = run(name, "-h")[1]
        assert run("help", name)[1] == shown
        examples = re.findall(r"^  vod2strmfs (.*)$", shown.partition("Examples:")[2], re.M)
        assert len(examples) == 3
        for example in examples:
            words = shlex.split(example)
            assert words[0] == name
            cli.commands[name].make_context(name, words[1:], parent=click.Context(cli))
        codes = shown.partition("Exit codes:")[2]
        assert {0, 2} <= {int(code) for code in re.findall(r"^  (\d)  \S", codes, re.M)}
        assert f"{PROJECT_URL}/blob/main/docs/{EPILOGS[name].page}" in shown
        assert (ROOT / "docs" / EPILOGS[name].page).exists()
    assert run("help")[1] == run("-h")[1] == run()[1]
    listed = run("help")[1].partition("Commands:")[2].partition("\n\n")[0]
    assert "..." not in listed  # what is cut short explains nothing
    assert PROJECT_URL in (ROOT / "pyproject.toml").read_text()


def test_short_options_mean_what_they_mean_elsewhere(run: Run) -> None:
    short = {
        spelling for each in cli.commands.values() for p in each.params for spelling in p.opts if len(spelling) == 2
    }
    assert {"-c", "-v", "-q", "-n"} <= short
    assert run("-V") == run("--version")
    assert [p.name for p in cli.commands["materialize"].params if "-n" in p.opts] == ["dry_run"]


def test_what_people_try_from_other_programs_is_answered_with_the_name_here(run: Run) -> None:
    code, _, said = run("unmount")
    assert (code, "Write `vod2strmfs umount`." in said) == (Exit.USAGE, True)
    assert "Write `vod2strmfs init`." in run("config")[2]
    assert "No such command 'nonesuch'" in run("help", "nonesuch")[2]


def test_umount_unmounts_ends_the_process_and_says_when_somebody_uses_it(run: Run, tmp_path: Path) -> None:
    with mounted(tmp_path, films(tmp_path, 2).url) as mount:
        busy = os.open(mount.path / "Movies", os.O_RDONLY)
        code, _, said = run("umount", mount.path)
        assert (code, "is in use" in said, is_mounted(mount.path)) == (Exit.MOUNT, True, True)
        assert f"vod2strmfs umount --lazy {mount.path}" in said
        os.close(busy)
        assert run("umount", mount.path) == (0, f"{mount.path}: unmounted\n", "")
        assert mount.process.wait(TIMEOUT) == 0
        code, _, said = run("umount", mount.path)
        assert (code, "nothing is mounted there" in said) == (Exit.MOUNT, True)


def test_mounting_twice_is_answered_with_how_to_look_and_how_to_unmount(run: Run, tmp_path: Path) -> None:
    with mounted(tmp_path, films(tmp_path, 2).url) as mount:
        code, _, said = run("mount", mount.path, "--state-dir", tmp_path / "other")
        assert (code, "a library is already mounted there" in said) == (Exit.MOUNT, True)
        assert f"`vod2strmfs umount {mount.path}" in said


def test_status_before_anything_has_run_speaks_of_both_ways(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vod2strmfs.host.mount_table.libraries", list)  # another test's mount would be named
    code, _, said = run("status", "--state-dir", tmp_path)
    assert (code, "no mount is running.\n" in said) == (Exit.MOUNT, True)
    assert "`vod2strmfs mount" in said
    assert "`vod2strmfs materialize" in said


@pytest.mark.parametrize("name", ["stats", "titles"])
def test_what_reads_the_index_says_how_to_make_one(run: Run, tmp_path: Path, name: str) -> None:
    code, _, said = run(name, "--state-dir", tmp_path / "none")
    assert (code, len(said.splitlines())) == (Exit.INDEX, 2)
    assert "`vod2strmfs sync --state-dir" in said


def test_umount_leaves_other_file_systems_alone(run: Run) -> None:
    code, _, said = run("umount", "/proc")
    assert (code, "a proc file system, and no library, is mounted there" in said) == (Exit.MOUNT, True)
    assert is_mounted(Path("/proc"))


def test_a_mount_says_once_that_it_is_mounted_and_what_it_holds(tmp_path: Path) -> None:
    database = films(tmp_path, 1904)
    with mounted(tmp_path, database.url) as mount:
        said = f"Mounted at {mount.path}: 1,904 movies, 0 series, 0 episodes."
        eventually(lambda: said in mount.log.read_text())
        database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
        eventually(lambda: "1 movie changed" in mount.log.read_text())
        assert mount.log.read_text().count("Mounted at") == 1
    daemon = command("mount", mount.path, "--daemon", f"--database={database.url}", f"--state-dir={tmp_path}/state")
    shown = subprocess.run(daemon, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    try:
        assert shown.stderr.count(said) == 1
        assert (tmp_path / "state/logs/vod2strm.log").read_text().count(said) == 1
    finally:
        subprocess.run(["umount", mount.path], check=True)


@pytest.fixture
def dispatcharr() -> Iterator[DispatcharrServer]:
    with DispatcharrServer() as server:
        yield server


class Asked:
    """`vod2strmfs init` on a terminal of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        whole = command("init", *arguments)
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.execve(whole[0], whole, {**os.environ, "TERM": "xterm", "COLUMNS": "200"})
        self.said = ""

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and type an answer."""
        before = len(self.said)
        deadline = time.monotonic() + TIMEOUT
        while not re.search(rf"{question}[^\n]*: $", self.said[before:]):
            assert select.select([self._terminal], [], [], deadline - time.monotonic())[0], self.said
            self.said += os.read(self._terminal, 65536).decode()
        os.write(self._terminal, f"{text}\n".encode())

    def end(self) -> int:
        """Wait until it ends; returns its exit code."""
        try:
            while data := os.read(self._terminal, 65536):
                self.said += data.decode()
        except OSError:  # what a terminal answers whose last user has gone
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


def test_init_asks_tries_each_answer_and_writes_what_sync_can_use(
    run: Run, tmp_path: Path, dispatcharr: DispatcharrServer
) -> None:
    films(tmp_path, 2)
    file = tmp_path / "new/films.toml"
    asked = Asked("--config", file)
    asked.answer("Database", f"sqlite:///{tmp_path}/nonesuch.db")
    asked.answer("Database", f"sqlite:///{tmp_path}/demo.db")
    asked.answer("Address", f"127.0.0.1:{free_port()}")  # http:// goes without saying
    asked.answer("Address", dispatcharr.url)
    asked.answer("Folder", f"{tmp_path}/library")
    assert asked.end() == 0, asked.said
    assert "no SQLite file" in asked.said
    assert "2 of 2 movies" in asked.said
    assert "cannot be reached (Connection refused)" in asked.said
    assert not re.search(r"--database|--base-url|FOLDER", asked.said)  # nobody has given options
    assert "is Dispatcharr" in asked.said
    assert f"{tmp_path}/library was made" in asked.said
    assert shlex.join(("vod2strmfs", "doctor", "--config", str(file))) in asked.said
    assert file.read_text().count("# ") > 8
    settings = load(file, {}, {})
    assert (settings.base_url, settings.output_root) == (dispatcharr.url, tmp_path / "library")
    assert run("sync", "-c", file, "--state-dir", tmp_path / "state")[0] == 0
    assert not dispatcharr.requests or all("00000000-0000" in each for each in dispatcharr.requests)


def test_init_puts_an_address_together_from_a_host_and_hides_the_password(
    tmp_path: Path, dispatcharr: DispatcharrServer
) -> None:
    file = tmp_path / "films.toml"
    asked = Asked("--config", file)
    asked.answer("Database", f"127.0.0.1:{free_port()}")
    asked.answer("role", "kim")
    asked.answer("password", "p@ss/word")
    asked.answer("name", "")
    asked.answer("Database", "keep")
    asked.answer(r"Address \[http://127.0.0.1:9191\]", dispatcharr.url)
    asked.answer("Folder", f"{tmp_path}/library")
    assert asked.end() == 0, asked.said
    assert "Connection refused. Check that PostgreSQL runs there" in asked.said
    assert "p@ss" not in asked.said
    assert "which only its owner can read" in asked.said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "kim:p%40ss%2Fword@127.0.0.1" in file.read_text()
    assert file.read_text().splitlines()[4].endswith('/dispatcharr"')


def test_ctrl_c_ends_init_and_nothing_is_written(tmp_path: Path) -> None:
    asked = Asked("--config", tmp_path / "films.toml")
    asked.answer("Database", "\x03")
    assert asked.end() == 130
    assert "Ended; nothing was written." in asked.said
    assert list(tmp_path.iterdir()) == []


def init(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Without a terminal."""
    return subprocess.run(
        command("init", *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_init_without_a_terminal_says_what_is_missing_or_does_with_options(
    tmp_path: Path, dispatcharr: DispatcharrServer
) -> None:
    films(tmp_path, 2)
    file, library = tmp_path / "films.toml", tmp_path / "library"
    done = init("-c", file, "--base-url", dispatcharr.url)
    assert (done.returncode, "Give --database and FOLDER as well" in done.stderr) == (Exit.USAGE, True)
    done = init(library, "-c", file, "--base-url", dispatcharr.url, "--database", "dispatcharr.db", "--no-check")
    assert (done.returncode, "--database: must be postgresql://" in done.stderr) == (Exit.USAGE, True)
    wrong = f"sqlite:///{tmp_path}/nonesuch.db"
    done = init(library, "-c", file, "--base-url", dispatcharr.url, "--database", wrong)
    assert (done.returncode, "no SQLite file" in done.stderr) == (Exit.DATABASE, True)
    assert "--no-check" in done.stderr
    assert not file.exists()
    address = dispatcharr.url.removeprefix("http://")
    done = init(library, "-c", file, "--base-url", address, "--database", f"sqlite:///{tmp_path}/demo.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert load(file, {}, {}).base_url == dispatcharr.url
    assert stat.S_IMODE(file.stat().st_mode) == 0o644  # no password is in it
    before = file.read_text()
    done = init(library, "-c", file, "--base-url", dispatcharr.url, "--database", wrong, "--no-check")
    assert (done.returncode, "is there already" in done.stderr) == (Exit.OUTPUT, True)
    assert file.read_text() == before
    assert sorted(path.name for path in tmp_path.glob("*.toml*")) == ["films.toml"]


def test_init_writes_the_usual_file(run: Run, usual: Usual, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("init", usual.folder / "library", "--no-check", "--base-url", "http://a", "--database")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert f"written: {usual.system}\n" in run(*arguments, f"sqlite:///{usual.folder}/demo.db")[1]
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert f"written: {usual.user}\n" in run(*arguments, f"sqlite:///{usual.folder}/demo.db")[1]
    assert load(usual.user, {}, {}).base_url == "http://a"


def test_who_ran_it_with_sudo_is_told_to_go_on_with_sudo(
    run: Run, usual: Usual, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("init", usual.folder / "library", "--no-check", "--base-url", "http://a", "--database")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert "  sudo vod2strmfs doctor " in run(*arguments, f"sqlite:///{usual.folder}/demo.db")[1]
    said = run("install-service", "--root", usual.folder / "host")[1]
    assert "Start it with: sudo systemctl daemon-reload && sudo systemctl enable --now vod2strmfs.service" in said
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    usual.user.unlink(missing_ok=True)
    assert "  vod2strmfs doctor " in run(*arguments, f"sqlite:///{usual.folder}/demo.db")[1]


def test_an_address_that_answers_and_is_not_dispatcharr_is_refused(tmp_path: Path) -> None:
    films(tmp_path, 1)
    with DispatcharrServer(status=404) as other:
        done = init(tmp_path / "library", "-c", tmp_path / "films.toml", "--base-url", other.url,
                    "--database", f"sqlite:///{tmp_path}/demo.db")  # fmt: skip
    assert (done.returncode, "is not Dispatcharr" in done.stderr) == (Exit.USAGE, True)


def test_colours_are_for_those_who_want_them(tmp_path: Path) -> None:
    films(tmp_path, 1)
    arguments = ("doctor", "--no-play", f"--database=sqlite:///{tmp_path}/demo.db", f"--state-dir={tmp_path}/state")
    _, coloured = on_terminal(*arguments)
    without = "import os; os.environ['NO_COLOR'] = '1'; from vod2strmfs.cli.start import main; main()"
    _, plain = on_terminal(*arguments, script=without)
    assert ("\x1b[3" in coloured, "\x1b[3" in plain) == (True, False)
    assert "problem" in plain or "warning" in plain
