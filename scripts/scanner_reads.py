"""What programs read of films, as the tables in docs/films-scanners.md: `.venv/bin/python scripts/scanner_reads.py`.

Needs root, ffmpeg, and those programs that it is to look at: mediainfo, mpv, vlc-bin with vlc-plugin-base, kodi, xvfb.
"""

import argparse
import functools
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))

from films import make_films
from kodi import Kodi
from logged_mount import logged, touched
from players import LOOKS

TIMES = 30
"""How often each film has its 30 seconds: some 105 MB, of 15 minutes."""
MIDDLE = 450
"""Seconds: where programs seek to."""
GAP = 1 << 16
"""Extents closer than this are one in the tables."""

_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_VLC = (*_NOBODY, "cvlc", "-q", "-I", "dummy", "--vout", "dummy", "--aout", "dummy", "--no-video-title-show",
        "--run-time=3", "--play-and-exit")  # fmt: skip
# Else it reads as much as it can until it ends, which tells nothing of what it needs: see docs/films-scanners.md.
_MPV = ("mpv", "--no-config", "--really-quiet", "--vo=null", "--ao=null", "--cache=no")

READERS: dict[str, tuple[str, ...]] = {
    **LOOKS,
    "ffmpeg, a picture from the middle": ("ffmpeg", "-v", "error", "-ss", str(MIDDLE), "-i", "FILM", "-frames:v", "1",
                                          "-f", "null", "-"),
    "mpv, first picture": (*_MPV, "--frames=1"),
    "mpv, a picture from the middle": (*_MPV, "--frames=1", f"--start={MIDDLE}"),
    "VLC, 3 s": _VLC,
    "VLC, 3 s from the middle": (*_VLC, f"--start-time={MIDDLE}"),
}  # fmt: skip


def main() -> None:
    """Print a table for the reads of programs, and one for the kernel's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", nargs="*", help="only these")
    parser.add_argument("--programs", nargs="*", help="only those whose name has one of these in it")
    asked = parser.parse_args()
    programs: dict[str, Callable[[Path], None]] = {
        name: functools.partial(run, command) for name, command in READERS.items() if is_here(command)
    }
    if shutil.which("kodi"):
        programs["Kodi, first second, then from the middle"] = play_in_kodi
    with tempfile.TemporaryDirectory(prefix="vod2strmfs-scanners-", dir="/var/tmp") as directory:
        place = Path(directory)
        place.chmod(0o755)
        films = make_films(place / "films", TIMES)
        films["mkv-late-subtitles"] = add_late_subtitles(films["mkv-cues-behind"])
        for exact in (True, False):
            print(f"\n{'What programs ask for' if exact else 'What the kernel asks for'}\n")
            print("| film | program | opened | reads | head | tail | between |\n|---|---|---|---|---|---|---|")
            for film in films.values():
                for name, read in programs.items():
                    is_asked = not asked.films or film.stem in asked.films
                    if is_asked and (not asked.programs or any(each in name for each in asked.programs)):
                        look(film, name, read, place, exact)


def is_here(command: tuple[str, ...]) -> bool:
    """Whether a program is installed."""
    return shutil.which(next(each for each in command if each not in _NOBODY)) is not None


def add_late_subtitles(film: Path) -> Path:
    """A copy with a track of subtitles as pictures (PGS), of which the first is shown after ten minutes."""
    subtitles, copy = film.with_suffix(".sup"), film.with_name("mkv-late-subtitles.mkv")
    subtitles.write_bytes(_display(0, 0, True) + _display(3, 1, False))
    inputs = ("-i", film, "-itsoffset", "600", "-i", subtitles)
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-map", "0", "-map", "1", "-c", "copy", copy], check=True)
    subtitles.unlink()
    return copy


def _display(seconds: int, number: int, is_shown: bool) -> bytes:
    """The segments of a picture of eight by eight points, or of none."""

    def segment(kind: int, content: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", seconds * 90_000, 0, kind, len(content)) + content

    shown = struct.pack(">HBBHH", 0, 0, 0, 10, 10) if is_shown else b""
    state = struct.pack(">HHBHBBBB", 320, 180, 0x10, number, 0x80 if is_shown else 0, 0, 0, is_shown)
    made = segment(0x16, state + shown) + segment(0x17, struct.pack(">BBHHHH", 1, 0, 10, 10, 8, 8))
    if is_shown:
        rows = (b"\1" * 8 + b"\0\0") * 8
        length = (len(rows) + 4).to_bytes(3, "big")
        made += segment(0x14, bytes([0, 0, 1, 200, 128, 128, 255]))
        made += segment(0x15, struct.pack(">HBB", 0, 0, 0xC0) + length + struct.pack(">HH", 8, 8) + rows)
    return made + segment(0x80, b"")


def look(film: Path, name: str, read: Callable[[Path], object], place: Path, exact: bool) -> None:
    """Let a program read a film on a fresh mount; print a line of the table."""
    with logged(film.parent, place / "mount", exact=exact) as log:
        read(place / "mount" / film.name)
        opened, reads = log.of(film.name)
    size = film.stat().st_size
    extents = touched(reads, size, GAP)
    head = extents.pop(0)[1] if extents and extents[0][0] == 0 else 0
    tail = size - extents.pop()[0] if extents and extents[-1][1] == size else 0
    between = ", ".join(f"{kilobytes(stop - start)} at {100 * start / size:.1f} %" for start, stop in extents[:4])
    more = f" and {len(extents) - 4} more" if len(extents) > 4 else ""
    print(
        f"| {film.stem} | {name} | {opened} | {len(reads)} | {kilobytes(head)} | {kilobytes(tail)} | {between}{more} |",
        flush=True,
    )


def kilobytes(count: int) -> str:
    """For people."""
    return f"{count / 1000:,.0f} kB" if count else "–"


def run(command: tuple[str, ...], film: Path) -> None:
    """A program of `READERS`."""
    filled = [str(film) if each == "FILM" else each for each in command]
    subprocess.run(
        filled if "FILM" in command else [*filled, film], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        timeout=60, check=False, env={**os.environ, "HOME": "/nonexistent"},
    )  # fmt: skip


def play_in_kodi(film: Path) -> None:
    """A real Kodi plays."""
    with tempfile.TemporaryDirectory(prefix="kodi-") as home, Kodi(Path(home)) as kodi:
        kodi.open(film)
        kodi.reach(1)
        kodi.seek(MIDDLE)
        kodi.reach(MIDDLE)
        kodi.stop()


if __name__ == "__main__":
    main()
