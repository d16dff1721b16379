"""What `status`, the page and the metrics say of films that play: how far learning is, what plays, what was refused."""

import json
import os
import re
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import learnt as films_learnt
import msgspec
import pytest
from databases import Database
from libraries import Library
from mounts import TIMEOUT, command, eventually, mounted
from prometheus_client.parser import text_string_to_metric_families

from vod2strmfs.catalog.open import open_source
from vod2strmfs.cli.status import film_lines
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit, IndexFileError
from vod2strmfs.films.figures import Figures, describe, read_figures
from vod2strmfs.films.film import Key
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Films, Learnt, Wish, holding
from vod2strmfs.notify.account import Account
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.status.state import AccountStreams, FilmsState, MountState, PlayingFilm, decode, encode
from vod2strmfs.sync.run import sync
from vod2strmfs.web.known import Known, look
from vod2strmfs.web.metrics import render
from vod2strmfs.web.pages import Pages

_MOUNT = MountState(
    "1", 43, "/data/Films", 9000.0, 1800.0, 2, 1.0, 1.0, 0.0, "", {"index": {"movies": "1"}}, 7, 0.0, 0, 0, 0, 0, 0,
    films=FilmsState(
        playing=(
            PlayingFilm("Heat (1995)", 3, 1_250_000.0, error="Dispatcharr hung up"),
            PlayingFilm("Ran (1985)", 4, 400_000.0, background=True),
        ),
        accounts=(
            AccountStreams(3, 1, 1, 0, 2, 1_800_000_000.0, "films that play use the 1 stream of its account"),
            AccountStreams(4, 0, 1, 1, 0, background=5_000_000_000),
        ),
        received=12_300_000_000,
    ),
    servers=(Account("plex at nas", 3, 40, 1_800_000_000.0, 2, 1_800_000_000.0, 0.0, "answers 500 (no reason given)"),),
)  # fmt: skip


@pytest.fixture
def learnt(tmp_path: Path) -> Figures:
    """What is said of a state directory in which one film was learnt, one cannot be, and ten wait."""
    with Films(tmp_path) as store:
        wishes = (Wish(node, Key("movie", 3, str(node)), f"Movies/{node}.mkv") for node in range(16, 28))
        store.want(wishes, 1)
        store.note(rate=10, limit=20_000_000_000, budget=50_000_000_000)
        first, second = store.due(0.0, (), 2)
        with store.draft(first) as draft:
            draft.write(0, bytes(1 << 20))
            outcome = Outcome(Kind.LEARNT, taken=2_000_000)
            store.settle(first, store.begin(first), outcome, Learnt(1 << 20, ".mkv", 60, 1, 2), draft)
        store.settle(second, store.begin(second), Outcome(Kind.UNSEEKABLE, "the provider sends all of it"))
    with holding(tmp_path):
        figures = read_figures(tmp_path)
    assert figures is not None
    return figures


def test_status_says_what_is_learnt_what_plays_and_what_was_refused(learnt: Figures) -> None:
    shown = [f"{heading}: {text}" for heading, text in film_lines(_MOUNT, "", learnt, {3: "Alpha"}, learnt.done - 60)]
    whole = "\n".join(shown)
    assert "films: /data/Films, for 2 hours (process 43)" in whole
    assert "1 film learnt" in whole
    assert "10 waiting, at most 10 a minute" in whole
    assert "1 could not be learnt (unseekable: the provider sends all of it)" in whole
    assert "done in about 1 minute" in whole
    assert "kept: 1.0 MB of 20.0 GB" in whole
    assert "taken: 2.0 MB of 50.0 GB within 24 hours, to learn" in whole
    assert "plays: Heat (1995), from account Alpha, 1.2 MB a second; Dispatcharr hung up" in shown
    assert "plays: Ran (1985), from account 4, 0.4 MB a second, in the background" in shown
    assert re.search(
        r"refused: 2 times, account Alpha, last 2027-01-1\d .*: films that play use the 1 stream of its account", whole
    )
    assert "unwatched: 5.0 GB from account 4 within 24 hours" in shown
    told = "told: plex at nas: 40 folders, 3 waiting, failing since 2027-01-1"
    assert any(line.startswith(told) and line.endswith(": it answers 500 (no reason given)") for line in shown)
    assert "received: 12.3 GB from providers since it was mounted" in shown


def test_when_learning_is_done_is_not_said_while_nobody_learns(tmp_path: Path, learnt: Figures) -> None:
    figures = read_figures(tmp_path)
    assert figures is not None
    assert (learnt.done > 0, figures.done) == (True, 0)
    assert "done in about" not in describe(figures, learnt.done - 60)
    assert "10 wait." in words_of(Pages(tmp_path, tmp_path).front())


def test_a_mount_of_films_that_has_gone_or_hangs_is_told_beside_what_is_learnt(learnt: Figures) -> None:
    assert ("films", "not mounted") in list(film_lines(None, "", learnt, {}, 0.0))
    hung = "state directory /state/films: the mount does not answer within 5 seconds. See its log"
    assert ("films", hung) in list(film_lines(None, hung, None, {}, 0.0))
    assert list(film_lines(None, "", None, {}, 0.0)) == []


def test_what_a_mount_of_films_says_comes_through_its_socket_unchanged() -> None:
    assert decode(encode(_MOUNT)) == _MOUNT


def test_metrics_say_what_is_learnt_and_what_plays(learnt: Figures) -> None:
    text = render(Known(learning=learnt, films=_MOUNT)).decode()
    found = {
        (sample.name.removeprefix("vod2strmfs_films_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("vod2strmfs_films_")
    }
    expected = {
        ("up",): 1, ("wanted", "learnt"): 1, ("wanted", "waiting"): 10, ("wanted", "failing"): 1,
        ("failing", "unseekable: the provider sends all of it"): 1, ("kept_bytes",): 1 << 20,
        ("limit_bytes",): 20e9, ("taken_bytes",): 2e6, ("budget_bytes",): 50e9, ("rate",): 10, ("stopped",): 0,
        ("playing",): 2, ("received_bytes_total",): 12.3e9, ("refused_total", "3"): 2, ("refused_total", "4"): 0,
        ("streams", "3", "viewers"): 1, ("streams", "4", "learning"): 1, ("generation",): 2,
        ("background_bytes", "4"): 5e9, ("told_folders_total", "plex at nas"): 40,
        ("waiting_folders", "plex at nas"): 3, ("server_failing_since_seconds", "plex at nas"): 1.8e9,
    }  # fmt: skip
    assert {key: found.get(key) for key in expected} == expected
    assert found["done_time_seconds",] == pytest.approx(learnt.done)
    gone = render(Known(learning=learnt)).decode()
    assert "vod2strmfs_films_up 0.0" in gone
    assert "vod2strmfs_films_playing" not in gone


def words_of(page: str) -> str:
    """A page's text."""
    return " ".join(re.sub("<[^>]*>", "", page).split())


def test_the_page_says_how_far_learning_is_and_what_plays(
    tmp_path: Path, learnt: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue()
    catalogue.account("Beta", active=False)
    catalogue.account("Gamma", active=False)
    catalogue.movie("Heat", relations=[catalogue.account("Alpha\x1b")])
    catalogue.write(f"sqlite:///{tmp_path}/demo.db")
    with closing(open_source(f"sqlite:///{tmp_path}/demo.db")) as source:
        sync(source, LibrarySettings(), tmp_path)
    pages = Pages(tmp_path, tmp_path)
    with holding(tmp_path):
        front = words_of(pages.front())
    assert "Learning films that play 1 film is learnt; 10 wait, until about" in front
    assert "Mountedno" in front
    assert "Asked for in vain: unseekable: the provider sends all of it1" in front
    assert "Room that they take1.0 MB of 20.0 GB" in front
    assert "What plays" not in front

    monkeypatch.setattr(pages, "known", lambda: look(tmp_path)._replace(films=_MOUNT))
    whole = pages.front()
    front = words_of(whole)
    assert "What plays Heat (1995), from account Alpha, 1.2 MB a second; Dispatcharr hung up" in front
    assert "from account 4, 0.4 MB a second, in the background" in front
    assert "Mounted/data/Films, for 2 hours" in front
    assert "Streams of account Alpha1 to watch, 0 to learn, of 1" in front
    assert "Refused for want of a stream, account Alpha2; last " in front
    # Only films are mounted, and that is well.
    assert '<div class="card good" id="health">' in whole
    assert front.count("plex at nas cannot be told what changed 3 folders to be told of") == 1
    assert front.count("Media servers that are told what changed plex at nas Told of40 folders") == 1

    library = msgspec.structs.replace(_MOUNT, films=None, servers=())
    monkeypatch.setattr(pages, "known", lambda: look(tmp_path)._replace(mount=library, films=_MOUNT))
    front = words_of(pages.front())
    assert "plex at nas cannot be told what changed in the films 3 folders to be told of" in front
    assert "Media servers that are told what changed in the films plex at nas Told of40 folders" in front

    with Films(tmp_path) as store:
        store.note(stopped="The room for films is full.")
    assert "No more films are learnt The room for films is full." in words_of(pages.front())


def status(state_dir: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = command("status", "--state-dir", state_dir, *options)
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def two_films(folder: Path) -> str:
    """A library of two films, of which one was learnt; returns its database."""
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    catalogue.movie("Ran", year=1985)
    database = Database(f"sqlite:///{folder}/demo.db").fill(catalogue).url
    Library(folder).sync(database)
    films_learnt.learn(folder / "state", "Heat (1995)")
    return database


def test_status_shows_both_mounts_and_each_can_be_asked_alone(tmp_path: Path) -> None:
    url, state = two_films(tmp_path), tmp_path / "state"
    unmounted = status(state)
    assert (unmounted.returncode, "not mounted" in unmounted.stdout) == (Exit.MOUNT, True)
    assert "no mount is running" in unmounted.stderr
    assert status(state, "--films").returncode == Exit.MOUNT

    (tmp_path / "films").mkdir()
    nobody = ("--base-url=http://127.0.0.1:1", "--learn-rate=0.1", f"--state-dir={state}")
    with mounted(tmp_path / "films", url, *nobody, what="films") as films:
        shown = status(state)
        assert (shown.returncode, shown.stderr) == (Exit.OK, "")
        assert re.search(rf"^films +{films.path}, for .* \(process {films.process.pid}\)$", shown.stdout, re.M)
        assert re.search("^shown +1 movie, 0 series, 0 episodes$", shown.stdout, re.M)
        with mounted(tmp_path, url) as library:
            both = status(state)
            assert f"mount         {library.path}" in both.stdout
            assert f"films         {films.path}" in both.stdout
            told = json.loads(status(state, "--json").stdout)
            assert (told["pid"], told["films_mount"]["pid"]) == (library.process.pid, films.process.pid)
            assert told["films_mount"]["films"]["playing"] == []
            assert told["learning"]["learnt"] == 1
            assert told["films_mount"]["merge"] == told["merge"] == "titles, the default"
            alone = status(state, "--films").stdout
            assert str(library.path) not in alone
            assert re.search("^merge +titles, the default$", alone, re.M)

            # One that hangs is told, and costs the other nothing.
            os.kill(films.process.pid, signal.SIGSTOP)
            try:
                hung = status(state, "--timeout=3")
                assert (hung.returncode, "the mount does not answer" in hung.stdout) == (Exit.OK, True)
                assert status(state, "--films", "--timeout=0.5").returncode == Exit.MOUNT
            finally:
                os.kill(films.process.pid, signal.SIGCONT)
            eventually(lambda: status(state, "--films").returncode == Exit.OK)


def test_a_library_that_is_called_films_is_left_alone_and_not_taken_for_films(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    url = Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue).url
    with mounted(tmp_path, url, f"--state-dir={tmp_path}/state/films"):
        assert status(tmp_path / "state/films").returncode == Exit.OK
        assert "no mount of films is running" in status(tmp_path / "state", "--films").stderr
        assert look(tmp_path / "state").films is None
        with pytest.raises(IndexFileError, match="is that of a library called films"):
            Films(tmp_path / "state")
        assert status(tmp_path / "state/films").returncode == Exit.OK
