"""From rows to items: what panels send, what of it is kept, and that nothing they send breaks it."""

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow
from vod2strmfs.extract import items as extract
from vod2strmfs.extract.texts import MAX_LINE, MAX_PLOT
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.library.items import Episode, Movie, Series, Video

CLEANER = TitleCleaner(clean=True, pattern="")

MOVIE_ROW = MovieRow(
    id=1,
    uuid="0a000000-0000-4000-8000-000000000001",
    name="Heat",
    description=None,
    year=None,
    rating=None,
    genre=None,
    duration_secs=None,
    tmdb_id=None,
    imdb_id=None,
    is_adult=False,
    properties=None,
    created_at=0,
    logo_url=None,
    account_id=1,
    account_name="Provider",
    stream_id="100",
    category=None,
    container_extension=None,
    relation_properties=None,
)
SERIES_ROW = SeriesRow(
    id=1,
    uuid="0a000000-0000-4000-8000-000000000002",
    name="The Wire",
    description=None,
    year=None,
    rating=None,
    genre=None,
    tmdb_id=None,
    imdb_id=None,
    properties=None,
    created_at=0,
    logo_url=None,
    account_id=1,
    account_name="Provider",
    stream_id="200",
    category=None,
    relation_properties=None,
)
EPISODE_ROW = EpisodeRow(
    id=1,
    uuid="0a000000-0000-4000-8000-000000000003",
    series_id=1,
    name="The Buys",
    description=None,
    air_date=None,
    rating=None,
    duration_secs=None,
    season_number=1,
    episode_number=3,
    tmdb_id=None,
    imdb_id=None,
    properties=None,
    created_at=0,
    account_id=1,
    account_name="Provider",
    stream_id="300",
    container_extension=None,
    relation_properties=None,
)


def movie_of(entry: Any = None, detail: Any = None, **columns: Any) -> tuple[Movie, Counter[str]]:
    """The movie of a row with these columns and this JSON, and what was counted."""
    problems: Counter[str] = Counter()
    relation = json.dumps({"basic_data": entry, "detailed_info": detail})
    row = MOVIE_ROW._replace(**{"relation_properties": relation, **columns})
    return extract.movie(row, CLEANER, problems), problems


def series_of(entry: Any = None, **columns: Any) -> tuple[Series, Counter[str]]:
    problems: Counter[str] = Counter()
    row = SERIES_ROW._replace(**{"relation_properties": json.dumps({"basic_data": entry}), **columns})
    return extract.series(row, CLEANER, problems), problems


def episode_of(entry: Any = None, **columns: Any) -> tuple[Episode, Counter[str]]:
    problems: Counter[str] = Counter()
    row = EPISODE_ROW._replace(**{"relation_properties": json.dumps({"info": entry}), **columns})
    return extract.episode(row, "The Wire", CLEANER, problems), problems


LIST_ENTRY = {"rating": "7.1", "stream_icon": "http://img/own.jpg", "added": "1661234567", "trailer": "vKQi3bBA1y8"}


class TestSources:
    """Which source a field comes from."""

    def test_the_relation_speaks_before_the_shared_row(self) -> None:
        movie, problems = movie_of(LIST_ENTRY, rating="3.0", logo_url="http://img/other.jpg")
        assert (movie.rating, movie.poster, movie.added, movie.trailer) == (
            7.1,
            "http://img/own.jpg",
            1661234567,
            "vKQi3bBA1y8",
        )
        assert not problems

    def test_details_speak_before_the_list_entry(self) -> None:
        movie, _ = movie_of(LIST_ENTRY, {"rating": "7.4"})
        assert movie.rating == 7.4
        assert movie.poster == "http://img/own.jpg"

    def test_the_row_fills_the_gaps_and_its_properties_the_rest(self) -> None:
        movie, _ = movie_of(
            {"rating": ""},
            rating="3.0",
            genre="Drama",
            duration_secs=5400,
            logo_url="http://img/row.jpg",
            description="A plot.",
            properties='{"actors": "A, B", "director": "C", "release_date": "1995-12-15", "backdrop_path": ["http://f"]}',
        )
        assert movie == Movie(
            title="Heat",
            rating=3.0,
            genres=("Drama",),
            runtime=90,
            poster="http://img/row.jpg",
            plot="A plot.",
            actors=("A", "B"),
            directors=("C",),
            premiered="1995-12-15",
            year=1995,
            fanart=("http://f",),
        )

    def test_junk_gives_the_next_source_its_turn(self) -> None:
        movie, problems = movie_of({"rating": "great"}, rating="3.0")
        assert movie.rating == 3.0
        assert problems == {"rating": 1}

    def test_a_scan_of_another_account_changes_nothing(self) -> None:
        """The next account's scan turns the shared row's rating, logo and properties."""
        entry = {**LIST_ENTRY, "release_date": "1995-12-15", "director": "M. Mann", "cast": "Al Pacino", "plot": "P."}
        before, _ = movie_of(entry, rating="7.1", logo_url="http://img/own.jpg", properties='{"director": "M. Mann"}')
        after, _ = movie_of(
            entry,
            rating="2.5",
            logo_url="http://img/other.jpg",
            properties='{"director": "Other", "actors": "Other", "release_date": "1995-01-01", "trailer": "A"}',
        )
        assert before == after

    def test_a_scan_of_another_account_changes_no_series(self) -> None:
        entry = {
            "cover": "http://img/own.jpg",
            "rating": "8",
            "releaseDate": "2002-06-02",
            "cast": "Dominic West",
            "director": "D. Simon",
            "youtube_trailer": "9qK-VGjMr8g",
            "episode_run_time": "60",
            "backdrop_path": ["http://img/back.jpg"],
            "genre": "Crime",
            "plot": "P.",
        }
        before, _ = series_of(entry)
        other = dict.fromkeys(entry, "http://other/") | {"releaseDate": "2002-01-01", "episode_run_time": "10"}
        after, _ = series_of(entry, rating="1.0", logo_url="http://img/other.jpg", properties=json.dumps(other))
        assert before == after
        assert before.runtime == 60
        assert before.premiered == "2002-06-02"

    def test_a_refresh_by_another_account_changes_no_episode(self) -> None:
        entry = {
            "title": "The Wire - S01E03 - The Buys",
            "added": "1661234567",
            "info": {
                "plot": "P.",
                "releasedate": "2002-06-16",
                "rating": 7.5,
                "duration_secs": 3300,
                "tmdb_id": 55,
                "movie_image": "http://img/still.jpg",
                "video": {"codec_name": "h264", "width": 1920, "height": 1080},
                "audio": {"codec_name": "aac", "channels": 2},
            },
        }
        before, problems = episode_of(entry)
        after, _ = episode_of(
            entry,
            name="Die Käufe",
            description="Anders.",
            air_date="2003-01-01",
            rating="1.0",
            duration_secs=60,
            tmdb_id="66",
            properties='{"movie_image": "http://img/other.jpg"}',
        )
        assert before == after
        assert not problems
        assert before == Episode(
            title="The Buys",
            season=1,
            number=3,
            plot="P.",
            premiered="2002-06-16",
            year=2002,
            rating=7.5,
            runtime=55,
            tmdb="55",
            poster="http://img/still.jpg",
            added=1661234567,
            video=Video("h264", 1920, 1080, "aac", 2, 3300),
        )

    def test_an_episode_without_details_is_the_row(self) -> None:
        episode, _ = episode_of(None, description="P.", air_date="2002-06-16", duration_secs=3300, imdb_id="tt0749439")
        assert episode == Episode(
            title="The Buys",
            season=1,
            number=3,
            plot="P.",
            premiered="2002-06-16",
            year=2002,
            runtime=55,
            imdb="tt0749439",
        )


class TestSeveralValues:
    """Where one of several values cannot be used, the others count."""

    @pytest.mark.parametrize(
        ("entry", "field", "expected"),
        [
            ({"stream_icon": "/abc.jpg", "cover": "http://h/p.jpg"}, "poster", "http://h/p.jpg"),
            ({"cover_big": "http://h/t/p/w500", "movie_image": "http://h/p.jpg"}, "poster", "http://h/p.jpg"),
            ({"plot": {"no": "text"}, "description": "P."}, "plot", "P."),
            ({"release_date": "soon", "releasedate": "2019-05-06"}, "premiered", "2019-05-06"),
            ({"mpaa_rating": ["x" * 600], "age": "16"}, "mpaa", "16"),
            ({"actors": [[["A"]]], "cast": "A, B"}, "actors", ("A", "B")),
            ({"trailer": "https://vimeo.com/1", "youtube_trailer": "vKQi3bBA1y8"}, "trailer", "vKQi3bBA1y8"),
            ({"rating": "great", "rating_5based": 3.5}, "rating", 7.0),
            ({"duration_secs": "-1", "duration": "01:30:00"}, "runtime", 90),
            ({"duration_secs": 1e308, "duration": "01:30:00"}, "runtime", 90),
            ({"duration_secs": 9_999_999, "episode_run_time": "90"}, "runtime", 90),
            ({"duration": "long", "episode_run_time": [90]}, "runtime", 90),
            ({"tmdb_id": "tt0113277", "tmdb": 949}, "tmdb", "949"),
            ({"imdb_id": "nm0000199", "imdb": "tt0113277"}, "imdb", "tt0113277"),
            ({"genre": ["Drama", {"x": 1}, [["x"]], "Crime"]}, "genres", ("Drama", "Crime")),
            ({"backdrop_path": ["/abc.jpg", "http://h/good.jpg"]}, "fanart", ("http://h/good.jpg",)),
            ({"backdrop_path": [{"a": 1}] * 9 + ["http://h/good.jpg"]}, "fanart", ("http://h/good.jpg",)),
        ],
    )
    def test_junk_before_it_costs_no_usable_value_and_is_counted(
        self, entry: dict[str, Any], field: str, expected: Any
    ) -> None:
        movie, problems = movie_of(entry)
        assert getattr(movie, field) == expected
        assert problems == {field: 1}

    @pytest.mark.parametrize(
        ("entry", "field", "expected"),
        [
            ({"stream_icon": "N/A", "cover": "http://h/p.jpg"}, "poster", "http://h/p.jpg"),
            ({"plot": "null", "overview": "P."}, "plot", "P."),
            ({"release_date": "0000-00-00", "air_date": "2019-05-06"}, "premiered", "2019-05-06"),
            ({"rating": "0", "rating_5based": "3.5"}, "rating", 7.0),
            ({"rating": 0, "rating_5based": 3.5}, "rating", 7.0),
            ({"duration_secs": "0", "duration": "90"}, "runtime", 90),
            ({"tmdb_id": "0", "tmdb": 949}, "tmdb", "949"),
            ({"imdb_id": "tt0000000", "imdb": "tt0113277"}, "imdb", "tt0113277"),
            ({"plot": ["null", "P."]}, "plot", "P."),
            ({"backdrop_path": [None, "http://h/good.jpg"]}, "fanart", ("http://h/good.jpg",)),
            ({"backdrop_path": [None]}, "fanart", ()),
            ({"backdrop_path": '["http://h/good.jpg"]'}, "fanart", ("http://h/good.jpg",)),
            ({"backdrop_path": {"1": "http://h/good.jpg"}}, "fanart", ("http://h/good.jpg",)),
            ({"backdrop_path": "http://h/1.jpg, http://h/2.jpg"}, "fanart", ("http://h/1.jpg", "http://h/2.jpg")),
        ],
    )
    def test_words_for_nothing_give_the_next_value_its_turn(
        self, entry: dict[str, Any], field: str, expected: Any
    ) -> None:
        movie, problems = movie_of(entry)
        assert getattr(movie, field) == expected
        assert not problems

    def test_a_poster_without_a_file_gives_way_to_the_list_entrys(self) -> None:
        movie, problems = movie_of(
            {"stream_icon": "https://image.tmdb.org/t/p/w500/real.jpg"},
            {
                "cover_big": "https://image.tmdb.org/t/p/w600_and_h900_bestv2",
                "backdrop_path": ["https://image.tmdb.org/t/p/w1280"],
            },
        )
        assert (movie.poster, movie.fanart) == ("https://image.tmdb.org/t/p/w500/real.jpg", ())
        assert problems == {"poster": 1, "fanart": 1}


class TestTitles:
    @pytest.mark.parametrize(
        ("name", "year", "title"),
        [
            ("Cool Hand Luke 4K (1967) PAUL NEWMAN (1967)", 1967, "Cool Hand Luke PAUL NEWMAN"),
            ("Batman Begins (2005) [4K][NORDiC]", 2005, "Batman Begins"),
            ("Dune (2021) Hindi", 2021, "Dune"),
            ("Heat (1995) - EN", 1995, "Heat"),
            ("Aliens (1986) Director's Cut", 1986, "Aliens Director's Cut"),
            ("EN - Sully (2016) [tmdbid-363676]", 2016, "Sully"),
            ("L&eacute;on (1994)", 1994, "Léon"),
            ("Don&rsquo;t Look Up (2021)", 2021, "Don’t Look Up"),
            ("Tom &amp;amp; Jerry (2021)", 2021, "Tom & Jerry"),
            ("Tom &amp;amp;amp; Jerry (2021)", 2021, "Tom & Jerry"),
            ("L&amp;eacute;on (1994)", 1994, "Léon"),
            ("Caf&#233; &#xE9;t&#xe9; (2001)", 2001, "Café été"),
            ("R&D; (2021)", 2021, "R&D;"),
            ("A &notit; B (2021)", 2021, "A &notit; B"),
        ],
    )
    def test_the_year_that_the_item_has_stands_once(self, name: str, year: int, title: str) -> None:
        for item in (movie_of(name=name, year=year)[0], series_of(name=name, year=year)[0]):
            assert (item.title, item.year) == (title, year)

    def test_a_year_that_only_the_day_tells_stands_once_too(self) -> None:
        movie, _ = movie_of({"release_date": "1986-07-18"}, name="Aliens (1986) Director's Cut")
        assert (movie.title, movie.year) == ("Aliens Director's Cut", 1986)

    def test_an_id_in_the_name_counts_where_nobody_else_says_one(self) -> None:
        assert movie_of(name="Sully (2016) [tmdbid-363676]")[0].tmdb == "363676"
        assert movie_of(name="Dune [tt1160419]")[0].imdb == "tt1160419"
        assert movie_of(name="Dune (2021) TT1160419")[0].imdb == "tt1160419"
        assert movie_of(name="Dune (2021) tt1160419", imdb_id="tt0000005")[0].imdb == "tt0000005"
        assert movie_of(name="Sully (2016) [tmdbid-363676]", tmdb_id="5")[0].tmdb == "5"
        assert movie_of({"tmdb": "6"}, name="Sully (2016) [tmdbid-363676]")[0].tmdb == "6"
        movie, problems = movie_of(name="Sully (2016) [tmdbid-363676]")
        assert movie.original_title == "Sully (2016) [tmdbid-363676]"
        assert not problems

    def test_marks_go_and_the_providers_title_stays_known(self) -> None:
        movie, _ = movie_of(name="EN - Heat (1995)")
        assert (movie.title, movie.original_title, movie.year) == ("Heat", "EN - Heat (1995)", 1995)

    def test_a_year_taken_off_the_title_is_no_other_title(self) -> None:
        movie, _ = movie_of(name="Heat (1995)")
        assert (movie.title, movie.original_title, movie.year) == ("Heat", "", 1995)

    @pytest.mark.parametrize("name", ["", " \t\n", "\x00\x1f"])
    def test_a_movie_always_has_a_title(self, name: str) -> None:
        assert movie_of(name=name)[0].title == "Untitled"
        assert series_of(name=name)[0].title == "Untitled"

    @pytest.mark.parametrize("name", ["0", "None", "N/A"])
    def test_what_means_nothing_elsewhere_is_a_title_here(self, name: str) -> None:
        assert movie_of(name=name)[0].title == name

    def test_an_endless_name_is_cut_and_counted(self) -> None:
        movie, problems = movie_of(name="a" * 100_000)
        assert movie.title == "a" * MAX_LINE
        assert problems == {"title": 1}

    @pytest.mark.parametrize("title", [None, "", 0, [], {"no": "title"}])
    def test_an_episode_without_a_usable_title_takes_the_rows_name(self, title: Any) -> None:
        assert episode_of({"title": title})[0].title == "The Buys"


class TestYearAndDay:
    @pytest.mark.parametrize(
        ("raw", "day"),
        [
            ("2019-05-01", "2019-05-01"),
            ("2019-05-01 00:00:00", "2019-05-01"),
            ("2019-05-01T20:15:00+02:00", "2019-05-01"),
            ("2019/5/1", "2019-05-01"),
            ("12/31/2019", "2019-12-31"),
            ("31/12/2019", "2019-12-31"),
            ("31-12-2019", "2019-12-31"),
            ("05/05/2019", "2019-05-05"),
            ("31.12.2019", "2019-12-31"),
            ("1.5.2019", "2019-05-01"),
            (["2019-05-01"], "2019-05-01"),
            ("20190501", "2019-05-01"),
            (20190501, "2019-05-01"),
            ("May 6, 2019", "2019-05-06"),
            ("6 May 2019", "2019-05-06"),
            ("6th of May 2019", "2019-05-06"),
            ("Sept. 5 2019", "2019-09-05"),
            ("Fri, 11 Oct 2019", "2019-10-11"),
            ("11-Oct-2019", "2019-10-11"),
            ("11 October 2019 (USA)", "2019-10-11"),
            ("31/12/2019 20:15", "2019-12-31"),
        ],
    )
    def test_days_come_in_the_panels_forms(self, raw: Any, day: str) -> None:
        movie, problems = movie_of({"release_date": raw})
        assert (movie.premiered, movie.year) == (day, 2019)
        assert not problems

    @pytest.mark.parametrize(
        "raw", ["2019", 2019, "2019-05", "2019-00-00", "2019-05-00 00:00:00", "May 2019", "05/2019"]
    )
    def test_a_year_alone_is_no_day(self, raw: Any) -> None:
        movie, problems = movie_of({"release_date": raw})
        assert (movie.premiered, movie.year) == ("", 2019)
        assert not problems

    @pytest.mark.parametrize(
        "raw",
        [
            "",
            "0",
            0,
            "0000-00-00",
            "0000-00-00 00:00:00",
            "-0001-11-30",
            "N/A",
            "n/a",
            "null",
            "None",
            None,
            [],
            "1970-01-01",
            "1970-1-1",
            "1970-01-01 00:00:00",
            "01/01/1970",
        ],
    )
    def test_empty_markers_are_no_problem(self, raw: Any) -> None:
        movie, problems = movie_of({"release_date": raw})
        assert (movie.premiered, movie.year) == ("", 0)
        assert not problems

    @pytest.mark.parametrize(
        "raw",
        [
            "05/06/2019",
            "6-5-2019",
            "2019-02-30",
            "2019-13-01",
            "31.02.2019",
            "2019-05-01x",
            "6. Mai 2019",
            "6 de mayo de 2019",
            "2019年5月6日",
        ],
    )
    def test_of_an_impossible_or_ambiguous_day_the_year_stays_and_it_is_counted(self, raw: Any) -> None:
        movie, problems = movie_of({"release_date": raw})
        assert (movie.premiered, movie.year) == ("", 2019)
        assert problems == {"premiered": 1}

    @pytest.mark.parametrize(
        "raw",
        [
            "0001-01-01",
            "9999-01-01",
            "soon",
            "from 2018 to 2019",
            "1556668800",
            {},
            [[]],
            True,
            1.5,
            "٢٠١٩-05-01",
            "1" * 5000,
        ],
    )
    def test_what_is_no_day_is_left_out_and_counted(self, raw: Any) -> None:
        movie, problems = movie_of({"release_date": raw})
        assert (movie.premiered, movie.year) == ("", 0)
        assert problems == ({"premiered": 1} if raw not in ({}, [[]]) else {})

    def test_the_rows_year_comes_before_the_titles_and_the_days(self) -> None:
        assert movie_of({"release_date": "1997-01-01"}, name="Heat (1996)", year=1995)[0].year == 1995
        assert movie_of({"release_date": "1997-01-01"}, name="Heat (1996)")[0].year == 1996
        assert movie_of({"release_date": "1997-01-01"}, name="Heat")[0].year == 1997
        assert movie_of({"year": "1998"}, name="Heat (1996)")[0].year == 1998

    @pytest.mark.parametrize("year", [1, 1869, 2101, 20190501, -5])
    def test_an_implausible_year_is_left_out_and_counted(self, year: int) -> None:
        movie, problems = movie_of({}, year=year)
        assert movie.year == 0
        assert problems == {"year": 1}

    def test_a_day_in_another_year_is_left_out_and_counted(self) -> None:
        movie, problems = movie_of({"release_date": "1996-01-12"}, year=1995)
        assert (movie.year, movie.premiered) == (1995, "")
        assert problems == {"premiered": 1}


class TestNumbers:
    @pytest.mark.parametrize(
        ("raw", "rating"),
        [
            ("7.5", 7.5),
            ("7,5", 7.5),
            (7, 7.0),
            (7.25, 7.25),
            ("10", 10.0),
            (" 8 ", 8.0),
            ("0", 0.0),
            ("0.0", 0.0),
            ("", 0.0),
            ("N/A", 0.0),
            (None, 0.0),
            (0, 0.0),
            ("6.7891", 6.789),
        ],
    )
    def test_ratings(self, raw: Any, rating: float) -> None:
        movie, problems = movie_of({"rating": raw, "rating_5based": 0})
        assert movie.rating == rating
        assert not problems

    @pytest.mark.parametrize("raw", ["11", -1, "75%", "7.5/10", "inf", True, 10**400, {"a": 1}, ["x"], "9" * 400])
    def test_a_rating_out_of_range_is_left_out_and_counted(self, raw: Any) -> None:
        movie, problems = movie_of({"rating": raw})
        assert movie.rating == 0.0
        assert problems == {"rating": 1}

    @pytest.mark.parametrize("raw", [5.5, "7", -1, "five"])
    def test_a_rating_of_five_stars_has_at_most_five(self, raw: Any) -> None:
        movie, problems = movie_of({"rating_5based": raw})
        assert movie.rating == 0.0
        assert problems == {"rating": 1}

    @pytest.mark.parametrize(
        ("entry", "minutes"),
        [
            ({"duration_secs": 5400.5, "duration": "01:30:00"}, 90),
            ({"duration_secs": 5400.0}, 90),
            ({"duration_secs": "5400.5"}, 90),
            ({"duration_secs": "01:30:00"}, 90),
            ({"duration": "90 min."}, 90),
            ({"duration": "1h 30m 10s"}, 90),
            ({"duration": "PT1H30M"}, 90),
            ({"episode_run_time": 90.0}, 90),
            ({"duration_secs": 5530}, 92),
            ({"duration_secs": "5530", "duration": "00:10:00"}, 92),
            ({"duration_secs": 0, "duration": "01:32:10"}, 92),
            ({"duration": "92"}, 92),
            ({"duration": "92 min"}, 92),
            ({"duration": "1h 32m"}, 92),
            ({"duration": "1 hour 32 minutes"}, 92),
            ({"duration": "01:32:10.52"}, 92),
            ({"duration": "", "episode_run_time": "92"}, 92),
            ({"episode_run_time": 92}, 92),
            ({"duration_secs": 20}, 1),
            ({"duration": "00:00:00", "episode_run_time": "0"}, 0),
            ({"duration_secs": False, "duration": [], "episode_run_time": 0}, 0),
        ],
    )
    def test_durations(self, entry: dict[str, Any], minutes: int) -> None:
        movie, problems = movie_of(entry)
        assert movie.runtime == minutes
        assert not problems

    @pytest.mark.parametrize(
        "entry",
        [
            {"duration_secs": -5},
            {"duration_secs": 360_000},
            {"duration": "1:32"},
            {"duration": "long"},
            {"episode_run_time": "10**6"},
            {"duration_secs": [[5]]},
            {"duration": {"h": 1}},
        ],
    )
    def test_what_is_no_duration_is_left_out_and_counted(self, entry: dict[str, Any]) -> None:
        movie, problems = movie_of(entry)
        assert movie.runtime == 0
        assert problems == {"runtime": 1}

    @pytest.mark.parametrize(
        ("raw", "added"),
        [
            ("1661234567", 1661234567),
            (1661234567, 1661234567),
            ("1661234567.5", 1661234567),
            (1661234567.0, 1661234567),
            (1661234567123, 1661234567),
            ("1661234567000", 1661234567),
            ("2022-08-23 06:02:47", 1661234567),
            ("2022-08-23", 1661212800),
            ("0", 0),
            ("", 0),
            (None, 0),
        ],
    )
    def test_added(self, raw: Any, added: int) -> None:
        movie, problems = movie_of({"added": raw})
        assert movie.added == added
        assert not problems

    @pytest.mark.parametrize("raw", ["5", "16612345670001", "2022-13-45", "yesterday", -1, 1e300])
    def test_an_implausible_epoch_is_left_out_and_counted(self, raw: Any) -> None:
        movie, problems = movie_of({"added": raw})
        assert movie.added == 0
        assert problems == {"added": 1}

    def test_season_and_episode_numbers(self) -> None:
        assert (episode_of(season_number=0, episode_number=0)[0].season, episode_of(season_number=None)[0].season) == (
            0,
            None,
        )
        episode, problems = episode_of(season_number=-1, episode_number=10**9)
        assert (episode.season, episode.number) == (None, None)
        assert problems == {"season": 1, "number": 1}


class TestIds:
    def test_the_rows_ids_come_first_and_the_relations_fill_in(self) -> None:
        assert movie_of({"tmdb": "949"}, tmdb_id="603")[0].tmdb == "603"
        assert movie_of({"tmdb": "949"}, {"imdb_id": "tt0113277"})[0].tmdb == "949"
        assert movie_of({"tmdb": 949}, {"imdb_id": "tt0113277"})[0].imdb == "tt0113277"

    @pytest.mark.parametrize("raw", ["0", 0, "", None, "null"])
    def test_no_id_is_no_problem(self, raw: Any) -> None:
        movie, problems = movie_of({"tmdb": raw, "imdb": raw})
        assert (movie.tmdb, movie.imdb) == ("", "")
        assert not problems

    @pytest.mark.parametrize("raw", ["tt0113277", "-5", "12a", "٣", 1.5, True])
    def test_a_tmdb_id_has_only_digits(self, raw: Any) -> None:
        movie, problems = movie_of({"tmdb": raw})
        assert movie.tmdb == ""
        assert problems == {"tmdb": 1}

    @pytest.mark.parametrize("raw", ["0113277", "tt123", "tt1234567890", "nm0000199", "https://www.imdb.com/x", 113277])
    def test_an_imdb_id_begins_with_tt(self, raw: Any) -> None:
        movie, problems = movie_of({"imdb_id": raw})
        assert movie.imdb == ""
        assert problems == {"imdb": 1}


class TestNames:
    @pytest.mark.parametrize(
        ("raw", "genres"),
        [
            ("Action, Drama", ("Action", "Drama")),
            ("Action / Drama | Crime;War", ("Action", "Drama", "Crime", "War")),
            ("Drama,, Drama ,", ("Drama",)),
            (["Action", "Drama"], ("Action", "Drama")),
            ([{"id": 1, "name": "Action"}, None, {"name": "Drama"}], ("Action", "Drama")),
            ("Science  Fiction\n", ("Science Fiction",)),
            ("N/A", ()),
            ("None", ()),
            ([], ()),
            ("Sci-Fi &amp; Fantasy", ("Sci-Fi & Fantasy",)),
            ("دراما، إثارة", ("دراما", "إثارة")),
            ("剧情、犯罪", ("剧情", "犯罪")),
            ("剧情，犯罪；战争", ("剧情", "犯罪", "战争")),
            ("Drama\r\nCrime", ("Drama", "Crime")),
            ("Drama • Crime · War", ("Drama", "Crime", "War")),
            ("汤姆·汉克斯", ("汤姆·汉克斯",)),
            ("Robert Downey, Jr., Gwyneth Paltrow", ("Robert Downey, Jr.", "Gwyneth Paltrow")),
            ("Sammy Davis, Sr, Robert Wagner", ("Sammy Davis, Sr", "Robert Wagner")),
            ("Harry Connick Jr., Ice-T", ("Harry Connick Jr.", "Ice-T")),
            ("Alan Hale, III / Al Pacino", ("Alan Hale, III", "Al Pacino")),
            (["Robert Downey", "Jr.", "Al Pacino"], ("Robert Downey, Jr.", "Al Pacino")),
            ("Jr., Al Pacino", ("Jr.", "Al Pacino")),
            ('["Action", "Drama"]', ("Action", "Drama")),
            ({"1": "Action", "3": "Drama"}, ("Action", "Drama")),
            ({"name": "Drama"}, ("Drama",)),
        ],
    )
    def test_names_come_in_the_panels_forms(self, raw: Any, genres: tuple[str, ...]) -> None:
        movie, problems = movie_of({"genre": raw, "country": raw, "director": raw, "cast": raw})
        assert movie.genres == movie.countries == movie.directors == movie.actors == genres
        assert not problems

    @pytest.mark.parametrize("raw", [{"title": ["x"]}, [[["Drama"]]], [1.5], True, "x" * 6000, ["x" * 3000] * 2])
    def test_what_holds_no_names_is_left_out_and_counted(self, raw: Any) -> None:
        movie, problems = movie_of({"actors": raw})
        assert movie.actors == ()
        assert problems == {"actors": 1}


class TestTexts:
    def test_texts_take_one_form(self) -> None:
        movie, problems = movie_of({"plot": " Cafe\u0301 &amp; bar\x00\x07\x9f\r\nsecond\tline\ufffe \n"})
        assert movie.plot == "Café & bar\nsecond line"
        assert not problems

    def test_entities_are_resolved_also_where_they_are_encoded_twice(self) -> None:
        movie, _ = movie_of({"plot": "&lt;b&gt; R&amp;D &quot;x&#39;y&#x27; &amp;amp; &para &copy; AT&T; &notit; &#7;"})
        assert movie.plot == "<b> R&D \"x'y' & &para © AT&T; &notit;"
        assert movie_of({"plot": "One &hellip; two &amp;hellip;"})[0].plot == "One … two …"

    def test_a_long_plot_is_cut_and_counted(self) -> None:
        movie, problems = movie_of({"plot": "a" * 1_000_000})
        assert movie.plot == "a" * MAX_PLOT
        assert problems == {"plot": 1}

    def test_lone_surrogates_go(self) -> None:
        movie, problems = movie_of({"plot": "a\ud800b", "genre": ["\udfff", "Drama"]})
        assert (movie.plot, movie.genres) == ("ab", ("Drama",))
        assert not problems

    def test_the_rating_board_and_the_category(self) -> None:
        movie, problems = movie_of({}, {"mpaa_rating": "PG-13"}, category="EN | Movies\t4K")
        assert (movie.mpaa, movie.category) == ("PG-13", "EN | Movies 4K")
        assert movie_of({}, {"age": 16})[0].mpaa == "16"
        assert not problems

    @pytest.mark.parametrize(
        ("said", "column", "adult"), [(None, True, True), ("", True, True), ("0", True, False), (1, False, True)]
    )
    def test_the_relation_says_first_whether_it_is_for_adults(self, said: Any, column: bool, adult: bool) -> None:
        assert movie_of({"is_adult": said}, is_adult=column)[0].adult is adult

    def test_the_extension(self) -> None:
        for raw in ("MKV", ".mkv", "mkv ", ".MKV", "mkv."):
            assert movie_of(container_extension=raw)[0].extension == "mkv"
        movie, problems = movie_of(container_extension="../x")
        assert movie.extension == ""
        assert problems == {"extension": 1}


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://image.tmdb.org/t/p/w600_and_h900_bestv2/abc.jpg",
            "https://www.themoviedb.org/t/p/w500/abc.jpg",
            "https://m.media-amazon.com/images/M/abc.jpg",
            "http://10.0.0.1:8080/images/Käse.jpg?x=1&y=2",
            "HTTP://host/x",
            "http://host/images/?id=5",
            "http://host/nullarbor.jpg",
        ],
    )
    def test_posters_of_the_usual_hosts_stay(self, url: str) -> None:
        movie, problems = movie_of({"stream_icon": url})
        assert movie.poster == url
        assert not problems

    @pytest.mark.parametrize(
        "url",
        [
            "https://www.themoviedb.org/movie/949-heat",
            "https://www.themoviedb.org/tv/1438",
            "http://www.imdb.com/title/tt0113277/",
            "https://m.IMDb.com/title/tt0113277",
            "http://us.imdb.com/Title?0113277",
            "https://www.imdb.com/de/title/tt0113277",
            "https://thetvdb.com/?tab=series&id=79126",
            "https://artworks.thetvdb.com/banners/series/379873/posters/1.jpg",
            "https://www.tvmaze.com/shows/179/the-wire",
            "/abc.jpg",
            "//host/abc.jpg",
            "ftp://host/abc.jpg",
            "data:image/png;base64,AAAA",
            "http://host/a b.jpg",
            'http://host/"onerror',
            "http://host/<x>",
            "http://host/a\x00b",
            "http://host/\u202eb",
            "http:///abc",
            "http://host/" + "x" * 3000,
            {"url": "http://host/"},
            "https://image.tmdb.org/t/p/w600_and_h900_bestv2",
            "https://image.tmdb.org/t/p/w600_and_h900_bestv2/",
            "https://image.tmdb.org/t/p/w600_and_h900_bestv2null",
            "https://image.tmdb.org/t/p/w500/null",
            "https://image.tmdb.org/t/p/originalNone",
            "https://image.tmdb.org/t/p/w500/.jpg",
            "http://host/images/",
            "http://host/images/null.png",
        ],
    )
    def test_what_is_no_picture_or_calls_kodis_scrapers_is_left_out_and_counted(self, url: Any) -> None:
        movie, problems = movie_of({"stream_icon": url}, {"backdrop_path": [url]}, logo_url="http://host/logo.jpg")
        assert (movie.poster, movie.fanart) == ("http://host/logo.jpg", ())
        assert problems == {"poster": 1, "fanart": 1}

    def test_addresses_that_call_kodis_scrapers_leave_texts(self) -> None:
        plot = (
            "More: https://www.imdb.com/title/tt0113277/ or (www.themoviedb.org/movie/949)\nand http://example.org/a."
        )
        movie, _ = movie_of({"plot": plot}, name="Heat imdb.com/title/tt0113277")
        assert movie.plot == "More:  or \nand http://example.org/a."
        assert movie.title == "Heat"

    def test_a_backdrop_may_be_a_text_or_a_list(self) -> None:
        assert movie_of({"backdrop_path": "http://a"})[0].fanart == ("http://a",)
        assert movie_of({"backdrop_path": ["http://a", "", None, "http://b", "http://a"]})[0].fanart == (
            "http://a",
            "http://b",
        )

    @pytest.mark.parametrize(
        "raw",
        [
            "vKQi3bBA1y8",
            "https://www.youtube.com/watch?v=vKQi3bBA1y8",
            "https://www.youtube.com/watch?app=desktop&v=vKQi3bBA1y8&t=5",
            "http://youtu.be/vKQi3bBA1y8?si=x",
            "https://www.youtube-nocookie.com/embed/vKQi3bBA1y8",
            "plugin://plugin.video.youtube/?action=play_video&videoid=vKQi3bBA1y8",
            ["vKQi3bBA1y8"],
        ],
    )
    def test_trailers_become_ids(self, raw: Any) -> None:
        movie, problems = movie_of({"trailer": raw})
        assert movie.trailer == "vKQi3bBA1y8"
        assert not problems

    @pytest.mark.parametrize("raw", ["https://vimeo.com/1", "http://host/t.mp4", "vKQi3bBA1y8x", 5, "watch?v=short"])
    def test_other_trailers_are_left_out_and_counted(self, raw: Any) -> None:
        movie, problems = movie_of({"trailer": raw})
        assert movie.trailer == ""
        assert problems == {"trailer": 1}


class TestStreams:
    def test_the_streams_of_the_details(self) -> None:
        detail = {
            "video": {"index": 0, "codec_name": "HEVC", "width": "3840", "height": 2160, "tags": {"a": [1]}},
            "audio": {"codec_name": "eac3", "channels": 6},
            "duration_secs": 5530,
        }
        movie, problems = movie_of({}, detail)
        assert movie.video == Video("hevc", 3840, 2160, "eac3", 6, 5530)
        assert not problems

    @pytest.mark.parametrize(
        "detail", [{"video": [], "audio": []}, {"video": {}}, {"duration_secs": 5}, {"video": None}]
    )
    def test_no_streams_are_no_problem(self, detail: Any) -> None:
        movie, problems = movie_of({}, detail)
        assert movie.video == Video()
        assert not problems

    def test_junk_is_left_out_and_counted(self) -> None:
        detail = {"video": {"codec_name": "<x>", "width": 10**6, "height": 720}, "audio": "stereo"}
        movie, problems = movie_of({}, detail)
        assert movie.video == Video(height=720)
        assert problems == {"video": 3}


class TestDocuments:
    """JSON columns that are not what they should be."""

    @pytest.mark.parametrize("text", [None, "", "{}", "null", "[]", '""', '{"basic_data": null}', '{"basic_data": []}'])
    def test_nothing_is_no_problem(self, text: str | None) -> None:
        movie, problems = movie_of(relation_properties=text, properties=text)
        assert movie == Movie(title="Heat")
        assert not problems

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "nonsense",
            '"text"',
            "[1]",
            "5",
            "true",
            '{"rating": ' + "[" * 100_000 + "]" * 100_000 + "}",
            '{"unknown": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
            '{"basic_data": {"rating": 1' + "0" * 5000 + '}, "rating": 1' + "0" * 5000 + "}",
            "\ufeff{}",
        ],
    )
    def test_what_cannot_be_read_is_counted_and_the_rest_stays(self, text: str) -> None:
        movie, problems = movie_of(relation_properties=text, properties=text, rating="7.0")
        assert movie == Movie(title="Heat", rating=7.0)
        assert problems == {"relation": 1, "properties": 1}

    @pytest.mark.parametrize("junk", ["text", 5, [1], True])
    def test_junk_in_place_of_an_object_is_counted(self, junk: Any) -> None:
        movie, problems = movie_of(junk, {"rating": 7})
        assert movie == Movie(title="Heat", rating=7.0)
        assert problems == {"relation": 1}

    @pytest.mark.parametrize(
        "text",
        [
            '{"basic_data": {"rating": NaN, "plot": "P."}}',
            '{"basic_data": {"rating": 1e999, "plot": "P."}}',
            '{"basic_data": {"rating": -Infinity, "plot": "P."}}',
            '{"basic_data": {"rating": "x", "plot": "P.\\ud800"}}',
            '{"basic_data": {"rating": ' + "9" * 400 + ', "plot": "P."}}',
        ],
    )
    def test_one_value_beyond_strict_json_does_not_lose_the_others(self, text: str) -> None:
        movie, problems = movie_of(relation_properties=text)
        assert movie == Movie(title="Heat", plot="P.")
        assert problems == {"rating": 1}


KEYS = [
    *(
        "title year tmdb tmdb_id imdb imdb_id plot description overview release_date releasedate releaseDate air_date"
    ).split(),
    *(
        "duration_secs duration episode_run_time rating mpaa_rating age genre country director actors cast trailer"
    ).split(),
    *(
        "youtube_trailer stream_icon cover cover_big movie_image backdrop_path added is_adult video audio info name"
    ).split(),
    *("codec_name width height channels basic_data detailed_info").split(),
]
ANY_TEXT = st.text(st.characters(), max_size=20)
PANEL_TEXT = st.sampled_from(
    [
        "2019-05-01",
        "31.12.2019",
        "0000-00-00",
        "7,5",
        "N/A",
        "1e999",
        "http://h/p.jpg",
        "https://imdb.com/title/tt1234567",
        "tt0113277",
        "603",
        "A, B / C",
        "vKQi3bBA1y8",
        "01:32:10",
        "&#0;&amp;",
        "\x00",
        "\ud800",
        "1661234567",
        "h264",
    ]
)
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | PANEL_TEXT,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | ANY_TEXT, values, max_size=6),
    max_leaves=20,
)
PANEL = st.dictionaries(st.sampled_from(KEYS), JSON_VALUE, max_size=15)
COLUMN = st.none() | ANY_TEXT | PANEL_TEXT
JSON_COLUMN = (
    st.none()
    | ANY_TEXT
    | st.builds(json.dumps, PANEL | JSON_VALUE)
    | st.builds(
        json.dumps,
        st.fixed_dictionaries({}, optional=dict.fromkeys(("basic_data", "detailed_info", "info"), PANEL)),
    )
)


def rows(row: Any) -> st.SearchStrategy[Any]:
    """Rows as a hostile panel and a careless database would have them."""
    numbers = st.none() | st.integers()
    columns = {
        "name": ANY_TEXT | PANEL_TEXT,
        "properties": JSON_COLUMN,
        "relation_properties": JSON_COLUMN,
        **dict.fromkeys(("description", "rating", "genre", "tmdb_id", "imdb_id", "air_date", "category"), COLUMN),
        **dict.fromkeys(("logo_url", "container_extension"), COLUMN),
        **dict.fromkeys(("year", "duration_secs", "season_number", "episode_number"), numbers),
    }
    mine = {key: values for key, values in columns.items() if key in row._fields}
    return st.builds(lambda values: row._replace(**values), st.fixed_dictionaries(mine))


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for item in value for text in texts_of(item)] if isinstance(value, tuple) else []


def check(item: Movie | Series | Episode, problems: Counter[str]) -> None:
    """What every item keeps to, whatever it came from."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(item), type=type(item)) == item
    values = msgspec.structs.asdict(item)
    for text in texts_of(tuple(values.values())):
        assert text == text.strip()
        assert all(char.isprintable() or char.isspace() or char > "\x9f" for char in text)
    assert all(text for field in ("genres", "countries", "directors", "actors", "fanart") for text in values[field])
    assert item.year == 0 or 1870 <= item.year <= 2100
    assert not item.premiered or item.premiered.startswith(f"{item.year}-")
    assert 0 <= item.rating <= 10
    assert 0 <= item.runtime <= 6000
    assert len(item.plot) <= MAX_PLOT
    assert all(f"`{name}`" in (extract.__doc__ or "") for name in problems)


@given(rows(MOVIE_ROW))
@example(MOVIE_ROW._replace(name="\ud800"))
def test_no_movie_is_ever_lost(row: MovieRow) -> None:
    problems: Counter[str] = Counter()
    movie = extract.movie(row, CLEANER, problems)
    assert movie.title
    check(movie, problems)


@given(rows(SERIES_ROW))
def test_no_series_is_ever_lost(row: SeriesRow) -> None:
    problems: Counter[str] = Counter()
    series = extract.series(row, CLEANER, problems)
    assert series.title
    check(series, problems)


@given(rows(EPISODE_ROW))
def test_no_episode_is_ever_lost(row: EpisodeRow) -> None:
    problems: Counter[str] = Counter()
    check(extract.episode(row, "The Wire", CLEANER, problems), problems)
