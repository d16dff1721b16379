"""Images in a real mount, by processes that are killed, and in a real Kodi."""

import hashlib
import mmap
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import pytest
from art_server import ArtServer, make_images
from kodi import Kodi
from libraries import Library
from mounts import Mount, command, eventually, mounted
from outputs import Output
from power_cut import Recorder, after_power_cut

from vod2strmfs.artwork.figures import FILE_NAME, read_figures
from vod2strmfs.artwork.outcomes import Kind, Outcome
from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.artwork.queue import Queue
from vod2strmfs.artwork.signature import examine
from vod2strmfs.artwork.wanted import wishes
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.rendered import content_digest
from vod2strmfs.library.tree import Tree
from vod2strmfs.settings import LibrarySettings

_AT_ONCE = 2
"""Images of one host that are fetched at once."""


@pytest.fixture
def server() -> Iterator[ArtServer]:
    """A host of images."""
    with ArtServer(make_images()) as server:
        yield server
        server.gate.set()


def films(server: ArtServer, number: int, shared: int = 0) -> Catalogue:
    """Films with posters, each one's its own, or so many in all."""
    made = Catalogue()
    made.account("Provider")
    logos = [made.logo(f"{server.url}/ok/{each}.jpg") for each in range(shared or number)]
    for each in range(number):
        made.movie(f"Film {each:05}", logo_id=logos[each % len(logos)].id)
    return made


def options(server: ArtServer) -> tuple[str, ...]:
    """Of a command that has images as files from that host."""
    return ("--artwork", "files", "--base-url", server.url, "--artwork-rate", "60000")


def test_a_mount_shows_an_image_when_it_is_stored_and_serves_all_of_it(tmp_path: Path, server: ArtServer) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.db"
    films(server, 3).write(url)
    server.gate.clear()
    with mounted(tmp_path, url, *options(server)) as mount:
        folder = mount.path / "Movies/Film 00001"
        poster, before = folder / "poster.jpg", folder.stat().st_mtime_ns
        assert sorted(os.listdir(folder)) == ["Film 00001.strm", "movie.nfo"]
        assert not poster.exists()  # The kernel remembers that.
        nfo = (folder / "movie.nfo").stat()
        server.gate.set()
        eventually(poster.exists)
        content = server.image("/ok/1.jpg")
        assert sorted(os.listdir(folder)) == ["Film 00001.strm", "movie.nfo", "poster.jpg"]
        assert poster.read_bytes() == content
        assert poster.stat().st_size == len(content)
        assert folder.stat().st_mtime_ns > before
        assert ((folder / "movie.nfo").stat().st_ino, (folder / "movie.nfo").stat().st_mtime_ns) == (
            nfo.st_ino, nfo.st_mtime_ns,
        )  # fmt: skip
        with poster.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == content
        with poster.open("rb") as file:
            assert os.pread(file.fileno(), 100, len(content) - 50) == content[-50:]
            assert os.pread(file.fileno(), 100, len(content) + 50) == b""
        _another_edition(mount, server, poster, content, tmp_path / "state")


def _another_edition(mount: Mount, server: ArtServer, poster: Path, content: bytes, state_dir: Path) -> None:
    """Whoever has an image open reads it to the end when it is another one."""
    inode = poster.stat().st_ino
    with poster.open("rb") as file:
        first = file.read(10)
        server.edition = "another"
        with closing(sqlite3.connect(state_dir / FILE_NAME, timeout=120)) as connection, connection:
            connection.execute("UPDATE url SET not_before = 0")
        eventually(lambda: poster.stat().st_ino != inode)
        assert poster.read_bytes() == server.image("/ok/1.jpg")
        assert first + file.read() == content
    assert b"rror" not in mount.log.read_bytes()


def test_fetching_that_is_killed_goes_on_and_asks_for_each_image_once(
    tmp_path: Path, server: ArtServer, soak: bool
) -> None:
    number, kills = (20_000, 20) if soak else (120, 3)
    library = Library(tmp_path)
    library.show(films(server, number), LibrarySettings(artwork="files", base_url=server.url))
    line = command("artwork", "--state-dir", library.state_dir, "--artwork-rate", "60000", "--quiet")
    for kill in range(kills):
        process = subprocess.Popen(line)
        goal = number * (kill + 1) // (kills + 1)
        while sum(server.asked.values()) < goal:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(line, check=True)
    twice = [path for path, times in server.asked.items() if times > 1]
    assert len(server.asked) == number
    assert len(twice) <= kills * _AT_ONCE, "only what was under way when a process was killed"
    pictures = Pictures(library.state_dir)
    with closing(Store(library.state_dir)) as store:
        tree = Tree(store)
        shown = [
            pictures.read(art.image)
            for path, entry in tree.walk()
            if path.endswith(".jpg") and (art := tree.art(entry.inode))
        ]
    assert sorted(shown) == sorted(server.image(f"/ok/{each}.jpg") for each in range(number))
    assert sum(1 for _ in pictures.names()) == number


def test_a_power_cut_at_any_moment_leaves_no_image_that_is_known_and_not_whole(
    tmp_path: Path, server: ArtServer, soak: bool
) -> None:
    library = Library(tmp_path)
    library.show(films(server, 12), LibrarySettings(artwork="files", base_url=server.url))
    recorder = Recorder(library.state_dir, tmp_path)
    line = command("artwork", "--state-dir", library.state_dir, "--artwork-rate", "60000")
    subprocess.run(line, check=True, env=recorder.environment)
    notes = [note for note in recorder.notes() if note.name.startswith("artwork")]
    assert {note.what for note in notes} >= {"W", "S", "R"}
    chance, seen, broken = random.Random(4), Counter[int](), tmp_path / "broken"
    for _ in range(400 if soak else 100):
        shutil.rmtree(broken, ignore_errors=True)
        for name, content in after_power_cut(notes[: chance.randint(0, len(notes))], chance).items():
            if name.startswith("artwork.") or name.count("/") == 2:  # Not a folder, which was flushed.
                (broken / name).parent.mkdir(parents=True, exist_ok=True)
                (broken / name).write_bytes(content)
        seen[_whole_images(broken)] += 1
    assert {0, 12} < seen.keys()


def _whole_images(state_dir: Path) -> int:
    """How many images are known; each has to be whole."""
    if not (state_dir / FILE_NAME).exists():
        return 0
    with closing(Queue(state_dir)) as queue:
        known = queue.images()
    assert not list(state_dir.glob("*unusable*"))
    for name, *_ in known:
        assert hashlib.blake2b(Pictures(state_dir).read(name), digest_size=16).hexdigest() == name
    return len(known)


def test_the_command_looks_on_while_a_mount_fetches(tmp_path: Path, server: ArtServer) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.db"
    films(server, 20).write(url)
    server.gate.clear()
    with mounted(tmp_path, url, *options(server)):
        eventually(lambda: (figures := read_figures(tmp_path / "state")) is not None and figures.waiting == 20)
        process = subprocess.Popen(command("artwork", "--state-dir", tmp_path / "state", "--json"), stdout=-1)
        server.gate.set()
        answer, _ = process.communicate(timeout=120)
        assert b'"elsewhere": true' in answer
        assert b'"stored": 20' in answer
        assert set(server.asked.values()) == {1}
        status = subprocess.run(command("status", "--state-dir", tmp_path / "state"), capture_output=True, check=True)
        assert b"20 images stored" in status.stdout


def test_a_hundred_thousand_images_cost_a_mount_little_memory(tmp_path: Path, server: ArtServer, soak: bool) -> None:
    number = 100_000 if soak else 2_000
    url = f"sqlite:///{tmp_path}/catalogue.db"
    films(server, number).write(url)
    memory, seconds = {}, {}
    for artwork, each in (("url", "plain"), ("files", "art")):
        place = tmp_path / each
        place.mkdir()
        chosen = ("--artwork", artwork, *options(server)[2:])
        if artwork == "files":
            sync = command("sync", "--database", url, "--state-dir", place / "state", *chosen[:4])
            subprocess.run(sync, check=True)
            _store_all(place / "state", server)
        with mounted(place, url, *chosen) as mount:
            if artwork == "files":
                last = mount.path / f"Movies/Film {number - 1:05}/poster.jpg"
                eventually(last.exists)
            count = _listed(mount)
            assert count == 1 + 2 + number * (4 if artwork == "files" else 3) + 1
            began = time.monotonic()
            _listed(mount)
            seconds[artwork] = time.monotonic() - began
            memory[artwork] = _resident(mount.process.pid)
            assert not server.asked
    print(f"{number} images: {memory} kB, a second listing {seconds} s")
    assert memory["files"] - memory["url"] < 10_000


def _store_all(state_dir: Path, server: ArtServer) -> None:
    """Store all that the library wants, each an image of its own, as if it had been fetched."""
    pictures, [image] = Pictures(state_dir), {examine(server.image("/ok/0.jpg"))}
    with patch("os.fsync"), closing(Queue(state_dir)) as queue:
        queue.want(wishes(state_dir, episodes=False))
        for item in queue.due(time.time(), (), 1_000_000):
            content = server.image(urlsplit(item.url).path)
            name = pictures.add(content)
            queue.settle(item, Outcome(Kind.STORED, content=content), (name, image, content_digest(content)))


def _listed(mount: Mount) -> int:
    found = subprocess.run(["find", mount.path, "-printf", "%s %T@\n"], capture_output=True, check=True)
    return found.stdout.count(b"\n")


def _resident(process: int) -> int:
    """Kilobytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.parametrize("media_server", ["any", "kodi"])
def test_kodi_takes_images_as_local_art(tmp_path: Path, server: ArtServer, kodi_home: Path, media_server: str) -> None:
    made = Catalogue()
    made.account("Provider")
    extension = ".webp" if media_server == "kodi" else ".png"
    backdrop = [f"{server.url}/ok/fan.jpg"]
    for name, kind in (("Heat", "movie"), ("Lost", "series")):
        logo = made.logo(f"{server.url}/ok/{name}{extension if name == 'Heat' else '.jpg'}")
        title = getattr(made, kind)(name, logo_id=logo.id, custom_properties={"backdrop_path": backdrop})
    made.episode(title, 1, 1, "Pilot", custom_properties={"movie_image": f"{server.url}/ok/pilot.jpg"})
    library = Library(tmp_path)
    settings = LibrarySettings(
        artwork="files",
        artwork_episodes=True,
        base_url=server.url,
        media_server=media_server,
    )
    library.show(made, settings)
    line = command("artwork", "--state-dir", library.state_dir, "--artwork-rate", "60000")
    subprocess.run(line, check=True)
    output = Output(library, tmp_path / "output")
    output.write()
    movies, series = output.root / "Movies", output.root / "TV"
    with Kodi(kodi_home, movies=(movies,), series=(series,), separate_folders=media_server == "any") as kodi:
        kodi.scan()
        [film], [show], [episode] = kodi.movies("art"), kodi.shows("art"), kodi.episodes("art")
        found = {
            (title["label"], kind): unquote(url.removeprefix("image://")).rstrip("/")
            for title in (film, show, episode)
            for kind, url in title["art"].items()
        }
    heat, lost = movies / "Heat", series / "Lost"
    prefix = "Heat-" if media_server == "kodi" else ""
    wanted = {
        ("Heat", "poster"): heat / f"{prefix}poster{extension}", ("Heat", "fanart"): heat / f"{prefix}fanart.jpg",
        ("Lost", "poster"): lost / "poster.jpg", ("Lost", "fanart"): lost / "fanart.jpg",
    }  # fmt: skip
    assert {key: found.get(key) for key in wanted} == {key: str(path) for key, path in wanted.items()}
    assert found[episode["label"], "thumb"] == str(lost / "Season 01/S01E01 – Pilot-thumb.jpg")
