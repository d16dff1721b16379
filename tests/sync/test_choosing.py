"""Which relation of a row is played: Dispatcharr's own choice, unless the settings ask for a language or a quality."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from databases import Database
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import Library

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import LibrarySettings

STREAM = re.compile(rb"stream_id=(\w+)&m3u_account_id=(\d)")


class Relation(NamedTuple):
    """What an account has of a film, or of a series with one episode."""

    name: str
    account: str = "Alpha"
    category: str = ""
    tags: dict[str, str] | None = None
    height: int = 0


def catalogue(relations: Sequence[Relation], priorities: dict[str, int] | None = None) -> Catalogue:
    """One film and one series, each with these relations in this order; their streams are f0, f1 …, and e0, e1 …"""
    made = Catalogue()
    accounts = {name: made.account(name, priority=(priorities or {}).get(name, 0)) for name in ("Alpha", "Beta")}
    film, series = made.movie("Heat (1995)", relations=[]), made.series("Lost (2004)", relations=[])
    theirs = []
    for place, relation in enumerate(relations):
        account = accounts[relation.account]
        said: dict[str, Any] = {"basic_data": {"name": relation.name}}
        categories = []
        for kind in ("movie", "series"):
            category = made.category(relation.category or f"Any {place}", kind)
            made.enable(account, category, custom_properties=relation.tags)
            categories.append(category)
        detail = {"detailed_info": {"video": {"width": 16, "height": relation.height}}} if relation.height else {}
        made.relate(film, account, categories[0], stream_id=f"f{place}", custom_properties=said | detail)
        theirs.append(
            made.relate(series, account, categories[1], external_series_id=f"s{place}", custom_properties=said)
        )
    episode = made.episode(series, 1, 1, "Pilot", relations=[])
    for place, relation in enumerate(relations):
        made.relate(episode, accounts[relation.account], stream_id=f"e{place}", series_relation_id=theirs[place].id)
    return made


def played(library: Library) -> tuple[int, int]:
    """The places of the relations that the film and the episode play."""
    found = {}
    for path, content in library.files().items():
        if stream := STREAM.search(content):
            found[path.partition("/")[0]] = int(stream[1][1:])
    return found["Movies"], found["TV"]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


ENGLISH, FRENCH = Relation("EN - Heat (1995)"), Relation("4K-FR - Heat (1995)", "Beta")


@pytest.mark.parametrize(
    ("relations", "wish", "place"),
    [
        ([ENGLISH, FRENCH], {}, 0),
        ([ENGLISH, FRENCH], {"prefer_languages": ("FR",)}, 1),
        ([ENGLISH, FRENCH], {"prefer_languages": ("DE", "French")}, 1),
        ([ENGLISH, FRENCH], {"prefer_languages": ("EN", "FR")}, 0),
        ([ENGLISH, FRENCH], {"prefer_quality": "highest"}, 1),
        ([ENGLISH, FRENCH], {"prefer_quality": "up_to_1080p"}, 0),
        ([FRENCH, ENGLISH], {"prefer_quality": "up_to_1080p"}, 1),
        ([FRENCH, ENGLISH], {"prefer_quality": "lowest"}, 1),
        ([ENGLISH, FRENCH], {"prefer_languages": ("ES",)}, 1),  # in the same language as none, the best
        ([ENGLISH, FRENCH._replace(account="Alpha")], {"prefer_languages": ("FR",)}, 1),
        # By the category's name, and by its tags before marks.
        ([ENGLISH, Relation("Heat", "Beta", "FR | Films")], {"prefer_languages": ("FR",)}, 1),
        ([ENGLISH, Relation("EN - Heat", "Beta", tags={"language": "fr"})], {"prefer_languages": ("FR",)}, 1),
        ([ENGLISH, Relation("Heat", "Beta", tags={"quality": "4K"})], {"prefer_quality": "highest"}, 1),
        # A choice that the next measurement would turn is none.
        ([ENGLISH, ENGLISH._replace(height=2160)], {"prefer_quality": "highest"}, 0),
        ([ENGLISH._replace(height=480), ENGLISH], {"prefer_quality": "highest"}, 0),
        # What the filters do not want is not chosen.
        ([ENGLISH, FRENCH], {"prefer_languages": ("FR",), "accounts": ("Alpha",)}, 0),
        ([ENGLISH, FRENCH._replace(category="XXX")], {"prefer_languages": ("FR",), "categories": ("!XXX",)}, 0),
    ],
)
def test_language_and_quality_choose_where_the_settings_ask_for_it(
    library: Library, database: Database, relations: list[Relation], wish: dict[str, Any], place: int
) -> None:
    database.fill(catalogue(relations))
    library.sync(database.url, LibrarySettings.model_validate(wish))
    assert played(library) == (place, place)


@pytest.mark.parametrize("wish", [{}, {"prefer_languages": ("EN", "FR"), "prefer_quality": "highest"}])
def test_what_is_equal_or_unknown_is_dispatcharrs_to_choose(library: Library, wish: dict[str, Any]) -> None:
    same = [ENGLISH, ENGLISH._replace(account="Beta")]
    chosen = LibrarySettings.model_validate(wish)
    library.show(catalogue(same), chosen)
    assert played(library) == (0, 0)
    library.show(catalogue(same, {"Beta": 1}), chosen)
    assert played(library) == (1, 1)
    library.show(catalogue([Relation("Heat"), Relation("Heat", "Beta")], {"Beta": 1}), chosen)
    assert played(library) == (1, 1)


def test_what_the_chosen_relation_says_of_the_film_counts(library: Library) -> None:
    made = Catalogue()
    accounts = [made.account("Alpha"), made.account("Beta")]
    film = made.movie("Heat (1995)", relations=[])
    for mark, account in zip(("EN", "FR"), accounts, strict=True):
        said = {"basic_data": {"name": f"{mark} - Heat (1995)", "plot": f"Plot in {mark}."}}
        made.relate(film, account, custom_properties=said)
    library.show(made, LibrarySettings(prefer_languages=("FR",)))
    assert b"Plot in FR." in library.files()["Movies/Heat (1995)/movie.nfo"]
    library.sync(library.last_url, LibrarySettings())
    assert b"Plot in EN." in library.files()["Movies/Heat (1995)/movie.nfo"]


def test_an_episode_that_the_series_account_lacks_is_played_from_another(library: Library) -> None:
    made = Catalogue()
    accounts = [made.account("Alpha"), made.account("Beta")]
    series = made.series("Lost (2004)", relations=[])
    for mark, account in zip(("EN", "FR"), accounts, strict=True):
        made.relate(series, account, custom_properties={"basic_data": {"name": f"{mark} - Lost (2004)"}})
    for number, who in ((1, accounts), (2, accounts[:1])):
        made.episode(series, 1, number, "", relations=who)
    library.show(made, LibrarySettings(prefer_languages=("FR",)))
    streams = {path[-6:-5]: STREAM.search(content) for path, content in library.files().items() if path[-4:] == "strm"}
    assert {number: match and match[2] for number, match in streams.items()} == {"1": b"2", "2": b"1"}


def test_a_mark_that_another_relation_gets_is_seen_at_once(library: Library, database: Database) -> None:
    """Though neither the row nor the relation that is played has changed."""
    wish = LibrarySettings(prefer_languages=("FR",))
    database.fill(catalogue([ENGLISH, ENGLISH._replace(account="Beta")]))
    library.sync(database.url, wish)
    assert played(library) == (0, 0)
    for table in ("movie", "series"):
        database.execute(
            f"UPDATE vod_m3u{table}relation SET custom_properties = ? WHERE m3u_account_id = 2",
            '{"basic_data": {"name": "FR - Heat (1995)"}}',
        )
    library.sync(database.url, wish)
    assert played(library) == (1, 1)
    assert not library.sync(database.url, wish).changed


RELATIONS = st.lists(
    st.builds(
        Relation,
        name=st.sampled_from(("Heat", "EN - Heat", "FR - Heat", "4K-FR - Heat", "4K - Heat")),
        account=st.sampled_from(("Alpha", "Beta")),
        height=st.sampled_from((0, 480, 2160)),
    ),
    min_size=1,
    max_size=4,
)
WISHES = st.sampled_from(
    ({}, {"prefer_languages": ("FR", "EN")}, {"prefer_quality": "highest"}, {"prefer_quality": "lowest"})
)


@settings(max_examples=8)
@given(st.lists(st.tuples(RELATIONS, WISHES), min_size=2, max_size=3))
def test_after_any_history_the_same_plays_as_in_a_new_library(
    history: list[tuple[list[Relation], dict[str, Any]]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "lived").mkdir()
        lived = Library(Path(directory) / "lived")
        for step, (relations, wish) in enumerate(history):
            chosen = LibrarySettings.model_validate(wish)
            (Path(directory) / f"fresh{step}").mkdir()
            fresh = Library(Path(directory) / f"fresh{step}")
            for library in (lived, fresh):
                library.show(catalogue(relations), chosen, accept_shrink=True)
            assert played(lived) == played(fresh)
            if not wish:
                assert played(lived) == (0, 0)
