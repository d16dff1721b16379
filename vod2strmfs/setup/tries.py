"""Trying what somebody answers who sets a library up: each question has a function that says what is wrong with it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from vod2strmfs.doctor.database import database
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.playing import probe
from vod2strmfs.host.mount_table import KIND, mounted_at
from vod2strmfs.settings import Settings


def try_database(settings: Settings) -> Iterator[Finding]:
    """What the database says: whether it can be read, and what it has to show."""
    yield from database(settings)


def try_address(settings: Settings) -> Iterator[Finding]:
    """Whether Dispatcharr answers at `base_url`."""
    yield probe(settings)
    for warning in settings.warnings({"base_url"}):
        text, _, advice = warning.partition(". ")
        yield Finding("address", Level.WARNING, text.rstrip("."), advice)


def try_folder(settings: Settings) -> Iterator[Finding]:
    """Whether the library can be shown, or written, at `output_root`, which is made if it does not exist."""
    folder = settings.output_root.absolute()
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        yield _present(folder)
    except OSError as error:
        yield Finding("folder", Level.PROBLEM, f"{folder} cannot be made ({error.strerror})", _ANOTHER)
    else:
        yield Finding("folder", Level.OK, f"{folder} was made")


_ANOTHER = "Name another folder, or run this with sudo."


def _present(folder: Path) -> Finding:
    mounted = mounted_at(folder)
    if mounted is not None and mounted.kind == KIND:
        return Finding("folder", Level.OK, f"a library is mounted at {folder} already")
    if not folder.is_dir():
        return Finding("folder", Level.PROBLEM, f"{folder} is not a folder", "Name another one.")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("folder", Level.PROBLEM, f"{folder} cannot be written by this user", _ANOTHER)
    if next(os.scandir(folder), None) is not None:
        return Finding(
            "folder",
            Level.NOTE,
            f"{folder} has files in it",
            "`materialize` leaves them alone; a mount hides them while it lasts.",
        )
    return Finding("folder", Level.OK, f"{folder} is there, and empty")


def database_url(host: str, user: str, password: str, name: str) -> str:
    """The URL of a PostgreSQL database.

    Args:
        host: a name or an address, with or without a port.
        user: the role.
        password: the role's.
        name: the database's.
    """
    login = f"{quote(user, safe='')}{':' if password else ''}{quote(password, safe='')}"
    return f"postgresql://{login}@{host}/{quote(name, safe='')}"


def is_host(text: str) -> bool:
    """Whether a text is a host, with or without a port, and no whole address of a database."""
    return bool(re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", text))


def guessed_address(database: str) -> str:
    """The address at which Dispatcharr's web page most likely is, by that of its database; empty without a guess."""
    try:
        host = urlsplit(database).hostname if database.startswith("postgres") else None
    except ValueError:
        host = None
    if not host or "," in host:
        return ""
    return f"http://{f'[{host}]' if ':' in host else host}:9191"
