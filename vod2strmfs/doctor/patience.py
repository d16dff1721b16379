"""Calls that may never return: a file system or a server that hangs must not hang the examination."""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

SECONDS = 10.0
"""Seconds that a check waits for a file system; half of them for each process that it asks meanwhile."""


def in_time(function: Callable[[], Result], seconds: float | None = None) -> Result:
    """The result of a function, or its exception.

    Args:
        function: takes no arguments.
        seconds: how long it may take; None: `SECONDS`.

    Raises:
        TimeoutError: the function has not ended in that time. It goes on in its thread, which ends with the process at
            last.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS if seconds is None else seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
