"""Draws docs/_static/performance.svg from the first table of docs/performance.md: `python scripts/draw_performance.py`.

For each work that other file systems do as well, two bars: how long a mount takes for it, where the other takes 1, as
the scheduler places them (the thin one) and on one processor.
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "_static" / "performance.svg"

_OTHERS = ("bindfs", "mergerfs", "rclone")
_LEFT, _UNIT, _ROW, _TOP = 390, 260, 28, 40
"""Pixels: room for the words, the length of a bar of 1, the height of a row, room for the heading."""
_BARS = ((3, 6), (11, 12))
"""Pixels: where the bars of a row begin, and how thick they are."""
_LONGEST = 1.25
_COLOURS = """<style>
svg { --ground: #ffffff; --text: #333333; --less: #2f7d4f; --more: #b4552d; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #161b22; --text: #e6edf3; --less: #3fb950; --more: #db6d28; }
}
.ground { fill: var(--ground); } text { fill: var(--text); } line { stroke: var(--text); }
.less { fill: var(--less); } .more { fill: var(--more); }
</style>"""


class Row(NamedTuple):
    """A line of the table."""

    work: str
    against: str
    ratios: list[float]
    """As the scheduler places them, and on one processor if that was measured."""


def rows(page: str) -> list[Row]:
    """The lines of the first table in which something is measured against another file system."""
    lines = page.split("\n| ")[1:]
    cells = [[cell.strip() for cell in line.split("\n", 1)[0].split("|")] for line in lines]
    found = [row for row in cells if len(row) > 3 and row[1] in _OTHERS]
    return [Row(work, against, [_ratio(each) for each in measured[:2] if each]) for work, against, *measured in found]


def _ratio(cell: str) -> float:
    """The first number of a cell, which a median follows."""
    return float(cell.split(" ")[0].strip("*,"))


def draw(page: str) -> str:
    """The picture of a page."""
    shown = rows(page)
    width, height = _LEFT + int(_UNIT * _LONGEST) + 60, _TOP + _ROW * len(shown) + 10
    one = _LEFT + _UNIT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        "<title>Time that a mount takes, where the other file system takes 1</title>",
        _COLOURS,
        f'<rect class="ground" width="{width}" height="{height}"/>',
        '<text x="8" y="20">thin: two processors; thick: one</text>',
        f'<text x="{one}" y="20" text-anchor="middle">as long as the other</text>',
    ]
    for number, row in enumerate(shown):
        top = _TOP + _ROW * number
        text = f"{escape(row.work)} — {escape(row.against)}"
        lines.append(f'<text x="{_LEFT - 8}" y="{top + 18}" text-anchor="end">{text}</text>')
        for ratio, (below, thick) in zip(row.ratios, _BARS, strict=False):
            length = round(_UNIT * min(ratio, _LONGEST))
            kind, size = "less" if ratio <= 1 else "more", thick + 1
            lines += [
                f'<rect x="{_LEFT}" y="{top + below}" width="{length}" height="{thick}" class="{kind}"/>',
                f'<text x="{_LEFT + length + 5}" y="{top + below + size // 2 + 4}" font-size="{size}">{ratio:g}</text>',
            ]
    lines += [f'<line x1="{one}" y1="{_TOP - 12}" x2="{one}" y2="{height - 6}"/>', "</svg>", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PICTURE.write_text(draw(PAGE.read_text()))
