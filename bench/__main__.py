"""`python -m bench [PART ...]`: run the parts of the benchmark, all but the long ones unless some are named."""

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

from bench.harness import Figure, table

PARTS: dict[str, str] = {
    "mounts": "bench.mounts",
    "sync": "bench.sync",
    "materialize": "bench.materialize",
    "size": "bench.size",
    "films": "bench.films",
}
"""The module of each part, by its name. It has `measure(directory: Path) -> Iterator[Figure]`."""

LONG: dict[str, str] = {
    "pinned": "bench.pinned",
    "million": "bench.million",
    "films-long": "bench.films_long",
}
"""Parts that run only when they are named: they take long, or much of the disk."""


def main() -> int:
    """Run, print each figure as it comes and the table at the end; returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS, *LONG], metavar="PART", help=", ".join([*PARTS, *LONG])
    )
    parts = parser.parse_args().parts or list(PARTS)
    figures: list[Figure] = []
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="vod2strmfs-bench-") as directory:
            for figure in importlib.import_module((PARTS | LONG)[part]).measure(Path(directory)):
                figures.append(figure)
                # The busier the machine, the better we look beside what does less in its own process.
                print(
                    f"{part}: {table([figure]).splitlines()[-1]} load {os.getloadavg()[0]:.1f}",
                    file=sys.stderr,
                    flush=True,
                )
    print(table(figures))
    return int(not all(figure.met for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
