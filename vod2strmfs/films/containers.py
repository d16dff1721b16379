"""What a film's container is, by its bytes alone, and which parts of it scanners read: nothing is decoded.

ffprobe, and all that is built on ffmpeg's libraries, reads the beginning, until it knows every stream, and what the
beginning points at: an index, tags, chapters, fonts. For a player's first seek comes the index of Matroska files, the
cues. Where a container has no index, its duration is looked for in its last bytes.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vod2strmfs.films.film import Extent

SIGNATURE_BYTES = 1024
"""Of a film's beginning, from which `extension_of` tells all that it can tell."""
TAIL_BYTES = 256 << 10
"""Of every film's end. ffmpeg looks for a duration in the last 250,000 bytes first."""
_KIB, _MIB = 1 << 10, 1 << 20
_HEAD_BYTES = Extent(_MIB, 8 * _MIB)
"""At least, and at most, behind what comes before the first picture."""
_HEAD_SECONDS = 2.5
"""What ffmpeg reads until it knows all streams of a common film, and some more."""
_STREAM_HEAD_SECONDS = 15.0
"""The same where its container does not tell enough of them."""
_PROBED_BYTES = 5_000_000 + _MIB
"""More than that it does not read, unless it is told to."""
_STREAM_TAIL_SECONDS = 0.5
_CHUNK_BYTES = 256 * _KIB
"""Of the first sound and the first subtitles of a film whose streams do not lie side by side."""
_CHAPTER_BYTES = 4 * _KIB
_MOST_CHAPTERS = 300
_READ_AHEAD = 128 * _KIB
"""What a kernel reads more than it was asked for."""
_MOST_FRAGMENTS = 40
"""Of an mp4 file without a list of them, through all of which ffmpeg goes: each is a question to the provider."""
_TELLING_FRAGMENTS = 5
"""By so many, it is told how many there are."""
_LARGEST_PART = 32 * _MIB
"""Of an index or of fonts. Whoever reads larger ones asks the provider."""
_MOST_STEPS = 2000
"""Boxes that are looked at: there are films of thousands of fragments, and scanners look at the first."""

Read = Callable[[int, int], bytes]
"""Gives bytes of a film, from the first to before the last, fewer at its end. Raises MissingError."""


class MissingError(Exception):
    """Bytes of the film are missing, which have to be fetched first.

    Args:
        start: the first.
        stop: the one after the last.
    """

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.extent = Extent(start, stop)


class NotAFilmError(Exception):
    """The bytes of what should be a film are none, or are damaged; the text says why, behind "it sent"."""


class ScatteredError(Exception):
    """The parts that scanners read lie at far too many places to be fetched; the text says why, behind "it sends"."""


class Scanned(NamedTuple):
    """What scanners read of a film."""

    parts: list[Extent]
    """In no order; some may overlap. Not larger than the film."""
    seconds: int
    """How long it plays, as it says itself; 0: it does not."""


def extension_of(head: bytes) -> str | None:
    """The extension of a container, with the dot, by its first bytes (`SIGNATURE_BYTES`); None if it is no film."""
    if head.startswith(b"\x1aE\xdf\xa3"):
        return ".webm" if b"\x42\x82\x84webm" in head[:128] else ".mkv"
    if head[4:8] == b"ftyp":
        return ".mov" if head[8:12] == b"qt  " else ".mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"pnot") or (head[4:8] in (b"free", b"skip") and head[0:2] == b"\0\0"):
        return ".mov"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    for extension, packet, first in ((".ts", 188, 0), (".m2ts", 192, 4)):
        marks = head[first : first + 5 * packet : packet]
        if len(marks) >= 2 and marks == b"\x47" * len(marks) and len(head) >= first + 2 * packet:
            return extension
    for mark, extension in _OTHERS.items():
        if head.startswith(mark):
            return extension
    return None


_OTHERS = {
    b"\0\0\x01\xba": ".mpg",
    b"\0\0\x01\xb3": ".mpg",
    b"FLV\x01": ".flv",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): ".wmv",
    b"OggS": ".ogv",
}


def what_else(head: bytes) -> str:
    """What something is that is no film, for people."""
    start = head[:256].lstrip(b"\xef\xbb\xbf\r\n\t ")
    if not head:
        return "nothing"
    if start[:1] == b"<":
        return "a web page"
    if start.startswith(b"#EXTM3U"):
        return "a playlist"
    if all(byte >= 0x20 or byte in b"\r\n\t" for byte in head[:256]):
        return "a text"
    return "something in no container that is known"


def scanned(extension: str, size: int, seconds: int, read: Read) -> Scanned:
    """What scanners read of a film.

    Args:
        extension: as from `extension_of`.
        size: of the film, in bytes.
        seconds: how long it plays, as far as is known; 0: unknown.
        read: gives bytes of it.

    Raises:
        MissingError: more has to be fetched first. Call it again then.
        NotAFilmError: it is damaged.
        ScatteredError: it is whole, and cannot be scanned without a great many requests.
    """
    film = _Reader(size, read)
    parse = _PARSERS.get(extension)
    try:
        found = parse(film, seconds) if parse else _stream(film, seconds)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise NotAFilmError(f"a damaged {extension} file") from error
    ends = [Extent(0, _HEAD_BYTES.start), Extent(size - TAIL_BYTES, size)]
    clipped = (Extent(max(each.start, 0), min(each.stop + _READ_AHEAD, size)) for each in [*ends, *found.parts])
    return Scanned([each for each in clipped if each.start < each.stop], found.seconds)


class _Reader:
    """A film whose steps are counted."""

    def __init__(self, size: int, read: Read) -> None:
        self.size = size
        self._read = read
        self._steps = 0

    def __call__(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        return self._read(start, stop) if start < stop else b""

    def step(self) -> bool:
        """Count one; whether it is not one too many."""
        self._steps += 1
        return self._steps <= _MOST_STEPS

    def head(self, start: int, seconds: int) -> Extent:
        """What is read of the pictures and the sound that begin somewhere."""
        length = int(self.size / seconds * _HEAD_SECONDS) if seconds else _PROBED_BYTES
        return Extent(0, start + min(max(length, _HEAD_BYTES.start), _HEAD_BYTES.stop))

    def stream_head(self, start: int, seconds: int) -> Extent:
        """What is read of the beginning where the container does not tell enough of its streams; see `head`."""
        length = int(self.size / seconds * _STREAM_HEAD_SECONDS) if seconds else _PROBED_BYTES
        return Extent(0, start + min(max(length, _HEAD_BYTES.start), _PROBED_BYTES))


def _whole(start: int, stop: int) -> Extent:
    """A part that is read whole, unless it is far too large."""
    return Extent(start, min(stop, start + _LARGEST_PART))


# Transport and program streams, and whatever else.


def _stream(film: _Reader, seconds: int) -> Scanned:
    tail = int(film.size / seconds * _STREAM_TAIL_SECONDS) if seconds else 0
    tail = min(max(tail, TAIL_BYTES), 2 * _MIB)
    return Scanned([film.stream_head(0, seconds), Extent(film.size - tail, film.size)], 0)


# MP4 and QuickTime: boxes of a length, a name and what is in them.


class _Box(NamedTuple):
    name: bytes
    start: int
    body: int
    stop: int


def _boxes(film: Read, start: int, stop: int) -> Iterator[_Box]:
    """The boxes within a part of a film."""
    while start + 8 <= stop:
        head = film(start, start + 16)
        length, name = struct.unpack_from(">I4s", head)
        body = start + 8
        if length == 1:
            [length] = struct.unpack_from(">Q", head, 8)
            body = start + 16
        end = start + length if length else stop
        if end < body or not name.strip(b"\0"):
            return
        yield _Box(name, start, body, min(end, stop))
        start = end


def _mp4(film: _Reader, seconds: int) -> Scanned:
    parts: list[Extent] = []
    moov, content, data, is_listed = None, b"", None, False
    fragments: list[int] = []
    for box in _boxes(film, 0, film.size):
        if not film.step():
            break
        parts.append(Extent(box.start, box.body))
        if box.name == b"moov":
            moov = _whole(box.start, box.stop)
            parts.append(moov)
            content = film(box.body, box.stop) if moov.stop == box.stop else b""
        elif box.name == b"mdat":
            data = data or box
        elif box.name == b"moof":
            fragments.append(box.start)
            _check_number(film, fragments)
            parts.append(_whole(box.start, box.stop))
        elif box.name not in (b"free", b"skip", b"wide"):
            parts.append(_whole(box.start, box.stop))
            # Without a list of all fragments, ffmpeg looks for them to the end.
            is_listed |= box.name == b"sidx" and _lists_all(film, box)
        if moov and (is_listed or (data and not _is_fragmented(content))):
            break
    if moov is None:
        raise NotAFilmError("an mp4 file without its index, such as one that is cut short")
    if fragments:
        parts += _mfra(film)
    else:
        seconds = _mp4_seconds(content) or seconds
    tracks = _tracks(content)
    firsts = [track.chunks[0] for track in tracks if track.chunks]
    parts.append(film.head(min(firsts, default=data.body if data else moov.stop), seconds))
    parts += [Extent(first, first + _CHUNK_BYTES) for first in firsts]
    chapters = {number for track in tracks for number in track.chapters}
    for track in tracks:
        if track.number in chapters:
            parts += [Extent(at, at + _CHAPTER_BYTES) for at in track.chunks[:_MOST_CHAPTERS]]
    return Scanned(parts, seconds)


def _is_fragmented(moov: bytes) -> bool:
    return any(box.name == b"mvex" for box in _boxes(lambda start, stop: moov[start:stop], 0, len(moov)))


def _check_number(film: _Reader, fragments: Sequence[int]) -> None:
    """Make sure that there are not too many fragments that no list names, by where the first of them begin.

    Raises:
        ScatteredError: there are.
    """
    number = len(fragments)
    if number >= _TELLING_FRAGMENTS:
        each = (fragments[-1] - fragments[0]) / (number - 1)
        expected = round((film.size - fragments[0]) / each)
        if expected > 2 * _MOST_FRAGMENTS or number > _MOST_FRAGMENTS:
            of = f"about {max(expected, number):,} pieces without a list of them"
            raise ScatteredError(f"an mp4 file in {of}: media servers would ask for each when they scan it")


def _lists_all(film: _Reader, sidx: _Box) -> bool:
    """Whether a list of fragments names all up to the film's end, or up to their index there. Each may have its own."""
    content = film(sidx.body, min(sidx.stop, sidx.body + _MIB))
    first_form, at = (">QQ", 12) if content[0] else (">II", 12)
    _, first = struct.unpack_from(first_form, content, at)
    at += struct.calcsize(first_form)
    [count] = struct.unpack_from(">H", content, at + 2)
    lengths = (struct.unpack_from(">I", content, at + 4 + 12 * number)[0] & 0x7FFFFFFF for number in range(count))
    end = sidx.stop + first + sum(lengths)
    return end in (film.size, *(each.start for each in _mfra(film)))


def _mfra(film: _Reader) -> list[Extent]:
    """The index of fragments, whose length stands in a film's last bytes."""
    last = film(film.size - 16, film.size)
    if last[4:8] != b"mfro":
        return []
    [length] = struct.unpack_from(">I", last, 12)
    return [_whole(film.size - length, film.size)] if 16 <= length <= film.size else []


class _Track(NamedTuple):
    number: int
    chunks: list[int]
    """Where its bytes are; the first `_MOST_CHAPTERS`."""
    chapters: tuple[int, ...]
    """The tracks that hold its chapters."""


def _tracks(moov: bytes) -> list[_Track]:
    def read(start: int, stop: int) -> bytes:
        return moov[start:stop]

    def within(box: _Box, *names: bytes) -> Iterator[_Box]:
        for child in _boxes(read, box.body, box.stop):
            if child.name == names[0]:
                if len(names) == 1:
                    yield child
                else:
                    yield from within(child, *names[1:])

    tracks = []
    for track in within(_Box(b"", 0, 0, len(moov)), b"trak"):
        number, chunks, chapters = 0, [], ()
        for box in within(track, b"tkhd"):
            [number] = struct.unpack_from(">I", moov, box.body + (20 if moov[box.body] else 12))
        for box in within(track, b"tref", b"chap"):
            chapters = struct.unpack_from(f">{(box.stop - box.body) // 4}I", moov, box.body)
        for name, form in ((b"stco", "I"), (b"co64", "Q")):
            for box in within(track, b"mdia", b"minf", b"stbl", name):
                [count] = struct.unpack_from(">I", moov, box.body + 4)
                count = min(count, (box.stop - box.body - 8) // struct.calcsize(form), _MOST_CHAPTERS)
                chunks = list(struct.unpack_from(f">{count}{form}", moov, box.body + 8))
        tracks.append(_Track(number, chunks, chapters))
    return tracks


def _mp4_seconds(moov: bytes) -> int:
    for box in _boxes(lambda start, stop: moov[start:stop], 0, len(moov)):
        if box.name == b"mvhd":
            form, at = (">IQ", 20) if moov[box.body] else (">II", 12)
            scale, duration = struct.unpack_from(form, moov, box.body + at)
            return round(duration / scale) if scale and duration < scale * 1_000_000 else 0
    return 0


# Matroska: elements of an id, a length and what is in them.

_SEGMENT, _SEEK_HEAD, _SEEK, _SEEK_POSITION = 0x18538067, 0x114D9B74, 0x4DBB, 0x53AC
_INFO, _SCALE, _DURATION = 0x1549A966, 0x2AD7B1, 0x4489
_CLUSTER, _EBML = 0x1F43B675, 0x1A45DFA3
_POINTED_AT = {_SEEK_HEAD, _INFO, 0x1654AE6B, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770}
"""Also tracks, cues, tags, attachments and chapters."""


class _Element(NamedTuple):
    id: int
    start: int
    body: int
    stop: int


def _element(read: Read, start: int, stop: int) -> _Element | None:
    """The element at a place; None if there is none. One of unknown length ends where what it is in ends."""
    head = read(start, start + 12)
    if len(head) < 2 or not head[0] >> 4:
        return None
    id_length = 9 - head[0].bit_length()
    first = head[id_length]
    if not first:
        return None
    size_length = 9 - first.bit_length()
    number = int.from_bytes(head[id_length : id_length + size_length], "big") & ((1 << 7 * size_length) - 1)
    body = start + id_length + size_length
    unknown = number == (1 << 7 * size_length) - 1
    return _Element(int.from_bytes(head[:id_length], "big"), start, body, stop if unknown else min(body + number, stop))


def _elements(read: Read, start: int, stop: int) -> Iterator[_Element]:
    while start < stop and (element := _element(read, start, stop)):
        yield element
        start = element.stop


def _mkv(film: _Reader, seconds: int) -> Scanned:
    segment = next((each for each in _elements(film, 0, film.size) if each.id != _EBML and film.step()), None)
    if segment is None or segment.id != _SEGMENT:
        raise NotAFilmError("a Matroska file without a film in it")
    parts: list[Extent] = []
    pointed: list[int] = []
    begin = segment.stop
    for element in _elements(film, segment.body, segment.stop):
        if element.id == _CLUSTER or not film.step():
            begin = element.start
            break
        parts.append(_whole(element.start, element.stop))
        if element.id == _SEEK_HEAD:
            pointed += _targets(film, segment, element)
        elif element.id == _INFO:
            seconds = _mkv_seconds(film, element) or seconds
    seen = {each.start for each in parts}
    while pointed:
        at = pointed.pop()
        element_there = _element(film, at, segment.stop) if at < segment.stop and at not in seen else None
        if element_there is None or element_there.id not in _POINTED_AT or not film.step():
            continue
        seen.add(at)
        parts.append(_whole(element_there.start, element_there.stop))
        if element_there.id == _SEEK_HEAD:
            pointed += _targets(film, segment, element_there)
        elif element_there.id == _INFO:
            seconds = _mkv_seconds(film, element_there) or seconds
    return Scanned([*parts, film.head(begin, seconds)], seconds)


def _targets(film: _Reader, segment: _Element, seek_head: _Element) -> list[int]:
    """Where a seek head points at."""
    if seek_head.stop - seek_head.start > _MIB:
        return []
    return [
        segment.body + int.from_bytes(film(element.body, min(element.stop, element.body + 8)))
        for seek in _elements(film, seek_head.body, seek_head.stop)
        if seek.id == _SEEK
        for element in _elements(film, seek.body, seek.stop)
        if element.id == _SEEK_POSITION
    ]


def _mkv_seconds(film: _Reader, info: _Element) -> int:
    if info.stop - info.start > _MIB:
        return 0
    scale, duration = 1_000_000, 0.0
    for element in _elements(film, info.body, info.stop):
        data = film(element.body, min(element.stop, element.body + 8))
        if element.id == _SCALE:
            scale = int.from_bytes(data)
        elif element.id == _DURATION and len(data) in (4, 8):
            [duration] = struct.unpack(">f" if len(data) == 4 else ">d", data)
    seconds = duration * scale / 1e9
    return round(seconds) if 0 < seconds < 1_000_000 else 0


# AVI: chunks of a name, a length and what is in them, and lists of such.


class _Chunk(NamedTuple):
    name: bytes
    start: int
    body: int
    stop: int


def _chunks(read: Read, start: int, stop: int) -> Iterator[_Chunk]:
    while start + 8 <= stop:
        head = read(start, start + 12)
        name, length = struct.unpack_from("<4sI", head)
        body = start + 8
        if name in (b"RIFF", b"LIST"):
            name, body = head[8:12], start + 12
        end = start + 8 + length
        yield _Chunk(name, start, body, min(end, stop))
        start = end + (length & 1)


def _avi(film: _Reader, seconds: int) -> Scanned:
    parts: list[Extent] = []
    begin = 0
    for riff in _chunks(film, 0, film.size):
        if not film.step():
            break
        parts.append(Extent(riff.start, riff.body))
        for chunk in _chunks(film, riff.body, riff.stop) if riff.start == 0 else ():
            if not film.step():
                break
            if chunk.name == b"movi":
                begin = chunk.start
                parts.append(Extent(chunk.start, chunk.body))
                continue
            parts.append(_whole(chunk.start, chunk.stop))
            if chunk.name == b"hdrl":
                seconds = _avi_seconds(film, chunk) or seconds
                parts += _indexes(film, chunk)
    return Scanned([*parts, film.stream_head(begin, seconds)], seconds)


def _avi_seconds(film: _Reader, hdrl: _Chunk) -> int:
    microseconds, frames = 0, 0
    for chunk in _chunks(film, hdrl.body, hdrl.stop):
        if chunk.name == b"avih":
            [microseconds, frames] = struct.unpack("<I12xI", film(chunk.body, chunk.body + 20))
        elif chunk.name == b"odml":
            # Of a film of gigabytes, the one before counts the first of them.
            for inner in _chunks(film, chunk.body, chunk.stop):
                if inner.name == b"dmlh":
                    frames = max(frames, *struct.unpack("<I", film(inner.body, inner.body + 4)))
    return int(microseconds * frames / 1e6)


def _indexes(film: _Reader, hdrl: _Chunk) -> Iterator[Extent]:
    """The parts of the index of a film of gigabytes, at which its streams' heads point."""
    for stream in _chunks(film, hdrl.body, hdrl.stop):
        for chunk in _chunks(film, stream.body, stream.stop) if stream.name == b"strl" else ():
            if chunk.name != b"indx":
                continue
            content = film(chunk.body, min(chunk.stop, chunk.body + _MIB))
            _, _, kind, count = struct.unpack_from("<HBBI", content)
            for number in range(min(count, (len(content) - 24) // 16) if kind == 0 else 0):
                offset, length = struct.unpack_from("<QI", content, 24 + 16 * number)
                yield _whole(offset, offset + 8 + length)


_PARSERS: dict[str, Callable[[_Reader, int], Scanned]] = {
    # Of these, ffmpeg reads as much as it may.
    ".m2ts": lambda film, seconds: _stream(film, 0),
    ".mkv": _mkv,
    ".webm": _mkv,
    ".mp4": _mp4,
    ".mov": _mp4,
    ".avi": _avi,
}
