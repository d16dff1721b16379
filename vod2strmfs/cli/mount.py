"""`vod2strmfs mount`."""

from functools import partial

import click

from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import (
    ARTWORK,
    CATALOGUE,
    HYDRATE,
    LIBRARY,
    MOUNT,
    NOTIFY,
    PAGE,
    SELECTION,
    STATE,
    GroupedCommand,
    complete_directory,
    with_settings,
)
from vod2strmfs.settings import Settings


@click.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@click.option("--daemon", is_flag=True, help="Go to the background once the library can be seen, and log to a file.")
@click.option("--source", default="vod2strmfs", hidden=True)  # What mount(8) was given; it compares that with fstab.
@with_settings(CATALOGUE, SELECTION, LIBRARY, MOUNT, PAGE, HYDRATE, ARTWORK, NOTIFY, STATE)
def mount(settings: Settings, daemon: bool, source: str) -> None:
    """Mount the library and keep it up to date.

    MOUNTPOINT is an existing directory (default: /data/STRM). The library is there as soon as the first sync has
    ended; from then on changes in the database appear by themselves, and a database that cannot be reached changes
    nothing. `vod2strmfs umount MOUNTPOINT` unmounts it, and so does ending the process.
    """
    from vod2strmfs.cli.daemon import run_in_background
    from vod2strmfs.mount.run import mount as serve

    set_up_logs(settings, to_file=daemon)
    start = partial(serve, settings, settings.output_root.absolute(), source=source)
    if daemon:
        run_in_background(start)
    else:
        start(lambda: None)
