"""`vod2strmfs status`: how a mount is, from its own process, in time, and never through the mount."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from databases import Database
from mounts import TIMEOUT, Mount, command, eventually, mounted

from vod2strmfs.cli.status import lines
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.status.channel import NotRunningError, ask, listening
from vod2strmfs.status.state import MountState


def fill(folder: Path, movies: int = 2) -> Database:
    catalogue = Catalogue()
    for number in range(movies):
        catalogue.movie(f"Film {number}")
    return Database(f"sqlite:///{folder}/demo.db").fill(catalogue)


def status(state_dir: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = command("status", "--state-dir", state_dir, *options)
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def state_of(mount: Mount) -> MountState:
    return ask(mount.path.parent / "state")


def test_it_says_what_is_mounted_and_how_that_is(tmp_path: Path) -> None:
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        shown = status(tmp_path / "state")
        assert (shown.returncode, shown.stderr) == (Exit.OK, "")
        assert str(mount.path) in shown.stdout
        assert "2 movies, 0 series, 0 episodes" in shown.stdout
        assert re.search("^merge +titles, the default$", shown.stdout, re.M)
        told: dict[str, Any] = json.loads(status(tmp_path / "state", "--json").stdout)
        assert (told["generation"], told["pid"], told["held"]) == (1, mount.process.pid, 0)
        assert told["metrics"]["index"]["movies"] == 2
        assert told["metrics"]["index"]["made"].startswith("20")
        assert 0 < told["made"] <= told["now"]
        assert told["started"] <= told["now"]
        assert told["stale_since"] == told["logged_errors"] == 0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"now": 1001.4}, "for 1 second ("),
        ({"now": 1060.0}, "for 1 minute ("),
        ({"now": 1061.0}, "for 61 seconds ("),
        ({"now": 1119.0}, "for 119 seconds ("),
        ({"now": 1120.0}, "for 2 minutes ("),
        ({"requests_per_second": 11004.0, "requests": 1234567}, "11,004 a second, 1,234,567 in all, 0 failed"),
        ({"requests_per_second": 0.25}, "0.2 a second"),
        ({"logged_errors": 1, "logged_warnings": 2}, "1 error, 2 warnings"),
        ({"metrics": {"index": {"movies": "1", "series": "1", "episodes": "1904"}}}, "1 movie, 1 series, 1,904 epis"),
    ],
)
def test_numbers_are_written_as_people_write_them(changed: dict[str, Any], says: str) -> None:
    state = MountState("1", 1, "/mnt", 1000.0, 1000.0, 1, 0.0, 0.0, 0.0, "", {}, 0, 0.0, 0, 0, 0, 0, 0)
    shown = "\n".join(text for _, text in lines(msgspec.structs.replace(state, **changed)))
    assert says in shown


def test_requests_are_counted_and_those_from_memory_too(tmp_path: Path) -> None:
    with mounted(tmp_path, fill(tmp_path, 50).url) as mount:
        before = state_of(mount)
        for path in sorted((mount.path / "Movies").rglob("*")):
            path.stat()
        for path in sorted((mount.path / "Movies").rglob("*.strm")):
            path.read_bytes()
        after = state_of(mount)
        assert after.requests >= before.requests + 100
        assert after.requests_per_second > 0
        assert before.cache_asked < after.cache_asked
        assert 0 < after.cache_missed < after.cache_asked
        assert after.cache_hit_rate is not None
        assert 0 < after.cache_hit_rate < 1


def test_the_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        state_of(mount)
        mode = (tmp_path / "state/status.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / "state/status.sock").exists()


def test_without_a_mount_it_says_so(tmp_path: Path) -> None:
    shown = status(tmp_path)
    assert (shown.returncode, shown.stdout) == (Exit.MOUNT, "")
    assert "no mount is running" in shown.stderr
    assert len(shown.stderr.splitlines()) == 2


def test_a_killed_mounts_socket_is_dead_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    url = fill(tmp_path).url
    with mounted(tmp_path, url) as mount:
        mount.process.kill()
        mount.process.wait()
        assert (tmp_path / "state/status.sock").exists()
        with pytest.raises(NotRunningError, match="no mount is running"):
            state_of(mount)
    with mounted(tmp_path, url) as mount:
        assert state_of(mount).pid == mount.process.pid


def test_a_mount_that_hangs_is_told_in_time(tmp_path: Path) -> None:
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        state_of(mount)
        os.kill(mount.process.pid, signal.SIGSTOP)
        try:
            shown = status(tmp_path / "state", "--timeout=0.3")
        finally:
            os.kill(mount.process.pid, signal.SIGCONT)
        assert shown.returncode == Exit.MOUNT
        assert "does not answer within 0.3 seconds" in shown.stderr


def test_a_database_that_went_away_makes_it_stale_until_it_is_back(tmp_path: Path) -> None:
    database = tmp_path / "demo.db"
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        database.rename(tmp_path / "away.db")
        eventually(lambda: state_of(mount).stale_since > 0)
        shown = status(tmp_path / "state")
        assert shown.returncode == Exit.DATABASE
        assert "no SQLite file" in shown.stdout
        assert "cannot be read since" in shown.stderr
        told = state_of(mount)
        assert (told.generation, told.metrics["index"]["movies"]) == (1, "2")
        eventually(lambda: state_of(mount).logged_errors > 0)
        (tmp_path / "away.db").rename(database)
        eventually(lambda: status(tmp_path / "state").returncode == Exit.OK)


def test_before_the_first_generation_there_is_nothing_to_show(tmp_path: Path) -> None:
    with mounted(tmp_path, f"sqlite:///{tmp_path}/none.db", wait=False) as mount:
        eventually(lambda: (tmp_path / "state/status.sock").exists() and "no SQLite" in state_of(mount).error)
        shown = status(tmp_path / "state")
        assert shown.returncode == Exit.INDEX
        assert "nothing to show" in shown.stderr
        assert "none" in shown.stdout
        with pytest.raises(OSError, match="Input/output error"):
            os.listdir(mount.path)
        assert state_of(mount).failed > 0


def test_what_the_brake_holds_is_told(tmp_path: Path) -> None:
    database = fill(tmp_path, 60)
    with mounted(tmp_path, database.url) as mount:
        database.execute("DELETE FROM vod_m3umovierelation")
        eventually(lambda: state_of(mount).held == 60)
        shown = status(tmp_path / "state")
        assert shown.returncode == Exit.SHRINK
        for_programs = status(tmp_path / "state", "--json")
        assert (for_programs.returncode, for_programs.stderr) == (Exit.SHRINK, "")
        assert json.loads(for_programs.stdout)["held"] > 0
        assert "--accept-shrink" in shown.stderr


def test_a_state_directory_may_have_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    with mounted(folder, fill(tmp_path).url) as mount:
        assert state_of(mount).generation == 1
        assert status(folder / "state").returncode == Exit.OK


def test_a_socket_is_never_taken_from_a_living_process(tmp_path: Path) -> None:
    with listening(tmp_path) as first, listening(tmp_path) as second:
        assert isinstance(first, socket.socket)
        assert second is None
    with listening(tmp_path) as third:
        assert third is not None


def test_another_mount_of_the_same_state_answers_when_the_first_has_ended(tmp_path: Path) -> None:
    url = fill(tmp_path).url
    with mounted(tmp_path, url) as first:
        eventually(lambda: state_of(first).generation == 1)
        (tmp_path / "other").mkdir()
        arguments = ("mount", tmp_path / "other", "--database", url, "--state-dir", tmp_path / "state")
        second = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
        try:
            assert second.stderr is not None
            eventually(lambda: "has taken the socket" in str(second.stderr and second.stderr.readline()))
            assert state_of(first).pid == first.process.pid
            first.stop()
            eventually(lambda: _pid(tmp_path / "state") == second.pid)
        finally:
            second.terminate()
            second.communicate(timeout=TIMEOUT)


def _pid(state_dir: Path) -> int:
    try:
        return ask(state_dir).pid
    except NotRunningError:
        return 0


def test_who_asks_and_does_not_listen_disturbs_nobody(tmp_path: Path) -> None:
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        state_of(mount)
        askers = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for asker in askers:
            asker.connect(str(tmp_path / "state/status.sock"))
        assert state_of(mount).generation == 1
        assert len(os.listdir(mount.path / "Movies")) == 2
        for asker in askers:
            asker.close()
        assert state_of(mount).generation == 1
        assert mount.stop() == 0


def test_where_a_socket_is_somebody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []
    listen = socket.socket.listen

    def seen_first(channel: socket.socket) -> None:
        there.append((tmp_path / "status.sock").exists())
        listen(channel)

    monkeypatch.setattr(socket.socket, "listen", seen_first)
    with listening(tmp_path):
        assert there == [False]
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(tmp_path / "status.sock"))
    assert [path.name for path in tmp_path.iterdir() if path.is_socket()] == []


def test_a_mount_that_ends_while_it_is_asked_is_no_mount(tmp_path: Path) -> None:
    def take_one_and_end() -> None:
        with listening(tmp_path) as channel:
            ready.set()
            assert channel is not None
            channel.setblocking(True)
            asker, _ = channel.accept()
        asker.close()

    ready = threading.Event()
    ending = threading.Thread(target=take_one_and_end)
    ending.start()
    ready.wait(TIMEOUT)
    with pytest.raises(NotRunningError, match="no mount is running"):
        ask(tmp_path)
    ending.join()


def test_a_state_directory_without_room_for_sockets_costs_the_status_and_not_the_mount(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/status.sock").mkdir()
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        assert os.listdir(mount.path / "Movies")
        eventually(lambda: "` cannot ask this mount" in mount.log.read_text())


def test_watching_shows_it_again_and_again(tmp_path: Path) -> None:
    with mounted(tmp_path, fill(tmp_path).url) as mount:
        state_of(mount)
        arguments = command("status", "--state-dir", tmp_path / "state", "--watch", "--json")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
            assert watch.stdout is not None
            assert watch.stderr is not None
            first, second = (json.loads(watch.stdout.readline()) for _ in range(2))
            assert first["now"] < second["now"]
            mount.stop()
            assert "no mount is running" in watch.stderr.readline()
            watch.send_signal(signal.SIGINT)
            assert watch.wait(TIMEOUT) == 130
