"""The plugin's zip: what is in it, and that Dispatcharr, its plugin repositories and its Python take it."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from dispatcharr_loader import PYTHON, ROOT

_COMPILED = {"msgspec", "pydantic_core"}
_BLOCKED = ("official", "dispatcharr plugins", "dispatcharr repo")
"""What no plugin repository of others may have in its name."""


@pytest.fixture(scope="session")
def unpacked(plugin_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin's folder."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(plugin_zip) as archive:
        archive.extractall(folder)
    return folder / "vod2strm"


def requirements() -> dict[str, str]:
    """What is brought along: names as they are imported, and versions."""
    text = (ROOT / "scripts/plugin_requirements.txt").read_text()
    return {name.replace("-", "_"): version for name, version in re.findall(r"^([\w-]+)==(\S+)", text, re.M)}


def test_holds_one_folder_with_what_dispatcharr_looks_for(plugin_zip: Path, unpacked: Path) -> None:
    with zipfile.ZipFile(plugin_zip) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"vod2strm"}
    manifest = json.loads((unpacked / "plugin.json").read_bytes())
    assert plugin_zip.name == f"vod2strm-{manifest['version']}.zip"
    assert {"name", "version", "description", "author", "license", "fields", "actions"} <= manifest.keys()
    assert (unpacked / "plugin.py").is_file()
    assert (unpacked / "logo.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert not list(unpacked.rglob("*.pyc"))


def test_is_within_what_dispatcharr_takes(plugin_zip: Path) -> None:
    with zipfile.ZipFile(plugin_zip) as archive:
        entries = archive.infolist()
    assert len(entries) <= 2_000
    assert sum(entry.file_size for entry in entries) <= 200 << 20
    assert not [entry.filename for entry in entries if entry.filename.startswith("/") or ".." in entry.filename]


def test_the_licence_of_everything_in_it_lies_beside_it(unpacked: Path) -> None:
    assert "MIT" in (unpacked / "LICENSE").read_text()
    for name in requirements():
        assert list((unpacked / "licenses" / name).glob("LICENSE*")), name


def test_what_is_compiled_is_there_for_both_machines(unpacked: Path) -> None:
    found = {path.relative_to(unpacked / "lib").parts[0]: set[str]() for path in unpacked.rglob("*.so")}
    for path in unpacked.rglob("*.so"):
        found[path.relative_to(unpacked / "lib").parts[0]].add(path.name.partition(".")[2])
    suffixes = {f"cpython-313-{machine}-linux-gnu.so" for machine in ("x86_64", "aarch64")}
    assert found == dict.fromkeys(_COMPILED, suffixes)


def test_nothing_is_brought_along_in_vain(unpacked: Path) -> None:
    packages = {path.name.removesuffix(".py") for path in (unpacked / "lib").iterdir()} - {"DIGEST", "vod2strmfs"}
    assert packages == requirements().keys()


def test_the_same_sources_make_the_same_bytes(plugin_zip: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/build_plugin.py"), "--dist", str(tmp_path)]
    environment = os.environ | {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "LANG": "C"}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, umask=0o077)
    assert (tmp_path / plugin_zip.name).read_bytes() == plugin_zip.read_bytes()


def test_a_plugin_repository_lists_it_with_its_digest(dist: Path, plugin_zip: Path) -> None:
    listed = json.loads((dist / "manifest.json").read_bytes())
    (entry,) = listed["plugins"]
    assert entry["latest_sha256"] == hashlib.sha256(plugin_zip.read_bytes()).hexdigest()
    assert (dist / entry["latest_url"]).is_file()
    assert (dist / entry["icon_url"]).is_file()
    assert re.fullmatch(r"[a-z0-9_]+", entry["slug"])  # what it is installed as
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry["latest_version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry["min_dispatcharr_version"])
    assert listed["registry_name"]
    assert not [word for word in _BLOCKED if word in listed["registry_name"].lower()]


def test_a_plugin_repository_has_absolute_addresses_if_it_is_told_its_own(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/build_plugin.py"), "--dist", str(tmp_path)]
    subprocess.run([*command, "--root-url", "https://example.org/v"], check=True)
    assert json.loads((tmp_path / "manifest.json").read_bytes())["root_url"] == "https://example.org/v"


_IMPORT_ALL = """
import importlib, pkgutil, sys
import vod2strmfs
for module in pkgutil.walk_packages(vod2strmfs.__path__, "vod2strmfs."):
    if module.name != "vod2strmfs.dispatcharr_plugin.plugin":  # which Dispatcharr imports, from the plugin's folder
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_all_of_it_is_imported_by_dispatcharrs_python_without_fuse(unpacked: Path, tmp_path: Path) -> None:
    for lacking in ("pyfuse3", "trio", "pydantic", "msgspec"):
        assert subprocess.run([PYTHON, "-c", f"import {lacking}"], stderr=subprocess.DEVNULL).returncode != 0
    environment = os.environ | {"PYTHONPATH": str(unpacked / "lib"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [PYTHON, "-P", "-W", "error", "-c", _IMPORT_ALL], env=environment, cwd=tmp_path, text=True, check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert {"vod2strmfs", "pydantic", "msgspec", "psycopg"} <= set(done.stdout.split())
    assert not {"pyfuse3", "trio"} & set(done.stdout.split())


def test_without_fuse_it_is_the_same_release_of_python_as_in_dispatcharr() -> None:
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("Python 3.13.")


def test_the_picture_in_the_documents_shows_the_form_as_it_is() -> None:
    command = [sys.executable, str(ROOT / "scripts/plugin_picture.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
