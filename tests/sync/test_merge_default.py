"""What is joined where the settings leave it open: a library goes on as it was made, and a new one goes by titles."""

import json
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from libraries import Library
from outputs import snapshot

from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.dispatcharr_plugin import form
from vod2strmfs.errors import CatalogError
from vod2strmfs.settings import LibrarySettings, Settings

LEFT_OPEN = LibrarySettings()


def doubles() -> Catalogue:
    """Two rows of one film, and two of one series with an episode each."""
    made = Catalogue()
    for mark in ("", "EN - "):
        made.movie(f"{mark}Heat (1995)")
        made.episode(made.series(f"{mark}Lost (2004)"), 1, 1, "Pilot")
    return made


def folders(library: Library) -> int:
    """How many films and series there are to be seen."""
    return sum(path.count("/") == 1 for path in library.paths())


def made_by_an_earlier_version(library: Library) -> None:
    """An index of settings without the word, as it was when titles were not joined."""
    library.show(doubles(), LibrarySettings(merge="off"))
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index, index:
        [text] = index.execute("SELECT settings FROM generation").fetchone()
        kept = {name: value for name, value in json.loads(text).items() if "merge" not in name and "prefer" not in name}
        index.execute("UPDATE generation SET settings = ?", (json.dumps(kept),))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_a_new_library_has_one_folder_for_each_title(library: Library) -> None:
    library.show(doubles(), LEFT_OPEN)
    assert folders(library) == 2


def test_a_library_of_an_earlier_version_stays_until_the_settings_name_it(library: Library) -> None:
    made_by_an_earlier_version(library)
    before = library.tree()
    for _ in range(2):
        library.sync(library.last_url, LEFT_OPEN)
        assert library.tree() == before
    library.sync(library.last_url, LibrarySettings(merge="titles"))
    assert folders(library) == 2


@pytest.mark.parametrize("named", ["off", "ids", "titles"])
def test_what_was_named_once_stays_when_the_settings_leave_it_open(library: Library, named: str) -> None:
    library.show(doubles(), LibrarySettings.model_validate({"merge": named}))
    before = library.tree()
    library.sync(library.last_url, LEFT_OPEN)
    assert library.tree() == before
    assert folders(library) == (2 if named == "titles" else 4)


@pytest.mark.complains("The index was damaged")
@pytest.mark.parametrize("how", ["page", "header", "text", "schema"])
def test_an_index_that_is_damaged_is_made_anew_with_the_same_folders(library: Library, how: str) -> None:
    made_by_an_earlier_version(library)
    before = set(library.paths())
    index = library.state_dir / "index.db"
    if how == "page":
        size = index.stat().st_size
        with index.open("r+b") as file:
            file.seek(size // 2)
            file.write(b"\xff" * (size // 2))
    elif how == "header":
        index.write_bytes(b"no index at all")
    else:
        statement = "UPDATE generation SET settings = '{'" if how == "text" else "DROP TABLE attempt"
        with closing(sqlite3.connect(index)) as connection, connection:
            connection.execute(statement)
    # The database is away just then.
    with pytest.raises(CatalogError):
        library.sync("sqlite:////nowhere/at/all.db", LEFT_OPEN, thorough=True)
    library.sync(library.last_url, LEFT_OPEN, thorough=True)
    assert set(library.paths()) == before


def test_a_lost_state_directory_removes_no_folder_from_what_is_written(tmp_path: Path) -> None:
    """Nor would another program's output lose any."""
    library, root = Library(tmp_path), tmp_path / "output"
    made_by_an_earlier_version(library)
    arguments = [
        "materialize", str(root), "--database", library.last_url, "--state-dir", str(library.state_dir),
        "--base-url", "http://dispatcharr:9191", "--cleanup", "apply",
    ]  # fmt: skip

    def write() -> str:
        ended = CliRunner().invoke(cli, arguments)
        assert ended.exit_code == 0, ended.output
        return ended.output

    write()
    before = {path: found.content for path, found in snapshot(root).items()}
    assert sum(path.count("/") == 1 for path in before) == 4
    for _ in range(2):
        shutil.rmtree(library.state_dir)
        write()
        assert {path: found.content for path, found in snapshot(root).items()} == before
    told = CliRunner().invoke(cli, ["status", "--state-dir", str(library.state_dir)])
    assert "merge         off, as this library was made; it stays so" in told.output
    shutil.rmtree(library.state_dir)
    shutil.rmtree(root)
    write()
    assert sum(path.count("/") == 1 for path in snapshot(root)) == 2


def test_a_sync_tells_what_is_in_force_and_why(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "vod2strmfs")

    def told(settings: LibrarySettings) -> str:
        caplog.clear()
        library.sync(library.last_url, settings)
        return next(message for message in caplog.messages if message.startswith("merge is "))

    made_by_an_earlier_version(library)
    assert told(LEFT_OPEN) == "merge is off, as this library was made; it stays so until the settings name merge."
    assert told(LibrarySettings(merge="ids")) == "merge is ids, as the settings say."
    assert told(LibrarySettings(merge="titles")) == "merge is titles, as the settings say."
    assert told(LEFT_OPEN) == "merge is titles, the default."


@pytest.mark.parametrize(("typed", "meant"), [("open", None), ("", None), ("titles", "titles"), ("off", "off")])
def test_the_plugins_form_shows_a_choice_that_leaves_it_open(tmp_path: Path, typed: str, meant: str | None) -> None:
    """What Dispatcharr keeps of a form that nobody touched must not join anything."""
    [field] = [field for field in form.fields() if field["id"] == "merge"]
    assert field["default"] == "open"
    assert [option["value"] for option in field["options"]] == ["open", "titles", "ids", "off"]
    assert form.settings({"merge": typed}, tmp_path).merge == meant


def test_settings_that_leave_it_open_have_no_value_for_it() -> None:
    assert Settings().merge is None
    assert Settings().library().merge is None
