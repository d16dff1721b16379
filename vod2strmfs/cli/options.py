"""Command-line options made from the settings, so that each is declared once."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from pydantic_core import PydanticUndefined

from vod2strmfs.settings import CONFIG_VARIABLE, LibrarySettings, Settings, load

LIBRARY = tuple(LibrarySettings.model_fields)
"""The settings of every command that makes or shows the tree."""

_FLAGS = {"write_nfo": "--nfo/--no-nfo"}
"""Flags that the original specification names otherwise than their setting."""


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of some settings, and `settings` as its first argument.

    Args:
        names: fields of `Settings`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(config: Path | None, **values: Any) -> Any:
            given = {name: values.pop(name) for name in names}
            return command(load(config, {name: value for name, value in given.items() if value is not None}), **values)

        decorated: Callable[..., Any] = run
        for name in reversed(names):
            decorated = _option(name)(decorated)
        return click.option(
            "--config",
            type=click.Path(path_type=Path),
            envvar=CONFIG_VARIABLE,
            help="A TOML file with settings.",
        )(decorated)

    return decorate


def _option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option of one setting. Its value goes to the settings as it was typed, to be checked there."""
    field = Settings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    text = f"{field.description}."
    default = field.get_default(call_default_factory=False)
    if field.annotation is bool:
        declaration = _FLAGS.get(name, f"{flag}/--no-{flag[2:]}")
        text += f"  [default: {'on' if default else 'off'}]"
        return click.option(declaration, name, default=None, help=text)
    if choices := [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]:
        return click.option(flag, name, metavar="|".join(choices), help=f"{text}  [default: {default}]")
    if default not in (None, "", PydanticUndefined):
        shown = f"{default:03o}" if name == "umask" else default
        text += f"  [default: {shown}]"
    return click.option(flag, name, metavar=name.rpartition("_")[2].upper(), help=text)
