"""What `doctor` says of films that play: settings that contradict each other, what is learnt, and a film read twice."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dispatcharr_proxy import DispatcharrProxy
from dispatcharr_server import DispatcharrServer
from film_provider import Fault, Pattern, Stream
from mounts import mounted
from test_doctor import SetUp, broken, is_documented, only

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor import films
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.settings import unusual
from vod2strmfs.films.figures import read_figures
from vod2strmfs.films.film import Key
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Films, Wish
from vod2strmfs.films.upstream import DEADLINES
from vod2strmfs.settings import Settings


@pytest.fixture
def server() -> Iterator[DispatcharrServer]:
    with DispatcharrServer() as server:
        yield server


@pytest.fixture
def set_up(tmp_path: Path, server: DispatcharrServer) -> SetUp:
    """A library whose films are wanted, with all that `doctor` would remark on said in the settings."""
    made = SetUp(tmp_path, server.url)
    (tmp_path / "films").mkdir()
    made.options |= {"films_root": str(tmp_path / "films"), "max_streams": 2, "films_cache": 0.1}
    return made


def said(settings: Settings) -> list[Finding]:
    return list(films.films(settings))


def want(set_up: SetUp, count: int, failed: int = 0) -> None:
    """Have so many films wanted, of which some were tried in vain."""
    with Films(set_up.folder / "state") as store:
        store.want((Wish(node, Key("movie", 1, str(node)), f"Film {node}.mkv") for node in range(16, 16 + count)), 1)
        for due in store.due(0.0, (), failed):
            store.settle(due, store.begin(due), Outcome(Kind.UNSEEKABLE, "the provider sends all of it"))


def test_nothing_is_said_of_films_that_nobody_wants(tmp_path: Path, server: DispatcharrServer) -> None:
    assert said(SetUp(tmp_path, server.url).settings()) == []
    assert server.requests == []


def test_before_the_first_film_it_says_how_to_learn_one_and_costs_no_provider_anything(
    set_up: SetUp, server: DispatcharrServer
) -> None:
    learnt, mount = said(set_up.settings())
    assert learnt.text.startswith("no film was learnt yet")
    assert "vod2strmfs learn" in learnt.advice
    assert mount.text == f"no films are mounted at {set_up.folder}/films"
    assert all(is_documented(finding) for finding in (learnt, mount))
    # Asked for a title that nobody has, Dispatcharr asks nobody.
    assert [request.split("?")[0].rpartition("/")[2] for request in server.requests] == [
        "00000000-0000-0000-0000-000000000000"
    ]


@pytest.mark.parametrize(
    ("films_root", "how"),
    [("mount", "is output_root as well"), ("mount/Films", "lies in output_root"), (".", "holds output_root")],
)
def test_a_place_where_one_mount_would_hide_the_other(set_up: SetUp, films_root: str, how: str) -> None:
    set_up.options["films_root"] = str(set_up.folder / films_root)
    broken(films.places(set_up.settings()), how, "a folder of their own")


def test_more_films_may_be_kept_than_the_disk_has_room_for(set_up: SetUp) -> None:
    set_up.options["films_cache"] = 1_000_000
    says = ("films_cache is 1,000,000.0 GB, and .* are there", "lower films_cache")
    broken(films.room(set_up.settings(), None), *says, Level.NOTE)
    want(set_up, 30)
    figures = read_figures(set_up.folder / "state")
    assert figures is not None
    broken(films.room(set_up.settings(), figures), *says, Level.NOTE)
    # What waits would fill any disk.
    figures = msgspec.structs.replace(figures, each=1 << 50)
    broken(films.room(set_up.settings(), figures), *says, Level.WARNING)


def test_learning_that_would_take_months(set_up: SetUp) -> None:
    want(set_up, 30)
    set_up.options["learn_rate"] = 0.0004
    broken(
        said(set_up.settings()),
        "30 films wait to be learnt: at 0.0004 a minute that takes 52 days",
        "categories, languages, years",
        Level.WARNING,
    )
    set_up.options["learn_rate"] = 10
    assert {finding.level for finding in said(set_up.settings())} == {Level.NOTE}


def test_more_films_wanted_than_may_be_kept(set_up: SetUp) -> None:
    want(set_up, 40)
    broken(said(set_up.settings()), "has room for about 31 more films, and 40 wait", "give films_cache", Level.WARNING)


def test_episodes_that_are_fetched_for_whoever_opens_a_series_where_nobody_can(set_up: SetUp) -> None:
    set_up.options |= {"hydrate": "on_open", "empty_series": "show"}
    url = set_up.options["database"]
    nobody = ("--base-url", "http://127.0.0.1:9")
    assert list(films.episodes(set_up.settings())) == []  # Nothing is mounted that could be meant.
    with mounted(set_up.folder, url, *nobody, what="films"):
        says = ("shows no series before it has episodes", "Set hydrate = background, or mount the library as well")
        broken(films.episodes(set_up.settings()), *says, Level.WARNING)
        with mounted(set_up.folder, url, *nobody):
            assert list(films.episodes(set_up.settings())) == []
        set_up.options["hydrate"] = "background"
        assert list(films.episodes(set_up.settings())) == []


def test_streams_that_nobody_can_count(set_up: SetUp, tmp_path: Path) -> None:
    set_up.options["max_streams"] = 0
    broken(films.streams(set_up.settings()), "taken for one", "api_key_file", Level.NOTE)
    set_up.options["api_key_file"] = str(tmp_path / "key")
    assert list(films.streams(set_up.settings())) == []
    set_up.options |= {"max_streams": 2, "reserve_streams": 2}
    broken(films.streams(set_up.settings()), "nothing can ever be learnt", "Lower reserve_streams")


def test_a_dispatcharr_that_this_host_does_not_reach_or_that_forbids(set_up: SetUp, server: DispatcharrServer) -> None:
    server.status = 403
    broken(said(set_up.settings()), "films cannot be had: .* 403", "allowed networks")
    set_up.options["direct_urls"] = True
    assert Level.PROBLEM not in {finding.level for finding in said(set_up.settings())}
    set_up.options |= {"direct_urls": False, "base_url": "http://127.0.0.1:9"}
    broken(said(set_up.settings()), "films cannot be had: 127.0.0.1:9 cannot be reached", "base_url has to be")


def test_films_are_looked_for_where_this_host_reaches_dispatcharr(set_up: SetUp, server: DispatcharrServer) -> None:
    set_up.options |= {"base_url": "http://127.0.0.1:9", "api_url": server.url}
    assert Level.PROBLEM not in {finding.level for finding in said(set_up.settings())}
    set_up.options |= {"base_url": server.url, "api_url": "http://127.0.0.1:9"}
    broken(said(set_up.settings()), "films cannot be had: 127.0.0.1:9 cannot be reached", "api_url has to be")


def test_where_another_program_answers_nothing_is_said_of_the_provider(
    set_up: SetUp, server: DispatcharrServer
) -> None:
    server.everywhere = "https://login.example/?next=/proxy"
    broken(said(set_up.settings()), "films cannot be had: .* another page", "must let /proxy/vod/ through")
    assert list(films.ranges(set_up.settings())) == []


def test_a_proxy_that_sends_everybody_on_to_https(set_up: SetUp, server: DispatcharrServer) -> None:
    server.everywhere = "https://films.example/proxy/vod/movie/00000000-0000-0000-0000-000000000000"
    [found] = films.address(set_up.settings())
    assert found.text == f"films cannot be had: {server.url[7:]} sends everybody on to https"
    assert "Write https://" in found.advice


def test_what_could_not_be_learnt_and_what_stopped_it(set_up: SetUp) -> None:
    want(set_up, 3, failed=2)
    found = only([each for each in said(set_up.settings()) if "could not be learnt" in each.text], Level.NOTE)
    assert found.text == "2 could not be learnt (unseekable: the provider sends all of it)"
    assert is_documented(found)
    with Films(set_up.folder / "state") as store:
        store.note(stopped="the room for films is full")
    broken(said(set_up.settings()), "no more films are learnt: the room", "when that is mended", Level.WARNING)


def test_what_stands_where_films_are_to_be(set_up: SetUp) -> None:
    with mounted(set_up.folder, set_up.database.url) as mount:
        set_up.options["films_root"] = str(mount.path)
        # It is a library of .strm files: it does not answer for films.
        broken(films.mount(set_up.settings()), f"mounted at {mount.path}, but", "choose another", Level.WARNING)
        mount.process.kill()
        mount.process.wait()
        broken(films.mount(set_up.settings()), "is dead: its process has gone", "vod2strmfs films")
    (other := set_up.folder / "other").mkdir()
    set_up.options["films_root"] = str(other)
    subprocess.run(["mount", "-t", "proc", "proc", other], check=True)
    try:
        broken(films.mount(set_up.settings()), f"a proc file system is mounted at {other}", "another films_root")
    finally:
        subprocess.run(["umount", other], check=True)


def test_films_that_are_mounted_elsewhere_than_the_settings_say(set_up: SetUp, tmp_path: Path) -> None:
    with mounted(set_up.folder, set_up.database.url, "--base-url", set_up.options["base_url"], what="films") as mount:
        assert films.elsewhere(set_up.settings()) == []
        set_up.options["films_root"] = str(tmp_path / "other")
        found = films.elsewhere(set_up.settings())
        broken(found, f"films are mounted at {mount.path}, and films_root is", "films_root", Level.NOTE)
        assert said(set_up.settings())[-1] == found[0]


def test_plex_is_no_mistake_where_films_are_mounted(set_up: SetUp) -> None:
    set_up.options["media_server"] = "plex"

    def warnings() -> list[str]:
        return [each.text for each in unusual(set_up.settings()) if "Plex" in each.text]

    assert len(warnings()) == 1
    with mounted(set_up.folder, set_up.database.url) as mount:
        set_up.options["films_root"] = str(mount.path)
        assert warnings() == []


@pytest.fixture
def film() -> dict[str, Any]:
    """A film of the catalogue, as keywords of a `Stream`."""
    return {"uuid": "11111111-1111-1111-1111-111111111111", "account": 1, "stream": "4711", "film": Pattern(3 << 20)}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(), "a film of 3.1 MB can be read from any place"),
        (Fault(ignores_ranges=True), "a film cannot be read in parts: it comes from its beginning, whatever is asked"),
        (Fault(page=True), "a film cannot be read in parts: Dispatcharr sends text/html, which is no film"),
        (Fault(status=403), "a film cannot be read in parts: "),
    ],
)
def test_a_film_is_read_twice_to_see_whether_it_can_be_read_in_parts(
    tmp_path: Path, film: dict[str, Any], fault: Fault, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "DEADLINES", DEADLINES._replace(quiet=0.0))
    catalogue = Catalogue()
    account = catalogue.account("Provider")
    movie = catalogue.movie("Heat", relations=[], uuid=film["uuid"], year=1995)
    catalogue.relate(movie, account, stream_id=film["stream"])
    with DispatcharrProxy([Stream(**film | {"account": account.id})]) as proxy:
        proxy.provider.faults[film["stream"]] = fault
        set_up = SetUp(tmp_path, proxy.url, catalogue)
        assert list(films.ranges(set_up.settings())) == []
        set_up.options["films_root"] = str(tmp_path / "films")
        [found] = films.ranges(set_up.settings())
        assert found.text.startswith(says)
        assert found.level == (Level.OK if fault == Fault() else Level.PROBLEM)
        assert found.level == Level.OK or is_documented(found)
