"""What the chosen relation does not say comes from the title's other relations, not from the row that flips nightly."""

import json
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.library.tree import Entry
from vod2strmfs.settings import LibrarySettings

PLOT = "A thief and a detective have coffee."
NOTHING: dict[str, Any] = {"rating": "0", "plot": "", "stream_icon": None, "genre": "N/A"}
SAYS: dict[str, Any] = {
    "rating": "7.1", "plot": PLOT, "stream_icon": "http://beta.example/p.jpg", "cover": "http://beta.example/p.jpg",
    "genre": "Crime, Drama", "cast": "Al Pacino", "director": "Michael Mann", "releaseDate": "1995-12-15",
    "backdrop_path": ["http://beta.example/b.jpg"], "youtube_trailer": "vKQi3bBA1y8", "episode_run_time": "170",
    "duration_secs": 10200, "is_adult": 1,
}  # fmt: skip
LAST = {**SAYS, "rating": "3", "plot": "Another one's words.", "country": "USA"}
NO_DAY = "99/99/9999"
PLAYED = {"video": {"codec_name": "h264", "width": 1920, "height": 1080}}


def catalogue(*said: dict[str, Any]) -> Catalogue:
    """A film and a series that accounts of descending priority have, and what each says of them."""
    made = Catalogue()
    accounts = [made.account(f"Account {number}", priority=-number) for number in range(len(said))]
    movie = made.movie("Heat", year=1995, relations=[])
    series = made.series("Lost", year=1995, relations=[])
    episode = made.episode(series, 1, 1, "Row's", relations=[])
    for account, panel in zip(accounts, said, strict=True):
        made.relate(movie, account, custom_properties={"basic_data": panel, "detailed_info": {}})
        made.relate(series, account, custom_properties={"basic_data": panel})
        entry = {"info": panel, "title": panel.get("title")}
        made.relate(episode, account, custom_properties={"info": entry})
    made.logo("http://alpha.example/p.jpg")
    made.logo("http://beta.example/p.jpg")
    return made


def scan(database: Database, said: dict[str, Any], logo: int | None) -> None:
    """What a refresh of one account makes of the shared rows."""
    shared = {key: said.get(key) for key in ("cast", "director", "backdrop_path", "youtube_trailer")}
    columns = (said.get("rating"), said["plot"] if isinstance(said.get("plot"), str) else None)
    aired = said.get("releaseDate")
    database.execute("UPDATE vod_movie SET rating = ?, description = ?, logo_id = ?, is_adult = ?", *columns, logo,
                     bool(said.get("is_adult")))  # fmt: skip
    database.execute("UPDATE vod_movie SET genre = ?, duration_secs = ?", said.get("genre"), said.get("duration_secs"))
    database.execute(
        "UPDATE vod_series SET rating = ?, description = ?, logo_id = ?, genre = ?, custom_properties = ?",
        *columns, logo, said.get("genre"), json.dumps(shared),
    )  # fmt: skip
    database.execute(
        "UPDATE vod_episode SET rating = ?, description = ?, name = ?, air_date = ?, duration_secs = ?",
        *columns, said.get("title") or "Row's", aired if aired != NO_DAY else None, said.get("duration_secs"),
    )  # fmt: skip
    for kind in ("movie", "series", "episode"):
        database.execute(f"UPDATE vod_m3u{kind}relation SET last_seen = CURRENT_TIMESTAMP")


def state(library: Library) -> tuple[dict[str, Entry], dict[str, bytes]]:
    return library.tree(), library.files()


@pytest.mark.parametrize("versions", ["best", "all"])
@pytest.mark.parametrize(
    "said",
    [
        pytest.param((NOTHING, SAYS), id="a gap"),
        pytest.param((NOTHING, NOTHING, SAYS, LAST), id="a gap of two"),
        pytest.param(({"title": "Pilot"}, {**SAYS, "title": "Other"}), id="nothing but a title"),
        pytest.param(({"rating": "junk", "plot": ["?"], "releaseDate": NO_DAY}, SAYS), id="junk"),
        pytest.param(({**SAYS, "rating": ""}, {**LAST, "rating": "0"}, {"rating": "6"}), id="one field"),
        pytest.param(({}, {**SAYS, "title": "Second"}, {**LAST, "title": "Third"}), id="episodes without titles"),
    ],
)
def test_what_nightly_scans_write_into_the_shared_rows_moves_nothing(
    tmp_path: Path, database: Database, said: tuple[dict[str, Any], ...], versions: Any
) -> None:
    library, settings = Library(tmp_path / "library"), LibrarySettings(versions=versions)
    database.fill(catalogue(*said))
    scan(database, said[0], 1)
    library.sync(database.url, settings)
    before = state(library)
    for _ in range(2):
        for number, panel in enumerate(reversed(said)):
            scan(database, panel, 2 if number % 2 == 0 and panel.get("stream_icon") else None)
            outcome = library.sync(database.url, settings)
            assert (outcome.generation, outcome.changed) == (1, False)
    assert state(library) == before


def test_gaps_are_filled_in_the_order_of_priority(tmp_path: Path, database: Database) -> None:
    library = Library(tmp_path / "library")
    library.sync(database.fill(catalogue({**NOTHING, **PLAYED}, SAYS, LAST)).url)
    files = library.files()
    for path in ("Movies/Heat (1995)/movie.nfo", "TV/Lost (1995)/tvshow.nfo", "TV/Lost (1995)/Season 01/S01E01.nfo"):
        nfo = files[path].decode()
        assert PLOT in nfo
        assert "<rating>7.1</rating>" in nfo or "<value>7.1</value>" in nfo
        assert "Another" not in nfo
    assert b"<country>USA</country>" in files["Movies/Heat (1995)/movie.nfo"]
    database.execute("UPDATE m3u_m3uaccount SET priority = 1 WHERE name = 'Account 2'")
    database.execute("UPDATE m3u_m3uaccount SET priority = 2 WHERE name = 'Account 0'")
    library.sync(database.url)
    assert b"Another one" in library.files()["Movies/Heat (1995)/movie.nfo"]


def test_the_row_speaks_when_no_relation_does(tmp_path: Path, database: Database) -> None:
    library = Library(tmp_path / "library")
    database.fill(catalogue(NOTHING, NOTHING))
    database.execute("UPDATE vod_movie SET rating = '5.5', description = 'The row.'")
    library.sync(database.url)
    nfo = library.files()["Movies/Heat (1995)/movie.nfo"]
    assert b"The row." in nfo
    assert b"5.5" in nfo


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE m3u_m3uaccount SET is_active = false WHERE name = 'Account 1'",
        "DELETE FROM vod_m3umovierelation WHERE m3u_account_id = 2",
    ],
)
def test_relations_that_do_not_count_do_not_speak(tmp_path: Path, database: Database, statement: str) -> None:
    library = Library(tmp_path / "library")
    library.sync(database.fill(catalogue(NOTHING, SAYS, LAST)).url)
    assert PLOT.encode() in library.files()["Movies/Heat (1995)/movie.nfo"]
    database.execute(statement)
    library.sync(database.url)
    assert b"Another one" in library.files()["Movies/Heat (1995)/movie.nfo"]


def test_what_another_relation_says_anew_is_noticed(tmp_path: Path, database: Database) -> None:
    library = Library(tmp_path / "library")
    library.sync(database.fill(catalogue(NOTHING, SAYS)).url)
    changed = {"basic_data": {**SAYS, "plot": "New words."}, "info": {"info": {**SAYS, "plot": "New words."}}}
    for kind in ("movie", "series", "episode"):
        database.execute(
            f"UPDATE vod_m3u{kind}relation SET custom_properties = ? WHERE m3u_account_id = 2", json.dumps(changed)
        )
    library.sync(database.url)
    nfos = [content for path, content in library.files().items() if path.endswith(".nfo") and "season" not in path]
    assert all(b"New words." in nfo for nfo in nfos)


def test_the_streams_are_those_of_the_file_that_is_played(tmp_path: Path, database: Database) -> None:
    library = Library(tmp_path / "library")
    made = Catalogue()
    first, second = made.account("First", priority=9), made.account("Second")
    movie = made.movie("Heat", year=1995, relations=[])
    made.relate(movie, first, custom_properties={"basic_data": {"rating": "5"}})
    made.relate(movie, second, custom_properties={"detailed_info": PLAYED, "basic_data": SAYS})
    library.sync(database.fill(made).url)
    nfo = library.files()["Movies/Heat (1995)/movie.nfo"]
    assert PLOT.encode() in nfo
    assert b"1920" not in nfo


@pytest.mark.parametrize("junk", ["[]", "7", '"text"', '{"basic_data": [1]}', '{"basic_data": {"plot": {"a": 1}}}'])
def test_junk_of_another_relation_costs_nothing(tmp_path: Path, database: Database, junk: str) -> None:
    library = Library(tmp_path / "library")
    made = catalogue(NOTHING, SAYS, LAST)
    database.fill(made)
    for kind in ("movie", "series", "episode"):
        database.execute(f"UPDATE vod_m3u{kind}relation SET custom_properties = ? WHERE m3u_account_id = 2", junk)
    library.sync(database.url)
    assert b"Another one" in library.files()["Movies/Heat (1995)/movie.nfo"]
