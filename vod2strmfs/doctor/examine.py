"""All checks, in the order in which one would mend things."""

from collections.abc import Callable, Iterator
from pathlib import Path

from vod2strmfs.doctor import database, disk, films, hydrate, index, mount, neighbours, playing, runs, servers, settings
from vod2strmfs.doctor.finding import Finding
from vod2strmfs.settings import Settings

Check = Callable[[Settings], Iterator[Finding]]


def examine(given: Settings, config: Path | None, *, play: bool, is_usual: bool = False) -> Iterator[Finding]:
    """The findings of all checks. They change nothing.

    Args:
        given: the settings of the set-up.
        config: the file that some settings come from.
        is_usual: whether that was read without being named.
        play: whether to ask Dispatcharr for a film, which takes one of the provider's connections for a moment.
    """
    yield from settings.origins(given, config, is_usual=is_usual)
    yield from settings.secrets(given, config)
    yield from settings.unusual(given)
    yield from settings.shelves(given)
    materialized = runs.is_materialized(given)
    checks: list[Check] = [
        disk.directories,
        *(() if materialized else (mount.fuse,)),
        database.database,
        index.index,
        servers.servers,
        hydrate.hydrate,
        *((runs.runs,) if materialized else (mount.mount, mount.propagation, neighbours.neighbours)),
        films.films,
    ]
    if play:
        checks += playing.playing, films.ranges
    for check in checks:
        yield from check(given)
