"""Every command of README.md and docs/ is run as it stands there: see sandbox.py."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from mounts import TIMEOUT, mounted
from sandbox import ROOT, Ended, Network, Sandbox

from vod2strmfs.cli import main
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.settings import load

QUICK_START = ROOT / "docs/quickstart.md"
AFTER_THE_QUICK_START = tuple(
    ROOT / f"docs/{name}.md"
    for name in (
        "films",
        "database",
        "operation",
        "troubleshooting",
        "commands",
        "mount-or-materialize",
        "hydrate",
    )
)
"""In this order, each on the machine that the quick start and those before have left."""
FROM_VOD2STRM = ROOT / "docs/from-vod2strm.md"
"""Begins with what the plugin has written."""

ELSEWHERE = {ROOT / f"docs/{name}.md" for name in ("containers", "unraid", "synology")}
"""Need a container engine, which no test can count on: the pages themselves say what was run where."""

STAND_INS = {"apt-get", "docker", "journalctl", "sudo", "systemctl"}
"""Programs that are not run: each says itself why, and what is checked of its command line."""

NOT_COMMANDS = {"", "ini", "json", "text", "xml", "mermaid", "{toctree}", "toml", "yaml"}
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    for _, language, text in re.findall(r"^(```+)(\S*)\n(.*?)^\1$", page.read_text(), re.M | re.S):
        yield language, text


def commands_of(page: Path) -> str:
    """A script of all commands of a page. Where `init` asks, the answers are those that the page gives in a table."""
    script = "\n".join(text for language, text in blocks(page) if language == "sh")
    answers = re.findall(r"^\| (?:Database|Address|Folder): .* \| `(.*)` \|$", page.read_text(), re.M)
    asked = f"printf '%s\\n' {shlex.join(answers)} | script --quiet --return --command '\\1' /dev/null"
    return re.sub(r"^(sudo vod2strmfs init)$", asked, script, flags=re.M)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def started(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Ended]]:
    """A machine after the quick start, and what was seen on the way."""
    with Sandbox(tmp_path_factory.mktemp("sandbox"), network) as sandbox:
        yield sandbox, sandbox.run(commands_of(QUICK_START))


def test_a_library_that_was_mounted_before_ends_when_it_is_unmounted(network: Network, tmp_path: Path) -> None:
    """Other tests wait for that, while these machines are there for minutes."""
    (machine := tmp_path / "machine").mkdir()
    url = f"sqlite:///{tmp_path}/demo.db"
    write_demo(url, movies=2, series=1, episodes=1, seed=1)
    with mounted(tmp_path, url) as mount, Sandbox(machine, network):
        subprocess.run(["fusermount3", "-u", mount.path], check=True)
        assert mount.process.wait(TIMEOUT) == 0


CONTAINER = """
unshare --mount --propagation slave sh -c 'until ls /data/STRM/Movies 2>/dev/null; do sleep 0.2; done' >/seen 2>&1 &
{commands}
wait
cat /seen
"""
"""A container is a mount namespace that was there before the mount, and is told of it (`rslave`)."""


def test_the_readme_leads_from_a_fresh_machine_to_a_library_that_a_container_sees(
    network: Network, tmp_path: Path
) -> None:
    with Sandbox(tmp_path, network) as sandbox:
        done = sandbox.run(CONTAINER.format(commands=commands_of(ROOT / "README.md")))
    assert done.code == 0, done.said
    assert re.search(r" \(\d{4}\)$", done.said.splitlines()[-1]), done.said


def test_the_quick_start_leads_to_a_playing_film(
    started: tuple[Sandbox, Ended],
) -> None:
    _, done = started
    assert done.code == 0, done.said
    assert "200 video/x-matroska" in done.said
    assert "plays a film from here" in done.said


FORMER = """
test ! -e {root}
python=$PWD/.venv/bin/python; test -x "$python" || python=python3
"$python" tests/support/former_plugin.py postgresql://dispatch:secret@192.168.1.10/dispatcharr {root} {address}
former=$(ls {root}/Movies | head -1)
echo mine > "{root}/Movies/$former/poster.jpg"
echo "$former" > /srv/former
cp -a {root} /srv/seen-before
"""
LOOK = """
diff -r /srv/seen-before {root}
sudo vod2strmfs materialize /srv/fresh --config /etc/vod2strmfs.toml --state-dir /srv/fresh.state
diff -r /srv/fresh {root}.vod2strmfs || true
find {root}.vod2strmfs -name '*.strm' -exec cat {{}} + | grep -c /proxy/vod/movies/ || true
ls "{root}.vod2strmfs/Movies/$(cat /srv/former)"
rm -rf {root} {root}.vod2strmfs /srv/fresh /srv/seen-before
"""


def test_the_way_from_the_plugin_ends_with_one_folder_a_film_and_leads_back(started: tuple[Sandbox, Ended]) -> None:
    sandbox, _ = started
    root = "/srv/STRM"
    made = sandbox.run(FORMER.format(root=root, address="http://192.168.1.10:9191"))
    assert made.code == 0, made.said
    done = sandbox.run(commands_of(FROM_VOD2STRM))
    assert done.code == 0, done.said
    seen = sandbox.run(LOOK.format(root=root))
    assert seen.code == 0, seen.said
    # What differs from a library that was begun anew is one folder: a poster of the user's stands in it.
    differences = [line for line in seen.said.splitlines() if line.startswith(("Only in", "diff -r /srv/fresh/"))]
    assert len(differences) == 1, seen.said
    assert differences[0].startswith(f"Only in {root}.vod2strmfs/Movies: ")
    assert "\n0\n" in seen.said
    assert "\nposter.jpg\n+ rm" in seen.said


@pytest.mark.parametrize("page", AFTER_THE_QUICK_START, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(started: tuple[Sandbox, Ended], page: Path) -> None:
    sandbox, before = started
    assert before.code == 0, "the quick start did not end"
    done = sandbox.run(commands_of(page))
    assert done.code == 0, done.said


def test_the_page_about_films_leads_to_films_with_a_size(started: tuple[Sandbox, Ended]) -> None:
    """What its own commands have left: see the test above, whose first page it is."""
    done = started[0].run("find /data/Films -name '*.mkv' -size +1M -print; sudo vod2strmfs status --films")
    assert done.code == 0, done.said
    assert len(re.findall(r"^/data/Films/Movies/.*\.mkv$", done.said, re.M)) >= 2, done.said
    assert re.search(r"^learnt +\d+ films learnt", done.said, re.M), done.said


def test_no_page_is_left_out() -> None:
    run = {ROOT / "README.md", QUICK_START, FROM_VOD2STRM, *AFTER_THE_QUICK_START, *ELSEWHERE}
    assert {page for page in PAGES if commands_of(page)} <= run


def test_what_is_not_run_is_a_closed_list() -> None:
    stand_ins = list((ROOT / "tests/support/stand_ins").iterdir())
    assert {path.name for path in stand_ins} == STAND_INS
    assert all("Stands for" in path.read_text() for path in stand_ins)


@pytest.mark.parametrize("page", sorted({*PAGES} - ELSEWHERE), ids=lambda page: page.name)
def test_no_command_hides_in_another_kind_of_block(page: Path) -> None:
    programs = rf"^\s*(\$ |# |(sudo|vod2strmfs|make|mount|umount|fusermount3|pip|pipx|psql|{'|'.join(STAND_INS)}) \S)"
    for language, text in blocks(page):
        assert language == "sh" or language in NOT_COMMANDS, f"{page.name}: a block of {language}"
        if language == "":
            assert not re.search(programs, text, re.M), f"{page.name}: a command in a block that is not run:\n{text}"
        elif language == "toml":
            assert load(None, tomllib.loads(text), {})
        elif language == "yaml":
            assert yaml.safe_load(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_within_sentences_are_understood(page: Path) -> None:
    text = re.sub(r"^(```+)\S*\n.*?^\1$", "", page.read_text(), flags=re.M | re.S)
    for line in re.findall(r"`(?:sudo )?vod2strmfs ([^`]*)`", text):
        assert understood(line), f"{page.name}: vod2strmfs {line}"


def understood(line: str) -> bool:
    """Whether the program takes a command line; in brackets is what may be left out, `…` stands for more options."""
    name, *arguments = shlex.split(line.replace("\n", " ").replace("[", "").replace("]", "").removesuffix(" …"))
    if name == "COMMAND" or name.startswith("-"):
        return name in ("COMMAND", "--version", "--help", "-h")
    command = main.cli.commands.get(name)
    if command is None:
        return False
    try:
        command.make_context(name, arguments, parent=click.Context(main.cli))
    except click.exceptions.Exit:  # help was asked for
        return True
    except click.UsageError:
        return False
    return True


def test_a_command_line_that_is_wrong_is_not_understood() -> None:
    assert understood("report --follow")
    assert understood("run --schedule 'daily 03:30'")
    assert not understood("mount --nonesuch")
    assert not understood("nonesuch")
    assert not understood("status --timeout soon")
