"""`vod2strmfs status`."""

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from vod2strmfs.cli.answer import json_option, say_json
from vod2strmfs.cli.options import STATE, Group, GroupedCommand, with_settings
from vod2strmfs.cli.output import say
from vod2strmfs.errors import CatalogError, Exit, IndexFileError, MountError, ShrinkHeldError, UserError
from vod2strmfs.settings import Settings
from vod2strmfs.status.words import counted, library_text, moment, span

if TYPE_CHECKING:
    from vod2strmfs.films.figures import Figures
    from vod2strmfs.notify.account import Account
    from vod2strmfs.status.runs import Runs
    from vod2strmfs.status.state import MountState

_WATCH_SECONDS = 2.0
_LARGE = 10
"""Requests a second from which on tenths are noise."""


@click.command(cls=GroupedCommand)
@json_option
@click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@click.option("--films", "only_films", is_flag=True, help="Of the mount of films alone, also the exit code.")
@click.option(
    "--timeout",
    metavar="N",
    type=click.FloatRange(0.1, 3600),
    default=5,
    show_default=True,
    help="How many seconds to wait.",
)
@with_settings(Group(STATE.heading, ("state_dir",)))
def status(settings: Settings, as_json: bool, watch: bool, only_films: bool, timeout: float) -> None:
    """Say how the running mounts are, or what materializes.

    The mount's process is asked, never the mount itself, so an answer or an error comes in time. The exit code is 0
    while all is well, 5 if nothing is running or it does not answer, 4 if it has nothing to show, 3 if the database
    cannot be read and what is shown is getting old, 7 if the shrink brake holds items back. Without a mount it is that
    of the last run of `materialize` or `run`, and without one that of the mount of films.
    """
    if not watch:
        seen = _show(settings, timeout, as_json=as_json, only_films=only_films)
        try:
            _check(seen)
        except UserError as error:
            if as_json:  # The state says it; another document behind it could not be read.
                raise SystemExit(int(error.exit_code)) from None
            raise
        return
    while True:
        if not as_json:
            click.clear()
        try:
            _show(settings, timeout, as_json=as_json, only_films=only_films)
        except MountError as error:
            say(f"vod2strmfs: {error}", err=True)
        time.sleep(_WATCH_SECONDS)


class _Seen(NamedTuple):
    """All that is known of a state directory."""

    mount: "MountState | None"
    """None if no mount is running."""
    runs: "Runs | None"
    """None if nothing was ever materialized."""
    films: "MountState | None"
    """The mount of films; None if none is running."""
    films_error: str
    """Why the mount of films does not answer; empty if it does, or there is none."""
    learnt: "Figures | None"
    """How far learning films is; None where none was ever wanted."""
    missing: "MountError | None"
    """What is to be said in the end if nothing is running, and nothing ever ran."""
    now: float


def _look(state_dir: Path, timeout: float) -> _Seen:
    from vod2strmfs.films.figures import read_figures
    from vod2strmfs.status.channel import NoMountError, ask
    from vod2strmfs.status.runs import read_runs

    runs, learnt = read_runs(state_dir), read_figures(state_dir)
    films, films_error = _look_at_films(state_dir, timeout)
    missing = None
    try:
        mount = ask(state_dir, timeout)
    except NoMountError as error:
        mount = None
        if runs is None and films is None:
            missing = NoMountError(films_error or f"{str(error).splitlines()[0]}\n{_instead()}")
            if learnt is None:
                raise missing from error
    return _Seen(mount, runs, films, films_error, learnt, missing, time.time())


def _look_at_films(state_dir: Path, timeout: float) -> "tuple[MountState | None, str]":
    """The mount of films, or why it does not answer."""
    from vod2strmfs.films.film import FOLDER
    from vod2strmfs.status.channel import NoMountError, NotRunningError, ask_films

    try:
        return ask_films(state_dir / FOLDER, timeout), ""
    except NoMountError:
        return None, ""
    except NotRunningError as error:
        return None, str(error)


def _show(settings: Settings, timeout: float, *, as_json: bool, only_films: bool) -> _Seen:
    import msgspec

    from vod2strmfs.artwork import figures as artwork
    from vod2strmfs.hydrate.figures import describe, read_figures
    from vod2strmfs.index.accounts import account_names
    from vod2strmfs.status.state import for_programs

    state_dir = settings.state_dir
    seen = _films_alone(state_dir, timeout) if only_films else _look(state_dir, timeout)
    figures, images = read_figures(state_dir), artwork.read_figures(state_dir)
    if as_json:
        fields = for_programs(seen.mount) if seen.mount else {}
        beside = {"runs": seen.runs, "hydrate": figures, "artwork": images, "learning": seen.learnt}
        fields |= {name: each and msgspec.to_builtins(each) for name, each in beside.items()}
        say_json(fields | {"films_mount": for_programs(seen.films) if seen.films else None})
        return seen
    shown = [*(lines(seen.mount) if seen.mount else ()), *run_lines(seen.runs, seen.now)]
    if not only_films:
        if not seen.mount:
            from vod2strmfs.index.merge import explain_merge, merge_made_with  # which loads SQLite

            if made_with := merge_made_with(state_dir):
                shown.append(("merge", explain_merge(settings.merge, made_with)))
        shown += [("hydrate", describe(figures, seen.now))] if figures else []
        shown += [("artwork", artwork.describe(images, seen.now))] if images else []
    elif seen.films and seen.films.merge:
        shown.append(("merge", seen.films.merge))
    accounts = account_names(state_dir) if seen.films else {}
    for heading, text in (*shown, *film_lines(seen.films, seen.films_error, seen.learnt, accounts, seen.now)):
        say(f"{heading:<14}{text}")
    return seen


def _films_alone(state_dir: Path, timeout: float) -> _Seen:
    """What is known of the mount of films, and of nothing else."""
    from vod2strmfs.films.figures import read_figures
    from vod2strmfs.status.channel import NoMountError

    films, why = _look_at_films(state_dir, timeout)
    if films is None:
        none = f"state directory {state_dir}: no mount of films is running. `vod2strmfs films` starts one."
        raise NoMountError(why or none)
    return _Seen(None, None, films, "", read_figures(state_dir), None, time.time())


def _instead() -> str:
    """A sentence that says whom to ask where no mount answers: another mount of this host, if there is one."""
    from vod2strmfs.host.mount_table import libraries

    for path, user in libraries():
        if user == os.geteuid():
            return f"A library is mounted at {path}: if with another state directory, give that with --state-dir."
        name = _user_name(user)
        sudo = "sudo" if user == 0 else f"sudo -u {name}"
        return f"A library is mounted at {path} by {name}: run `{sudo} vod2strmfs status`."
    return (
        "`vod2strmfs mount` starts one, and `films` one of films that play. After `vod2strmfs materialize` or `run`"
        " this shows the last run; --state-dir names another library's directory."
    )


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"  # as sudo takes it


def lines(state: "MountState") -> Iterator[tuple[str, str]]:
    """The lines that are shown of a state: a heading, and the text that stands behind it."""
    yield "mount", f"{state.mountpoint}, for {span(state.now - state.started)} (process {state.pid})"
    if state.generation:
        yield "generation", f"{state.generation}, made {span(state.now - state.made)} ago"
    else:
        yield "generation", "none"
    yield "last sync", f"{span(state.now - state.synced)} ago" if state.synced else "none"
    yield "stale since", f"{moment(state.stale_since)}: {state.error}" if state.stale_since else "-"
    yield "library", library_text(state.metrics)
    for metric, number in state.metrics.get("index", {}).items():
        if metric.startswith("titles_on_shelf_"):
            yield "shelf", f"{metric.removeprefix('titles_on_shelf_')}, {counted(number, 'titles')}"
    if state.merge:
        yield "merge", state.merge
    yield "held", str(state.held)
    rate = state.requests_per_second
    each = f"{rate:,.0f}" if rate >= _LARGE else f"{rate:.1f}"
    yield "requests", f"{each} a second, {state.requests:,} in all, {state.failed:,} failed"
    share = state.cache_hit_rate
    yield "from memory", "-" if share is None else f"{share:.1%}"
    for server in state.servers:
        yield "told", _server(server)
    yield "logged", f"{counted(state.logged_errors, 'errors')}, {counted(state.logged_warnings, 'warnings')}"


def run_lines(runs: "Runs | None", now: float) -> Iterator[tuple[str, str]]:
    """The lines that are shown of materializing: a heading, and the text that stands behind it."""
    if runs is None:
        return
    service, last = runs.service, runs.last
    if service:
        running = f"for {span(now - service.started)} (process {service.pid})"
        yield "run", f"{service.output_root}, {service.when}, {running if runs.is_alive else 'not running any more'}"
    if service and runs.is_alive:
        if service.running_since:
            yield "running", f"a run, for {span(now - service.running_since)}"
        if service.stale_since:
            yield "stale since", f"{moment(service.stale_since)}: {service.error}"
    if last:
        done = ", ".join(counted_action(action, number) for action, number in last.actions.items())
        took = f"{span(now - last.ended)} ago, in {last.ended - last.began:,.1f} s"
        yield "last run", f"{last.output_root}, {took}: {done or ('nothing to do' if not last.exit_code else 'failed')}"
        if last.report:
            yield "report", last.report
    if service and runs.is_alive:
        yield "next run", moment(service.next_run) if service.next_run else "when the catalogue has changed"


def film_lines(
    mount: "MountState | None", error: str, figures: "Figures | None", accounts: Mapping[int, str], now: float
) -> Iterator[tuple[str, str]]:
    """The lines that are shown of films that play: a heading, and the text that stands behind it."""
    from vod2strmfs.films.figures import describe, gigabytes
    from vod2strmfs.index.accounts import called

    if mount:
        yield "films", f"{mount.mountpoint}, for {span(mount.now - mount.started)} (process {mount.pid})"
        yield "shown", library_text(mount.metrics) if mount.generation else f"nothing. {mount.error}".rstrip(". ")
    elif error:
        yield "films", error.splitlines()[0]
    elif figures:
        yield "films", "not mounted"
    if figures:
        yield "learnt", describe(figures, now)
    if figures and figures.rate:
        yield "kept", f"{gigabytes(figures.kept)} of {gigabytes(figures.limit)}"
        yield "taken", f"{gigabytes(figures.taken)} of {gigabytes(figures.budget)} within 24 hours, to learn"
    for server in mount.servers if mount else ():
        yield "told", _server(server)
    if not mount or not mount.films:
        return
    for film in mount.films.playing:
        beside = f"{', in the background' if film.background else ''}{f'; {film.error}' if film.error else ''}"
        yield "plays", f"{film.name}, from {called(film.account, accounts)}, {film.rate / 1e6:.1f} MB a second{beside}"
    for each in mount.films.accounts:
        if each.refused:
            last = f"last {moment(each.refused_at)}: {each.refused_because}"
            yield "refused", f"{counted(each.refused, 'times')}, {called(each.account, accounts)}, {last}"
        if each.background:
            yield "unwatched", f"{gigabytes(each.background)} from {called(each.account, accounts)} within 24 hours"
    yield "received", f"{gigabytes(mount.films.received)} from providers since it was mounted"


def counted_action(action: str, number: int) -> str:
    """How often something was done, as people read it: `12 would delete`."""
    return f"{number:,} {action.replace('_', ' ')}"


def _server(server: "Account") -> str:
    """How it stands with a media server."""
    told = f"{server.name}: {counted(server.told, 'folders')}, {server.waiting:,} waiting"
    if not server.failures:
        return told
    return f"{told}, failing since {moment(server.failing_since)}: it {server.error}"


def _check(seen: _Seen) -> None:
    """Raise what is wrong with what there is."""
    if seen.missing:
        raise seen.missing
    if seen.mount:
        _check_mount(seen.mount)
    elif seen.runs:
        _check_runs(seen.runs)
    elif seen.films:
        _check_mount(seen.films)


def _check_mount(state: "MountState") -> None:
    if not state.generation:
        raise IndexFileError(f"the mount has nothing to show, and answers every request with an error. {state.error}")
    if state.stale_since:
        raise CatalogError(
            f"the database cannot be read since {moment(state.stale_since)}. What the mount shows stays as it is."
        )
    if state.held:
        raise ShrinkHeldError(f"{state.held_because}\n{state.held_advice}")


def _check_runs(runs: "Runs") -> None:
    if runs.service and not runs.is_alive:
        raise MountError(
            f"the service that materializes {runs.service.output_root} (process {runs.service.pid}) has ended without a"
            " word. See its log, and start it again."
        )
    if runs.service and runs.service.stale_since:
        raise CatalogError(
            f"the database cannot be read since {moment(runs.service.stale_since)}. What was written stays as it is."
        )
    if runs.last and runs.last.exit_code:
        error = UserError(f"the last run ended with exit code {runs.last.exit_code}: {runs.last.error}")
        known = runs.last.exit_code in list(Exit)
        error.exit_code = Exit(runs.last.exit_code) if known else Exit.FAILED  # 130: it was ended in the middle
        raise error
