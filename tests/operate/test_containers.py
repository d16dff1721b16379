"""Containers: the image's health check, what others see through each restart, and compose files that hold together.

There is no container engine here: a container is a mount namespace. scripts/try_containers.sh has the real thing.
"""

import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from compose_spec import PyOptions
from databases import Database
from mounts import TIMEOUT, Mount, command, eventually, is_mounted, mounted, seen_elsewhere

from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.settings import ENVIRONMENT_PREFIX, Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")

DISPATCHARR: tuple[list[str], ...] = ([], ["all-in-one.yaml"], ["modular.yaml"])
LIBRARY = ("mount.yaml", "materialize.yaml")
CHOICES = [[*dispatcharr, library, "media-servers.yaml"] for dispatcharr in DISPATCHARR for library in LIBRARY]
FILMS = [[*dispatcharr, "mount.yaml", "films.yaml"] for dispatcharr in DISPATCHARR]


def films(count: int = 30) -> Catalogue:
    catalogue = Catalogue()
    for number in range(count):
        catalogue.movie(f"Film {number}", year=1995)
    return catalogue


def instructions(name: str) -> list[str]:
    """The arguments of a kind of instruction in the Dockerfile."""
    return re.findall(rf"^{name}\s+(.*)$", DOCKERFILE, re.M)


def is_healthy(state: Path) -> bool:
    """What the image's health check says of the mount with a state directory."""
    [check] = instructions("HEALTHCHECK")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "VOD2STRMFS_STATE_DIR": str(state)}
    line = check.partition("CMD ")[2]
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, check=False, timeout=TIMEOUT)
    # Docker knows these two, and has reserved the others.
    assert done.returncode in (0, 1)
    return done.returncode == 0


def test_healthy_is_what_shows_a_library(tmp_path: Path) -> None:
    file, state = tmp_path / "dispatcharr.db", tmp_path / "state"
    assert not is_healthy(state)
    with mounted(tmp_path, f"sqlite:///{file}", wait=False) as mount:
        eventually(lambda: is_mounted(mount.path))
        with pytest.raises(OSError, match="Input/output error"):
            os.listdir(mount.path)
        assert not is_healthy(state)

        Database(f"sqlite:///{file}").fill(films())
        eventually(lambda: is_healthy(state))

        file.rename(tmp_path / "away.db")
        eventually(lambda: bool(mount.stat("stale_since")))
        eventually(lambda: is_healthy(state))

        os.kill(mount.process.pid, signal.SIGSTOP)
        assert not is_healthy(state)
        os.kill(mount.process.pid, signal.SIGCONT)
        eventually(lambda: is_healthy(state))

        mount.process.kill()
        mount.process.wait()
        assert is_mounted(mount.path)
        assert not is_healthy(state)


class Watch:
    """Lists a directory all the time, as a media server's scan does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: list[frozenset[str] | int] = []
        """Listings, or the numbers of errors; the same twice running once."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._ended.wait(0.002):
            try:
                found: frozenset[str] | int = frozenset(os.listdir(self.directory))
            except OSError as error:
                found = error.errno or 0
            if not self.seen or self.seen[-1] != found:
                self.seen.append(found)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()


@contextmanager
def container(library: Path, database: str, *options: str, propagation: str = "unchanged") -> Iterator[Mount]:
    """A container that has been given the library with `rshared`, and mounts in it."""
    arguments = (f"--database={database}", f"--state-dir={library.parent}/state", "--poll-interval=0.5", *options)
    enter = ["unshare", "--mount", "--propagation", propagation]
    log = library.parent / "mount.log"
    with log.open("ab") as output:
        process = subprocess.Popen([*enter, *command("mount", library / "STRM", *arguments)], stderr=output)
    mount = Mount(process, library / "STRM", log)
    try:
        yield mount
    finally:
        if process.poll() is None:
            mount.stop()


@contextmanager
def shared(above: Path) -> Iterator[Path]:
    """A folder of the host's that containers share, in a folder."""
    folder = above / "library"
    (folder / "STRM").mkdir(parents=True)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "--make-shared", folder], check=True)
    yield folder
    # A dead mount below it goes with it.
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host's that containers share."""
    with shared(tmp_path) as folder:
        yield folder


def titles(place: Path) -> frozenset[str]:
    return frozenset(os.listdir(place / "STRM/Movies"))


def test_a_consumer_sees_the_whole_library_or_an_error_through_each_restart(tmp_path: Path, library: Path) -> None:
    url = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films()).url
    whole = frozenset(f"Film {number} (1995)" for number in range(30))
    with seen_elsewhere(library) as there, Watch(there / "STRM/Movies") as watch:

        def sees(what: object) -> bool:
            return bool(watch.seen) and watch.seen[-1] == what

        eventually(lambda: sees(errno.ENOENT))
        with container(library, url):
            eventually(lambda: sees(whole))
            # It is in the host's eyes too, and in those of a consumer that was started again.
            assert titles(library) == whole
            with seen_elsewhere(library) as again:
                assert titles(again) == whole
        assert not is_mounted(library / "STRM")
        eventually(lambda: sees(errno.ENOENT))

        with container(library, url) as mount:
            eventually(lambda: sees(whole))
            mount.process.kill()
            mount.process.wait()
            eventually(lambda: sees(errno.ENOTCONN))
            assert is_mounted(library / "STRM")

        with container(library, url):
            eventually(lambda: sees(whole))
    assert {found for found in watch.seen if not isinstance(found, int)} == {whole}


@contextmanager
def unprivileged(numbers: int = 100_000) -> Iterator[list[str]]:
    """A container whose users are others outside, as an unprivileged one of LXC; gives what stands before a command."""
    wait = ["sh", "-c", "echo; exec sleep 600"]
    process = subprocess.Popen(
        ["unshare", "--user", "--mount", "--propagation", "slave", *wait], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{kind}").write_text(f"0 {numbers} 65536")
        yield ["nsenter", f"--target={process.pid}", "--user", "--mount", "--setuid=0", "--setgid=0", "--"]
    finally:
        process.kill()
        process.wait()


def test_an_unprivileged_container_sees_the_library_through_each_restart(tmp_path: Path) -> None:
    url = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films()).url
    # Its users may not look into pytest's folders.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as open_to_all, ExitStack() as stack:
        Path(open_to_all).chmod(0o755)
        library = stack.enter_context(shared(Path(open_to_all)))
        enter = stack.enter_context(unprivileged())

        def sees() -> int:
            look = [*enter, "ls", str(library / "STRM/Movies")]
            return len(subprocess.run(look, capture_output=True, text=True, check=False).stdout.splitlines())

        assert sees() == 0
        with container(library, url, "--allow-other") as mount:
            eventually(lambda: sees() == 30)
            mount.process.kill()
            mount.process.wait()
            eventually(lambda: sees() == 0)
        with container(library, url, "--allow-other"):
            eventually(lambda: sees() == 30)
            owner = subprocess.run([*enter, "stat", "-c", "%U %A", library / "STRM/Movies"], capture_output=True,
                                   text=True, check=True).stdout  # fmt: skip
            assert owner.split() == ["nobody", "dr-xr-xr-x"]


def test_the_image_has_a_user_and_commands_that_there_are() -> None:
    assert instructions("USER") == ["$PUID:$PGID"]
    assert [line for line in instructions("ARG") if line.startswith("PUID")] == ["PUID=1000"]
    [entry] = instructions("ENTRYPOINT")
    assert entry == '["vod2strmfs"]'
    [start] = instructions("CMD")
    assert parses(re.findall(r'"(.*?)"', start))
    for given in re.findall(rf"{ENVIRONMENT_PREFIX}(\w+)=", DOCKERFILE):
        assert given.lower() in Settings.model_fields
    copied = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    assert {"pyproject.toml", "vod2strmfs"} <= copied
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for path in copied:
        assert (ROOT / path).exists()
        assert f"!{path}" in allowed


def parses(words: list[str]) -> bool:
    """Whether a command line is one; click says so otherwise."""
    name, *arguments = words
    cli.commands[name].make_context(name, arguments)
    return True


def interpolated(text: str, environment: dict[str, str]) -> str:
    """A compose file as Compose reads it: a variable, its default, or an error message."""

    def value(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        found = environment.get(name) or (word if operator == ":-" else None)
        assert found is not None, f"{name}: neither in .env nor with a default"
        return found

    return re.sub(r"\$\{(\w+)(:[-?])?([^}]*)\}", value, text)


def dotenv() -> dict[str, str]:
    """The example of .env, as it is after the steps in the documents."""
    lines = (COMPOSE / ".env.example").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {**values, "POSTGRES_PASSWORD": "secret"}


def services_of(files: list[str]) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """The services of compose files that are used together, and their volumes."""
    services: dict[str, dict[str, Any]] = {}
    volumes: set[str] = set()
    for file in files:
        project = PyOptions(apply_merge=True).from_yaml(interpolated((COMPOSE / file).read_text(), dotenv()))
        project.validate()
        whole = project.to_dict()
        volumes |= set(whole.get("volumes", {}))
        for name, service in whole["services"].items():
            merged = services.setdefault(name, {})
            environment = {**merged.get("environment", {}), **service.get("environment", {})}
            merged.update(service, environment=environment)
    return services, volumes


def mounts_of(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Source, target and propagation of each of a service's mounts."""
    for mount in service.get("volumes", ()):
        if isinstance(mount, str):
            source, target = mount.split(":")[:2]
            yield source, target, ""
        else:
            yield mount["source"], mount["target"], mount["bind"].get("propagation", "")


@pytest.mark.parametrize("files", CHOICES, ids=" ".join)
def test_compose_files_hold_together(files: list[str]) -> None:
    services, volumes = services_of(files)
    assert all("image" in service for service in services.values())
    for name, service in services.items():
        for wanted, how in service.get("depends_on", {}).items():
            assert wanted in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[wanted] or services[wanted]["image"] == "vod2strmfs"
        for source, _, _ in mounts_of(service):
            assert source.startswith(("/", "./")) or source in volumes, name
        for variable in service.get("environment", {}):
            if variable.startswith(ENVIRONMENT_PREFIX):
                assert variable.removeprefix(ENVIRONMENT_PREFIX).lower() in Settings.model_fields
        assert "privileged" not in service

    ours = services["vod2strmfs"]
    by_target = {target: (source, how) for source, target, how in mounts_of(ours)}
    assert set(by_target) == {"/data", "/state"}
    host, how = by_target["/data"]
    is_mount = "mount.yaml" in files
    assert how == ("rshared" if is_mount else "")
    assert ("SYS_ADMIN" in ours.get("cap_add", ())) == is_mount
    assert ("/dev/fuse:/dev/fuse" in ours.get("devices", ())) == is_mount
    # A user's fusermount3 gets no rights with it.
    assert ("no-new-privileges:true" in ours["security_opt"]) != is_mount
    assert (ours["cap_drop"], ours["read_only"], ours["restart"]) == (["ALL"], True, "unless-stopped")
    assert parses(shlex.split(ours.get("command", "mount")))
    if len(files) == 3:
        assert ours["environment"]["POSTGRES_HOST"] in services

    consumers = {name: service for name, service in services.items() if "profiles" in service}
    assert set(consumers) == {"jellyfin", "emby"}  # Plex cannot play the files.
    for name, service in consumers.items():
        assert (host, "/library", "rslave") in mounts_of(service), name
        assert service["depends_on"]["vod2strmfs"]["condition"] == "service_healthy"
        assert service["profiles"] == [name]


@pytest.mark.parametrize("files", FILMS, ids=" ".join)
def test_films_and_plex_hold_together_beside_the_library(files: list[str]) -> None:
    services, volumes = services_of(files)
    library, films, plex = (services[name] for name in ("vod2strmfs", "films", "plex"))
    # What lets the library's mount be seen lets films be seen, and they share what is known of the library.
    for key in ("image", "build", "init", "restart", "devices", "cap_drop", "cap_add", "security_opt", "read_only"):
        assert films[key] == library[key], key
    assert list(mounts_of(films)) == list(mounts_of(library))
    assert "state" in volumes
    assert parses(shlex.split(films["command"]))
    assert films["environment"]["VOD2STRMFS_ALLOW_OTHER"] == "true"
    # Where the database is: under one name in both ways to run Dispatcharr.
    named = {name for name, service in services.items() if name == "dispatcharr" or "dispatcharr" in aliases(service)}
    assert bool(named) == (len(files) == 3)
    assert films["environment"]["POSTGRES_HOST"] == "dispatcharr"

    [folder] = [source for source, target, _ in mounts_of(films) if target == "/data"]
    assert (folder, "/library", "rslave") in mounts_of(plex)
    assert plex["depends_on"]["films"]["condition"] == "service_healthy"
    assert plex["profiles"] == ["plex"]


def aliases(service: dict[str, Any]) -> list[str]:
    """Other names under which containers find a service."""
    networks = service.get("networks", {})
    return networks["default"]["aliases"] if networks else []


def test_what_the_page_about_films_tells_to_write_is_right() -> None:
    page = (ROOT / "docs/films.md").read_text()
    [text] = re.findall(r"^```ini\n(.*?)^```$", page, re.M | re.S)
    written = dict(line.split("=", 1) for line in text.splitlines())
    assert written["COMPOSE_FILE"].split(":") in FILMS
    services, _ = services_of(written["COMPOSE_FILE"].split(":"))
    assert [written["COMPOSE_PROFILES"]] == services["plex"]["profiles"]
    settings = load(None, {}, written)
    assert (settings.media_server, settings.categories) == ("plex", ("EN*",))
    commands = re.findall(r"docker compose exec (\w+) vod2strmfs ([^`\n]+)", page)
    assert len(commands) >= 3
    for service, words in commands:
        assert service in services
        assert parses(shlex.split(words))


def test_the_status_page_can_be_reached_from_outside_the_container_with_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = {"VOD2STRMFS_STATUS_TOKEN": "a-long-text-that-nobody-guesses"}
    files = [*dotenv()["COMPOSE_FILE"].split(":"), "status.yaml"]
    page = (ROOT / "docs/containers.md").read_text()
    assert f"COMPOSE_FILE={':'.join(files)}\n" in page
    assert "=".join(*token.items()) in page
    with pytest.raises(AssertionError, match="VOD2STRMFS_STATUS_TOKEN"):
        services_of(files)
    example = dotenv()
    monkeypatch.setattr(sys.modules[__name__], "dotenv", lambda: example | token)
    service = services_of(files)[0]["vod2strmfs"]
    given = {name: value for name, value in service["environment"].items() if name.startswith(ENVIRONMENT_PREFIX)}
    settings = load(None, {}, given)
    assert settings.status_listen == "0.0.0.0:9192"
    assert settings.status_token is not None
    assert settings.status_token.get_secret_value() == token["VOD2STRMFS_STATUS_TOKEN"]
    assert service["ports"] == ["9192:9192"]


def test_unraids_template_makes_a_container_that_writes_the_library(tmp_path: Path) -> None:
    url = Database(f"sqlite:///{tmp_path}/dispatcharr.db").fill(films()).url
    template = ElementTree.parse(COMPOSE / "unraid/vod2strmfs.xml").getroot()
    settings = {"Database": url, "Base URL": "http://192.168.1.10:9191"}
    places, environment = {}, {}
    for field in template.findall("Config"):
        name, target = field.attrib["Name"], field.attrib["Target"]
        if field.attrib["Type"] == "Path":
            places[target] = field.text
        elif field.attrib["Type"] == "Port":
            assert template.findtext("WebUI") == f"http://[IP]:[PORT:{target}]/"
        else:
            assert target.removeprefix(ENVIRONMENT_PREFIX).lower() in Settings.model_fields
            value = settings.get(name) or field.text or ""
            assert value or field.attrib["Required"] == "false"
            environment[target] = value
    assert set(places) == set(instructions("VOLUME")) | {"/data"}
    assert template.findtext("Repository") == "vod2strmfs"
    page = (ROOT / "docs/unraid.md").read_text()
    assert all(place in page for place in places.values() if place)
    [choices] = [field.attrib["Default"] for field in template.findall("Config") if "|" in field.attrib["Default"]]
    assert all(load(None, {"media_server": choice}, {}) for choice in choices.split("|"))

    line = template.findtext("PostArgs") or ""
    assert line == services_of(["materialize.yaml"])[0]["vod2strmfs"]["command"]
    assert parses(shlex.split(line))
    assert load(None, {}, environment).status_listen == "0.0.0.0:9192"
    environment |= {"VOD2STRMFS_OUTPUT_ROOT": f"{tmp_path}/STRM", "VOD2STRMFS_STATE_DIR": f"{tmp_path}/state"}
    once = command("materialize", "--cleanup=apply")
    subprocess.run(once, env=os.environ | environment, capture_output=True, check=True, timeout=TIMEOUT)
    assert len(list(tmp_path.glob("STRM/Movies/*/*.strm"))) == 30


def test_the_example_of_the_settings_is_one() -> None:
    environment = dotenv()
    files = environment["COMPOSE_FILE"].split(":")
    assert files in CHOICES
    services, _ = services_of(files)
    assert environment["COMPOSE_PROFILES"] in services
    # What is commented out is right as well.
    text = (COMPOSE / ".env.example").read_text()
    every = dict(re.findall(rf"^#?({ENVIRONMENT_PREFIX}\w+)=(.*)$", text, re.M))
    settings = load(None, {}, every)
    assert settings.base_url == "http://192.168.1.10:9191"
    assert settings.media_server == "jellyfin"


def test_what_the_page_tells_to_run_in_the_container_is_a_command() -> None:
    page = (ROOT / "docs/containers.md").read_text()
    commands = re.findall(r"docker compose exec vod2strmfs vod2strmfs ([^`\n]+)", page)
    assert len(commands) >= 2
    assert all(parses(shlex.split(words)) for words in commands)


def test_no_password_stands_in_a_compose_file() -> None:
    for path in COMPOSE.glob("*.yaml"):
        for line in path.read_text().splitlines():
            if "PASSWORD" in line:
                assert "${POSTGRES_PASSWORD:?" in line, f"{path.name}: {line}"
    assert "POSTGRES_PASSWORD=\n" in (COMPOSE / ".env.example").read_text()
