"""Processes that tests look at from outside, and that may end at any moment."""

import shutil
from pathlib import Path


def state_of(process: int) -> str:
    """The letter for the state of a process, as in `ps`: D waits for a disk, T was stopped, Z has ended, and nobody has
    waited for it. Empty if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def lives(process: int) -> bool:
    """Whether there is such a process. One that has ended, and for which nobody has waited, does not live."""
    return state_of(process) not in ("", "Z")


def children(process: int) -> list[int]:
    """The processes that a process has started, and that have not been waited for."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:  # A thread that has just ended.
            continue
    return found


def command_of(process: int) -> list[str]:
    """The command line of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []


def delete_in_use(folder: Path) -> None:
    """Delete a folder in which a process may be making and deleting files meanwhile."""
    for _ in range(100):
        try:
            shutil.rmtree(folder)
        except OSError:  # What was listed is gone already, or something came after the listing.
            if not folder.exists():
                return
        else:
            return
    shutil.rmtree(folder)
