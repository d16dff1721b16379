"""What the process that tells media servers is asked to do, and what it answers."""

from pathlib import Path
from typing import Literal

import msgspec

from vod2strmfs.notify.account import Account
from vod2strmfs.settings import NotifiedServer, Settings

COMMAND = "on_change"
"""The name of the command that is told, among the servers'."""

GATHER_SECONDS = 300.0
"""Films are learnt up to ten a minute, for hours; and a scan of a media server's takes it seconds to minutes."""

FEW_FOLDERS = 5
"""So many of a library are looked at one by one; of more, all of the library is scanned."""

Kind = Literal["jellyfin", "emby", "plex", "kodi", "command"]


class Server(msgspec.Struct, frozen=True):
    """Who is told. See `settings.NotifiedServer` for what is called the same there."""

    kind: Kind
    name: str
    """Of its own: no other has it."""
    url: str = ""
    """Of a command, its command line."""
    token: str = ""
    token_file: str = ""
    user: str = ""
    paths: dict[str, str] = {}
    libraries: tuple[str, ...] = ()
    verify_tls: bool = True
    ca_file: str = ""
    refresh: bool = False
    timeout: float = 30

    def __repr__(self) -> str:
        return f"Server({self.name!r})"


class Order(msgspec.Struct, frozen=True):
    """What to do: plan, if a mount's generation is given, and tell what waits."""

    state_dir: str
    servers: tuple[Server, ...]
    limit: int
    quiet: str = ""
    """Hours in which nothing is told."""
    time_zone: str = ""
    level: int = 20
    """Of what is logged."""
    root: str = ""
    """The mount point, of which a generation can be seen."""
    generation: int = 0
    """That; 0: nothing is planned."""
    write_nfo: bool = True
    at_once: bool = False
    """Whether to try servers again whose pause has not ended."""
    gather: float = 0
    """Seconds after a server was told, or asked what it has, in which what comes is gathered for it, at least."""
    beside: str = ""
    """The root of the other mount of this library. Whoever has that, and not this one, is told by the other mount."""
    locks: str = ""
    """The directory with the locks by which one process at a time tells a server; empty: the state directory."""


class Answer(msgspec.Struct, frozen=True):
    """The state of telling all servers when the process ends."""

    accounts: tuple[Account, ...] = ()
    pause: float = -1
    """Seconds after which there is something to do again; below 0: as far as is known, never."""


def order(settings: Settings, level: int, root: Path) -> Order:
    """The order that settings describe.

    Args:
        settings: of the command.
        level: of what is logged.
        root: the mount point or the output root.
    """
    return Order(
        state_dir=str(settings.state_dir.absolute()),
        servers=tuple(_servers(settings)),
        limit=settings.notify_limit,
        quiet=settings.notify_quiet,
        time_zone=settings.time_zone,
        level=level,
        root=str(root.absolute()),
        write_nfo=settings.write_nfo,
        beside=str(settings.films_root.absolute()),
    )


def films_order(settings: Settings, level: int, root: Path, folder: Path) -> Order:
    """The order that settings describe for the mount of films, whose titles come one after the other.

    Args:
        settings: of the command.
        level: of what is logged.
        root: the mount point.
        folder: where the films' index is; their outbox is beside it.
    """
    library = order(settings, level, root)
    return msgspec.structs.replace(
        library,
        state_dir=str(folder.absolute()),
        gather=GATHER_SECONDS,
        beside=str(settings.output_root.absolute()),
        locks=library.state_dir,
    )


def _servers(settings: Settings) -> list[Server]:
    servers: list[Server] = []
    taken = {COMMAND}
    for each in settings.notify:
        name, number = each.title, 1
        while name in taken:
            number += 1
            name = f"{each.title} ({number})"
        taken.add(name)
        servers.append(_server(each, name))
    if settings.on_change:
        servers.append(Server("command", COMMAND, settings.on_change, timeout=settings.on_change_timeout))
    return servers


def _server(told: NotifiedServer, name: str) -> Server:
    return Server(
        kind=told.kind,
        name=name,
        url=told.url,
        token=told.token.get_secret_value(),
        token_file=str(told.token_file or ""),
        user=told.user,
        paths=told.paths,
        libraries=told.libraries,
        verify_tls=told.verify_tls,
        ca_file=str(told.ca_file or ""),
        refresh=told.refresh,
        timeout=told.timeout,
    )
