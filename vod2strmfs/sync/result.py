"""What a sync did, in numbers and in words."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vod2strmfs.catalog.queries import Kind
from vod2strmfs.index.held import Held

Counts = Counter[tuple[Kind, str]]
"""How many items of a kind were `added`, `changed`, `removed`, or are `held`, or (under their names) `not_renamed`."""


@dataclass
class SyncResult:
    """What a sync did."""

    generation: int
    changed: bool = False
    """Whether this generation is new."""
    remade: bool = False
    """Whether the one before was made with other settings, or by another version."""
    counts: Counts = field(default_factory=Counter)
    unmatched: tuple[tuple[str, str], ...] = ()
    """Setting and pattern of each filter that matched nothing in all the catalogue."""

    kept: Sequence[Held] = ()
    """What is held, and why."""
    held_on_shelves: int = 0
    """How many titles the shrink brake keeps on shelves."""
    on_shelves: Sequence[str] = ()
    """What changed on shelves, in words."""
    notes: Sequence[str] = ()
    """What else a user should know."""

    @property
    def held(self) -> int:
        """How many items the shrink brake keeps in the tree."""
        held = sum(number for (_, what), number in self.counts.items() if what in ("held", "not_renamed"))
        return held + self.held_on_shelves

    def warnings(self) -> Iterator[str]:
        """What the user should look at, beside what is held."""
        for setting, pattern in self.unmatched:
            effect = "keeps nothing out" if pattern.startswith("!") else "lets nothing in"
            yield f"{setting}: {pattern} matches nothing in the catalogue, so it {effect}."
        yield from self.notes

    def describe(self) -> str:
        """What changed, in words: `12 movies added, 1 episode held`."""
        plural = {"movie": "movies", "version": "versions", "series": "series", "episode": "episodes"}
        parts = [
            f"{number} {kind if number == 1 else plural[kind]} {what.replace('_', ' ')}"
            for (kind, what), number in sorted(self.counts.items())
            if number
        ] + [*self.on_shelves]
        return ", ".join(parts) or ("names or contents changed" if self.changed else "nothing changed")
