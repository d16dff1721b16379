"""A second process of ours that does a part of the work on another processor: `python -m MODULE`.

The two tell each other whole messages, by its standard input and output. It ends when its standard input does, however
that comes. A fork would copy locks and connections in the middle of their work; `multiprocessing`'s pool survives a
first process that is killed.
"""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import IO

from vod2strmfs.host.beside import command

_PIPE_BYTES = 1 << 20
"""What an unprivileged process may have as a rule: with less, who writes has to wait for who reads."""


class SecondProcessError(Exception):
    """The second process has ended, or could not do its work; the text says which, as a predicate."""


class SecondProcess:
    """The second process, as the first one sees it.

    Args:
        module: what it runs.
        held: descriptors that it has too, with the same numbers, and with the locks on them.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, module: str, held: Sequence[int] = ()) -> None:
        self._is_ready = False
        # A process group of its own: an interrupt at the terminal is for the first process to handle.
        self._process = subprocess.Popen(
            command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            process_group=0, pass_fds=held,
        )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self.pid = self._process.pid
        self._orders = _connection(self._process.stdin, readable=False)
        self._answers = _connection(self._process.stdout, writable=False)

    def is_ready(self) -> bool:
        """Whether the process has started, which takes a quarter of a second.

        Raises:
            SecondProcessError: it ended instead.
        """
        if not self._is_ready and self.has_answered():
            self._receive()
            self._is_ready = True
        return self._is_ready

    def has_answered(self) -> bool:
        """Whether the process has said something that was not taken yet, or has ended."""
        return self._answers.poll()

    def close(self) -> None:
        """End the process."""
        self._orders.close()
        self._answers.close()
        self._process.kill()
        self._process.wait()

    def _send(self, message: bytes) -> None:
        try:
            self._orders.send_bytes(message)
        except OSError:
            raise self._ended() from None

    def _receive(self) -> bytes:
        try:
            return self._answers.recv_bytes()
        except (EOFError, OSError):
            raise self._ended() from None

    def _ended(self) -> SecondProcessError:
        self._process.kill()
        return SecondProcessError(f"has ended (code {self._process.wait()})")


class Messages:
    """The messages between the two processes, as the second one sees them.

    What comes is taken at once, so that the first process need not wait with it while it is wanted for reading answers.

    Args:
        on_empty: called in a thread of its own when an empty message comes, whatever else was sent before.
    """

    def __init__(self, on_empty: Callable[[], None] = lambda: None) -> None:
        self._on_empty = on_empty
        self._messages: SimpleQueue[bytes] = SimpleQueue()
        self._answers = Connection(sys.stdout.fileno(), readable=False)
        self._orders = Connection(sys.stdin.fileno(), writable=False)
        threading.Thread(target=self._take, daemon=True).start()

    def next(self) -> bytes:
        """The next message; waits for it."""
        return self._messages.get()

    def ready(self) -> None:
        """Say that this process has started."""
        self.answer(b"")

    def answer(self, message: bytes) -> None:
        """Send a message."""
        self._answers.send_bytes(message)

    def _take(self) -> None:
        try:
            while True:
                if message := self._orders.recv_bytes():
                    self._messages.put(message)
                else:
                    self._on_empty()
        except (EOFError, OSError):
            os._exit(0)


def _connection(pipe: IO[bytes], *, readable: bool = True, writable: bool = True) -> Connection:
    """A pipe's end, for whole messages."""
    with pipe:
        with suppress(OSError):  # fs.pipe-max-size may be less, and the limit of all of a user's pipes
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return Connection(os.dup(pipe.fileno()), readable, writable)
