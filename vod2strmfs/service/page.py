"""The status page beside a service: a process of its own, as beside a mount."""

import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vod2strmfs.host.beside import command, log_said
from vod2strmfs.settings import Settings
from vod2strmfs.status.page import HIDDEN, MODULE, page_arguments, page_order

_RESTART_SECONDS = 5.0

_log = logging.getLogger("vod2strmfs")


@contextmanager
def serving_page(settings: Settings) -> Iterator[None]:
    """Have the status page served for as long as the context lasts, if `status_listen` says where."""
    if not settings.status_listen:
        yield
        return
    keeper = _Keeper(settings)
    thread = threading.Thread(target=keeper.keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.stop()
        thread.join()


class _Keeper:
    """Runs the page's process, and starts it again if it dies."""

    def __init__(self, settings: Settings) -> None:
        self._command = command(MODULE, *page_arguments(settings))
        self._order = f"{page_order(settings)}\n"
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        """Held while a process is started: one that is stopped is not forgotten."""

    def keep(self) -> None:
        """Keep the page's process running until stopped."""
        while process := self._start():
            with process:
                assert process.stdin is not None
                assert process.stderr is not None
                try:
                    process.stdin.write(self._order)
                    process.stdin.flush()
                except BrokenPipeError:
                    pass  # It says why.
                for line in process.stderr:
                    log_said(line.rstrip("\n"))
                code = process.wait()
            if not self._stopped.is_set():
                _log.error("The process that serves the status page ended with code %s; starting it again.", code)
                self._stopped.wait(_RESTART_SECONDS)

    def stop(self) -> None:
        """End the page's process for good."""
        with self._lock:
            self._stopped.set()
            if self._process:
                self._process.kill()

    def _start(self) -> "subprocess.Popen[str] | None":
        with self._lock:
            if self._stopped.is_set():
                return None
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)},
                process_group=0,  # Ctrl-C at the terminal is for the service.
            )
            return self._process
