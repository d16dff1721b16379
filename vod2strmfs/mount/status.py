"""Saying how the mount is, to whoever asks at its socket."""

import logging
import os
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from vod2strmfs import __version__
from vod2strmfs.index.held import advise, explain
from vod2strmfs.index.merge import explain_merge
from vod2strmfs.library import stats_csv as stats
from vod2strmfs.mount.device import Device
from vod2strmfs.mount.follow import Follower
from vod2strmfs.mount.handlers import LibraryHandlers
from vod2strmfs.notify.courier import Courier
from vod2strmfs.settings import Merge
from vod2strmfs.status.channel import listening
from vod2strmfs.status.state import MountState, encode

_log = logging.getLogger("vod2strmfs")

_SAMPLE_SECONDS = 1.0
SAMPLES = 10
"""The rate of requests is that of the last ten seconds."""
_RETRY_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
"""For somebody who asked and does not take the answer."""


class Mount(NamedTuple):
    """What a mount consists of, as far as it is asked how the mount is."""

    mountpoint: Path
    handlers: LibraryHandlers
    """What answers its requests."""
    follower: Follower
    """What keeps it at the newest generation."""
    device: Device
    """Where its requests come from."""
    courier: Courier
    """What has media servers told."""
    accept: str
    """The command that accepts what the shrink brake holds."""
    merge: Merge | None
    """What its settings name, if they do."""


class Reporter:
    """The state of a mount, for whoever asks.

    Args:
        mount: the mount.
    """

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._started = time.time()
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=SAMPLES + 1)
        self.logged = LoggedCounts()

    def sample(self) -> None:
        """Note how many requests there were until now."""
        self._samples.append((time.monotonic(), self._mount.device.requests))

    def state(self) -> MountState:
        """How the mount is now. Reads no file."""
        store = self._mount.follower.store
        shown = store if store is not None and self._mount.follower.shows else None
        return MountState(
            version=__version__,
            pid=os.getpid(),
            mountpoint=str(self._mount.mountpoint),
            now=time.time(),
            started=self._started,
            generation=shown.generation if shown else 0,
            made=shown.made / 1e9 if shown else 0,
            synced=store.compared / 1e9 if store else 0,
            stale_since=store.failing_since if store else 0,
            error=store.error if store else self._mount.follower.error,
            metrics=stats.parse(shown.stats()) if shown else {},
            held_because=explain(shown.held) if shown else "",
            held_advice=advise(shown.held, f"run `{self._mount.accept}`") if shown and shown.held else "",
            accept=self._mount.accept if shown and shown.held else "",
            merge=explain_merge(self._mount.merge, shown.settings.merge or "off") if shown else "",
            requests=self._mount.device.requests,
            requests_per_second=self._rate(),
            failed=self._mount.handlers.failures,
            cache_asked=store.asked if store else 0,
            cache_missed=store.missed if store else 0,
            logged_errors=self.logged.errors,
            logged_warnings=self.logged.warnings,
            servers=tuple(self._mount.courier.accounts),
        )

    def _rate(self) -> float:
        then, before = self._samples[0]
        return (self._mount.device.requests - before) / max(time.monotonic() - then, _SAMPLE_SECONDS)


class LoggedCounts(logging.Handler):
    """How many messages were warnings, and how many errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors = 0
        self.warnings = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        if record.levelno >= logging.ERROR:
            self.errors += 1
        else:
            self.warnings += 1


async def report(reporter: Reporter, state_dir: Path) -> None:
    """Answer at the socket of the state directory, as long as no other mount does. Never returns, never raises."""
    _log.addHandler(reporter.logged)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_sample, reporter)
            await _listen(reporter, state_dir)
    finally:
        _log.removeHandler(reporter.logged)


async def _sample(reporter: Reporter) -> None:
    while True:
        await trio.sleep(_SAMPLE_SECONDS)
        reporter.sample()


async def _listen(reporter: Reporter, state_dir: Path) -> None:
    said = ""
    while True:
        try:
            with listening(state_dir) as channel:
                if channel is not None:
                    listener = trio.SocketListener(trio.socket.from_stdlib_socket(channel))
                    await trio.serve_listeners(partial(_answer, reporter), [listener])
                problem = "another mount of this state directory has taken the socket"
        except OSError as error:
            problem = str(error)
        if problem != said:
            _log.warning("`vod2strmfs status` cannot ask this mount: %s.", problem)
            said = problem
        await trio.sleep(_RETRY_SECONDS)


async def _answer(reporter: Reporter, stream: trio.SocketStream) -> None:
    async with stream:
        with trio.move_on_after(_PATIENCE_SECONDS):
            try:
                await stream.send_all(encode(reporter.state()))
            except trio.BrokenResourceError:
                pass  # They left.
            except Exception:  # Whatever it is, it must not end the mount.
                _log.exception("The mount cannot say how it is.")
