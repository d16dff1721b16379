"""What a browser shows, as of one moment: a page may be renewed, or left for another one, at any time."""

from collections.abc import Callable
from contextlib import suppress

from mounts import eventually
from selenium import webdriver
from selenium.common.exceptions import WebDriverException

_TEXTS = """
const text = element => element.checkVisibility() ? element.innerText.trim() : "";
return document.readyState === "complete" ? [...document.querySelectorAll(arguments[0])].map(text) : [];
"""


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    """The texts of elements; none while the page is not yet whole."""
    found: list[str] = browser.execute_script(_TEXTS, selector)
    return found


def arrive(is_there: Callable[[], bool]) -> None:
    """Wait for the page that a click leads to: it may return before that is there. Between two pages there is none."""

    def is_so() -> bool:
        with suppress(WebDriverException):
            return is_there()
        return False

    eventually(is_so)
