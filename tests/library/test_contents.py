"""What the library writes into files where a row says less, or more, than it should."""

import re

import pytest

from vod2strmfs.library.contents import Record, encode, nfo_of, provider_url, strm
from vod2strmfs.library.item_names import node_name
from vod2strmfs.library.items import Episode, Movie
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings

SETTINGS = LibrarySettings()


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("http://panel.example:8080", "http://panel.example:8080"),
        ("http://panel.example:8080/", "http://panel.example:8080"),
        ("http://panel.example//", "http://panel.example"),
        ("http://panel.example:8080/player_api.php", "http://panel.example:8080"),
        ("http://panel.example/get.php?username=u&password=p&type=m3u_plus", "http://panel.example"),
        ("http://panel.example/player_api.php/", "http://panel.example"),
        ("http://panel.example/XMLTV.PHP?a/b", "http://panel.example"),
        (" http://panel.example:8080 \n", "http://panel.example:8080"),
        ("http://panel.example:8080/#", "http://panel.example:8080"),
        ("http://panel.example/#/login", "http://panel.example"),
        ("http://panel.example/iptv/player_api.php", "http://panel.example/iptv"),
        ("https://panel.example/iptv/", "https://panel.example/iptv"),
        ("http://panel.php", "http://panel.php"),
        ("panel.example:8080", "http://panel.example:8080"),
    ],
)
def test_a_direct_url_begins_with_the_panels_address_whatever_was_pasted(server: str, address: str) -> None:
    record = Record(NodeKind.MOVIE, "", 1, "7", encode(Movie(title="Heat", extension="mkv")), (), "")
    url = provider_url(server, "viewer", "se#cret/1")
    assert strm(record._replace(provider=url), SETTINGS) == f"{address}/movie/viewer/se%23cret%2F1/7.mkv\n".encode()


def test_an_account_without_an_address_has_no_direct_urls() -> None:
    assert provider_url(" ", "viewer", "secret") == ""


@pytest.mark.parametrize(
    ("item", "title", "name"),
    [
        (Episode(season=1, number=7), "Episode 7", "S01E07"),
        (Episode(season=0, number=0), "Episode 0", "S00E00"),
        (Episode(number=7), "Episode 7", "Episode 7"),
        (Episode(season=1), "Episode Unknown", "S01"),
        (Episode(), "Episode Unknown", "Episode Unknown"),
        (Episode(season=1, number=7, title="Pilot"), "Pilot", "S01E07 – Pilot"),
    ],
)
def test_an_episodes_nfo_always_has_a_title_though_its_name_may_have_none(item: Episode, title: str, name: str) -> None:
    assert re.findall("<title>(.*)</title>", nfo_of(item, SETTINGS).decode()) == [title]
    assert node_name(item, SETTINGS) == name


def test_an_episodes_nfo_begins_with_the_declaration_that_lets_kodi_forgive() -> None:
    """Without it Kodi 20 leaves an episode out whose number in the NFO is not that in the file's name."""
    assert nfo_of(Episode(season=1, number=7), SETTINGS).startswith(b"<?xml version=")
