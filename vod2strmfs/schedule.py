"""When to run: `daily HH:MM`, or a crontab of five or six fields, as the original specification has it."""

import os
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_DAILY = re.compile(r"daily +([01]?\d|2[0-3]):([0-5]\d)", re.IGNORECASE)


def crontab(schedule: str) -> str:
    """A schedule as a crontab expression.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    if match := _DAILY.fullmatch(schedule.strip()):
        return f"{int(match[2])} {int(match[1])} * * *"
    try:
        CronSim(schedule, datetime.now().astimezone())
    except CronSimError as error:
        if time := re.search(r"\d+:\d+", schedule):
            is_time = _DAILY.fullmatch(f"daily {time[0]}")
            wrong = "is no schedule: write" if is_time else f"{time[0]} is no time of day: write one as in"
            raise ValueError(f"{wrong} `daily {time[0] if is_time else '03:30'}`") from None
        raise ValueError(
            f"must be `daily HH:MM`, or a crontab of 5 fields, or of 6 with the seconds first ({error})"
        ) from None
    return schedule


def next_time(schedule: str, after: datetime) -> datetime:
    """The first time after another at which to run.

    Args:
        schedule: a valid one.
        after: with a time zone, whose daylight-saving changes are heeded as Debian's cron does: what falls into the
            hour that is skipped runs when it has ended, and what falls into the hour that comes twice runs once.
            What runs every so many minutes or hours does so through both.
    """
    expression = crontab(schedule)
    minutes, hours = expression.split()[-5:-3]
    if minutes.startswith("*") or hours.startswith("*"):
        return next(CronSim(expression, after))
    # CronSim would heed them too, but for crontabs with seconds.
    for moment in CronSim(expression, after.replace(tzinfo=None)):
        due = moment.replace(tzinfo=after.tzinfo)
        while _is_skipped(due):
            due = due.replace(second=0) + timedelta(minutes=1)
        if due.timestamp() > after.timestamp():
            return due
    raise ValueError(f"{schedule}: there is no such time")


def _is_skipped(moment: datetime) -> bool:
    """Whether clocks never show it."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) != moment.replace(tzinfo=None)


def zone(name: str) -> tzinfo:
    """A time zone with its daylight-saving changes.

    Args:
        name: as in Europe/Berlin; "" for this host's.
    """
    name = name or os.environ.get("TZ", "").removeprefix(":")
    if name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            # TZ can hold more than names; what the offset is today is all that Python makes of it.
            return datetime.now().astimezone().tzinfo or UTC
    try:
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
