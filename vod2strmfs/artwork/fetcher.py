"""The loop that fetches images: what is next, may its host be asked, ask, store, and have it shown."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Set
from contextlib import closing, suppress
from pathlib import Path

import trio

from vod2strmfs.artwork import wanted
from vod2strmfs.artwork.client import Client
from vod2strmfs.artwork.logos import PATH, logos
from vod2strmfs.artwork.outcomes import Kind, Outcome
from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.artwork.queue import Item, Queue
from vod2strmfs.artwork.signature import Image, NoImageError, examine
from vod2strmfs.errors import CatalogError
from vod2strmfs.index.art import shown_images
from vod2strmfs.index.file import FILE_NAME, connect
from vod2strmfs.index.order import ArtworkOrder
from vod2strmfs.index.reading import generation
from vod2strmfs.library.rendered import content_digest

_AT_ONCE = 6
_A_HOST = 2
"""Images that are fetched at once, and of one host."""
_BATCH = 200
_LOOK_SECONDS = 2.0
"""How often to look whether the library is another."""
_CHECK_SECONDS = 600.0
"""How often to look whether what is stored is still there."""
_REFILL_SECONDS = 1.0
_FULL_SECONDS = 600.0
"""For how long nothing is fetched when there is no room."""
_HOST_PATIENCE = 60.0
"""Seconds that a command waits for a host that is to be left alone."""
_FAILURES = 3
_SPARED_SECONDS = 600.0
"""For so long Dispatcharr is not asked for images after so many failures in a row."""
_SHARE = 20
"""To have images shown takes one part in so many of the time, at most."""

Publish = Callable[[Path, Path, tuple[str, ...], Set[str]], tuple[int, int]]
"""Has images shown; see `sync.pictures.publish`."""

_log = logging.getLogger("vod2strmfs")


class _NoRoomError(Exception):
    """An image cannot be stored; the text says why, as a sentence."""


class Fetcher:
    """Fetches what is wanted. Its methods are for the thread that runs it.

    Args:
        order: how.
        state_dir: where the index, the queue and the images are.
        queue: what is wanted. The caller holds the right to work through it.
        client: asks.
        publish: has images shown.
        settled: called with each outcome.
    """

    def __init__(
        self,
        order: ArtworkOrder,
        state_dir: Path,
        queue: Queue,
        client: Client,
        publish: Publish,
        settled: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self._order = order
        self._state_dir = state_dir
        self._queue = queue
        self._client = client
        self._publish = publish
        self._settled = settled
        self._pictures = Pictures(state_dir)
        self._next_items: deque[Item] = deque()
        self._running: dict[int, str] = {}
        """The hosts of the images that are being fetched, by their ids."""
        self._woken = trio.Event()
        self._seen = -1
        """The generation that was looked through."""
        self._looked = self._checked = self._refilled = self._published = -1e9
        self._took = 0.0
        """Seconds that it took to have images shown."""
        self._fresh = True
        """Whether there may be something to show that is not shown."""
        self._lost: set[str] = set()
        self._begin_at = 0.0
        """When the next image may be asked for, by trio's clock."""
        self._used = 0
        self._failures = 0
        """How often in a row Dispatcharr did not answer."""
        self._spared_until = -1e9
        """Until when it is not asked, by trio's clock."""
        self.stopped = ""
        """Why nothing is fetched."""

    async def run(self, *, until_done: bool) -> None:
        """Fetch, for ever or until nothing more can be had now.

        Raises:
            IndexFileError: the index or the queue cannot be used.
        """
        await trio.to_thread.run_sync(self._reconcile)
        self._checked = trio.current_time()
        async with trio.open_nursery() as nursery:
            while True:
                if not self._running:  # Whatever is being stored is not lost.
                    await self._check_now_and_then()
                await self._keep_up()
                item, pause = self._next()
                if item is not None:
                    self._running[item.id] = item.host
                    nursery.start_soon(self._fetch, item)
                    continue
                idle = not self._running and not self._next_items
                if idle and self._fresh and self._seen:
                    await self._show()
                    continue
                if until_done and idle and self._is_done():
                    return
                self._woken = trio.Event()
                with trio.move_on_after(pause):
                    await self._woken.wait()

    async def show(self) -> None:
        """Have shown what was stored since that was done last."""
        if self._fresh and self._seen > 0:
            await self._show()

    def _reconcile(self) -> None:
        """Compare what is there with what is known of it: a process may have been killed, or somebody was here."""
        self._check()
        known = {image[0] for image in self._queue.images()}
        shown = self._shown()
        for name in self._pictures.names():
            if name in self._lost:
                continue
            if name not in known and name in shown:
                self._queue.adopt(*shown[name])
            elif name not in known:
                self._pictures.remove(name)
        self._used = self._queue.bytes_stored()

    def _check(self) -> None:
        """Look for images that are not there any more, or not whole, and have them asked for again."""
        with closing(Queue(self._state_dir)) as queue:
            known = queue.images()
            lost = {image[0] for image in known if not self._pictures.has(*image)}
            queue.forget(lost)
        shown = self._shown().values()
        self._lost |= lost | {row[0] for row in shown if not self._pictures.has(row[0], row[2], row[3])}

    def _shown(self) -> dict[str, tuple[str, str, int, int, int]]:
        """The images that are shown, by name; see `shown_images`."""
        if not (self._state_dir / FILE_NAME).exists():
            return {}
        with closing(connect(self._state_dir)) as connection:
            return {row[0]: row for row in shown_images(connection)}

    async def _check_now_and_then(self) -> None:
        if trio.current_time() - self._checked < _CHECK_SECONDS:
            return
        await trio.to_thread.run_sync(self._check)
        self._fresh |= bool(self._lost)
        self._used = self._queue.bytes_stored()
        self._checked = trio.current_time()

    async def _keep_up(self) -> None:
        """Look through the library if it is another, and have shown what came, if it is time."""
        now = trio.current_time()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._queue.follow_clock()
            number = generation(self._state_dir)
            if number != self._seen:
                if number:
                    await trio.to_thread.run_sync(self._look)
                    self._fresh = True
                self._seen = number
        if self._fresh and self._seen and now - self._published >= max(self._order.publish, _SHARE * self._took):
            await self._show()

    def _look(self) -> None:
        with closing(Queue(self._state_dir)) as queue:
            queue.want(wanted.wishes(self._state_dir, episodes=self._order.episodes))
            if self._order.database:
                with suppress(CatalogError):  # Then they are asked for where they come from.
                    queue.know(logos(self._order.database))

    async def _show(self) -> None:
        self._fresh = False
        began = trio.current_time()
        lost = self._lost - {image[0] for image in self._queue.images()}
        before, after = await trio.to_thread.run_sync(
            self._publish, self._state_dir, self._queue.path, self._order.extensions, lost
        )
        self._lost = set()
        if before == self._seen:
            self._seen = after
        self._published = trio.current_time()
        self._took = self._published - began

    def _next(self) -> tuple[Item | None, float]:
        """What is to be asked for now; if nothing is, for how many seconds, unless something comes."""
        wait = self._begin_at - trio.current_time()
        if wait > 0 or len(self._running) >= _AT_ONCE:
            return None, min(wait, _LOOK_SECONDS) if wait > 0 else _LOOK_SECONDS
        now = time.time()
        paused = self._queue.paused(now)
        numbers = Counter(self._running.values())
        busy = paused.keys() | {host for host, number in numbers.items() if number >= _A_HOST}
        self._next_items = deque(item for item in self._next_items if item.host not in paused)
        item = self._take(busy)
        if item is None and trio.current_time() - self._refilled >= _REFILL_SECONDS:
            held = self._running.keys() | {each.id for each in self._next_items}
            due = [each for each in self._queue.due(now, busy, _BATCH) if each.id not in held]
            self._next_items.extend(due)
            if len(due) < _BATCH:  # There is no more of them: whoever comes later has time.
                self._refilled = trio.current_time()
            item = self._take(busy)
        if item is None:
            return None, _LOOK_SECONDS
        if self.stopped:
            self.stopped = ""
            self._queue.note(stopped="")
        self._begin_at = max(self._begin_at, trio.current_time() - 1) + 60 / self._order.rate
        return item, 0

    def _take(self, busy: Set[str]) -> Item | None:
        for item in self._next_items:
            if item.host not in busy:
                self._next_items.remove(item)
                return item
        return None

    def _is_done(self) -> bool:
        """Whether nothing can be had in a while."""
        if self.stopped:
            return True
        now = time.time()
        if not self._queue.due(now, (), 1):
            return True
        late = {host for host, until in self._queue.paused(now).items() if until > now + _HOST_PATIENCE}
        return not self._queue.due(now, late, 1)

    async def _fetch(self, item: Item) -> None:
        try:
            self._queue.begin(item)
            outcome = await self._ask_dispatcharr(item)
            if outcome is None:
                outcome = await self._client.fetch(item.url, item.etag, item.modified)
            try:
                outcome = await self._settle(item, outcome)
            except _NoRoomError as error:
                self._stop(str(error))
                return
            self._settled(outcome)
        finally:
            del self._running[item.id]
            self._woken.set()

    async def _ask_dispatcharr(self, item: Item) -> Outcome | None:
        """An image from Dispatcharr, which may have it at hand, or reach a host that we do not; None if it has not.

        One that is stored already is asked for where it comes from: that host tells whether it is another.
        """
        if not item.logo or item.image or trio.current_time() < self._spared_until:
            return None
        outcome = await self._client.fetch(self._order.own[-1] + PATH.format(logo=item.logo))
        if outcome.kind in (Kind.FAILED, Kind.BUSY):
            self._failures += 1
            if outcome.kind == Kind.BUSY or self._failures >= _FAILURES:
                self._spared_until = trio.current_time() + max(_SPARED_SECONDS, outcome.pause)
        else:
            self._failures = 0
        if outcome.kind != Kind.STORED:
            return None
        try:
            examine(outcome.content)
        except NoImageError:
            return None
        return outcome._replace(etag="", modified="")  # The image's own host knows nothing of these.

    async def _settle(self, item: Item, outcome: Outcome) -> Outcome:
        """Store what came, if it is an image, and note what came of it."""
        if outcome.kind != Kind.STORED:
            self._queue.settle(item, outcome)
            return outcome
        try:
            image = examine(outcome.content)
        except NoImageError as error:
            outcome = Outcome(Kind.BAD, f"it sent {error}")
        else:
            if image.extension in self._order.extensions:
                await self._store(item, outcome, image)
                return outcome
            outcome = Outcome(Kind.BAD, f"it sent a {image.extension} image, which the media server may not read")
        self._queue.settle(item, outcome)
        return outcome

    async def _store(self, item: Item, outcome: Outcome, image: Image) -> None:
        size = len(outcome.content)
        self._make_room(size)
        self._used += size  # At once: others are stored meanwhile.
        try:
            name = await trio.to_thread.run_sync(self._pictures.add, outcome.content)
            if self._queue.has_image(name):
                self._used -= size
        except OSError as error:
            self._used -= size
            raise _NoRoomError(f"images cannot be written ({error.strerror}).") from error
        self._fresh |= self._queue.settle(item, outcome, (name, image, content_digest(outcome.content)))

    def _make_room(self, size: int) -> None:
        """Let images go that are neither wanted nor shown, if there is no room for another one."""
        limit = self._order.cache
        if self._used + size <= limit:
            return
        with closing(connect(self._state_dir)) as connection:
            shown = {row[0] for row in shown_images(connection)}
        for name, its_size in self._queue.unwanted():
            if self._used + size <= limit:
                return
            if name not in shown:
                self._queue.forget([name])
                self._pictures.remove(name)
                self._used -= its_size
        if self._used + size > limit:
            raise _NoRoomError(
                f"artwork_cache is used up ({limit // 10**6:,} MB), and all of it is shown: allow more, or"
                " set artwork_episodes = false."
            )

    def _stop(self, why: str) -> None:
        """Fetch nothing for a while."""
        if why != self.stopped:
            _log.warning("No more images are fetched for now: %s", why)
        self.stopped = why
        self._queue.note(stopped=why)
        self._next_items.clear()
        self._begin_at = trio.current_time() + _FULL_SECONDS
