"""The event loop of a mount: quick while requests come, fair to the other tasks, quiet when idle."""

import os
import signal
import threading
import time
from pathlib import Path

import pyfuse3
import trio
import trio.testing
from mounts import eventually, mounted

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.mount.loop import Waiter, direct


def test_other_tasks_have_their_turn_while_requests_flood_in() -> None:
    reader, writer = os.pipe()
    waiting = os.write(writer, b"x" * 50_000)
    turns = reads = 0

    async def serve() -> None:
        nonlocal reads
        while turns < 20 and reads < waiting:
            await pyfuse3.trio.lowlevel.wait_readable(reader)  # type: ignore[attr-defined]
            os.read(reader, 1)
            reads += 1

    async def other() -> None:
        nonlocal turns
        for _ in range(20):
            await trio.sleep(0)
            turns += 1

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            nursery.start_soon(other)

    with direct():
        trio.run(main)
    os.close(reader)
    os.close(writer)
    assert 20 < reads < waiting


def test_waiting_can_be_cancelled_and_closed() -> None:
    reader, writer = os.pipe()

    async def main() -> None:
        wait_readable = pyfuse3.trio.lowlevel.wait_readable  # type: ignore[attr-defined]
        with trio.move_on_after(0.05) as scope:
            await wait_readable(reader)
        assert scope.cancelled_caught
        closed = []

        async def wait() -> None:
            try:
                await wait_readable(reader)
            except trio.ClosedResourceError:
                closed.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked(0.05)
            pyfuse3.trio.lowlevel.notify_closing(reader)  # type: ignore[attr-defined]
        assert closed

    with direct():
        trio.run(main)
    os.close(reader)
    os.close(writer)


def test_what_comes_next_is_prepared_only_while_nothing_waits() -> None:
    reader, writer = os.pipe()
    prepared = 0

    def prepare() -> None:
        nonlocal prepared
        prepared += 1
        if prepared == 1:
            os.write(writer, b"x")

    async def main() -> None:
        wait_readable = pyfuse3.trio.lowlevel.wait_readable  # type: ignore[attr-defined]
        os.write(writer, b"x")
        await wait_readable(reader)
        assert prepared == 0
        os.read(reader, 1)
        await wait_readable(reader)
        assert prepared == 1

    with direct(Waiter(prepare)):
        trio.run(main)
    os.close(reader)
    os.close(writer)


def test_trio_is_put_back() -> None:
    with direct():
        assert vars(pyfuse3)["trio"] is not trio
    assert vars(pyfuse3)["trio"] is trio


def test_an_idle_mount_uses_no_processor_time(tmp_path: Path) -> None:
    write_demo(f"sqlite:///{tmp_path}/demo.db", movies=5, series=1, episodes=2, seed=1)
    with mounted(tmp_path, f"sqlite:///{tmp_path}/demo.db", "--poll-interval", "3600") as mount:

        def used() -> float:
            fields = Path(f"/proc/{mount.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        time.sleep(0.5)
        before = used()
        time.sleep(2)
        assert used() - before <= 0.1


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
