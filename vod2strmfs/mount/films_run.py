"""The life of the films' mount: as that of the library's, which is another process; and films are learnt and played."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.errors import MountError
from vod2strmfs.films.admission import Admission
from vod2strmfs.films.film import FOLDER
from vod2strmfs.films.learner import Learner
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.player import Player
from vod2strmfs.films.store import MOUNT_LOCK_NAME, Films
from vod2strmfs.films.upstream import Upstream
from vod2strmfs.films.wanted import Addresses
from vod2strmfs.host.lock import held
from vod2strmfs.host.mount_table import libraries
from vod2strmfs.hydrate.api import Api
from vod2strmfs.index.file import make_directory
from vod2strmfs.index.order import FILMS_LEARNT, HydrateOrder
from vod2strmfs.library import stats_csv
from vod2strmfs.mount import point
from vod2strmfs.mount.films_handlers import FilmsHandlers
from vod2strmfs.mount.films_status import FilmsReporter, Sources
from vod2strmfs.mount.follow import Follower
from vod2strmfs.mount.handlers import Owner
from vod2strmfs.mount.run import device_of, examine_index, follow_index, keep_up, mounted, serve, worker_order
from vod2strmfs.mount.status import Mount, Reporter, report
from vod2strmfs.notify.courier import Courier
from vod2strmfs.notify.order import films_order
from vod2strmfs.settings import Settings
from vod2strmfs.status.words import counted

_log = logging.getLogger("vod2strmfs")

SOURCE = "vod2strmfs-films"
"""What the mount table shows as the mounted thing."""
_LOCK_SECONDS = 0.5
"""For which somebody holds the lock who only looks whether it is held, and more."""
_API_SECONDS = 5.0
"""For Dispatcharr's answers about its streams."""
_WATCH_SECONDS = 1.0
"""How often to see whether something was learnt."""


class Engine(NamedTuple):
    """What learns and plays films, put together."""

    films: Films
    player: Player
    learner: Learner
    sources: Sources
    api: AbstractAsyncContextManager[object]


def mount(settings: Settings, mountpoint: Path, ready: Callable[[], None]) -> None:
    """Mount the films and serve them until they are unmounted or the process is told to stop.

    Args:
        settings: of the command.
        mountpoint: an existing directory.
        ready: called once there is a generation to be seen.

    Raises:
        MountError: they cannot be mounted.
        IndexFileError: an index, or what is known of films, cannot be made or opened.
    """
    check_place(mountpoint, settings.output_root)
    point.prepare(mountpoint, allow_other=settings.allow_other, uncovered=(settings.state_dir, settings.logs))
    order = worker_order(settings).model_copy(update={"films": True})
    make_directory(order.state_dir)
    if warning := _warning(settings):
        _log.warning("%s", warning)
    folder = order.state_dir / FOLDER
    make_directory(folder)
    with _alone(folder), Films(order.state_dir, limit=FilmsOrder.of(settings).cache) as films:
        engine = _engine(settings, order.state_dir, films)
        owner = Owner(settings.uid, settings.gid, settings.umask)
        handlers = FilmsHandlers(owner, Pictures(order.state_dir), films, engine.player)
        device = device_of(handlers, settings)
        follower = Follower(handlers, folder, settings.write_nfo)
        with Courier(films_order(settings, order.level, mountpoint, folder)) as courier:
            shown = Mount(mountpoint, handlers, follower, device, courier, order.accept, settings.merge)
            reporter = FilmsReporter(shown, engine.sources)
            announce = partial(_announce, follower, mountpoint, ready)
            beside = partial(_start_beside, engine, reporter, follower, folder, courier, announce)
            trio.run(serve, device, order, mounted(mountpoint, settings, SOURCE), beside)


def check_place(mountpoint: Path, library: Path) -> None:
    """Refuse to mount at the library's place, in it, or over it, by a link either. By its path alone: a library that
    hangs is not to be asked.

    Raises:
        MountError: it would be.
    """
    root = Path(os.path.abspath(library))
    _check_path(mountpoint, Path(os.path.abspath(mountpoint)), root)
    _check_path(mountpoint, Path(os.path.realpath(mountpoint)), Path(os.path.realpath(root.parent), root.name))


def _check_path(mountpoint: Path, place: Path, library: Path) -> None:
    others = [Path(path) for path, _ in libraries() if path != str(place)]
    for other in [library, *others]:
        if place.is_relative_to(other):
            raise MountError(
                f"mount point {mountpoint}: {'is' if place == other else 'is in'} the place of the library ({other})."
                " Films need a folder of their own, such as /data/Films."
            )
        if other.is_relative_to(place):
            raise MountError(
                f"mount point {mountpoint}: the mount would hide the library's place, {other}."
                " Films need a folder of their own, such as /data/Films."
            )


def _warning(settings: Settings) -> str:
    """A warning about where films are asked for; empty if somebody said where that is."""
    if settings.api_url or "base_url" in settings.model_fields_set:
        return ""
    return (
        f"base_url is not set: films are asked for at {settings.base_url}, which is hardly where your Dispatcharr is."
        " Give the address by which media servers reach it, or as api_url the one by which this host does."
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make sure that no other process plays films of the same state directory: each would take its own streams.

    Raises:
        MountError: one does.
    """
    with held(folder / MOUNT_LOCK_NAME, _LOCK_SECONDS) as is_ours:
        if not is_ours:
            raise MountError(
                f"state directory {folder.parent}: its films are mounted already. `vod2strmfs status` says where, and"
                " `umount` with that place unmounts them. Another library's films need a --state-dir of their own."
            )
        yield


def _engine(settings: Settings, state_dir: Path, films: Films) -> Engine:
    order = FilmsOrder.of(settings)
    upstream = Upstream(ca_file=settings.api_ca_file)
    addresses = Addresses(state_dir, films, settings.api_url)
    signed_in = HydrateOrder.if_given(settings, settings.base_url)
    api = Api(signed_in, _API_SECONDS) if signed_in else None
    admission = Admission(order, api)
    player = Player(order, films, upstream, addresses, admission)
    learner = Learner(order, films, upstream, addresses, admission, state_dir)
    return Engine(films, player, learner, Sources(films, player, admission, upstream), api or nullcontext())


def _announce(follower: Follower, mountpoint: Path, ready: Callable[[], None]) -> None:
    """Say that the films can be seen, and how many there are."""
    if follower.store is not None:
        metrics = stats_csv.parse(follower.store.stats())
        shown = counted(metrics["filesystem"]["film_files"], "films")
        waiting = counted(metrics["index"]["films_waiting"], "films")
        _log.info(
            "Mounted at %s: %s shown, %s waiting. A film is shown once it was learnt, and each is asked for but once.",
            mountpoint,
            shown,
            waiting,
        )
    ready()


def _start_beside(
    engine: Engine,
    reporter: Reporter,
    follower: Follower,
    folder: Path,
    courier: Courier,
    ready: Callable[[], None],
    nursery: trio.Nursery,
    worker: "trio.MemorySendChannel[str]",
) -> None:
    nursery.start_soon(keep_up, follow_index, follower, folder, courier, ready)
    nursery.start_soon(keep_up, examine_index, follower, folder, worker)
    nursery.start_soon(keep_up, report, reporter, folder)
    nursery.start_soon(keep_up, _play_and_learn, engine)
    nursery.start_soon(keep_up, _watch_learning, engine.films, worker)


async def _play_and_learn(engine: Engine) -> None:
    async with engine.api, trio.open_nursery() as nursery:
        nursery.start_soon(engine.player.run)
        nursery.start_soon(keep_up, engine.learner.run)


async def _watch_learning(films: Films, worker: "trio.MemorySendChannel[str]") -> None:
    """Tell the worker when other films are to be shown, be it by this process or by another one. Never returns."""
    seen, has_warned = -1, False
    while True:
        if not has_warned and not films.is_in_place():
            has_warned = True
            # Another file may give the same numbers to other films, while somebody has them open.
            _log.error(
                "%s was deleted or replaced: what is learnt from now on is not shown until films are mounted anew.",
                films.path,
            )
        if not films.is_whole():
            await trio.to_thread.run_sync(films.mend)
        shown = films.shown()
        if shown != seen:
            with suppress(trio.WouldBlock):
                worker.send_nowait(FILMS_LEARNT)
                seen = shown
        await trio.sleep(_WATCH_SECONDS)
