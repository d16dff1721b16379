"""The status page and the metrics, as a browser and as Prometheus see them."""

import csv
import http.client
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from databases import Database
from mounts import Mount, eventually, is_mounted, mounted
from postgres_server import free_port
from prometheus_client.parser import text_string_to_metric_families
from selenium import webdriver
from selenium.webdriver.common.by import By

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import SettingsError
from vod2strmfs.reports.rows import COLUMNS
from vod2strmfs.settings import load

_EVIL = "<script>document.title='stolen'</script><b>Film</b>"


class Site(NamedTuple):
    """A mount with its status page."""

    port: int
    mount: Mount
    reports: Path

    @property
    def url(self) -> str:
        """Of the front page."""
        return f"http://127.0.0.1:{self.port}/"

    def request(self, path: str, method: str = "GET", host: str | None = None) -> http.client.HTTPResponse:
        """Ask for a path, whatever its form, and read the answer's head."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        connection.endheaders()
        return connection.getresponse()

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
        yield Site(port, mount, tmp_path / "state/reports")
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


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def test_a_browser_shows_the_mount_and_its_reports(site: Site, browser: webdriver.Chrome) -> None:
    name = write_report(site, rows=1203)
    browser.get(site.url)
    assert browser.title == "vod2strmfs"
    assert texts(browser, "#health") == ["All is well."]
    assert str(site.mount.path) in texts(browser, "#mount td")
    assert "index movies 2" in texts(browser, "#library tr")
    changed = texts(browser, "#changes td:nth-child(2)")
    assert "Heat (1995)" in changed
    assert any(title.startswith("<script>") or "script" in title for title in changed)
    # A style sheet that was refused would leave the browser's own margins.
    assert browser.find_element(By.TAG_NAME, "table").value_of_css_property("border-collapse") == "collapse"

    browser.find_element(By.LINK_TEXT, name).click()
    assert texts(browser, "#report th") == list(COLUMNS)
    assert len(texts(browser, "#report tr")) == 501
    assert texts(browser, "#report tr:nth-child(2) td:nth-child(4)") == [f"{_EVIL} 0"]
    assert "1203 rows, page 1 of 3" in texts(browser, "#pages")[0]
    browser.find_element(By.CSS_SELECTOR, "[rel=next]").click()
    assert texts(browser, "#report tr:nth-child(2) td:nth-child(5)") == ["uuid-500"]
    browser.find_element(By.LINK_TEXT, "failed (401)").click()
    assert set(texts(browser, "#report td:nth-child(6)")) == {"failed"}
    assert "401 rows, page 1 of 1" in texts(browser, "#pages")[0]
    assert browser.find_elements(By.TAG_NAME, "script") == []
    assert browser.title == name


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
    assert "The database cannot be read since" in site.request("/").read().decode()


def test_a_page_of_another_site_cannot_ask(site: Site) -> None:
    for host in ("evil.example", f"evil.example:{site.port}", "127.0.0.1", "127.0.0.1:1", ""):
        for path in ("/", "/metrics", "/style.css"):
            answer = site.request(path, host=host)
            assert answer.status == 421, host
            assert b"Heat" not in answer.read()
    assert site.request("/", host=f"localhost:{site.port}").status == 200


def test_it_only_reads(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        assert site.request("/", method).status == 501, method


def test_there_is_nothing_else_to_be_had(site: Site) -> None:
    name = write_report(site)
    (site.reports / "secret.csv").write_text("a,b\n1,2\n")
    for path in (
        "/nonesuch", "/reports/", "/reports/nonesuch.csv", "/reports/..%2findex.db", "/reports/../index.db",
        "/reports/secret.csv", "//etc/passwd", "/..%2f..%2fetc/passwd", f"/reports/{name}?page=0",
        f"/reports/{name}?page=9", f"/reports/{name}?page=x", f"/reports/{name}/x",
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
    assert "<td>-30- (1959)</td>" in page


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
