"""httpx, without its command line.

It loads that, and with it rich and pygments, wherever they are installed: 4 MB, of which a process that runs for weeks
beside a mount has no use.
"""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # As if it were not there.

import httpx  # noqa: E402

__all__ = ["httpx"]
