"""The rules by which bytes of films are asked for, and accepted."""

import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
from cinema import KILOBYTE, MEGABYTE, movie, run
from dispatcharr_proxy import DispatcharrProxy
from film_provider import PASSWORD, Fault, Stream
from media_servers import make_certificate

from vod2strmfs.films.film import Address
from vod2strmfs.films.upstream import Answer, Deadlines, Session, Upstream, UpstreamError, UpstreamKind

SIZE = 64 * MEGABYTE + 17
"""More than sockets hold: an answer is under way until it is closed."""
FAST = Deadlines(connect=5, answer=5, silence=5, quiet=0)


@pytest.fixture
def film() -> Stream:
    """A film of account 1."""
    return movie(1, SIZE)


@pytest.fixture
def proxy(film: Stream) -> Iterator[DispatcharrProxy]:
    """A Dispatcharr that has it."""
    with DispatcharrProxy([film]) as proxy:
        yield proxy


def address(proxy: DispatcharrProxy, film: Stream) -> Address:
    """Where Dispatcharr has it."""
    return Address(f"{proxy.url}/proxy/vod/movie/{film.uuid}?stream_id={film.stream}&m3u_account_id={film.account}")


def direct(proxy: DispatcharrProxy, film: Stream) -> Address:
    """Where its provider has it."""
    return Address(proxy.provider.url + film.path, direct=True)


async def receive(answer: Answer, size: int = 256 * KILOBYTE) -> bytes:
    """All that an answer gives."""
    room, data = memoryview(bytearray(size)), bytearray()
    while count := await answer.receive_into(room):
        data += room[:count]
    return bytes(data)


async def broken_off(answer: Answer, size: int = 256 * KILOBYTE) -> tuple[bytes, UpstreamKind]:
    """All that an answer gives before it fails, and how it does."""
    room, data = memoryview(bytearray(size)), bytearray()
    try:
        while count := await answer.receive_into(room):
            data += room[:count]
    except UpstreamError as error:
        return bytes(data), error.kind
    raise AssertionError("it did not fail")


def expected(film: Stream, start: int, stop: int) -> bytes:
    """What is right."""
    return film.film.read(start, stop - start)  # type: ignore[union-attr]


class Scripted:
    """A server on loopback that answers each request with bytes that a test gives it.

    Args:
        answers: of the requests in turn; the last one of all that follow.
        certificate: its own, if it speaks https.
    """

    def __init__(self, *answers: bytes, certificate: Path | None = None) -> None:
        self.requests: list[str] = []
        self._answers = answers
        self._server = socket.create_server(("127.0.0.1", 0))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context and certificate:
            self._context.load_cert_chain(certificate)
        place = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.url = f"{'https' if certificate else 'http'}://{place}/proxy/vod/movie/x?stream_id=1"

    def serve(self) -> None:
        """Answer until it is closed."""
        while True:
            try:
                viewer, _ = self._server.accept()
            except OSError:
                return
            with viewer, suppress(ssl.SSLError):
                self._answer(self._context.wrap_socket(viewer, server_side=True) if self._context else viewer)

    def _answer(self, viewer: socket.socket) -> None:
        with viewer:
            request = b""
            while b"\r\n\r\n" not in request:
                request += viewer.recv(4096)
            self.requests.append(request.decode())
            viewer.sendall(self._answers[min(len(self.requests), len(self._answers)) - 1])

    def close(self) -> None:
        """Stop."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@contextmanager
def scripted(*answers: bytes, certificate: Path | None = None) -> Iterator[Scripted]:
    """Such a server that runs."""
    server = Scripted(*answers, certificate=certificate)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def head(status: str, *lines: str) -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def part(span: str, length: int, *lines: str) -> bytes:
    """The head of an answer that is a part of a film."""
    return head("206 Partial Content", f"Content-Range: bytes {span}", f"Content-Length: {length}", *lines)


def kind_of(where: Address, test: Callable[[Session], object] | None = None, **options: object) -> UpstreamError:
    """How opening a film fails."""

    async def opening() -> UpstreamError:
        async with Upstream(deadlines=FAST).session(where, "film", **options) as session:  # type: ignore[arg-type]
            with pytest.raises(UpstreamError) as error:
                await receive(await session.open(0))
            return error.value

    return run(opening)


def test_every_session_names_itself_and_the_film_in_the_path(proxy: DispatcharrProxy, film: Stream) -> None:
    """Rule 1. So Dispatcharr has no reason to send it on."""

    async def test() -> list[str]:
        ids = []
        for _ in range(2):
            async with Upstream(deadlines=FAST).session(address(proxy, film), "m1-a/ 1?") as session:
                answer = await session.open(0, 10)
                assert await receive(answer) == expected(film, 0, 10)
                await (await session.open(10, 20)).close()
                ids.append(session.id)
        return ids

    ids = run(test)
    assert len(set(ids)) == 2
    assert all(each.startswith("v2s-m1-a__1_-") for each in ids)
    paths = [request.split()[1].partition("?")[0] for request in proxy.requests]
    assert paths == [f"/proxy/vod/movie/{film.uuid}/{each}" for each in ids for _ in range(2)]
    assert all(f"?stream_id={film.stream}&m3u_account_id=1 " in request for request in proxy.requests)
    assert "rule 1" not in str(proxy.broken_rules)


def test_a_session_is_left_alone_after_its_last_answer(proxy: DispatcharrProxy, film: Stream) -> None:
    """Rule 2: also if all of it came and nobody has closed it, and if another session reads the same film next."""

    async def test() -> None:
        upstream = Upstream()
        async with upstream.session(address(proxy, film), "film") as session:
            begun = trio.current_time()
            await receive(await session.open(0, 10))
            answer = await session.open(SIZE - 10)
            assert trio.current_time() - begun >= 2
            begun = trio.current_time()
            await receive(answer)
        async with upstream.session(address(proxy, film), "learner") as session:
            await session.open(0)
            assert trio.current_time() - begun >= 2
            begun = trio.current_time()
            await session.open(10)
            assert trio.current_time() - begun < 2, "one is open"

    run(test)
    assert not proxy.broken_rules


def test_the_first_request_of_a_session_is_alone(proxy: DispatcharrProxy, film: Stream) -> None:
    """Rule 2."""
    proxy.provider.always = Fault(latency=0.2)

    async def test() -> None:
        session = Upstream(deadlines=FAST).session(address(proxy, film), "film")
        async with session, trio.open_nursery() as nursery:
            nursery.start_soon(session.open, 0)
            nursery.start_soon(session.open, MEGABYTE)

    run(test)
    assert len(proxy.requests) == 2
    assert not proxy.broken_rules


def test_two_answers_are_open_at_most_and_few_requests_are_sent_within_a_second(
    proxy: DispatcharrProxy, film: Stream
) -> None:
    """Rule 3. Dispatcharr hangs up on the provider a second after each answer."""

    async def test() -> None:
        async with Upstream(deadlines=FAST).session(address(proxy, film), "film") as session:
            old = await session.open(0)
            begun = trio.current_time()
            for place in range(1, 6):
                new = await session.open(place)
                with pytest.raises(AssertionError):
                    await session.open(0)
                await old.close()
                old = new
            assert trio.current_time() - begun >= 1

    run(test)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (head("200 OK", "Content-Length: 100"), UpstreamKind.UNSEEKABLE),
        (head("200 OK", "Content-Length: 100", "Content-Type: text/html"), UpstreamKind.NOT_A_FILM),
        (head("206 Partial Content", "Content-Length: 100"), UpstreamKind.UNSEEKABLE),
        (part("0-99/*", 100), UpstreamKind.UNSEEKABLE),
        (part("1-99/100", 99), UpstreamKind.UNSEEKABLE),
        (part("0-100/100", 101), UpstreamKind.UNSEEKABLE),
        (part("0-99/100", 99), UpstreamKind.UNSEEKABLE),
        (part("0-99/100", 100, "Content-Length: 99"), UpstreamKind.AWAY),
        (head("206 Partial Content", "Content-Range: bytes 0-99/100"), UpstreamKind.UNSEEKABLE),
        (part("0-99/100", 100, "Content-Encoding: gzip"), UpstreamKind.UNSEEKABLE),
        (part("0-99/100", 100, "Content-Type: text/html; charset=utf-8"), UpstreamKind.NOT_A_FILM),
        (part("0-99/100", 100, "Content-Type: application/vnd.apple.mpegurl"), UpstreamKind.NOT_A_FILM),
        (part("0-99/101", 100), UpstreamKind.CHANGED),
        (head("301 Moved", "Location: /elsewhere", "Content-Length: 0"), UpstreamKind.FAILED),
        (part("0-49/100", 50), UpstreamKind.UNSEEKABLE),
        (head("401 Unauthorized", "Content-Length: 0"), UpstreamKind.FORBIDDEN),
        (head("403 Forbidden", "Content-Length: 0"), UpstreamKind.FORBIDDEN),
        (head("404 Not Found", "Content-Length: 0"), UpstreamKind.GONE),
        (head("416 Range Not Satisfiable", "Content-Length: 0"), UpstreamKind.FAILED),
        (head("429 Too Many Requests", "Content-Length: 0"), UpstreamKind.BUSY),
        (head("500 Internal Server Error", "Content-Length: 0"), UpstreamKind.FAILED),
        (head("502 Bad Gateway", "Content-Length: 0"), UpstreamKind.AWAY),
        (head("503 Service Unavailable", "Content-Length: 0"), UpstreamKind.BUSY),
        (b"SSH-2.0-OpenSSH_9.2\r\n", UpstreamKind.AWAY),
        (b"", UpstreamKind.AWAY),
    ],
)
def test_an_answer_is_accepted_only_if_all_that_it_says_fits(answer: bytes, kind: UpstreamKind) -> None:
    """Rule 4."""
    with scripted(answer + b"x" * 100) as server:
        assert kind_of(Address(server.url), total=100).kind == kind
    assert len(server.requests) == 1, "none is followed"


def test_the_total_of_every_answer_is_that_of_the_first() -> None:
    """Rule 4."""
    with scripted(part("0-9/100", 10) + b"x" * 10, part("10-19/101", 10) + b"x" * 10) as server:

        async def test() -> None:
            async with Upstream(deadlines=FAST).session(Address(server.url), "film") as session:
                assert await receive(await session.open(0, 10)) == b"x" * 10
                assert session.total == 100
                with pytest.raises(UpstreamError, match="101 bytes now where there were 100") as error:
                    await session.open(10, 20)
                assert error.value.kind == UpstreamKind.CHANGED

        run(test)
    ids = {request.split("?")[0].rpartition("/")[2] for request in server.requests}
    assert len(ids) == 1


def test_after_an_answer_that_does_not_fit_the_session_gets_another_id() -> None:
    """Rule 4."""
    with scripted(part("5-9/10", 5), part("0-9/10", 10) + b"x" * 10) as server:

        async def test() -> None:
            async with Upstream(deadlines=FAST).session(Address(server.url), "film") as session:
                with pytest.raises(UpstreamError):
                    await session.open(0)
                assert await receive(await session.open(0)) == b"x" * 10

        run(test)
    first, second = (request.split("?")[0] for request in server.requests)
    assert first != second


def test_an_answer_may_end_before_what_was_asked_for() -> None:
    """Some providers give a few megabytes at once. The film is read on from there."""
    with scripted(part(f"0-{MEGABYTE - 1}/{2 * MEGABYTE}", MEGABYTE) + b"x" * MEGABYTE) as server:

        async def test() -> None:
            async with Upstream(deadlines=FAST).session(Address(server.url, direct=True), "film") as session:
                answer = await session.open(0)
                assert (answer.start, answer.stop, answer.total) == (0, MEGABYTE, 2 * MEGABYTE)
                assert await receive(answer) == b"x" * MEGABYTE

        run(test)


def test_of_what_comes_after_the_end_nothing_is_given() -> None:
    """Rule 5."""
    with scripted(part("0-9/10", 10) + b"x" * 10 + b"Error: Stream interrupted") as server:

        async def test() -> None:
            async with Upstream(deadlines=FAST).session(Address(server.url), "film") as session:
                assert await receive(await session.open(0)) == b"x" * 10

        run(test)


@pytest.mark.parametrize("room", [1, 7, 26, 100, 64 * KILOBYTE, 2 * MEGABYTE])
def test_the_last_bytes_of_an_answer_that_ends_early_are_not_given(
    proxy: DispatcharrProxy, film: Stream, room: int
) -> None:
    """Rule 5: they may be Dispatcharr's error text. However much is asked for at once."""
    length = 3000 if room < 100 else 2 * MEGABYTE
    proxy.provider.faults[film.stream] = Fault(drops_after=length)

    async def test() -> bytes:
        async with Upstream(deadlines=FAST).session(address(proxy, film), "film") as session:
            answer = await session.open(1000)
            data, kind = await broken_off(answer, room)
            assert kind == UpstreamKind.SHORT
            assert not answer.is_open
            return data

    assert run(test) == expected(film, 1000, 1000 + length)


@pytest.mark.parametrize("room", [1, 25, 26, 4096, 2 * MEGABYTE])
def test_an_answer_is_given_whole_whatever_room_there_is(proxy: DispatcharrProxy, film: Stream, room: int) -> None:
    """The bytes are the film's, from its first to its last."""
    size = 300 if room < 100 else 2 * MEGABYTE

    async def test() -> None:
        async with Upstream(deadlines=FAST).session(address(proxy, film), "film") as session:
            assert await receive(await session.open(SIZE - size), room) == expected(film, SIZE - size, SIZE)

    run(test)


def test_a_read_that_was_given_up_loses_no_bytes(proxy: DispatcharrProxy, film: Stream) -> None:
    """Whoever seeks interrupts what is being received."""
    proxy.provider.always = Fault(rate=2e6)

    async def test() -> None:
        room, data = memoryview(bytearray(20_000)), bytearray()
        async with Upstream(deadlines=FAST).session(address(proxy, film), "film") as session:
            answer = await session.open(0, MEGABYTE)
            while len(data) < MEGABYTE:
                with trio.move_on_after(0.002):
                    received = await answer.receive_into(room)
                    assert received, "the end is lost"
                    data += room[:received]
        assert data == expected(film, 0, MEGABYTE)

    run(test)


def test_whoever_is_interrupted_hangs_up_all_the_same(proxy: DispatcharrProxy, film: Stream) -> None:
    """An answer is closed once all has come: what has just come would be lost, if that were interrupted."""

    async def test() -> None:
        async with Upstream(deadlines=FAST).session(address(proxy, film), "film") as session:
            answer = await session.open(0)
            with trio.CancelScope() as scope:
                scope.cancel()
                await answer.close()
            assert not scope.cancelled_caught

    run(test)


def test_what_stops_coming_is_an_error(proxy: DispatcharrProxy, film: Stream) -> None:
    """What came before is given."""
    proxy.provider.faults[film.stream] = Fault(stalls_after=500_000)
    deadlines = Deadlines(silence=0.5)

    async def test() -> None:
        async with Upstream(deadlines=deadlines).session(address(proxy, film), "film") as session:
            data, kind = await broken_off(await session.open(0))
            assert kind == UpstreamKind.STALLED
            assert data == expected(film, 0, 500_000 - 25)

    run(test)


def test_an_answer_that_does_not_come_is_an_error(proxy: DispatcharrProxy, film: Stream) -> None:
    """Within its deadline."""
    proxy.provider.faults[film.stream] = Fault(latency=3)

    async def test() -> None:
        async with Upstream(deadlines=Deadlines(answer=0.3)).session(address(proxy, film), "film") as session:
            with pytest.raises(UpstreamError, match="gives no answer") as error:
                await session.open(0)
            assert error.value.kind == UpstreamKind.STALLED

    run(test)


def test_nothing_but_what_is_needed_is_sent(proxy: DispatcharrProxy, film: Stream) -> None:
    """Rule 7: Dispatcharr hands on Authorization and others to the provider, also those of an address."""
    where = address(proxy, film)
    with scripted(part("0-9/10", 10) + b"x" * 10) as server:

        async def test() -> None:
            with_user = server.url.replace("http://", "http://user:secret@")
            async with Upstream(deadlines=FAST, user_agent="us/1").session(Address(with_user), "film") as session:
                await receive(await session.open(0))
            async with Upstream(deadlines=FAST).session(where, "film") as session:
                await session.open(0)

        run(test)
    headers = {line.partition(":")[0].lower() for line in server.requests[0].splitlines()[1:] if line}
    assert headers == {"host", "user-agent", "range", "connection"}
    assert "User-Agent: us/1\r\n" in server.requests[0]
    assert not proxy.broken_rules


def test_a_pause_that_is_asked_for_is_told() -> None:
    """Rule 8."""
    with scripted(head("429 Too Many Requests", "Retry-After: 120", "Content-Length: 0")) as server:
        error = kind_of(Address(server.url))
    assert (error.kind, error.pause) == (UpstreamKind.BUSY, 120)


def test_redirects_of_providers_are_followed_some_times(proxy: DispatcharrProxy, film: Stream) -> None:
    """Panels send players on to another server, with a token."""
    on = head("302 Found", f"Location: {proxy.provider.url}{film.path}", "Content-Length: 0")

    async def test(url: str) -> bytes:
        async with Upstream(deadlines=FAST).session(Address(url, direct=True), "film") as session:
            return await receive(await session.open(10, 20))

    with scripted(head("302 Found", "Location: /again", "Content-Length: 0"), on) as server:
        assert run(lambda: test(server.url)) == expected(film, 10, 20)
    with scripted(head("302 Found", "Location: /again", "Content-Length: 0")) as server:
        error = kind_of(Address(server.url, direct=True))
    assert (error.kind, len(server.requests)) == (UpstreamKind.FAILED, 4)
    with scripted(head("302 Found", "Location: ftp://elsewhere/x", "Content-Length: 0")) as server:
        assert kind_of(Address(server.url, direct=True)).kind == UpstreamKind.FAILED
    for nowhere in ("http://a..b/x", f"http://{'a' * 70}.example/x", "http://xn--/x"):
        with scripted(head("302 Found", f"Location: {nowhere}", "Content-Length: 0")) as server:
            assert kind_of(Address(server.url, direct=True)).kind in (UpstreamKind.AWAY, UpstreamKind.FAILED)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=403), Fault(status=404), Fault(status=458), Fault(status=500), Fault(page=True),
        Fault(ignores_ranges=True), Fault(lengthless=True), Fault(drops_after=100), Fault(longer_by=5),
    ],
    ids=str,
)  # fmt: skip
def test_no_error_says_a_password(proxy: DispatcharrProxy, film: Stream, fault: Fault) -> None:
    """Addresses of providers hold them, and so do Dispatcharr's error pages."""
    for where in (address(proxy, film), direct(proxy, film)):
        proxy.provider.faults[film.stream] = Fault(**vars(fault))
        if fault.ignores_ranges and not where.direct:
            continue  # Dispatcharr says that it is the part that was asked for.
        error = kind_of(where, total=SIZE)
        assert PASSWORD not in f"{error!r} {error} {error.why} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize("kind", ["text/html; token=hunter2", "text/html\x1b[2Jhunter2", "audio/x-mpegurl/hunter2"])
def test_of_what_an_answer_says_that_it_is_nothing_is_repeated_but_a_known_word(kind: str) -> None:
    """It can be anything, and is shown in terminals and logs."""
    with scripted(part("0-99/100", 100, f"Content-Type: {kind}") + b"x" * 100) as server:
        error = kind_of(Address(server.url))
    assert error.kind == UpstreamKind.NOT_A_FILM
    assert error.why.isprintable()
    assert "hunter2" not in error.why


def test_an_address_is_not_shown_wherever_it_gets_into() -> None:
    """It holds a password, and errors hold what they are about."""
    address = Address("http://panel.example/movie/viewer/hunter2/1.mkv", direct=True)
    assert "hunter2" not in f"{address} {address!r} {[address]}"


def test_an_address_that_is_none_or_where_nobody_is_says_so() -> None:
    """Without what it is, which may hold a password."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    away = kind_of(Address(f"http://127.0.0.1:{port}/movie/u/{PASSWORD}/1", direct=True))
    assert (away.kind, away.why) == (UpstreamKind.AWAY, f"127.0.0.1:{port} cannot be reached")
    for url in (
        "nonsense",
        f"http:///{PASSWORD}",
        f"http://\x00{PASSWORD}",
        f"file:///{PASSWORD}",
        f"http://xn--/{PASSWORD}",
    ):
        error = kind_of(Address(url, direct=True))
        assert error.kind == UpstreamKind.FAILED
        assert PASSWORD not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


def test_https_is_read_from_whom_this_host_or_the_settings_trust(tmp_path: Path) -> None:
    """Others are refused, and said to be the reason. What breaks off is told there, too."""
    certificate, body = make_certificate(tmp_path), random.Random(1).randbytes(3 * MEGABYTE)
    whole, short = part(f"0-{len(body) - 1}/{len(body)}", len(body)) + body, 2 * MEGABYTE

    async def test(url: str) -> None:
        async with Upstream(ca_file=certificate, deadlines=FAST).session(Address(url), "film") as session:
            assert await receive(await session.open(0)) == body
            data, kind = await broken_off(await session.open(0))
            assert kind == UpstreamKind.SHORT
            assert data == body[: len(data)]

    with scripted(whole, whole[:short], certificate=certificate) as server:
        run(lambda: test(server.url))
        error = kind_of(Address(server.url))
        assert error.kind == UpstreamKind.AWAY
        assert "shows a certificate that this host does not trust" in error.why


def test_connections_and_bytes_are_counted(proxy: DispatcharrProxy, film: Stream) -> None:
    """For the status."""
    upstream = Upstream(deadlines=FAST)

    async def test() -> None:
        async with upstream.session(direct(proxy, film), "film") as session:
            await receive(await session.open(0, 1000))
            await receive(await session.open(1000, 3000))

    run(test)
    assert (upstream.connections, upstream.received) == (2, 3000)
