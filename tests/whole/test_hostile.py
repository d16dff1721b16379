"""From hostile rows to a tree and to bytes: nothing escapes, nothing breaks, nothing is lost."""

import json
import random
import sqlite3
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from databases import Database
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from libraries import Library
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.library.names import fold
from vod2strmfs.settings import LibrarySettings

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=255)
_TRICKY = st.sampled_from(
    ["", ".", "..", "../../etc/passwd", "a/b", "CON", "con.txt", "Heat", "HEAT", "heat ", "Heat:", "Heat?", "é",
     "e\u0301", "İ", "ı", "ß", "SS", "ﬁ", "fi", "\u202egnp.exe", "x" * 255, "漢" * 255, "👨‍👩‍👧" * 40, "a\nb",
     "tvshow", "movie", "Sample"]
)  # fmt: skip
_NAME = _TRICKY | _TEXT
_NUMBER = st.none() | st.integers(-3, 3) | st.sampled_from([10000, 99999, 100000, 2**31 - 1, -(2**31)])
_MOVIE = st.fixed_dictionaries({"name": _NAME, "year": st.none() | st.integers(-1, 3000)})
_EPISODE = st.tuples(st.integers(0, 2), _NUMBER, _NUMBER, _NAME)


def catalogue(movies: list[dict[str, Any]], series: list[str], episodes: list[Any], seed: int = 0) -> Catalogue:
    """The same rows under ids in another order for each seed; streams stay with their items."""
    made = Catalogue(seed)
    account = made.account("Alpha")
    # A database holds a name and year once among the movies without an id.
    titles = [(columns["name"], columns["year"]) for columns in movies]
    ids = [str(stream + 1) if title in titles[:stream] else None for stream, title in enumerate(titles)]
    order = list(enumerate(movies))
    random.Random(seed).shuffle(order)
    for stream, columns in order:
        movie = made.movie(**columns, tmdb_id=ids[stream], relations=[])
        made.relate(movie, account, stream_id=str(stream), custom_properties={"basic_data": {"name": columns["name"]}})
    shows = []
    for stream, name in enumerate(series):
        entry = made.series(name, tmdb_id=str(stream + 1), relations=[])
        made.relate(entry, account, external_series_id=str(stream))
        shows.append(entry)
    seen = set()
    numbered = list(enumerate(episodes))
    random.Random(seed).shuffle(numbered)
    for stream, (show, season, number, title) in numbered:
        # A database holds each pair of numbers once in a series.
        if None not in (season, number) and (show, season, number) in seen:
            continue
        seen.add((show, season, number))
        made.relate(made.episode(shows[show], season, number, title, relations=[]), account, stream_id=str(stream))
    return made


@given(
    movies=st.lists(_MOVIE, max_size=8),
    series=st.lists(_NAME, min_size=3, max_size=3),
    episodes=st.lists(_EPISODE, min_size=1, max_size=8, unique_by=lambda episode: episode[:3]),
)
def test_every_item_is_in_the_tree_under_a_legal_name_of_its_own(
    movies: list[dict[str, Any]], series: list[str], episodes: list[Any]
) -> None:
    with TemporaryDirectory() as folder:
        library = Library(Path(folder))
        library.show(catalogue(movies, series, episodes))
        tree, files = library.tree(), library.files()
        assert sum(path.endswith(".strm") for path in tree) == len(movies) + len(episodes)
        siblings: dict[str, set[str]] = {}
        for path, entry in tree.items():
            directory, _, name = path.rpartition("/")
            assert len(name.encode()) <= 255
            assert name == unicodedata.normalize("NFC", name)
            assert not set(name) & set('/\\:*?"<>|')
            assert name == entry.name
            assert name not in (".", "..")
            assert not name.endswith((".", " "))
            assert fold(name) not in siblings.setdefault(directory, set()), path
            siblings[directory].add(fold(name))
        for path, content in files.items():
            assert tree[path].size == len(content)
            if path.endswith(".strm"):
                assert content.startswith(b"http://192.168.199.10:9191/proxy/vod/")
                assert content.count(b"\n") == 1
                assert b" " not in content
            else:
                ET.fromstring(content)


@given(
    movies=st.lists(_MOVIE, min_size=1, max_size=8),
    series=st.lists(_NAME, min_size=3, max_size=3),
    episodes=st.lists(_EPISODE, max_size=8, unique_by=lambda episode: episode[:3]),
)
def test_the_tree_of_a_shuffled_catalogue_is_the_same_tree(
    movies: list[dict[str, Any]], series: list[str], episodes: list[Any]
) -> None:
    trees = []
    for seed in (1, 2):
        with TemporaryDirectory() as folder:
            library = Library(Path(folder))
            library.show(catalogue(movies, series, episodes, seed))
            # The UUIDs were made anew: they tell the files apart no more than the streams do.
            trees.append(
                {
                    path: content.partition(b"?")[2] if path.endswith(".strm") else content
                    for path, content in library.files().items()
                }
            )
    assert trees[0] == trees[1]


_HOSTILE_TEXT = st.sampled_from(
    ["", "\0", "a\0b", "a\nb\r\nc", "\u2028", "\x1b[31m", "\ufffe\uffff", "]]>", "<!--", "&bogus;", "../../etc/passwd",
     "/etc/passwd", "a/../b", "..", "http://x\nhttp://y", "=cmd|' /C calc'!A0", "{uuid}", "%0a", "?a=b&c=d#e",
     "0000-00-00", "0000-01-01", "9999-12-31", "10000-01-01", "-5", "1e999", "NaN", "9" * 400, "x" * 1_000_000,
     "\U0001f600" * 70_000, "e\u0301" * 90_000]
)  # fmt: skip
_HOSTILE_NUMBER = st.sampled_from([0, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 10**18])
_HOSTILE_JSON = st.sampled_from(
    ["[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, "[" * 900 + "]" * 900, '{"rating": 1e999}', "{", "\\",
     '{"rating": ' + "9" * 5_000 + "}", '{"plot": "\\u0000"}', '{"plot": "\\ud800"}', '{"plot": "a", "plot": "b"}',
     '{"basic_data": [[]], "detailed_info": 7, "info": "x"}', "NaN", "0", '"' + "x" * 1_000_000 + '"']
)  # fmt: skip
_PANEL_FIELDS = st.dictionaries(
    st.sampled_from(
        ["title", "plot", "year", "rating", "genre", "cast", "actors", "director", "country", "duration_secs",
         "duration", "release_date", "releaseDate", "tmdb_id", "imdb_id", "youtube_trailer", "movie_image", "cover",
         "backdrop_path", "added", "video", "audio", "is_adult", "age"]
    ),
    st.recursive(
        _HOSTILE_TEXT | _HOSTILE_NUMBER | st.floats() | st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_HOSTILE_TEXT, inner, max_size=3),
        max_leaves=4,
    ),
    max_size=5,
)  # fmt: skip
_PROPERTIES = _HOSTILE_JSON | st.builds(
    lambda key, fields: json.dumps({key: fields} if key else fields),
    st.sampled_from(["", "basic_data", "detailed_info", "info"]),
    _PANEL_FIELDS,
)
_BYTES = st.sampled_from([b"\xed\xa0\x80", b"\xff\xfe", b"caf\xe9", b"\xc0\xaf..", b"ok"])
"""Lone surrogates and other bytes that are no UTF-8, stored as text: SQLite takes them."""
_ANYTHING = _HOSTILE_TEXT | _HOSTILE_NUMBER | st.none() | st.floats() | st.booleans()

_ITEM_COLUMNS = ("name", "description", "rating", "tmdb_id", "imdb_id", "created_at")
_COLUMNS = [
    *(("vod_movie", name) for name in (*_ITEM_COLUMNS, "year", "genre", "duration_secs", "is_adult")),
    *(("vod_series", name) for name in (*_ITEM_COLUMNS, "year", "genre")),
    *(("vod_episode", name) for name in (*_ITEM_COLUMNS, "season_number", "episode_number", "air_date")),
    ("vod_m3umovierelation", "stream_id"),
    ("vod_m3umovierelation", "container_extension"),
    ("vod_m3uepisoderelation", "stream_id"),
    ("vod_m3uepisoderelation", "container_extension"),
    ("vod_vodcategory", "name"),
    ("vod_vodlogo", "url"),
    ("m3u_m3uaccount", "name"),
]
_JSON_COLUMNS = [
    (table, "custom_properties")
    for table in ("vod_movie", "vod_series", "vod_episode", "vod_m3umovierelation", "vod_m3useriesrelation",
                  "vod_m3uepisoderelation")
]  # fmt: skip
_CHANGES = st.lists(
    st.tuples(st.sampled_from(_COLUMNS), st.integers(1, 3), _ANYTHING | _BYTES)
    | st.tuples(st.sampled_from(_JSON_COLUMNS), st.integers(1, 3), _PROPERTIES),
    min_size=1,
    max_size=12,
)
_SETTINGS = st.builds(
    LibrarySettings,
    group_by=st.sampled_from(["none", "category", "category_tv"]),
    media_server=st.sampled_from(["any", "jellyfin", "emby", "kodi", "plex", "spec"]),
    versions=st.sampled_from(["best", "all"]),
    accounts=st.sampled_from([(), ("*",)]),
    categories=st.sampled_from([(), ("*",)]),
)
_SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
ITEMS = 3


def small_catalogue() -> Catalogue:
    """Three of everything that two accounts have, with categories and posters."""
    made = Catalogue()
    accounts = [made.account("Alpha"), made.account("Beta")]
    films, shows = made.category("Films", "movie"), made.category("Shows", "series")
    for account in accounts:
        for category in (films, shows):
            made.enable(account, category)
    for number in range(ITEMS):
        poster = made.logo(f"http://images.example/{number}.jpg")
        made.movie(f"Film {number}", relations=accounts, category=films, logo_id=poster.id)
        series = made.series(f"Show {number}", relations=accounts, category=shows, logo_id=poster.id)
        made.episode(series, 1, number, f"Part {number}")
    return made


def check_tree(library: Library, strms: int) -> None:
    """What has to be true of every tree.

    Args:
        library: the one that shows it.
        strms: how many .strm files there are to be.
    """
    tree, files = library.tree(), library.files()
    assert sum(path.endswith(".strm") for path in tree) == strms
    siblings: dict[str, set[str]] = {}
    for path in tree:
        directory, _, name = path.rpartition("/")
        assert 0 < len(name.encode()) <= 255
        assert name.isprintable(), repr(name)
        assert not set(name) & set('/\\:*?"<>|')
        assert name not in (".", "..")
        assert not name.endswith((".", " "))
        assert fold(name) not in siblings.setdefault(directory, set()), path
        siblings[directory].add(fold(name))
    for path, content in files.items():
        assert tree[path].size == len(content)
        assert 0 <= tree[path].mtime < 2**63
        assert len(content) < 200_000
        if path.endswith(".strm"):
            url = content.decode("ascii").removeprefix("#KODIPROP:mimetype=video/x-matroska\n")
            assert url.startswith("http://192.168.199.10:9191/proxy/vod/")
            assert url.endswith("\n")
            assert not set(url[:-1]) & set(' \t\r\n\v\f\0"<>\\^`{|}'), url
        else:
            ET.fromstring(content)


@_SLOW
@example(changes=[(("vod_movie", "created_at"), 1, "9999-12-31 23:59:59")], options=LibrarySettings())
@example(changes=[(("vod_movie", "created_at"), 1, "0001-01-01 00:00:00")], options=LibrarySettings())
@given(changes=_CHANGES, options=_SETTINGS)
def test_whatever_a_sqlite_catalogue_holds_the_tree_is_whole_and_its_files_are_sound(
    changes: list[tuple[tuple[str, str], int, Any]], options: LibrarySettings, soak: bool
) -> None:
    with TemporaryDirectory() as folder:
        library = Library(Path(folder))
        small_catalogue().write(f"sqlite:///{folder}/hostile.db")
        with closing(sqlite3.connect(f"{folder}/hostile.db")) as database:
            # Dispatcharr checks its JSON; what else wrote the file may not have.
            database.execute("PRAGMA ignore_check_constraints = 1")
            for (table, column), row, value in changes:
                with suppress(sqlite3.IntegrityError):
                    cast = "CAST(? AS TEXT)" if isinstance(value, bytes) else "?"
                    database.execute(f"UPDATE {table} SET {column} = {cast} WHERE id = ?", (value, row))
            database.commit()
        library.sync(f"sqlite:///{folder}/hostile.db", options)
        check_tree(library, (2 if options.versions == "best" else 4) * ITEMS)


@pytest.fixture(scope="module")
def hostile_database(postgres: PostgresServer) -> str:
    return Database(postgres.new_database()).fill(small_catalogue()).url


@_SLOW
@example(changes=[(("vod_movie", "created_at"), 1, "infinity")], options=LibrarySettings())
@example(changes=[(("vod_movie", "created_at"), 1, "9999-12-31 23:59:59+00")], options=LibrarySettings())
@example(changes=[(("vod_movie", "created_at"), 1, "0001-01-01 00:00:00+00 BC")], options=LibrarySettings())
@given(changes=_CHANGES, options=_SETTINGS)
def test_whatever_a_postgresql_catalogue_holds_the_tree_is_whole_and_its_files_are_sound(
    hostile_database: str, changes: list[tuple[tuple[str, str], int, Any]], options: LibrarySettings, soak: bool
) -> None:
    with TemporaryDirectory() as folder, psycopg.connect(hostile_database) as session:
        for (table, column), row, value in changes:
            # It refuses much of this, and that is as good.
            with suppress(psycopg.Error, UnicodeEncodeError), session.transaction():
                session.execute(
                    f"UPDATE {table} SET {column} = %s WHERE id = %s".encode(),
                    (value.decode("latin-1") if isinstance(value, bytes) else value, row),
                )
        session.commit()
        library = Library(Path(folder))
        library.sync(hostile_database, options)
        check_tree(library, (2 if options.versions == "best" else 4) * ITEMS)


_SYNC_AND_SAY_MEMORY = """
import re, sys
from pathlib import Path
from vod2strmfs.catalog.open import open_source
from vod2strmfs.sync.run import sync
from vod2strmfs.settings import LibrarySettings

sync(open_source(sys.argv[1]), LibrarySettings(), Path(sys.argv[2]))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_rows_of_a_megabyte_are_not_held_in_memory_together(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database.fill(catalogue([{"name": f"Film {number}", "year": None} for number in range(200)], [], []))
    database.execute("UPDATE vod_movie SET description = ?", "x" * 1_000_000)
    said = subprocess.run(
        [sys.executable, "-c", _SYNC_AND_SAY_MEMORY, database.url, tmp_path / "state"], check=True, capture_output=True
    ).stdout
    assert int(said) < 160_000
    record_property("memory in kB", int(said))
