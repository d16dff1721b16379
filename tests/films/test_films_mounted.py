"""A real mount of films: a process of its own, beside the library's; what it shows, and what stays whatever happens."""

import errno
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from learnt import learn
from mounts import TIMEOUT, command, eventually, is_mounted, mounted
from processes import state_of

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import MountError
from vod2strmfs.films.store import Films
from vod2strmfs.mount.films_run import mount
from vod2strmfs.settings import Settings

_NOBODY = ("--base-url", "http://127.0.0.1:9")
"""Where nobody answers: what is shown comes from the disk."""


def bytes_of(seed: int, size: int = 300_001) -> bytes:
    """A film that is kept whole."""
    return b"\x1aE\xdf\xa3" + random.Random(seed).randbytes(size - 4)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A catalogue of two movies, which have been synced, and of which one was learnt."""
    url = f"sqlite:///{tmp_path}/catalogue.db"
    write(url, "Heat", "Ronin")
    subprocess.run(command("sync", "--database", url, "--state-dir", tmp_path / "state", *_NOBODY), check=True)
    learn(tmp_path / "state", "Heat", content=bytes_of(1))
    return url


def write(url: str, *movies: str) -> None:
    """Have a catalogue of movies, whose ids and streams are their names', in place of the one that was there."""
    path = Path(url.removeprefix("sqlite:///"))
    made = Catalogue()
    made.account("Provider")
    for movie in movies:
        made.movie(movie, id=ord(movie[0])).relations[0].stream_id = movie
    made.write(f"{path}.new")
    # A mount that looks meanwhile finds one of both.
    Path(f"{path}.new").rename(path)


def test_a_film_has_its_exact_size_and_its_bytes_at_any_offset(tmp_path: Path, url: str) -> None:
    content = bytes_of(1)
    with mounted(tmp_path, url, *_NOBODY, what="films") as films:
        folder = films.path / "Movies/Heat"
        film = folder / "Heat.mkv"
        eventually(film.exists)
        assert sorted(os.listdir(folder)) == ["Heat.mkv", "movie.nfo"]
        assert film.stat().st_size == len(content)
        assert film.read_bytes() == content
        with film.open("rb") as file:
            for place in (0, 1, 65_535, 65_536, 299_999, len(content) - 1, len(content), len(content) + 9):
                assert os.pread(file.fileno(), 70_000, place) == content[place : place + 70_000]
        assert os.getxattr(film, "user.vod2strmfs.stream_id") == b"Heat"
        assert os.statvfs(films.path).f_blocks * 4096 > len(content)
        assert films.stat("films_waiting") == "1"
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            film.open("wb")
    assert b"1 film shown, 1 film waiting" in films.log.read_bytes()


def test_what_is_learnt_appears_and_who_has_a_film_open_goes_on_reading_it(tmp_path: Path, url: str) -> None:
    with mounted(tmp_path, url, *_NOBODY, what="films") as films:
        heat, ronin = films.path / "Movies/Heat/Heat.mkv", films.path / "Movies/Ronin/Ronin.mkv"
        eventually(heat.exists)
        assert not ronin.exists()  # The kernel remembers that.
        learn(tmp_path / "state", "Ronin", content=bytes_of(2))
        eventually(ronin.exists)
        assert ronin.read_bytes() == bytes_of(2)
        inode = heat.stat().st_ino
        with heat.open("rb") as file:
            _find_changed(tmp_path / "state")
            learn(tmp_path / "state", "Heat", content=bytes_of(3, 200_000))
            eventually(lambda: heat.stat().st_ino != inode)
            assert file.read() == bytes_of(1)
            assert os.fstat(file.fileno()).st_size == len(bytes_of(1))
        assert heat.read_bytes() == bytes_of(3, 200_000)
    assert b"ERROR" not in films.log.read_bytes()


def _find_changed(state_dir: Path) -> None:
    with Films(state_dir) as films:
        for key, _ in films.names():
            if (film := films.known(key)) is not None:
                films.changed(film, "its size is another one")


def test_the_library_is_untouched_when_the_films_are_killed_and_the_films_leave_a_dead_mount(
    tmp_path: Path, url: str
) -> None:
    with mounted(tmp_path, url, *_NOBODY) as library, mounted(tmp_path, url, *_NOBODY, what="films") as films:
        eventually((films.path / "Movies/Heat/Heat.mkv").exists)
        write(url, "Heat", "Ronin", "Speed")
        eventually((library.path / "Movies/Speed/Speed.strm").exists)
        learn(tmp_path / "state", content=bytes_of(4))
        eventually((films.path / "Movies/Speed/Speed.mkv").exists)
        films.process.send_signal(signal.SIGKILL)
        films.process.wait(TIMEOUT)
        with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
            os.listdir(films.path)
        assert sorted(os.listdir(library.path / "Movies")) == ["Heat", "Ronin", "Speed"]
        write(url, "Heat", "Ronin", "Speed", "Jaws")
        eventually((library.path / "Movies/Jaws/Jaws.strm").exists)
        with mounted(tmp_path, url, *_NOBODY, what="films") as again:
            eventually((again.path / "Movies/Speed/Speed.mkv").exists)
        assert again.process.returncode == 0
    assert b"ERROR" not in library.log.read_bytes()


def test_a_mount_that_starts_again_says_what_was_read_for_nobody_before(tmp_path: Path, url: str) -> None:
    with Films(tmp_path / "state") as films:
        films.note_background({(1, int(time.time() // 3600) - 2): 5_000_000_000})
    with mounted(tmp_path, url, *_NOBODY, what="films"):
        asked = command("status", "--state-dir", tmp_path / "state", "--config", "")
        said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=TIMEOUT).stdout
    assert "5.0 GB from account Provider within 24 hours" in said


_READERS = 16
"""More than the kernel lets wait, as long as nobody asks it for more."""


def _waits(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process waits for a disk, or for what stands for one."""
    return state_of(process.pid) == "D"


def test_reads_that_wait_hold_up_nobody_and_end_with_the_mount(tmp_path: Path, url: str) -> None:
    learn(tmp_path / "state", "Ronin", size=50_000_000)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(TIMEOUT)
        dispatcharr = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with mounted(tmp_path, url, "--base-url", dispatcharr, "--debug-logging", what="films") as films:
            ronin = films.path / "Movies/Ronin/Ronin.mkv"
            eventually(ronin.exists)
            readers = [
                subprocess.Popen(["dd", f"if={ronin}", f"skip={place}", "bs=1M", "count=1"], stdout=-3, stderr=-3)
                for place in range(0, 2 * _READERS, 2)
            ]
            with silent.accept()[0] as asked:
                eventually(lambda: all(map(_waits, readers)))
                assert (films.path / "Movies/Heat/Heat.mkv").read_bytes() == bytes_of(1)
                assert sorted(os.listdir(films.path / "Movies")) == ["Heat", "Ronin"]
                assert (films.path / "Movies/Ronin/movie.nfo").read_bytes()
                assert [reader.poll() for reader in readers] == [None] * _READERS
                impatient = subprocess.Popen(["cat", ronin], stdout=-3, stderr=-3)
                eventually(lambda: _waits(impatient))
                impatient.send_signal(signal.SIGINT)
                assert impatient.wait(TIMEOUT) == -signal.SIGINT
                direct = subprocess.Popen(["dd", f"if={ronin}", "iflag=direct", "bs=1M"], stdout=-3, stderr=-3)
                eventually(lambda: "request_wait_answer" in Path(f"/proc/{direct.pid}/stack").read_text())
                direct.terminate()
                assert direct.wait(TIMEOUT) == -signal.SIGTERM
                assert "could not be read" not in films.log.read_text(), "it was ended before it was answered"
                assert asked.recv(1 << 16).startswith(b"GET /proxy/vod/movie/")
                assert films.stop() == 0
        assert [reader.wait(TIMEOUT) for reader in readers] == [1] * _READERS
    assert "base_url is not set" not in films.log.read_text()


def refusal(place: Path, state_dir: Path, library: Path) -> str:
    """What `films` says when it does not mount."""
    database, base_url = f"sqlite:///{state_dir}/none.db", _NOBODY[1]
    settings = Settings(database=database, base_url=base_url, state_dir=state_dir, output_root=library)
    with pytest.raises(MountError) as refused:
        mount(settings, place, lambda: None)
    return str(refused.value)


def test_films_are_not_mounted_where_the_library_is_nor_twice(tmp_path: Path, url: str) -> None:
    root, state_dir = tmp_path / "STRM", tmp_path / "state"
    for place in (root, root / "Films", tmp_path):
        place.mkdir(exist_ok=True)
        assert "Films need a folder of their own" in refusal(place, state_dir, root)
    link = tmp_path / "link"
    link.symlink_to(root)
    assert f"is the place of the library ({root})" in refusal(link, state_dir, root)
    assert "is in the place of the library" in refusal(link / "Films", state_dir, root)
    (root / "Films").rmdir()
    with mounted(tmp_path, url, *_NOBODY) as library:
        assert "a library is already mounted there" in refusal(library.path, state_dir, root)
        assert "is in the place of the library" in refusal(library.path / "Movies", state_dir, root)
    with mounted(tmp_path, url, *_NOBODY, what="films"):
        assert "its films are mounted already" in refusal(root, state_dir, tmp_path / "elsewhere")
    assert not is_mounted(root)
