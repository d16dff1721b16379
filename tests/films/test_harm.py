"""What readers and providers do that could harm others: floods of requests, what is left behind, what is held on to."""

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import mounts
import pytest
import trio
import trio.testing
from cinema import KILOBYTE, MEGABYTE, QUICK, Cinema, eventually, movie, read_all, run
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Fault, Stream
from learnt import learn
from mounts import command, mounted

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.films.film import ReadError

SIZE = 60 * MEGABYTE


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield stack


def cinema_of(stack: ExitStack, folder: Path, *streams: Stream, **options: Any) -> Cinema:
    """A cinema that shows films, of a provider's own unless that is said."""
    cinema = Cinema(folder / "state", stack.enter_context(DispatcharrProxy(streams)), **{"direct": True} | options)
    stack.callback(cinema.close)
    return cinema


def places(error: BaseException) -> int:
    """How many places an error has come by: it holds on to all that these have in hand."""
    number, trace = 0, error.__traceback__
    while trace is not None:
        number, trace = number + 1, trace.tb_next
    return number


def test_an_error_that_is_told_a_thousand_times_is_held_on_to_but_once(stack: ExitStack, tmp_path: Path) -> None:
    """Some players ask again without end."""
    stream = movie(1, SIZE)
    cinema = cinema_of(stack, tmp_path, stream, times=QUICK._replace(sulk=60))
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = Fault(status=404)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            for _ in range(1000):
                with pytest.raises(ReadError, match="does not have it any more") as error:
                    await player.read(film, 1, 50 * MEGABYTE, KILOBYTE)
            assert places(error.value) < 20

    run(test)


@pytest.mark.parametrize("most", [1, 64 * KILOBYTE, 64 * KILOBYTE + 1])
def test_a_provider_that_gives_crumbs_is_not_asked_for_each(stack: ExitStack, tmp_path: Path, most: int) -> None:
    """Each would be a request, also while nobody reads: to compare what is known took all of an answer."""
    stream = movie(1, SIZE)
    cinema = cinema_of(stack, tmp_path, stream, times=QUICK._replace(read=1, retry=0.5))
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = Fault(at_most=most)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            with suppress(ReadError):
                await player.read(film, 1, 50 * MEGABYTE, KILOBYTE)
            await eventually(lambda: not player.playing()[0].has_stream)
            assert cinema.proxy.provider.counted().requests <= 5
            assert "pieces that are too small" in player.playing()[0].error

    run(test)


def test_a_provider_that_marks_every_answer_otherwise_is_not_asked_thrice_for_each(
    stack: ExitStack, tmp_path: Path
) -> None:
    """With the time of day, say: what it says of its file tells nothing then."""
    stream = movie(1, SIZE)
    cinema = cinema_of(stack, tmp_path, stream)
    seconds = itertools.count(1_772_359_200)
    cinema.proxy.provider.modified = lambda film: next(seconds)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            for place in range(40):
                at = (3 + place * 23 % 50) * MEGABYTE
                assert await player.read(film, 1, at, KILOBYTE) == stream.film.read(at, KILOBYTE)  # type: ignore[union-attr]
            assert cinema.proxy.provider.counted().requests <= 70
            [playing] = player._playing.values()
            assert len(playing._answers._marks) < 20, "else they are the more, the longer it plays"

    run(test)


@pytest.mark.parametrize("place", [0, 50 * MEGABYTE], ids=["while it is compared", "where it is read"])
def test_an_answer_that_trickles_gives_way_to_another_one(stack: ExitStack, tmp_path: Path, place: int) -> None:
    """Else it would be held for as long as somebody waits for more of it, and half a minute after that."""
    stream = movie(1, SIZE)
    cinema = cinema_of(stack, tmp_path, stream, times=QUICK._replace(read=1, linger=3600, pause=3600))
    provider = cinema.proxy.provider
    [film] = cinema.learn([stream], (0, MEGABYTE))
    slow = {f"bytes={place}-": Fault(rate=50)}
    provider.fault = lambda asked: slow.pop(asked.range, None)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            with pytest.raises(ReadError, match="nothing came within 1 seconds"):
                await player.read(film, 1, 50 * MEGABYTE, KILOBYTE)
            await eventually(lambda: not player.playing()[0].has_stream)
            data = await player.read(film, 1, 50 * MEGABYTE, KILOBYTE)
            assert data == stream.film.read(50 * MEGABYTE, KILOBYTE)  # type: ignore[union-attr]

    run(test)


@pytest.mark.parametrize("direct", [True, False])
def test_one_descriptor_that_reads_at_two_places_is_served_as_two_readers_are(
    stack: ExitStack, tmp_path: Path, direct: bool
) -> None:
    """Servers of files have one for all who watch a film, or read on at several places of it at once."""
    stream = movie(1, 2 * SIZE)
    cinema = cinema_of(stack, tmp_path, stream, direct=direct, pace=10**6)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async def read(start: int) -> None:
            data = await read_all(player, film, 1, start, start + 24 * MEGABYTE)
            assert data == stream.film.read(start, 24 * MEGABYTE)  # type: ignore[union-attr]

        async with cinema.open() as player:
            player.opened(film, 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, 2 * MEGABYTE)
                nursery.start_soon(read, 80 * MEGABYTE)
            assert cinema.proxy.provider.counted().requests <= 120

    run(test)


def test_who_copies_a_library_leaves_few_films_behind(stack: ExitStack, tmp_path: Path) -> None:
    """Each has a stream of the account, if that has many, and as much memory as one that plays."""
    streams = [movie(1, SIZE, title=f"{number:x}") for number in range(12)]
    times = QUICK._replace(linger=3600, pause=3600)
    cinema = cinema_of(stack, tmp_path, *streams, max_streams=100, pace=10**6, times=times)
    films = cinema.learn(streams, (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            for handle, film in enumerate(films):
                player.opened(film, handle)
                await read_all(player, film, handle, 0, 3 * MEGABYTE)
                player.released(film, handle)
            await eventually(lambda: len(player.playing()) == 4)
            await eventually(lambda: cinema.proxy.provider.counted().open_now == 4)
            assert [play.film for play in player.playing()] == films[-4:], "who comes back soon finds it as it was"

    run(test)


def test_a_film_that_is_read_while_a_player_begins_anew_is_read_then(stack: ExitStack, tmp_path: Path) -> None:
    """As a mount has it begin anew after an unexpected error of what runs beside it."""
    stream = movie(1, SIZE)
    cinema = cinema_of(stack, tmp_path, stream)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, player, film, 1, 50 * MEGABYTE, 51 * MEGABYTE)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(QUICK.read):
                nursery.start_soon(player.run)
                await eventually(lambda: cinema.upstream.received > MEGABYTE)
            nursery.cancel_scope.cancel()
        assert cinema.upstream.received > MEGABYTE

    run(test)


def test_that_what_is_known_was_deleted_under_a_mount_is_said_and_what_is_shown_stays(tmp_path: Path) -> None:
    """All that was learnt is known again by the next mount."""
    url, content = f"sqlite:///{tmp_path}/catalogue.db", b"\x1aE\xdf\xa3" + bytes(300_000)
    nobody = ("--base-url", "http://127.0.0.1:9")
    made = Catalogue()
    made.movie("Heat")
    made.write(url)
    subprocess.run(command("sync", "--database", url, "--state-dir", tmp_path / "state", *nobody), check=True)
    learn(tmp_path / "state", content=content)
    with mounted(tmp_path, url, *nobody, what="films") as mount:
        film = mount.path / "Movies/Heat/Heat.mkv"
        mounts.eventually(film.exists)
        (tmp_path / "state/films/films.db").unlink()
        mounts.eventually(lambda: "films.db was deleted or replaced" in mount.log.read_text())
        assert film.read_bytes() == content
    with mounted(tmp_path, url, *nobody, what="films") as mount:
        mounts.eventually(film.exists)
        assert film.read_bytes() == content
    assert mount.log.read_text().count("ERROR") == 1


def test_a_log_that_is_emptied_under_a_mount_is_made_good_by_itself(tmp_path: Path) -> None:
    url, content = f"sqlite:///{tmp_path}/catalogue.db", b"\x1aE\xdf\xa3" + bytes(300_000)
    nobody = ("--base-url", "http://127.0.0.1:9")
    made = Catalogue()
    made.movie("Heat")
    made.movie("Ronin")
    made.movie("Alien")
    made.write(url)
    subprocess.run(command("sync", "--database", url, "--state-dir", tmp_path / "state", *nobody), check=True)
    learn(tmp_path / "state", "Heat", content=content)
    with mounted(tmp_path, url, *nobody, what="films") as mount:
        heat, ronin, alien = (mount.path / f"Movies/{name}/{name}.mkv" for name in ("Heat", "Ronin", "Alien"))
        mounts.eventually(heat.exists)
        learn(tmp_path / "state", "Ronin", content=content + b"!")
        mounts.eventually(ronin.exists)
        # What was cut off of a log is seen by whoever saw how long it was: the mount looks each second.
        time.sleep(3)
        os.truncate(tmp_path / "state/films/films.db-wal", 0)
        mounts.eventually(lambda: "was deleted or cut short while it was in use" in mount.log.read_text())
        assert heat.read_bytes() == content
        learn(tmp_path / "state", "Alien", content=content + b"?")
        mounts.eventually(alien.exists)
        assert (ronin.read_bytes(), alien.read_bytes()) == (content + b"!", content + b"?")
    assert mount.log.read_text().count("was deleted or cut short") == 1
