"""Draws docs/_static/performance.svg from the first table of docs/performance.md: `python scripts/draw_performance.py`.

A bar for each work that other file systems do as well: how long a mount takes for it, where the other takes 1.
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "_static" / "performance.svg"

_OTHERS = ("bindfs", "mergerfs", "rclone")
_LEFT, _UNIT, _ROW, _TOP = 390, 260, 24, 40
"""Pixels: room for the words, the length of a bar of 1, the height of a row, room for the heading."""
_LONGEST = 1.25
_COLOURS = """<style>
svg { --ground: #ffffff; --text: #333333; --less: #2f7d4f; --more: #b4552d; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #161b22; --text: #e6edf3; --less: #3fb950; --more: #db6d28; }
}
.ground { fill: var(--ground); } text { fill: var(--text); } line { stroke: var(--text); }
.less { fill: var(--less); } .more { fill: var(--more); }
</style>"""


class Bar(NamedTuple):
    """A line of the table."""

    work: str
    against: str
    ratio: float


def bars(page: str) -> list[Bar]:
    """The lines of the first table in which something is measured against another file system."""
    lines = page.split("\n| ")[1:]
    cells = [[cell.strip().strip("*") for cell in line.split("\n", 1)[0].split("|")] for line in lines]
    found = [row for row in cells if len(row) > 2 and any(other in row[1] for other in _OTHERS)]
    return [Bar(work.replace("`", ""), against.replace("`", ""), float(ratio)) for work, against, ratio, *_ in found]


def draw(page: str) -> str:
    """The picture of a page."""
    rows = bars(page)
    width, height = _LEFT + int(_UNIT * _LONGEST) + 60, _TOP + _ROW * len(rows) + 10
    one = _LEFT + _UNIT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        "<title>Time that a mount takes, where the other file system takes 1</title>",
        _COLOURS,
        f'<rect class="ground" width="{width}" height="{height}"/>',
        f'<text x="{one}" y="20" text-anchor="middle">as long as the other</text>',
    ]
    for number, bar in enumerate(rows):
        top = _TOP + _ROW * number
        length = round(_UNIT * min(bar.ratio, _LONGEST))
        kind = "less" if bar.ratio <= 1 else "more"
        text = f"{escape(bar.work)} — {escape(bar.against)}"
        lines += [
            f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end">{text}</text>',
            f'<rect x="{_LEFT}" y="{top + 3}" width="{length}" height="{_ROW - 8}" class="{kind}"/>',
            f'<text x="{_LEFT + length + 5}" y="{top + 14}">{bar.ratio:g}</text>',
        ]
    lines += [f'<line x1="{one}" y1="{_TOP - 12}" x2="{one}" y2="{height - 6}"/>', "</svg>", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PICTURE.write_text(draw(PAGE.read_text()))
