"""The form of `.stats.csv`."""

import csv
import io
from collections.abc import Iterable

COLUMNS = ("scope", "metric", "value")

Metric = tuple[str, str, str | int]
"""Scope (`database`, `index` or `filesystem`), metric and value."""


def render(metrics: Iterable[Metric]) -> bytes:
    """The metrics as CSV, in UTF-8, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(metrics)
    return text.getvalue().encode()


def parse(text: bytes) -> dict[str, dict[str, str]]:
    """What `render` wrote: values by scope and metric."""
    found: dict[str, dict[str, str]] = {}
    for scope, metric, value in list(csv.reader(io.StringIO(text.decode())))[1:]:
        found.setdefault(scope, {})[metric] = value
    return found
