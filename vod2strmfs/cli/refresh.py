"""Bringing the index up to date, as several commands do first."""

import logging
from contextlib import closing
from typing import TYPE_CHECKING

from vod2strmfs.errors import IndexFileError
from vod2strmfs.settings import LibrarySettings, Settings

if TYPE_CHECKING:
    from vod2strmfs.sync.result import SyncResult

_log = logging.getLogger("vod2strmfs")


def refresh(
    settings: Settings,
    *,
    accept_shrink: bool = False,
    keep_library: bool = False,
    patient: bool = False,
    quiet: bool = False,
) -> "SyncResult":
    """Sync the index of the settings' state directory.

    Args:
        settings: of the command.
        accept_shrink: whether to remove what the shrink brake holds back.
        keep_library: whether to leave the library's settings as they are in the index, unless they are given.
        patient: see `sync`. Warnings are then for a new generation only.
        quiet: whether to show no progress.
    """
    from vod2strmfs.catalog.open import open_source
    from vod2strmfs.cli.progress import shown
    from vod2strmfs.sync.run import sync

    library = settings.library()
    if keep_library and not settings.is_library_given:
        library = library_of_index(settings) or library
    with closing(open_source(settings.database_url())) as source, shown("Reading", "titles", quiet=quiet) as tell:
        outcome = sync(
            source,
            library,
            settings.state_dir,
            max_shrink=settings.max_shrink,
            accept_shrink=accept_shrink,
            patient=patient,
            tell=tell,
        )
    if patient and not outcome.changed:
        return outcome
    for warning in (*library.warnings(settings.model_fields_set), *outcome.warnings()):
        _log.warning("%s", warning)
    return outcome


def sync_fields(outcome: "SyncResult") -> dict[str, object]:
    """What a sync did, for programs; see docs/commands.md."""
    changes: dict[str, dict[str, int]] = {}
    for (kind, what), number in sorted(outcome.counts.items()):
        if number:
            changes.setdefault(kind, {})[what] = number
    return {
        "generation": outcome.generation,
        "changed": outcome.changed,
        "changes": changes,
        "held": outcome.held,
        "warnings": list(outcome.warnings()),
    }


def library_of_index(settings: Settings) -> LibrarySettings | None:
    """What the index was made with: a `sync` beside a mount must not rewrite its library with the defaults."""
    from vod2strmfs.index.store import Store

    if not Store.exists(settings.state_dir):
        return None
    try:
        with closing(Store(settings.state_dir)) as store:
            return store.settings if store.generation else None
    except IndexFileError:
        return None  # The sync will say what is wrong with it.
