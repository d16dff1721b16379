"""`run` and `materialize`, seen like a mount: by `status`, the page, the metrics and `doctor`."""

import base64
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from disks import small_disk
from mounts import TIMEOUT, command, eventually
from postgres_server import free_port

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.host.lock import held, is_held
from vod2strmfs.index.store import Store
from vod2strmfs.settings import load
from vod2strmfs.status import runs
from vod2strmfs.status.runs import LOCK_NAME, LastRun, ServiceState, note_last, noting, read_runs
from vod2strmfs.web.server import Gate

TOKEN = "geheim & lang"


class Ended:
    """A command that has ended."""

    def __init__(self, *arguments: str | Path) -> None:
        done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=TIMEOUT)
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


class Setup:
    """A catalogue, and where it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        catalogue = Catalogue()
        for number in range(50):
            catalogue.movie(f"Film {number}")
        self.database = Database(f"sqlite:///{folder}/demo.db").fill(catalogue)
        self.state = folder / "state"
        self.options = (
            folder / "output", f"--database={self.database.url}", f"--state-dir={self.state}",
            "--base-url=http://192.168.1.10:9191",
        )  # fmt: skip

    def status(self, *options: str) -> Ended:
        """`vod2strmfs status`."""
        return Ended("status", f"--state-dir={self.state}", *options)

    def doctor(self) -> Ended:
        """`vod2strmfs doctor`."""
        return Ended("doctor", *self.options, "--no-play")

    @contextmanager
    def running(self, *options: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        """The service, once its first run has ended."""
        with (self.folder / "log").open("wb") as log:
            whole = command("run", *self.options, *options)
            process = subprocess.Popen(whole, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            # Else it would wait until the catalogue has been still for 30 seconds.
            eventually(lambda: (known := read_runs(self.state)) is not None and known.is_alive)
            process.send_signal(signal.SIGHUP)
            eventually(lambda: (known := read_runs(self.state)) is not None and known.last is not None)
            eventually(lambda: (known := read_runs(self.state)) is not None and known.service is not None
                       and not known.service.running_since)  # fmt: skip
            yield process
        finally:
            process.kill()
            process.wait(TIMEOUT)

    def log(self) -> str:
        """What the service has said."""
        return (self.folder / "log").read_text()


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_the_service_is_seen_while_it_runs_and_forgotten_when_it_has_ended(setup: Setup) -> None:
    with setup.running("--auto", "--schedule=daily 03:30") as process:
        shown = setup.status()
        assert (shown.code, shown.err) == (0, "")
        assert f"{setup.folder}/output, daily 03:30 and after changes of the catalogue" in shown.out
        assert f"(process {process.pid})" in shown.out
        assert "100 created" in shown.out
        assert " 03:30:00" in shown.out.partition("next run")[2]
        told: dict[str, Any] = json.loads(setup.status("--json").out)["runs"]
        assert (told["is_alive"], told["service"]["pid"], told["last"]["exit_code"]) == (True, process.pid, 0)
        assert told["service"]["next_run"] > time.time()
        assert told["last"]["actions"]["created"] == 100
        assert Path(told["last"]["report"]).is_file()
        examined = setup.doctor()
        assert f"process {process.pid} materializes {setup.folder}/output; the next run is at" in examined.out
        assert "mounted" not in examined.out
        assert "containers would not see" not in examined.out
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    shown = setup.status()
    assert (shown.code, "last run" in shown.out, "next run" in shown.out) == (0, True, False)


def test_a_service_that_was_killed_is_told(setup: Setup) -> None:
    with setup.running("--auto") as process:
        process.kill()
        process.wait(TIMEOUT)
        shown = setup.status()
        assert (shown.code, "has ended without a word" in shown.err) == (Exit.MOUNT, True)
        examined = setup.doctor()
        assert (examined.code, "has ended without a word" in examined.out) == (Exit.PROBLEMS, True)


def test_a_service_can_be_asked_although_somebody_asked_in_the_moment_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / LOCK_NAME).open("a") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda seconds: asking.close())
        with noting(tmp_path, ServiceState(os.getpid(), time.time(), "/data/STRM", "daily 03:30")):
            known = read_runs(tmp_path)
    assert known is not None
    assert (known.is_alive, known.service is not None and known.service.pid) == (True, os.getpid())


def test_a_service_that_ends_while_somebody_asks_was_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_last(tmp_path, LastRun("/data/STRM", 1, 2, 0))
    service = ExitStack()
    service.enter_context(noting(tmp_path, ServiceState(os.getpid(), time.time(), "/data/STRM", "daily 03:30")))

    def end(path: Path) -> bool:
        service.close()
        return is_held(path)

    monkeypatch.setattr(runs, "is_held", end)
    known = read_runs(tmp_path)
    assert known is not None
    assert (known.last is not None, known.service) == (True, None)


def test_a_run_that_could_not_do_all_is_told_with_its_exit_code(setup: Setup) -> None:
    assert Ended("materialize", *setup.options, "--cleanup=apply").code == 0
    assert setup.status().code == 0
    setup.database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id > 10")
    assert Ended("materialize", *setup.options, "--cleanup=apply", "--dry-run").code == Exit.SHRINK
    assert setup.status().code == 0  # a dry run is none
    assert Ended("materialize", *setup.options, "--cleanup=apply").code == Exit.SHRINK
    shown = setup.status()
    assert shown.code == Exit.SHRINK
    assert "40 of 50 movies are gone" in shown.err
    assert "--accept-shrink" in shown.err
    assert "with exit code 7: 40 of 50 movies" in setup.doctor().out


def test_a_dry_run_says_what_would_be_done_and_the_index_stays_as_it_was(setup: Setup) -> None:
    """Else a mount of the same state directory would show what was only tried."""
    state = f"--state-dir={setup.state}"
    assert Ended("materialize", *setup.options, "--cleanup=apply").code == 0
    setup.database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id > 10")
    assert Ended("sync", *setup.options[1:]).code == Exit.SHRINK
    before = Ended("stats", state, "--json").out
    (setup.state / ".dry-run").mkdir()
    (setup.state / ".dry-run/index.db").write_text("what one that was killed left")
    for option, action in (("--accept-shrink", "would_delete"), ("--media-server=kodi", "would_move")):
        tried = json.loads(Ended("materialize", *setup.options, "--cleanup=apply", "--dry-run", "--json", option).out)
        assert tried["actions"][action] >= 40, option
        assert Ended("stats", state, "--json").out == before
    assert not (setup.state / ".dry-run").exists()
    assert len(list(setup.folder.glob("output/Movies/*"))) == 50


def test_a_dry_run_that_cannot_have_a_place_of_its_own_says_so(setup: Setup) -> None:
    (setup.state / ".dry-run.lock").mkdir(parents=True)
    ended = Ended("materialize", *setup.options, "--dry-run")
    assert ended.code == Exit.INDEX
    assert f"{setup.state}: it cannot be locked for a dry run (Is a directory)." in ended.err
    assert "unexpected" not in ended.err


def test_what_a_killed_dry_run_left_goes_with_the_next_sync(setup: Setup) -> None:
    left, lock = setup.state / ".dry-run", setup.state / ".dry-run.lock"
    left.mkdir(parents=True)
    (left / "index.db").write_text("half a copy")
    with held(lock) as is_ours:
        assert is_ours  # as if it still ran
        assert Ended("sync", *setup.options[1:]).code == 0
        assert left.exists()
    assert Ended("sync", *setup.options[1:]).code == 0
    assert not left.exists()


def test_a_dry_run_without_room_for_a_copy_says_what_is_missing_and_leaves_nothing(setup: Setup) -> None:
    with small_disk(setup.state, "4m"):
        assert Ended("sync", *setup.options[1:]).code == 0
        size, room = (setup.state / "index.db").stat().st_size, os.statvfs(setup.state)
        filler = setup.state / "filler"
        filler.write_bytes(b"x" * (room.f_bavail * room.f_frsize - size // 2))
        ended = Ended("materialize", *setup.options, "--dry-run")
        assert ended.code == Exit.INDEX
        assert ended.err.startswith(f"vod2strmfs: state directory {setup.state}: a copy of the index takes "), ended.err
        assert f", and the disk at {setup.state} has no room for it (" in ended.err
        assert not (setup.state / ".dry-run").exists()
        filler.unlink()
        assert Ended("materialize", *setup.options, "--dry-run").code == 0


def test_a_root_that_is_a_mistake_is_refused_before_anything_is_read_and_is_no_run(setup: Setup) -> None:
    assert Ended("materialize", *setup.options).code == 0
    setup.database.execute("UPDATE vod_movie SET name = 'Ronin' WHERE id = 1")
    for options in ((), ("--dry-run",)):
        ended = Ended("materialize", "/", *setup.options[1:], *options)
        assert (ended.code, ended.out) == (Exit.OUTPUT, "")
        assert ended.err.startswith("vod2strmfs: output root /: is the whole system."), ended.err
    shown = setup.status()
    assert (shown.code, f"{setup.folder}/output, " in shown.out) == (0, True)
    with closing(Store(setup.state)) as store:
        assert store.generation == 1


def test_a_database_that_is_away_is_told_while_the_service_waits(setup: Setup) -> None:
    with setup.running("--auto", "--poll-interval=0.2"):
        (setup.folder / "demo.db").rename(setup.folder / "away.db")
        eventually(lambda: setup.status().code == Exit.DATABASE)
        assert "the database cannot be read since" in setup.status().err
        (setup.folder / "away.db").rename(setup.folder / "demo.db")
        eventually(lambda: setup.status().code == 0)


def test_a_run_of_long_ago_without_a_next_one_is_noted(setup: Setup) -> None:
    setup.state.mkdir()
    long_ago = time.time() - 5 * 86400
    note_last(setup.state, LastRun(str(setup.folder / "output"), long_ago, long_ago, 0))
    assert "the last run was 5 days ago, and no service waits for the next one" in setup.doctor().out


class Asking:
    """A browser, or Prometheus."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, *, host: str = "", login: str = "") -> tuple[int, str]:
        """The status and the text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        if login:
            connection.putheader("Authorization", login)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_page_and_the_metrics_of_a_service_say_when_it_ran_and_runs_next(setup: Setup) -> None:
    port = free_port()
    with setup.running("--auto", "--schedule=daily 03:30", f"--status-listen=127.0.0.1:{port}") as process:
        eventually(lambda: listens(port))
        asking = Asking(port)
        code, page = asking.get("/")
        assert code == 200
        assert "does not answer" not in page
        for words in ("daily 03:30 and after changes", "Last run", "Next run", "03:30"):
            assert words in page
        metrics = dict(line.rsplit(" ", 1) for line in asking.get("/metrics")[1].splitlines() if line[0] != "#")
        assert float(metrics["vod2strmfs_up"]) == 1
        assert float(metrics["vod2strmfs_last_run_exit_code"]) == 0
        assert float(metrics["vod2strmfs_next_run_time_seconds"]) > time.time()
        assert time.time() - 60 < float(metrics["vod2strmfs_last_run_time_seconds"]) <= time.time()
        assert float(metrics['vod2strmfs_last_run_rows{action="created"}']) == 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        eventually(lambda: not listens(port))


def test_a_page_for_others_wants_the_token_and_nobody_is_told_it(setup: Setup) -> None:
    port = free_port()
    environment = {"VOD2STRMFS_STATUS_TOKEN": TOKEN}
    with setup.running("--auto", "--debug-logging", "-v", f"--status-listen=0.0.0.0:{port}", **environment) as process:
        eventually(lambda: listens(port))
        asking = Asking(port)
        basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
        for login in (f"Bearer {TOKEN}", f"Basic {basic}", f"basic {basic}"):
            assert asking.get("/metrics", login=login)[0] == 200
        assert asking.get("/", login=f"Basic {basic}", host="films.example.org")[0] == 200
        for login in ("", "Bearer", "Bearer wrong", "Basic wrong", f"Digest {TOKEN}", f"Basic {basic[:-4]}"):
            assert asking.get("/", login=login)[0] == 401
        threads = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [Path("/proc", pid) for thread in threads for pid in thread.read_text().split()]
        [page] = [child for child in children if b"vod2strmfs.web" in (child / "cmdline").read_bytes()]
        assert TOKEN.encode() not in (page / "cmdline").read_bytes() + (page / "environ").read_bytes()
    said = setup.log() + (setup.state / "logs/vod2strm.log").read_text()
    assert TOKEN not in said
    assert "geheim" not in said
    assert "whoever reaches that port" not in said


def test_a_page_for_all_without_a_token_warns_and_takes_no_name_that_a_site_can_have(setup: Setup) -> None:
    port = free_port()
    with setup.running("--auto", f"--status-listen=0.0.0.0:{port}"):
        eventually(lambda: listens(port))
        assert "whoever reaches that port can read titles" in setup.log()
        asking = Asking(port)
        for host in (f"127.0.0.1:{port}", "192.168.1.20:8080", "[fe80::1]:80", "nas:9192", "vod2strmfs"):
            assert asking.get("/metrics", host=host)[0] == 200, host
        for host in ("films.example.org", f"films.example.org:{port}", "nas.local", "a@10.0.0.1", "10.0.0.1.nip.io"):
            assert asking.get("/metrics", host=host)[0] == 421, host


def test_on_loopback_its_own_names_alone_are_taken_with_a_token_too() -> None:
    for token in ("", TOKEN):
        gate = Gate("127.0.0.1", 9192, token)
        assert gate.takes_host(["localhost:9192"])
        assert gate.takes_host(["127.0.0.1:9192"])
        for values in ([], ["films.example.org"], ["nas:9192"], ["10.0.0.1:9192"], ["127.0.0.1:9192"] * 2):
            assert not gate.takes_host(values)
    assert Gate("::1", 80, "").takes_host(["[::1]:80"])


def test_the_token_is_a_secret() -> None:
    settings = load(None, {}, {"VOD2STRMFS_STATUS_TOKEN": TOKEN})
    assert TOKEN not in repr(settings)
    assert settings.status_token is not None
    assert settings.status_token.get_secret_value() == TOKEN
