"""The command line: one command a function, no logic."""

import signal


def main() -> None:
    """Run it. Ctrl-C while it is still being loaded ends it without a word."""
    is_obeyed = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_obeyed:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from vod2strmfs.cli import commands

    if is_obeyed:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    commands.main()


__all__ = ["main"]
