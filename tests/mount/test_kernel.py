"""What the kernel remembers of a mount, and is told of changes, so that what it remembers is always right."""

import contextlib
import os
import re
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from databases import Database
from libraries import Library
from mounts import Mount, command, eventually, mounted

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.library.kinds import inode_of, node_of, reuse_of, slot_of
from vod2strmfs.library.names import disambiguator
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.run import sync

_EPISODE = (
    "INSERT INTO vod_episode (id, uuid, name, season_number, episode_number, created_at, updated_at, series_id)"
    " VALUES (?, ?, 'First', 1, ?, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00', ?)"
)
_RELATION = (
    "INSERT INTO vod_m3uepisoderelation (id, m3u_account_id, episode_id, stream_id, container_extension, created_at,"
    " updated_at, last_seen) VALUES (?, 1, ?, ?, 'mkv', '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00',"
    " '2026-01-01 00:00:00+00:00')"
)


def add_episode(database: Database, series: int, number: int = 1) -> None:
    """What Dispatcharr writes when somebody opens a series."""
    row = 900 + series * 10 + number
    database.execute(_EPISODE, row, f"00000000-0000-4000-8000-{row:012}", number, series)
    database.execute(_RELATION, row, row, str(row))


def waiting() -> Catalogue:
    """A film, a series with an episode, and three that have none."""
    catalogue = Catalogue()
    catalogue.movie("Heat")
    lost = catalogue.series("Lost")
    catalogue.episode(lost, 1, 1, "Pilot")
    for name in ("Dark", "Fargo", "Rome"):
        catalogue.series(name)
    return catalogue


def tree(path: Path) -> set[str]:
    """All that can be listed, `.stats.csv` aside."""
    found = set()
    for directory, folders, files in os.walk(path, onerror=_raise):
        found |= {os.path.relpath(os.path.join(directory, name), path) for name in (*folders, *files)}
    return found - {".stats.csv"}


def _raise(error: OSError) -> None:
    raise error


def fresh_tree(directory: Path, database: Database) -> set[str]:
    """What an index shows that was made from the database as it is now."""
    library = Library(directory)
    library.sync(database.url)
    return set(library.paths())


def generation(mount: Mount) -> int:
    return int(mount.stat("generation"))


def after_next(mount: Mount, database: Database, *statements: str) -> None:
    """Change the database, and wait until the mount shows that."""
    before = generation(mount)
    for statement in statements:
        database.execute(statement)
    eventually(lambda: generation(mount) > before)


WAITING_SERIES: dict[str, Callable[[Database], None]] = {
    "gets its first episode": lambda database: add_episode(database, 2),
    "leaves": lambda database: database.execute("DELETE FROM vod_m3useriesrelation WHERE series_id = 2"),
    "is renamed": lambda database: database.execute("UPDATE vod_series SET name = 'Darker' WHERE id = 2"),
    "gets the name of another": lambda database: database.execute("UPDATE vod_series SET name = 'Lost' WHERE id = 2"),
    "gets a plot": lambda database: database.execute("UPDATE vod_series SET description = 'Plot.' WHERE id = 2"),
    "gets another UUID": lambda database: database.execute(
        "UPDATE vod_series SET uuid = '00000000-0000-4000-8000-000000000000' WHERE id = 2"
    ),
}


@pytest.mark.parametrize("event", WAITING_SERIES)
def test_a_mount_follows_what_happens_to_a_series_without_episodes(tmp_path: Path, event: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(waiting())
    with mounted(tmp_path, database.url) as mount:
        before = tree(mount.path)
        assert not (mount.path / "TV/Dark").exists()
        number = generation(mount)
        WAITING_SERIES[event](database)
        eventually(lambda: generation(mount) > number)
        add_episode(database, 3)
        eventually(lambda: (mount.path / "TV/Fargo/Season 01").exists())
        assert tree(mount.path) > before
        assert "ERROR" not in mount.log.read_text()
        assert tree(mount.path) == fresh_tree(tmp_path / "fresh", database)


def test_a_series_may_lose_its_last_episode_and_get_another(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(waiting())
    for number in (1, 2, 3):
        add_episode(database, 2, number)
    with mounted(tmp_path, database.url, "--max-shrink", "100") as mount:
        dark = mount.path / "TV/Dark"
        assert (dark / "tvshow.nfo").exists()
        assert not (dark / "Season 02").exists()
        inside = os.open(dark, os.O_RDONLY)
        database.execute("DELETE FROM vod_m3useriesrelation WHERE series_id = 2")
        database.execute("DELETE FROM vod_m3uepisoderelation WHERE episode_id IN (SELECT id FROM vod_episode"
                         " WHERE series_id = 2)")  # fmt: skip
        eventually(lambda: not dark.exists())
        with pytest.raises(OSError, match="Stale file handle"):
            os.listdir(inside)
        os.close(inside)
        assert tree(mount.path) == fresh_tree(tmp_path / "fresh", database)
        assert "ERROR" not in mount.log.read_text()


def test_a_name_that_was_not_there_is_seen_as_soon_as_it_is(database: Database, tmp_path: Path) -> None:
    database.fill(waiting())
    names = (
        "Movies/Ran", "Movies/Ran/Ran.strm", "Movies/Heat (1995)", "TV/Dark", "TV/Dark/tvshow.nfo", "TV/Darker",
        "TV/Dark/Season 01/S01E01 – First.strm", "TV/Lost/Season 01/S01E02 – First.strm",
        "TV/Lost/Season 01/S01E02 – First.nfo", "TV/Lost/Season 01/S01E02.nfo", "TV/Lost/Season 02",
        "Movies/Heat [stream 1-1002]", "Movies/Heat/movie.nfo",
    )  # fmt: skip

    def check(mount: Mount, *there: str) -> None:
        # By name alone: a listing would renew what the kernel knows.
        def is_seen() -> bool:
            return {name for name in names if (mount.path / name).exists()} == {*there}

        # The kernel is told a moment after the mount shows something new.
        eventually(is_seen)
        assert {*there} <= tree(mount.path)
        assert is_seen()

    with mounted(tmp_path, database.url) as mount:
        check(mount, "Movies/Heat/movie.nfo")
        after_next(mount, database, "UPDATE vod_movie SET name = 'Ran'")
        check(mount, "Movies/Ran", "Movies/Ran/Ran.strm")
        after_next(mount, database, "UPDATE vod_movie SET name = 'Heat', year = 1995")
        check(mount, "Movies/Heat (1995)")
        number = generation(mount)
        add_episode(database, 1, 2)
        eventually(lambda: generation(mount) > number and (mount.path / names[7]).exists())
        check(mount, "Movies/Heat (1995)", *names[7:10])
        after_next(mount, database, "UPDATE vod_episode SET season_number = 2 WHERE episode_number = 2")
        check(mount, "Movies/Heat (1995)", "TV/Lost/Season 02")
        add_episode(database, 2)
        eventually(lambda: (mount.path / "TV/Dark").exists())
        check(mount, "Movies/Heat (1995)", "TV/Lost/Season 02", "TV/Dark", "TV/Dark/tvshow.nfo", names[6])


def test_names_that_are_not_there_are_asked_for_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(waiting())
    with mounted(tmp_path, database.url, "--debug-logging") as mount:
        for _ in range(100):
            for folder in ("Movies/Heat", "TV/Lost", "TV/Lost/Season 01", "Movies"):
                assert not (mount.path / folder / "poster.jpg").exists()
        log = (tmp_path / "state/logs/vod2strm.log").read_text()
        assert len(re.findall(r"lookup\(\d+, 'poster.jpg'", log)) == 4


def test_a_name_that_settings_bring_is_seen(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(waiting())
    state = tmp_path / "state"
    with mounted(tmp_path, database.url, "--poll-interval", "3600") as mount:
        own = mount.path / "Movies/Heat/Heat.nfo"
        assert not own.exists()
        arguments = ("sync", "--database", database.url, "--state-dir", state, "--media-server", "kodi")
        assert os.spawnvp(os.P_WAIT, command()[0], [*command(*arguments)]) == 0
        eventually(own.exists)
        assert not (mount.path / "Movies/Heat/movie.nfo").exists()
        assert os.spawnvp(os.P_WAIT, command()[0], [*command(*arguments[:-1], "any")]) == 0
        eventually(lambda: not own.exists())
        # The kernel is told of one name after the other.
        eventually((mount.path / "Movies/Heat/movie.nfo").exists)


def test_a_name_that_was_held_and_let_go_and_came_back_is_seen(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db")
    catalogue = Catalogue()
    for number in range(40):
        catalogue.movie(f"Film {number}")
    database.fill(catalogue)
    film = tmp_path / "mount/Movies/Film 7"
    relation = "SELECT * FROM vod_m3umovierelation"
    with mounted(tmp_path, database.url) as mount:
        database.execute(f"CREATE TABLE kept AS {relation}")
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id < 31")
        eventually(lambda: mount.stat("movies_held") == "30")
        assert film.exists()
        number = generation(mount)
        arguments = ("sync", "--database", database.url, "--state-dir", tmp_path / "state", "--accept-shrink")
        assert os.spawnvp(os.P_WAIT, command()[0], [*command(*arguments)]) == 0
        eventually(lambda: generation(mount) > number)
        eventually(lambda: not film.exists())
        database.execute("INSERT INTO vod_m3umovierelation SELECT * FROM kept WHERE movie_id < 31")
        eventually(film.exists)


def test_a_name_that_another_index_brings_is_seen(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(waiting())
    with mounted(tmp_path, database.url) as mount:
        assert not (mount.path / "Movies/Ran").exists()
        assert (mount.path / "Movies/Heat").exists()
        for path in (tmp_path / "state").glob("index.db*"):
            path.unlink()
        database.execute("UPDATE vod_movie SET name = 'Ran'")
        eventually(lambda: os.path.exists(mount.path / "Movies/Ran"))
        assert not (mount.path / "Movies/Heat").exists()


def test_a_changed_second_name_is_seen_by_name_at_once(database: Database, tmp_path: Path) -> None:
    catalogue = Catalogue()
    lost = catalogue.series("Lost")
    catalogue.episode(lost, None, None, "Pilot")
    database.fill(catalogue)
    with mounted(tmp_path, database.url) as mount:
        [season] = [path for path in (mount.path / "TV/Lost").iterdir() if path.is_dir()]
        second = season / "Episode Unknown.nfo"
        assert b"Pilot" in second.read_bytes()
        [strm] = season.glob("*.strm")
        [(stream, account)] = re.findall(r"stream_id=([^&\s]+)&m3u_account_id=(\d+)", strm.read_text())
        later = season / f"Episode Unknown{disambiguator('', '', int(account), stream)}.nfo"
        assert not later.exists()
        before = season.stat().st_mtime_ns
        number = generation(mount)
        database.execute(_EPISODE.replace("'First'", "''").replace("1, ?, '", "null, ?, '"), 901,
                         "00000000-0000-4000-8000-000000000901", None, 1)  # fmt: skip
        database.execute(_RELATION, 901, 901, "901")
        eventually(lambda: generation(mount) > number and season.stat().st_mtime_ns > before)
        eventually(lambda: b"Pilot" not in second.read_bytes())
        # By name alone: the listing that follows would renew what the kernel knows. It is told of one after the other.
        eventually(later.exists)
        assert b"Pilot" in later.read_bytes()
        for path in season.iterdir():
            assert path.read_bytes() == (season / path.name).read_bytes()


@contextlib.contextmanager
def held_open(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        # An inode that was given up is an error in everything.
        with contextlib.suppress(OSError):
            os.close(descriptor)


def sync_changes(database: Database, state: Path, changes: range) -> None:
    """Make a generation of each change to a film's plot, as fast as can be."""
    with closing(open_source(database.url)) as source:
        for change in changes:
            database.execute("UPDATE vod_movie SET description = ?", f"{change} " * (200 + change % 300))
            sync(source, LibrarySettings(), state)


@pytest.mark.parametrize("changes", [(255, 256, 257, 300), (4095, 4096, 4097, 8200)])
def test_a_file_that_changes_often_while_it_is_open_is_never_mixed_up(tmp_path: Path, changes: tuple[int, ...]) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db")
    catalogue = Catalogue()
    catalogue.movie("Heat", description="0 " * 3000)
    database.fill(catalogue)
    nfo = tmp_path / "mount/Movies/Heat/movie.nfo"
    many = changes[-1] > 4096
    with mounted(tmp_path, database.url, "--poll-interval", "3600") as mount:
        first = nfo.read_bytes()
        with held_open(nfo) as never_read, held_open(nfo) as begun:
            assert os.read(begun, 100) == first[:100]
            done, number = 0, generation(mount)
            for change in changes:
                if many:
                    _set_version(tmp_path / "state", change - 1)
                    number += 1
                    sync_changes(database, tmp_path / "state", range(change, change + 1))
                else:
                    number += change - done
                    sync_changes(database, tmp_path / "state", range(done + 1, change + 1))
                done = change
                eventually(partial(_is_at, mount, number))
                plot = f"<plot>{' '.join([str(change)] * (200 + change % 300))}</plot>".encode()
                # The mount shows a generation a moment before it has told the kernel what is new in it.
                eventually(partial(_holds, nfo, plot))
                now = nfo.read_bytes()
                assert nfo.stat().st_size == len(now)
                with held_open(nfo) as another:
                    assert os.read(another, 100_000) == now
            for opened in (never_read, begun):
                # Its inode number may have come back by now: then it is an error, and never other bytes.
                with contextlib.suppress(OSError) if many else contextlib.nullcontext():
                    assert os.pread(opened, 100_000, 0) == first
                    assert os.fstat(opened).st_size == len(first)


def _holds(path: Path, text: bytes) -> bool:
    return text in path.read_bytes()


def _is_at(mount: Mount, number: int) -> bool:
    return generation(mount) == number


def _set_version(state: Path, version: int) -> None:
    """As if a film's NFO had changed so often."""
    with closing(sqlite3.connect(state / "index.db")) as index, index:
        index.execute("UPDATE node SET nfo_version = ? WHERE kind = 2", (version,))


def test_inode_numbers_are_those_of_older_versions() -> None:
    for node in (0, 1, 16, 1 << 30, 0x6A00_0000 << 16):
        for slot in range(6):
            for version in (0, 1, 7, 255) if slot else (0,):  # What a directory has there is its shelf.
                inode = inode_of(node, slot, version)
                assert inode == node << 11 | version << 3 | slot
                assert (node_of(inode), slot_of(inode)) == (node, slot)
    # Of what changed more often, none is that of another version, and all fit into a listing's offsets.
    node = 0x6A00_0000 << 16
    numbers = {inode_of(node, 4, version) for version in range(4096)}
    assert len(numbers) == 4096
    assert max(numbers) < 1 << 63
    assert {node_of(number) for number in numbers} == {node}
    assert inode_of(node, 4, 4096) == inode_of(node, 4, 0)
    assert (reuse_of(4095), reuse_of(4096)) == (0, 1)


def _is_copied(state: Path) -> bool:
    """Whether all of the log is in the index file: see `mxFrame` and `nBackfill` in SQLite's WAL-index format."""
    shared = (state / "index.db-shm").read_bytes()
    return struct.unpack_from("=I", shared, 16) == struct.unpack_from("=I", shared, 96)


def test_the_log_of_the_index_stays_small_under_a_mount(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db")
    catalogue = Catalogue()
    for number in range(300):
        catalogue.movie(f"Film {number}", description="Plot. " * 20)
    database.fill(catalogue)
    log = tmp_path / "state/index.db-wal"
    with mounted(tmp_path, database.url, "--poll-interval", "3600") as mount:
        number = generation(mount)
        sizes = []
        with closing(open_source(database.url)) as source:
            for change in range(100):
                database.execute("UPDATE vod_movie SET description = ? WHERE id = ?", f"Plot {change}.", change + 1)
                sync(source, LibrarySettings(), tmp_path / "state")
                number += 1
                if change % 10 == 0:
                    eventually(partial(_is_at, mount, number))
                    eventually(partial(_is_copied, tmp_path / "state"))
                    sizes.append(log.stat().st_size)
        # Ten changes take 370 kB, and a hundred, of which none was copied, ten times as much.
        assert max(sizes) < 1 << 20, sizes
        assert tree(mount.path) == fresh_tree(tmp_path / "fresh", database)


def test_the_times_of_folders_move_by_whole_seconds(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(waiting())
    seen = []
    with (
        mounted(tmp_path, database.url, "--poll-interval", "3600") as mount,
        closing(open_source(database.url)) as source,
    ):
        for change in range(4):
            seen.append(int((mount.path / "Movies").stat().st_mtime))
            number = generation(mount)
            database.execute("UPDATE vod_movie SET name = ?", f"Film {change}")
            sync(source, LibrarySettings(), tmp_path / "state")
            eventually(partial(_is_at, mount, number + 1))
            eventually((mount.path / f"Movies/Film {change}").exists)
    assert seen == sorted(set(seen))
