"""Telling systemd, or another service manager, how a service is (sd_notify(3))."""

import os
import socket
from contextlib import suppress


def watchdog_seconds() -> float:
    """Seconds after which the service manager wants to be told WATCHDOG=1 (sd_watchdog_enabled(3)); 0: never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    except ValueError:
        return 0


def notify(state: str, *, patience: float = 0) -> bool:
    """Send a state such as `READY=1` to the service manager, if there is one that wants to know.

    All services write to one socket, whose queue is short. A manager that does not read for a while, as during a
    daemon-reload, must not stop whoever answers requests.

    Args:
        state: as in sd_notify(3).
        patience: seconds to wait while the manager's queue is full.

    Returns:
        False if the queue was full, so that it may be worth trying again.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return True
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    # A manager that does not listen is no reason to fail.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(patience)
        try:
            channel.sendto(state.encode(), address)
        except (BlockingIOError, TimeoutError):
            return False
    return True
