"""Images over HTTP: as many different ones as anybody asks for, and every fault that a host can have."""

import gzip
import hashlib
import io
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loopback import LoopbackServer
from PIL import Image


@cache
def make_images() -> dict[str, bytes]:
    """Encode one picture as JPEG, PNG and WebP; by extension."""
    picture = Image.linear_gradient("L").resize((200, 300)).convert("RGB")
    images = {}
    for extension, form in ((".jpg", "JPEG"), (".png", "PNG"), (".webp", "WEBP")):
        file = io.BytesIO()
        picture.save(file, form)
        images[extension] = file.getvalue()
    return images


def variant(jpeg: bytes, text: str) -> bytes:
    """Another JPEG of the same picture, with a comment in it."""
    comment = hashlib.sha256(text.encode()).hexdigest().encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


class ArtServer(LoopbackServer):
    """Use it as a context manager. `/ok/NAME` is an image of its own for each name; other paths are faults.

    Args:
        images: as `make_images` makes them.
    """

    def __init__(self, images: dict[str, bytes]) -> None:
        self.images = images
        self.asked: Counter[str] = Counter()
        """How often each path was asked for."""
        self.conditional: list[str] = []
        """Paths that were asked for with a condition."""
        self.edition = ""
        """With another one, the images are others."""
        self.logos: dict[int, bytes] = {}
        """The images that it hands on as Dispatcharr does, by their ids."""
        self.broken = False
        """Whether it answers 500 to everything."""
        self.gate = threading.Event()
        """Requests wait until it is set."""
        self.gate.set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"

    def image(self, path: str) -> bytes:
        """What stands at a path below `/ok/`."""
        extension = next((each for each in (".png", ".webp") if path.endswith(each)), ".jpg")
        if extension != ".jpg":
            return self.images[extension]
        return variant(self.images[".jpg"], path + self.edition)

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            """Else an answer's second packet waits for 40 ms until the first one is acknowledged."""

            def do_GET(self) -> None:
                outer.asked[self.path] += 1
                outer.gate.wait(120)
                with suppress(OSError):
                    fault = self.path.split("/")[1]
                    if outer.broken:
                        self.answer(500)
                    elif fault == "api":
                        number = int(self.path.split("/")[4])
                        self.image(outer.logos[number]) if number in outer.logos else self.answer(404)
                    elif fault == "ok":
                        self.image(outer.image(self.path))
                    else:
                        getattr(self, f"fault_{fault}")()

            def image(self, content: bytes) -> None:
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                if condition := self.headers.get("If-None-Match"):
                    outer.conditional.append(self.path)
                    if condition == etag:
                        self.answer(304, ETag=etag)
                        return
                self.answer(200, content, ETag=etag)

            def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                if status != 304:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def fault_missing(self) -> None:
                self.answer(404)

            def fault_failing(self) -> None:
                self.answer(500)

            def fault_busy(self) -> None:
                self.answer(429, Retry_After="3000")

            def fault_page(self) -> None:
                self.answer(200, b"<!DOCTYPE html><title>No</title>", Content_Type="image/jpeg")

            def fault_empty(self) -> None:
                self.answer(200, Content_Type="image/jpeg")

            def fault_half(self) -> None:
                """Half of what it promises."""
                content = outer.images[".jpg"]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True

            def fault_cut(self) -> None:
                """Half of an image, and no word on how much it should be."""
                self.send_response(200)
                self.end_headers()
                self.wfile.write(outer.images[".jpg"][: len(outer.images[".jpg"]) // 2])
                self.close_connection = True

            def fault_large(self) -> None:
                self.answer(200, outer.images[".jpg"] + bytes(200_000))

            def fault_endless(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                while True:
                    self.wfile.write(outer.images[".jpg"])

            def fault_slow(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                while True:
                    self.wfile.write(b"\xff")
                    time.sleep(0.05)

            def fault_packed(self) -> None:
                self.answer(200, gzip.compress(outer.images[".jpg"]), Content_Encoding="gzip")

            def fault_unasked(self) -> None:
                """As if there had been a condition."""
                self.answer(304)

            def fault_more(self) -> None:
                """More than it promised: half of an image is promised."""
                content = outer.images[".jpg"]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) // 2))
                self.end_headers()
                self.wfile.write(content)

            def fault_part(self) -> None:
                self.answer(206, outer.images[".jpg"][:100], Content_Range="bytes 0-99/5000")

            def fault_chunked(self) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                while True:
                    self.wfile.write(b"400\r\n" + bytes(1024) + b"\r\n")

            def fault_private(self) -> None:
                """A redirect to this very server, by an address that is not Dispatcharr's."""
                target = f"http://127.0.0.2:{self.server.server_port}/ok/private.jpg"  # type: ignore[attr-defined]
                self.answer(302, Location=target)

            def fault_named(self) -> None:
                """The same by a name."""
                self.answer(302, Location=f"http://localhost:{self.server.server_port}/ok/private.jpg")  # type: ignore[attr-defined]

            def fault_moved(self) -> None:
                self.answer(301, Location="/ok/moved.jpg")

            def fault_loop(self) -> None:
                self.answer(302, Location=self.path)

            def fault_file(self) -> None:
                self.answer(302, Location="file:///etc/passwd")

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was cut off is not worth a traceback."""
