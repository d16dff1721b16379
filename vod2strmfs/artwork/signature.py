"""What an image is, by its bytes alone: its kind, its size, and whether it is whole. Nothing is decoded."""

import struct
from typing import NamedTuple

_MOST_PIXELS = 100_000_000
"""Of which a media server, which decodes it, would need 400 MB."""


class NoImageError(Exception):
    """Bytes that are no image which is kept; the text says why, behind "it sent"."""


class Image(NamedTuple):
    """What the header of an image says."""

    extension: str
    """Of its kind, with the dot."""
    width: int
    height: int


def examine(content: bytes) -> Image:
    """What an image is.

    Raises:
        NoImageError: it is none, or not whole, or far too large.
    """
    if not content:
        raise NoImageError("nothing")
    if content.startswith(b"\xff\xd8\xff"):
        image = Image(".jpg", *_jpeg(content))
    elif content.startswith(b"\x89PNG\r\n\x1a\n"):
        image = Image(".png", *_png(content))
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        image = Image(".webp", *_webp(content))
    elif content.lstrip()[:1] == b"<":
        raise NoImageError("a web page")
    else:
        raise NoImageError("something that is neither JPEG nor PNG nor WebP")
    if not image.width or not image.height or image.width * image.height > _MOST_PIXELS:
        raise NoImageError(f"an image of {image.width} × {image.height} pixels")
    return image


def _cut() -> NoImageError:
    return NoImageError("an image that is cut short")


def _jpeg(content: bytes) -> tuple[int, int]:
    """Width and height: those of the first frame header. The end is a marker, behind which some programs add more."""
    size, at = None, 2
    while size is None:
        while content[at : at + 2] == b"\xff\xff":  # Fill bytes.
            at += 1
        if len(content) < at + 9 or content[at] != 0xFF:
            raise _cut()
        marker, [length] = content[at + 1], struct.unpack_from(">H", content, at + 2)
        if marker in (0xD9, 0xDA):  # The end, or pixels, before the size is known.
            raise _cut()
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 5)
            size = width, height
        at += 2 + length
    if content.rfind(b"\xff\xd9") < at:
        raise _cut()
    return size


def _png(content: bytes) -> tuple[int, int]:
    """Width and height. The last chunk tells that it is whole."""
    if len(content) < 33 or content[12:16] != b"IHDR":
        raise _cut()
    width, height = struct.unpack_from(">II", content, 16)
    at = 8
    while content[at + 4 : at + 8] != b"IEND":
        if len(content) < at + 12:
            raise _cut()
        at += 12 + struct.unpack_from(">I", content, at)[0]
    if len(content) < at + 12:
        raise _cut()
    return width, height


def _webp(content: bytes) -> tuple[int, int]:
    """Width and height, by the kind of the first chunk."""
    if len(content) < 30 or len(content) < 8 + struct.unpack_from("<I", content, 4)[0]:
        raise _cut()
    kind = content[12:16]
    if kind == b"VP8 ":
        if content[23:26] != b"\x9d\x01\x2a":
            raise NoImageError("a WebP image that is damaged")
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        [bits] = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    raise NoImageError("a WebP image of an unknown form")
