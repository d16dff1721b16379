"""The man page, made from the command line's own help."""

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from vod2strmfs.cli.examples import EPILOGS, MEANINGS
from vod2strmfs.cli.main import cli
from vod2strmfs.cli.options import SettingOption


def man_page() -> str:
    """The text of `vod2strmfs(1)`, as groff reads it."""
    return "\n".join([*_page(), ""])


def _page() -> Iterator[str]:
    context = click.Context(cli, info_name="vod2strmfs", max_content_width=1000)
    yield r".\" Made by scripts/write_docs.py."
    yield ".TH VOD2STRMFS 1"
    yield ".SH NAME"
    yield rf"vod2strmfs \- {_text((cli.help or '').rstrip('.').replace('Show', 'show', 1))}"
    yield ".SH SYNOPSIS"
    yield r".B vod2strmfs"
    yield r"\fICOMMAND\fR [\fIOPTION\fR]... [\fIARGUMENT\fR]..."
    yield ".SH DESCRIPTION"
    yield from _paragraphs(cli.epilog or "")
    yield ".SH COMMANDS"
    for name in cli.list_commands(context):
        command = cli.commands[name]
        arguments = [a.human_readable_name for a in command.params if isinstance(a, click.Argument)]
        yield f".SS {_text(' '.join([name, *arguments]))}"
        yield from _paragraphs(command.help or "")
        yield from _options(_own_options(command), click.Context(command, info_name=name, max_content_width=1000))
    yield ".SH SETTINGS"
    yield "Each is an option of the commands to which it matters."
    for heading, options in _settings().items():
        yield f".SS {_text(heading)}"
        yield from _options(options, context)
    yield ".SH EXIT STATUS"
    for code, meaning in MEANINGS.items():
        yield from (".TP", f".B {code:d}", _text(meaning))
    yield ".SH EXAMPLES"
    for name in ("vod2strmfs", *cli.list_commands(context)):
        for line, does in EPILOGS[name].examples:
            yield from (".TP", f".B {_text(f'vod2strmfs {line}')}", _text(does))
    yield ".SH ENVIRONMENT"
    yield from (".TP", ".B VOD2STRMFS_CONFIG", "The TOML file, if --config does not name it; empty: none is read.")
    yield from (".TP", r".B VOD2STRMFS_\fISETTING", "Any setting, such as VOD2STRMFS_BASE_URL.")
    yield from (".TP", ".B POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD")
    yield "Dispatcharr's own names for its database, read if none is given otherwise."
    yield ".SH FILES"
    yield from (".TP", r".I \(ti/.config/vod2strmfs/config.toml", "The settings of this user, if no file is named.")
    yield from (".TP", ".I /etc/vod2strmfs.toml", "Else the settings of this host.")
    yield from (".TP", ".I /var/lib/vod2strmfs", "The state directory of root. That of others is")
    yield r".IR \(ti/.local/state/vod2strmfs ."
    yield ".SH SEE ALSO"
    yield r".BR fusermount3 (1),"
    yield r".BR mount.fuse3 (8)"


def _own_options(command: click.Command) -> list[click.Option]:
    """Those that are no settings."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    return [option for option in options if not isinstance(option, SettingOption)]


def _settings() -> dict[str, dict[str, click.Option]]:
    """Options of settings, each once, by heading and name."""
    found: dict[str, dict[str, click.Option]] = {}
    for name in sorted(cli.commands):
        for option in cli.commands[name].params:
            if isinstance(option, SettingOption):
                seen = {known for options in found.values() for known in options}
                if option.name and option.name not in seen:
                    found.setdefault(option.heading, {})[option.name] = option
    return found


def _options(options: "dict[str, click.Option] | list[click.Option]", context: click.Context) -> Iterator[str]:
    for option in options.values() if isinstance(options, dict) else options:
        if record := option.get_help_record(context):
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", cleandoc(text))):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """As groff takes it literally."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("'", r"\(aq")
    escaped = escaped.replace("~", r"\(ti").replace("^", r"\(ha").replace('"', r"\(dq")
    escaped = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
    return r"\&" + escaped if escaped.startswith((".", "'")) else escaped
