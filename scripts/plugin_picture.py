"""The picture of the plugin's form in the documents, `docs/_static/plugin-form.png`: drawn from the manifest.

    scripts/plugin_picture.py [--check]

Dispatcharr's page does not run here. So what it makes of a manifest is drawn as a page of our own, which Chromium makes
a picture of: the same fields, labels, texts, values and buttons in the same order. The picture notes what it was drawn
from; `--check` says whether that is still the manifest, and exits with 1 if it is not.
"""

import base64
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import jinja2

from vod2strmfs.dispatcharr_plugin.manifest import manifest

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/_static/plugin-form.png"
_LOGO = ROOT / "vod2strmfs/dispatcharr_plugin/logo.png"
_WIDTH = 1180
_PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<style>
  body { background: #18181b; color: #c9c9c9; font: 14px/1.4 "DejaVu Sans", Arial, sans-serif; margin: 0; padding: 24px;
         display: flex; gap: 24px; align-items: flex-start; width: {{ width - 48 }}px; }
  section { background: #242424; border: 1px solid #3f3f46; border-radius: 8px; padding: 16px 20px; flex: 1; }
  header { display: flex; gap: 10px; align-items: center; font-weight: 600; }
  header img { width: 30px; border-radius: 4px; }
  nav { border-bottom: 2px solid #3f3f46; margin: 12px 0 14px; }
  nav span { display: inline-block; padding: 6px 14px; margin-bottom: -2px; color: #828282; }
  nav .open { color: #fff; border-bottom: 2px solid #228be6; }
  .field { margin-bottom: 13px; }
  .label { color: #e4e4e7; font-size: 13px; }
  .help { color: #909296; font-size: 11.5px; }
  .box { background: #2e2e2e; border: 1px solid #4a4a4a; border-radius: 4px; padding: 5px 10px; margin-top: 4px;
         font-size: 13px; min-height: 18px; display: flex; justify-content: space-between; }
  .box.empty { color: #696969; }
  .sign { color: #828282; }
  .switch { display: flex; gap: 12px; }
  .switch i { flex: none; width: 38px; height: 20px; border-radius: 10px; background: #4a4a4a; position: relative;
              margin-top: 2px; }
  .switch i::after { content: ""; position: absolute; top: 3px; left: 4px; width: 14px; height: 14px;
                     border-radius: 7px; background: #fff; }
  .switch i.on { background: #228be6; }
  .switch i.on::after { left: 20px; }
  .action { display: flex; justify-content: space-between; align-items: center; gap: 16px; margin-bottom: 13px; }
  .button { flex: none; background: #228be6; color: #fff; border-radius: 4px; padding: 5px 14px; font-size: 12px;
            font-weight: 600; }
  .button.red { background: #e03131; }
  .button.plain { background: #2e2e2e; border: 1px solid #4a4a4a; }
  .end { display: flex; justify-content: flex-end; gap: 10px; }
</style>
{% macro head(open) %}
<header><img src="data:image/png;base64,{{ logo }}">{{ name }}</header>
<nav>
{% for tab in ("Settings", "Actions") %}<span class="{{ 'open' if tab == open }}">{{ tab }}</span>{% endfor %}
</nav>
{% endmacro %}
<section>
{{ head("Settings") }}
{% for field in fields %}
  <div class="field">
  {% if field.type == "boolean" %}
    <div class="switch"><i class="{{ 'on' if field.default }}"></i>
      <div><div class="label">{{ field.label }}</div><div class="help">{{ field.help_text }}</div></div></div>
  {% else %}
    <div class="label">{{ field.label }}</div><div class="help">{{ field.help_text }}</div>
    {% set shown = shown_value(field) %}
    <div class="box {{ 'empty' if not shown }}"><span>{{ shown or field.placeholder }}</span>
      <span class="sign">{{ {"select": "⌄", "number": "↕"}.get(field.type, "") }}</span></div>
  {% endif %}
  </div>
{% endfor %}
  <div class="end"><span class="button plain">Cancel</span><span class="button">Save</span></div>
</section>
<section>
{{ head("Actions") }}
{% for action in actions %}
  <div class="action">
    <div><div class="label">{{ action.label }}</div><div class="help">{{ action.description }}</div></div>
    <span class="button {{ action.button_color }}">{{ action.button_label or "Run" }}</span></div>
{% endfor %}
</section>
"""


def drawn_from() -> dict[str, Any]:
    """The part of the manifest that the picture shows."""
    said = manifest()
    return {key: said[key] for key in ("name", "fields", "actions")}


def digest() -> bytes:
    """What the picture notes."""
    return hashlib.sha256(json.dumps(drawn_from(), sort_keys=True).encode()).hexdigest().encode()


def shown_value(field: dict[str, Any]) -> str:
    """What a field shows before anybody has typed."""
    value = field.get("default", "")
    labels = {option["value"]: option["label"] for option in field.get("options", ())}
    return str(labels.get(value, value))


def draw() -> bytes:
    """The picture as Chromium makes it.

    Raises:
        subprocess.CalledProcessError: Chromium could not.
    """
    logo = base64.b64encode(_LOGO.read_bytes()).decode()
    page = jinja2.Environment(autoescape=True).from_string(_PAGE)
    with tempfile.TemporaryDirectory() as folder:
        html, picture = Path(folder, "form.html"), Path(folder, "form.png")
        html.write_text(page.render(**drawn_from(), logo=logo, width=_WIDTH, shown_value=shown_value))
        size = f"--window-size={_WIDTH},{_height(html)}"
        _chromium(size, f"--screenshot={picture}", str(html))
        return picture.read_bytes()


def _height(html: Path) -> int:
    """How high the page is when all of it is seen."""
    measured = html.with_name("measured.html")
    measure = "<script>document.title = document.documentElement.scrollHeight</script>"
    measured.write_text(html.read_text() + measure)
    said = _chromium(f"--window-size={_WIDTH},200", "--dump-dom", str(measured))
    return int(said.partition("<title>")[2].partition("<")[0])


def _chromium(*arguments: str) -> str:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout


def with_note(png: bytes) -> bytes:
    """A PNG with the digest as a comment, before its end."""
    chunk = b"tEXtmanifest\0" + digest()
    end = png.rindex(b"IEND") - 4
    return png[:end] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[end:]


def main() -> None:
    """Draw, or check."""
    if sys.argv[1:] == ["--check"]:
        if digest() not in PICTURE.read_bytes():
            sys.exit(f"{PICTURE.relative_to(ROOT)} shows another form; run scripts/plugin_picture.py")
    else:
        PICTURE.write_bytes(with_note(draw()))


if __name__ == "__main__":
    main()
