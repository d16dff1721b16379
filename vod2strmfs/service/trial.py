"""A state directory to try things in: what happens to the index, and to the list of images, happens to copies."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from vod2strmfs.artwork import queue
from vod2strmfs.errors import IndexFileError
from vod2strmfs.host.lock import held
from vod2strmfs.index.file import copy, make_directory
from vod2strmfs.index.trial_folder import FOLDER, LOCK_NAME
from vod2strmfs.settings import Settings

_WAIT_SECONDS = 600.0


@contextmanager
def trial(settings: Settings) -> Iterator[Settings]:
    """The settings with a state directory of their own, which begins with the index that there is and ends with the
    context: a mount that shows the index sees nothing of what is tried.

    Args:
        settings: of the command.

    Raises:
        IndexFileError: there is no room for a copy, or another trial takes too long.
    """
    make_directory(settings.state_dir)
    folder = settings.state_dir / FOLDER
    with ExitStack() as stack:
        try:
            is_ours = stack.enter_context(held(settings.state_dir / LOCK_NAME, _WAIT_SECONDS))
        except OSError as error:
            raise IndexFileError(
                f"state directory {settings.state_dir}: it cannot be locked for a dry run ({error.strerror})."
                " Give another one with --state-dir."
            ) from error
        if not is_ours:
            raise IndexFileError(
                f"state directory {settings.state_dir}: another dry run has been running for"
                f" {_WAIT_SECONDS:.0f} seconds."
            )
        try:
            shutil.rmtree(folder, ignore_errors=True)  # One that was killed left it.
            make_directory(folder)
            copy(settings.state_dir, folder)
            if settings.artwork == "files":
                queue.copy(settings.state_dir, folder)
            yield settings.model_copy(update={"state_dir": folder})
        finally:
            shutil.rmtree(folder, ignore_errors=True)
