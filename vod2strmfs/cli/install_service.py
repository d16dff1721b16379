"""`vod2strmfs install-service`."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.options import (
    ARTWORK,
    CATALOGUE,
    FILMS_ELSEWHERE,
    HYDRATE,
    LIBRARY,
    MOUNT,
    NOTIFY,
    PAGE,
    REPORTS,
    SELECTION,
    STATE,
    WHEN,
    WRITING,
    GroupedCommand,
    complete_directory,
    with_settings,
)
from vod2strmfs.cli.pasteable import as_root
from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import Settings

if TYPE_CHECKING:
    from vod2strmfs.systemd.units import ServiceKind


@click.command("install-service", cls=GroupedCommand)
@click.argument("output_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@click.option("--name", default="", help="The library's name, if this host has several.")
@click.option("--mount", "work", flag_value="mount", default="mount", help="A service that mounts (the default).")
@click.option("--materialize", "work", flag_value="materialize", help="A service that materializes, and its timer.")
@click.option("--run", "work", flag_value="run", help="A service that materializes when --schedule or --auto say so.")
@click.option("--films", "work", flag_value="films", help="A service that mounts films that play, at films_root.")
@click.option("--remove", is_flag=True, help="Stop the units and take them away; settings and library stay.")
@click.option("--force", is_flag=True, help="Write over files that are there and differ; those are kept beside them.")
@click.option(
    "--root", type=click.Path(path_type=Path), default="/", show_default=True, help="Write below this directory."
)
@with_settings(
    CATALOGUE, SELECTION, LIBRARY, MOUNT, PAGE, WRITING, REPORTS, WHEN, HYDRATE, ARTWORK, FILMS_ELSEWHERE, NOTIFY, STATE
)
def install_service(settings: Settings, name: str, work: "ServiceKind", remove: bool, force: bool, root: Path) -> None:
    """Write systemd units for these settings, or remove them.

    The settings that are given go into /etc/vod2strmfs.toml, or with --name into /etc/vod2strmfs/NAME.toml, which
    only root can read. The units go into /etc/systemd/system. Nothing is started.
    """
    from vod2strmfs.service.serve import check_when
    from vod2strmfs.systemd.install import install

    if remove:
        _remove(settings, name, root)
        return
    if work == "run":
        check_when(settings)
    if work == "films" and settings.origin("output_root").startswith("MOUNTPOINT"):
        raise SettingsError("MOUNTPOINT is where `mount` mounts. Give the place of `films` as --films-root DIRECTORY.")
    _check_place(settings, work)
    installed = install(settings, work, name, _program(), root=root, force=force)
    for path in installed.kept:
        click.echo(f"kept: {path}, as it was before")
    for path in installed.files:
        click.echo(f"written: {path}")
    systemctl = shlex.join((*as_root(), "systemctl"))
    click.echo(f"Start it with: {systemctl} daemon-reload && {systemctl} enable --now {installed.unit}")


def _check_place(settings: Settings, work: "ServiceKind") -> None:
    """Refuse a place that what the unit starts would refuse each time, whatever is there by then."""
    if work in ("materialize", "run"):
        from vod2strmfs.materialize.root import check_path as check_root

        check_root(settings.output_root)
        return
    from vod2strmfs.mount.point import check_path

    place = settings.films_root if work == "films" else settings.output_root
    check_path(place.absolute())
    if work == "films":
        from vod2strmfs.mount.films_run import check_place

        check_place(place.absolute(), settings.output_root)


def _remove(settings: Settings, name: str, root: Path) -> None:
    from vod2strmfs.systemd.install import remove

    removed = remove(name, root=root)
    for path in removed.files:
        click.echo(f"removed: {path}")
    if not removed.files:
        click.echo("There are no units to remove, or other libraries use them.")
    state = f"the state directory {settings.state_dir / name}"
    click.echo(f"What is left: {removed.config}, {state}, and the library's files.")


def _program() -> Path:
    """The program that is running, where it is installed."""
    beside = Path(sys.executable).with_name("vod2strmfs")
    found = str(beside) if beside.exists() else shutil.which("vod2strmfs")
    return Path(found or sys.argv[0]).absolute()
