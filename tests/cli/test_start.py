"""How a command starts and ends where its surroundings are not the usual ones: closed files, signals, small disks."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from databases import Database
from mounts import TIMEOUT, command, eventually, is_mounted, mounted
from postgres_server import free_port

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import CatalogError, Exit
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync


@pytest.fixture
def database(tmp_path: Path) -> Database:
    catalogue = Catalogue()
    for name in ("Heat", "Alien"):
        catalogue.movie(name)
    (tmp_path / "data").mkdir()
    return Database(f"sqlite:///{tmp_path}/data/dispatcharr.db").fill(catalogue)


def closed_error(*arguments: str | Path) -> list[str]:
    """A command that is started without a standard error."""
    return ["sh", "-c", 'exec "$@" 2>&-', "sh", *command(*arguments)]


@pytest.mark.parametrize("name", ["sync", "materialize"])
def test_a_command_works_without_a_standard_error(database: Database, tmp_path: Path, name: str) -> None:
    places: list[str | Path] = (
        [tmp_path / "output", "--report-dir", tmp_path / "reports"] if name == "materialize" else []
    )
    arguments = closed_error(name, *places, "--database", database.url, "--state-dir", tmp_path / "state")
    done = subprocess.run(arguments, check=False, stdout=subprocess.PIPE, timeout=TIMEOUT)
    assert (done.returncode, bool(done.stdout)) == (Exit.OK, True)
    failed = subprocess.run(
        closed_error("sync", "--database", "sqlite:////nowhere.db"),
        check=False,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
    )
    assert failed.returncode == Exit.DATABASE


def shows(path: Path) -> bool:
    """Whether there is a file; until there is a library, asking is an error."""
    try:
        return path.exists()
    except OSError:
        return False


def test_a_mount_works_without_a_standard_error(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "mount"
    path.mkdir()
    options = ("--database", database.url, "--state-dir", tmp_path / "state")
    process = subprocess.Popen(closed_error("mount", path, *options))
    try:
        eventually(lambda: is_mounted(path) and shows(path / "Movies/Heat/Heat.strm"))
    finally:
        process.terminate()
        assert process.wait(TIMEOUT) == Exit.OK


def test_ctrl_c_on_a_mount_in_the_foreground_says_nothing_but_that_it_stops(database: Database, tmp_path: Path) -> None:
    """As a terminal sends it: to every process of the group."""
    chance = random.Random(1)
    path = tmp_path / "mount"
    path.mkdir()
    options = (
        "--database",
        database.url,
        "--state-dir",
        tmp_path / "state",
        f"--status-listen=127.0.0.1:{free_port()}",
    )
    for attempt in range(6):
        log = tmp_path / f"log{attempt}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command("mount", path, *options), stdout=output, stderr=output, start_new_session=True
            )
        eventually(lambda: is_mounted(path))
        time.sleep(chance.uniform(0, 0.8))
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(TIMEOUT) == Exit.OK
        said = log.read_text()
        assert "Stopping on SIGINT" in said
        assert "ERROR" not in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("sync", signal.SIGINT, 130),
        ("run", signal.SIGINT, 0),
        ("run", signal.SIGTERM, 0),
        ("stats", signal.SIGINT, 130),
    ],
)
def test_a_signal_while_a_command_starts_ends_it_without_a_word(
    database: Database, tmp_path: Path, name: str, number: signal.Signals, code: int
) -> None:
    """From the moment on in which our first module has begun to load the others."""
    arguments = {"sync": (), "run": (tmp_path / "output", "--auto"), "stats": ()}[name]
    options = () if name == "stats" else ("--database", database.url)
    whole = command(name, *arguments, *options, "--state-dir", tmp_path / "state")
    program = (
        "import sys, vod2strmfs.cli.start\n"
        "class Loading:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'vod2strmfs.cli.main':\n"
        "            print(flush=True)\n"
        "sys.meta_path.insert(0, Loading)\n"
        "vod2strmfs.cli.start.main()\n"
    )
    for attempt in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *whole[3:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.read(1)
        time.sleep(0.005 + attempt * 0.025)
        process.send_signal(number)
        _, said = process.communicate(timeout=TIMEOUT)
        # An interpreter that has all but ended has handlers no more.
        assert process.returncode in (code, Exit.OK, -number) or (name == "stats" and process.returncode == Exit.INDEX)
        assert b"Traceback" not in said


def test_sqlite_sorts_in_the_state_directory(tmp_path: Path) -> None:
    """Seen by what it opens there: the files have no names."""
    (tmp_path / "data").mkdir()
    url = f"sqlite:///{tmp_path}/data/dispatcharr.db"
    write_demo(url, movies=20, series=2, episodes=10, seed=1)
    with closing(open_source(url)) as source:
        sync(source, LibrarySettings(), tmp_path / "state")
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom vod2strmfs.index.file import connect\n"
        "connection = connect(Path(sys.argv[1]), writable=True)\n"
        "connection.execute('PRAGMA cache_size = 10')\n"
        "connection.execute('CREATE TEMP TABLE t (x)')\n"
        "connection.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO t SELECT randomblob(2000) FROM n')\n"
        "print(*(os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        " if os.path.islink(f'/proc/self/fd/{fd}')), sep='\\n')\n"
        "connection.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state")], check=True, capture_output=True, text=True,
        env={**os.environ, "TMPDIR": "/proc"},
    )  # fmt: skip
    assert f"{tmp_path}/state/etilqs_" in done.stdout


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)


def test_a_sqlite_file_with_a_log_is_read_on_a_read_only_volume(database: Database, tmp_path: Path) -> None:
    data = tmp_path / "data"
    database.execute("PRAGMA journal_mode = wal")
    assert not (data / "dispatcharr.db-wal").exists()
    read_only(data)
    try:
        with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
            assert len(list(snapshot.rows("movie"))) == 2
    finally:
        subprocess.run(["umount", data], check=True)
    database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
    with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
        assert "Ran" in [row.name for row in snapshot.rows("movie")]  # type: ignore[union-attr]


def test_what_is_read_there_while_somebody_writes_is_not_believed(database: Database, tmp_path: Path) -> None:
    """The volume is read-only for us, not for its writer."""
    data, seen = tmp_path / "data", tmp_path / "seen"
    database.execute("PRAGMA journal_mode = wal")
    seen.mkdir()
    subprocess.run(["mount", "--bind", data, seen], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", seen], check=True)
    try:
        with closing(open_source(f"sqlite:///{seen}/dispatcharr.db")) as source:
            with pytest.raises(CatalogError, match="was changed while it was read"), source.snapshot():
                database.execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 1")
            with closing(sqlite3.connect(data / "dispatcharr.db")) as writer:
                writer.execute("UPDATE vod_movie SET name = 'Ran II' WHERE id = 1")
                writer.commit()
                with source.snapshot() as snapshot:
                    assert "Ran II" in [row.name for row in snapshot.rows("movie")]  # type: ignore[union-attr]
    finally:
        subprocess.run(["umount", seen], check=True)


def test_a_mount_of_a_sqlite_file_on_a_read_only_volume_follows_it(database: Database, tmp_path: Path) -> None:
    data = tmp_path / "data"
    database.execute("PRAGMA journal_mode = wal")
    read_only(data)
    try:
        with mounted(tmp_path, database.url) as mount:
            assert sorted(os.listdir(mount.path / "Movies")) == ["Alien", "Heat"]
    finally:
        subprocess.run(["umount", data], check=True)


@pytest.mark.parametrize("kilobytes", [0, 8, 100])
def test_a_state_directory_that_is_full_is_said_by_materialize(tmp_path: Path, kilobytes: int) -> None:
    """It is filled behind the index, which is whole and open, so that there is nothing to sync."""
    (tmp_path / "data").mkdir()
    (tmp_path / "state").mkdir()
    url = f"sqlite:///{tmp_path}/data/dispatcharr.db"
    write_demo(url, movies=2000, series=20, episodes=400, seed=1)
    options = ["--database", url, "--state-dir", str(tmp_path / "state")]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", tmp_path / "state"], check=True)
    try:
        subprocess.run(command("sync", *options), check=True, capture_output=True)
        with closing(sqlite3.connect(tmp_path / "state/index.db")) as reader:
            reader.execute("SELECT * FROM generation").fetchall()
            filler = tmp_path / "state/filler"
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}"], check=False, stderr=subprocess.DEVNULL)
            os.truncate(filler, filler.stat().st_size - kilobytes * 1024)
            done = subprocess.run(
                command("materialize", tmp_path / "output", *options, "--report-dir", tmp_path / "reports"),
                check=False, capture_output=True, text=True, timeout=TIMEOUT,
            )  # fmt: skip
        assert done.returncode in (Exit.INDEX, Exit.OUTPUT)
        assert f"state directory {tmp_path}/state" in done.stderr or "manifest" in done.stderr
        assert "unexpected" not in done.stderr
    finally:
        subprocess.run(["umount", "-l", tmp_path / "state"], check=True)


def test_a_mount_starts_from_its_index_when_the_disk_of_the_state_directory_is_full(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "state").mkdir()
    url = f"sqlite:///{tmp_path}/data/dispatcharr.db"
    write_demo(url, movies=20, series=2, episodes=4, seed=1)
    options = ["--database", url, "--state-dir", str(tmp_path / "state")]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", tmp_path / "state"], check=True)
    try:
        subprocess.run(command("sync", *options), check=True, capture_output=True)
        subprocess.run(["dd", "if=/dev/zero", f"of={tmp_path}/state/filler"], check=False, stderr=subprocess.DEVNULL)
        with mounted(tmp_path, url) as mount:
            assert len(os.listdir(mount.path / "Movies")) > 10
            assert "has no room" in mount.log.read_text()
        # Somebody took the room that was kept.
        for name in ("index.reserve", "index.db-shm"):
            (tmp_path / "state" / name).unlink(missing_ok=True)
        subprocess.run(["dd", "if=/dev/zero", f"of={tmp_path}/state/more"], check=False, stderr=subprocess.DEVNULL)
        for words in (["stats", "--state-dir", str(tmp_path / "state")], ["sync", *options]):
            ended = subprocess.run(command(*words), check=False, capture_output=True, text=True, timeout=TIMEOUT)
            assert ended.returncode == Exit.INDEX
            assert f"the disk at {tmp_path}/state has no room for it (0 KiB free). Make room there" in ended.stderr
    finally:
        subprocess.run(["umount", "-l", tmp_path / "state"], check=True)
