"""`vod2strmfs learn`: what it does and says."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from click.testing import CliRunner, Result
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Fault, Stream
from films import catalogue_of
from libraries import Library
from mounts import TIMEOUT, command, eventually, mounted
from terminals import on_terminal

from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import IndexFileError, SettingsError
from vod2strmfs.films import learner, wanted
from vod2strmfs.films.admission import Admission, Rank
from vod2strmfs.films.figures import describe, read_figures
from vod2strmfs.films.film import Key
from vod2strmfs.films.learner import Learner
from vod2strmfs.films.order import FilmsOrder
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Films, are_mounted, holding
from vod2strmfs.films.upstream import Upstream
from vod2strmfs.settings import LibrarySettings, Settings

RATE = ("--learn-rate", "6000")


class Place:
    """A library of three films, each of an account of its own.

    Args:
        directory: an empty folder.
        film: what all of them are.
    """

    def __init__(self, directory: Path, film: Path) -> None:
        self.streams = [Stream(f"00000000-0000-4000-8000-00000000000{n}", n, f"s{n}", film) for n in (1, 2, 3)]
        self.proxy = DispatcharrProxy(self.streams)
        self.library = Library(directory)
        self.state_dir = self.library.state_dir

    def show(self) -> None:
        """Sync."""
        self.library.show(catalogue_of(self.streams), LibrarySettings(base_url=self.proxy.url))

    def learn(self, *arguments: str, rate: tuple[str, ...] = RATE) -> Result:
        """Run the command."""
        line = ["learn", *arguments, *rate, "--state-dir", str(self.state_dir), "--config", ""]
        return CliRunner().invoke(cli, line)

    def learnt(self) -> list[str]:
        """The streams of the films that were."""
        with Films(self.state_dir) as films:
            return [each.stream for each in self.streams if films.known(Key("movie", each.account, each.stream))]


@pytest.fixture
def place(tmp_path: Path, real_films: dict[str, Path]) -> Iterator[Place]:
    """Such a library."""
    place = Place(tmp_path, real_films["mkv-cues-behind"])
    with place.proxy:
        place.show()
        yield place


def test_all_that_the_library_has_is_learnt(place: Place) -> None:
    done = place.learn()
    assert done.exit_code == 0, done.output
    assert "3 films learnt (" in done.stdout
    assert "3 are known" in done.stdout
    assert place.learnt() == ["s1", "s2", "s3"]

    again = place.learn("--json")
    said = json.loads(again.stdout)
    assert (said["outcomes"], said["left"], said["elsewhere"], said["stopped"]) == ({}, 0, False, False)
    assert (said["films"]["learnt"], said["films"]["waiting"]) == (3, 0)
    assert said["exit_code"] == 0


def test_so_many_are_learnt_as_are_asked_for(place: Place) -> None:
    done = place.learn("--limit", "1", "--json")
    said = json.loads(done.stdout)
    assert (said["outcomes"], said["left"]) == ({"learnt": 1}, 2)
    assert said["bytes"] > 100_000
    assert len(place.learnt()) == 1


def test_what_is_named_is_learnt_alone(place: Place) -> None:
    done = place.learn("film 2*")
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"1 film learnt \(.* from providers\); 1 is known\.\n.*", done.stdout, re.DOTALL), done.stdout
    assert place.learnt() == ["s2"]
    done = place.learn("Film 1 (2001)", "Film 3*", "--json")
    assert json.loads(done.stdout)["outcomes"] == {"learnt": 2}


def test_what_was_named_before_and_not_learnt_is_not_meant_by_another_name(place: Place) -> None:
    place.learn("*", "--limit", "1")
    assert len(place.learnt()) == 1
    left = next(n for n in (1, 2, 3) if f"s{n}" not in place.learnt())
    done = place.learn(f"Film {left}*")
    assert done.stderr.startswith("1 film is to be learnt: ")
    assert "still to be learnt" not in done.stdout
    assert len(place.learnt()) == 2


def test_a_film_that_failed_is_tried_again_when_it_is_named(place: Place) -> None:
    place.proxy.provider.faults["s1"] = Fault(ignores_ranges=True)
    done = place.learn()
    assert "1 not learnt: unseekable: Dispatcharr sends the beginning whatever" in done.stdout
    assert place.learnt() == ["s2", "s3"]
    del place.proxy.provider.faults["s1"]
    eventually(lambda: not place.proxy.sessions)
    place.learn()
    assert place.learnt() == ["s2", "s3"]
    place.learn("Film 1*")
    assert place.learnt() == ["s1", "s2", "s3"]


def test_a_name_that_no_film_has_is_said(place: Place) -> None:
    done = place.learn("Unheard of")
    assert isinstance(done.exception, SettingsError)
    assert "There is no film 'Unheard of' in the library" in str(done.exception)
    assert place.proxy.requests == []
    figures = read_figures(place.state_dir)
    assert figures
    assert describe(figures, time.time()) == "0 films learnt (0.0 MB kept); 3 waiting"  # nobody has begun: no limits


def test_without_a_library_nothing_is_learnt(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["learn", "--state-dir", str(tmp_path / "none"), "--config", ""])
    assert isinstance(done.exception, IndexFileError)
    assert f"state directory {tmp_path}/none: holds no library yet" in str(done.exception)


def test_what_it_will_cost_is_said_before(place: Place) -> None:
    done = place.learn(rate=("--learn-rate", "1", "--limit", "1"))
    assert done.stderr == "1 film is to be learnt: about 3.1 MB from providers, in 1 minute or more.\n"
    assert "1 film learnt" in done.stdout
    assert "2 are still to be learnt." in done.stdout
    taken = json.loads(place.learn("--limit", "1", "--json").stdout)["films"]["each"]
    # By what the first one cost.
    done = place.learn("-q")
    assert (done.stdout, done.stderr) == ("", "")
    assert 100_000 < taken < 3_000_000


def test_what_it_will_cost_has_a_line_of_its_own_above_the_bar(place: Place) -> None:
    line = ("learn", "--limit", "1", *RATE, "--state-dir", place.state_dir, "--config", "")
    code, written = on_terminal(*line)
    assert code == 0, written
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.replace("\r", "\n")).splitlines()
    assert [each for each in lines if each.startswith("1 film is to be learnt: about ")], written


@contextmanager
def learning_elsewhere(place: Place, *, watched: int = 0, **changed: Any) -> Iterator[threading.Event]:
    """A learner such as a mount of films has. Somebody watches an account's only stream, if one is said, until the
    event is set."""
    order = FilmsOrder.of(Settings()).model_copy(update={"learn_rate": 6000.0} | changed)
    ended, seen = threading.Event(), threading.Event()

    async def watch(admission: Admission) -> None:
        async with admission.lease(watched, Rank.VIEWER):
            while not seen.is_set():
                await trio.sleep(0.05)

    async def run() -> None:
        with Films(place.state_dir, order.cache) as films:
            addresses, admission = wanted.Addresses(place.state_dir, films), Admission(order)
            learning = Learner(order, films, Upstream(), addresses, admission, place.state_dir)
            async with trio.open_nursery() as nursery:
                if watched:
                    nursery.start_soon(watch, admission)
                    await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(learning.run)
                while not ended.is_set():
                    await trio.sleep(0.05)
                nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def test_beside_a_mount_that_learns_it_asks_that_and_looks_on(place: Place) -> None:
    with learning_elsewhere(place, learn_rate=30.0):
        eventually(lambda: bool(place.proxy.requests))
        done = place.learn("Film 1*", "--json")
        said = json.loads(done.stdout)
        assert (said["elsewhere"], said["left"], said["outcomes"]) == (True, 0, {})
        assert "s1" in place.learnt()


def test_beside_a_mount_it_says_whose_stream_it_waits_for_and_other_accounts_films_are_learnt(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film may be watched for hours, and nobody would know what is waited for."""
    monkeypatch.setattr(learner, "_SAID_SECONDS", 0.0)
    line = command("learn", *RATE, "--state-dir", place.state_dir, "--config", "")
    with (
        learning_elsewhere(place, watched=1) as seen,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr
        assert any("Account Provider 1 has no stream free to learn with since 20" in text for text in process.stderr)
        eventually(lambda: place.learnt() == ["s2", "s3"])
        assert process.poll() is None
        figures = read_figures(place.state_dir)
        assert figures is not None
        assert "those of account Provider 1 wait for a stream of it, since " in describe(figures, time.time())
        seen.set()
        assert "Account" not in process.stderr.read()
        assert process.wait() == 0
    assert place.learnt() == ["s1", "s2", "s3"]
    figures = read_figures(place.state_dir)
    assert figures is not None
    assert figures.full == {}


def test_once_nobody_learns_any_more_nobody_is_said_to_wait_for_a_stream(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "_SAID_SECONDS", 0.0)

    def full() -> dict[str, float]:
        figures = read_figures(place.state_dir)
        return figures.full if figures else {}

    with learning_elsewhere(place, watched=1):
        eventually(lambda: list(full()) == ["account Provider 1"])
    assert full() == {}


def test_what_was_begun_before_films_were_mounted_is_left_to_the_mount(
    tmp_path: Path, real_films: dict[str, Path]
) -> None:
    """It alone knows who watches, and of an account with one stream a viewer needs that one."""
    made = Catalogue()
    account = made.account("Provider")
    movies = [made.movie(name) for name in ("Heat", "Jaws", "Ronin")]
    film = real_films["mkv-cues-behind"]
    streams = [Stream(str(each.uuid), account.id, each.relations[0].stream_id, film) for each in movies]
    url = f"sqlite:///{tmp_path}/catalogue.db"
    made.write(url)
    state = ("--state-dir", tmp_path / "state", "--config", "")
    with DispatcharrProxy(streams, max_streams={account.id: 1}) as proxy:
        base = ("--base-url", proxy.url)
        subprocess.run(command("sync", "--database", url, *base, *state), check=True)
        proxy.provider.always = Fault(rate=5_000)
        line = command("learn", "--json", *RATE, *state, "--", "*")
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
            eventually(lambda: proxy.provider.counted().sent > 0)
            first = set(proxy.sessions)
            proxy.provider.always = Fault()
            with mounted(tmp_path, url, *base, *RATE, what="films") as films:
                # The film would have taken it minutes.
                eventually(lambda: not first & proxy.sessions.keys())
                assert process.stdout
                said = json.loads(process.stdout.read())
                assert process.wait() == 0
                shown = [films.path / f"Movies/{name}/{name}.mkv" for name in ("Heat", "Jaws", "Ronin")]
                eventually(lambda: all(each.exists() for each in shown))
                assert shown[0].read_bytes() == film.read_bytes()
        assert (said["elsewhere"], said["outcomes"], said["left"], said["films"]["learnt"]) == (True, {}, 0, 3)
        assert proxy.broken_rules == []


@pytest.fixture
def looks_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the command looks on while somebody else learns."""
    event = threading.Event()

    def look(state_dir: Path) -> bool:
        event.set()
        return are_mounted(state_dir)

    monkeypatch.setattr("vod2strmfs.films.command.are_mounted", look)
    return event


def test_beside_a_mount_it_looks_on_no_longer_than_its_limit_takes(place: Place, looks_on: threading.Event) -> None:
    ended = threading.Event()

    def settle_one_and_much_later_the_others() -> None:
        looks_on.wait(TIMEOUT)
        with Films(place.state_dir) as films:
            for wait in (0.0, 10.0, 0.0):
                ended.wait(wait)
                [due] = films.due(time.time(), (), 1)
                films.settle(due, films.begin(due), Outcome(Kind.UNSEEKABLE, "it is sent from its beginning"))

    with Films(place.state_dir) as films, holding(place.state_dir) as held:
        assert held
        wanted.look(place.state_dir, films)
        other = threading.Thread(target=settle_one_and_much_later_the_others)
        other.start()
        said = json.loads(place.learn("--limit", "1", "--json").stdout)
        ended.set()
        other.join()
    assert (said["elsewhere"], said["left"]) == (True, 2)


def test_it_looks_on_no_longer_than_somebody_learns(place: Place, looks_on: threading.Event) -> None:
    begun = threading.Event()

    def hold() -> None:
        with holding(place.state_dir):
            begun.set()
            looks_on.wait(TIMEOUT)

    other = threading.Thread(target=hold)
    other.start()
    begun.wait()
    said = json.loads(place.learn("--json").stdout)
    other.join()
    assert (said["elsewhere"], said["left"], said["outcomes"]) == (True, 3, {})


def test_a_learner_goes_on_where_a_command_ended(place: Place) -> None:
    place.learn("--limit", "1")
    with learning_elsewhere(place):
        eventually(lambda: place.learnt() == ["s1", "s2", "s3"])


def test_a_signal_ends_it_and_what_was_learnt_stays(place: Place) -> None:
    place.proxy.provider.faults["s1"] = Fault(stalls_after=100_000)
    line = command("learn", *RATE, "--json", "--state-dir", place.state_dir, "--config", "")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        eventually(lambda: (figures := read_figures(place.state_dir)) is not None and figures.learnt == 2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.stdout
        said = json.loads(process.stdout.read())
        process.wait()
    assert time.monotonic() - began < 30
    assert (said["stopped"], said["left"], said["outcomes"]) == (True, 1, {"learnt": 2})
    assert place.learnt() == ["s2", "s3"]
    assert list((place.state_dir / "films" / "parts").rglob("*.new")) == []
