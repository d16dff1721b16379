"""What a command says when it is done: text for people, or one JSON object for programs."""

import json
from collections.abc import Callable
from typing import Any

import click

from vod2strmfs.errors import Exit, UserError

JSON_FLAG = "--json"
"""Looked for in `main` as well: an error is an object too."""

quiet_option = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
json_option = click.option(
    JSON_FLAG, "as_json", is_flag=True, help="Say what came of it as one JSON object on standard output, errors too."
)


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `quiet` and `as_json`."""
    return quiet_option(json_option(command))


def answer(
    text: str, fields: dict[str, object], error: UserError | None, *, quiet: bool = False, as_json: bool = False
) -> None:
    """Say what came of a command.

    Args:
        text: for people.
        fields: for programs.
        error: what went wrong, if anything; the exit code is its.
        quiet: whether people want to know of errors alone.
        as_json: whether a program reads it.
    """
    if as_json:
        say_json(fields, error)
        if error:
            raise SystemExit(int(error.exit_code))
        return
    if not quiet:
        click.echo(text)
    if error:
        raise error


def say_json(fields: dict[str, object], error: object = None, exit_code: int | None = None) -> None:
    """Write the object."""
    if exit_code is None:
        exit_code = error.exit_code if isinstance(error, UserError) else Exit.OK
    message = str(error) if error else None
    click.echo(json.dumps(fields | {"exit_code": int(exit_code), "error": message}, ensure_ascii=False))
