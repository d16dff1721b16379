"""`vod2strmfs doctor`."""

import sys
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import json_option, say_json
from vod2strmfs.cli.options import (
    ARTWORK,
    CATALOGUE,
    FILMS_ELSEWHERE,
    HYDRATE,
    LIBRARY,
    MOUNT,
    PAGE,
    SELECTION,
    STATE,
    GroupedCommand,
    complete_directory,
    with_settings,
)
from vod2strmfs.cli.pasteable import pasteable
from vod2strmfs.errors import Exit
from vod2strmfs.host.printable import printable_lines
from vod2strmfs.settings import ConfigFile, Settings

if TYPE_CHECKING:
    from vod2strmfs.doctor.finding import Finding

COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "problem": "red"}
"""Colours of the levels of findings."""


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@json_option
@click.option("--play/--no-play", default=True, help="Ask Dispatcharr for a film, as a player would.  [default: on]")
@with_settings(CATALOGUE, SELECTION, LIBRARY, MOUNT, PAGE, HYDRATE, ARTWORK, FILMS_ELSEWHERE, STATE)
def doctor(settings: Settings, as_json: bool, play: bool) -> None:
    """Examine the set-up, and say what to do about it.

    Give the same settings as to the mount. Nothing is changed. The exit code is 0 if there is nothing to do, 8 if
    the worst is a warning, 9 if something does not work.
    """
    from vod2strmfs.doctor.examine import examine
    from vod2strmfs.doctor.finding import Level, worst

    config: ConfigFile = click.get_current_context().meta["config"]
    findings: list[Finding] = []
    for found in examine(settings, config.path, play=play, is_usual=config.is_usual):
        finding = found._replace(text=pasteable(found.text), advice=pasteable(found.advice))
        findings.append(finding)
        if not as_json:
            show(finding)
    if as_json:
        say_json([finding._asdict() for finding in findings])
    sys.exit({Level.WARNING: Exit.WARNINGS, Level.PROBLEM: Exit.PROBLEMS}.get(worst(findings), Exit.OK))


def show(finding: "Finding") -> None:
    """Say what was found."""
    level = click.style(f"{finding.level:<8}", fg=COLOURS[finding.level])
    # What a provider or a server answered may be quoted in it.
    click.echo(f"{level} {finding.check:<13} {printable_lines(finding.text)}")
    if finding.advice:
        click.echo(f"{'':<23}→ {printable_lines(finding.advice)}")
