"""`vod2strmfs hydrate`."""

import logging
import signal
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import (
    CATALOGUE,
    HYDRATE,
    LIBRARY,
    SELECTION,
    STATE,
    Group,
    GroupedCommand,
    with_settings,
)
from vod2strmfs.settings import Settings
from vod2strmfs.status.words import span

if TYPE_CHECKING:
    from vod2strmfs.hydrate.command import Job, Result
    from vod2strmfs.hydrate.queue import Item

_SHOWN = 20
"""Of a dry run's series."""
_log = logging.getLogger("vod2strmfs")

_ASKING = Group(
    "Asking", tuple(name for name in HYDRATE.names if name not in ("hydrate", "hydrate_rate", "hydrate_older_than"))
)


@click.command(cls=GroupedCommand, short_help="Have Dispatcharr fetch missing episodes.")
@click.option(
    "--series",
    "wanted",
    multiple=True,
    metavar="ID|GLOB",
    help="Only this series, by Dispatcharr's id, its UUID or its name with *; may be given several times. It is asked"
    " for even if it has episodes, or failed before.",
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Ask for so many at most, whatever the budget says.")
@click.option(
    "--rate",
    metavar="N",
    type=click.FloatRange(0, 6000, min_open=True),
    help="So many a minute at most (hydrate_rate).",
)
@click.option(
    "--older-than",
    type=click.FloatRange(0, 3650, min_open=True),
    metavar="DAYS",
    help="Also ask anew for series with episodes that were asked for so many days ago.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Ask for nothing; say what would be asked for, and in which order.")
@answer_options
@with_settings(_ASKING, CATALOGUE, SELECTION, LIBRARY, STATE)
def hydrate(
    settings: Settings,
    wanted: tuple[str, ...],
    limit: int | None,
    rate: float | None,
    older_than: float | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Have Dispatcharr fetch the episodes of series that have none.

    Dispatcharr loads a series' episodes when somebody opens it there; this does it for those that nobody opened, one
    after the other, and never for an account that is at its stream limit. What is done is remembered: run it again to
    go on. The next sync shows the episodes. A signal ends it after the answer that it waits for.
    """
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.hydrate.command import hydrate as fill

    set_up_logs(settings, quiet=quiet)
    job = _job(settings, wanted, limit, rate, older_than)
    with shown("Filling", "series", quiet=quiet) as tell:
        done = fill(job, dry_run=dry_run, begun=lambda number: _announce(job, number), tell=tell)
    text = _plan(done.planned, job) if dry_run else _summary(done)
    answer(text, _fields(done, dry_run=dry_run), None, quiet=quiet, as_json=as_json)
    if done.stopped == signal.SIGINT:
        raise KeyboardInterrupt


def _job(
    settings: Settings, wanted: tuple[str, ...], limit: int | None, rate: float | None, older_than: float | None
) -> "Job":
    from vod2strmfs.hydrate.command import Job
    from vod2strmfs.index.order import HydrateOrder
    from vod2strmfs.service.refresh import library_of_index

    library = settings.library()
    if not settings.is_library_given:
        library = library_of_index(settings) or library
    changed = {"mode": "background"} | ({} if rate is None else {"rate": rate})
    return Job(
        HydrateOrder.of(settings, library.base_url, **changed), settings.database_url(), library,
        settings.state_dir.absolute(), wanted, limit, older_than,
    )  # fmt: skip


def _announce(job: "Job", number: int) -> None:
    if number > 1:
        _log.info(
            "%d series to ask for, at most %g a minute: done in about %s.",
            number, job.order.rate, span(number / job.order.rate * 60),
        )  # fmt: skip


def _plan(planned: list["Item"], job: "Job") -> str:
    lines = [f"{item.series}\t{item.name}" for item in planned[:_SHOWN]]
    if len(planned) > _SHOWN:
        lines.append(f"… and {len(planned) - _SHOWN:,} more")
    about = span(len(planned) / job.order.rate * 60)
    return "\n".join((*lines, f"{len(planned):,} series would be asked for, which takes about {about}."))


def _summary(done: "Result") -> str:
    from vod2strmfs.hydrate.outcomes import Kind

    asked, filled = done.counts.total(), done.counts[Kind.FILLED]
    have = "has" if done.missing == 1 else "have"
    lines = [f"{asked:,} series asked for, {filled:,} filled; {done.missing:,} {have} no episodes yet."]
    if not asked and not done.missing:
        lines = ["Every series has episodes."]
    lines += [f"{number:,} failed: {why}." for why, number in done.reasons.most_common()]
    if done.over_budget:
        lines.append("hydrate_budget is used up for now: run this again tomorrow, or with --limit.")
    if done.stopped:
        lines.append("It was ended by a signal; the next run goes on.")
    if filled:
        lines.append(
            "A mount shows the episodes with its next sync; `vod2strmfs sync` or `materialize` takes them too."
        )
    return "\n".join(lines)


def _fields(done: "Result", *, dry_run: bool) -> dict[str, object]:
    planned = {"planned": [{"series": item.series, "name": item.name} for item in done.planned]} if dry_run else {}
    return {
        "asked": done.counts.total(),
        "outcomes": {str(kind): number for kind, number in sorted(done.counts.items())},
        "reasons": dict(done.reasons),
        "missing": done.missing,
        "stopped": bool(done.stopped),
        "budget_used_up": done.over_budget,
        **planned,
    }
