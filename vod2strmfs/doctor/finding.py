"""What a check found."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad a finding is, from best to worst."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    WARNING = "warning"
    """Something is not as one would wish."""
    PROBLEM = "problem"
    """Something does not work."""


class Finding(NamedTuple):
    """One line of what `doctor` shows."""

    check: str
    """What was checked, in a word or two."""
    level: Level
    text: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty if nothing is to be done."""


def worst(findings: list[Finding]) -> Level:
    """The worst level among findings."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
