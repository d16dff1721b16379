"""Options of the command line, made from the settings, so that each is declared once."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic_core import PydanticUndefined

from vod2strmfs.cli.examples import write_epilog
from vod2strmfs.cli.pasteable import begin_pasting
from vod2strmfs.errors import UserError
from vod2strmfs.settings import SECTIONS, LibrarySettings, Mode, Settings, choices, config_file, load

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Group(NamedTuple):
    """Settings that are options of the same commands, and stand together in their help."""

    heading: str
    names: tuple[str, ...]
    """Names of fields of `Settings`."""


STATE = Group("State and logging", ("state_dir", "debug_logging", "log_dir"))
CATALOGUE = Group("Catalogue", ("database", "max_shrink"))
SELECTION = Group("Selection", ("accounts", "categories", "genres", "languages", "ids", "years", "adult"))
LIBRARY = Group(
    "Library", tuple(name for name in LibrarySettings.model_fields if name not in (*SELECTION.names, *SECTIONS))
)
WRITING = Group("Writing", ("cleanup", "write_nfo", "concurrency", "throttle", "verify", "overwrite"))
REPORTS = Group("Reports", ("report_dir", "keep_reports", "keep_report_days"))
WHEN = Group("When", ("schedule", "time_zone", "auto", "poll_interval"))
MOUNT = Group("Mount", ("write_nfo", "poll_interval", "allow_other", "uid", "gid", "umask"))
PAGE = Group("Status page", ("status_listen",))
"""The token is no option: other users see what stands on a command line."""

HYDRATE = Group(
    "Episodes that are missing",
    (
        "hydrate", "hydrate_rate", "hydrate_budget", "hydrate_parallel", "hydrate_older_than", "api_url",
        "api_key_file", "api_user", "api_password_file", "api_ca_file",
    ),
)  # fmt: skip
"""The key and the password themselves are no options: other users see what stands on a command line."""

ARTWORK = Group("Posters and backgrounds as files", ("artwork_rate", "artwork_max_bytes", "artwork_cache"))
FILMS = Group(
    "Films that play",
    (
        "films_cache", "learn_rate", "learn_bytes", "max_streams", "reserve_streams", "pace", "background_reads",
        "background_bytes",
    ),
)  # fmt: skip
FILMS_ELSEWHERE = Group(FILMS.heading, ("films_root", *FILMS.names))
"""Those of commands whose argument is another place than where `films` mounts."""
NOTIFY = Group("Media servers to tell", ("notify_quiet", "notify_limit", "on_change", "on_change_timeout", "time_zone"))

mode_option = click.option(
    "--mode", type=click.Choice(get_args(Mode)), default="all", help="What to write.", show_default=True
)
debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show where an error came from, as a Python traceback."
)
"""The flag that asks for tracebacks. The group looks for it in the whole command line."""

_FLAGS = {"write_nfo": "--nfo/--no-nfo"}
"""Flags whose name in the original specification is another than that of their setting."""


class GroupedCommand(click.Command):
    """A command whose help shows settings under the headings of their groups, then examples and exit codes."""

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """See click, which keeps the option that a command is first asked for: without the group, that would have no
        `-h`."""
        return ["-h", "--help"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                sections.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click."""
        write_epilog(str(self.name), formatter)


class SettingOption(click.Option):
    """The option of a setting, whose help stands under a heading."""

    def __init__(self, *arguments: Any, heading: str, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.heading = heading


def with_settings(*groups: Group) -> Decorator:
    """Give a command the options of some settings, and `settings` as its first argument.

    An argument of the command that has the name of a setting goes into the settings too.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(config: str | None, verbose: bool, **values: Any) -> Any:
            names = [name for name in values if name in Settings.model_fields]
            given = {name: value for name in names if (value := values.pop(name)) is not None}
            context = click.get_current_context()
            file = context.meta["config"] = config_file(config)
            context.meta["verbose"] = verbose
            settings = load(file.path, given, spelling=_spelling(context), is_usual=file.is_usual)
            if verbose:
                click.echo(f"vod2strmfs: settings from {file.path or 'no file'}", err=True)
            pasting = begin_pasting(context, settings)
            try:
                return command(settings, **values)
            except UserError as error:
                error.args = (pasting.complete(str(error)),)
                raise

        decorated: Callable[..., Any] = run
        # A setting may be in several groups; the first one has it.
        headings = {name: group.heading for group in reversed(groups) for name in group.names}
        for name in reversed([name for group in groups for name in group.names if headings[name] == group.heading]):
            decorated = _option(name, headings[name])(decorated)
        config = click.option(
            "-c",
            "--config",
            type=click.Path(readable=False),
            help="A TOML file with settings: a line `base_url = \"…\"` stands for --base-url, and so on. '': no file."
            "  [default: ~/.config/vod2strmfs/config.toml, else /etc/vod2strmfs.toml]",
        )
        verbose = click.option(
            "-v", "--verbose", is_flag=True, help="Say on standard error what is done, and which file was read."
        )
        return config(verbose(debug_option(decorated)))

    return decorate


def _spelling(context: click.Context) -> dict[str, str]:
    """The name that a user types for each parameter of a command, by the parameter's name."""
    return {
        parameter.name: parameter.opts[-1]
        if isinstance(parameter, click.Option)
        else parameter.human_readable_name.strip("[]")
        for parameter in context.command.params
        if parameter.name
    }


def _option(name: str, heading: str) -> Decorator:
    """The option of one setting. Its value goes to the settings as it was typed, to be checked there."""
    field = Settings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    text = f"{field.description}."
    text = text[0].upper() + text[1:]
    default = field.get_default(call_default_factory=False)
    option = functools.partial(click.option, cls=SettingOption, heading=heading)
    if field.annotation is bool:
        text += f"  [default: {'on' if default else 'off'}]"
        return option(_FLAGS.get(name, f"{flag}/--no-{flag[2:]}"), name, default=None, help=text)
    if default not in (None, "", (), PydanticUndefined):
        text += f"  [default: {_shown(name, default)}]"
    option = functools.partial(option, shell_complete=_completion(name))
    if values := choices(field.annotation):
        return option(flag, name, metavar="|".join(values), help=text)
    return option(flag, name, metavar=_metavar(name), help=text)


def _completion(name: str) -> Callable[..., list[CompletionItem]]:
    """The function that tells a shell the values of a setting to offer."""
    values = choices(Settings.model_fields[name].annotation)

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if name.endswith("_dir"):
            return complete_directory(context, parameter, incomplete)
        return [CompletionItem(value) for value in values if value.startswith(incomplete)]

    return complete


def complete_directory(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The completion that lets a shell offer directories."""
    return [CompletionItem(incomplete, type="dir")]


def _metavar(name: str) -> str:
    annotation = Settings.model_fields[name].annotation
    if get_origin(annotation) is tuple:
        return "A,B,…"
    return "N" if annotation in (int, float) else name.rpartition("_")[2].upper()


def _shown(name: str, default: object) -> str:
    if name == "umask":
        return f"{default:03o}"
    return f"{default:g}" if isinstance(default, float) else str(default)
