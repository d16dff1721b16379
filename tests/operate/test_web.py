"""The status page and the metrics, as a browser and as Prometheus see them."""

import csv
import http.client
import os
import re
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from browsing import arrive, texts
from databases import Database
from libraries import Library
from mounts import Mount, eventually, is_mounted, mounted
from postgres_server import free_port
from prometheus_client.parser import text_string_to_metric_families
from selenium import webdriver
from selenium.webdriver.common.by import By

from vod2strmfs import PROJECT_URL
from vod2strmfs.artwork.queue import Queue as Images
from vod2strmfs.artwork.queue import Wish
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import SettingsError
from vod2strmfs.hydrate.outcomes import Patience
from vod2strmfs.hydrate.queue import Entry, Queue
from vod2strmfs.library.kinds import Slot
from vod2strmfs.reports.rows import COLUMNS, Reason
from vod2strmfs.settings import LibrarySettings, load
from vod2strmfs.status.progress import noting
from vod2strmfs.web import words
from vod2strmfs.web.metrics import render
from vod2strmfs.web.pages import Pages

_EVIL = "<script>document.title='stolen'</script><b>Film</b>"


class Site(NamedTuple):
    """A mount with its status page."""

    port: int
    mount: Mount
    reports: Path
    answers: list[http.client.HTTPResponse]

    @property
    def url(self) -> str:
        """Of the front page."""
        return f"http://127.0.0.1:{self.port}/"

    def request(self, path: str, method: str = "GET", host: str | None = None) -> http.client.HTTPResponse:
        """Ask for a path, whatever its form, and read the answer's head. The rest need not be read: see `site`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        connection.endheaders()
        self.answers.append(connection.getresponse())
        return self.answers[-1]

    def metrics(self) -> dict[str, float]:
        """Every sample without labels, and those of the library as `library.SCOPE.METRIC`."""
        found = {}
        for family in text_string_to_metric_families(self.request("/metrics").read().decode()):
            for sample in family.samples:
                labels = [sample.labels[name] for name in ("scope", "metric", "level") if name in sample.labels]
                found[".".join([sample.name.removeprefix("vod2strmfs_"), *labels])] = sample.value
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    catalogue.movie(_EVIL)
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue)
    port = free_port()
    with mounted(tmp_path, database.url, f"--status-listen=127.0.0.1:{port}") as mount:
        eventually(lambda: listens(port))
        site = Site(port, mount, tmp_path / "state/reports", [])
        yield site
        for answer in site.answers:
            answer.close()
    eventually(lambda: not listens(port))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_process_that_serves_the_page_is_given_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VOD2STRMFS_BASE_URL", "POSTGRES_PASSWORD", "PGPASSWORD", "VOD2STRMFS_DATABASE"):
        monkeypatch.setenv(name, "http://kim:geheim@host")
    monkeypatch.setenv("LANG", "C.UTF-8")
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue)
    port = free_port()
    with mounted(tmp_path, database.url, f"--status-listen=127.0.0.1:{port}") as mount:
        eventually(lambda: listens(port))
        threads = Path(f"/proc/{mount.process.pid}/task").glob("*/children")
        children = [Path("/proc", pid) for thread in threads for pid in thread.read_text().split()]
        [page] = [child for child in children if b"vod2strmfs.web" in (child / "cmdline").read_bytes()]
        assert b"geheim" not in (page / "environ").read_bytes()
        assert b"LANG=C.UTF-8" in (page / "environ").read_bytes()


def write_report(site: Site, rows: int = 3) -> str:
    name = "report_all_20260102_030405.csv"
    site.reports.mkdir(exist_ok=True)
    with (site.reports / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            action = "failed" if number % 3 == 2 else "created"
            writer.writerow(["movie", "", "", f"{_EVIL} {number}", f"uuid-{number}", action, "new"])
    return name


def test_a_browser_shows_the_library_and_its_reports(site: Site, browser: webdriver.Chrome) -> None:
    write_report(site, rows=1203)
    browser.get(site.url)
    assert browser.title == "vod2strmfs"
    assert texts(browser, "#cards dt") == ["Films", "Series", "Episodes", "All is well"]
    assert texts(browser, "#cards dd")[:3] == ["2", "0", "0"]
    # A style sheet that was refused would leave the browser's own margins.
    assert browser.find_element(By.TAG_NAME, "dl").value_of_css_property("margin-top") == "0px"
    assert not any(details.get_attribute("open") for details in browser.find_elements(By.TAG_NAME, "details"))
    browser.find_element(By.CSS_SELECTOR, "#figures summary").click()
    figures = texts(browser, "#figures .figures div")
    assert "Films that can be shown\n2" in figures
    assert not [figure for figure in figures if figure.endswith("\n0")]

    [report] = browser.find_elements(By.CSS_SELECTOR, "a.report")
    assert report.text.split("\n") == ["2 Jan 2026, 03:04", "Films and series", "401 failed, 802 created"]
    report.click()
    arrive(lambda: texts(browser, "#rows h2") == ["401 failed", "802 created"])
    assert browser.title == "Films and series, 2 Jan 2026, 03:04"
    assert texts(browser, ".row h3")[0].startswith("<script>document.title='stolen'<")
    assert len(texts(browser, ".row dt")) == 500
    assert texts(browser, "#pages span") == ["Page 1 of 3"]
    browser.find_element(By.CSS_SELECTOR, "[rel=next]").click()
    arrive(lambda: texts(browser, "#rows h2") == ["802 created"])
    browser.find_element(By.LINK_TEXT, "401 failed").click()
    arrive(lambda: texts(browser, "#rows h2") == ["401 failed"])
    assert texts(browser, "#pages") == []
    browser.find_element(By.NAME, "q").send_keys("film</b> 1202\n")
    arrive(lambda: texts(browser, "#actions a") == ["all 1", "1 failed"])
    assert texts(browser, ".row dt") == ["script><b>Film</b> 1202"]
    assert browser.find_elements(By.TAG_NAME, "script") == []
    assert browser.title == "Films and series, 2 Jan 2026, 03:04"


def test_the_page_brings_itself_up_to_date_and_leaves_open_what_the_reader_opened(
    site: Site, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    browser.get(site.url)
    browser.find_element(By.CSS_SELECTOR, "#mount summary").click()
    with closing(sqlite3.connect(tmp_path / "demo.db")) as database, database:
        database.execute("UPDATE vod_movie SET name = 'Alien' WHERE name = 'Heat'")

    def is_new() -> bool:
        browser.execute_async_script("renew().then(arguments[0])")
        return "Heat (1995) → Alien (1995)" in texts(browser, ".renamed li")

    eventually(is_new)
    assert browser.find_element(By.ID, "mount").get_attribute("open")
    assert not browser.find_element(By.ID, "figures").get_attribute("open")
    assert browser.switch_to.active_element.text == "The mount"
    assert browser.find_elements(By.CSS_SELECTOR, "#lost:not([hidden])")[0].is_displayed() is False

    site.mount.stop()
    browser.execute_async_script("renew().then(arguments[0])")
    assert browser.find_element(By.ID, "lost").is_displayed()
    assert texts(browser, "#cards dt")[0] == "Films"


def test_the_page_says_how_far_a_sync_and_the_fetching_of_episodes_is(tmp_path: Path) -> None:
    library = Library(tmp_path)
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    library.show(catalogue)
    pages = Pages(library.state_dir, tmp_path)
    assert 'id="progress"' not in pages.front()
    with noting(library.state_dir, "Reading the catalogue", "titles", lambda done, total: None) as tell:
        time.sleep(1.1)
        tell(12_000, 48_000)
        front = " ".join(pages.front().split())
    assert "<h2>Reading the catalogue</h2>" in front
    assert "12,000 of 48,000 titles, begun just now" in re.sub("<[^>]*>", "", front)
    assert 'id="progress"' not in pages.front()
    with closing(Queue(library.state_dir, Patience())) as queue:
        queue.note(mode="background", rate=10.0, budget=100, stopped="")
        queue.look(Entry(1, "Alpha", str(n), n, n, f"u{n}", f"S{n}", 0.0, missing=n < 5) for n in range(1200))
        front = re.sub("<[^>]*>", "", " ".join(pages.front().split()))
        assert "1,195 of 1,200 series have episodes; 5 wait, until about" in front
        queue.note(stopped="Dispatcharr refuses the key.")
    assert "Dispatcharr refuses the key." in pages.front()


def test_the_page_says_how_far_the_fetching_of_images_is(tmp_path: Path) -> None:
    library = Library(tmp_path)
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    library.show(catalogue)
    pages = Pages(library.state_dir, tmp_path)
    with closing(Images(library.state_dir)) as queue:
        queue.want(Wish(node, Slot.POSTER, 0, f"http://images.example/{node}.jpg") for node in range(16, 1216))
        assert "images" not in pages.front()
        queue.note(mode="files", rate=300.0, limit=2_000_000_000, stopped="")
        front = re.sub("<[^>]*>", "", " ".join(pages.front().split()))
        assert "0 images are here; 1,200 wait, until about" in front
        assert "Room that they take0 kB of 2,000 MB" in front
        assert b'vod2strmfs_artwork_images{state="waiting"} 1200.0' in render(pages.known())
        queue.note(stopped="The room for images is full.")
    front = " ".join(pages.front().split())
    assert "<h2>No more images are fetched</h2> <p>The room for images is full.</p>" in re.sub("<wbr>", "", front)


def test_what_no_mount_answers_for_is_told_with_what_the_index_holds(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert "no sync yet" in Pages(library.state_dir, tmp_path).front()
    catalogue = Catalogue()
    for number in range(1234):
        catalogue.movie(f"Film {number}", year=1995)
    library.show(catalogue)
    front = Pages(library.state_dir, tmp_path).front()
    assert "<dt>Films</dt><dd>1,234</dd>" in front
    assert "The mount does not answer" in front


def test_numbers_times_and_metrics_are_said_in_words(tmp_path: Path) -> None:
    assert [words.count(number, "film") for number in (0, 1, 2, "1904")] == [
        "0 films", "1 film", "2 films", "1,904 films",
    ]  # fmt: skip
    assert [words.count(number, "series") for number in (1, 2)] == ["1 series", "2 series"]
    assert [words.span(seconds) for seconds in (1, 60, 119, 7200, 90000)] == [
        "less than a minute", "1 minute", "1 minute", "2 hours", "1 day",
    ]  # fmt: skip
    library = Library(tmp_path)
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    library.show(catalogue, LibrarySettings.model_validate({"shelf": [{"name": "Old", "years": "-1999"}]}))
    counted = [metric.partition(".")[2] for metric in library.metrics()]
    plain = {"generation", "made", "stale_since"}
    for metric in {*counted, "filtered_by_years", "episodes_filtered_by_accounts"} - plain:
        assert words.metric_words(metric) != metric.replace("_", " ").capitalize() or "_" not in metric, metric
    for reason in Reason:
        assert reason in (Reason.NEW, Reason.RENAMED) or words.reason_words(reason) != reason, reason
    assert words.reason_words("name refused: more than 143 bytes").endswith("the name: more than 143 bytes")


def test_metrics_are_those_of_the_mount(site: Site) -> None:
    before = site.metrics()
    assert (before["up"], before["generation"], before["held_items"], before["stale_since_seconds"]) == (1, 1, 0, 0)
    assert before["library.index.movies"] == 2
    for film in (site.mount.path / "Movies").iterdir():
        assert sorted(film.iterdir())
    after = site.metrics()
    assert after["requests_total"] > before["requests_total"]
    assert after["cache_lookups_total"] >= before["cache_lookups_total"]
    assert after["logged_messages_total.error"] == 0


def test_a_mount_that_went_stale_is_told(site: Site) -> None:
    (site.mount.path.parent / "demo.db").unlink()
    eventually(lambda: site.metrics()["stale_since_seconds"] > 0)
    page = site.request("/").read().decode()
    assert "database is away" in page
    assert '<section class="notice away"' in page


def test_a_page_of_another_site_cannot_ask(site: Site) -> None:
    for host in ("evil.example", f"evil.example:{site.port}", "127.0.0.1", "127.0.0.1:1", ""):
        for path in ("/", "/metrics", "/style.css"):
            answer = site.request(path, host=host)
            assert answer.status == 421, host
            assert b"Heat" not in answer.read()
    assert site.request("/", host=f"localhost:{site.port}").status == 200


def test_it_only_reads(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert site.request("/", method).status == 501, method


def test_a_head_is_a_get_without_the_content(site: Site) -> None:
    for path, status in (("/metrics", 200), ("/style.css", 200), ("/favicon.ico", 200), ("/nonesuch", 404)):
        head, whole = site.request(path, "HEAD"), site.request(path)
        assert (head.status, head.read()) == (status, b"")
        assert head.getheader("Content-Type") == whole.getheader("Content-Type")
    assert site.request("/", "HEAD", host="evil.example").status == 421


def test_whatever_the_page_refers_to_is_there_and_nothing_is_of_elsewhere(site: Site) -> None:
    page = site.request("/").read().decode()
    named = re.findall(r"""(?:href|src)=["']([^"']+)""", page)
    assert {"/style.css", "/page.js", "/favicon.svg", "/metrics"} <= set(named)
    documents = f"{PROJECT_URL}/blob/main/docs/index.md"
    assert f'<a href="{documents}"' in page
    for path in set(named) - {documents}:
        assert path.startswith("/"), path
        assert site.request(path).status == 200, path
    assert "url(" not in site.request("/style.css").read().decode()


def test_there_is_nothing_else_to_be_had(site: Site) -> None:
    name = write_report(site)
    (site.reports / "secret.csv").write_text("a,b\n1,2\n")
    for path in (
        "/nonesuch", "/front.html", "/reports/", "/reports/nonesuch.csv", "/reports/..%2findex.db",
        "/reports/../index.db", "/reports/secret.csv", "//etc/passwd", "/..%2f..%2fetc/passwd",
        f"/reports/{name}?page=0", f"/reports/{name}?page=9", f"/reports/{name}?page=x", f"/reports/{name}/x",
        f"/reports/{name}?action=nonesuch&page=2",
    ):  # fmt: skip
        answer = site.request(path)
        assert answer.status == 404, path
        assert b"script>" not in answer.read()


def test_every_answer_keeps_browsers_careful(site: Site) -> None:
    for path in ("/", "/nonesuch", "/metrics"):
        answer = site.request(path)
        assert "default-src 'none'" in str(answer.getheader("Content-Security-Policy"))
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Cache-Control") == "no-store"
        policy = str(answer.getheader("Content-Security-Policy"))
        assert "unsafe" not in policy
        assert "*" not in policy
    page = site.request(f"/reports/{write_report(site)}").read().decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_report_that_is_being_written_can_be_read(site: Site) -> None:
    name = write_report(site)
    with (site.reports / name).open("a") as file:
        file.write("movie,,,half a ro")
    page = site.request(f"/reports/{name}")
    assert page.status == 200
    assert "half a ro" not in page.read().decode()


def test_a_report_is_shown_without_what_keeps_spreadsheets_from_running_titles(site: Site) -> None:
    name = write_report(site)
    with (site.reports / name).open("a") as file:
        file.write("movie,,,'-30- (1959),,created,new\n")
    page = site.request(f"/reports/{name}").read().decode()
    assert "<h3>-30- (1959)</h3>" in page


def test_it_is_off_by_default_and_ends_with_the_mount(site: Site, tmp_path: Path) -> None:
    [server] = _servers(site.port)
    assert str(tmp_path) in server
    assert "sqlite:" not in server
    site.mount.process.kill()
    site.mount.process.wait()
    eventually(lambda: not _servers(site.port))
    if is_mounted(site.mount.path):
        subprocess.run(["umount", "-l", site.mount.path], check=True)
    with mounted(tmp_path, f"sqlite:///{tmp_path}/demo.db"):
        assert not listens(site.port)


def _servers(port: int) -> list[str]:
    """The command lines of processes that serve a status page at this port."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"vod2strmfs.web 127.0.0.1:{port} " in line:
            found.append(line)
    return found


def test_a_port_in_use_is_told_and_costs_the_page_alone(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    database = Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with mounted(tmp_path, database.url, f"--status-listen={address}") as mount:
            eventually(lambda: f"status_listen {address}: Address already in use" in mount.log.read_text())
            assert os.listdir(mount.path / "Movies") == ["Heat"]


@pytest.mark.parametrize(
    "value",
    [
        "localhost:9192", "127.0.0.1", ":9192", "9192",
        "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "http://127.0.0.1:9192", "127.0.0.1:9192/x", "a@127.0.0.1:1",
    ],
)  # fmt: skip
def test_it_listens_at_an_address_and_a_port_alone(value: str) -> None:
    with pytest.raises(SettingsError, match="must be an address of this host and a port"):
        load(None, {"status_listen": value}, {})


@pytest.mark.parametrize("value", ["", "127.0.0.1:9192", "127.9.9.9:80", "[::1]:9192"])
def test_a_loopback_address_is_taken(value: str) -> None:
    settings = load(None, {"status_listen": value}, {})
    assert settings.status_listen == value
    assert not any("status_listen" in warning for warning in settings.warnings())


@pytest.mark.parametrize("value", ["0.0.0.0:9192", "192.168.1.10:9192", "[::]:9192"])
def test_another_address_is_taken_with_a_warning_if_there_is_no_token(value: str) -> None:
    settings = load(None, {"status_listen": value}, {})
    assert any("Set status_token" in warning for warning in settings.warnings())
    assert not any("status_" in warning for warning in load(None, {}, {
        "VOD2STRMFS_STATUS_LISTEN": value, "VOD2STRMFS_STATUS_TOKEN": "geheim"}).warnings())  # fmt: skip
