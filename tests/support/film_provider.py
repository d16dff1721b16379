"""A double of a film provider on loopback, which counts what is taken from it and fails as it is told.

It answers `/movie/USER/PASSWORD/STREAM.EXT` and `/series/…` as Xtream panels do, and lists an account's films as links
below `/listing/ACCOUNT/` (0: those of all), for programs that need a listing. A double of Dispatcharr's proxy asks it
by calls: what would be a connection between the two is counted and has faults, but its bytes go from the file to the
viewer's socket in the kernel, so that the doubles cost less of the machine than what is measured with them.
"""

import heapq
import itertools
import os
import random
import re
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from loopback import LoopbackServer

USER, PASSWORD = "viewer", "panel-password"
"""Of every account at its provider."""

PAGE = b"<!DOCTYPE html><html><title>Your subscription</title><body>It has ended.</body></html>\n" * 50
"""What some providers send in place of a film, with status 200."""

TYPES = {
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".ts": "video/mp2t",
    ".avi": "video/x-msvideo",
}

_PIECE = 1 << 20
"""Bytes that are given to a socket at once, at most."""
_PERIOD = 1_048_573
"""A prime: the same bytes come again at no distance that a reader's blocks have."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Pattern:
    """A film of any size that takes no disk: every block differs from its neighbours, so that what is read at a wrong
    offset shows.

    Args:
        size: bytes.
        seed: another one is another film.
        head: what it begins with, a container's signature say.
    """

    def __init__(self, size: int, seed: int = 0, head: bytes = b"\x1aE\xdf\xa3") -> None:
        self.size = size
        self.seed = seed
        self._head = head
        self._twice = memoryview(random.Random(seed).randbytes(_PERIOD) * 2)

    def __repr__(self) -> str:
        """The same in every process: names of tests have it in them."""
        return f"Pattern({self.size}, {self.seed})"

    def view(self, offset: int, count: int) -> memoryview:
        """Bytes from an offset on: at least one, at most `count`."""
        count = min(count, _PERIOD, self.size - offset)
        if offset < len(self._head):
            return memoryview(self._head)[offset : offset + count]
        return self._twice[offset % _PERIOD :][:count]

    def read(self, offset: int, count: int) -> bytes:
        """What a right reader gets."""
        parts, stop = [], min(offset + count, self.size)
        while offset < stop:
            parts.append(bytes(self.view(offset, stop - offset)))
            offset += len(parts[-1])
        return b"".join(parts)


class Stream(NamedTuple):
    """A film that an account has."""

    uuid: str
    """Of Dispatcharr's movie or episode."""
    account: int
    stream: str
    film: Path | Pattern
    kind: str = "movie"
    number: int = 0
    """The id of Dispatcharr's movie."""
    extension: str = ".mkv"
    """As the provider says, which need not be what it is."""

    @property
    def path(self) -> str:
        """Where its provider has it."""
        folder = "series" if self.kind == "episode" else "movie"
        return f"/{folder}/{USER}/{PASSWORD}/{self.stream}{self.extension}"


@dataclass
class Fault:
    """What goes wrong with answers of the provider."""

    status: int = 0
    """It is refused with this status."""
    ignores_ranges: bool = False
    """Every answer is 200, with all of the film."""
    drops_after: int | None = None
    """Bytes of the body, after which the connection is closed."""
    stalls_after: int | None = None
    """Bytes of the body, after which nothing comes for `stalls_for` seconds."""
    stalls_for: float = float("inf")
    at_most: int | None = None
    """Bytes of an answer: it ends before what was asked for, and says so."""
    longer_by: int = 0
    """Bytes that the film is said to be longer than it is; less than 0: shorter."""
    lengthless: bool = False
    """No answer says how long it is."""
    page: bool = False
    """A web page comes in place of the film."""
    film: Path | Pattern | None = None
    """Another film comes in its place."""
    latency: float = 0.0
    """Seconds until the answer begins."""
    rate: float = 0.0
    """Bytes a second; 0 is as fast as it goes."""
    times: float = float("inf")
    """How many answers this happens to."""


class Asked(NamedTuple):
    """A request that reached the provider."""

    stream: str
    range: str
    headers: dict[str, str]
    """As they came, the names in lower case."""
    query: str


@dataclass
class Connection:
    """One to the provider."""

    account: int
    sent: int = 0
    """Bytes."""


class Counted(NamedTuple):
    """What a provider was made to do."""

    requests: int
    """GET alone."""
    opened: int
    """Connections."""
    open_now: int
    most_at_once: int
    sent: int
    """Bytes of films, with those that nobody read any more."""


@dataclass
class Answer:
    """What the provider answers."""

    status: int
    connection: Connection
    fault: Fault
    start: int = 0
    """Of the body, in the film."""
    stop: int = 0
    total: int | None = None
    """Bytes of the film, as told."""
    type: str = ""
    film: Path | Pattern = field(default_factory=lambda: Pattern(0))

    @property
    def length(self) -> int | None:
        """Bytes of the body, as told."""
        if self.total is None:
            return None
        return (self.stop if self.status == 206 else self.total) - self.start


class End(Enum):
    """How a body ended."""

    WHOLE = auto()
    DROPPED = auto()
    """The provider closed the connection."""
    STALLED = auto()
    """The provider sent nothing for too long."""
    GONE = auto()
    """The viewer closed the connection."""
    UNREAD = auto()
    """The viewer read nothing for too long."""


class Later:
    """A thread that does things when their time has come."""

    def __init__(self) -> None:
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin; to be called once."""
        self._thread.start()

    def end(self) -> None:
        """Forget what was still to be done."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def do(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something done some seconds from now."""
        with self._changed:
            heapq.heappush(self._todo, (time.monotonic() + seconds, next(self._number), what))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._ended and (not self._todo or self._todo[0][0] > time.monotonic()):
                    self._changed.wait(self._todo[0][0] - time.monotonic() if self._todo else None)
                if self._ended:
                    return
                _, _, what = heapq.heappop(self._todo)
            what()


class FilmProvider(LoopbackServer):
    """Use it as a context manager.

    Args:
        streams: the films that its accounts have.
        port: where it listens; 0 is one that is free.
    """

    _server: "FilmServer"
    _poll_seconds = 0.01

    def __init__(self, streams: Iterable[Stream], port: int = 0) -> None:
        self.streams = {each.stream: each for each in streams}
        """By their ids. Put another one in to have another film from now on."""
        self.faults: dict[str, Fault] = {}
        """By stream."""
        self.fault: Callable[[Asked], Fault | None] = lambda asked: None
        """Says what is to go wrong with a request, if `faults` does not."""
        self.always = Fault()
        """What there is where neither of them says anything: latency and rate, say."""
        self.max_connections: dict[int, int] = {}
        """By account, of those who come directly; more than that are refused with `status_when_full`."""
        self.status_when_full = 403
        self.modified: Callable[[Path | Pattern], float] = modified
        """When a film was written, as is said to those who come directly; in Unix time."""
        self.asked: list[Asked] = []
        """Each GET."""
        self.later = Later()
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._opened: Counter[int] = Counter()
        self._most: Counter[int] = Counter()
        self._sent: Counter[int] = Counter()
        self._requests: Counter[int] = Counter()
        self._server = FilmServer(("127.0.0.1", port), self._handler())
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FilmProvider":
        self.later.start()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._server.cut()
        super().__exit__(*_)
        self.later.end()

    def counted(self, account: int | None = None) -> Counted:
        """What was taken so far, by all accounts or by one."""

        def of(counter: Counter[int]) -> int:
            return counter.total() if account is None else counter[account]

        with self._lock:
            running = [each for each in self._connections if account in (None, each.account)]
            most = self._most[-1 if account is None else account]
            sent = of(self._sent) + sum(each.sent for each in running)
            return Counted(of(self._requests), of(self._opened), len(running), most, sent)

    def connect(self, account: int) -> Connection:
        """Count a connection as open."""
        connection = Connection(account)
        with self._lock:
            self._connections.append(connection)
            self._opened[account] += 1
            mine = sum(each.account == account for each in self._connections)
            self._most[account] = max(self._most[account], mine)
            self._most[-1] = max(self._most[-1], len(self._connections))
        return connection

    def disconnect(self, connection: Connection) -> None:
        """Count it as closed; once."""
        with self._lock:
            if connection in self._connections:
                self._connections.remove(connection)
                self._sent[connection.account] += connection.sent

    def answer(self, stream: Stream, asked: Asked, connection: Connection) -> Answer:
        """What it answers to a GET, after its latency."""
        with self._lock:
            self.asked.append(asked)
            self._requests[stream.account] += 1
            fault = self.faults.get(stream.stream) or self.fault(asked) or self.always
            if fault.times <= 0:
                fault = self.always
            fault.times -= 1
        time.sleep(fault.latency or self.always.latency)
        if fault.status:
            return Answer(fault.status, connection, fault)
        film = fault.film or self.streams[stream.stream].film
        kind = TYPES[stream.extension]
        if fault.page:
            film, kind = Pattern(len(PAGE), head=PAGE), "text/html"
        size = size_of(film) + fault.longer_by
        total = None if fault.lengthless else size
        span = None if fault.ignores_ranges else asked_range(asked.range, size)
        if span is None:
            return Answer(200, connection, fault, 0, size, total, kind, film)
        start, stop = span
        if start >= size:
            return Answer(416, connection, fault, total=total)
        if fault.at_most is not None:
            stop = min(stop, start + fault.at_most)
        return Answer(206, connection, fault, start, min(stop, size), total, kind, film)

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(FilmHandler):
            connection_counted: Connection | None = None

            def finish(self) -> None:
                super().finish()
                if self.connection_counted:
                    outer.disconnect(self.connection_counted)

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                match unquote(url.path).strip("/").split("/"):
                    case ["listing", account]:
                        self.send_list(int(account))
                    case ["movie" | "series", user, password, name] if (user, password) == (USER, PASSWORD):
                        self.give(name.rpartition(".")[0], url.query)
                    case ["listing", _, name]:
                        self.give(name.rpartition(".")[0], url.query)
                    case _:
                        self.answer(404, b"no such film", "text/plain")

            def send_list(self, account: int) -> None:
                names = [
                    each.stream + each.extension for each in outer.streams.values() if account in (0, each.account)
                ]
                links = "".join(f'<a href="{name}">{name}</a>\n' for name in names)
                self.answer(200, f"<html><body>{links}</body></html>".encode(), "text/html")

            def give(self, name: str, query: str) -> None:
                stream = outer.streams.get(name)
                if stream is None:
                    self.answer(404, b"no such film", "text/plain")
                elif self.command == "HEAD":
                    self.send_response(200)
                    self.describe(TYPES[stream.extension], size_of(stream.film), stream.film)
                elif self.connect(stream.account):
                    assert self.connection_counted
                    asked = asked_of(stream.stream, self.headers.items(), query)
                    self.send_film(outer.answer(stream, asked, self.connection_counted))
                else:
                    self.answer(outer.status_when_full, b"too many connections", "text/plain")

            def connect(self, account: int) -> bool:
                limit = outer.max_connections.get(account, 0)
                if self.connection_counted is None and (not limit or outer.counted(account).open_now < limit):
                    self.connection_counted = outer.connect(account)
                return self.connection_counted is not None

            def describe(self, kind: str, length: int | None, film: Path | Pattern) -> None:
                self.send_header("Content-Type", kind)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Last-Modified", formatdate(outer.modified(film), usegmt=True))
                if length is None:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                else:
                    self.send_header("Content-Length", str(length))
                self.end_headers()

            def send_film(self, answer: Answer) -> None:
                if answer.status not in (200, 206):
                    self.answer(answer.status, b"refused", "text/plain")
                    return
                self.send_response(answer.status)
                if answer.status == 206:
                    total = "*" if answer.total is None else answer.total
                    self.send_header("Content-Range", f"bytes {answer.start}-{answer.stop - 1}/{total}")
                self.describe(answer.type, answer.length, answer.film)
                sent, end = pump(self.connection, answer, answer.length)
                if end != End.WHOLE or sent != answer.length:
                    self.close_connection = True

        return Handler


class FilmServer(ThreadingHTTPServer):
    """A server whose connections can all be cut."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._sockets: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """See socketserver."""
        self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """See socketserver."""
        self._sockets.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Close all connections, in mid-body where there is one."""
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was cut off is not worth a traceback."""


class FilmHandler(BaseHTTPRequestHandler):
    """Answers of known length, over connections that stay open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 13
    """Else each header is a packet."""

    def finish(self) -> None:
        """Close both files of the connection, also if nobody takes the rest: closing the one flushes it first."""
        with suppress(OSError):
            super().finish()
        self.rfile.close()

    def answer(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        """Answer with what is at hand."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def end_headers(self) -> None:
        """See http.server."""
        super().end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """See http.server."""


def asked_of(stream: str, headers: Iterable[tuple[str, str]], query: str) -> Asked:
    """A request by what it came with."""
    found = {name.lower(): value for name, value in headers}
    return Asked(stream, found.get("range", ""), found, query)


def asked_range(text: str, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for, the first range of it; None if it asks for no range."""
    found = _RANGE.match(text)
    if not found or not any(found.groups()):
        return None
    if not found[1]:
        return max(size - int(found[2]), 0), size
    return int(found[1]), int(found[2]) + 1 if found[2] else size


def size_of(film: Path | Pattern) -> int:
    """Bytes."""
    return film.size if isinstance(film, Pattern) else film.stat().st_size


def modified(film: Path | Pattern) -> float:
    """When a film was written, in Unix time. Another one was written at another time."""
    return 1_772_359_200 + film.seed if isinstance(film, Pattern) else film.stat().st_mtime


def pump(
    viewer: socket.socket, answer: Answer, limit: int | None, *, unread: float = 1e6, stalled: float = 1e6
) -> tuple[int, End]:
    """Send a body to a viewer.

    Args:
        viewer: where to.
        answer: whose body.
        limit: bytes, at most.
        unread: seconds after which a viewer who reads nothing is given up.
        stalled: seconds after which a provider that sends nothing is given up.

    Returns:
        The bytes that were sent, and how it ended.
    """
    fault, began = answer.fault, time.monotonic()
    rate = fault.rate
    length = min(answer.stop, size_of(answer.film)) - answer.start
    if limit is not None:
        length = min(length, limit)
    breaks = [each for each in (fault.drops_after, fault.stalls_after) if each is not None]
    poll = select.poll()
    poll.register(viewer, select.POLLOUT | select.POLLRDHUP)
    descriptor = -1 if isinstance(answer.film, Pattern) else os.open(answer.film, os.O_RDONLY)
    sent, stall_over = 0, False
    viewer.setblocking(False)
    try:
        while sent < length:
            if fault.drops_after is not None and sent >= fault.drops_after:
                return sent, End.DROPPED
            if fault.stalls_after is not None and sent >= fault.stalls_after and not stall_over:
                if hangs_up(viewer, min(fault.stalls_for, stalled)):
                    return sent, End.GONE
                if fault.stalls_for >= stalled:
                    return sent, End.STALLED
                stall_over = True
            count = min([_PIECE, length - sent, *(each - sent for each in breaks if each > sent)])
            if rate:
                count = min(count, max(int(rate / 50), 1))
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))
            events = poll.poll(unread * 1000)
            if not events:
                return sent, End.UNREAD
            if events[0][1] & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                return sent, End.GONE
            try:
                given = _give(viewer, answer.film, descriptor, answer.start + sent, count)
            except BlockingIOError:
                continue
            if not given:
                return sent, End.DROPPED  # The file was cut meanwhile.
            sent += given
            answer.connection.sent += given
        return sent, End.WHOLE
    except OSError:
        return sent, End.GONE
    finally:
        with suppress(OSError):
            viewer.setblocking(True)
        if descriptor >= 0:
            os.close(descriptor)


def _give(viewer: socket.socket, film: Path | Pattern, descriptor: int, offset: int, count: int) -> int:
    if isinstance(film, Pattern):
        return viewer.send(film.view(offset, count))
    return os.sendfile(viewer.fileno(), descriptor, offset, count)


def hangs_up(viewer: socket.socket, seconds: float) -> bool:
    """Whether a viewer goes within some seconds; returns once that is known."""
    poll = select.poll()
    poll.register(viewer, select.POLLRDHUP)
    return bool(poll.poll(min(seconds, 1e6) * 1000))
