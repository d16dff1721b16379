"""Processes that the plugin starts inside Dispatcharr.

They are started by `posix_spawn` alone: under gevent and uWSGI a fork can hang for ever, which is why Dispatcharr does
likewise. Whoever waits for one looks again and again: `time.sleep` lets a web worker's other greenlets run.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from .vendored import command

_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.5


class StartError(Exception):
    """A process cannot be started; the text says why, in one line."""


def start(
    folder: Path, *arguments: str, stdin: int | None = None, stdout: int | None = None, errors: Path | None = None
) -> int:
    """Start `start.py` of the plugin's folder, in a session of its own; returns the process's id.

    It is always the release that lies there now: Celery keeps a task's first form until it is restarted.

    Args:
        folder: the plugin's.
        arguments: see `work`.
        stdin: a descriptor, or None for nothing.
        stdout: likewise.
        errors: where its standard error goes; None for nowhere.

    Raises:
        StartError: says why it cannot be started.
    """
    python = command("")[0]
    script = folder / "start.py"
    if not script.is_file():
        raise StartError(f"{script} is not there: the plugin is being replaced, or was deleted.")
    nowhere = os.open(os.devnull, os.O_RDWR)
    actions: list[tuple[object, ...]] = [
        (os.POSIX_SPAWN_DUP2, nowhere if stdin is None else stdin, 0),
        (os.POSIX_SPAWN_DUP2, nowhere if stdout is None else stdout, 1),
        (os.POSIX_SPAWN_DUP2, nowhere, 2),
    ]
    if errors:
        actions.append((os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        # A session of its own: what ends a web worker with its group does not end a run. The signals as in a new
        # process: uWSGI and Celery handle and block some.
        return os.posix_spawn(
            python, [python, "-P", str(script), *arguments], os.environ,
            file_actions=actions, setsid=True, setsigmask=[], setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGPIPE],
        )  # fmt: skip
    except OSError as error:
        raise StartError(f"{python} cannot be started ({error.strerror}).") from None
    finally:
        os.close(nowhere)


def wait(process: int, seconds: float = float("inf")) -> int | None:
    """Wait until a process has ended.

    Returns:
        Its exit code, or minus the signal that ended it; None if it has not ended in that time, or who knows how.
    """
    deadline = time.monotonic() + seconds
    pause = _LOOK_SECONDS
    while True:
        try:
            ended, status = os.waitpid(process, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(pause)
        pause = min(pause * 1.2, _LONGEST_LOOK_SECONDS) if seconds > 60 else _LOOK_SECONDS


def ask(folder: Path, *arguments: str, question: bytes, seconds: float) -> bytes:
    """What a process answers on its standard output to what it gets on its standard input.

    Args:
        folder: see `start`.
        arguments: see `start`.
        question: goes through a pipe, since command lines can be read by anybody; at most 64 KiB.
        seconds: how long it may take.

    Raises:
        StartError: it cannot be started, or has not answered.
    """
    question_out, question_in = os.pipe()
    answer_out, answer_in = os.pipe()
    try:
        os.set_blocking(question_in, False)
        try:
            os.write(question_in, question)
        finally:
            os.close(question_in)
        process = start(folder, *arguments, stdin=question_out, stdout=answer_in)
    except BaseException:
        os.close(answer_out)
        raise
    finally:
        os.close(question_out)
        os.close(answer_in)
    with open(answer_out, "rb") as answers:
        code = wait(process, seconds)
        if code is None:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            wait(process, 1)
            raise StartError(
                f"A process for checking the settings gave no answer within {seconds:.0f} seconds: this machine may be"
                " very busy. Press the button again."
            )
        if code != 0:
            raise StartError(f"A process for checking the settings ended with code {code}.")
        return answers.read()
