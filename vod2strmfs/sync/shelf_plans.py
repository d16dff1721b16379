"""The shelves that the settings ask for, beside those that the index has."""

import json
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import FilteredOutError
from vod2strmfs.index.shelves import has_shelves
from vod2strmfs.library.kinds import HIGHEST_SHELF
from vod2strmfs.settings import Shelf
from vod2strmfs.sync.brake import WINDOW

_log = logging.getLogger("vod2strmfs")

_MOST_BYTES = 16 << 20
"""Of a file of picks: what is larger is something else."""


class Plan(NamedTuple):
    """A shelf as it is to be."""

    number: int
    shelf: Shelf
    picks: str
    """The text of its file, when that could last be read."""
    problem: str
    """Why it cannot be read now; empty if it can, or if there is none."""
    is_new: bool
    """Whether it was not there before."""
    is_changed: bool
    """Whether it may hold something else for what the settings, or its picks, say."""

    @property
    def shown(self) -> bool:
        """Whether the shelf has a folder: one whose picks have never been read would lack some."""
        return self.shelf.picks is None or bool(self.picks)

    @property
    def row(self) -> tuple[object, ...]:
        """The shelf's row in the index."""
        shelf = self.shelf
        return (
            self.number, shelf.name, self.shown, shelf.only, shelf.model_dump_json(), self.picks, self.problem
        )  # fmt: skip


@dataclass
class Plans:
    """All shelves as they are to be.

    Args:
        connection: to the index.
        shelves: what the settings say.

    Raises:
        FilteredOutError: the picks of a shelf that is to stand alone have never been read.
    """

    connection: sqlite3.Connection
    shelves: Sequence[Shelf]

    def __post_init__(self) -> None:
        """Read the index and the files of picks."""
        rows = self.connection.execute("SELECT * FROM shelf").fetchall() if has_shelves(self.connection) else []
        before = {name: (number, *rest) for number, name, *rest in rows}
        highest = max((row[0] for row in before.values()), default=0)
        self.each: list[Plan] = []
        for shelf in self.shelves:
            if shelf.name not in before:
                highest += 1
            if highest > HIGHEST_SHELF:
                _log.error("Shelf %s: %d names of shelves have been used. It is left out.", shelf.name, HIGHEST_SHELF)
                break
            number, shown, _, settings, picks, _ = before.get(shelf.name, (highest, 0, 0, "", "", ""))
            text, problem = _read_picks(shelf.picks) if shelf.picks else ("", "")
            known = picks if shelf.picks and _picks_of(settings) == str(shelf.picks) else ""
            is_changed = not shown or settings != shelf.model_dump_json() or (not problem and text != picks)
            self.each.append(Plan(number, shelf, known if problem else text, problem, not shown, is_changed))
        for plan in self.each:
            if plan.shelf.only and not plan.shown:
                raise FilteredOutError(
                    f"shelf {plan.shelf.name}: {plan.problem}, and it is all that is to be shown (only = true).\n"
                    "Mend the file, or name another one with picks."
                )
        names = {plan.shelf.name for plan in self.each}
        self.gone = {name: row[0] for name, row in before.items() if row[1] and name not in names}
        """The numbers of shelves that are in the settings no more, by their names."""
        self.differ = bool(self.gone) or any(plan.row not in rows for plan in self.each)
        """Whether anything is otherwise than the index has it."""

    def notes(self) -> Iterator[str]:
        """What a user should know of files of picks that cannot be read."""
        for plan in self.each:
            if plan.problem:
                what = "What it named before counts." if plan.shown else "Until it can be read, the shelf is not shown."
                mend = " To pick nothing on purpose, write a comment (# …)." if plan.problem.endswith("empty") else ""
                yield f"shelf {plan.shelf.name}: {plan.problem}. {what}{mend}"

    def may_let_go(self, now: int) -> bool:
        """Whether something is held on a shelf for what is older than a day by now."""
        if not has_shelves(self.connection):
            return False
        held = "SELECT 1 FROM shelved WHERE held AND EXISTS (SELECT 1 FROM unshelved WHERE at <= ?) LIMIT 1"
        return self.connection.execute(held, (now - WINDOW,)).fetchone() is not None

    def number_held(self) -> int:
        """How many titles are held on shelves."""
        if not has_shelves(self.connection):
            return 0
        [number] = self.connection.execute("SELECT count(*) FROM shelved WHERE held").fetchone()
        return int(number)


def _picks_of(settings: str) -> str:
    return str(json.loads(settings).get("picks")) if settings else ""


def _read_picks(path: Path) -> tuple[str, str]:
    """The text of a file of picks, and why there is none; an empty one is taken for a mistake."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "", f"{path} is not a file"
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        return "", f"{path} cannot be read ({error.strerror})"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", f"{path} has a character in line {line} that is not UTF-8"
    if len(data) > _MOST_BYTES or "\0" in text:
        return "", f"{path} is not a list of titles"
    return (text, "") if text.strip() else ("", f"{path} is empty")
