"""Films of a double of Dispatcharr that are read without a mount: what is known of them, and a player."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import trio
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Pattern, Stream
from mounts import TIMEOUT

from vod2strmfs.films.admission import Admission
from vod2strmfs.films.buffer import MEMORY
from vod2strmfs.films.film import Address, Film, Key
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.player import Player
from vod2strmfs.films.store import Films, Learnt, Wish
from vod2strmfs.films.times import Times
from vod2strmfs.films.upstream import Deadlines, Upstream
from vod2strmfs.library.rendered import content_digest

KILOBYTE, MEGABYTE = 1 << 10, 1 << 20

QUICK = Times(read=10, admission=1, linger=0.3, pause=5, forget=10, retry=0.05, sulk=0.3, spoilt=5)
"""Nobody waits for long."""

_T = TypeVar("_T")


def movie(account: int, size: int, seed: int = 0, *, title: str = "a") -> Stream:
    """A stream of an account: other seeds are other encodes, the same title has several streams."""
    return Stream(f"00000000-0000-4000-8000-{title:0>12}", account, f"{title}{account}", Pattern(size, seed))


def key_of(stream: Stream) -> Key:
    """What a stream's film is known by."""
    return Key("movie", stream.account, stream.stream)


def order(**changed: Any) -> FilmsOrder:
    """Settings under which nobody is held back."""
    given = {
        "cache": 10**9, "learn_rate": 600, "learn_bytes": 10**9, "max_streams": 1, "reserve_streams": 0,
        "pace": 1000, "background_reads": "pace", "background_bytes": 10**12,
    }  # fmt: skip
    return FilmsOrder.model_validate(given | changed)


class Cinema:
    """Use `with cinema.open() as player`.

    Args:
        folder: an empty one.
        proxy: where the films are.
        direct: whether they are read from the provider itself.
        times: of the player.
        deadlines: of its upstream.
        quiet: of admission.
        memory: of the player.
        changed: settings.
    """

    def __init__(
        self,
        folder: Path,
        proxy: DispatcharrProxy,
        *,
        direct: bool = False,
        times: Times = QUICK,
        deadlines: Deadlines = Deadlines(),  # noqa: B008
        quiet: float = 0.0,
        memory: int = MEMORY,
        **changed: Any,
    ) -> None:
        self.proxy = proxy
        self.films = Films(folder)
        self.upstream = Upstream(deadlines=deadlines)
        self.admission = Admission(order(**changed), quiet=quiet)
        self.player: Player
        self._direct = direct
        self._times = times
        self._memory = memory
        self._order = order(**changed)

    def address(self, key: Key) -> Address | None:
        """Where a film is."""
        stream = self.proxy.provider.streams.get(key.stream)
        if stream is None:
            return None
        if self._direct:
            return Address(self.proxy.provider.url + stream.path, direct=True)
        pin = urlencode({"stream_id": stream.stream, "m3u_account_id": stream.account})
        return Address(f"{self.proxy.url}/proxy/vod/movie/{stream.uuid}?{pin}")

    def learn(self, streams: Sequence[Stream], *kept: tuple[int, int], seconds: int = 0) -> list[Film]:
        """Know the films of streams, and keep such parts of each."""
        self.films.want([Wish(node, key_of(each), each.stream, seconds) for node, each in enumerate(streams, 1)], 1)
        found = {}
        for due in self.films.due(2e9, (), 1000):
            pattern = next(each.film for each in streams if key_of(each) == due.key)
            assert isinstance(pattern, Pattern)
            with self.films.draft(due) as draft:
                for part in kept:
                    start, stop, _ = slice(*part).indices(pattern.size)
                    draft.write(start, pattern.read(start, stop - start))
                ends = (content_digest(pattern.read(0, 65536)), content_digest(pattern.read(pattern.size - 4096, 4096)))
                learnt = Learnt(pattern.size, ".mkv", seconds, *ends)
                found[due.key] = self.films.settle(due, self.films.begin(due), Outcome(Kind.LEARNT), learnt, draft)
        return [film for each in streams if (film := found[key_of(each)])]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Player]:
        """A player that runs."""
        self.player = Player(
            self._order, self.films, self.upstream, self.address, self.admission, self._times, self._memory
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.player.run)
            yield self.player
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        """Close the store."""
        self.films.close()


async def read_all(player: Player, film: Film, handle: int, start: int, stop: int, step: int = 128 * KILOBYTE) -> bytes:
    """Read a part of a film as the kernel does."""
    return b"".join(
        [bytes(await player.read(film, handle, at, min(step, stop - at))) for at in range(start, stop, step)]
    )


async def eventually(holds: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Wait until something holds."""
    with trio.fail_after(seconds):
        while not holds():
            await trio.sleep(0.01)


def run(test: Callable[[], Awaitable[_T]], seconds: float = TIMEOUT) -> _T:
    """Run a test over trio; it does not run for ever."""

    async def limited() -> _T:
        with trio.fail_after(seconds):
            return await test()

    return trio.run(limited)
