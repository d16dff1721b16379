"""Standard output, when it cannot be written: a full disk, say; and standard error, when there is none."""

import io
import os
import sys
from typing import TYPE_CHECKING

from vod2strmfs.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LostOutputError(OutputError):
    """Standard output cannot be written."""


def guard_output() -> None:
    """Have whoever writes standard output get a `LostOutputError` where it would be an error like any other's."""
    plain = sys.stdout
    if not isinstance(plain, io.TextIOWrapper) or plain is not sys.__stdout__:
        return  # It is closed, or a test's.
    raw = _Output(plain.fileno(), "wb", closefd=False)
    by_lines = plain.line_buffering or plain.write_through
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), plain.encoding, plain.errors, line_buffering=by_lines)


def have_standard_error() -> None:
    """Have a standard error, if only one that leads nowhere: some start programs with it closed (`2>&-`).

    Progress, messages and other programs' code take it for granted, and the next file opened would get its number.
    """
    if sys.stderr is None:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != 2:
            os.dup2(null, 2)
            os.close(null)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), errors="replace", line_buffering=True)


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # The reader went away: click ends the command without a word.
        except OSError as error:
            # Python would try again when it ends, and fail with a message and a code of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            raise LostOutputError(f"standard output: cannot be written ({error.strerror}).") from error
