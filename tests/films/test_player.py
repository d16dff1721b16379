"""Films that are read, without a mount: what comes, from where, and what it costs the provider."""

import errno
import math
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from cinema import KILOBYTE, MEGABYTE, QUICK, Cinema, eventually, movie, read_all, run
from conftest import Complaints
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Asked, Fault, Pattern, Stream

from vod2strmfs.films import pace
from vod2strmfs.films.admission import Rank
from vod2strmfs.films.film import Film, Key, ReadError
from vod2strmfs.films.pace import Allowance, Watch, allowed_rate, proof_seconds
from vod2strmfs.films.player import Player
from vod2strmfs.films.upstream import Deadlines

SIZE = 160 * MEGABYTE + 4321
READ = 128 * KILOBYTE
FAST = Deadlines(connect=5, answer=5, silence=1.0, quiet=0)
CHANGED = "is another file now"

Opens = Callable[..., Cinema]


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Makes cinemas of streams."""
    with ExitStack() as stack:

        def make(
            streams: list[Stream],
            *,
            max_streams: dict[int, int] | None = None,
            stall_timeout: float = 10,
            **options: Any,
        ) -> Cinema:
            proxy = stack.enter_context(
                DispatcharrProxy(streams, max_streams=max_streams, stall_timeout=stall_timeout)
            )  # fmt: skip
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            cinema = Cinema(folder, proxy, **options)
            stack.callback(cinema.close)
            return cinema

        yield make


def bytes_of(stream: Stream, start: int, stop: int) -> bytes:
    """What is right."""
    assert isinstance(stream.film, Pattern)
    return stream.film.read(start, stop - start)


async def is_right(player: Player, film: Film, stream: Stream, start: int, stop: int, handle: int = 1) -> bool:
    """Whether a part of a film comes as it is."""
    return await read_all(player, film, handle, start, stop) == bytes_of(stream, start, stop)


async def failure(player: Player, film: Film, offset: int, handle: int = 1) -> ReadError:
    """How a read fails."""
    with pytest.raises(ReadError) as error:
        await player.read(film, handle, offset, READ)
    assert error.value.errno == errno.EIO
    return error.value


async def is_right_at_last(player: Player, film: Film, stream: Stream, start: int, stop: int) -> bool:
    """The same of a part that need not come at the first try."""
    while True:
        await trio.sleep(QUICK.sulk)
        with suppress(ReadError):
            return await is_right(player, film, stream, start, stop)


async def read_until_refused(player: Player, film: Film, stream: Stream, offset: int) -> tuple[int, ReadError]:
    """Read on until that fails; where, and how."""
    while True:
        try:
            data = await player.read(film, 1, offset, READ)
        except ReadError as error:
            return offset, error
        assert data == bytes_of(stream, offset, offset + READ)
        offset += READ


def ranges(cinema: Cinema) -> list[str]:
    """What was asked for."""
    return [request.rpartition(" ")[2].removeprefix("bytes=") for request in cinema.proxy.requests]


# What costs nothing.


def test_a_scan_of_what_is_kept_asks_for_nothing(opens: Opens) -> None:
    """Hundreds of opens, heads and tails; and none of it is held back."""
    stream = movie(1, SIZE)
    cinema = opens([stream], pace=1)
    [film] = cinema.learn([stream], (0, MEGABYTE), (-MEGABYTE, SIZE), seconds=10**6)

    async def test() -> None:
        async with cinema.open() as player:
            for handle in range(300):
                player.opened(film, handle)
                for start, stop in ((0, MEGABYTE), (SIZE - READ, SIZE)):
                    data = player.now(film, handle, start, stop - start)
                    assert data is not None
                    assert bytes(data) == bytes_of(stream, start, stop)
                player.released(film, handle)
            assert player.now(film, 1, SIZE, READ) == b""
            assert player.now(film, 1, SIZE - 5, READ) == bytes_of(stream, SIZE - 5, SIZE)
            assert player.now(film, 1, MEGABYTE, READ) is None
            assert not player.playing()

    run(test)
    assert not cinema.proxy.requests


def test_a_film_that_plays_is_one_long_answer(opens: Opens) -> None:
    """From its beginning, though that is kept; the little that is kept is read again and compared."""
    stream = movie(1, SIZE)
    cinema = opens([stream])
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, SIZE)

    run(test)
    assert ranges(cinema) == ["0-"]
    assert cinema.upstream.received <= SIZE


def test_what_lies_near_what_was_read_is_no_seek(opens: Opens) -> None:
    """A little back, a little ahead, and out of order, as the kernel asks when it reads ahead."""
    stream = movie(1, SIZE)
    cinema = opens([stream])
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            right: list[bool] = []

            async def read(offset: int) -> None:
                right.append(await is_right(player, film, stream, offset, offset + READ))

            offset = 3 * MEGABYTE
            for _ in range(40):
                places = [offset + index * READ for index in range(8)]
                random.shuffle(places)
                async with trio.open_nursery() as nursery:
                    for place in places:
                        nursery.start_soon(read, place)
                        await trio.sleep(0)
                await read(max(offset - 3 * MEGABYTE, 0))
                offset += MEGABYTE
            assert all(right)

    run(test)
    assert ranges(cinema) == ["0-"]


# Seeks.


@pytest.mark.parametrize("is_direct", [True, False])
def test_a_short_way_on_costs_no_other_answer_where_one_takes_longer(opens: Opens, is_direct: bool) -> None:
    """As of who skips the titles. What lies between is there for who goes back."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=is_direct)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.always = Fault(latency=1.5)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            place = MEGABYTE
            for _ in range(4):
                assert await is_right(player, film, stream, place, place + 3 * MEGABYTE)
                place += 8 * MEGABYTE
            assert await is_right(player, film, stream, place - 11 * MEGABYTE, place - 5 * MEGABYTE)

    run(test)
    assert ranges(cinema) == (["0-"] if not is_direct else [])
    assert cinema.proxy.provider.counted().requests == 1


def test_a_short_way_on_is_skipped_where_reading_it_takes_longer(opens: Opens) -> None:
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.always = Fault(rate=6_000_000)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, MEGABYTE, 4 * MEGABYTE)
            assert await is_right(player, film, stream, 19 * MEGABYTE, 20 * MEGABYTE)

    run(test)
    assert [asked.range for asked in cinema.proxy.provider.asked] == ["bytes=0-", f"bytes={19 * MEGABYTE}-"]


def test_who_has_a_look_at_places_gets_nothing_of_what_is_between_them(opens: Opens) -> None:
    """As a scanner does: its provider is spared that, and what it saw can be kept."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.always = Fault(latency=0.1)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, MEGABYTE, 5 * MEGABYTE)
            for place in range(40, 80, 8):
                assert await is_right(player, film, stream, place * MEGABYTE, place * MEGABYTE + 2 * READ)

    run(test)
    assert cinema.proxy.provider.counted().requests == 1 + 5


def test_seeks_open_the_new_range_before_the_old_one_is_closed(opens: Opens) -> None:
    """Rule 2 and 3 at Dispatcharr: one session, whose open answers never fall to none, and one request a seek."""
    stream = movie(1, SIZE)
    cinema = opens([stream], max_streams={1: 1})
    [film] = cinema.learn([stream], (0, MEGABYTE))
    places = [100 * MEGABYTE, 30 * MEGABYTE + 1, 140 * MEGABYTE - 7, 60 * MEGABYTE]

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, MEGABYTE, 3 * MEGABYTE)
            for place in places:
                assert await is_right(player, film, stream, place, place + 3 * MEGABYTE)
                await eventually(lambda: cinema.proxy.slots[1] == 1 and active(cinema) == 1)
                await trio.sleep(0.3)
            player.released(film, 1)
            await eventually(lambda: not cinema.proxy.slots[1])

    run(test)
    assert ranges(cinema) == ["0-", *(f"{place // 65536 * 65536}-" for place in places)]
    assert len({request.split("?")[0] for request in cinema.proxy.requests}) == 1
    assert not cinema.proxy.broken_rules
    assert not cinema.proxy.leaked.total()


def active(cinema: Cinema) -> int:
    """How many requests Dispatcharr is answering."""
    return sum(each.active for each in list(cinema.proxy._sessions.values()))


def test_who_begins_in_the_middle_has_the_beginning_compared_first(opens: Opens) -> None:
    """So another file is found out before any byte is given."""
    stream = movie(1, SIZE)
    cinema = opens([stream])
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            assert await is_right(player, film, stream, 100 * MEGABYTE, 101 * MEGABYTE)

    run(test)
    assert ranges(cinema) == ["0-", f"{100 * MEGABYTE}-"]


@pytest.mark.parametrize("rest", [1, 1000, 4096, 4097])
def test_the_last_block_is_read_however_short_it_is(opens: Opens, rest: int) -> None:
    """Though all of it comes with what is compared."""
    stream = movie(1, 20 * MEGABYTE + rest)
    cinema = opens([stream], direct=True)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 20 * MEGABYTE, film.size)

    run(test)


def test_a_look_at_the_end_does_not_disturb_who_plays(opens: Opens) -> None:
    """It is one more request, and the answer that is read stays open beside it. What was seen is kept for the next."""
    stream = movie(1, SIZE)
    cinema = opens([stream], max_streams={1: 1})
    [film] = cinema.learn([stream], (0, MEGABYTE))
    tail = SIZE - 300 * KILOBYTE

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 30 * MEGABYTE)
            player.opened(film, 2)
            assert await is_right(player, film, stream, tail, SIZE, handle=2)
            player.released(film, 2)
            assert await is_right(player, film, stream, 30 * MEGABYTE, 70 * MEGABYTE)
            player.released(film, 1)
            await eventually(lambda: not player.playing())
            assert player.now(film, 3, tail, READ) == bytes_of(stream, tail, tail + READ)

    run(test)
    assert ranges(cinema) == ["0-", f"{tail // 65536 * 65536}-"]
    assert not cinema.proxy.broken_rules


@pytest.mark.parametrize("is_direct", [True, False])
def test_a_provider_that_allows_one_connection_alone_is_asked_for_one_at_a_time(opens: Opens, is_direct: bool) -> None:
    """Through Dispatcharr, which hangs up a second later, that has to turn out."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=is_direct)
    provider = cinema.proxy.provider
    provider.max_connections = {1: 1}
    provider.fault = lambda _: Fault(status=458) if len(provider._connections) > 1 else None
    [film] = cinema.learn([stream], (0, MEGABYTE))
    places = (1, 100, 30, 101)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            for place in places[: 4 if is_direct else 2]:
                assert await is_right(player, film, stream, place * MEGABYTE, (place + 1) * MEGABYTE)

    run(test)


def test_two_readers_at_distant_places_take_turns(opens: Opens) -> None:
    """By megabytes, and not by reads."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    right: list[bool] = []

    async def read(player: Player, handle: int, start: int) -> None:
        player.opened(film, handle)
        right.append(await is_right(player, film, stream, start, start + 36 * MEGABYTE, handle))

    async def test() -> None:
        async with cinema.open() as player, trio.open_nursery() as nursery:
            nursery.start_soon(read, player, 1, 2 * MEGABYTE)
            nursery.start_soon(read, player, 2, 100 * MEGABYTE)
            while len(right) < 2:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    run(test)
    assert all(right)
    assert cinema.proxy.provider.counted().requests <= 2 + 72 // 4


def test_a_film_takes_no_more_than_48_megabytes(opens: Opens) -> None:
    """Read at several places, with those that look at its end."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> int:
        async with cinema.open() as player:
            await is_right(player, film, stream, MEGABYTE, 2 * MEGABYTE)
            before = resident()
            for place in (5, 130, 80, 159, 40, 110):
                for offset in range(place * MEGABYTE, min((place + 25) * MEGABYTE, SIZE), READ):
                    await player.read(film, 1, offset, READ)
            return resident() - before

    assert run(test) <= 48 * MEGABYTE


def test_all_films_together_take_no_more_memory_than_they_may(opens: Opens) -> None:
    """Ten that are read by turns, each of which would take twice of what is there for it."""
    memory = 80 * MEGABYTE
    streams = [movie(account, SIZE, account, title=str(account)) for account in range(1, 11)]
    cinema = opens(streams, direct=True, memory=memory, times=QUICK._replace(pause=60, linger=60, forget=60))
    films = cinema.learn(streams, (0, MEGABYTE))

    async def test() -> int:
        async with cinema.open() as player:
            for film in films:
                player.opened(film, 1)
            assert await is_right(player, films[0], streams[0], 0, MEGABYTE)
            before = resident()
            most = 0
            for place in range(MEGABYTE, 16 * MEGABYTE, MEGABYTE):
                for film, stream in zip(films, streams, strict=True):
                    assert await is_right(player, film, stream, place, place + MEGABYTE)
                    assert player.memory.taken <= memory
                    most = max(most, resident() - before)
            return most

    most = run(test)
    assert most <= memory + 16 * MEGABYTE, f"{most >> 20} MB"
    assert cinema.proxy.provider.counted().requests == len(films)


def test_whoever_reads_gets_the_memory_of_films_that_were_left(opens: Opens) -> None:
    """And not that of those who read meanwhile. Who comes back to what was given up asks for it anew."""
    streams = [movie(account, SIZE, account, title=str(account)) for account in range(1, 4)]
    cinema = opens(
        streams, direct=True, memory=32 * MEGABYTE, times=QUICK._replace(pause=60, linger=60, forget=60)
    )  # fmt: skip
    films = cinema.learn(streams, (0, MEGABYTE))
    (watched, first), (left, second), (new, third) = zip(films, streams, strict=True)

    def asked(stream: Stream) -> int:
        return cinema.proxy.provider.counted(stream.account).requests

    async def test() -> None:
        async with cinema.open() as player:
            for film, stream in ((left, second), (watched, first)):
                player.opened(film, 1)
                assert await is_right(player, film, stream, MEGABYTE, 20 * MEGABYTE)
            player.released(left, 1)
            player.opened(new, 1)
            for place in range(MEGABYTE, 20 * MEGABYTE, MEGABYTE):
                assert await is_right(player, new, third, place, place + MEGABYTE)
                assert await is_right(player, watched, first, 19 * MEGABYTE, 20 * MEGABYTE)
                assert player.memory.taken <= 32 * MEGABYTE
            assert (asked(first), asked(second), asked(third)) == (1, 1, 1)
            player.opened(left, 2)
            assert await is_right(player, left, second, 18 * MEGABYTE, 30 * MEGABYTE, handle=2)
            assert asked(second) > 1

    run(test)


def test_a_film_for_which_there_is_no_memory_cannot_be_read(opens: Opens) -> None:
    """Until another one was left."""
    streams = [movie(account, SIZE, account, title=str(account)) for account in range(1, 4)]
    cinema = opens(streams, direct=True, memory=8 * MEGABYTE, times=QUICK._replace(linger=60))
    films = cinema.learn(streams, (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            for film in films:
                player.opened(film, 1)
            for film, stream in zip(films[:2], streams, strict=False):
                assert await is_right(player, film, stream, MEGABYTE, 9 * MEGABYTE)
            assert "too many films are read at once for the 8 MB" in str(await failure(player, films[2], 50 * MEGABYTE))
            player.released(films[0], 1)
            # What was on its way for that one comes to its end first.
            assert await is_right_at_last(player, films[2], streams[2], 50 * MEGABYTE, 60 * MEGABYTE)
            assert player.memory.taken == 8 * MEGABYTE

    run(test)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# The end of it.


def test_buffers_outlive_the_last_close_and_then_the_slot_is_free(opens: Opens) -> None:
    """Players close and open again at will."""
    stream = movie(1, SIZE)
    cinema = opens([stream], max_streams={1: 1}, times=QUICK._replace(linger=1.5, pause=60))
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            for handle in range(5):
                player.opened(film, handle)
                assert await is_right(player, film, stream, MEGABYTE, 4 * MEGABYTE, handle)
                stopped = trio.current_time()
                player.released(film, handle)
            assert cinema.proxy.slots[1] == 1
            assert len(cinema.proxy.requests) == 1
            await eventually(lambda: not cinema.proxy.slots[1])
            assert trio.current_time() - stopped >= 1.4
            await eventually(lambda: not player.playing() and not cinema.proxy.provider.counted().open_now)

    run(test)


def test_the_slot_is_free_in_time_also_if_the_provider_is_silent(opens: Opens) -> None:
    """What nobody reads any more is not read ahead for as long as that takes."""
    stream = movie(1, SIZE)
    times, deadlines = QUICK._replace(linger=0.5, pause=600, forget=600), FAST._replace(silence=600)
    cinema = opens([stream], direct=True, times=times, deadlines=deadlines)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = Fault(stalls_after=4 * MEGABYTE)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 3 * MEGABYTE)
            await eventually(lambda: cinema.upstream.received >= 4 * MEGABYTE)
            player.released(film, 1)
            await eventually(lambda: not player.playing(), 30)

    run(test)


def test_who_pauses_lets_go_and_goes_on_later(opens: Opens) -> None:
    """What stands before Dispatcharr would hang up. What comes then is joined only where both have the same bytes."""
    stream = movie(1, SIZE)
    cinema = opens([stream], max_streams={1: 1}, times=QUICK._replace(pause=1))
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 8 * MEGABYTE)
            await eventually(lambda: not cinema.proxy.slots[1] and not player.playing()[0].has_stream)
            assert await is_right(player, film, stream, 8 * MEGABYTE, 40 * MEGABYTE)

    run(test)
    first, second = ranges(cinema)
    assert first == "0-"
    assert 8 * MEGABYTE < int(second.removesuffix("-")) < 40 * MEGABYTE
    assert not cinema.proxy.broken_rules


# What goes wrong.


@pytest.mark.parametrize(
    "fault",
    [
        Fault(drops_after=5_000_000, times=6), Fault(drops_after=70_000, times=2), Fault(status=500, times=2),
        Fault(stalls_after=3_000_000, times=2), Fault(longer_by=17, times=1), Fault(page=True, times=0),
        Fault(film=Pattern(SIZE, 99), times=1), Fault(status=503, times=0),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("is_direct", [True, False])
def test_what_goes_wrong_for_a_while_is_made_good(opens: Opens, fault: Fault, is_direct: bool) -> None:
    """Within the deadline of a read."""
    stream = movie(1, SIZE)
    # A session of Dispatcharr's goes on to say what it first said of the film, until it is forgotten.
    quiet = 2.1 if fault.longer_by else 0
    cinema = opens([stream], direct=is_direct, deadlines=FAST._replace(quiet=quiet), stall_timeout=0.5)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = Fault(**vars(fault))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 16 * MEGABYTE)

    run(test)


def test_a_proxy_that_restarts_interrupts_nobody(opens: Opens) -> None:
    """Its sessions are gone, and it is away for a second."""
    stream = movie(1, SIZE)
    cinema = opens([stream], deadlines=FAST)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 20 * MEGABYTE)
            cinema.proxy.restart(away=0.5)
            assert await is_right(player, film, stream, 20 * MEGABYTE, 60 * MEGABYTE)

    run(test)


@pytest.mark.parametrize("size", [SIZE, SIZE + 1000, SIZE - 1000], ids=["same size", "longer", "shorter"])
@pytest.mark.parametrize("is_begun", [False, True], ids=["from the start", "in the middle"])
def test_two_encodes_are_never_joined(opens: Opens, size: int, is_begun: bool, complaints: Complaints) -> None:
    """The film ends with an error, and is to be learnt anew."""
    complaints.expect(CHANGED)
    stream, other = movie(1, SIZE), Pattern(size, 7)
    cinema = opens([stream], direct=True, deadlines=FAST)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, MEGABYTE)
            offset = MEGABYTE
            if is_begun:
                cinema.proxy.provider.faults[stream.stream] = Fault(drops_after=8_000_000)
                assert await is_right(player, film, stream, MEGABYTE, 2 * MEGABYTE)
            cinema.proxy.provider.streams[stream.stream] = stream._replace(film=other)
            cinema.proxy.provider.faults.clear()
            offset, error = await read_until_refused(player, film, stream, offset)
            assert "another file" in str(error)
            assert offset < 40 * MEGABYTE
            asked = cinema.proxy.provider.counted().requests
            await trio.sleep(QUICK.sulk * 2)
            await failure(player, film, 100 * MEGABYTE)
            player.released(film, 1)
            await eventually(lambda: not player.playing())
            await failure(player, film, 100 * MEGABYTE)
            assert cinema.proxy.provider.counted().requests == asked, "it is not tried again"
            assert await is_right(player, film, stream, 0, MEGABYTE), "what is kept is still the film's"

    run(test)
    assert [due.id for due in cinema.films.due(2e9, (), 9)] == [film.id]


def test_another_file_of_the_same_size_is_found_out_by_what_its_provider_says_of_it(
    opens: Opens, complaints: Complaints
) -> None:
    """Also where nothing is known of its bytes, in the middle of a play."""
    complaints.expect(CHANGED)
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, deadlines=FAST)
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 2 * MEGABYTE)
            cinema.proxy.provider.streams[stream.stream] = stream._replace(film=Pattern(SIZE, 7))
            assert "another file" in str(await failure(player, film, 100 * MEGABYTE))
            assert "another file" in str(await failure(player, film, 120 * MEGABYTE))

    run(test)
    assert [due.id for due in cinema.films.due(2e9, (), 9)] == [film.id]


def test_servers_of_a_provider_that_say_different_things_of_a_film_have_the_same_film(opens: Opens) -> None:
    """Each has its own time of it, say. What is known of it is looked at once more, and no oftener."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, deadlines=FAST)
    [film] = cinema.learn([stream], (0, MEGABYTE))
    times = [1e9, 2e9]
    cinema.proxy.provider.modified = lambda _: times[len(cinema.proxy.provider.asked) % 2]
    places = (100, 20, 140, 60, 10)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            for place in places:
                assert await is_right(player, film, stream, place * MEGABYTE, (place + 1) * MEGABYTE)

    run(test)
    assert cinema.proxy.provider.counted().requests <= 1 + len(places) + 2


def test_a_session_that_dispatcharr_may_have_ended_is_left_alone_first(opens: Opens) -> None:
    """The rest of its film is on its way: it is forgotten a second later, and who asks meanwhile loses a stream."""
    stream = movie(1, 42 * MEGABYTE)
    cinema = opens([stream], max_streams={1: 1}, deadlines=Deadlines(quiet=1.0), times=QUICK._replace(pause=60))
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.idle_seconds = 0.4

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 25 * MEGABYTE)
            await eventually(lambda: not cinema.proxy.slots[1])
            cinema.proxy.window = 0.7
            assert await is_right(player, film, stream, 8 * MEGABYTE, 9 * MEGABYTE)

    run(test)
    assert not cinema.proxy.leaked.total()


def test_a_beginning_that_comes_for_a_middle_is_not_taken_for_it(opens: Opens) -> None:
    """Where a provider ignores ranges, Dispatcharr says that its answer is the part that was asked for."""
    stream = movie(1, SIZE)
    cinema = opens([stream], deadlines=FAST, times=QUICK._replace(read=2))
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, 2 * MEGABYTE)
            cinema.proxy.provider.faults[stream.stream] = Fault(ignores_ranges=True)
            await failure(player, film, 100 * MEGABYTE)
            cinema.proxy.provider.faults.clear()
            assert await is_right_at_last(player, film, stream, 100 * MEGABYTE, 101 * MEGABYTE)

    run(test)


@pytest.mark.parametrize(
    "fault", [Fault(latency=30), Fault(stalls_after=100), Fault(status=500), Fault(drops_after=10)], ids=str
)
def test_a_read_that_nothing_comes_for_fails_in_time(opens: Opens, fault: Fault) -> None:
    """With an error that says why; meanwhile all else is answered, and so is the next read when all is well again."""
    stream = movie(1, SIZE)
    cinema = opens(
        [stream], direct=True, deadlines=FAST._replace(answer=0.4, silence=0.4), times=QUICK._replace(read=1)
    )
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = fault

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            begun = trio.current_time()
            error = await failure(player, film, 50 * MEGABYTE)
            assert trio.current_time() - begun >= 0.9
            assert "within 1 seconds: " in str(error)
            assert await is_right(player, film, stream, 0, MEGABYTE)
            cinema.proxy.provider.faults.clear()
            assert await is_right_at_last(player, film, stream, 50 * MEGABYTE, 51 * MEGABYTE)

    run(test)


@pytest.mark.parametrize("given", [10, 6_000, 150_000])
def test_a_provider_that_gives_a_little_and_hangs_up_is_asked_less_and_less(opens: Opens, given: int) -> None:
    """Also if that is enough for a read, and each is its own. It is forgiven once much has come again."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, times=QUICK._replace(read=1, sulk=0.1))
    provider = cinema.proxy.provider
    [film] = cinema.learn([stream], (0, MEGABYTE))
    provider.fault = lambda asked: None if asked.range == "bytes=0-" else Fault(drops_after=given)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            offset, until = 50 * MEGABYTE, trio.current_time() + 3
            while trio.current_time() < until:
                with suppress(ReadError):
                    assert await is_right(player, film, stream, offset, offset + 4 * KILOBYTE)
                    offset += 4 * KILOBYTE
                await trio.sleep(0.01)
            # It was asked after 50 ms, and each time after twice as long.
            assert 3 <= provider.counted().requests <= 9

    run(test)


def test_what_failed_is_forgiven_once_much_has_come(opens: Opens) -> None:
    """The next failure is tried again soon."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, times=QUICK._replace(retry=0.15, read=6))
    [film] = cinema.learn([stream], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            for place in (50, 100):
                # Without that, the second read would have to wait for 8 seconds, and fail.
                cinema.proxy.provider.faults[stream.stream] = Fault(status=500, times=3)
                assert await is_right(player, film, stream, place * MEGABYTE, (place + 3) * MEGABYTE)

    run(test)


def test_who_asks_again_at_once_for_what_did_not_come_does_not_wait_again(opens: Opens) -> None:
    """As the kernel does, for the first page of what it has read ahead: a program would wait twice as long."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, times=QUICK._replace(read=1, sulk=60))
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = Fault(status=500)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            await failure(player, film, 50 * MEGABYTE)
            await eventually(lambda: not player.playing()[0].has_stream)
            before = cinema.proxy.provider.counted().requests
            for _ in range(5):
                assert "within 1 seconds: " in str(await failure(player, film, 50 * MEGABYTE))
            assert cinema.proxy.provider.counted().requests == before

    run(test)


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(status=403), Fault(page=True)], ids=str)
def test_what_will_not_come_fails_at_once(opens: Opens, fault: Fault) -> None:
    """And is not asked for again by every reader that tries again."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, times=QUICK._replace(sulk=60))
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.provider.faults[stream.stream] = fault

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            for _ in range(20):
                await failure(player, film, 50 * MEGABYTE)

    run(test)
    assert cinema.proxy.provider.counted().requests == 1


def test_a_film_that_the_library_has_no_more_cannot_be_read(opens: Opens) -> None:
    """It says so."""
    stream = movie(1, SIZE)
    cinema = opens([stream])
    [film] = cinema.learn([stream], (0, MEGABYTE))
    del cinema.proxy.provider.streams[stream.stream]

    async def test() -> str:
        async with cinema.open() as player:
            return str(await failure(player, film, 50 * MEGABYTE))

    assert "does not have it any more" in run(test)


# Who may.


def test_a_viewer_beyond_the_limit_gets_the_same_bytes_of_another_account(opens: Opens) -> None:
    """If there are any; else an error, at once."""
    playing, wanted, alike = movie(1, SIZE), movie(1, SIZE, 5, title="b"), movie(2, SIZE, 5, title="b")
    cinema = opens([playing, wanted, alike], max_streams={1: 1, 2: 1})
    first, second, _ = cinema.learn([playing, wanted, alike], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(first, 1)
            assert await is_right(player, first, playing, MEGABYTE, 2 * MEGABYTE)
            player.opened(second, 2)
            assert await is_right(player, second, wanted, 50 * MEGABYTE, 52 * MEGABYTE, handle=2)
            assert {play.account for play in player.playing()} == {1, 2}
            assert cinema.admission.streams()[1].refused == 0

            # Account 2 is full now as well, and nobody else has the other film.
            player.released(first, 1)
            await eventually(lambda: len(player.playing()) == 1)
            player.opened(second, 3)
            assert await is_right(player, second, wanted, 52 * MEGABYTE, 90 * MEGABYTE, handle=3)
            assert player.playing()[0].account == 2, "nobody is moved while he watches"

    run(test)
    assert [request.split("m3u_account_id=")[1].split()[0] for request in cinema.proxy.requests][:3] == ["1", "2", "2"]
    assert cinema.proxy.slots[1] <= 1


def test_who_learns_from_the_other_account_makes_room_for_the_viewer(opens: Opens) -> None:
    """He waits for the moment that this takes."""
    playing, wanted, alike = movie(1, SIZE), movie(1, SIZE, 5, title="b"), movie(2, SIZE, 5, title="b")
    cinema = opens([playing, wanted, alike], max_streams={1: 1, 2: 1}, quiet=0.2)
    first, second, _ = cinema.learn([playing, wanted, alike], (0, MEGABYTE))

    async def learn(task_status: trio.TaskStatus[None]) -> None:
        async with cinema.admission.lease(2, Rank.LEARNER):
            task_status.started()
            await trio.sleep_forever()

    async def test() -> None:
        async with cinema.open() as player, trio.open_nursery() as nursery:
            await nursery.start(learn)
            player.opened(first, 1)
            assert await is_right(player, first, playing, MEGABYTE, 2 * MEGABYTE)
            player.opened(second, 2)
            assert await is_right(player, second, wanted, 50 * MEGABYTE, 52 * MEGABYTE, handle=2)
            assert player.playing()[1].account == 2

    run(test)


def test_if_that_turns_out_to_be_another_file_it_is_that_one_which_is_learnt_anew(
    opens: Opens, complaints: Complaints
) -> None:
    """And not the one that was to be read."""
    complaints.expect(CHANGED)
    playing, wanted, alike = movie(1, SIZE), movie(1, SIZE, 5, title="b"), movie(2, SIZE, 5, title="b")
    cinema = opens([playing, wanted, alike], direct=True)
    first, second, other = cinema.learn([playing, wanted, alike], (0, MEGABYTE))
    cinema.proxy.provider.streams[alike.stream] = alike._replace(film=Pattern(SIZE, 6))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(first, 1)
            assert await is_right(player, first, playing, MEGABYTE, 2 * MEGABYTE)
            player.opened(second, 2)
            assert "another file" in str(await failure(player, second, 50 * MEGABYTE, handle=2))
            player.released(first, 1)
            await eventually(lambda: len(player.playing()) == 1)
            assert await is_right(player, second, wanted, 50 * MEGABYTE, 51 * MEGABYTE, handle=2)

    run(test)
    assert [due.id for due in cinema.films.due(2e9, (), 9)] == [other.id]


def test_a_viewer_for_whom_there_is_no_stream_is_told_at_once(opens: Opens) -> None:
    """And it is counted, with the reason."""
    playing, wanted = movie(1, SIZE), movie(1, SIZE, 5, title="b")
    cinema = opens([playing, wanted], max_streams={1: 1})
    first, second = cinema.learn([playing, wanted], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(first, 1)
            assert await is_right(player, first, playing, MEGABYTE, 2 * MEGABYTE)
            player.opened(second, 2)
            error = await failure(player, second, 50 * MEGABYTE, handle=2)
            assert "films that play use the 1 stream of its account" in str(error)
            refusal = cinema.admission.streams()[1].last_refusal
            assert refusal
            assert refusal.why == str(error)
            assert await is_right(player, first, playing, 2 * MEGABYTE, 40 * MEGABYTE), "who watches goes on"

    run(test)
    assert len(cinema.proxy.requests) == 1


def test_a_film_that_was_left_gives_its_stream_to_the_next(opens: Opens) -> None:
    """Before its time is over."""
    left, wanted = movie(1, SIZE), movie(1, SIZE, 5, title="b")
    cinema = opens([left, wanted], max_streams={1: 1}, times=QUICK._replace(linger=60, pause=60))
    first, second = cinema.learn([left, wanted], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(first, 1)
            assert await is_right(player, first, left, MEGABYTE, 2 * MEGABYTE)
            player.released(first, 1)
            player.opened(second, 2)
            assert await is_right(player, second, wanted, MEGABYTE, 2 * MEGABYTE, handle=2)
            assert await is_right(player, first, left, MEGABYTE, 2 * MEGABYTE), "what is in memory is still there"

    run(test)


def test_a_film_that_is_closed_while_it_waits_for_a_stream_does_not_hold_it_as_a_viewer(opens: Opens) -> None:
    """The kernel says that it was closed, and its provider is silent."""
    left, wanted = movie(1, SIZE), movie(1, SIZE, 5, title="b")
    cinema = opens([left, wanted], direct=True, times=QUICK._replace(read=40, admission=30))
    first, second = cinema.learn([left, wanted], (0, MEGABYTE))
    cinema.proxy.provider.faults[left.stream] = Fault(stalls_after=0)

    async def test() -> None:
        async def read_in_vain() -> None:
            await failure(player, first, 50 * MEGABYTE)

        async with cinema.open() as player, trio.open_nursery() as nursery:
            async with cinema.admission.lease(1, Rank.LEARNER):
                with trio.CancelScope(shield=True):  # It takes its time to give way.
                    player.opened(first, 1)
                    nursery.start_soon(read_in_vain)
                    await trio.testing.wait_all_tasks_blocked()
                    player.leaving(first, 1)
            await eventually(lambda: player.playing()[0].has_stream)
            player.opened(second, 2)
            assert await is_right(player, second, wanted, 50 * MEGABYTE, 51 * MEGABYTE, handle=2)

    run(test)


def test_a_film_of_which_one_descriptor_of_several_was_closed_stays_a_viewers(opens: Opens) -> None:
    """A process that forks closes its copy, say. Who reads on shows that he watches."""
    played, wanted = movie(1, SIZE), movie(1, SIZE, 5, title="b")
    cinema = opens([played, wanted], direct=True, times=QUICK._replace(linger=60, pause=60))
    first, second = cinema.learn([played, wanted], (0, MEGABYTE))

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(first, 1)
            assert await is_right(player, first, played, 50 * MEGABYTE, 51 * MEGABYTE)
            player.leaving(first, 1)
            assert player.now(first, 1, 50 * MEGABYTE, READ)
            player.opened(second, 2)
            assert "films that play use" in str(await failure(player, second, 50 * MEGABYTE, handle=2))
            player.leaving(first, 1)
            await trio.sleep(QUICK.sulk)
            assert await is_right(player, second, wanted, 50 * MEGABYTE, 51 * MEGABYTE, handle=2)

    run(test)


@pytest.mark.parametrize("status", [503, 429])
def test_a_stream_that_somebody_else_uses_is_not_asked_for_again_and_again(opens: Opens, status: int) -> None:
    """Each try can cost Dispatcharr a slot."""
    stream = movie(1, SIZE)
    cinema = opens([stream], max_streams={1: 1}, times=QUICK._replace(sulk=60))
    [film] = cinema.learn([stream], (0, MEGABYTE))
    cinema.proxy.refusals.extend([status] * 1000)

    async def test() -> None:
        async with cinema.open() as player:
            for handle in range(20):
                player.opened(film, handle)
                await failure(player, film, 50 * MEGABYTE, handle)
                player.released(film, handle)

    run(test)
    assert len(cinema.proxy.requests) == 1
    assert cinema.admission.streams()[1].refused == 1


# How fast.


def test_after_its_first_minute_a_film_is_read_at_its_pace(opens: Opens) -> None:
    """However many read it."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, pace=4)
    # 168 kB/s: the first minute is 10 MB, and from then on 672 kB/s come.
    [film] = cinema.learn([stream], (0, MEGABYTE), seconds=1000)
    minute = int(60 * film.bit_rate)

    async def test() -> None:
        async with cinema.open() as player:
            begun = trio.current_time()
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, minute)
            held_back = trio.current_time()
            assert await is_right(player, film, stream, minute, minute + 2 * MEGABYTE)
            assert trio.current_time() - begun >= 2 * MEGABYTE / (4 * film.bit_rate) * 0.95
            assert cinema.upstream.received <= minute + 4 * film.bit_rate * (trio.current_time() - begun) + 2 * MEGABYTE
            assert held_back - begun < trio.current_time() - begun

    run(test)


def test_a_film_that_is_shorter_than_it_says_is_read_in_time(opens: Opens) -> None:
    """Such as "This film is not available": at the pace of the hours that it is said to play, it would never come."""
    stream = movie(1, 3 * MEGABYTE)
    cinema = opens([stream], pace=3)
    [film] = cinema.learn([stream], (0, KILOBYTE * 64), seconds=7200)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            assert await is_right(player, film, stream, 0, film.size)

    run(test)


def test_readers_that_nobody_watches_are_refused_if_so_set(opens: Opens) -> None:
    """They take all that they get; whoever watches reads what plays. Both may be at it at once."""
    stream = movie(1, SIZE)
    cinema = opens([stream], direct=True, pace=2, background_reads="refuse", times=QUICK._replace(proof=0.1, pause=60))
    [film] = cinema.learn([stream], (0, MEGABYTE), seconds=2000)  # 84 kB/s: it proves itself in 1.1 seconds

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            offset, error = await read_until_refused(player, film, stream, 0)
            assert "nobody watches" in str(error)
            assert offset >= 60 * film.bit_rate
            # What had come when it was refused costs nothing.
            offset, _ = await read_until_refused(player, film, stream, offset)
            assert player.playing()[0].background == 1
            player.opened(film, 2)
            assert await is_right(player, film, stream, offset, offset + READ, handle=2), "somebody else watches"

    run(test)


@pytest.mark.parametrize("times_as_fast", [1.5, 3])
@pytest.mark.parametrize("megabits", [0.5, 1.5, 3, 8, 40])
def test_whoever_fills_the_largest_buffer_that_a_player_has_is_a_viewer(megabits: float, times_as_fast: float) -> None:
    """mpv reads 150 MiB ahead, of a small film for many minutes; a task reads on and on."""
    film = Film(1, 0, Key("movie", 1, "s1"), int(megabits / 8 * 1e6 * 7200), ".mkv", 7200)

    def seconds_until_found(ahead_at_most: float) -> float:
        """How long it reads until it is taken for one that nobody watches."""
        watch = Watch(times_as_fast, proof_seconds(film, times_as_fast))
        allowance = Allowance(allowed_rate(film, times_as_fast), 60 * film.bit_rate, 0)
        now, read, piece = 0.0, 0, allowance.piece(1 << 20)
        while not watch.is_background and read < film.size:
            if wait := allowance.wait(now):
                now += wait
                watch.held_up(now)
            now = max(now, (read + piece - ahead_at_most) / film.bit_rate)
            allowance.take(piece, now)
            read += piece
        return now if watch.is_background else math.inf

    assert seconds_until_found(150 << 20) == math.inf
    assert seconds_until_found(math.inf) < 3000 or film.size < 1 << 29


def test_who_was_taken_for_a_reader_that_nobody_watches_is_a_viewer_again_after_a_break(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps his stream, though he reads what is in memory alone."""
    monkeypatch.setattr(pace, "BREAK_SECONDS", 2.0)
    stream, wanted = movie(1, SIZE), movie(1, SIZE, 5, title="b")
    cinema = opens([stream, wanted], direct=True, pace=20, times=QUICK._replace(proof=0.2, pause=60))
    film, other = cinema.learn([stream, wanted], (0, MEGABYTE), seconds=2000)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            offset = 0
            while not player.playing()[0].background:
                assert await is_right(player, film, stream, offset, offset + READ)
                offset += READ
            await trio.sleep(2.1)
            assert bytes(player.now(film, 1, offset - READ, READ) or b"") == bytes_of(stream, offset - READ, offset)
            assert player.playing()[0].background == 0
            player.opened(other, 2)
            assert "films that play use" in str(await failure(player, other, 50 * MEGABYTE, handle=2))

    run(test)


def test_readers_that_nobody_watches_have_a_budget(opens: Opens) -> None:
    """Of bytes a day and account."""
    stream = movie(1, SIZE)
    cinema = opens(
        [stream], direct=True, pace=20, background_bytes=MEGABYTE, times=QUICK._replace(proof=0.2, pause=60)
    )  # fmt: skip
    [film] = cinema.learn([stream], (0, MEGABYTE), seconds=2000)

    async def test() -> None:
        async with cinema.open() as player:
            player.opened(film, 1)
            _, error = await read_until_refused(player, film, stream, 0)
            assert "nobody watches" in str(error)
            assert MEGABYTE <= player.budget.taken(1) <= 2 * MEGABYTE

    run(test)


# All at once.


def test_whatever_happens_no_byte_is_wrong(opens: Opens, complaints: Complaints, soak: bool) -> None:
    """Eight readers at random places, while answers break off, stall, are another film's, or errors."""
    reads, size = (100_000 if soak else 150), 64 * MEGABYTE + 99
    complaints.expect(CHANGED)
    chance = random.Random(reads)
    stream = movie(1, size)
    cinema = opens(
        [stream], direct=True, deadlines=FAST._replace(silence=0.3, answer=0.5),
        times=QUICK._replace(read=3, retry=0.01, sulk=0.02, spoilt=0.1),
    )  # fmt: skip
    [film] = cinema.learn([stream], (0, MEGABYTE), (-MEGABYTE, size))

    def faults(asked: Asked) -> Fault | None:
        match chance.randrange(12):
            case 0:
                return Fault(drops_after=chance.randrange(3_000_000))
            case 1:
                return Fault(stalls_after=chance.randrange(3_000_000), stalls_for=1)
            case 2:
                return Fault(status=chance.choice([500, 502, 503, 429, 416]))
            case 3:
                # Of the same size it is told where something is known of its bytes: at the start of a session.
                return Fault(film=Pattern(size + (0 if asked.range == "bytes=0-" else chance.choice([1, -1])), 77))
            case 4:
                return Fault(page=True)
        return None

    cinema.proxy.provider.fault = faults
    done: list[bool] = []

    async def read(player: Player, handle: int) -> None:
        player.opened(film, handle)
        while len(done) < reads:
            start = chance.randrange(size)
            length = chance.choice([1, 4096, READ, READ])
            try:
                data = await player.read(film, handle, start, length)
            except ReadError:
                done.append(False)
                await trio.sleep(0.01)
                continue
            assert data == bytes_of(stream, start, min(start + length, size)), (start, length)
            done.append(True)
            if not chance.randrange(20):
                player.released(film, handle)
                player.opened(film, handle)

    async def test() -> None:
        async with cinema.open() as player, trio.open_nursery() as nursery:
            for handle in range(8):
                nursery.start_soon(read, player, handle)

    run(test, seconds=3600 * 8)
    assert sum(done) > reads / 20, "some came"
