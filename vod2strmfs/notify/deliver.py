"""Telling servers what waits in the outbox, all of them at once, and each in its own time."""

import logging
import time
from collections.abc import Set
from datetime import datetime, timedelta
from importlib import import_module
from typing import cast

import trio

from vod2strmfs.notify.client import Client, Connect, Library, targets_of
from vod2strmfs.notify.http import TellError
from vod2strmfs.notify.order import Server
from vod2strmfs.notify.outbox import Outbox, Waiting
from vod2strmfs.schedule import zone

_FIRST_PAUSE = 5.0
"""Seconds after a failed attempt, doubled each time."""
_BUSY_PAUSE = 30.0
"""Seconds until it is looked again whether another process is done, which goes on with all that waits."""
_LONGEST_PAUSE = 600.0

_log = logging.getLogger("vod2strmfs")


def connect(server: Server) -> Connect:
    """What connects to a kind of server; it is imported now, since a library seldom has more than one."""
    kind = {"emby": "jellyfin"}.get(server.kind, server.kind)
    return cast(Connect, import_module(f"vod2strmfs.notify.{kind}").connect)


class Delivery:
    """One passage over all servers.

    Args:
        outbox: what waits.
        servers: who is told.
        at_once: whether to try servers again whose pause has not ended.
    """

    def __init__(self, outbox: Outbox, servers: tuple[Server, ...], *, at_once: bool) -> None:
        self._outbox = outbox
        self._servers = servers
        self._at_once = at_once
        self._stopped = trio.Event()
        self.busy: set[str] = set()
        """Servers that another process is just telling."""

    async def run(self) -> None:
        """Tell all servers that wait and are due."""
        accounts = {account.name: account for account in self._outbox.accounts()}
        async with trio.open_nursery() as nursery:
            for server in self._servers:
                account = accounts.get(server.name)
                due = account is not None and (self._at_once or account.next_try <= time.time())
                if account is not None and account.waiting and due:
                    nursery.start_soon(self._serve, server, account.failures)

    def stop(self) -> None:
        """End as soon as the requests under way are answered."""
        self._stopped.set()

    async def _serve(self, server: Server, failures: int) -> None:
        """Tell one server, unless another process does, and note it if it cannot be told."""
        if not self._outbox.lock(server.name):
            self.busy.add(server.name)
            return
        try:
            async with connect(server)(server) as client:
                while (rows := self._outbox.waiting(server.name)) and not self._stopped.is_set():
                    if not await self._tell(server, client, rows):
                        return
        except TellError as error:
            self._fail(server, error, failures)
        except Exception as error:
            _log.debug("unexpected error", exc_info=True)
            self._fail(server, TellError(f"answers what nobody expects ({type(error).__name__})"), failures)
        else:
            if failures:
                _log.info("%s can be told again after %d failed attempts.", server.name, failures)
        finally:
            self._outbox.unlock(server.name)

    async def _tell(self, server: Server, client: Client, rows: list[Waiting]) -> bool:
        """Tell a server of some changes; returns whether it is worth looking whether there is more."""
        libraries = await _libraries(server, client)
        targets, outside = targets_of(server, rows, libraries)
        if outside:
            _log.warning(
                "%s has no library that holds %s%s, and is not told of that: see `vod2strmfs notify test`.",
                server.name, outside[0].change.path, f" and {len(outside) - 1} more" if outside[1:] else "",
            )  # fmt: skip
            self._outbox.told(server.name, outside)
        if again := sum(row.is_sent for row in rows):
            _log.info("%s is told of %d folders again: nobody knows whether it was before.", server.name, again)
        number = 0
        for step in client.steps(targets, libraries):
            if self._stopped.is_set():
                return False
            self._outbox.sending(step.rows)
            try:
                await step.run()
            except BaseException:
                self._outbox.not_sent(step.rows)
                raise
            self._outbox.told(server.name, step.rows, step.rest)
            number += len(step.rows) if step.rest is None else 0
        if number:
            _log.info("%s was told of %d %s.", server.name, number, "folder" if number == 1 else "folders")
        return True

    def _fail(self, server: Server, error: TellError, failures: int) -> None:
        pause = _LONGEST_PAUSE if error.lasting else min(_FIRST_PAUSE * 2.0 ** min(failures, 20), _LONGEST_PAUSE)
        if error.pause is not None:
            pause = max(1.0, min(error.pause, 24 * 3600))
        say = _log.debug if failures else _log.warning
        say("%s %s. What changed is kept until it can be told.", server.name, error)
        self._outbox.failed(server.name, str(error), pause)


async def _libraries(server: Server, client: Client) -> list[Library]:
    """The libraries that a server has; none if they are named in the settings, unless requests need their keys."""
    return [] if server.libraries and server.kind != "plex" else await client.libraries()


def next_due(outbox: Outbox, servers: Set[str], quiet: str, time_zone: str, busy: Set[str] = frozenset()) -> float:
    """Seconds until there is something to do; below 0: nothing waits.

    Args:
        outbox: what waits.
        servers: the names of those that are told.
        quiet: see `rest_of_quiet`.
        time_zone: in which these hours are meant.
        busy: servers that another process is just telling.
    """
    later = time.time() + _BUSY_PAUSE
    waiting = (each for each in outbox.accounts() if each.waiting and each.name in servers)
    times = [later if each.name in busy else each.next_try for each in waiting]
    if not times:
        return -1.0
    return max(0.0, min(times) - time.time(), rest_of_quiet(quiet, datetime.now(zone(time_zone))))


def rest_of_quiet(quiet: str, moment: datetime) -> float:
    """Seconds until the quiet hours end in which a moment is; 0 if it is in none.

    Args:
        quiet: `HH:MM-HH:MM`; what ends before it begins lasts over midnight. Empty: none.
        moment: with its time zone.
    """
    if not quiet:
        return 0.0
    begin, end = (_minutes(each) for each in quiet.split("-"))
    minute = moment.hour * 60 + moment.minute
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    if not inside:
        return 0.0
    over = moment.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
    if over <= moment:
        over += timedelta(days=1)
    return max(1.0, over.timestamp() - moment.timestamp())


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)
