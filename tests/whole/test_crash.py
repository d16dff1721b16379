"""Crashes: of a mount, of a sync, of the machine, and of the disk under the index."""

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from databases import Database
from kernel import Kernel
from libraries import Library
from mounts import Mount, eventually, is_mounted, mounted, seen_elsewhere
from power_cut import Recorder, after_power_cut
from processes import delete_in_use

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index import listing_check
from vod2strmfs.index.file import create, writing
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import MOVIES_NODE, folder_inode
from vod2strmfs.library.tree import Tree
from vod2strmfs.mount.handlers import LibraryHandlers, Owner

Files = dict[str, bytes | None]
"""Content by path; None of a directory."""

pytestmark = pytest.mark.complains("The index was damaged or not ours; it was moved")

SYNC = (
    "import sys; from pathlib import Path; from contextlib import closing;"
    "from vod2strmfs.catalog.open import open_source; from vod2strmfs.sync.run import sync;"
    "from vod2strmfs.settings import LibrarySettings;"
    "state, *urls = sys.argv[1:]; print('ready', flush=True);"
    "[sync(open_source(url), LibrarySettings(), Path(state), max_shrink=100) for url in urls]"
)
"""Syncs with one database after another."""


def films(version: int, count: int = 60) -> Catalogue:
    """Films and a series, of which every version has others and says something else."""
    catalogue = Catalogue()
    account = catalogue.account("Alpha")
    for number in range(version * 3, count + version * 3):
        movie = catalogue.movie(f"Film {number}", description=f"Version {version}. " * 40, relations=[])
        catalogue.relate(movie, account, stream_id=str(number))
    series = catalogue.series("Lost")
    for number in range(1, 10 + version):
        catalogue.episode(series, 1, number, f"Part {number}", description=f"Version {version}.")
    return catalogue


def read(state: Path) -> Files:
    """Everything that an index shows."""
    with closing(Store(state)) as store:
        if not store.generation:
            raise IndexFileError("no generation")
        tree = Tree(store)
        found: Files = {}
        for path, entry in tree.walk():
            # Damage can make a listing go in circles.
            assert len(found) < 10_000
            found[path] = None if entry.is_dir else tree.read(entry.inode)
            if not entry.is_dir and entry.size != len(found[path] or b""):
                raise IndexFileError("as the mount says")
        return found


def whole_generation(state: Path, wanted: list[Files]) -> int:
    """The number of the generation that an index shows; it has to look as that one should, and as no other."""
    with closing(Store(state)) as store:
        number = store.generation
    found = read(state)
    assert found == wanted[number - 1], f"generation {number} is not whole"
    return number


def generations(directory: Path, count: int, films_each: int = 60) -> tuple[list[str], list[Files]]:
    """Databases, and what each of them looks like as a library."""
    urls, wanted = [], []
    for version in range(count):
        library = Library(directory / f"version{version}")
        library.state_dir.mkdir(parents=True)
        library.show(films(version, films_each))
        urls.append(library.last_url)
        wanted.append(read(library.state_dir))
    return urls, wanted


def test_a_sync_killed_at_any_moment_leaves_a_whole_generation(
    tmp_path: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    urls, wanted = generations(tmp_path, 2, 400)
    state = tmp_path / "state"
    chance = random.Random(1)
    killed: Counter[str] = Counter()
    longest = 0.5
    for _ in range(12 if soak else 5):
        shutil.rmtree(state, ignore_errors=True)
        _sync(state, urls[0]).wait()
        process = _sync(state, urls[1])
        started = time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, longest))
            longest = time.monotonic() - started
        process.kill()
        ended = process.wait()
        number = whole_generation(state, wanted)
        killed["killed" if ended else "ended"] += 1
        killed[f"generation {number}"] += 1
        assert _sync(state, urls[1]).wait() == 0
        assert read(state) == wanted[1]
        assert not list(state.glob("*unusable*"))
    assert killed["killed"]
    record_property("kills", dict(killed))


def _sync(state: Path, *urls: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a sync; returns when its program is loaded."""
    process = subprocess.Popen([sys.executable, "-c", SYNC, state, *urls], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
    return process


def test_a_power_cut_at_any_moment_leaves_a_whole_generation(
    tmp_path: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    urls, wanted = generations(tmp_path, 6)
    state, broken = tmp_path / "state", tmp_path / "broken"
    recorder = Recorder(state, tmp_path)
    # A mount's reader keeps the log from being cleared at the end of each sync: both ways have to be seen.
    assert _sync(state, *urls[:3], environment=recorder.environment).wait() == 0
    with closing(Store(state)):
        assert _sync(state, *urls[3:], environment=recorder.environment).wait() == 0
    assert read(state) == wanted[-1]
    notes = recorder.notes()
    assert {note.what for note in notes} >= {"W", "S", "R"}
    chance = random.Random(2)
    seen: Counter[str] = Counter()
    for _ in range(600 if soak else 150):
        shutil.rmtree(broken, ignore_errors=True)
        broken.mkdir()
        for name, content in after_power_cut(notes[: chance.randint(0, len(notes))], chance).items():
            (broken / name).write_bytes(content)
        # As the next sync begins.
        with writing(broken):
            create(broken, thorough=True)
        assert not list(broken.glob("*unusable*"))
        try:
            seen[f"generation {whole_generation(broken, wanted)}"] += 1
        except IndexFileError:
            seen["none"] += 1
    assert seen["generation 3"]
    record_property("power cuts", dict(seen))


@pytest.mark.parametrize("where", ["log", "file"])
def test_what_is_cut_off_is_an_older_generation_or_known_as_damage(tmp_path: Path, where: str) -> None:
    urls, wanted = generations(tmp_path, 3)
    state, broken = tmp_path / "state", tmp_path / "broken"
    _sync(state, urls[0]).wait()
    with closing(Store(state)):  # It keeps the log from being merged into the file.
        _sync(state, *urls[1:]).wait()
        contents = {path.name: path.read_bytes() for path in state.glob("index.db*") if not path.name.endswith("shm")}
    name = "index.db-wal" if where == "log" else "index.db"
    chance = random.Random(3)
    seen: Counter[int | None] = Counter()
    for _ in range(40):
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(state, broken)
        for other, content in contents.items():
            (broken / other).write_bytes(content)
        os.truncate(broken / name, chance.randrange(len(contents[name])))
        with writing(broken):
            create(broken, thorough=True)
        try:
            found = read(broken)
            seen[wanted.index(found)] += 1
        except IndexFileError:
            seen[None] += 1
            assert where == "file"
            assert list(broken.glob("*unusable*"))
    assert len(seen) > 1 or where == "file"


def test_the_log_of_an_index_that_was_deleted_is_not_taken_for_that_of_the_next(tmp_path: Path) -> None:
    [url], [wanted] = generations(tmp_path, 1, 300)
    state = tmp_path / "state"
    _sync(state, url).wait()
    with closing(Store(state)):
        changed = tmp_path / "changed.db"
        shutil.copy(url.removeprefix("sqlite:///"), changed)
        Database(f"sqlite:///{changed}").execute("UPDATE vod_movie SET name = 'Ran' WHERE id = 7")
        _sync(state, f"sqlite:///{changed}").wait()
        log = (state / "index.db-wal").read_bytes()
    assert log
    (state / "index.db").unlink()
    (state / "index.db-wal").write_bytes(log)
    assert _sync(state, url).wait() == 0
    assert read(state) == wanted
    assert not list(state.glob("*unusable*"))


def lists_the_same(found: Files, wanted: Files) -> bool:
    """Whether nothing is missing, in another case of letters at worst, and under another name only .nfo files."""
    names, wanted_names = ({path.lower() for path in one if not path.endswith(".nfo")} for one in (found, wanted))
    return names == wanted_names and len(found) == len(wanted)


def test_flipped_bits_are_found_or_cost_no_entry(
    tmp_path: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    urls, [wanted] = generations(tmp_path, 1, 400)
    state, broken = tmp_path / "state", tmp_path / "broken"
    _sync(state, urls[0]).wait()
    whole = (state / "index.db").read_bytes()
    broken.mkdir()
    chance = random.Random(4)
    seen: Counter[str] = Counter()
    for _ in range(600 if soak else 60):
        for path in broken.iterdir():
            path.unlink()
        damaged = bytearray(whole)
        # Half of them hit the beginning of a page, which tells what else is in it.
        at = chance.randrange(len(whole))
        at = at if chance.random() < 0.5 else at // 4096 * 4096 + at % 12
        damaged[at] ^= 1 << chance.randrange(8)
        (broken / "index.db").write_bytes(damaged)
        # A mount shows an index before its worker has looked through it. What cannot be read it answers with an error,
        # of whatever kind that is here.
        try:
            unchecked = read(broken)
        except Exception:
            seen["at once an error"] += 1
        else:
            assert lists_the_same(unchecked, wanted)
        with writing(broken):
            try:
                create(broken, thorough=True)
            except IndexFileError:
                seen["taken for a newer version"] += 1
                continue
        if list(broken.glob("*unusable*")):
            seen["found"] += 1
            continue
        try:
            found = read(broken)
        except IndexFileError:
            seen["an error"] += 1
            continue
        assert lists_the_same(found, wanted)
        seen["harmless" if found == wanted else "other bytes in a file"] += 1
    assert seen["found"]
    record_property("flipped bits", dict(seen))


@pytest.mark.parametrize("name", ["x'46ff'", "'Film 8'"])
def test_a_name_that_cannot_be_is_an_error_and_known_as_damage(tmp_path: Path, name: str) -> None:
    urls, [wanted] = generations(tmp_path, 1, 8)
    state = tmp_path / "state"
    _sync(state, urls[0]).wait()
    Database(f"sqlite:///{state}/index.db").execute(
        f"UPDATE node SET name = CAST({name} AS TEXT) WHERE name = 'Film 7'"
    )
    with closing(Store(state)) as store:
        tree = Tree(store)
        movies = folder_inode(MOVIES_NODE)
        assert tree.lookup(movies, "Film 6")
        with pytest.raises(IndexFileError):
            tree.lookup(movies, "Film 7")
        with pytest.raises(IndexFileError):
            tree.page(movies)
    with closing(Store(state)) as store, pytest.raises(IndexFileError):
        store.child(MOVIES_NODE, "film 7")  # by itself, with no other node read before
    assert _sync(state, urls[0]).wait() == 0
    assert not list(state.glob("*unusable*"))  # It was in nobody's way.
    with writing(state):
        create(state, thorough=True)
    assert list(state.glob("*unusable*"))
    assert _sync(state, urls[0]).wait() == 0
    assert read(state) == wanted


def lose_a_child(state: Path) -> None:
    """Take a film out of one of the two B-trees in which the index has it."""
    with closing(sqlite3.connect(state / "index.db")) as connection, connection:
        sql = "CREATE INDEX node_children ON node (parent)"
        connection.execute("DROP INDEX node_children")
        connection.execute(f"{sql} WHERE name != 'Film 7'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'node_children'", (sql,))


@pytest.mark.parametrize("large", [1000, 3])
def test_a_listing_that_lacks_something_is_an_error_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(listing_check, "_LARGE_DIRECTORY", large)
    state = tmp_path / "state"
    urls, _ = generations(tmp_path, 1, 8)
    _sync(state, urls[0]).wait()
    lose_a_child(state)
    with closing(Store(state)) as store:
        for _ in range(3):
            with pytest.raises(IndexFileError):
                Tree(store).page(folder_inode(MOVIES_NODE))


def test_damage_that_comes_later_is_found_by_who_meets_it(tmp_path: Path) -> None:
    with mounted_films(tmp_path) as (mount, _, before):
        eventually(lambda: "INFO Generation 1" in mount.log.read_text())
        lose_a_child(tmp_path / "state")
        eventually(lambda: bool(look(mount).errors))
        eventually(lambda: not look(mount).errors)
        assert look(mount).listing == before


class Seen(NamedTuple):
    """What a program sees of a mount."""

    listing: set[str]
    errors: int


def look(mount: Mount) -> Seen:
    """Walk through a mount."""
    found: set[str] = set()
    errors: list[OSError] = []
    for directory, folders, files in os.walk(mount.path, onerror=errors.append):
        found.update(os.path.relpath(os.path.join(directory, name), mount.path) for name in (*folders, *files))
    return Seen(found, len(errors))


@contextmanager
def mounted_films(directory: Path) -> Iterator[tuple[Mount, Database, set[str]]]:
    """A mount of version 0, whose names and attributes the kernel has cached."""
    database = Database(f"sqlite:///{directory}/dispatcharr.db").fill(films(0, 30))
    with mounted(directory, database.url, "--debug") as mount:
        listing = look(mount).listing
        for name in listing:
            os.stat(mount.path / name)
        yield mount, database, listing


def _replace(state: Path, content: bytes) -> None:
    (state / "new").write_bytes(content)
    (state / "new").rename(state / "index.db")


def _overwrite(state: Path, at: int, length: int) -> None:
    with (state / "index.db").open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(length))


def _execute(state: Path, statement: str) -> None:
    with closing(sqlite3.connect(state / "index.db")) as index, index:
        index.execute(statement)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "replaced by rubbish": lambda state: _replace(state, b"rubbish" * 1000),
    "replaced by nothing": lambda state: _replace(state, b""),
    "cut to nothing": lambda state: os.truncate(state / "index.db", 0),
    "cut in half": lambda state: os.truncate(state / "index.db", 40960),
    "a ruined beginning": lambda state: _overwrite(state, 0, 4096),
    "a ruined middle": lambda state: _overwrite(state, 4096, 60000),
    "no generation": lambda state: _execute(state, "DELETE FROM generation"),
    "no word of the last attempt": lambda state: _execute(state, "DELETE FROM attempt"),
    "deleted": lambda state: (state / "index.db").unlink(),
    "the state directory deleted": delete_in_use,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_index_lost_under_a_mount_is_an_error_until_it_is_made_anew(tmp_path: Path, damage: str) -> None:
    with mounted_films(tmp_path) as (mount, database, before):
        film = mount.path / "Movies/Film 1/movie.nfo"
        opened = os.open(film, os.O_RDONLY)
        DAMAGE[damage](tmp_path / "state")
        # Only a change makes it write the index, and so find out what is wrong with it.
        database.execute("UPDATE vod_movie SET description = 'Another.' WHERE name = 'Film 1'")
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 3")
        gone = {"Movies/Film 2", "Movies/Film 2/Film 2.strm", "Movies/Film 2/movie.nfo"}

        def is_made_anew() -> bool:
            seen = look(mount)
            assert seen.errors or seen.listing >= before - gone, sorted(before - seen.listing)
            return not seen.errors and seen.listing == before - gone

        eventually(is_made_anew)
        eventually(lambda: b"Another." in film.read_bytes())
        assert film.stat().st_size == len(film.read_bytes())
        assert not (mount.path / "Movies/Film 2").exists()
        # What was open is what it was, or an error.
        with suppress(OSError):
            assert b"Another." not in os.read(opened, 10_000)
        with suppress(OSError):
            os.close(opened)
        assert mount.process.poll() is None
        assert "Traceback" not in mount.log.read_text()


def test_damage_is_answered_with_errors_that_the_kernel_understands(
    tmp_path: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    urls, _ = generations(tmp_path, 1, 20)
    state, broken = tmp_path / "state", tmp_path / "broken"
    _sync(state, urls[0]).wait()
    with closing(Store(state)) as store:
        entries = list(Tree(store).walk())
    whole = (state / "index.db").read_bytes()
    broken.mkdir()
    chance = random.Random(5)
    answers: Counter[str] = Counter()

    def ask(kernel: Kernel) -> None:
        for path, entry in entries:
            inode, name = entry.inode, path.rpartition("/")[2].encode()
            for request in (
                partial(kernel.getattr, inode),
                partial(kernel.list, inode),
                partial(kernel.getxattr, inode, b"user.vod2strmfs.uuid"),
                partial(kernel.lookup, inode, name),
                partial(_read_whole, kernel, inode),
            ):
                try:
                    request()
                    answers["answered"] += 1
                except OSError as error:
                    answers[errno.errorcode[error.errno or 0]] += 1

    for _ in range(600 if soak else 40):
        for path in broken.iterdir():
            path.unlink()
        damaged = bytearray(whole)
        for _ in range(10):
            damaged[chance.randrange(4096, len(whole))] = chance.randrange(256)
        (broken / "index.db").write_bytes(damaged)
        handlers = LibraryHandlers(Owner(0, 0, 0))
        with suppress(IndexFileError), closing(Store(broken)) as store:
            handlers.show(Tree(store, with_stats=True))
            ask(Kernel(handlers))
    assert answers["EIO"]
    record_property("answers", dict(answers))


def _read_whole(kernel: Kernel, inode: int) -> None:
    handle, _ = kernel.open(inode)
    kernel.read(inode, handle, 0, 100_000)
    kernel.release(inode, handle)


def test_nothing_that_the_kernel_knew_of_a_lost_index_is_seen_again(tmp_path: Path) -> None:
    with mounted_films(tmp_path) as (mount, database, _):
        gone, changed = mount.path / "Movies/Film 2", mount.path / "Movies/Film 1/movie.nfo"
        (tmp_path / "state/index.db").unlink()
        database.execute("UPDATE vod_movie SET description = 'Another.' WHERE name = 'Film 1'")
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 3")
        # No listing is asked for, which would renew what is known.
        eventually(lambda: _is_not_there(gone))
        assert changed.stat().st_size == len(changed.read_bytes()) < 1000


def _is_not_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def test_a_worker_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with mounted_films(tmp_path) as (mount, database, before):
        os.kill(mount.worker(), signal.SIGKILL)
        assert look(mount) == (before, 0)
        database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Film 1'")
        eventually(lambda: (mount.path / "Movies/Ran").exists())


def test_the_next_mount_takes_the_place_of_a_dead_one_in_other_namespaces_too(tmp_path: Path) -> None:
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        with seen_elsewhere(tmp_path / "mount") as there, mounted_films(tmp_path) as (mount, database, before):
            names = os.listdir(there / "Movies")
            assert names == os.listdir(mount.path / "Movies")
            mount.process.kill()
            mount.process.wait()
            for path in (mount.path, there):
                with pytest.raises(OSError, match="Transport endpoint is not connected"):
                    os.listdir(path)
            with mounted(tmp_path, database.url) as again:
                assert look(again).listing == before
                assert os.listdir(there / "Movies") == names
            assert not is_mounted(mount.path)
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
