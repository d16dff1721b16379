"""The plugin's tasks, as Celery knows them."""

from pathlib import Path
from typing import Any

from .launch import TASK, is_same_user, look_after
from .periodic import SCHEDULED, scheduled
from .places import Places


def register() -> None:
    """Make the plugin's tasks known to Celery, in a worker that loads the plugin; elsewhere it does no harm."""
    try:
        from celery import shared_task
    except ImportError:
        return

    @shared_task(name=TASK, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def run(task: Any, folder: str, run: str) -> None:
        places = Places(Path(folder))
        if is_same_user(places):  # else whoever sent it does it
            look_after(places, run, f"the Celery worker {task.request.hostname}")

    @shared_task(name=SCHEDULED, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def due(task: Any, folder: str) -> None:
        scheduled(Places(Path(folder)), f"the Celery worker {task.request.hostname}")
