"""Checks of materializing: the service that runs time and again, the last run, and whether there is a next one."""

import os
import time
from collections.abc import Iterator

from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.host.mount_table import mounted_at
from vod2strmfs.settings import Settings
from vod2strmfs.status.runs import LastRun, Runs, ServiceState, read_runs
from vod2strmfs.status.words import moment, span

_OLD_SECONDS = 2 * 86400.0
"""Seconds after a run from which on one asks whether another is to come."""


def is_materialized(settings: Settings) -> bool:
    """Whether the output root is one that is materialized, so that what a mount needs is of no interest."""
    known = read_runs(settings.state_dir)
    if known is None or mounted_at(settings.output_root.absolute()) is not None:
        return False
    roots = [each.output_root for each in (known.last, known.service) if each]
    return os.path.realpath(settings.output_root) in map(os.path.realpath, roots)


def runs(settings: Settings) -> Iterator[Finding]:
    """How the service is, and what the last run came to."""
    known = read_runs(settings.state_dir)
    if known is None:
        return
    if known.service:
        yield _service(known.service, known)
    if known.last:
        yield _last(known.last)
        yield from _next(known.last, known, time.time())


def _service(service: ServiceState, known: Runs) -> Finding:
    if not known.is_alive:
        return Finding(
            "run",
            Level.PROBLEM,
            f"the service that materializes (process {service.pid}) has ended without a word",
            "See its log, and start it again.",
        )
    if service.stale_since:
        return Finding(
            "run",
            Level.PROBLEM,
            f"the service cannot read the database since {moment(service.stale_since)}: {service.error}".rstrip("."),
            "Mend what is said of the database; it then goes on by itself.",
        )
    coming = f"at {moment(service.next_run)}" if service.next_run else "when the catalogue has changed"
    return Finding(
        "run", Level.OK, f"process {service.pid} materializes {service.output_root}; the next run is {coming}"
    )


def _last(last: LastRun) -> Finding:
    ended = f"the last run ended at {moment(last.ended)}"
    if not last.exit_code:
        done = ", ".join(f"{number} {action.replace('_', ' ')}" for action, number in last.actions.items())
        return Finding("last run", Level.OK, f"{ended}: {done or 'nothing to do'}; report {last.report}")
    text, _, advice = last.error.partition("\n")
    report = f"`vod2strmfs report` shows what it did{'' if last.report else ' before'}."
    return Finding(
        "last run",
        Level.WARNING,
        f"{ended} with exit code {last.exit_code}: {text}".rstrip("."),
        " ".join(filter(None, (advice.replace("\n", " "), report))),
    )


def _next(last: LastRun, known: Runs, now: float) -> Iterator[Finding]:
    if known.service is None and now - last.ended > _OLD_SECONDS:
        yield Finding(
            "next run",
            Level.NOTE,
            f"the last run was {span(now - last.ended)} ago, and no service waits for the next one",
            "If a timer should do it, see `systemctl list-timers`.",
        )
