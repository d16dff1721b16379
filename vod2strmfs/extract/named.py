"""Films by what a user calls them: a name, a part of one, a pattern, or the path of a file or a folder."""

import re
from collections.abc import Iterator, Mapping, Set
from difflib import get_close_matches
from typing import TypeVar

from vod2strmfs.extract.filters import matching

K = TypeVar("K")

_YEAR = re.compile(r" \(\d{4}\).*$")
"""Whatever follows the year too, such as an id or a version."""
_SEASON = re.compile(r"Season (\d+)\b.*", re.IGNORECASE)
_EXTENSION = re.compile(r"\.[a-z][a-z0-9]{1,3}$", re.IGNORECASE)
_OF_SERIES = ": "
"""What stands between a series and its episode. No name of a file or a folder has it."""
_CANDIDATES = 5000
"""Titles that a name is compared with, at most: a comparison takes some 20 µs."""


def films_named(text: str, names: Mapping[K, str]) -> Set[K]:
    """The keys of the films that a user means: by what matches whole names if anything does, else by what matches them
    without their years, or series, else by what is a part of them.

    Args:
        text: what the user wrote.
        names: of all films; those of episodes are `SERIES: EPISODE`.
    """
    readings = list(dict.fromkeys(_readings(text.strip())))
    bare = {key: _bare(name) for key, name in names.items()}
    series = {key: name.partition(_OF_SERIES)[0] for key, name in names.items()}
    bare_series = {key: name.partition(_OF_SERIES)[0] for key, name in bare.items()}
    for reading in readings:
        if found := matching(reading, names):
            return found
    for reading in readings:
        if found := matching(reading, bare) | matching(reading, series) | matching(reading, bare_series):
            return found
    for reading in readings:
        if not {*"*?"} & {*reading} and (found := matching(f"*{reading}*", names)):
            return found
    return set()


def nearest_film(text: str, names: Mapping[K, str]) -> str:
    """The film or series whose name is most like what a user wrote; empty if none is like it."""
    *_, last = "", *_readings(text.strip())
    stem = _bare(last).strip("*?").casefold()
    titles = {_bare(name).partition(_OF_SERIES)[0].casefold(): name for name in names.values()}
    alike = sorted((each for each in titles if each[:1] == stem[:1]), key=lambda each: abs(len(each) - len(stem)))
    found = get_close_matches(stem, alike[:_CANDIDATES], 1)
    return titles[found[0]].partition(_OF_SERIES)[0] if found else ""


def _readings(text: str) -> Iterator[str]:
    """What a text may mean as a name, the most exact first."""
    parts = [part for part in text.split("/") if part]
    if not parts:
        return
    *above, last = parts
    if not above:
        yield last
    stem = _EXTENSION.sub("", last)
    if above and (season := _SEASON.fullmatch(last)):
        yield f"{above[-1]}{_OF_SERIES}S{season[1]}E*"
    elif len(above) > 1:
        yield f"{above[-2]}{_OF_SERIES}{last}"
        yield f"{above[-2]}{_OF_SERIES}{stem}"
    yield last
    yield stem


def _bare(name: str) -> str:
    """A name without its year."""
    title, of_series, episode = name.partition(_OF_SERIES)
    return f"{_YEAR.sub('', title)}{of_series}{episode}"
