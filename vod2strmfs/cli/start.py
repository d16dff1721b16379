"""The start of the command line, which answers signals before anything else is loaded."""

import atexit
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line. A signal that comes while modules are loaded ends it as later ones do, without a word."""
    serves = next((word for word in sys.argv[1:] if not word.startswith("-")), "") == "run"

    def leave(number: int, _: FrameType | None) -> None:
        # Nothing has been begun that would have to be ended.
        os._exit(0 if serves else 128 + number)

    usual = (signal.SIG_DFL, signal.default_int_handler)
    early = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) in usual]
    before = {number: signal.signal(number, leave) for number in early if serves or number == signal.SIGINT}
    from vod2strmfs.cli.main import main as run

    try:
        if not serves:  # Else it does so as soon as there is something to end.
            for number, handler in before.items():
                signal.signal(number, handler)
        run()
    except KeyboardInterrupt:  # While an error is told, for example.
        sys.exit(128 + signal.SIGINT)
    finally:
        # A traceback from an interpreter that takes itself apart helps nobody.
        atexit.register(lambda: signal.signal(signal.SIGINT, leave))


__all__ = ["main"]
