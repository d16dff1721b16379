"""Asking for one image over HTTP. Whatever a host answers, what comes of it is an `Outcome`.

Nothing is decompressed: bytes are counted as they come, and what was packed for the way is no image.
"""

import email.utils
import re
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpcore
import trio

from vod2strmfs import __version__
from vod2strmfs.artwork.addresses import Place, PublicNetwork, RefusedAddressError
from vod2strmfs.artwork.outcomes import Kind, Outcome
from vod2strmfs.host.http_client import httpx

_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 15.0
_TOTAL_SECONDS = 60.0
_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
_CONNECTIONS = 8
_MOST_PAUSE = 86400.0
_BUSY_PAUSE = 30.0
"""Seconds that a host is left alone that asks for it, and does not say for how long."""


class Client:
    """A client that fetches images; an asynchronous context manager.

    Args:
        own: Dispatcharr's URLs. It may be asked wherever it is; no other private address is.
        max_bytes: of an image.
        seconds: how long one image may take.
    """

    def __init__(self, own: Sequence[str], max_bytes: int, seconds: float = _TOTAL_SECONDS) -> None:
        self._own = {place for url in own if (place := _place(url)) is not None}
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=10.0,
            network_backend=PublicNetwork(self._own),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def fetch(self, url: str, etag: str = "", modified: str = "") -> Outcome:
        """Ask for an image.

        Args:
            url: its http(s) URL.
            etag, modified: what the host said of the image that is there already, "" for nothing.
        """
        try:
            with trio.fail_after(self._seconds):
                return await self._follow(url, etag, modified)
        except RefusedAddressError:
            return Outcome(Kind.BAD, "its address is not a public one")
        except httpcore.UnsupportedProtocol:
            return Outcome(Kind.BAD, "it redirects to something that is no http(s) URL")
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            return Outcome(Kind.FAILED, "it cannot be reached")
        except (httpcore.TimeoutException, trio.TooSlowError):
            return Outcome(Kind.FAILED, "it took too long")
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Outcome(Kind.FAILED, "the connection was cut, or the answer was no HTTP")
        except (httpx.InvalidURL, ValueError):
            return Outcome(Kind.BAD, "its URL cannot be used")

    async def _follow(self, url: str, etag: str, modified: str) -> Outcome:
        headers = {"User-Agent": f"vod2strmfs/{__version__}", "Accept": "image/*", "Accept-Encoding": "identity"}
        if etag:
            headers["If-None-Match"] = etag
        if modified:
            headers["If-Modified-Since"] = modified
        timeouts = {"connect": _CONNECT_SECONDS, "read": _SILENCE_SECONDS, "write": _SILENCE_SECONDS, "pool": None}
        for _ in range(_REDIRECTS + 1):
            target = _target(url)
            host = {"Host": httpx.URL(url).netloc.decode()}
            async with self._pool.stream(
                "GET", target, headers=list((host | headers).items()), extensions={"timeout": timeouts}
            ) as response:
                location = _header(response, b"location")
                if response.status not in (301, 302, 303, 307, 308) or not location:
                    return await self._take(response, conditional=bool(etag or modified))
                url = urljoin(url, location)
        return Outcome(Kind.BAD, "it redirects again and again")

    async def _take(self, response: httpcore.Response, *, conditional: bool) -> Outcome:
        status = response.status
        etag, modified = _header(response, b"etag"), _header(response, b"last-modified")
        if status == 304 and conditional:
            return Outcome(Kind.SAME, etag=etag, modified=modified)
        if status in (429, 503):
            pause = _retry_after(_header(response, b"retry-after"))
            if status == 429 or pause:
                return Outcome(Kind.BUSY, f"it asks for fewer requests ({status})", pause or _BUSY_PAUSE)
        if status in (404, 410):
            return Outcome(Kind.GONE, f"it answers {status}")
        if status >= 500 or status == 408:
            return Outcome(Kind.FAILED, f"it answers {status}")
        if status != 200:
            return Outcome(Kind.BAD, f"it answers {status}")
        too_large = Outcome(Kind.BAD, f"it sent more than artwork_max_bytes ({self._max_bytes})")
        length = _header(response, b"content-length")
        if length.isdecimal() and int(length) > self._max_bytes:
            return too_large
        content = bytearray()
        # Left by a cancellation, httpcore's generators are closed in their order; left by a `break`, by the garbage
        # collector.
        with trio.CancelScope() as enough:
            async for part in response.aiter_stream():
                content += part
                if len(content) > self._max_bytes:
                    enough.cancel()
        if len(content) > self._max_bytes:
            return too_large
        return Outcome(Kind.STORED, content=bytes(content), etag=etag, modified=modified)


def _place(url: str) -> Place | None:
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    return parts.hostname.lower(), parts.port or _PORTS.get(parts.scheme, 0)


def _target(url: str) -> httpcore.URL:
    """A URL in the form in which it is sent: without a password, and with what is not ASCII quoted.

    Raises:
        httpcore.UnsupportedProtocol: it is no http(s) URL.
    """
    parsed = httpx.URL(url)
    if parsed.scheme not in _PORTS or not parsed.host:
        raise httpcore.UnsupportedProtocol
    return httpcore.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port or _PORTS[parsed.scheme],
        target=parsed.raw_path,
    )  # fmt: skip


def _header(response: httpcore.Response, name: bytes) -> str:
    """A header of an answer; empty if it is not there, or could not be sent back."""
    value = next((value for key, value in response.headers if key.lower() == name), b"").decode("latin-1")
    return value if re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]{0,2000})", value) else ""


def _retry_after(value: str) -> float:
    """The seconds that a header Retry-After means: a number, or a day and time; 0 where it says nothing."""
    if value.isdecimal():
        return min(float(value), _MOST_PAUSE)
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return 0.0
    return min(max(moment - time.time(), 0.0), _MOST_PAUSE)
