"""The process that serves the status page: `python -m vod2strmfs.web ADDRESS REPORT_DIR STATE_DIR`.

The page has a process of its own, so that a large report never holds the interpreter that answers the file system. The
process knows no settings, and so no password but the page's own, which the first line of its standard input holds. The
end of that, which comes however the mount ends, means "stop". Its messages go to standard error.
"""

import logging
import os
import sys
import threading
from pathlib import Path

from vod2strmfs.host.beside import SAID
from vod2strmfs.status.page import read_order
from vod2strmfs.web.server import serve

_log = logging.getLogger("vod2strmfs")


def main() -> int:
    """Serve the page until told to stop; returns the exit code."""
    address, report_dir, state_dir = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=SAID)
    token = read_order(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        serve(address, Path(state_dir), Path(report_dir), token)
    except OSError as error:
        _log.error("status_listen %s: %s. Choose another port.", address, error.strerror)
        return 1
    return 0


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
