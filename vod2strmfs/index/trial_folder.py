"""The folder in a state directory in which a dry run tries things with copies, and the lock of whoever does."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from vod2strmfs.host.lock import held

FOLDER = ".dry-run"
"""No library's state directory begins with a dot."""
LOCK_NAME = f"{FOLDER}.lock"


def clear_trial_folder(state_dir: Path) -> None:
    """Take away what a dry run has left that was killed; that of one that is at work stays."""
    folder = state_dir / FOLDER
    if os.path.isdir(folder):
        with suppress(OSError), held(state_dir / LOCK_NAME) as is_ours:
            if is_ours:
                shutil.rmtree(folder, ignore_errors=True)
