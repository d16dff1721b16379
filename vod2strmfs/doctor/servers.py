"""Checks of what a media server will make of the library, where its settings decide whether it finds anything."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from vod2strmfs.doctor import films, patience
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.film import FOLDER
from vod2strmfs.index.store import Store
from vod2strmfs.library import stats_csv as stats
from vod2strmfs.settings import Settings
from vod2strmfs.status.channel import NotRunningError, ask, ask_films
from vod2strmfs.status.state import MountState
from vod2strmfs.status.words import counted, moment

_CHECK = "media server"


def servers(settings: Settings) -> Iterator[Finding]:
    """Whether the media server needs settings of its own, or leaves titles out."""
    if settings.group_by == "category_tv":
        yield Finding(
            _CHECK,
            Level.WARNING,
            "group_by is category_tv: a server whose library is TV takes each category for one series, or finds none",
            "Make a library (in Kodi: a source) of each folder in TV, or use category, which leaves TV as it is.",
        )
    if settings.media_server == "kodi" and settings.versions == "all":
        yield Finding(
            _CHECK,
            Level.WARNING,
            "versions is all: Kodi shows each version as a film, or an episode, of its own",
            'Switch "Movies are in separate folders" on in its source, or it finds no film; or use versions = "best".',
        )
    if any(server.kind == "plex" for server in settings.notify) and not films.is_wanted(settings):
        yield Finding(
            _CHECK,
            Level.WARNING,
            "Plex is told what changed in the .strm library, which it cannot play",
            "Give Plex the mount of `vod2strmfs films` instead, which tells it of films.",
        )
    if settings.media_server in ("any", "kodi") and (number := _long_urls(settings)):
        yield Finding(
            _CHECK,
            Level.WARNING,
            f"{number} .strm files have URLs of 4,095 bytes or more: Kodi leaves them out, and says nothing",
            'Shorten movie_path and episode_path; `vod2strmfs report` has the titles as "long url".',
        )
    if settings.notify or settings.on_change:
        yield from _untold(ask, settings.state_dir)
        yield from _untold(ask_films, settings.state_dir / FOLDER)


def _untold(look: Callable[[Path, float], MountState], folder: Path) -> Iterator[Finding]:
    """Who cannot be told what changed in a mount."""
    try:
        state = look(folder, patience.SECONDS / 2)
    except NotRunningError:
        return  # The check of that mount says so.
    for server in state.servers:
        if server.failures:
            yield Finding(
                _CHECK,
                Level.WARNING,
                f"{server.name} is to be told of {counted(server.waiting, 'folders')} in {state.mountpoint}, and cannot"
                f" be told since {moment(server.failing_since)}: it {server.error}",
                "`vod2strmfs notify test` says what is wrong. It is tried again by itself, and nothing is lost.",
            )


def _long_urls(settings: Settings) -> int:
    if not Store.exists(settings.state_dir):
        return 0
    try:
        with closing(Store(settings.state_dir)) as store:
            return int(stats.parse(store.stats())["index"].get("long_urls", 0)) if store.generation else 0
    except IndexFileError:
        return 0  # The check of the index says so.
