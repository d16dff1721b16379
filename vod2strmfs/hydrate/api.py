"""Dispatcharr's HTTP API, as far as it is needed to have episodes fetched.

What it answers with an error may quote the provider's URL with its password, so no answer's text is ever shown.
"""

import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import msgspec
import trio

from vod2strmfs import __version__
from vod2strmfs.errors import ApiError, SettingsError
from vod2strmfs.host.http_client import httpx
from vod2strmfs.hydrate.outcomes import Kind, Outcome
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.settings import without_password

_CONNECT_SECONDS = 10.0
_ASK_SECONDS = 30.0
"""For what Dispatcharr knows by itself."""
_TOKEN_SECONDS = 25 * 60
"""A token is good for 30 minutes."""
_STATUS_SECONDS = 3.0
"""So long it is remembered who is watching."""
_PROFILES_SECONDS = 300.0
_LONGEST_PAUSE = 86400.0
_REDIRECTS = 3


class AwayError(Exception):
    """Dispatcharr could not be asked, or did not answer as it should; `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.why)
        self.outcome = outcome


class _Info(msgspec.Struct):
    episodes: Any = None
    episodes_fetched: bool = False


class _Token(msgspec.Struct):
    access: str
    refresh: str = ""


class Api:
    """A client of Dispatcharr's API; an asynchronous context manager.

    Args:
        order: where it is, and how to sign in.
        answer_seconds: how long to wait for a provider's episodes.
    """

    def __init__(self, order: HydrateOrder, answer_seconds: float) -> None:
        self._order = order
        self._seconds = answer_seconds
        self._shown = without_password(order.url)
        self._token = _Token("")
        self._token_made = 0.0
        self._signing_in = trio.Lock()
        self._profiles: dict[int, tuple[float, list[Any]]] = {}
        self._watching: tuple[float, list[int]] = (-1e9, [])

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(
            # What this shell says of proxies is not about a Dispatcharr next door.
            trust_env=False,
            # To know whom to trust takes a megabyte.
            verify=_trust(self._order.ca_file) if self._order.url.startswith("https:") else False,
            timeout=httpx.Timeout(self._seconds, connect=min(_CONNECT_SECONDS, self._seconds)),
            headers={"User-Agent": f"vod2strmfs/{__version__}", "Accept": "application/json"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def fetch_episodes(self, series: int, relation: int, *, force: bool, older_than: float) -> Outcome:
        """Have the episodes of a series fetched.

        Args:
            series: its id.
            relation: the id of the relation by which it is fetched.
            force: whether to ask the provider even if Dispatcharr thinks that it knows.
            older_than: seconds; what it has asked for since then it does not ask for again.

        Raises:
            ApiError: it refuses, and will go on refusing.
        """
        parameters = {"include_episodes": "true", "relation_id": str(relation)}
        if force:
            parameters["force_refresh"] = "true"
        elif older_than:
            parameters["refresh_interval"] = str(max(int(older_than // 3600), 1))
        try:
            response = await self._ask(f"/api/vod/series/{series}/provider-info/", parameters, self._seconds)
        except AwayError as error:
            return error.outcome
        return _outcome(response)

    async def is_at_limit(self, account: int) -> bool:
        """Whether the login by which an account's provider is asked is used by as many viewers as it may be.

        Raises:
            AwayError: that cannot be told.
            ApiError: see `fetch_episodes`.
        """
        profiles = await self._profiles_of(account)
        login = next((each for each in profiles if each.get("is_default")), None) or next(iter(profiles), None)
        if login is None or not (limit := _number(login.get("max_streams"))):
            return False
        return (await self._streams()).count(_number(login.get("id"))) >= limit

    async def streams(self, account: int) -> tuple[int, int]:
        """How many streams an account has, with all of its logins, and how many are used. 0: as many as it likes.

        Raises:
            AwayError: that cannot be told.
            ApiError: see `fetch_episodes`.
        """
        profiles = [each for each in await self._profiles_of(account) if each.get("is_active", True)]
        if not profiles:
            raise AwayError(Outcome(Kind.AWAY, f"it names no login of account {account}"))
        logins = {_number(each.get("id")) for each in profiles}
        limits = [_number(each.get("max_streams")) for each in profiles]
        used = sum(each in logins for each in await self._streams())
        return (sum(limits) if all(limits) else 0), used

    async def check(self) -> None:
        """Make sure that it answers, and that we may ask.

        Raises:
            AwayError, ApiError: it does not, or we may not.
        """
        await self._streams()

    async def played(self) -> set[UUID]:
        """What was played lately: films and episodes."""
        answer = await self._get("/api/core/system-events/", {"event_type": "vod_start", "limit": "100"})
        found: set[UUID] = set()
        for event in _list(answer, "events"):
            details = event.get("details")
            with suppress(ValueError, AttributeError):
                found.add(UUID(str((details or {}).get("content_uuid"))))
        return found

    async def _profiles_of(self, account: int) -> list[Any]:
        made, profiles = self._profiles.get(account, (-1e9, []))
        if trio.current_time() - made > _PROFILES_SECONDS:
            profiles = _list(await self._get(f"/api/m3u/accounts/{account}/profiles/"), "results")
            self._profiles[account] = trio.current_time(), profiles
        return profiles

    async def _streams(self) -> list[int]:
        """The profile of each stream that runs, of films and of live channels."""
        made, streams = self._watching
        if trio.current_time() - made > _STATUS_SECONDS:
            films = _list(await self._get("/proxy/vod/stats/"), "vod_connections")
            channels = _list(await self._get("/proxy/ts/status"), "channels")
            sessions = [session for film in films for session in _list(film, "connections")]
            streams = [_number(each.get("m3u_profile_id")) for each in (*sessions, *channels)]
            self._watching = trio.current_time(), streams
        return streams

    async def _get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        response = await self._ask(path, parameters or {}, _ASK_SECONDS)
        if response.status_code != httpx.codes.OK:
            outcome = _outcome(response)
            why = f"it answers {response.status_code} when asked who is watching"
            raise AwayError(Outcome(Kind.BUSY if outcome.kind == Kind.BUSY else Kind.AWAY, why, outcome.pause))
        try:
            return msgspec.json.decode(response.content)
        except msgspec.MsgspecError:
            raise AwayError(Outcome(Kind.AWAY, _no_json(response))) from None

    async def _ask(self, path: str, parameters: Mapping[str, str], seconds: float) -> httpx.Response:
        """GET, signed in.

        Raises:
            AwayError: there is no answer.
            ApiError: it refuses.
        """
        response = await self._send("GET", path, seconds, params=parameters, headers=await self._signature())
        if response.status_code == httpx.codes.UNAUTHORIZED and not self._order.key:
            # The token may have ended before its time: Dispatcharr was set up anew, say.
            self._token_made = 0.0
            response = await self._send("GET", path, seconds, params=parameters, headers=await self._signature())
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise ApiError(self._refusal(response.status_code))
        return response

    def _refusal(self, status: int) -> str:
        what = "the API key" if self._order.key else f"the user {self._order.user}"
        if status == httpx.codes.UNAUTHORIZED:
            return (
                f"Dispatcharr at {self._shown} does not accept {what} (401). Make a key there (your user's menu, API"
                " key) and give it as VOD2STRMFS_API_KEY or in api_key_file."
            )
        return (
            f"Dispatcharr at {self._shown} does not let {what} do this (403). It has to be an administrator's, and this"
            " host in the networks that Dispatcharr's settings allow."
        )

    async def _signature(self) -> dict[str, str]:
        if self._order.key:
            return {"X-API-Key": self._order.key}
        async with self._signing_in:
            if not self._token_made or time.monotonic() - self._token_made > _TOKEN_SECONDS:
                await self._sign_in()
        return {"Authorization": f"Bearer {self._token.access}"}

    async def _sign_in(self) -> None:
        if self._token_made and self._token.refresh:
            response = await self._send(
                "POST", "/api/accounts/token/refresh/", _ASK_SECONDS, json={"refresh": self._token.refresh}
            )
            if response.status_code == httpx.codes.OK:
                self._keep(response, self._token.refresh)
                return
        login = {"username": self._order.user, "password": self._order.password}
        response = await self._send("POST", "/api/accounts/token/", _ASK_SECONDS, json=login)
        if response.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise ApiError(
                f"Dispatcharr at {self._shown} does not let {self._order.user} sign in ({response.status_code})."
                " Check api_user and api_password."
            )
        if response.status_code != httpx.codes.OK:
            raise AwayError(_outcome(response))
        self._keep(response, "")

    def _keep(self, response: httpx.Response, refresh: str) -> None:
        try:
            token = msgspec.json.decode(response.content, type=_Token)
        except msgspec.MsgspecError:
            raise AwayError(Outcome(Kind.AWAY, _no_json(response))) from None
        self._token = _Token(token.access, token.refresh or refresh)
        self._token_made = time.monotonic()

    async def _send(self, method: str, path: str, seconds: float, **options: Any) -> httpx.Response:
        """Send a request, and follow redirects on the same host: no other is told who we are."""
        url = self._order.url + path
        try:
            with trio.fail_after(seconds):
                for _ in range(_REDIRECTS + 1):
                    response = await self._client.request(method, url, **options)
                    if not response.is_redirect:
                        return response
                    url = self._redirected(url, response.headers.get("Location", ""))
                    options.pop("params", None)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unreachable(error) from None
        except (httpx.HTTPError, httpx.StreamError, trio.TooSlowError) as error:
            why = (
                "it did not answer in time"
                if isinstance(error, (httpx.TimeoutException, trio.TooSlowError))
                else ("the connection was cut before the answer was whole")
            )
            raise AwayError(Outcome(Kind.LOST, why)) from None
        except (httpx.InvalidURL, ValueError):
            raise AwayError(Outcome(Kind.AWAY, "what stands before Dispatcharr sends us on to no address")) from None
        raise ApiError(f"Dispatcharr at {self._shown} redirects again and again. Set api_url to its own address.")

    def _unreachable(self, error: Exception) -> Exception:
        if _is_of_certificate(error):
            return ApiError(
                f"Dispatcharr at {self._shown} shows a certificate that this host does not trust. Set api_ca_file to"
                " the file of the authority that made it, or to the certificate itself."
            )
        where = urlsplit(self._order.url).netloc.rpartition("@")[2]
        return AwayError(Outcome(Kind.AWAY, f"{where} cannot be reached"))

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
        if (there.scheme, there.netloc) == (here.scheme, here.netloc):
            return target
        place = f"{there.scheme}://{there.netloc.rpartition('@')[2]}"
        raise ApiError(
            f"Dispatcharr at {self._shown} redirects to {place}, which is not told who asks. Set api_url to the address"
            " at which Dispatcharr itself answers."
        )


def _is_of_certificate(error: BaseException | None) -> bool:
    """Whether an error was caused by a certificate; what trio raises for it says nothing by itself."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _trust(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority) if authority else None)
    except OSError as error:  # SSLError is one
        raise SettingsError(f"api_ca_file: {authority} cannot be used ({error.strerror or error}).") from None


def _outcome(response: httpx.Response) -> Outcome:
    """What an answer means."""
    status = response.status_code
    if status == httpx.codes.OK:
        return _told(response)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        pause = _number(response.headers.get("Retry-After"))
        return Outcome(Kind.BUSY, "it asks for fewer requests (429)", min(pause, _LONGEST_PAUSE))
    if status == httpx.codes.INTERNAL_SERVER_ERROR:
        return Outcome(Kind.FAILED, "Dispatcharr failed over it (500): its log says why")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Outcome(Kind.AWAY, f"what stands before Dispatcharr answers {status}")
    if status == httpx.codes.BAD_REQUEST:
        return Outcome(Kind.INACTIVE, "no active account has it (400)")
    return Outcome(Kind.GONE, f"Dispatcharr does not know it any more ({status})")


def _told(response: httpx.Response) -> Outcome:
    try:
        info = msgspec.json.decode(response.content, type=_Info)
    except msgspec.MsgspecError:
        return Outcome(Kind.AWAY, _no_json(response))
    if _count(info.episodes):
        return Outcome(Kind.FILLED)
    if info.episodes_fetched:
        return Outcome(Kind.EMPTY, "its provider names no episodes")
    return Outcome(Kind.FAILED, "its provider did not answer: Dispatcharr's log says why")


def _count(episodes: Any) -> int:
    """How many there are, by season; what PHP makes of none is a list."""
    seasons = episodes.values() if isinstance(episodes, dict) else episodes if isinstance(episodes, list) else ()
    return sum(len(season) if isinstance(season, (list, dict)) else 1 for season in seasons)


def _no_json(response: httpx.Response) -> str:
    kind = response.headers.get("Content-Type", "nothing")
    what = "a web page" if "html" in kind else "something that is no JSON"
    return f"{what} came instead of an answer: is api_url (or base_url) Dispatcharr's own address?"


def _list(answer: Any, name: str) -> list[Any]:
    """The objects of a list, alone or as one field of an object."""
    found = answer.get(name) if isinstance(answer, dict) else answer
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
