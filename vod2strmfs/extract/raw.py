"""What panels send for one value, before it is parsed, and the parsers' ways to say what is wrong with it.

A parser takes a raw value, gives something empty for "nothing", and raises ValueError for junk: a `PartlyJunkError`
where junk stands beside something usable, which then counts.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

NO_VALUE = frozenset(
    form
    for word in ("", "0", "-", "n/a", "null", "none", "nan", "undefined")
    for form in (word, word.upper(), word.capitalize())
) | {"NaN"}

_MAX_ITEMS = 1_000
"""Parts of one value that are looked at."""


class PartlyJunkError(ValueError):
    """A value of which a part is junk.

    Args:
        usable: what the other parts say.
    """

    def __init__(self, usable: Any) -> None:
        super().__init__(usable)
        self.usable = usable


def text_of(value: object) -> str:
    """A text, from what panels send as one: a text, a number, or a list of which the first is one of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = (item for item in value[:_MAX_ITEMS] if isinstance(item, str) and item.strip().lower() not in NO_VALUE)
        if text := next(texts, ""):
            return text
        value = next(filter(None, value), None)
        if isinstance(value, str):
            return value
    if not value:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(value)


def items_of(value: object) -> list[Any]:
    """The parts of what panels send as several values: a list, what PHP makes of one with gaps, or either as JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{") and value[-1:] in ("]", "}"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    if isinstance(value, dict) and value and all(str(key).isdigit() for key in value):
        value = list(value.values())
    return value[:_MAX_ITEMS] if isinstance(value, list) else [value]


def whole_number(value: object) -> int:
    """A number without sign or fraction; 0 for nothing."""
    if type(value) is int and 0 <= value < 10**18:
        return value
    if type(value) is float and value.is_integer() and 0 <= value < 10**15:
        return int(value)
    text = text_of(value).strip()
    if text.isdigit() and text.isascii() and len(text) <= 18:
        return int(text)
    if text in NO_VALUE:
        return 0
    raise ValueError(value)


def remembering(parse: Callable[[Any], T]) -> Callable[[Any], T]:
    """A parser that remembers what it made of texts that many items share."""
    remembered = lru_cache(maxsize=8192)(parse)

    def parse_or_remember(value: Any) -> T:
        if isinstance(value, str) and len(value) <= 100:
            return remembered(value)
        return parse(value)

    return parse_or_remember
