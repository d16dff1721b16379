"""Which titles the library shows, by the user's choice. An episode goes with its series."""

from collections.abc import Iterable, Iterator
from fnmatch import translate

import regex

from vod2strmfs.library.items import Movie, Series
from vod2strmfs.settings import LibrarySettings

NO_LANGUAGE = "-"
"""Stands for a title without a language mark."""


class Filter:
    """Decides for each title; remembers which of the user's patterns were of use.

    Args:
        settings: the library's.
    """

    def __init__(self, settings: LibrarySettings) -> None:
        self._lists = {
            name: _List(name, patterns)
            for name in ("accounts", "categories", "genres", "languages", "ids")
            if (patterns := getattr(settings, name))
        }
        self._years = settings.years
        first, dash, last = settings.years.partition("-")
        self._first = int(first or 0)
        self._last = int(last or 9999) if dash else self._first
        self._adult = settings.adult

    @property
    def active(self) -> bool:
        """Whether anything can be refused."""
        return bool(self._lists or self._years or self._adult != "include")

    def refuses(self, item: Movie | Series, account: str, language: str, uuid: str) -> str:
        """The name of the setting that keeps a title out; "" for a title to show.

        Args:
            item: the title.
            account: the name of its chosen relation's account.
            language: the code of its language mark, if it has one.
            uuid: Dispatcharr's.
        """
        if self._adult != "include" and item.adult != (self._adult == "only"):
            return "adult"
        if self._years and not self._first <= item.year <= self._last:
            return "years"
        values = {
            "accounts": (account,),
            "categories": (item.category,),
            "genres": item.genres,
            "languages": (language or NO_LANGUAGE,),
            "ids": (f"tmdb-{item.tmdb}", f"imdb-{item.imdb}", uuid),
        }
        refused = [name for name, patterns in self._lists.items() if not patterns.accepts(values[name])]
        return refused[0] if refused else ""

    def unmatched(self) -> Iterator[tuple[str, str]]:
        """Setting and pattern of whatever is to be included, and matched no title so far."""
        for patterns in self._lists.values():
            yield from patterns.unmatched()


class _List:
    """The patterns of one setting: with any that include, a value has to match one; none may be excluded."""

    def __init__(self, name: str, patterns: Iterable[str]) -> None:
        self._name = name
        self._included = {pattern: _compiled(pattern) for pattern in patterns if not pattern.startswith("!")}
        self._excluded = [_compiled(pattern[1:].strip()) for pattern in patterns if pattern.startswith("!")]
        self._unmatched = dict.fromkeys(self._included)

    def accepts(self, values: Iterable[str]) -> bool:
        values = [value.strip() for value in values]
        matching = [
            pattern
            for pattern, compiled in self._included.items()
            if any(compiled.fullmatch(value) for value in values)
        ]
        for pattern in matching:
            self._unmatched.pop(pattern, None)
        if self._included and not matching:
            return False
        return not any(compiled.fullmatch(value) for compiled in self._excluded for value in values)

    def unmatched(self) -> Iterator[tuple[str, str]]:
        return ((self._name, pattern) for pattern in self._unmatched)


def _compiled(glob: str) -> "regex.Pattern[str]":
    return regex.compile(translate(glob), regex.IGNORECASE)
