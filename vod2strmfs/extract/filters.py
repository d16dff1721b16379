"""Which titles the library shows, by the user's choice.

Accounts and categories are chosen among relations, before one of them is chosen for a title; the rest is judged by
the title. An episode goes with its series; see docs/decisions/0014-relations-are-filtered-before-the-choice.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from fnmatch import translate
from typing import TypeVar

import regex

from vod2strmfs.catalog.queries import ALL, Choice, Groups
from vod2strmfs.extract.texts import one_line
from vod2strmfs.library.items import Movie, Series
from vod2strmfs.settings import LibrarySettings

NO_LANGUAGE = "-"
"""Stands for a title without a language mark."""

K = TypeVar("K")


class Filter:
    """Decides which relations and which titles are wanted; remembers which of the user's patterns were of use.

    Args:
        settings: the library's.
    """

    def __init__(self, settings: LibrarySettings) -> None:
        self._accounts = _List(settings.accounts)
        self._categories = _List(settings.categories)
        self._lists = {
            name: _List(patterns) for name in ("genres", "languages", "ids") if (patterns := getattr(settings, name))
        }
        self._years = settings.years
        first, dash, last = settings.years.partition("-")
        self._first = int(first or 0)
        self._last = int(last or 9999) if dash else self._first
        self._adult = settings.adult
        self.active = bool(
            settings.accounts or settings.categories or self._lists or self._years or self._adult != "include"
        )
        """Whether anything can be refused."""

    @property
    def judges_titles(self) -> bool:
        """Whether a title can be refused for what it is, whatever relations it has."""
        return bool(self._lists or self._years or self._adult != "include")

    def choose(self, groups: Groups) -> Choice:
        """The relations that are wanted, where the catalogue has these accounts and categories."""
        if not self._accounts and not self._categories:
            return ALL
        return Choice(
            self._accounts.wanted(groups.accounts, groups.accounts.keys()) if self._accounts else None,
            self._categories.wanted(groups.categories, groups.enabled) if self._categories else None,
        )

    def refuses(self, item: Movie | Series, language: str, uuid: str) -> str:
        """The name of the setting that keeps a title out, whatever its relations; "" for a title to show.

        Args:
            item: the title.
            language: the code of its language mark, if it has one.
            uuid: Dispatcharr's.
        """
        refused = ""
        if self._lists:
            values = self._values(item, language, uuid)
            # Each is asked, whatever the others say: a pattern may match what is kept out anyhow.
            refused = next(iter([name for name, each in self._lists.items() if not each.accepts(values[name])]), "")
        if self._adult != "include" and item.adult != (self._adult == "only"):
            return "adult"
        if self._years and not (item.year and self._first <= item.year <= self._last):
            return "years"
        return refused

    def _values(self, item: Movie | Series, language: str, uuid: str) -> dict[str, Sequence[str]]:
        """What the lists judge of a title, by the setting."""
        return {
            "genres": item.genres,
            "languages": (language or NO_LANGUAGE,),
            "ids": (f"tmdb-{item.tmdb}", f"imdb-{item.imdb}", uuid),
        }

    def excludes(self, item: Movie | Series, language: str, uuid: str) -> bool:
        """Whether a title is refused by an exclusion: by a pattern with `!`, or as one for adults. Arguments as for
        `refuses`."""
        values = self._values(item, language, uuid)
        excluded = any(each.excludes(values[name]) for name, each in self._lists.items())
        return excluded or (self._adult == "exclude" and item.adult)

    def excluded(self, groups: Groups) -> Set[int | None]:
        """The categories that are excluded, of those that the catalogue has."""
        return self._categories.excluded(groups.categories)

    def unmatched(self) -> Iterator[tuple[str, str]]:
        """Setting and pattern of whatever matched nothing so far."""
        for name, patterns in {"accounts": self._accounts, "categories": self._categories, **self._lists}.items():
            yield from ((name, pattern) for pattern in patterns.unmatched())


class _List:
    """The patterns of one setting: with any that include, a value has to match one; none may be excluded."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_Pattern(pattern) for pattern in patterns]
        self._includes = any(not pattern.excludes for pattern in self._patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def wanted(self, names: Mapping[K, str], there: Set[K]) -> frozenset[K]:
        """The keys whose names are accepted.

        Args:
            names: every name that a pattern may mean.
            there: the keys that are of any use, for patterns to match.
        """
        folded = {key: _fold(name) for key, name in names.items()}
        found = {pattern: pattern.among(folded, there) for pattern in self._patterns}
        included = [keys for pattern, keys in found.items() if not pattern.excludes]
        excluded = [keys for pattern, keys in found.items() if pattern.excludes]
        wanted = frozenset[K]().union(*included) if self._includes else frozenset(names)
        return wanted.difference(*excluded)

    def excluded(self, names: Mapping[K, str]) -> frozenset[K]:
        """The keys whose names are excluded."""
        folded = {key: _fold(name) for key, name in names.items()}
        excluding = (pattern.among(folded, frozenset()) for pattern in self._patterns if pattern.excludes)
        return frozenset[K]().union(*excluding)

    def excludes(self, values: Sequence[str]) -> bool:
        folded = [_fold(value) for value in values]
        return any(pattern.excludes and pattern.matches(folded) for pattern in self._patterns)

    def accepts(self, values: Sequence[str]) -> bool:
        folded = [_fold(value) for value in values]
        matching = [pattern for pattern in self._patterns if pattern.matches(folded)]
        is_included = not self._includes or any(not pattern.excludes for pattern in matching)
        return is_included and not any(pattern.excludes for pattern in matching)

    def unmatched(self) -> Iterator[str]:
        return (pattern.text for pattern in self._patterns if not pattern.matched)


class _Pattern:
    """A glob; a leading ! excludes.

    Panels write names such as `XXX [18+]` or `[EN] New`, so brackets stand for themselves first. Only where nothing is
    called so do they hold a set of characters, as in other globs.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.excludes = text.startswith("!")
        self.matched = False
        """Whether anything matched so far."""
        glob = _fold(text.removeprefix("!"))
        self._readings = [_matcher(glob.replace("[", "[[]"))]
        if "[" in glob:
            self._readings.append(_matcher(glob))

    def among(self, names: Mapping[K, str], there: Set[K]) -> Set[K]:
        """The keys of the names that match."""
        keys: Set[K] = set()
        for reading in self._readings:
            if keys := {key for key, name in names.items() if reading(name)}:
                break
        self.matched |= not keys.isdisjoint(there)
        return keys

    def matches(self, values: Iterable[str]) -> bool:
        """Whether any of some values does; of these nobody knows whether another one matches better."""
        found = any(reading(value) for value in values for reading in self._readings)
        self.matched |= found
        return found


def matching(glob: str, names: Mapping[K, str]) -> Set[K]:
    """The keys of the names that a user means by a glob."""
    return _Pattern(glob).among({key: _fold(name) for key, name in names.items()}, names.keys())


def _fold(text: str) -> str:
    return one_line(text).strip().casefold()


def _matcher(glob: str) -> Callable[[str], bool]:
    fullmatch = regex.compile(translate(glob)).fullmatch
    return lambda text: fullmatch(text) is not None
