"""The pictures of the status page in the documents, `docs/_static/page-*.webp`: of a library with invented titles.

    scripts/page_pictures.py

A real mount is made of an invented catalogue, which changes, and loses much at once; reports are those of real runs.
What is written is the times alone: nobody waits for nights to pass. Needs root, for FUSE, and Chromium.
"""

import base64
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from selenium import webdriver

from vod2strmfs.demo.catalogue import Catalogue

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs/_static"
WIDE, PHONE = 1280, 390
_FIRST = "Quiet Amber Northern Paper Silver Hollow Distant Second Golden Winter Broken Velvet Copper Hidden Late Far"
_SECOND = "Harbour Orchard Signal Mirror River Station Garden Letter Horizon Bridge Compass Meadow Shore Tower Lake"
_THIRD = "of Glass|at Midnight|in Spring|of the North||for Two|Road|Returns|and Salt|of Dust"
_SERIES = ("Lighthouse Street", "The Ninth Ward", "Salt and Iron", "Orchard Lane", "Cold Harbour", "Paper Planes")
_WAIT_SECONDS = 120.0


def invented_titles(number: int) -> list[str]:
    """Titles that no film has, as far as anybody knows."""
    names = [
        " ".join(filter(None, ("The", first, second, third)))
        for first in _FIRST.split()
        for second in _SECOND.split()
        for third in _THIRD.split("|")
    ]
    random.Random(18).shuffle(names)
    return names[:number]


class Library:
    """A mounted library with a status page, whose catalogue changes when it is told to.

    Args:
        directory: an empty folder for all that it needs.
        films: how many there are.
    """

    def __init__(self, directory: Path, films: int) -> None:
        self._directory = directory
        self._database = directory / "catalogue.db"
        self.state_dir = directory / "state"
        self.output = directory / "STRM"
        self.films = films
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self._address}/"
        settings = {
            "database": f"sqlite:///{self._database}",
            "base_url": "http://dispatcharr.home.example:9191",
            "state_dir": str(self.state_dir),
        }
        text = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
        (directory / "vod2strmfs.toml").write_text(text)
        self._write_catalogue()

    def _write_catalogue(self) -> None:
        catalogue = Catalogue()
        accounts = {name: catalogue.account(name, active=name != "tonight") for name in ("always", "gone", "tonight")}
        *usual, gone, new, other = invented_titles(self.films)
        for number, title in enumerate(usual):
            of = "gone" if number % 40 == 7 else "tonight" if number % 30 == 3 else "always"
            catalogue.movie(title, year=1975 + number % 50, relations=[accounts[of]])
        for title, of in ((gone, "gone"), (new, "tonight"), (other, "tonight")):
            catalogue.movie(title, year=2024, relations=[accounts[of]])
        for name in _SERIES:
            series = catalogue.series(name, year=2019, relations=[accounts["always"], accounts["tonight"]])
            for season in (1, 2):
                for episode in range(1, 9):
                    late = (name, season) == (_SERIES[0], 2) and episode > 5
                    of = accounts["tonight" if late else "always"]
                    catalogue.episode(series, season, episode, f"Part {episode}", relations=[of])
        catalogue.write(f"sqlite:///{self._database}")

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it while the context lasts."""
        mountpoint = self._directory / "mount"
        mountpoint.mkdir()
        process = self._run("mount", mountpoint, "--status-listen", self._address, "--poll-interval", "0.5")
        try:
            self.wait_for("All is well")
            yield
        finally:
            process.terminate()
            process.wait(_WAIT_SECONDS)

    def _run(self, *words: str | Path) -> "subprocess.Popen[bytes]":
        """Begin a command. The settings are in a file in the folder, whose name can stand in a picture."""
        with (self._directory / "log").open("ab") as log:
            command = [sys.executable, "-m", "vod2strmfs", *words, "--config", "vod2strmfs.toml"]
            return subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)

    def page(self) -> str:
        """The front page's source; empty while nobody answers."""
        with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(self.url, timeout=30) as answer:
            return str(answer.read().decode())
        return ""

    def wait_for(self, text: str) -> None:
        """Wait until the front page says something."""
        _eventually(lambda: text in self.page(), text)

    def execute(self, statement: str) -> None:
        """Change the catalogue."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute(statement)

    def materialize(self, *options: str) -> None:
        """Write the library as files. Some of them cannot be written, which is an exit code."""
        self._run("materialize", self.output, *options).wait(_WAIT_SECONDS)

    def pass_a_night(self) -> None:
        """Titles come and go, and a run reports it; something stands in the way of two files."""
        self.materialize()
        self.execute("UPDATE m3u_m3uaccount SET is_active = (name != 'gone')")
        self.wait_for("3 episodes of Lighthouse Street (2019)")
        *_, new, other = invented_titles(self.films)
        for title in (new, other):
            (self.output / "Movies" / f"{title} (2024)" / f"{title} (2024).strm").mkdir(parents=True)
        self.materialize("--cleanup", "apply", "--max-shrink", "50")

    def lose_many(self) -> None:
        """A third of the films go at once, and are held back."""
        self.execute("DELETE FROM vod_m3umovierelation WHERE id % 3 = 0")
        self.wait_for("held back")

    def lose_the_database(self) -> None:
        """The catalogue cannot be read any more."""
        self._database.rename(self._database.with_suffix(".away"))
        self.wait_for("Database away")

    def set_back(self, **ago: float) -> None:
        """Have all that has happened happen some time ago; the reports come later, a day after the other."""
        passed = timedelta(**ago)
        with closing(sqlite3.connect(self.state_dir / "index.db")) as connection, connection:
            connection.execute("UPDATE past SET made = made - ?", (int(passed.total_seconds()) * 10**9,))
            connection.execute("UPDATE generation SET made = made - ?", (int(passed.total_seconds()) * 10**9,))
        reports = sorted((self.state_dir / "reports").iterdir(), reverse=True)
        for days, report in enumerate(reports):
            mode, _, moment = report.stem.removeprefix("report_").partition("_")
            then = datetime.strptime(moment, "%Y%m%d_%H%M%S") - passed + timedelta(days=-days, minutes=20)
            report.rename(report.with_name(f"report_{mode}_{then:%Y%m%d_%H%M%S}.csv"))


def _eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never seen: {what}")
        time.sleep(0.1)


def show(browser: webdriver.Chrome, url: str, width: int, *, dark: bool) -> None:
    """Show a page as a window or a phone of that width does."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(url)


def take(browser: webdriver.Chrome, picture: Path, most: int = 0) -> None:
    """Take a picture of all of the page that is shown; of its upper part of that many pixels, if it is longer."""
    height, width = browser.execute_script("const d = document.documentElement; return [d.scrollHeight, d.clientWidth]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, most or height), "scale": 1}
    options = {"format": "webp", "quality": 80, "captureBeyondViewport": True, "clip": clip}
    picture.write_bytes(base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(executable_path=str(shutil.which("chromedriver"))))
    try:
        yield browser
    finally:
        browser.quit()


def main() -> None:
    """Take the pictures."""
    os.environ |= {"TZ": "UTC"}
    time.tzset()
    # It has a name that can stand in a picture.
    folder = Path(tempfile.gettempdir(), "library")
    folder.mkdir()
    try:
        library = Library(folder, films=1904)
        with library.mounted(), chromium(folder / "chromium") as browser:
            library.pass_a_night()
            library.set_back(hours=5)
            show(browser, library.url, WIDE, dark=False)
            report = browser.find_element("css selector", "a.report").get_attribute("href")
            assert report is not None
            take(browser, PICTURES / "page-light.webp")
            show(browser, report, WIDE, dark=False)
            take(browser, PICTURES / "page-report.webp", 900)
            show(browser, report, PHONE, dark=False)
            take(browser, PICTURES / "page-report-phone.webp", 900)
            library.lose_many()
            show(browser, library.url, PHONE, dark=True)
            take(browser, PICTURES / "page-dark-phone.webp", 1400)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
