"""`vod2strmfs learn`: what it takes names for, and what it says in the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Stream
from libraries import Library
from postgres_server import free_port

from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.demo.writer import Record
from vod2strmfs.errors import SettingsError
from vod2strmfs.films.film import FilmKind, Key
from vod2strmfs.films.store import Films
from vod2strmfs.settings import LibrarySettings


class Shelf:
    """Two films and an episode, in a library that says where Dispatcharr is.

    Args:
        directory: an empty folder.
        film: what all of them are.
    """

    def __init__(self, directory: Path, film: Path) -> None:
        self.catalogue = Catalogue()
        heat, alien = (self.catalogue.movie(name, year=year) for name, year in (("Heat", 1995), ("Alien", 1979)))
        pilot = self.catalogue.episode(self.catalogue.series("Lost", year=2004), 1, 1, "Pilot")
        streams, self.keys = [], []
        of: dict[str, tuple[Record, FilmKind]] = {
            "heat": (heat, "movie"), "alien": (alien, "movie"), "pilot": (pilot, "episode"),
        }  # fmt: skip
        for stream, (item, kind) in of.items():
            item.relations[0].stream_id = stream
            account = item.relations[0].m3u_account_id
            streams.append(Stream(str(item.uuid), account, stream, film, kind))
            self.keys.append(Key(kind, account, stream))
        self.proxy = DispatcharrProxy(streams)
        self.library = Library(directory)

    def show(self, base_url: str) -> None:
        """Sync."""
        self.library.show(self.catalogue, LibrarySettings(base_url=base_url))

    def learn(self, *arguments: str) -> Result:
        """Run the command."""
        line = ("learn", *arguments, "--learn-rate", "6000", "--state-dir", str(self.library.state_dir))
        return CliRunner().invoke(cli, line if "--config" in arguments else [*line, "--config", ""])

    def learnt(self) -> list[str]:
        """The streams of the films that were."""
        with Films(self.library.state_dir) as films:
            return [each.stream for each in self.keys if films.known(each)]


@pytest.fixture
def shelf(tmp_path: Path, real_films: dict[str, Path]) -> Iterator[Shelf]:
    """Such a library."""
    shelf = Shelf(tmp_path, real_films["mkv-cues-behind"])
    with shelf.proxy:
        shelf.show(shelf.proxy.url)
        yield shelf


def test_a_film_is_found_by_its_name_and_a_series_by_its_own(shelf: Shelf) -> None:
    assert "1 film learnt" in shelf.learn("heat").stdout
    assert shelf.learnt() == ["heat"]
    assert "1 film learnt" in shelf.learn("Lost: *").stdout
    assert shelf.learnt() == ["heat", "pilot"]
    assert shelf.learn("heat").stdout == "There is nothing to learn now: 2 are known.\n"


def test_who_mistypes_a_name_is_told_the_nearest(shelf: Shelf) -> None:
    said = shelf.learn("haet")
    assert isinstance(said.exception, SettingsError)
    assert str(said.exception) == "There is no film 'haet' in the library. Did you mean \"Heat (1995)\"?"
    assert "Give a part of its name" in str(shelf.learn("Metropolis").exception)
    assert shelf.proxy.requests == []


def test_it_says_whether_its_limit_ended_it(shelf: Shelf) -> None:
    said = shelf.learn("heat", "alien", "--limit", "1").stdout
    assert "1 is still to be learnt.\n--limit was reached; run it again to go on." in said


def test_an_address_that_was_mended_in_the_settings_counts_without_a_sync(shelf: Shelf, tmp_path: Path) -> None:
    shelf.show(f"http://127.0.0.1:{free_port()}")
    config = tmp_path / "vod2strmfs.toml"
    config.write_text(f'base_url = "{shelf.proxy.url}"\n')
    assert "1 film learnt" in shelf.learn("heat", "--config", str(config)).stdout


def test_where_nothing_could_be_learnt_it_says_who_knows_what_to_do(shelf: Shelf) -> None:
    shelf.show(f"http://127.0.0.1:{free_port()}")
    said = shelf.learn("heat").stdout
    assert "cannot be reached." in said
    assert said.endswith(f"`vod2strmfs doctor --state-dir {shelf.library.state_dir}` says what to do.\n")
