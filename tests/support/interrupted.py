"""Runs that are killed: each line of input is one, and is done in a process of its own, without the cost of a start.

A line is the URL of a database, a space, and after how many calls that change files (or open one) the process is to
kill itself; 0 for never. What is said: the process that does it; and once it has ended, what `os.waitpid` says.
"""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from vod2strmfs.catalog.open import open_source
from vod2strmfs.index.store import Store
from vod2strmfs.materialize.job import Job
from vod2strmfs.materialize.run import materialize
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.sync.run import sync

_CALLS = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.utime"})


def _kill_after(calls: int) -> None:
    def count(event: str, _: object) -> None:
        nonlocal calls
        if event in _CALLS:
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _run(url: str, directory: Path) -> None:
    state = directory / "state"
    with closing(open_source(url)) as source:
        sync(source, LibrarySettings(), state, accept_shrink=True)
    places = {"output_root": directory / "output", "state_dir": state, "report_dir": directory / "reports"}
    settings = Settings(**places, cleanup="apply")
    with closing(Store(state)) as store:
        materialize(store, Job(settings, "all", accept_shrink=True))


def main() -> None:
    """Do what is asked for on the standard input."""
    directory = Path(sys.argv[1])
    for line in sys.stdin:
        url, calls = line.split()
        process = os.fork()
        if not process:
            _kill_after(int(calls))
            _run(url, directory)
            os._exit(0)
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)


if __name__ == "__main__":
    main()
