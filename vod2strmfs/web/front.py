"""What the front page shows: how the library is, what it holds, and what changed last."""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import Exit, IndexFileError
from vod2strmfs.index.recent import Change, HeldTitle, Moment, TitleChange
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.status.runs import Runs
from vod2strmfs.status.state import MountState
from vod2strmfs.web.known import Known
from vod2strmfs.web.words import ago, count, number, span

_NAMES = 8
"""Names that are shown of each kind of change before the others are only counted."""
_HEADINGS = {
    (Change.ADDED, NodeKind.MOVIE): "New films",
    (Change.ADDED, NodeKind.SERIES): "New in series",
    (Change.REMOVED, NodeKind.MOVIE): "Films gone",
    (Change.REMOVED, NodeKind.SERIES): "Gone in series",
    (Change.RENAMED, NodeKind.MOVIE): "Films renamed",
    (Change.RENAMED, NodeKind.SERIES): "Series renamed",
    (Change.CHANGED, NodeKind.MOVIE): "Films changed",
    (Change.CHANGED, NodeKind.SERIES): "Series changed",
}


class Notice(NamedTuple):
    """Something that the reader should know of, and what to do about it."""

    level: str
    """`bad`: nothing can be seen. `away`: it gets older. `held`: it waits for the reader. `note`: for information."""
    heading: str
    text: str
    command: str = ""
    """A command to paste that does something about it."""


class Changes(NamedTuple):
    """What happened to some titles in one generation."""

    what: Change
    heading: str
    names: list[str]
    others: str
    """How many names are not shown, in words; empty if all are."""


class Index(NamedTuple):
    """What the index says where no mount does. Times are seconds since the epoch."""

    generation: int
    metrics: Mapping[str, Mapping[str, str]]
    made: float
    compared: float


def read_index(state_dir: Path) -> Index | None:
    """What the index says; None if there is no generation, or it cannot be read."""
    try:
        with closing(Store(state_dir)) as store:
            if not store.generation:
                return None
            metrics: dict[str, dict[str, str]] = {}
            for scope, metric, value in store.metrics:
                metrics.setdefault(scope, {})[metric] = str(value)
            return Index(store.generation, metrics, store.made / 1e9, store.compared / 1e9)
    except IndexFileError:
        return None


def notices(known: Known, state_dir: Path) -> Iterator[Notice]:
    """What is not as it should be, the worst first."""
    state = known.mount or known.films
    if state is not None or known.runs is None:
        yield from _of_mount(state, state_dir)
    if known.runs is not None:
        yield from _of_runs(known.runs)
    for figures, heading in (
        (known.hydrate, "No more episodes are fetched"),
        (known.artwork, "No more images are fetched"),
        (known.learning, "No more films are learnt"),
    ):
        if figures is not None and figures.stopped:
            yield Notice("away", heading, figures.stopped)
    if known.films is not None and known.films is not state:
        yield from _of_servers(known.films, " in the films")


def _of_mount(state: MountState | None, state_dir: Path) -> Iterator[Notice]:
    """What is not as it should be with the mount."""
    if state is None:
        text = "Its log says why. So does this command, by the user who mounts:"
        command = shlex.join(("vod2strmfs", "status", "--state-dir", str(state_dir)))
        yield Notice("bad", "The mount does not answer", text, command)
        return
    if not state.generation:
        why = state.error or "The first sync has not ended yet."
        yield Notice("bad", "Nothing to show yet", f"Until there is, every look at a folder is an error. {why}")
    if state.stale_since:
        text = f"It went {ago(state.stale_since)}. No new titles come until it is back; what is shown stays as it is."
        yield Notice("away", "Dispatcharr’s database is away", f"{text} {state.error}")
    if state.held:
        yield Notice("held", "Some changes wait for you", f"{state.held_because} {_advice(state)}", state.accept)
    yield from _of_servers(state)


def _of_servers(state: MountState, of_films: str = "") -> Iterator[Notice]:
    """Which media servers a mount cannot tell what changed."""
    for server in state.servers:
        if server.failures:
            since = span(time.time() - server.failing_since)
            text = f"{count(server.waiting, 'folder')} to be told of, failing for {since}: it {server.error}"
            yield Notice("note", f"{server.name} cannot be told what changed{of_films}", text)


def _of_runs(runs: Runs) -> Iterator[Notice]:
    """What is not as it should be with materializing."""
    service, last = runs.service, runs.last
    if service and not runs.is_alive:
        yield Notice("bad", "The service has ended", "It did so without a word. See its log, and start it again.")
    elif service and service.stale_since:
        text = f"It went {ago(service.stale_since)}. What is written stays as it is until it is back."
        yield Notice("away", "Dispatcharr’s database is away", f"{text} {service.error}")
    if last and last.exit_code == Exit.SHRINK:
        yield Notice("held", "Some changes wait for you", last.error)
    elif last and last.exit_code:
        heading = "The last run could not write everything" if last.exit_code == Exit.OUTPUT else "The last run failed"
        yield Notice("bad", heading, last.error or f"It ended with exit code {last.exit_code}.")


def _advice(state: MountState) -> str:
    """What to do about what is held; the command stands below it by itself."""
    return (
        state.held_advice.replace(f"run `{state.accept}`", "run this command:").replace("command:.", "command:")
        if state.accept
        else state.held_advice
    )


def in_words(state: MountState | None, runs: Runs | None) -> tuple[str, str]:
    """How the library is: a level, as of `Notice` or `good`, and some words."""
    if state is None:
        return ("bad", "No answer") if runs is None else _runs_in_words(runs)
    if not state.generation:
        return "bad", "Nothing to show"
    if state.stale_since:
        return "away", "Database away"
    if state.held:
        return "held", f"{number(state.held)} held back"
    return "good", "All is well"


def _runs_in_words(runs: Runs) -> tuple[str, str]:
    """How materializing goes, where there is no mount."""
    if runs.service and not runs.is_alive:
        return "bad", "Not running"
    if runs.service and runs.service.stale_since:
        return "away", "Database away"
    if runs.last and runs.last.exit_code:
        return ("held", "Held back") if runs.last.exit_code == Exit.SHRINK else ("bad", "Last run failed")
    return "good", "All is well"


def changes_of(moment: Moment) -> Iterator[Changes]:
    """What happened in a generation, in words: additions first."""
    for (what, kind), heading in _HEADINGS.items():
        names = [_named(change) for change in moment.changes if (change.what, change.kind) == (what, kind)]
        shown = names if len(names) <= _NAMES + 1 else names[:_NAMES]
        if names:
            others = len(names) - len(shown)
            more = "" if not others else f"and {number(others)} more" if moment.whole else "and many more"
            yield Changes(what, heading, shown, more)


def _named(change: TitleChange) -> str:
    if not change.whole:
        return f"{count(change.episodes, 'episode')} of {change.name}"
    if change.former:
        return f"{change.former} → {change.name}" if change.former != change.name else f"{change.name} (moved)"
    episodes = f" ({count(change.episodes, 'episode')})" if change.episodes else ""
    return f"{change.name}{episodes}"


def held_names(held: Sequence[HeldTitle]) -> list[str]:
    """What the shrink brake holds, title by title."""
    return [
        f"{count(title.number, 'episode')} of {title.name}" if title.kind == NodeKind.EPISODE else title.name
        for title in held
    ]
