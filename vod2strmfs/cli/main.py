"""The group of all commands, the messages of errors, and exit codes."""

import os
import sys
import traceback

import click

from vod2strmfs import __version__
from vod2strmfs.cli.answer import JSON_FLAG, say_error
from vod2strmfs.cli.artwork import artwork
from vod2strmfs.cli.completion import completion
from vod2strmfs.cli.demo import demo
from vod2strmfs.cli.doctor import doctor
from vod2strmfs.cli.examples import write_epilog
from vod2strmfs.cli.films import films
from vod2strmfs.cli.fstab import as_mount_command, is_mount_call
from vod2strmfs.cli.hydrate import hydrate
from vod2strmfs.cli.init import init
from vod2strmfs.cli.install_service import install_service
from vod2strmfs.cli.learn import learn
from vod2strmfs.cli.materialize import materialize
from vod2strmfs.cli.mount import mount
from vod2strmfs.cli.notify import notify
from vod2strmfs.cli.options import GroupedCommand, SettingOption, debug_option
from vod2strmfs.cli.output import LostOutputError, UnreadOutputError, fill_gaps, guard_output, say
from vod2strmfs.cli.report import report
from vod2strmfs.cli.run import run
from vod2strmfs.cli.stats import stats
from vod2strmfs.cli.status import status
from vod2strmfs.cli.sync import sync
from vod2strmfs.cli.titles import titles
from vod2strmfs.cli.umount import umount
from vod2strmfs.errors import Exit, UserError
from vod2strmfs.host.causes import cause_of
from vod2strmfs.settings import without_password

# What a command needs is imported when it runs: help is there at once, and only a mount needs libfuse3.

_ARGUMENTS = ("output_root", "films_root")
"""Settings that are arguments: they stand in the command line without a name."""
_INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it."""
_NAMED_ELSEWHERE = {"unmount": "umount", "config": "init", "setup": "init", "version": "-V"}
"""What people try who know other programs, and what it is called here."""


class _Commands(click.Group):
    """The group of all commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click."""
        super().format_epilog(ctx, formatter)
        write_epilog("vod2strmfs", formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click."""
        if args and (name := _NAMED_ELSEWHERE.get(args[0])):
            ctx.fail(f"No such command '{args[0]}'. Write `vod2strmfs {name}`.")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    invoke_without_command=True,
    epilog="`vod2strmfs help COMMAND` lists a command's options. Those that are settings can also stand in a TOML"
    " file and in the environment: --base-url is base_url in the file that --config names, and VOD2STRMFS_BASE_URL."
    " A password is safer there than on the command line, which other users can see.",
)
@click.version_option(__version__, "-V", "--version", prog_name="vod2strmfs")
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Show a Dispatcharr film library as a file system of .strm and .nfo files."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command("help", cls=GroupedCommand)
@click.argument("command", required=False, shell_complete=lambda _, __, incomplete: _names(incomplete))
@debug_option
@click.pass_context
def show_help(context: click.Context, command: str | None) -> None:
    """List the commands, or the options of one."""
    root = context.find_root()
    if command is None:
        click.echo(root.get_help())
        return
    _, found, _ = cli.resolve_command(root, [command])
    assert found is not None
    click.echo(found.get_help(click.Context(found, parent=root, info_name=command)))


def _names(incomplete: str) -> list[str]:
    """The commands that begin so."""
    return [name for name in cli.commands if name.startswith(incomplete)]


for _command in (
    mount, materialize, run, hydrate, artwork, report, stats, titles, status, notify, doctor, install_service, sync,
    completion, demo, init, umount, films, learn,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit. An error that a user can mend is said in one or two lines."""
    fill_gaps()
    guard_output()
    try:
        code = _run()
    except LostOutputError as error:
        code = _report(error)
    sys.exit(code)


def _run() -> int:
    try:
        return int(cli.main(_words(), prog_name="vod2strmfs", standalone_mode=False) or Exit.OK)
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        return _report(error)


def _words() -> list[str]:
    """The command line; as a `mount` command if it is mount(8)'s."""
    words = sys.argv[1:]
    if not is_mount_call(words, cli.commands):
        return words
    settings = [option for option in mount.params if isinstance(option, SettingOption) and option.name]
    flags = {str(option.name) for option in settings if option.secondary_opts}
    translated = as_mount_command(words, flags, {str(option.name) for option in settings} - flags)
    if translated is None:
        sys.exit(Exit.OK)
    return translated


def _whose(error: click.NoSuchOption) -> str:
    """A sentence that says which commands have an option that this one does not have; empty if none has it."""
    assert error.ctx is not None
    this, option = error.ctx.command, error.option_name
    if any(f"--{argument.name}".replace("_", "-") == option for argument in this.params if argument.name in _ARGUMENTS):
        return f"{option} is no option: write `vod2strmfs {this.name} DIRECTORY`."
    if option.removeprefix("--").replace("-", "_") in _ARGUMENTS:
        with_argument = [
            f"`{name}`"
            for name, command in cli.commands.items()
            if any(each.name in _ARGUMENTS for each in command.params)
        ]
        whose = f"an argument of {', '.join(with_argument[:-1])} and {with_argument[-1]}"
        beginning = f"`{this.name}` needs no directory: leave {option} out. It is"
        return f"{f'{option} is' if this is cli else beginning} {whose}, as in `vod2strmfs mount DIRECTORY`."
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
    cause = cause_of(error)
    as_json = JSON_FLAG in sys.argv
    if isinstance(cause, UnreadOutputError):
        return cause.exit_code
    if isinstance(cause, click.UsageError):
        owner = _whose(cause) if isinstance(cause, click.NoSuchOption) else ""
        cause = click.UsageError(owner or without_password(cause.format_message()), cause.ctx)
    if isinstance(cause, click.ClickException):
        if as_json:
            say_error(cause.format_message(), cause.exit_code)
        else:
            cause.show()
        return cause.exit_code
    if isinstance(cause, click.Abort | KeyboardInterrupt):
        return _INTERRUPTED
    debug = "--debug" in sys.argv
    if debug:
        say("".join(traceback.format_exception(error)).rstrip(), err=True)
    code, message = Exit.FAILED, f"unexpected error: {type(cause).__name__}: {cause}"
    if isinstance(cause, UserError):
        code, message = cause.exit_code, str(cause)
    if as_json and not isinstance(cause, LostOutputError):
        say_error(message, code)
        return code
    say(f"vod2strmfs: {message}", err=True)
    if not debug and not isinstance(cause, UserError):
        click.echo("Run the command again with --debug to see where, and report it.", err=True)
    return code
