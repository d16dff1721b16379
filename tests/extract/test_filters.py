"""Filters choose among relations before one of them is chosen for a title, on both databases."""

import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from libraries import Library
from mounts import command
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.file import connect
from vod2strmfs.index.remarks import Remark
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings

A, B = "Provider A", "Provider B"


def overlapping() -> Catalogue:
    """Two accounts that share a film and a series, and films in several categories of one account."""
    made = Catalogue()
    first, second = made.account(A, priority=10), made.account(B, priority=5)
    new, kids = made.category("EN | New", "movie"), made.category("EN | Kids", "movie")
    shows, cartoons = made.category("Shows", "series"), made.category("Cartoons", "series")
    for account in (first, second):
        for category in (new, kids, shows, cartoons):
            made.enable(account, category)
    shared = made.movie("Shared", year=2001, relations=[])
    made.relate(shared, first, new, stream_id="111")
    made.relate(shared, second, new, stream_id="222")
    twice = made.movie("Twice", year=2002, relations=[])
    made.relate(twice, first, new, stream_id="113")
    made.relate(twice, first, kids, stream_id="224")
    made.relate(made.movie("Unsorted", relations=[]), first, stream_id="300")
    lost = made.series("Lost", year=2004, relations=[])
    made.relate(lost, first, shows, external_series_id="10")
    made.relate(lost, second, cartoons, external_series_id="20")
    for number, relations in ((1, [first, second]), (2, [first]), (3, [second])):
        episode = made.episode(lost, 1, number, f"Part {number}", relations=[])
        for account in relations:
            made.relate(episode, account, stream_id=f"{account.id}0{number}")
    return made


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def filled(database: Database) -> Database:
    return database.fill(overlapping())


def streams(library: Library) -> dict[str, str]:
    """What each .strm plays, `stream@account`, by its file's name."""
    played = {}
    for path, content in library.files().items():
        if path.endswith(".strm"):
            query = content.decode().strip().partition("?stream_id=")[2]
            played[path.rpartition("/")[2].removesuffix(".strm")] = query.replace("&m3u_account_id=", "@")
    return played


def remarks(library: Library) -> list[Remark]:
    with closing(Store(library.state_dir)) as store:
        return [remark for remark in store.remarks() if remark.what == "filtered"]


EVERYTHING = {
    "Shared (2001)": "111@1", "Twice (2002)": "113@1", "Unsorted": "300@1",
    "S01E01 – Part 1": "101@1", "S01E02 – Part 2": "102@1", "S01E03 – Part 3": "203@2",
}  # fmt: skip
OF_B = {"Shared (2001)": "222@2", "S01E01 – Part 1": "201@2", "S01E03 – Part 3": "203@2"}
KIDS = {"Twice (2002)": "224@1"}


@pytest.mark.parametrize(
    ("choice", "played", "kept"),
    [
        ({}, EVERYTHING, {}),
        ({"accounts": [B]}, OF_B, {"Twice": "accounts", "Unsorted": "accounts", "Lost S01E02 – Part 2": "accounts"}),
        ({"accounts": ["!provider a"]}, OF_B,
         {"Twice": "accounts", "Unsorted": "accounts", "Lost S01E02 – Part 2": "accounts"}),
        ({"categories": ["EN | Kids"]}, KIDS,
         {"Shared": "categories", "Unsorted": "categories", "Lost": "categories"}),
        ({"categories": ["!EN | New"]},
         {name: stream for name, stream in EVERYTHING.items() if "Shared" not in name} | KIDS,
         {"Shared": "categories"}),
        ({"categories": ["EN*", "Cartoons"]},
         {"Shared (2001)": "111@1", "Twice (2002)": "113@1", "S01E01 – Part 1": "201@2", "S01E03 – Part 3": "203@2"},
         {"Unsorted": "categories", "Lost S01E02 – Part 2": "categories"}),
        ({"categories": ["*", "!Shows"]},
         {name: stream for name, stream in EVERYTHING.items() if "Part" not in name}
         | {"S01E01 – Part 1": "201@2", "S01E03 – Part 3": "203@2"},
         {"Lost S01E02 – Part 2": "categories"}),
        ({"accounts": [A], "categories": ["EN | Kids", "Cartoons"]}, KIDS,
         {"Shared": "categories", "Unsorted": "categories", "Lost": "categories"}),
    ],
)  # fmt: skip
def test_the_best_of_the_relations_that_are_wanted_is_shown(
    library: Library, filled: Database, choice: dict[str, Any], played: dict[str, str], kept: dict[str, str]
) -> None:
    library.sync(filled.url, LibrarySettings(**choice))
    assert streams(library) == played
    assert {remark.name: remark.detail for remark in remarks(library)} == kept


@pytest.mark.parametrize(
    ("choice", "played"),
    [
        ({"accounts": [B]}, {"222@2", "201@2", "203@2"}),
        ({"categories": ["EN | Kids"]}, {"224@1"}),
        ({"categories": ["EN*", "Shows"]}, {"111@1", "222@2", "113@1", "224@1", "101@1", "102@1"}),
    ],
)
def test_with_all_versions_each_relation_that_is_wanted_has_a_file(
    library: Library, filled: Database, choice: dict[str, Any], played: set[str]
) -> None:
    library.sync(filled.url, LibrarySettings(versions="all", **choice))
    assert set(streams(library).values()) == played
    kept = [remark.name for remark in remarks(library) if remark.kind == NodeKind.EPISODE]
    shown = sum("S01" in name for name in streams(library))
    assert not shown or len(kept) == len(set(kept)) == 4 - shown


def test_an_episode_that_names_no_series_relation_goes_with_those_of_its_account(
    library: Library, filled: Database
) -> None:
    filled.execute("UPDATE vod_m3uepisoderelation SET series_relation_id = NULL")
    library.sync(filled.url, LibrarySettings(categories=("Cartoons",)))
    assert streams(library) == {"S01E01 – Part 1": "201@2", "S01E03 – Part 3": "203@2"}


def test_before_there_were_series_relations_of_episodes_those_of_their_account_count(
    library: Library, filled: Database
) -> None:
    filled.execute("DROP INDEX vod_m3uepisoderelation_series_relation_id")
    filled.execute("ALTER TABLE vod_m3uepisoderelation RENAME COLUMN series_relation_id TO later")
    library.sync(filled.url, LibrarySettings(categories=("Cartoons",)))
    assert streams(library) == {"S01E01 – Part 1": "201@2", "S01E03 – Part 3": "203@2"}


def test_a_role_that_may_not_read_the_series_relation_yet_sees_those_of_the_account(
    library: Library, postgres: PostgresServer
) -> None:
    database = Database(postgres.new_database()).fill(overlapping())
    database.execute("REVOKE SELECT (series_relation_id) ON vod_m3uepisoderelation FROM vod2strmfs")
    library.sync(database.url, LibrarySettings(categories=("Cartoons",)))
    assert streams(library) == {"S01E01 – Part 1": "201@2", "S01E03 – Part 3": "203@2"}


@pytest.mark.parametrize(
    ("statement", "choice", "played"),
    [
        ("UPDATE m3u_m3uaccount SET name = 'Provider C' WHERE id = 2", {"accounts": ["!Provider B"]},
         EVERYTHING),
        ("UPDATE vod_vodcategory SET name = 'EN | Old' WHERE name = 'EN | New'", {"categories": ["!EN | New"]},
         EVERYTHING),
        ("UPDATE vod_vodcategory SET name = 'Series' WHERE name = 'Shows'", {"categories": ["!Shows"]}, EVERYTHING),
        ("UPDATE vod_m3umovierelation SET category_id = 2 WHERE stream_id = '222'",
         {"categories": ["EN | Kids"]}, KIDS | {"Shared (2001)": "222@2"}),
        ("UPDATE m3u_m3uaccount SET priority = 20 WHERE id = 2", {"accounts": ["Provider ?"]},
         EVERYTHING | OF_B),
    ],
)  # fmt: skip
def test_what_changes_the_choice_is_noticed(
    library: Library, filled: Database, statement: str, choice: dict[str, Any], played: dict[str, str]
) -> None:
    settings = LibrarySettings(**choice)
    library.sync(filled.url, settings)
    before = streams(library)
    assert before != played
    filled.execute(statement)
    library.sync(filled.url, settings)
    assert streams(library) == played


BRACKETS = ("XXX [18+]", "XXX 1", "[EN] New", "EN New", "E New", "EN | Kids", "Kids *", "Nordic")


def bracketed() -> Catalogue:
    made = Catalogue()
    account = made.account("Alpha")
    for name in BRACKETS:
        category = made.category(name, "movie")
        made.enable(account, category)
        made.movie(f"Film of {BRACKETS.index(name)}", category=category, relations=[account])
    return made


@pytest.mark.parametrize(
    ("categories", "shown"),
    [
        (["!XXX [18+]"], set(BRACKETS) - {"XXX [18+]"}),
        (["!xxx [18+]"], set(BRACKETS) - {"XXX [18+]"}),
        (["[EN] New"], {"[EN] New"}),
        (["[en]*"], {"[EN] New"}),
        (["![EN]*"], set(BRACKETS) - {"[EN] New"}),
        (["*[18+]"], {"XXX [18+]"}),
        (["EN | Kids"], {"EN | Kids"}),
        (["EN |*"], {"EN | Kids"}),
        (["Kids *"], {"Kids *"}),
        (["XXX [0-9]"], {"XXX 1"}),
        (["[EF] New"], {"E New"}),
        (["  [EN]   New "], {"[EN] New"}),
    ],
)
def test_brackets_and_bars_of_names_stand_for_themselves(
    library: Library, database: Database, categories: list[str], shown: set[str]
) -> None:
    outcome = library.sync(database.fill(bracketed()).url, LibrarySettings(categories=tuple(categories)))
    assert set(streams(library)) == {f"Film of {BRACKETS.index(name)}" for name in shown}
    assert outcome.unmatched == ()


def test_a_pattern_that_matches_nothing_is_named_whether_it_includes_or_excludes(
    library: Library, filled: Database
) -> None:
    patterns = ("*", "!Nothing [19+]", "!EN | New")
    outcome = library.sync(
        filled.url,
        LibrarySettings(categories=patterns, accounts=("!Provider Z",), genres=("!Horror",), languages=("!DE",)),
    )
    assert outcome.unmatched == (
        ("accounts", "!Provider Z"), ("categories", "!Nothing [19+]"), ("genres", "!Horror"), ("languages", "!DE"),
    )  # fmt: skip
    assert "categories: !Nothing [19+] matches nothing in the catalogue, so it keeps nothing out." in list(
        outcome.warnings()
    )


def test_a_pattern_may_match_what_another_filter_keeps_out(library: Library, database: Database) -> None:
    made = Catalogue()
    made.movie("Heat", year=1995, genre="Crime")
    made.movie("Ran", year=1985, genre="Drama")
    outcome = library.sync(database.fill(made).url, LibrarySettings(years="1990-", genres=("!Drama",)))
    assert outcome.unmatched == ()


@pytest.mark.parametrize("enabled", [True, False])
def test_a_category_that_is_switched_off_is_matched_by_nothing(
    library: Library, database: Database, enabled: bool
) -> None:
    made = overlapping()
    account, category = made.account("Provider C"), made.category("Sports", "movie")
    made.enable(account, category, enabled)
    outcome = library.sync(database.fill(made).url, LibrarySettings(categories=("*", "!Sports")))
    assert outcome.unmatched == (() if enabled else (("categories", "!Sports"),))


@pytest.mark.parametrize("years", ["-2005", "1990-", "2001", "1990-2005", "0000-", "-9999"])
def test_a_year_that_is_not_known_is_in_no_range(library: Library, database: Database, years: str) -> None:
    made = Catalogue()
    made.movie("Unknown")
    made.movie("Known", year=2001)
    library.sync(database.fill(made).url, LibrarySettings(years=years))
    assert set(streams(library)) == {"Known (2001)"}


def test_of_many_relations_of_one_account_the_first_stays_the_choice(library: Library, database: Database) -> None:
    made = Catalogue()
    account = made.account("Alpha")
    heat = made.movie("Heat", relations=[])
    for number in range(40):
        category = made.category(f"Category {number}", "movie")
        made.enable(account, category)
        made.relate(heat, account, category, stream_id=str(1000 - number))
    database.fill(made)
    library.sync(database.url)
    before = library.tree()
    assert streams(library) == {"Heat": "1000@1"}
    database.execute("UPDATE vod_m3umovierelation SET last_seen = '2026-02-01T00:00:00Z'")
    database.execute("DELETE FROM vod_m3umovierelation WHERE id = 40")
    assert not library.sync(database.url).changed
    assert library.tree() == before
    library.sync(database.url, LibrarySettings(categories=("Category 7", "Category 1?")))
    assert streams(library) == {"Heat": "993@1"}


@pytest.mark.parametrize("versions", ["best", "all"])
def test_what_a_filter_keeps_out_is_told_from_what_is_gone(library: Library, database: Database, versions: Any) -> None:
    made = Catalogue()
    alpha, beta = made.account("Alpha"), made.account("Beta")
    old = made.series("Old", year=1960)
    new = made.series("New", year=2010, relations=[alpha, beta])
    for number in range(1, 31):
        made.movie(f"Old Film {number}", year=1950 + number)
        made.movie(f"New Film {number}", year=2000 + number)
        made.episode(old, 1, number, f"Part {number}")
        made.episode(new, 1, number, f"Part {number}", relations=[alpha if number > 25 else beta])
    made.movie("Gone", year=2001, relations=[beta])
    library.sync(database.fill(made).url, LibrarySettings(versions=versions))
    database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 61")
    settings = LibrarySettings(years="2000-", accounts=("!Beta",), versions=versions)
    outcome = library.sync(database.url, settings)
    assert (outcome.counts["movie", "held"], outcome.counts["episode", "held"]) == (31, 30 + 25)
    with closing(connect(library.state_dir)) as connection:
        kept_out = connection.execute(
            """SELECT node.kind, coalesce(own.setting, above.setting, 'gone'), count(*)
            FROM node JOIN content USING (id) LEFT JOIN filtered AS own
                ON (own.source, own.uuid) = (content.source, content.uuid) AND own.kind IN ('movie', 'episode')
            LEFT JOIN node AS season ON season.id = node.parent LEFT JOIN content AS series ON series.id = season.parent
            LEFT JOIN filtered AS above ON (above.kind, above.uuid) = ('series', series.uuid)
            WHERE node.held AND node.kind IN (2, 5) GROUP BY 1, 2 ORDER BY 1, 2"""
        ).fetchall()
    assert kept_out == [
        (NodeKind.MOVIE, "gone", 1), (NodeKind.MOVIE, "years", 30),
        (NodeKind.EPISODE, "accounts", 25), (NodeKind.EPISODE, "years", 30),
    ]  # fmt: skip
    metrics = library.metrics()
    assert metrics["index.filtered_by_years"] == "31"
    assert metrics["index.episodes_filtered_by_accounts"] == "25"


def test_a_narrower_filter_removes_what_it_keeps_out_at_once(library: Library, filled: Database) -> None:
    library.sync(filled.url)
    outcome = library.sync(filled.url, LibrarySettings(accounts=(B,)))
    assert outcome.held == 0
    assert streams(library) == OF_B
    library.sync(filled.url)
    assert streams(library) == EVERYTHING


def sync_command(database: Database, folder: Path, *options: str) -> dict[str, Any]:
    state = ("--database", database.url, "--state-dir", str(folder / "library" / "state"))
    done = subprocess.run(command("sync", *state, "--json", *options), capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_filter_that_is_taken_out_of_the_settings_file_ends(
    library: Library, filled: Database, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('accounts = ["Provider B"]\n')
    sync_command(filled, tmp_path, "--config", str(file))
    assert streams(library) == OF_B
    file.write_text("")
    assert sync_command(filled, tmp_path, "--config", str(file))["changed"]
    assert streams(library) == EVERYTHING


def test_without_a_file_a_sync_leaves_the_librarys_settings_alone(
    library: Library, filled: Database, tmp_path: Path
) -> None:
    sync_command(filled, tmp_path, "--accounts", "Provider B")
    assert not sync_command(filled, tmp_path)["changed"]
    assert streams(library) == OF_B
    sync_command(filled, tmp_path, "--clean-titles")
    assert streams(library) == EVERYTHING


def test_what_is_kept_out_is_counted_anew_when_nothing_else_changes(tmp_path: Path) -> None:
    library = Library(tmp_path)
    settings = LibrarySettings(years="1992-")
    for years, kept_out in ((range(1994, 1989, -1), 2), (range(1994, 1990, -1), 1)):
        made = Catalogue()
        for year in years:
            made.movie(f"Film {year}", year=year)
        outcome = library.show(made, settings)
        assert library.metrics()["index.filtered_by_years"] == str(kept_out)
    assert not outcome.changed


def test_a_series_that_takes_the_name_of_one_that_is_kept_out_now_brings_its_episodes(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """It is recognised as the other one; the rows of their episodes are as they were."""
    made = Catalogue()
    for mark, stream in (("EN", "mine"), ("FR", "theirs")):
        series = made.series(f"{mark} - Lost", year=2004)
        made.relate(made.episode(series, 1, 1, "Pilot", relations=[]), made.account(mark), stream_id=stream)
    database = Database(postgres.new_database()).fill(made)
    library, english = Library(tmp_path), LibrarySettings(languages=("EN",))
    library.sync(database.url, english)
    before = library.tree()["TV/Lost (2004)"].inode
    database.execute("UPDATE vod_series SET name = 'FR - Found' WHERE id = 1")
    database.execute("UPDATE vod_series SET name = 'EN - Lost' WHERE id = 2")
    library.sync(database.url, english)
    assert library.tree()["TV/Lost (2004)"].inode == before
    [strm] = [content for path, content in library.files().items() if path.endswith(".strm")]
    assert b"stream_id=theirs" in strm
