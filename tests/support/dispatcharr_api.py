"""Dispatcharr's HTTP API on loopback, as far as it fetches episodes: it writes them into the database as the real one
does, and has its races and faults.

    python dispatcharr_api.py DATABASE PORT JOURNAL SEED SHARE

serves in a process of its own, with a share of faults, and notes in a journal what was asked and written.
"""

import json
import random
import ssl
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from loopback import LoopbackServer

KEY = "an-admin's-key"
USER, PASSWORD = "admin", "the-admin's-password"
PROVIDER_PASSWORD = "http://panel.example/player_api.php?username=viewer&password=panel-password"
"""What real error messages quote."""

SLOW_SECONDS = 3.0
FAULTS = ("failed_written", "cut", "cut_written", "slow", "refused_429", "bad_gateway", "late_commit")
"""What a series may be answered with, once."""

_EPISODE = """
    INSERT INTO vod_episode (uuid, name, series_id, season_number, episode_number, created_at, updated_at)
    VALUES (%s, %s, %s, %s, %s, now(), now()) ON CONFLICT DO NOTHING"""
_RELATION = """
    INSERT INTO vod_m3uepisoderelation
        (m3u_account_id, episode_id, series_relation_id, stream_id, container_extension, custom_properties,
         created_at, updated_at, last_seen)
    SELECT %s, id, %s, %s, 'mkv', '{}', now(), now(), now() FROM vod_episode
    WHERE series_id = %s AND season_number = %s AND episode_number = %s ON CONFLICT DO NOTHING"""
_FETCHED = """
    UPDATE vod_m3useriesrelation SET last_episode_refresh = now(), custom_properties =
        coalesce(custom_properties, '{}') || '{"episodes_fetched": true, "detailed_fetched": true}' WHERE id = %s"""


class DispatcharrApi(LoopbackServer):
    """Use it as a context manager.

    Args:
        database: the owner's URL of a PostgreSQL database.
        fault: says what is to go wrong with a request for a series, by its id and how often it was asked for before.
        port: where it listens; 0 is one that is free.
        certificate: a file with a certificate and its key, to answer by TLS.
        journal: a file to note requests in.
    """

    def __init__(
        self,
        database: str,
        *,
        fault: Callable[[int, int], str] = lambda series, times: "",
        port: int = 0,
        certificate: Path | None = None,
        journal: Path | None = None,
    ) -> None:
        self.database = database
        self.fault = fault
        self.asked: Counter[int] = Counter()
        """How often each series was asked for."""
        self.fetched: Counter[int] = Counter()
        """How often its provider was."""
        self.times: list[float] = []
        """When a series was asked for, in seconds since the epoch."""
        self.requests: list[str] = []
        """Method, path and query of each request."""
        self.order: list[int] = []
        self.most_at_once: Counter[int] = Counter()
        """Requests of each account."""
        self.profiles: dict[int, list[dict[str, Any]]] = {}
        """By account."""
        self.films_watched: list[int] = []
        """The profile of each session."""
        self.channels_watched: list[int] = []
        self.played: list[str] = []
        """UUIDs of `vod_start`."""
        self.token_requests = 1_000_000
        """For which a token is good."""
        self.tokens = 0
        self.delay = 0.0
        self.moved_to = ""
        """Where it redirects to."""
        self.status = 0
        """Answers everything with this instead."""
        self.page = False
        """Answers everything with a web page."""
        self._at_once: Counter[int] = Counter()
        self._valid: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._journal = journal
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"

    def note(self, what: str, series: int) -> None:
        """Write a line into the journal, if there is one."""
        if self._journal:
            with self._journal.open("a") as journal:
                journal.write(f"{what} {series}\n")

    def fetch(self, series: int, relation: int, account: int, *, commit_after: float = 0.0) -> None:
        """Write the episodes that the provider has of a series: two seasons of two, all in one transaction."""
        self.fetched[series] += 1
        session = psycopg.connect(self.database)
        for season in (1, 2):
            for number in (1, 2):
                values = (uuid.uuid4(), f"Episode {number}", series, season, number)
                session.execute(_EPISODE, values)
                stream = f"{series}0{season}0{number}"
                session.execute(_RELATION, (account, relation, stream, series, season, number))
        session.execute(_FETCHED, (relation,))

        def commit() -> None:
            with closing(session):
                time.sleep(commit_after)
                session.commit()
                self.note("written", series)

        if commit_after:
            threading.Thread(target=commit, daemon=True).start()
        else:
            commit()

    def answer_series(self, series: int, query: dict[str, str]) -> tuple[int, dict[str, Any], str]:
        """Status, object and fault of a request for a series."""
        with closing(psycopg.connect(self.database, autocommit=True)) as session:
            row = session.execute(
                "SELECT r.id, m3u_account_id, r.custom_properties->>'episodes_fetched', last_episode_refresh IS NULL"
                " OR last_episode_refresh < now() - make_interval(hours => %s)"
                " FROM vod_m3useriesrelation r JOIN m3u_m3uaccount a ON a.id = m3u_account_id AND a.is_active"
                " WHERE series_id = %s AND r.id = %s",
                (int(query.get("refresh_interval", 24)), series, int(query["relation_id"])),
            ).fetchone()
        if row is None:
            return 404, {"error": "Relation not found or not active"}, ""
        relation, account, fetched, is_old = row
        with self._lock:
            times = self.asked[series]
            self.asked[series] += 1
            self.times.append(time.time())
            self.order.append(series)
            self._at_once[account] += 1
            self.most_at_once[account] = max(self.most_at_once[account], self._at_once[account])
        self.note("asked", series)
        try:
            return self._fetch_and_tell(series, relation, account, fetched != "true" or is_old, times, query)
        finally:
            with self._lock:
                self._at_once[account] -= 1

    def _fetch_and_tell(
        self, series: int, relation: int, account: int, wanted: bool, times: int, query: dict[str, str]
    ) -> tuple[int, dict[str, Any], str]:
        time.sleep(self.delay)
        fault = self.fault(series, times)
        if fault:
            self.note(f"fault-{fault}", series)
        if fault == "failed":
            return 500, {"error": f"Failed to fetch series information: {PROVIDER_PASSWORD}"}, fault
        if fault == "refused_429":
            return 429, {}, fault
        if fault == "bad_gateway":
            return 502, {}, fault
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        if fault == "provider_away":
            return 200, {"id": series, "episodes": {}, "episodes_fetched": False}, fault
        if fault == "empty":
            self.fetched[series] += wanted or query.get("force_refresh") == "true"
            with closing(psycopg.connect(self.database, autocommit=True)) as session:
                session.execute(_FETCHED, (relation,))
            return 200, {"id": series, "episodes": {}, "episodes_fetched": True}, fault
        if fault != "cut" and (wanted or query.get("force_refresh") == "true"):
            self.fetch(series, relation, account, commit_after=1.0 if fault == "late_commit" else 0.0)
        told = {str(season): [{"id": number} for number in (1, 2)] for season in (1, 2)}
        status = 500 if fault == "failed_written" else 200
        return status, {"id": series, "episodes": told, "episodes_fetched": True}, fault

    def _is_signed(self, headers: Any) -> bool:
        token = str(headers.get("Authorization", "")).removeprefix("Bearer ")
        with self._lock:
            self._valid[token] -= 1
            return headers.get("X-API-Key") == KEY or self._valid[token] >= 0

    def _new_token(self) -> str:
        self.tokens += 1
        token = f"token-{self.tokens}"
        self._valid[token] = self.token_requests
        return token

    def _route(self, path: str, query: dict[str, str]) -> tuple[int, Any, str]:
        match path.strip("/").split("/"):
            case ["api", "vod", "series", number, "provider-info"]:
                return self.answer_series(int(number), query)
            case ["api", "m3u", "accounts", number, "profiles"]:
                default = [{"id": int(number), "is_default": True, "max_streams": 0}]
                return 200, self.profiles.get(int(number), default), ""
            case ["proxy", "vod", "stats"]:
                sessions = [{"m3u_profile_id": str(each)} for each in self.films_watched]
                return 200, {"vod_connections": [{"connections": [each]} for each in sessions]}, ""
            case ["proxy", "ts", "status"]:
                return 200, {"channels": [{"m3u_profile_id": each} for each in self.channels_watched]}, ""
            case ["api", "core", "system-events"]:
                events = [{"event_type": "vod_start", "details": {"content_uuid": each}} for each in self.played]
                return 200, {"events": events}, ""
        return 404, {}, ""

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.requests.append(f"POST {self.path}")
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/api/accounts/token/" and told == {"username": USER, "password": PASSWORD}:
                    self._answer(200, {"access": outer._new_token(), "refresh": "refresh-1"})
                elif self.path == "/api/accounts/token/refresh/" and told == {"refresh": "refresh-1"}:
                    self._answer(200, {"access": outer._new_token()})
                else:
                    self._answer(401, {"detail": "No active account found with the given credentials"})

            def do_GET(self) -> None:
                outer.requests.append(f"GET {self.path}")
                url = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                if outer.moved_to:
                    self.send_response(302)
                    self.send_header("Location", outer.moved_to + self.path)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif outer.status:
                    self._answer(outer.status, {"detail": PROVIDER_PASSWORD})
                elif outer.page:
                    self._send(200, b"<!doctype html><title>Dispatcharr</title>", "text/html")
                elif not outer._is_signed(self.headers):
                    self._answer(401, {"detail": "Authentication credentials were not provided."})
                else:
                    status, content, fault = outer._route(url.path, query)
                    self._answer(status, content, cut=fault.startswith("cut"))

            def _answer(self, status: int, content: Any, *, cut: bool = False) -> None:
                self._send(status, json.dumps(content).encode(), "application/json", cut=cut)

            def _send(self, status: int, content: bytes, kind: str, *, cut: bool = False) -> None:
                with suppress(OSError):  # They may have gone.
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content[: len(content) // 2] if cut else content)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler


def main() -> None:
    """Serve until killed."""
    database, port, journal, seed, share = sys.argv[1:]
    chance = random.Random(seed)
    faults: dict[int, str] = defaultdict(lambda: chance.choice(FAULTS) if chance.random() < float(share) else "")
    # What went wrong once goes well the next time, also after this process was killed.
    before = Path(journal).read_text().split("\n") if Path(journal).exists() else []
    had = {int(line.split()[1]) for line in before if line.startswith("fault-")}
    api = DispatcharrApi(
        database, port=int(port), journal=Path(journal),
        fault=lambda series, times: "" if times or series in had else faults[series],
    )  # fmt: skip
    api.delay = 0.02
    with api:
        threading.Event().wait()


if __name__ == "__main__":
    main()
