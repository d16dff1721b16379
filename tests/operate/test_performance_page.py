"""The picture of docs/performance.md."""

import runpy
import xml.etree.ElementTree as ET

from test_docs import ROOT


def test_the_picture_shows_what_the_table_says() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "draw_performance.py"))
    page = script["PAGE"].read_text()
    rows = script["rows"](page)
    assert {row.against for row in rows} == {"bindfs", "mergerfs", "rclone"}
    assert script["PICTURE"].read_text() == script["draw"](page), "run scripts/draw_performance.py"
    texts = [element.text for element in ET.fromstring(script["draw"](page)).iter("{http://www.w3.org/2000/svg}text")]
    for row in rows:
        assert {f"{ratio:g}" for ratio in row.ratios} <= set(texts)
