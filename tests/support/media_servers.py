"""Media servers on loopback, as far as they are told what changed: real HTTP, with the faults that a test wants."""

import base64
import json
import ssl
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

Fault = Literal["401", "429", "500", "502", "slow", "cut", "reset", "redirect", "html"]

TOKEN = "secret-token"
SLOW_SECONDS = 3.0


class Told(NamedTuple):
    """What a server was told of one folder."""

    path: str
    what: str
    """Jellyfin's word; of Plex the section's key."""
    at: float
    """Monotonic."""


class MediaServer:
    """One server. Use it as a context manager.

    Args:
        kind: whose requests it takes.
        libraries: their folders by name, as it sees them.
        sees: tells whether it finds a folder.
        certificate: a file with its certificate and key, for HTTPS.
    """

    def __init__(
        self,
        kind: Literal["jellyfin", "emby", "plex"],
        libraries: Mapping[str, Sequence[str]],
        *,
        sees: Callable[[str], bool] = lambda path: True,
        certificate: Path | None = None,
    ) -> None:
        self.kind = kind
        self.libraries = libraries
        self.sees = sees
        self.told: list[Told] = []
        """What it has taken, whatever it answered then."""
        self.requests: list[str] = []
        """Methods and paths, in order."""
        self.faults: deque[Fault] = deque()
        """What goes wrong with the next requests that tell something."""
        self.chance: Callable[[], Fault | None] = lambda: None
        """What goes wrong with the others."""
        self._certificate = certificate
        self.port = 0

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", self.port), type("Handler", (_Handler,), {"server_of_media": self}))
        self.port = self._server.server_address[1]
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address; the same after it was away."""
        return f"http{'s' if self._certificate else ''}://127.0.0.1:{self.port}"

    def settings(self, **more: object) -> dict[str, object]:
        """A table of the settings file."""
        return {"kind": self.kind, "url": self.url, "token": TOKEN, **more}

    def folders(self) -> Counter[str]:
        """How often it was told of each folder."""
        return Counter(each.path for each in self.told)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refuses the certificate, or was killed, is no error of a test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_media: MediaServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body: bytes) -> None:
        server = self.server_of_media
        url = urlsplit(self.path)
        server.requests.append(f"{self.command} {url.path}")
        tells = url.path.endswith(("/Library/Media/Updated", "/refresh"))
        fault = (server.faults.popleft() if server.faults else server.chance()) if tells else None
        if not self._knows_us():
            self._say(401)
        elif fault in ("401", "500", "502"):
            self._say(int(fault))
        elif fault == "429":
            self._say(429, {"Retry-After": "1"})
        elif fault == "redirect":
            self._say(302, {"Location": "https://elsewhere.example/login?token=1"})
        elif fault == "html":
            self._say(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>")
        elif fault == "reset":
            self.close_connection = True
        else:
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            self._serve(url.path, {name: values[0] for name, values in parse_qs(url.query).items()}, body, fault)

    def _knows_us(self) -> bool:
        match self.server_of_media.kind:
            case "jellyfin":
                return self.headers.get("Authorization") == f'MediaBrowser Token="{TOKEN}"'
            case "emby":
                return self.headers.get("X-Emby-Token") == TOKEN
            case "plex":
                return self.headers.get("X-Plex-Token") == TOKEN

    def _serve(self, path: str, query: dict[str, str], body: bytes, fault: Fault | None) -> None:
        server = self.server_of_media
        match path.strip("/").split("/"):
            case ["Library", "Media", "Updated"]:
                now = time.monotonic()
                server.told += [Told(each["Path"], each["UpdateType"], now) for each in json.loads(body)["Updates"]]
                self._done(204, fault)
            case ["Library", "VirtualFolders"]:
                folders = [
                    {"Name": name, "CollectionType": "movies", "Locations": list(places)}
                    for name, places in server.libraries.items()
                ]
                self._say_json(folders)
            case ["Environment", "ValidatePath"]:
                self._say(204 if server.sees(json.loads(body)["Path"]) else 404)
            case ["System", "Info"]:
                self._say_json({"ServerName": "double", "Version": "10.11.0"})
            case ["library", "sections"]:
                sections = [
                    {
                        "key": str(key), "title": name, "type": "movie",
                        "Location": [{"id": key, "path": place} for place in places],
                    }
                    for key, (name, places) in enumerate(server.libraries.items(), 1)
                ]  # fmt: skip
                self._say_json({"MediaContainer": {"Directory": sections}})
            case ["library", "sections", key, "refresh"]:
                server.told.append(Told(query.get("path", ""), key, time.monotonic()))
                self._done(200, fault)
            case ["services", "browse", place]:
                self._say(200 if server.sees(base64.urlsafe_b64decode(place).decode()) else 404)
            case [""]:
                self._say_json({"MediaContainer": {"friendlyName": "double", "version": "1.41"}})
            case _:
                self._say(404)

    def _done(self, status: int, fault: Fault | None) -> None:
        """Answer what was taken, perhaps not to the end."""
        if fault != "cut":
            self._say(status)
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"{")
        self.close_connection = True

    def _say_json(self, content: Any) -> None:
        self._say(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _say(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        with suppress(OSError):  # They left.
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Tests look at `requests`."""


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed, in one file with its key."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=double",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
