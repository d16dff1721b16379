"""What runs do: each is a command of the command line, with the plugin's settings."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from vod2strmfs.dispatcharr_plugin import runs
from vod2strmfs.dispatcharr_plugin.places import Places
from vod2strmfs.errors import OutputError
from vod2strmfs.library.stats_csv import Metric, render
from vod2strmfs.service.export import Exported, export
from vod2strmfs.service.refresh import Display, refresh
from vod2strmfs.settings import Cleanup, Mode, Settings
from vod2strmfs.sync.progress import Tell

Said = dict[str, Any]
"""What came of a run: `message` or `error`, `report` or none, and `code`, the exit code of the command."""

_TELL_SECONDS = 1.0
_ACCEPT = "set Max shrink (%) to 100, press Apply cleanup, and set it back"


def _write(mode: Mode, cleanup: Cleanup | None = None, *, dry_run: bool = False) -> Callable[[Settings, Display], Said]:
    def job(settings: Settings, display: Display) -> Said:
        if cleanup is not None:
            settings = settings.model_copy(update={"cleanup": cleanup})
        done = export(settings, mode, dry_run=dry_run, display=display)
        said: Said = {"report": str(done.written.report)}
        if error := done.error(_ACCEPT):
            return said | {"error": _line(str(error)), "code": int(error.exit_code)}
        return said | {"message": " ".join((done.text().partition("\n")[0] + ".", *_notes(done)))}

    return job


def _notes(done: Exported) -> Iterator[str]:
    """What one has to know to read what was done."""
    actions = {action.value for action in done.written.counts}
    if done.job.dry_run:
        yield "Nothing was written: the report says what would be done."
    elif "would_delete" in actions:
        yield "Nothing was deleted: Apply cleanup deletes it."


def _count(settings: Settings, display: Display) -> Said:
    """Count the database, the index and the output root into a CSV file."""
    from vod2strmfs.index.store import Store
    from vod2strmfs.materialize.output_stats import output_stats

    refresh(settings, display=display)
    with closing(Store(settings.state_dir)) as store:
        metrics: list[Metric] = list(store.metrics)
    counted = output_stats(settings.output_root, settings.state_dir) or {}
    metrics += [("output", metric, number) for metric, number in counted.items()]
    path = settings.reports / f"stats_{time.strftime('%Y%m%d_%H%M%S')}.csv"
    try:
        settings.reports.mkdir(parents=True, exist_ok=True)
        path.write_bytes(render(metrics))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}).") from error
    return {"message": _figures(metrics), "report": str(path)}


def _figures(metrics: list[Metric]) -> str:
    scopes: dict[str, list[str]] = {}
    for scope, metric, value in metrics:
        if isinstance(value, int) and metric in ("movies", "series", "episodes", "strm", "nfo"):
            scopes.setdefault(scope, []).append(f"{value:,} {metric}")
    return "; ".join(f"{scope}: {', '.join(figures)}" for scope, figures in scopes.items()) + "."


ACTIONS: dict[str, Callable[[Settings, Display], Said]] = {
    "stats": _count,
    "generate_movies": _write("movies", "off"),
    "generate_series": _write("series", "off"),
    "generate_all": _write("all"),
    "preview_cleanup": _write("all", "preview", dry_run=True),
    "apply_cleanup": _write("all", "apply"),
}


def display(places: Places, run: str) -> Display:
    """What shows how far a run is, to whoever presses Status."""

    @contextmanager
    def show(doing: str, unit: str) -> Iterator[Tell]:
        last = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _TELL_SECONDS:
                last = time.monotonic()
                runs.tell(places, run, doing=doing, unit=unit, done=done, total=total)

        yield tell

    return show


def _line(text: str) -> str:
    return " ".join(text.split())
