"""What media servers are told, in its parts: plans, places, times, and what is kept until it is told."""

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import trio
from libraries import Library
from mounts import TIMEOUT, command

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import SettingsError
from vod2strmfs.index.store import Store
from vod2strmfs.notify.change import Change, What, coalesced, merged, whole
from vod2strmfs.notify.deliver import next_due, rest_of_quiet
from vod2strmfs.notify.http import Http, TellError
from vod2strmfs.notify.order import Server, order
from vod2strmfs.notify.outbox import FILE_NAME, Outbox
from vod2strmfs.notify.places import above, proposals, seen_at, within
from vod2strmfs.notify.plan import changed_titles
from vod2strmfs.settings import load
from vod2strmfs.systemd.install import install

ROOT = "/mnt/vod"
CREATED, MODIFIED, DELETED = What.CREATED, What.MODIFIED, What.DELETED


@pytest.mark.parametrize(
    ("path", "paths", "there"),
    [
        ("/mnt/vod/Movies/Heat", {"/mnt/vod": "/media/vod"}, "/media/vod/Movies/Heat"),
        ("/mnt/vod/Movies/Heat", {"/mnt/vod/": "/media/vod/"}, "/media/vod/Movies/Heat"),
        ("/mnt/vod/Movies/Heat", {"/mnt": "/a", "/mnt/vod/Movies": "/films"}, "/films/Heat"),
        ("/mnt/vodka/Movies", {"/mnt/vod": "/media/vod"}, "/mnt/vodka/Movies"),
        ("/mnt/vod/Movies/Heat", {"/mnt/vod": "Z:\\vod"}, "Z:\\vod\\Movies\\Heat"),
        ("/mnt/vod/Movies/Heat", {"/mnt/vod": "\\\\nas\\vod\\"}, "\\\\nas\\vod\\Movies\\Heat"),
        ("/mnt/vod/Movies/Heat", {"/mnt/vod": "smb://nas/vod/"}, "smb://nas/vod/Movies/Heat"),
        ("/mnt/vod/Movies", {"/mnt/vod": "/"}, "/Movies"),
        ("/mnt/vod", {"/mnt/vod": "/media/vod"}, "/media/vod"),
    ],
)
def test_where_a_server_sees_a_folder(path: str, paths: dict[str, str], there: str) -> None:
    assert seen_at(path, paths) == there


def test_a_folder_is_told_as_far_as_libraries_hold_it() -> None:
    assert within("/m/Movies/Heat", ["/m/Movies", "/m/TV"]) == ["/m/Movies/Heat"]
    assert within("/m/Movies", ["/m/Movies/Kids", "/m/Movies/EN/", "/m/TV"]) == ["/m/Movies/Kids", "/m/Movies/EN/"]
    assert within("/m/Movies2/Heat", ["/m/Movies"]) == []
    assert within("Z:\\vod\\Movies\\Heat", ["Z:\\vod"]) == ["Z:\\vod\\Movies\\Heat"]
    assert above("Z:\\vod\\Movies") == "Z:\\vod"


def test_a_mapping_is_found_by_what_paths_end_with() -> None:
    assert next(proposals(["/mnt/vod/Movies"], ["/media/vod/Movies"])) == ("/mnt/vod", "/media/vod")
    assert next(proposals(["/mnt/vod/Movies"], ["/films/Movies"])) == ("/mnt/vod", "/films")
    assert list(proposals(["/mnt/vod/Movies"], ["/mnt/vod/Movies"])) == []
    assert list(proposals(["/mnt/vod/Movies"], ["/films"])) == []


def test_changes_of_one_folder_become_one() -> None:
    path = "Movies/Heat"
    for first, then, wanted in (
        ((CREATED, False), (MODIFIED, False), (CREATED, False)),
        ((MODIFIED, True), (MODIFIED, False), (MODIFIED, True)),
        ((CREATED, False), (DELETED, True), (DELETED, True)),
        ((DELETED, True), (CREATED, False), (MODIFIED, True)),
    ):
        assert merged(Change(path, *first), Change(path, *then)) == Change(path, *wanted)


def test_too_many_titles_are_one_scan_and_a_folder_stands_for_what_is_in_it() -> None:
    some = [Change(f"Movies/{number}", CREATED) for number in range(4)]
    assert coalesced([*some, Change("TV/Dark", MODIFIED)], 3) == [whole("Movies"), Change("TV/Dark", MODIFIED)]
    assert coalesced(some, 4) == some
    assert coalesced([whole("Movies"), *some], 100) == [whole("Movies")]
    gone = Change("Movies", DELETED, True)
    assert coalesced([gone, *some], 100) == [gone, *some]
    inside = [Change("Movies/Kids", DELETED, True), Change("Movies/Kids/Heat", DELETED, True)]
    assert coalesced(inside, 100) == [Change("Movies/Kids", DELETED, True)]


def catalogue(**changes: object) -> Catalogue:
    """A small library, and what is otherwise in it."""
    made = Catalogue()
    for name in ("Heat", "Ran", "Solaris"):
        if name not in changes.get("without", ()):  # type: ignore[operator]
            made.movie(str(changes.get(name, name)), tmdb_id=str(sum(name.encode())), description=changes.get("plot"))
    series = made.series(str(changes.get("Dark", "Dark")), tmdb_id="7")
    made.episode(series, 1, 1, "Secrets")
    for season, number in changes.get("episodes", ()):  # type: ignore[attr-defined]
        made.episode(series, season, number, "More")
    return made


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, []),
        ({"without": ("Solaris",)}, [Change("Movies/Solaris", DELETED, True)]),
        ({"Ran": "Stalker"}, [Change("Movies/Ran", DELETED, True), Change("Movies/Stalker", CREATED)]),
        ({"plot": "New."}, [Change(f"Movies/{name}", MODIFIED) for name in ("Heat", "Ran", "Solaris")]),
        ({"episodes": ((2, 1),)}, [Change("TV/Dark", MODIFIED)]),
        ({"Dark": "Light"}, [Change("TV/Dark", DELETED, True), Change("TV/Light", CREATED)]),
    ],
)
def test_a_plan_is_what_differs_between_generations(
    changes: dict[str, object], wanted: list[Change], tmp_path: Path
) -> None:
    library = Library(tmp_path)
    library.show(catalogue())
    library.show(catalogue(**changes))
    with_store = Store(library.state_dir)
    try:
        assert changed_titles(with_store, 1, 300) == wanted
        assert changed_titles(with_store, 0, 300) == [whole("Movies"), whole("TV")]
        # One of before the index was lost, or of an index that is another.
        assert changed_titles(with_store, 99, 300) == [whole("Movies"), whole("TV")]
    finally:
        with_store.close()


def test_nobody_is_sent_to_look_at_what_is_empty_in_a_new_index_and_everybody_where_count_was_lost(
    tmp_path: Path,
) -> None:
    library = Library(tmp_path)
    films = Catalogue()
    films.movie("Heat")
    library.show(films)
    with closing(Store(library.state_dir)) as store:
        assert changed_titles(store, 0, 300) == [whole("Movies")]
        # Its inode number was that of another index once.
        assert changed_titles(store, 99, 300) == [whole("Movies")]
    with closing(sqlite3.connect(library.state_dir / "index.db")) as connection, connection:
        connection.execute("UPDATE generation SET number = number + 1000")
    with closing(Store(library.state_dir)) as store:
        assert changed_titles(store, 1, 300) == [whole("Movies"), whole("TV")]


def test_what_comes_and_goes_in_between_is_not_told(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.show(catalogue(without=("Solaris",)))
    library.show(catalogue())
    library.show(catalogue(without=("Solaris",)))
    store = Store(library.state_dir)
    try:
        assert changed_titles(store, 1, 300) == []
    finally:
        store.close()


def test_nfos_that_are_not_shown_are_not_told(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.show(catalogue())
    library.show(catalogue(plot="New."))
    store = Store(library.state_dir)
    try:
        assert changed_titles(store, 1, 300, write_nfo=False) == []
    finally:
        store.close()


def test_what_is_told_meanwhile_is_not_forgotten_if_it_changes_again(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.add(["jellyfin"], ROOT, [Change("Movies/Heat", CREATED)], 300)
        rows = outbox.waiting("jellyfin")
        outbox.sending(rows)
        outbox.add(["jellyfin"], ROOT, [Change("Movies/Heat", MODIFIED)], 300)
        outbox.told("jellyfin", rows)
        [left] = outbox.waiting("jellyfin")
        assert left.change == Change("Movies/Heat", CREATED)
        assert not left.is_sent


def test_a_server_that_was_off_for_long_gets_one_scan(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for number in range(10):
            outbox.add(["plex"], ROOT, [Change(f"Movies/{number}", CREATED)], 5)
            outbox.failed("plex", "cannot be reached", 5)
        outbox.add(["plex"], ROOT, [Change("TV/Dark", MODIFIED)], 5)
        assert [row.change for row in outbox.waiting("plex")] == [whole("Movies"), Change("TV/Dark", MODIFIED)]
        [account] = outbox.accounts()
        assert (account.failures, account.waiting, account.error) == (10, 2, "cannot be reached")
        # What a server that is no longer named was to be told is forgotten.
        outbox.add(["kodi"], ROOT, [], 5)
        assert [account.name for account in outbox.accounts()] == ["kodi"]


def test_a_command_that_knows_other_servers_forgets_none_of_another_root(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.add(["jellyfin"], ROOT, [Change("Movies/Heat", CREATED)], 300)
        outbox.add(["on_change"], "/data/other", [Change("Movies/Ran", CREATED)], 300)
        assert [row.change.path for row in outbox.waiting("jellyfin")] == ["Movies/Heat"]
        assert {account.name for account in outbox.accounts()} == {"jellyfin", "on_change"}
        # What waits for a server that this command does not tell is no work for it.
        assert next_due(outbox, set(), "", "") == -1
        assert next_due(outbox, {"on_change"}, "", "") == 0


_ADD = """
import sys
from pathlib import Path
from vod2strmfs.notify.change import Change, What
from vod2strmfs.notify.outbox import Outbox
with Outbox(Path(sys.argv[1])) as outbox:
    for number in range(10_000):
        outbox.add(["jellyfin"], "/mnt", [Change(f"Movies/{number}", What.CREATED)], 100_000, (1, number + 1))
        print(number, flush=True)
"""


def test_what_is_in_the_outbox_outlives_its_process(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _ADD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        said = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Outbox(tmp_path) as outbox:
        waiting = len(outbox.waiting("jellyfin"))
        assert waiting >= len(said)
        assert outbox.generation("/mnt", 1) == waiting
        assert outbox.generation("/mnt", 2) == 0


_AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
import vod2strmfs.films.film, vod2strmfs.notify.outbox
from vod2strmfs.service.tell import orders_of
from vod2strmfs.settings import load
settings = load(None, {"state_dir": Path(sys.argv[1])}, {}, {})
os.setuid(pwd.getpwnam("nobody").pw_uid)
print(len(orders_of(settings)))
"""


def test_a_state_directory_that_this_user_may_not_look_into_is_left_to_who_opens_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    done = subprocess.run([sys.executable, "-c", _AS_NOBODY, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_clock_that_is_set_back_has_a_server_that_failed_wait_for_no_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, year = 1_700_000_000.0, 365 * 86400.0
    now = [right + year]
    monkeypatch.setattr(time, "time", lambda: now[0])
    with Outbox(tmp_path) as outbox:
        outbox.add(["plex"], ROOT, [Change("Movies/Heat", CREATED)], 300)
        outbox.failed("plex", "does not answer", 600)
        assert next_due(outbox, {"plex"}, "", "UTC") == pytest.approx(600)
        now[0] = right
        assert next_due(outbox, {"plex"}, "", "UTC") == 0
        outbox.failed("plex", "does not answer", 86400)
        assert next_due(outbox, {"plex"}, "", "UTC") == pytest.approx(86400)


@pytest.mark.complains("was damaged")
def test_a_damaged_outbox_begins_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 1000)
    with Outbox(tmp_path) as outbox:
        assert outbox.generation(ROOT, 1) == 0
    assert (tmp_path / f"{FILE_NAME}.unusable").exists()


def test_one_process_at_a_time_tells_a_server(tmp_path: Path) -> None:
    other = (
        "import sys; from pathlib import Path; from vod2strmfs.notify.outbox import Outbox\n"
        "with Outbox(Path(sys.argv[1])) as box: print(box.lock('plex'), box.lock('kodi'))"
    )
    with Outbox(tmp_path) as outbox:
        assert outbox.lock("plex")
        done = subprocess.run([sys.executable, "-c", other, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("quiet", "time", "seconds"),
    [
        ("", "03:00", 0), ("22:00-07:00", "21:59", 0), ("22:00-07:00", "22:00", 9 * 3600),
        ("22:00-07:00", "03:00", 4 * 3600), ("22:00-07:00", "07:00", 0), ("08:00-23:30", "23:00", 1800),
        ("08:00-23:30", "23:30", 0),
    ],
)  # fmt: skip
def test_quiet_hours_end(quiet: str, time: str, seconds: int) -> None:
    moment = datetime.fromisoformat(f"2026-01-10 {time}").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert rest_of_quiet(quiet, moment) == seconds


def test_servers_are_settings(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(
        'notify_quiet = "22-7"\n[[notify]]\nkind = "plex"\nurl = "http://a:1/"\ntoken = "secret-1"\n'
        '[[notify]]\nkind = "plex"\nurl = "http://a:1"\npaths = { "/mnt" = "/m" }\n'
    )
    settings = load(config, {}, {"VOD2STRMFS_STATE_DIR": str(tmp_path)})
    made = order(settings, 20, Path("/mnt"))
    assert [server.name for server in made.servers] == ["plex at a:1", "plex at a:1 (2)"]
    assert made.servers[0].token == "secret-1"
    assert made.quiet == "22:00-07:00"
    assert "secret-1" not in repr(settings) + repr(made)
    in_environment = load(None, {}, {"VOD2STRMFS_NOTIFY": '[{"kind": "kodi", "url": "http://b:2"}]'})
    assert [server.kind for server in in_environment.notify] == ["kodi"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('kind = "plexx"\nurl = "http://a"', "table 1, kind: must be 'jellyfin'"),
        ('kind = "plex"', "table 1, url: is not there, and has to be"),
        ('kind = "plex"\nurl = "a"\ntoken = "secret-1"', "must be an http:// or https:// URL"),
        ('kind = "plex"\nurl = "http://me:secret-1@a"', "must not hold a user or a password"),
        ('kind = "plex"\nurl = "http://a"\ntokn = "secret-1"', "tokn: there is no such setting"),
        ('kind = "plex"\nurl = "http://a"\npaths = { "mnt" = "/m" }', "must lead from absolute paths"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_without_its_secrets(table: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f"[[notify]]\n{table}\n")
    with pytest.raises(SettingsError) as raised:
        load(config, {}, {})
    assert message in str(raised.value)
    assert "secret-1" not in str(raised.value)


def test_an_installed_service_keeps_its_servers(tmp_path: Path) -> None:
    tables = '[{"kind": "plex", "url": "http://a:1", "token": "secret-1", "paths": {"/mnt": "/m"}, "token_file": "/x"}]'
    given = {"VOD2STRMFS_NOTIFY": tables, "VOD2STRMFS_DATABASE": "sqlite:////x.db"}
    install(load(None, {}, given), "mount", "", Path("/usr/bin/vod2strmfs"), root=tmp_path)
    [config] = tmp_path.rglob("*.toml")
    assert load(config, {}, {}).notify == load(None, {}, given).notify


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"])
def test_an_answer_that_never_ends_is_given_up(begins: bytes) -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            with server.accept()[0] as asked, suppress(OSError):
                asked.sendall(begins)
                while not ended.wait(0.05):
                    asked.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()

        async def ask() -> None:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with trio.fail_after(TIMEOUT):
                async with Http(Server("jellyfin", "slow", url, timeout=0.5), {}) as http:
                    await http.ask("GET", "/Library/VirtualFolders")

        try:
            with pytest.raises(TellError, match="took too long to answer"):
                trio.run(ask)
        finally:
            ended.set()
            thread.join()


def test_what_a_server_says_commands_no_terminal(tmp_path: Path) -> None:
    config = tmp_path / "vod2strmfs.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config.write_text(f'[[notify]]\nkind = "jellyfin"\nurl = "http://127.0.0.1:{port}"\ntoken = "secret-1"\n')

        def refuse() -> None:
            with server.accept()[0] as asked:
                asked.recv(10_000)
                asked.sendall(b"HTTP/1.1 500 \x1b[2Jno\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        arguments = command("notify", "test", "/mnt/vod", "--config", config, "--state-dir", tmp_path / "state")
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=TIMEOUT)
        thread.join()
    assert "answers 500 (�[2Jno)" in done.stdout
    assert done.returncode == 9
