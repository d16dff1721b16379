"""Choosing among the relations that one row of the catalogue has, where the user's settings ask for that.

Dispatcharr's own choice, the account's priority and then the lowest id, is what the catalogue gives; here languages
and qualities go before it. Only what is said of them counts: a film is measured when it is played, and if that counted,
what plays would go to and fro.
"""

from typing import Any, TypeVar

import msgspec

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow
from vod2strmfs.extract.panel import Junk
from vod2strmfs.extract.texts import MAX_LINE, one_line, parse_category
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import Facts, Wish, category_tags, facts
from vod2strmfs.library.items import TaggedMovie
from vod2strmfs.settings import LibrarySettings

RowT = TypeVar("RowT", MovieRow, SeriesRow, EpisodeRow)


class _Relation(msgspec.Struct, array_like=True):
    """A relation of a row: an array that `Queries` has the database make."""

    passes: bool | int
    account: int
    account_name: str | None
    stream: str | None
    extension: str | None
    properties: str | None
    category: str | None = None
    tags: str | None = None
    series: str | None = None
    """Of an episode, the stream id of the series that it belongs to; None where that is not known."""


class _Entry(msgspec.Struct):
    name: Any = None


class _Said(msgspec.Struct):
    """As much of a relation's JSON as tells what its provider calls the title."""

    basic_data: _Entry | Junk = None


_relations = msgspec.json.Decoder(_Relation)
_said = msgspec.json.Decoder(_Said)


def wish_of(settings: LibrarySettings) -> Wish | None:
    """What the relations of a row are chosen by; None if it is Dispatcharr's choice that counts."""
    if settings.versions == "all" or not (settings.prefer_languages or settings.prefer_quality):
        return None
    return Wish.of(settings.prefer_languages, settings.prefer_quality)


def best_relation(row: RowT, wish: Wish, cleaner: TitleCleaner) -> RowT:
    """A movie's or series' row with the relation that a user would rather have."""
    found = _of(row)
    ranks = [wish.rank(_facts(relation, cleaner)) for relation in found if relation.passes]
    # The first one of equal ones is the one that Dispatcharr would play.
    return _with(row, found, ranks.index(min(ranks))) if row.passes and ranks else row


def relation_of_series(row: EpisodeRow, account: int, stream: str) -> EpisodeRow:
    """An episode's row with the relation that belongs to its series' one, or is of the same account, if there is any.

    Args:
        row: the episode's.
        account: of the series' relation.
        stream: the stream id of that.
    """
    found = _of(row)
    ranks = [(each.account != account, each.series != stream) for each in found if each.passes]
    if not row.passes or not ranks or min(ranks)[0]:
        return row
    return _with(row, found, ranks.index(min(ranks)))


def _of(row: MovieRow | SeriesRow | EpisodeRow) -> list[_Relation]:
    """All relations of a row in the order in which Dispatcharr would play them, those that the user wants first."""
    try:
        return [_relations.decode(text) for text in row.relations.split("\x1e")] if row.relations else []
    except msgspec.MsgspecError:  # SQLite holds what it is given.
        return []


def _with(row: RowT, relations: list[_Relation], place: int) -> RowT:
    """A row with the relation at some place as the chosen one."""
    if place == 0:
        return row
    chosen = relations[place]
    fields: dict[str, Any] = {
        "account_id": chosen.account,
        "account_name": chosen.account_name or "",
        "stream_id": chosen.stream or "",
        "relation_properties": chosen.properties,
        "others": "\x1e".join(each.properties for each in relations if each is not chosen and each.properties) or None,
    }
    if not isinstance(row, EpisodeRow):
        fields |= {"category": chosen.category, "category_tags": chosen.tags}
    if not isinstance(row, SeriesRow):
        fields["container_extension"] = chosen.extension
    return row._replace(**fields)


def _facts(relation: _Relation, cleaner: TitleCleaner) -> Facts:
    """What is said of a relation's language and quality."""
    name = one_line(_name(relation.properties)[:MAX_LINE])
    language, quality = category_tags(relation.tags) if relation.tags else ("", "")
    try:
        category = parse_category(relation.category) if relation.category else ""
    except ValueError:
        category = ""
    title = cleaner.title(name).text
    item = TaggedMovie(title=title, original_title=name, category=category, language=language, quality=quality)
    return facts(item, cleaner)


def _name(properties: str | None) -> str:
    """What a relation's provider calls the title; "" where that is not known."""
    try:
        entry = _said.decode(properties).basic_data if properties else None
    except (ValueError, RecursionError):
        return ""
    return entry.name if isinstance(entry, _Entry) and isinstance(entry.name, str) else ""
