"""The protocol: requests of a real kernel are answered byte for byte as when they were recorded, and others, whatever
they hold, with something that the kernel takes."""

import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from kernel import OPENDIR
from record_requests import example, recorded

from vod2strmfs.library.kinds import ROOT_INODE, node_of
from vod2strmfs.mount import wire
from vod2strmfs.mount.handlers import LibraryHandlers
from vod2strmfs.mount.trace import traced

HEADER = struct.Struct("=IIQQIIIHH")
FOLDERS = frozenset(node_of(HEADER.unpack_from(request)[3]) for request, _ in recorded() if request[4] == OPENDIR)


@pytest.fixture
def handlers(tmp_path: Path) -> Iterator[LibraryHandlers]:
    """The handlers of the library of which was recorded."""
    with example(tmp_path) as handlers:
        yield handlers


def test_what_a_kernel_asked_is_answered_byte_for_byte(handlers: LibraryHandlers) -> None:
    asked: Counter[int] = Counter()
    for request, reply in recorded():
        now = wire.answer(handlers, request)
        assert now == reply, (wire.describe(request, reply), wire.describe(request, now))
        asked[HEADER.unpack_from(request)[1]] += 1
    # What it asks of a read-only file system, and what it would if this were none.
    assert asked.keys() & {2, 42}, "it forgets, one by one or many at once"
    assert asked.keys() >= {1, 3, 4, 8, 9, 10, 11, 13, 14, 15, 17, 18, 22, 23, 25, 27, 29, 44}
    assert handlers.failures == 0


def mutated(chance: random.Random, requests: list[bytes]) -> bytes:
    """A request of a kernel in which something is wrong, or none at all."""
    request = bytearray(chance.choice(requests))
    for _ in range(chance.randrange(4)):
        way = chance.randrange(5)
        if way == 0 and request:
            request[chance.randrange(len(request))] = chance.randrange(256)
        elif way == 1:
            del request[chance.randrange(len(request) + 1) :]
        elif way == 2:
            request += chance.randbytes(chance.randrange(100))
        elif way == 3 and len(request) >= 8:
            struct.pack_into("=I", request, 4, chance.randrange(60))
        elif len(request) >= 48:
            number = chance.choice((0, 1, 2, 3, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, chance.getrandbits(64)))
            struct.pack_into("=Q", request, chance.randrange(16, len(request) - 7), number)
    return bytes(request)


def _opens_what_is_none(request: bytes) -> bool:
    """Whether it opens the directory of something that has none. The kernel opens only what was said to be one, so that
    is taken for damage."""
    if len(request) < HEADER.size or HEADER.unpack_from(request)[1] != OPENDIR:
        return False
    inode = HEADER.unpack_from(request)[3]
    return inode != ROOT_INODE and node_of(inode) not in FOLDERS


def test_no_request_whatever_it_holds_ends_a_mount(
    handlers: LibraryHandlers, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(16)
    requests = [request for request, _ in recorded()]
    ended: Counter[str] = Counter()
    damage: list[bytes] = []
    answer = traced(partial(wire.answer, handlers))
    for _ in range(1_000_000 if soak else 20_000):
        request = mutated(chance, requests)
        if _opens_what_is_none(request):
            continue
        handlers.on_damage = partial(damage.append, request)
        reply = answer(request)
        ended[wire.describe(request, reply)[1]] += 1
        if reply is None:
            continue
        assert isinstance(reply, bytes)
        length, number, unique = struct.unpack_from("=IiQ", reply)
        assert (length, unique) == (len(reply), HEADER.unpack_from(request)[2])
        assert -512 < number <= 0
        # 0 would make a notification of it.
        assert unique
        assert not number or length == 16
    assert [(wire.describe(request, None)[0], request.hex()) for request in damage] == []
    assert handlers.failures == 0
    assert ended["ok"] > ended.total() / 10
    assert {"EBADF", "EINVAL", "EISDIR", "ENOSYS", "EROFS", "ESTALE", "no reply", "no request"} <= ended.keys()
    record_property("ended", dict(ended))
