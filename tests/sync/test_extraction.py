"""The second process of a sync: it must not change the outcome, whatever the rows are and however it ends."""

import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import Database
from libraries import Library
from mounts import eventually, poison
from processes import lives

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.sqlite import SQLiteSnapshot
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import CatalogError
from vod2strmfs.extract.convert import Converter, TitledRow
from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.host.second_process import SecondProcessError
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync import convert_many as extraction
from vod2strmfs.sync.convert_many import ManyRows
from vod2strmfs.sync.convert_process import ConvertProcess

SETTINGS = [
    LibrarySettings(),
    LibrarySettings(versions="all", group_by="category_tv", media_server="plex", folder_ids="plex"),
    LibrarySettings(languages=["EN", "-"], categories=["!*Comedy*", "EN*"], adult="exclude"),
    LibrarySettings(direct_urls=True, clean_titles=False, media_server="jellyfin"),
]
JUNK = [
    "", "N/A", "\x00", "a\nb\x1b", "e\u0301", "x" * 700, "漢" * 300, "../../etc", -1, 0, 3.5, 1e300, float("inf"),
    2**31, 2**63 - 1, b"\xed\xa0\x80", b"\xff\xfe", None, True,
]  # fmt: skip
JUNK_JSON = [
    "", "{", "[]", "7", "NaN", '"x"', "[" * 100_000, '{"plot": "\\ud800"}', '{"detailed_info": {"rating": 1e999}}',
    '{"basic_data": [[]], "detailed_info": 7, "info": "x"}', '{"rating": ' + "9" * 5_000 + "}",
    json.dumps({"detailed_info": {"plot": "p" * 30_000, "year": "MMXX", "video": {"width": -1}, "age": [1, {}]}}),
]  # fmt: skip
COLUMNS = [
    *(("vod_movie", name) for name in ("name", "year", "rating", "genre", "duration_secs", "created_at", "imdb_id")),
    *(("vod_series", name) for name in ("name", "year", "rating", "description", "tmdb_id")),
    *(("vod_episode", name) for name in ("name", "season_number", "episode_number", "air_date", "created_at")),
    ("vod_m3umovierelation", "container_extension"),
    ("vod_m3uepisoderelation", "stream_id"),
]
JSON_TABLES = ["vod_movie", "vod_episode", "vod_m3umovierelation", "vod_m3useriesrelation", "vod_m3uepisoderelation"]


def demo(url: str) -> str:
    """A catalogue that is large enough to keep two processes busy for a while."""
    write_demo(url, movies=400, series=20, episodes=400, seed=1)
    return url


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much every test has; which of them they are does not matter."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[ConvertProcess]:
    """Grows by one with each batch that a second process is given, which has all that it can take."""
    batches: list[ConvertProcess] = []
    give, is_ready = ConvertProcess.give, ConvertProcess.is_ready

    def wait(helper: ConvertProcess) -> bool:
        eventually(lambda: is_ready(helper))
        return True

    def note(helper: ConvertProcess, rows: list[TitledRow]) -> None:
        batches.append(helper)
        give(helper, rows)

    monkeypatch.setattr(ConvertProcess, "is_ready", wait)
    monkeypatch.setattr(ConvertProcess, "give", note)
    monkeypatch.setattr(extraction, "MANY_ROWS", 1)
    monkeypatch.setattr(extraction, "_BATCH_ROWS", 7)
    return batches


@pytest.fixture
def hostile(database: Database) -> Database:
    """A catalogue of which a third is junk, as far as the database takes it."""
    demo(database.owner_url)
    chance = random.Random(1)
    changes: list[tuple[str, Any, int]] = []
    for _ in range(400):
        table, column = chance.choice(COLUMNS)
        changes.append((f"UPDATE {table} SET {column} = ? WHERE id = ?", chance.choice(JUNK), chance.randint(1, 500)))
        statement = f"UPDATE {chance.choice(JSON_TABLES)} SET custom_properties = ? WHERE id = ?"
        changes.append((statement, chance.choice(JUNK_JSON), chance.randint(1, 500)))
    if database.owner_url.startswith("sqlite:"):
        with closing(sqlite3.connect(database.owner_url.removeprefix("sqlite:///"))) as junk, junk:
            junk.execute("PRAGMA ignore_check_constraints = 1")
            for statement, value, row in changes:
                cast = "CAST(? AS TEXT)" if isinstance(value, bytes) else "?"
                with suppress(sqlite3.IntegrityError):
                    junk.execute(statement.replace("?", cast, 1), (value, row))
    else:
        with psycopg.connect(database.owner_url) as session:
            for statement, value, row in changes:
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                with suppress(psycopg.Error), session.transaction():
                    session.execute(statement.replace("?", "%s").encode(), (text, row))
    return database


def index(state_dir: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that an index holds, but for when that was, and what the database knows of that moment."""
    with closing(sqlite3.connect(state_dir / "index.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        held = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
    for table in ("attempt", "past", "seen"):
        held.pop(table, None)
    held["generation"] = [(number, *rest) for number, _, *rest in held["generation"]]
    return held


def alone(tmp_path: Path, url: str, settings: LibrarySettings | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """The index that one process makes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(extraction, "MANY_ROWS", sys.maxsize)
        library = Library(tmp_path / "alone")
        library.sync(url, settings)
    return index(library.state_dir)


def test_two_processes_make_the_index_that_one_makes(
    hostile: Database, tmp_path: Path, given: list[ConvertProcess]
) -> None:
    for number, settings in enumerate(SETTINGS):
        given.clear()
        library = Library(tmp_path / f"{number}")
        library.sync(hostile.owner_url, settings)
        assert given
        assert index(library.state_dir) == alone(tmp_path / f"{number}", hostile.owner_url, settings)


def test_two_processes_find_no_difference_where_there_is_none(tmp_path: Path, given: list[ConvertProcess]) -> None:
    library = Library(tmp_path)
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    library.sync(url)
    before = index(library.state_dir)
    with closing(sqlite3.connect(tmp_path / "demo.db")) as database, database:
        database.execute("UPDATE vod_movie SET updated_at = '2031-01-01'")
    given.clear()
    assert not library.sync(url).changed
    assert given
    assert index(library.state_dir) == before


@pytest.mark.complains("The second process of the sync")
@pytest.mark.parametrize("batch", [1, 5])
def test_a_second_process_that_is_killed_is_done_without(
    tmp_path: Path,
    given: list[ConvertProcess],
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    note = ConvertProcess.give

    def give(helper: ConvertProcess, rows: list[TitledRow]) -> None:
        note(helper, rows)
        if len(given) == batch:
            os.kill(helper.pid, signal.SIGKILL)

    monkeypatch.setattr(ConvertProcess, "give", give)
    library = Library(tmp_path / "both")
    library.sync(url)
    assert len(given) >= batch
    assert index(library.state_dir) == alone(tmp_path, url)
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "The second process of the sync has ended (code -9); going on without it."
    ]


@pytest.mark.complains("The second process of the sync")
@pytest.mark.parametrize(("program", "why"), [("/bin/false", "has ended (code 1)"), ("/none", "cannot be started")])
def test_a_second_process_that_does_not_start_is_done_without(
    tmp_path: Path,
    given: list[ConvertProcess],
    program: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    monkeypatch.setattr(sys, "executable", program)
    library = Library(tmp_path / "both")
    library.sync(url)
    assert not given
    assert index(library.state_dir) == alone(tmp_path, url)
    [warning] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith(f"The second process of the sync {why}")


def test_one_processor_is_not_shared(
    tmp_path: Path, given: list[ConvertProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1})
    monkeypatch.setattr(ConvertProcess, "__init__", None)
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    assert Library(tmp_path).sync(url).changed


def test_a_catalogue_is_large_by_its_movies_or_its_episodes(database: Database) -> None:
    write_demo(database.owner_url, movies=30, series=3, episodes=60, seed=1)
    with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
        assert [snapshot.is_large(rows) for rows in (1, 30, 60, 61)] == [True, True, True, False]


def test_the_second_process_starts_before_the_rows_are_counted(
    tmp_path: Path, given: list[ConvertProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    start, counts = ConvertProcess.__init__, SQLiteSnapshot.counts

    def note_start(helper: ConvertProcess, *arguments: Any) -> None:
        steps.append("start")
        start(helper, *arguments)

    def note_counts(snapshot: SQLiteSnapshot) -> dict[str, int]:
        steps.append("count")
        return counts(snapshot)

    monkeypatch.setattr(ConvertProcess, "__init__", note_start)
    monkeypatch.setattr(SQLiteSnapshot, "counts", note_counts)
    Library(tmp_path).sync(demo(f"sqlite:///{tmp_path}/demo.db"))
    assert steps == ["start", "count"]


def test_a_second_process_that_was_started_for_nothing_ends_with_the_sync_that_fails(
    tmp_path: Path, given: list[ConvertProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    start = ConvertProcess.__init__

    def note_start(helper: ConvertProcess, *arguments: Any) -> None:
        start(helper, *arguments)
        started.append(helper.pid)

    def lose(snapshot: SQLiteSnapshot) -> dict[str, int]:
        raise CatalogError("it is away")

    monkeypatch.setattr(ConvertProcess, "__init__", note_start)
    monkeypatch.setattr(SQLiteSnapshot, "counts", lose)
    with pytest.raises(CatalogError):
        Library(tmp_path).sync(demo(f"sqlite:///{tmp_path}/demo.db"))
    [pid] = started
    assert given == []
    assert not Path(f"/proc/{pid}").exists()


def test_few_rows_are_not_worth_a_second_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConvertProcess, "__init__", None)
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    assert Library(tmp_path).sync(url).changed


def impossible_rows() -> Iterator[TitledRow]:
    """One row that no source can yield, so that extracting it fails."""
    yield MovieRow._make([1, "u", 5, *[None] * 22])._replace(created_at=0), ""


@pytest.mark.complains("The second process of the sync")
def test_an_error_in_the_second_process_is_the_first_ones(given: list[ConvertProcess]) -> None:
    with closing(ConvertProcess(LibrarySettings(), {}, False)) as helper:
        eventually(helper.is_ready)
        helper.give(list(impossible_rows()))
        with pytest.raises(SecondProcessError, match="failed"):
            helper.answer(list(impossible_rows()))
    with ManyRows(LibrarySettings(), {}, render=False) as extraction, pytest.raises(TypeError):
        list(extraction.convert(impossible_rows(), expected=1))


def awkward_rows() -> Iterator[TitledRow]:
    """Some rows, of which one has a name that is no UTF-8: no source yields that."""
    for number in range(30):
        row = MovieRow._make([number, str(number), f"Film {number}", *[None] * 19, True, None, None])
        name = "Film \ud800" if number == 9 else row.name
        yield row._replace(name=name, created_at=0, account_id=1, stream_id=str(number), account_name="Alpha"), ""


def told(incoming: Incoming) -> tuple[object, ...]:
    """All that a converter says of an item."""
    return incoming.kind, incoming.keys, incoming.name, incoming.alias, incoming.created, incoming.files


@pytest.mark.complains("The second process of the sync")
def test_rows_that_cannot_be_sent_are_done_without_the_second_process(
    given: list[ConvertProcess], caplog: pytest.LogCaptureFixture
) -> None:
    converter = Converter(LibrarySettings(), {}, render=True)
    rows = list(awkward_rows())
    wanted = [(row, told(item)) for (row, _), item in zip(rows, converter.convert(rows), strict=True)]
    with ManyRows(LibrarySettings(), {}, render=True) as together:
        assert [(row, told(item)) for row, item in together.convert(iter(rows), expected=30)] == wanted
    assert len(given) > 1
    [warning] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == "The second process of the sync cannot be told of a row; going on without it."


@pytest.mark.complains("The second process of the sync")
@pytest.mark.parametrize("answer", [b"\xc1", b"\x90", b"\x91\x01"], ids=["no MessagePack", "too few", "no item"])
def test_an_answer_that_is_none_is_done_without(
    tmp_path: Path, given: list[ConvertProcess], answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    receive = ConvertProcess._receive

    def garble(helper: ConvertProcess) -> bytes:
        return receive(helper) and answer

    monkeypatch.setattr(ConvertProcess, "_receive", garble)
    library = Library(tmp_path / "both")
    library.sync(url)
    assert given
    assert index(library.state_dir) == alone(tmp_path, url)


def test_pipes_that_may_not_be_large_do(
    tmp_path: Path, given: list[ConvertProcess], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "vod2strmfs.host.second_process._PIPE_BYTES", (1 << 31) + 1
    )  # root may have all that there can be
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    library = Library(tmp_path / "both")
    library.sync(url)
    assert given
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert index(library.state_dir) == alone(tmp_path, url)


def test_nothing_is_imported_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[ConvertProcess]
) -> None:
    poisoned = poison(tmp_path)
    monkeypatch.chdir(tmp_path)
    with closing(ConvertProcess(LibrarySettings(), {}, False)) as second:
        eventually(second.is_ready)
    assert not poisoned.exists()


def test_rows_of_every_kind_are_shared(
    tmp_path: Path, given: list[ConvertProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = set()
    give = ConvertProcess.give

    def note(helper: ConvertProcess, rows: list[TitledRow]) -> None:
        kinds.add(type(rows[0][0]))
        give(helper, rows)

    monkeypatch.setattr(ConvertProcess, "give", note)
    Library(tmp_path).sync(demo(f"sqlite:///{tmp_path}/demo.db"), LibrarySettings(versions="all"))
    assert kinds == {MovieRow, VersionRow, SeriesRow, EpisodeRow}


@pytest.mark.parametrize(
    ("choice", "passes", "rendered"),
    [
        ({}, True, True),
        ({"accounts": ["Alpha"]}, True, True),
        ({"accounts": ["Beta"]}, False, False),
        ({"years": "2000-"}, True, False),
    ],
)
def test_the_files_of_movies_that_are_kept_out_are_not_rendered(
    choice: dict[str, Any], passes: bool, rendered: bool
) -> None:
    converter = Converter(LibrarySettings(**choice), {}, render=True)
    row, title = next(awkward_rows())
    assert isinstance(row, MovieRow)
    [incoming] = converter.convert([(row._replace(passes=passes), title)])
    assert (incoming.files is not None) == rendered


def test_the_second_process_ends_with_the_sync(tmp_path: Path, given: list[ConvertProcess]) -> None:
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    Library(tmp_path).sync(url)
    assert not Path(f"/proc/{given[0].pid}").exists()


def test_the_second_process_ends_with_the_sync_that_fails(
    tmp_path: Path, given: list[ConvertProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = demo(f"sqlite:///{tmp_path}/demo.db")
    library = Library(tmp_path)
    library.sync(url)
    before = index(library.state_dir)

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    other = LibrarySettings(base_url="http://other.example")
    with pytest.raises(KeyboardInterrupt):
        library.sync(url, other, tell=fail)
    assert not Path(f"/proc/{given[-1].pid}").exists()
    assert index(library.state_dir) == before


_PARENT = """
import time
from vod2strmfs.sync.convert_process import ConvertProcess
from vod2strmfs.settings import LibrarySettings
helper = ConvertProcess(LibrarySettings(), {}, False)
while not helper.is_ready():
    time.sleep(0.01)
print(helper.pid, flush=True)
input()
"""


def test_the_second_process_ends_with_a_first_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout
        second = int(first.stdout.readline())
        assert b"vod2strmfs.sync.convert_process" in Path(f"/proc/{second}/cmdline").read_bytes()
        first.kill()
    eventually(lambda: not lives(second))
