"""`vod2strmfs status`."""

import os
import pwd
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import json_option, say_json
from vod2strmfs.cli.options import STATE, Group, GroupedCommand, with_settings
from vod2strmfs.errors import CatalogError, IndexFileError, MountError, ShrinkHeldError, UserError
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.notify.account import Account
    from vod2strmfs.status.state import MountState

_WATCH_SECONDS = 2.0
_LARGE = 10
"""Requests a second from which on tenths are noise."""


@click.command(cls=GroupedCommand)
@json_option
@click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 3600), default=5, show_default=True, help="How many seconds to wait."
)
@with_settings(Group(STATE.heading, ("state_dir",)))
def status(settings: Settings, as_json: bool, watch: bool, timeout: float) -> None:
    """Say how the running mount is.

    The mount's process is asked, never the mount itself, so an answer or an error comes in time. The exit code is 0
    while all is well, 5 if no mount is running or it does not answer, 4 if it has nothing to show, 3 if the database
    cannot be read and what it shows is getting old, 7 if the shrink brake holds items back.
    """
    if not watch:
        state = _show(settings.state_dir, timeout, as_json=as_json)
        try:
            _check(state)
        except UserError as error:
            if as_json:  # The state says it; another document behind it could not be read.
                raise SystemExit(int(error.exit_code)) from None
            raise
        return
    while True:
        if not as_json:
            click.clear()
        try:
            _show(settings.state_dir, timeout, as_json=as_json)
        except MountError as error:
            click.echo(f"vod2strmfs: {error}", err=True)
        time.sleep(_WATCH_SECONDS)


def _show(state_dir: Path, timeout: float, *, as_json: bool) -> "MountState":
    import msgspec

    from vod2strmfs.hydrate.figures import describe, read_figures
    from vod2strmfs.status.channel import NoMountError, ask
    from vod2strmfs.status.state import for_programs

    try:
        state = ask(state_dir, timeout)
    except NoMountError as error:
        raise NoMountError(f"{str(error).splitlines()[0]}\n{_instead()}") from error
    figures = read_figures(state_dir)
    if as_json:
        say_json(for_programs(state) | {"hydrate": figures and msgspec.structs.asdict(figures)})
    else:
        for heading, text in lines(state):
            click.echo(f"{heading:<14}{text}")
        if figures:
            click.echo(f"{'hydrate':<14}{describe(figures, state.now)}")
    return state


def _instead() -> str:
    """A sentence that says whom to ask where no mount answers: another mount of this host, if there is one."""
    from vod2strmfs.host.mount_table import libraries

    for path, user in libraries():
        if user == os.geteuid():
            return f"A library is mounted at {path}: if with another state directory, give that with --state-dir."
        name = _user_name(user)
        sudo = "sudo" if user == 0 else f"sudo -u {name}"
        return f"A library is mounted at {path} by {name}: run `{sudo} vod2strmfs status`."
    return "`vod2strmfs mount` starts one; --state-dir names another mount's directory."


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"  # as sudo takes it


def lines(state: "MountState") -> Iterator[tuple[str, str]]:
    """The lines that are shown of a state: a heading, and the text that stands behind it."""
    yield "mount", f"{state.mountpoint}, for {_span(state.now - state.started)} (process {state.pid})"
    if state.generation:
        yield "generation", f"{state.generation}, made {_span(state.now - state.made)} ago"
    else:
        yield "generation", "none"
    yield "last sync", f"{_span(state.now - state.synced)} ago" if state.synced else "none"
    yield "stale since", f"{_moment(state.stale_since)}: {state.error}" if state.stale_since else "-"
    index = state.metrics.get("index", {})
    yield "library", ", ".join(f"{_number(index.get(kind, '0'), kind)}" for kind in ("movies", "series", "episodes"))
    yield "held", str(state.held)
    rate = state.requests_per_second
    each = f"{rate:,.0f}" if rate >= _LARGE else f"{rate:.1f}"
    yield "requests", f"{each} a second, {state.requests:,} in all, {state.failed:,} failed"
    share = state.cache_hit_rate
    yield "from memory", "-" if share is None else f"{share:.1%}"
    for server in state.servers:
        yield "told", _server(server)
    yield "logged", f"{_number(state.logged_errors, 'errors')}, {_number(state.logged_warnings, 'warnings')}"


def _server(server: "Account") -> str:
    """How it stands with a media server."""
    told = f"{server.name}: {_number(server.told, 'folders')}, {server.waiting:,} waiting"
    if not server.failures:
        return told
    return f"{told}, failing since {_moment(server.failing_since)}: it {server.error}"


def _check(state: "MountState") -> None:
    """Raise what is wrong with a mount that answers."""
    if not state.generation:
        raise IndexFileError(f"the mount has nothing to show, and answers every request with an error. {state.error}")
    if state.stale_since:
        raise CatalogError(
            f"the database cannot be read since {_moment(state.stale_since)}. What the mount shows stays as it is."
        )
    if state.held:
        raise ShrinkHeldError(f"{state.held_because}\n{state.held_advice}")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def _span(seconds: float) -> str:
    """A time span given in seconds, in the largest unit that fits: `3 minutes`."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return _number(round(max(seconds, 0)), "seconds")


def _number(number: int | str, things: str) -> str:
    """A number and the things counted, which have a plural in -s: `1 movie`, `1,904 movies`, `1 series`."""
    counted = int(number)
    return f"{counted:,} {things.removesuffix('s') if counted == 1 and things != 'series' else things}"
