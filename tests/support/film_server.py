"""A film over HTTP as Dispatcharr serves it: ranges are answered, HEAD is refused."""

import re
import subprocess
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from loopback import LoopbackServer


def make_film(path: Path, seconds: int = 20) -> bytes:
    """Encode some seconds of a test picture as Matroska; returns the file's bytes."""
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", f"testsrc2=size=160x90:rate=10:duration={seconds}",
         "-c:v", "mpeg4", "-b:v", "200k", path],
        check=True,
    )  # fmt: skip
    return path.read_bytes()


class FilmServer(LoopbackServer):
    """Use it as a context manager. Every path is the same film.

    Args:
        film: its bytes.
    """

    def __init__(self, film: bytes) -> None:
        self.requests: list[str] = []
        """Method and range of each request."""
        self._film = film
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                outer.requests.append(f"HEAD {self.headers.get('Range', '')}".strip())
                self.send_error(405)

            def do_GET(self) -> None:
                outer.requests.append(f"GET {self.headers.get('Range', '')}".strip())
                start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
                first, length = int(start[1]) if start else 0, len(outer._film)
                self.send_response(206 if start else 200)
                self.send_header("Content-Type", "video/x-matroska")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(length - first))
                if start:
                    self.send_header("Content-Range", f"bytes {first}-{length - 1}/{length}")
                self.end_headers()
                with suppress(OSError):  # They may have seen enough.
                    self.wfile.write(outer._film[first:])

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler
