"""Real mounts of real databases: what programs see, what changes, how it ends."""

import contextlib
import csv
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databases import Database
from mounts import TIMEOUT, Mount, command, eventually, is_mounted, mounted, poison
from postgres_server import PostgresServer
from processes import lives

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.mount import point


def films(*names: str) -> Catalogue:
    catalogue = Catalogue()
    for name in names:
        catalogue.movie(name)
    return catalogue


def run(*arguments: str | Path) -> str:
    """Run a program that has to succeed without a complaint."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), arguments
    return done.stdout


def snapshot(path: Path) -> dict[str, tuple[int, int, int, int]]:
    """Inode, size, mode and mtime of everything below a path, `.stats.csv` aside."""
    found = {}
    for directory, folders, files in os.walk(path):
        for name in (*folders, *files):
            stat = os.lstat(os.path.join(directory, name))
            found[os.path.join(directory, name)] = (stat.st_ino, stat.st_size, stat.st_mode, stat.st_mtime_ns)
    del found[str(path / ".stats.csv")]
    return found


@pytest.fixture
def demo(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/demo.db"
    write_demo(url, movies=60, series=6, episodes=80, seed=3)
    return url


def test_programs_read_it_like_any_file_system(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo) as mount:
        listed = run("find", mount.path, "-type", "f").splitlines()
        assert len(listed) > 300
        run("ls", "-laR", mount.path)
        run("du", "-a", mount.path)
        run("cp", "-r", mount.path, tmp_path / "copied")
        run("rsync", "-a", f"{mount.path}/", tmp_path / "synced")
        run("tar", "-cf", tmp_path / "all.tar", "-C", mount.path, ".")
        for copy in ("copied", "synced"):
            run("diff", "-r", mount.path, tmp_path / copy)
        assert run("rsync", "-ain", "--delete", f"{mount.path}/", tmp_path / "synced") == ""
        assert len(run("tar", "-tf", tmp_path / "all.tar").splitlines()) > len(listed)


def test_every_strm_holds_one_url_and_every_nfo_is_xml(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo) as mount:
        for path in mount.path.rglob("*.*"):
            if path.suffix == ".strm":
                [line] = path.read_text().splitlines(keepends=True)
                assert line.startswith("http://192.168.199.10:9191/proxy/vod/")
                assert line.endswith("\n")
            elif path.suffix == ".nfo":
                ET.fromstring(path.read_bytes())
            if path.is_file():
                assert path.stat().st_size == len(path.read_bytes())


def test_the_stats_agree_with_what_is_there(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo) as mount:
        [header, *rows] = csv.reader((mount.path / ".stats.csv").read_text().splitlines())
        assert header == ["scope", "metric", "value"]
        values = {(scope, metric): value for scope, metric, value in rows}
        assert values["filesystem", "strm_files"] == str(len(list(mount.path.rglob("*.strm"))))
        assert values["filesystem", "nfo_files"] == str(len(list(mount.path.rglob("*.nfo"))))
        assert values["filesystem", "directories"] == str(sum(path.is_dir() for path in mount.path.rglob("*")))
        assert values["database", "movies"] == "60"


def test_a_restart_changes_no_inode_no_time_no_size(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo) as mount:
        before = snapshot(mount.path)
    with mounted(tmp_path, demo) as mount:
        assert snapshot(mount.path) == before


def test_nothing_can_be_written(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo) as mount:
        folder = next((mount.path / "Movies").iterdir())
        nfo = folder / "movie.nfo"
        attempts = (
            lambda: (folder / "new").write_text("x"),
            lambda: nfo.open("a"),
            lambda: nfo.open("r+"),
            nfo.unlink,
            folder.rmdir,
            lambda: folder.rename(mount.path / "elsewhere"),
            lambda: (mount.path / "new").mkdir(),
            lambda: os.symlink("a", mount.path / "link"),
            lambda: os.utime(nfo),
            lambda: os.truncate(nfo, 0),
            lambda: nfo.chmod(0o777),
        )
        for attempt in attempts:
            with pytest.raises(OSError, match="Read-only file system"):
                attempt()


def test_owner_and_permissions_are_options(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo, "--uid", "1234", "--gid", "99", "--umask", "027") as mount:
        folder = next((mount.path / "Movies").iterdir())
        stat = folder.stat()
        assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (1234, 99, 0o550)
        assert (folder / "movie.nfo").stat().st_mode & 0o777 == 0o440


def test_without_nfo_there_are_only_strm_files(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo, "--no-nfo") as mount:
        assert {path.suffix for path in mount.path.rglob("*") if path.is_file()} == {".strm", ".csv"}


def test_what_changes_in_the_database_is_seen_with_hot_caches(database: Database, tmp_path: Path) -> None:
    database.fill(films("Heat", "Alien", "Ran"))
    with mounted(tmp_path, database.url) as mount:
        movies = mount.path / "Movies"
        snapshot(mount.path)
        assert b"Heat" in (movies / "Heat/movie.nfo").read_bytes()
        database.execute("UPDATE vod_movie SET description = 'Cops.' WHERE name = 'Heat'")
        eventually(lambda: b"Cops." in (movies / "Heat/movie.nfo").read_bytes())
        assert (movies / "Heat/movie.nfo").stat().st_size == len((movies / "Heat/movie.nfo").read_bytes())

        inode = (movies / "Alien").stat().st_ino
        database.execute("UPDATE vod_movie SET name = 'Aliens' WHERE name = 'Alien'")
        eventually(lambda: sorted(os.listdir(movies)) == ["Aliens", "Heat", "Ran"])
        assert not (movies / "Alien").exists()
        assert (movies / "Aliens/Aliens.strm").exists()
        assert (movies / "Aliens").stat().st_ino == inode

        before = movies.stat().st_mtime_ns
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 3")
        eventually(lambda: not (movies / "Ran").exists())
        assert sorted(os.listdir(movies)) == ["Aliens", "Heat"]
        assert movies.stat().st_mtime_ns > before


def test_the_kernel_keeps_what_did_not_change(database: Database, tmp_path: Path) -> None:
    database.fill(films("Heat", "Alien"))
    with mounted(tmp_path, database.url) as mount:
        before = snapshot(mount.path)
        database.execute("UPDATE vod_m3umovierelation SET last_seen = ?", "2026-11-22 03:00:00+00:00")
        database.execute("UPDATE vod_movie SET description = 'Space.' WHERE name = 'Alien'")
        eventually(lambda: b"Space." in (mount.path / "Movies/Alien/movie.nfo").read_bytes())
        changed = {path for path, state in snapshot(mount.path).items() if before[path] != state}
        assert changed == {str(mount.path / path) for path in ("Movies", "Movies/Alien", "Movies/Alien/movie.nfo")}


def test_the_kernel_forgets_everything_when_what_changed_cannot_be_read(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films("Heat", "Alien"))
    with mounted(tmp_path, database.url) as mount:
        snapshot(mount.path)
        # The index is open; to open it once more there is no descriptor left.
        used = {int(path.name) for path in Path(f"/proc/{mount.process.pid}/fd").iterdir()}
        limit = next(number for number in range(len(used) + 1) if number not in used)
        resource.prlimit(mount.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 2")
        eventually(lambda: not (mount.path / "Movies/Alien").exists())
        assert "the kernel has to ask for everything again" in mount.log.read_text()


def test_an_open_file_keeps_serving_what_was_opened(database: Database, tmp_path: Path) -> None:
    database.fill(films("Heat"))
    with mounted(tmp_path, database.url) as mount:
        nfo = mount.path / "Movies/Heat/movie.nfo"
        before = nfo.read_bytes()
        with nfo.open("rb", buffering=0) as opened:
            assert opened.read(10) == before[:10]
            database.execute("UPDATE vod_movie SET description = ?", "Cops. " * 2000)
            eventually(lambda: len(nfo.read_bytes()) > len(before) + 5000)
            assert opened.read() == before[10:]
            assert os.fstat(opened.fileno()).st_size == len(before)
            assert Path(f"/proc/self/fd/{opened.fileno()}").read_bytes() == before


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    catalogue = Catalogue()
    for number in range(3):
        catalogue.movie(f"Film {number}", description="0 " * 9000)
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(catalogue)
    with mounted(tmp_path, database.url, "--poll-interval", "0.2") as mount:
        end = time.monotonic() + 4

        def read() -> tuple[int, list[bytes]]:
            count, wrong = 0, []
            while time.monotonic() < end:
                for number in range(3):
                    with (mount.path / f"Movies/Film {number}/movie.nfo").open("rb", buffering=0) as file:
                        content = file.read(5000)
                        time.sleep(0.003)
                        content += file.readall()
                    count += 1
                    plot = content.partition(b"<plot>")[2].partition(b"</plot>")[0]
                    if len(set(plot.split())) != 1 or not content.endswith(b"</movie>\n"):
                        wrong.append(content)
            return count, wrong

        with ThreadPoolExecutor(4) as readers:
            reading = [readers.submit(read) for _ in range(4)]
            version = 0
            while time.monotonic() < end:
                version += 1
                database.execute(
                    "UPDATE vod_movie SET description = ?", f"{version} " * (9000 if version % 2 else 3000)
                )
                time.sleep(0.2)
        counts, wrong = zip(*(future.result() for future in reading), strict=True)
        assert sum(map(len, wrong)) == 0
        assert sum(counts) > 100
        assert (mount.path / ".stats.csv").read_text().count("generation,") == 1


def test_a_hangup_makes_it_look_at_once(database: Database, tmp_path: Path) -> None:
    database.fill(films("Heat"))
    with mounted(tmp_path, database.url, "--poll-interval", "3600") as mount:
        eventually(lambda: "Generation 1" in mount.log.read_text())
        database.execute("UPDATE vod_movie SET name = 'Ran'")
        mount.process.send_signal(signal.SIGHUP)
        eventually(lambda: os.listdir(mount.path / "Movies") == ["Ran"])


def test_a_sync_beside_it_is_shown(database: Database, tmp_path: Path) -> None:
    database.fill(films("Heat"))
    with mounted(tmp_path, database.url, "--poll-interval", "3600", "--base-url", "http://tv:9191") as mount:
        database.execute("UPDATE vod_movie SET name = 'Ran'")
        said = run(*command("sync", "--database", database.url, "--state-dir", tmp_path / "state"))
        assert said == "generation 2: 1 movie changed\n"
        eventually(lambda: os.listdir(mount.path / "Movies") == ["Ran"])
        assert (mount.path / "Movies/Ran/Ran.strm").read_text().startswith("http://tv:9191/")


def test_nothing_is_imported_from_the_current_directory(
    demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    poisoned = poison(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("mounts.command", lambda *words: [sys.executable, "-P", "-m", "vod2strmfs", *map(str, words)])
    with mounted(tmp_path, demo) as mount:
        assert list((mount.path / "Movies").iterdir())
    assert not poisoned.exists()


@pytest.mark.parametrize("end", ["terminate", "interrupt", "unmount"])
def test_it_ends_cleanly(demo: str, tmp_path: Path, end: str) -> None:
    with mounted(tmp_path, demo) as mount:
        os.listdir(mount.path)
        worker = mount.worker()
        if end == "unmount":
            run("fusermount3", "-u", mount.path)
        else:
            mount.process.send_signal(signal.SIGTERM if end == "terminate" else signal.SIGINT)
        assert mount.process.wait(120) == 0
        assert not is_mounted(mount.path)
        assert "ERROR" not in mount.log.read_text()
        assert not lives(worker)


def test_it_ends_while_a_file_is_open(demo: str, tmp_path: Path) -> None:
    with mounted(tmp_path, demo) as mount:
        opened = os.open(next(mount.path.rglob("*.strm")), os.O_RDONLY)
        assert mount.stop() == 0
        assert not is_mounted(mount.path)
        with contextlib.suppress(OSError):
            os.close(opened)


def test_after_a_crash_the_mount_point_is_an_error_and_the_next_start_takes_its_place(
    demo: str, tmp_path: Path
) -> None:
    with mounted(tmp_path, demo) as mount:
        before, worker = snapshot(mount.path), mount.worker()
        mount.process.kill()
        mount.process.wait()
        with pytest.raises(OSError, match="Transport endpoint is not connected"):
            os.listdir(mount.path)
        eventually(lambda: not lives(worker))
        with mounted(tmp_path, demo) as again:
            assert snapshot(again.path) == before


def test_without_a_generation_every_answer_is_an_error(tmp_path: Path) -> None:
    with mounted(tmp_path, f"sqlite:///{tmp_path}/late.db", wait=False) as mount:
        eventually(lambda: is_mounted(mount.path))
        eventually(lambda: "no SQLite file" in mount.log.read_text())
        for attempt in (lambda: os.listdir(mount.path), lambda: os.stat(mount.path / "Movies")):
            with pytest.raises(OSError, match="Input/output error"):
                attempt()
        write_demo(f"sqlite:///{tmp_path}/late.db", movies=5, series=1, episodes=2, seed=1)
        eventually(lambda: _lists(mount.path))


def test_systemd_is_told_when_the_library_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(TIMEOUT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with mounted(tmp_path, f"sqlite:///{tmp_path}/late.db", wait=False) as mount:
            eventually(lambda: "no SQLite file" in mount.log.read_text())
            write_demo(f"sqlite:///{tmp_path}/late.db", movies=5, series=1, episodes=2, seed=1)
            assert manager.recv(100) == b"READY=1"
            assert os.listdir(mount.path / "Movies")
            mount.stop()
            assert manager.recv(100) == b"STOPPING=1"


def test_an_outage_changes_nothing_but_is_said_once(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(films("Heat", "Alien"))
    with mounted(tmp_path, database.url, "--poll-interval", "0.2") as mount:
        before = snapshot(mount.path)
        postgres.stop("immediate")
        try:
            eventually(lambda: "stale_since,20" in (mount.path / ".stats.csv").read_text())
            assert snapshot(mount.path) == before
        finally:
            postgres.start()
        database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
        eventually(lambda: (mount.path / "Movies/Ran").exists())
        assert "stale_since,\n" in (mount.path / ".stats.csv").read_text()
        assert mount.log.read_text().count("ERROR") == 1


_BROKEN = """
import errno, os, sys, threading, time
from pathlib import Path
import pyfuse3, trio
from vod2strmfs.cli.start import main
from vod2strmfs.mount import follow, run
from vod2strmfs.mount.handlers import LibraryHandlers
{break_it}
main()
"""
"""The program, with a bug."""


@contextlib.contextmanager
def broken_mount(directory: Path, database: str, break_it: str) -> Iterator[Mount]:
    """A mount of a program with a bug; it may end by itself."""
    program = _BROKEN.format(break_it=break_it)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mounts.command", lambda *words: [sys.executable, "-c", program, *map(str, words)])
        with mounted(directory, database, wait=False) as mount:
            yield mount


_FAILS_WHILE_THE_KERNEL_IS_TOLD = """
told = threading.Event()
statfs = LibraryHandlers.statfs

def forget(state_dir, step):
    told.set()
    time.sleep(0.5)
    # A notification waits for answers in the same way.
    os.listdir(Path(sys.argv[2]) / "Movies")
    return True

def fail(handlers):
    if told.is_set():
        raise RuntimeError("a bug")
    return statfs(handlers)

run.forget, LibraryHandlers.statfs = forget, fail
"""


def test_a_mount_that_fails_leaves_a_dead_mount_and_no_empty_folder(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films("Heat"))
    with broken_mount(tmp_path, database.url, _FAILS_WHILE_THE_KERNEL_IS_TOLD) as mount:
        eventually(lambda: _lists(mount.path))
        database.execute("UPDATE vod_movie SET name = 'Ran'")

        def fails() -> bool:
            with contextlib.suppress(OSError):
                os.statvfs(mount.path)
            return mount.process.poll() is not None

        eventually(fails)
        assert mount.process.returncode == 1
        assert "unexpected error: RuntimeError: a bug" in mount.log.read_text()
        assert is_mounted(mount.path)
        for attempt in (lambda: os.listdir(mount.path), lambda: os.stat(mount.path / "Movies/Ran")):
            with pytest.raises(OSError, match="Transport endpoint is not connected"):
                attempt()
        with mounted(tmp_path, database.url) as again:
            eventually(lambda: _names(again.path / "Movies") == ["Ran"])


_TASKS_THAT_FAIL = {
    "the status": "async def report(*_): raise RuntimeError('a bug')\nrun.report = report",
    "the watchdog": "async def say(*_): raise RuntimeError('a bug')\nrun._say_alive = say",
    "the examination": "async def examine(*_): raise RuntimeError('a bug')\nrun.examine_index = examine",
    "a failing look": """
look, looks = follow.Follower._look, iter(range(10**9))
def fail(follower):
    if next(looks) % 2:
        raise RuntimeError('a bug')
    return look(follower)
follow.Follower._look = fail""",
}


@pytest.mark.parametrize("what", _TASKS_THAT_FAIL)
def test_what_fails_beside_the_answering_of_requests_does_not_end_a_mount(tmp_path: Path, what: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films("Heat"))
    with broken_mount(tmp_path, database.url, "run._RESTART_SECONDS = 1\n" + _TASKS_THAT_FAIL[what]) as mount:
        eventually(lambda: _lists(mount.path))
        database.execute("UPDATE vod_movie SET name = 'Ran'")
        eventually(lambda: _names(mount.path / "Movies") == ["Ran"])
        eventually(lambda: "a bug" in mount.log.read_text())
        assert mount.stop() == 0
        assert not is_mounted(mount.path)


_CANNOT_TELL = """
class Failing:
    def __init__(self):
        self.left = {times}
    def __call__(self, *arguments, **options):
        if self.left > 0:
            self.left -= 1
            raise {error}
        return invalidate(*arguments, **options)
invalidate = pyfuse3.invalidate_entry
pyfuse3.invalidate_entry = Failing()
"""


@pytest.mark.parametrize("error", ["OSError(errno.ENOMEM, 'No memory')", "OverflowError('negative')", "KeyError(1)"])
@pytest.mark.parametrize("times", [1, 4])
def test_an_error_while_the_kernel_is_told_makes_it_forget_everything(tmp_path: Path, error: str, times: int) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films("Heat", "Alien"))
    with broken_mount(tmp_path, database.url, _CANNOT_TELL.format(error=error, times=times)) as mount:
        eventually(lambda: _lists(mount.path))
        assert (mount.path / "Movies/Alien").exists()
        assert not (mount.path / "Movies/Ran").exists()
        database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 2")
        eventually(lambda: (mount.path / "Movies/Ran").exists() and not (mount.path / "Movies/Alien").exists())
        assert "the kernel has to ask for everything again" in mount.log.read_text()
        assert mount.stop() == 0


@pytest.mark.complains("has files in it")
def test_files_that_a_mount_hides_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    point.prepare(tmp_path, allow_other=False)
    assert caplog.text == ""
    (tmp_path / "Heat.mkv").touch()
    point.prepare(tmp_path, allow_other=False)
    assert f"mount point {tmp_path}: has files in it, which nobody sees" in caplog.text


def _names(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _lists(path: Path) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return False
