"""The drawn pictures of the documents, as SVG, in `docs/_static`:

* `terminal.svg`: a recording of the program, from what it really prints for a small library;
* `jellyfin.svg`, `kodi.svg`: the settings of a library there, from the tables in `docs/quickstart.md`.

    scripts/pictures.py [--check]

`--check` says whether they are up to date instead, and exits with 1 if they are not. It mounts, so it needs FUSE.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from contextlib import suppress
from html import escape
from pathlib import Path

from vod2strmfs.demo.catalogue import Catalogue

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs/_static"

_COLUMNS = 84
_COMMANDS = (
    "vod2strmfs mount STRM --daemon",
    "ls STRM/Movies",
    "ls 'STRM/Movies/Heat (1995)' 'STRM/TV/Lost (2004)/Season 01'",
    "cat 'STRM/Movies/Heat (1995)/Heat (1995).strm'",
    "head -n 7 'STRM/Movies/Heat (1995)/movie.nfo'",
)
_LINE, _CHARACTER = 19, 8.1
"""The height of a line and the width of a character, in pixels."""

_COLOURS = """
    svg { --ground: #ffffff; --frame: #d0d7de; --text: #1f2328; --faint: #636c76; --sign: #1a7f37; --on: #0969da; }
    @media (prefers-color-scheme: dark) {
      svg { --ground: #161b22; --frame: #3d444d; --text: #e6edf3; --faint: #9198a1; --sign: #3fb950; --on: #4493f8; }
    }
    .ground { fill: var(--ground); stroke: var(--frame); }
    .text { fill: var(--text); } .faint { fill: var(--faint); } .sign { fill: var(--sign); }
    .off { fill: none; stroke: var(--faint); } .on { fill: var(--on); stroke: var(--on); }
    .tick { fill: none; stroke: var(--ground); stroke-width: 2; }
"""


def main() -> int:
    """Write the pictures, or check them."""
    tables = (ROOT / "docs/quickstart.md").read_text()
    drawn = {
        "terminal.svg": _terminal(_recorded()),
        "jellyfin.svg": _form("Jellyfin: add a library of movies", _rows(tables, "Jellyfin")),
        "kodi.svg": _form("Kodi: set content of a folder of movies", _rows(tables, "Kodi")),
    }
    stale = []
    for name, picture in drawn.items():
        path = PICTURES / name
        if "--check" not in sys.argv:
            path.write_text(picture)
        elif not path.exists() or path.read_text() != picture:
            stale.append(name)
    if stale:
        print(f"docs/_static: {', '.join(stale)} out of date: run scripts/pictures.py", file=sys.stderr)
    return bool(stale)


def _catalogue() -> Catalogue:
    catalogue = Catalogue()
    titles = (("Amélie", 2001), ("Blade Runner", 1982), ("Casablanca", 1942), ("Ran", 1985), ("Spirited Away", 2001))
    for title, year in titles:
        catalogue.movie(title, year=year)
    catalogue.movie(
        "EN - Heat (1995)", uuid="6f1c3f6e-4f0e-4a43-8f0e-0c2b8f1f9a11", year=1995,
        rating="8.3", tmdb_id="949", imdb_id="tt0113277",
        description="A group of professional bank robbers feel the heat.",
    )  # fmt: skip
    series = catalogue.series("Lost", year=2004)
    for number, title in enumerate(("Pilot", "Tabula Rasa"), start=1):
        catalogue.episode(series, 1, number, title)
    return catalogue


def _recorded() -> list[tuple[str, list[str]]]:
    """The commands, and the lines that each printed on a terminal."""
    with tempfile.TemporaryDirectory() as folder:
        _catalogue().write(f"sqlite:///{folder}/dispatcharr.db")
        Path(folder, "STRM").mkdir()
        own = {name: value for name, value in os.environ.items() if not name.startswith("VOD2STRMFS_")}
        environment = {
            **own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TERM": "dumb",
            "QUOTING_STYLE": "literal",
            "VOD2STRMFS_DATABASE": f"sqlite:///{folder}/dispatcharr.db", "VOD2STRMFS_STATE_DIR": f"{folder}/state",
            "VOD2STRMFS_BASE_URL": "http://192.168.1.10:9191", "VOD2STRMFS_MEDIA_SERVER": "jellyfin",
            "VOD2STRMFS_CONFIG": "",
        }  # fmt: skip
        try:
            return [(line, _on_terminal(line, folder, environment)) for line in _COMMANDS]
        finally:
            subprocess.run(["fusermount3", "-uz", f"{folder}/STRM"], check=False, capture_output=True)


def _on_terminal(line: str, folder: str, environment: dict[str, str]) -> list[str]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["sh", "-c", line], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # What the kernel answers when nobody is left on the other side.
        while data := os.read(ours, 65536):
            said += data
    os.close(ours)
    if process.wait() != 0:
        sys.exit(f"{line}: ended with {process.returncode}:\n{said.decode()}")
    # What differs from one recording to the next: where it was made, the times of the log, and what a slow start says.
    text = said.decode().replace(f"{folder}/", "").replace("\r", "")
    text = re.sub(r"^\d{4}-\d\d-\d\d \S+ |^vod2strmfs: waiting for .*\n", "", text, flags=re.M)
    lines = [shown.expandtabs().rstrip() for shown in text.splitlines()]
    return [line[at : at + _COLUMNS] for line in lines for at in range(0, len(line) or 1, _COLUMNS)]


def _terminal(recorded: list[tuple[str, list[str]]]) -> str:
    """The recording: each command appears, and then what it printed; without motion, all at once."""
    parts, delays = [], []
    y, seconds = 52, 0.0
    for number, (command, lines) in enumerate(recorded):
        for kind, shown in (("command", [command]), ("output", lines)):
            if not shown:
                continue
            texts = []
            for text in shown:
                prompt = '<tspan class="sign">$ </tspan>' if kind == "command" else ""
                texts.append(f'<text x="18" y="{y}">{prompt}{escape(text, quote=False)}</text>')
                y += _LINE
            parts.append(f'<g class="{"text" if kind == "command" else "faint"} {kind}{number}">{"".join(texts)}</g>')
            delays.append(f"    .{kind}{number} {{ animation-delay: {seconds:.1f}s; }}")
            seconds += 0.5 if kind == "command" else 0.9
        y += _LINE // 3
    motion = "\n".join(delays)
    style = (
        "    text { font: 13.4px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; }\n"
        "    g { animation: appear 0.2s both; }\n"
        "    @keyframes appear { from { opacity: 0; } to { opacity: 1; } }\n"
        f"{motion}\n    @media (prefers-reduced-motion: reduce) {{ g {{ animation: none; }} }}\n"
    )
    colours = ((22, "#f26d5f"), (42, "#e5b93c"), (62, "#54b45c"))
    dots = "".join(f'<circle cx="{x}" cy="20" r="6" fill="{colour}"/>' for x, colour in colours)
    return _svg(round(_COLUMNS * _CHARACTER + 36), y, "A terminal with vod2strmfs", style, [dots, *parts])


def _rows(page: str, heading: str) -> list[tuple[str, str]]:
    """The first two columns of the table below a heading; what is empty or different in each library is left out."""
    section = page.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (?!setting |-)(.+?) \| *(.*?) *\|", section, re.M)
    return [(name, re.sub(r"[`*]", "", value)) for name, value in rows if value]


def _form(title: str, rows: list[tuple[str, str]]) -> str:
    """A form: a tick box for what is on or off, a field for everything else."""
    style = "    text { font: 14px system-ui, 'DejaVu Sans', Arial, sans-serif; } .title { font-weight: 600; }\n"
    parts = [f'<text class="text title" x="22" y="34">{escape(title)}</text>']
    y = 66
    for name, value in rows:
        switch = re.fullmatch(r"(?:(\w+) )?(on|off)", value)
        if switch:
            of, state = switch.groups()
            parts.append(f'<rect class="{state}" x="22" y="{y - 13}" width="16" height="16" rx="3"/>')
            if state == "on":
                parts.append(f'<path class="tick" d="M26 {y - 5} l3 4 l6 -8"/>')
            parts.append(f'<text class="text" x="48" y="{y}">{escape(name)}{f": {of}" if of else ""}</text>')
            y += 30
        else:
            parts.append(f'<text class="faint" x="22" y="{y}">{escape(name)}</text>')
            parts.append(f'<rect class="off" x="22" y="{y + 9}" width="516" height="28" rx="4"/>')
            parts.append(f'<text class="text" x="34" y="{y + 28}">{escape(value)}</text>')
            y += 68
    return _svg(560, y - 6, title, style, parts)


def _svg(width: int, height: int, title: str, style: str, parts: list[str]) -> str:
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img">\n  <title>{escape(title)}</title>\n  <style>{_COLOURS}{style}  </style>\n'
        f'  <rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>\n  {body}\n</svg>\n'
    )


if __name__ == "__main__":
    sys.exit(main())
