"""The Celery application. Plugins are imported in the children of a pool, never by the parent that knows the tasks."""

import os

from celery import Celery
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcharr.settings")
app = Celery("dispatcharr")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect(weak=False)
def discover_plugins(**_: object) -> None:
    """Load the plugins in a child that has just begun."""
    from apps.plugins.loader import PluginManager
    from django.db import connections

    connections.close_all()
    PluginManager.get().discover_plugins(sync_db=False)
