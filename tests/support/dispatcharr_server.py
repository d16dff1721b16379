"""An HTTP server on loopback that answers as Dispatcharr does where films are played."""

import re
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from loopback import LoopbackServer

_FILM = b"\x1aE\xdf\xa3" + bytes(1 << 16)
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class DispatcharrServer(LoopbackServer):
    """Use it as a context manager.

    GET of a film's URL is redirected once, to the same path with a session, and then plays. HEAD is refused. What is
    not a film's path gets the web page, and a title that has no stream gets 503.

    Args:
        plays: whether titles have streams.
        redirects: how often it redirects.
        status: answers every request with this instead.
        provider: where the default stream profile Redirect sends whoever asks without a session.
        everywhere: where a panel sends whoever asks for anything.
        address: where it listens; port 0 is one that is free.
        film: what plays, whatever is asked for.
    """

    def __init__(
        self,
        *,
        plays: bool = True,
        redirects: int = 1,
        status: int | None = None,
        provider: str = "",
        everywhere: str = "",
        address: tuple[str, int] = ("127.0.0.1", 0),
        film: bytes = _FILM,
    ) -> None:
        self.plays = plays
        self.redirects = redirects
        self.status = status
        self.provider = provider
        self.everywhere = everywhere
        self.film = film
        self.requests: list[str] = []
        """Method and path of each request."""
        self._server = ThreadingHTTPServer(address, self._handler())
        self.url = f"http://{address[0]}:{self._server.server_port}"

    def wait(self) -> None:
        """Wait until it is ended."""
        self._thread.join()

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                outer.requests.append(f"HEAD {self.path}")
                self.send_error(405)

            def do_GET(self) -> None:
                outer.requests.append(f"GET {self.path}")
                path = urlsplit(self.path).path
                film = re.fullmatch(rf"/proxy/vod/(\w+)/{_UUID}((?:/(?:vod_\d+|v2s-[\w.-]+))*)", path)
                if outer.status is not None:
                    self.send_error(outer.status)
                elif outer.everywhere or (outer.provider and film and not film[2]):
                    self.send_response(302)
                    self.send_header("Location", outer.everywhere or outer.provider)
                    self.end_headers()
                elif film is None:
                    self._answer(b"<!doctype html><title>Dispatcharr</title>", "text/html")
                elif film[2].count("/") < outer.redirects:
                    self.send_response(301)
                    self.send_header("Location", f"{path}/vod_{len(outer.requests)}?{urlsplit(self.path).query}")
                    self.end_headers()
                elif film[1] not in ("movie", "episode") or not outer.plays:
                    self.send_error(503)
                else:
                    self._play()

            def _play(self) -> None:
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if wanted is None:
                    self._answer(outer.film, "video/x-matroska")
                    return
                start, size = int(wanted[1]), len(outer.film)
                part = outer.film[start : int(wanted[2] or size - 1) + 1]
                self.send_response(206)
                self.send_header("Content-Type", "video/x-matroska")
                self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{size}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(part)

            def _answer(self, content: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                with suppress(OSError):  # They may have seen enough.
                    self.wfile.write(content)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler
