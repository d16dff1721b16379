"""The bytes of a film from Dispatcharr's proxy, or from a provider, by the rules that keep them right.

What the proxy says of its answers is computed from what was asked, and its sessions race with each other: see
docs/decisions/0026-films-that-play.md. So an answer is accepted only if all that it says fits, and its last bytes only
when it is whole. Addresses may hold passwords, and so may the text of an error: neither gets into a message.
"""

import re
import secrets
import socket
import ssl
from collections import deque
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import h11
import trio

from vod2strmfs import __version__
from vod2strmfs.errors import SettingsError
from vod2strmfs.films.film import Address
from vod2strmfs.host.http_client import httpx

_SUSPECT = 25
"""Bytes: so long is the text that Dispatcharr appends to a body that it cannot end, as if it were the film's."""
_ANSWERS = 2
"""Of a session at once: the one that is read, and the one that takes over from it."""
_LINGERING, _LINGERING_SECONDS = 4, 1.0
"""Requests of a session within so many seconds, at most: so long after an answer it is that Dispatcharr hangs up."""
_REDIRECTS = 3
_LEAST = 1 << 20
"""Bytes that an answer has at least if it ends before what was asked for. To read a film in smaller pieces would be a
flood of requests."""
_HEAD_BYTES = 16 << 10
_SCRATCH_BYTES = 4 << 10
_LONGEST_LABEL = 60
_LONGEST_PAUSE = 3600.0
_PORTS = {"http": 80, "https": 443}
_NO_ADDRESS = (httpx.InvalidURL, UnicodeError)
"""How httpx says so, at once or once it is asked for the host's name."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_MARKS = (b"etag", b"last-modified", b"content-type")
"""Headers that are others where another file is. Dispatcharr passes on the last one alone."""
_NO_FILM = re.compile(r"text/html|application/(json|xhtml|xml|dash\+xml)|[\w./-]{,40}mpegurl", re.IGNORECASE | re.ASCII)
"""Content types. Not text/plain: some servers call so whatever they do not know."""


class UpstreamKind(StrEnum):
    """What went wrong with bytes of a film."""

    BUSY = "busy"
    """No stream is free, or we are to ask less (503, 429)."""
    FORBIDDEN = "forbidden"
    """We may not (401, 403)."""
    GONE = "gone"
    """There is no such film any more (404, 410)."""
    UNSEEKABLE = "unseekable"
    """It cannot be read from a given place on, or does not say how long it is."""
    NOT_A_FILM = "not a film"
    """Something else came: a web page, say."""
    CHANGED = "changed"
    """It is not as long as it was: another file answers."""
    SHORT = "short"
    """The answer ended before its end."""
    STALLED = "stalled"
    """It stopped coming, or never began."""
    AWAY = "away"
    """Whoever has it cannot be reached."""
    FAILED = "failed"
    """It was answered with another error."""


REFUSALS = (UpstreamKind.BUSY, UpstreamKind.FORBIDDEN, UpstreamKind.FAILED)
"""By which one may mean that there are too many connections."""
ON_ITS_WAY = 10 << 20
"""Bytes that may be on their way: Dispatcharr takes an answer for ended that lacks no more than that."""
NOTICES = 3.0
"""Seconds within which a provider notices that an answer was closed."""


class UpstreamError(Exception):
    """An error for bytes of a film that did not come.

    Args:
        kind: what went wrong.
        why: the same for people; names no password.
        pause: seconds for which we are to ask nothing more, if that was said.
    """

    def __init__(self, kind: UpstreamKind, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.pause = pause


class Deadlines(NamedTuple):
    """The seconds to wait, at most or at least."""

    connect: float = 5.0
    answer: float = 12.0
    """For the head of an answer, once connected. Dispatcharr gives a provider 10 seconds."""
    silence: float = 11.0
    """For the next bytes of a body."""
    quiet: float = 2.1
    """Between the last answer of a film and its next request. Sessions are deleted a second after they end, and whoever
    asks for the film before gets one that is about to be deleted."""


DEADLINES = Deadlines()


class Upstream:
    """The place that films come from, Dispatcharr or providers: what all sessions share.

    Args:
        ca_file: the authority, or the certificate, by which an https address is known, beside those of the host.
        deadlines: how long to wait for what.
        user_agent: the one that is sent.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        deadlines: Deadlines = DEADLINES,
        user_agent: str = f"vod2strmfs/{__version__}",
    ) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self.deadlines = deadlines
        self._user_agent = user_agent
        self._ended: dict[str, float] = {}
        """When the last answers of titles ended: those of lately."""
        self.connections = 0
        """The number of connections that were opened."""
        self.received = 0
        """Bytes of films that came."""

    def session(self, address: Address, label: str, total: int | None = None) -> "Session":
        """A session for one film. Use it as an asynchronous context manager; nothing is asked for until it is opened.

        Args:
            address: where the film is.
            label: names account and stream: it becomes part of the session's id, by which Dispatcharr knows one film.
            total: the film's size in bytes, if it is known.
        """
        return Session(self, address, label, total)

    async def be_quiet(self, title: str) -> None:
        """Wait until Dispatcharr has forgotten a title's last session: within a second, any other takes it over."""
        await trio.sleep_until(self._ended.get(title, -1e9) + self.deadlines.quiet)

    def ended(self, title: str) -> None:
        """Note that the last answer of a session of a title has ended."""
        now = trio.current_time()
        self._ended = {each: at for each, at in self._ended.items() if now - at < self.deadlines.quiet}
        self._ended[title] = now

    async def request(self, url: httpx.URL, span: str) -> tuple[trio.abc.Stream, h11.Response, bytes]:
        """Ask for a part of what is at an address.

        Returns:
            The connection, the head of the answer, and the first bytes of the body, as far as they came with it.

        Raises:
            UpstreamError: nobody answers.
        """
        place = f"{url.host}:{url.port or _PORTS[url.scheme]}"
        try:
            with trio.fail_after(self.deadlines.connect):
                connection = await self._connect(url)
        except trio.TooSlowError:
            raise UpstreamError(UpstreamKind.AWAY, f"{place} does not answer") from None
        except (OSError, UnicodeError, trio.BrokenResourceError) as error:
            raise UpstreamError(UpstreamKind.AWAY, f"{place} {_unreachable(error)}") from None
        self.connections += 1
        try:
            with trio.fail_after(self.deadlines.answer):
                return connection, *await self._exchange(connection, url, span)
        except trio.TooSlowError:
            await trio.aclose_forcefully(connection)
            raise UpstreamError(UpstreamKind.STALLED, f"{place} gives no answer") from None
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
            await trio.aclose_forcefully(connection)
            raise UpstreamError(UpstreamKind.AWAY, f"{place} hung up without an answer") from None
        except BaseException:
            await trio.aclose_forcefully(connection)
            raise

    async def _connect(self, url: httpx.URL) -> trio.abc.Stream:
        host = url.raw_host.decode("ascii")
        connection = await trio.open_tcp_stream(host, url.port or _PORTS[url.scheme])
        if url.scheme == "http":
            return connection
        secured = trio.SSLStream(connection, self._trust(), server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(connection)
            raise
        return secured

    def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            # It takes a megabyte, which most do not need.
            self._context = ssl.create_default_context()
            if self._ca_file:
                try:
                    self._context.load_verify_locations(self._ca_file)
                except OSError as error:  # SSLError is one
                    raise SettingsError(
                        f"api_ca_file: {self._ca_file} cannot be used ({error.strerror or error})."
                    ) from None
        return self._context

    async def _exchange(self, connection: trio.abc.Stream, url: httpx.URL, span: str) -> tuple[h11.Response, bytes]:
        # No other header: Dispatcharr passes on Accept, Referer, Origin and Authorization to the provider.
        said = (
            ("Host", url.netloc.decode()),
            ("User-Agent", self._user_agent),
            ("Range", span),
            ("Connection", "close"),
        )
        wire = h11.Connection(h11.CLIENT)
        request = wire.send(h11.Request(method="GET", target=url.raw_path, headers=list(said)))
        await connection.send_all(request or b"")
        while True:
            event = wire.next_event()
            if isinstance(event, h11.Response):
                return event, wire.trailing_data[0]
            if event is h11.NEED_DATA:
                wire.receive_data(bytes(await connection.receive_some(_HEAD_BYTES)))
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("no answer")


class Session:
    """The answers for one film under one session's id, two at a time at most: see `Upstream.session`."""

    def __init__(self, upstream: Upstream, address: Address, label: str, total: int | None) -> None:
        self._upstream = upstream
        self._address = address
        self._label = re.sub(r"[^A-Za-z0-9._-]", "_", label)[:_LONGEST_LABEL]
        self._title = address.url.partition("?")[0]
        """What Dispatcharr knows the film by; it may have several streams of it."""
        self.total = total
        """Bytes of the film, once they are known."""
        self.id = ""
        """The id by which Dispatcharr knows this session; empty until something is asked for."""
        self._answers: list[Answer] = []
        self._asked: deque[float] = deque(maxlen=_LINGERING)
        """When requests were sent last."""
        self._opening = trio.Lock()
        """Requests of a session that does not exist yet must not race."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close all answers."""
        with trio.CancelScope(shield=True):
            for answer in self._answers[:]:
                await answer.close()

    async def open(self, start: int, stop: int | None = None) -> "Answer":
        """Ask for a part of the film.

        Args:
            start: its first byte, which the film has.
            stop: the byte after its last; None: up to the film's end.

        Returns:
            An answer whose head fits what was asked. It may end before `stop`. Close it; two may be open at once.

        Raises:
            UpstreamError: there is none.
        """
        assert 0 <= start < (stop or self.total or start + 1)
        async with self._opening:
            assert len(self._answers) < _ANSWERS
            if not self._address.direct:
                await self._be_gentle()
            span = f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"
            try:
                connection, response, first = await self._follow(span)
            except BaseException:
                self._end()
                raise
            try:
                answer = self._accept(connection, response, first, start, stop)
            except UpstreamError:
                await trio.aclose_forcefully(connection)
                self._end(refused=True)
                raise
            self._answers.append(answer)
            await answer.close_if_received()
            return answer

    async def _be_gentle(self) -> None:
        """Wait until another request harms neither the session nor its provider."""
        if not self._answers:
            await self._upstream.be_quiet(self._title)
        if len(self._asked) == _LINGERING:
            await trio.sleep_until(self._asked[0] + _LINGERING_SECONDS)
        self._asked.append(trio.current_time())

    def _url(self) -> httpx.URL:
        try:
            url = httpx.URL(self._address.url)
            if url.scheme not in _PORTS or not url.host:
                raise httpx.InvalidURL("")
            if self._address.direct:
                return url
            self.id = self.id or f"v2s-{self._label}-{secrets.token_hex(6)}"
            return url.copy_with(path=f"{url.path.rstrip('/')}/{self.id}")
        except _NO_ADDRESS:
            raise UpstreamError(UpstreamKind.FAILED, f"the address by which {self.who} has it is none") from None

    async def _follow(self, span: str) -> tuple[trio.abc.Stream, h11.Response, bytes]:
        """Ask, and follow the provider's redirects. Dispatcharr has no reason to send us on: we named a session."""
        url = self._url()
        for _ in range(_REDIRECTS + 1 if self._address.direct else 1):
            connection, response, first = await self._upstream.request(url, span)
            location = _header(response, b"location")
            if not (300 <= response.status_code < 400 and location and self._address.direct):
                return connection, response, first
            await trio.aclose_forcefully(connection)
            try:
                url = url.join(location)
                if url.scheme not in _PORTS or not url.host:
                    raise httpx.InvalidURL("")
            except _NO_ADDRESS:
                raise UpstreamError(UpstreamKind.FAILED, f"{self.who} sends us on to no address") from None
        raise UpstreamError(UpstreamKind.FAILED, f"{self.who} sends us on again and again")

    def _accept(
        self, connection: trio.abc.Stream, response: h11.Response, first: bytes, start: int, stop: int | None
    ) -> "Answer":
        """An answer, if all that it says of itself fits what was asked."""
        # What else stands there is not repeated: it may be anything.
        kind = _NO_FILM.match(_header(response, b"content-type"))
        if kind and response.status_code in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise UpstreamError(UpstreamKind.NOT_A_FILM, f"{self.who} sends {kind[0]}, which is no film")
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            raise _refusal(self.who, response)
        found = _CONTENT_RANGE.fullmatch(_header(response, b"content-range").strip())
        if not found:
            raise UpstreamError(UpstreamKind.UNSEEKABLE, f"{self.who} does not say which part of the film it sends")
        its_start, its_stop, total = int(found[1]), int(found[2]) + 1, int(found[3])
        if self.total not in (None, total):
            why = f"{self.who} has {total:,} bytes now where there were {self.total:,}: it is another file"
            raise UpstreamError(UpstreamKind.CHANGED, why)
        whole = min(stop or total, total)
        if its_start != start or not start < its_stop <= whole:
            raise UpstreamError(UpstreamKind.UNSEEKABLE, f"{self.who} sends another part than was asked for")
        if its_stop - start < min(_LEAST, whole - start):
            raise UpstreamError(UpstreamKind.UNSEEKABLE, f"{self.who} sends the film in pieces that are too small")
        encoding = _header(response, b"content-encoding")
        if encoding.lower() not in ("", "identity") or _header(response, b"transfer-encoding"):
            raise UpstreamError(UpstreamKind.UNSEEKABLE, f"{self.who} sends the film packed")
        if _header(response, b"content-length") != str(its_stop - start):
            raise UpstreamError(UpstreamKind.UNSEEKABLE, f"{self.who} sends another length than it says")
        self.total = total
        return Answer(self, connection, first, start, its_stop, tuple(_header(response, each) for each in _MARKS))

    def received(self, count: int) -> None:
        """Note that so many bytes of an answer came."""
        self._upstream.received += count

    def ended(self, answer: "Answer") -> None:
        """Note that an answer was closed."""
        if answer in self._answers:
            self._answers.remove(answer)
            self._end()

    def _end(self, *, refused: bool = False) -> None:
        """Note that a request has ended."""
        if not self._answers:
            self._upstream.ended(self._title)
            if refused:
                # What Dispatcharr knows by this id may be another file, or the place of one that it does not give.
                self.id = ""

    @property
    def connections(self) -> int:
        """The number of answers that are open: each has a connection of its own."""
        return len(self._answers)

    @property
    def is_direct(self) -> bool:
        """Whether the session is with the provider itself."""
        return self._address.direct

    @property
    def deadlines(self) -> Deadlines:
        """The seconds to wait for what."""
        return self._upstream.deadlines

    @property
    def who(self) -> str:
        """The name of who answers, for people."""
        return "the provider" if self._address.direct else "Dispatcharr"


class Answer:
    """The bytes of a part of a film, as they come: see `Session.open`."""

    def __init__(
        self, session: Session, connection: trio.abc.Stream, first: bytes, start: int, stop: int, marks: tuple[str, ...]
    ) -> None:
        self._session = session
        self._connection = connection
        self.start = start
        """The first byte of the part."""
        self.stop = stop
        """The byte after its last."""
        self.marks = marks
        """What its headers say that tells one file from another, if anything."""
        self._held = bytearray(first[: stop - start])
        """Bytes that came and were not given yet."""
        session.received(len(self._held))
        self._left = stop - start - len(self._held)
        """Bytes that have not come."""
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether more of the answer may come. Bytes that came are given all the same."""
        return not self._closed

    @property
    def holds_session(self) -> bool:
        """Whether the answer is open, and Dispatcharr does not take it for ended. A session without such an answer is
        forgotten a second later, and whoever asks then may get another film, or may leave a stream in use for ever."""
        return not self._closed and self._left > ON_ITS_WAY

    @property
    def total(self) -> int:
        """The film's size in bytes."""
        assert self._session.total is not None
        return self._session.total

    async def receive_into(self, room: memoryview) -> int:
        """Receive some bytes, at least one.

        Returns:
            How many; 0 at the end of the answer.

        Raises:
            UpstreamError: the rest does not come. The answer is closed then.
        """
        assert len(room)
        while True:
            ready = len(self._held) - (_SUSPECT if self._left else 0)
            if ready > 0:
                count = min(ready, len(room))
                room[:count] = self._held[:count]
                del self._held[:count]
                return count
            if not self._left:
                return 0
            if len(room) <= len(self._held):
                scratch = memoryview(bytearray(_SCRATCH_BYTES))
                self._held += scratch[: await self._receive(scratch)]
                continue
            held = len(self._held)
            count = held + await self._receive(room[held:])
            room[:held] = self._held
            ready = count if not self._left else max(count - _SUSPECT, 0)
            self._held[:] = room[ready:count]
            if ready:
                return ready

    async def _receive(self, room: memoryview) -> int:
        room = room[: self._left]
        try:
            with trio.fail_after(self._session.deadlines.silence):
                count = await self._receive_some(room)
        except trio.TooSlowError:
            await self.close()
            why = f"{self._session.who} stopped sending in the middle of the film"
            raise UpstreamError(UpstreamKind.STALLED, why) from None
        except (OSError, trio.BrokenResourceError):
            count = 0
        if not count:
            await self.close()
            raise UpstreamError(UpstreamKind.SHORT, f"{self._session.who} hung up in the middle of the film")
        self._left -= count
        self._session.received(count)
        await self.close_if_received()
        return count

    async def close_if_received(self) -> None:
        """Close the answer once all has come, though not all may be given yet: for Dispatcharr, it has ended."""
        if not self._left:
            await self.close()

    async def _receive_some(self, room: memoryview) -> int:
        if isinstance(self._connection, trio.SocketStream):
            return await self._connection.socket.recv_into(room)
        data = await self._connection.receive_some(len(room))
        room[: len(data)] = data
        return len(data)

    async def close(self) -> None:
        """Close the answer's connection. May be called again."""
        if not self._closed:
            self._closed = True
            self._session.ended(self)
            # It waits for nobody. Interrupted, it would take with it what has just come.
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._connection)


def _header(response: h11.Response, name: bytes) -> str:
    """What a header says; empty if it is not there, and what no answer of ours may say if it is there twice."""
    found = {value for key, value in response.headers if key == name}
    return b", ".join(sorted(found)).decode("latin-1")


def _refusal(who: str, response: h11.Response) -> UpstreamError:
    """What a status other than that of a part means. The body is not looked at: it may hold passwords."""
    status = response.status_code
    pause = _header(response, b"retry-after")
    seconds = min(float(pause[:9]), _LONGEST_PAUSE) if pause.isdecimal() and pause.isascii() else 0.0
    match status:
        case HTTPStatus.OK:
            return UpstreamError(UpstreamKind.UNSEEKABLE, f"{who} sends the whole film where a part was asked for")
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return UpstreamError(UpstreamKind.BUSY, f"{who} has no stream free (503)", seconds)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return UpstreamError(UpstreamKind.BUSY, f"{who} asks for fewer requests (429)", seconds)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return UpstreamError(UpstreamKind.FORBIDDEN, f"{who} does not let us have it ({status})")
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return UpstreamError(UpstreamKind.GONE, f"{who} does not have it any more ({status})")
        case HTTPStatus.BAD_GATEWAY | HTTPStatus.GATEWAY_TIMEOUT:
            return UpstreamError(UpstreamKind.AWAY, f"what stands before {who} answers {status}")
    if 300 <= status < 400:
        return UpstreamError(UpstreamKind.FAILED, f"{who} sends us on ({status}): is that its own address?")
    return UpstreamError(UpstreamKind.FAILED, f"{who} answers {status}")


def _unreachable(error: BaseException | None) -> str:
    """Why no connection came about, in words."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return "shows a certificate that this host does not trust"
        if isinstance(error, socket.gaierror | UnicodeError):
            return "is a name that this host does not know"
        error = error.__cause__ or error.__context__
    return "cannot be reached"
