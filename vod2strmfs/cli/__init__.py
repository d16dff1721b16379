"""The command line: one command a function, no logic."""

from vod2strmfs.cli.commands import main

__all__ = ["main"]
