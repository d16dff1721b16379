"""Loading at the start of a process."""

import sys

from django.apps import AppConfig


class PluginsConfig(AppConfig):
    """The app. A process whose command line has none of these words loads plugins when it starts."""

    name = "apps.plugins"

    def ready(self):
        if not {"celery", "beat", "migrate", "shell"} & set(sys.argv):
            from .loader import PluginManager

            PluginManager.get().discover_plugins(sync_db=False)
