"""Build the plugin for Dispatcharr: `dist/vod2strm-VERSION.zip`, and its entry for a plugin repository.

    scripts/build_plugin.py [--root-url URL] [--dist FOLDER]

The zip holds one folder, `vod2strm`. Of it Dispatcharr reads `plugin.json`, `plugin.py` and `logo.png`; the other
modules of `vod2strmfs/dispatcharr_plugin` lie beside them, and `lib` has what they reach: the rooms of vod2strmfs, and
the packages of `scripts/plugin_requirements.txt` as their wheels have them. The same sources make the same bytes.

`dist/manifest.json` is a plugin repository with this one plugin: put both files, and the logo, below URL.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import grimp

from vod2strmfs import __version__
from vod2strmfs.dispatcharr_plugin.manifest import KEY, manifest
from vod2strmfs.dispatcharr_plugin.vendored import DIGEST_FILE

ROOT = Path(__file__).resolve().parents[1]
ROOM = "vod2strmfs.dispatcharr_plugin"
REQUIREMENTS = ROOT / "scripts/plugin_requirements.txt"
PYTHON = "313"
"""The Python that Dispatcharr runs."""
MACHINES = "x86_64", "aarch64"
HOST_PACKAGES = {"apps", "celery", "click", "core", "django", "django_celery_beat", "gevent", "psycopg", "regex"}
"""What Dispatcharr has, of all that the plugin reaches."""
MOST_FILES = 2_000
MOST_BYTES = 200 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)

Files = dict[str, bytes]


def reached() -> tuple[set[str], set[str]]:
    """The modules of vod2strmfs that the plugin reaches, and the packages of others."""
    graph = grimp.build_graph("vod2strmfs", include_external_packages=True, exclude_type_checking_imports=True)
    waiting = {ROOM} | graph.find_descendants(ROOM)
    ours: set[str] = set()
    others: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module.partition(".")[0] != "vod2strmfs":
            others.add(module)
        elif module not in ours:
            ours.add(module)
            package = module.rpartition(".")[0]
            waiting |= graph.find_modules_directly_imported_by(module) | ({package} if package else set())
    return ours, others - set(sys.stdlib_module_names)


def wheels() -> list[Path]:
    """The wheels of what is brought along, downloaded unless they are there."""
    folder = ROOT / "build/plugin-wheels" / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    done = folder / "complete"
    if not done.exists():
        for machine in MACHINES:
            _download(folder, machine)
        done.touch()
    return sorted(folder.glob("*.whl"))


def _download(folder: Path, machine: str) -> None:
    abis = ["--abi", f"cp{PYTHON}", "--abi", "none", "--implementation", "cp", "--python-version", PYTHON]
    platforms = [word for glibc in ("2_17", "2_28") for word in ("--platform", f"manylinux_{glibc}_{machine}")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run(
        [
            *command,
            "--only-binary=:all:",
            "--require-hashes",
            *abis,
            *platforms,
            "-r",
            str(REQUIREMENTS),
            "-d",
            str(folder),
        ],
        check=True,
    )


def _unpacked(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """What a wheel holds, by its place in the plugin's folder."""
    name = wheel.name.split("-")[0]
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            first, _, rest = entry.filename.partition("/")
            if not first.endswith(".dist-info"):
                yield f"lib/{entry.filename}", archive.read(entry)
            elif rest.startswith("licenses/"):
                yield f"licenses/{name}/{rest.removeprefix('licenses/')}", archive.read(entry)


def _source(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def library(modules: set[str]) -> Files:
    """`lib`, and the licences of what is in it, by name."""
    files = {f"lib/{_source(module).relative_to(ROOT)}": _source(module).read_bytes() for module in modules}
    for wheel in wheels():
        files.update(_unpacked(wheel))
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    files[f"lib/{DIGEST_FILE}"] = f"{digest.hexdigest()}\n".encode()
    return files


def plugin_files() -> Files:
    """All files of the plugin's folder, by name.

    Raises:
        SystemExit: it reaches a package that Dispatcharr lacks and that is not brought along, or it is too big.
    """
    modules, packages = reached()
    files = library(modules)
    brought = {name.split("/")[1] for name in files if name.startswith("lib/")}
    room = ROOT / ROOM.replace(".", "/")
    # Beside `plugin.py`, not below a package of their own: Dispatcharr makes the folder a package.
    beside = {path.name: path.read_bytes() for path in room.glob("*.py") if path.name != "__init__.py"}
    known = HOST_PACKAGES | {name.removesuffix(".py") for name in brought | beside.keys()}
    if lacking := packages - known:
        sys.exit(f"build_plugin: Dispatcharr has no {', '.join(sorted(lacking))}; see {REQUIREMENTS.name}")
    files |= beside
    files["logo.png"] = (room / "logo.png").read_bytes()
    files["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    files["plugin.json"] = _json(manifest())
    if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_BYTES:
        sys.exit(
            f"build_plugin: {len(files)} files of {sum(map(len, files.values()))} bytes are more than Dispatcharr takes"
        )
    return files


def write_zip(path: Path, files: Files) -> None:
    """Write files into the one folder of a zip: sorted, with one date, so that the same files make the same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{KEY}/{name}", _EPOCH)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)


def repository(archive: Path, root_url: str | None) -> dict[str, object]:
    """A plugin repository with this plugin alone, as Dispatcharr fetches it; addresses are relative to `root_url`."""
    plugin = manifest()
    entry = {
        "slug": KEY,
        "name": plugin["name"],
        "description": plugin["description"],
        "author": plugin["author"],
        "license": plugin["license"],
        "latest_version": plugin["version"],
        "latest_url": archive.name,
        "latest_sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "latest_size": archive.stat().st_size // 1024,
        "icon_url": "logo.png",
        "min_dispatcharr_version": plugin["min_dispatcharr_version"],
    }
    root = {"root_url": root_url} if root_url else {}
    return {"registry_name": "vod2strmfs", **root, "plugins": [entry]}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def main() -> None:
    """Build, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root-url", metavar="URL", help="where the files of dist/ will be found")
    parser.add_argument("--dist", metavar="FOLDER", type=Path, default=ROOT / "dist", help="where they are written")
    parser.add_argument("--download", action="store_true", help="only download what the plugin brings along")
    arguments = parser.parse_args()
    wheels()
    if arguments.download:
        return
    arguments.dist.mkdir(exist_ok=True)
    archive = arguments.dist / f"{KEY}-{__version__}.zip"
    files = plugin_files()
    write_zip(archive, files)
    (arguments.dist / "logo.png").write_bytes(files["logo.png"])
    (arguments.dist / "manifest.json").write_bytes(_json(repository(archive, arguments.root_url)))
    size = archive.stat().st_size / 1e6
    print(f"{archive}: {len(files)} files, {size:.1f} MB; its entry: {arguments.dist}/manifest.json")


if __name__ == "__main__":
    main()
