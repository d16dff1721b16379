"""What the shrink brake holds is explained in one sentence, wherever it is."""

import html
import re
import shlex
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from databases import Database
from libraries import Library
from mounts import command, eventually, mounted
from postgres_server import free_port

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor.index import index
from vod2strmfs.errors import Exit
from vod2strmfs.index.held import advise, explain
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import node_of
from vod2strmfs.settings import LibrarySettings, load


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def catalogue(movies: int = 100, episodes: int = 100, name: str = "Film", *, series: int = 4) -> Catalogue:
    """Movies of the years from 1950 on, and series with a quarter of the episodes each."""
    made = Catalogue()
    for number in range(movies):
        made.movie(f"{name} {number}", year=1950 + number)
    for number in range(series):
        show = made.series(f"Show {number}", year=1990 + number * 10, id=number + 1)
        for episode in range(25):
            if number * 25 + episode < episodes:
                made.episode(show, 1, episode, f"Part {episode}", id=number * 25 + episode + 1)
    return made


def explained(library: Library) -> str:
    with closing(Store(library.state_dir)) as store:
        return f"{explain(store.held)} {advise(store.held, 'do it')}" if store.held else ""


def test_what_is_gone(library: Library) -> None:
    library.show(catalogue())
    library.show(catalogue(60, 60))
    assert explained(library) == (
        "40 of 100 movies and 40 of 100 episodes are gone from the catalogue and were kept"
        " (more than max_shrink = 20 %). If it is gone for good, do it."
    )
    library.show(catalogue())
    assert explained(library) == ""


def test_the_limit_that_is_set_is_the_one_that_is_named(library: Library) -> None:
    library.show(catalogue())
    library.show(catalogue(60), max_shrink=30)
    assert "40 of 100 movies are gone from the catalogue and were kept (more than max_shrink = 30 %)." in explained(
        library
    )
    library.sync(library.last_url, max_shrink=35)
    assert "(more than max_shrink = 35 %)" in explained(library)


def test_what_a_filter_keeps_out_is_not_gone(library: Library) -> None:
    library.show(catalogue())
    outcome = library.show(catalogue(), LibrarySettings(years="2000-"))
    assert explain(outcome.kept) == explained(library).partition(" If")[0]
    assert explained(library) == (
        "50 of 100 movies and 25 of 100 episodes are kept out by years = 2000- and were kept all the same"
        " (more than max_shrink = 20 %). If the filter is meant to, do it. If not, change years = 2000-."
    )


def of_two_providers(seed: int = 0) -> Catalogue:
    """A hundred movies and a hundred episodes: a quarter of them Alpha's, a quarter Beta's, the others of both. Another
    seed gives other ids and UUIDs."""
    made = Catalogue(seed)
    alpha, beta = made.account("Alpha", priority=10), made.account("Beta", username="other")
    for number, accounts in enumerate([[alpha], [beta], [alpha, beta], [alpha, beta]]):
        for film in range(25):
            title = number * 25 + film
            movie = made.movie(f"Film {title}", year=1920 + title, id=seed * 1000 + title + 1, relations=[])
            for account in accounts:
                made.relate(movie, account, stream_id=f"m{title}")
        series = made.series(f"Show {number}", id=seed * 1000 + number + 1, relations=accounts)
        for part in range(25):
            row = seed * 1000 + number * 25 + part + 1
            episode = made.episode(series, 1, part, f"Part {part}", id=row, relations=[])
            for account in accounts:
                made.relate(episode, account, stream_id=f"{account.name} {number} {part}")
    return made


def episodes(library: Library) -> dict[str, set[int]]:
    """The nodes of each episode."""
    found: dict[str, set[int]] = {}
    for path, entry in library.tree().items():
        if path.startswith("TV/") and path.endswith(".strm"):
            found.setdefault(path[: path.index(" –")], set()).add(node_of(entry.inode))
    return found


@pytest.mark.parametrize(("before", "after"), [("best", "all"), ("all", "best"), ("best", "best")], ids=str)
def test_episodes_of_which_another_providers_are_wanted_stay(library: Library, before: str, after: str) -> None:
    """Whether there is a file for each relation before or then."""
    library.show(of_two_providers(), LibrarySettings.model_validate({"versions": before}))
    known = episodes(library)
    settings = LibrarySettings.model_validate({"versions": after, "accounts": ["Beta"]})
    outcome = library.show(of_two_providers(), settings, max_shrink=30)
    assert explain(outcome.kept) == ""
    left = episodes(library)
    assert len(left) == 75
    assert all(len(nodes) == 1 and nodes <= known[episode] for episode, nodes in left.items())


@pytest.mark.parametrize("accounts", [(), ("Beta",)], ids=["", "with a filter"])
def test_fewer_files_of_the_same_episodes_are_no_loss(library: Library, accounts: tuple[str, ...]) -> None:
    library.show(of_two_providers(), LibrarySettings(versions="all", accounts=accounts))
    known = episodes(library)
    outcome = library.show(of_two_providers(), LibrarySettings(accounts=accounts), max_shrink=0)
    assert explain(outcome.kept) == ""
    left = episodes(library)
    assert left.keys() == known.keys()
    assert all(len(nodes) == 1 and nodes <= known[episode] for episode, nodes in left.items())


def test_what_a_filter_keeps_out_is_kept_out_under_new_keys_too(library: Library) -> None:
    """Of the rows, while it is held, and in the moment in which the filter comes."""
    library.show(of_two_providers())
    filtered = LibrarySettings(years="1990-")
    for seed in (0, 1, 2):
        library.show(of_two_providers(seed), filtered)
        assert explained(library).startswith("70 of 100 movies and 100 of 100 episodes are kept out by years = 1990-")
    library.show(of_two_providers(3))
    assert explained(library) == ""
    library.show(of_two_providers(4), filtered)
    assert "gone" not in explained(library)
    assert "70 of 100 movies and 100 of 100 episodes are kept out" in explained(library)


@pytest.mark.parametrize("versions", ["best", "all"])
def test_what_one_providers_filter_keeps_out_is_not_gone(library: Library, versions: str) -> None:
    given = {"versions": versions}
    library.show(of_two_providers(), LibrarySettings.model_validate(given))
    for seed in (0, 1):
        library.show(
            of_two_providers(seed), LibrarySettings.model_validate(given | {"accounts": ["Beta"]}), max_shrink=0
        )
        assert "gone" not in explained(library)
        assert "kept out by accounts = Beta" in explained(library)


def test_several_reasons_at_once(library: Library) -> None:
    library.show(catalogue(episodes=0, series=0))
    other = catalogue(99, 0, "HTTP 502 Bad Gateway", series=0)
    library.show(catalogue(70, 0, series=0), LibrarySettings(genres=("!Nothing",), ids=("!tmdb:1",), years="-2015"))
    assert explained(library).startswith("30 of 100 movies are gone from the catalogue")
    library.show(other, LibrarySettings(genres=("!Nothing",), ids=("!tmdb:1",), years="-2015"))
    said = explained(library)
    assert "of 100 movies have another name or place in the catalogue and were left as before" in said
    assert "and the new names are right, do it." in said


def test_names(library: Library) -> None:
    library.show(catalogue())
    library.show(catalogue(name="HTTP 502 Bad Gateway"))
    assert explained(library) == (
        "100 of 100 movies have another name or place in the catalogue and were left as before"
        " (more than max_shrink = 20 %). If the new names are right, do it."
    )


def test_all_that_a_series_has(library: Library) -> None:
    library.show(catalogue(0, 80))
    library.show(catalogue(0, 75))
    assert explained(library) == (
        "5 of 80 episodes are gone from the catalogue and were kept (their series would have none left)."
        " If it is gone for good, do it."
    )


def test_all_there_is(library: Library) -> None:
    library.show(catalogue(3, 3))
    library.show(catalogue(1, 0))
    assert "3 of 3 episodes are gone from the catalogue and were kept (nothing would be left)." in explained(library)


def test_the_days_total(library: Library) -> None:
    library.show(catalogue())
    library.show(catalogue(85))
    library.show(catalogue(70))
    assert explained(library) == (
        "15 of 85 movies are gone from the catalogue and were kept"
        " (with what went in the last 24 hours more than max_shrink = 20 %). If it is gone for good, do it."
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, ""),
        ({"state_dir": "/a folder/state"}, " --state-dir '/a folder/state'"),
        (
            {"years": "2000-", "clean_titles": False, "versions": "all"},
            " --years 2000- --no-clean-titles --versions all",
        ),
        ({"max_shrink": "30", "debug_logging": True, "output_root": "/data"}, " --max-shrink 30"),
        ({"database": "sqlite:////x.db"}, " --database sqlite:////x.db"),
        ({"database": "postgresql://user@host/name"}, " --database postgresql://user@host/name"),
        ({"database": "postgresql://user:secret@host/name"}, " --database URL"),
        ({"database": "postgresql://host/name?password=secret"}, " --database URL"),
    ],
    ids=str,
)
def test_a_command_to_paste_names_what_was_given(given: dict[str, Any], shown: str) -> None:
    assert load(None, given, {}).command("sync", "--accept-shrink") == f"vod2strmfs sync --accept-shrink{shown}"


def test_a_settings_file_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.toml").write_text("years = '2000-'")
    monkeypatch.chdir(tmp_path)
    assert load(Path("own.toml"), {}, {}).command("sync") == f"vod2strmfs sync --config {tmp_path}/own.toml"


def test_the_same_is_said_everywhere_and_its_command_can_be_pasted(tmp_path: Path) -> None:
    """By the log, status, the page and the doctor of a mount, and by sync."""
    database = Database(f"sqlite:///{tmp_path}/catalogue.db").fill(catalogue(100, 0, series=0))
    port = free_port()
    config = tmp_path / "its settings.toml"
    config.write_text(f"database = '{database.url}'\nstate_dir = '{tmp_path}/state'\nbase_url = 'http://host:9191'\n")
    said = "40 of 100 movies are gone from the catalogue and were kept (more than max_shrink = 20 %)"
    accept = f"vod2strmfs sync --accept-shrink --config '{config}'"
    options = ("--config", str(config), "--status-listen", f"127.0.0.1:{port}")
    with mounted(tmp_path, database.url, *options) as mount:
        database.execute("DELETE FROM vod_m3umovierelation WHERE id <= 40")
        eventually(lambda: mount.stat("movies_held") == "40")
        eventually(lambda: said in mount.log.read_text())
        status = subprocess.run(command("status", "--config", config), capture_output=True, text=True, check=False)
        page = urlopen(f"http://127.0.0.1:{port}/").read().decode()
        sync = subprocess.run(command("sync", "--config", config), capture_output=True, text=True, check=False)
        [finding] = [each for each in index(load(config, {}, {})) if each.check == "shrink brake"]
        assert status.returncode == sync.returncode == Exit.SHRINK
        assert said in status.stderr
        assert said in sync.stderr
        assert said in page
        assert said in finding.text
        assert accept in sync.stderr
        assert accept in finding.advice
        for text in (mount.log.read_text(), status.stderr):
            assert f"vod2strmfs sync --accept-shrink --config '{config}' --database {database.url} --state-dir" in text
        in_words = html.unescape(re.sub("<[^>]*>", "", page))
        assert f"vod2strmfs sync --accept-shrink --config '{config}' --database {database.url} --state-dir" in in_words
        pasted = shlex.split(status.stderr.partition("`vod2strmfs ")[2].partition("`")[0])
        subprocess.run(command(*pasted), check=True, capture_output=True)
        eventually(lambda: mount.stat("movies_held") == "0")
