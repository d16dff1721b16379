"""Kodi: JSON-RPC over HTTP, one request after another. What it does with each was seen in a real one
(docs/media-servers.md): that is why nothing here is as simple as it could be."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import unquote

import trio

from vod2strmfs.notify.change import What
from vod2strmfs.notify.client import Library, Step, Target, token_of
from vod2strmfs.notify.http import Http, TellError
from vod2strmfs.notify.order import Server
from vod2strmfs.notify.places import above, within

_POLL_SECONDS = 0.3
_START_SECONDS = 0.5
"""How long a scan may take to begin."""
_CLEAN_SECONDS = 1.0
_LONGEST_CLEAN_SECONDS = 6.0
_BUSY_SECONDS = 300.0
"""How long a scan may take until something else is done meanwhile."""
_ATTEMPTS = 3
"""How often something is asked for that has not come to pass. A title may be one that Kodi leaves out."""
_MULTIPATH = "multipath://"
_SCANNING = "Library.IsScanningVideo"


@asynccontextmanager
async def connect(server: Server) -> AsyncIterator["Kodi"]:
    """A connection to a server."""
    login = (server.user, token_of(server)) if server.user else None
    async with Http(server, {}, login) as http:
        yield Kodi(http, refresh=server.refresh)


class Kodi:
    """See `Client`."""

    def __init__(self, http: Http, *, refresh: bool) -> None:
        self._http = http
        self._refresh = refresh
        self._numbers = count(1)
        self._listed: set[str] = set()

    async def call(self, method: str, **parameters: Any) -> Any:
        """What a method of JSON-RPC answers."""
        request = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": parameters}
        answer = await self._http.ask_json("POST", "/jsonrpc", json=request)
        if not isinstance(answer, dict) or "result" not in answer:
            problem = answer.get("error", {}) if isinstance(answer, dict) else {}
            code = problem.get("code", "no code") if isinstance(problem, dict) else "no code"
            raise TellError(f"answers {method} with an error ({code})")
        return answer["result"]

    async def about(self) -> str:
        """See `Client`."""
        found = await self.call("Application.GetProperties", properties=["name", "version"])
        version = found["version"]
        return f"{found['name']}, version {version['major']}.{version['minor']}"

    async def libraries(self) -> list[Library]:
        """See `Client`."""
        found = await self.call("Files.GetSources", media="video")
        return [Library(each["label"], tuple(_folders(each["file"]))) for each in found.get("sources", ())]

    async def sees(self, path: str) -> bool | None:
        """See `Client`."""
        try:
            await self.call("Files.GetDirectory", directory=f"{path}/", media="files")
        except TellError as error:
            if error.status:
                raise
            return False
        return True

    def steps(self, targets: Sequence[Target], libraries: Sequence[Library]) -> Iterator[Step]:
        """See `Client`. What is there first, then what is gone: a film at a time, and all series at once."""
        self._listed.clear()  # What it remembers of them is older than these changes.
        for target in targets:
            if not target.is_gone:
                rest = What.DELETED if target.row.change.lost else None
                yield Step([target.row], partial(self._look_at, target), rest)
        sources: dict[str, list[Target]] = {}
        for target in targets:
            if not (target.is_gone or target.row.change.lost):
                continue
            if not _is_film(target):
                # Of a series' own folder it forgets the episodes, and keeps the series.
                sources.setdefault(_source(target, libraries), []).append(target)
            else:
                # A source is known by its slash, and a film's folder without.
                path = f"{target.path}/" if target.row.change.is_section else target.path
                yield Step([target.row], partial(self._clean, "movies", path, _gone([target])))
        for source, some in sources.items():
            rows = [target.row for target in some]
            yield Step(rows, partial(self._clean, "tvshows", f"{source}/", _gone(some)))

    async def _look_at(self, target: Target) -> None:
        path = target.path
        parent = above(path)
        await self._settle()
        # A scan of its own that begins just then ends ours, and the folder above may have changed since it was listed.
        for _ in range(_ATTEMPTS):
            if parent not in self._listed and not target.row.change.is_section:
                # It takes what is new in a folder for missing as long as it remembers how that was.
                await self.call("Files.GetDirectory", directory=f"{parent}/", media="files")
                self._listed.add(parent)
            await self.call("VideoLibrary.Scan", directory=f"{path}/", showdialogs=False)
            await self._settle(begun=True)
            if target.row.change.is_section or await self._titles(target):
                break
            self._listed.discard(parent)
        if self._refresh and target.row.change.what == What.MODIFIED and not target.row.change.is_section:
            await self._read_again(target)

    async def _read_again(self, target: Target) -> None:
        """Have it read the NFOs of a title again, which no scan does."""
        for number in await self._titles(target):
            if _is_film(target):
                await self.call("VideoLibrary.RefreshMovie", movieid=number, ignorenfo=False)
            else:
                await self.call("VideoLibrary.RefreshTVShow", tvshowid=number, ignorenfo=False, refreshepisodes=True)
            await self._settle(begun=True)

    async def _titles(self, target: Target) -> list[int]:
        """Its numbers of the films in a folder, or of the series that it is."""
        things, key = ("Movies", "movieid") if _is_film(target) else ("TVShows", "tvshowid")
        found = await self.call(f"VideoLibrary.Get{things}", filter=_in_folder(target))
        return [each[key] for each in found.get(things.lower(), ())]

    async def _clean(self, content: str, path: str, gone: Sequence[Target]) -> None:
        """Have it remove what is gone, among it some titles."""
        await self._settle()
        for _ in range(_ATTEMPTS):
            await self.call("VideoLibrary.Clean", content=content, directory=path, showdialogs=False)
            # It does not say whether it is at it: for that there is only what comes of it.
            await trio.sleep(_CLEAN_SECONDS)
            with trio.move_on_after(_LONGEST_CLEAN_SECONDS):
                while [target for target in gone if await self._remains(target)]:
                    await trio.sleep(_CLEAN_SECONDS)
                return

    async def _remains(self, target: Target) -> bool:
        """Whether something is left of a title. A series of which it has no episodes any more, which Clean keeps, is
        removed."""
        numbers = await self._titles(target)
        if _is_film(target) or not numbers:
            return bool(numbers)
        found = await self.call("VideoLibrary.GetEpisodes", filter=_in_folder(target))
        if found.get("episodes"):
            return True
        for number in numbers:
            await self.call("VideoLibrary.RemoveTVShow", tvshowid=number)
        return False

    async def _settle(self, *, begun: bool = False) -> None:
        """Wait until it does nothing: a scan that is asked for meanwhile ends the running one, and is none itself."""
        if begun:
            await trio.sleep(_START_SECONDS)
        with trio.move_on_after(_BUSY_SECONDS):
            while (await self.call("XBMC.GetInfoBooleans", booleans=[_SCANNING])).get(_SCANNING):
                await trio.sleep(_POLL_SECONDS)
            return
        if not begun:
            raise TellError("is scanning since long; it is told when it has ended", pause=60)


def _in_folder(target: Target) -> dict[str, str]:
    return {"field": "path", "operator": "startswith", "value": f"{target.path}/"}


def _is_film(target: Target) -> bool:
    return target.row.change.is_film


def _gone(targets: Iterable[Target]) -> list[Target]:
    """Those of which no title may be left."""
    return [target for target in targets if target.is_gone]


def _folders(source: str) -> list[str]:
    """The folders of a source, which may be made of several."""
    if not source.startswith(_MULTIPATH):
        return [source.rstrip("/")]
    return [unquote(each).rstrip("/") for each in source.removeprefix(_MULTIPATH).strip("/").split("/")]


def _source(target: Target, libraries: Sequence[Library]) -> str:
    """The source that a series' folder is in, or its section: Kodi cleans no less."""
    path = target.path
    for _ in range(target.row.change.path.count("/")):
        path = above(path)
    folders = [folder for library in libraries for folder in library.folders]
    return max([path, *(each for each in folders if within(target.path, [each]) == [target.path])], key=len)
