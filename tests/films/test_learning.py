"""How films are learnt: from which answers, in which order, and how gently."""

import itertools
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from disks import small_disk
from dispatcharr_proxy import DispatcharrProxy
from film_provider import PASSWORD, USER, Asked, Fault, Pattern, Stream
from films import FILMS, SECONDS, catalogue_of, make_large
from libraries import Library
from mounts import eventually

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import IndexFileError, SettingsError
from vod2strmfs.films import learner as learner_module
from vod2strmfs.films import lesson, wanted
from vod2strmfs.films.admission import Admission, Rank
from vod2strmfs.films.containers import SIGNATURE_BYTES, Scanned, extension_of, scanned
from vod2strmfs.films.figures import Figures, read_figures, seconds_to_learn
from vod2strmfs.films.film import BLOCK, Address, Extent, Film, Key, ReadError
from vod2strmfs.films.learner import Learner
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.parts import merged
from vod2strmfs.films.player import Player
from vod2strmfs.films.store import Due, Films
from vod2strmfs.films.times import Times
from vod2strmfs.films.upstream import Deadlines, Upstream
from vod2strmfs.settings import LibrarySettings

FAST = Deadlines(connect=5, answer=5, silence=1, quiet=1.2)
ORDER = FilmsOrder(
    cache=10**9, learn_rate=6000, learn_bytes=10**9, max_streams=1, reserve_streams=0, pace=3,
    background_reads="pace", background_bytes=0,
)  # fmt: skip


class World:
    """A library whose films a double of Dispatcharr has, and who learns them.

    Args:
        directory: an empty folder.
        proxy: the double.
        order: how to learn.
    """

    def __init__(self, directory: Path, proxy: DispatcharrProxy, order: FilmsOrder = ORDER) -> None:
        self.library = Library(directory)
        self.state_dir = self.library.state_dir
        self.proxy = proxy
        self.order = order
        self.outcomes: dict[str, list[Outcome]] = {}
        """By stream, in order."""
        self.learnt_in_order: list[str] = []

    def show(self, catalogue: Catalogue, **settings: Any) -> None:
        """Sync with a catalogue."""
        given = {"base_url": self.proxy.url} | settings
        self.library.show(catalogue, LibrarySettings(**given), accept_shrink=True)

    def show_streams(self, streams: Iterable[Stream], **settings: Any) -> None:
        """Sync with a catalogue of these."""
        self.show(catalogue_of(streams), **settings)

    @contextmanager
    def films(self) -> Iterator[Films]:
        """What is known of them."""
        with Films(self.state_dir, self.order.cache) as films:
            yield films

    def learner(
        self,
        films: Films,
        admission: Admission | None = None,
        *,
        quiet: float = 0.0,
        upstream: Upstream | None = None,
    ) -> Learner:
        """Who learns them."""
        admission = admission or Admission(self.order, quiet=0)
        upstream = upstream or Upstream(deadlines=FAST)
        addresses = wanted.Addresses(self.state_dir, films)
        return Learner(self.order, films, upstream, addresses, admission, self.state_dir, self._note, quiet)

    def learn(self, **options: Any) -> None:
        """Learn until nothing can be learnt."""
        with self.films() as films:
            trio.run(lambda: self.learner(films).work(until_done=True, **options))

    def known(self, stream: str, account: int = 1) -> Film | None:
        """A film that was learnt."""
        with self.films() as films:
            return films.known(Key("movie", account, stream))

    def outcome(self, stream: str = "s") -> Outcome:
        """What came of a film the last time."""
        return self.outcomes[stream][-1]

    def figures(self) -> Figures:
        """How it stands."""
        figures = read_figures(self.state_dir)
        assert figures
        return figures

    def make_due(self) -> None:
        """Let everything be tried again, once Dispatcharr has forgotten what was asked before."""
        eventually(lambda: not self.proxy.sessions)
        with closing(sqlite3.connect(self.state_dir / "films" / "films.db")) as connection, connection:
            connection.execute("UPDATE film SET not_before = 0")
            connection.execute("DELETE FROM account")

    def _note(self, due: Due, outcome: Outcome) -> None:
        self.outcomes.setdefault(due.key.stream, []).append(outcome)
        self.learnt_in_order.append(due.key.stream)


def movie(film: Path | Pattern, stream: str = "s", account: int = 1, uuid: str = "") -> Stream:
    """A movie that an account has."""
    return Stream(uuid or f"00000000-0000-4000-8000-{abs(hash(stream)) % 10**12:012d}", account, stream, film)


@pytest.fixture
def film(real_films: dict[str, Path]) -> Path:
    """One film."""
    return real_films["mkv-cues-behind"]


@contextmanager
def world_of(directory: Path, *streams: Stream, order: FilmsOrder = ORDER, **options: Any) -> Iterator[World]:
    """A world with these films, all of which the library shows."""
    with DispatcharrProxy(streams, **options) as proxy:
        world = World(directory, proxy, order)
        world.show_streams(streams)
        yield world


@pytest.fixture
def world(tmp_path: Path, film: Path) -> Iterator[World]:
    """A world with one film."""
    with world_of(tmp_path, movie(film), max_streams={1: 1}) as world:
        yield world


def test_of_every_container_is_learnt_what_scanners_read(tmp_path: Path, real_films: dict[str, Path]) -> None:
    films_by_stream = {f"s{number}": real_films[name] for number, name in enumerate(FILMS)}
    streams = [movie(path, stream) for stream, path in films_by_stream.items()]
    with world_of(tmp_path, *streams, max_streams={1: 1}) as world:
        world.learn()
        # What is asked of Dispatcharr is asked as it wants it.
        assert world.proxy.broken_rules == []
        assert not world.proxy.leaked
        with world.films() as films:
            for stream, path in films_by_stream.items():
                content = path.read_bytes()
                film = films.known(Key("movie", 1, stream))
                assert film
                assert (film.size, film.extension, film.version) == (len(content), path.suffix, 0)
                assert film.seconds == (0 if path.suffix == ".ts" else SECONDS)
                kept = films.blocks.kept(film)
                for extent in kept:
                    assert films.blocks.read(film, *extent) == content[extent.start : extent.stop]
                needed = _scanned(content)
                assert merged([*kept, *needed]) == kept
        assert world.figures().learnt == len(FILMS)
        asked = [each.range for each in world.proxy.provider.asked]
        # Of a film that is 5 GB long, few connections, and no more bytes.
        assert len(asked) <= 3 * len(FILMS)


def _scanned(content: bytes, seconds: int = 0) -> list[Extent]:
    extension = extension_of(content[:SIGNATURE_BYTES])
    assert extension
    return scanned(extension, len(content), seconds, lambda start, stop: content[start:stop]).parts


def test_a_film_of_gigabytes_costs_megabytes(tmp_path: Path, real_films: dict[str, Path]) -> None:
    large = make_large(real_films["mp4-moov-behind"], tmp_path / "large.mp4", 6_000_000_000)
    with world_of(tmp_path, movie(large)) as world:
        world.learn()
        assert (known := world.known("s")) is not None
        assert known.size == 6_000_000_000
        assert world.figures().taken < 12_000_000
        assert world.proxy.provider.counted().requests <= 3
        parts = sum(path.stat().st_blocks * 512 for path in (world.state_dir / "films" / "parts").rglob("*"))
        assert parts < 12_000_000


@pytest.mark.parametrize(
    ("fault", "kind", "why"),
    [
        (Fault(ignores_ranges=True), Kind.UNSEEKABLE, "sends the beginning whatever part"),
        (Fault(page=True), Kind.NOT_A_FILM, "text/html"),
        (Fault(film=Pattern(500_000, head=b"<html><body>Your subscription")), Kind.NOT_A_FILM, "a web page"),
        (Fault(film=Pattern(500_000, head=b"\x7fELF")), Kind.NOT_A_FILM, "in no container"),
        (Fault(film=Pattern(5_000_000)), Kind.NOT_A_FILM, "Matroska"),
        (Fault(status=404), Kind.REFUSED, "500"),
        (Fault(drops_after=100_000), Kind.FAILED, "in the middle of the film"),
        (Fault(stalls_after=100_000), Kind.FAILED, "stopped sending"),
        (Fault(lengthless=True), Kind.UNSEEKABLE, ""),
        (Fault(longer_by=1000), Kind.FAILED, "in the middle of the film"),
    ],
    ids=lambda value: None if isinstance(value, str | Kind) else repr(value)[6:40],
)
def test_what_is_wrong_with_an_answer_is_found_out_and_nothing_is_shown(
    world: World, fault: Fault, kind: Kind, why: str
) -> None:
    world.proxy.provider.faults["s"] = fault
    world.learn()

    assert (world.outcome().kind, why in world.outcome().why) == (kind, True), world.outcome()
    assert world.known("s") is None
    figures = world.figures()
    assert (figures.learnt, figures.waiting, figures.failed) == (0, 0, 1)
    assert list(figures.failing) == [f"{kind}: {world.outcome().why}"]
    # It is not asked again.
    before = world.proxy.provider.counted().requests
    world.learn()
    assert world.proxy.provider.counted().requests == before
    assert before <= 2
    # Nothing is left of it.
    assert [path for path in (world.state_dir / "films" / "parts").rglob("*") if path.is_file()] == []


def test_what_was_wrong_is_learnt_once_it_is_mended(world: World) -> None:
    world.proxy.provider.faults["s"] = Fault(drops_after=100_000)
    world.learn()
    assert world.figures().failed == 1
    del world.proxy.provider.faults["s"]
    world.make_due()
    world.learn()
    assert world.known("s")
    assert world.figures().failing == {}


@pytest.mark.parametrize("status", [503, 429])
def test_who_has_no_stream_to_give_is_left_alone(world: World, status: int) -> None:
    world.proxy.refusals.append(status)
    world.learn()
    assert world.outcome().kind == Kind.BUSY
    figures = world.figures()
    assert figures.waiting == 1
    assert list(figures.paused) == ["account Provider 1"]
    assert len(world.proxy.requests) == 1


def test_a_dispatcharr_that_is_away_is_no_fault_of_its_films(tmp_path: Path, film: Path) -> None:
    with world_of(tmp_path, movie(film, "s"), movie(film, "t")) as world:
        pass
    world.learn()
    assert [outcome.kind for each in world.outcomes.values() for outcome in each] == [Kind.AWAY]
    assert world.figures().waiting == 2


def test_an_account_all_of_whose_films_fail_is_not_asked_for_all_of_them(tmp_path: Path, film: Path) -> None:
    with world_of(tmp_path, *(movie(film, f"s{number}") for number in range(9))) as world:
        world.proxy.provider.always = Fault(ignores_ranges=True)
        world.learn()
        assert len(world.learnt_in_order) == 3
        assert world.figures().waiting == 6


def test_a_film_that_is_another_one_is_learnt_anew_as_the_next_version(
    world: World, real_films: dict[str, Path]
) -> None:
    world.learn()
    first = world.known("s")
    assert first
    world.learn()
    assert len(world.outcomes["s"]) == 1  # What is known is not asked for again.

    stream = next(iter(world.proxy.provider.streams.values()))
    world.proxy.provider.streams["s"] = stream._replace(film=real_films["mp4-moov-before"])
    with world.films() as films:
        films.changed(first, "it is longer now")
    assert world.known("s") == first
    world.make_due()
    world.learn()

    second = world.known("s")
    assert second
    assert (second.id, second.version, second.extension) == (first.id, 1, ".mp4")
    content = real_films["mp4-moov-before"].read_bytes()
    with world.films() as films:
        for extent in films.blocks.kept(second):
            assert films.blocks.read(second, *extent) == content[extent.start : extent.stop]


def test_learning_ends_at_once_for_a_viewer_and_goes_on_after_him(world: World) -> None:
    world.proxy.provider.always = Fault(rate=200_000)
    admission = Admission(world.order, quiet=0)

    async def watch(films: Films) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.learner(films, admission).work)
            while not world.proxy.slots[1]:
                await trio.sleep(0.02)
            async with admission.lease(1, Rank.VIEWER, within=60) as lease:
                assert not lease.taken
                with trio.fail_after(60):
                    while world.proxy.slots[1] or world.outcomes.get("s") is None:
                        await trio.sleep(0.02)
                requests = len(world.proxy.requests)
                await trio.sleep(0.3)
                assert len(world.proxy.requests) == requests
            nursery.cancel_scope.cancel()

    with world.films() as films:
        trio.run(watch, films)
    assert world.outcome().kind == Kind.YIELDED
    assert world.known("s") is None
    world.proxy.provider.always = Fault()
    world.make_due()
    world.learn()
    assert world.known("s")


def test_learning_ends_at_once_if_told_however_seldom_films_may_be_asked_for(tmp_path: Path, film: Path) -> None:
    """A mount waits for the right to learn until then."""
    order = ORDER.model_copy(update={"learn_rate": 0.1})
    with world_of(tmp_path, movie(film, "a"), movie(film, "b", 2), order=order) as world:

        async def end(films: Films) -> None:
            learner = world.learner(films)
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(learner.work)
                    while not world.outcomes:
                        await trio.sleep(0.02)
                    learner.end()

        with world.films() as films:
            trio.run(end, films)
        assert len(world.outcomes) == 1


def test_an_account_is_asked_for_one_film_at_a_time_and_others_meanwhile(tmp_path: Path, film: Path) -> None:
    streams = [movie(film, f"{account}-{number}", account) for account in (1, 2) for number in range(3)]
    order = ORDER.model_copy(update={"max_streams": 9})
    with world_of(tmp_path, *streams, order=order) as world:
        world.proxy.provider.always = Fault(latency=0.2)
        world.learn()
        assert all(each[-1].kind == Kind.LEARNT for each in world.outcomes.values())
        assert len(world.outcomes) == 6
        accounts = [int(stream[0]) for stream in world.learnt_in_order]
        assert accounts != sorted(accounts)
        assert accounts != sorted(accounts, reverse=True)
        assert world.proxy.broken_rules == []
        for account in (1, 2):
            requests = [line for line in world.proxy.requests if f"account_id={account}" in line]
            sessions = itertools.groupby(line.split("/")[5].split("?")[0] for line in requests)
            assert len(list(sessions)) == 3


def test_streams_that_are_reserved_are_left_free(world: World) -> None:
    world.order = ORDER.model_copy(update={"reserve_streams": 1})

    async def wait(films: Films) -> None:
        with trio.move_on_after(0.5):
            await world.learner(films).work()

    with world.films() as films:
        trio.run(wait, films)
    assert world.proxy.requests == []
    assert world.outcomes == {}


def test_no_more_films_a_minute_are_asked_for_than_may_be(tmp_path: Path, film: Path) -> None:
    streams = [movie(film, f"s{number}", number + 1) for number in range(4)]
    order = ORDER.model_copy(update={"learn_rate": 60 / 0.25})
    with world_of(tmp_path, *streams, order=order) as world:
        began = time.monotonic()
        world.learn()
        assert time.monotonic() - began > 3 * 0.25
        assert len(world.outcomes) == 4
        # Also across processes that do not know of each other.
        began = time.monotonic()
        with world.films() as films:
            known = films.known(Key("movie", 1, "s0"))
            assert known
            films.changed(known, "")
            films.begin(films.due(time.time(), (), 1)[0])
        world.learn()
        assert time.monotonic() - began > 0.2


@pytest.mark.complains("No films are learnt for a while")
def test_no_more_bytes_a_day_are_taken_than_may_be(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = ORDER.model_copy(update={"learn_bytes": 6_500_000})
    with world_of(tmp_path, *(movie(film, f"s{number}") for number in range(4)), order=order) as world:
        world.learn()
        figures = world.figures()
        assert 0 < figures.learnt < 4
        assert figures.taken <= 6_500_000
        assert {each.kind for outcomes in world.outcomes.values() for each in outcomes} == {Kind.LEARNT}
        assert figures.stopped == "learn_bytes (0.0065 GB within 24 hours) is used up"
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 90_000)
        world.learn()
        assert world.figures().learnt > figures.learnt


def test_a_clock_that_was_far_ahead_does_not_stop_learning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hosts believe it to be another year until they have asked somebody."""
    now = time.time()
    ahead = [400_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now + ahead[0])
    world.proxy.provider.faults["s"] = Fault(drops_after=100_000)
    world.learn()
    assert world.outcome().kind == Kind.FAILED
    del world.proxy.provider.faults["s"]
    eventually(lambda: not world.proxy.sessions)
    ahead[0] = 0
    world.learn()
    assert world.known("s") is None
    ahead[0] = 3700
    world.learn()
    assert world.known("s")


@pytest.mark.complains("No films are learnt for a while")
def test_once_its_bytes_are_used_up_learning_waits_for_some_more_than_one_film_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all that is free again goes into a film that needs more, and that is asked for again and again."""
    monkeypatch.setattr(learner_module, "_TIDY_SECONDS", 0.05)
    monkeypatch.setattr(learner_module, "_IDLE_SECONDS", 0.02)
    world.order = ORDER.model_copy(update={"learn_bytes": 240_000_000})
    now = [1_700_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    with world.films() as films, closing(sqlite3.connect(films.path)) as connection, connection:
        for ago, taken in ((86_390, 4_000_000), (86_200, 6_000_000), (3600, 229_000_000)):
            connection.execute("INSERT INTO taken (at, account, bytes) VALUES (?, 1, ?)", (now[0] - ago, taken))

    async def run(films: Films) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.learner(films).work)
            await _until(lambda: "is used up" in world.figures().stopped)
            now[0] += 60  # Enough for an attempt, and not for an hour.
            await trio.sleep(0.5)
            assert world.proxy.requests == []
            now[0] += 300
            await _until(lambda: films.known(Key("movie", 1, "s")) is not None)
            nursery.cancel_scope.cancel()

    with world.films() as films:
        trio.run(run, films)


@pytest.mark.complains("No films are learnt for a while")
def test_when_the_cache_is_full_of_what_scanners_read_nothing_more_is_learnt(tmp_path: Path, film: Path) -> None:
    order = ORDER.model_copy(update={"cache": 7_000_000})
    with world_of(tmp_path, *(movie(film, f"s{number}") for number in range(4)), order=order) as world:
        world.learn()
        figures = world.figures()
        assert 0 < figures.learnt < 4
        assert "films_cache (0.007 GB) is full" in figures.stopped
        assert figures.waiting == 4 - figures.learnt
        assert figures.failing == {}
        world.order = ORDER
        world.learn()
        assert world.figures().learnt == 4
        assert world.figures().stopped == ""


@pytest.mark.complains("No films are learnt for a while")
def test_a_full_disk_stops_learning_and_is_said(tmp_path: Path, film: Path) -> None:
    streams = [movie(film, f"s{number}") for number in range(4)]
    with small_disk(tmp_path / "disk", "4M") as disk, world_of(disk, *streams) as world:
        world.learn()
        figures = world.figures()
        assert 0 < figures.learnt < 4
        assert "has no room for it" in figures.stopped
        assert figures.stopped.endswith("--state-dir"), "a reason has no full stop"
        for stream in world.outcomes:
            if known := world.known(stream):
                with world.films() as films:
                    assert films.blocks.read(known, 0, 1000) == film.read_bytes()[:1000]


@pytest.mark.complains("No films are learnt for a while")
def test_with_a_full_disk_nothing_is_asked_for(tmp_path: Path, film: Path) -> None:
    with small_disk(tmp_path / "disk", "4M") as disk, world_of(disk, movie(film)) as world:
        with world.films(), (disk / "full").open("wb") as full:
            room = os.statvfs(disk)
            full.write(bytes(room.f_bavail * room.f_frsize - 500_000))
        world.learn()
        assert "has no room for it" in world.figures().stopped
        assert world.proxy.requests == []
        (disk / "full").unlink()
        world.learn()
        assert world.known("s")


@pytest.mark.parametrize("size", [0, BLOCK, BLOCK + 1])
def test_a_film_of_a_block_or_less_is_learnt_whole(tmp_path: Path, film: Path, size: int) -> None:
    small = tmp_path / "small.mkv"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", film, "-t", "0.1", "-c", "copy", small], check=True)
    if size:
        void = size - small.stat().st_size - 9
        small.write_bytes(small.read_bytes() + b"\xec\x01" + void.to_bytes(7, "big") + bytes(void))
    with world_of(tmp_path, movie(small)) as world:
        world.learn()
        known = world.known("s")
        assert known
        assert known.size == small.stat().st_size
        with world.films() as films:
            assert films.blocks.read(known, 0, known.size) == small.read_bytes()


@pytest.mark.parametrize("size", [0, 1])
def test_what_is_next_to_nothing_is_no_film(tmp_path: Path, size: int) -> None:
    with world_of(tmp_path, movie(Pattern(size, head=b""))) as world:
        world.learn()
        assert world.known("s") is None
        assert world.outcome().kind in (Kind.NOT_A_FILM, Kind.UNSEEKABLE, Kind.REFUSED), world.outcome()


def test_a_film_in_too_many_pieces_is_not_shown_and_costs_a_few_requests(tmp_path: Path, film: Path) -> None:
    pieces = tmp_path / "pieces.mp4"
    options = ("-c", "copy", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000")
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", film, *options, pieces], check=True)
    with world_of(tmp_path, movie(pieces)) as world:
        world.learn()
        assert world.outcome().kind == Kind.UNSEEKABLE
        assert "Dispatcharr sends an mp4 file in about 1" in world.outcome().why
        assert world.known("s") is None
        assert len(world.proxy.requests) <= 8


def test_what_is_asked_for_by_name_comes_first_then_the_newest(tmp_path: Path, film: Path) -> None:
    streams = [movie(film, f"s{number}") for number in range(5)]
    with world_of(tmp_path, *streams) as world:
        with world.films() as films:
            wanted.look(world.state_dir, films)
            names = dict(films.names())
            assert sorted(names.values()) == [f"Film {number} (2001)" for number in range(1, 6)]
            films.ask([key for key, name in names.items() if name == "Film 2 (2001)"])
        world.learn(limit=2)
        assert world.learnt_in_order == ["s1", "s4"]


def test_what_the_library_shows_is_learnt_and_what_comes_into_it(tmp_path: Path, film: Path) -> None:
    streams = [movie(film, "s"), movie(film, "t"), movie(film, "u", account=2)]
    with DispatcharrProxy(streams) as proxy:
        world = World(tmp_path, proxy)
        world.show_streams(streams[:1])
        world.learn()
        world.show_streams(streams[:2])
        world.learn()
        assert world.learnt_in_order == ["s", "t"]
        # What the filters keep out is not asked for.
        world.show_streams(streams, accounts=("!Provider 2",))
        world.learn()
        assert world.learnt_in_order == ["s", "t"]


def test_every_version_that_is_shown_is_learnt(tmp_path: Path, real_films: dict[str, Path]) -> None:
    uuid = "11111111-0000-4000-8000-000000000000"
    first = movie(real_films["mkv-cues-behind"], "a", 1, uuid)
    second = movie(real_films["mp4-moov-before"], "b", 2, uuid)
    with DispatcharrProxy([first, second]) as proxy:
        world = World(tmp_path, proxy)
        world.show_streams([first, second])
        world.learn()
        assert world.learnt_in_order == ["a"]
        world.make_due()
        world.show_streams([first, second], versions="all")
        world.learn()
        found = world.known("b", 2)
        assert found
        assert found.size == real_films["mp4-moov-before"].stat().st_size


def test_a_movie_and_an_episode_of_one_number_are_two_films(tmp_path: Path, real_films: dict[str, Path]) -> None:
    catalogue = Catalogue()
    account = catalogue.account("Provider", id=1)
    film = catalogue.movie("Film", year=2001, relations=[])
    catalogue.relate(film, account, stream_id="7", container_extension="mkv")
    series = catalogue.series("Series", relations=[account])
    episode = catalogue.episode(series, 1, 1, "Pilot", relations=[])
    catalogue.relate(episode, account, stream_id="7", container_extension="mp4")
    streams = [
        Stream(str(film.uuid), 1, "7", real_films["mkv-cues-behind"]),
        Stream(str(episode.uuid), 1, "e7", real_films["mp4-moov-before"], kind="episode"),
    ]
    with DispatcharrProxy(streams) as proxy:
        world = World(tmp_path, proxy)
        world.show(catalogue, pin_stream=False)
        with world.films() as films:
            wanted.look(world.state_dir, films)
            names = dict(films.names())
            addresses = wanted.Addresses(world.state_dir, films)
            asked = {key.kind: addresses(key) for key in names}
            assert addresses(Key("episode", 1, "8")) is None
            assert addresses(Key("movie", 2, "7")) is None
    pin = "?stream_id=7&m3u_account_id=1"
    assert asked == {
        "movie": Address(f"{proxy.url}/proxy/vod/movie/{film.uuid}{pin}"),
        "episode": Address(f"{proxy.url}/proxy/vod/episode/{episode.uuid}{pin}"),
    }
    assert names[Key("movie", 1, "7")] == "Film (2001)"
    assert names[Key("episode", 1, "7")].startswith("Series: S01E01")


def test_a_film_is_learnt_from_its_provider_where_urls_are_direct_and_no_password_is_shown(
    tmp_path: Path, film: Path
) -> None:
    with direct_world(tmp_path, movie(film)) as world:
        proxy = world.proxy
        world.learn()
        assert world.known("s")
        assert proxy.requests == []
        proxy.provider.status_when_full = 403
        with world.films() as films:
            known = films.known(Key("movie", 1, "s"))
            assert known
            films.changed(known, "")
        proxy.provider.faults["s"] = Fault(status=403)
        world.learn()
        assert world.outcome().kind == Kind.FORBIDDEN
        assert PASSWORD not in repr(world.figures())
        assert PASSWORD.encode() not in (world.state_dir / "films" / "films.db").read_bytes()


@contextmanager
def direct_world(directory: Path, stream: Stream) -> Iterator[World]:
    """A world with one film, which is learnt from its provider."""
    with DispatcharrProxy([stream]) as proxy:
        world = World(directory, proxy)
        catalogue = Catalogue()
        account = catalogue.account(
            "Provider", id=1, server_url=proxy.provider.url, username=USER, password=PASSWORD, account_type="XC"
        )
        found = catalogue.movie("Film", uuid=stream.uuid, year=2001, relations=[])
        catalogue.relate(found, account, stream_id="s", container_extension=stream.extension.lstrip("."))
        world.show(catalogue, direct_urls=True)
        yield world


@pytest.mark.parametrize("name", FILMS)
def test_a_provider_that_allows_one_connection_alone_is_asked_for_one_at_a_time(
    tmp_path: Path, real_films: dict[str, Path], name: str
) -> None:
    """As most do. Nothing could be learnt from them else."""
    stream = movie(real_films[name])
    with direct_world(tmp_path, stream) as world:
        proxy = world.proxy
        proxy.provider.max_connections[1] = 1
        proxy.provider.status_when_full = 403
        world.learn()
        assert world.outcome().kind == Kind.LEARNT, world.outcome()
        assert proxy.provider.counted().most_at_once == 1
        assert proxy.provider.counted().requests <= 5
        content = real_films[name].read_bytes()
        with world.films() as films:
            known = films.known(Key("movie", 1, "s"))
            assert known
            kept = films.blocks.kept(known)
            assert merged([*kept, *_scanned(content)]) == kept
            for extent in kept:
                assert films.blocks.read(known, *extent) == content[extent.start : extent.stop]


def test_a_provider_that_allows_one_connection_alone_is_learnt_from_through_dispatcharr(
    tmp_path: Path, real_films: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That opens another one for each request, and says no for what its provider refuses."""
    monkeypatch.setattr(lesson, "NOTICES", 1.5)
    names = ("mkv-cues-behind", "mp4-moov-behind")
    with world_of(tmp_path, *(movie(real_films[name], name) for name in names), max_streams={1: 1}) as world:
        provider = world.proxy.provider
        world.proxy.idle_seconds = 0.1
        refused: list[Asked] = []

        def refuse(asked: Asked) -> Fault | None:
            if len(provider._connections) < 2:
                return None
            refused.append(asked)
            return Fault(status=403)

        provider.fault = refuse
        with world.films() as films:
            trio.run(lambda: world.learner(films, quiet=1.5).work(until_done=True))
        assert [outcome.kind for each in world.outcomes.values() for outcome in each] == [Kind.LEARNT] * 2
        assert len(refused) == 1, "the second film is known to be of such an account"
        assert len(world.proxy.requests) <= 9
        assert world.proxy.broken_rules == []
        for name in names:
            content = real_films[name].read_bytes()
            with world.films() as films:
                known = films.known(Key("movie", 1, name))
                assert known
                kept = films.blocks.kept(known)
                assert merged([*kept, *_scanned(content)]) == kept
                for extent in kept:
                    assert films.blocks.read(known, *extent) == content[extent.start : extent.stop]


@pytest.mark.parametrize(("refusals", "kind"), [(1, Kind.LEARNT), (99, Kind.FORBIDDEN)])
def test_a_provider_that_is_slow_to_notice_that_a_connection_was_closed_is_asked_once_more(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch, refusals: int, kind: Kind
) -> None:
    monkeypatch.setattr(lesson, "NOTICES", 0.1)
    with direct_world(tmp_path, movie(film)) as world:
        asked: list[str] = []

        def refuse(request: Asked) -> Fault | None:
            asked.append(request.range)
            return Fault(status=403) if 1 < len(asked) <= 1 + refusals else None

        world.proxy.provider.fault = refuse
        world.learn()
        assert world.outcome().kind == kind
        assert asked[1] == asked[2]
        assert len(asked) <= (3 if kind == Kind.FORBIDDEN else 5)


def test_the_estimate_counts_both_limits() -> None:
    assert seconds_to_learn(600, 10**6, rate=10, budget=10**12, taken=0, renewed=0) == 3600
    # 100 GB, 30 GB a day, of which 10 are used for another hour.
    days = seconds_to_learn(100_000, 10**6, rate=6000, budget=30 * 10**9, taken=10 * 10**9, renewed=3600)
    assert days == 3600 + 2 * 86_400
    assert seconds_to_learn(0, 10**6, rate=10, budget=10, taken=10, renewed=5) == 0


@pytest.mark.complains("Learning films waits")
def test_a_learner_that_cannot_read_the_index_goes_on_when_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(learner_module, "_TIDY_SECONDS", 0.1)
    monkeypatch.setattr(learner_module, "_TURN_SECONDS", 0.1)
    index = world.state_dir / "index.db"
    content = index.read_bytes()

    async def run(films: Films) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.learner(films).run)
            await _until(lambda: "Learning films waits" in caplog.text)
            index.write_bytes(content)
            await _until(lambda: films.known(Key("movie", 1, "s")) is not None)
            nursery.cancel_scope.cancel()

    with world.films() as films:
        index.write_bytes(b"damaged" * 1000)
        trio.run(run, films)


async def _until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.02)


def test_films_are_not_blamed_for_an_index_that_cannot_be_read(world: World) -> None:
    """Nobody knows then that they are gone. A day later is late for that."""
    with world.films() as films:
        wanted.look(world.state_dir, films)
        (world.state_dir / "index.db").rename(world.state_dir / "elsewhere")
        with pytest.RaisesGroup(IndexFileError):
            trio.run(lambda: world.learner(films).work(until_done=True))
        assert films.due(time.time(), (), 1)
        (world.state_dir / "elsewhere").rename(world.state_dir / "index.db")
    world.learn()
    assert world.known("s")


@pytest.mark.complains("Learning film ")
def test_a_film_that_nobody_thought_of_holds_up_no_other(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it asked for again and again."""
    broken = iter([True])

    def scanned_or_not(*arguments: Any) -> Scanned:
        if next(broken, False):
            raise IndexError("list index out of range")
        return scanned(*arguments)

    monkeypatch.setattr(lesson, "scanned", scanned_or_not)
    with world_of(tmp_path, movie(film, "s"), movie(film, "t")) as world:
        world.learn()
        kinds = sorted(outcome.kind for each in world.outcomes.values() for outcome in each)
        assert kinds == [Kind.FAILED, Kind.LEARNT]
        assert "IndexError" in next(iter(world.figures().failing))


def test_who_plays_a_film_waits_for_who_learnt_it(world: World) -> None:
    """Dispatcharr takes the session of the one for that of the other, and then deletes it."""
    upstream = Upstream(deadlines=FAST._replace(quiet=3600))

    async def test(films: Films) -> None:
        await world.learner(films, upstream=upstream).work(until_done=True)
        film = films.known(Key("movie", 1, "s"))
        assert film
        before = len(world.proxy.requests)
        addresses = wanted.Addresses(world.state_dir, films)
        player = Player(ORDER, films, upstream, addresses, Admission(ORDER, quiet=0), Times(read=0.5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(player.run)
            with pytest.raises(ReadError):
                await player.read(film, 1, films.blocks.kept(film)[0].stop, 4096)
            nursery.cancel_scope.cancel()
        assert len(world.proxy.requests) == before > 0

    with world.films() as films:
        trio.run(test, films)


@pytest.mark.complains("Learning films waits")
def test_a_learner_outlives_what_a_user_can_mend(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a certificate that is not there yet: a mount goes on without it."""
    monkeypatch.setattr(learner_module, "_TIDY_SECONDS", 0.1)
    monkeypatch.setattr(learner_module, "_TURN_SECONDS", 0.1)
    broken = [True]

    async def run(films: Films) -> None:
        learner = world.learner(films)
        learn = learner._learn

        async def learn_or_fail(*arguments: Any) -> Outcome:
            if broken[0]:
                raise SettingsError("api_ca_file: there is none.")
            return await learn(*arguments)

        monkeypatch.setattr(learner, "_learn", learn_or_fail)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(learner.run)
            await _until(lambda: "api_ca_file: there is none. Learning films waits" in caplog.text)
            broken[0] = False
            await _until(lambda: films.known(Key("movie", 1, "s")) is not None)
            nursery.cancel_scope.cancel()

    with world.films() as films:
        trio.run(run, films)
