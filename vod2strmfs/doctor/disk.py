"""Checks of the directories that are written: whether they can be, and whether there is room."""

import os
from collections.abc import Iterator
from pathlib import Path

from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.patience import in_time
from vod2strmfs.settings import Settings

_LITTLE_BYTES = 200 << 20
"""Bytes of an index of a million titles, twice."""


def directories(settings: Settings) -> Iterator[Finding]:
    """Whether the state, the log and the report directory can be written."""
    wanted = {"state_dir": settings.state_dir, "log_dir": settings.logs, "report_dir": settings.reports}
    for name, path in wanted.items():
        try:
            yield from in_time(lambda name=name, path=path: list(_directory(name, path)))  # type: ignore[misc]
        except TimeoutError:
            yield Finding("disk", Level.PROBLEM, f"{name} {path} does not answer", "See what is mounted there.")
        except OSError as error:
            yield Finding(
                "disk",
                Level.PROBLEM,
                f"{name} {path}: {error.strerror}",
                f"Choose another one with --{name.replace('_', '-')}.",
            )


def _directory(name: str, path: Path) -> Iterator[Finding]:
    option = f"--{name.replace('_', '-')}"
    existing = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(
            "disk",
            Level.PROBLEM,
            f"{name} {path} cannot be {'written' if existing == path else 'made'}",
            f"Give a directory that this user can write with {option}.",
        )
        return
    room = os.statvfs(existing)
    free = room.f_bavail * room.f_frsize
    if name != "state_dir":
        return
    if free < _LITTLE_BYTES or (room.f_files and room.f_favail < 100):
        yield Finding(
            "disk",
            Level.WARNING,
            f"{free >> 20} MiB are free for {name} {path}",
            f"Make room there, or choose another place with {option}.",
        )
    else:
        yield Finding("disk", Level.OK, f"{free >> 20} MiB are free for {name} {path}")
