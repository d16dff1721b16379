"""`vod2strmfs demo`."""

import click

from vod2strmfs.cli.options import GroupedCommand, debug_option
from vod2strmfs.status.words import counted


@click.command(cls=GroupedCommand)
@click.argument("file")
@click.option("--movies", metavar="N", type=click.IntRange(0), default=200, show_default=True, help="How many movies.")
@click.option("--series", metavar="N", type=click.IntRange(0), default=20, show_default=True, help="How many series.")
@click.option(
    "--episodes", metavar="N", type=click.IntRange(0), default=400, show_default=True, help="How many episodes in all."
)
@click.option(
    "--seed", metavar="N", type=int, default=1, show_default=True, help="The same seed gives the same catalogue."
)
@debug_option
def demo(file: str, movies: int, series: int, episodes: int, seed: int) -> None:
    """Write a demo catalogue in Dispatcharr's schema.

    FILE is a new SQLite file, or the postgresql:// URL of an empty database.
    """
    from vod2strmfs.demo.generator import write_demo

    write_demo(file, movies=movies, series=series, episodes=episodes, seed=seed)
    click.echo(f"{counted(movies, 'movies')}, {series} series and {counted(episodes, 'episodes')} written.")
