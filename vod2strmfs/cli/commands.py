"""The commands."""

import sys
import traceback
from functools import partial

import click

from vod2strmfs import __version__
from vod2strmfs.cli import logs
from vod2strmfs.cli.answer import JSON_FLAG, answer, answer_options, say_json
from vod2strmfs.cli.doctor import doctor
from vod2strmfs.cli.install import install_service
from vod2strmfs.cli.materialize import materialize
from vod2strmfs.cli.notify import NOTIFY, notify
from vod2strmfs.cli.options import (
    CATALOGUE,
    LIBRARY,
    MOUNT,
    SELECTION,
    STATE,
    GroupedCommand,
    complete_directory,
    debug_option,
    with_settings,
)
from vod2strmfs.cli.output import LostOutputError, UnreadOutputError, fill_gaps, guard_output
from vod2strmfs.cli.refresh import refresh, sync_fields
from vod2strmfs.cli.report import report
from vod2strmfs.cli.run import run
from vod2strmfs.cli.stats import stats
from vod2strmfs.cli.status import status
from vod2strmfs.errors import Exit, ShrinkHeldError, UserError
from vod2strmfs.settings import Settings, without_password

# What a command needs is imported when it runs: help is there at once, and only a mount needs libfuse3.

_ARGUMENTS = ("output_root",)
"""Settings that are no options: they stand in the command line as they are."""
_INTERRUPTED = 130
"""What shells expect of a command that Ctrl-C ended."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    invoke_without_command=True,
    epilog="`vod2strmfs COMMAND --help` lists a command's options. Those that are settings can also stand in a TOML"
    " file and in the environment: --base-url is base_url in the file that --config names, and VOD2STRMFS_BASE_URL."
    " A password is safer there than on the command line, which other users can see.",
)
@click.version_option(__version__, prog_name="vod2strmfs")
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Show a Dispatcharr film library as a file system of .strm and .nfo files."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(cls=GroupedCommand)
@click.argument("output_root", metavar="[MOUNTPOINT]", required=False, shell_complete=complete_directory)
@click.option("--daemon", is_flag=True, help="Go to the background once the library can be seen, and log to a file.")
@with_settings(CATALOGUE, SELECTION, LIBRARY, MOUNT, NOTIFY, STATE)
def mount(settings: Settings, daemon: bool) -> None:
    """Mount the library and keep it up to date.

    MOUNTPOINT is an existing directory (default: /data/STRM). The library is there as soon as the first sync has
    ended; from then on changes in the database appear by themselves, and a database that cannot be reached changes
    nothing. Unmount with `fusermount3 -u MOUNTPOINT`, or end the process.
    """
    from vod2strmfs.cli.daemon import run_in_background
    from vod2strmfs.mount.run import mount as serve

    logs.set_up(settings, to_file=daemon)
    start = partial(serve, settings, settings.output_root.absolute())
    if daemon:
        run_in_background(start)
    else:
        start(lambda: None)


cli.add_command(materialize)
cli.add_command(run)
cli.add_command(report)
cli.add_command(stats)
cli.add_command(status)
cli.add_command(notify)
cli.add_command(doctor)
cli.add_command(install_service)


@cli.command("sync", cls=GroupedCommand)
@click.option(
    "--accept-shrink", is_flag=True, help="Take the catalogue as it is: remove what the shrink brake holds back."
)
@answer_options
@with_settings(CATALOGUE, SELECTION, LIBRARY, STATE)
def sync_command(settings: Settings, accept_shrink: bool, quiet: bool, as_json: bool) -> None:
    """Refresh the index once, and say what changed.

    A mount with the same state directory shows the result within a second. Without --config and without any setting
    of the library, the library's settings stay as they are. The exit code is 7 while the shrink brake holds something:
    too much is gone from the catalogue, or has another name there.
    """
    from vod2strmfs.index.held import advise, explain

    logs.set_up(settings, quiet=quiet)
    outcome = refresh(settings, accept_shrink=accept_shrink, keep_library=True, quiet=quiet)
    error = None
    if outcome.held:
        accept = settings.command("sync", "--accept-shrink")
        error = ShrinkHeldError(f"{explain(outcome.kept)}\n{advise(outcome.kept, f'run `{accept}`')}")
    text = f"generation {outcome.generation}: {outcome.describe()}"
    answer(text, sync_fields(outcome), error, quiet=quiet, as_json=as_json)


@cli.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@debug_option
def completion(shell: str) -> None:
    """Write the completion script of a shell.

    bash: vod2strmfs completion bash > ~/.local/share/bash-completion/completions/vod2strmfs

    zsh: vod2strmfs completion zsh > ~/.zfunc/_vod2strmfs (where fpath has ~/.zfunc)

    fish: vod2strmfs completion fish > ~/.config/fish/completions/vod2strmfs.fish
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(cli, {}, "vod2strmfs", "_VOD2STRMFS_COMPLETE").source())


@cli.command()
@click.argument("file")
@click.option("--movies", type=click.IntRange(0), default=200, show_default=True, help="How many movies.")
@click.option("--series", type=click.IntRange(0), default=20, show_default=True, help="How many series.")
@click.option("--episodes", type=click.IntRange(0), default=400, show_default=True, help="How many episodes in all.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same catalogue.")
@debug_option
def demo(file: str, movies: int, series: int, episodes: int, seed: int) -> None:
    """Write a demo catalogue in Dispatcharr's schema.

    FILE is a new SQLite file, or the postgresql:// URL of an empty database.
    """
    from vod2strmfs.demo.generator import write_demo

    write_demo(file, movies=movies, series=series, episodes=episodes, seed=seed)
    click.echo(f"{movies} movies, {series} series and {episodes} episodes written.")


def main() -> None:
    """Run the command line; every error that a user can mend is one or two lines."""
    fill_gaps()
    guard_output()
    try:
        code = _run()
    except LostOutputError as error:
        code = _report(error)
    sys.exit(code)


def _run() -> int:
    try:
        return int(cli.main(prog_name="vod2strmfs", standalone_mode=False) or Exit.OK)
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        return _report(error)


def _whose(error: click.NoSuchOption) -> str:
    """Which commands have an option that this one does not have; empty if none has it."""
    assert error.ctx is not None
    this, option = error.ctx.command, error.option_name
    if any(f"--{argument.name}".replace("_", "-") == option for argument in this.params if argument.name in _ARGUMENTS):
        return f"{option} is no option: write `vod2strmfs {this.name} DIRECTORY`."
    others = [
        name
        for name, command in cli.commands.items()
        if any(option in (*each.opts, *each.secondary_opts) for each in command.params)
    ]
    if not others:
        return ""
    if this is cli:
        return f"{option} stands behind the command, as in `vod2strmfs {others[0]} {option} …`."
    names = " and ".join(", ".join(f"`{name}`" for name in part) for part in (others[:-1], others[-1:]) if part)
    return f"`{this.name}` has no {option}: it belongs to {names}."


def _report(error: BaseException) -> int:
    """Tell the user about an error; returns the exit code."""
    cause = error
    while isinstance(cause, BaseExceptionGroup):  # trio's
        cause = cause.exceptions[0]
    as_json = JSON_FLAG in sys.argv
    if isinstance(cause, UnreadOutputError):
        return cause.exit_code
    if isinstance(cause, click.UsageError):
        owner = _whose(cause) if isinstance(cause, click.NoSuchOption) else ""
        cause = click.UsageError(owner or without_password(cause.format_message()), cause.ctx)
    if isinstance(cause, click.ClickException):
        if as_json:
            say_json({}, cause.format_message(), cause.exit_code)
        else:
            cause.show()
        return cause.exit_code
    if isinstance(cause, click.Abort | KeyboardInterrupt):
        return _INTERRUPTED
    debug = "--debug" in sys.argv
    if debug:
        traceback.print_exception(error)
    code, message = Exit.FAILED, f"unexpected error: {type(cause).__name__}: {cause}"
    if isinstance(cause, UserError):
        code, message = cause.exit_code, str(cause)
    if as_json and not isinstance(cause, LostOutputError):
        say_json({}, message, code)
        return code
    click.echo(f"vod2strmfs: {message}", err=True)
    if not debug and not isinstance(cause, UserError):
        click.echo("Run the command again with --debug to see where, and report it.", err=True)
    return code
