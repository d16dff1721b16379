"""From hostile rows to a tree and to bytes: nothing escapes, nothing breaks, nothing is lost."""

import random
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.library.names import fold

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
_PROVIDER_TIME = settings(max_examples=40, deadline=None)


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


@_PROVIDER_TIME
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


@_PROVIDER_TIME
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
