"""Answers of a command: text for people, or one JSON document for programs."""

import json
from collections.abc import Callable
from typing import Any

import click

from vod2strmfs.cli.output import say
from vod2strmfs.cli.pasteable import pasteable
from vod2strmfs.errors import Exit, UserError

JSON_FLAG = "--json"
"""The flag that asks for JSON. The group looks for it too, since an error is a document as well."""

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
json_option = click.option(
    JSON_FLAG, "as_json", is_flag=True, help="Give the answer as JSON on one line, for programs; errors too."
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

    Raises:
        UserError: `error`, unless a program has been told.
        SystemExit: a program has been told of an error.
    """
    if as_json:
        exit_code = error.exit_code if error else Exit.OK
        say_json(fields | ended(exit_code, error))
        if error:
            raise SystemExit(int(exit_code))
        return
    if not quiet:
        say(pasteable(text))
    if error:
        raise error


def json_line(document: object) -> str:
    """A JSON document on a line of its own, its end included."""
    return json.dumps(document, ensure_ascii=False) + "\n"


def say_json(document: object) -> None:
    """Write a JSON document to standard output, on a line of its own."""
    click.echo(json_line(document), nl=False)


def say_error(message: str, exit_code: int) -> None:
    """Tell a program that a command ended early."""
    say_json(ended(exit_code, message))


def ended(exit_code: int, error: object) -> dict[str, object]:
    """The fields that say how a command ended."""
    return {"exit_code": int(exit_code), "error": str(error) if error else None}
