"""What a film is, by its bytes, and which parts of it scanners read."""

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from films import FILMS, SECONDS
from logged_mount import Reads, logged

from vod2strmfs.films.containers import (
    SIGNATURE_BYTES,
    MissingError,
    NotAFilmError,
    Scanned,
    ScatteredError,
    extension_of,
    scanned,
    what_else,
)
from vod2strmfs.films.film import BLOCK, Extent
from vod2strmfs.films.parts import merged

MORE = {
    "mkv-with-fonts": (".mkv", ("-attach", "{font}", "-metadata:s:t", "mimetype=font/ttf", "-metadata", "title=T")),
    "mkv-live": (".mkv", ("-f", "matroska", "-live", "1")),
    "mkv-without-cues": (".mkv", ("-seekable", "0")),
    "mp4-with-chapters": (".mp4", ()),
    "mp4-in-fragments": (".mp4", ("-movflags", "frag_keyframe+empty_moov")),
    "mp4-in-listed-fragments": (".mp4", ("-movflags", "dash+global_sidx", "-frag_duration", "1000000")),
    "mp4-in-a-few-fragments-listed-one-by-one": (".mp4", ("-map", "0:v", "-movflags", "dash", "-f", "mp4")),
    "mov": (".mov", ()),
    "m2ts": (".m2ts", ("-f", "mpegts", "-mpegts_m2ts_mode", "1")),
    "mpg": (".mpg", ("-c:v", "mpeg2video", "-c:a", "mp2", "-t", "6")),
}
"""Forms of which the shared films have none: how ffmpeg makes them of one of those."""
BY_HAND = (
    "mp4-of-64-bits", "mp4-open-ended", "mp4-large-index", "mkv-with-fonts-behind", "mkv-tiny", "mkv-of-one-block"
)  # fmt: skip
"""Forms that ffmpeg makes of large films alone, or never."""
_HAS_NO_DURATION = {"live", "fragments", "without"}
_LARGE_INDEX = 31 << 20
_CHAPTERS = ";FFMETADATA1\n" + "".join(
    f"[CHAPTER]\nTIMEBASE=1/1\nSTART={at}\nEND={at + 5}\ntitle=After {at}\n" for at in range(0, SECONDS, 5)
)


@pytest.fixture(scope="module")
def all_films(real_films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shared films, and more."""
    folder = tmp_path_factory.mktemp("more-films")
    (folder / "font.ttf").write_bytes(os.urandom(5_000_000))
    (folder / "chapters").write_text(_CHAPTERS)
    made = {}
    for name, (extension, options) in MORE.items():
        made[name] = folder / f"{name}{extension}"
        chapters = ("-i", folder / "chapters", "-map_metadata", "1") if "chapters" in name else ()
        subprocess.run(
            [
                "ffmpeg", "-loglevel", "error", "-y", "-i", real_films["mkv-cues-behind"], *chapters, "-map", "0",
                "-c", "copy", *(each.format(font=folder / "font.ttf") for each in options), made[name],
            ],
            check=True,
        )  # fmt: skip
    for name, content in _by_hand(real_films | made, folder).items():
        made[name] = folder / f"{name}.{name[:3]}"
        made[name].write_bytes(content)
    assert {*MORE, *BY_HAND} == made.keys()
    return real_films | made


def _by_hand(films: dict[str, Path], folder: Path) -> dict[str, bytes]:
    """What films are in the forms of `BY_HAND`."""
    behind, before = films["mp4-moov-behind"].read_bytes(), films["mp4-moov-before"].read_bytes()
    mdat, moov = behind.index(b"mdat") - 4, behind.rindex(b"moov") - 4
    [length] = struct.unpack_from(">I", behind, mdat)
    assert behind[mdat - 8 : mdat] == struct.pack(">I4s", 8, b"free")
    [index] = struct.unpack_from(">I", behind, moov)
    free = struct.pack(">I4s", _LARGE_INDEX, b"free") + bytes(_LARGE_INDEX - 8)
    last = before.index(b"mdat") - 4
    tiny = folder / "tiny.mkv"
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-y", "-i", films["mkv-cues-behind"], "-t", "0.1", "-c", "copy", tiny],
        check=True,
    )
    small = tiny.read_bytes()
    return {
        "mp4-of-64-bits": (
            behind[: mdat - 8] + struct.pack(">I4sQ", 1, b"mdat", length + 8) + behind[mdat + 8 :]
        ),
        "mp4-open-ended": before[:last] + struct.pack(">I", 0) + before[last + 4 :],
        "mp4-large-index": (
            behind[:moov] + struct.pack(">I", index + _LARGE_INDEX) + behind[moov + 4 : moov + index]
            + free + behind[moov + index :]
        ),
        "mkv-with-fonts-behind": _with_fonts_behind(films["mkv-with-fonts"].read_bytes()),
        "mkv-tiny": small,
        "mkv-of-one-block": small + _void(BLOCK - len(small)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def parts_alone(all_films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Reads]]:
    """All films, with nothing in them but the parts that scanners are said to read; a hole elsewhere."""
    folder = tmp_path_factory.mktemp("parts")
    for path in all_films.values():
        content = path.read_bytes()
        with (folder / path.name).open("wb") as file:
            file.truncate(len(content))
            for start, stop in _scanned(content).parts:
                file.seek(start)
                file.write(content[start:stop])
    place = tmp_path_factory.mktemp("read") / "mount"
    with logged(folder, place, exact=True) as reads:
        yield place, reads


_SEEK_HEAD, _FONTS, _VOID = "114d9b74", "1941a469", "ec"
_SOUGHT = ("1549a966", "1654ae6b", "1254c367", "1c53bb6b", _FONTS)
"""Info, tracks, tags, cues and attachments."""


def _with_fonts_behind(content: bytes) -> bytes:
    """A Matroska film whose attachments are moved to its end, as by mkvpropedit; a void is where they were."""

    def element(at: int) -> tuple[str, int, int]:
        name = 9 - content[at].bit_length()
        length = 9 - content[at + name].bit_length()
        body = at + name + length
        size = int.from_bytes(content[at + name : body]) & ((1 << 7 * length) - 1)
        return content[at : at + name].hex(), body, body + size

    segment = element(0)[2]
    _, body, end = element(segment)
    assert (end, body - segment) == (len(content), 12)
    places: dict[str, tuple[int, int]] = {}
    at = body
    while at < end:
        name, _, stop = element(at)
        places.setdefault(name, (at, stop))
        at = stop
    fonts = content[slice(*places[_FONTS])]
    seeks = b"".join(
        b"\x4d\xbb\x92\x53\xab\x84" + bytes.fromhex(name) + b"\x53\xac\x88"
        + ((end if name == _FONTS else places[name][0]) - body).to_bytes(8)
        for name in _SOUGHT
    )  # fmt: skip
    head = bytes.fromhex(_SEEK_HEAD) + b"\x01" + len(seeks).to_bytes(7) + seeks
    start, stop = places[_SEEK_HEAD][0], places[_VOID][1]
    made = bytearray(content) + fonts
    made[segment + 4 : body] = b"\x01" + (end + len(fonts) - body).to_bytes(7)
    made[start:stop] = head + _void(stop - start - len(head))
    made[slice(*places[_FONTS])] = _void(len(fonts))
    assert len(made) == len(content) + len(fonts)
    return bytes(made)


def _void(size: int) -> bytes:
    return b"\xec\x01" + (size - 9).to_bytes(7) + bytes(size - 9)


def _scanned(content: bytes, seconds: int = SECONDS) -> Scanned:
    extension = extension_of(content[:SIGNATURE_BYTES])
    assert extension
    return scanned(extension, len(content), seconds, lambda start, stop: content[start:stop])


def _ffprobe(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json", path],
        check=True, capture_output=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    del found["format"]["filename"]
    return found


@pytest.mark.parametrize("name", [*FILMS, *MORE, *BY_HAND])
def test_ffprobe_says_of_the_parts_what_it_says_of_the_film_and_reads_nothing_else(
    all_films: dict[str, Path], parts_alone: tuple[Path, Reads], name: str
) -> None:
    film = all_films[name]
    place, reads = parts_alone
    there = _scanned(film.read_bytes()).parts

    said = _ffprobe(place / film.name)

    assert said == _ffprobe(film)
    _, read = reads.of(film.name)
    assert read
    size = film.stat().st_size
    touched = [Extent(start, min(start + length, size)) for start, length in read if start < size]
    assert merged([*there, *touched]) == merged(there)


@pytest.mark.parametrize("options", [("-movflags", "frag_keyframe+empty_moov"), ("-movflags", "dash")])
def test_a_film_in_too_many_pieces_is_told_by_its_first_ones(
    real_films: dict[str, Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """ffmpeg visits all of them, unless one list names them all: each would be a question to the provider."""
    film = tmp_path / "film.mp4"
    line = ("ffmpeg", "-loglevel", "error", "-y", "-i", real_films["mkv-cues-behind"], "-map", "0:v", "-c", "copy")
    pieces = ("-frag_duration", "200000", "-f", "mp4", film)
    subprocess.run([*line, *options, *pieces], check=True)
    content = film.read_bytes()
    number = content.count(b"moof")
    furthest = [0]

    def read(start: int, stop: int) -> bytes:
        furthest.append(stop if stop < len(content) - 16 else 0)
        return content[start:stop]

    with pytest.raises(ScatteredError, match="media servers would ask for each") as told:
        scanned(".mp4", len(content), SECONDS, read)
    about = int(str(told.value).split(" pieces")[0].rpartition(" ")[2])
    assert number / 2 < about < number * 2
    assert max(furthest) < len(content) / 10

    # With one list of them all, it is a film like any other.
    subprocess.run([*line, "-movflags", "dash+global_sidx", *pieces], check=True)
    content = film.read_bytes()
    assert content.count(b"moof") == number
    assert _scanned(content).parts


@pytest.mark.parametrize("name", [*FILMS, *MORE, *BY_HAND])
def test_a_container_is_known_by_its_first_bytes(all_films: dict[str, Path], name: str) -> None:
    film = all_films[name]
    assert extension_of(film.read_bytes()[:SIGNATURE_BYTES]) == film.suffix


@pytest.mark.parametrize("name", [name for name in (*FILMS, *MORE) if not _HAS_NO_DURATION & set(name.split("-"))])
def test_films_that_say_how_long_they_play_are_believed(all_films: dict[str, Path], name: str) -> None:
    film = all_films[name]
    says = film.suffix in (".mkv", ".mp4", ".mov", ".avi")
    assert _scanned(film.read_bytes(), 0).seconds == (SECONDS if says else 0)


def test_an_avi_of_several_gigabytes_plays_as_long_as_all_of_it(real_films: dict[str, Path]) -> None:
    """Its first header counts the pictures of the first gigabyte. ffmpeg leaves room for the other one."""
    content = real_films["avi"].read_bytes()
    at = content.index(b"odmldmlh")
    assert content[at - 8 : at - 4] == b"JUNK"
    frames = struct.pack("<I", 3 * 25 * SECONDS)
    large = content[: at - 8] + b"LIST" + content[at - 4 : at + 12] + frames + content[at + 16 :]
    assert _scanned(large, 0).seconds == 3 * SECONDS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "nothing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xef\xbb\xbf\n<html>", "a web page"),
        (b"#EXTM3U\n#EXTINF:1,", "a playlist"),
        (b'{"user_info": {"auth": 0}}', "a text"),
        (b"Error: Stream interrupted", "a text"),
        (b"\x7fELF\0\0\0\x01", "something in no container that is known"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "something in no container that is known"),
        (b"PK\x03\x04\0\0\0\x02", "something in no container that is known"),
        (b"G" * 100, "a text"),
        (b"\x47" + b"\0" * 400, "something in no container that is known"),
    ],
)
def test_what_is_no_film_is_told(content: bytes, what: str) -> None:
    assert extension_of(content) is None
    assert what_else(content) == what


def test_an_mp4_that_is_cut_short_is_no_film(real_films: dict[str, Path]) -> None:
    content = real_films["mp4-moov-behind"].read_bytes()
    with pytest.raises(NotAFilmError, match="without its index"):
        _scanned(content[: len(content) // 2])


def test_a_film_is_asked_for_what_it_needs_and_no_more(real_films: dict[str, Path]) -> None:
    """Who fetches what is missing, and asks again, comes to the same parts."""
    for name in FILMS:
        content = real_films[name].read_bytes()
        extension = extension_of(content)
        assert extension
        there: set[int] = set(range(1024))

        def read(start: int, stop: int, content: bytes = content, there: set[int] = there) -> bytes:
            if not there.issuperset(range(start, stop)):
                raise MissingError(start, stop)
            return content[start:stop]

        for _ in range(20):
            try:
                found = scanned(extension, len(content), SECONDS, read)
                break
            except MissingError as missing:
                there.update(range(*missing.extent))
        assert found == _scanned(content)
        assert len(there) < 100_000


@pytest.mark.parametrize("name", [*FILMS, *MORE])
def test_damaged_films_are_told_or_read_but_never_crash(all_films: dict[str, Path], name: str) -> None:
    content = bytearray(all_films[name].read_bytes())
    extension = extension_of(bytes(content[:SIGNATURE_BYTES]))
    assert extension
    for seed in range(20):
        damaged = bytearray(content[: 4096 + seed * 1000])
        for step in range(seed * 4):
            at = (seed * 7919 + step * 104_729) % min(len(damaged), 4096)
            damaged[at] = (damaged[at] + 1 + seed) % 256
        whole = bytes(damaged)
        try:
            found = scanned(extension, len(whole), 0, lambda start, stop, whole=whole: whole[start:stop])  # type: ignore[misc]
        except NotAFilmError:
            continue
        assert all(0 <= start < stop <= len(whole) for start, stop in found.parts)
