"""What workers have to say, brought to the one thread that keeps the report and the manifest."""

from queue import Empty, SimpleQueue
from typing import NamedTuple

from vod2strmfs.materialize.directories import Directory, Settled
from vod2strmfs.materialize.manifest import Folder, Manifest, State
from vod2strmfs.materialize.report import Report, Row


class Mismatch(NamedTuple):
    """A folder that is not as it was left."""

    folder: Folder
    keeper: Directory
    """Its directory if the planner has one, else its parent's. It is held."""
    missing: bool


class Cleaned(NamedTuple):
    """A folder from which everything stale was taken, or of which nothing is left."""

    folder: Folder
    seen: int
    """The directory's mtime as it was left."""


Event = Row | Settled | Mismatch | Cleaned


class Ledger:
    """Takes events from any thread, and accounts for them in one.

    Args:
        report: gets the rows.
        manifest: gets to know how folders were left.
    """

    def __init__(self, report: Report, manifest: Manifest) -> None:
        self._report = report
        self._manifest = manifest
        self._events: SimpleQueue[Event] = SimpleQueue()
        self.mismatches: list[Mismatch] = []
        """Those not dealt with yet."""

    def say(self, event: Event) -> None:
        """Hand over an event, in any thread."""
        self._events.put(event)

    def listen(self) -> None:
        """Account for everything that was said so far."""
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                break
            match event:
                case Row():
                    self._report.add(event)
                case Settled():
                    self._settle(event)
                case Mismatch():
                    self.mismatches.append(event)
                case Cleaned():
                    self._forget(event)
        self._report.flush()

    def _settle(self, settled: Settled) -> None:
        folder = settled.folder.id
        self._manifest.settle(folder, settled.state, settled.seen)
        if settled.items is not None:
            self._manifest.set_items(folder, settled.items, settled.leftovers)

    def _forget(self, cleaned: Cleaned) -> None:
        folder = cleaned.folder
        if folder.state == State.GONE:
            self._manifest.forget(folder.id)
        else:
            self._manifest.settle(folder.id, State(folder.state), cleaned.seen)
            self._manifest.clear_leftovers(folder.id)
