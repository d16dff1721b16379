"""`vod2strmfs umount`."""

import click

from vod2strmfs.cli.options import GroupedCommand, complete_directory, with_settings
from vod2strmfs.settings import Settings


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@click.option("-z", "--lazy", is_flag=True, help="Take it away also while somebody uses it.")
@with_settings()
def umount(settings: Settings, lazy: bool) -> None:
    """Unmount the library, and end its process.

    MOUNTPOINT is where it is mounted (default: /data/STRM), or where films that play are. A mount of systemd's stays
    unmounted until the service is started again. A dead mount is taken away too.
    """
    from vod2strmfs.mount.point import unmount

    place = settings.output_root.absolute()
    unmount(place, lazy=lazy)
    click.echo(f"{place}: unmounted")
