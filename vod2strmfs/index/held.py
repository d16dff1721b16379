"""The items that the shrink brake holds, and one way to explain them. `sync.counts.find_held` finds them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_METRICS = (
    "movies_held", "episodes_held", "movies_not_renamed", "series_not_renamed", "episodes_not_renamed",
    "shelf_titles_held",
)  # fmt: skip
GONE, RENAMED = "gone", "renamed"
"""The causes that are no filters."""


class Held(NamedTuple):
    """Some items of one kind that are held for one reason."""

    kind: str
    """`movies`, `series`, `episodes`, or `titles of shelf Kids`."""
    number: int
    total: int
    """How many items of that kind the library shows."""
    cause: str
    """Why the items would change: `gone` from the catalogue, `renamed` there, or the filter that keeps them out, as in
    `years = 2000-`."""
    limit: str
    """Why the change is not simply carried out, as in `more than max_shrink = 20 %`."""


def number_held(metrics: Mapping[str, str]) -> int:
    """Number of items that are held, by the metrics of the scope `index`."""
    return sum(int(metrics.get(metric, "0")) for metric in _METRICS)


def explain(held: Iterable[Held]) -> str:
    """A sentence for each cause that says what is held and why; empty if nothing is."""
    causes: dict[str, list[Held]] = defaultdict(list)
    for each in held:
        causes[each.cause].append(each)
    return " ".join(_sentence(cause, some) for cause, some in causes.items())


def _sentence(cause: str, some: Sequence[Held]) -> str:
    items = " and ".join(f"{each.number:,} of {each.total:,} {each.kind}" for each in some)
    one = sum(each.number for each in some) == 1
    limits = "; ".join(dict.fromkeys(each.limit for each in some))
    are, were, have = ("is", "was", "has") if one else ("are", "were", "have")
    if cause == GONE:
        return f"{items} {are} gone from the catalogue and {were} kept ({limits})."
    if cause == RENAMED:
        return f"{items} {have} another name or place in the catalogue and {were} left as before ({limits})."
    return f"{items} {are} kept out by {cause} and {were} kept all the same ({limits})."


def advise(held: Iterable[Held], accept: str) -> str:
    """A sentence that says what to do about items that are held.

    Args:
        held: see `sync.counts.find_held`.
        accept: what accepts the change, as in "run `vod2strmfs sync --accept-shrink`".
    """
    causes = {each.cause for each in held}
    filters = sorted(causes - {GONE, RENAMED})
    conditions = [
        *(["it is gone for good"] if GONE in causes else []),
        *(["the filter is meant to"] if filters else []),
        *(["the new names are right"] if RENAMED in causes else []),
    ]
    otherwise = f" If not, change {' and '.join(filters)}." if filters else ""
    return f"If {' and '.join(conditions)}, {accept}.{otherwise}"
