"""What an index says of itself: when its generation was made, with which settings, and what was counted of it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.held import Held
from vod2strmfs.library import stats_csv
from vod2strmfs.settings import LibrarySettings

_SCOPES = ("database", "index", "filesystem")
"""The scopes of metrics, in the order of `.stats.csv`."""


class Head(NamedTuple):
    """The columns of `generation` and `attempt`, as they stand in the index.

    A damaged index may hold anything in them. Each method then raises whatever Python does; see `readable`.
    """

    number: int
    """The number of the generation; 0 while there is none."""
    made: int
    """When the generation was made, nanoseconds since the epoch."""
    settings: str
    """The LibrarySettings that the generation was made with, as JSON."""
    stats: str
    """What was counted, as JSON: metric to number by scope, and what the shrink brake holds under `held`."""
    failing_since: int
    """Since when the catalogue cannot be read, seconds since the epoch; 0 while it can."""
    error: str
    """Why the catalogue cannot be read; empty while it can."""
    compared: int
    """When the catalogue was last compared with the index, nanoseconds since the epoch."""

    def library_settings(self) -> LibrarySettings:
        """The settings that the generation was made with, perhaps by another version of this program."""
        stored: dict[str, Any] = json.loads(self.settings)
        known = {name: value for name, value in stored.items() if name in LibrarySettings.model_fields}
        try:
            return LibrarySettings.model_validate(known)
        except ValidationError as error:
            raise IndexFileError(
                "The index was made by a later version, with settings that this one does not know. Put back the"
                " index.db of before it, or delete index.db in the state directory, and run `vod2strmfs sync`."
            ) from error

    def held(self) -> list[Held]:
        """What the shrink brake holds."""
        return [Held(*each) for each in json.loads(self.stats).get("held", ())]

    def metrics(self) -> list[stats_csv.Metric]:
        """What was counted, in the order of `.stats.csv`."""
        counted = json.loads(self.stats)
        rows: list[stats_csv.Metric] = [
            ("index", "generation", self.number),
            ("index", "made", _timestamp(self.made // 10**9)),
            ("index", "stale_since", _timestamp(self.failing_since)),
        ]
        for scope in _SCOPES:
            rows += [(scope, metric, value) for metric, value in counted.get(scope, {}).items()]
        return sorted(rows, key=lambda row: _SCOPES.index(row[0]))


def read_head(connection: sqlite3.Connection) -> Head:
    """The head of the index that a connection sees.

    Raises:
        IndexFileError: there is none, since the index is damaged.
    """
    with readable():
        return Head(*connection.execute(f"SELECT {', '.join(Head._fields)} FROM generation, attempt").fetchone())


@contextmanager
def readable() -> Iterator[None]:
    """Turn what Python raises while a damaged head is read into an IndexFileError."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, OverflowError, OSError) as problem:
        raise IndexFileError("the index is damaged: what it says of its generation cannot be read.") from problem


def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""
