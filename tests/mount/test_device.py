"""How a mount answers requests: quick while they come, fair to the other tasks, quiet when idle."""

import errno
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from mounts import TIMEOUT, eventually, mounted

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.mount.device import Device
from vod2strmfs.mount.wire import LaterError, NotYetError, RequestError, refused

_INTERRUPT = 36


class Stand:
    """What stands for the kernel's device: a socket that keeps each request apart, as the device does."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.descriptor = self._theirs.fileno()

    def ask(self, unique: int, opcode: int = 3, body: bytes = b"") -> None:
        """Send a request."""
        self._ours.send(struct.pack("=IIQQIIIHH", 40 + len(body), opcode, unique, 1, 0, 0, 0, 0, 0) + body)

    def replies(self) -> list[tuple[int, int]]:
        """The `unique` and the error of each reply until now."""
        found: list[tuple[int, int]] = []
        self._ours.setblocking(False)
        while True:
            try:
                _, number, unique = struct.unpack_from("=IiQ", self._ours.recv(4096))
            except BlockingIOError:
                return found
            found.append((unique, -number))

    def close(self) -> None:
        """Let go of both ends."""
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def stand() -> "Stand":
    """A device without a kernel."""
    return Stand()


def at_once(request: bytes) -> bytes:
    """Answer that there is no such request."""
    return refused(int(struct.unpack_from("=Q", request, 8)[0]), errno.ENOSYS)


async def serving(device: Device, stand: Stand, work: Callable[[], object]) -> None:
    """Serve while something is done, until nothing is left to do."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.serve, stand.descriptor)
        work()
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()


async def replies(stand: Stand, number: int) -> list[tuple[int, int]]:
    """So many replies as are awaited, and those that have come with them."""
    found = stand.replies()
    with trio.fail_after(TIMEOUT):
        while len(found) < number:
            await trio.sleep(0.01)
            found += stand.replies()
    return found


def test_requests_are_answered_in_the_order_in_which_they_come(stand: Stand) -> None:
    device = Device(at_once)

    def work() -> None:
        for unique in range(2, 200, 2):
            stand.ask(unique)

    trio.run(serving, device, stand, work)
    assert stand.replies() == [(unique, errno.ENOSYS) for unique in range(2, 200, 2)]
    assert device.requests == 99
    stand.close()


def test_other_tasks_have_their_turn_while_requests_flood_in(stand: Stand) -> None:
    turns = 0
    unique = 2

    def answer(request: bytes) -> None:
        nonlocal unique
        # There is always another one.
        unique += 2
        stand.ask(unique)

    async def other() -> None:
        nonlocal turns
        for _ in range(20):
            await trio.sleep(0)
            turns += 1

    async def main() -> None:
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(device.serve, stand.descriptor)
                stand.ask(unique)
                await other()
                nursery.cancel_scope.cancel()

    device = Device(answer)
    trio.run(main)
    assert turns == 20
    assert device.requests > 20
    stand.close()


def test_a_request_that_has_to_wait_is_answered_later_and_stops_no_other(stand: Stand) -> None:
    ready = False

    def answer(request: bytes) -> bytes:
        if not ready and struct.unpack_from("=Q", request, 8)[0] == 2:
            raise NotYetError
        return at_once(request)

    async def main() -> None:
        nonlocal ready
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Device(answer).serve, stand.descriptor)
            stand.ask(2)
            stand.ask(4)
            assert await replies(stand, 1) == [(4, errno.ENOSYS)]
            ready = True
            assert await replies(stand, 1) == [(2, errno.ENOSYS)]
            nursery.cancel_scope.cancel()

    trio.run(main)
    stand.close()


def never(request: bytes) -> bytes | None:
    """Has every request wait, and no interruption."""
    if struct.unpack_from("=I", request, 4)[0] == _INTERRUPT:
        return None
    raise NotYetError


def test_a_request_that_waits_can_be_interrupted(stand: Stand) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Device(never).serve, stand.descriptor)
            stand.ask(2)
            stand.ask(4)
            await trio.sleep(0.1)
            # What was answered, or never was, is not interrupted.
            for unique in (6, 2, 2):
                stand.ask(unique | 1, _INTERRUPT, struct.pack("=Q", unique))
            assert await replies(stand, 1) == [(2, errno.EINTR)]
            await trio.sleep(0.1)
            assert stand.replies() == []
            nursery.cancel_scope.cancel()

    trio.run(main)
    stand.close()


def test_a_request_is_interrupted_before_it_has_begun_to_wait(stand: Stand) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            stand.ask(2)
            stand.ask(3, _INTERRUPT, struct.pack("=Q", 2))  # Both are read before any other task has its turn.
            nursery.start_soon(Device(never).serve, stand.descriptor)
            assert await replies(stand, 1) == [(2, errno.EINTR)]
            nursery.cancel_scope.cancel()

    trio.run(main)
    stand.close()


class Later:
    """Answers the request 2 when it is told what, and others at once."""

    def __init__(self) -> None:
        self.told = trio.Event()
        self.error = 0
        self.cancelled = False

    def answer(self, request: bytes) -> bytes | None:
        """See `Device`."""
        opcode, unique = struct.unpack_from("=IQ", request, 4)
        if unique == 2 and opcode != _INTERRUPT:
            raise LaterError(self._body)
        return at_once(request) if opcode != _INTERRUPT else None

    async def _body(self) -> memoryview:
        try:
            await self.told.wait()
        except trio.Cancelled:
            self.cancelled = True
            raise
        if self.error:
            raise RequestError(self.error)
        return memoryview(b"a part of a film")


@pytest.mark.parametrize("error", [0, errno.EIO])
def test_an_answer_that_is_awaited_comes_when_it_is_there_and_stops_no_other(stand: Stand, error: int) -> None:
    later = Later()
    later.error = error

    async def main() -> None:
        device = Device(later.answer, prepare=unprepared)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(device.serve, stand.descriptor)
            stand.ask(2)
            stand.ask(4)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert stand.replies() == [(4, errno.ENOSYS)]
            later.told.set()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert stand.replies() == [(2, error)]
            nursery.cancel_scope.cancel()

    def unprepared() -> None:
        raise AssertionError("while an answer is awaited, nothing holds up what it needs")

    trio.run(main)
    stand.close()


def test_what_an_interrupted_request_awaits_is_given_up(stand: Stand) -> None:
    later = Later()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Device(later.answer).serve, stand.descriptor)
            stand.ask(2)
            await trio.testing.wait_all_tasks_blocked(0.05)
            stand.ask(3, _INTERRUPT, struct.pack("=Q", 2))
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert (stand.replies(), later.cancelled) == ([(2, errno.EINTR)], True)
            nursery.cancel_scope.cancel()

    trio.run(main)
    stand.close()


def test_what_comes_next_is_prepared_only_while_nothing_waits(stand: Stand) -> None:
    prepared = 0

    def prepare() -> None:
        nonlocal prepared
        prepared += 1
        if prepared == 1:
            assert device.requests == 2
            stand.ask(6)

    def work() -> None:
        stand.ask(2)
        stand.ask(4)

    device = Device(at_once, prepare)
    trio.run(serving, device, stand, work)
    assert device.requests == 3
    stand.close()


def test_an_error_in_a_handler_is_not_taken_for_an_answer(stand: Stand) -> None:
    def answer(request: bytes) -> bytes:
        raise RuntimeError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        trio.run(serving, Device(answer), stand, lambda: stand.ask(2))
    stand.close()


def test_an_idle_mount_uses_no_processor_time(tmp_path: Path) -> None:
    write_demo(f"sqlite:///{tmp_path}/demo.db", movies=5, series=1, episodes=2, seed=1)
    with mounted(tmp_path, f"sqlite:///{tmp_path}/demo.db", "--poll-interval", "3600") as mount:

        def used() -> float:
            fields = Path(f"/proc/{mount.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        def rests() -> bool:
            before = used()
            time.sleep(2)
            return used() - before <= 0.1

        # What follows a start takes longer on a slower machine.
        eventually(rests)


def test_a_mount_follows_and_stops_in_the_middle_of_a_scan(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    write_demo(url, movies=300, series=5, episodes=50, seed=1)
    with mounted(tmp_path, url, "--poll-interval", "3600") as mount:
        stop = threading.Event()

        def scan() -> None:
            while not stop.is_set():
                for directory, _, names in os.walk(mount.path):
                    for name in names:
                        try:
                            os.stat(os.path.join(directory, name + "?"))
                        except OSError:
                            continue

        scanners = [threading.Thread(target=scan) for _ in range(2)]
        for scanner in scanners:
            scanner.start()
        try:
            looks = mount.log.read_text().count("Generation")
            (tmp_path / "demo.db").unlink()
            write_demo(url, movies=310, series=5, episodes=50, seed=2)
            mount.process.send_signal(signal.SIGHUP)
            eventually(lambda: mount.log.read_text().count("Generation") > looks)
            assert mount.stop() == 0
        finally:
            stop.set()
            for scanner in scanners:
                scanner.join()
