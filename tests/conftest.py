"""Fixtures that several tests share."""

import atexit
import fcntl
import functools
import logging
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from databases import Database
from dispatcharr_loader import ROOT, Dispatcharr, new_database, redis_server
from films import make_films
from needs import is_fast
from plugin_runs import Installed, many_films, some_films
from postgres_server import PostgresServer
from selenium import webdriver

from vod2strmfs.cli.logs.repetitions import Repetitions

_LONGEST_FIRST = "plugin whole films operate mount hydrate catalog materialize cli artwork sync".split()
"""Folders in the order of how long their tests take; those that are not named are done within seconds."""
_CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class WatchedConnection(sqlite3.Connection):
    """Warns of itself, as Python does from 3.13 on, if nobody closes it."""

    is_open = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.is_open = True  # Else there is nothing to close.

    def close(self) -> None:
        """See sqlite3."""
        self.is_open = False
        super().close()

    def __del__(self) -> None:
        if self.is_open:
            warnings.warn(f"unclosed database in {self!r}", ResourceWarning, stacklevel=1)


def pytest_configure(config: pytest.Config) -> None:
    """Processes that share the tests get them in the order in which they are collected, and not by their number.

    Hypothesis makes the same examples every time, and others only in long forms.

    A database that is left open is an error with every Python.

    What the tests start obeys SIGINT, also if they themselves were started in the background of a shell.

    Pydantic looks for plugins in none of the many packages that testing needs: that was a tenth of each start.
    """
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    config.option.loadscopereorder = False
    config.addinivalue_line("markers", "complains(*patterns): our code logs such warnings or errors during the test")
    if sys.version_info < (3, 13):
        sqlite3.connect = functools.partial(sqlite3.connect, factory=WatchedConnection)  # type: ignore[assignment]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("short", deadline=None, derandomize=True, max_examples=40, database=None)
    hypothesis.settings.register_profile("soak", deadline=None, max_examples=80)
    hypothesis.settings.load_profile("soak" if config.getoption("soak") else "short")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests that have a long form take the fixture `soak`."""
    parser.addoption("--soak", action="store_true", help="run those tests alone that have a long form, in that form")
    parser.addoption("--kodi", action="store_true", help="run those tests alone that need a real Kodi or other players")
    parser.addoption("--fast", action="store_true", help="run those tests alone that start no other process")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --soak, leave out what has no long form; what takes `kodi_home` or `player_home` runs with --kodi alone."""
    for option, fixtures in (("kodi", {"kodi_home", "player_home"}), ("soak", {"soak"})):
        chosen = [item for item in items if fixtures & {*getattr(item, "fixturenames", ())}]
        if not config.getoption(option):
            if option == "soak":
                continue
            chosen = [item for item in items if item not in chosen]
        _choose(config, items, chosen)
    if config.getoption("fast"):
        _choose(config, items, [item for item in items if is_fast(item)])
    # What is left at the end is short, so that no process goes on for long when the others have nothing to do.
    items.sort(key=lambda item: _LONGEST_FIRST.index(name) if (name := item.path.parent.name) in _LONGEST_FIRST else 99)


def _choose(config: pytest.Config, items: list[pytest.Item], chosen: list[pytest.Item]) -> None:
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests noted with pytest's `record_property`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name}: {value}")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to run the long form of the test."""
    return bool(request.config.getoption("soak"))


@pytest.fixture
def kodi_home(tmp_path: Path) -> Path:
    """An empty folder for a Kodi's settings and databases."""
    home = tmp_path / "kodi"
    home.mkdir()
    return home


@pytest.fixture
def player_home(tmp_path: Path) -> Path:
    """An empty folder for what players keep, and for what other programs make that only `make kodi` runs."""
    home = tmp_path / "player"
    home.mkdir()
    return home


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment's settings nor the files that commands read of themselves are the tests'."""
    monkeypatch.setenv("VOD2STRMFS_CONFIG", "")
    for name in os.environ:
        if name.startswith(("VOD2STRMFS_", "POSTGRES_")) and name != "VOD2STRMFS_CONFIG":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _messages() -> Iterator[None]:
    """What a command set up for its messages (`set_up_logs`) goes with the test."""
    yield
    logger = logging.getLogger("vod2strmfs")
    for repetitions in logger.filters[:]:
        logger.removeFilter(repetitions)
        if isinstance(repetitions, Repetitions):
            atexit.unregister(repetitions.tell)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


class Complaints(logging.Filter):
    """Warnings and errors that our code logs in a test's own process, unless a command was called there: that says them
    to standard error (`set_up_logs`), which its test looks at."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[str] = []
        self._expected: list[str] = []

    def expect(self, *patterns: str) -> None:
        """Declare messages, by regular expressions that are found in them; may be said before or after they come."""
        self._expected += patterns

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging."""
        if record.levelno >= logging.WARNING:
            self._said.append(f"{record.levelname} {record.getMessage()}")
        return True

    def unexpected(self) -> list[str]:
        """What was logged and not declared."""
        return [said for said in self._said if not any(re.search(each, said) for each in self._expected)]


@pytest.fixture(autouse=True)
def complaints(request: pytest.FixtureRequest) -> Iterator[Complaints]:
    """Fails a test during which our code logs a warning or an error that the test has not declared, with
    `complaints.expect(…)` or `@pytest.mark.complains(…)`."""
    found = Complaints()
    for marker in request.node.iter_markers("complains"):
        found.expect(*marker.args)
    logger = logging.getLogger("vod2strmfs")
    logger.addFilter(found)
    yield found
    logger.removeFilter(found)
    assert not found.unexpected()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; `new_database()` gives the URL of a fresh database."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/dispatcharr.db")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return Database(postgres.new_database())


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (*_CHROMIUM, f"--user-data-dir={tmp_path}/chromium"):
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
    browser = webdriver.Chrome(options, service)
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make plugin` makes; processes that share the tests make it once."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "dist"
    with (shared / "dist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = tmp_path_factory.mktemp("dist")
            subprocess.run([sys.executable, ROOT / "scripts/build_plugin.py", "--dist", made], check=True)
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def plugin_zip(dist: Path) -> Path:
    """The plugin as it is installed."""
    (found,) = dist.glob("vod2strm-*.zip")
    return found


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis, for Celery."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def real_films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A film in each container, by the names in `FILMS`. The processes that share the tests share them."""
    folder = tmp_path_factory.getbasetemp()
    return make_films((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "made-films")


@pytest.fixture(scope="session")
def _films(postgres: PostgresServer) -> str:
    return new_database(postgres, some_films)


@pytest.fixture(scope="session")
def _many_films(postgres: PostgresServer) -> str:
    return new_database(postgres, many_films)


@pytest.fixture
def filled(tmp_path: Path, postgres: PostgresServer, _films: str) -> Iterator[Dispatcharr]:
    """A Dispatcharr with a few films, and without Redis."""
    with Dispatcharr(tmp_path / "data", postgres.new_database(_films)) as made:
        yield made


@pytest.fixture
def filled_with_redis(tmp_path: Path, postgres: PostgresServer, _films: str, redis: int) -> Iterator[Dispatcharr]:
    """The same, with Redis."""
    with Dispatcharr(tmp_path / "data", postgres.new_database(_films), redis) as made:
        yield made


@pytest.fixture
def plugin(filled: Dispatcharr, plugin_zip: Path) -> Installed:
    """The plugin, with a few films."""
    return Installed(filled, plugin_zip)


@pytest.fixture
def busy_plugin(tmp_path: Path, postgres: PostgresServer, _many_films: str, plugin_zip: Path) -> Iterator[Installed]:
    """The plugin, with so many films that a run takes some seconds."""
    with Dispatcharr(tmp_path / "data", postgres.new_database(_many_films)) as made:
        yield Installed(made, plugin_zip)
