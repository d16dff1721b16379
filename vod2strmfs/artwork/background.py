"""Fetching images in a thread of a process that keeps an index up to date: a mount's worker, or `run`."""

import logging
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vod2strmfs.artwork.figures import FILE_NAME
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.order import ArtworkOrder

if TYPE_CHECKING:
    from vod2strmfs.artwork.fetcher import Publish

_RETRY_SECONDS = 60.0
_TURN_SECONDS = 5.0
"""How often to see whether another process that fetches has ended."""

_log = logging.getLogger("vod2strmfs")


def begin(order: ArtworkOrder | None, state_dir: Path, publish: "Publish") -> None:
    """Begin to fetch images, if that is wanted, in a thread that ends with the process: the next one goes on.

    httpcore and trio are loaded by the thread: a process that fetches nothing does without them.

    Args:
        order: how; None: no images are wanted.
        state_dir: where the index is, or will be.
        publish: has images shown.
    """
    if order is not None:
        threading.Thread(target=_run, args=(order, state_dir, publish), name="artwork", daemon=True).start()
    elif (state_dir / FILE_NAME).exists():
        # Whoever asks how it goes is not to be told of plans that were given up.
        from vod2strmfs.artwork.queue import Queue

        with suppress(IndexFileError), closing(Queue(state_dir)) as queue:
            queue.note(mode="", stopped="")


def _run(order: ArtworkOrder, state_dir: Path, publish: "Publish") -> None:
    from vod2strmfs.artwork.command import work
    from vod2strmfs.artwork.queue import holding

    failed = False
    while True:
        try:
            with holding(state_dir) as held:
                if held:
                    work(order, state_dir, publish, until_done=False)
            time.sleep(_TURN_SECONDS)
            continue
        except Exception as error:
            known = isinstance(error, IndexFileError)
            text = str(error).replace("\n", " ") if known else f"Unexpected error: {type(error).__name__}: {error}."
            if not failed:
                _log.error("%s Fetching images waits.", text)
            _log.debug("Fetching images failed.", exc_info=True)
            failed = True
        time.sleep(_RETRY_SECONDS)
