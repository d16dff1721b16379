"""Media servers that are told what changed: real mounts and runs, real HTTP on loopback, and its faults."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import tomli_w
from databases import Database
from media_servers import SLOW_SECONDS, TOKEN, Fault, MediaServer, make_certificate
from mounts import Mount, command, eventually, mounted
from postgres_server import PostgresServer
from processes import children, lives

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.notify.outbox import Outbox

THERE = {"Movies": ["/media/vod/Movies"], "TV": ["/media/vod/TV"]}


def some_films(number: int = 30) -> Catalogue:
    catalogue = Catalogue()
    for each in range(number):
        catalogue.movie(f"Film {each}")
    series = catalogue.series("Dark")
    catalogue.episode(series, 1, 1, "Secrets")
    catalogue.episode(series, 1, 2, "Lies")
    return catalogue


def settings_file(folder: Path, root: Path, *servers: MediaServer, **more: object) -> Path:
    """Settings with servers that see a root as `/media/vod`."""
    options = dict(more)
    of_servers = options.pop("of_servers", {})
    assert isinstance(of_servers, dict)
    tables = [server.settings(paths={str(root): "/media/vod"}, **of_servers) for server in servers]
    path = folder / "settings.toml"
    path.write_text(tomli_w.dumps({"base_url": "http://dispatcharr:9191", "notify": tables, **options}))
    return path


def describe(database: Database, movie: int, text: str) -> None:
    """Change what a film's NFO says."""
    database.execute("UPDATE vod_movie SET description = ? WHERE id = ?", text, movie)


def told(server: MediaServer) -> set[tuple[str, str]]:
    return {(each.path, each.what) for each in server.told}


def test_each_server_is_told_exactly_what_changed(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(some_films())
    heard = tmp_path / "heard"
    with (
        MediaServer("jellyfin", THERE) as jellyfin,
        MediaServer("emby", THERE) as emby,
        MediaServer("plex", THERE) as plex,
    ):
        servers = (jellyfin, emby, plex)
        config = settings_file(tmp_path, tmp_path / "mount", *servers, on_change=f"tee -a {heard}")
        with mounted(tmp_path, database.url, "--config", str(config)) as mount:
            # A first library is one scan.
            eventually(lambda: all(len(server.told) == 2 for server in servers))
            assert set(jellyfin.folders()) == {"/media/vod/Movies", "/media/vod/TV"}
            for server in servers:
                server.told.clear()
            database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 1")
            eventually(lambda: all(server.told for server in servers))
            describe(database, 2, "Another plot.")
            database.execute("UPDATE vod_episode SET season_number = 2 WHERE id = 2")
            database.execute("UPDATE vod_movie SET name = 'Solaris' WHERE id = 3")
            eventually(lambda: all(len(set(server.folders())) >= 4 for server in servers))
            eventually(lambda: "Solaris" in str(jellyfin.told) and "Solaris" in str(plex.told))
            wanted = {
                ("/media/vod/Movies/Film 0", "Deleted"), ("/media/vod/Movies/Film 1", "Modified"),
                ("/media/vod/Movies/Film 2", "Deleted"), ("/media/vod/Movies/Solaris", "Created"),
                ("/media/vod/TV/Dark", "Modified"),
            }  # fmt: skip
            eventually(lambda: told(jellyfin) == wanted and told(emby) == wanted)
            assert set(jellyfin.folders().values()) == set(emby.folders().values()) == {1}
            # Plex looks for what is gone from above. Each server is told by itself, and by one request a folder.
            of_plex = {
                ("/media/vod/Movies", "1"), ("/media/vod/Movies/Film 1", "1"), ("/media/vod/Movies/Solaris", "1"),
                ("/media/vod/TV/Dark", "2"),
            }  # fmt: skip
            eventually(lambda: told(plex) == of_plex)

            def waiting() -> list[int]:
                asked = command("status", "--state-dir", tmp_path / "state", "--json")
                said = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
                return [account["waiting"] for account in said["servers"]]

            # The mount knows once the process that tells has ended.
            eventually(lambda: waiting() == [0, 0, 0, 0])
            lines = [json.loads(line) for line in heard.read_text().splitlines()]
            assert {"change": "deleted", "section": "Movies", "path": f"{mount.path}/Movies/Film 0"} in lines
            assert TOKEN not in mount.log.read_text()


def test_nothing_is_told_before_it_can_be_seen(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(some_films())
    root = tmp_path / "mount"
    seen: list[bool] = []

    class Looking(MediaServer):
        def looks(self) -> None:
            for each in self.told:
                path = root / Path(each.path).relative_to("/media/vod")
                seen.append(path.exists() == (each.what != "Deleted"))
            self.told.clear()

    with Looking("jellyfin", THERE) as server:
        config = settings_file(tmp_path, root, server)
        with mounted(tmp_path, database.url, "--config", str(config), "--poll-interval", "0.2"):
            for number in range(1, 6):
                # Asked for first: the kernel remembers that it is not there.
                assert not (root / f"Movies/New {number}").exists()
                database.execute("UPDATE vod_movie SET name = ? WHERE id = ?", f"New {number}", number)
                eventually(lambda: bool(server.told))
                server.looks()
    assert len(seen) >= 5
    assert all(seen)


@pytest.mark.parametrize("fault", ["401", "429", "500", "slow", "cut", "reset", "redirect"])
def test_what_a_server_does_not_take_is_told_later_and_once(fault: Fault, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(some_films())
    with MediaServer("jellyfin", THERE) as server:
        config = settings_file(tmp_path, tmp_path / "output", server, of_servers={"timeout": SLOW_SECONDS * 2})
        run = command(
            "materialize", tmp_path / "output", "--config", config, "--database", database.url, "--state-dir",
            tmp_path / "state", "--cleanup", "apply",
        )  # fmt: skip
        subprocess.run(run, check=True, capture_output=True)
        assert len(server.told) == 2
        server.told.clear()
        server.faults.append(fault)
        describe(database, 2, "Another plot.")
        first = subprocess.run(run, check=True, capture_output=True, text=True)
        refused = {
            "401": "refuses the token",
            "429": "429",
            "500": "500",
            "reset": "cannot|cut",
            "redirect": "sends us on",
        }
        assert bool(server.told) == (fault not in refused)
        if fault in refused:
            assert any(word in first.stderr for word in refused[fault].split("|")), first.stderr
        send = command("notify", "send", tmp_path / "output", "--config", config, "--state-dir", tmp_path / "state")
        done = subprocess.run(send, check=True, capture_output=True, text=True)
        assert "0 waiting" in done.stdout
        assert server.folders() == {"/media/vod/Movies/Film 1": 1}
        assert TOKEN not in first.stderr + first.stdout + done.stderr + done.stdout
        assert "elsewhere.example" not in "".join(server.requests)


def test_a_certificate_that_is_not_trusted_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with MediaServer("jellyfin", THERE, certificate=certificate) as server:
        for given, answers in (
            ({}, False), ({"verify_tls": False}, True), ({"ca_file": str(tmp_path / "certificate.pem")}, True),
        ):  # fmt: skip
            server.requests.clear()
            config = settings_file(tmp_path, Path("/mnt/vod"), server, of_servers=given)
            arguments = ("notify", "test", "/mnt/vod", "--config", config, "--state-dir", tmp_path / "state")
            done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
            assert ("a certificate that is not trusted" not in done.stdout) == answers, done.stdout
            assert bool(server.requests) == answers
            assert done.returncode == (0 if answers else 9)


def test_the_right_mapping_is_proposed(tmp_path: Path) -> None:
    def sees(path: str) -> bool:
        return path in ("/media/vod/Movies", "/media/vod/TV", "/media/vod/Movies/Film 0")

    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(some_films(3))
    state = ("--state-dir", tmp_path / "state", "--base-url", "http://dispatcharr:9191")
    subprocess.run(command("sync", "--database", database.url, *state), check=True, capture_output=True)
    with MediaServer("jellyfin", THERE, sees=sees) as server:
        config = tmp_path / "settings.toml"
        for paths, problem in (
            ({}, "sees no /mnt/vod/Movies"),
            ({"/mnt": "/media"}, ""),
            ({"/mnt/vod": "/x"}, "sees no /x"),
        ):
            config.write_text(tomli_w.dumps({"notify": [server.settings(paths=paths)]}))
            arguments = ("notify", "test", "/mnt/vod", "--config", config, "--state-dir", tmp_path / "state", "--json")
            done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
            [found] = json.loads(done.stdout)["servers"]
            assert found["libraries"][0] == {"name": "Movies", "folders": ["/media/vod/Movies"]}
            assert problem in str(found["problems"])
            assert found["paths"] == ({"/mnt/vod": "/media/vod"} if problem else None)
            assert done.returncode == (9 if problem else 0)
        assert server.told == []


def test_a_folder_that_is_in_none_of_its_libraries_is_not_told(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(some_films(3))
    with MediaServer("jellyfin", {"Movies": ["/media/vod/Movies"]}) as server:
        config = settings_file(tmp_path, tmp_path / "output", server)
        run = command(
            "materialize", tmp_path / "output", "--config", config, "--database", database.url, "--state-dir",
            tmp_path / "state",
        )  # fmt: skip
        done = subprocess.run(run, check=True, capture_output=True, text=True)
        assert server.folders() == {"/media/vod/Movies": 1}
        assert "no library that holds TV" in done.stderr


def test_on_change_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(some_films(3))
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)
    run = command(
        "materialize", tmp_path / "output", "--database", database.url, "--state-dir", tmp_path / "state",
        "--base-url", "http://dispatcharr:9191", "--on-change", script, "--on-change-timeout", "2",
    )  # fmt: skip
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    assert "did not end within 2 seconds" in done.stderr
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not lives(child))


def test_a_run_that_is_killed_loses_no_notification(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(some_films(60))
    chance = random.Random(15)
    with MediaServer("jellyfin", THERE) as server:
        config = settings_file(tmp_path, tmp_path / "output", server)
        run = command(
            "materialize", tmp_path / "output", "--config", config, "--database", database.url, "--state-dir",
            tmp_path / "state",
        )  # fmt: skip
        subprocess.run(run, check=True, capture_output=True)
        server.told.clear()
        for movie in range(1, 41):
            describe(database, movie, "Another plot.")
        for _ in range(4):
            # So slow that none of them comes to telling: what a kill cuts off there may come twice.
            process = subprocess.Popen([*run, "--throttle", "8"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.7 + chance.random())
            process.kill()
            process.wait()
        subprocess.run(run, check=True, capture_output=True)
        assert server.folders() == {f"/media/vod/Movies/Film {number}": 1 for number in range(40)}


def test_a_night_of_failures_loses_no_notification(
    postgres: PostgresServer,
    tmp_path: Path,
    soak: bool,
    record_property: Callable[[str, object], None],
) -> None:
    """Servers that fail in every way, that are away and come back, and a mount whose processes are killed."""
    database = Database(postgres.new_database()).fill(some_films(120))
    chance = random.Random(7)
    faults: tuple[Fault, ...] = ("429", "500", "502", "cut", "reset")
    wanted: dict[str, int] = {}
    with MediaServer("jellyfin", THERE) as steady, MediaServer("emby", THERE) as shaky:
        config = settings_file(tmp_path, tmp_path / "mount", steady, shaky)
        options = ("--config", str(config), "--poll-interval", "0.3")

        def change(number: int) -> None:
            movie = number % 100 + 1
            describe(database, movie, f"Plot {number}.")
            name = f"/media/vod/Movies/Film {movie - 1}"
            wanted[name] = wanted.get(name, 0) + 1

        kills = 0
        with mounted(tmp_path, database.url, *options):
            eventually(lambda: len(steady.told) >= 2 and len(shaky.told) >= 2)
        steady.told.clear()
        shaky.told.clear()
        shaky.chance = lambda: chance.choice(faults) if chance.random() < 0.4 else None
        for number in range(100 if soak else 6):
            with mounted(tmp_path, database.url, *options) as mount:
                change(number)
                time.sleep(0.3 + chance.random() * 1.2)
                kills += _kill_something(mount, chance)
        shaky.chance = lambda: None
        with mounted(tmp_path, database.url, *options) as mount:
            # A mount lets a scan right after its start go first, and then looks at the catalogue.
            eventually(lambda: f"Plot {number}." in (mount.path / f"Movies/Film {number % 100}/movie.nfo").read_text())
            # What changed is noted for all at once, and a moment after it can be seen.
            eventually(lambda: set(steady.folders()) >= set(wanted))
            _send_all(tmp_path, config)
        for server in (steady, shaky):
            missing = set(wanted) - set(server.folders())
            assert not missing, f"{server.kind} was not told of {missing}"
        # Nobody can know of a request that a kill cut off whether it arrived: these alone come twice.
        twice = sum(count - wanted[name] for name, count in steady.folders().items() if count > wanted[name])
        record_property("told twice", f"{twice} of {sum(wanted.values())}, {kills} kills")
        assert twice <= kills
        assert set(steady.folders()) == set(wanted)


def _kill_something(mount: Mount, chance: random.Random) -> int:
    """Kill the mount, or the processes that tell servers; returns how many."""
    if chance.random() < 0.4:
        mount.process.kill()
        mount.process.wait()
        return 1
    number = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_ours = b"vod2strmfs.notify" in path.read_bytes() and f"PPid:\t{mount.process.pid}\n" in (
                path.with_name("status").read_text()
            )
        except OSError:
            continue
        if is_ours:
            with suppress(ProcessLookupError):  # It has just ended.
                os.kill(int(path.parent.name), signal.SIGKILL)
                number += 1
    return number


def _send_all(folder: Path, config: Path) -> None:
    """Wait until nothing waits any more."""
    send = command("notify", "send", folder / "mount", "--config", config, "--state-dir", folder / "state")

    def is_empty() -> bool:
        time.sleep(1)
        subprocess.run(send, check=False, capture_output=True)
        with Outbox(folder / "state") as outbox:
            return not any(account.waiting for account in outbox.accounts())

    eventually(is_empty)


def test_a_mount_that_tells_servers_takes_no_more_memory(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database()).fill(some_films())

    def memory(mount: Mount) -> float:
        """MiB of the mount and the processes beside it, when all is quiet."""
        time.sleep(3)
        eventually(lambda: len(children(mount.process.pid)) == 1)
        processes = [mount.process.pid, mount.worker()]
        return sum(_pss(each) for each in processes) / 1024

    (tmp_path / "without").mkdir()
    with mounted(tmp_path / "without", database.url, "--base-url", "http://dispatcharr:9191") as mount:
        before = memory(mount)
    with MediaServer("jellyfin", THERE) as server:
        config = settings_file(tmp_path, tmp_path / "mount", server)
        with mounted(tmp_path, database.url, "--config", str(config)) as mount:
            eventually(lambda: len(server.told) == 2)
            # There is no other process any more: `worker` would find two.
            assert memory(mount) < before + 15


def _pss(process: int) -> int:
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
