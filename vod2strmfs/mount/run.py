"""The life of a mount, from top to bottom."""

import logging
import math
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyfuse3
import trio

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.errors import MountError, SettingsError
from vod2strmfs.host.beside import command, log_said
from vod2strmfs.host.causes import cause_of
from vod2strmfs.host.service_manager import notify, watchdog_seconds
from vod2strmfs.index.file import make_directory
from vod2strmfs.index.order import ArtworkOrder, HydrateOrder, Order
from vod2strmfs.index.store import Store
from vod2strmfs.library import stats_csv
from vod2strmfs.mount import point, wire
from vod2strmfs.mount.device import Device, negotiated
from vod2strmfs.mount.follow import Follower, forget, forget_all, is_sound
from vod2strmfs.mount.handlers import LibraryHandlers, Owner
from vod2strmfs.mount.people import People, watch
from vod2strmfs.mount.status import Mount, Reporter, report
from vod2strmfs.mount.trace import traced
from vod2strmfs.notify.courier import Courier
from vod2strmfs.notify.order import order as notify_order
from vod2strmfs.settings import Settings
from vod2strmfs.status import page
from vod2strmfs.status.words import library_text

_log = logging.getLogger("vod2strmfs")

_WATCH_SECONDS = 0.3
"""How often a mount looks for a new generation in its index."""
_RESTART_SECONDS = 5.0
_FIRST_SCAN_SECONDS = 5.0
"""For so long, at the most, the worker waits for a scan that comes right after the start."""
_QUIET_SECONDS, _QUIET_REQUESTS = 0.3, 100
"""Nobody scans if there were fewer requests than that in this time."""
_ORDERS = 8
"""So many orders may wait for the worker; what it does not take is forgotten."""
_EXAMINE_SECONDS = 600.0
"""How long to wait, at least, between two examinations of an index that some requests fail with."""


class Program(NamedTuple):
    """A process that runs beside the mount. It ends when its standard input does, and logs to standard error."""

    module: str
    does: str
    hidden: tuple[str, ...] = ()
    """How variables begin that it does not get."""


_WORKER = Program("vod2strmfs.sync.worker", "reads the database")
_STATUS_PAGE = Program(page.MODULE, "serves the status page", page.HIDDEN)


def mount(settings: Settings, mountpoint: Path, ready: Callable[[], None], *, source: str = point.SUBTYPE) -> None:
    """Mount the library and serve it until it is unmounted or the process is told to stop.

    Args:
        settings: of the command.
        mountpoint: an existing directory.
        ready: called once the first generation is there to be seen.
        source: what the mount table shows as the mounted thing.

    Raises:
        MountError: it cannot be mounted.
        IndexFileError: the index cannot be made or opened.
    """
    point.prepare(mountpoint, allow_other=settings.allow_other, uncovered=(settings.state_dir, settings.logs))
    order = worker_order(settings)
    make_directory(order.state_dir)
    for warning in settings.warnings():
        _log.warning("%s", warning)
    handlers = LibraryHandlers(Owner(settings.uid, settings.gid, settings.umask), Pictures(order.state_dir))
    people = People()
    if order.hydrate:
        handlers.opened = people.note
    device = device_of(handlers, settings)
    follower = Follower(handlers, order.state_dir, settings.write_nfo)
    with Courier(notify_order(settings, order.level, mountpoint)) as courier:
        announce = partial(_announce, follower, mountpoint, ready)
        reporter = Reporter(Mount(mountpoint, handlers, follower, device, courier, order.accept, settings.merge))
        beside = partial(_start_beside, reporter, follower, people, order, settings, courier, announce)
        trio.run(serve, device, order, mounted(mountpoint, settings, source), beside)


def worker_order(settings: Settings) -> Order:
    """What the worker is told.

    Raises:
        SettingsError: the settings do not say enough, or a file with a secret cannot be read.
    """
    return Order(
        database=settings.database_url(),
        library=settings.library(),
        state_dir=settings.state_dir.absolute(),
        max_shrink=settings.max_shrink,
        accept=settings.command("sync", "--accept-shrink"),
        poll_interval=settings.poll_interval,
        hydrate=_hydration(settings),
        artwork=ArtworkOrder.of(settings, database=settings.database_url()),
        level=_log.getEffectiveLevel(),
    )


def device_of(handlers: LibraryHandlers, settings: Settings) -> Device:
    """The device of a mount whose requests are answered by handlers, and logged with `debug_logging`."""
    answer = partial(wire.answer, handlers)
    device = Device(traced(answer) if settings.debug_logging else answer, handlers.prepare, handlers.is_streaming)
    handlers.tell = device.tell
    return device


def _announce(follower: Follower, mountpoint: Path, ready: Callable[[], None]) -> None:
    """Say that the library can be seen, and what is in it."""
    if follower.store is not None:
        _log.info("Mounted at %s: %s.", mountpoint, library_text(stats_csv.parse(follower.store.stats())))
    ready()


def _hydration(settings: Settings) -> HydrateOrder | None:
    if settings.hydrate == "off":
        return None
    if settings.hydrate == "on_open" and settings.empty_series == "hide":
        raise SettingsError(
            "hydrate: on_open is about folders of series without episodes, and these are hidden."
            " Set empty_series = show as well, or hydrate = background."
        )
    return HydrateOrder.of(settings, settings.base_url)


def _escaped(value: str) -> str:
    """A value as it stands in libfuse's options, which have commas between."""
    return re.sub(r"([\\,])", r"\\\1", value)


class _Negotiation(pyfuse3.Operations):
    """What pyfuse3 needs to know to agree with the kernel on features; it is asked nothing else."""

    supports_dot_lookup = True
    enable_writeback_cache = False


@contextmanager
def mounted(mountpoint: Path, settings: Settings, source: str) -> Iterator[None]:
    """Mount the file system for as long as the context lasts. After an error, the dead mount stays in place.

    All who look at that get an error. From an empty folder, media servers would conclude that the library is gone.
    """
    options = {"ro", "default_permissions", f"fsname={_escaped(source)}", f"subtype={point.SUBTYPE}", "noatime"}
    if settings.allow_other:
        options.add("allow_other")
    try:
        pyfuse3.init(_Negotiation(), str(mountpoint), options)
    except RuntimeError as error:
        raise MountError(f"mount point {mountpoint}: libfuse could not mount ({error}).") from error
    is_over = False
    try:
        yield
        is_over = True
    finally:
        pyfuse3.close(unmount=is_over)


Beside = Callable[[trio.Nursery, "trio.MemorySendChannel[str]"], None]
"""Starts what a mount does beside answering requests, in a nursery. It is given where lines for the worker go."""


async def serve(device: Device, order: Order, mounting: AbstractContextManager[None], beside: Beside) -> None:
    """Mount, and serve until the file system is unmounted or the process is told to stop.

    Args:
        device: answers requests.
        order: the worker's.
        mounting: mounts while it lasts.
        beside: starts what belongs to this mount alone.
    """
    look_now, orders = trio.open_memory_channel[str](_ORDERS)
    # From here on a signal ends the mount, and does not leave it behind.
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals, mounting:
        async with trio.open_nursery() as answering:
            # Requests are answered until all else has ended, in whatever way it does: the kernel may keep a
            # notification waiting for a request, and without an answer neither would ever end.
            serving = trio.CancelScope()
            answering.start_soon(_answer, device, serving)
            with serving:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep_up, _obey_signals, signals, look_now, serving)
                    nursery.start_soon(_work, device, order, orders)
                    nursery.start_soon(keep_up, _say_alive)
                    beside(nursery, look_now)
            notify("STOPPING=1")
            answering.cancel_scope.cancel()


def _start_beside(
    reporter: Reporter,
    follower: Follower,
    people: People,
    order: Order,
    settings: Settings,
    courier: Courier,
    ready: Callable[[], None],
    nursery: trio.Nursery,
    look_now: "trio.MemorySendChannel[str]",
) -> None:
    nursery.start_soon(keep_up, follow_index, follower, order.state_dir, courier, ready)
    nursery.start_soon(keep_up, examine_index, follower, order.state_dir, look_now)
    nursery.start_soon(keep_up, report, reporter, order.state_dir)
    if order.hydrate:
        nursery.start_soon(keep_up, watch, people, follower, look_now)
    if settings.status_listen:
        told = page.page_order(settings)
        nursery.start_soon(keep_up, _keep, _STATUS_PAGE, page.page_arguments(settings), told, None)


async def _answer(device: Device, beside: trio.CancelScope) -> None:
    """Answer requests until the library is unmounted, or this is cancelled; then end what is beside it."""
    descriptor = await negotiated()
    try:
        await device.serve(descriptor)
    except Exception as error:
        beside.cancel()
        try:
            await device.serve(descriptor)
        finally:
            # Whatever ends this, that is what the mount ended with.
            raise error
    beside.cancel()


async def keep_up(task: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run a task, and again if it fails: what is beside the answering of requests must not end it."""
    while True:
        try:
            await task(*arguments)
            return
        except Exception as error:
            _log.error("Unexpected error: %s; going on.", _one_line(error))
            _log.debug("unexpected error", exc_info=True)
        await trio.sleep(_RESTART_SECONDS)


def _one_line(error: BaseException) -> str:
    error = cause_of(error)
    return f"{type(error).__name__}: {error}".replace("\n", " ")


async def _say_alive() -> None:
    """Let the service manager know that the loop, which answers requests too, goes round."""
    if seconds := watchdog_seconds():
        while True:
            notify("WATCHDOG=1")
            await trio.sleep(seconds)


async def _obey_signals(
    signals: AsyncIterator[int], look_now: trio.MemorySendChannel[str], serving: trio.CancelScope
) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            _log.info("Stopping on %s.", signal.Signals(number).name)
            serving.cancel()
            return
        with suppress(trio.WouldBlock):
            look_now.send_nowait("")


async def _work(device: Device, order: Order, orders: trio.MemoryReceiveChannel[str]) -> None:
    """Keep the worker running.

    Its start and its first look at the whole index are a second of work or more, just when media servers that have
    found the mount scan it. They would wait for it; so it waits for them, unless there is no library yet.
    """
    if Store.exists(order.state_dir):
        await first_scan(device)
    await keep_up(_keep, _WORKER, [], order.model_dump_json(), orders)


async def first_scan(device: Device) -> None:
    """Wait until nobody scans, but not for long."""
    with trio.move_on_after(_FIRST_SCAN_SECONDS):
        before = -_QUIET_REQUESTS
        while device.requests - before >= _QUIET_REQUESTS:
            before = device.requests
            await trio.sleep(_QUIET_SECONDS)


async def _keep(
    program: Program, arguments: list[str], order: str, orders: trio.MemoryReceiveChannel[str] | None
) -> None:
    """Run a process beside the mount, and start it again if it dies.

    Args:
        program: what runs.
        arguments: of its command line, which every user can see.
        order: the first line of its standard input.
        orders: it gets a line for each that comes.
    """
    while True:
        process = await trio.lowlevel.open_process(
            command(program.module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith(program.hidden)},
            process_group=0,  # Ctrl-C at the terminal is for the mount.
        )
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, order, orders, process.stdin)
                await _log_lines(process.stderr)
                await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            # It may hang in the database, or still be loading its modules; cut off anywhere, it leaves nothing undone.
            with trio.CancelScope(shield=True):
                process.kill()
                await process.stdin.aclose()
                await process.wait()
        _log.error("The process that %s ended with code %s; starting it again.", program.does, process.returncode)
        await trio.sleep(_RESTART_SECONDS)


async def _pass_on(order: str, orders: trio.MemoryReceiveChannel[str] | None, stdin: trio.abc.SendStream) -> None:
    with suppress(trio.BrokenResourceError):
        await stdin.send_all(order.encode() + b"\n")
        if orders is not None:
            async for line in orders:
                await stdin.send_all(line.encode() + b"\n")


async def _log_lines(stream: trio.abc.ReceiveStream) -> None:
    """Log what a process says."""
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            log_said(line.decode(errors="replace"))


async def follow_index(follower: Follower, state_dir: Path, courier: Courier, ready: Callable[[], None]) -> None:
    """Show the newest generation, tell the kernel what it changed, and then have media servers told."""
    announced, untold, seen = False, False, 0
    while True:
        step = follower.look()
        # The kernel may wait for a request that this thread has to answer.
        if step is not None:
            untold |= not await trio.to_thread.run_sync(forget, state_dir, step)
        elif untold:
            untold = not await trio.to_thread.run_sync(forget_all)
        if not untold and follower.shows and follower.store is not None and follower.store.generation != seen:
            seen = follower.store.generation
            courier.tell(seen)
        if follower.shows and not announced and notify("READY=1"):
            ready()
            announced = True
        if step is None:
            await trio.sleep(_WATCH_SECONDS)


async def examine_index(follower: Follower, state_dir: Path, look_now: trio.MemorySendChannel[str]) -> None:
    """Have the index examined when requests meet damage in it: it may have come after the first examination.

    The worker does that, and makes a damaged one anew, for which it needs the database. What is doubted is examined
    here as well: if it is whole after all, it can be shown again.
    """
    seen, told = follower.damage, -math.inf

    def tell_worker() -> None:
        nonlocal seen, told
        seen, told = follower.damage, trio.current_time()
        with suppress(trio.WouldBlock):
            look_now.send_nowait("")

    while True:
        await trio.sleep(_WATCH_SECONDS)
        if follower.damage != seen and trio.current_time() > told + _EXAMINE_SECONDS:
            tell_worker()
        if follower.doubted:
            if await trio.to_thread.run_sync(is_sound, state_dir):
                follower.trust()
            else:
                await trio.sleep(_RESTART_SECONDS)
                tell_worker()
