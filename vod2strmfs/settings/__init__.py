"""Every option, once; and where its value comes from."""

from vod2strmfs.settings.model import (
    CONFIG_VARIABLE,
    ENVIRONMENT_PREFIX,
    LibrarySettings,
    Settings,
    dispatcharr_database,
    is_secret,
    load,
    without_password,
)

__all__ = [
    "CONFIG_VARIABLE",
    "ENVIRONMENT_PREFIX",
    "LibrarySettings",
    "Settings",
    "dispatcharr_database",
    "is_secret",
    "load",
    "without_password",
]
