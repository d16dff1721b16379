"""The server of the pages: GET and HEAD alone, and only for those who may ask.

A page of another site, which a browser of somebody shows, must not ask: its name may be made to resolve to this host
(DNS rebinding). So the `Host` header has to be one that no such site can have, or the request has to hold the token,
which a browser sends to the site alone that it was typed for.
"""

import logging
import re
import socket
from base64 import b64decode
from functools import partial
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from vod2strmfs.web import metrics
from vod2strmfs.web.pages import NoSuchPageError, Pages

_log = logging.getLogger("vod2strmfs")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HTML = "text/html; charset=utf-8"


def serve(address: str, state_dir: Path, report_dir: Path, token: str = "") -> None:
    """Serve the pages until the process ends.

    Args:
        address: an address and a port, as `status_listen` has it.
        state_dir: the state directory of the mount.
        report_dir: the directory of materialize's reports.
        token: what a request has to hold, as a bearer token or as the password of any user; empty: nothing.

    Raises:
        OSError: the port cannot be had.
    """
    parts = urlsplit(f"//{address}")
    host, port = parts.hostname or "", parts.port or 0
    handler = partial(_Handler, Pages(state_dir, report_dir), Gate(host, port, token))
    with (_Server6 if ip_address(host).version == 6 else _Server)((host, port), handler) as server:
        _log.info("The status page is at http://%s/, the metrics at http://%s/metrics.", address, address)
        server.serve_forever()


class Gate:
    """Decides who may ask.

    Args:
        host: the address at which is listened.
        port: the port.
        token: what a request has to hold; empty: nothing.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        named = f"[{host}]" if ":" in host else host
        self._own = [f"{name}:{port}" for name in (named, "localhost")]
        self._is_loopback = ip_address(host).is_loopback
        self._token = token.encode()

    @property
    def proposed(self) -> str:
        """A value of the `Host` header that is taken."""
        return self._own[0]

    def takes_host(self, values: list[str]) -> bool:
        """Whether the values of a request's `Host` headers are those of one that was meant for this page.

        Elsewhere than on loopback that is an address, or a name without a dot, as computers and containers have it
        among themselves: neither can be a site's. With a token the name does not matter.
        """
        if self._token and not self._is_loopback:
            return len(values) == 1
        if len(values) != 1 or values[0] in self._own:
            return len(values) == 1
        return not self._is_loopback and _is_address_or_bare(values[0])

    def takes_login(self, values: list[str]) -> bool:
        """Whether the values of a request's `Authorization` headers hold the token."""
        if not self._token:
            return True
        kind, _, given = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        password = given.strip().encode(errors="replace")
        if kind.lower() == "basic":
            try:
                password = b64decode(password, validate=True).partition(b":")[2]
            except ValueError:
                return False
        return kind.lower() in ("basic", "bearer") and compare_digest(password, self._token)


def _is_address_or_bare(value: str) -> bool:
    try:
        name = urlsplit(f"//{value}").hostname or ""
        ip_address(name)
    except ValueError:
        return bool(re.fullmatch(r"[A-Za-z0-9_-]+(:\d+)?", value))
    return "@" not in value


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error in one line: a browser that goes away is no news."""
        _log.debug("a request to the status page failed", exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = 10.0
    """Seconds that a client has to send a request."""
    server_version = "vod2strmfs"
    sys_version = ""
    _asks_for_login = False

    def __init__(self, pages: Pages, gate: Gate, *arguments: Any) -> None:
        self._pages = pages
        self._gate = gate
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer one request."""
        if not self._gate.takes_host(self.headers.get_all("Host", [])):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, f"Ask for http://{self._gate.proposed}/")
            return
        if not self._gate.takes_login(self.headers.get_all("Authorization", [])):
            self._asks_for_login = True
            self.send_error(HTTPStatus.UNAUTHORIZED, "The password is the status_token of the settings")
            return
        try:
            kind, content = self._content()
        except (NoSuchPageError, ValueError):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815

    def _content(self) -> tuple[str, bytes]:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        match url.path.split("/")[1:]:
            case [""]:
                return _HTML, self._pages.front().encode()
            case ["favicon.ico"]:
                kind, text = self._pages.file("favicon.svg")
                return kind, text.encode()
            case ["metrics"]:
                return metrics.CONTENT_TYPE, metrics.render(self._pages.known())
            case ["reports", name]:
                action, search = query.get("action", ""), query.get("q", "")
                return _HTML, self._pages.report(unquote(name), action, search, int(query.get("page", "1"))).encode()
            case [name]:
                kind, text = self._pages.file(name)
                return kind, text.encode()
        raise NoSuchPageError

    def end_headers(self) -> None:
        """End the headers of an answer, be it an error, with those that keep browsers careful."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if self._asks_for_login:
            self.send_header("WWW-Authenticate", 'Basic realm="vod2strmfs", charset="UTF-8"')
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log no requests: whoever scrapes metrics asks every few seconds."""
