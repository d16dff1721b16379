"""What is written so that Kodi gets it right; what a real one makes of it is in `test_kodi`."""

from contextlib import closing
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest
from dispatcharr_server import DispatcharrServer
from libraries import Library
from outputs import Output

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor.playing import playing
from vod2strmfs.index.store import Store
from vod2strmfs.settings import LibrarySettings, MediaServer, Settings

_LINE = b"#KODIPROP:mimetype=video/x-matroska\n"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def remakes(*years: int | None) -> Catalogue:
    """Series of one title."""
    catalogue = Catalogue()
    catalogue.account("Provider")
    for number, year in enumerate(years, start=1):
        catalogue.episode(catalogue.series("Heat", year=year, tmdb_id=str(number)), 1, 1, "Pilot")
    return catalogue


def told_apart_by(library: Library) -> list[tuple[str, str]]:
    """Title and day of every series; "" where there is none."""
    roots = [ElementTree.fromstring(data) for path, data in library.files().items() if path.endswith("tvshow.nfo")]
    return sorted((root.findtext("title", ""), root.findtext("premiered", "")) for root in roots)


@pytest.mark.parametrize("server", get_args(MediaServer))
def test_a_strm_says_a_type_for_kodi_alone(library: Library, server: MediaServer) -> None:
    catalogue = remakes(1995)
    catalogue.movie("Heat")
    for direct in (False, True):
        library.show(catalogue, LibrarySettings(media_server=server, direct_urls=direct))
        contents = [data for path, data in library.files().items() if path.endswith(".strm")]
        assert len(contents) == 2
        for content in contents:
            assert content.startswith(_LINE) == (server == "kodi")
            [url] = content.removeprefix(_LINE).splitlines()
            assert url.startswith(b"http://")
            assert content.endswith(url + b"\n")


def test_files_written_before_for_another_server_are_known_as_ours(library: Library, tmp_path: Path) -> None:
    catalogue = remakes(1995)
    catalogue.movie("Heat")
    output = Output(library, tmp_path / "output")
    for server in ("any", "kodi", "jellyfin"):
        library.show(catalogue, LibrarySettings.model_validate({"media_server": server}))
        output.lose_manifest()
        output.write(cleanup="apply")
        assert {path: data for path, data in output.difference().items() if path.endswith(".strm")} == {}


def test_a_strm_with_a_line_of_somebody_else_is_theirs(library: Library, tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    library.show(catalogue, LibrarySettings(media_server="kodi"))
    output = Output(library, tmp_path / "output")
    output.write()
    [strm] = output.root.rglob("*.strm")
    strm.write_bytes(b"# mine\n" + strm.read_bytes())
    output.lose_manifest()
    assert "not ours" in output.write().report.read_text()
    assert strm.read_bytes().startswith(b"# mine\n")


def test_doctor_plays_a_film_of_a_library_for_kodi(library: Library) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat")
    with DispatcharrServer() as server:
        library.show(catalogue, LibrarySettings(media_server="kodi", base_url=server.url))
        [finding] = playing(Settings(state_dir=library.state_dir))
        assert "plays a film" in finding.text, finding


@pytest.mark.parametrize("server", ["any", "kodi"])
@pytest.mark.parametrize("years", [(1995, 1995, 1995), (None, None), (1995, 2020), (1995, 2020, 1995, None)])
def test_series_of_one_title_differ_in_title_or_day(
    library: Library, server: MediaServer, years: tuple[int | None, ...]
) -> None:
    library.show(remakes(*years), LibrarySettings(media_server=server))
    found = told_apart_by(library)
    assert len(set(found)) == len(years)
    assert sum(title == "Heat" for title, _ in found) == len(set(years))


def test_a_series_of_a_name_that_is_taken_is_told_from_the_other_when_it_comes(library: Library) -> None:
    library.show(remakes(1995))
    before = library.tree()
    library.show(remakes(1995, 1995))
    assert told_apart_by(library) == [("Heat", "1995-01-01"), ("Heat [tmdbid-2]", "1995-01-01")]
    path = "TV/Heat (1995)/tvshow.nfo"
    assert library.tree()[path] == before[path]
    library.show(remakes(1995, 2020))
    assert told_apart_by(library) == [("Heat", "1995-01-01"), ("Heat", "2020-01-01")]
    assert {path for path in library.files() if path.endswith("show.nfo")} == {
        path,
        "TV/Heat (2020)/tvshow.nfo",
    }


def test_the_nfo_of_a_series_told_apart_has_the_time_of_any_other(library: Library) -> None:
    library.show(remakes(1995, 1995))
    times = {path: entry.mtime for path, entry in library.tree().items() if path.endswith("tvshow.nfo")}
    strms = {entry.mtime for path, entry in library.tree().items() if path.endswith(".strm")}
    assert max(times.values()) < max(strms) + 700 * 86400 * 10**9, "as the catalogue says, not as the clock does"
    for path, content in library.files().items():
        assert len(content) == library.tree()[path].size


@pytest.mark.parametrize("server", ["any", "kodi"])
def test_a_url_that_is_too_long_for_kodi_is_counted_and_reported(
    library: Library, tmp_path: Path, server: MediaServer
) -> None:
    catalogue = Catalogue()
    catalogue.movie("Short", relations=[catalogue.account("Provider")])
    catalogue.episode(catalogue.series("Heat"), 1, 1, "Pilot")
    start = "http://192.168.199.10:9191/proxy/vod/movie/{uuid}"
    padding = "x" * (4095 - len(start) - len("/?" + "stream_id=1001&m3u_account_id=1") - 36 + len("{uuid}"))

    def show(padding: str) -> None:
        library.show(catalogue, LibrarySettings(media_server=server, movie_path=f"/proxy/vod/movie/{{uuid}}/{padding}"))

    show(padding[1:])
    [content] = [data for path, data in library.files().items() if path.startswith("Movies") and path.endswith("strm")]
    assert len(content.splitlines()[-1]) == 4094
    assert library.metrics()["index.long_urls"] == "0"
    show(padding)
    assert library.metrics()["index.long_urls"] == "1"
    with closing(Store(library.state_dir)) as store:
        assert [(remark.name, remark.what) for remark in store.remarks()] == [("Short", "long url")]
    assert ("Short", "noted", "long url") in Output(library, tmp_path / "output").actions()
