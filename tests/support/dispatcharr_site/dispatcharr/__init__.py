"""Django project of the name that Dispatcharr's has."""

from .celery import app as celery_app

__all__ = ["celery_app"]
