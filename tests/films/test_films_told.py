"""Media servers that are told of films as they appear: real mounts, real HTTP on loopback, one settings file."""

import json
import logging
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
import trio
from databases import Database
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Stream
from films import catalogue_of, make_films
from learnt import learn
from media_servers import MediaServer, Told
from mounts import TIMEOUT, command, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor.servers import servers as examine_servers
from vod2strmfs.films.store import Films
from vod2strmfs.notify import courier
from vod2strmfs.notify.__main__ import films_shown
from vod2strmfs.notify.account import Account
from vod2strmfs.notify.change import Change, What
from vod2strmfs.notify.courier import Courier, send
from vod2strmfs.notify.deliver import Delivery, Gathering, next_due
from vod2strmfs.notify.order import COMMAND, Order, films_order, order
from vod2strmfs.notify.outbox import Outbox
from vod2strmfs.settings import Settings, load
from vod2strmfs.status.channel import ask
from vod2strmfs.sync.films import publish

FILMS = {"Films": ["/library/Films/Movies"], "Series": ["/library/Films/TV"]}
STRM = {"Movies": ["/media/STRM/Movies"], "TV": ["/media/STRM/TV"]}


def write(url: str, *movies: str) -> None:
    """Have a catalogue of movies, whose ids and streams are their names'."""
    made = Catalogue()
    made.account("Provider")
    for movie in movies:
        made.movie(movie, id=ord(movie[0])).relations[0].stream_id = movie
    made.write(url)


def settings_file(folder: Path, *servers: dict[str, object], **more: object) -> Path:
    """Settings of both mounts, with servers that are told."""
    path = folder / "settings.toml"
    roots = {"output_root": str(folder / "STRM"), "films_root": str(folder / "films")}
    path.write_text(tomli_w.dumps({"base_url": "http://127.0.0.1:9", "notify": servers, **roots, **more}))
    return path


def settings_of(folder: Path, *servers: dict[str, object]) -> Settings:
    return load(settings_file(folder, *servers), {}, {"VOD2STRMFS_STATE_DIR": str(folder / "state")})


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with the settings file and the state directory of a folder."""
    whole = command(*arguments, "--state-dir", folder / "state")
    return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def send_now(folder: Path) -> "subprocess.CompletedProcess[str]":
    return run(folder, "notify", "send", "--config", str(folder / "settings.toml"))


def waiting(folder: Path) -> int:
    """How many folders the mount of films says that its one server is to be told of."""
    return sum(each.waiting for each in told_by(folder))


def told_by(folder: Path) -> tuple[Account, ...]:
    """How it stands with the servers that the mount of films tells."""
    return ask(folder / "state" / "films", TIMEOUT).servers


class Witness(list[Told]):
    """What a server was told, and whether each folder could be seen at that moment."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.seen: list[bool] = []

    def append(self, told: Told) -> None:
        """Look, and take it."""
        self.seen.append((self._root / Path(told.path).relative_to("/library/Films")).is_dir())
        super().append(told)


@pytest.fixture
def plex(tmp_path: Path) -> Iterator[MediaServer]:
    """A server that has the films, and nothing else."""
    with MediaServer("plex", FILMS) as server:
        yield server


def of_plex(server: MediaServer, folder: Path) -> dict[str, object]:
    return server.settings(paths={str(folder / "films"): "/library/Films"})


def test_from_a_row_to_a_film_that_plex_is_told_of_once_it_can_be_seen(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, plex: MediaServer
) -> None:
    film = make_films(tmp_path_factory.getbasetemp().parent / "films-by-ffmpeg")["mkv-cues-behind"]
    streams = [Stream(f"00000000-0000-4000-8000-00000000000{n}", 1, f"s{n}", film) for n in (1, 2)]
    database = Database(postgres.new_database()).fill(catalogue_of(streams))
    database.execute("CREATE TABLE later AS SELECT * FROM vod_m3umovierelation WHERE stream_id = 's2'")
    database.execute("DELETE FROM vod_m3umovierelation WHERE stream_id = 's2'")
    plex.told = witness = Witness(tmp_path / "films")
    config = settings_file(tmp_path, of_plex(plex, tmp_path))
    with DispatcharrProxy(streams) as proxy:
        options = ("--config", str(config), "--api-url", proxy.url, "--learn-rate", "6000")
        with mounted(tmp_path, database.url, *options, what="films") as films:
            eventually(lambda: bool(plex.told))
            # A library whose first generation has films already is scanned; else the film is named.
            assert set(plex.folders()) <= {"/library/Films/Movies", "/library/Films/Movies/Film 1 (2001)"}
            plex.told.clear()
            database.execute("INSERT INTO vod_m3umovierelation SELECT * FROM later")
            eventually((films.path / "Movies/Film 2 (2001)/Film 2 (2001).mkv").exists)
            eventually(lambda: waiting(tmp_path) == 1)
            assert send_now(tmp_path).returncode == 0
            assert plex.folders() == {"/library/Films/Movies/Film 2 (2001)": 1}
    assert all(witness.seen)
    assert b"WARNING" not in films.log.read_bytes()


def test_a_mount_that_is_killed_tells_nothing_twice_and_loses_nothing(tmp_path: Path, plex: MediaServer) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.db"
    write(url, "Heat", "Ronin", "Speed")
    config = settings_file(tmp_path, of_plex(plex, tmp_path))
    options = ("--config", str(config))
    assert run(tmp_path, "sync", "--database", url, *options).returncode == 0
    learn(tmp_path / "state", "Heat")
    with mounted(tmp_path, url, *options, what="films") as films:
        # There are no series: nobody is sent there.
        eventually(lambda: plex.folders() == {"/library/Films/Movies": 1})
        learn(tmp_path / "state", "Ronin")
        eventually((films.path / "Movies/Ronin/Ronin.mkv").exists)
        eventually(lambda: waiting(tmp_path) == 1)
        films.process.send_signal(signal.SIGKILL)
        films.process.wait(TIMEOUT)
    learn(tmp_path / "state", "Speed")
    with mounted(tmp_path, url, *options, what="films"):
        eventually(lambda: waiting(tmp_path) == 2)
        assert "films, plex" in send_now(tmp_path).stdout
        wanted = {"Movies": 1, "Movies/Ronin": 1, "Movies/Speed": 1}
        assert plex.folders() == {f"/library/Films/{path}": number for path, number in wanted.items()}
        # Another file in a film's place, and a title that leaves the library.
        with Films(tmp_path / "state") as store:
            for key, name in store.names():
                if name.startswith("Heat") and (known := store.known(key)) is not None:
                    store.changed(known, "its size is another one")
        learn(tmp_path / "state", "Heat", size=2000)
        eventually(lambda: waiting(tmp_path) == 1)
        Path(url.removeprefix("sqlite:///")).unlink()
        write(url, "Heat", "Ronin")
        eventually(lambda: waiting(tmp_path) == 2)
        plex.told.clear()
        assert send_now(tmp_path).returncode == 0
        assert plex.folders() == {"/library/Films/Movies/Heat": 1, "/library/Films/Movies": 1}


def test_the_first_film_is_told_at_once_by_its_folder_and_a_server_that_is_away_is_told_when_it_is_back(
    tmp_path: Path, plex: MediaServer
) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.db"
    write(url, "Heat", "Ronin")
    config = settings_file(tmp_path, of_plex(plex, tmp_path))
    assert run(tmp_path, "sync", "--database", url, "--config", str(config)).returncode == 0
    plex.told = witness = Witness(tmp_path / "films")
    plex.chance = lambda: "500"
    with mounted(tmp_path, url, "--config", str(config), what="films") as films:
        # Nobody is sent to look at a mount in which nothing is yet.
        eventually(lambda: bool(told_by(tmp_path)))
        assert waiting(tmp_path) == 0
        assert not (films.path / "Movies/Heat").exists()  # The kernel remembers that.
        learn(tmp_path / "state", "Heat")
        eventually(lambda: any(each.failures for each in told_by(tmp_path)))
        [line] = [line for line in run(tmp_path, "status").stdout.splitlines() if line.startswith("told")]
        assert "0 folders, 1 waiting, failing since" in line
        [finding] = examine_servers(load(config, {}, {"VOD2STRMFS_STATE_DIR": str(tmp_path / "state")}))
        assert "is to be told of 1 folder in" in finding.text
        plex.chance = lambda: None
        eventually(lambda: plex.folders() == {"/library/Films/Movies/Heat": 1})
        assert witness.seen == [True]
        eventually(lambda: waiting(tmp_path) == 0)


def fill(state_dir: Path, servers: list[str], root: Path, *paths: str) -> None:
    with Outbox(state_dir) as outbox:
        outbox.add(servers, str(root), [Change(path, What.CREATED) for path in paths], 300)


def orders_of(settings: Settings) -> tuple[Order, Order]:
    """Those of the library's mount and of the films'."""
    films = films_order(settings, logging.INFO, settings.films_root, settings.state_dir / "films")
    return order(settings, logging.INFO, settings.output_root), films


@pytest.mark.complains("no library that holds")
def test_each_server_is_told_of_the_mount_whose_libraries_it_has(
    tmp_path: Path, plex: MediaServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vod2strmfs")
    paths = {str(tmp_path / "STRM"): "/media/STRM", str(tmp_path / "films"): "/library/Films"}
    with MediaServer("jellyfin", STRM) as jellyfin, MediaServer("emby", {"Mine": ["/home/films"]}) as emby:
        tables = [server.settings(paths=paths) for server in (jellyfin, plex, emby)]
        library, films = orders_of(settings_of(tmp_path, *tables))
        names = [server.name for server in library.servers]
        fill(Path(library.state_dir), names, tmp_path / "STRM", "Movies/Heat", "TV/Dark")
        fill(Path(films.state_dir), names, tmp_path / "films", "Movies/Ronin")
        answers = [send(each, TIMEOUT) for each in (library, films)]
        assert jellyfin.folders() == {"/media/STRM/Movies/Heat": 1, "/media/STRM/TV/Dark": 1}
        assert plex.folders() == {"/library/Films/Movies/Ronin": 1}
        assert emby.told == []
    # Who has the other mount's libraries is meant to have those; who has none is worth a word.
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [each.split(" has")[0] for each in warned] == [names[2]] * 2
    assert [[each.told for each in answer.accounts] for answer in answers if answer] == [[0, 2, 0], [0, 0, 1]]


@pytest.mark.complains("no library that holds")
def test_a_folder_of_no_section_is_not_asked_for_without_end(tmp_path: Path, plex: MediaServer) -> None:
    table = plex.settings(libraries=["/elsewhere"], paths={str(tmp_path / "films"): "/elsewhere"})
    _, films = orders_of(settings_of(tmp_path, table))
    fill(Path(films.state_dir), [films.servers[0].name], tmp_path / "films", "Movies/Heat")
    answer = send(films, TIMEOUT)
    assert answer is not None
    assert (answer.accounts[0].waiting, answer.accounts[0].told, plex.told) == (0, 0, [])
    # Nor is it asked for its libraries at each film that it has none for.
    asked = len(plex.requests)
    fill(Path(films.state_dir), [films.servers[0].name], tmp_path / "films", "Movies/Ronin")
    answer = send(films, TIMEOUT)
    assert answer is not None
    assert (answer.accounts[0].waiting, len(plex.requests)) == (1, asked)
    assert 0 < answer.pause <= films.gather


def test_what_comes_soon_after_a_server_was_told_is_gathered_and_much_of_it_is_one_scan(
    tmp_path: Path, plex: MediaServer
) -> None:
    _, films = orders_of(settings_of(tmp_path, of_plex(plex, tmp_path)))
    state_dir, name = Path(films.state_dir), films.servers[0].name

    def tell(gather: float, *paths: str) -> tuple[int, float]:
        """Have told; returns how many folders wait, and for how long."""
        fill(state_dir, [name], tmp_path / "films", *paths)
        answer = send(msgspec.structs.replace(films, gather=gather), TIMEOUT)
        assert answer is not None
        return answer.accounts[0].waiting, answer.pause

    assert tell(3600, "Movies/Heat") == (0, -1)
    assert tell(3600, "Movies/Film 0")[0] == 1
    count, pause = tell(3600, "TV/Lost", *(f"Movies/Film {number}" for number in range(1, 6)))
    assert count == 7
    assert 0 < pause <= 3600
    assert plex.folders() == {"/library/Films/Movies/Heat": 1}
    # A clock that was set back keeps nobody waiting.
    with Outbox(state_dir) as outbox:
        outbox._connection.execute("UPDATE server SET told_at = told_at + 1e6")
    assert tell(3600) == (0, -1)
    wanted = {"Movies/Heat": 1, "Movies": 1, "TV/Lost": 1}
    assert plex.folders() == {f"/library/Films/{path}": number for path, number in wanted.items()}


class Learning:
    """Films that are learnt in time that is not waited for, and a server that is told of them.

    Args:
        folder: for the outbox.
        plex: the server.
        shown: how many films the mount shows before.
        clock: what time it is said to be.
    """

    def __init__(self, folder: Path, plex: MediaServer, shown: int, clock: pytest.MonkeyPatch) -> None:
        folder.mkdir(exist_ok=True)
        _, self._order = orders_of(settings_of(folder, of_plex(plex, folder)))
        self._root = folder / "films"
        self._plex = plex
        self._shown = shown
        self._now = time.time()
        clock.setattr(time, "time", lambda: self._now)

    def go_on(self, minutes: int, rate: int = 0) -> Counter[str]:
        """Learn so many films a minute; returns how often Plex was told of what meanwhile."""
        self._plex.told.clear()
        name = self._order.servers[0].name
        with Outbox(Path(self._order.state_dir)) as outbox:
            for _ in range(minutes):
                self._now += 60
                new = range(self._shown, self._shown + rate)
                self._shown += rate
                changes = [Change(f"Movies/{each}", What.CREATED) for each in new]
                outbox.add([name], str(self._root), changes, self._order.limit)
                gathering = Gathering(outbox, self._order.gather, self._shown)
                if next_due(outbox, {name}, "", "", gathering=gathering) == 0:
                    trio.run(Delivery(outbox, self._order, gathering).run)
        return self._plex.folders()


def test_the_larger_the_library_the_seldomer_plex_scans_it_while_films_are_learnt(
    tmp_path: Path, plex: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each five minutes was 1,000 scans of a library of 50,000 films that are learnt, of minutes each."""
    all_of_it = "/library/Films/Movies"
    learning = Learning(tmp_path, plex, 0, monkeypatch)
    assert learning.go_on(50, rate=10) == {all_of_it: 10}
    assert learning.go_on(100, rate=10) == {all_of_it: 10}
    # What came last is told when nothing more comes.
    assert learning.go_on(10) == {all_of_it: 1}
    assert learning.go_on(20) == {}
    # In a large library every two hours; and a few films soon, by their folders.
    learning = Learning(tmp_path / "large", plex, 50_000, monkeypatch)
    assert learning.go_on(1, rate=2) == {f"{all_of_it}/50000": 1, f"{all_of_it}/50001": 1}
    assert learning.go_on(125, rate=2) == {all_of_it: 1}
    assert learning.go_on(10) == {all_of_it: 1}
    assert learning.go_on(1, rate=3) == {f"{all_of_it}/{50_252 + each}": 1 for each in range(3)}
    assert learning.go_on(1, rate=1) == {}
    assert learning.go_on(5) == {f"{all_of_it}/50255": 1}


def test_a_command_that_is_told_waits_for_no_scan(tmp_path: Path) -> None:
    names = [COMMAND, "plex"]
    with Outbox(tmp_path) as outbox:
        outbox.add(names, "/films", [Change("Movies/Heat", What.CREATED)], 300)
        for name in names:
            outbox.told(name, outbox.waiting(name))
        outbox.add(names, "/films", [Change(f"Movies/{each}", What.CREATED) for each in range(9)], 300)
        outbox._connection.execute("UPDATE waiting SET since = since + 3600")
        pauses = {each.name: Gathering(outbox, 300, 50_000).due(each) - each.told_at for each in outbox.accounts()}
    assert round(pauses[COMMAND]) == 300
    assert pauses["plex"] > 3600


def test_how_many_films_are_shown_is_known_to_who_tells(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.db"
    write(url, "Heat", "Ronin", "Speed")
    config = settings_file(tmp_path)
    assert run(tmp_path, "sync", "--database", url, "--config", str(config)).returncode == 0
    _, films = orders_of(settings_of(tmp_path))
    assert films_shown(films) == 0
    learn(tmp_path / "state", "Heat", "Ronin")
    publish(tmp_path / "state")
    assert films_shown(films) == 2


def test_films_that_come_fast_do_not_cost_a_process_each(
    tmp_path: Path, plex: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, films = orders_of(settings_of(tmp_path, of_plex(plex, tmp_path)))
    state_dir, name, started = Path(films.state_dir), films.servers[0].name, list[int]()
    begin = courier.start

    def start() -> "subprocess.Popen[bytes]":
        process = begin()
        started.append(process.pid)
        return process

    monkeypatch.setattr(courier, "start", start)
    monkeypatch.setattr(courier, "_REST_SECONDS", 3600.0)
    with Courier(films) as teller:

        def tell(path: str) -> None:
            fill(state_dir, [name], tmp_path / "films", path)
            teller.tell()

        tell("Movies/Heat")
        eventually(lambda: bool(teller.accounts) and teller.accounts[0].told == 1)
        tell("Movies/Ronin")
        eventually(lambda: teller.accounts[0].waiting == 1)
        for number in range(5):
            tell(f"Movies/{number}")
        time.sleep(1)
        assert len(started) == 2
    assert plex.folders() == {"/library/Films/Movies/Heat": 1}


def test_one_process_at_a_time_tells_a_server_of_both_mounts(tmp_path: Path, plex: MediaServer) -> None:
    library, films = orders_of(settings_of(tmp_path, of_plex(plex, tmp_path)))
    name = films.servers[0].name
    fill(Path(films.state_dir), [name], tmp_path / "films", "Movies/Heat")
    with Outbox(Path(library.state_dir)) as outbox:
        assert outbox.lock(name)
        answer = send(films, TIMEOUT)
    assert answer is not None
    assert (answer.accounts[0].waiting, answer.accounts[0].failures, plex.told) == (1, 0, [])
    assert answer.pause > 0
    assert send(films, TIMEOUT)
    assert plex.folders() == {"/library/Films/Movies/Heat": 1}


def sees(*folders: str) -> Any:
    """What a server answers that has these, with `Movies`, `TV` and one film in each."""
    there = {f"{folder}/{name}" for folder in folders for name in ("Movies", "TV", "Movies/Heat")}
    return lambda path: path in there


def test_both_roots_are_tested_and_the_right_mappings_proposed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.db"
    write(url, "Heat")
    strm, films = str(tmp_path / "STRM"), str(tmp_path / "films")
    both = {name: [*STRM[name], *FILMS[other]] for name, other in (("Movies", "Films"), ("TV", "Series"))}
    right = {strm: "/media/STRM", films: "/library/Films"}
    with (
        MediaServer("jellyfin", STRM, sees=sees("/media/STRM")) as jellyfin,
        MediaServer("plex", FILMS, sees=sees("/library/Films")) as plex,
        MediaServer("emby", both, sees=sees("/media/STRM", "/library/Films")) as emby,
    ):

        def test(**paths: dict[str, str]) -> list[dict[str, Any]]:
            """What is found out about servers with such mappings."""
            servers: dict[str, MediaServer] = {"jellyfin": jellyfin, "plex": plex, "emby": emby}
            tables = [servers[kind].settings(paths=each) for kind, each in paths.items()]
            config = str(settings_file(tmp_path, *tables))
            done = run(tmp_path, "notify", "test", "--config", config, "--json")
            found: list[dict[str, Any]] = json.loads(done.stdout)["servers"]
            assert done.returncode == (9 if any(each["problems"] for each in found) else 0)
            return found

        synced = run(tmp_path, "sync", "--database", url, "--config", str(settings_file(tmp_path)))
        assert synced.returncode == 0
        learn(tmp_path / "state", "Heat")
        assert not any(each["problems"] for each in test(jellyfin=right, plex=right, emby=right))
        found = test(jellyfin={}, plex={}, emby={})
        assert [each["paths"] for each in found] == [{strm: "/media/STRM"}, {films: "/library/Films"}, right]
        assert "sees no" in str(found)
        assert "make it a library" not in str(found)
        of_plex, of_emby = test(plex={films: "/x"}, emby={films: "/library/Films"})
        assert of_plex["paths"] == {films: "/library/Films"}
        # Where one of both is right, the other one is its own affair: it need not have that library.
        assert (of_emby["problems"], of_emby["paths"]) == ([], None)
        config = settings_file(tmp_path, plex.settings(paths=right))
        said = run(tmp_path, "notify", "test", "--config", str(config)).stdout
        assert f"{strm} is /media/STRM there: none of its libraries holds that, and it is told nothing of it" in said
        assert "library Films: /library/Films/Movies" in said
        for server in (jellyfin, plex, emby):
            assert server.told == []
