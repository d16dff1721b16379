"""The plugin inside a Dispatcharr with films, and what becomes of its runs."""

import json
import os
import time
from pathlib import Path
from typing import Any

from dispatcharr_loader import KEY, Dispatcharr, Worker, wait_for

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.dispatcharr_plugin.runs import is_locked

BASE_URL = "http://192.168.1.10:9191"
MANY = 6000
"""So many films that a run takes some seconds."""


def some_films(url: str) -> None:
    """Write a few films and a series into an empty database."""
    catalogue = Catalogue()
    for number in range(1, 7):
        catalogue.movie(f"Film {number}", year=2000 + number, tmdb_id=str(100 + number))
    series = catalogue.series("Series", year=2010)
    for number in range(1, 4):
        catalogue.episode(series, 1, number, f"Part {number}")
    catalogue.write(url)


def many_films(url: str) -> None:
    """Write so many films that a run takes some seconds."""
    catalogue = Catalogue()
    for number in range(1, MANY + 1):
        catalogue.movie(f"Film {number}", year=2000)
    catalogue.write(url)


class Installed:
    """The plugin, installed and enabled in a Dispatcharr whose web worker it is asked through.

    Args:
        dispatcharr: with films in its database.
        archive: the plugin's zip.
        settings: what is typed into the form, beside the output root and the base URL.
    """

    def __init__(self, dispatcharr: Dispatcharr, archive: Path, **settings: Any) -> None:
        self.dispatcharr = dispatcharr
        self.root = dispatcharr.data / "STRM"
        self.folder = dispatcharr.folder
        self.data = dispatcharr.plugins / f"{KEY}-data"
        self.typed = {"output_root": str(self.root), "base_url": BASE_URL, **settings}
        self.worker = dispatcharr.worker()
        self.worker.install(archive, self.typed)

    def type(self, **settings: Any) -> None:
        """Fill in the form, and save it."""
        self.typed |= settings
        self.worker.call("update_settings", KEY, self.typed)

    def press(self, action: str, worker: Worker | None = None) -> str:
        """Press a button; returns what the page says in green."""
        return str((worker or self.worker).run(action)["message"])

    def status(self) -> str:
        """What the button Status says."""
        return self.press("status")

    def said(self) -> dict[str, Any]:
        """What is known of the last run."""
        try:
            said: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        except FileNotFoundError:
            return {}
        return said

    def wait(self, state: str, seconds: float = 120) -> dict[str, Any]:
        """Wait until the last run is in a state; returns what is known of it."""
        wait_for(lambda: self.said().get("state") == state, seconds)
        return self.said()

    def run(self, action: str) -> dict[str, Any]:
        """Press a button, and wait until its run has ended; returns what came of it."""
        before = self.said().get("id")
        self.press(action)
        wait_for(lambda: self.said().get("id") != before and self.said().get("state") == "ended")
        wait_for(lambda: not self.is_locked())
        return self.said()

    def is_locked(self) -> bool:
        """Whether a process holds the lock of the run."""
        return is_locked(self.data / "run.lock")

    def files(self) -> list[str]:
        """What the output root holds, by path. A run may be writing it: unlike pathlib, this passes over what goes."""
        found = os.walk(self.root)
        return sorted(
            os.path.relpath(os.path.join(folder, name), self.root) for folder, _, names in found for name in names
        )

    def log(self) -> str:
        """What the plugin has logged."""
        return (self.folder / "logs" / "vod2strm.log").read_text()


def seconds_of(call: Any, *arguments: Any) -> float:
    """How long a call takes."""
    began = time.monotonic()
    call(*arguments)
    return time.monotonic() - began
