"""The text of a first settings file, and writing it, never over another."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomli_w

from vod2strmfs import PROJECT_URL
from vod2strmfs.errors import OutputError

_TEXT = """\
# Settings of vod2strmfs. All there are: {url}/blob/main/docs/settings.md
# After a change, run `vod2strmfs doctor`, and start the mount or the service again.

# Dispatcharr's database. It is only ever read.
{database}
# Dispatcharr's address as the media server reaches it: it stands in every .strm.
{base_url}
# Where the library is mounted, or written.
{output_root}
# Whether other users than the one who mounts, and containers, may read it.
{allow_other}
# Whose names and NFO files to write: any, jellyfin, emby, kodi, plex or spec.
# media_server = "jellyfin"

# What to leave out; upper and lower case are the same.
# categories = ["*", "!Adults*"]
# languages = ["EN", "-"]

# For `vod2strmfs run`, which writes real files: when, and whether it deletes those that have left.
# schedule = "daily 03:30"
# cleanup = "apply"

# For `vod2strmfs films`, whose files Plex plays: where it mounts.
# films_root = "/data/Films"

# A page that shows how all of it is.
# status_listen = "127.0.0.1:9192"
"""


def settings_text(values: Mapping[str, Any]) -> str:
    """The text of a settings file with comments.

    Args:
        values: `database`, `base_url`, `output_root` and `allow_other`, as TOML has them.
    """
    return _TEXT.format(url=PROJECT_URL, **{name: tomli_w.dumps({name: value}) for name, value in values.items()})


def check_new(path: Path) -> None:
    """Make sure that there is no such file yet.

    Raises:
        OutputError: there is.
    """
    if os.path.lexists(path):
        raise OutputError(f"{path}: is there already. Edit it, or have another one written with --config FILE.")


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that does not exist yet, whole or not at all.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), mode)  # whatever the umask
            os.link(draft, path)  # which, unlike a renaming, replaces nothing
        finally:
            with suppress(OSError):
                os.unlink(draft)
    except FileExistsError:
        check_new(path)
        raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}). Run this with sudo, or name another file with --config."
        ) from error
