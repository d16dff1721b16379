"""httpx, without its command line, and silent.

It loads that, and with it rich and pygments, wherever they are installed: 4 MB, of which a process that runs for weeks
beside a mount has no use. Of each request it would log the URL, which may hold a password.
"""

import logging
import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # As if it were not there.

import httpx  # noqa: E402

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

__all__ = ["httpx"]
