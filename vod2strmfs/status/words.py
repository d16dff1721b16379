"""Numbers and the things counted, as people write them."""

from collections.abc import Mapping


def library_text(metrics: Mapping[str, Mapping[str, str]]) -> str:
    """What a library holds, in words, by what `.stats.csv` says of it: `1,904 movies, 1 series, 8 episodes`."""
    index = metrics.get("index", {})
    return ", ".join(counted(index.get(kind, "0"), kind) for kind in ("movies", "series", "episodes"))


def counted(number: int | str, things: str) -> str:
    """A number and the things counted, which have a plural in -s: `1 movie`, `1,904 movies`, `1 series`."""
    return f"{int(number):,} {things.removesuffix('s') if int(number) == 1 and things != 'series' else things}"
