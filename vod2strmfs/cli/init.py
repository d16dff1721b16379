"""`vod2strmfs init`."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vod2strmfs.cli.doctor import COLOURS
from vod2strmfs.cli.options import GroupedCommand, complete_directory, debug_option
from vod2strmfs.cli.pasteable import as_root
from vod2strmfs.errors import CatalogError, OutputError, SettingsError, UserError
from vod2strmfs.host.printable import printable_lines
from vod2strmfs.settings import SYSTEM_FILE, Settings, config_file, load, user_file

if TYPE_CHECKING:
    from vod2strmfs.doctor.finding import Finding

_Try = Callable[[Settings], "Iterator[Finding]"]
_KEEP = "keep"
"""What is typed to go on with an answer that does not work yet."""
_ERRORS: dict[str, type[UserError]] = {"database": CatalogError, "base_url": SettingsError, "output_root": OutputError}
_NEXT = {
    ("sync",): "read the catalogue",
    ("doctor",): "examine everything",
    ("mount", "--daemon"): "show the library until the next reboot",
    ("install-service",): "or have systemd mount it at every start",
    ("materialize",): "or write it as real files",
    ("learn", "--limit", "20"): "for Plex, learn the first films that play: docs/films.md goes on from there",
}
"""Commands that come next, and what each does."""
_SPELLED = {"database": "--database", "base_url": "--base-url", "output_root": "FOLDER"}


@click.command(cls=GroupedCommand)
@click.argument("folder", required=False, shell_complete=complete_directory)
@click.option("--database", help="Dispatcharr's database, as postgresql://USER:PASSWORD@HOST:PORT/NAME.")
@click.option("--base-url", help="Dispatcharr's address as the media server reaches it.")
@click.option("-c", "--config", type=click.Path(readable=False), help="The file to write.  [default: the usual one]")
@click.option("--no-check", is_flag=True, help="Write what was given without trying it.")
@debug_option
def init(folder: str | None, database: str | None, base_url: str | None, config: str | None, no_check: bool) -> None:
    """Write a settings file, and try what goes into it.

    It asks for what is not given: where Dispatcharr's database is, where Dispatcharr is, and in which FOLDER to show
    the library. Each answer is tried at once. The file is /etc/vod2strmfs.toml for root, and
    ~/.config/vod2strmfs/config.toml for others; one that is there is never written over.
    """
    from vod2strmfs.setup.file import check_new, settings_text, write_new
    from vod2strmfs.setup.tries import guessed_address, try_address, try_database, try_folder

    path = _place(config)
    check_new(path)
    given = {"database": database, "base_url": base_url and _with_scheme(base_url), "output_root": folder}
    if not sys.stdin.isatty() and (missing := [_SPELLED[name] for name, value in given.items() if value is None]):
        raise SettingsError(f"init: there is no terminal to ask at. Give {' and '.join(missing)} as well.")
    answers = _Answers(given, check=not no_check)
    try:
        url = answers.get("database", _ask_database, try_database)
        answers.get("base_url", lambda: _ask_address(guessed_address(url)), try_address)
        answers.get("output_root", _ask_folder, try_folder)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nEnded; nothing was written.")
        raise
    settings = answers.settings
    values = {
        "database": url,
        "base_url": settings.base_url,
        "output_root": str(settings.output_root.absolute()),
        "allow_other": _may_allow_others(),
    }
    is_secret = "password" in url.lower() or "@" in f"{url}{settings.base_url}"
    write_new(path, settings_text(values), 0o600 if is_secret else 0o644)
    _say_what_next(path, is_secret=is_secret)


class _Answers:
    """The answers so far, each tried as it comes."""

    def __init__(self, given: dict[str, str | None], *, check: bool) -> None:
        self._given = given
        self._check = check
        self._values: dict[str, Any] = {}
        self.settings = load(None, {}, {})

    def get(self, name: str, ask: Callable[[], str], attempt: _Try) -> str:
        """The value of a setting: the one that was given, or the first answer that works or is kept."""
        value = self._given[name]
        asks = value is None
        while True:
            if value is None:
                value = ask()
            problem = self._problem(name, value, attempt)
            if problem is None:
                return value
            if not asks:
                if isinstance(problem, _BadValueError):
                    raise problem
                raise _ERRORS[name](f"{problem}\n--no-check writes it all the same.")
            what = printable_lines(str(problem).removeprefix(f"{_SPELLED[name]}: "))
            click.echo(click.style(f"  {what}".replace("\n", "\n  "), fg="red"))
            keep = "" if isinstance(problem, _BadValueError) else f" Type `{_KEEP}` to go on with it as it is."
            click.echo(f"  Answer again; Ctrl-C ends this, and writes nothing.{keep}")
            answer = ask()
            if answer == _KEEP and not isinstance(problem, _BadValueError):
                return value
            value = answer

    def _problem(self, name: str, value: str, attempt: _Try) -> UserError | None:
        """What is wrong with a value; None if nothing is."""
        try:
            self.settings = load(None, {**self._values, name: value}, {}, _SPELLED)
        except SettingsError as error:
            return _BadValueError(str(error))
        self._values[name] = value
        problem = None
        for finding in attempt(self.settings) if self._check else ():
            if finding.level == "problem":
                problem = UserError(f"{_SPELLED[name]}: {finding.text}. {finding.advice}".replace("\n", " "))
            else:
                label = click.style(f"{finding.level:<8}", fg=COLOURS[finding.level])
                said = printable_lines(f"{finding.text}{f'. {finding.advice}' if finding.advice else ''}")
                click.echo(f"  {label} {said}")
        return problem


class _BadValueError(SettingsError):
    """A value that can be no setting, so that it cannot be kept either."""


def _place(config: str | None) -> Path:
    """The file to write."""
    if config is not None or os.environ.get("VOD2STRMFS_CONFIG"):
        named = config_file(config).path
        if named is None:
            raise SettingsError("--config: must name the file to write.")
        return named
    place = SYSTEM_FILE if os.geteuid() == 0 else user_file()
    if place is None:
        raise SettingsError("init: this user has no home directory. Name the file to write with --config FILE.")
    return place


def _ask_database() -> str:
    from vod2strmfs.setup.tries import database_url, is_host

    click.echo(
        "\nDispatcharr's database (PostgreSQL): its host, such as 192.168.1.10, or the whole postgresql://… address."
        "\nDispatcharr's compose file has to publish its port; docs/database.md says how."
    )
    answer = str(click.prompt("Database")).strip()
    if answer == _KEEP or not is_host(answer):
        return answer
    host = answer if ":" in answer.rpartition("]")[2] else f"{answer}:5432"
    user = str(click.prompt("  Its role", default="dispatch")).strip()
    password = str(click.prompt("  The role's password", default="", hide_input=True, show_default=False))
    name = str(click.prompt("  The database's name", default="dispatcharr")).strip()
    return database_url(host, user, password, name)


def _ask_address(guess: str) -> str:
    click.echo("\nDispatcharr's address as your media server reaches it: that of its web page.")
    answer = str(click.prompt("Address", default=guess or None)).strip()
    return answer if answer == _KEEP else _with_scheme(answer)


def _with_scheme(address: str) -> str:
    from vod2strmfs.setup.tries import is_host

    return f"http://{address}" if is_host(address) else address


def _ask_folder() -> str:
    click.echo("\nThe folder in which to show the library; it is made if it does not exist.")
    return str(click.prompt("Folder", default=str(Settings.model_fields["output_root"].default))).strip()


def _may_allow_others() -> bool:
    """Whether a mount of this user's may be for other users too."""
    from vod2strmfs.errors import MountError
    from vod2strmfs.mount.point import check_fuse

    try:
        check_fuse(allow_other=True)
    except MountError:
        return False
    return True


def _say_what_next(path: Path, *, is_secret: bool) -> None:
    usual = config_file(None, {})
    named = [] if usual.path == path else ["--config", str(path.absolute())]
    click.echo(f"\nwritten: {path}{', which only its owner can read' if is_secret else ''}")
    click.echo("Next:")
    lines = {shlex.join((*as_root(), "vod2strmfs", *words, *named)): does for words, does in _NEXT.items()}
    width = max(len(line) for line in lines)
    for line, does in lines.items():
        click.echo(f"  {line:<{width}}  {does}")
