"""systemd: units that verify, that are written for the settings of now, and under whose limits a mount works."""

import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import pytest
from databases import Database
from mounts import TIMEOUT, command, eventually, is_mounted, mounted
from processes import state_of
from psycopg.conninfo import conninfo_to_dict

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.settings import dispatcharr_database, load
from vod2strmfs.systemd.units import ServiceKind, units

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(tmp_path: Path) -> str:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    return Database(f"sqlite:///{tmp_path}/demo.db").fill(catalogue).url


def install(root: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    whole = command("install-service", f"--root={root}", *arguments)
    return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def verify(*files: Path) -> str:
    """What systemd has against units; nothing, if all is well."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    # Units of this machine's that these ones want or that want them are not ours to judge.
    ours = [line for line in done.stderr.splitlines() if "vod2strmfs" in line]
    return "\n".join(ours) + ("" if done.returncode == 0 or ours else done.stderr)


@pytest.mark.parametrize("templated", [False, True])
def test_the_units_verify(tmp_path: Path, templated: bool) -> None:
    program = tmp_path / "a program"
    shutil.copy("/bin/true", program)
    written = []
    for work in get_args(ServiceKind):
        for name, text in units(work, program, templated=templated).items():
            written.append(tmp_path / name.replace("@", "@films"))
            written[-1].write_text(text)
    assert len(written) == 5
    assert verify(*written) == ""
    service = next(path for path in written if path.name.startswith(("vod2strmfs.", "vod2strmfs@")))
    service.write_text(service.read_text() + "\n[Service]\nNonesuch=1\n")
    assert "Nonesuch" in verify(service)


def test_nothing_in_the_mounts_unit_hides_the_mount() -> None:
    """See systemd.exec(5): each of these gives the service a mount namespace of its own."""
    paths = list(ROOT.glob("systemd/vod2strmfs*.service"))
    assert len(paths) == 8
    for path in paths:
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
        hidden = re.findall(r"^(Protect(?!Clock|Hostname)\w+|Private\w+|.*Paths|\w*Bind\w*|RootDirectory)=", text, re.M)
        mounts = path.name.removeprefix("vod2strmfs").partition(".")[0] in ("", "@", "-films", "-films@")
        assert bool(hidden) != mounts, (path.name, hidden)


def test_what_is_installed_has_the_settings_and_mounts(tmp_path: Path, database: str) -> None:
    place, root = tmp_path / "mount", tmp_path / "root"
    place.mkdir()
    options = (place, f"--database={database}", "--umask=027", "--languages=EN,-", "--no-nfo", "--name=classics")
    done = install(root, *options, "--state-dir", tmp_path / "elsewhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert "systemctl enable --now vod2strmfs@classics.service" in done.stdout
    config, unit = root / "etc/vod2strmfs/classics.toml", root / "etc/systemd/system/vod2strmfs@.service"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    settings = load(config, {}, {})
    assert (settings.output_root, settings.umask, settings.languages) == (place, 0o027, ("EN", "-"))
    assert not settings.write_nfo
    assert "elsewhere" not in config.read_text()

    [start] = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.M)
    line = start.replace("%S", str(tmp_path / "state")).replace("/etc/", f"{root}/etc/").replace("%i", "classics")
    with subprocess.Popen(shlex.split(line)) as process:
        try:
            eventually(lambda: os.path.isdir(place / "Movies/Heat (1995)"))
            assert os.listdir(place / "Movies/Heat (1995)") == ["Heat (1995).strm"]
            assert (tmp_path / "state/vod2strmfs/classics/index.db").exists()
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0


def test_it_writes_over_nothing_that_somebody_changed(tmp_path: Path, database: str) -> None:
    options = (f"--database={database}", "--materialize", tmp_path / "out")
    assert install(tmp_path, *options).returncode == 0
    written = [tmp_path / "etc/vod2strmfs.toml"]
    written += (tmp_path / f"etc/systemd/system/vod2strmfs-materialize.{kind}" for kind in ("service", "timer"))
    before = [path.read_bytes() for path in written]
    assert install(tmp_path, *options).returncode == 0

    commented = written[0].read_text() + "# mine\n"
    written[0].write_text(commented)
    assert install(tmp_path, "--config", written[0], "--materialize").returncode == 0
    assert written[0].read_text() == commented

    written[2].write_text("[Timer]\nOnCalendar=12:00\n")
    refused = install(tmp_path, *options)
    assert refused.returncode == Exit.OUTPUT
    assert f"{written[2]}: is there already, and differs" in refused.stderr
    refused = install(tmp_path, *options, "--max-shrink=5")
    assert f"{written[0]}: is there already, and differs in max_shrink. Write that into it" in refused.stderr
    assert written[0].read_text() == commented
    for number in (1, 2):
        written[2].write_text(f"# edited, {number}\n")
        done = install(tmp_path, *options, "--force")
        assert done.returncode == 0
        assert [path.read_bytes() for path in written[1:]] == before[1:]
        kept = written[2].with_name(f"vod2strmfs-materialize.timer.old-{number}")
        assert f"kept: {kept}, as it was before\n" in done.stdout
        assert kept.read_text() == f"# edited, {number}\n"
    assert install(tmp_path, *options, "--max-shrink=5", "--force").returncode == 0
    [kept] = written[0].parent.glob("vod2strmfs.toml.old-*")
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (commented, 0o600)


def test_the_service_that_runs_again_and_again_is_installed_and_writes(
    tmp_path: Path, database: str, manager: socket.socket
) -> None:
    options = (f"--database={database}", "--run", tmp_path / "out")
    refused = install(tmp_path, *options)
    assert refused.returncode == Exit.USAGE
    assert "schedule: is not set, nor is auto" in refused.stderr
    assert not (tmp_path / "etc").exists()

    done = install(tmp_path, *options, "--schedule=* * * * * *")
    assert (done.returncode, done.stderr) == (0, "")
    assert "systemctl enable --now vod2strmfs-run.service" in done.stdout
    unit = (tmp_path / "etc/systemd/system/vod2strmfs-run.service").read_text()
    [start] = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    line = start.replace("%S", str(tmp_path)).replace("/etc/", f"{tmp_path}/etc/")
    with subprocess.Popen(shlex.split(line)) as process:
        try:
            assert manager.recv(100) == b"READY=1"
            eventually((tmp_path / "out/Movies/Heat (1995)/Heat (1995).strm").exists)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
    assert manager.recv(100) == b"STOPPING=1"


def test_the_service_of_films_stands_beside_the_mounts_and_has_a_place_of_its_own(
    tmp_path: Path, database: str
) -> None:
    options = (f"--database={database}", "--base-url=http://192.168.1.10:9191", f"--films-root={tmp_path}/films")
    assert install(tmp_path / "root", *options).returncode == 0
    done = install(tmp_path / "root", *options, "--films")
    assert (done.returncode, done.stderr) == (0, "")
    assert "systemctl enable --now vod2strmfs-films.service" in done.stdout
    assert "etc/vod2strmfs.toml" not in done.stdout  # It says the same already.
    library, films = (
        (tmp_path / f"root/etc/systemd/system/{name}.service").read_text()
        for name in ("vod2strmfs", "vod2strmfs-films")
    )
    starts = [re.findall(r"^ExecStart=\S+ (.*)$", text, re.M) for text in (library, films)]
    assert starts == [
        [f"{word} --config /etc/vod2strmfs.toml --state-dir %S/vod2strmfs"] for word in ("mount", "films")
    ]
    limits = [
        text.partition("[Service]")[2].replace(start[0], "")
        for text, start in zip((library, films), starts, strict=True)
    ]
    assert limits[0] == limits[1]
    refused = install(tmp_path / "root", *options, "--films", tmp_path / "elsewhere")
    assert refused.returncode == Exit.USAGE
    assert "--films-root DIRECTORY" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("/etc",), Exit.MOUNT, "mount point /etc: is a directory of the system"),
        (("--films", "--films-root=/var/lib"), Exit.MOUNT, "mount point /var/lib: is a directory of the system"),
        (("--films", "--films-root=/data/STRM"), Exit.MOUNT, "is the place of the library"),
        (("--run", "--auto", "/usr/share"), Exit.OUTPUT, "output root /usr/share: is a directory of the system"),
    ],
)
def test_a_place_at_which_the_unit_would_fail_at_each_start_is_refused(
    tmp_path: Path, database: str, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    refused = install(tmp_path / "root", f"--database={database}", *arguments)
    assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
    assert not (tmp_path / "root").exists()


def test_dispatcharrs_own_variables_go_into_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_HOST", "db.example")
    monkeypatch.setenv("POSTGRES_PASSWORD", "geheim")
    done = install(tmp_path, "/data/STRM")
    assert "geheim" not in done.stdout + done.stderr
    assert "host='db.example'" in load(tmp_path / "etc/vod2strmfs.toml", {}, {}).database_url()


@pytest.mark.parametrize("name", ["..", "a/b", "a b", "-x", "%i", "ä", ".a", "films"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, database: str, name: str) -> None:
    done = install(tmp_path / "root", f"--database={database}", f"--name={name}")
    assert done.returncode == Exit.USAGE
    assert not (tmp_path / "root").exists()


def test_what_was_installed_is_taken_away_and_settings_stay(tmp_path: Path, database: str) -> None:
    settings = (f"--database={database}", "--base-url=http://192.168.1.10:9191")
    units_of = tmp_path / "root/etc/systemd/system"
    for options in ((), ("--films",), ("--materialize",), ("--run", "--auto", "--force")):
        assert install(tmp_path / "root", *settings, *options).returncode == 0
    wants = units_of / "multi-user.target.wants"
    wants.mkdir()
    (wants / "vod2strmfs.service").symlink_to("/etc/systemd/system/vod2strmfs.service")
    (units_of / "other.service").touch()
    done = install(tmp_path / "root", "--remove")
    assert (done.returncode, done.stdout.count("removed: ")) == (0, 5)
    assert [path.name for path in units_of.rglob("*") if not path.is_dir()] == ["other.service"]
    assert f"What is left: {tmp_path}/root/etc/vod2strmfs.toml" in done.stdout
    assert (tmp_path / "root/etc/vod2strmfs.toml").exists()
    assert "no units to remove" in install(tmp_path / "root", "--remove").stdout


def test_a_template_stays_while_another_library_uses_it(tmp_path: Path, database: str) -> None:
    units_of = tmp_path / "etc/systemd/system"
    for name in ("classics", "series"):
        options = (f"--name={name}", f"--database={database}", "--base-url=http://192.168.1.10:9191")
        assert install(tmp_path, *options).returncode == 0
        wants = units_of / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / f"vod2strmfs@{name}.service").symlink_to("/etc/systemd/system/vod2strmfs@.service")
    assert install(tmp_path, "--remove", "--name=classics").returncode == 0
    assert [path.name for path in wants.iterdir()] == ["vod2strmfs@series.service"]
    assert (units_of / "vod2strmfs@.service").exists()
    assert install(tmp_path, "--remove", "--name=series").returncode == 0
    assert [path for path in units_of.rglob("*") if not path.is_dir()] == []


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Stands for systemd, at its notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(TIMEOUT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager


def is_silent(manager: socket.socket) -> bool:
    """Whether nothing more waits to be read; reads what does."""
    try:
        manager.recv(100)
    except BlockingIOError:
        return True
    return False


def test_the_watchdog_hears_of_the_loop_as_long_as_it_goes_round(
    tmp_path: Path, database: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with mounted(tmp_path, database) as mount:
        for _ in range(20):
            assert manager.recv(100) in (b"WATCHDOG=1", b"READY=1")
        os.kill(mount.process.pid, signal.SIGSTOP)
        eventually(lambda: state_of(mount.process.pid) == "T")
        manager.setblocking(False)
        eventually(lambda: is_silent(manager))
        manager.settimeout(TIMEOUT)
        os.kill(mount.process.pid, signal.SIGCONT)
        assert manager.recv(100) == b"WATCHDOG=1"


def test_a_manager_that_does_not_read_stops_no_mount(
    tmp_path: Path, database: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    with mounted(tmp_path, database) as mount:
        # More states than its queue has room for.
        time.sleep(0.5)
        assert (mount.path / "Movies/Heat (1995)/movie.nfo").read_bytes()
        while manager.recv(100) != b"READY=1":
            pass
        assert mount.stop() == 0


def test_a_watchdog_for_another_process_is_none_of_ours(
    tmp_path: Path, database: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    with mounted(tmp_path, database) as mount:
        assert manager.recv(100) == b"READY=1"
        mount.stop()
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(("what", "shown"), [("mount", "Movies/Heat (1995)"), ("films", "Movies")])
def test_a_mount_needs_no_more_capabilities_than_its_unit_leaves_it(
    tmp_path: Path, database: str, what: Literal["mount", "films"], shown: str
) -> None:
    [text] = units(what, Path("/bin/true"), templated=False).values()
    [names] = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.M)
    kept = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names.split())
    place = tmp_path / "mount"
    place.mkdir()
    whole = command(what, place, f"--database={database}", f"--state-dir={tmp_path}/state", "--allow-other")
    limits = ["setpriv", "--bounding-set", f"-all,{kept}", "--inh-caps", "-all", "--no-new-privs"]
    with subprocess.Popen([*limits, *whole]) as process:
        try:
            eventually(lambda: os.path.isdir(place / shown))
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert re.search(r"^NoNewPrivs:\s1$", status, re.M)
            bounding = re.findall(r"^CapBnd:\s(\w+)$", status, re.M)
            assert int(bounding[0], 16).bit_count() == len(names.split())
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
    assert not is_mounted(place)


def test_the_example_of_an_environment_file_holds_settings() -> None:
    text = (ROOT / "systemd/vod2strmfs.env.example").read_text()
    values = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", text, re.M))
    settings = load(None, {}, values)
    assert settings.base_url == values["VOD2STRMFS_BASE_URL"]
    assert conninfo_to_dict(settings.database_url()) == conninfo_to_dict(dispatcharr_database(values))
    for templated in (False, True):
        for work in get_args(ServiceKind):
            service = next(iter(units(work, Path("/usr/bin/vod2strmfs"), templated=templated).values()))
            name = "/etc/vod2strmfs/%i.env" if templated else "/etc/vod2strmfs.env"
            assert f"\nEnvironmentFile=-{name}\n" in service
