"""Commands within messages, made so that they can be pasted as they stand: with the settings file that was given."""

import logging
import os
import re
import shlex
from collections.abc import Mapping

import click

from vod2strmfs.settings import Settings

_COMMAND = re.compile(r"`((?:sudo (?:-u \S+ )?)?)vod2strmfs ([a-z][a-z-]*)([^`]*)`")
_KEY = "vod2strmfs.pasting"
"""Where the context of a command keeps its `Pasting`."""


def as_root() -> tuple[str, ...]:
    """`sudo`, where whoever reads the command that follows is an ordinary user who ran this one with sudo."""
    return ("sudo",) if os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") != "0" else ()


class Pasting(logging.Filter):
    """Completes the commands that a message proposes, in backquotes; also a filter, which does so with the log's.

    Args:
        settings: of the command that says it.
        options: the options that each command takes.
    """

    def __init__(self, settings: Settings, options: Mapping[str, frozenset[str]]) -> None:
        super().__init__()
        self._settings = settings
        self._options = options

    def complete(self, text: str) -> str:
        """The text with commands that are about the library that the settings are about."""
        return _COMMAND.sub(self._completed, text)

    def _completed(self, match: "re.Match[str]") -> str:
        sudo, name, rest = match.groups()
        known = self._options.get(name, frozenset())
        # Another user's library has another state directory, too.
        words = list(self._settings.repeated(known & {"--config"} if sudo else known))
        if not words or any(f"{word} " in f"{rest} " for word in words if word.startswith("--")) or "--help" in rest:
            return match[0]
        return f"`{sudo}vod2strmfs {name}{rest} {shlex.join(words)}`"

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging."""
        message = record.getMessage()
        if (completed := self.complete(message)) != message:
            record.msg, record.args = completed, ()
        return True


def begin_pasting(context: click.Context, settings: Settings) -> Pasting:
    """Have the messages of a command complete what they propose."""
    group = context.find_root().command
    commands = group.commands if isinstance(group, click.Group) else {}
    options = {
        name: frozenset(option for parameter in command.params for option in parameter.opts + parameter.secondary_opts)
        for name, command in commands.items()
    }
    pasting = context.meta[_KEY] = Pasting(settings, options)
    return pasting


def current_pasting() -> Pasting | None:
    """What completes the messages of the command that is running; None if none is, or it has no settings."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_KEY) if context else None


def pasteable(text: str) -> str:
    """A text of the command that is running, with its proposals completed."""
    pasting = current_pasting()
    return pasting.complete(text) if pasting else text
