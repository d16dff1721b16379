"""`vod2strmfs learn`."""

import signal
import sys
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.index import library_made
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import STATE, Group, GroupedCommand, with_settings
from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.status.words import capitalized, counted, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from vod2strmfs.films.command import Job, Plan, Result
    from vod2strmfs.films.film import Key

_SHOWN = 10
"""Of the reasons why films could not be learnt."""
_LEARNING = Group("Learning", ("films_cache", "learn_rate", "learn_bytes", "max_streams", "reserve_streams"))
_ASKING = Group("Dispatcharr's API", ("api_url", "api_key_file", "api_user", "api_password_file", "api_ca_file"))


@click.command(cls=GroupedCommand, short_help="Learn films now, for `films` to show.")
@click.argument("names", nargs=-1, metavar="[GLOB]…")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Learn so many films at most.")
@answer_options
@with_settings(_LEARNING, _ASKING, STATE)
def learn(settings: Settings, names: tuple[str, ...], limit: int | None, quiet: bool, as_json: bool) -> None:
    """Learn the films of the library now, for `films` to show.

    Of each film its exact size is asked for, what it is, and the parts that media servers read when they scan. A mount
    of films does this by itself in the background: beside it, this has the films that are named learnt first, and
    shows how far it is. GLOB is a film's name, a part of it, or a pattern for all of it (* for what may differ), or a
    path in a mount; a series' name, or "Lost: *", are its episodes. It can be ended at any time; what was learnt is not
    asked for again.
    """
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.films.command import learn as work

    set_up_logs(settings, quiet=quiet)
    library = library_made(settings)
    job = _job(settings, library, names, limit)
    with shown("Learning", "films", quiet=quiet) as tell:
        done = work(job, begun=lambda plan: None if quiet else _announce(plan), tell=tell)
    answer(_summary(settings, done, limit), _fields(done), None, quiet=quiet, as_json=as_json)
    if done.stopped == signal.SIGINT:
        raise KeyboardInterrupt


def _job(settings: Settings, library: LibrarySettings, names: tuple[str, ...], limit: int | None) -> "Job":
    from vod2strmfs.films.command import Job
    from vod2strmfs.films.order import FilmsOrder
    from vod2strmfs.index.order import HydrateOrder

    # An address that was mended in the settings counts at once, and not only after a sync.
    address = settings.base_url if "base_url" in settings.model_fields_set else ""
    # A key lets us ask Dispatcharr for its streams.
    api = HydrateOrder.if_given(settings, address or library.base_url)
    return Job(
        FilmsOrder.of(settings), settings.state_dir.absolute(), _match, api,
        settings.api_ca_file, names, limit, settings.api_url or address,
    )  # fmt: skip


def _match(text: str, names: "Mapping[Key, str]") -> "Set[Key]":
    """The films that a user means.

    Raises:
        SettingsError: there are none.
    """
    from vod2strmfs.extract.named import films_named, nearest_film

    if found := films_named(text, names):
        return found
    near = nearest_film(text, names)
    advice = f'Did you mean "{near}"?' if near else 'Give a part of its name, or a pattern as in "Metropolis*".'
    raise SettingsError(f"There is no film {text!r} in the library. {advice}")


def _announce(plan: "Plan") -> None:
    """Say what it will cost, on standard error: the answer is for programs too."""
    from vod2strmfs.films.figures import gigabytes

    if plan.films:
        are = "is" if plan.films == 1 else "are"
        cost = f"about {gigabytes(plan.bytes)} from providers, in {span(plan.seconds)} or more"
        # Not by click.echo, which writes past what the bar puts in the place of sys.stderr, into the bar's own line.
        print(f"{counted(plan.films, 'films')} {are} to be learnt: {cost}.", file=sys.stderr)


def _summary(settings: Settings, done: "Result", limit: int | None) -> str:
    from vod2strmfs.films.figures import gigabytes
    from vod2strmfs.films.outcomes import Kind

    figures = done.figures
    if figures is None or not (figures.learnt or figures.waiting or figures.failed):
        return "The library has no films."
    learnt, are = done.counts[Kind.LEARNT], "is" if figures.learnt == 1 else "are"
    lines = [
        f"{counted(learnt, 'films')} learnt ({gigabytes(done.taken)} from providers); {figures.learnt:,} {are} known."
    ]
    if done.elsewhere and done.counts:
        lines.append("Films were mounted then: the mount learns the others.")
    elif done.elsewhere:
        lines = [f"Another process learns; {counted(figures.learnt, 'films')} {are} known."]
    if not done.plan.films and not done.left:
        lines = [f"There is nothing to learn now: {figures.learnt:,} {are} known."]
    if done.left:
        lines.append(f"{done.left:,} {'is' if done.left == 1 else 'are'} still to be learnt.")
    # What stops all of them is said once.
    reasons = [(why, n) for why, n in done.reasons.most_common() if not figures.stopped or figures.stopped not in why]
    lines += [_sentence(f"{number:,} not learnt: {why}") for why, number in reasons[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"Not learnt either: {sum(number for _, number in reasons[_SHOWN:]):,} more.")
    lines += [f"{capitalized(name)} is left alone for a while: {why}." for name, why in figures.paused.items()]
    if figures.stopped:
        lines.append(_sentence(f"Stopped: {figures.stopped}"))
    elif done.left and not figures.paused and not done.stopped and not done.elsewhere:
        is_limit = limit is not None and done.counts.total() >= limit
        why = "--limit was reached" if is_limit else "No stream of their accounts was free"
        lines.append(f"{why}; run it again to go on.")
    if not learnt and (reasons or figures.paused):
        lines.append(f"`{settings.command('doctor')}` says what to do.")
    if done.stopped:
        lines.append("It was ended by a signal; the next run goes on.")
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _fields(done: "Result") -> dict[str, object]:
    import msgspec

    return {
        "outcomes": {str(kind): number for kind, number in sorted(done.counts.items())},
        "reasons": dict(done.reasons.most_common()),
        "bytes": done.taken,
        "left": done.left,
        "elsewhere": done.elsewhere,
        "stopped": bool(done.stopped),
        "films": done.figures and msgspec.structs.asdict(done.figures),
    }
