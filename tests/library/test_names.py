"""Names are legal everywhere, harmless to media servers, short enough, and readable."""

import re
import unicodedata
from typing import Literal

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from vod2strmfs.library.names import (
    FILE_ROOM,
    NAME_MAX,
    disambiguator,
    episode_name,
    fit,
    fold,
    folder_name,
    folder_tag,
    safe_name,
    season_name,
    short_episode_name,
)

_PIECES = st.sampled_from(
    [
        *"S01E02 s3 e4 E05 ep 7 -08 1x02 x03 10x12x14 24-48 102 1408 Part Pt IV 2019-05-01 31.12.2019 [A]".split(),
        *("Episode ", "Season 1 ", " - "),
        *"sample trailer -short -Scene2 .sample. _sample Sampler -trailers CON con.txt COM¹ aux extras Subs".split(),
        *'. .. ... / \\ : * ? " < > | - ~ AC/DC 9:30 é ß ſ İ ı Ａ … 🇩🇪 한 ਊ'.split(),
        *(" ", "  ", "\t", "\x00", "\x1b", "\x85", "\u200f", "\u2028", "\ufeff", "\ud800", "\ufdd0", "\uf022"),
        *("e\u0301", "👨\u200d👩\u200d👧"),
    ]
)
TEXTS = (
    st.lists(_PIECES | st.text(max_size=2), max_size=8).map("".join)
    | st.text(st.characters(), max_size=300)
    | st.lists(_PIECES, min_size=40, max_size=120).map("".join)
)
YEARS = st.none() | st.integers(1880, 2039)
NUMBERS = st.none() | st.integers(-3, 100_000)
TAGS = st.sampled_from(["", " [tmdbid-949]", " {imdb-tt0113277}", " [0badcafe]"])
LIMITS = st.sampled_from([128, 143, NAME_MAX])

_ANY_CASE = re.IGNORECASE | re.ASCII
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", _ANY_CASE)
_JELLYFIN_EXTRA = re.compile(
    r"(^trailer|^sample|[-._ ](trailer|sample)|-(scene|clip|short|extra|other|deleted|deletedscene|interview|featurette"
    r"|behindthescenes))$",
    _ANY_CASE,
)
_JELLYFIN_IGNORED = re.compile(
    r"(.*\.)?sample\..{1,5}|sample|metadata|subs|extras?|other|shorts|clips|scenes|samples|trailers", _ANY_CASE
)
_KODI_EXCLUDED = re.compile(r"-trailer|[!-._ /]sample[-._ /]|/(proof|subs)/", _ANY_CASE)


_SUB = r"(?:(?:[a-i]|\.[1-9])(?![0-9]))?"
_KODI = [
    rf"s([0-9]+)[\]\[ ._x-]*e([0-9]+{_SUB})([^\\/]*)$",
    rf"[._ -]?()e(?:p[ ._-]?)?([0-9]+{_SUB})([^\\/]*)$",
    r"([0-9]{4})[.-]([0-9]{2})[.-]([0-9]{2})",
    r"([0-9]{2})[.-]([0-9]{2})[.-]([0-9]{4})",
    rf"[\\/._ \[(-]([0-9]+)x([0-9]+{_SUB})([^\\/]*)$",
    r"[/._ -]p(?:ar)?t[_. -]()([ivx]+|[0-9]+)([._ -][^/]*)$",
    rf"[\\/._ -]([0-9]+)([0-9][0-9]{_SUB})([._ -][^\\/]*)$",
]
"""Where Kodi finds an episode's number: the first that matches counts. The classes are those of all its versions."""
_KODI_MORE = r"^[-_ex]+([0-9]+)"


def kodi_reads(stem: str) -> list[tuple[str, str]]:
    """The episodes that Kodi makes of a file: as (season, number)."""
    path = f"/TV/Lost/Season/{stem}.strm"
    for number in _KODI:
        if match := re.search(number, path, re.IGNORECASE):
            found = [(match[1], match[2])]
            rest = match[3]
            while more := re.search(number, rest, re.IGNORECASE) or re.search(_KODI_MORE, rest, re.IGNORECASE):
                found.append((more[1], more[0]))
                rest = rest[more.end() :] if more.re.groups == 1 else more[3]
            return found
    return []


_JELLYFIN_LAST = [
    r"episode ([0-9]+)-([0-9]+)",
    r"/[^/]* - [0-9]{1,3}-[0-9]{2,3}(?![0-9ip])",
    r"[0-9]{1,4}x[0-9]{1,3}(?:-| - )[0-9]{1,4}(?:e|x|xe)[0-9]",
    r"[0-9]{1,4}x[0-9]{1,3}(?:-| - )?[xe][0-9]",
    r"[0-9]{1,4}x[0-9]{1,3}-x?e?[0-9]",
    r"s[0-9]{1,4}[x.]?e[0-9]{1,3}(?:-| - )?[xe][0-9]",
    r"s[0-9]{1,4}[x.]?e[0-9]{1,3}-x?e?[0-9]",
]
"""Where Jellyfin finds the last of several episodes in one file."""
_JELLYFIN_ANY = [
    r"s[0-9]+[\]\[ ._-]*e[0-9]+",
    r"[._ -]ep_?[0-9]+",
    r"e[0-9]+\.",
    r"[0-9]{4}[._ -][0-9]{2}[._ -][0-9]{2}",
    r"[0-9]{2}[._ -][0-9]{2}[._ -][0-9]{4}",
    r"s(?:eason)?\s*[0-9]+\s+e(?:pisode)?\s*[0-9]+",
    r"[/._ \[(-][0-9]+x[0-9]+",
    r"\[.*?\].*[\w\s-][\s_]*-[\s_]*[0-9]",
    r"[/._ -][0-9]+[0-9][0-9](?:[a-i]|\.[1-9])?[._ -][^/]*$",
    r"[/._ -]p(?:ar)?t[_. -](?:[ivx]+|[0-9]+)[._ -]",
    r"(?<!/)episode [0-9]",
    r"[0-9]-[0-9]",
    r" - [0-9]",
    r"/[0-9]",
]
"""Where Jellyfin finds the number of an episode."""


def assert_one_number(stem: str, *, is_numbered: bool) -> None:
    """That servers find in an episode's file name its own number and no other."""
    path = f"/TV/Lost/Season/{stem}.strm"
    read = kodi_reads(stem)
    assert len(read) == is_numbered, read
    for number in _JELLYFIN_LAST if is_numbered else _JELLYFIN_ANY:
        assert not re.search(number, path, re.IGNORECASE), number


def assert_legal(name: str) -> None:
    assert name
    assert not set(name) & set('/\\:*?"<>|')
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cf", "Cs", "Co"}
    assert not regex.search(r"\p{Noncharacter_Code_Point}", name)
    assert unicodedata.is_normalized("NFC", name)
    assert name == " ".join(name.split())
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert not _DEVICE.match(name)


def assert_seen_by_servers(stem: str, folder: str) -> None:
    """That the servers take `folder/stem.strm` for what it is, by their own rules (media servers: names)."""
    assert not _JELLYFIN_EXTRA.search(stem.rstrip("0123456789"))
    assert not _JELLYFIN_IGNORED.fullmatch(f"{stem}.strm")
    assert not _JELLYFIN_IGNORED.fullmatch(folder)
    assert not _KODI_EXCLUDED.search(f"/{folder}/{stem}.strm")


@given(TEXTS)
@settings(max_examples=250)
def test_a_safe_name_is_legal_seen_and_stays_as_it_is(text: str) -> None:
    name = safe_name(text)
    assert_legal(name)
    assert_seen_by_servers(name, name)
    assert safe_name(name) == name


@given(TEXTS, YEARS, TAGS, LIMITS)
@settings(max_examples=250)
def test_the_names_of_a_movie_are_legal_seen_and_short_enough(
    title: str, year: int | None, tag: str, limit: int
) -> None:
    folder = folder_name(title, year, tag, name_max=limit)
    assert_legal(folder)
    assert_seen_by_servers(folder, folder)
    assert len(folder.encode()) <= limit - FILE_ROOM
    assert folder.endswith((f" ({year})" if year else "") + tag)


@given(NUMBERS, NUMBERS, TEXTS, TAGS, LIMITS)
@settings(max_examples=250)
def test_the_names_of_an_episode_are_legal_seen_and_short_enough(
    season: int | None, number: int | None, title: str, tag: str, limit: int
) -> None:
    stem = episode_name(season, number, title, tag, name_max=limit)
    assert_legal(stem)
    assert_legal(season_name(season))
    assert_seen_by_servers(stem, season_name(season))
    assert len(stem.encode()) <= limit - FILE_ROOM
    assert stem.startswith(short_episode_name(season, number))
    assert stem.endswith(tag)
    is_numbered = season is not None and season >= 0 and number is not None and number >= 0
    assert_one_number(stem, is_numbered=is_numbered)
    # The title cannot become the name of a file that stands for the season or the series.
    assert fold(stem) not in ("season", "tvshow", "movie")


@pytest.mark.parametrize(
    ("season", "number", "title", "read"),
    [
        (2, 2, "Los Perdidos - Piloto", [("02", "02")]),
        (4, 1071, "1408", [("04", "1071")]),
        (1, None, "Pilot", []),
        (None, 7, "Pilot", []),
        (None, 112, "Pilot", []),
        (None, None, "Pilot", []),
    ],
)
def test_kodi_reads_an_episodes_own_number(
    season: int | None, number: int | None, title: str, read: list[tuple[str, str]]
) -> None:
    assert kodi_reads(episode_name(season, number, title)) == read


@pytest.mark.parametrize("label", ["IPTV 101", "24/7 TV", "Provider S01E02", "Se7en", "Panel - 3", "Part 2"])
def test_an_accounts_name_is_no_number_either(label: str) -> None:
    for season, number in ((2, 5), (2, None), (None, 5), (None, None)):
        name = episode_name(season, number, "Pilot", " [ee3c09a1]", label)
        assert_one_number(name, is_numbered=season is not None and number is not None)
        assert " - " in name
        assert name.endswith(" [ee3c09a1]" if None not in (season, number) else " [eh3c09a1]")


@pytest.mark.parametrize("word", ["Sample", "Trailer", "Scene", "Short", "Behindthescenes"])
@pytest.mark.parametrize("before", ["-", " ", "."])
def test_a_cut_leaves_no_word_that_hides_the_file(word: str, before: str) -> None:
    for length in range(195, 215):
        folder = folder_name("x" * length + before + word + "s are everywhere", None)
        assert len(folder.encode()) <= NAME_MAX - FILE_ROOM
        assert_seen_by_servers(folder, folder)


def test_a_name_is_cut_between_what_a_reader_sees_as_characters() -> None:
    family = "👨🏽"  # two code points, eight bytes
    assert fit(family * 50, " (1995)", reserve=4) == family * 30 + " (1995)"
    assert fit("g\u0308" * 100, reserve=2) == "g\u0308" * 84
    assert fit("한" * 100, reserve=5) == "한" * 83


def test_one_endless_character_is_cut_all_the_same() -> None:
    name = fit("g" + "\u0308" * 500, " (1995)")
    assert name.startswith("g\u0308")
    assert 250 < len(name.encode()) <= 255


def test_what_fits_is_left_alone() -> None:
    assert fit("x" * 255) == "x" * 255
    assert fit("x" * 248, " (1995)") == "x" * 248 + " (1995)"
    assert fit("Wait...", " (2019)") == "Wait... (2019)"


def test_a_cut_name_ends_in_no_space_dot_or_dash() -> None:
    assert fit("x" * 250 + " ... - and more") == "x" * 250
    assert fit("x" * 245 + " ... - and more", " (1995)") == "x" * 245 + " (1995)"


def test_the_suffix_counts_in_bytes() -> None:
    assert fit("x" * 300, " [é]") == "x" * 250 + " [é]"


def test_a_suffix_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        fit("Heat", "x" * 250, reserve=5)


@pytest.mark.parametrize(
    ("season", "number", "tag", "expected"),
    [
        (1, 1, "", "S01E01"),
        (0, 12345, "", "S00E12345"),
        (1, 2, " [tmdbid-949]", "S01E02 [tmdbid-949]"),
        (1, None, "", "S01"),
        (1, -1, "", "S01"),
        (None, 7, "", "Episode 7"),
        (-1, 7, "", "Episode 7"),
        (None, None, "", "Episode Unknown"),
    ],
)
def test_the_short_name_of_an_episode(season: int | None, number: int | None, tag: str, expected: str) -> None:
    assert short_episode_name(season, number, tag) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "Season 01"),
        (0, "Season 00 (Specials)"),
        (12, "Season 12"),
        (100, "Season 100"),
        (2023, "Season 2023"),
        (-1, "Season Unknown"),
        (None, "Season Unknown"),
    ],
)
def test_the_folder_of_a_season(number: int | None, expected: str) -> None:
    assert season_name(number) == expected


def test_the_specials_have_the_name_that_the_server_knows() -> None:
    assert season_name(0, specials="Specials") == "Specials"
    assert season_name(1, specials="Specials") == "Season 01"


@pytest.mark.parametrize(
    ("kind", "tmdb", "imdb", "expected"),
    [
        ("none", "949", "tt0113277", ""),
        ("plex", "949", "tt0113277", " {tmdb-949}"),
        ("plex", "", "tt0113277", " {imdb-tt0113277}"),
        ("plex", "", "", ""),
        ("jellyfin", "949", "tt0113277", " [tmdbid-949]"),
        ("jellyfin", "", "tt0113277", " [imdbid-tt0113277]"),
        ("jellyfin", "", "", ""),
    ],
)
def test_the_tag_of_a_folder(kind: Literal["none", "plex", "jellyfin"], tmdb: str, imdb: str, expected: str) -> None:
    assert folder_tag(kind, tmdb, imdb) == expected


def test_names_that_collide_are_told_apart_by_what_outlives_a_refresh() -> None:
    assert disambiguator("949", "tt0113277", 1, "42") == " [tmdbid-949]"
    assert disambiguator("", "tt0113277", 1, "42") == " [imdbid-tt0113277]"
    # The digits are part of users' file names: a change of this line renames their files.
    assert disambiguator("", "", 1, "42") == " [ee3c09a1]"
    hashes = {disambiguator("", "", account, stream) for account in (1, 12) for stream in ("2", "42", "242", "é")}
    assert len(hashes) == 8
    assert all(re.fullmatch(r" \[[0-9a-f]{8}\]", tag) for tag in hashes)


def test_the_folder_has_room_for_a_label_and_the_extension() -> None:
    folder = folder_name("x" * 300, 1995, " [tmdbid-949]")
    assert len(f"{folder} - a label of thirty-five bytes….strm".encode()) <= NAME_MAX


@given(TEXTS)
@settings(max_examples=250)
def test_folding_a_key_changes_nothing(name: str) -> None:
    assert fold(fold(name)) == fold(name)


@given(TEXTS)
@settings(max_examples=250)
def test_names_that_a_file_system_takes_for_equal_have_one_key(name: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold(unicodedata.normalize(form, name)) == fold(name)
    for same in (name.casefold(), name.upper(), name.lower(), name.swapcase().casefold()):
        assert fold(same) == fold(name)


def test_every_character_has_the_key_of_its_other_case_and_forms() -> None:
    for code in range(0x30000):
        c = chr(code)
        others = [c.upper(), c.lower(), c.casefold(), *(unicodedata.normalize(form, c) for form in ("NFD", "NFKC"))]
        assert {fold(other) for other in others} == {fold(c)}, hex(code)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Heat", "HEAT"),
        ("Amélie", "Ame\u0301lie"),
        ("Straße", "STRASSE"),
        ("ΟΔΟΣ", "οδος"),
        ("Heat\ufe0f", "Heat"),
        ("Ｈｅａｔ", "Heat"),
        ("Sıla", "SILA"),
    ],
)
def test_names_that_collide(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("Heat", "Heat 2"), ("Amélie", "Amelie"), ("Bär", "Bar"), ("X", "Χ")])
def test_names_that_do_not_collide(one: str, other: str) -> None:
    assert fold(one) != fold(other)
