"""The courier: has media servers told, by a process of its own whenever there is something to tell."""

import logging
import math
import subprocess
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from vod2strmfs.host.beside import command, log_said
from vod2strmfs.notify.account import Account
from vod2strmfs.notify.order import Answer, Order

_RESTART_SECONDS = 30.0
"""After a process that has failed altogether."""
_REST_SECONDS = 5.0
"""However fast films are learnt: a process to note each of them, where none can be told of yet, would cost too much."""
_SHORTEST_PAUSE = 1.0
_LONGEST_NAP = 300.0
"""The clock may be set, and a laptop may sleep."""
_STOP_SECONDS = 5.0
_PROCESSES = 3
"""So many may run at once: while one waits for a server that is slow, another tells the others."""

_log = logging.getLogger("vod2strmfs")


class Courier:
    """Tells servers in the background, in threads that only wait. Use it as a context manager.

    Args:
        order: what is told to whom.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._change = threading.Condition()
        self._wanted = self._ended = False
        self._at_once = True
        self._generation = 0
        self._due = math.inf
        self._rests_until = -math.inf
        self._processes: set[subprocess.Popen[bytes]] = set()
        self.accounts: Sequence[Account] = ()
        """How it stood with each server when it was looked last."""

    def __enter__(self) -> Self:
        if self._order.servers:
            threading.Thread(target=self._run, name="courier", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._change:
            self._ended = True
            self._change.notify_all()
            for process in self._processes:
                process.terminate()
            if not self._change.wait_for(lambda: not self._processes, _STOP_SECONDS):
                for process in self._processes:
                    process.kill()

    def tell(self, generation: int = 0) -> None:
        """Have told what waits. Returns at once.

        Args:
            generation: of a mount, which everybody can see from now on; 0: it is not about a mount.
        """
        with self._change:
            self._generation = generation or self._generation
            self._wanted = True
            self._change.notify_all()

    def _run(self) -> None:
        """Run a process whenever something is wanted, or due."""
        while True:
            with self._change:
                while not self._ended and not self._is_time():
                    due = min(self._due, self._rests_until) if self._wanted else self._due
                    self._change.wait(min(max(due - time.monotonic(), _SHORTEST_PAUSE), _LONGEST_NAP))
                if self._ended:
                    return
                order = msgspec.structs.replace(self._order, generation=self._generation, at_once=self._at_once)
                self._wanted = self._at_once = False
                self._due = math.inf
            # Without the lock: who has something told must not wait for that.
            try:
                process = start()
            except OSError as error:
                _log.error("The process that tells media servers cannot be started: %s.", error)
                with self._change:
                    self._due = time.monotonic() + _RESTART_SECONDS
                continue
            with self._change:
                self._processes.add(process)
                if self._ended:
                    process.kill()
            threading.Thread(target=self._wait, args=(process, order), name="courier", daemon=True).start()

    def _is_time(self) -> bool:
        now = time.monotonic()
        is_wanted = self._wanted and now >= self._rests_until
        return (is_wanted or now >= self._due) and len(self._processes) < _PROCESSES

    def _wait(self, process: "subprocess.Popen[bytes]", order: Order) -> None:
        """Wait for a process, and take note of what it answers."""
        output, said = process.communicate(msgspec.json.encode(order))
        answer = finish(process, output, said, is_stopped=self._ended)
        with self._change:
            self._processes.remove(process)
            if answer is None:
                self._due = min(self._due, time.monotonic() + _RESTART_SECONDS)
            else:
                self.accounts = answer.accounts
                if answer.pause >= 0:
                    self._due = min(self._due, time.monotonic() + max(answer.pause, _SHORTEST_PAUSE))
                if order.gather and answer.pause > 0:
                    self._rests_until = time.monotonic() + min(answer.pause, _REST_SECONDS)
            self._change.notify_all()


def send(order: Order, seconds: float) -> Answer | None:
    """Have told what waits, and wait for that; None if it is not done in time.

    Args:
        order: what is told to whom.
        seconds: how long to wait; what is left then is told another time.
    """
    with start() as process:
        try:
            output, said = process.communicate(msgspec.json.encode(order), seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                output, said = process.communicate(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                output, said = process.communicate()
    return finish(process, output, said)


def start() -> "subprocess.Popen[bytes]":
    """A process that waits for an order."""
    return subprocess.Popen(
        command("vod2strmfs.notify"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,  # Ctrl-C at the terminal is for us.
    )


def finish(
    process: "subprocess.Popen[bytes]", output: bytes, said: bytes, *, is_stopped: bool = False
) -> Answer | None:
    """Log what a process said, and return what it answered."""
    for line in said.decode(errors="replace").splitlines():
        log_said(line)
    try:
        return msgspec.json.decode(output, type=Answer)
    except msgspec.DecodeError:
        if not is_stopped:
            _log.error("The process that tells media servers ended with code %s.", process.returncode)
        return None
