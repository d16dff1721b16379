"""`vod2strmfs notify`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vod2strmfs.cli.answer import answer_options, ended, say_json
from vod2strmfs.cli.logs.setup import set_up_logs
from vod2strmfs.cli.options import NOTIFY, STATE, Group, GroupedCommand, complete_directory, with_settings
from vod2strmfs.cli.output import say
from vod2strmfs.errors import Exit, SettingsError, UserError
from vod2strmfs.service.tell import TELL_SECONDS, orders_of
from vod2strmfs.settings import Settings
from vod2strmfs.status.words import counted

if TYPE_CHECKING:
    from vod2strmfs.notify.examine import Found, Place
    from vod2strmfs.notify.order import Order


@click.command(cls=GroupedCommand, short_help="Test the media servers that are told of changes.")
@click.argument("action", type=click.Choice(["test", "send"]))
@click.argument("output_root", metavar="[OUTPUT_ROOT]", required=False, shell_complete=complete_directory)
@answer_options
@with_settings(NOTIFY, Group(STATE.heading, STATE.names))
def notify(settings: Settings, action: str, quiet: bool, as_json: bool) -> None:
    """Find out about the media servers that are told what changed, or tell them now.

    `test` tells them nothing: it says what each answers, which libraries it has, and whether it sees our folders, and
    proposes the right `paths` if it does not. `send` tells them what waits. OUTPUT_ROOT is the mount point or the
    output root (default: /data/STRM); where films are used, their mount point is looked at as well. The exit code of
    `test` is 9 if something does not work.
    """
    set_up_logs(settings, quiet=quiet)
    orders = orders_of(settings)
    if not orders[0].servers:
        raise SettingsError("notify: no media server is named. Add a table [[notify]] to the settings file.")
    if action == "test":
        _test(orders[0], settings, quiet=quiet, as_json=as_json)
    else:
        _send(orders, quiet=quiet, as_json=as_json)


def _test(order: "Order", settings: Settings, *, quiet: bool, as_json: bool) -> None:
    import trio

    from vod2strmfs.notify.examine import examine

    places = _places(settings)
    found = [trio.run(examine, server, places) for server in order.servers]
    code = Exit.PROBLEMS if any(each.problems for each in found) else Exit.OK
    if as_json:
        say_json({"servers": [_fields(each) for each in found]} | ended(code, None))
    for each in () if as_json else found:
        if each.problems or not quiet:
            say("\n  ".join((each.name, *each.lines, *(f"problem: {problem}" for problem in each.problems))))
    raise SystemExit(int(code))


def _fields(found: "Found") -> dict[str, object]:
    """What was found, for programs; see docs/commands.md."""
    return {
        "name": found.name,
        "about": found.about,
        "libraries": [{"name": library.name, "folders": list(library.folders)} for library in found.libraries],
        "problems": list(found.problems),
        "paths": dict(found.paths) if found.paths else None,
    }


def _places(settings: Settings) -> "list[Place]":
    """What servers may have libraries of: the library, and films where they are used."""
    from vod2strmfs.doctor.films import is_wanted
    from vod2strmfs.films.film import FOLDER
    from vod2strmfs.notify.examine import Place

    library, films_root = (str(each.absolute()) for each in (settings.output_root, settings.films_root))
    films = Place(films_root, *_folders(settings.state_dir / FOLDER))
    if library == films_root:
        return [films]
    return [Place(library, *_folders(settings.state_dir)), *([films] if is_wanted(settings) else ())]


def _folders(state_dir: Path) -> tuple[list[str], str]:
    """The folders of a library, and one title's that is in the last generation."""
    from contextlib import closing

    from vod2strmfs.index.store import Store
    from vod2strmfs.library.kinds import ROOT_INODE, NodeKind, node_of
    from vod2strmfs.library.tree import Tree
    from vod2strmfs.notify.change import SECTIONS
    from vod2strmfs.notify.plan import sections_of

    if not Store.exists(state_dir):
        return list(SECTIONS), ""
    with closing(Store(state_dir)) as store:
        for path, entry in Tree(store).walk(ROOT_INODE) if store.generation else ():
            node = store.node(node_of(entry.inode))
            if node is not None and node.kind in (NodeKind.MOVIE, NodeKind.SERIES):
                return sections_of(store), path
        return sections_of(store), ""


def _send(orders: "list[Order]", *, quiet: bool, as_json: bool) -> None:
    import msgspec

    from vod2strmfs.notify.courier import send

    answers = [send(msgspec.structs.replace(each, at_once=True, gather=0), TELL_SECONDS) for each in orders]
    library, films = [answer.accounts if answer else () for answer in answers] + [()] * (2 - len(answers))
    failing = list(dict.fromkeys(f"{each.name} {each.error}" for each in (*library, *films) if each.error))
    if as_json:
        fields = {"servers": msgspec.to_builtins(library), "films_servers": msgspec.to_builtins(films)}
        say_json(fields | ended(Exit.FAILED if failing else Exit.OK, "; ".join(failing)))
    for accounts, of_films in () if as_json or quiet else ((library, ""), (films, "films, ")):
        for each in accounts:
            say(f"{of_films}{each.name}: told of {counted(each.told, 'folders')}, {each.waiting} waiting")
    if failing and not as_json:
        raise UserError("\n".join(failing))
    raise SystemExit(int(Exit.FAILED if failing else Exit.OK))
