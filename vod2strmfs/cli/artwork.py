"""`vod2strmfs artwork`."""

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.index import library_made
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import ARTWORK, CATALOGUE, STATE, GroupedCommand, with_settings
from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import Settings
from vod2strmfs.status.words import counted

if TYPE_CHECKING:
    from vod2strmfs.artwork.command import Result

_SHOWN = 10
"""Of the reasons why images could not be had."""


@click.command(cls=GroupedCommand)
@click.option("--retry-failed", is_flag=True, help="Ask again for what could not be had before.")
@answer_options
@with_settings(ARTWORK, CATALOGUE, STATE)
def artwork(settings: Settings, retry_failed: bool, quiet: bool, as_json: bool) -> None:
    """Fetch posters and backgrounds now, for artwork = files.

    What the library has is asked for once, and stored below the state directory; a mount shows it, and `materialize`
    writes it. A mount and `run` do this by themselves in the background: beside them, this shows how far they are. It
    can be ended at any time; what is stored is not asked for again.
    """
    from vod2strmfs.artwork.command import fetch
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.index.order import ArtworkOrder
    from vod2strmfs.sync.pictures import publish

    set_up_logs(settings, quiet=quiet)
    library = library_made(settings)
    given = settings.model_fields_set
    chosen = {name: getattr(library, name) for name in ("artwork", "artwork_episodes", "media_server", "base_url")}
    settings = settings.model_copy(update={name: value for name, value in chosen.items() if name not in given})
    order = ArtworkOrder.of(settings, database=_database(settings))
    if order is None or library.artwork != "files":
        raise SettingsError('artwork: is not "files" in this library. Set artwork = "files", and mount or sync it.')
    with shown("Fetching", "images", quiet=quiet) as tell:
        done = fetch(order, settings.state_dir.absolute(), publish, retry_failed=retry_failed, tell=tell)
    answer(_summary(done), _fields(done), None, quiet=quiet, as_json=as_json)
    if done.stopped == signal.SIGINT:
        raise KeyboardInterrupt


def _database(settings: Settings) -> str:
    """The database, if it is set: without it, images are fetched all the same."""
    with suppress(SettingsError):
        return settings.database_url()
    return ""


def _summary(done: "Result") -> str:
    from vod2strmfs.artwork.figures import megabytes

    figures = done.figures
    if figures is None:
        return "No title of the library has a poster or a background."
    are = "is" if figures.stored == 1 else "are"
    there = f"{are} there ({megabytes(figures.bytes)})."
    lines = [f"{counted(done.counts['stored'], 'images')} fetched; {figures.stored:,} {there}"]
    if done.elsewhere:
        lines = [f"Another process fetches; {counted(figures.stored, 'images')} {there}"]
    if figures.waiting:
        lines.append(f"{figures.waiting:,} {'was' if figures.waiting == 1 else 'were'} not asked for yet.")
    failing = list(figures.failing.items())
    lines += [f"{number:,} could not be had: {why}." for why, number in failing[:_SHOWN]]
    if len(failing) > _SHOWN:
        lines.append(f"{sum(number for _, number in failing[_SHOWN:]):,} more could not be had.")
    lines += [f"{host} is left alone for a while: {why}." for host, why in figures.paused.items()]
    if figures.stopped:
        lines.append(f"Stopped: {figures.stopped}")
    if done.stopped:
        lines.append("It was ended by a signal; the next run goes on.")
    return "\n".join(lines)


def _fields(done: "Result") -> dict[str, object]:
    import msgspec

    return {
        "outcomes": dict(sorted(done.counts.items())),
        "elsewhere": done.elsewhere,
        "stopped": bool(done.stopped),
        "artwork": done.figures and msgspec.structs.asdict(done.figures),
    }
