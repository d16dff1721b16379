"""The index, opened for a command that shows what is in it."""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vod2strmfs.errors import IndexFileError

if TYPE_CHECKING:
    from vod2strmfs.index.store import Store
    from vod2strmfs.settings import LibrarySettings, Settings

ADVICE = "`vod2strmfs sync` makes the index; --state-dir names another place."
"""What to do where there is none."""


def open_index(state_dir: Path) -> "Store":
    """The index of a state directory.

    Raises:
        IndexFileError: there is none, or it cannot be opened; the message says what to do.
    """
    from vod2strmfs.index.store import Store

    try:
        return Store(state_dir)
    except IndexFileError as error:
        is_anothers = os.strerror(errno.EACCES) in str(error)
        advice = "Run it as the user who syncs, with sudo." if is_anothers else ADVICE
        raise IndexFileError(f"{error}\n{advice}") from error


def library_made(settings: "Settings") -> "LibrarySettings":
    """The library's settings that the index was made with.

    Raises:
        IndexFileError: there is no library yet, or this user may not read it; the message says what to do.
    """
    from vod2strmfs.index.file import FILE_NAME
    from vod2strmfs.service.refresh import library_of_index

    if (library := library_of_index(settings)) is not None:
        return library
    try:
        os.stat(settings.state_dir / FILE_NAME)
    except PermissionError:
        open_index(settings.state_dir).close()
    except OSError:
        pass
    raise IndexFileError(
        f"state directory {settings.state_dir}: holds no library yet. Run `vod2strmfs sync` first, or mount it;"
        " --state-dir names another place."
    )
