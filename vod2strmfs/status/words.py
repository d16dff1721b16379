"""Numbers, the things counted, and times, as people write them."""

from collections.abc import Mapping
from datetime import datetime

_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


def library_text(metrics: Mapping[str, Mapping[str, str]]) -> str:
    """What a library holds, in words, by what `.stats.csv` says of it: `1,904 movies, 1 series, 8 episodes`."""
    index = metrics.get("index", {})
    return ", ".join(counted(index.get(kind, "0"), kind) for kind in ("movies", "series", "episodes"))


def counted(number: int | str, things: str) -> str:
    """A number and the things counted, which have a plural in -s: `1 movie`, `1,904 movies`, `1 series`."""
    return f"{int(number):,} {things.removesuffix('s') if int(number) == 1 and things != 'series' else things}"


def capitalized(text: str) -> str:
    """A text as the beginning of a sentence: a name in it stays as it is."""
    return text[:1].upper() + text[1:]


def span(seconds: float) -> str:
    """A time span given in seconds, in the largest unit of which it has two, or just one: `47 hours`, `1 minute`."""
    whole = round(max(seconds, 0))
    unit, length = next((each for each in _UNITS if whole >= 2 * each[1] or whole == each[1]), _UNITS[-1])
    return counted(round(whole / length), unit)


def moment(seconds: float) -> str:
    """A time given in seconds since the epoch, as people of this host's zone write it: `2026-11-29 03:30:00+01:00`."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
