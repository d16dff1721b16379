"""A night in which either side is killed again and again."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databases import Database
from dispatcharr_api import FAULTS, KEY
from mounts import TIMEOUT, eventually
from postgres_server import PostgresServer, free_port
from test_hydrate import episodes, unopened

_FILL = """
import json, logging, pathlib, sys, threading
from vod2strmfs.hydrate.background import Background
from vod2strmfs.hydrate.outcomes import Patience
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.settings import LibrarySettings
logging.basicConfig(level=logging.DEBUG)
order, database, state = HydrateOrder.model_validate_json(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
# 600 seconds become 3, a day lasts for ever.
patience = Patience(answer=2.0, look=60.0, at_limit=0.2, unit=0.005)
Background(order, database, LibrarySettings(), state, patience=patience).start()
threading.Event().wait()
"""


class Side:
    """One of the two: a process that is killed and started again.

    Args:
        command: starts it.
        log: takes what it says.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log
        self.start()

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill it, whatever it is doing."""
        self._process.kill()
        self._process.wait(TIMEOUT)


@contextmanager
def sides(folder: Path, database: Database, rate: float) -> Iterator[tuple[Side, Side]]:
    """Dispatcharr and whoever fills, with faults in every third answer."""
    port = free_port()
    order = {
        "mode": "background", "rate": rate, "budget": 100000, "parallel": 1, "older_than": 0,
        "url": f"http://127.0.0.1:{port}", "key": KEY,
    }  # fmt: skip
    api = Path(__file__).parents[1] / "support" / "dispatcharr_api.py"
    journal = str(folder / "journal")
    dispatcharr = Side(
        [sys.executable, str(api), database.owner_url, str(port), journal, "7", "0.33"], folder / "api.log"
    )
    filler = Side(
        [sys.executable, "-c", _FILL, json.dumps(order), database.url, str(folder / "state")], folder / "fill.log"
    )
    try:
        yield dispatcharr, filler
    finally:
        dispatcharr.kill()
        filler.kill()


def test_kills_on_either_side_lose_no_series_and_ask_for_none_that_was_written(
    postgres: PostgresServer, tmp_path: Path, soak: bool
) -> None:
    number, kills, rate = (300, 100, 200) if soak else (24, 6, 300)
    database = Database(postgres.new_database()).fill(unopened(number))
    chance = random.Random(number)
    with sides(tmp_path, database, rate) as both:
        for _ in range(kills):
            time.sleep(chance.uniform(0.2, 1.2))
            killed = chance.sample(both, chance.choice([1, 1, 1, 2]))
            for side in killed:
                side.kill()
            time.sleep(chance.uniform(0, 0.3))
            for side in killed:
                side.start()
        deadline = time.monotonic() + number / rate * 60 + 90
        while len(episodes(database)) < number:
            assert time.monotonic() < deadline, (tmp_path / "fill.log").read_text()[-3000:]
            time.sleep(0.2)
        time.sleep(2.5)
    assert episodes(database) == dict.fromkeys(range(1, number + 1), 4)
    written: set[str] = set()
    said = (tmp_path / "journal").read_text().splitlines()
    for line in said:
        what, series = line.split()
        assert (what, series in written) != ("asked", True), f"series {series} was asked for again"
        if what == "written":
            assert series not in written
            written.add(series)
    assert len(written) >= number - kills  # Killed in the last instant, it has no time to note it.
    assert {line.split()[0].removeprefix("fault-") for line in said if line.startswith("fault-")} <= set(FAULTS)


def test_a_request_whose_asker_was_killed_is_waited_for(postgres: PostgresServer, tmp_path: Path) -> None:
    """Dispatcharr goes on fetching, so nothing else is asked of that account meanwhile."""
    database = Database(postgres.new_database()).fill(unopened(2))
    with sides(tmp_path, database, 6000) as (_, filler):
        journal = tmp_path / "journal"
        eventually(lambda: journal.exists() and "asked" in journal.read_text())
        filler.kill()
        filler.start()
        # It is noted a moment after it was written.
        eventually(lambda: journal.read_text().count("written") == 2)
    assert len(episodes(database)) == 2
    said = [line for line in journal.read_text().splitlines() if not line.startswith("fault")]
    assert sorted(said) == ["asked 1", "asked 2", "written 1", "written 2"]
