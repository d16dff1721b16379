"""Calls that may never return: a file system or a server that hangs must not hang the examination."""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

SECONDS = 5.0
"""Seconds that a check waits for a file system, or for the mount."""


def in_time(function: Callable[[], Result], seconds: float = SECONDS) -> Result:
    """The result of a function, or its exception.

    Raises:
        TimeoutError: the function has not ended within some seconds. It goes on in its thread, which ends with the
            process at last.
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
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
