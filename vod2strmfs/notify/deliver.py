"""Telling servers what waits in the outbox, all of them at once, and each in its own time."""

import logging
import math
import time
from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from importlib import import_module
from typing import cast

import trio

from vod2strmfs.notify.account import Account
from vod2strmfs.notify.client import Client, Connect, Library, targets_of
from vod2strmfs.notify.http import TellError
from vod2strmfs.notify.order import COMMAND, FEW_FOLDERS, Order, Server
from vod2strmfs.notify.outbox import Outbox, Waiting
from vod2strmfs.notify.places import seen_at, within
from vod2strmfs.schedule import zone

_FIRST_PAUSE = 5.0
"""Seconds after a failed attempt, doubled each time."""
_BUSY_PAUSE = 30.0
"""Seconds until it is looked again whether another process is done, which goes on with all that waits."""
_LONGEST_PAUSE = 600.0
_LONGEST_ASKED_PAUSE = 24 * 3600.0
"""However long a server asks to be left alone."""
_SPREAD = 0.6
"""Seconds for each film that a mount shows: a tenth more of them is learnt meanwhile, at ten a minute."""
_LONGEST_SPREAD = 7200.0

_log = logging.getLogger("vod2strmfs")


def connect(server: Server) -> Connect:
    """What connects to a kind of server; it is imported now, since a library seldom has more than one."""
    kind = {"emby": "jellyfin"}.get(server.kind, server.kind)
    return cast(Connect, import_module(f"vod2strmfs.notify.{kind}").connect)


class Gathering:
    """How long what comes for a server is gathered, after it was told or asked what it has.

    A few folders: as long as `Order.gather` says. More of them are a scan of a whole library, which takes the longer,
    the more is in it. So while more and more comes, these scans are the farther apart, the more the mount shows; the
    last one is when nothing has come for as long as `Order.gather` says. A command scans nothing.

    Args:
        outbox: what waits.
        seconds: see `Order.gather`.
        films: how many the mount shows.
    """

    def __init__(self, outbox: Outbox, seconds: float = 0, films: int = 0) -> None:
        self._outbox = outbox
        self._seconds = seconds
        self._spread = min(films * _SPREAD, _LONGEST_SPREAD)

    def due(self, account: Account) -> float:
        """From when on a server may be told, in seconds since the epoch."""
        if account.failures:
            # More than that was said by a clock that was set back since.
            return account.next_try if account.next_try <= time.time() + _LONGEST_ASKED_PAUSE else 0.0
        asked_at = max(account.told_at, account.next_try - self._seconds)
        if asked_at > time.time():
            return 0.0  # A clock that was set back is no reason to wait for longer.
        return asked_at + max(self._seconds, min(self._spread, self._until_rest(account, asked_at)))

    def _until_rest(self, account: Account, asked_at: float) -> float:
        """Seconds from then on until nothing more has come for a while; 0 if few folders wait."""
        if account.name == COMMAND or self._spread <= self._seconds:
            return 0.0
        rows = self._outbox.waiting(account.name)
        is_few = len(rows) <= FEW_FOLDERS and not any(row.change.is_section for row in rows)
        return 0.0 if is_few else max(row.since for row in rows) + self._seconds - asked_at


class Delivery:
    """One passage over all servers.

    Args:
        outbox: what waits.
        order: who is told, and when.
        gathering: how long what waits is gathered.
    """

    def __init__(self, outbox: Outbox, order: Order, gathering: Gathering) -> None:
        self._outbox = outbox
        self._order = order
        self._gathering = gathering
        self._stopped = trio.Event()
        self.busy: set[str] = set()
        """Servers that another process is just telling."""

    async def run(self) -> None:
        """Tell all servers that wait and are due."""
        accounts = {account.name: account for account in self._outbox.accounts()}
        async with trio.open_nursery() as nursery:
            for server in self._order.servers:
                account = accounts.get(server.name)
                if account is not None and account.waiting and self._is_due(account):
                    nursery.start_soon(self._serve, server, account.failures)

    def _is_due(self, account: Account) -> bool:
        is_tried_now = self._order.at_once and account.failures > 0
        return is_tried_now or self._gathering.due(account) <= time.time()

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
                newest = math.inf
                while (rows := self._waiting(server, newest)) and not self._stopped.is_set():
                    if self._order.gather:
                        # What comes meanwhile is gathered; what is left to do for these folders is done.
                        newest = min(newest, max(row.number for row in rows))
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

    def _waiting(self, server: Server, newest: float) -> list[Waiting]:
        return [row for row in self._outbox.waiting(server.name) if row.number <= newest]

    async def _tell(self, server: Server, client: Client, rows: list[Waiting]) -> bool:
        """Tell a server of some changes; returns whether it is worth looking whether there is more."""
        libraries = await _libraries(server, client)
        targets, outside = targets_of(server, rows, libraries)
        if outside:
            self._leave_out(server, outside, libraries)
        if again := sum(row.is_sent for row in rows):
            folders = "folder" if again == 1 else "folders"
            _log.info("%s is told of %d %s again: nobody knows whether it was before.", server.name, again, folders)
        number, taken = 0, set[int]()
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
            taken |= {row.number for row in step.rows}
        if left := [target.row for target in targets if target.row.number not in taken]:
            self._leave_out(server, left, libraries)
        if number:
            _log.info("%s was told of %d %s.", server.name, number, "folder" if number == 1 else "folders")
        return True

    def _leave_out(self, server: Server, rows: Sequence[Waiting], libraries: Sequence[Library]) -> None:
        """Do not tell a server of what none of its libraries holds. Whoever has those of the other mount may have no
        others, so that is no reason for a warning."""
        folders = server.libraries or tuple(folder for library in libraries for folder in library.folders)
        has_other = within(seen_at(self._order.beside, server.paths), folders) if self._order.beside else []
        say = _log.debug if has_other else _log.warning
        say(
            "%s has no library that holds %s%s, and is not told of that: see `vod2strmfs notify test`.",
            server.name, rows[0].change.path, f" and {len(rows) - 1} more" if rows[1:] else "",
        )  # fmt: skip
        self._outbox.left_out(server.name, rows, self._order.gather)

    def _fail(self, server: Server, error: TellError, failures: int) -> None:
        pause = _LONGEST_PAUSE if error.lasting else min(_FIRST_PAUSE * 2.0 ** min(failures, 20), _LONGEST_PAUSE)
        if error.pause is not None:
            pause = max(1.0, min(error.pause, _LONGEST_ASKED_PAUSE))
        say = _log.debug if failures else _log.warning
        say("%s %s. What changed is kept until it can be told.", server.name, error)
        self._outbox.failed(server.name, str(error), pause)


async def _libraries(server: Server, client: Client) -> list[Library]:
    """The libraries that a server has; none if they are named in the settings, unless requests need their keys."""
    return [] if server.libraries and server.kind != "plex" else await client.libraries()


def next_due(
    outbox: Outbox,
    servers: Set[str],
    quiet: str,
    time_zone: str,
    busy: Set[str] = frozenset(),
    gathering: Gathering | None = None,
) -> float:
    """Seconds until there is something to do; below 0: nothing waits.

    Args:
        outbox: what waits.
        servers: the names of those that are told.
        quiet: see `rest_of_quiet`.
        time_zone: in which these hours are meant.
        busy: servers that another process is just telling.
        gathering: how long what waits is gathered; None: not at all.
    """
    gathering = gathering or Gathering(outbox)
    later = time.time() + _BUSY_PAUSE
    waiting = (each for each in outbox.accounts() if each.waiting and each.name in servers)
    times = [later if each.name in busy else gathering.due(each) for each in waiting]
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
