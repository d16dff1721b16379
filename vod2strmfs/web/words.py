"""How the pages say numbers, times and metrics: in words that a person uses."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

_THINGS = {"movies": "Films", "series": "Series", "seasons": "Seasons", "episodes": "Episodes"}
_OF_THINGS = {
    "": "{things}",
    "eligible": "{things} that can be shown",
    "without_relation": "{things} that no account offers",
    "of_inactive_accounts": "{things} of accounts that are switched off",
    "of_disabled_categories": "{things} of categories that are switched off",
    "of_ineligible_series": "{things} of series that cannot be shown",
    "without_episodes": "{things} of which no episode is known yet",
    "held": "{things} that are gone and are kept for now",
    "not_renamed": "{things} that keep their former name for now",
    "without_ids": "{things} without a TMDB or IMDb id",
    "merged": "{things} that are further versions of another",
}
"""What stands behind the things in the name of a metric, and how it is said."""
_METRICS = {
    "collisions": "Titles whose name was taken: something was added to it",
    "names_cut": "Names that were too long and were cut",
    "long_urls": "Links that are too long for Kodi",
    "bad_fields": "Details of titles that made no sense and were left out",
    "marks_contradicted": "Films whose mark says another quality than was measured",
    "directories": "Folders",
    "strm_files": "Files that play (.strm)",
    "nfo_files": "Files with details (.nfo)",
    "image_files": "Posters, backgrounds and stills",
    "bytes": "Size of all files",
    "accounts": "Accounts",
    "accounts_active": "Accounts that are switched on",
    "shelf_titles_held": "Titles kept on a shelf for now, though nothing puts them there",
    "picks_without_title": "Lines of files of picks that mean no title",
    "picks_not_read": "Files of picks that cannot be read",
}
_FILTERED = "filtered_by_"
_ON_SHELF = "titles_on_shelf_"
_NOT_COUNTS = frozenset({"generation", "made", "stale_since"})
_HEADINGS = {"index": "In the library", "filesystem": "As files", "database": "In Dispatcharr’s database"}
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
_MODES = {"all": "Films and series", "movies": "Films", "series": "Series"}
_ACTIONS = {
    "would_create": "would be created",
    "would_update": "would be updated",
    "would_move": "would be moved",
    "would_delete": "would be deleted",
}
_TYPES = {
    "movie": "the film itself",
    "episode": "the episode itself",
    "series": "the folder",
    "image": "its poster or background",
    "shelf": "a line of its picks, or a pattern",
    "error": "its file or folder",
}
_REASONS = {
    "missing": "somebody had taken it away",
    "content changed": "it has other content now",
    "empty": "it was empty, as after a power cut",
    "time changed": "only its time was another",
    "not ours": "not ours: you put it there, or changed it",
    "matches": "everything is as it should be",
    "gone": "no longer in the library",
    "unwanted": "your settings want no such file any more",
    "filtered": "kept out by your setting",
    "merged": "a further version of another title",
    "no episodes": "no episode is known yet",
    "collision": "its name was taken; it would be",
    "cut": "its name was too long and was cut",
    "long url": "its link is too long for Kodi",
    "held": "gone from Dispatcharr, kept for now",
    "not renamed": "it keeps its former name for now",
    "no such title": "means no title",
    "stays on shelf": "kept on a shelf for now, though nothing puts it there",
    "off the shelf": "no longer on its shelf",
    "bad fields": "some of its details made no sense and were left out",
    "other quality": "its mark says another quality than was measured",
    "in the way": "something else stands in its place",
    "disk full": "the disk is full",
    "read-only": "the folder is read-only",
    "not permitted": "not permitted: look at the folder’s owner and rights",
    "name refused": "the file system does not take the name",
    "unreachable": "the share does not answer",
    "input/output error": "the disk reports an error; see the log",
    "outdated index": "made by another version: sync once more",
}


class Figures(NamedTuple):
    """Some figures under a heading."""

    heading: str
    rows: list[tuple[str, str]]
    """What is counted, and how many."""


def number(value: float | str) -> str:
    """A whole number with a separator for thousands: `1,904`."""
    return f"{int(value):,}"


def count(value: float | str, thing: str) -> str:
    """A number and the things counted: `1 film`, `1,904 films`, `2 series`."""
    several = int(value) != 1 and not thing.endswith("series")
    return f"{number(value)} {thing}{'s' if several else ''}"


def span(seconds: float) -> str:
    """A time span in the largest unit that fits: `3 minutes`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return count(seconds // length, unit)
    return "less than a minute"


def ago(moment: float) -> str:
    """How long ago a time is (seconds since the epoch): `3 minutes ago`."""
    passed = time.time() - moment
    return f"{span(passed)} ago" if passed >= 60 else "just now"


def moment(seconds: float) -> str:
    """A time as people read it: `29 Nov 2026, 03:30`; empty for never."""
    return f"{datetime.fromtimestamp(seconds):%-d %b %Y, %H:%M}" if seconds else ""


def iso(seconds: float) -> str:
    """A time for programs."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def mode_words(mode: str) -> str:
    """What a run was about."""
    return _MODES.get(mode, mode)


def action_words(action: str) -> str:
    """What was done with files, behind a number: `would be deleted`."""
    return _ACTIONS.get(action, action.replace("_", " "))


def type_words(kind: str) -> str:
    """What a report's row is about, where its path does not say more."""
    return _TYPES.get(kind, kind.replace("_", " "))


def reason_words(reason: str) -> str:
    """Why something was done, or not."""
    why, colon, about = reason.partition(":")
    return f"{_REASONS.get(why, why)}{colon}{about}"


def metric_words(metric: str) -> str:
    """What a metric of `.stats.csv` counts."""
    if metric in _METRICS:
        return _METRICS[metric]
    if metric.startswith(_ON_SHELF):
        return f"Titles on the shelf {metric.removeprefix(_ON_SHELF)}"
    if metric.startswith(_FILTERED):
        return f"Titles kept out by your setting {metric.removeprefix(_FILTERED)}"
    thing, _, rest = metric.partition("_")
    if rest.startswith(_FILTERED):
        return f"{_THINGS.get(thing, thing)} kept out by your setting {rest.removeprefix(_FILTERED)}"
    if thing in _THINGS and rest in _OF_THINGS:
        return _OF_THINGS[rest].format(things=_THINGS[thing])
    return metric.replace("_", " ").capitalize()


def figures(metrics: Mapping[str, Mapping[str, str]]) -> Iterable[Figures]:
    """What `.stats.csv` counts, without what there is none of."""
    for scope, heading in _HEADINGS.items():
        rows = [
            (metric_words(metric), _size(int(value)) if metric == "bytes" else number(value))
            for metric, value in metrics.get(scope, {}).items()
            if metric not in _NOT_COUNTS and value.isdecimal() and int(value)
        ]
        if rows:
            yield Figures(heading, rows)


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
