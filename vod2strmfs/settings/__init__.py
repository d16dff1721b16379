"""Every option, once (`model.py`), and where its value comes from (`load.py`)."""

from vod2strmfs.settings.checks import without_password
from vod2strmfs.settings.load import load
from vod2strmfs.settings.model import (
    CONFIG_VARIABLE,
    ENVIRONMENT_PREFIX,
    MAX_SHRINK,
    Cleanup,
    FolderIds,
    LibrarySettings,
    MediaServer,
    Mode,
    Settings,
    Versions,
    dispatcharr_database,
    is_secret,
)
from vod2strmfs.settings.servers import NotifiedServer

__all__ = [
    "CONFIG_VARIABLE",
    "ENVIRONMENT_PREFIX",
    "MAX_SHRINK",
    "Cleanup",
    "FolderIds",
    "LibrarySettings",
    "MediaServer",
    "Mode",
    "NotifiedServer",
    "Settings",
    "Versions",
    "dispatcharr_database",
    "is_secret",
    "load",
    "without_password",
]
