"""Processes of ours beside another one, `python -m MODULE`: the other one logs what they say on standard error."""

import logging
import sys

SAID = "%(levelname)s %(message)s"
"""The form of what such a process says: a line a message, the level first."""

_log = logging.getLogger("vod2strmfs")


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a process that runs a module of ours, and nothing that lies in the current directory (-P)."""
    return [sys.executable, "-P", "-m", module, *arguments]


def log_said(line: str) -> None:
    """Log what a process said in one line; what is in no form, a traceback say, is an error."""
    level, _, message = line.partition(" ")
    known = logging.getLevelNamesMapping().get(level)
    _log.log(known or logging.ERROR, "%s", message if known else line)
