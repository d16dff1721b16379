"""Files of picks: what a line means, and which title it may have meant."""

import pytest

from vod2strmfs.extract.picks import Picked, PickedTitle, lines, pick

HEAT = PickedTitle(
    1, "Movies", "949", "tt0113277", "71a251cf-a626-477a-b015-807bc2a51962", "Heat (1995)", "Heat (1995)"
)
OTHER_HEAT = PickedTitle(2, "Movies", "11008", "", "", "Heat (1986)", "Heat (1986)")
FARGO = PickedTitle(3, "Movies", "", "", "", "Fargo (1996)", "Fargo (1996)")
FARGO_SHOW = PickedTitle(4, "TV", "60622", "", "", "Fargo (2014)", "Fargo (2014)")
TWIN = PickedTitle(5, "Movies", "5", "", "", "Twin (2000)", "Twin (2000) [tmdbid-5]")
ALIVE = PickedTitle(6, "Movies", "", "", "", "#Alive (2020)", "#Alive (2020)")
COLON = PickedTitle(7, "Movies", "", "", "", "Alien - Resurrection (1997)", "Alien - Resurrection (1997)")
TAGGED = PickedTitle(8, "Movies", "9", "", "", "Ran (1985) {tmdb-9}", "Ran (1985) {tmdb-9}")
TITLES = (HEAT, OTHER_HEAT, FARGO, FARGO_SHOW, TWIN, ALIVE, COLON, TAGGED)


def picked(text: str) -> Picked:
    return pick(text, TITLES)


@pytest.mark.parametrize(
    ("line", "nodes"),
    [
        ("Heat (1995)", {1}),
        ("heat (1995)", {1}),
        ("Heat", {1, 2}),
        ("Fargo", {3, 4}),
        ("Movies/Fargo", {3}),
        ("TV/Fargo (2014)/", {4}),
        ("tv/fargo", {4}),
        ("tmdb-949", {1}),
        ("tmdb:949", {1}),
        ("imdb-tt0113277", {1}),
        ("tt0113277", {1}),
        ("71A251CF-a626-477a-b015-807bc2a51962", {1}),
        ("Twin (2000)", {5}),
        ("Twin (2000) [tmdbid-5]", {5}),
        ("#Alive", {6}),
        ("Alien: Resurrection", {7}),
        ("Ran", {8}),
        ("Ran (1985)", {8}),
        ("  Heat (1995)\t", {1}),
        ("Heat (1994)", set()),
        ("tmdb-94", set()),
        ("*", set()),
    ],
)
def test_what_a_line_means(line: str, nodes: set[int]) -> None:
    found = picked(line)
    assert found.on == nodes
    assert not found.off
    assert set(found.unmatched) == (set() if nodes else {line})


def test_a_mark_of_exclamation_takes_a_title_off() -> None:
    found = picked("! Heat (1995)\n!tmdb-11008\nFargo\n")
    assert found == Picked(frozenset({3, 4}), frozenset({1, 2}), {})


def test_comments_blank_lines_and_repetitions_are_no_lines() -> None:
    assert lines("\ufeff# Ours\r\n\r\n#\nHeat\n  Heat \n#Alive\n") == ["Heat", "#Alive"]


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("Faargo (1996)", "Fargo (1996)"),
        ("Fargo (1995)", "Fargo (1996)"),
        ("Alien Resurection", "Alien - Resurrection (1997)"),
        ("!Alien Ressurrection (1997)", "Alien - Resurrection (1997)"),
        ("Something quite different", ""),
    ],
)
def test_a_line_that_means_nothing_has_the_nearest_title(line: str, nearest: str) -> None:
    assert picked(line).unmatched == {line: nearest}


def test_a_film_and_a_series_of_one_name_are_told_apart_by_their_section() -> None:
    assert picked("!Movies/Fargo\nFargo").off == {3}


def test_ten_thousand_wrong_lines_are_no_reason_to_compare_for_long() -> None:
    titles = [
        HEAT._replace(node=number, name=f"The Film {number} (1990)", folder=f"The Film {number}")
        for number in range(3000)
    ]
    found = pick("\n".join(f"The Flim {number}" for number in range(10_000)), titles)
    assert len(found.unmatched) == 10_000
    assert sum(map(bool, found.unmatched.values())) == 200
