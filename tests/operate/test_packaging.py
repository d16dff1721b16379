"""What is installed is whole: wheel, sdist, man page, completion."""

import os
import runpy
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from mounts import TIMEOUT, command
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vod2strmfs import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("packages")
    build: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_sdist_has_what_building_needs_and_no_more(packages: Path) -> None:
    with tarfile.open(packages / f"vod2strmfs-{__version__}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "vod2strmfs/cli/main.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", ".venv"))]


def test_the_wheel_installs_and_is_whole(packages: Path, tmp_path: Path) -> None:
    wheel = packages / f"vod2strmfs-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    # Every file of the package, whatever its kind, but nothing that only lies about.
    files = subprocess.run(["git", "ls-files", "vod2strmfs"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(files.stdout.split()) <= set(names)
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin/python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
        wheel,
    ]
    subprocess.run(pip, check=True)
    # Its dependencies are those of this environment: installing them is not ours to test.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}

    def run(*arguments: str | Path) -> str:
        return subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run(place / "bin/vod2strmfs", "--version") == f"vod2strmfs, version {__version__}\n"
    assert run(python, "-c", "import vod2strmfs; print(vod2strmfs.__file__)").startswith(str(site))
    page = "from pathlib import Path as P; from vod2strmfs.web.pages import Pages; print(Pages(P('.'), P('.')).front())"
    assert "The mount does not answer" in run(python, "-c", page)
    assert (place / "share/man/man1/vod2strmfs.1").read_text().startswith('.\\" Made by')


def test_the_program_is_installed_with_its_man_page_and_taken_away_again(tmp_path: Path) -> None:
    places = {"VENV": str(tmp_path / "opt"), "PREFIX": str(tmp_path / "usr"), "UNITS": str(tmp_path / "units")}
    # Offline, pip installs this project alone; what it needs is that of these tests.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHON": sys.executable}
    environment = {**os.environ, **places, **offline, "PYTHONPATH": sysconfig.get_path("purelib")}

    def make(target: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["make", "--no-print-directory", target], cwd=ROOT, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    done = make("install")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"installed: vod2strmfs, version {__version__}" in done.stdout
    program = tmp_path / "usr/bin/vod2strmfs"
    shown = subprocess.run([program, "--version"], env=environment, capture_output=True, text=True, check=True)
    assert __version__ in shown.stdout
    assert (tmp_path / "usr/share/man/man1/vod2strmfs.1").read_text() == (ROOT / "docs/vod2strmfs.1").read_text()
    assert "_vod2strmfs" in (tmp_path / "usr/share/bash-completion/completions/vod2strmfs").read_text()
    assert make("install").returncode == 0  # an upgrade
    (tmp_path / "units").mkdir()
    (tmp_path / "units/vod2strmfs.service").touch()
    done = make("uninstall")
    assert "First: sudo vod2strmfs install-service --remove" in done.stderr
    assert program.exists()
    (tmp_path / "units/vod2strmfs.service").unlink()
    done = make("uninstall")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_uninstalling_from_the_usual_place_waits_for_mounts_and_for_nothing_else(tmp_path: Path) -> None:
    """In a mount namespace of its own, with nothing in the usual places, and no library but its own."""
    alone = f"""
        for place in /usr/local /opt; do mount -t tmpfs none $place; done
        umount --all --lazy --no-canonicalize --types fuse.vod2strmfs  # of other tests: copies, here alone
        mkdir /opt/vod2strmfs
        mount -t tmpfs none {tmp_path}
        mkdir {tmp_path}/library
        {ROOT}/scripts/install.sh uninstall && [ ! -e /opt/vod2strmfs ] && echo gone"""
    environment = {name: value for name, value in os.environ.items() if name not in ("VENV", "PREFIX")}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", alone],
        env={**environment, "UNITS": str(tmp_path / "units")}, capture_output=True, text=True, check=False,
        timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("gone\n")


def test_a_release_has_everything_with_checksums_and_notes(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    release: list[str | Path] = [sys.executable, ROOT / "scripts/release.py", "--dist", tmp_path / "dist"]
    done = subprocess.run(release, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (tmp_path / "dist").iterdir()}
    wanted = {
        f"vod2strmfs-{__version__}-py3-none-any.whl", f"vod2strmfs-{__version__}.tar.gz",
        f"vod2strm-{__version__}.zip", "manifest.json", "NOTES.md", "SHA256SUMS",
    }  # fmt: skip
    assert wanted <= names
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "dist", check=True)
    assert len((tmp_path / "dist/SHA256SUMS").read_text().splitlines()) == len(names) - 1
    notes = (tmp_path / "dist/NOTES.md").read_text()
    assert notes.startswith(f"# vod2strmfs {__version__}\n\n")
    assert "\n* " in notes
    assert "sudo make install" in notes
    assert (
        "no image: neither docker nor podman is here" in done.stdout or f"image vod2strmfs:{__version__}" in done.stdout
    )


def test_notes_are_those_of_the_version_and_there_is_no_release_without() -> None:
    notes = runpy.run_path(str(ROOT / "scripts/release.py"))["notes"]
    text = notes("# Changelog\n\n## 0.0.2 (unreleased)\n\n* new\n\n## 0.0.1\n\n* old\n", "0.0.2")
    assert "* new" in text
    assert "* old" not in text
    with pytest.raises(SystemExit, match=r"says nothing of 0\.0\.3"):
        notes("## 0.0.2\n\n* new\n", "0.0.3")


def test_the_man_page_is_one() -> None:
    whole: list[str | Path] = ["groff", "-man", "-ww", "-Tutf8", "-P-c", ROOT / "docs/vod2strmfs.1"]
    done = subprocess.run(whole, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for part in ("doctor [MOUNTPOINT]", "--accept-shrink", "--base-url", ".strm and .nfo files", "EXIT STATUS"):
        assert part in " ".join(plain(done.stdout).split())


def plain(text: str) -> str:
    """Without the overstriking that stands for bold and underlined."""
    letters: list[str] = []
    for letter in text:
        if letter == "\b":
            letters.pop()
        else:
            letters.append(letter)
    return "".join(letters)


def complete(*words: str) -> list[str]:
    environment = {
        **os.environ, "_VOD2STRMFS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["vod2strmfs", *words]),
        "COMP_CWORD": str(len(words)),
    }  # fmt: skip
    done = subprocess.run(command(), env=environment, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] or line for line in done.stdout.splitlines()]


def test_the_lock_has_a_version_of_every_package_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = map(Requirement, (*project["project"]["dependencies"], *project["dependency-groups"]["dev"]))
    locked: dict[str, list[str]] = {}
    for line in (ROOT / "requirements-dev.lock").read_text().splitlines():
        if not line.lstrip().startswith("#"):
            each = Requirement(line)
            [version] = each.specifier
            assert (version.operator, each.url) == ("==", None)
            locked.setdefault(canonicalize_name(each.name), []).append(version.version)
    for each in asked:
        versions = locked.get(canonicalize_name(each.name))
        assert versions, f"{each.name} is not in requirements-dev.lock: make lock"
        assert all(each.specifier.contains(version) for version in versions), f"{each}: {versions}: make lock"


def test_shells_complete_commands_options_and_values() -> None:
    assert complete("st") == ["stats", "status"]
    assert "--base-url" in complete("mount", "--ba")
    assert complete("mount", "--media-server", "j") == ["jellyfin"]
    assert complete("completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_the_shell(shell: str) -> None:
    done = subprocess.run(command("completion", shell), capture_output=True, text=True, check=True)
    assert f"_VOD2STRMFS_COMPLETE={shell}_complete" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)
