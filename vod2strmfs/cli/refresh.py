"""Bringing the index up to date, as several commands do first."""

import logging
from contextlib import closing
from typing import TYPE_CHECKING

from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.index.sync import Outcome

_log = logging.getLogger("vod2strmfs")


def refresh(settings: Settings, *, accept_shrink: bool = False) -> "Outcome":
    """Sync the index of the settings' state directory."""
    from vod2strmfs.catalog.source import open_source
    from vod2strmfs.index.sync import sync

    with closing(open_source(settings.source())) as source:
        outcome = sync(
            source,
            settings.library(),
            settings.state_dir,
            max_shrink=settings.max_shrink,
            accept_shrink=accept_shrink,
        )
    for warning in (*settings.warnings(), *outcome.warnings()):
        _log.warning("%s", warning)
    return outcome
