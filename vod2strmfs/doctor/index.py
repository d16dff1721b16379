"""Checks of the index: its age, what the shrink brake holds, and what a viewer will miss."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.held import Held, advise, explain
from vod2strmfs.index.merge import OF_NEW, explain_merge
from vod2strmfs.index.store import Store
from vod2strmfs.library import stats_csv as stats
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.status.words import counted, moment, span

_OLD_SECONDS = 2 * 86400.0
"""Seconds since the last comparison with the catalogue from which on an index is called old."""


def index(settings: Settings) -> Iterator[Finding]:
    """Whether there is an index, and all checks of it."""
    if not Store.exists(settings.state_dir):
        yield Finding(
            "index",
            Level.WARNING,
            f"there is none in {settings.state_dir} yet",
            "`vod2strmfs sync` makes it, and so do `mount` and `materialize`.",
        )
        return
    try:
        with closing(Store(settings.state_dir)) as store:
            yield from age(store, time.time())
            if store.generation:
                metrics = stats.parse(store.stats())["index"]
                yield from brake(store.held, settings)
                yield from missing(metrics)
                yield joining(settings, store.settings)
                yield from other_settings(settings.library(), store.settings)
    except IndexFileError as error:
        yield Finding(
            "index",
            Level.PROBLEM,
            str(error).rstrip("."),
            "Run this as the user who syncs; if it is damaged, delete"
            f" {settings.state_dir}/index.db and run `vod2strmfs sync`: names and contents stay the same.",
        )


def age(store: Store, now: float) -> Iterator[Finding]:
    """Whether the index is kept up to date; `now` is in seconds since the epoch."""
    if store.failing_since:
        text = f"the database could not be read since {moment(store.failing_since)}: {store.error}"
        yield Finding(
            "index",
            Level.PROBLEM,
            text.replace("\n", " ").rstrip("."),
            "Mend what is said of the database, and run `vod2strmfs sync`.",
        )
    elif not store.generation:
        yield Finding("index", Level.WARNING, "no sync has succeeded yet", "Run `vod2strmfs sync`.")
    elif now - store.compared / 1e9 > _OLD_SECONDS:
        yield Finding(
            "index",
            Level.NOTE,
            f"generation {store.generation}, last compared {span(now - store.compared / 1e9)} ago",
            "If Dispatcharr scans its accounts every day, see whether the mount or the timer runs.",
        )
    else:
        yield Finding("index", Level.OK, f"generation {store.generation}, up to date")


def brake(held: Sequence[Held], settings: Settings) -> Iterator[Finding]:
    """Whether the shrink brake holds anything."""
    if held:
        accept = settings.command("sync", "--accept-shrink")
        advice = advise(held, f"run `{accept}`")
        yield Finding("shrink brake", Level.WARNING, explain(held).rstrip("."), advice)


def missing(metrics: Mapping[str, str]) -> Iterator[Finding]:
    """The titles that a viewer will miss, by the metrics of the scope `index`."""
    if empty := int(metrics.get("series_without_episodes", 0)):
        are, their = ("is", "its") if empty == 1 else ("are", "their")
        yield Finding(
            "episodes",
            Level.NOTE,
            f"{empty} series {are} not shown, since Dispatcharr has not fetched {their} episodes",
            "Open a series in Dispatcharr's VOD page: it fetches them then.",
        )
    without = int(metrics.get("movies_without_ids", 0)) + int(metrics.get("series_without_ids", 0))
    if without:
        yield Finding(
            "ids",
            Level.NOTE,
            f"{counted(without, 'titles')} {'has' if without == 1 else 'have'} neither a TMDB nor an IMDb id",
            "Media servers go by name and year there; clean_titles and name_regex help them.",
        )


def joining(settings: Settings, made_with: LibrarySettings) -> Finding:
    """Which rows are joined to one title, and why."""
    text = f"rows of one title: merge is {explain_merge(settings.merge, made_with.merge or 'off')}"
    if settings.merge is None and made_with.merge != OF_NEW:
        advice = 'merge = "titles" makes one film or series of all rows of a title; docs/names.md says what goes then.'
        return Finding("merge", Level.NOTE, text, advice)
    return Finding("merge", Level.OK, text)


def other_settings(given: LibrarySettings, made_with: LibrarySettings) -> Iterator[Finding]:
    """Whether the index was made with other settings than are given: a mount or a run would then change names."""
    if given.merge is None:  # it is left as it is
        given = given.model_copy(update={"merge": made_with.merge})
    if changed := [name for name in LibrarySettings.model_fields if getattr(given, name) != getattr(made_with, name)]:
        yield Finding(
            "library",
            Level.NOTE,
            f"the index was made with other settings: {', '.join(changed)}",
            "Use the settings file of your mount (--config FILE): with other settings, names or contents change. If you"
            " have changed them, start the mount or the service again.",
        )
