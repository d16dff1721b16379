"""Converting many rows into items: in this process, and in a second one where there is a processor for it.

Rows go to the second process batch by batch, and while it works on two or three of them this one works on the next,
or stores what is done. Which process had a row makes no difference to what comes out, nor to its order.
"""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from vod2strmfs.catalog.rows import VersionRow
from vod2strmfs.catalog.source import Row, Snapshot
from vod2strmfs.extract.convert import Converter, TitledRow
from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.host.second_process import SecondProcessError
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.convert_process import ConvertProcess

MANY_ROWS = 5_000
"""From so many rows on, a second process saves more than its start costs."""
_BATCH_ROWS = 100
_BATCH_CHARACTERS = 500_000
_AT_PROCESS = 3
"""Batches that the second process is given before it has answered."""
_WAITING = 8
"""Batches that are read and not yet passed on, at the most."""

_log = logging.getLogger("vod2strmfs")


@dataclass(slots=True)
class _Batch:
    rows: list[TitledRow]
    items: list[Incoming] | None = None
    """None as long as the second process has it."""


class ManyRows:
    """Converter of many rows into items; a context manager, after which the second process is gone.

    Args:
        settings: the library's.
        providers: the beginning of an account's URLs, where direct URLs are wanted.
        render: whether the files of every item are wanted, too.
    """

    def __init__(self, settings: LibrarySettings, providers: Mapping[int, str], *, render: bool) -> None:
        self._arguments = settings, providers, render
        self._converter = Converter(settings, providers, render=render)
        self._process: ConvertProcess | None = None
        self._alone = len(os.sched_getaffinity(0)) < 2

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.close()

    def prepare(self, snapshot: Snapshot) -> None:
        """Get ready for all the rows of a snapshot. While the server counts and sorts them there is a processor for the
        start of the second process."""
        if not self._alone and snapshot.is_large(MANY_ROWS):
            self._start()

    def convert(self, rows: Iterable[TitledRow], expected: int) -> Iterator[tuple[Row, Incoming]]:
        """The rows and their items, in the same order.

        Args:
            rows: of one kind.
            expected: about how many there are.
        """
        if expected >= MANY_ROWS and not self._alone and not self._process:
            self._start()
        batches = _batches(rows)
        alone = not self._process or expected < MANY_ROWS
        in_turn = ((batch, self._converter.convert(batch)) for batch in batches) if alone else self._in_turn(batches)
        for batch, items in in_turn:
            for (row, _), item in zip(batch, items, strict=True):
                yield row, item

    def _start(self) -> None:
        try:
            self._process = ConvertProcess(*self._arguments)
        except OSError as error:
            self._go_on_alone(f"cannot be started ({error})")
        except SecondProcessError as error:
            self._go_on_alone(str(error))

    def _go_on_alone(self, why: str) -> None:
        _log.warning("The second process of the sync %s; going on without it.", why)
        self._alone = True
        if self._process:
            self._process.close()
            self._process = None

    def _in_turn(self, batches: Iterator[list[TitledRow]]) -> Iterator[tuple[list[TitledRow], list[Incoming]]]:
        waiting: deque[_Batch] = deque()
        while True:
            while self._wants_more() and (rows := next(batches, None)):
                self._give(rows)
                waiting.append(_Batch(rows))
            if not waiting or not (len(waiting) >= _WAITING or self._is_done(waiting[0])):
                if rows := next(batches, None):
                    waiting.append(_Batch(rows, self._converter.convert(rows)))
                    continue
                if not waiting:
                    return
            batch = waiting.popleft()
            yield batch.rows, batch.items or self._answer(batch.rows)

    def _is_done(self, batch: _Batch) -> bool:
        return batch.items is not None or not self._process or self._process.has_answered()

    def _wants_more(self) -> bool:
        """Whether the second process could do with another batch."""
        try:
            return self._process is not None and self._process.is_ready() and self._process.unanswered < _AT_PROCESS
        except SecondProcessError as error:
            self._go_on_alone(str(error))
            return False

    def _give(self, rows: list[TitledRow]) -> None:
        try:
            if self._process:
                self._process.give(rows)
        except SecondProcessError as error:
            self._go_on_alone(str(error))

    def _answer(self, rows: list[TitledRow]) -> list[Incoming]:
        """What the second process made of rows that it was given; what it owes is made here."""
        try:
            if self._process:
                return self._process.answer(rows)
        except SecondProcessError as error:
            self._go_on_alone(str(error))
        return self._converter.convert(rows)


def _batches(rows: Iterable[TitledRow]) -> Iterator[list[TitledRow]]:
    """Rows in lists that are bounded by number and by size."""
    batch: list[TitledRow] = []
    characters = 0
    for titled in rows:
        batch.append(titled)
        characters += _characters(titled[0])
        if len(batch) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch = []
            characters = 0
    if batch:
        yield batch


def _characters(row: Row) -> int:
    """About how long a row is."""
    if isinstance(row, VersionRow):
        return 0
    texts = (row.relation_properties, row.others, row.properties, row.description)
    return sum(len(text) for text in texts if text)
