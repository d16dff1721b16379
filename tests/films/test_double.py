"""The double of Dispatcharr's proxy, beside what was recorded of the real one.

It is a double because the real one needs Django, Redis, uWSGI and nginx, which a clean checkout does not have. What it
is compared with are observations of the real one (as of 22 August 2026, before 0.30), row by row. The rows on races are
of causes: the real one's frequencies depend on its machine.
"""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import dispatcharr_proxy
import pytest
from dispatcharr_proxy import ERROR_TEXT, IDLE_SECONDS, KEY, DispatcharrProxy, ProxyProcess
from film_provider import PAGE, PASSWORD, Fault, Pattern, Stream
from films import make_large
from mounts import eventually

UUID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
FILM, ENCODE, ANOTHER = Pattern(30_000_000, 1), Pattern(25_000_000, 2), Pattern(30_000_000, 3)
"""More than the sockets on the way hold, so that an answer that nobody reads goes on."""
STREAMS = (Stream(UUID, 1, "11", FILM, number=5), Stream(UUID, 2, "22", ENCODE), Stream(OTHER, 1, "33", ANOTHER))
BLOCK = 1 << 16


class Got(NamedTuple):
    """An answer that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


def path(session: str = "", query: str = "", uuid: str = UUID) -> str:
    """Of a film's URL."""
    return f"/proxy/vod/movie/{uuid}" + (f"/{session}" if session else "") + (f"?{query}" if query else "")


@contextmanager
def asking(port: int, where: str, wanted: str = "", method: str = "GET", **more: str) -> Iterator[HTTPResponse]:
    """An answer whose body is not yet read; leaving hangs up."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        headers = {"Range": wanted} if wanted else {}
        connection.request(method, where, headers=headers | more)
        with connection.getresponse() as answer:
            yield answer


def get(port: int, where: str, wanted: str = "", method: str = "GET", **more: str) -> Got:
    """All of an answer."""
    with asking(port, where, wanted, method, **more) as answer:
        try:
            body, is_whole = answer.read(), True
        except IncompleteRead as error:
            body, is_whole = error.partial, False
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body, is_whole)


def settle(proxy: DispatcharrProxy) -> None:
    """Wait until no session is left, as after a pause."""
    eventually(lambda: not proxy.sessions)


@pytest.fixture
def proxy() -> Iterator[DispatcharrProxy]:
    """Two accounts, of one stream each."""
    with DispatcharrProxy(STREAMS, max_streams={1: 1, 2: 1}) as proxy:
        proxy.idle_seconds = 0.3
        yield proxy


@pytest.fixture
def unlimited() -> Iterator[DispatcharrProxy]:
    """The same, without limits."""
    with DispatcharrProxy(STREAMS) as proxy:
        proxy.idle_seconds = 0.3
        yield proxy


@pytest.mark.parametrize("where", [path(), path("s"), "/movie/viewer/password/5.mkv"])
def test_head_is_refused_in_any_form(proxy: DispatcharrProxy, where: str) -> None:
    got = get(proxy.port, where, method="HEAD")
    assert (got.status, got.headers["allow"]) == (405, "GET, OPTIONS")


@pytest.mark.parametrize("uuid", [UUID, "99999999-9999-4999-8999-999999999999"])
def test_without_a_session_a_request_is_sent_away_and_nothing_is_reserved(proxy: DispatcharrProxy, uuid: str) -> None:
    got = get(proxy.port, path(uuid=uuid, query="stream_id=11"))
    assert got.status == 301
    assert got.headers["location"].startswith(f"/proxy/vod/movie/{uuid}/vod_")
    assert got.headers["location"].endswith("?stream_id=11")
    assert not proxy.slots
    assert not proxy.sessions
    assert proxy.provider.counted().requests == 0


def test_any_text_is_a_session(proxy: DispatcharrProxy) -> None:
    got = get(proxy.port, path("anything-you-like"))
    assert (got.status, got.body) == (200, FILM.read(0, FILM.size))
    assert proxy.requests == [f"GET {path('anything-you-like')}"]


def test_headers_of_an_answer(proxy: DispatcharrProxy) -> None:
    got = get(proxy.port, path("s"), "bytes=100-199")
    assert (got.status, got.body) == (206, FILM.read(100, 100))
    assert got.headers["content-range"] == f"bytes 100-199/{FILM.size}"
    assert got.headers["content-length"] == "100"
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["cache-control"] == "no-cache"
    assert got.headers["content-type"] == "video/x-matroska"
    assert not {"etag", "last-modified"} & set(got.headers)


def test_a_provider_that_ignores_ranges_gives_its_first_bytes_under_the_asked_label(proxy: DispatcharrProxy) -> None:
    proxy.provider.faults["11"] = Fault(ignores_ranges=True)
    got = get(proxy.port, path("s"), "bytes=1000000-1999999")
    assert (got.status, got.headers["content-range"]) == (206, f"bytes 1000000-1999999/{FILM.size}")
    assert got.body == FILM.read(0, 1_000_000)


def test_a_suffix_is_wrong_in_one_way_first_and_in_another_later(unlimited: DispatcharrProxy) -> None:
    got = get(unlimited.port, path("s"), "bytes=-1000")
    assert (got.status, got.headers["content-range"]) == (206, f"bytes 0-1000/{FILM.size}")
    assert (got.headers["content-length"], got.is_whole, got.body) == ("1001", False, FILM.read(FILM.size - 1000, 1000))
    settle(unlimited)
    with asking(unlimited.port, path("t"), "bytes=0-"):
        got = get(unlimited.port, path("t"), "bytes=-1000")
    assert (got.headers["content-range"], got.body) == (f"bytes 0-1000/{FILM.size}", FILM.read(0, 1001))


def test_of_several_ranges_the_first_comes_with_a_wrong_length(proxy: DispatcharrProxy) -> None:
    got = get(proxy.port, path("s"), "bytes=0-99,200-299")
    assert (got.status, got.is_whole, got.body) == (206, False, FILM.read(0, 100))


def test_a_start_past_the_end_is_500_first_and_416_later(unlimited: DispatcharrProxy) -> None:
    assert get(unlimited.port, path("s"), "bytes=90000000-").status == 500
    settle(unlimited)
    with asking(unlimited.port, path("t"), "bytes=0-"):
        assert get(unlimited.port, path("t"), "bytes=90000000-").status == 416


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_refusal_of_the_provider_is_500_and_quotes_its_url_with_the_password(
    proxy: DispatcharrProxy, status: int
) -> None:
    proxy.provider.faults["11"] = Fault(status=status)
    got = get(proxy.port, path("s"), "bytes=0-")
    assert got.status == 500
    assert f"{proxy.provider.url}/movie/viewer/{PASSWORD}/11.mkv".encode() in got.body


def test_a_provider_that_says_no_length_makes_answers_without_one(proxy: DispatcharrProxy) -> None:
    proxy.provider.faults["11"] = Fault(lengthless=True)
    got = get(proxy.port, path("s"))
    assert got.body == FILM.read(0, FILM.size)
    assert "content-length" not in got.headers


def test_503_when_all_accounts_are_full_or_nobody_has_it(proxy: DispatcharrProxy) -> None:
    with asking(proxy.port, path("a"), "bytes=0-") as first, asking(proxy.port, path("b"), "bytes=0-") as second:
        assert (first.status, second.status) == (206, 206)
        assert get(proxy.port, path("c"), "bytes=0-")[::2] == (503, b"No available stream")
        assert proxy.slots == {1: 1, 2: 1}
    assert get(proxy.port, path("s", uuid="99999999-9999-4999-8999-999999999999")).status == 503


@pytest.mark.parametrize("fault", [Fault(drops_after=1_000_000), Fault(stalls_after=1_000_000)])
def test_a_body_that_breaks_off_ends_with_a_text(proxy: DispatcharrProxy, fault: Fault) -> None:
    proxy.stall_timeout = 0.2
    proxy.provider.faults["11"] = fault
    got = get(proxy.port, path("s"), "bytes=1000-")
    assert not got.is_whole
    assert got.body == FILM.read(1000, 1_000_000) + ERROR_TEXT
    assert len(ERROR_TEXT) == 25


def test_from_0_31_on_a_body_that_breaks_off_is_opened_anew_three_times(proxy: DispatcharrProxy) -> None:
    proxy.release = (0, 31)
    proxy.provider.faults["11"] = Fault(drops_after=100_000)
    assert get(proxy.port, path("s"), "bytes=1000-").body == FILM.read(1000, 400_000)
    settle(proxy)
    proxy.provider.faults["11"] = Fault(drops_after=100_000, times=1)
    assert get(proxy.port, path("s"), "bytes=1000-").body == FILM.read(1000, FILM.size)


def test_the_profile_redirect_sends_to_the_provider_and_still_hands_on_where_there_is_a_session(
    proxy: DispatcharrProxy,
) -> None:
    proxy.redirects = True
    got = get(proxy.port, path())
    assert (got.status, got.headers["location"]) == (302, f"{proxy.provider.url}/movie/viewer/{PASSWORD}/11.mkv")
    assert not proxy.slots
    assert get(proxy.port, path("s")).body == FILM.read(0, FILM.size)


def test_what_is_sent_to_the_provider(unlimited: DispatcharrProxy) -> None:
    more = {"Authorization": "Basic x", "Referer": "r", "Cookie": "c", "If-Range": "e", "User-Agent": "mine"}
    with asking(unlimited.port, path("s", "t=5&stream_id=11&seek=7"), "bytes=0-", **more):
        get(unlimited.port, path("s"), "bytes=1000-")
    first, second = unlimited.provider.asked
    assert (first.range, first.query, second.range) == ("bytes=0-", "t=5&seek=7", f"bytes=1000-{FILM.size - 1}")
    assert {"authorization", "referer", "user-agent"} <= set(first.headers)
    assert not {"cookie", "if-range"} & set(first.headers)
    assert first.headers["user-agent"] != "mine"


def test_each_request_is_a_connection_that_is_closed_a_second_after_its_answer(proxy: DispatcharrProxy) -> None:
    proxy.idle_seconds = IDLE_SECONDS
    with asking(proxy.port, path("s"), "bytes=0-"):
        for number in range(10):
            get(proxy.port, path("s"), f"bytes={number}-{number}")
        counted = proxy.provider.counted()
        assert proxy.slots == {1: 1}
        assert counted.opened == 11
        assert counted.most_at_once > 2, "all, unless ten requests take more than a second"
    eventually(lambda: proxy.provider.counted().open_now == 0)


def test_what_a_request_costs(proxy: DispatcharrProxy) -> None:
    large = Pattern(200_000_000, 1)
    proxy.provider.streams["11"] = STREAMS[0]._replace(film=large)
    get(proxy.port, path("s"), f"bytes=0-{BLOCK - 1}")
    eventually(lambda: proxy.provider.counted().sent == BLOCK)
    settle(proxy)
    with asking(proxy.port, path("t"), "bytes=1000-") as answer:
        assert answer.read(BLOCK) == large.read(1000, BLOCK)
    eventually(lambda: not proxy.sessions)
    # What was in sockets; nobody goes on reading a film that nobody reads.
    assert proxy.provider.counted().sent < 100_000_000


def test_a_slot_is_freed_with_the_viewer_and_its_session_forgotten_a_second_later(proxy: DispatcharrProxy) -> None:
    proxy.idle_seconds = IDLE_SECONDS
    with asking(proxy.port, path("s"), "bytes=0-"):
        assert proxy.stats() == {"vod_connections": [{"connections": [{"session_id": "s", "m3u_profile_id": "1"}]}]}
        [session] = proxy._sessions.values()
    eventually(lambda: proxy.slots[1] == 0)
    assert proxy.stats() == {"vod_connections": []}
    settle(proxy)
    assert time.monotonic() - session.ended > 0.8


def test_the_api_tells_the_limits_and_who_watches_to_those_who_sign(proxy: DispatcharrProxy) -> None:
    assert get(proxy.port, "/proxy/vod/stats/").status == 401
    with asking(proxy.port, path("s"), "bytes=0-"):
        told = get(proxy.port, "/proxy/vod/stats/", **{"X-API-Key": KEY}).body
    assert b'"m3u_profile_id": "1"' in told
    profiles = get(proxy.port, "/api/m3u/accounts/2/profiles/", **{"X-API-Key": KEY}).body
    assert b'"max_streams": 1' in profiles


def test_an_idle_session_of_the_title_is_taken_over_by_whoever_comes(proxy: DispatcharrProxy) -> None:
    proxy.idle_seconds = 600.0
    get(proxy.port, path("a", "stream_id=11"), "bytes=0-9")
    eventually(lambda: proxy.slots[1] == 0)
    proxy.idle_seconds = 0.3
    got = get(proxy.port, path("b", "stream_id=22&m3u_account_id=2"), "bytes=0-9")
    assert got.headers["content-range"] == f"bytes 0-9/{FILM.size}", "A's file, where B's was asked for"
    assert proxy.leaked == {2: 1}
    settle(proxy)
    with asking(proxy.port, path("c"), "bytes=0-"):
        assert get(proxy.port, path("d", "stream_id=22"), "bytes=0-9").status == 503


def test_from_0_31_on_that_takes_no_slot(proxy: DispatcharrProxy) -> None:
    proxy.idle_seconds = 600.0
    proxy.release = (0, 31)
    get(proxy.port, path("a", "stream_id=11"), "bytes=0-9")
    got = get(proxy.port, path("b", "stream_id=22"), "bytes=0-9")
    assert (got.headers["content-range"], proxy.leaked) == (f"bytes 0-9/{FILM.size}", {})


def test_one_session_for_two_films_gives_the_first_ones_bytes(unlimited: DispatcharrProxy) -> None:
    with asking(unlimited.port, path("s"), "bytes=0-"):
        assert get(unlimited.port, path("s", uuid=OTHER), "bytes=9-99").body == FILM.read(9, 91)


def test_a_second_viewer_gets_another_accounts_file_pinned_or_not(proxy: DispatcharrProxy) -> None:
    with asking(proxy.port, path("a", "stream_id=11"), "bytes=0-"):
        got = get(proxy.port, path("b", "stream_id=11&m3u_account_id=1"), "bytes=0-9")
    assert got.headers["content-range"] == f"bytes 0-9/{ENCODE.size}"


def test_four_first_requests_at_once_are_two_answers_two_refusals_and_a_leaked_slot(proxy: DispatcharrProxy) -> None:
    proxy.window = 0.5
    statuses: list[int] = []

    def ask(number: int) -> None:
        statuses.append(get(proxy.port, path("s"), f"bytes={number}-{number + 9}").status)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Counter(statuses) == {206: 2, 503: 2}
    settle(proxy)
    assert proxy.leaked == {2: 1}


def ranges(proxy: DispatcharrProxy, count: int) -> int:
    """Ask for blocks back to back by one session; returns how many were not what was asked for."""
    bad = 0
    for number in range(count):
        start = number * 1000
        got = get(proxy.port, path("s", "stream_id=11&m3u_account_id=1"), f"bytes={start}-{start + BLOCK - 1}")
        is_right = got.headers.get("content-range") == f"bytes {start}-{start + BLOCK - 1}/{FILM.size}"
        bad += got.status != 206 or not is_right or got.body != FILM.read(start, BLOCK)
    return bad


def test_ranges_back_to_back_race_with_the_end_of_their_session(proxy: DispatcharrProxy) -> None:
    proxy.window = 0.05
    eventually(lambda: ranges(proxy, 5) > 0 and proxy.leaked == {1: 1, 2: 1})


def test_without_limits_such_a_race_costs_the_content_range(unlimited: DispatcharrProxy) -> None:
    unlimited.window = 0.05
    assert ranges(unlimited, 1) == 0
    eventually(lambda: ranges(unlimited, 5) > 0)


def test_ranges_beside_a_request_that_is_held_open_are_all_right(proxy: DispatcharrProxy) -> None:
    proxy.window = 0.03
    with asking(proxy.port, path("s", "stream_id=11"), "bytes=0-"):
        began = time.monotonic()
        assert ranges(proxy, 40) == 0
        assert time.monotonic() - began > proxy.idle_seconds, "that is longer than a session is kept"
        assert not proxy.leaked
    assert proxy.broken_rules == []


def test_a_viewer_who_reads_nothing_is_given_up(proxy: DispatcharrProxy) -> None:
    proxy.send_timeout = 0.3
    large = Pattern(200_000_000, 1)
    proxy.provider.streams["11"] = STREAMS[0]._replace(film=large)
    with asking(proxy.port, path("s"), "bytes=0-") as answer:
        answer.read(1000)
        eventually(lambda: not proxy.stats()["vod_connections"])
        with pytest.raises((IncompleteRead, ConnectionError)) as error:
            answer.read()
    if isinstance(error.value, IncompleteRead):
        assert 0 < len(error.value.partial) < 100_000_000, "what was in the sockets, then the end"


def test_what_a_bad_reader_does_is_noted(proxy: DispatcharrProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcharr_proxy, "_SECONDS_SILENT", 600.0)
    proxy.idle_seconds = 600.0
    get(proxy.port, path("s"), "bytes=-5", Authorization="x")
    get(proxy.port, path("s"), "bytes=0-4")
    get(proxy.port, path("s", uuid=OTHER), "bytes=0-4")
    assert {each.split(":")[0] for each in proxy.broken_rules} == {"rule 1", "rule 2", "rule 4", "rule 7"}


# Faults that the facts tell of, and what is needed beside the proxy.


def test_other_faults(proxy: DispatcharrProxy) -> None:
    proxy.provider.faults["11"] = Fault(page=True, times=1)
    got = get(proxy.port, path("s"), "bytes=0-")
    assert (got.status, got.headers["content-type"], got.body) == (206, "text/html", PAGE)
    settle(proxy)
    proxy.provider.faults["11"] = Fault(longer_by=500)
    got = get(proxy.port, path("t"), "bytes=0-")
    assert (got.headers["content-range"], len(got.body)) == (f"bytes 0-{FILM.size + 499}/{FILM.size + 500}", FILM.size)
    proxy.refusals.extend([503, 429])
    assert [get(proxy.port, path("u"), "bytes=0-").status for _ in range(2)] == [503, 429]
    proxy.provider.faults.clear()
    settle(proxy)
    proxy.provider.streams["11"] = STREAMS[0]._replace(film=ANOTHER)
    assert get(proxy.port, path("v"), "bytes=0-").body == ANOTHER.read(0, ANOTHER.size)


def test_a_restart_cuts_viewers_off_and_forgets_slots(proxy: DispatcharrProxy) -> None:
    proxy.provider.streams["11"] = STREAMS[0]._replace(film=Pattern(200_000_000, 1))
    with asking(proxy.port, path("s"), "bytes=0-") as answer:
        answer.read(1000)
        proxy.restart(away=0.3)
        with pytest.raises((IncompleteRead, ConnectionError)):
            answer.read()
    assert not proxy.slots
    eventually(lambda: get(proxy.port, path("t"), "bytes=0-9").status == 206)


def test_the_provider_answers_as_an_xtream_panel(proxy: DispatcharrProxy) -> None:
    provider = proxy.provider
    where = f"/movie/viewer/{PASSWORD}/11.mkv"
    assert get(provider.port, where, method="HEAD").headers["content-length"] == str(FILM.size)
    got = get(provider.port, where, "bytes=-1000")
    assert (got.status, got.body) == (206, FILM.read(FILM.size - 1000, 1000))
    assert got.headers["content-range"] == f"bytes {FILM.size - 1000}-{FILM.size - 1}/{FILM.size}"
    assert get(provider.port, where, "bytes=90000000-").status == 416
    assert get(provider.port, where.replace(PASSWORD, "wrong")).status == 404
    assert b'href="11.mkv"' in get(provider.port, "/listing/1/").body
    provider.max_connections = {1: 1}
    eventually(lambda: provider.counted(1).open_now == 0)
    with asking(provider.port, where, "bytes=0-"):
        assert get(provider.port, where, "bytes=5-").status == 403
        assert (provider.counted(1).open_now, provider.counted(2).opened) == (1, 0)


def test_faults_of_the_provider_reach_those_who_ask_it_directly(proxy: DispatcharrProxy) -> None:
    where = f"/movie/viewer/{PASSWORD}/11.mkv"
    for fault, status, length in (
        (Fault(status=429), 429, 7),
        (Fault(ignores_ranges=True), 200, FILM.size),
        (Fault(drops_after=1000), 206, 1000),
        (Fault(stalls_after=1000, stalls_for=0.1), 206, FILM.size - 5),
    ):
        proxy.provider.faults["11"] = fault
        got = get(proxy.provider.port, where, "bytes=5-")
        assert (got.status, len(got.body)) == (status, length)


def test_it_serves_from_a_process_of_its_own(real_films: dict[str, Path]) -> None:
    film = real_films["ts"]
    streams = [Stream(UUID, 1, "11", film, extension=".ts"), Stream(OTHER, 1, "33", ANOTHER, number=3)]
    with ProxyProcess(streams, max_streams={1: 1}) as process:
        request: Any = Request(process.url + path("s"), headers={"Range": "bytes=7-"})
        with urlopen(request) as answer:
            assert answer.read() == film.read_bytes()[7:]
        process.change(faults={"11": {"status": 404}}, max_streams={1: 0})
        with urlopen(process.url + path("t", uuid=OTHER)) as answer:
            assert answer.read() == ANOTHER.read(0, ANOTHER.size)
        assert process.counters()["opened"] == 2


def test_the_films_are_what_they_are_called(real_films: dict[str, Path], tmp_path: Path) -> None:
    def probe(film: Path) -> str:
        command = ("ffprobe", "-v", "error", "-show_entries", "format=format_name", "-of", "csv=p=0", film)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip('"\n').split(",")[0]

    assert {name: probe(film) for name, film in real_films.items()} == {
        "mkv-cues-behind": "matroska", "mkv-cues-before": "matroska", "mp4-moov-behind": "mov",
        "mp4-moov-before": "mov", "ts": "mpegts", "avi": "avi",
    }  # fmt: skip
    content = {name: film.read_bytes() for name, film in real_films.items()}
    cues, cluster = b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75"
    assert content["mkv-cues-before"].index(cues, 500) < content["mkv-cues-before"].index(cluster)
    assert content["mkv-cues-behind"].rindex(cues) > content["mkv-cues-behind"].rindex(cluster)
    assert content["mp4-moov-before"].index(b"moov") < content["mp4-moov-before"].index(b"mdat")
    assert content["mp4-moov-behind"].rindex(b"moov") > content["mp4-moov-behind"].index(b"mdat")
    large = make_large(real_films["mp4-moov-behind"], tmp_path / "large.mp4", 5_000_000_000)
    assert (probe(large), large.stat().st_size) == ("mov", 5_000_000_000)
    assert large.stat().st_blocks * 512 < 10_000_000


def test_a_pattern_shows_a_wrong_offset() -> None:
    film = Pattern(5_000_000_000, 4)
    block = film.read(4_000_000_000, BLOCK)
    assert len(block) == BLOCK
    assert all(film.read(4_000_000_000 + shift, BLOCK) != block for shift in (1, 512, 4096, 1 << 20, 1 << 30))
