"""Films in every container, made once by ffmpeg and shared by all tests of a run; and large ones that take no disk.

Each has picture and sound of some seconds. `FILMS` says how they differ.
"""

import fcntl
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from film_provider import Pattern, Stream

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.writer import Record

SECONDS = 30
"""How long each plays, unless it is made to be longer."""


class Form(NamedTuple):
    """How a film is written."""

    extension: str
    options: tuple[str, ...]


FILMS = {
    "mkv-cues-behind": Form(".mkv", ()),
    "mkv-cues-before": Form(".mkv", ("-reserve_index_space", "50k")),
    "mp4-moov-behind": Form(".mp4", ()),
    "mp4-moov-before": Form(".mp4", ("-movflags", "+faststart")),
    "ts": Form(".ts", ()),
    "avi": Form(".avi", ("-c:v", "mpeg4", "-b:v", "800k", "-g", "50", "-c:a", "libmp3lame", "-b:a", "96k")),
}

_SOURCE = (
    "ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={SECONDS}",
    "-f", "lavfi", "-i", f"anoisesrc=color=pink:duration={SECONDS}",
    "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "800k", "-g", "50", "-pix_fmt", "yuv420p",
    "-c:a", "aac", "-b:a", "96k", "-threads", "1", "-bitexact", "-map", "0:v", "-map", "1:a",
)  # fmt: skip
_COPY = ("ffmpeg", "-loglevel", "error", "-y")


def make_films(folder: Path, times: int = 1) -> dict[str, Path]:
    """The films by their names in `FILMS`; made in a folder unless they are there.

    Several processes may ask at once.

    Args:
        folder: where.
        times: how often each film has its 30 seconds, of 3.5 MB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        films = {name: folder / f"{name}{form.extension}" for name, form in FILMS.items()}
        if not all(each.exists() for each in films.values()):
            first = folder / "source.mkv"
            subprocess.run([*_SOURCE, first], check=True)
            for name, form in FILMS.items():
                made = folder / f"unfinished{form.extension}"
                subprocess.run(
                    [*_COPY, "-stream_loop", str(times - 1), "-i", first, "-map", "0", "-c", "copy", "-bitexact",
                     *form.options, made], check=True,
                )  # fmt: skip
                made.rename(films[name])
            first.unlink()
    return films


def make_large(film: Path, path: Path, size: int) -> Path:
    """A copy of the mp4 with `moov` behind that has a hole of gigabytes before its `moov`.

    Args:
        film: the mp4.
        path: of the copy.
        size: bytes that it gets.
    """
    content = film.read_bytes()
    moov = content.rindex(b"moov") - 4
    hole = size - len(content)
    assert hole >= 16, "the copy is larger"
    with path.open("wb") as file:
        file.write(content[:moov])
        # A box of its own, of a length of 64 bits; what is in it is skipped by all who read.
        file.write(struct.pack(">I4sQ", 1, b"free", hole))
        file.seek(moov + hole)
        file.write(content[moov:])
    return path


def make_long(film: Path, path: Path, size: int) -> Path:
    """A copy of an mkv that has megabytes of noise behind its end, which all who play skip: no two blocks are alike.

    Args:
        film: the mkv.
        path: of the copy.
        size: bytes that it gets.
    """
    content = film.read_bytes()
    void = size - len(content) - 9
    noise = Pattern(void, head=b"")
    with path.open("wb") as file:
        file.write(content + b"\xec\x01" + void.to_bytes(7, "big"))
        for start in range(0, void, 1 << 20):
            file.write(noise.read(start, 1 << 20))
    return path


def catalogue_of(
    streams: Iterable[Stream],
    names: Mapping[str, str] | None = None,
    *,
    server_url: str = "http://panel.example:8080",
    **columns: Any,
) -> Catalogue:
    """What Dispatcharr's tables hold of movies that a double has.

    Args:
        streams: those of one UUID are the relations of one movie, the first of the account with the highest priority.
        names: of the movies by UUID; those that have none are called `Film NUMBER`.
        server_url: where all accounts' provider is.
        columns: further ones of each movie.
    """
    catalogue, names = Catalogue(), names or {}
    accounts: dict[int, Record] = {}
    movies: dict[str, Record] = {}
    for each in streams:
        if each.account not in accounts:
            priority = 1000 - len(accounts)
            accounts[each.account] = catalogue.account(
                f"Provider {each.account}", id=each.account, priority=priority, server_url=server_url
            )
        if each.uuid not in movies:
            name = names.get(each.uuid, f"Film {len(movies) + 1}")
            movies[each.uuid] = catalogue.movie(name, uuid=each.uuid, year=2001, relations=[], **columns)
        extension = each.extension.lstrip(".")
        catalogue.relate(
            movies[each.uuid], accounts[each.account], stream_id=each.stream, container_extension=extension
        )
    return catalogue
