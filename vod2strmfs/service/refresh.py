"""Bringing the index up to date, as several commands do first."""

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from typing import TYPE_CHECKING

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.merge import merge_made_with
from vod2strmfs.library.kinds import SECTIONS
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.sync.progress import Lines, Tell

if TYPE_CHECKING:
    from vod2strmfs.sync.result import SyncResult

Display = Callable[[str, str], AbstractContextManager[Tell]]
"""A display of how far a piece of work is, which goes when the context ends. It is called with what is done and what is
counted, as in "Writing" and "folders", and gives the function to call with each state."""

_log = logging.getLogger("vod2strmfs")


def logged(doing: str, unit: str) -> AbstractContextManager[Tell]:
    """The `Display` that logs a line now and then."""
    return nullcontext(Lines(doing, unit))


def refresh(
    settings: Settings,
    *,
    accept_shrink: bool = False,
    keep_library: bool = False,
    patient: bool = False,
    display: Display = logged,
) -> "SyncResult":
    """Sync the index of the settings' state directory.

    Args:
        settings: of the command.
        accept_shrink: whether to remove what the shrink brake holds back.
        keep_library: whether to leave the library's settings as they are in the index, unless they are given. Whoever
            does not wants to write the library to the output root.
        patient: see `sync`. Warnings are then for a new generation only.
        display: shows how many titles have been read.

    Raises:
        CatalogError: the catalogue cannot be read.
        IndexFileError: the index cannot be written.
    """
    from vod2strmfs.catalog.open import open_source
    from vod2strmfs.sync.run import sync

    library = settings.library()
    if keep_library and not settings.is_library_given:
        library = library_of_index(settings) or library
    elif library.merge is None and _has_output(settings) and merge_made_with(settings.state_dir) is None:
        # Whoever wrote it, it may have a folder for each row: as of a library whose state directory was lost.
        library = library.model_copy(update={"merge": "off"})
    with closing(open_source(settings.database_url())) as source, display("Reading", "titles") as tell:
        result = sync(
            source,
            library,
            settings.state_dir,
            max_shrink=settings.max_shrink,
            accept_shrink=accept_shrink,
            patient=patient,
            tell=tell,
        )
    if patient and not result.changed:
        return result
    for warning in (*library.warnings(settings.model_fields_set), *result.warnings()):
        _log.warning("%s", warning)
    return result


def _has_output(settings: Settings) -> bool:
    """Whether titles have been written to the output root."""
    for section in SECTIONS:
        with suppress(OSError), os.scandir(settings.output_root / section) as entries:
            if any(entries):
                return True
    return False


def library_of_index(settings: Settings) -> LibrarySettings | None:
    """The library's settings that the index was made with, if there is one.

    A `sync` beside a mount must not rewrite its library with the defaults.
    """
    from vod2strmfs.index.store import Store

    if not Store.exists(settings.state_dir):
        return None
    try:
        with closing(Store(settings.state_dir)) as store:
            return store.settings if store.generation else None
    except IndexFileError:
        return None  # The sync will say what is wrong with it.
