"""A file of picks: titles and ids, one a line, that stand on a shelf by hand."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from vod2strmfs.library.names import fold, safe_name

_COMMENT = re.compile(r"#(\s|$)")
"""A film may be called `#Alive`."""
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID = re.compile(rf"tmdb[-: ]?(?P<tmdb>\d+)|(?:imdb[-: ]?)?(?P<imdb>tt\d+)|(?P<uuid>{_UUID})", re.IGNORECASE)
_SECTIONS = {"movies": "Movies", "tv": "TV"}
_YEAR = re.compile(r" \(\d{4}\)$")
_TAGS = re.compile(r"(?: (?:\[[^\[\]]*\]|\{[^{}]*\}))+$")
_CANDIDATES = 2000
"""Titles that a line is compared with, at most: a comparison takes some 20 µs."""
_NEAREST_OF = 200
"""So many lines are told the nearest title."""

Key = tuple[str, str]
"""What is compared (`tmdb`, `imdb`, `uuid`, or the section, `Movies`, `TV` or empty, of a name), and with what."""


class PickedTitle(NamedTuple):
    """A title of the library, as far as a line can mean it."""

    node: int
    section: str
    """`Movies` or `TV`."""
    tmdb: str
    imdb: str
    uuid: str
    name: str
    """What its folder would be called without others of that name."""
    folder: str
    """What it is called."""


class Picked(NamedTuple):
    """What the lines of a file mean."""

    on: frozenset[int]
    """The nodes of what is to stand on the shelf."""
    off: frozenset[int]
    """The nodes of what is not to stand there, whatever else says so."""
    unmatched: Mapping[str, str]
    """The nearest title, or nothing, by each line that means no title."""


def lines(text: str) -> list[str]:
    """The lines of a file of picks that are no comments, each once."""
    stripped = (line.strip().lstrip("\ufeff") for line in text.splitlines())
    return list(dict.fromkeys(line for line in stripped if line and not _COMMENT.match(line)))


def pick(text: str, titles: Iterable[PickedTitle]) -> Picked:
    """What a file of picks means.

    Args:
        text: the file's.
        titles: all titles of the library.
    """
    wanted: dict[Key, list[str]] = {}
    for line in lines(text):
        wanted.setdefault(_key(line.removeprefix("!").strip()), []).append(line)
    on, off = set[int](), set[int]()
    met: set[str] = set()
    names: list[str] = []
    for title in titles:
        names.append(title.folder)
        for key in _keys(title):
            for line in wanted.get(key, ()):
                met.add(line)
                (off if line.startswith("!") else on).add(title.node)
    unmatched = [line for each in wanted.values() for line in each if line not in met]
    nearest = dict(_nearest(unmatched[:_NEAREST_OF], names)) if unmatched else {}
    return Picked(frozenset(on), frozenset(off), {line: nearest.get(line, "") for line in unmatched})


def _key(text: str) -> Key:
    """What a line means."""
    if (found := _ID.fullmatch(text)) is not None:
        [(kind, value)] = [(kind, value) for kind, value in found.groupdict().items() if value]
        return kind, value.lower()
    section, slash, name = text.strip("/").partition("/")
    if slash and (known := _SECTIONS.get(section.casefold())):
        return known, fold(safe_name(name.rpartition("/")[2]))
    return "", fold(safe_name(text))


def _keys(title: PickedTitle) -> Iterator[Key]:
    """What may be written for a title."""
    ids = {"tmdb": title.tmdb, "imdb": title.imdb, "uuid": title.uuid}
    yield from ((kind, value.lower()) for kind, value in ids.items() if value)
    untagged = _TAGS.sub("", title.name)
    for name in {title.name, title.folder, untagged, _YEAR.sub("", untagged)}:
        key = fold(name)
        yield "", key
        yield title.section, key


def _nearest(unmatched: Iterable[str], names: list[str]) -> Iterator[tuple[str, str]]:
    """The nearest name of each line, where there is one."""
    by_word: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        for word in set(_words(name)):
            by_word.setdefault(word, []).append(place)
    for line in unmatched:
        text = line.removeprefix("!").strip().rpartition("/")[2]
        # Rare words first: they tell more.
        groups = sorted((by_word.get(word, []) for word in set(_words(text))), key=len)
        near = [names[place] for group in groups for place in group][:_CANDIDATES]
        folded = {name.casefold(): name for name in near}
        if found := get_close_matches(text.casefold(), folded, 1, cutoff=0.5):
            yield line, folded[found[0]]


def _words(name: str) -> list[str]:
    """What two spellings of a name are likely to share: the beginnings of its words."""
    return [word[:4] for word in re.findall(r"\w{3,}", name.casefold())]
