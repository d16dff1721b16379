"""Dispatcharr's processes, as far as a plugin sees them: web workers, Celery workers, and the folder of plugins.

They run in `.venv/dispatcharr`, which `scripts/setup.sh` makes: Python 3.13, without FUSE, with what Dispatcharr has
installed. What they do stands in `dispatcharr_site`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from postgres_server import PostgresServer, free_port

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv/dispatcharr/bin/python"
SITE = Path(__file__).parent / "dispatcharr_site"
KEY = "vod2strm"
_SECONDS = 120.0


class PluginFailed(Exception):  # noqa: N818  it is what the page shows, not what the tests do wrong
    """What a call of the plugin manager raised; the text is what the page shows in red."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Dispatcharr:
    """One Dispatcharr: a folder of plugins, a database, and the processes that a test starts.

    Args:
        data: an empty folder; its `plugins` is Dispatcharr's `/data/plugins`.
        database: see `new_database`.
        redis: the port of a Redis; without one, nothing answers there.
    """

    def __init__(self, data: Path, database: str, redis: int | None = None) -> None:
        self.data = data
        self.plugins = data / "plugins"
        self.folder = self.plugins / KEY
        self.plugins.mkdir(parents=True)
        self.database = database
        self.environment = {
            **_environment(database),
            "DISPATCHARR_PLUGINS_DIR": str(self.plugins),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(redis or free_port()),
        }
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all that was started, as the end of a container does; so no process of a plugin is left either."""
        self._processes.close()
        while processes := _processes_of(self.plugins):
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def worker(self) -> "Worker":
        """One more web worker."""
        return self._processes.enter_context(Worker(self))

    def celery(self, queue: str) -> "Celery":
        """The Celery worker of a queue, as Dispatcharr starts it: `celery` is a pool of processes, `dvr` threads."""
        return self._processes.enter_context(Celery(self, queue))

    def beat(self) -> "subprocess.Popen[bytes]":
        """Celery's beat, which looks every second for what has changed."""
        command = ["-m", "celery", "-A", "dispatcharr", "beat", "--max-interval", "1", "--pidfile=", "-s", "/dev/null"]
        return self._processes.enter_context(_process([str(PYTHON), *command], self.environment))

    def log(self) -> str:
        """What all processes have logged."""
        path = self.data / "log"
        return path.read_text() if path.exists() else ""


class Worker:
    """A web worker; use it as a context manager. Every method of the site's `PluginManager` can be called."""

    def __init__(self, dispatcharr: Dispatcharr) -> None:
        self._dispatcharr = dispatcharr
        self._number = 0

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        with theirs, (self._dispatcharr.data / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(PYTHON), str(SITE / "web_worker.py"), str(theirs.fileno())],
                env=self._dispatcharr.environment, pass_fds=[theirs.fileno()], stdout=log, stderr=log,
            )  # fmt: skip
        ours.settimeout(_SECONDS)
        self._line = ours
        self._answers = ours.makefile("rb")
        self.call("longest_pause")
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._line.close()
        _end(self.process)

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the plugin manager.

        Raises:
            PluginFailed: it raised.
            EOFError: the worker has ended.
        """
        return self.answer(self.ask(name, *arguments, **named))

    def ask(self, name: str, *arguments: Any, **named: Any) -> int:
        """Begin a call; returns its number, for `answer`."""
        self._number += 1
        question = {"id": self._number, "call": name, "arguments": [arguments, named]}
        self._line.sendall(json.dumps(question).encode() + b"\n")
        return self._number

    def answer(self, number: int) -> Any:
        """What came of a call; one call at a time is waited for."""
        while line := self._answers.readline():
            said = json.loads(line)
            if said["id"] == number:
                if "raised" in said:
                    raise PluginFailed(*said["raised"])
                return said["answer"]
        raise EOFError(f"the web worker has ended:\n{self._dispatcharr.log()}")

    def finish(self, begun: Collection[int]) -> list[int]:
        """Wait for calls that were begun, whatever they answer; returns their numbers in the order of the answers."""
        return [int(json.loads(self._answers.readline())["id"]) for _ in begun]

    def install(self, archive: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Import a zip on the page, switch the plugin on, and fill in the form."""
        self.call("install", str(archive), overwrite=overwrite)
        self.call("set_enabled", KEY, True)
        self.call("update_settings", KEY, dict(settings))

    def run(self, action: str) -> dict[str, Any]:
        """Press a button; returns what the page gets."""
        answer: dict[str, Any] = self.call("run_action", KEY, action)
        return answer

    def kill(self) -> None:
        """Kill it as a machine's end would."""
        self.process.kill()
        self.process.wait()

    def peak_memory(self) -> int:
        """The most memory that it has had since `forget_peak`, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Let the peak be what it has now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


class Celery:
    """A Celery worker; use it as a context manager. It answers when it has begun."""

    def __init__(self, dispatcharr: Dispatcharr, queue: str) -> None:
        self._dispatcharr = dispatcharr
        self._queue = queue

    def __enter__(self) -> Self:
        pool = ["--pool=threads", "--concurrency=20"] if self._queue == "dvr" else ["--autoscale=2,1"]
        name = "dvr" if self._queue == "dvr" else "default"
        # The program, not the module: the words of the command line decide whether it loads plugins itself.
        program = str(PYTHON.with_name("celery"))
        command = [program, "-A", "dispatcharr", "worker", "-Q", self._queue, "-n", f"{name}@%h", *pool, "-l", "info"]
        command += ["--without-mingle", "--without-gossip"]  # a second each, for talking with others
        with (self._dispatcharr.data / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self._dispatcharr.environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: f"{name}@" in self._dispatcharr.log() and " ready." in self._said(name))
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # It would wait for its tasks.

    def kill(self) -> None:
        """Kill it and the processes of its pool at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _said(self, name: str) -> str:
        assert self.process.poll() is None, self._dispatcharr.log()
        return "".join(line for line in self._dispatcharr.log().splitlines() if f"{name}@" in line)


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis of the tests' own that keeps nothing; gives its port."""
    port = free_port()
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: scripts/setup.sh dev installs it"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _process(command, dict(os.environ)):
        wait_for(lambda: _listens(port))
        yield port


def new_database(server: PostgresServer, fill: Callable[[str], None] = lambda url: None) -> str:
    """The URL of a database with the tables of Django's that Dispatcharr has; the catalogue's are those that `fill`
    writes into the empty database."""
    url = server.new_database()
    fill(url)
    assert PYTHON.exists(), "there is no Python 3.13 for the tests: scripts/setup.sh dev makes .venv/dispatcharr"
    command = [str(PYTHON), "-m", "django", "migrate", "--run-syncdb", "-v", "0"]
    subprocess.run(command, env=_environment(url), check=True)
    return url


def wait_for(condition: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """Wait until something is so; returns what it said."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return said


def _environment(url: str) -> dict[str, str]:
    """The environment of Dispatcharr's processes on a database."""
    parts = urlsplit(url)
    values = {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password}
    return {
        **os.environ,
        **{f"POSTGRES_{name}": str(value) for name, value in values.items()},
        "POSTGRES_DB": parts.path[1:],
        "DJANGO_SETTINGS_MODULE": "dispatcharr.settings",
        "PYTHONPATH": str(SITE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def _process(command: list[str], environment: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        _end(process)


def _processes_of(folder: Path) -> list[int]:
    """The processes that have something in a folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if any(argument.startswith(f"{folder}/") for argument in path.read_text(errors="replace").split("\0")):
                found.append(int(path.parent.name))
    return found


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
