"""Bringing the index up to date, as several commands do first."""

import logging
from contextlib import closing
from typing import TYPE_CHECKING

from vod2strmfs.errors import IndexFileError
from vod2strmfs.settings import LibrarySettings, Settings

if TYPE_CHECKING:
    from vod2strmfs.index.sync import Outcome

_log = logging.getLogger("vod2strmfs")


def refresh(settings: Settings, *, accept_shrink: bool = False, keep_library: bool = False) -> "Outcome":
    """Sync the index of the settings' state directory.

    Args:
        settings: of the command.
        accept_shrink: whether to remove what the shrink brake holds back.
        keep_library: whether to leave the library's settings as they are in the index, unless some are given.
    """
    from vod2strmfs.catalog.source import open_source
    from vod2strmfs.index.sync import sync

    library = settings.library()
    if keep_library and not settings.model_fields_set & LibrarySettings.model_fields.keys():
        library = _library_of_index(settings) or library
    with closing(open_source(settings.source())) as source:
        outcome = sync(
            source,
            library,
            settings.state_dir,
            max_shrink=settings.max_shrink,
            accept_shrink=accept_shrink,
        )
    for warning in (*library.warnings(), *outcome.warnings()):
        _log.warning("%s", warning)
    return outcome


def _library_of_index(settings: Settings) -> LibrarySettings | None:
    """What the index was made with: a `sync` beside a mount must not rewrite its library with the defaults."""
    from vod2strmfs.index.store import Store

    if not Store.exists(settings.state_dir):
        return None
    try:
        with closing(Store(settings.state_dir)) as store:
            return store.settings if store.generation else None
    except IndexFileError:
        return None  # The sync will say what is wrong with it.
