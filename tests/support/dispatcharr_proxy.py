"""A double of Dispatcharr's VOD proxy on loopback, as it was observed: sessions, slots, races and faults.

It is a double, because the real one needs Django, Redis, uWSGI and nginx; `tests/films/test_double.py` compares it with
what was recorded of the real one. What it has of the races are their causes, not their frequencies.

    python dispatcharr_proxy.py ORDER

serves in a process of its own, and prints its two URLs; the order is JSON: `streams` (see `Stream`) and options of
`DispatcharrProxy`. `ProxyProcess` does that, and asks and sets what a test would do in its own process.
"""

import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from film_provider import (
    Answer,
    Asked,
    Connection,
    End,
    Fault,
    FilmHandler,
    FilmProvider,
    FilmServer,
    Pattern,
    Stream,
    asked_of,
    hangs_up,
    pump,
)  # fmt: skip
from loopback import LoopbackServer

KEY = "an-admin's-key"

ERROR_TEXT = b"Error: Stream interrupted"
"""What the real one appends to a body that its provider left unfinished."""

IDLE_SECONDS = 1.0
_SECONDS_UNNOTICED = 1.6
"""Until it notices that a viewer went whose answer had no length."""
_SECONDS_SILENT = 1.5
"""For how long a reader must not ask by a session that it has let go of. The rule is two seconds from when it does so;
on a busy machine, that is noticed some tenths later here."""
_TO_PROVIDER = ("t", "time", "timestamp", "seek", "offset", "start", "utc_start")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass
class Session:
    """What Redis holds of a viewer: a hash, which is forgotten some time after the last request."""

    id: str
    stream: Stream
    active: int = 0
    """Requests that run."""
    holds: bool = True
    """Whether its account's slot is counted for it."""
    total: int | None = None
    """Bytes of the film, as the first answer said."""
    ended: float = 0.0
    """When it last had no more requests; in monotonic seconds."""
    end: End = End.WHOLE
    """How its last answer ended, for messages."""


class DispatcharrProxy(LoopbackServer):
    """Use it as a context manager.

    Args:
        streams: the films that the accounts have; of those of one title, the first that has a free slot plays.
        max_streams: of accounts; 0, as for those not named, is any number.
        release: what the real one was at the time. From (0, 31) on it re-opens a provider's answer that breaks off.
        redirects: whether the default stream profile is Redirect.
        window: seconds between looking for a session and counting a request as one of it. Redis and the provider take
            that time; the races happen in it.
        send_timeout: seconds after which nginx gives up a viewer who reads nothing.
        stall_timeout: seconds after which a provider that sends nothing is given up.
        port: where it listens; 0 is one that is free.
        provider_port: the same of the provider.
    """

    _server: FilmServer
    _poll_seconds = 0.01

    def __init__(
        self,
        streams: Iterable[Stream],
        *,
        max_streams: Mapping[int, int] | None = None,
        release: tuple[int, int] = (0, 30),
        redirects: bool = False,
        window: float = 0.01,
        send_timeout: float = 60.0,
        stall_timeout: float = 10.0,
        port: int = 0,
        provider_port: int = 0,
    ) -> None:
        self.provider = FilmProvider(streams, provider_port)
        """Its faults and counters are there."""
        self.max_streams = dict(max_streams or {})
        self.release = release
        self.redirects = redirects
        self.window = window
        self.send_timeout = send_timeout
        self.stall_timeout = stall_timeout
        self.idle_seconds = IDLE_SECONDS
        """After the last request of a session, until it is forgotten; and after an answer, until the provider's
        connection is closed."""
        self.refusals: deque[int] = deque()
        """The next requests for films get these in place of an answer: 503, 429, 403 …"""
        self.status = 0
        """All requests get this."""
        self.films_watched: list[int] = []
        """The profiles of others' sessions, for the statistics alone."""
        self.channels_watched: list[int] = []
        self.requests: list[str] = []
        """Method, path, query and range of each."""
        self.broken_rules: list[str] = []
        """What a good reader would not have done, by the numbers of the rules in the recorded facts."""
        self.slots: Counter[int] = Counter()
        """By account: as counted, with those that leaked."""
        self._sessions: dict[str, Session] = {}
        self._used: dict[str, set[str]] = {}
        """The titles that each session's id was used for."""
        self._starting: Counter[str] = Counter()
        self._held: dict[str, set[object]] = {}
        """The viewers' connections over which each session was asked for, while they are open."""
        self._lock = threading.Lock()
        self._server = FilmServer(("127.0.0.1", port), self._handler())
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.provider.__enter__()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._server.cut()
        super().__exit__(*_)
        self.provider.__exit__(*_)

    @property
    def sessions(self) -> dict[str, str]:
        """The stream that each session plays, with those that are idle and not yet forgotten."""
        with self._lock:
            return {each.id: each.stream.stream for each in self._sessions.values()}

    @property
    def leaked(self) -> Counter[int]:
        """Slots that are counted for nobody, by account."""
        with self._lock:
            held = Counter(each.stream.account for each in self._sessions.values() if each.holds)
            return self.slots - held

    def restart(self, away: float = 0.0) -> None:
        """Cut all viewers off and forget all sessions and slots; answer 502 for some seconds."""
        with self._lock:
            self.status = 502
            self._sessions.clear()
            self.slots.clear()
        self._server.cut()

        def back() -> None:
            self.status = 0

        self.provider.later.do(away, back)

    def stats(self) -> dict[str, Any]:
        """What `/proxy/vod/stats/` says. A slot that leaked is in nobody's connection."""
        with self._lock:
            playing = [(each.id, each.stream.account) for each in self._sessions.values() if each.active]
        playing += [("", profile) for profile in self.films_watched]
        connections = [{"session_id": session, "m3u_profile_id": str(profile)} for session, profile in playing]
        return {"vod_connections": [{"connections": [each]} for each in connections]}

    def profiles(self, account: int) -> list[dict[str, Any]]:
        """What `/api/m3u/accounts/{id}/profiles/` says: one, with the account's id."""
        return [{"id": account, "is_default": True, "max_streams": self.max_streams.get(account, 0)}]

    def counters(self) -> dict[str, Any]:
        """All that is counted, for other processes."""
        accounts = {each.account for each in self.provider.streams.values()}
        return {
            **self.provider.counted()._asdict(),
            "sent_of": {account: self.provider.counted(account).sent for account in accounts},
            "slots": dict(self.slots),
            "leaked": dict(self.leaked),
            "sessions": self.sessions,
            "broken_rules": self.broken_rules,
            "proxy_requests": len(self.requests),
        }

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Set from another process: see `ProxyProcess.change`."""
        for name, value in wanted.items():
            match name:
                case "faults":
                    self.provider.faults = {stream: Fault(**each) for stream, each in value.items()}
                case "always":
                    self.provider.always = Fault(**value)
                case "films":
                    for stream, film in value.items():
                        self.provider.streams[stream] = self.provider.streams[stream]._replace(film=Path(film))
                case "restart":
                    self.restart(value)
                case "max_streams":
                    self.max_streams = {int(account): limit for account, limit in value.items()}
                case "refusals":
                    self.refusals.extend(value)
                case "status" | "release" | "redirects":
                    setattr(self, name, tuple(value) if name == "release" else value)
                case _:
                    raise ValueError(name)

    # Slots and sessions. The callers of the first three hold the lock.

    def _take_slot(self, account: int) -> bool:
        limit = self.max_streams.get(account, 0)
        if limit and self.slots[account] >= limit:
            return False
        self.slots[account] += 1
        return True

    def _choose(self, title: tuple[str, str], query: Mapping[str, str]) -> Stream | None:
        """The stream of a title that has a slot, which is taken. What the URL asks for is a preference."""
        streams = [each for each in self.provider.streams.values() if (each.kind, each.uuid) == title]
        streams.sort(
            key=lambda each: (
                str(each.account) != query.get("m3u_account_id", str(each.account)),
                each.stream != query.get("stream_id", each.stream),
            )
        )
        return next((each for each in streams if self._take_slot(each.account)), None)

    def _idle(self, title: tuple[str, str]) -> Session | None:
        """A session of a title that has just come to its end, whosever it was."""
        idle = [each for each in self._sessions.values() if not each.active and _title(each.stream) == title]
        return max(idle, key=lambda each: each.ended, default=None)

    def begin(self, title: tuple[str, str], session: str, query: Mapping[str, str]) -> tuple[Session, bool] | None:
        """Count a request for a session, after what is between looking and counting.

        Returns:
            The session, and whether it was forgotten meanwhile; None if there is no slot for it.
        """
        with self._lock:
            own = self._sessions.get(session)
            chosen = None if own else self._choose(title, query)
            if own is None and chosen is None:
                return None
            taken = self._idle(title) or own
            if taken and not self._continue(taken, chosen):
                return None
        time.sleep(self.window)
        with self._lock:
            if taken:
                return self._count(taken)
            assert chosen
            found = self._sessions.get(session)
            if found:
                # Another first request of this session was faster; what was reserved for ours is nobody's.
                self._give_back(chosen)
            else:
                found = self._sessions[session] = Session(session, chosen)
            found.active += 1
            return found, False

    def _continue(self, session: Session, chosen: Stream | None) -> bool:
        """Give a session that was there a slot, if it is idle; what was reserved elsewhere for it is nobody's."""
        if chosen and not session.holds and chosen.account == session.stream.account:
            session.holds = True
            return True
        if chosen:
            self._give_back(chosen)
        if not session.holds:
            session.holds = self._take_slot(session.stream.account)
        return session.holds

    def _give_back(self, chosen: Stream) -> None:
        """What 0.31 does; before, the slot leaks."""
        if self.release >= (0, 31):
            self.slots[chosen.account] -= 1

    def _count(self, session: Session) -> tuple[Session, bool] | None:
        if self._sessions.get(session.id) is session:
            session.active += 1
            return session, False
        # It was forgotten meanwhile, and nobody will give its slot back.
        if self.max_streams.get(session.stream.account, 0):
            return None
        forgotten = self._sessions[session.id] = Session(session.id, session.stream, active=1)
        return forgotten, True

    def end(self, session: Session) -> None:
        """Count a request as ended."""
        with self._lock:
            session.active -= 1
            if session.active:
                return
            session.ended = time.monotonic()
            if session.holds and self._sessions.get(session.id) is session:
                self.slots[session.stream.account] -= 1
            session.holds = False
        self.provider.later.do(self.idle_seconds, lambda: self._forget(session))

    def _forget(self, session: Session) -> None:
        """Forget a session that has no request now; whether it has had one since does not count."""
        with self._lock:
            if not session.active and self._sessions.get(session.id) is session:
                del self._sessions[session.id]

    def blame(self, rule: int, text: str) -> None:
        """Note that a reader broke a rule."""
        self.broken_rules.append(f"rule {rule}: {text}")

    def _stays_busy(self, session: Session) -> bool:
        """Whether two requests run. Who has just got all of an answer may be faster than its end is noted here."""
        for _ in range(100):  # Not until some time: who stood still meanwhile has had no turn.
            if session.active <= 1:
                return False
            time.sleep(0.005)
        return True

    def hang_up(self, viewer: object) -> None:
        """Note that a viewer's connection is closed."""
        with self._lock:
            for held in self._held.values():
                held.discard(viewer)

    def judge(self, title: tuple[str, str], session: str, asked: Asked, viewer: object) -> None:
        """Note what a good reader would not have asked."""
        with self._lock:
            found = self._sessions.get(session)
            # What is still on its way keeps a session in use for its reader, though all of it was sent.
            held = self._held.setdefault(session, set())
            is_held = bool(held - {viewer})
            held.add(viewer)
            used = self._used.setdefault(session, set())
            used.add(title[1])
            first_runs = not (found and found.active) and self._starting[session]
        wanted = _RANGE.match(asked.range)
        if len(used) > 1:
            self.blame(1, f"one session, {session}, for several films")
        if first_runs:
            self.blame(2, "a second request before the first one was answered")
        is_idle = found and not found.active and not is_held
        if found and is_idle and time.monotonic() - found.ended < _SECONDS_SILENT:
            seconds = time.monotonic() - found.ended
            self.blame(2, f"a session was let go of ({found.end.name.lower()}) and used again after {seconds:.3f} s")
        if found and self._stays_busy(found):
            self.blame(3, f"{found.active + 1} requests at once")
        if asked.range and (not wanted or not wanted[1]):
            self.blame(4, f"a range that the real one gets wrong: {asked.range}")
        if found and found.total and wanted and wanted[1] and int(wanted[1]) >= found.total:
            self.blame(4, "a range beyond the end")
        for name in ("authorization", "referer", "origin", "cookie"):
            if name in asked.headers:
                self.blame(7, f"the header {name}")
        if asked.headers.get("accept-encoding", "identity") != "identity":
            self.blame(7, "the header accept-encoding")

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(_Handler):
            proxy = outer

        return Handler


class _Handler(FilmHandler):
    proxy: DispatcharrProxy

    def finish(self) -> None:
        super().finish()
        self.proxy.hang_up(self)

    def do_HEAD(self) -> None:  # noqa: N802
        self.proxy.requests.append(f"HEAD {self.path}")
        self.proxy.blame(9, "HEAD")
        self.answer(405, b"", "text/html", Allow="GET, OPTIONS")

    def do_POST(self) -> None:  # noqa: N802
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.proxy.change(wanted)
        self.answer_json(self.proxy.counters())

    def do_GET(self) -> None:  # noqa: N802
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if url.path == "/double/":
            self.answer_json(self.proxy.counters())
            return
        self.proxy.requests.append(f"GET {self.path} {self.headers.get('Range', '')}".strip())
        if self.proxy.status:
            self.answer(self.proxy.status, b"<html>nginx</html>", "text/html")
            return
        match url.path.strip("/").split("/"):
            case ["proxy", "vod", "stats"]:
                self.answer_signed(self.proxy.stats())
            case ["proxy", "ts", "status"]:
                self.answer_signed({"channels": [{"m3u_profile_id": each} for each in self.proxy.channels_watched]})
            case ["api", "m3u", "accounts", account, "profiles"]:
                self.answer_signed(self.proxy.profiles(int(account)))
            case ["api", "core", "system-events"]:
                self.answer_signed({"events": []})
            case ["proxy", "vod", kind, uuid]:
                self.send_away((_kind(kind), uuid), url.query)
            case ["proxy", "vod", kind, uuid, session, *_]:
                self.play((_kind(kind), uuid), session, query)
            case ["movie", _, _, name] if name.rpartition(".")[0].isdecimal():
                self.play_by_number(int(name.rpartition(".")[0]), query)
            case _:
                self.answer(404, b"<html>Not found</html>", "text/html")

    def answer_json(self, content: Any) -> None:
        self.answer(200, json.dumps(content).encode(), "application/json")

    def answer_signed(self, content: Any) -> None:
        if self.headers.get("X-API-Key") == KEY:
            self.answer_json(content)
        else:
            self.answer(401, b'{"detail": "Authentication credentials were not provided."}', "application/json")

    def send_away(self, title: tuple[str, str], query: str) -> None:
        """What a request without a session gets: another URL. Nothing is reserved, and nothing asked."""
        streams = [each for each in self.proxy.provider.streams.values() if _title(each) == title]
        if self.proxy.redirects and streams:
            self.answer(302, b"", "text/html", Location=self.proxy.provider.url + streams[0].path)
            return
        self.proxy.blame(1, "a request without a session")
        session = f"vod_{int(time.time() * 1000)}_{random.randrange(10_000)}"
        place = f"/proxy/vod/{title[0]}/{title[1]}/{session}"
        self.answer(301, b"", "text/html", Location=f"{place}?{query}" if query else place)

    def play_by_number(self, number: int, query: dict[str, str]) -> None:
        streams = [each for each in self.proxy.provider.streams.values() if each.number == number]
        session = query.get("session_id")
        if not streams:
            self.answer(404, b"not found", "text/html")
        elif session:
            self.play(_title(streams[0]), session, query)
        else:
            self.answer(301, b"", "text/html", Location=f"{self.path}?session_id=vod_{random.randrange(10**9)}")

    def play(self, title: tuple[str, str], session_id: str, query: dict[str, str]) -> None:
        proxy = self.proxy
        asked = asked_of("", self.headers.items(), "")
        proxy.judge(title, session_id, asked, self)
        if proxy.refusals:
            self.answer(proxy.refusals.popleft(), b"No available stream", "text/html")
            return
        proxy._starting[session_id] += 1
        try:
            begun = proxy.begin(title, session_id, query)
        finally:
            proxy._starting[session_id] -= 1
        if begun is None:
            self.answer(503, b"No available stream", "text/html")
            return
        session, is_forgotten = begun
        connection = proxy.provider.connect(session.stream.account)
        seconds = 0.0
        try:
            lengthless = self.stream(session, is_forgotten, connection, asked.range, query)
            seconds = _SECONDS_UNNOTICED if lengthless else 0.0
        finally:
            proxy.provider.later.do(proxy.idle_seconds, lambda: proxy.provider.disconnect(connection))
            if seconds:
                proxy.provider.later.do(seconds, lambda: proxy.end(session))
            else:
                proxy.end(session)
        if self.close_connection:
            self.linger()

    def linger(self) -> None:
        """Close the connection, and wait until the viewer closes it too: until then it may not have got the end."""
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            hangs_up(self.connection, self.proxy.send_timeout)

    def ask(self, session: Session, connection: Connection, wanted: str, query: Mapping[str, str]) -> Answer:
        """Ask the provider, with what is handed on of a request."""
        handed = [(name, self.headers[name]) for name in ("Accept", "Referer", "Origin", "Authorization")]
        headers = [("User-Agent", "the account's"), *((name, value) for name, value in handed if value)]
        times = "&".join(f"{name}={value}" for name, value in query.items() if name in _TO_PROVIDER)
        asked = asked_of(session.stream.stream, [("Range", wanted), *headers] if wanted else headers, times)
        return self.proxy.provider.answer(session.stream, asked, connection)

    def stream(
        self, session: Session, is_forgotten: bool, connection: Connection, wanted: str, query: Mapping[str, str]
    ) -> bool:
        """Answer; returns whether a viewer went away from an answer without a length."""
        total = session.total
        start, stop = _span(wanted, total)
        if total is not None and start >= total:
            self.answer(416, b"", "text/html", **{"Content-Range": f"bytes */{total}"})
            return False
        upstream = f"bytes={start}-{stop - 1}" if total is not None and _RANGE.match(wanted) else wanted
        answer = self.ask(session, connection, upstream, query)
        if answer.status not in (200, 206):
            provider = self.proxy.provider.url + session.stream.path
            text = f"Error: {answer.status} Client Error for url: {provider}"
            self.answer(500, text.encode(), "text/html")
            return False
        if total is None:
            session.total = total = answer.total
            start, stop = _span(wanted, total)
        length = None if total is None else stop - start
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", answer.type)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Worker-ID", "double")
        if wanted and length is not None and not is_forgotten:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{total}")
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        end, sent = self.send_body(session, answer, length, query)
        session.end = end
        if end != End.WHOLE or sent != length:
            self.close_connection = True
        return end == End.GONE and length is None

    def send_body(
        self, session: Session, answer: Answer, length: int | None, query: Mapping[str, str]
    ) -> tuple[End, int]:
        """Hand on what the provider sends, and what the real one adds to it."""
        proxy = self.proxy
        sent, opens = 0, 0
        while True:
            left = None if length is None else length - sent
            given, end = pump(
                self.connection, answer, left, unread=proxy.send_timeout, stalled=proxy.stall_timeout
            )  # fmt: skip
            sent += given
            if end not in (End.DROPPED, End.STALLED):
                return end, sent
            if proxy.release < (0, 31) or opens == 3 or length is None:
                break
            opens += 1
            again = self.ask(
                session, answer.connection, f"bytes={answer.start + given}-{answer.start + (left or 0) - 1}", query
            )
            if again.status not in (200, 206):
                return end, sent
            answer = again
        if proxy.release < (0, 31):
            self.wfile.write(ERROR_TEXT[: None if length is None else length - sent])
            self.wfile.flush()
        return end, sent


def _kind(name: str) -> str:
    return "episode" if name == "series" else name


def _title(stream: Stream) -> tuple[str, str]:
    return stream.kind, stream.uuid


def _span(wanted: str, total: int | None) -> tuple[int, int]:
    """The bytes that the real one takes a Range header to ask for: it does not know suffixes, nor several ranges."""
    found = _RANGE.match(wanted)
    size = sys.maxsize if total is None else total
    if not found:
        return 0, size
    return int(found[1] or 0), min(int(found[2]) + 1, size) if found[2] else size


class ProxyProcess:
    """A `DispatcharrProxy` in a process of its own. Use it as a context manager.

    Args:
        streams: see there; films are files, or of a `Pattern` whose seed is its number and whose head is usual.
        options: see there.
    """

    def __init__(self, streams: Iterable[Stream], **options: Any) -> None:
        rows = []
        for each in streams:
            film = each.film.size if isinstance(each.film, Pattern) else str(each.film)
            rows.append({**each._asdict(), "film": film})
        self._order = json.dumps({"streams": rows, **options})

    def __enter__(self) -> Self:
        command = [sys.executable, str(Path(__file__)), self._order]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url, self.provider_url = self.process.stdout.readline().split()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def counters(self) -> dict[str, Any]:
        """See `DispatcharrProxy.counters`."""
        with urlopen(f"{self.url}/double/", timeout=30) as answer:
            return dict(json.load(answer))

    def change(self, **wanted: Any) -> None:
        """Set what a test would set: `faults` by stream and `always` (dicts of `Fault`), `films` by stream, `restart`
        (seconds away), `max_streams`, `refusals`, `status`, `release`, `redirects`."""
        with urlopen(Request(f"{self.url}/double/", json.dumps(wanted).encode()), timeout=30) as answer:
            answer.read()


def main() -> None:
    """Serve until standard input ends."""
    order = json.loads(sys.argv[1])
    streams = []
    for row in order.pop("streams"):
        film = Pattern(row["film"], row["number"]) if isinstance(row["film"], int) else Path(row["film"])
        streams.append(Stream(**{**row, "film": film}))
    order["max_streams"] = {int(account): limit for account, limit in order.get("max_streams", {}).items()}
    with DispatcharrProxy(streams, **order) as proxy:
        print(proxy.url, proxy.provider.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
