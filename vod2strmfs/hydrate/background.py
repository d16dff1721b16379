"""Filling series in a thread of a process that keeps an index up to date: a mount's worker, or `run`."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from vod2strmfs.catalog.source import retry_pause
from vod2strmfs.errors import ApiError, CatalogError, IndexFileError, SettingsError
from vod2strmfs.host.causes import cause_of
from vod2strmfs.hydrate.figures import FILE_NAME
from vod2strmfs.hydrate.outcomes import DAY, Kind, Outcome, Patience
from vod2strmfs.hydrate.queue import Item, Limits
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.settings import LibrarySettings

_LONGEST_RETRY = 300.0

_log = logging.getLogger("vod2strmfs")


class Background:
    """Works through the queue until the process ends. Its methods may be called by any thread.

    httpx and trio are loaded when it starts: a process that fills nothing does without them.

    Args:
        order: how, and whom to ask.
        database: Dispatcharr's.
        library: what is wanted of it.
        state_dir: where the queue and the index are.
        filled: called when somebody waits for the episodes that have come.
        patience: how long everything may take.
    """

    def __init__(
        self,
        order: HydrateOrder,
        database: str,
        library: LibrarySettings,
        state_dir: Path,
        *,
        filled: Callable[[], None] = lambda: None,
        patience: Patience | None = None,
    ) -> None:
        self._order = order
        self._database = database
        self._library = library
        self._state_dir = state_dir
        self._filled = filled
        self._patience = patience or Patience()
        self._opened: SimpleQueue[int] = SimpleQueue()
        self._again: SimpleQueue[None] = SimpleQueue()
        """Holds something when it is to be tried again: a signal handler may put that in at any moment."""
        self._wake: Callable[[], object] = lambda: None
        self._failures = 0

    def start(self) -> None:
        """Begin, in a thread that ends with the process: what is cut off is taken up by the next."""
        threading.Thread(target=self._run, name="hydrate", daemon=True).start()

    def opened(self, nodes: list[int]) -> None:
        """Somebody opened the folders of series, which are known by their nodes."""
        for node in nodes:
            self._opened.put(node)
        self._nudge()

    def try_again(self) -> None:
        """Somebody says that things are otherwise than when Dispatcharr refused."""
        self._again.put(None)

    def _nudge(self) -> None:
        with suppress(RuntimeError):  # It has just ended.
            self._wake()

    def _run(self) -> None:
        import trio

        while True:
            pause: float | None = None
            try:
                trio.run(self._work)
            except BaseException as caught:
                pause = self._complain(cause_of(caught))
            self._wake = lambda: None
            with suppress(Empty):
                self._again.get(timeout=pause)

    def _complain(self, error: BaseException) -> float | None:
        """Tell what ended the work; returns the seconds until it is taken up again, None for not by itself."""
        stays = isinstance(error, ApiError | SettingsError)
        text = str(error).replace("\n", " ")
        if not isinstance(error, ApiError | SettingsError | CatalogError | IndexFileError):
            text = f"Unexpected error: {type(error).__name__}."
            _log.debug("unexpected error", exc_info=error)
        if stays:
            _note(self._state_dir, stopped=text)
            _log.error("%s No more episodes are fetched until then; SIGHUP makes it try again.", text)
            return None
        if not self._failures:
            _log.error("%s Fetching episodes waits.", text)
        self._failures += 1
        return retry_pause(self._failures, _LONGEST_RETRY)

    async def _work(self) -> None:
        import trio

        from vod2strmfs.hydrate.api import Api
        from vod2strmfs.hydrate.catalogue import Catalogue
        from vod2strmfs.hydrate.filler import Filler
        from vod2strmfs.hydrate.queue import Queue

        order = self._order
        with ExitStack() as stack:
            queue = Queue(self._state_dir, self._patience)
            stack.callback(queue.close)
            catalogue = Catalogue(self._database, self._library)
            stack.callback(catalogue.close)
            queue.note(mode=order.mode, rate=order.rate, budget=order.budget, stopped="")
            async with Api(order, self._patience.answer) as api:
                filler = Filler(
                    queue, catalogue, api, limits_of(order), self._patience,
                    settled=self._settled, before=lambda: self._take_opened(filler),
                )  # fmt: skip
                token = trio.lowlevel.current_trio_token()
                self._wake = lambda: token.run_sync_soon(filler.wake)
                await filler.run(until_done=False)

    def _settled(self, item: Item, outcome: Outcome) -> None:
        if self._failures:
            _log.info("Episodes are fetched again after %d failed attempts.", self._failures)
            self._failures = 0
        if item.wished and outcome.kind == Kind.FILLED:
            self._filled()

    def _take_opened(self, filler: "object") -> None:
        from vod2strmfs.hydrate.filler import Filler
        from vod2strmfs.hydrate.opened import series_of

        assert isinstance(filler, Filler)
        nodes = []
        with suppress(Empty):
            while True:
                nodes.append(self._opened.get_nowait())
        if nodes:
            with suppress(IndexFileError):  # The next who opens them is as welcome.
                filler.queue.use(series_of(self._state_dir, nodes), wish=self._order.mode == "on_open")


def begin(
    order: HydrateOrder | None,
    database: str,
    library: LibrarySettings,
    state_dir: Path,
    filled: Callable[[], None] = lambda: None,
) -> Background | None:
    """What fills series, if anything is to; see `Background`. It is not started yet."""
    if order is not None:
        return Background(order, database, library, state_dir, filled=filled)
    if (state_dir / FILE_NAME).exists():
        # Whoever asks how it goes is not to be told of plans that were given up.
        _note(state_dir, mode="", stopped="")
    return None


def _note(state_dir: Path, **values: object) -> None:
    from vod2strmfs.hydrate.queue import Queue

    with suppress(IndexFileError), closing(Queue(state_dir, Patience())) as queue:
        queue.note(**values)


def limits_of(order: HydrateOrder) -> Limits:
    """How much may be asked by itself."""
    return Limits(order.rate, order.budget, order.parallel, order.older_than * DAY, wished_only=order.mode == "on_open")
