"""The commands."""

import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from vod2strmfs import __version__
from vod2strmfs.catalog.source import open_source
from vod2strmfs.cli import logs
from vod2strmfs.cli.options import LIBRARY, with_settings
from vod2strmfs.errors import Exit, OutputError, ShrinkHeldError, UserError
from vod2strmfs.index.store import Store
from vod2strmfs.index.sync import Outcome, sync
from vod2strmfs.settings import Settings

_COMMON = ("database", "state_dir", "debug_logging", "log_dir")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="vod2strmfs")
def cli() -> None:
    """Show a Dispatcharr film library as a file system of .strm and .nfo files."""


@cli.command()
@click.argument("mountpoint", type=click.Path(path_type=Path), required=False)
@click.option("--daemon", is_flag=True, help="Go to the background once the library can be seen.")
@with_settings(
    *_COMMON, *LIBRARY, "write_nfo", "max_shrink", "poll_interval", "allow_other", "uid", "gid", "umask", "output_root"
)
def mount(settings: Settings, mountpoint: Path | None, daemon: bool) -> None:
    """Mount the library at MOUNTPOINT (default: the output root) and keep it up to date."""
    from vod2strmfs.cli.daemon import run_in_background
    from vod2strmfs.mount.run import mount as serve  # needs libfuse3, which the other commands do not

    logs.set_up(settings)
    run = partial(serve, settings, (mountpoint or settings.output_root).absolute())
    if daemon:
        sys.exit(run_in_background(run))
    run(lambda: None)


@cli.command("sync")
@click.option("--accept-shrink", is_flag=True, help="Remove what the shrink brake holds back.")
@with_settings(*_COMMON, *LIBRARY, "max_shrink")
def sync_command(settings: Settings, accept_shrink: bool) -> None:
    """Refresh the index once, and say what changed. A mount beside it shows the result within a second."""
    logs.set_up(settings)
    outcome = refresh(settings, accept_shrink=accept_shrink)
    click.echo(f"generation {outcome.generation}: {outcome.describe()}")
    if outcome.held:
        raise ShrinkHeldError(
            f"{outcome.held} items are gone from the catalogue and were kept, since they are too many at once.\n"
            "If they are gone for good, run `vod2strmfs sync --accept-shrink`."
        )


@cli.command()
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
@with_settings(*_COMMON, *LIBRARY, "output_root")
def stats(settings: Settings, output: Path | None) -> None:
    """Write the statistics as CSV: what is in the database, in the index, and in the tree."""
    with closing(Store(settings.state_dir)) as store:
        text = store.stats()
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_bytes(text)
    except OSError as error:
        raise OutputError(f"{output}: {error.strerror}.") from error


@cli.command()
@click.argument("file")
@click.option("--movies", type=click.IntRange(0), default=200, show_default=True, help="How many movies.")
@click.option("--series", type=click.IntRange(0), default=20, show_default=True, help="How many series.")
@click.option("--episodes", type=click.IntRange(0), default=400, show_default=True, help="How many episodes in all.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same catalogue.")
def demo(file: str, movies: int, series: int, episodes: int, seed: int) -> None:
    """Write a demo catalogue in Dispatcharr's schema to FILE: a new SQLite file, or a postgresql:// URL of an empty
    database."""
    from vod2strmfs.demo.generator import write_demo

    write_demo(file, movies=movies, series=series, episodes=episodes, seed=seed)
    click.echo(f"{file}: {movies} movies, {series} series, {episodes} episodes.")


def refresh(settings: Settings, *, accept_shrink: bool = False) -> Outcome:
    """Sync the index of the settings' state directory."""
    with closing(open_source(settings.source())) as source:
        return sync(
            source,
            settings.library(),
            settings.state_dir,
            max_shrink=settings.max_shrink,
            accept_shrink=accept_shrink,
        )


def main() -> None:
    """Run the command line; every error that a user can mend is one or two lines."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        sys.exit(cli.main(args=arguments, prog_name="vod2strmfs", standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except UserError as error:
        if debug:
            raise
        click.echo(f"vod2strmfs: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"vod2strmfs: unexpected error: {type(error).__name__}: {error}\n"
            "Run the command again with --debug to see where, and report it.",
            err=True,
        )
        sys.exit(Exit.FAILED)
