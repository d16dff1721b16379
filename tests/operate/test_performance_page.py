"""The picture of docs/performance.md."""

import runpy
import xml.etree.ElementTree as ET

from test_docs import ROOT


def test_the_picture_shows_what_the_table_says() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "draw_performance.py"))
    page = script["PAGE"].read_text()
    rows = script["bars"](page)
    assert {bar.against for bar in rows} == {"bindfs", "mergerfs", "rclone"}
    assert script["PICTURE"].read_text() == script["draw"](page), "run scripts/draw_performance.py"
    texts = [element.text for element in ET.fromstring(script["draw"](page)).iter("{http://www.w3.org/2000/svg}text")]
    for bar in rows:
        assert f"{bar.ratio:g}" in texts
