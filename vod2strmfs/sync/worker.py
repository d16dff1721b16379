"""The process that keeps an index up to date beside a mount: `python -m vod2strmfs.sync.worker`.

It is a process of its own, so that neither its work nor its memory, nor a database that hangs, touches the mount. It
reads an `Order` as the first line of standard input; an empty line means "look now", one with numbers that somebody
opened the folders of the series at these nodes, `FILMS_LEARNT` that there may be films to show, and the end of input,
which comes however the mount ends, "stop". What it says goes to standard error. If it is to have episodes fetched, it
does that in a thread.
"""

import logging
import os
import sys
import threading
import time
from typing import TextIO

from vod2strmfs.artwork import background as artwork
from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.source import Source, retry_pause
from vod2strmfs.errors import UserError
from vod2strmfs.host.beside import SAID
from vod2strmfs.hydrate.background import begin
from vod2strmfs.index.held import advise, explain
from vod2strmfs.index.order import FILMS_LEARNT, Order
from vod2strmfs.sync import films
from vod2strmfs.sync.last_comparison import ComparisonCache
from vod2strmfs.sync.pictures import publish
from vod2strmfs.sync.progress import Lines
from vod2strmfs.sync.result import SyncResult
from vod2strmfs.sync.run import sync

_LONGEST_RETRY = 60.0
"""Seconds; a longer poll interval is the limit instead."""

_log = logging.getLogger("vod2strmfs")


class Worker:
    """Syncs at intervals until told to stop.

    Args:
        order: what to do.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._source: Source | None = None
        self._cache = ComparisonCache()
        self._asked = threading.Event()
        self._insistent = False
        """Whether it was somebody from outside who asked."""
        self._due = False
        """Whether somebody asked for a look, and not just for the films that were learnt."""
        self._filling = begin(order.hydrate, order.database, order.library, order.state_dir, self._ask)
        self._failures = 0
        self._held = 0
        self._checked = False
        self._warned = False
        self._films_checked = False
        self._films_problem = ""

    def obey(self, orders: TextIO) -> None:
        """Do what a line says; end the process, in the middle of whatever it does, at the end of input."""
        for line in orders:
            if line.strip() == FILMS_LEARNT:
                self._asked.set()
                continue
            if nodes := line.split():
                if self._filling:
                    self._filling.opened([int(node) for node in nodes])
                continue
            if self._filling:
                self._filling.try_again()
            self._insistent = True
            self._ask()
        # A sync cut off is rolled back when the index is opened next.
        os._exit(0)

    def _ask(self) -> None:
        self._due = True
        self._asked.set()

    def run(self) -> None:
        """Sync again and again."""
        if self._filling:
            self._filling.start()
        artwork.begin(self._order.artwork, self._order.state_dir, publish)
        while True:
            insistent, self._insistent = self._insistent, False
            self.look(patient=not insistent)
            self.show_films(patient=not insistent)
            self.rest()

    def rest(self) -> None:
        """Wait until it is time to look; meanwhile show films as they are learnt."""
        until = time.monotonic() + self.pause()
        while self._asked.wait(max(until - time.monotonic(), 0)):
            self._asked.clear()
            if self._due:
                break
            self.show_films()
        self._due = False

    def show_films(self, *, patient: bool = True) -> None:
        """Bring the films' index up to date, if that is wanted; a failure is reported when it is another one.

        Args:
            patient: see `look`.
        """
        if not self._order.films:
            return
        problem = ""
        try:
            shown = films.publish(self._order.state_dir, thorough=not self._films_checked or not patient)
            self._films_checked = True
            if shown.before != shown.after:
                _log.debug("Films: generation %d.", shown.after)
        except Exception as error:
            _log.debug("The films' index was not written.", exc_info=True)
            known = isinstance(error, UserError)
            problem = str(error) if known else f"Unexpected error: {type(error).__name__}: {error}."
        if problem and problem != self._films_problem:
            _log.error("%s The films that are shown stay as they are.", problem.replace("\n", " "))
        self._films_problem = problem

    def look(self, *, patient: bool = False) -> None:
        """Sync once, and report; a failure is reported when it is the first.

        Args:
            patient: see `sync`. Who was asked to look is not, and makes sure that the index is whole as well.
        """
        order = self._order
        try:
            self._source = self._source or open_source(order.database)
            outcome = sync(
                self._source,
                order.library,
                order.state_dir,
                max_shrink=order.max_shrink,
                patient=patient,
                thorough=not self._checked or not patient,
                cache=self._cache,
                tell=Lines("Reading the catalogue", "titles"),
            )
        except UserError as error:
            self._fail(str(error))
            return
        except Exception as error:
            _log.debug("unexpected error", exc_info=True)
            self._fail(f"Unexpected error: {type(error).__name__}: {error}.")
            return
        if outcome.remade and self._checked and not self._warned:
            _log.warning(
                "Something else with other settings, or of another version, has written the index in %s: each undoes"
                " what the other does. Give each mount and command a --state-dir of its own, or the same settings.",
                order.state_dir,
            )
            self._warned = True
        self._checked = True
        if self._failures:
            _log.info("The catalogue can be read again after %d failed attempts.", self._failures)
            self._failures = 0
        self._report(outcome)

    def _fail(self, reason: str) -> None:
        if not self._failures:
            _log.error("%s What the mount shows stays as it is.", reason.replace("\n", " "))
        self._failures += 1

    def _report(self, outcome: SyncResult) -> None:
        if not outcome.changed:
            return
        _log.info("Generation %d: %s.", outcome.generation, outcome.describe())
        for warning in outcome.warnings():
            _log.warning("%s", warning)
        if outcome.held and outcome.held != self._held:
            _log.warning("%s %s", explain(outcome.kept), advise(outcome.kept, f"run `{self._order.accept}`"))
        self._held = outcome.held

    def pause(self) -> float:
        """Seconds until the next look."""
        if not self._failures:
            return self._order.poll_interval
        longest = max(self._order.poll_interval, _LONGEST_RETRY)
        return retry_pause(self._failures, longest)


def main() -> None:
    """Read the order and carry it out."""
    order = Order.model_validate_json(sys.stdin.readline())
    logging.basicConfig(level=order.level, stream=sys.stderr, format=SAID)
    worker = Worker(order)
    threading.Thread(target=worker.obey, args=(sys.stdin,), daemon=True).start()
    worker.run()


if __name__ == "__main__":
    main()
