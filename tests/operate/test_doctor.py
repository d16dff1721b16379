"""`vod2strmfs doctor`: from a broken set-up to the sentence that says how to mend it."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from dispatcharr_server import DispatcharrServer
from libraries import Library
from mounts import TIMEOUT, command, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.catalog.source import Facts
from vod2strmfs.cli.doctor import show
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor import database, disk, index, mount, patience, playing, servers
from vod2strmfs.doctor.examine import examine
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import Exit
from vod2strmfs.settings import LibrarySettings, Settings, load
from vod2strmfs.settings.servers import NotifiedServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[DispatcharrServer]:
    with DispatcharrServer() as server:
        yield server


class SetUp:
    """A set-up with a catalogue of one film and one series, synced, that a test then breaks."""

    def __init__(self, folder: Path, base_url: str, catalogue: Catalogue | None = None) -> None:
        self.folder = folder
        (folder / "mount").mkdir()
        self.database = Database(f"sqlite:///{folder}/demo.db").fill(catalogue or films())
        self.options: dict[str, Any] = {
            "database": self.database.url,
            "base_url": base_url,
            "output_root": str(folder / "mount"),
            "state_dir": str(folder / "state"),
        }
        self.sync()

    def sync(self) -> None:
        Library(self.folder).sync(self.database.url, LibrarySettings(base_url=self.options["base_url"]))

    def settings(self) -> Settings:
        return load(None, self.options, {})

    def examine(self) -> list[Finding]:
        return list(examine(self.settings(), None, play=True))


def films() -> Catalogue:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995, tmdb_id="949")
    series = catalogue.series("Lost", year=2004, tmdb_id="4607")
    catalogue.episode(series, 1, 1, "Pilot")
    return catalogue


@pytest.fixture
def set_up(tmp_path: Path, server: DispatcharrServer) -> SetUp:
    return SetUp(tmp_path, server.url)


def only(findings: Iterator[Finding] | list[Finding], level: Level) -> Finding:
    """The one finding of a level; there must be no worse one, but for loopback, on which all tests are."""
    order = list(Level)
    worse = [finding for finding in findings if order.index(finding.level) >= order.index(level)]
    found = [finding for finding in worse if "base_url" not in finding.text or level == Level.PROBLEM]
    assert [finding.level for finding in found] == [level], found
    [finding] = found
    assert finding.advice
    return finding


def broken(findings: Iterator[Finding] | list[Finding], text: str, advice: str, level: Level = Level.PROBLEM) -> None:
    """There is one such finding, with this said of it and advised, as regular expressions."""
    finding = only(findings, level)
    assert re.search(text, finding.text), finding
    assert re.search(advice, finding.advice), finding
    assert is_documented(finding), finding


def is_documented(finding: Finding) -> bool:
    """Whether docs/troubleshooting.md has this sentence and this advice, with `…` for what differs."""
    page = (ROOT / "docs/troubleshooting.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (?:note|warning|problem) \| (.+?) \|$", page, re.M)
    return any(_has(says, finding.text) and _has(advice, finding.advice) for says, advice in rows)


def _has(written: str, said: str) -> bool:
    # What stands in brackets at the end of a sentence, and after its advice, is for readers.
    plain = re.sub(r"(?<=…) \([^)]*\)$", "", written.replace("\\|", "|")).partition(" [")[0]
    return bool(re.fullmatch(re.escape(plain).replace("…", ".*"), said, re.S))


def doctor(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    whole = command("doctor", *arguments)
    return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def test_a_sound_set_up_has_no_problem_and_it_changes_nothing(set_up: SetUp, server: DispatcharrServer) -> None:
    before = sorted(path for path in set_up.folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    findings = set_up.examine()
    assert {finding.level for finding in findings if "base_url" not in finding.text} <= {Level.OK, Level.NOTE}
    assert before == sorted(path for path in set_up.folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    checks = {finding.check for finding in findings}
    assert {"settings", "setting", "disk", "FUSE", "database", "catalogue", "index", "mount", "playing"} <= checks
    assert [request.split()[0] for request in server.requests] == ["GET", "GET"]
    assert server.requests[1].startswith(server.requests[0].partition("?")[0] + "/vod_")


def test_a_running_mount_is_found_and_well(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url)
    with mounted(tmp_path, set_up.database.url, f"--base-url={server.url}") as mount:
        shown = doctor(
            mount.path, "--database", set_up.database.url, "--state-dir", tmp_path / "state", "--base-url", server.url
        )
        assert f"at {mount.path}, process {mount.process.pid}" in shown.stdout
        assert "plays a film from here" in shown.stdout
        assert shown.returncode == Exit.WARNINGS  # the base URL is a loopback address
        assert shown.stdout.count("warning ") == 1


def test_json_has_the_same_and_the_exit_code_is_that_of_the_worst(set_up: SetUp) -> None:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in set_up.options.items() if name != "output_root"]
    place = set_up.folder / "mount"
    shown = doctor(place, *given, "--json", "--no-play")
    findings = [Finding(**entry) for entry in json.loads(shown.stdout)]
    assert shown.returncode == Exit.WARNINGS
    assert [finding.check for finding in findings if finding.level == "warning"] == ["library"]
    assert "playing" not in {finding.check for finding in findings}
    place.rmdir()
    place.touch()
    assert doctor(place, *given, "--no-play").returncode == Exit.PROBLEMS
    place.unlink()
    place.mkdir()
    given[1] = "--base-url=http://dispatcharr.example:9191"
    assert doctor(place, *given, "--no-play").returncode == Exit.OK


def test_it_says_where_each_setting_comes_from_and_shows_no_secret(tmp_path: Path) -> None:
    config = tmp_path / "vod2strmfs.toml"
    config.write_text('database = "postgresql://kim:geheim@127.0.0.1:1/db"\nallow_other = true\n')
    environment = {**os.environ, "VOD2STRMFS_BASE_URL": "http://dispatcharr.example:9191"}
    whole = command("doctor", "--config", config, "--state-dir", tmp_path, "--no-play")
    done = subprocess.run(whole, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert f"database = (secret), from database in {config}" in done.stdout
    assert f"allow_other = true, from allow_other in {config}" in done.stdout
    assert "base_url = http://dispatcharr.example:9191, from VOD2STRMFS_BASE_URL" in done.stdout
    assert f"state_dir = {tmp_path}, from --state-dir" in done.stdout
    assert "umask" not in done.stdout
    assert "geheim" not in done.stdout + done.stderr
    assert f"chmod 600 {config}" in done.stdout
    config.chmod(0o600)
    assert "chmod" not in doctor("--config", config, "--state-dir", tmp_path, "--no-play").stdout


def test_a_password_on_the_command_line_is_a_warning(tmp_path: Path) -> None:
    shown = doctor("--database=postgresql://kim:geheim@127.0.0.1:1/db", "--state-dir", tmp_path, "--no-play").stdout
    assert "the database's password is on the command line" in shown
    assert "geheim" not in shown


def test_a_base_url_that_only_this_host_understands(set_up: SetUp) -> None:
    loopback = [finding for finding in set_up.examine() if finding.level == Level.WARNING]
    assert [finding.check for finding in loopback] == ["library"]
    assert "Give the address by which it reaches Dispatcharr" in loopback[0].advice
    assert is_documented(loopback[0])


# The database


def test_no_database_given(set_up: SetUp) -> None:
    del set_up.options["database"]
    broken(set_up.examine(), "database: not set", "--database postgresql://")


def test_a_directory_in_place_of_a_database_file(set_up: SetUp) -> None:
    set_up.options["database"] = "sqlite:////tmp"
    broken(set_up.examine(), "database: /tmp is a directory", "Name the SQLite file")


def test_no_server_at_the_database_address(set_up: SetUp) -> None:
    set_up.options["database"] = "postgresql://kim:geheim@127.0.0.1:1/dispatcharr"
    broken(set_up.examine(), "kim@127.0.0.1:1/dispatcharr.*refused", "PostgreSQL runs there")


def test_a_wrong_password(set_up: SetUp, postgres: PostgresServer) -> None:
    set_up.options["database"] = re.sub(":[^:@]+@", ":wrong@", postgres.new_database())
    broken(set_up.examine(), "password authentication failed", "Check the user and the password")


def test_another_programs_database(set_up: SetUp, postgres: PostgresServer) -> None:
    set_up.options["database"] = postgres.new_database()
    broken(set_up.examine(), "not a Dispatcharr database", "Check the database's name")


def test_a_role_without_the_right_to_read(set_up: SetUp, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    films().write(url)
    set_up.options["database"] = postgres.create_role(url, "SELECT (id, name) ON vod_movie")
    broken(set_up.examine(), "may not read", "docs/database-role.sql")


def test_a_role_that_may_do_more_than_it_needs_is_told(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    films().write(url)
    role = (ROOT / "docs/database-role.sql").read_text()
    grants = [re.sub(r"GRANT (.*) TO \w+;", r"\1", line) for line in role.splitlines() if line.startswith("GRANT ")]
    strict = list(database.database(Settings(database=postgres.create_role(url, *grants))))
    assert [finding.level for finding in strict] == [Level.OK] * 3
    assert "can only read" in strict[1].text
    assert "PostgreSQL" in strict[0].text
    assert "v0.29 or later" in strict[0].text
    loose = list(database.database(Settings(database=url)))
    broken(loose, "change m3u_m3uaccount and read the providers' passwords", "database-role.sql", Level.NOTE)


def facts(clock: float | None) -> Facts:
    return Facts("db", "PostgreSQL 17", "v0.29 or later", clock, (), False, 0, 0)


def test_clocks_that_disagree() -> None:
    broken(database.clock(facts(1000.0), 1300.0), "300 seconds behind", "timedatectl set-ntp", Level.WARNING)
    broken(database.clock(facts(1300.0), 1000.0), "300 seconds ahead", "timedatectl set-ntp", Level.WARNING)
    assert list(database.clock(facts(1010.0), 1000.0)) == list(database.clock(facts(None), 1000.0)) == []


# The catalogue


def test_no_active_account(set_up: SetUp) -> None:
    set_up.database.execute("UPDATE m3u_m3uaccount SET is_active = false")
    broken(set_up.examine(), "no M3U account is active", "switch one on")


def test_all_categories_disabled(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url)
    other = tmp_path / "other"
    other.mkdir()
    catalogue = Catalogue()
    account = catalogue.account("Provider")
    category = catalogue.category("Films", "movie")
    catalogue.enable(account, category, enabled=False)
    catalogue.movie("Heat", category=category)
    set_up.options["database"] = Database(f"sqlite:///{other}/demo.db").fill(catalogue).url
    broken(set_up.examine(), "1 of 1 categories is disabled", "Enable VOD categories")


def test_nothing_in_the_catalogue(set_up: SetUp) -> None:
    set_up.database.execute("DELETE FROM vod_m3umovierelation")
    set_up.database.execute("DELETE FROM vod_m3useriesrelation")
    broken(set_up.examine(), "0 of 1 movies", "Enable VOD for an account")


def test_some_categories_disabled_series_without_episodes_and_titles_without_ids(
    tmp_path: Path, server: DispatcharrServer
) -> None:
    catalogue = films()
    category = catalogue.category("More", "movie")
    catalogue.enable(catalogue.account("Other provider"), category, enabled=False)
    catalogue.series("Dark")
    catalogue.movie("Ran")
    notes = {f.check: f for f in SetUp(tmp_path, server.url, catalogue).examine() if f.level == Level.NOTE}
    assert "1 of 1 categories is disabled" in notes["categories"].text
    assert notes["episodes"].text == "1 series is not shown, since Dispatcharr has not fetched its episodes"
    assert "Open a series in Dispatcharr" in notes["episodes"].advice
    assert notes["ids"].text == "2 titles have neither a TMDB nor an IMDb id"
    assert all(is_documented(notes[check]) for check in ("categories", "episodes", "ids"))


# The index


def test_no_index_yet(set_up: SetUp) -> None:
    shutil.rmtree(set_up.folder / "state")
    broken(set_up.examine(), "there is none in", "vod2strmfs sync", Level.WARNING)


def test_a_damaged_index(set_up: SetUp) -> None:
    (set_up.folder / "state/index.db").write_bytes(b"SQLite no more" * 1000)
    broken(index.index(set_up.settings()), "cannot be", "names and contents stay the same")


def test_an_index_that_went_stale(set_up: SetUp) -> None:
    away = set_up.folder / "away.db"
    (set_up.folder / "demo.db").rename(away)
    subprocess.run(command("sync", f"--database={set_up.database.url}", "--state-dir", set_up.folder / "state"),
                   check=False, capture_output=True)  # fmt: skip
    away.rename(set_up.folder / "demo.db")
    broken(index.index(set_up.settings()), "could not be read since .*no SQLite file", "vod2strmfs sync")
    assert not any("\n" in finding.text for finding in index.index(set_up.settings()))


def test_an_index_that_nobody_renews(set_up: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 5 * 86400)
    broken(index.index(set_up.settings()), "last compared 5 days ago", "the timer runs", Level.NOTE)


def test_the_shrink_brake_holds_something(set_up: SetUp) -> None:
    set_up.database.execute("DELETE FROM vod_m3umovierelation")
    set_up.sync()
    broken(index.index(set_up.settings()), "1 of 1 movies is gone", "sync --accept-shrink", Level.WARNING)


def test_an_index_made_with_other_settings(set_up: SetUp) -> None:
    set_up.options["folder_ids"] = "jellyfin"
    broken(index.index(set_up.settings()), "other settings: folder_ids", "the settings file of your mount", Level.NOTE)


def test_what_is_joined_is_told_and_why(set_up: SetUp) -> None:
    def told() -> Finding:
        [found] = [each for each in index.index(set_up.settings()) if each.check == "merge"]
        return found

    assert (told().level, told().text) == (Level.OK, "rows of one title: merge is titles, the default")
    library = Library(set_up.folder)
    library.sync(set_up.database.url, LibrarySettings(base_url=set_up.options["base_url"], merge="off"))
    broken(index.index(set_up.settings()), "merge is off, as this library was made", 'merge = "titles"', Level.NOTE)
    set_up.options["merge"] = "off"
    assert (told().level, told().text) == (Level.OK, "rows of one title: merge is off, as the settings say")
    assert not [each for each in index.index(set_up.settings()) if each.check == "library"]


# Playing


def test_nothing_answers_at_the_base_url(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        broken(SetUp(tmp_path, url).examine(), "cannot be reached .*refused", "base_url has to be")


def test_https_where_dispatcharr_speaks_http(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url.replace("http:", "https:"))
    broken(set_up.examine(), "does not speak https", "Write http://")


def test_a_login_that_a_player_would_be_asked_for(set_up: SetUp, server: DispatcharrServer) -> None:
    server.status = 401
    broken(set_up.examine(), "answers 401: something in front of Dispatcharr asks for a login", "let /proxy/vod/")


def test_a_provider_that_refuses(set_up: SetUp, server: DispatcharrServer) -> None:
    server.status = 500
    broken(set_up.examine(), "answers 500, as Dispatcharr does when the provider refuses", "the account may have ended")


def test_another_web_server_has_the_port(tmp_path: Path, server: DispatcharrServer) -> None:
    broken(SetUp(tmp_path, server.url + "/web").examine(), "web page instead of a film", "Check base_url")


def test_the_plural_path_that_never_plays(server: DispatcharrServer) -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    broken([playing.ask(f"{server.url}/proxy/vod/movies/{uuid}")], "answers 503", "the plural never plays")
    assert playing.ask(f"{server.url}/proxy/vod/movie/{uuid}").level == Level.OK


def test_a_title_without_a_stream(set_up: SetUp, server: DispatcharrServer) -> None:
    server.plays = False
    broken(set_up.examine(), "answers 503", "a connection free")


@pytest.mark.parametrize(("status", "advice"), [(404, "movie_path"), (502, "base_url")])
def test_an_answer_that_is_an_error(set_up: SetUp, server: DispatcharrServer, status: int, advice: str) -> None:
    server.status = status
    broken(set_up.examine(), f"answers {status}", advice)


def test_a_redirect_too_many(set_up: SetUp, server: DispatcharrServer) -> None:
    server.redirects = 2
    broken(set_up.examine(), "redirects more than once", "Dispatcharr itself")
    assert len(server.requests) == 2


def test_a_redirect_to_what_is_no_address(set_up: SetUp, server: DispatcharrServer) -> None:
    for server.everywhere in ("http://[", "//xn--/"):
        broken(set_up.examine(), "cannot be reached", "base_url has to be")


def test_what_a_server_says_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = "it answers \x07\x9b2J\r500"
    show(Finding("playing", Level.PROBLEM, said, "Line one.\nLine \x1b]0;two."))
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.endswith("→ Line one.\nLine �]0;two.\n")


def test_a_host_that_is_not_among_the_allowed_networks(set_up: SetUp, server: DispatcharrServer) -> None:
    server.status = 403
    broken(set_up.examine(), "answers 403: it does not let this host play", "allowed networks")


def test_a_default_stream_profile_that_sends_players_to_the_provider(set_up: SetUp, server: DispatcharrServer) -> None:
    server.provider = "http://panel.example:8080/movie/kim/geheim/4711.mkv"
    findings = [finding for finding in set_up.examine() if finding.check == "playing"]
    broken(findings, "sends players to the provider itself", "stream profile is Redirect", Level.WARNING)
    assert "geheim" not in str(findings)
    assert "panel" not in str(findings)
    assert len(server.requests) == 1


def test_a_login_page_in_front_of_dispatcharr(set_up: SetUp, server: DispatcharrServer) -> None:
    server.provider = "https://auth.example/login?next=/proxy/vod/movie"
    broken(set_up.examine(), "sends players to another page", "let /proxy/vod/ through")


def test_a_panel_may_send_players_of_direct_urls_where_it_likes(server: DispatcharrServer) -> None:
    film = f"{server.url}/proxy/vod/movie/11111111-2222-3333-4444-555555555555/vod_1"
    with DispatcharrServer(everywhere=film) as panel:
        assert playing.ask(f"{panel.url}/movie/kim/geheim/4711.mkv").level == Level.OK


def test_it_is_the_address_that_was_given_which_is_asked(set_up: SetUp, server: DispatcharrServer) -> None:
    with DispatcharrServer() as moved:
        set_up.options["base_url"] = moved.url
        assert "playing" in {finding.check for finding in set_up.examine() if finding.level == Level.OK}
        assert len(moved.requests) == 2
        assert moved.requests[0].startswith("GET /proxy/vod/movie/")
    set_up.options["movie_path"] = "/proxy/vod/movies/{uuid}"
    set_up.options["base_url"] = server.url
    broken(set_up.examine(), "answers 503", "the plural never plays")


def test_without_a_base_url_it_asks_the_one_of_the_library_and_says_that_it_is_not_set(
    set_up: SetUp, server: DispatcharrServer
) -> None:
    del set_up.options["base_url"]
    findings = set_up.examine()
    assert len(server.requests) == 2
    [unset] = [finding for finding in findings if "base_url is not set" in finding.text]
    assert unset.level == Level.WARNING
    assert is_documented(unset)


def test_a_password_in_the_base_url_is_a_warning_and_is_not_shown(set_up: SetUp, server: DispatcharrServer) -> None:
    set_up.options["base_url"] = server.url.replace("//", "//kim:geheim@")
    findings = set_up.examine()
    assert "geheim" not in str(findings)
    assert any("base_url = http://kim:***@127.0.0.1" in finding.text for finding in findings)
    [told] = [finding for finding in findings if "its password stands in every .strm" in finding.text]
    assert told.level == Level.WARNING
    assert is_documented(told)


def test_a_server_that_accepts_and_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, "_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://kim:geheim@127.0.0.1:{silent.getsockname()[1]}/movie/kim/geheim/1.mkv"
        finding = playing.ask(url)
    broken([finding], "does not answer within 0.3 seconds", "firewalls")
    assert "geheim" not in "".join(finding)


# FUSE and the mount


_EXAMINED = """
import sys
from vod2strmfs.doctor import {module}
from vod2strmfs.settings import load
import json, os
{prepare}
settings = load(None, json.loads(sys.argv[1]), {{}})
print(json.dumps([finding._asdict() for finding in {module}.{check}(settings)]))
"""
_AS_NOBODY = "os.setgroups([]); os.setgid({gid}); os.setuid({uid})"


def elsewhere(
    check: str, shell: str, options: dict[str, Any], *, as_nobody: bool = False, module: str = "mount"
) -> list[Finding]:
    """What a check finds in a mount namespace of its own, after a shell command there."""
    nobody = pwd.getpwnam("nobody")
    prepare = _AS_NOBODY.format(uid=nobody.pw_uid, gid=nobody.pw_gid) if as_nobody else ""
    code = _EXAMINED.format(module=module, check=check, prepare=prepare)
    whole = ["unshare", "--mount", "sh", "-ec", f'{shell}\nexec "$@"', "sh", sys.executable, "-c", code]
    done = subprocess.run([*whole, json.dumps(options)], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    return [Finding(**entry) for entry in json.loads(done.stdout)]


def test_no_fuse_device(set_up: SetUp) -> None:
    shell = "mount -t tmpfs none /dev; mknod /dev/null c 1 3; mknod /dev/urandom c 1 9"
    broken(elsewhere("fuse", shell, set_up.options), "/dev/fuse: does not exist", "modprobe fuse.*--device /dev/fuse")


def test_no_right_to_the_fuse_device(set_up: SetUp, tmp_path: Path) -> None:
    shell = f"mknod {tmp_path}/fuse c 10 229; chmod 600 {tmp_path}/fuse; mount --bind {tmp_path}/fuse /dev/fuse"
    found = elsewhere("fuse", shell, set_up.options, as_nobody=True)
    broken(found, "this user may not open it", "chmod 666 /dev/fuse")


def test_no_fusermount3(set_up: SetUp) -> None:
    found = elsewhere("fuse", "export PATH=/nonesuch", set_up.options, as_nobody=True)
    broken(found, "fusermount3: is not installed", "package fuse3")


def test_other_users_not_allowed_by_root(set_up: SetUp) -> None:
    options = {**set_up.options, "allow_other": True}
    shell = "[ -e /etc/fuse.conf ] && mount --bind /dev/null /etc/fuse.conf"
    broken(elsewhere("fuse", shell, options, as_nobody=True), "allow_other", "user_allow_other into /etc/fuse.conf")


def test_a_mount_that_only_its_user_can_read_is_told(set_up: SetUp) -> None:
    broken(mount.fuse(set_up.settings()), "only .* will be able to read", "--allow-other", Level.NOTE)


@pytest.mark.parametrize(("flag", "level"), [("private", Level.NOTE), ("shared", Level.OK)])
def test_containers_see_what_is_mounted_on_a_shared_file_system_alone(
    set_up: SetUp, tmp_path: Path, flag: str, level: Level
) -> None:
    shell = f"mount -t tmpfs none {tmp_path}; mkdir {tmp_path}/mount; mount --make-{flag} {tmp_path}"
    [finding] = elsewhere("propagation", shell, set_up.options)
    assert finding.level == level
    assert ("make-rshared" in finding.advice) == (level == Level.NOTE)


def test_a_foreign_file_system_at_the_mount_point(set_up: SetUp, tmp_path: Path) -> None:
    found = elsewhere("mount", f"mount -t tmpfs none {tmp_path}/mount", set_up.options)
    broken(found, "a tmpfs file system is mounted", "Unmount it")


def test_a_mount_point_that_belongs_to_the_system(set_up: SetUp) -> None:
    set_up.options |= {"output_root": "/etc", "films_root": "/usr/lib"}
    found = set_up.examine()
    for check, text, advice in (
        ("mount", "/etc is a directory of the system", "Choose another mount point: "),
        ("films", "/usr/lib is a directory of the system", "Choose another films_root: "),
    ):
        [finding] = [each for each in found if each.check == check and each.level == Level.PROBLEM]
        assert finding.text == text
        assert finding.advice.startswith(advice)
        assert is_documented(finding)


def test_no_mount_point(set_up: SetUp, tmp_path: Path) -> None:
    (tmp_path / "mount").rmdir()
    broken(set_up.examine(), "does not exist", f"mkdir -p {tmp_path}/mount", Level.WARNING)


def test_a_mount_point_with_files_in_it(set_up: SetUp, tmp_path: Path) -> None:
    (tmp_path / "mount/poster.jpg").touch()
    broken(mount.mount(set_up.settings()), "there are files in it", "a mount hides what is in it", Level.NOTE)


def test_a_mount_point_that_is_a_file(set_up: SetUp, tmp_path: Path) -> None:
    (tmp_path / "mount").rmdir()
    (tmp_path / "mount").touch()
    broken(set_up.examine(), "is not a directory", "Name a directory")


def test_a_mount_point_that_this_user_cannot_write(set_up: SetUp) -> None:
    found = elsewhere("mount", "true", set_up.options | {"output_root": "/opt"}, as_nobody=True)
    broken(found, "nobody cannot write /opt", "chown nobody /opt")


def test_a_dead_mount(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url)
    with mounted(tmp_path, set_up.database.url) as running:
        running.process.kill()
        running.process.wait()
        broken(mount.mount(set_up.settings()), "is dead", "fusermount3 -uz")


def test_a_mount_that_hangs(tmp_path: Path, server: DispatcharrServer, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up = SetUp(tmp_path, server.url)
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    with mounted(tmp_path, set_up.database.url) as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            broken(mount.mount(set_up.settings()), "does not answer within 0.3 seconds", "End that process")
        finally:
            os.kill(running.process.pid, signal.SIGCONT)


def test_the_mount_of_another_state_directory(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url)
    with mounted(tmp_path, set_up.database.url):
        set_up.options["state_dir"] = str(tmp_path / "other")
        broken(mount.mount(set_up.settings()), "no mount is running", "give it with --state-dir", Level.WARNING)


def test_a_mount_made_by_a_link_is_the_same_place(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url)
    folder = tmp_path / "by link"
    folder.mkdir()
    (folder / "mount").symlink_to(tmp_path / "mount")
    set_up.options["state_dir"] = str(folder / "state")
    with mounted(folder, set_up.database.url, wait=False) as running:
        eventually(lambda: "Generation 1" in running.log.read_text())
        eventually(lambda: os.path.exists(tmp_path / "mount/Movies"))
        for place in (folder / "mount", tmp_path / "mount"):
            set_up.options["output_root"] = str(place)
            [finding] = mount.mount(set_up.settings())
            assert finding.level == Level.OK, finding


def test_a_mount_without_a_generation(tmp_path: Path, server: DispatcharrServer) -> None:
    set_up = SetUp(tmp_path, server.url)
    shutil.rmtree(tmp_path / "state")
    with mounted(tmp_path, f"sqlite:///{tmp_path}/none.db", wait=False):
        eventually(lambda: any("nothing to show" in f.text for f in mount.mount(set_up.settings())))
        broken(mount.mount(set_up.settings()), "nothing to show yet", "Mend what is said of the database")


# The disk


def test_no_room_for_the_index(set_up: SetUp, tmp_path: Path) -> None:
    code = (
        "import json, sys; from vod2strmfs.doctor import disk; from vod2strmfs.settings import load\n"
        "print(json.dumps([f._asdict() for f in disk.directories(load(None, json.loads(sys.argv[1]), {}))]))"
    )
    whole = ["unshare", "--mount", "sh", "-ec", f'mount -t tmpfs -o size=1M none {tmp_path}/state; exec "$@"', "sh"]
    done = subprocess.run(
        [*whole, sys.executable, "-c", code, json.dumps(set_up.options)], capture_output=True, text=True, check=True
    )
    found = [Finding(**entry) for entry in json.loads(done.stdout)]
    broken(found, r"1 MiB are free for state_dir|0 MiB are free", "Make room", Level.WARNING)


def test_directories_that_cannot_be_written(set_up: SetUp, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    set_up.options["log_dir"] = str(tmp_path / "file/logs")
    broken(disk.directories(set_up.settings()), "log_dir .*file/logs", "--log-dir")


def test_a_state_directory_that_this_user_cannot_write(set_up: SetUp) -> None:
    options = set_up.options | {"state_dir": "/usr/vod2strmfs", "log_dir": "/mnt", "report_dir": "/mnt"}
    shell = "mount -t tmpfs -o mode=1777 none /mnt"
    found = elsewhere("directories", shell, options, as_nobody=True, module="disk")
    broken(found, "state_dir /usr/vod2strmfs cannot be made", "--state-dir")


def test_a_server_that_does_not_admit_this_user(set_up: SetUp) -> None:
    with PostgresServer() as server:
        server.admit("local all all trust")
        set_up.options["database"] = server.superuser_url
        broken(set_up.examine(), "no pg_hba.conf entry for host", "has to admit this host")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group_by": "category_tv"}, ["group_by is category_tv"]),
        ({"group_by": "category"}, []),
        ({"media_server": "kodi", "versions": "all"}, ["versions is all"]),
        ({"media_server": "jellyfin", "versions": "all"}, []),
        ({"media_server": "kodi", "movie_path": "/movie/{uuid}/" + "x" * 4095}, ["1 .strm files have URLs of 4,095"]),
        ({"media_server": "jellyfin", "movie_path": "/movie/{uuid}/" + "x" * 4095}, []),
    ],
)
def test_what_a_media_server_will_not_find(set_up: SetUp, options: dict[str, Any], said: list[str]) -> None:
    Library(set_up.folder).sync(set_up.database.url, LibrarySettings.model_validate(options))
    findings = list(servers.servers(set_up.settings().model_copy(update=options)))
    assert [finding.text[: len(text)] for finding, text in zip(findings, said, strict=True)] == said
    assert all(is_documented(finding) for finding in findings)


def test_plex_is_not_chosen_without_a_warning(set_up: SetUp) -> None:
    broken(servers.servers(set_up.settings().model_copy(update={"notify": (NotifiedServer(kind="plex", url="http://a"),)})),
           "Plex is told what changed in the .strm library", "Give Plex the mount of", Level.WARNING)  # fmt: skip
    set_up.options["media_server"] = "plex"
    warnings = [finding for finding in set_up.examine() if finding.level == Level.WARNING]
    broken([finding for finding in warnings if "base_url" not in finding.text],
           "Plex lists .strm files, and cannot play them", "Give Plex the mount of", Level.WARNING)  # fmt: skip
