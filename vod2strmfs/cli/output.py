"""Standard output and error: what may stand there, and what to do when they cannot be written, as on a full disk, or
are not there at all (`2>&-`)."""

import io
import os
import sys
from typing import TYPE_CHECKING

import click

from vod2strmfs.errors import OutputError
from vod2strmfs.host.printable import printable_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LostOutputError(OutputError):
    """Standard output cannot be written."""


class UnreadOutputError(LostOutputError):
    """The reader of standard output has gone, as `head` does that has seen enough. Nobody needs to be told."""


def fill_gaps() -> None:
    """Open /dev/null at each standard descriptor that is closed, lest the index, opened next, be standard error."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


def guard_output() -> None:
    """Replace sys.stdout by a stream that raises `LostOutputError` when a write fails, as on a full disk.

    Without it the failure would be reported as some file's error.
    """
    plain = sys.stdout
    if not isinstance(plain, io.TextIOWrapper) or plain is not sys.__stdout__:
        return  # It is closed, or a test's.
    raw = _Output(plain.fileno(), "wb", closefd=False)
    by_lines = plain.line_buffering or plain.write_through
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), plain.encoding, plain.errors, line_buffering=by_lines)


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            # Python would try again when it ends, and fail with a message and a code of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if isinstance(error, BrokenPipeError):
                raise UnreadOutputError from error
            raise LostOutputError(f"standard output: cannot be written ({error.strerror}).") from error


def say(text: str, *, err: bool = False) -> None:
    """Write lines that may quote what others wrote to standard output, or to standard error."""
    click.echo(printable_lines(text), err=err)
