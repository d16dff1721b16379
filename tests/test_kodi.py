"""What a real Kodi makes of a library (`make kodi`)."""

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from databases import Database
from golden_titles import EPISODES, TITLES
from kodi import Kodi
from libraries import Library
from mounts import mounted
from outputs import Output
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue


def golden_catalogue() -> Catalogue:
    """Every golden title as a film and as a series, and every golden episode in its series."""
    catalogue = Catalogue()
    catalogue.account("Provider")
    titles = [raw for lines in TITLES.values() for raw, *_ in lines if can_be_stored(raw)]
    for identifier, raw in enumerate(titles, start=1):
        catalogue.movie(raw, tmdb_id=str(identifier))
        catalogue.episode(catalogue.series(raw, tmdb_id=str(identifier)), 1, 1, "Pilot")
    series: dict[tuple[str, int], Any] = {}
    places: Counter[tuple[str, int | None, int | None]] = Counter()
    for raw, place, *_ in (line for lines in EPISODES.values() for line in lines):
        key = (place[0], places[place])  # A series has one episode at a place.
        places[place] += 1
        if key not in series:
            series[key] = catalogue.series(place[0], tmdb_id=str(9000 + len(series)))
        catalogue.episode(series[key], *place[1:], raw)
    return catalogue


def can_be_stored(text: str) -> bool:
    """Whether PostgreSQL takes it."""
    return "\0" not in text and len(text) <= 255 and text == text.encode(errors="replace").decode()


class Seen(NamedTuple):
    """Something of the library as it ought to be seen."""

    file: str
    title: str
    place: tuple[int, int] | None = None


def shown(root: Path) -> Counter[Seen]:
    """Films, series and episodes with a number, by the tree and its NFOs."""
    seen: Counter[Seen] = Counter()
    for path in root.rglob("*.strm"):
        nfo = path.with_suffix(".nfo")
        if path.is_relative_to(root / "Movies") and not nfo.exists():
            nfo = path.with_name("movie.nfo")
        document = ET.parse(nfo).getroot()
        season, number = document.findtext("season"), document.findtext("episode")
        if document.tag == "movie":
            seen[Seen(str(path), document.findtext("title", ""))] += 1
        elif season is not None and number is not None:
            seen[Seen(str(path), document.findtext("title", ""), (int(season), int(number)))] += 1
    for path in root.rglob("tvshow.nfo"):
        seen[Seen(f"{path.parent}/", ET.parse(path).getroot().findtext("title", ""))] += 1
    return seen


def known(kodi: Kodi) -> Counter[Seen]:
    """The same as Kodi has it."""
    seen = Counter(Seen(item["file"], item["label"]) for item in (*kodi.movies(), *kodi.shows()))
    seen.update(Seen(item["file"], item["title"], (item["season"], item["episode"])) for item in kodi.episodes("title"))
    return seen


def assert_finds_all(kodi: Kodi, root: Path) -> None:
    """Fails with what is missing, and with what is there twice or should not be there."""
    kodi.scan()
    wanted, found = shown(root), known(kodi)
    missing = "".join(f"\n  missing: {seen}" for seen in wanted - found)
    surplus = "".join(f"\n  twice, or otherwise: {seen}" for seen in found - wanted)
    assert not missing + surplus, missing + surplus
    print(f"Kodi found {len(found)} films, series and episodes.")


@pytest.mark.parametrize("media_server", ["any", "kodi"])
def test_every_golden_title_is_found_once_in_a_mount(
    media_server: str, postgres: PostgresServer, tmp_path: Path, kodi_home: Path
) -> None:
    database = Database(postgres.new_database()).fill(golden_catalogue())
    with mounted(tmp_path, database.url, "--media-server", media_server) as mount:
        movies, series = mount.path / "Movies", mount.path / "TV"
        with Kodi(kodi_home, movies=(movies,), series=(series,), separate_folders=media_server == "any") as kodi:
            assert_finds_all(kodi, mount.path)


def test_every_golden_title_is_found_once_in_files(tmp_path: Path, kodi_home: Path) -> None:
    library = Library(tmp_path)
    library.show(golden_catalogue())
    output = Output(library, tmp_path / "output")
    output.write()
    with Kodi(kodi_home, movies=(output.root / "Movies",), series=(output.root / "TV",)) as kodi:
        assert_finds_all(kodi, output.root)
