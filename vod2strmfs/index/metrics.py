"""What was counted of a generation, as `.stats.csv` says it."""

from datetime import UTC, datetime

from vod2strmfs.library import stats_csv as stats


def _metrics(number: int, made: int, counted: dict[str, dict[str, int]], failing_since: int) -> list[stats.Metric]:
    rows: list[stats.Metric] = [
        ("index", "generation", number),
        ("index", "made", _timestamp(made // 10**9)),
        ("index", "stale_since", _timestamp(failing_since)),
    ]
    for scope in ("database", "index", "filesystem"):
        rows += [(scope, metric, value) for metric, value in counted.get(scope, {}).items()]
    return sorted(rows, key=lambda row: ("database", "index", "filesystem").index(row[0]))


def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""
