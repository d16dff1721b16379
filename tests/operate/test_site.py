"""The documentation site: it builds without a warning, and shows in a browser, which it lets ask nobody."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import arrive, texts
from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).parents[2]
SHOWS = """
const images = [...document.querySelectorAll(arguments[1])];
const shown = images.length > 0 && images.every(each => each.complete && each.naturalWidth > 0);
return shown && document.title.includes(arguments[0]);
"""
"""Whether the page with a title shows its images."""


def build(docs: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    """What `make docs` does."""
    whole: list[str | Path] = [sys.executable, "-m", "sphinx", "-EaW", "--keep-going", "-q", docs, site]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, of the documents as they are."""
    site = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", site)
    assert (done.returncode, done.stderr) == (0, "")
    return site


def test_make_docs_builds_it_so() -> None:
    [recipe] = re.findall(r"^docs:\n(?:\t@.*\n)*\t(.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert recipe == "$(BIN)/sphinx-build -EaW --keep-going -q docs build/site"
    assert "/build/" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_page_can_be_reached_from_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / name).exists()
        assert f'href="{name}"' in home or page.stem == "index", name


BROKEN = """# Settings

[nowhere](nonesuch.md)

[nowhere](index.md#nonesuch)

[nowhere](#nonesuch)

```mermaid
nonesuch ][
```
"""


def test_links_that_lead_nowhere_and_charts_that_are_none_are_errors(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "docs/conf.py", docs)
    (docs / "_static").mkdir()
    (docs / "settings.md").write_text("# Settings\n\n[Home](index.md#home)\n")
    (docs / "index.md").write_text("# Home\n\n[Settings](#home)\n\n```{toctree}\nsettings\n```\n")
    assert build(docs, tmp_path / "good").returncode == 0
    (docs / "settings.md").write_text(BROKEN)
    done = build(docs, tmp_path / "bad")
    assert done.returncode != 0
    for line in (3, 5, 7, 9):
        assert f"settings.md:{line}: " in done.stderr, done.stderr


def test_a_browser_shows_navigation_tables_and_charts_and_asks_nobody(site: Path, browser: webdriver.Chrome) -> None:
    browser.set_window_size(1400, 2400)  # the whole navigation
    browser.get((site / "index.html").as_uri())
    assert "Plex: .strm does not play, films does" in browser.find_element(By.TAG_NAME, "blockquote").text
    captions = [caption.text for caption in browser.find_elements(By.CSS_SELECTOR, ".sidebar-tree .caption")]
    assert [caption.lower() for caption in captions] == ["start", "how to", "reference", "inside"]

    browser.find_element(By.CSS_SELECTOR, ".sidebar-tree").find_element(By.LINK_TEXT, "Quick start").click()
    arrive(lambda: "".join(texts(browser, "h1")).startswith("Quick start"))
    assert "Metadata savers: Nfo off" in [" ".join(row.split()) for row in texts(browser, "#jellyfin tr")]

    for page, images in (("Performance", "img[src$='performance.svg']"), ("Architecture", "img.mermaid")):
        browser.find_element(By.LINK_TEXT, page).click()
        arrive(lambda sought=(page, images): browser.execute_script(SHOWS, *sought))  # type: ignore[misc]


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    tags = r"""<(?:link|script|img|iframe|source|object)\b[^>]*?(?:href|src|data)=["']?([^"' >]+)"""
    for page in (*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")):
        text = page.read_text()
        loaded = re.findall(tags, text) + re.findall(r"""(?:url\(|@import )["']?([^"')]+)""", text)
        assert [address for address in loaded if re.match("(https?:)?//", address)] == [], page
