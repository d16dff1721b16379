"""Films by what users call them."""

import pytest

from vod2strmfs.extract.named import films_named, nearest_film

NAMES = {
    1: "Heat (1995)",
    2: "Heat 2 (2001)",
    3: "The Heat (2013) {tmdb-136795}",
    4: "Alien (1979)",
    5: "Aliens (1986)",
    6: "XXX [18+] (2002)",
    10: "Lost (2004): S01E01 – Pilot",
    11: "Lost (2004): S01E02 – Tabula Rasa",
    12: "Lost (2004): S02E01 – Man of Science",
    13: "Dark: S01E01 – Secrets",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Heat (1995)", {1}),
        ("heat (1995)", {1}),
        ("heat", {1}),
        ("HEAT*", {1, 2}),
        ("the heat", {3}),
        ("*heat*", {1, 2, 3}),
        ("alien", {4}),
        ("lien", {4, 5}),
        ("Heat (1995).strm", {1}),
        ("Heat (1995).mkv", {1}),
        ("Heat (1995)/", {1}),
        ("Movies/Heat (1995)", {1}),
        ("/data/Films/Movies/Heat (1995)/Heat (1995).mkv", {1}),
        ("/data/Films/Movies/Action/Heat*", {1, 2}),
        ("XXX [18+]", {6}),
        ("Lost", {10, 11, 12}),
        ("lost (2004)", {10, 11, 12}),
        ("Lost: *", {10, 11, 12}),
        ("Lost (2004): *", {10, 11, 12}),
        ("lost: s01*", {10, 11}),
        ("/data/STRM/TV/Lost (2004)/", {10, 11, 12}),
        ("/data/STRM/TV/Lost (2004)/Season 01", {10, 11}),
        ("/data/STRM/TV/Lost (2004)/Season 01/S01E01 – Pilot.strm", {10}),
        ("TV/Lost (2004)/Season 02/S02E01*", {12}),
        ("S01E01 – Pilot", {10}),
        ("pilot", {10}),
        ("S01E01", {10, 13}),
        ("Dark: *", {13}),
        ("*", set(NAMES)),
        ("haet", set()),
        ("Heat (1996)", set()),
        ("S03*", set()),
        ("", set()),
        (" / ", set()),
    ],
)
def test_what_a_user_means(text: str, found: set[int]) -> None:
    assert films_named(text, NAMES) == found


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("haet", "Heat (1995)"),
        ("haet*", "Heat (1995)"),
        ("Aliens (1987)", "Aliens (1986)"),
        ("/data/Films/Movies/Alein (1979)/Alein (1979).mkv", "Alien (1979)"),
        ("lots", "Lost (2004)"),
        ("Metropolis", ""),
        ("", ""),
    ],
)
def test_what_is_most_like_it(text: str, near: str) -> None:
    assert nearest_film(text, NAMES) == near
