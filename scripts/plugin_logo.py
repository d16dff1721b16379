"""The plugin's logo, `vod2strmfs/dispatcharr_plugin/logo.png`: a sheet of paper that plays.

    scripts/plugin_logo.py

Drawn as shapes, sampled four by four times a pixel, and written as PNG by hand: no library is needed for it.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

SIZE = 256
SAMPLES = 4
LOGO = Path(__file__).resolve().parents[1] / "vod2strmfs/dispatcharr_plugin/logo.png"

CLEAR = (0, 0, 0, 0)
GROUND = (20, 54, 66, 255)
PAPER = (238, 243, 243, 255)
FOLD = (176, 197, 199, 255)
PLAY = (233, 106, 60, 255)
Colour = tuple[int, int, int, int]


def colour(x: float, y: float) -> Colour:
    """The colour at a point; both coordinates run from 0 to 1, downwards."""
    if not _rounded(x, y, 0.0, 0.0, 1.0, 1.0, 0.2):
        return CLEAR
    if _rounded(x, y, 0.24, 0.14, 0.76, 0.86, 0.05) and x - y < 0.44:
        # A triangle that points to the right, in the middle of the sheet.
        if x >= 0.40 and abs(y - 0.53) <= (0.64 - x) * 0.62:
            return PLAY
        if x > 0.58 and y < 0.32:
            return FOLD
        return PAPER
    return GROUND


def _rounded(x: float, y: float, left: float, top: float, right: float, bottom: float, radius: float) -> bool:
    across = max(left + radius - x, x - right + radius, 0.0)
    down = max(top + radius - y, y - bottom + radius, 0.0)
    return across * across + down * down <= radius * radius


def _pixel(column: int, row: int) -> bytes:
    steps = [(step + 0.5) / SAMPLES for step in range(SAMPLES)]
    points = [colour((column + right) / SIZE, (row + down) / SIZE) for right in steps for down in steps]
    alpha = sum(point[3] for point in points)
    if not alpha:
        return bytes(CLEAR)
    channels = [round(sum(point[channel] * point[3] for point in points) / alpha) for channel in range(3)]
    return bytes([*channels, round(alpha / len(points))])


def _chunks() -> Iterator[tuple[bytes, bytes]]:
    yield b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    rows = (b"\0" + b"".join(_pixel(column, row) for column in range(SIZE)) for row in range(SIZE))
    yield b"IDAT", zlib.compress(b"".join(rows), 9)
    yield b"IEND", b""


def png() -> bytes:
    """The logo as a PNG."""
    image = b"\x89PNG\r\n\x1a\n"
    for name, data in _chunks():
        image += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return image


if __name__ == "__main__":
    LOGO.write_bytes(png())
