"""Settings of the whole of Dispatcharr, by key, as JSON."""

from django.conf import settings
from django.db import models


class CoreSettings(models.Model):
    """One group of settings."""

    key = models.CharField(max_length=255, unique=True)
    name = models.CharField(max_length=255)
    value = models.JSONField(default=dict, blank=True)

    @classmethod
    def get_system_time_zone(cls):
        """The name of the time zone that schedules are in."""
        group = cls.objects.filter(key="system_settings").first()
        return (group and group.value.get("time_zone")) or settings.TIME_ZONE
