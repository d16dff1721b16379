"""Jellyfin and Emby: `POST /Library/Media/Updated`. They look at the nearest folder that they know, and wait a minute
for more."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from vod2strmfs.notify.change import What
from vod2strmfs.notify.client import Library, Step, Target, chunks, token_of
from vod2strmfs.notify.http import Http, TellError
from vod2strmfs.notify.order import Server

_BATCH = 100
"""Folders in one request."""
_WORDS = {What.CREATED: "Created", What.MODIFIED: "Modified", What.DELETED: "Deleted"}
_UNASKABLE = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


@asynccontextmanager
async def connect(server: Server) -> AsyncIterator["Jellyfin"]:
    """A connection to a server of either kind."""
    token = token_of(server)
    if server.kind == "emby":
        headers = {"X-Emby-Token": token}
    else:
        quoted = token.replace("\\", "\\\\").replace('"', '\\"')
        headers = {"Authorization": f'MediaBrowser Token="{quoted}"'}
    async with Http(server, headers) as http:
        yield Jellyfin(http)


class Jellyfin:
    """See `Client`. Emby, which it comes from, has the same requests."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def about(self) -> str:
        """See `Client`."""
        info = await self._http.ask_json("GET", "/System/Info")
        return f"{info.get('ServerName', 'a server')}, version {info.get('Version', 'unknown')}"

    async def libraries(self) -> list[Library]:
        """See `Client`. None is known to who may not ask."""
        try:
            found = await self._http.ask_json("GET", "/Library/VirtualFolders")
        except TellError as error:
            if error.status in _UNASKABLE:
                return []
            raise
        return [
            Library(str(each.get("Name", "")), tuple(map(str, each.get("Locations", ()))))
            for each in found
            if each.get("CollectionType") in (None, "", "movies", "tvshows", "mixed")
        ]

    async def sees(self, path: str) -> bool | None:
        """See `Client`."""
        try:
            await self._http.tell("POST", "/Environment/ValidatePath", json={"Path": path, "IsFile": False})
        except TellError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            if error.status:
                return None
            raise
        return True

    def steps(self, targets: Sequence[Target], libraries: Sequence[Library]) -> Iterator[Step]:
        """See `Client`."""
        for some in chunks(targets, _BATCH):
            updates = [{"Path": path, "UpdateType": _WORDS[What(row.change.what)]} for row, path in some]
            run = partial(self._http.tell, "POST", "/Library/Media/Updated", json={"Updates": updates})
            yield Step([target.row for target in some], run)
