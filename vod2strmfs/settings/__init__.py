"""Every option, once (`model.py`), and where its value comes from (`load.py`)."""

from vod2strmfs.settings.checks import without_password
from vod2strmfs.settings.load import load
from vod2strmfs.settings.model import (
    CONFIG_VARIABLE,
    ENVIRONMENT_PREFIX,
    MAX_SHRINK,
    SECTIONS,
    Cleanup,
    FolderIds,
    LibrarySettings,
    MediaServer,
    Merge,
    Mode,
    PreferQuality,
    Settings,
    Versions,
    choices,
    dispatcharr_database,
    is_secret,
)
from vod2strmfs.settings.place import SYSTEM_FILE, ConfigFile, config_file, user_file
from vod2strmfs.settings.servers import NotifiedServer
from vod2strmfs.settings.shelves import Shelf

__all__ = [
    "CONFIG_VARIABLE",
    "ENVIRONMENT_PREFIX",
    "MAX_SHRINK",
    "SECTIONS",
    "SYSTEM_FILE",
    "Cleanup",
    "ConfigFile",
    "FolderIds",
    "LibrarySettings",
    "MediaServer",
    "Merge",
    "Mode",
    "NotifiedServer",
    "PreferQuality",
    "Settings",
    "Shelf",
    "Versions",
    "choices",
    "config_file",
    "dispatcharr_database",
    "is_secret",
    "load",
    "user_file",
    "without_password",
]
