"""The server of the pages: GET alone, on loopback alone, and only for requests that name loopback."""

import logging
import socket
from functools import partial
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
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HTML = "text/html; charset=utf-8"


def serve(address: str, state_dir: Path, report_dir: Path) -> None:
    """Serve the pages until the process ends.

    Args:
        address: a loopback address and a port, as `status_listen` has it.
        state_dir: the state directory of the mount.
        report_dir: the directory of materialize's reports.

    Raises:
        OSError: the port cannot be had.
    """
    parts = urlsplit(f"//{address}")
    host, port = parts.hostname or "", parts.port or 0
    handler = partial(_Handler, Pages(state_dir, report_dir), _hosts(host, port))
    with (_Server6 if ip_address(host).version == 6 else _Server)((host, port), handler) as server:
        _log.info("The status page is at http://%s/, the metrics at http://%s/metrics.", address, address)
        server.serve_forever()


def _hosts(host: str, port: int) -> frozenset[str]:
    """The values that a `Host` header may have. A web page that has its own name resolve to loopback sends another."""
    named = f"[{host}]" if ":" in host else host
    return frozenset(f"{name}:{port}" for name in (named, "localhost"))


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

    def __init__(self, pages: Pages, hosts: frozenset[str], *arguments: Any) -> None:
        self._pages = pages
        self._hosts = hosts
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer one request."""
        if self.headers.get_all("Host") not in [[host] for host in self._hosts]:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, f"Ask for http://{min(self._hosts)}/")
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
        self.wfile.write(content)

    def _content(self) -> tuple[str, bytes]:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        match url.path.split("/")[1:]:
            case [""]:
                return _HTML, self._pages.front().encode()
            case ["style.css"]:
                return "text/css; charset=utf-8", self._pages.style().encode()
            case ["metrics"]:
                return metrics.CONTENT_TYPE, metrics.render(self._pages.state(), self._pages.hydrate())
            case ["reports", name]:
                page = self._pages.report(unquote(name), query.get("action", ""), int(query.get("page", "1")))
                return _HTML, page.encode()
        raise NoSuchPageError

    def end_headers(self) -> None:
        """End the headers of an answer, be it an error, with those that keep browsers careful."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log no requests: whoever scrapes metrics asks every few seconds."""
