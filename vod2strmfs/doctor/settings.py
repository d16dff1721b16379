"""Checks of the settings: where each comes from, and what is allowed and seldom meant."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from vod2strmfs.doctor import films
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.extract.picks import lines
from vod2strmfs.settings import SYSTEM_FILE, Settings, is_secret, without_password
from vod2strmfs.status.words import counted


def origins(settings: Settings, config: Path | None, *, is_usual: bool = False) -> Iterator[Finding]:
    """A finding for each setting that is not left at its default, with where it comes from."""
    yield Finding("settings", Level.OK, _file(config, is_usual=is_usual))
    for name in Settings.model_fields:
        if origin := settings.origin(name):
            value = "(secret)" if is_secret(name) else _shown(getattr(settings, name))
            yield Finding("setting", Level.OK, f"{name} = {value}, from {origin}")
    if not settings.origin("database") and os.environ.get("POSTGRES_HOST"):
        yield Finding("setting", Level.OK, "database = (secret), from POSTGRES_HOST and the like")


def _file(config: Path | None, *, is_usual: bool) -> str:
    if config is None:
        return "no file; --config names one"
    if is_usual and config != SYSTEM_FILE and os.path.lexists(SYSTEM_FILE):
        return f"from {config}, in place of {SYSTEM_FILE}"
    return f"from {config}{', which is read unless --config names another' if is_usual else ''}"


def secrets(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """Whether the database's password is in a file that others can read, or on a command line that they can see."""
    origin = settings.origin("database")
    if origin.startswith("--") and _has_password(settings):
        yield Finding(
            "password",
            Level.WARNING,
            "the database's password is on the command line, where other users can see it",
            "Put `database` into a file of mode 600 that --config names, or into VOD2STRMFS_DATABASE.",
        )
    if config is None:
        return
    try:
        mode = config.stat().st_mode
    except OSError:
        return
    held = {name for name in Settings.model_fields if is_secret(name) and settings.origin(name).endswith(str(config))}
    if not _has_password(settings):
        held.discard("database")
    if held and mode & (stat.S_IRGRP | stat.S_IROTH):
        what = "the database's password" if "database" in held else "a secret"
        yield Finding(
            "password", Level.WARNING, f"{config} holds {what}, and others can read it", f"Run `chmod 600 {config}`."
        )


def unusual(settings: Settings) -> Iterator[Finding]:
    """Settings that are allowed and seldom meant."""
    answered = [*settings.plex_warnings()] if films.is_mounted(settings) else []
    for warning in settings.warnings():
        if warning in answered:
            continue
        text, _, advice = warning.partition(". ")
        yield Finding("library", Level.WARNING, text.rstrip("."), advice)


def shelves(settings: Settings) -> Iterator[Finding]:
    """Whether the files of picks can be read."""
    for shelf in settings.shelf:
        if shelf.picks is None:
            continue
        try:
            number = len(lines(shelf.picks.read_text("utf-8-sig")))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            yield Finding(
                "shelf",
                Level.PROBLEM,
                f"{shelf.name}: {shelf.picks} cannot be read ({why})",
                "Until it can, the shelf holds what the file named before; without that it is not shown.",
            )
        else:
            yield Finding("shelf", Level.OK, f"{shelf.name}: {shelf.picks} has {counted(number, 'lines')}")


def _has_password(settings: Settings) -> bool:
    if settings.database is None:
        return False
    text = settings.database.get_secret_value()
    login, at, _ = text.partition("://")[2].rpartition("@")
    return "password=" in text or bool(at and ":" in login)


def _shown(value: object) -> str:
    """The value as one writes it into the file."""
    if isinstance(value, bool):
        return str(value).lower()
    return without_password(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
