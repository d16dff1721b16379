"""Real readers of a real mount of films, whose provider and Dispatcharr fail on the way."""

import filecmp
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import random_reader
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Asked, Fault, Stream
from films import catalogue_of, make_long
from mounts import eventually, mounted
from postgres_server import PostgresServer

_LONG_BYTES = 32_000_000
"""Much more than is kept on disk."""
_READERS = 8
_COPIED, _CLOSED, _UNREAD = "long-copied", "long-closed", "long-unread"
"""Hardly more than one test reads each, since what was read is in memory for half a minute."""
_STALLS_AFTER = 3_000_000
"""Bytes of an answer."""


def streams_of(films: dict[str, Path]) -> list[Stream]:
    """One account for each film, so that none waits for another to be learnt; the last two share one."""
    return [
        Stream(str(UUID(int=number)), min(number, len(films) - 1), f"s{number}", film, extension=film.suffix)
        for number, film in enumerate(films.values(), 1)
    ]


class Shown(NamedTuple):
    """A mount that shows all films."""

    proxy: DispatcharrProxy
    films: dict[str, Path]
    """The files that the provider has."""
    paths: dict[str, Path]
    """Where they are in the mount."""


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, real_films: dict[str, Path], soak: bool
) -> Iterator[Shown]:
    """A double, and a mount that shows all films of it."""
    directory = tmp_path_factory.mktemp("readers")
    films = dict(real_films) if soak else {"ts": real_films["ts"]}
    for number in range(4 if soak else 1):
        path = directory / f"long-{number}.mkv"
        films[path.stem] = make_long(real_films["mkv-cues-behind"], path, _LONG_BYTES + number)
    for number, name in enumerate((_COPIED, _CLOSED, _UNREAD), 1):
        films[name] = make_long(real_films["mkv-cues-behind"], directory / f"{name}.mkv", _LONG_BYTES - number)
    streams, url = streams_of(films), postgres.new_database()
    names = {each.uuid: f"Film {name}" for each, name in zip(streams, films, strict=True)}
    catalogue_of(streams, names).write(url)
    with DispatcharrProxy(streams, max_streams={each.account: 1 for each in streams}) as proxy:
        hurry = ("--base-url", proxy.url, "--learn-rate", "6000", "--pace", "1000", "--max-streams", "1")
        with mounted(directory, url, *hurry, what="films") as mount:
            paths = {
                name: mount.path / f"Movies/Film {name} (2001)/Film {name} (2001){film.suffix}"
                for name, film in films.items()
            }
            eventually(lambda: all(each.exists() for each in paths.values()))
            yield Shown(proxy, films, paths)
            assert proxy.broken_rules == []
            assert not proxy.leaked.total()


def _long(shown: Shown) -> set[str]:
    """The films of which most is not kept on disk."""
    return {name for name in shown.films if name.startswith("long")}


def picture(film: Path) -> bytes:
    """A hash of the picture at half of a film, as ffmpeg finds it."""
    command: list[str | Path] = ["ffmpeg", "-v", "error", "-ss", "15", "-i", film, "-frames:v", "1", "-f", "md5", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def unsure(seed: int, share: float) -> Any:
    """What goes wrong with a share of the provider's answers, in all ways that a film of the same bytes can fail."""
    chance = random.Random(seed)

    def fault(asked: Asked) -> Fault | None:
        place = chance.randrange(3_000_000)
        faults = (
            Fault(drops_after=place, times=1), Fault(stalls_after=place, stalls_for=0.5, times=1),
            Fault(stalls_after=place, times=1), Fault(status=503, times=1), Fault(page=True, times=1),
            Fault(ignores_ranges=True, times=1), Fault(longer_by=-1000, times=1), Fault(rate=2_000_000, times=1),
        )  # fmt: skip
        return chance.choice(faults) if chance.random() < share else None

    return fault


def read_at_random(paths: list[Path], films: list[Path], reads: int, far: float) -> list[dict[str, Any]]:
    """What processes found that read films at the same time."""
    running = [
        subprocess.Popen(
            [sys.executable, random_reader.__file__, paths[number % len(paths)], films[number % len(films)],
             str(number), str(reads), str(far)], stdout=subprocess.PIPE,
        )
        for number in range(_READERS)
    ]  # fmt: skip
    return [json.loads(each.communicate()[0]) for each in running]


def test_whatever_reads_files_reads_films(shown: Shown, tmp_path: Path) -> None:
    for name in shown.films.keys() - _long(shown):
        path, film, copy = shown.paths[name], shown.films[name], tmp_path / "copy"
        content = film.read_bytes()
        dd = ["dd", f"if={path}", f"of={copy}", "bs=4097", "skip=300", "count=200", "status=none"]
        subprocess.run(dd, check=True)
        assert copy.read_bytes() == content[300 * 4097 : 500 * 4097], name
        assert picture(path) == picture(film) != b"", name
        for program in ("cp", "rsync"):
            copy.unlink(missing_ok=True)
            subprocess.run([program, path, copy], check=True)
            assert copy.read_bytes() == content, name


def test_a_film_that_is_copied_is_asked_for_once(shown: Shown, tmp_path: Path) -> None:
    asked = len(shown.proxy.provider.asked)
    subprocess.run(["cp", shown.paths[_COPIED], tmp_path / "copy"], check=True)
    assert filecmp.cmp(tmp_path / "copy", shown.films[_COPIED], shallow=False)
    assert len(shown.proxy.provider.asked) == asked + 1


def test_a_film_that_is_closed_gives_its_stream_to_the_next_while_its_provider_is_silent(shown: Shown) -> None:
    place = 5_000_000
    shown.proxy.provider.faults[f"s{len(shown.films) - 1}"] = Fault(stalls_after=_STALLS_AFTER)
    try:
        with shown.paths[_CLOSED].open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(place)
            while file.tell() < place + _STALLS_AFTER - (64 << 10):
                assert file.read(32 << 10)  # The kernel reads ahead, and waits for what does not come.
        with shown.paths[_UNREAD].open("rb", buffering=0) as file, shown.films[_UNREAD].open("rb") as original:
            original.seek(place)
            file.seek(place)
            assert file.read(100_000) == original.read(100_000)
    finally:
        shown.proxy.provider.faults.clear()


def test_random_reads_while_everything_fails_are_right_or_errors(shown: Shown, soak: bool) -> None:
    names, asked = sorted(_long(shown) - {_COPIED, _CLOSED, _UNREAD}), len(shown.proxy.provider.asked)
    shown.proxy.stall_timeout = 0.5
    shown.proxy.provider.fault = unsure(1, 0.05 if soak else 0.3)
    try:
        found = read_at_random(
            [shown.paths[name] for name in names],
            [shown.films[name] for name in names],
            *((12_500, 0.01) if soak else (12, 0.2)),
        )
    finally:
        shown.proxy.provider.fault = lambda _: None
    assert [each["wrong"] for each in found] == [""] * _READERS
    assert sum(each["right"] for each in found) > sum(each["errors"] for each in found)
    assert len(shown.proxy.provider.asked) > asked


def test_a_film_that_breaks_off_again_and_again_is_read_to_its_end(shown: Shown) -> None:
    path, film = shown.paths[_UNREAD], shown.films[_UNREAD]
    chance, asked = random.Random(2), len(shown.proxy.provider.asked)
    shown.proxy.provider.fault = lambda _: Fault(drops_after=chance.randrange(3_000_000, 12_000_000))
    try:
        with path.open("rb", buffering=0) as file, film.open("rb", buffering=0) as original:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while block := original.read(1 << 17):
                assert file.read(1 << 17) == block, original.tell()
    finally:
        shown.proxy.provider.fault = lambda _: None
    assert len(shown.proxy.provider.asked) > asked + 2
