"""What users see of panels' titles."""

import unicodedata

import pytest
from golden_titles import EPISODES, LANGUAGES, TITLES
from hypothesis import given, settings
from hypothesis import strategies as st

from vod2strmfs.errors import SettingsError
from vod2strmfs.extract import titles
from vod2strmfs.extract.titles import TitleCleaner, title_ids
from vod2strmfs.library.names import episode_name, folder_name

CLEANER = TitleCleaner(clean=True, pattern="")
PLAIN = TitleCleaner(clean=False, pattern="")

_ALL_TITLES = [pytest.param(*line, id=f"{group}: {line[0]!r}") for group, lines in TITLES.items() for line in lines]
_ALL_EPISODES = [pytest.param(*line, id=f"{group}: {line[0]!r}") for group, lines in EPISODES.items() for line in lines]

_PIECES = st.sampled_from(
    [
        *"EN FR IT US UK 4K UHD HD 4K-EN EX-YU NF D+ MULTI MULTI-SUB VOSTFR DUBBED Heat Derry Chapter 1984".split(),
        *"(1995) [2003] {1966} （2017） (2005-) (US) (EN) [4K] [MULTI-SUB] |FR| ┃DE┃ 【FR】 ᴴᴰ ³ S01E02 1x02".split(),
        *"[FOO] Hindi NORDiC [tmdbid-1] {tt1234567} tt1234567 (1995,EN) TOP CAM HDR+ DV S02-S03 (1995 Part".split(),
        *"( ) [ ] | - – : ★ . .mkv".split(),
        *(" ", " ", " ", " - ", "\t", "\xa0", "\u200b", "\u200d", "\ud800", "\x00", "e\u0301"),
    ]
)
PANEL_TITLES = st.lists(_PIECES | st.text(max_size=3), max_size=9).map("".join) | st.text(max_size=40)


@pytest.mark.parametrize(("raw", "text", "year", "folder"), _ALL_TITLES)
def test_a_title_is_shown_as_the_catalogue_says(raw: str, text: str, year: int | None, folder: str) -> None:
    assert CLEANER.title(raw) == (text, year)
    assert folder_name(text, year) == folder


@pytest.mark.parametrize(("raw", "place", "text", "stem"), _ALL_EPISODES)
def test_an_episode_is_shown_as_the_catalogue_says(
    raw: str, place: tuple[str, int | None, int | None], text: str, stem: str
) -> None:
    series, season, number = place
    assert CLEANER.episode(raw, series=series, season=season, number=number) == text
    assert episode_name(season, number, text) == stem


@pytest.mark.parametrize(("raw", "language"), LANGUAGES)
def test_a_mark_tells_the_language(raw: str, language: str) -> None:
    assert CLEANER.language(raw) == language


@given(PANEL_TITLES)
@settings(max_examples=250)
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    for cleaner in (CLEANER, PLAIN):
        text = cleaner.title(raw).text
        assert cleaner.title(text).text == text


_OWN_YEAR = [
    ("Cool Hand Luke 4K (1967) PAUL NEWMAN (1967)", 1967, "Cool Hand Luke PAUL NEWMAN"),
    ("Aliens (1986) Director's Cut", 1986, "Aliens Director's Cut"),
    ("Aliens (1986) [Director's Cut] 4K", 1986, "Aliens [Director's Cut]"),
    ("Aliens (1986) 4K Director's Cut", 1986, "Aliens Director's Cut"),
    ("Aliens [1986]: Special Edition", 1986, "Aliens: Special Edition"),
    ("Aliens （1986） - Uncut - EN", 1986, "Aliens - Uncut"),
    ("Kill Bill (2003) Vol. 2", 2003, "Kill Bill Vol. 2"),
    ("(2021) Dune", 2021, "Dune"),
    ("[2021] EN - Dune", 2021, "Dune"),
    ("Dune (2021", 2021, "Dune"),
    ("Dallas (1978-1991) Reunion", 1978, "Dallas Reunion"),
    ("Dune (2021, Uncut)", 2021, "Dune (Uncut)"),
    ("Dune [Uncut / 2021]", 2021, "Dune [Uncut]"),
    ("Dune - 2021 - Uncut", 2021, "Dune - Uncut"),
    # Not the item's year, not in brackets, or all there is.
    ("Aliens (1986) Director's Cut", 1987, "Aliens (1986) Director's Cut"),
    ("Aliens (1986) Director's Cut", 0, "Aliens (1986) Director's Cut"),
    ("1984", 1984, "1984"),
    ("2012", 2009, "2012"),
    ("Wicked: For Good 2025", 2025, "Wicked: For Good 2025"),
    ("Woodstock (Live 1995)", 1995, "Woodstock (Live 1995)"),
    ("2012 - The End", 2012, "2012 - The End"),
    ("Blade Runner 2049", 2049, "Blade Runner 2049"),
    ("(2017)", 2017, "(2017)"),
    ("The Great War (1914-1918)", 1918, "The Great War (1914-1918)"),
]


@pytest.mark.parametrize(("raw", "year", "text"), _OWN_YEAR)
def test_a_title_does_not_hold_the_year_that_its_item_has(raw: str, year: int, text: str) -> None:
    assert CLEANER.without_year(CLEANER.title(raw).text, year) == text


def test_the_items_year_goes_without_clean_up_too() -> None:
    assert PLAIN.without_year("Batman Begins (2005) [4K]", 2005) == "Batman Begins [4K]"


@given(PANEL_TITLES, st.sampled_from([1984, 1995, 2003]))
@settings(max_examples=250)
def test_no_title_loses_all_its_words_with_its_year(raw: str, year: int) -> None:
    for cleaner in (CLEANER, PLAIN):
        text = cleaner.title(raw).text
        without = cleaner.without_year(text, year)
        assert any(map(str.isalnum, without)) == any(map(str.isalnum, text))
        assert without == " ".join(without.split())
        assert cleaner.without_year(without, year) == without


@pytest.mark.parametrize(
    ("raw", "ids"),
    [
        ("Sully (2016) [tmdbid-363676]", ("363676", "")),
        ("Dune {tmdb-438631} (2021)", ("438631", "")),
        ("Dune [tmdbid=438631] [imdbid-TT1160419]", ("438631", "tt1160419")),
        ("Dune (tt1160419)", ("", "tt1160419")),
        ("Dune [TMDB: 438631]", ("438631", "")),
        ("Dune (2021) tt1160419", ("", "tt1160419")),
        ("TT1160419 - Dune", ("", "tt1160419")),
        ("Dune (2021, tt1160419)", ("", "tt1160419")),
        ("Dune tmdb-438631 (2021)", ("438631", "")),
        ("Dune imdb.com/title/tt1160419", ("", "")),
        ("Dune [tvdbid-370001]", ("", "")),
        ("Dune (2021)", ("", "")),
        ("Dune [438631]", ("", "")),
        ("Adrift (2018)", ("", "")),
    ],
)
def test_ids_in_names_are_read(raw: str, ids: tuple[str, str]) -> None:
    assert title_ids(raw) == ids


@given(PANEL_TITLES)
@settings(max_examples=300)
def test_cleaning_leaves_one_visible_line(raw: str) -> None:
    episode = CLEANER.episode(raw, series="Heat", season=1, number=2)
    for text in (CLEANER.title(raw).text, PLAIN.title(raw).text, episode):
        assert text == " ".join(text.split())
        assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") for c in text if c not in "\u200c\u200d")
    if any(map(str.isalnum, raw)):
        assert CLEANER.title(raw).text
        assert PLAIN.title(raw).text


def test_without_clean_up_only_the_year_goes() -> None:
    assert PLAIN.title("EN - Heat  [4K]\t(1995)") == ("EN - Heat [4K]", 1995)
    assert PLAIN.title("|FR| Amélie 4K") == ("|FR| Amélie 4K", None)
    assert PLAIN.episode("EN - Lost S01E02\tPilot", series="Lost", season=1, number=2) == "EN - Lost S01E02 Pilot"


def test_the_users_pattern_is_removed_with_and_without_clean_up() -> None:
    pattern = r"^VIP: |\s*#\w+"
    assert TitleCleaner(True, pattern).title("VIP: EN - Heat #new (1995)") == ("Heat", 1995)
    assert TitleCleaner(False, pattern).title("VIP: EN - Heat #new (1995)") == ("EN - Heat", 1995)
    assert TitleCleaner(True, pattern).episode("VIP: Lost S01E02 Pilot", series="Lost", season=1, number=2) == "Pilot"


def test_a_pattern_that_would_leave_nothing_leaves_the_title() -> None:
    assert TitleCleaner(True, ".*").title("Heat (1995)") == ("Heat", 1995)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", r"\p{Nonsense}", "(?P<a", "a{99999999999999999999}", "(?:" * 3000])
def test_a_pattern_that_is_none_is_refused_by_its_name(pattern: str) -> None:
    with pytest.raises(SettingsError, match="name_regex is not a regular expression"):
        TitleCleaner(True, pattern)


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(x|xx)+y", "(foo|fo|o)+;", r"(\d|\d\d)+\]", "(?R)"])
def test_a_pattern_that_would_take_seconds_is_refused_by_its_name(pattern: str) -> None:
    with pytest.raises(SettingsError, match="name_regex is too slow"):
        TitleCleaner(True, pattern)


SLOW_ON_CYRILLIC = r"(\p{Cyrillic}|\p{Cyrillic}{2})+;|^VIP: "
"""Nothing of it tells the probes to try Cyrillic."""


def test_a_title_on_which_the_pattern_hangs_is_left_and_counted() -> None:
    cleaner = TitleCleaner(True, SLOW_ON_CYRILLIC)
    assert cleaner.title("ж" * 200 + "!; (1995)") == ("ж" * 200 + "!;", 1995)
    assert cleaner.timeouts == 1
    assert cleaner.title("VIP: Heat") == ("Heat", None)
    assert cleaner.timeouts == 1


def test_a_pattern_that_keeps_hanging_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles, "_TITLE_SECONDS", 0.001)
    cleaner = TitleCleaner(True, SLOW_ON_CYRILLIC)
    for _ in range(titles._GIVE_UP_AFTER):
        cleaner.title("ж" * 200 + "!;")
    assert cleaner.title("VIP: Heat") == ("VIP: Heat", None)
    assert cleaner.timeouts == titles._GIVE_UP_AFTER + 1
