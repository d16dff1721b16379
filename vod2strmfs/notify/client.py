"""What every kind of server has in common: steps, each a request or a few that stand for some changes."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from vod2strmfs.notify.change import What
from vod2strmfs.notify.http import TellError
from vod2strmfs.notify.order import Server
from vod2strmfs.notify.outbox import Waiting
from vod2strmfs.notify.places import seen_at, within


class Target(NamedTuple):
    """A change, and where the server sees it."""

    row: Waiting
    path: str

    @property
    def is_gone(self) -> bool:
        """Whether the folder is gone."""
        return self.row.change.what == What.DELETED


class Step(NamedTuple):
    """What is asked of a server at once."""

    rows: Sequence[Waiting]
    """The changes that it has been told when that has succeeded."""
    run: Callable[[], Awaitable[None]]
    """Raises TellError."""
    rest: What | None = None
    """What of these folders it is to be told after that; None: nothing."""


class Library(NamedTuple):
    """A library of a server."""

    name: str
    folders: Sequence[str]
    """As the server sees them."""
    key: str = ""
    """What the server calls it in requests."""


class Client(Protocol):
    """One kind of server. It is given the connection to one."""

    async def about(self) -> str:
        """The server's name and version. Raises TellError, as everything does."""

    async def libraries(self) -> list[Library]:
        """The server's libraries of films and series."""

    async def sees(self, path: str) -> bool | None:
        """Whether there is a folder where it would look for it; None if it cannot be asked."""

    def steps(self, targets: Sequence[Target], libraries: Sequence[Library]) -> Iterator[Step]:
        """The steps in which the server is told of changes, in order."""


Connect = Callable[[Server], AbstractAsyncContextManager[Client]]


def token_of(server: Server) -> str:
    """The secret by which a server knows us.

    Raises:
        TellError: it cannot be read, or holds what cannot be sent.
    """
    token = server.token
    if server.token_file:
        try:
            token = Path(server.token_file).read_text().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise TellError(f"token_file {server.token_file}: cannot be read ({reason})", lasting=True) from None
    if not all(" " <= character <= "~" for character in token):
        raise TellError("token: holds characters that no token has", lasting=True)
    return token


def targets_of(
    server: Server, rows: Iterable[Waiting], libraries: Sequence[Library]
) -> tuple[list[Target], list[Waiting]]:
    """Where a server sees what changed.

    Args:
        server: which.
        rows: the changes.
        libraries: those that it is known to have; none: it is not known.

    Returns:
        What it can be told, and what is in no library of its.
    """
    folders = server.libraries or tuple(folder for library in libraries for folder in library.folders)
    targets, outside = [], []
    for row in rows:
        path = seen_at(f"{row.root}/{row.change.path}", server.paths)
        places = within(path, folders) if folders else [path]
        targets += [Target(row, place) for place in places]
        if not places:
            outside.append(row)
    return targets, outside


def chunks(targets: Sequence[Target], size: int) -> Iterator[Sequence[Target]]:
    """Some targets in portions."""
    for start in range(0, len(targets), size):
        yield targets[start : start + size]
