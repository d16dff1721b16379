"""Plex: a partial refresh of a section, with the folder as `path`. A folder that is gone is looked for from above.

Plex queues these, and people report that of several for a section at the same time some have no effect. So many folders
are one refresh of the folder of the library that holds them.
"""

import base64
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from vod2strmfs.notify.client import Library, Step, Target, token_of
from vod2strmfs.notify.http import Http, TellError
from vod2strmfs.notify.order import FEW_FOLDERS, Server
from vod2strmfs.notify.outbox import Waiting
from vod2strmfs.notify.places import above, within

_KINDS = ("movie", "show")


@asynccontextmanager
async def connect(server: Server) -> AsyncIterator["Plex"]:
    """A connection to a server."""
    # As a header, the token gets into no log of requests.
    headers = {"X-Plex-Token": token_of(server), "X-Plex-Client-Identifier": "vod2strmfs", "Accept": "application/json"}
    async with Http(server, headers) as http:
        yield Plex(http)


class Plex:
    """See `Client`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def about(self) -> str:
        """See `Client`."""
        [about] = _elements(await self._http.ask("GET", "/"), "")
        return f"{about.get('friendlyName', 'a server')}, version {about.get('version', 'unknown')}"

    async def libraries(self) -> list[Library]:
        """See `Client`."""
        sections = _elements(await self._http.ask("GET", "/library/sections"), "Directory")
        return [
            Library(each.get("title", ""), tuple(place["path"] for place in each["Location"]), str(each["key"]))
            for each in sections
            if each.get("type") in _KINDS
        ]

    async def sees(self, path: str) -> bool | None:
        """See `Client`."""
        place = base64.urlsafe_b64encode(path.encode()).decode()
        try:
            await self._http.tell("GET", f"/services/browse/{place}", params={"includeFiles": "0"})
        except TellError as error:
            if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                return False
            if error.status:
                return None
            raise
        return True

    def steps(self, targets: Sequence[Target], libraries: Sequence[Library]) -> Iterator[Step]:
        """See `Client`. Several changes that come to one request are one."""
        for library in libraries:
            for folder in library.folders:
                requests: dict[str, dict[int, Waiting]] = {}
                for target in targets:
                    if within(target.path, [folder]):
                        path = above(target.path) if target.is_gone else target.path
                        requests.setdefault(path, {})[target.row.number] = target.row
                if len(requests) > FEW_FOLDERS:
                    requests = {folder: {number: row for rows in requests.values() for number, row in rows.items()}}
                for path, rows in requests.items():
                    refresh = f"/library/sections/{library.key}/refresh"
                    run = partial(self._http.tell, "GET", refresh, params={"path": path})
                    yield Step(list(rows.values()), run)


def _elements(answer: bytes, name: str) -> list[dict[str, Any]]:
    """The container, or its elements of a name, from JSON or from XML, whichever it speaks."""
    try:
        if answer.lstrip()[:1] == b"<":
            root = ET.fromstring(answer)
            return [_element(each) for each in (root.iter(name) if name else (root,))]
        container = msgspec.json.decode(answer)["MediaContainer"]
        return list(container.get(name, ())) if name else [container]
    except (ET.ParseError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        raise TellError("answers as Plex does not: is url another's address?", lasting=True) from None


def _element(element: ET.Element) -> dict[str, Any]:
    return {**element.attrib, "Location": [dict(each.attrib) for each in element.iter("Location")]}
