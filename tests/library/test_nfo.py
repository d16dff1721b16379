"""NFO files: their forms for each server, and that they are well-formed whatever an item holds."""

import json
import re
from collections import Counter
from typing import Any, get_args
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vod2strmfs.catalog.rows import MovieRow
from vod2strmfs.extract import items as extract
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.library.items import Episode, Movie, Season, Series, Video
from vod2strmfs.library.nfo import episode_nfo, movie_nfo, season_nfo, tvshow_nfo
from vod2strmfs.settings import MediaServer

MOVIE = Movie(
    title="Heat",
    original_title="EN - Heat (1995)",
    plot='Cops & robbers: "<i>Heat</i>".\nIn L.A.',
    year=1995,
    premiered="1995-12-15",
    runtime=170,
    rating=7.9,
    mpaa="R",
    tmdb="949",
    imdb="tt0113277",
    genres=("Action", "Crime"),
    countries=("United States of America",),
    directors=("Michael Mann",),
    actors=("Al Pacino", "Robert De Niro"),
    trailer="2GfZl4kuVNI",
    poster="https://image.tmdb.org/t/p/w500/a.jpg?a=1&b=2",
    fanart=("https://image.tmdb.org/t/p/w1280/b.jpg", "https://image.tmdb.org/t/p/w1280/c.jpg"),
    added=1661234567,
    category="Movies",
    video=Video("h264", 1920, 816, "ac3", 6, 10_200),
    extension="mkv",
)
SERIES = Series(title="The Wire", year=2002, premiered="2002-06-02", tmdb="1438", poster="http://host/p.jpg")
EPISODE = Episode(title="The Buys", season=1, number=3, premiered="2002-06-16", year=2002, poster="http://host/s.jpg")

MOVIE_NFO = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<movie>
  <title>Heat</title>
  <originaltitle>EN - Heat (1995)</originaltitle>
  <year>1995</year>
  <premiered>1995-12-15</premiered>
  <plot>Cops &amp; robbers: "&lt;i&gt;Heat&lt;/i&gt;".
In L.A.</plot>
  <runtime>170</runtime>
  <mpaa>R</mpaa>
  <uniqueid type="tmdb" default="true">949</uniqueid>
  <tmdbid>949</tmdbid>
  <uniqueid type="imdb">tt0113277</uniqueid>
  <imdbid>tt0113277</imdbid>
  <ratings>
    <rating name="default" max="10" default="true">
      <value>7.9</value>
    </rating>
  </ratings>
  <rating>7.9</rating>
  <genre>Action</genre>
  <genre>Crime</genre>
  <country>United States of America</country>
  <director>Michael Mann</director>
  <actor>
    <name>Al Pacino</name>
    <order>0</order>
    <sortorder>0</sortorder>
  </actor>
  <actor>
    <name>Robert De Niro</name>
    <order>1</order>
    <sortorder>1</sortorder>
  </actor>
  <dateadded>2022-08-23 06:02:47</dateadded>
  <trailer>plugin://plugin.video.youtube/?action=play_video&amp;videoid=2GfZl4kuVNI</trailer>
  <thumb aspect="poster">https://image.tmdb.org/t/p/w500/a.jpg?a=1&amp;b=2</thumb>
  <fanart>
    <thumb>https://image.tmdb.org/t/p/w1280/b.jpg</thumb>
    <thumb>https://image.tmdb.org/t/p/w1280/c.jpg</thumb>
  </fanart>
  <fileinfo>
    <streamdetails>
      <video>
        <codec>h264</codec>
        <width>1920</width>
        <height>816</height>
        <durationinseconds>10200</durationinseconds>
      </video>
      <audio>
        <codec>ac3</codec>
        <channels>6</channels>
      </audio>
    </streamdetails>
  </fileinfo>
</movie>
"""


def read(data: bytes) -> ElementTree.Element:
    """The root of an NFO, which has to be what the module promises."""
    root = ElementTree.fromstring(data)
    for element in root.iter():
        assert element.text, f"<{element.tag}> is empty"
    text = data.decode("utf-8")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"')
    assert text.endswith(f"</{root.tag}>\n")
    return root


def texts(root: ElementTree.Element, path: str) -> tuple[str, ...]:
    return tuple(element.text or "" for element in root.findall(path))


def test_a_whole_movie() -> None:
    assert movie_nfo(MOVIE).decode() == MOVIE_NFO


def test_a_movie_of_which_only_the_title_is_known() -> None:
    assert movie_nfo(Movie(title="Heat")).decode() == (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<movie>\n  <title>Heat</title>\n</movie>\n'
    )


def test_a_series_names_its_seasons() -> None:
    root = read(tvshow_nfo(SERIES, (0, 1, 12, None)))
    assert root.tag == "tvshow"
    seasons = [(season.get("number"), season.text) for season in root.findall("namedseason")]
    assert seasons == [("0", "Specials"), ("1", "Season 1"), ("12", "Season 12")]
    assert texts(root, "premiered") == ("2002-06-02",)


@pytest.mark.parametrize(
    ("number", "title"), [(0, "Specials"), (1, "Season 1"), (2024, "Season 2024"), (None, "Season Unknown")]
)
def test_a_season_has_its_title_in_both_forms(number: int | None, title: str) -> None:
    root = read(season_nfo(Season(number, "The Wire")))
    assert root.tag == "season"
    assert texts(root, "title") == texts(root, "seasonname") == (title,)
    assert texts(root, "seasonnumber") == (() if number is None else (str(number),))


def test_an_episode_aired_and_its_picture_is_no_poster() -> None:
    root = read(episode_nfo(EPISODE))
    assert root.tag == "episodedetails"
    assert (texts(root, "season"), texts(root, "episode"), texts(root, "aired")) == (("1",), ("3",), ("2002-06-16",))
    assert texts(root, "premiered") == ()
    assert [(thumb.text, thumb.attrib) for thumb in root.findall("thumb")] == [("http://host/s.jpg", {})]


def test_episode_zero_of_the_specials_has_its_numbers() -> None:
    root = read(episode_nfo(Episode(season=0, number=0)))
    assert (texts(root, "season"), texts(root, "episode"), texts(root, "title")) == (("0",), ("0",), ("Episode 0",))


@pytest.mark.parametrize("server", get_args(MediaServer))
def test_an_episode_has_a_title_always(server: MediaServer) -> None:
    assert texts(read(episode_nfo(Episode(season=1, number=7), server)), "title") == ("Episode 7",)
    assert texts(read(episode_nfo(Episode(), server)), "title") == ("Episode Unknown",)


@pytest.mark.parametrize("server", get_args(MediaServer))
def test_a_year_without_a_day_gets_one_where_that_is_needed(server: MediaServer) -> None:
    series, episode = Series(title="Dark", year=2017), Episode(title="Secrets", season=1, number=1, year=2017)
    day = ("2017-01-01",)
    assert texts(read(tvshow_nfo(series, [1], server)), "premiered") == (day if server in ("any", "kodi") else ())
    assert texts(read(episode_nfo(episode, server)), "aired") == (day if server == "kodi" else ())
    assert texts(read(movie_nfo(Movie(title="Heat", year=1995), server)), "premiered") == ()
    assert texts(read(tvshow_nfo(SERIES, [1], server)), "premiered") == ("2002-06-02",)
    assert texts(read(tvshow_nfo(Series(title="Dark"), [1], server)), "premiered") == ()


def test_an_nfo_begins_with_a_declaration() -> None:
    # Without one, Kodi leaves out an episode whose numbers are not those of its file's name.
    for nfo in (movie_nfo(MOVIE), tvshow_nfo(SERIES, [1]), season_nfo(Season(1, "")), episode_nfo(EPISODE)):
        assert nfo.startswith(b"<?xml ")


def test_unknown_numbers_are_left_out() -> None:
    root = read(episode_nfo(Episode(title="Pilot")))
    assert [element.tag for element in root] == ["title"]


@pytest.mark.parametrize("imdb", ["", "tt0113277"])
@pytest.mark.parametrize("tmdb", ["", "949"])
def test_exactly_one_id_is_the_default(tmdb: str, imdb: str) -> None:
    root = read(movie_nfo(Movie(title="Heat", tmdb=tmdb, imdb=imdb)))
    assert sorted(texts(root, "uniqueid")) == sorted(filter(None, (tmdb, imdb)))
    assert len(root.findall("uniqueid[@default='true']")) == bool(tmdb or imdb)


def test_streams_of_which_only_one_is_known() -> None:
    root = read(movie_nfo(Movie(title="Heat", video=Video(audio_codec="aac"))))
    assert texts(root, "fileinfo/streamdetails/audio/codec") == ("aac",)
    assert root.find("fileinfo/streamdetails/video") is None


FORMS = {
    "tmdbid": {"any", "jellyfin", "emby", "plex", "spec"},
    "uniqueid": {"any", "jellyfin", "emby", "kodi", "plex", "spec"},
    "rating": {"any", "jellyfin", "emby", "plex", "spec"},
    "ratings/rating/value": {"any", "kodi", "plex", "spec"},
    "actor/order": {"any", "jellyfin", "kodi", "plex", "spec"},
    "actor/sortorder": {"any", "emby", "plex", "spec"},
    "thumb": {"any", "jellyfin", "kodi", "plex", "spec"},
    "fanart/thumb": {"any", "jellyfin", "kodi", "plex", "spec"},
    "trailer": {"any", "jellyfin", "emby", "kodi", "plex", "spec"},
    "lockdata": set[str](),
}


@pytest.mark.parametrize("media_server", get_args(MediaServer))
def test_each_server_gets_the_forms_that_it_reads(media_server: MediaServer) -> None:
    root = read(movie_nfo(MOVIE, media_server))
    assert {path for path in FORMS if root.find(path) is not None} == {
        path for path, servers in FORMS.items() if media_server in servers
    }


@pytest.mark.parametrize("media_server", get_args(MediaServer))
def test_a_series_and_an_episode_differ_as_movies_do(media_server: MediaServer) -> None:
    series, episode = read(tvshow_nfo(SERIES, (), media_server)), read(episode_nfo(EPISODE, media_server))
    assert (series.find("thumb") is None) == (episode.find("thumb") is None) == (media_server == "emby")
    assert (series.find("tmdbid") is None) == (media_server == "kodi")


ANY_TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(
    ["\x00", "\ud800", "\ufffe\uffff", "]]>", "<!--", "&amp;", "\r\n", "\x85", "\U0001ffff", "\ufdd0", "</movie>"]
)
ITEM_FIELDS = {
    **dict.fromkeys(("title", "original_title", "plot", "mpaa", "poster"), ANY_TEXT),
    **dict.fromkeys(("genres", "countries", "directors", "actors", "fanart"), st.lists(ANY_TEXT).map(tuple)),
    "year": st.integers(0, 2100),
    "rating": st.floats(0, 10),
    "added": st.integers(0, 2**32),
    "runtime": st.integers(0, 6000),
}


def legal(text: str) -> str:
    """What an XML 1.0 document can carry of a text."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


@given(st.builds(Movie, **ITEM_FIELDS), st.sampled_from(get_args(MediaServer)))
def test_any_movie_comes_back_from_its_nfo(item: Movie, media_server: MediaServer) -> None:
    root = ElementTree.fromstring(movie_nfo(item, media_server))
    for tag, text in (("title", item.title), ("originaltitle", item.original_title), ("plot", item.plot)):
        assert "".join(texts(root, tag)) == legal(text)
    for tag, names in (("genre", item.genres), ("country", item.countries), ("director", item.directors)):
        assert texts(root, tag) == tuple(map(legal, names))
    assert texts(root, "actor/name") == tuple(map(legal, item.actors))
    assert texts(root, "year") == ((str(item.year),) if item.year else ())


@given(st.builds(Episode, season=st.none() | st.integers(0), number=st.none() | st.integers(0), **ITEM_FIELDS))
def test_any_episode_comes_back_from_its_nfo(item: Episode) -> None:
    root = ElementTree.fromstring(episode_nfo(item))
    assert "".join(texts(root, "plot")) == legal(item.plot)
    assert texts(root, "season") == (() if item.season is None else (str(item.season),))


@given(st.builds(Series, **ITEM_FIELDS), st.lists(st.none() | st.integers(0)))
def test_any_series_comes_back_from_its_nfo(item: Series, seasons: list[int | None]) -> None:
    root = ElementTree.fromstring(tvshow_nfo(item, seasons))
    assert "".join(texts(root, "plot")) == legal(item.plot)
    assert len(root.findall("namedseason")) == len([number for number in seasons if number is not None])


PANEL_KEYS = ("plot", "genre", "cast", "director", "country", "mpaa_rating", "stream_icon", "backdrop_path", "added")
PANEL_VALUE = ANY_TEXT | st.integers() | st.lists(ANY_TEXT, max_size=3) | st.sampled_from(["http://h/p.jpg", "7.5"])
PANEL = st.dictionaries(
    st.sampled_from((*PANEL_KEYS, "rating", "tmdb", "trailer", "release_date", "video")), PANEL_VALUE
)
SCRAPER_PAGES = (
    "www.themoviedb.org/movie/949",
    "https://www.themoviedb.org/tv/1438-the-wire",
    "https://www.imdb.com/title/tt0113277/",
    "imdb.de/title/tt0113277",
    "http://www.imdb.com/Title?tt0113277",
    "https://thetvdb.com/?tab=series&id=79126",
    "https://artworks.thetvdb.com/banners/series/379873/episodes/1.jpg",
    "https://www.tvmaze.com/shows/179/the-wire",
)


def nfo_of(name: str, panel: dict[str, Any]) -> tuple[Movie, bytes]:
    """A movie as a panel sends it, and its NFO."""
    row = dict.fromkeys(MovieRow._fields, None) | {
        "name": name,
        "is_adult": False,
        "relation_properties": json.dumps({"basic_data": panel}),
    }
    item = extract.movie(MovieRow(**row), TitleCleaner(clean=True, pattern=""), Counter())  # type: ignore[arg-type]
    return item, movie_nfo(item)


@given(ANY_TEXT, PANEL)
def test_what_a_panel_sends_stays_whole_and_nothing_is_empty(name: str, panel: dict[str, Any]) -> None:
    item, data = nfo_of(name, panel)
    root = read(data)
    shown = {"title": item.title, "plot": item.plot, "mpaa": item.mpaa, "thumb": item.poster}
    assert {tag: "".join(texts(root, tag)) for tag in shown} == shown
    assert texts(root, "actor/name") == item.actors


@pytest.mark.parametrize("page", SCRAPER_PAGES)
def test_no_address_in_an_nfo_sends_kodis_scrapers_online(page: str) -> None:
    """They search the whole file for the addresses of pages about titles, and go online when they find one."""
    panel = dict.fromkeys(PANEL_KEYS, f"see {page}") | {"stream_icon": page, "backdrop_path": [page]}
    item, data = nfo_of(f"Heat {page}", panel)
    assert item.title == "Heat"
    assert item.plot == "see"
    assert not re.search(rb"themoviedb|imdb\.|thetvdb|tvmaze", data)


def test_equal_items_have_equal_bytes() -> None:
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(MOVIE), type=Movie)
    assert movie_nfo(again) == movie_nfo(MOVIE)
