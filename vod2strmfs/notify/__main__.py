"""The process that tells media servers: `python -m vod2strmfs.notify`.

It lives as long as there is something to tell that can be told now, so that HTTP and TLS take no memory of a mount.
An `Order` comes as JSON on standard input; an `Answer` goes to standard output. What it says goes to standard error.
"""

import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import trio

from vod2strmfs.errors import IndexFileError, UserError
from vod2strmfs.host.beside import SAID
from vod2strmfs.index.store import Store
from vod2strmfs.library import stats_csv
from vod2strmfs.notify.deliver import Delivery, Gathering, next_due, rest_of_quiet
from vod2strmfs.notify.order import Answer, Order
from vod2strmfs.notify.outbox import Outbox
from vod2strmfs.notify.plan import changed_titles
from vod2strmfs.schedule import zone

_RETRY_SECONDS = 30.0
_STOP_SECONDS = 3.0
"""How long a request may go on when the process is told to end."""

_log = logging.getLogger("vod2strmfs")


def main() -> None:
    """Read the order and carry it out."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    logging.basicConfig(stream=sys.stderr, format=SAID)
    _log.setLevel(order.level)
    try:
        answer = carry_out(order)
    except UserError as error:
        _log.error("%s", str(error).replace("\n", " "))
        answer = Answer(pause=_RETRY_SECONDS)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def carry_out(order: Order) -> Answer:
    """Plan, tell what can be told, and say how it stands.

    Raises:
        UserError: the index or the outbox cannot be used.
    """
    with Outbox(Path(order.state_dir), Path(order.locks) if order.locks else None) as outbox:
        if order.generation:
            plan(order, outbox)
        gathering = Gathering(outbox, order.gather, films_shown(order) if order.gather else 0)
        busy: frozenset[str] = frozenset()
        if not rest_of_quiet(order.quiet, datetime.now(zone(order.time_zone))):
            busy = trio.run(_deliver, order, outbox, gathering)
        names = {server.name for server in order.servers}
        pause = next_due(outbox, names, order.quiet, order.time_zone, busy, gathering)
        return Answer(tuple(outbox.accounts()), pause)


def plan(order: Order, outbox: Outbox) -> None:
    """Have everything in the outbox that a mount's generation changed."""
    names = [server.name for server in order.servers]
    with closing(Store(Path(order.state_dir))) as store:
        if store.generation != order.generation or store.identity is None:
            return  # It has another generation already, which will be told of when the mount shows it.
        inode = store.identity[1]
        before = outbox.generation(order.root, inode)
        if before == store.generation:
            return
        changes = changed_titles(store, before, order.limit, write_nfo=order.write_nfo)
    outbox.add(names, order.root, changes, order.limit, (inode, order.generation))


def films_shown(order: Order) -> int:
    """How many films the mount shows; 0 where that cannot be known, as where there is no generation yet."""
    with suppress(IndexFileError), closing(Store(Path(order.state_dir))) as store:
        return int(stats_csv.parse(store.stats()).get("filesystem", {}).get("film_files", 0))
    return 0


async def _deliver(order: Order, outbox: Outbox, gathering: Gathering) -> frozenset[str]:
    """Tell what can be told; returns the names of the servers that another process is just telling."""
    delivery = Delivery(outbox, order, gathering)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, delivery, nursery.cancel_scope)
            await delivery.run()
            nursery.cancel_scope.cancel()
    return frozenset(delivery.busy)


async def _obey(signals: AsyncIterator[int], delivery: Delivery, scope: trio.CancelScope) -> None:
    """End when told to: a request under way may be answered, so that nobody has to be told twice."""
    async for _ in signals:
        delivery.stop()
        await trio.sleep(_STOP_SECONDS)
        scope.cancel()


if __name__ == "__main__":
    main()
