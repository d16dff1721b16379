"""Parsers for what panels send as a day, a year, a duration or a moment; see `raw`."""

import re
from datetime import UTC, date, datetime
from typing import Any

from vod2strmfs.extract.raw import NO_VALUE, PartlyJunkError, text_of, whole_number
from vod2strmfs.extract.texts import parse_line


def parse_day(value: object) -> tuple[str, int] | None:
    """A day as `yyyy-MM-dd` ("" where only the year is known), and its year.

    The first day of 1970 is nothing: panels write it where they know none.
    """
    text = text_of(value).strip()
    if len(text) == 10 and text[4] == text[7] == "-" and "1870" <= text[:4] <= "2100":
        try:
            return (text, date.fromisoformat(text).year) if text != _EPOCH else None
        except ValueError:
            pass  # such as 2019-00-00, of which the year counts
    if text in NO_VALUE or text.startswith(("0000", "-0001")):
        return None
    year, month, day = _day_parts(text)
    parse_year(year)
    try:
        found = date(year, month, day).isoformat() if month and day else ""
    except ValueError:
        raise PartlyJunkError(("", year)) from None
    return (found, year) if found != _EPOCH else None


def _day_parts(text: str) -> tuple[int, int, int]:
    """Year, month and day; month and day are 0 where they are not said."""
    if match := _YEAR_FIRST.fullmatch(text) or _DIGITS.fullmatch(text):
        year, month, day = (int(part or 0) for part in match.groups())
        return year, month, day
    if match := _YEAR_LAST.fullmatch(text):
        mark = match[2]
        day, month, year = int(match[1]), int(match[3]), int(match[4])
        if mark != "." and day != month:
            # Europe's order or America's: only a number above 12 tells.
            if day <= 12 and month <= 12:
                parse_year(year)
                raise PartlyJunkError(("", year))
            day, month = max(day, month), min(day, month)
        return year, month, day
    if match := _MONTH_AND_YEAR.fullmatch(text):
        return int(match[1]), 0, 0
    if match := _DAY_MONTH.fullmatch(text) or _MONTH_DAY.fullmatch(text):
        return int(match["year"]), _MONTHS[match["month"][:3].lower()], int(match["day"] or 0)
    years = _ANY_YEAR.findall(text)
    if len(years) != 1 or len(text) > 100:
        raise ValueError(text)
    raise PartlyJunkError(("", int(years[0])))


_EPOCH = "1970-01-01"
_YEAR_FIRST = re.compile(r"([0-9]{4})(?:[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?)?(?:[T ].*)?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})(?:[T ].*)?")
_DIGITS = re.compile(r"((?:19|20)[0-9]{2})([01][0-9])([0-3][0-9])")
_MONTH_AND_YEAR = re.compile(r"[0-9]{1,2}[-/.]([0-9]{4})")
_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_MONTH = (
    r"(?P<month>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,? )?"
_DAY_MONTH = re.compile(
    rf"{_WEEKDAY}(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th|\.)?(?: of)?[ -]{_MONTH},?[ -](?P<year>[0-9]{{4}})(?:[ ,(].*)?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"{_WEEKDAY}{_MONTH}(?:[ -](?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?)?,?[ -](?P<year>[0-9]{{4}})(?:[ ,(].*)?",
    re.IGNORECASE,
)
_ANY_YEAR = re.compile(r"(?<![0-9])((?:18[7-9]|19[0-9]|20[0-9])[0-9])(?![0-9])")


def parse_year(value: object) -> int:
    """A year from 1870 to 2100."""
    year = whole_number(value)
    if year and not 1870 <= year <= 2100:
        raise ValueError(value)
    return year


def parse_seconds(value: tuple[Any, Any, Any]) -> int:
    """Seconds from (seconds, duration, minutes), of which the first that can be used counts."""
    if type(value[0]) is int and 0 < value[0] < 360_000:
        return value[0]  # nearly always
    is_junk = False
    for raw, parse in zip(value, (_seconds, _duration, _minutes), strict=True):
        length = 0
        if raw:
            try:
                length = parse(raw)
            except (ValueError, OverflowError):
                is_junk = True
        if length >= 360_000:
            is_junk = True
        elif length and is_junk:
            raise PartlyJunkError(length)
        elif length:
            return length
    if is_junk:
        raise ValueError(value)
    return 0


def _seconds(value: object) -> int:
    """Whole seconds from a number, which may have a fraction, or from a clock's time."""
    text = str(value) if type(value) is float else text_of(value).strip()
    if match := _FRACTION.fullmatch(text):
        return int(match[1])
    return _duration(text) if ":" in text else whole_number(text)


def _minutes(value: object) -> int:
    """Seconds from minutes, as a number or in words."""
    if isinstance(value, str) and value.isdigit():
        return whole_number(value) * 60
    return _duration(str(value) if type(value) is float else value)


def _duration(value: object) -> int:
    """Seconds from "01:32:10", "92" (minutes), "92 min" or "1h 32m"."""
    text = parse_line(value)
    if match := _FRACTION.fullmatch(text):
        return int(match[1]) * 60
    if match := _CLOCK.fullmatch(text):
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    if match := _SPOKEN.fullmatch(text):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60
    raise ValueError(value)


_FRACTION = re.compile(r"([0-9]{1,15})[.,][0-9]{1,9}")
_CLOCK = re.compile(r"([0-9]{1,3}):([0-5]?[0-9]):([0-5]?[0-9])(?:[.,][0-9]*)?")
_SPOKEN = re.compile(
    r"(?:PT)?(?:([0-9]{1,2}) ?h(?:rs?|ours?)?)?,? ?(?:([0-9]{1,3}) ?(?:m|mins?|minutes?)?)?\.?"
    r"(?: ?[0-9]{1,2} ?s(?:ecs?)?)?",
    re.IGNORECASE,
)


def parse_added(value: object) -> int:
    """Seconds since the epoch, from 1990 to 2100. Panels send milliseconds too, fractions, and days with a time."""
    if type(value) is float or (type(value) is str and not value.isdigit()):
        text = str(value).strip()
        if match := _FRACTION.fullmatch(text):
            value = match[1]
        elif _DAY_AND_TIME.fullmatch(text):
            value = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    seconds = whole_number(value)
    if seconds >= _EARLIEST * 1000:
        seconds //= 1000
    if seconds and not _EARLIEST <= seconds < 4_102_444_800:
        raise ValueError(value)
    return seconds


_EARLIEST = 631_152_000
_DAY_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?")
