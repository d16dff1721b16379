"""What becomes of images: which are fetched, how hosts are treated, what is shown when."""

import errno
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpcore
import kernel
import pytest
import trio
from art_server import ArtServer, make_images
from click.testing import CliRunner
from kernel import Kernel
from libraries import Library
from outputs import Output, report_rows, snapshot

from vod2strmfs.artwork import command, fetcher
from vod2strmfs.artwork.addresses import is_public
from vod2strmfs.artwork.client import Client
from vod2strmfs.artwork.figures import FILE_NAME, Figures, describe
from vod2strmfs.artwork.outcomes import Kind, Outcome
from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.artwork.queue import Queue, Wish
from vod2strmfs.artwork.signature import Image, NoImageError, examine
from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import IndexFileError, SettingsError
from vod2strmfs.index.order import ArtworkOrder
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import Slot, slot_of
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize.output_stats import output_stats
from vod2strmfs.mount.handlers import LibraryHandlers, Owner
from vod2strmfs.service.export import export
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.sync.pictures import publish
from vod2strmfs.web.known import Known
from vod2strmfs.web.metrics import render


@pytest.fixture
def server() -> Iterator[ArtServer]:
    """A host of images."""
    with ArtServer(make_images()) as server:
        yield server
        server.gate.set()


@pytest.fixture
def images() -> dict[str, bytes]:
    """One picture as JPEG, PNG and WebP."""
    return make_images()


class Shelf:
    """A library with images as files.

    Args:
        directory: an empty folder.
        server: the host of the images, which is Dispatcharr's as well.
    """

    def __init__(self, directory: Path, server: ArtServer) -> None:
        self.library = Library(directory)
        self.server = server
        self.settings = LibrarySettings(artwork="files", base_url=server.url)

    @property
    def state_dir(self) -> Path:
        """The state directory."""
        return self.library.state_dir

    def show(self, **posters: str) -> None:
        """Sync with a catalogue of films, each with the poster at a path of the server."""
        self.library.show(catalogue_of(self.server, posters), self.settings, accept_shrink=True)

    def fetch(self, *, retry_failed: bool = False, **changed: Any) -> Figures:
        """Do what `vod2strmfs artwork` does; how it stands then."""
        settings = Settings(**self.settings.model_dump(), artwork_rate=60_000)
        order = ArtworkOrder.of(settings)
        assert order is not None
        order = order.model_copy(update=changed)
        done = command.fetch(order, self.state_dir, publish, retry_failed=retry_failed, tell=lambda done, total: None)
        assert done.figures is not None
        return done.figures

    def shown(self) -> dict[str, bytes]:
        """The images of the tree: their bytes, by path."""
        pictures = Pictures(self.state_dir)
        with closing(Store(self.state_dir)) as store:
            tree = Tree(store)
            found = {}
            for path, entry in tree.walk():
                if (art := tree.art(entry.inode)) is not None:
                    found[path] = pictures.read(art.image)
                    assert (len(found[path]), entry.inode) == (entry.size, tree.lookup(*_place(tree, path)).inode)  # type: ignore[union-attr]
            return found

    def make_due(self) -> None:
        """Let everything that was asked for be asked for again."""
        with closing(sqlite3.connect(self.state_dir / FILE_NAME)) as connection, connection:
            connection.execute("UPDATE url SET not_before = 0")
            connection.execute("DELETE FROM host")


def _place(tree: Tree, path: str) -> tuple[int, str]:
    directory, name = 1, path
    while "/" in name:
        first, _, name = name.partition("/")
        found = tree.lookup(directory, first)
        assert found is not None
        directory = found.inode
    return directory, name


def catalogue_of(server: ArtServer, posters: dict[str, str]) -> Catalogue:
    """Films, each with a poster, by its path."""
    made = Catalogue()
    made.account("Provider")
    logos = {path: made.logo(path if "://" in path else server.url + path) for path in dict.fromkeys(posters.values())}
    for name, path in posters.items():
        made.movie(name, logo_id=logos[path].id, genre=name)
    return made


@pytest.fixture
def shelf(tmp_path: Path, server: ArtServer) -> Shelf:
    """A library whose images are on that host."""
    return Shelf(tmp_path, server)


def test_the_signature_says_what_it_is(images: dict[str, bytes]) -> None:
    for extension, content in images.items():
        assert examine(content) == Image(extension, 200, 300)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
def test_an_image_that_is_cut_anywhere_is_none(images: dict[str, bytes], extension: str) -> None:
    content = images[extension]
    for length in range(len(content)):
        with pytest.raises(NoImageError):
            examine(content[:length])


def test_an_image_that_would_need_gigabytes_is_none(images: dict[str, bytes]) -> None:
    bomb = bytearray(images[".png"])
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(NoImageError, match="60000 × 60000"):
        examine(bytes(bomb))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("192.168.1.1", False), ("172.16.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False), ("64:ff9b::808:808", True), ("2002:7f00:1::", False), ("ff02::1", False),
        ("::127.0.0.1", False), ("::ffff:0:127.0.0.1", False), ("64:ff9b:1::7f00:1", False), ("fec0::1", False),
        ("3fff::1", False), ("2001:db8::1", False), ("5f00::1", False), ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


@pytest.mark.parametrize(
    ("fault", "kind", "why"),
    [
        ("missing", Kind.GONE, "404"), ("failing", Kind.FAILED, "500"), ("busy", Kind.BUSY, "429"),
        ("half", Kind.FAILED, "cut"), ("large", Kind.BAD, "artwork_max_bytes"), ("slow", Kind.FAILED, "too long"),
        ("endless", Kind.BAD, "artwork_max_bytes"), ("private", Kind.BAD, "not a public one"),
        ("named", Kind.BAD, "not a public one"), ("loop", Kind.BAD, "again and again"), ("file", Kind.BAD, "http"),
        ("moved", Kind.STORED, ""), ("unasked", Kind.BAD, "304"), ("part", Kind.BAD, "206"),
        ("chunked", Kind.BAD, "artwork_max_bytes"),
    ],
)  # fmt: skip
def test_every_fault_of_a_host_has_its_outcome(server: ArtServer, fault: str, kind: Kind, why: str) -> None:
    async def ask() -> Outcome:
        async with Client([server.url], 100_000, 1.0) as client:
            return await client.fetch(f"{server.url}/{fault}/x")

    outcome = trio.run(ask)
    assert (outcome.kind, why in outcome.why) == (kind, True), outcome
    assert server.asked["/ok/private.jpg"] == 0
    assert outcome.pause == (3000 if fault == "busy" else 0)


def test_a_host_that_is_not_there_is_a_fault_of_the_host(server: ArtServer) -> None:
    async def ask(url: str) -> Outcome:
        async with Client([url], 100_000, 5.0) as client:
            return await client.fetch(url + "/x.jpg")

    assert trio.run(ask, "http://127.0.0.1:1").kind == Kind.FAILED
    assert trio.run(ask, "http://no-such-host.invalid").kind == Kind.FAILED


def test_what_stands_in_the_users_network_is_not_asked(server: ArtServer) -> None:
    async def ask() -> Outcome:
        async with Client(["http://192.168.199.10:9191"], 100_000) as client:
            return await client.fetch(server.url + "/ok/x.jpg")

    assert trio.run(ask).kind == Kind.BAD
    assert not server.asked


def test_images_appear_once_they_are_stored_and_each_is_asked_for_once(shelf: Shelf, server: ArtServer) -> None:
    made = catalogue_of(server, {"Heat": "/ok/heat", "Alien": "/ok/shared", "Aliens": "/ok/shared"})
    backdrops = [server.url + "/ok/island", server.url + "/ok/never"]
    logo = made.logo(server.url + "/ok/lost")
    show = made.series("Lost", logo_id=logo.id, custom_properties={"backdrop_path": backdrops})
    made.episode(show, 1, 1, "Pilot", custom_properties={"movie_image": server.url + "/ok/pilot"})
    before = shelf.library.show(made, shelf.settings).generation
    assert not shelf.shown()
    figures = shelf.fetch()
    assert shelf.shown() == {
        "Movies/Heat/poster.jpg": server.image("/ok/heat"),
        "Movies/Alien/poster.jpg": server.image("/ok/shared"),
        "Movies/Aliens/poster.jpg": server.image("/ok/shared"),
        "TV/Lost/poster.jpg": server.image("/ok/lost"),
        "TV/Lost/fanart.jpg": server.image("/ok/island"),
    }
    assert dict(server.asked) == dict.fromkeys(["/ok/heat", "/ok/shared", "/ok/lost", "/ok/island"], 1)
    assert (figures.stored, figures.waiting, figures.failed) == (4, 0, 0)
    with closing(Store(shelf.state_dir)) as store:
        assert store.generation > before
    shelf.fetch()
    assert set(server.asked.values()) == {1}


def test_stills_of_episodes_come_if_they_are_wanted(shelf: Shelf, server: ArtServer) -> None:
    made = Catalogue()
    made.account("Provider")
    made.episode(made.series("Lost"), 1, 1, "Pilot", custom_properties={"movie_image": server.url + "/ok/pilot"})
    shelf.settings = shelf.settings.model_copy(update={"artwork_episodes": True})
    shelf.library.show(made, shelf.settings)
    shelf.fetch()
    assert list(shelf.shown()) == ["TV/Lost/Season 01/S01E01 – Pilot-thumb.jpg"]


@pytest.mark.parametrize(
    "fault", ["missing", "page", "empty", "cut", "packed", "large", "private", "unasked", "more", "part"]
)
def test_what_is_no_image_is_not_shown_and_its_url_stays_in_the_nfo(
    shelf: Shelf, server: ArtServer, fault: str
) -> None:
    shelf.show(Heat=f"/{fault}/heat", Alien="/ok/alien")
    nfo = shelf.library.files()["Movies/Heat/movie.nfo"]
    figures = shelf.fetch(max_bytes=100_000)
    assert list(shelf.shown()) == ["Movies/Alien/poster.jpg"]
    with closing(Store(shelf.state_dir)) as store:
        tree = Tree(store)
        assert tree.read(tree.lookup(*_place(tree, "Movies/Heat/movie.nfo")).inode) == nfo  # type: ignore[union-attr]
    assert f"{server.url}/{fault}/heat".encode() in nfo
    assert (figures.stored, figures.failed) == (1, 1)
    assert next(iter(figures.failing)).startswith(server.host + ": it")
    shelf.fetch()
    assert server.asked[f"/{fault}/heat"] == 1
    shelf.fetch(retry_failed=True)
    assert server.asked[f"/{fault}/heat"] == 2


def test_webp_is_for_servers_that_read_it(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat.webp", Alien="/ok/alien.png")
    figures = shelf.fetch()
    assert list(shelf.shown()) == ["Movies/Alien/poster.png"]
    assert "webp" in next(iter(figures.failing))
    shelf.settings = shelf.settings.model_copy(update={"media_server": "kodi"})
    shelf.show(Heat="/ok/heat.webp", Alien="/ok/alien.png")
    shelf.fetch(retry_failed=True)
    assert list(shelf.shown()) == ["Movies/Heat/Heat-poster.webp", "Movies/Alien/Alien-poster.png"]


def entries(shelf: Shelf) -> dict[str, Any]:
    """Every entry by its path."""
    return dict(shelf.library.tree())


def test_a_changed_image_is_another_inode_and_the_same_at_a_new_url_changes_nothing(
    shelf: Shelf, server: ArtServer
) -> None:
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    poster, folder = "Movies/Heat/poster.jpg", "Movies/Heat"
    first = entries(shelf)
    server.edition = "another"
    shelf.make_due()
    shelf.fetch()
    second = entries(shelf)
    assert server.conditional == ["/ok/heat"]
    assert shelf.shown() == {poster: server.image("/ok/heat")}
    assert second[poster].inode != first[poster].inode
    assert second[poster].mtime > first[poster].mtime
    assert second[folder].mtime > first[folder].mtime
    assert second[folder].inode == first[folder].inode
    # The same bytes elsewhere.
    server.image = lambda path: shelf_image  # type: ignore[method-assign]
    shelf_image = next(iter(shelf.shown().values()))
    shelf.show(Heat="/ok/moved")
    assert entries(shelf)[poster] == second[poster]
    shelf.fetch()
    assert server.asked["/ok/moved"] == 1
    assert entries(shelf)[poster] == second[poster]


def test_an_image_stays_while_its_new_url_cannot_be_had_and_goes_when_there_is_none(
    shelf: Shelf, server: ArtServer
) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    before = shelf.shown()
    shelf.show(Heat="/missing/heat", Alien="/ok/alien")
    shelf.fetch()
    assert shelf.shown() == before
    made = catalogue_of(server, {"Alien": "/ok/alien"})
    made.movie("Heat")
    shelf.library.show(made, shelf.settings, accept_shrink=True)
    shelf.fetch()
    assert list(shelf.shown()) == ["Movies/Alien/poster.jpg"]
    # It comes back under another number: who has the first one cached must not see it.
    inode = entries(shelf)["Movies/Alien/poster.jpg"].inode
    shelf.settings = shelf.settings.model_copy(update={"artwork": "url"})
    shelf.show(Alien="/ok/alien")
    assert not shelf.shown()
    shelf.settings = shelf.settings.model_copy(update={"artwork": "files"})
    server.edition = "another"
    shelf.show(Alien="/ok/alien")
    shelf.make_due()
    shelf.fetch()
    assert entries(shelf)["Movies/Alien/poster.jpg"].inode != inode


def test_without_images_as_files_the_tree_is_as_it_was(tmp_path: Path, server: ArtServer) -> None:
    made = catalogue_of(server, {"Heat": "/ok/heat"})
    plain, off = Library(tmp_path / "plain"), Library(tmp_path / "off")
    for library in (plain, off):
        library.state_dir.parent.mkdir()
    plain.show(made)
    off.show(made, LibrarySettings(artwork="off"))
    paths = ["Movies", "Movies/Heat", "Movies/Heat/Heat.strm", "Movies/Heat/movie.nfo", "TV"]
    assert plain.paths() == off.paths() == paths
    assert b"<thumb" in plain.files()["Movies/Heat/movie.nfo"]
    assert b"<thumb" not in off.files()["Movies/Heat/movie.nfo"]
    with closing(sqlite3.connect(plain.state_dir / "index.db")) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'art'").fetchone()
    assert not (plain.state_dir / FILE_NAME).exists()


def test_what_a_generation_with_images_changed_is_told(shelf: Shelf) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    with closing(Store(shelf.state_dir)) as store:
        before = store.generation
    shelf.fetch()
    with closing(Store(shelf.state_dir)) as store:
        changes = list(store.changes(before, store.generation) or ())
    assert sorted(change.name for change in changes if change.name) == ["poster.jpg", "poster.jpg"]
    assert {slot_of(change.inode) for change in changes if change.name} == {Slot.POSTER}


def test_a_host_that_fails_is_left_alone_and_one_that_asks_for_patience_gets_it(tmp_path: Path) -> None:
    with closing(Queue(tmp_path)) as queue:
        wishes = [Wish(node, Slot.POSTER, 0, f"http://{host}.example/{node}") for node, host in
                  enumerate(["dead", "dead", "dead", "dead", "busy", "busy", "good"], 20)]  # fmt: skip
        queue.want(wishes)
        now = time.time()
        due = {item.url: item for item in queue.due(now, (), 100)}
        for node in (20, 21):
            queue.settle(due[f"http://dead.example/{node}"], Outcome(Kind.FAILED, "it answers 500"))
        assert not {"dead.example"} & queue.paused(time.time()).keys()
        queue.settle(due["http://dead.example/22"], Outcome(Kind.FAILED, "it answers 500"))
        queue.settle(due["http://busy.example/24"], Outcome(Kind.BUSY, "it asks for fewer requests (429)", 3000))
        paused = queue.paused(time.time())
        assert 50 < paused["dead.example"] - now < 70
        assert 2990 < paused["busy.example"] - now < 3010
        left = {item.url for item in queue.due(now, paused.keys(), 100)}
        assert left == {"http://good.example/26"}
        # The image that was to wait is no failure; the one that failed waits for itself, too.
        later = {item.url for item in queue.due(now + 3100, (), 100)}
        assert "http://busy.example/24" in later
        assert {item.url for item in queue.due(now + 60, (), 100)}.isdisjoint({"http://dead.example/20"})


def test_what_waits_when_the_clock_is_set_back_waits_no_longer_than_it_had_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, year, day = 1_700_000_000.0, 365 * 86400.0, 86400.0
    now = [right + year]
    monkeypatch.setattr(time, "time", lambda: now[0])
    with closing(Queue(tmp_path)) as queue:
        queue.follow_clock()
        queue.want([Wish(node, Slot.POSTER, 0, f"http://dead.example/{node}") for node in range(20, 24)])
        for item in queue.due(now[0], (), 4):
            queue.settle(item, Outcome(Kind.FAILED, "it answers 500"))
        now[0] = right
        queue.follow_clock()
        assert 0 < queue.paused(right)["dead.example"] - right < day
        assert queue.due(right, (), 4) == []
        assert len(queue.due(right + day, (), 4)) == 4


def test_a_fetcher_looks_at_the_clock(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/1")
    shelf.fetch()
    with closing(sqlite3.connect(shelf.state_dir / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE info SET value = value + 86400 WHERE name = 'clock'")
        connection.execute("UPDATE url SET not_before = not_before + 86400")
        [[before]] = connection.execute("SELECT not_before FROM url").fetchall()
    shelf.fetch()
    with closing(sqlite3.connect(shelf.state_dir / FILE_NAME)) as connection:
        [[after]] = connection.execute("SELECT not_before FROM url").fetchall()
    assert before - after == pytest.approx(86400, abs=60)


def test_the_rate_is_kept(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(**{f"Film {number}": f"/ok/{number}" for number in range(12)})
    began = time.monotonic()
    shelf.fetch(rate=600)
    # Ten a second, of which those of one second may come at once.
    assert time.monotonic() - began >= 0.1
    assert sum(server.asked.values()) == 12


def test_the_cache_is_bounded_and_what_is_shown_stays(shelf: Shelf, server: ArtServer, complaints: Any) -> None:
    complaints.expect("artwork_cache is used up")
    size = len(server.image("/ok/0"))
    shelf.show(**{f"Film {number}": f"/ok/{number}" for number in range(4)})
    figures = shelf.fetch(cache=3 * size)
    assert (figures.stored, figures.waiting, figures.bytes) == (3, 1, 3 * size)
    assert "artwork_cache" in figures.stopped
    shown = shelf.shown()
    assert len(shown) == 3
    # Whatever nothing wants any more gives way.
    gone = next(iter(shown)).split("/")[1]
    shelf.show(**{f"Film {number}": f"/ok/{number}" for number in range(4) if f"Film {number}" != gone})
    shelf.fetch(cache=3 * size)
    figures = shelf.fetch(cache=3 * size)
    assert (len(shelf.shown()), figures.stopped) == (3, "")
    assert len(list(Pictures(shelf.state_dir).names())) == 3


def test_a_lost_image_is_fetched_again_and_until_then_not_shown(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    pictures = Pictures(shelf.state_dir)
    name = next(iter(pictures.names()))
    pictures.remove(name)
    server.broken = True
    shelf.fetch()
    assert len(shelf.shown()) == 1
    server.broken = False
    shelf.make_due()
    shelf.fetch()
    assert len(shelf.shown()) == 2


def test_a_queue_that_is_lost_loses_no_image(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    before = entries(shelf)
    for path in shelf.state_dir.glob(FILE_NAME + "*"):
        path.unlink()
    server.broken = True
    shelf.fetch()
    assert entries(shelf) == before
    assert len(shelf.shown()) == 2


def test_an_index_made_anew_shows_the_images_again(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    before = {path: (entry.size, entry.mtime) for path, entry in entries(shelf).items() if path.endswith(".jpg")}
    (shelf.state_dir / "index.db").unlink()
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    assert {path: (entries(shelf)[path].size, entries(shelf)[path].mtime) for path in before} == before
    assert set(server.asked.values()) == {1}


def written(shelf: Shelf, root: Path, **fields: Any) -> list[tuple[str, ...]]:
    """Materialize; what is said of images."""
    result = Output(shelf.library, root).write(**fields)
    return [row for row in report_rows(result.report) if row[0] in ("image", "cleanup")]


def test_materialize_writes_compares_and_cleans_up_images_as_its_own(
    shelf: Shelf, server: ArtServer, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    assert {(row[3], *row[5:]) for row in written(shelf, root)} == {
        ("Heat", "created", "new"), ("Alien", "created", "new"),
    }  # fmt: skip
    there = {path: each.content for path, each in snapshot(root).items() if path.endswith(".jpg")}
    assert there == shelf.shown()
    tree = entries(shelf)
    assert all(each.mtime == tree[path].mtime for path, each in snapshot(root).items())
    assert written(shelf, root) == []
    server.edition = "another"
    shelf.make_due()
    shelf.fetch()
    assert {row[5:] for row in written(shelf, root)} == {("updated", "content changed")}
    assert {path: each.content for path, each in snapshot(root).items() if path.endswith(".jpg")} == shelf.shown()
    shelf.settings = shelf.settings.model_copy(update={"artwork": "url"})
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    written(shelf, root, cleanup="apply")
    assert not [path for path in snapshot(root) if path.endswith(".jpg")]
    assert "Movies/Heat/Heat.strm" in snapshot(root)


@pytest.mark.complains("base_url is http://127.0.0.1")
def test_a_dry_run_with_images_says_what_a_run_then_writes(shelf: Shelf, tmp_path: Path) -> None:
    """Those that were stored before are shown again by the run; nothing is by the dry one."""
    posters = {"Heat": "/ok/heat", "Alien": "/ok/alien"}
    shelf.show(**posters)
    shelf.fetch()
    wanted = Settings(
        **shelf.settings.model_dump(), database=shelf.library.last_url, state_dir=shelf.state_dir,
        output_root=tmp_path / "out",
    )  # fmt: skip
    shelf.settings = shelf.settings.model_copy(update={"artwork": "url"})
    shelf.show(**posters)
    assert export(wanted, "all", dry_run=True).actions() == {"would_create": 6}
    assert shelf.shown() == {}
    assert export(wanted, "all").actions() == {"created": 6}
    assert len(shelf.shown()) == 2


@pytest.mark.complains("base_url is http://127.0.0.1")
def test_a_dry_run_goes_on_where_the_list_of_images_is_damaged_as_a_run_does(shelf: Shelf, tmp_path: Path) -> None:
    """It makes nothing anew: that is left to the run."""
    shelf.show(Heat="/ok/heat")
    wanted = Settings(
        **shelf.settings.model_dump(), database=shelf.library.last_url, state_dir=shelf.state_dir,
        output_root=tmp_path / "out",
    )  # fmt: skip
    damaged = shelf.state_dir / "artwork.db"
    damaged.write_bytes(b"no database")
    assert export(wanted, "all", dry_run=True).actions() == {"would_create": 2}
    assert damaged.read_bytes() == b"no database"


@pytest.mark.parametrize("name", ["poster.jpg", "poster.png", "poster.jpeg"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_poster_of_the_users_is_never_written_over_nor_joined(
    shelf: Shelf, tmp_path: Path, name: str, overwrite: bool
) -> None:
    root = tmp_path / "out"
    shelf.show(Heat="/ok/heat")
    written(shelf, root)
    (root / "Movies/Heat" / name).write_bytes(b"the user's")
    shelf.fetch()
    rows = written(shelf, root, overwrite=overwrite, cleanup="apply")
    assert [row[5:] for row in rows] == [("kept", "not ours")]
    assert [path.name for path in (root / "Movies/Heat").iterdir() if path.suffix not in (".strm", ".nfo")] == [name]
    assert (root / "Movies/Heat" / name).read_bytes() == b"the user's"
    (root / "Movies/Heat" / name).unlink()
    written(shelf, root)
    assert (root / "Movies/Heat/poster.jpg").read_bytes() == shelf.shown()["Movies/Heat/poster.jpg"]


def test_an_image_of_another_kind_takes_the_place_of_ours(shelf: Shelf, server: ArtServer, tmp_path: Path) -> None:
    root = tmp_path / "out"
    shelf.show(Heat="/ok/heat.png")
    shelf.fetch()
    written(shelf, root)
    shelf.show(Heat="/ok/heat.jpg")
    shelf.fetch()
    written(shelf, root, cleanup="apply")
    images = [path.name for path in (root / "Movies/Heat").iterdir() if path.suffix in (".png", ".jpg")]
    assert images == ["poster.jpg"]
    assert (root / "Movies/Heat/poster.jpg").read_bytes() == server.image("/ok/heat.jpg")


def test_what_dispatcharr_hands_on_is_not_asked_for_at_its_host(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="http://192.168.7.7/heat.jpg", Alien="/ok/alien")
    server.logos[1] = server.image("/ok/any")
    shelf.fetch(database=shelf.library.last_url)
    assert shelf.shown() == {
        "Movies/Heat/poster.jpg": server.logos[1],
        "Movies/Alien/poster.jpg": server.image("/ok/alien"),
    }
    logo = "/api/vod/vodlogos/{}/cache/"
    assert dict(server.asked) == {logo.format(1): 1, logo.format(2): 1, "/ok/alien": 1}


def test_a_title_of_several_rows_has_the_image_of_the_row_that_plays_and_no_other_is_asked_for(
    shelf: Shelf, server: ArtServer
) -> None:
    made = Catalogue()
    account = made.account("Provider")
    for name, height in (("Heat (1995)", 720), ("EN - Heat (1995)", 1080)):
        logo = made.logo(f"{server.url}/ok/{height}")
        film = made.movie(name, relations=[], logo_id=logo.id)
        said = {"detailed_info": {"video": {"codec_name": "h264", "width": 16, "height": height}}}
        made.relate(film, account, custom_properties=said)
    shelf.settings = shelf.settings.model_copy(update={"merge": "titles"})
    shelf.library.show(made, shelf.settings)
    assert shelf.fetch().stored == 1
    assert shelf.shown() == {"Movies/Heat (1995)/poster.jpg": server.image("/ok/1080")}
    assert dict(server.asked) == {"/ok/1080": 1}
    for merge, folders in (("off", 2), ("titles", 1)):
        shelf.settings = shelf.settings.model_copy(update={"merge": merge})
        shelf.library.show(made, shelf.settings)
        shelf.fetch()
        assert len(shelf.shown()) == folders
    assert shelf.shown() == {"Movies/Heat (1995)/poster.jpg": server.image("/ok/1080")}
    assert set(server.asked.values()) == {1}


@pytest.mark.parametrize("media_server", ["any", "kodi", "spec"])
@pytest.mark.parametrize("write_nfo", [True, False])
def test_images_are_listed_found_and_kept_apart_from_what_is_read_beside_them(
    shelf: Shelf, server: ArtServer, media_server: str, write_nfo: bool
) -> None:
    made = Catalogue()
    made.account("Provider")
    logo = made.logo(f"{server.url}/ok/one")
    backdrop = [f"{server.url}/ok/fan"]
    made.movie("Heat", logo_id=logo.id, custom_properties={"backdrop_path": backdrop})
    lost = made.series("Lost", logo_id=logo.id, custom_properties={"backdrop_path": backdrop})
    made.episode(lost, 1, 1, "Pilot", custom_properties={"movie_image": f"{server.url}/ok/still"})
    update = {"artwork_episodes": True, "media_server": media_server}
    shelf.settings = shelf.settings.model_copy(update=update)
    shelf.library.show(made, shelf.settings)
    shelf.fetch(episodes=True)
    with closing(Store(shelf.state_dir)) as store:
        tree = Tree(store, write_nfo=write_nfo)
        found = dict(tree.walk())
        assert sum(tree.art(entry.inode) is not None for entry in found.values()) == 5
        for path, entry in found.items():
            assert tree.attributes(entry.inode) == tree.lookup(*_place(tree, path)) == entry
            beside = tree.beside(entry.inode) if not entry.is_dir else None
            assert beside is None or beside.name.endswith(".nfo")
            after, listed = 0, []
            if entry.is_dir:  # A listing that goes on after any entry of it leaves nothing out.
                while (page := tree.page(entry.inode, after, 1)) is not None and page.entries:
                    assert page.entries[0] not in listed
                    listed.append(page.entries[0])
                    after = page.entries[0].inode
                assert listed == [each for name, each in found.items() if name.rpartition("/")[0] == path]


def test_the_kernel_is_never_given_an_image_but_reads_of_it_what_it_asks_for(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    handlers = LibraryHandlers(Owner(0, 0, 0), Pictures(shelf.state_dir))
    told: list[bytes] = []
    handlers.tell = told.append
    content = server.image("/ok/heat")
    with closing(Store(shelf.state_dir)) as store:
        handlers.show(Tree(store))
        asked = Kernel(handlers)
        assert [each.name for each in asked.list(asked.find("Movies/Heat").inode)][-1] == "poster.jpg"
        asked.open(asked.find("Movies/Heat/movie.nfo").inode)
        assert len(told) == 1
        handlers.prepare()
        poster = asked.find("Movies/Heat/poster.jpg").inode
        handle, _ = asked.open(poster)
        handlers.settle()
        assert asked.read(poster, handle, 10, 100) == content[10:110]
        assert asked.read(poster, handle, 0, 1 << 20) == content
        asked.release(poster, handle)
        [name] = Pictures(shelf.state_dir).names()
        Pictures(shelf.state_dir).remove(name)
        assert asked.error(kernel.OPEN, poster, bytes(8)) == "EIO"
    assert (len(told), handlers.damage, handlers.failures) == (1, 0, 1)


def test_figures_are_told_to_people_and_to_programs(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien", Dune="/page/dune")
    figures = shelf.fetch()
    size = len(server.image("/ok/heat")) + len(server.image("/ok/alien"))
    assert (figures.bytes, figures.images, figures.last_hour, figures.done) == (size, 2, 3, 0)
    told = describe(figures, time.time())
    assert told.startswith("2 images stored (")
    assert f"1 failed ({server.host}: it sent a web page)" in told
    metrics = render(Known(artwork=figures)).decode()
    assert 'vod2strmfs_artwork_images{state="stored"} 2.0' in metrics
    assert 'vod2strmfs_artwork_images{state="failing"} 1.0' in metrics
    assert f'vod2strmfs_artwork_failing{{why="{server.host}: it sent a web page"}} 1.0' in metrics
    assert f"vod2strmfs_artwork_bytes {float(size)}" in metrics


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    library = Library(tmp_path)
    runner = CliRunner()
    arguments = ["artwork", "--state-dir", str(library.state_dir)]
    assert isinstance(runner.invoke(cli, arguments).exception, IndexFileError)
    made = Catalogue()
    made.movie("Heat")
    library.show(made)
    error = runner.invoke(cli, arguments).exception
    assert isinstance(error, SettingsError)
    assert 'Set artwork = "files"' in str(error)


@pytest.mark.parametrize("shelves", [(), ({"name": "H", "genres": "H*"},)])
def test_images_are_counted_as_files_and_in_bytes(
    shelf: Shelf, server: ArtServer, tmp_path: Path, shelves: tuple[dict[str, Any], ...]
) -> None:
    shelf.settings = LibrarySettings.model_validate(shelf.settings.model_dump() | {"shelf": shelves})

    def check(number: int) -> None:
        tree, metrics = entries(shelf), shelf.library.metrics()
        assert sum(path.endswith(".jpg") for path in tree) == number
        assert metrics["filesystem.image_files"] == str(number)
        assert metrics["filesystem.bytes"] == str(sum(entry.size for entry in tree.values()))
        with closing(Store(shelf.state_dir)) as store:
            assert store.size == (sum(entry.size for entry in tree.values()), len(tree))

    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    check(0)
    shelf.fetch()
    check(3 if shelves else 2)
    written(shelf, tmp_path / "out")
    found = output_stats(tmp_path / "out", shelf.state_dir)
    assert found is not None
    assert found["image_files"] == (3 if shelves else 2)
    shelf.show(Heat="/ok/heat", Alien="/ok/alien", Dune="/ok/dune")
    shelf.fetch()
    check(4 if shelves else 3)
    shelf.show(Alien="/ok/alien", Dune="/ok/dune")
    check(2)
    shelf.fetch()
    check(2)
    shelf.settings = shelf.settings.model_copy(update={"artwork": "url"})
    shelf.show(Alien="/ok/alien", Dune="/ok/dune")
    check(0)


@pytest.mark.parametrize("media_server", ["any", "kodi"])
def test_names_of_images_are_as_short_as_other_names(shelf: Shelf, server: ArtServer, media_server: str) -> None:
    made = Catalogue()
    made.account("Provider")
    logo = made.logo(f"{server.url}/ok/one")
    backdrop = [f"{server.url}/ok/fan"]
    for name in ("Ä" * 300, "Ä" * 301):
        made.movie(name, year=1999, logo_id=logo.id, custom_properties={"backdrop_path": backdrop})
    lost = made.series("Ö" * 300, logo_id=logo.id)
    made.episode(lost, 1, 1, "Ü" * 300, custom_properties={"movie_image": f"{server.url}/ok/still"})
    update = {"artwork_episodes": True, "media_server": media_server, "name_max": 143}
    shelf.settings = shelf.settings.model_copy(update=update)
    shelf.library.show(made, shelf.settings)
    shelf.fetch(episodes=True)
    assert len(shelf.shown()) == 2 + 2 + 1 + 1
    assert max(len(name.encode()) for path in shelf.shown() for name in path.split("/")) <= 143


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "localhost",
        "[fe80::1%25lo]", "u:p@127.0.0.1", "127.0.0.1.", "１２７.0.0.1",
    ],
)  # fmt: skip
def test_no_way_to_write_an_address_leads_into_the_users_network(server: ArtServer, host: str) -> None:
    async def ask() -> Outcome:
        async with Client(["http://192.168.199.10:9191"], 100_000) as client:
            return await client.fetch(f"http://{host}:{server.host.rpartition(':')[2]}/ok/x.jpg")

    assert trio.run(ask).kind in (Kind.BAD, Kind.FAILED)
    assert not server.asked


class _Answers(trio.abc.HostnameResolver):
    """DNS that has other answers each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, *others: Any, **more: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in self.answers.pop(0)]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise AssertionError


@pytest.mark.parametrize("answers", [(["127.0.0.1", "10.0.0.1"],), (["127.0.0.1"], ["127.0.0.1"])])
def test_a_name_that_is_resolved_to_private_addresses_is_not_asked(server: ArtServer, answers: Any) -> None:
    async def ask() -> Outcome:
        trio.socket.set_custom_hostname_resolver(_Answers(*answers))
        async with Client(["http://192.168.199.10:9191"], 100_000) as client:
            return await client.fetch(f"http://images.example:{server.host.rpartition(':')[2]}/ok/x.jpg")

    assert trio.run(ask).why == "its address is not a public one"
    assert not server.asked


def test_of_a_names_addresses_only_those_that_were_judged_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def connect(self: object, host: str, *others: Any) -> Any:
        asked.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(httpcore.TrioBackend, "connect_tcp", connect)

    async def ask() -> Outcome:
        # The second answer must not be asked for: what is judged is what is connected to.
        trio.socket.set_custom_hostname_resolver(_Answers(["127.0.0.1", "8.8.8.8", "10.0.0.1", "1.1.1.1"]))
        async with Client([], 100_000) as client:
            return await client.fetch("http://images.example/x.jpg")

    assert trio.run(ask).kind == Kind.FAILED
    assert asked == ["8.8.8.8", "1.1.1.1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/x.jpg",
        "http://host:port/x.jpg",
        "ftp://host/x.jpg",
        "http:///x.jpg",
        "poster.jpg",
        "http://127.0.0.1:99999/x",
    ],
)
def test_a_url_that_is_none_is_in_no_others_way(shelf: Shelf, url: str) -> None:
    made = catalogue_of(shelf.server, {"Heat": "/ok/heat"})
    made.movie("Alien", logo_id=made.logo(url).id)
    shelf.library.show(made, shelf.settings)
    shelf.fetch()
    assert list(shelf.shown()) == ["Movies/Heat/poster.jpg"]


def test_an_image_of_another_kind_at_the_same_url_has_another_name(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    inode = entries(shelf)["Movies/Heat/poster.jpg"].inode
    png = server.images[".png"]
    server.image = lambda path: png  # type: ignore[method-assign]
    shelf.make_due()
    with closing(Store(shelf.state_dir)) as store:
        before = store.generation
    shelf.fetch()
    assert shelf.shown() == {"Movies/Heat/poster.png": png}
    assert entries(shelf)["Movies/Heat/poster.png"].inode != inode
    with closing(Store(shelf.state_dir)) as store:
        changes = list(store.changes(before, store.generation) or ())
    assert {change.name for change in changes if change.name} == {"poster.jpg", "poster.png"}


@pytest.mark.parametrize("damage", ["truncated", "emptied", "overwritten", "longer", "removed"])
def test_an_image_that_somebody_damaged_is_never_shown_wrong_and_is_fetched_again(
    shelf: Shelf, server: ArtServer, damage: str
) -> None:
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    content, pictures = server.image("/ok/heat"), Pictures(shelf.state_dir)
    [path] = (path for path in (shelf.state_dir / "artwork").rglob("*") if path.is_file())
    if damage == "removed":
        path.unlink()
    else:
        wrong = {
            "truncated": content[:-10],
            "emptied": b"",
            "overwritten": bytes(len(content)),
            "longer": content + b"x",
        }
        path.write_bytes(wrong[damage])
    handlers = LibraryHandlers(Owner(0, 0, 0), pictures)
    with closing(Store(shelf.state_dir)) as store:
        handlers.show(Tree(store))
        asked = Kernel(handlers)
        inode = asked.find("Movies/Heat/poster.jpg").inode
        assert asked.error(kernel.OPEN, inode, bytes(8)) == "EIO"
    shelf.fetch()
    assert shelf.shown() == {"Movies/Heat/poster.jpg": content}
    assert server.asked["/ok/heat"] == 2
    with closing(Store(shelf.state_dir)) as store:
        handlers.show(Tree(store))
        inode = asked.find("Movies/Heat/poster.jpg").inode
        handle, _ = asked.open(inode)
        assert asked.read(inode, handle, 0, 1 << 20) == content
        asked.release(inode, handle)


def test_an_image_that_was_restored_from_a_backup_is_shown_and_not_fetched_again(
    shelf: Shelf, server: ArtServer
) -> None:
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    [path] = (path for path in (shelf.state_dir / "artwork").rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes())
    shelf.fetch()
    assert shelf.shown() == {"Movies/Heat/poster.jpg": server.image("/ok/heat")}
    assert server.asked["/ok/heat"] == 1


def test_images_are_looked_after_while_they_are_fetched(
    shelf: Shelf, server: ArtServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "_CHECK_SECONDS", 0.1)
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    order = ArtworkOrder.of(Settings(**shelf.settings.model_dump(), artwork_rate=60_000))
    assert order is not None
    pictures, [name] = Pictures(shelf.state_dir), Pictures(shelf.state_dir).names()
    size = len(server.image("/ok/heat"))
    work = command._Work(order, shelf.state_dir, publish, command.Result(), lambda done, total: None)

    async def lose_one() -> None:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work.run, False)
                await trio.sleep(1)  # What is lost before it begins is found then.
                pictures.remove(name)
                while server.asked["/ok/heat"] < 2 or not pictures.has(name, size, 0):
                    await trio.sleep(0.1)
                nursery.cancel_scope.cancel()

    trio.run(lose_one)


def test_images_come_back_with_the_setting_and_with_their_titles_without_being_fetched_again(
    shelf: Shelf, server: ArtServer
) -> None:
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    before = shelf.shown()
    for artwork in ("url", "off", "files"):
        shelf.settings = shelf.settings.model_copy(update={"artwork": artwork})
        shelf.show(Heat="/ok/heat", Alien="/ok/alien")
        assert artwork == "files" or not shelf.shown()
    shelf.fetch()
    assert shelf.shown() == before
    shelf.show(Alien="/ok/alien")
    shelf.fetch()
    assert list(shelf.shown()) == ["Movies/Alien/poster.jpg"]
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    assert shelf.shown() == before
    assert set(server.asked.values()) == {1}


def test_an_image_of_a_thousand_titles_is_stored_and_asked_for_once(shelf: Shelf, server: ArtServer) -> None:
    shelf.show(**{f"Film {number}": "/ok/one" for number in range(1000)})
    shelf.fetch()
    assert len(shelf.shown()) == 1000
    assert dict(server.asked) == {"/ok/one": 1}
    assert len(list(Pictures(shelf.state_dir).names())) == 1


def test_a_shelf_shows_the_same_images_under_the_same_numbers(shelf: Shelf) -> None:
    chosen = {"shelf": ({"name": "H", "genres": "H*"},)}
    shelf.settings = LibrarySettings.model_validate(shelf.settings.model_dump() | chosen)
    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    shelf.fetch()
    tree, shown = entries(shelf), shelf.shown()
    path = "Movies/Heat/poster.jpg"
    assert {each for each in shown if each.startswith("H/")} == {f"H/{path}"}
    assert tree[f"H/{path}"] == tree[path]
    assert shown[f"H/{path}"] == shown[path]


def test_a_disk_that_is_full_stops_fetching_and_loses_nothing(
    shelf: Shelf, server: ArtServer, complaints: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints.expect("images cannot be written")
    shelf.show(Heat="/ok/heat")
    shelf.fetch()
    before = shelf.shown()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shelf.show(Heat="/ok/heat", Alien="/ok/alien")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        figures = shelf.fetch()
    assert "No space left" in figures.stopped
    assert (shelf.shown(), figures.waiting) == (before, 1)
    shelf.fetch()
    assert len(shelf.shown()) == 2
