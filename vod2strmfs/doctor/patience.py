"""Doing what may never return: a file system or a server that hangs must not hang the examination."""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

SECONDS = 5.0


def in_time(function: Callable[[], Result], seconds: float = SECONDS) -> Result:
    """What a function returns or raises.

    Raises:
        TimeoutError: it has done neither for so long. It goes on in its thread, which ends with the process at last.
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
