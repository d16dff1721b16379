"""Which NFOs pass for ours when the manifest is lost."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
import pytest
from libraries import Library

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.library.items import Episode, Movie, Series, Video
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.library.nfo import episode_nfo, movie_nfo, tvshow_nfo
from vod2strmfs.materialize.our_nfos import Nfos
from vod2strmfs.materialize.probe import COARSEST, FileSystem
from vod2strmfs.settings import LibrarySettings, MediaServer

TIME = 1_700_000_000_123_456_789
OURS = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<movie>
  <title>Heat</title>
</movie>
"""
SEASON = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<season>
  <title>Season 1</title>
  <seasonname>Season 1</seasonname>
  <seasonnumber>1</seasonnumber>
</season>
"""


ItemT = TypeVar("ItemT", bound=msgspec.Struct)


@contextmanager
def found(directory: Path, grain: int = 1) -> Iterator[Nfos]:
    with os.scandir(directory) as entries:
        here = {entry.name: entry for entry in entries}
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield Nfos(descriptor, here, FileSystem(grain=grain))
    finally:
        os.close(descriptor)


def put(directory: Path, name: str, content: str, mtime: int = TIME) -> None:
    (directory / name).write_text(content)
    os.utime(directory / name, ns=(mtime, mtime))


@pytest.mark.parametrize("server", get_args(MediaServer))
def test_every_nfo_that_we_write_passes(tmp_path: Path, server: str) -> None:
    write_demo(f"sqlite:///{tmp_path}/demo.db", movies=60, series=6, episodes=60, seed=3)
    library = Library(tmp_path)
    library.sync(f"sqlite:///{tmp_path}/demo.db", LibrarySettings.model_validate({"media_server": server}))
    nfos = [(Path(path).name, content) for path, content in library.files().items() if path.endswith(".nfo")]
    assert len(nfos) > 100
    folder = tmp_path / "folder"
    for name, content in nfos:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        put(folder, name, content.decode())
        with found(folder) as there:
            stem = name.removesuffix(".nfo")
            match stem:
                case "season":
                    told = list(there.of_season())
                case "tvshow":
                    told = list(there.of_series({TIME}))
                case _:
                    kind = NodeKind.MOVIE if b"<movie>" in content else NodeKind.EPISODE
                    told = list(there.of_strm(kind, "Heat" if stem == "movie" else stem, TIME))
        assert [file.name for file in told] == [name]


def full(kind: type[ItemT]) -> ItemT:
    """An item all of whose fields say something, those that are yet to be thought of too."""
    values: dict[Any, Any] = {str: "text", int: 1, float: 1.5, bool: True, tuple[str, ...]: ("text",), int | None: 1}
    return kind(
        **{
            field.name: full(Video) if field.type is Video else values[field.type]
            for field in msgspec.structs.fields(kind)
        }
    )


def fullest(kind: type[ItemT]) -> type[ItemT]:
    """The class of an item that has every field that any item of a kind has, each class having those of one before."""
    classes = kind.__subclasses__()
    return fullest(classes[0]) if classes else kind


@pytest.mark.parametrize("server", get_args(MediaServer))
def test_no_element_of_ours_makes_an_nfo_the_users(tmp_path: Path, server: MediaServer) -> None:
    movie = movie_nfo(full(fullest(Movie)), server)
    assert b"<tag>" in movie
    put(tmp_path, "movie.nfo", movie.decode())
    put(tmp_path, "tvshow.nfo", tvshow_nfo(full(fullest(Series)), (1,), server).decode())
    put(tmp_path, "S01E01.nfo", episode_nfo(full(Episode), server).decode())
    with found(tmp_path) as nfos:
        assert [*nfos.of_strm(NodeKind.MOVIE, "Heat", TIME)]
        assert [*nfos.of_series({TIME})]
        assert [*nfos.of_strm(NodeKind.EPISODE, "S01E01", TIME)]


@pytest.mark.parametrize(
    ("content", "mtime"),
    [
        pytest.param(OURS, TIME + 1, id="another time"),
        pytest.param(OURS.replace("UTF-8", "utf-8"), TIME, id="another declaration"),
        pytest.param(OURS.replace("title>", "lockdata>"), TIME, id="an element that we never write"),
        pytest.param(OURS.replace("  <title>", "  <!-- mine --><title>"), TIME, id="a comment"),
        pytest.param(OURS + "https://www.themoviedb.org/movie/949", TIME, id="something after the end"),
        pytest.param("", TIME, id="empty"),
    ],
)
def test_what_differs_is_the_users(tmp_path: Path, content: str, mtime: int) -> None:
    put(tmp_path, "movie.nfo", content, mtime)
    with found(tmp_path) as nfos:
        assert list(nfos.of_strm(NodeKind.MOVIE, "Heat", TIME)) == []


def test_where_times_do_not_come_back_they_tell_nothing(tmp_path: Path) -> None:
    put(tmp_path, "movie.nfo", OURS)
    with found(tmp_path, grain=COARSEST) as nfos:
        assert list(nfos.of_strm(NodeKind.MOVIE, "Heat", TIME)) == []
    with found(tmp_path, grain=1) as nfos:
        assert [file.name for file in nfos.of_strm(NodeKind.MOVIE, "Heat", TIME)] == ["movie.nfo"]


def test_of_a_strm_are_the_nfos_that_are_called_as_ours_are(tmp_path: Path) -> None:
    for name in ("S01E01.nfo", "S01E01 – Pilot.nfo", "S01E02.nfo", "S01E01 – Pilot-extra.nfo", "S01.nfo"):
        put(tmp_path, name, OURS.replace("movie>", "episodedetails>"))
    with found(tmp_path) as nfos:
        assert {file.name for file in nfos.of_strm(NodeKind.EPISODE, "S01E01 – Pilot", TIME)} == {
            "S01E01 – Pilot.nfo",
            "S01E01.nfo",
        }


def test_a_seasons_nfo_is_ours_byte_for_byte_or_not(tmp_path: Path) -> None:
    put(tmp_path, "season.nfo", SEASON)
    with found(tmp_path) as nfos:
        assert [file.name for file in nfos.of_season()] == ["season.nfo"]
    put(tmp_path, "season.nfo", SEASON.replace("<title>Season 1", "<title>The first one"))
    with found(tmp_path) as nfos:
        assert list(nfos.of_season()) == []
