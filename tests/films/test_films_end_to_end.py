"""A viewer's way, from a row in PostgreSQL to a slot that is free again."""

import json
import random
import struct
import subprocess
import time
from pathlib import Path

import pytest
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Stream
from films import FILMS, SECONDS
from mounts import Mount, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue

_HURRY = ("--learn-rate", "6000")
_ELSEWHERE = ("--base-url", "http://dispatcharr.example:9191")
"""Where media servers reach Dispatcharr, and the mount does not."""
_LONG = 60 << 20
"""Bytes of a film of which no socket holds the rest, so that a stream ends when its reader ends it."""


@pytest.fixture(scope="session")
def long_film(real_films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mp4 with `moov` behind, and before it a box that every player skips."""
    content = real_films["mp4-moov-behind"].read_bytes()
    moov = content.rindex(b"moov") - 4
    filler = random.Random(20).randbytes(_LONG)
    path = tmp_path_factory.mktemp("long") / "mp4-moov-behind.mp4"
    path.write_bytes(content[:moov] + struct.pack(">I4s", len(filler) + 8, b"free") + filler + content[moov:])
    return path


def titles(films: dict[str, Path]) -> tuple[Catalogue, list[Stream]]:
    """A catalogue of films and of one episode, with the streams that play them. None says what its container is."""
    made = Catalogue()
    account = made.account("Provider")
    streams = []
    for name, film in films.items():
        item = made.movie(f"Film {name}")
        streams.append(Stream(str(item.uuid), account.id, item.relations[0].stream_id, film))
    item = made.episode(made.series("Lost"), 1, 1, "Pilot")
    item.relations[0].stream_id = "an episode's"
    film = next(iter(films.values()))
    return made, [*streams, Stream(str(item.uuid), account.id, item.relations[0].stream_id, film, "episode")]


def movie(mount: Mount, name: str) -> Path:
    """The file of a movie."""
    return mount.path / f"Movies/Film {name}/Film {name}{FILMS[name].extension}"


def probe(path: Path) -> float:
    """How long ffprobe says that a film plays, in seconds."""
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert {each["codec_type"] for each in answer["streams"]} == {"video", "audio"}
    return float(answer["format"]["duration"])


def test_from_a_row_to_a_film_that_is_scanned_for_nothing_and_played_with_seeks(
    tmp_path: Path, postgres: PostgresServer, real_films: dict[str, Path], long_film: Path, soak: bool
) -> None:
    films = {**real_films, "mp4-moov-behind": long_film}
    if not soak:
        films = {name: films[name] for name in ("mkv-cues-behind", "mp4-moov-behind")}
    made, streams = titles(films)
    url = postgres.new_database()
    made.write(url)
    with DispatcharrProxy(streams, max_streams={1: 1}) as proxy:
        with mounted(tmp_path, url, *_ELSEWHERE, "--api-url", proxy.url, *_HURRY, what="films") as mount:
            for shown in (*(movie(mount, name) for name in films), mount.path / "TV/Lost/Season 01/S01E01 – Pilot.mkv"):
                eventually(shown.exists)
            is_scanned_for_nothing(mount, proxy, films)
            is_played_with_seeks(movie(mount, "mp4-moov-behind"), long_film)
            if soak:
                # Who comes back within half a minute finds the stream as he left it.
                time.sleep(30)
                eventually(lambda: is_idle(proxy))
        eventually(lambda: is_idle(proxy))
        assert not proxy.leaked.total()
        assert proxy.broken_rules == [], proxy.requests
    assert b"ERROR" not in mount.log.read_bytes()


def is_idle(proxy: DispatcharrProxy) -> bool:
    """Whether nobody has a slot or a session."""
    return not proxy.slots.total() and not proxy.sessions


def is_scanned_for_nothing(mount: Mount, proxy: DispatcharrProxy, films: dict[str, Path]) -> None:
    """Scan films as media servers do."""
    eventually(lambda: is_idle(proxy))
    asked = len(proxy.requests)
    for name, film in films.items():
        shown = movie(mount, name)
        assert shown.stat().st_size == film.stat().st_size
        assert abs(probe(shown) - SECONDS) < 1, name
    assert proxy.requests[asked:] == []


def is_played_with_seeks(shown: Path, film: Path) -> None:
    """Read a film here and there, and then from its beginning to its end."""
    content = film.read_bytes()
    with shown.open("rb") as file:
        for place in (0, len(content) // 2, len(content) // 4, len(content) - 100_000):
            file.seek(place)
            assert file.read(300_000) == content[place : place + 300_000]
    assert shown.read_bytes() == content
