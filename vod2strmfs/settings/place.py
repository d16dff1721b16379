"""The settings file of a command: the one that it is given, or the usual one of this user or of this host."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.settings.model import CONFIG_VARIABLE

SYSTEM_FILE = Path("/etc/vod2strmfs.toml")
"""The settings file of this host, which every user's commands read who has none of their own."""


class ConfigFile(NamedTuple):
    """A settings file, if there is one."""

    path: Path | None
    is_usual: bool = False
    """Whether it is read without being named, so that a command need not name it either."""


def config_file(given: str | None, environment: Mapping[str, str] = os.environ) -> ConfigFile:
    """The settings file of a command.

    A user's file counts whole in place of the host's, as with other programs; the two are not mixed. One that is there
    is taken even if it cannot be read: that is an error, since without it the command would be about another library.

    Args:
        given: the value of `--config`; empty: no file is read. None: it was not given.
        environment: where `VOD2STRMFS_CONFIG` is looked up, which is like `--config`.
    """
    if given is None:
        given = environment.get(CONFIG_VARIABLE)
    if given is not None:
        return ConfigFile(Path(given) if given else None)
    for path in (user_file(environment), SYSTEM_FILE):
        if path is not None and os.path.lexists(path):
            return ConfigFile(path, is_usual=True)
    return ConfigFile(None)


def user_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The usual place of a user's own settings file; None for a user without a home directory."""
    configured = environment.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(configured):  # the XDG Base Directory Specification: else it is to be ignored
        try:
            configured = str(Path.home() / ".config")
        except RuntimeError:
            return None
    return Path(configured, "vod2strmfs", "config.toml")
