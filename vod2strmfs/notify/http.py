"""HTTP to one media server. No answer's body, and no secret, gets into a message."""

import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import trio

from vod2strmfs.notify.order import Server

_MOST_BYTES = 8 << 20
"""Of an answer that is read."""
_CONNECT_SECONDS = 10.0
_WHOLE = 4
"""So many times as long as a server may be silent may all of its answer take. What comes byte by byte never ends."""


class TellError(Exception):
    """A server was not told; what it says of itself, fit for a line of the log.

    Args:
        message: what is wrong, and what to do.
        pause: seconds after which the server wants to be asked again; None: it did not say.
        lasting: whether it takes a person to mend it.
        status: what it answered; 0: nothing.
    """

    def __init__(self, message: str, *, pause: float | None = None, lasting: bool = False, status: int = 0) -> None:
        super().__init__(message)
        self.pause = pause
        self.lasting = lasting
        self.status = status


class Http:
    """Requests to one server. Use it as a context manager.

    Args:
        server: which.
        headers: of every request.
        login: for HTTP's basic authentication, if need be.

    Raises:
        TellError: the certificates that it is to be known by cannot be read. So do all methods, if it was not told.
    """

    def __init__(self, server: Server, headers: Mapping[str, str], login: tuple[str, str] | None = None) -> None:
        self._seconds = _WHOLE * server.timeout
        self._client = httpx.AsyncClient(
            base_url=server.url,
            headers=dict(headers),
            auth=httpx.BasicAuth(*login) if login else None,
            verify=_verification(server),
            timeout=httpx.Timeout(server.timeout, connect=min(server.timeout, _CONNECT_SECONDS)),
            follow_redirects=False,
            # A proxy for the internet is none for a server in the house.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def tell(self, method: str, path: str, **options: Any) -> None:
        """Ask for something of which the status says enough: it is done, whatever becomes of the rest of the answer."""
        await self._request(method, path, read=False, **options)

    async def ask(self, method: str, path: str, **options: Any) -> bytes:
        """Ask for something whose answer counts."""
        return await self._request(method, path, read=True, **options)

    async def ask_json(self, method: str, path: str, **options: Any) -> Any:
        """Ask for something that is answered in JSON."""
        try:
            return msgspec.json.decode(await self.ask(method, path, **options))
        except msgspec.DecodeError:
            raise TellError(
                "answers with what is no JSON: url is another's address, or something stands before it", lasting=True
            ) from None

    async def _request(self, method: str, path: str, *, read: bool, **options: Any) -> bytes:
        try:
            with trio.fail_after(self._seconds):
                async with self._client.stream(method, path.removeprefix("/"), **options) as response:
                    _check(response)
                    return await _body(response) if read else b""
        except trio.TooSlowError as error:
            raise TellError("took too long to answer") from error
        except httpx.HTTPError as error:
            raise TellError(_problem(error)) from error


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _MOST_BYTES:
            raise TellError("answers with more than anybody can read; is url the address of the server itself?")
    return body


def _verification(server: Server) -> ssl.SSLContext | bool:
    if not server.verify_tls or server.url.startswith("http:"):
        return False
    try:
        context = ssl.create_default_context()
        if server.ca_file:
            context.load_verify_locations(Path(server.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise TellError(f"ca_file {server.ca_file}: cannot be read ({error})", lasting=True) from error
    return context


def _check(response: httpx.Response) -> None:
    """Raise what a status says, unless it is success."""
    status = response.status_code
    if response.is_success:
        return
    if response.has_redirect_location:
        raise TellError(f"sends us on to {_place(response)}: give that as url", lasting=True, status=status)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise TellError(f"refuses the token ({status}): make another, and set token", lasting=True, status=status)
    phrase = response.reason_phrase or "no reason given"
    lasting = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in (
        HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT,
    )  # fmt: skip
    raise TellError(f"answers {status} ({phrase})", pause=_retry_after(response), lasting=lasting, status=status)


def _place(response: httpx.Response) -> str:
    """Where a redirect leads, without a query, which may hold secrets."""
    target = response.headers["location"]
    try:
        url = response.request.url.join(target)
        return str(url.copy_with(query=None, fragment=None, username="", password=""))
    except (httpx.InvalidURL, ValueError):
        return "another address"


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value[:6])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _problem(error: httpx.HTTPError) -> str:
    """What is wrong with a connection, in words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"shows a certificate that is not trusted ({cause.verify_message}): name the authority's in ca_file, or"
                " set verify_tls = false"
            )
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout():
            return "does not answer at its address"
        case httpx.TimeoutException():
            return "took too long to answer"
        case httpx.ConnectError():
            return f"cannot be reached ({error})"
        case httpx.RemoteProtocolError():
            return "cut its answer short"
        case _:
            return f"cannot be told ({type(error).__name__}: {error})"
