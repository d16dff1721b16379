"""Who opens folders of series: people, or programs that look at all of them.

A person opens one folder and looks at it. What walks through the tree (`find`, a media server's scan, a file manager
that counts what is in each folder) opens one after the other. So what was opened is a person's choice when few other
series were opened shortly before and shortly after. It was measured with recorded scans; see docs/hydrate.md.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import trio

from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind, Slot, in_library, node_of, slot_of
from vod2strmfs.mount.follow import Follower

_LOOK_SECONDS = 1.0
SETTLE = 4.0
"""Seconds after which it is judged whether others were opened, too."""
SPAN = 45.0
"""Seconds before, in which others may have been opened."""
BREADTH = 3
"""So many different series a person may open within that time, this one included."""
HOUR = 3600.0
PEOPLE_OF_HOUR = 12
"""So many within an hour are taken for people's choice: a scan that fetches pictures may take a minute for each series,
and looks like a person."""
_REMEMBERED = 4096
"""Opened folders; a scan that opens more has been recognised by then."""


class People:
    """The series that people have opened, told from those that programs went through.

    Args:
        now: gives the time, in seconds.
    """

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self._now = now
        self._opened: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        """Directories, when they were opened."""
        self._series: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        """Series that were opened lately, by their nodes."""
        self._chosen: deque[tuple[float, int]] = deque()
        """Those of the last hour that a person has opened."""
        self._undecided: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)

    def note(self, inode: int) -> None:
        """Note that a directory was opened."""
        self._opened.append((self._now(), inode))

    def chosen(self, is_series: Callable[[int], bool]) -> list[int]:
        """The nodes of series that a person has opened, and that were not told before.

        Args:
            is_series: whether a node is one.
        """
        now = self._now()
        while self._opened:
            at, inode = self._opened.popleft()
            node = in_library(node_of(inode))
            if slot_of(inode) == Slot.FOLDER and is_series(node):
                self._series.append((at, node))
                self._undecided.append(self._series[-1])
        people = []
        while self._undecided and self._undecided[0][0] <= now - SETTLE:
            at, node = self._undecided.popleft()
            is_told = any(node == other and then > at - SPAN for then, other in self._chosen)
            if not is_told and self._is_person(at):
                people.append(node)
                self._chosen.append((at, node))
        while self._series and self._series[0][0] < now - SPAN - SETTLE - _LOOK_SECONDS:
            self._series.popleft()
        return people

    def _is_person(self, at: float) -> bool:
        while self._chosen and self._chosen[0][0] < at - HOUR:
            self._chosen.popleft()
        if len({node for _, node in self._chosen}) >= PEOPLE_OF_HOUR:
            return False
        return len({node for then, node in self._series if at - SPAN <= then <= at + SETTLE}) <= BREADTH


async def watch(people: People, follower: Follower, orders: trio.MemorySendChannel[str]) -> None:
    """Tell the worker which series people open. Never returns."""
    while True:
        await trio.sleep(_LOOK_SECONDS)
        if nodes := people.chosen(partial(_is_series, follower.store)):
            await orders.send(" ".join(map(str, nodes)))


def _is_series(store: Store | None, number: int) -> bool:
    node = store.node(number) if store is not None else None
    return node is not None and node.kind == NodeKind.SERIES
