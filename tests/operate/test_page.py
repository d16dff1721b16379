"""The status page as people see it: in a window and on a phone, by day and by night, in every state."""

import itertools
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from browsing import texts
from page_measures import faults, open_all
from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pictures() -> Any:
    """The script that takes the pictures in the documents."""
    loader = SourceFileLoader("page_pictures", str(ROOT / "scripts/page_pictures.py"))
    module = module_from_spec(spec_from_loader("page_pictures", loader) or pytest.fail("no script"))
    loader.exec_module(module)
    return module


class Viewer:
    """Looks at pages in both widths and both schemes, and takes pictures."""

    def __init__(self, pictures: Any, browser: webdriver.Chrome, folder: Path) -> None:
        self._pictures = pictures
        self._browser = browser
        self._folder = folder

    def look(self, url: str, name: str) -> None:
        """See nothing wrong, with all that is folded open."""
        for width, dark in itertools.product((self._pictures.WIDE, self._pictures.PHONE), (False, True)):
            self._pictures.show(self._browser, url, width, dark=dark)
            seen = self._folder / f"{name}-{width}-{'dark' if dark else 'light'}.webp"
            open_all(self._browser)
            self._pictures.take(self._browser, seen)
            assert faults(self._browser) == [], seen


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<p style='width: 2000px'>wide</p>", "the page is 20"),
        ("<p style='width: 3em; overflow: hidden'>unbreakable</p>", "is cut"),
        ("<p style='width: 3em; overflow-wrap: anywhere'>unbreakable</p>", "breaks the word"),
        ("<p style='color: #999; background: #eee'>pale</p>", "contrast"),
    ],
)
def test_the_measures_find_what_they_are_for(browser: webdriver.Chrome, page: str, fault: str) -> None:
    browser.get(f"data:text/html,{page.replace('#', '%23')}")
    assert fault in " ".join(faults(browser))


def test_the_page_can_be_read_in_every_state_and_width_and_scheme(
    pictures: Any, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    library = pictures.Library(tmp_path, films=400)
    viewer = Viewer(pictures, browser, tmp_path)
    with library.mounted():
        viewer.look(library.url, "fresh")
        assert texts(browser, "#changes > p") == ["Nothing, since the library was first read just now."]

        library.pass_a_night()
        library.set_back(hours=5)
        viewer.look(library.url, "good")
        assert texts(browser, "#cards dt") == ["Films", "Series", "Episodes", "All is well"]
        [films, episodes, gone] = texts(browser, ".change")
        assert films.startswith("New films")
        assert episodes.split("\n") == ["New in series", "3 episodes of Lighthouse Street (2019)"]
        assert gone.startswith("Films gone")
        assert len(texts(browser, ".change li")) < 25
        newest, before = texts(browser, "a.report .result")
        assert newest.startswith("2 failed, ")
        assert "deleted" in newest
        assert before.endswith(" created")
        report = browser.find_element(By.CSS_SELECTOR, "a.report").get_attribute("href")
        assert report is not None
        viewer.look(report, "report")
        assert texts(browser, "#rows h2")[:2] == ["2 failed", newest.split(", ")[1]]

        library.lose_many()
        viewer.look(library.url, "held")
        copied = browser.execute_script(
            "getSelection().selectAllChildren(document.querySelector('.held .command')); return String(getSelection())"
        )
        assert copied == f"vod2strmfs sync --accept-shrink --config {tmp_path}/vod2strmfs.toml"
        assert len(texts(browser, "#held li")) > 100
        library.lose_the_database()
        viewer.look(library.url, "away")
        assert texts(browser, ".notice h2") == [
            "Dispatcharr’s database is away", "Some changes wait for you", "The last run could not write everything",
        ]  # fmt: skip


def test_the_documents_show_the_page_in_pictures_of_a_moderate_size() -> None:
    shown = sorted((ROOT / "docs/_static").glob("page-*"))
    assert len(shown) == 4
    page = (ROOT / "docs/operation.md").read_text()
    for picture in shown:
        assert picture.stat().st_size < 120_000
        assert f"(_static/{picture.name})" in page
