"""The command line: help, exit codes, and what a user is told when something is wrong."""

import csv
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeGuard

import click
import pytest
from databases import Database
from mounts import TIMEOUT, command, eventually, is_mounted, mounted
from postgres_server import PostgresServer

from vod2strmfs import __version__
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.main import cli
from vod2strmfs.cli.start import main
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit, MountError, OutputError
from vod2strmfs.index.store import Store
from vod2strmfs.materialize.root import locate
from vod2strmfs.mount import point
from vod2strmfs.settings import load

COMMANDS = (
    "completion", "demo", "doctor", "help", "init", "install-service", "materialize", "mount", "report", "run", "stats",
    "status", "sync", "umount",
)  # fmt: skip

_AS_NOBODY = """
import logging.handlers, os, unicodedata, _strptime
import vod2strmfs.catalog.sqlite, vod2strmfs.cli.main, vod2strmfs.cli.daemon, vod2strmfs.sync.run
import vod2strmfs.materialize.run
import vod2strmfs.mount.run, vod2strmfs.films.command, vod2strmfs.doctor.examine
from vod2strmfs.cli.start import main
os.setgroups([])
os.setgid({gid})
os.setuid({uid})
main()
"""
"""What a command loads is loaded first: the interpreter may be where only root can read."""


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, every command that reads the database warns."""
    monkeypatch.setenv("VOD2STRMFS_BASE_URL", "http://192.168.1.10:9191")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command, in this process if it is sure to return."""

    def run(*arguments: str | Path) -> Ended:
        if arguments and arguments[0] == "mount":
            return finish(command(*arguments))
        monkeypatch.setattr(sys, "argv", ["vod2strmfs", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def demo(tmp_path: Path) -> str:
    """The arguments for a small library with its state in `tmp_path/state`."""
    Database(f"sqlite:///{tmp_path}/demo.db").fill(films("Heat", "Alien"))
    return f"--database=sqlite:///{tmp_path}/demo.db --state-dir={tmp_path}/state"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can read and nobody, this one included, can write; but its `own` can be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "own").mkdir()
        (folder / "own").chmod(0o777)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def as_ordinary_user(*arguments: str | Path) -> Ended:
    """Run a command as a user who is not root."""
    if os.geteuid() != 0:
        whole = command(*arguments)
    else:
        nobody = pwd.getpwnam("nobody")
        code = _AS_NOBODY.format(uid=nobody.pw_uid, gid=nobody.pw_gid)
        whole = [sys.executable, "-c", code, *map(str, arguments)]
    return finish(whole)


def finish(whole: list[str]) -> Ended:
    """Run a command line in a process of its own."""
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    return Ended(done.returncode, done.stdout, done.stderr)


def films(*names: str) -> Catalogue:
    catalogue = Catalogue()
    for name in names:
        catalogue.movie(name)
    return catalogue


def assert_refused(ended: Ended, code: Exit, *words: str) -> None:
    """A message of one or two lines that holds these words, and no traceback."""
    assert ended.code == code, ended
    lines = ended.err.splitlines()
    assert lines[0].startswith("vod2strmfs: ")
    assert len(lines) <= 2
    for word in words:
        assert word in ended.err


def test_without_arguments_it_shows_the_help(run: Run) -> None:
    shown = run()
    assert shown.code == 0
    assert shown.out.startswith("Usage: vod2strmfs")
    assert shown == run("--help") == run("-h")
    assert run("--version").out == f"vod2strmfs, version {__version__}\n"


def test_every_command_is_summed_up_in_one_whole_line(run: Run) -> None:
    lines = run("--help").out.partition("Commands:\n")[2].splitlines()
    for name in COMMANDS:
        [line] = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.endswith(".")
        assert not line.endswith("...")
        assert len(line) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    assert run(name, "--help") == run(name, "-h")
    shown = run(name, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert "--debug" in shown.out


def test_help_shows_settings_under_headings_with_their_defaults(run: Run) -> None:
    words = run("mount", "--help").out.split()
    text = " ".join(words)
    for shown in ("Catalogue:", "Library:", "Mount:", "[default: http://192.168.199.10:9191]", "[default: 022]",
                  "[default: on]", "[default: off]", "[default: 30]", "--nfo / --no-nfo"):  # fmt: skip
        assert shown in text


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--help"], {"psycopg", "trio", "pyfuse3", "sqlite3", "msgspec", "regex"}),
        (["mount", "--help"], {"psycopg", "trio", "pyfuse3", "sqlite3", "msgspec", "regex"}),
        (["stats", "--state-dir={folder}"], {"psycopg", "trio", "pyfuse3"}),
        (["status", "--state-dir={folder}"], {"psycopg", "trio", "pyfuse3", "sqlite3", "jinja2", "httpx"}),
        (["sync", "--state-dir={folder}", "--database=sqlite:///{folder}/demo.db"], {"psycopg", "trio", "pyfuse3"}),
    ],
)
def test_a_command_loads_only_what_it_needs(tmp_path: Path, arguments: list[str], unneeded: set[str]) -> None:
    Database(f"sqlite:///{tmp_path}/demo.db").fill(films("Heat"))
    code = (
        "import sys\nfrom vod2strmfs.cli.start import main\n"
        "try:\n    main()\nfinally:\n    print('\\n' + ' '.join(sys.modules))"
    )
    given = [argument.format(folder=tmp_path) for argument in arguments]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=False)
    assert not unneeded & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["nonesuch"], ["sync", "--nonesuch"], ["sync", "extra"], ["demo"]])
def test_what_cannot_be_understood_is_a_usage_error(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert "Try 'vod2strmfs" in ended.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--base-url", "ftp://host"),
        ("--uid", "-1"),
        ("--poll-interval", "nan"),
        ("--umask", "999"),
        ("--state-dir", ""),
        ("--state-dir", "a" * 100_000),
        ("--max-shrink", "9" * 100_000),
        ("--database", ""),
        ("--database", "dispatcharr.db"),
        ("--database", "mysql://kim:geheim@host/db"),
        ("MOUNTPOINT", ""),
    ],
)
def test_a_bad_value_names_its_option(run: Run, demo: str, option: str, value: str) -> None:
    arguments = [value] if option == "MOUNTPOINT" else [f"{option}={value}"]
    ended = run("mount", *demo.split(), *arguments)
    assert_refused(ended, Exit.USAGE, f"{option}: ")
    assert len(ended.err) < 300


def test_the_file_can_be_named_by_a_variable_and_the_option_goes_first(
    run: Run, demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text("nonesuch = 1")
    (tmp_path / "b.toml").write_text(f'state_dir = "{tmp_path}/state"\ndatabase = "sqlite:///{tmp_path}/demo.db"')
    monkeypatch.setenv("VOD2STRMFS_CONFIG", str(tmp_path / "a.toml"))
    assert_refused(run("sync"), Exit.USAGE, "nonesuch in ", "a.toml")
    assert run("sync", "--config", tmp_path / "b.toml").code == 0


@pytest.mark.parametrize("arguments", [["--debug", "stats"], ["stats", "--debug"]])
def test_debug_anywhere_shows_the_traceback_and_nothing_else_does(
    run: Run, tmp_path: Path, arguments: list[str]
) -> None:
    plain = run("stats", "--state-dir", tmp_path)
    shown = run(*arguments, "--state-dir", tmp_path)
    assert_refused(plain, Exit.INDEX)
    assert shown.code == Exit.INDEX
    assert shown.err.startswith("Traceback")
    assert shown.err.endswith(plain.err)


def test_an_error_that_nobody_foresaw_is_short_and_asks_for_a_report(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An internal error, inside the groups that trio makes.
    monkeypatch.setattr("vod2strmfs.index.store.Store.__init__", _raise)
    assert_refused(run("stats", "--state-dir", tmp_path), Exit.FAILED, "ZeroDivisionError", "--debug")
    assert "Traceback" in run("stats", "--debug", "--state-dir", tmp_path).err


def _raise(*_: object) -> None:
    raise ExceptionGroup("nursery", [ExceptionGroup("nursery", [ZeroDivisionError("division by zero")])])


def test_sync_says_what_changed(run: Run, demo: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/demo.db")
    assert run("sync", *demo.split()) == Ended(0, "generation 1: 2 movies added\n", "")
    assert run("sync", *demo.split()) == Ended(0, "generation 1: nothing changed\n", "")
    database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
    assert run("sync", *demo.split()) == Ended(0, "generation 2: 1 movie changed\n", "")
    assert run("sync", *demo.split(), "--base-url", "http://host").out == "generation 3: names or contents changed\n"


def test_sync_fails_while_the_brake_holds_something(run: Run, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/many.db").fill(films(*(f"Film {number}" for number in range(50))))
    options = (f"--database={database.url}", f"--state-dir={tmp_path}/state")
    assert run("sync", *options).code == 0
    database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id > 10")
    for said in ("generation 2: 40 movies held\n", "generation 3: 1 movie changed, 40 movies held\n"):
        ended = run("sync", *options)
        assert ended.out == said
        assert_refused(ended, Exit.SHRINK, "40 of 50 movies are gone", "--accept-shrink")
        database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
    assert run("sync", *options, "--accept-shrink") == Ended(0, "generation 4: 40 movies removed\n", "")
    assert run("sync", *options).code == 0


def test_materialize_fails_while_the_brake_holds_something(run: Run, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/many.db").fill(films(*(f"Film {number}" for number in range(50))))
    options = (f"--database={database.url}", f"--state-dir={tmp_path}/state", "--cleanup=apply")
    materialize = ("materialize", tmp_path / "output", *options)

    def written() -> int:
        return len(list(tmp_path.glob("output/Movies/*/*.strm")))

    assert run(*materialize).code == 0
    database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id > 10")
    assert_refused(
        run(*materialize), Exit.SHRINK, "40 of 50 movies are gone from the catalogue and were kept", "--accept"
    )
    # The index lets go of them; the files are held all the same.
    assert run("sync", *options[:2], "--accept-shrink").code == 0
    ended = run(*materialize)
    assert_refused(ended, Exit.SHRINK, "40 files are stale and were not deleted", "--accept-shrink")
    assert "would delete" in ended.out
    assert written() == 50
    assert run(*materialize, "--accept-shrink").code == 0
    assert written() == 10


def test_an_output_root_that_would_be_a_mistake_is_refused_with_advice_that_can_be_followed(
    run: Run, demo: str, tmp_path: Path
) -> None:
    advice = f"`vod2strmfs materialize DIRECTORY --database sqlite:///{tmp_path}/demo.db"
    for root in ("/", Path.home(), "/etc/passwd", "/etc/passwd/films", "/proc/films", "/sys/fs"):
        assert_refused(run("materialize", root, *demo.split()), Exit.OUTPUT, f"output root {root}: ", advice)
    with mounted(tmp_path, f"sqlite:///{tmp_path}/demo.db") as mount:
        state = f"--state-dir={tmp_path}/other"
        assert_refused(run("materialize", mount.path, *demo.split(), state), Exit.OUTPUT, "is mounted at", advice)


def test_directories_of_the_system_are_neither_written_to_nor_mounted_over(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    systems = ("/", "/bin", "/boot", "/dev", "/etc", "/etc/vod", "/home", "/proc/1", "/root", "/run", "/sys", "/usr")
    more = ("/usr/local", "/usr/share", "/var", "/var/lib", "/var/log", "/dev/shm", "/etc/../etc", f"{tmp_path}/link")
    for place in map(Path, (*systems, *more)):
        with pytest.raises(OutputError, match=r"(of the system|the whole system)\. Name a directory of its own"):
            locate(place, tmp_path / "state")
        with pytest.raises(MountError, match=r"of the system, .* Name a directory of its own, such as /data/STRM"):
            point.prepare(place, allow_other=False)
    others = ("/data/STRM", "/home/films", "/srv/films", "/mnt", "/media/films", "/run/media/films", "/var/lib/films")
    for place in map(Path, (*others, "/usr/local/films", "/dev/shm/films", "/etcetera", "/opt/films", str(tmp_path))):
        assert locate(place, tmp_path / "state").path == place.resolve()
    (tmp_path / "films").mkdir()
    point.prepare(tmp_path / "films", allow_other=False)


def test_an_output_root_where_nothing_can_be_written_is_refused_before_any_title_fails(
    run: Run, demo: str, tmp_path: Path
) -> None:
    for kind in ("proc", "sysfs"):
        (root := tmp_path / kind).mkdir()
        subprocess.run(["mount", "-t", kind, kind, root], check=True)
        try:
            ended = run("materialize", root, *demo.split())
        finally:
            subprocess.run(["umount", root], check=True)
        assert_refused(ended, Exit.OUTPUT, f"output root {root}: nothing can be written there (")
        assert "could not be dealt with" not in ended.err


def test_an_output_root_within_the_state_directory_or_another_root_is_refused(
    run: Run, demo: str, tmp_path: Path
) -> None:
    options = demo.split()
    output = tmp_path / "output"
    assert run("materialize", output, *options).code == 0
    (tmp_path / "link").symlink_to(tmp_path / "state")
    for root in (tmp_path / "state", tmp_path / "state/films", tmp_path / "link/films"):
        ended = run("materialize", root, *options)
        assert_refused(
            ended, Exit.OUTPUT, f"lies in the state directory {tmp_path}/state", "output_root in the settings"
        )
    for root in (output / "Movies", output / "Movies/more"):
        ended = run("materialize", root, *options)
        assert_refused(ended, Exit.OUTPUT, f"output root {root}: lies in the output root {output}.", "delete")
    Path(ended.err.rpartition("delete ")[2].strip().removesuffix(".")).unlink()
    assert run("materialize", output / "own", *options).code == 0
    assert run("materialize", tmp_path / "output2", *options).code == 0


def test_a_root_that_could_not_be_written_may_hold_one(run: Run, demo: str, tmp_path: Path) -> None:
    """Who tried the mount point of a share first, and then a folder in it, is not told of the former."""
    share, options = tmp_path / "share", demo.split()
    share.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", share], check=True)
    try:
        assert_refused(run("materialize", share, *options), Exit.OUTPUT, "is mounted read-only. Mount it so that")
        subprocess.run(["mount", "-o", "remount,rw", share], check=True)
        assert run("materialize", share / "STRM", *options).code == 0
        assert run("materialize", share / "STRM/more", *options).code == Exit.OUTPUT
    finally:
        subprocess.run(["umount", share], check=True)


def test_an_output_root_that_belongs_to_somebody_else_needs_no_more_than_to_be_writable(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        Database(f"sqlite:///{folder}/demo.db").fill(films("Heat"))
        for place in ("output", "own"):
            (folder / place).mkdir()
            (folder / place).chmod(0o777)
        for said in ("4 folders: 2 created", "4 folders: nothing to do"):
            ended = as_ordinary_user(
                "materialize", folder / "output", f"--database=sqlite:///{folder}/demo.db", f"--state-dir={folder}/own"
            )
            assert (ended.code, ended.err) == (0, "")
            assert said.partition(": ")[2] in ended.out


def test_stats_are_csv_on_standard_output_or_in_a_file(run: Run, demo: str, tmp_path: Path) -> None:
    run("sync", *demo.split())
    state = f"--state-dir={tmp_path}/state"
    ended = run("stats", state)
    assert (ended.code, ended.err) == (0, "")
    [header, *rows] = csv.reader(ended.out.splitlines())
    assert header == ["scope", "metric", "value"]
    assert ["database", "movies", "2"] in rows
    assert run("stats", state, "--output", tmp_path / "stats.csv") == Ended(0, "", "")
    assert (tmp_path / "stats.csv").read_text() == ended.out


def test_stats_without_a_generation_say_how_to_get_one(run: Run, demo: str, tmp_path: Path) -> None:
    state = f"--state-dir={tmp_path}/state"
    assert_refused(run("stats", state), Exit.INDEX, str(tmp_path / "state"), "vod2strmfs sync")
    assert not (tmp_path / "state").exists()
    run("sync", state, "--database=sqlite:///nonesuch.db")
    assert_refused(run("stats", state), Exit.INDEX, "no sync has succeeded yet", "nonesuch.db", "vod2strmfs sync")


def test_json_is_one_option_with_one_help_text_wherever_it_is() -> None:
    found = {name: each.help for name, command in cli.commands.items() for each in command.params if is_json(each)}
    assert set(found) == {
        "artwork", "doctor", "hydrate", "learn", "materialize", "notify", "stats", "status", "sync", "titles",
    }  # fmt: skip
    assert len(set(found.values())) == 1


def is_json(parameter: click.Parameter) -> TypeGuard[click.Option]:
    return "--json" in parameter.opts


@pytest.mark.parametrize("target", ["/dev/full", "none/stats.csv", "."])
def test_stats_that_cannot_be_written_are_an_error(
    run: Run, demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run("sync", *demo.split())
    assert_refused(run("stats", f"--state-dir={tmp_path}/state", "--output", target), Exit.OUTPUT, target)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("materialize", "--schedule", "daily 03:30"), "`materialize` has no --schedule: it belongs to `run` and"),
        (("mount", "--json"), "`mount` has no --json: it belongs to `materialize`, `hydrate`, `artwork`"),
        (("sync", "--allow-other"), "`sync` has no --allow-other: it belongs to `mount`"),
        (("stats", "--no-play"), "`stats` has no --no-play: it belongs to `doctor`."),
        (
            ("materialize", "--output-root", "/x"),
            "--output-root is no option: write `vod2strmfs materialize DIRECTORY`.",
        ),
        (
            ("sync", "--output-root", "/x"),
            "`sync` needs no directory: leave --output-root out. It is an argument of `mount`, `materialize`,",
        ),
        (("--output-root", "/x"), "--output-root is an argument of `mount`, `materialize`,"),
        (("--config", "x", "mount"), "--config stands behind the command, as in `vod2strmfs mount --config …`."),
        (("mount", "--daemn"), "Did you mean one of: '--daemon'"),
        (("sync", "--nonesuch"), "No such option '--nonesuch'"),
        (("sync", "postgresql://kim:geheim@host/db"), "unexpected extra argument (postgresql://kim:***@host/db)"),
    ],
)
def test_an_option_of_another_command_is_sent_there(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = finish(command(*arguments))
    assert ended.code == Exit.USAGE
    assert said in " ".join(ended.out.split() + ended.err.split())
    assert "geheim" not in ended.err


def test_filters_that_let_nothing_in_are_a_usage_error(run: Run, demo: str) -> None:
    assert_refused(run("sync", *demo.split(), "--accounts=Typo"), Exit.USAGE, "the filters keep out all 2 titles")


def test_who_may_read_the_settings_is_said(open_folder: Path) -> None:
    (secret := open_folder / "own/secret.toml").touch(0o600)
    said = "Only root may read it: use sudo."
    assert_refused(as_ordinary_user("sync", f"--config={secret}"), Exit.USAGE, str(secret), said)


def test_a_user_who_asks_for_the_mount_of_root_is_told_how(open_folder: Path, tmp_path: Path) -> None:
    options = ("status", f"--state-dir={open_folder}/own/state")
    with mounted(tmp_path, Database(f"sqlite:///{tmp_path}/demo.db").fill(films("Heat")).url):
        ended = as_ordinary_user(*options)
        assert_refused(ended, Exit.MOUNT, "no mount is running", " by root: run `sudo vod2strmfs status`.")
        ended = finish(command(*options))
        assert_refused(ended, Exit.MOUNT, "A library is mounted at ", "give that with --state-dir")


def test_a_reader_that_goes_away_is_no_reason_to_complain(run: Run, demo: str, tmp_path: Path) -> None:
    run("sync", *demo.split())
    reader, writer = os.pipe()
    os.close(reader)
    arguments = command("stats", f"--state-dir={tmp_path}/state")
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(arguments, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b""
    assert done.returncode == Exit.OUTPUT


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--version"], ["report", "--help"], ["report"], ["report", "--follow"], ["report", "--json"]),
        *(["stats"], ["stats", "--json"], ["sync"], ["sync", "--json"], ["materialize"], ["materialize", "--json"]),
        *(["doctor", "--no-play"], ["status", "--json"], ["completion", "bash"]),
        ["PYTHONUNBUFFERED", "stats"],
    ],
    ids=" ".join,
)
def test_a_standard_output_that_is_full_is_said(run: Run, demo: str, tmp_path: Path, arguments: list[str]) -> None:
    assert run("materialize", tmp_path / "output", *demo.split()).code == 0
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    name, *options = arguments
    if name in environment:
        environment[name] = "1"
        name, *options = options
    if name in ("sync", "materialize"):
        options += [f"--database=sqlite:///{tmp_path}/demo.db"]
    if name == "materialize":
        options += [str(tmp_path / "output")]
    if name not in ("--version", "completion") and "--help" not in options:
        options += [f"--state-dir={tmp_path}/state"]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            command(name, *options), stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    assert ended.stderr == "vod2strmfs: standard output: cannot be written (No space left on device).\n"
    assert ended.returncode == Exit.OUTPUT


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("name", ["stats", "report", "--version"])
def test_without_standard_output_it_works_all_the_same(
    run: Run, tmp_path: Path, demo: str, name: str, closed: str
) -> None:
    assert run("materialize", tmp_path / "output", *demo.split()).code == 0
    options = [] if name == "--version" else [f"--state-dir={tmp_path}/state"]
    ended = finish(["sh", "-c", f'exec "$@" {closed}', "sh", *command(name, *options)])
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.parametrize(
    "words", [["materialize", "films"], ["sync", "--state-dir=state"], ["sync", "--database=sqlite:///films.db"]]
)
def test_a_relative_path_in_a_directory_that_has_gone_is_explained(tmp_path: Path, words: list[str]) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    ended = finish(["sh", "-c", f'cd {place} && rmdir {place} && exec "$@"', "sh", *command(*words)])
    assert_refused(ended, Exit.USAGE, "is relative, and the current directory has gone", "absolute path")


def test_another_user_is_told_that_it_is_the_rights(tmp_path: Path, demo: str, run: Run, open_folder: Path) -> None:
    assert run("materialize", tmp_path / "output", *demo.split()).code == 0
    state = open_folder / "state"
    (tmp_path / "state").rename(state)
    state.chmod(0o755)
    for name, code in (("stats", Exit.INDEX), ("report", Exit.OUTPUT)):
        ended = as_ordinary_user(name, f"--state-dir={state}")
        assert_refused(ended, code, str(state), "Permission denied", "sudo")
        assert "`vod2strmfs sync` makes" not in ended.err
        assert "holds no report" not in ended.err


def test_another_user_is_told_the_same_of_films(tmp_path: Path, demo: str, run: Run, open_folder: Path) -> None:
    assert run("sync", *demo.split()).code == 0
    state = open_folder / "state"
    (tmp_path / "state").rename(state)
    (state / "films").mkdir()
    (state / "films/films.db").touch()
    state.chmod(0o700)
    assert_refused(as_ordinary_user("learn", f"--state-dir={state}"), Exit.INDEX, "Permission denied", "sudo")
    assert_refused(as_ordinary_user("status", f"--state-dir={state}"), Exit.MOUNT, "only the user who mounts can ask")
    examined = as_ordinary_user("doctor", f"--state-dir={state}", "--no-play")
    assert examined.code == Exit.PROBLEMS
    assert "unexpected error" not in examined.err


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("name", ["sync", "materialize"])
def test_without_standard_error_it_works_all_the_same(tmp_path: Path, demo: str, name: str, closed: str) -> None:
    place = [tmp_path / "output"] if name == "materialize" else []
    whole = command(name, *place, *demo.split(), "--debug-logging")
    ended = finish(["sh", "-c", f'exec "$@" {closed}', "sh", *whole])
    assert (ended.code, ended.err) == (0, "")
    assert bool(ended.out) == (">&- 2" not in closed)
    with closing(Store(tmp_path / "state")) as store:
        assert store.generation == 1


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from vod2strmfs.cli.start import main
main()
"""


def test_an_interrupt_while_it_is_loaded_ends_it_without_a_word() -> None:
    ended = finish([sys.executable, "-c", INTERRUPTED_WHILE_LOADING, "stats"])
    assert ended == Ended(130, "", "")


def test_an_interrupt_ends_it_quietly_with_130(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        port = silent.getsockname()[1]
        arguments = command("sync", f"--database=host=127.0.0.1 port={port}", f"--state-dir={tmp_path}")
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
    assert (process.returncode, out.strip(), err.strip()) == (130, "", "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///{folder}/none.db", ["no SQLite file", "none.db"]),
        ("sqlite:///{folder}", ["database: /", "is a directory. Name the SQLite file in it."]),
        ("sqlite:////tmp", ["database: /tmp is a directory."]),
        ("sqlite:///{folder}/text", ["text", "not a database"]),
        ("sqlite:///{folder}/empty", ["not a Dispatcharr database", "no table vod_movie"]),
        ("nonesuch=1", ["not a libpq connection string"]),
        ("postgresql://kim:geheim@127.0.0.1:1/db", ["kim@127.0.0.1:1/db", "refused"]),
    ],
)
def test_a_database_that_cannot_be_read_is_named_without_its_password(
    run: Run, tmp_path: Path, url: str, words: list[str]
) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    (tmp_path / "empty").touch()
    options = ("sync", f"--state-dir={tmp_path}/state", f"--database={url.format(folder=tmp_path)}")
    assert_refused(run(*options), Exit.DATABASE, *words)
    assert "geheim" not in run(*options, "--debug").err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("password", ["password", "Check the user and the password"]),
        ("dbname", ["nonesuch", "Check the database's name"]),
        ("nothing", ["not a Dispatcharr database", "vod_movie"]),
        ("old", ["vod_episode", "air_date", "too old"]),
    ],
)
def test_a_postgresql_that_cannot_be_used_is_named_without_its_password(
    run: Run, postgres: PostgresServer, tmp_path: Path, change: str, words: list[str]
) -> None:
    url = postgres.new_database()
    password = url.split(":")[2].split("@")[0]
    if change == "password":
        url, password = url.replace(password, "geheim"), "geheim"
    elif change == "dbname":
        url = f"{url.rpartition('/')[0]}/nonesuch"
    elif change == "old":
        Database(url).fill(films("Heat")).execute("ALTER TABLE vod_episode DROP COLUMN air_date")
    options = ("sync", f"--state-dir={tmp_path}/state", f"--database={url}")
    assert_refused(run(*options), Exit.DATABASE, *words)
    assert password not in run(*options, "--debug").err


@pytest.mark.parametrize("name", ["sync", "materialize"])
def test_an_address_that_was_forgotten_is_said_each_time(
    run: Run, demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = [tmp_path / "output"] if name == "materialize" else []
    monkeypatch.delenv("VOD2STRMFS_BASE_URL")
    for _ in range(2):
        ended = run(name, *place, *demo.split())
        assert ended.code == 0
        assert "WARNING base_url is not set" in ended.err
    assert "base_url" not in run(name, *place, *demo.split(), "--base-url=http://192.168.1.10:9191").err
    if name == "sync":  # it stays as it is in the index
        assert "base_url" not in run(name, *demo.split()).err


def test_a_password_in_the_base_url_is_in_no_message_and_no_log(run: Run, demo: str, tmp_path: Path) -> None:
    given = "--base-url=http://kim:geheim@dispatcharr.example:9191"
    ended = run("materialize", tmp_path / "output", *demo.split(), given, "--debug-logging")
    log = (tmp_path / "state/logs/vod2strm.log").read_text()
    for said in (ended.out, ended.err, log):
        assert "geheim" not in said
    for said in (ended.err, log):
        assert "kim:***@dispatcharr.example" in said
    strm = next((tmp_path / "output").rglob("*.strm")).read_text()
    assert "http://kim:geheim@dispatcharr.example:9191/proxy/" in strm


def test_without_a_database_the_error_says_how_to_give_one(run: Run, tmp_path: Path) -> None:
    for name in ("sync", "mount"):
        (tmp_path / "mount").mkdir(exist_ok=True)
        path = [tmp_path / "mount"] if name == "mount" else []
        assert_refused(run(name, *path, f"--state-dir={tmp_path}/state"), Exit.USAGE, "--database")


def test_no_process_shows_the_password_in_its_arguments(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films("Heat"))
    config = tmp_path / "vod2strmfs.toml"
    config.write_text(f'database = "{database.url}"')
    password = database.url.split(":")[2].split("@")[0]
    mountpoint = tmp_path / "mount"
    mountpoint.mkdir()
    process = subprocess.Popen(command("mount", mountpoint, "--config", config, "--state-dir", tmp_path / "state"))
    try:
        eventually(lambda: bool(_children(process.pid)) and is_mounted(mountpoint))
        for pid in (process.pid, *_children(process.pid)):
            assert password not in Path(f"/proc/{pid}/cmdline").read_text()
    finally:
        process.terminate()
        assert process.wait(120) == 0


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


@pytest.mark.parametrize(
    ("mountpoint", "words"),
    [
        ("none", ["does not exist", "mkdir -p"]),
        ("file", ["is not a directory"]),
        ("file/below", ["Not a directory"]),
        ("loop", ["symbolic link"]),
        ("a" * 300, ["too long"]),
        ("parent", ["would hide", "state"]),
    ],
)
def test_a_mount_point_that_cannot_be_used_is_named(
    run: Run, demo: str, tmp_path: Path, mountpoint: str, words: list[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "parent/state").mkdir(parents=True)
    ended = run("mount", tmp_path / mountpoint, *demo.split(), f"--state-dir={tmp_path}/parent/state")
    assert_refused(ended, Exit.MOUNT, f"mount point {tmp_path}/{mountpoint}: ", *words)


def test_a_mount_point_in_use_is_named_under_every_name_it_has(run: Run, demo: str, tmp_path: Path) -> None:
    (folder := tmp_path / "Filme für\talle").mkdir()
    (link := tmp_path / "link").symlink_to(folder / "mount")
    with mounted(folder, f"sqlite:///{tmp_path}/demo.db", wait=False) as mount:
        eventually(lambda: os.path.ismount(mount.path))
        for path in (mount.path, link):
            assert_refused(
                run("mount", path, *demo.split()), Exit.MOUNT, f"{path}: ", "already mounted", "`vod2strmfs umount "
            )


@pytest.mark.parametrize("name", ["sync", "mount"])
@pytest.mark.parametrize("place", ["file", "file/below", "a" * 300])
def test_a_state_directory_that_cannot_be_made_is_named(
    run: Run, demo: str, tmp_path: Path, name: str, place: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "mount").mkdir()
    path = [tmp_path / "mount"] if name == "mount" else []
    ended = run(name, *path, *demo.split(), f"--state-dir={tmp_path}/{place}")
    assert_refused(ended, Exit.INDEX, f"state directory {tmp_path}/{place}: ", "--state-dir")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_log_directory_that_cannot_be_made_is_named(run: Run, demo: str, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    ended = run("sync", *demo.split(), "--debug-logging", f"--log-dir={tmp_path}/{place}")
    assert_refused(ended, Exit.OUTPUT, f"log file {tmp_path}/{place}/vod2strm.log: ", "--log-dir")


def test_a_disk_that_is_too_small_for_the_index_is_named(run: Run, tmp_path: Path) -> None:
    assert run("demo", tmp_path / "many.db", "--movies=3000", "--series=1", "--episodes=1").code == 0
    (state := tmp_path / "state").mkdir()
    sync = command("sync", f"--database=sqlite:///{tmp_path}/many.db", f"--state-dir={state}")
    ended = finish(
        ["unshare", "--mount", "sh", "-ec", f'mount -t tmpfs -o size=400k none {state}; exec "$@"', "sh", *sync]
    )
    said = f"the disk at {state} has no room for it ("
    assert_refused(ended, Exit.INDEX, f"state directory {state}: ", said, "iB free)")


def test_what_an_ordinary_user_may_not_do_is_an_error_that_says_so(open_folder: Path) -> None:
    database = Database(f"sqlite:///{open_folder}/own/demo.db").fill(films("Heat"))
    (open_folder / "own/demo.db").chmod(0o444)
    (secret := open_folder / "own/secret.toml").touch(0o000)
    (private := open_folder / "own/private").mkdir(0o000)
    url, state = f"--database={database.url}", f"--state-dir={open_folder}/own/state"

    ended = as_ordinary_user("sync", url, f"--state-dir={open_folder}/state")
    assert_refused(ended, Exit.INDEX, f"state directory {open_folder}/state: Permission denied", "--state-dir")
    ended = as_ordinary_user("sync", url, state, "--debug-logging", f"--log-dir={open_folder}/logs")
    assert_refused(ended, Exit.OUTPUT, f"log file {open_folder}/logs/vod2strm.log: Permission denied", "--log-dir")
    ended = as_ordinary_user("sync", url, state, f"--config={secret}")
    assert_refused(ended, Exit.USAGE, f"{secret}: cannot be read (Permission denied)")
    ended = as_ordinary_user("stats", f"--state-dir={private}/state")
    assert_refused(ended, Exit.INDEX, f"{private}/state/index.db: cannot be opened")

    assert as_ordinary_user("sync", url, state).code == 0
    (dropbox := open_folder / "own/stats.csv").touch()
    dropbox.chmod(0o222)
    assert as_ordinary_user("stats", state, f"--output={dropbox}").code == 0
    ended = as_ordinary_user("stats", state, f"--output={open_folder}/stats.csv")
    assert_refused(ended, Exit.OUTPUT, f"{open_folder}/stats.csv: cannot be written (Permission denied)")


def test_where_an_ordinary_user_may_not_mount_is_an_error_that_says_so(open_folder: Path) -> None:
    (private := open_folder / "own/private").mkdir(0o000)
    options = ("--database=sqlite:///none.db", f"--state-dir={open_folder}/own/state")
    for path, reason in ((open_folder, "that you can write"), (private / "mount", "Permission denied")):
        ended = as_ordinary_user("mount", path, *options)
        assert_refused(ended, Exit.MOUNT, f"mount point {path}: ", reason)
    ended = as_ordinary_user("mount", open_folder / "own", *options, "--allow-other")
    assert_refused(ended, Exit.MOUNT, "allow_other", "/etc/fuse.conf")


def test_a_demo_is_never_written_over_anything(
    run: Run, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ("--movies=4", "--series=1", "--episodes=2")
    (tmp_path / "mine").write_text("mine")
    assert_refused(run("demo", "mine"), Exit.FAILED, "mine", "exists already")
    assert (tmp_path / "mine").read_text() == "mine"
    assert_refused(run("demo", "none/demo.db"), Exit.FAILED, "none/demo.db", "No such file")

    url = postgres.new_database()
    assert run("demo", url, *few) == Ended(0, "4 movies, 1 series and 2 episodes written.\n", "")
    assert_refused(run("demo", url, *few), Exit.FAILED, "not empty")
    assert run("demo", "demo.db", *few).code == 0
    assert run("demo", "demo.db", "--movies=-1").code == Exit.USAGE


def test_the_debug_log_is_verbose_private_and_without_secrets(run: Run, demo: str, tmp_path: Path) -> None:
    database = "postgresql://kim:geheim@127.0.0.1:1/db"
    options = (f"--state-dir={tmp_path}/deep/state", f"--database={database}")
    verbose = run("sync", *options, "--debug-logging")
    log = tmp_path / "deep/state/logs/vod2strm.log"
    assert f"DEBUG vod2strmfs {__version__}" in log.read_text()
    assert "geheim" not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    for directory in ("state", "state/logs"):
        assert stat.S_IMODE((tmp_path / "deep" / directory).stat().st_mode) == 0o700
    before = log.read_bytes()
    assert run("sync", *options) == verbose
    assert log.read_bytes() == before


def test_the_log_is_rotated_and_every_part_of_it_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vod2strmfs.cli.logs.setup._BYTES", 1000)
    monkeypatch.setattr("vod2strmfs.cli.logs.setup._FILES", 2)
    settings = load(None, {"debug_logging": True, "log_dir": str(tmp_path)}, {})
    for _ in range(10):
        set_up_logs(settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"vod2strm.log{n}" for n in ("", ".1", ".2")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_materialize_says_what_it_did_where_and_in_what_time(run: Run, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/few.db").fill(films("Heat", "Ronin", "Alien"))
    options = (tmp_path / "output", f"--database={database.url}", f"--state-dir={tmp_path}/state")
    planned = run("materialize", *options, "--dry-run")
    assert "Nothing was written: this is what would be done." in planned.out
    done = run("materialize", *options)
    assert re.match(rf"{tmp_path}/output: \d folders in \d+\.\d s: 6 created\n", done.out)
    assert "Nothing was" not in done.out
    database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 1")
    preview = run("materialize", *options, "--cleanup=preview")
    assert "Nothing was deleted: `would delete` is what `--cleanup apply` would delete." in preview.out
    assert "cleanup\tHeat/movie.nfo\tgone" in run("report", f"--state-dir={tmp_path}/state").out
