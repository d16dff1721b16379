"""`vod2strmfs learn`."""

import signal
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import STATE, Group, GroupedCommand, with_settings
from vod2strmfs.errors import IndexFileError
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.status.words import span

if TYPE_CHECKING:
    from vod2strmfs.films.command import Job, Plan, Result

_SHOWN = 10
"""Of the reasons why films could not be learnt."""
_LEARNING = Group("Learning", ("films_cache", "learn_rate", "learn_bytes", "max_streams", "reserve_streams"))
_ASKING = Group("Dispatcharr's API", ("api_url", "api_key_file", "api_user", "api_password_file", "api_ca_file"))


@click.command(cls=GroupedCommand, short_help="Learn films now, for `films` to show.")
@click.argument("names", nargs=-1, metavar="[GLOB]…")
@click.option("--limit", type=click.IntRange(1), help="Learn so many films at most.")
@answer_options
@with_settings(_LEARNING, _ASKING, STATE)
def learn(settings: Settings, names: tuple[str, ...], limit: int | None, quiet: bool, as_json: bool) -> None:
    """Learn the films of the library now, for `films` to show.

    Of each film its exact size is asked for, what it is, and the parts that media servers read when they scan. A mount
    of films does this by itself in the background: beside it, this has the films that are named learnt first, and
    shows how far it is. GLOB is a film's name, with * for what may differ; "Lost: *" are the episodes of a series. It
    can be ended at any time; what was learnt is not asked for again.
    """
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.films.command import learn as work
    from vod2strmfs.service.refresh import library_of_index

    set_up_logs(settings, quiet=quiet)
    library = library_of_index(settings)
    if library is None:
        raise IndexFileError("The index holds no library yet. Run `vod2strmfs sync` first, or mount it.")
    job = _job(settings, library, names, limit)
    with shown("Learning", "films", quiet=quiet) as tell:
        done = work(job, begun=lambda plan: None if quiet else _announce(plan), tell=tell)
    answer(_summary(done), _fields(done), None, quiet=quiet, as_json=as_json)
    if done.stopped == signal.SIGINT:
        raise KeyboardInterrupt


def _job(settings: Settings, library: LibrarySettings, names: tuple[str, ...], limit: int | None) -> "Job":
    from vod2strmfs.extract.filters import matching
    from vod2strmfs.films.command import Job
    from vod2strmfs.films.order import FilmsOrder
    from vod2strmfs.index.order import HydrateOrder

    # A key lets us ask Dispatcharr for its streams.
    api = HydrateOrder.if_given(settings, library.base_url)
    return Job(
        FilmsOrder.of(settings), settings.state_dir.absolute(), matching, api,
        settings.api_ca_file, names, limit, settings.api_url,
    )  # fmt: skip


def _announce(plan: "Plan") -> None:
    """Say what it will cost, on standard error: the answer is for programs too."""
    from vod2strmfs.films.figures import gigabytes

    if plan.films:
        are = "film is" if plan.films == 1 else "films are"
        cost = f"about {gigabytes(plan.bytes)} from providers, in {span(plan.seconds)} or more"
        click.echo(f"{plan.films:,} {are} to be learnt: {cost}.", err=True)


def _summary(done: "Result") -> str:
    from vod2strmfs.films.figures import gigabytes
    from vod2strmfs.films.outcomes import Kind

    figures = done.figures
    if figures is None or not (figures.learnt or figures.waiting or figures.failed):
        return "The library has no films."
    learnt = done.counts[Kind.LEARNT]
    films = "film" if learnt == 1 else "films"
    lines = [f"{learnt:,} {films} learnt ({gigabytes(done.taken)} from providers); {figures.learnt:,} are known."]
    if done.elsewhere and done.counts:
        lines.append("Films were mounted then: the mount learns the others.")
    elif done.elsewhere:
        lines = [f"Another process learns; {figures.learnt:,} films are known."]
    if done.left:
        lines.append(f"{done.left:,} are still to be learnt.")
    reasons = done.reasons.most_common()
    lines += [f"{number:,} not learnt: {why}." for why, number in reasons[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"{sum(number for _, number in reasons[_SHOWN:]):,} more were not learnt.")
    lines += [f"{name.capitalize()} is left alone for a while: {why}." for name, why in figures.paused.items()]
    if figures.stopped:
        lines.append(f"Stopped: {figures.stopped}.")
    elif done.left and not figures.paused and not done.stopped and not done.elsewhere:
        lines.append("No stream of their accounts was free, or --limit was reached; run it again to go on.")
    if done.stopped:
        lines.append("It was ended by a signal; the next run goes on.")
    return "\n".join(lines)


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
