"""Logging: levels for the journal, repetitions counted, each request of a mount on demand, one file for all."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from mounts import TIMEOUT, command, eventually, mounted

from vod2strmfs.cli import main
from vod2strmfs.cli.answer import answer
from vod2strmfs.cli.logs.repetitions import Repetitions
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.host.printable import printable, printable_lines

_LINES = 400
_WRITER = f"""
import logging, sys
from vod2strmfs.cli.logs import setup as logs
from vod2strmfs.settings import load
logs._BYTES, logs._FILES = 4000, 1000
logs.set_up_logs(load(None, {{"debug_logging": True, "log_dir": sys.argv[1]}}, {{}}), quiet=True)
sys.stdin.readline()
for number in range({_LINES}):
    logging.getLogger("vod2strmfs").info("line %s-%d %s", sys.argv[2], number, "." * 40)
"""


class Shown(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.Logger("of one test")
    yield logger
    for old in logger.filters:
        assert isinstance(old, Repetitions)
        old.tell()


def counting(logger: logging.Logger, seconds: float) -> tuple[Repetitions, Shown]:
    shown, repetitions = Shown(), Repetitions(logger, seconds)
    logger.addHandler(shown)
    logger.addFilter(repetitions)
    return repetitions, shown


def test_a_warning_that_is_repeated_is_counted(logger: logging.Logger) -> None:
    repetitions, shown = counting(logger, 600)
    for _ in range(5):
        logger.warning("no answer from %s", "here")
        logger.error("no answer from here")
    logger.warning("no answer from %s", "there")
    first = ["WARNING no answer from here", "ERROR no answer from here", "WARNING no answer from there"]
    assert shown.lines == first
    repetitions.tell()
    counted = ["WARNING no answer from here (4 more times)", "ERROR no answer from here (4 more times)"]
    assert shown.lines == first + counted
    repetitions.tell()
    assert shown.lines == first + counted
    logger.warning("no answer from here")
    assert shown.lines[-1] == first[0]


def test_the_number_is_told_after_a_while_without_another_message(logger: logging.Logger) -> None:
    _, shown = counting(logger, 0.2)
    logger.warning("again")
    logger.warning("again")
    eventually(lambda: shown.lines == ["WARNING again", "WARNING again (1 more time)"])


def test_a_warning_that_comes_back_much_later_is_shown_anew(logger: logging.Logger) -> None:
    _, shown = counting(logger, -1)
    logger.warning("again")
    logger.warning("again")
    assert shown.lines == ["WARNING again", "WARNING again"]


def test_information_and_tracebacks_are_never_counted(logger: logging.Logger) -> None:
    _, shown = counting(logger, 600)
    for _ in range(2):
        logger.info("a run")
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            logger.exception("an error")
    assert shown.lines == ["INFO a run", "ERROR an error"] * 2


def test_endless_different_warnings_take_no_endless_memory(logger: logging.Logger) -> None:
    repetitions, shown = counting(logger, 600)
    for number in range(5000):
        logger.warning("warning %d", number)
    assert len(shown.lines) == 5000
    assert len(repetitions._seen) <= 1000


def test_what_was_counted_is_told_when_the_program_ends(tmp_path: Path) -> None:
    code = """
import logging
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.settings import Settings
set_up_logs(Settings())
for _ in range(3):
    logging.getLogger("vod2strmfs").warning("again")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert [line.partition(" WARNING ")[2] for line in done.stderr.splitlines()] == ["again", "again (2 more times)"]


_SAID = "it answers \x1b[2J\x9b1m\r500\u202e"
"""What a server may say of itself, lines aside."""


def is_inert(text: str) -> bool:
    """Whether none of a text's lines commands a terminal."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("stream", ["1:1", "{dev}:{ino}"])
def test_what_others_wrote_commands_no_terminal_from_a_log(tmp_path: Path, stream: str) -> None:
    code = f"""
import logging, os
from vod2strmfs.cli.logs import setup
from vod2strmfs.settings import load
stat = os.fstat(2)
os.environ["JOURNAL_STREAM"] = {stream!r}.format(dev=stat.st_dev, ino=stat.st_ino)
setup.set_up_logs(load(None, {{"log_dir": {str(tmp_path)!r}}}, {{}}), to_file=True)
try:
    raise ValueError({_SAID!r})
except ValueError as error:
    logging.getLogger("vod2strmfs").exception("%s\\nA second line.", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=TIMEOUT)
    for text in (done.stderr.decode(), (tmp_path / "vod2strm.log").read_text()):
        assert text.count("it answers �[2J�1m�500�\n") == 2  # in the message, and in the traceback
        assert "A second line.\n" in text
        assert is_inert(text)


def test_what_others_wrote_commands_no_terminal_from_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert main._report(OutputError(f"{_SAID}.\nDo this.")) == 6
    assert capfd.readouterr().err == "vod2strmfs: it answers �[2J�1m�500�.\nDo this.\n"


def test_what_others_wrote_commands_no_terminal_from_an_answer(capfd: pytest.CaptureFixture[str]) -> None:
    answer(f"{_SAID}\nDone.", {}, None)
    assert capfd.readouterr().out == "it answers �[2J�1m�500�\nDone.\n"


@pytest.mark.parametrize("name", ["می\u200cخواهم", "夜\u3000空", "Été\u00a0!", "שלום\u200f!", "👨\u200d👩"], ids=ascii)
def test_joiners_wide_spaces_and_marks_of_direction_stay_in_names(name: str) -> None:
    assert printable(name) == printable_lines(name) == name


def sync_into(tmp_path: Path, stream: str) -> str:
    """What a sync writes to a pipe as its standard error."""
    reader, writer = os.pipe()
    stat = os.fstat(writer)
    environment = {**os.environ, "JOURNAL_STREAM": stream.format(dev=stat.st_dev, ino=stat.st_ino)}
    arguments = command("sync", f"--database=sqlite:///{tmp_path}/demo.db", f"--state-dir={tmp_path}/state",
                        "--base-url=http://127.0.0.1:9191")  # fmt: skip
    subprocess.run(arguments, stderr=writer, stdout=subprocess.DEVNULL, env=environment, check=True, timeout=TIMEOUT)
    os.close(writer)
    with os.fdopen(reader) as said:
        return said.read()


def test_the_journal_gets_levels_and_a_terminal_gets_times(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue)
    assert sync_into(tmp_path, "{dev}:{ino}").startswith("<4>base_url is http://127.0.0.1:9191")
    assert re.match(r"\d{4}-\d\d-\d\d [\d:,]+ WARNING base_url is", sync_into(tmp_path, "1:1"))


def test_a_mount_logs_each_request_with_its_time_when_that_is_wanted(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    url = Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue).url
    with mounted(tmp_path, url, "--debug-logging") as mount:
        [strm] = (mount.path / "Movies").rglob("*.strm")
        assert strm.read_bytes()
        with pytest.raises(FileNotFoundError):
            (mount.path / "nonesuch").stat()
        log = (tmp_path / "state/logs/vod2strm.log").read_text()
        assert re.search(r"DEBUG lookup\(1, 'nonesuch', process \d+\): ENOENT, \d+ µs", log)
        assert re.search(r"DEBUG open\(\d+, process \d+\): ok, \d+ µs", log)
        assert re.search(r"DEBUG readdir\(\d+, 0, \d+, process \d+\): ok, \d+ µs", log)
        assert mount.stop() == 0
    assert "lookup" not in mount.log.read_text()


def test_without_that_it_writes_no_log_file(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    url = Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue).url
    with mounted(tmp_path, url, "--log-dir", str(tmp_path / "logs")) as mount:
        assert os.listdir(mount.path)
    assert not (tmp_path / "logs").exists()


def test_no_line_is_lost_when_several_processes_rotate_one_log(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path, str(number)], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=TIMEOUT)
    parts = list(tmp_path.iterdir())
    found = [
        match[1]
        for part in parts
        for line in part.read_text().splitlines()
        if (match := re.fullmatch(r"[\d,: -]+ INFO line (\d-\d+) \.{40}", line))
    ]
    assert sorted(found) == sorted(f"{writer}-{number}" for writer in range(4) for number in range(_LINES))
    assert len(parts) > 2
