"""`vod2strmfs sync`."""

from functools import partial
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer, answer_options
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import CATALOGUE, LIBRARY, SELECTION, STATE, GroupedCommand, with_settings
from vod2strmfs.cli.progress import shown
from vod2strmfs.errors import ShrinkHeldError
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.sync.result import SyncResult


@click.command(cls=GroupedCommand)
@click.option(
    "--accept-shrink", is_flag=True, help="Take the catalogue as it is: remove what the shrink brake holds back."
)
@answer_options
@with_settings(CATALOGUE, SELECTION, LIBRARY, STATE)
def sync(settings: Settings, accept_shrink: bool, quiet: bool, as_json: bool) -> None:
    """Refresh the index once, and say what changed.

    A mount with the same state directory shows the result within a second. Without --config and without any setting
    of the library, the library's settings stay as they are. The exit code is 7 while the shrink brake holds something:
    too much is gone from the catalogue, or has another name there.
    """
    from vod2strmfs.index.held import advise, explain
    from vod2strmfs.service.refresh import refresh

    set_up_logs(settings, quiet=quiet)
    display = partial(shown, quiet=quiet)
    result = refresh(settings, accept_shrink=accept_shrink, keep_library=True, display=display)
    error = None
    if result.held:
        accept = settings.command("sync", "--accept-shrink")
        error = ShrinkHeldError(f"{explain(result.kept)}\n{advise(result.kept, f'run `{accept}`')}")
    text = f"generation {result.generation}: {result.describe()}"
    answer(text, sync_fields(result), error, quiet=quiet, as_json=as_json)


def sync_fields(result: "SyncResult") -> dict[str, object]:
    """What a sync did, for programs; see docs/commands.md."""
    changes: dict[str, dict[str, int]] = {}
    for (kind, what), number in sorted(result.counts.items()):
        if number:
            changes.setdefault(kind, {})[what] = number
    return {
        "generation": result.generation,
        "changed": result.changed,
        "changes": changes,
        "held": result.held,
        "warnings": list(result.warnings()),
    }
