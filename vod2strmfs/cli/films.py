"""`vod2strmfs films`."""

from functools import partial

import click

from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import (
    ARTWORK,
    CATALOGUE,
    FILMS,
    HYDRATE,
    LIBRARY,
    MOUNT,
    NOTIFY,
    SELECTION,
    STATE,
    GroupedCommand,
    complete_directory,
    with_settings,
)
from vod2strmfs.settings import Settings


@click.command(cls=GroupedCommand)
@click.argument("films_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@click.option("--daemon", is_flag=True, help="Go to the background once there is something to see, and log to a file.")
@with_settings(FILMS, CATALOGUE, SELECTION, LIBRARY, MOUNT, HYDRATE, ARTWORK, NOTIFY, STATE)
def films(settings: Settings, daemon: bool) -> None:
    """Mount the library with films that play, as for Plex.

    In place of each .strm stands a film, for Plex and whatever else plays files. MOUNTPOINT is an existing directory
    (default: /data/Films). It is a mount of its own, beside the library's or without it. A film is shown once it was
    learnt: its exact size, and the parts that media servers scan, which are kept on disk. So it begins empty, and
    fills while it is mounted. `vod2strmfs umount MOUNTPOINT` unmounts it.
    """
    from vod2strmfs.cli.daemon import run_in_background
    from vod2strmfs.mount.films_run import mount

    set_up_logs(settings, to_file=daemon)
    start = partial(mount, settings, settings.films_root.absolute())
    if daemon:
        run_in_background(start)
    else:
        start(lambda: None)
