"""Where the plugin keeps what it has: beside its folder, which every update of the plugin replaces."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

LINKED = ("reports", "logs")
"""What users look for in the plugin's folder, as the original plugin has it there."""


class Places:
    """The folders and files of an installed plugin.

    Args:
        folder: the plugin's, with `plugin.py` in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Not a Python identifier, so that it is never taken for a package; Dispatcharr passes by a folder without code.
        self.data = folder.parent / f"{folder.name}-data"
        self.state = self.data / "state"
        self.reports = self.data / "reports"
        self.logs = self.data / "logs"
        self.run = self.data / "run.json"
        """What is said of the last run; see `runs`."""
        self.request = self.data / "request.json"
        """What that run is to do."""
        self.stop = self.data / "stop"
        """Holds the id of a run that is to stop."""
        self.checked = self.data / "checked.json"
        """The settings that were found to be good last."""
        self.errors = self.data / "errors.txt"
        """What the last process said to nobody."""
        self.keep = self.data / "keep.json"
        """What the keeper is to do; see `periodic`."""

    @property
    def key(self) -> str:
        """What Dispatcharr calls the plugin."""
        return self.folder.name.replace(" ", "_").lower()

    def prepare(self) -> None:
        """Make the data folder, and the links to it in the plugin's folder.

        Raises:
            OSError: the data folder cannot be made.
        """
        self.data.mkdir(mode=0o700, exist_ok=True)
        for name in LINKED:
            (self.data / name).mkdir(mode=0o700, exist_ok=True)
            with suppress(
                OSError
            ):  # An image may hold the plugin where nobody can write; the data are there all the same.
                self._link(name)

    def _link(self, name: str) -> None:
        link, target = self.folder / name, os.path.join("..", self.data.name, name)
        if link.is_symlink() and os.readlink(link) == target:
            return
        if link.is_dir() and not link.is_symlink():
            # Below `reports`, where old reports are deleted, so that these stay.
            self._take_over(link, self.data / name / "former")
        # Of workers that do this at once, one is first.
        with suppress(FileExistsError):
            link.unlink(missing_ok=True)
            os.symlink(target, link)

    @staticmethod
    def _take_over(old: Path, new: Path) -> None:
        """Move what another plugin of this name kept in its folder."""
        new.mkdir(mode=0o700, exist_ok=True)
        for path in old.iterdir():
            if not (new / path.name).exists():
                path.rename(new / path.name)
        old.rmdir()


def read(path: Path) -> dict[str, Any]:
    """What a file of the plugin's says; nothing if there is none, or it is broken."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write(path: Path, value: dict[str, Any]) -> None:
    """Have a file say something else, all at once; for one process at a time, see `runs.held`.

    Only its owner can read it: settings may hold passwords.

    Raises:
        OSError: it cannot be written.
    """
    # What a killed process left of it is written over.
    temporary = path.with_name(f".{path.name}.new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)
