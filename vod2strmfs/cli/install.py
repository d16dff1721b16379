"""`vod2strmfs install-service`."""

import shutil
import sys
from pathlib import Path

import click

from vod2strmfs.cli.materialize import REPORTS, WRITING
from vod2strmfs.cli.options import (
    CATALOGUE,
    LIBRARY,
    MOUNT,
    SELECTION,
    STATE,
    GroupedCommand,
    complete_directory,
    with_settings,
)
from vod2strmfs.settings import Settings


@click.command("install-service", cls=GroupedCommand)
@click.argument("output_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@click.option("--name", default="", help="The library's name, if this host has several.")
@click.option("--materialize", is_flag=True, help="A service and a timer that materialize, instead of a mount.")
@click.option("--force", is_flag=True, help="Write over files that are there and differ.")
@click.option(
    "--root", type=click.Path(path_type=Path), default="/", show_default=True, help="Write below this directory."
)
@with_settings(CATALOGUE, SELECTION, LIBRARY, MOUNT, WRITING, REPORTS, STATE)
def install_service(settings: Settings, name: str, materialize: bool, force: bool, root: Path) -> None:
    """Write systemd units for these settings.

    The settings that are given go into /etc/vod2strmfs.toml, or with --name into /etc/vod2strmfs/NAME.toml, which
    only root can read. The units go into /etc/systemd/system. Nothing is started.
    """
    from vod2strmfs.systemd.install import install

    installed = install(settings, "materialize" if materialize else "mount", name, _program(), root=root, force=force)
    for path in installed.files:
        click.echo(f"written: {path}")
    click.echo(f"Start it with: systemctl daemon-reload && systemctl enable --now {installed.unit}")


def _program() -> Path:
    """The program that is running, where it is installed."""
    beside = Path(sys.executable).with_name("vod2strmfs")
    found = str(beside) if beside.exists() else shutil.which("vod2strmfs")
    return Path(found or sys.argv[0]).absolute()
