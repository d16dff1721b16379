"""Periodic tasks of django-celery-beat, by name."""

import json

from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from core.models import CoreSettings


def create_or_update_periodic_task(
    task_name, celery_task_path, kwargs=None, interval_hours=0, cron_expression="", enabled=True
):
    """Have a task run by a crontab of 5 fields, or every so many hours; returns the `PeriodicTask`.

    Raises:
        ValueError: the crontab has not 5 fields.
    """
    crontab = interval = None
    if cron_expression.strip():
        parts = cron_expression.split()
        if len(parts) != 5:
            raise ValueError("Cron expression must have 5 parts: minute hour day month weekday")
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        zone = CoreSettings.get_system_time_zone()
        crontab, _ = CrontabSchedule.objects.get_or_create(**dict(zip(names, parts, strict=True)), timezone=zone)
    else:
        every = {"every": max(interval_hours, 1), "period": IntervalSchedule.HOURS}
        interval, _ = IntervalSchedule.objects.get_or_create(**every)
    values = {
        "task": celery_task_path,
        "crontab": crontab,
        "interval": interval,
        "enabled": enabled and (crontab is not None or interval_hours > 0),
        "kwargs": json.dumps(kwargs or {}),
    }
    task, _ = PeriodicTask.objects.update_or_create(name=task_name, defaults=values)
    return task


def delete_periodic_task(task_name):
    """Remove a task; returns whether there was one."""
    return PeriodicTask.objects.filter(name=task_name).delete()[0] > 0
