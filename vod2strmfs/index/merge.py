"""Which rows of the catalogue are joined, where the settings leave that open.

A library goes on as it was made: none loses folders because a version of the program has another default than the one
before.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from vod2strmfs.index.file import FILE_NAME
from vod2strmfs.settings import LibrarySettings, Merge, choices

OF_NEW: Merge = "titles"
"""What new libraries are made with."""
_OF_EARLIER: Merge = "off"
"""What earlier versions made libraries with that nothing else is known of."""


def merge_made_with(state_dir: Path) -> Merge | None:
    """What the library of a state directory was made with; None if there is none yet.

    An index that cannot be read is taken for one of an earlier version: two folders too many are better than one that
    is gone.
    """
    path = state_dir / FILE_NAME
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            number, text = connection.execute("SELECT number, settings FROM generation").fetchone()
        stored: dict[str, Any] = json.loads(text) if text else {}
        merge = stored.get("merge")
    except (sqlite3.Error, ValueError, TypeError, AttributeError):
        return _OF_EARLIER
    if merge in choices(LibrarySettings.model_fields["merge"].annotation):
        return cast(Merge, merge)
    return _OF_EARLIER if number else None


def remember_merge(connection: sqlite3.Connection, merge: Merge) -> None:
    """Have an index without a generation know what its library is to be made with, whatever becomes of the first
    sync."""
    connection.execute(
        "UPDATE generation SET settings = ? WHERE number = 0 AND settings = ''", (json.dumps({"merge": merge}),)
    )


def explain_merge(named: Merge | None, in_force: Merge | None) -> str:
    """Which merge is in force, and why, in one line.

    Args:
        named: what the settings name, if they do.
        in_force: what the library was made with; None if there is none yet.
    """
    if named is not None:
        return f"{named}, as the settings say"
    if in_force is None or in_force == OF_NEW:
        return f"{OF_NEW}, the default"
    return f"{in_force}, as this library was made; it stays so until the settings name merge"
