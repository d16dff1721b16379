"""An honest file system: what POSIX, mmap, Samba and containers expect of one that can only be read."""

import ctypes
import mmap
import os
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from databases import Database
from mounts import Mount, eventually, mounted
from others import let_others_in
from postgres_server import PostgresServer, free_port

from vod2strmfs.demo.catalogue import Catalogue


def catalogue(count: int = 40) -> Catalogue:
    made = Catalogue()
    made.movie("Heat", year=1995, description="Cops. " * 3000)
    for number in range(count):
        made.movie(f"Film {number}")
    series = made.series("Lost")
    for number in range(1, 30):
        made.episode(series, 1, number, f"Part {number}")
    return made


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    folder = tmp_path_factory.mktemp("posix")
    url = f"sqlite:///{folder}/dispatcharr.db"
    catalogue().write(url)
    with mounted(folder, url, "--allow-other") as mount:
        yield mount


@pytest.fixture(scope="module")
def nfo(mount: Mount) -> Path:
    return mount.path / "Movies/Heat (1995)/movie.nfo"


def test_directories_list_themselves_and_their_parent(mount: Mount) -> None:
    for path in (mount.path, mount.path / "Movies", mount.path / "TV/Lost/Season 01"):
        listed = subprocess.run(["ls", "-1aUi", path], capture_output=True, text=True, check=True).stdout
        inodes = {name: int(inode) for inode, name in (line.split(maxsplit=1) for line in listed.splitlines())}
        assert inodes["."] == path.stat().st_ino
        if path != mount.path:
            assert inodes[".."] == path.parent.stat().st_ino


def test_types_links_and_sizes(mount: Mount, nfo: Path) -> None:
    folder = nfo.parent.stat()
    assert stat.S_ISDIR(folder.st_mode)
    assert folder.st_nlink >= 1
    file = nfo.stat()
    assert stat.S_ISREG(file.st_mode)
    assert (file.st_nlink, file.st_size) == (1, len(nfo.read_bytes()))
    assert file.st_blocks * 512 >= file.st_size
    space = os.statvfs(mount.path)
    assert space.f_namemax == 255
    assert space.f_bavail == 0
    assert space.f_flag & os.ST_RDONLY


def test_the_room_that_it_takes_is_told(mount: Mount) -> None:
    space = os.statvfs(mount.path)
    held = int(mount.stat("bytes"))
    assert held <= space.f_blocks * space.f_frsize < held + 4096
    assert (space.f_bfree, space.f_bavail, space.f_ffree) == (0, 0, 0)
    assert space.f_files > 100
    shown = subprocess.run(
        ["df", "--output=target,pcent", mount.path], capture_output=True, text=True, check=True
    ).stdout
    assert any(line.split() == [str(mount.path), "100%"] for line in shown.splitlines())


def test_no_file_that_holds_something_has_no_blocks(mount: Mount) -> None:
    for path in mount.path.rglob("*"):
        if path.is_file():
            assert path.stat().st_blocks * 512 >= path.stat().st_size > 0


class Handle(ctypes.Structure):
    """struct file_handle"""

    _fields_ = (("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_char * 128))


def handle_of(path: Path) -> Handle:
    """What an NFS server gives its clients for a file."""
    handle = Handle(bytes=128)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(ctypes.c_int()), 0):
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return handle


@contextmanager
def opened_by_handle(root: Path, handle: Handle) -> Iterator[int]:
    """What such a server does when a client comes back with it."""
    mount = os.open(root, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.open_by_handle_at(mount, ctypes.byref(handle), os.O_RDONLY)
    error = ctypes.get_errno()
    os.close(mount)
    if descriptor < 0:
        raise OSError(error, os.strerror(error))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_handles_live_as_long_as_what_they_stand_for(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(catalogue())
    names = ("Movies", "Movies/Film 1", "Movies/Film 1/movie.nfo", "Movies/Film 1/Film 1.strm", "TV/Lost/Season 01")
    with mounted(tmp_path, database.url) as mount:
        handles = {name: handle_of(mount.path / name) for name in names}

    def check(mount: Mount, names: tuple[str, ...]) -> None:
        for name in names:
            mount.drop_caches()
            with opened_by_handle(mount.path, handles[name]) as descriptor:
                if (mount.path / name).is_dir():
                    assert os.listdir(descriptor) == os.listdir(mount.path / name)
                    assert os.stat("..", dir_fd=descriptor).st_ino == (mount.path / name).parent.stat().st_ino
                else:
                    assert os.pread(descriptor, 100_000, 0) == (mount.path / name).read_bytes()

    with mounted(tmp_path, database.url) as mount:
        check(mount, names)
        check(mount, names[::-1])
        database.execute("UPDATE vod_movie SET name = 'Ran' WHERE name = 'Film 1'")
        eventually((mount.path / "Movies/Ran").exists)
        mount.drop_caches()
        with opened_by_handle(mount.path, handles["Movies/Film 1"]) as descriptor:
            assert sorted(os.listdir(descriptor)) == ["Ran.strm", "movie.nfo"]
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 3")
        eventually(lambda: not (mount.path / "Movies/Ran").exists())
        mount.drop_caches()
        for name in names[1:4]:
            with pytest.raises(OSError, match="Stale file handle"), opened_by_handle(mount.path, handles[name]):
                pass
        check(mount, ("Movies", "TV/Lost/Season 01"))


def test_a_working_directory_in_a_film_that_leaves_is_stale_and_not_empty(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(catalogue())
    with mounted(tmp_path, database.url) as mount:
        film = mount.path / "Movies/Film 1"
        inside = os.open(film, os.O_RDONLY)
        shell = subprocess.Popen(
            ["sh", "-c", "read _; ls ."], cwd=film, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 3")
        eventually(lambda: not film.exists())
        with pytest.raises(OSError, match="Stale file handle"):
            os.listdir(inside)
        said = shell.communicate("\n", 120)
        assert said[0] == ""
        assert "Stale file handle" in said[1]
        os.close(inside)


def test_reads_anywhere_and_across_the_end(nfo: Path) -> None:
    content = nfo.read_bytes()
    assert len(content) > 3 * 4096
    with nfo.open("rb", buffering=0) as file:
        for offset in (0, 1, 4095, 4096, len(content) - 1, len(content), len(content) + 5000):
            for length in (1, 4096, 100_000):
                assert os.pread(file.fileno(), length, offset) == content[offset : offset + length]
        assert file.seek(-10, os.SEEK_END) == len(content) - 10
        assert file.read() == content[-10:]
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == len(content)


def test_direct_io(nfo: Path) -> None:
    content = nfo.read_bytes()
    descriptor = os.open(nfo, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, 1 << 16) as buffer:
            assert os.preadv(descriptor, [buffer], 0) == len(content)
            assert buffer[: len(content)] == content
    finally:
        os.close(descriptor)


def test_mmap(nfo: Path) -> None:
    content = nfo.read_bytes()
    with nfo.open("rb") as file:
        for share in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
            with mmap.mmap(file.fileno(), 0, flags=share, prot=mmap.PROT_READ) as mapped:
                assert mapped[:] == content
                assert mapped.find(b"</movie>") > 0


@pytest.mark.parametrize("name", [b"\xff\xfe", b"Heat \xe9", b"x" * 255, b"heat (1995)", b"Heat (1995) ", b"e\xcc\x81"])
def test_names_that_are_not_there(mount: Mount, name: bytes) -> None:
    with pytest.raises(FileNotFoundError):
        os.stat(os.fsencode(mount.path) + b"/Movies/" + name)


def test_names_that_are_too_long(mount: Mount) -> None:
    with pytest.raises(OSError, match="File name too long"):
        os.stat(mount.path / ("x" * 256))


def test_files_are_no_directories_and_directories_no_files(nfo: Path) -> None:
    with pytest.raises(NotADirectoryError):
        os.stat(nfo / "x")
    with pytest.raises(NotADirectoryError):
        os.listdir(nfo)
    with pytest.raises(IsADirectoryError):
        nfo.parent.read_bytes()


def test_access_says_what_can_be_done(nfo: Path) -> None:
    assert os.access(nfo, os.R_OK)
    assert not os.access(nfo, os.W_OK)
    assert os.access(nfo.parent, os.R_OK | os.X_OK)
    assert not os.access(nfo.parent, os.W_OK)


def test_attributes_tell_scripts_what_a_file_is(mount: Mount, nfo: Path) -> None:
    strm = nfo.parent / "Heat (1995).strm"
    uuid = os.getxattr(strm, "user.vod2strmfs.uuid").decode()
    assert uuid in strm.read_text()
    assert os.getxattr(strm, "user.vod2strmfs.type") == b"movie"
    assert f"stream_id={os.getxattr(strm, 'user.vod2strmfs.stream_id').decode()}&" in strm.read_text()
    assert os.listxattr(strm) == []
    assert os.getxattr(mount.path / "TV/Lost/Season 01", "user.vod2strmfs.type") == b"season"
    for path, name in ((strm, "user.other"), (strm, "security.selinux"), (mount.path, "user.vod2strmfs.uuid")):
        with pytest.raises(OSError, match="No data available"):
            os.getxattr(path, name)
    with pytest.raises(OSError, match="Read-only file system"):
        os.setxattr(strm, "user.x", b"1")


def test_a_hundred_readers_at_once(mount: Mount) -> None:
    paths = [path for path in mount.path.rglob("*") if path.is_file() and path.suffix != ".csv"]
    contents = {path: path.read_bytes() for path in paths}

    def read_all(number: int) -> int:
        wrong = 0
        for path in paths[number:] + paths[:number]:
            wrong += path.read_bytes() != contents[path]
        return wrong

    with ThreadPoolExecutor(100) as readers:
        assert sum(readers.map(read_all, range(100))) == 0


def test_another_user_can_read_it(mount: Mount, nfo: Path) -> None:
    let_others_in(mount.path.parent)
    done = subprocess.run(
        ["cat", nfo], capture_output=True, check=False, user="nobody", group="nogroup", extra_groups=[]
    )
    assert done.stdout == nfo.read_bytes()


def test_a_directory_handle_survives_changes_without_repeating_or_skipping(database: Database, tmp_path: Path) -> None:
    database.fill(catalogue(1500))
    with mounted(tmp_path, database.url) as mount:
        movies = mount.path / "Movies"
        with os.scandir(movies) as handle:
            seen = [next(handle).name for _ in range(500)]
            database.execute("UPDATE vod_movie SET name = 'Renamed' WHERE name = 'Film 7'")
            database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id IN (400, 1400)")
            eventually(lambda: (movies / "Renamed").exists() and not (movies / "Film 1398").exists())
            seen += [entry.name for entry in handle]
        stayed = {f"Film {number}" for number in range(1500)} - {"Film 7", "Film 398", "Film 1398"}
        assert len(seen) == len(set(seen))
        assert stayed <= set(seen)


class Dirent(ctypes.Structure):
    _fields_ = (
        ("inode", ctypes.c_ulong),
        ("offset", ctypes.c_long),
        ("length", ctypes.c_ushort),
        ("type", ctypes.c_ubyte),
        ("name", ctypes.c_char * 256),
    )


def test_telldir_and_seekdir(mount: Mount) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    handle = ctypes.c_void_p(libc.opendir(os.fsencode(mount.path / "Movies")))

    def read() -> bytes | None:
        entry = libc.readdir(handle)
        return Dirent.from_address(entry).name if entry else None

    try:
        first = [read() for _ in range(10)]
        place = libc.telldir(handle)
        rest = list(iter(read, None))
        libc.seekdir(handle, ctypes.c_long(place))
        assert list(iter(read, None)) == rest
        libc.rewinddir(handle)
        assert [read() for _ in range(10)] == first
    finally:
        libc.closedir(handle)


@contextmanager
def samba(private: Path, shared: Path, *lines: str) -> Iterator[list[str]]:
    """A Samba server that shares a folder; gives the command of a client, which lacks what it is to do."""
    port = free_port()
    private.mkdir()
    configuration = private / "smb.conf"
    configuration.write_text(
        f"""[global]
        interfaces = lo
        bind interfaces only = yes
        smb ports = {port}
        disable netbios = yes
        server role = standalone server
        map to guest = bad user
        guest account = root
        load printers = no
        private dir = {private}
        lock directory = {private}
        state directory = {private}
        cache directory = {private}
        pid directory = {private}
        ncalrpc dir = {private}
        log file = {private}/log
        [library]
        path = {shared}
        read only = yes
        guest ok = yes
        """
        + "\n".join(lines)
    )
    server = subprocess.Popen(
        ["smbd", "--foreground", "--no-process-group", f"--configfile={configuration}"],
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it ends its whole process group with itself
    )
    client = ["smbclient", "//127.0.0.1/library", "-p", str(port), "-N", "-c"]
    try:
        eventually(lambda: subprocess.run([*client, "pwd"], capture_output=True, check=False).returncode == 0)
        yield client
    finally:
        server.terminate()
        server.wait(120)


def test_samba_serves_it(mount: Mount, nfo: Path, tmp_path: Path) -> None:
    with samba(tmp_path / "samba", mount.path) as client:
        listed = subprocess.run(
            [*client, "ls TV\\Lost\\*"], capture_output=True, text=True, check=True, timeout=120
        ).stdout
        assert "Season 01" in listed
        assert "tvshow.nfo" in listed
        fetched = tmp_path / "fetched.nfo"
        get = f'get "Movies\\Heat (1995)\\movie.nfo" {fetched}'
        subprocess.run([*client, get], check=True, capture_output=True, timeout=120)
        assert fetched.read_bytes() == nfo.read_bytes()
        everything = tmp_path / "everything"
        everything.mkdir()
        fetch_all = [*client, f"lcd {everything}; recurse; prompt; mget *"]
        subprocess.run(fetch_all, check=True, capture_output=True, timeout=120)
        subprocess.run(["diff", "-r", "--exclude=.stats.csv", mount.path, everything], check=True)


SHARE = ("store dos attributes = no", "ea support = no", "case sensitive = yes")
"""What docs/sharing.md says."""


def test_samba_asks_little_for_a_listing(mount: Mount, tmp_path: Path) -> None:
    with samba(tmp_path / "samba", mount.path.parent, *SHARE) as client:
        before = mount.requests()
        listed = subprocess.run([*client, "ls mount\\Movies\\*"], capture_output=True, text=True, check=True).stdout
        assert listed.count("Film ") == 40
        assert mount.requests() - before < 60
    with samba(tmp_path / "plain", mount.path.parent) as client:
        before = mount.requests()
        for _ in range(2):
            subprocess.run([*client, "ls mount\\Movies\\*"], capture_output=True, check=True)
        assert mount.requests() - before < 20


@pytest.mark.parametrize("count", [40, 600])
@pytest.mark.parametrize("damage", ["a child that is lost", "a name that cannot be", "a time that is none"])
def test_samba_is_told_of_a_folder_that_cannot_be_listed_whole(tmp_path: Path, count: int, damage: str) -> None:
    url = f"sqlite:///{tmp_path}/dispatcharr.db"
    catalogue(count).write(url)
    with mounted(tmp_path, url) as mount:
        mount.stop()
    state = tmp_path / "state"
    damage_film(state, count - 5, damage)
    # Without its database, nobody can make the index anew.
    (tmp_path / "dispatcharr.db").unlink()
    with (
        mounted(tmp_path, url, "--allow-other", wait=False) as mount,
        samba(tmp_path / "samba", tmp_path, *SHARE) as client,
    ):
        eventually(lambda: "cannot" in mount.log.read_text() or "no SQLite" in mount.log.read_text())
        for _ in range(3):
            done = subprocess.run([*client, "ls mount\\Movies\\*"], capture_output=True, text=True, check=False)
            assert done.returncode != 0
            assert "NT_STATUS" in done.stdout + done.stderr
            assert "Film" not in done.stdout
            with pytest.raises(OSError, match="Input/output error"):
                os.listdir(mount.path / "Movies")
            for name in ("Movies", "TV"):
                with pytest.raises(OSError, match="Input/output error"):
                    os.stat(mount.path / name)


def damage_film(state: Path, number: int, damage: str) -> None:
    """Damage what the index says of a film."""
    with closing(sqlite3.connect(state / "index.db")) as index, index:
        name = f"Film {number}"
        if damage == "a child that is lost":
            sql = "CREATE INDEX node_name ON node (parent, fold)"
            index.execute("DROP INDEX node_name")
            index.execute(f"{sql} WHERE name != '{name}'")
            index.execute("PRAGMA writable_schema = ON")
            index.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'node_name'", (sql,))
        elif damage == "a name that cannot be":
            index.execute("UPDATE node SET name = 'Film?' WHERE name = ?", (name,))
        else:
            index.execute("UPDATE node SET mtime = 'never' WHERE name = ?", (name,))


@pytest.mark.parametrize("count", [40, 600])
def test_an_index_damaged_under_a_mount_fails_in_stat_and_listing_from_the_same_moment(
    postgres: PostgresServer, tmp_path: Path, count: int
) -> None:
    database = Database(postgres.new_database()).fill(catalogue(count))
    with mounted(tmp_path, database.url) as mount:
        eventually(lambda: "Generation 1" in mount.log.read_text())
        movies = mount.path / "Movies"
        for path in (movies, mount.path / "TV", movies / "Film 1"):
            os.stat(path)
        postgres.stop("immediate")
        try:
            damage_film(tmp_path / "state", 7, "a time that is none")
            eventually(lambda: not _listed(movies))
            until = time.monotonic() + 1
            while time.monotonic() < until:
                for path in (movies, mount.path / "TV"):
                    with pytest.raises(OSError, match="Input/output error"):
                        os.stat(path)
            with pytest.raises(OSError, match="Input/output error"):
                os.stat(movies / "Film 1")
        finally:
            postgres.start()
        eventually(lambda: len(_listed(movies)) == count + 1)
        assert "Traceback" not in mount.log.read_text()


def _listed(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def test_a_container_sees_a_mount_that_is_made_later(tmp_path: Path) -> None:
    """A mount namespace with slave propagation, as `-v /path:/path:rslave` gives a container."""
    url = f"sqlite:///{tmp_path}/dispatcharr.db"
    catalogue().write(url)
    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(["mount", "--bind", shared, shared], check=True)
    subprocess.run(["mount", "--make-shared", shared], check=True)
    ready, go = tmp_path / "ready", tmp_path / "go"
    script = f'touch "{ready}"; until [ -e "{go}" ]; do sleep 0.05; done; cat "{shared}/mount/Movies/Film 1/movie.nfo"'
    container = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script], stdout=subprocess.PIPE
    )
    try:
        eventually(ready.exists)
        with mounted(shared, url) as mount:
            go.touch()
            seen, _ = container.communicate(timeout=120)
            assert seen == (mount.path / "Movies/Film 1/movie.nfo").read_bytes()
    finally:
        container.kill()
        subprocess.run(["umount", "-l", shared], check=True)


def test_requests_are_answered_while_a_huge_directory_is_listed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/dispatcharr.db"
    catalogue(8_000).write(url)
    with mounted(tmp_path, url) as mount:

        def answered() -> int:
            """How many requests are answered while it is listed."""
            mount.drop_caches()
            listing, number = threading.Thread(target=lambda: os.listdir(mount.path / "Movies")), 0
            listing.start()
            while listing.is_alive():
                (mount.path / f"TV/Lost/Season 01/none{time.monotonic_ns()}").exists()
                number += 1
            listing.join()
            return number

        # On a busy machine, who lists may have the processor, and who asks may not.
        eventually(lambda: answered() > 20)
