"""Telling media servers what a run changed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from vod2strmfs.errors import UserError
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.materialize.touched import Touched
    from vod2strmfs.notify.order import Order

TELL_SECONDS = 60.0
"""Seconds that a command waits for servers."""

_log = logging.getLogger("vod2strmfs")


def order_of(settings: Settings) -> "Order":
    """The order that says what is told to whom of the output root, or the mount point, of a command."""
    from vod2strmfs.notify.order import order

    return order(settings, _log.getEffectiveLevel(), settings.output_root)


def orders_of(settings: Settings) -> "list[Order]":
    """All orders of a library: `order_of`, and what the mount of films has to tell, if it ever had something."""
    from vod2strmfs.films.film import FOLDER
    from vod2strmfs.notify.order import films_order
    from vod2strmfs.notify.outbox import FILE_NAME

    folder = settings.state_dir / FOLDER
    orders = [order_of(settings)]
    if os.path.exists(folder / FILE_NAME):  # Nor if we may not look: the first order says so.
        orders.append(films_order(settings, _log.getEffectiveLevel(), settings.films_root, folder))
    return orders


@contextmanager
def noting(settings: Settings) -> Iterator["Touched"]:
    """A note of the titles that a run touches; at its end, however it ends, servers can be told of them."""
    from vod2strmfs.materialize.touched import Touched
    from vod2strmfs.notify.outbox import Outbox

    order = order_of(settings)
    if not order.servers:
        yield Touched()
        return
    names = [server.name for server in order.servers]
    with Outbox(settings.state_dir) as outbox:
        touched = Touched(partial(outbox.stage, order.root), order.limit)
        try:
            yield touched
        finally:
            touched.flush()
            try:
                outbox.release(names, order.root, order.limit)
            except UserError as error:
                _log.error("%s", error)


def tell(settings: Settings) -> None:
    """Tell servers of what waits, for at most `TELL_SECONDS`; what is left then is told with the next run."""
    from vod2strmfs.notify.courier import send

    order = order_of(settings)
    if order.servers:
        send(order, TELL_SECONDS)
