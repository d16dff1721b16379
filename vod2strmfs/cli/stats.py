"""`vod2strmfs stats`."""

import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click

from vod2strmfs.cli.answer import json_line, json_option
from vod2strmfs.cli.index import ADVICE, open_index
from vod2strmfs.cli.options import Group, GroupedCommand, with_settings
from vod2strmfs.errors import IndexFileError, OutputError
from vod2strmfs.library.stats_csv import Metric, render
from vod2strmfs.settings import Settings

_OUTPUT = "output"
"""The scope of the metrics of an output root."""
_COLUMNS = {"database": "database", "index": "index", "filesystem": "library's\ntree", _OUTPUT: "output\nroot"}
_WIDE = 80
"""Cells of a terminal from which a moment has a single line: it makes its column so wide."""
_PATH = click.Path(path_type=Path, readable=False)


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False)
@click.option("--output", type=_PATH, help="Write CSV to this file instead of standard output.")
@json_option
@with_settings(Group("State", ("state_dir",)))
def stats(settings: Settings, output: Path | None, as_json: bool) -> None:
    """Count database, index and an output root, side by side.

    The database is counted as of the last sync. OUTPUT_ROOT is what `materialize` wrote with this state directory; an
    output root of the settings is counted if it is that. On a terminal the figures stand side by side in a table,
    elsewhere they are CSV, as in the .stats.csv of a mount.
    """
    given = click.get_current_context().params["output_root"] is not None
    metrics = [*_of_index(settings.state_dir), *_of_output(settings, given=given)]
    if output is None and not as_json and sys.stdout.isatty():
        _show_table(metrics)
        return
    text = json_line(_by_scope(metrics)).encode() if as_json else render(metrics)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_bytes(text)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror}).") from error


def _of_index(state_dir: Path) -> list[Metric]:
    with closing(open_index(state_dir)) as store:
        if not store.generation:
            raise IndexFileError(f"state directory {state_dir}: no sync has succeeded yet. {store.error}\n{ADVICE}")
        return store.metrics


def _of_output(settings: Settings, *, given: bool) -> list[Metric]:
    from vod2strmfs.materialize.output_stats import output_stats

    try:
        counted = output_stats(settings.output_root, settings.state_dir)
    except OutputError:
        if given:
            raise
        return []  # It is where the library is mounted, say.
    if counted is None:
        if given:
            raise OutputError(
                f"output root {settings.output_root}: nothing was written there with the state directory"
                f" {settings.state_dir}, which would tell our files from others'."
            )
        return []
    return [(_OUTPUT, metric, number) for metric, number in counted.items()]


def _by_scope(metrics: Sequence[Metric]) -> dict[str, dict[str, str | int]]:
    scopes: dict[str, dict[str, str | int]] = {}
    for scope, metric, value in metrics:
        scopes.setdefault(scope, {})[metric] = value
    return scopes


def _show_table(metrics: Sequence[Metric]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    scopes = list(dict.fromkeys(scope for scope, _, _ in metrics))
    values = {(scope, metric): value for scope, metric, value in metrics}
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("", overflow="fold")  # On a narrow terminal, names go over several lines, and no number is cut.
    for scope in scopes:
        table.add_column(_COLUMNS[scope], justify="right", no_wrap=True)
    for metric in dict.fromkeys(metric for _, metric, _ in metrics):
        cells = (_shown(values.get((scope, metric), ""), console.width) for scope in scopes)
        table.add_row(metric.replace("_", " "), *cells)
    console.print(table)


def _shown(value: str | int, width: int) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    try:
        moment = datetime.fromisoformat(value).astimezone()
    except ValueError:
        return value
    return f"{moment:%Y-%m-%d %H:%M}" if width >= _WIDE else f"{moment:%Y-%m-%d}\n{moment:%H:%M}"
