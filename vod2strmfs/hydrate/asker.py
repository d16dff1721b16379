"""Which process has asked for something, and whether it still lives."""

import os
from pathlib import Path


def myself() -> str:
    """What this process is known by: its number may come to mean another."""
    return f"{_namespace()}:{os.getpid()}:{_started(os.getpid())}"


def lives(process: str) -> bool:
    """Whether a process lives; of one in another container that is not known, so it counts as living."""
    namespace, number, started = process.split(":")
    return namespace != _namespace() or _started(int(number)) == started


def _namespace() -> str:
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _started(process: int) -> str:
    """When a process was started, in ticks since the host was; empty if there is none."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    # What stands in brackets is the program's name, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
