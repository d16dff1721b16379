"""Build what a release consists of: wheel, sdist, the plugin's zip and its entry, the container image where an engine
is, checksums, and notes from CHANGELOG.md. Nothing is published.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from vod2strmfs import PROJECT_URL, __version__

ROOT = Path(__file__).parent.parent
_ENGINES = ("docker", "podman")


def notes(changelog: str, version: str) -> str:
    """The notes of a version: its section of the changelog, and how to install it.

    Raises:
        SystemExit: the changelog has no such section.
    """
    found = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if found is None or not found[1].strip():
        sys.exit(f"release: CHANGELOG.md says nothing of {version}: write a section `## {version}`.")
    install = (
        f"To install or upgrade: `git clone --branch v{version} {PROJECT_URL}`, and in it `sudo make install`."
        " `SHA256SUMS` has the checksums: `sha256sum --check SHA256SUMS`."
    )
    return f"# vod2strmfs {version}\n\n{found[1].strip()}\n\n{install}\n"


def build(dist: Path) -> None:
    """Build wheel, sdist and plugin into a folder."""
    # The same commit gives the same bytes.
    stamp = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    environment = {**os.environ, **({"SOURCE_DATE_EPOCH": stamp.stdout.strip()} if stamp.returncode == 0 else {})}
    python = [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ROOT]
    plugin = [sys.executable, ROOT / "scripts/build_plugin.py", "--dist", dist]
    for command in (python, plugin):
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def build_image(dist: Path) -> str:
    """Build the container image, if an engine is there; returns what became of it."""
    engine = next(filter(shutil.which, _ENGINES), None)
    if engine is None:
        return (
            f"no image: neither {' nor '.join(_ENGINES)} is here; `docker build -t vod2strmfs:{__version__} .` makes it"
        )
    name, file = f"vod2strmfs:{__version__}", dist / f"vod2strmfs-{__version__}-image.tar.gz"
    subprocess.run([engine, "build", "--tag", name, ROOT], check=True)
    with subprocess.Popen([engine, "save", name], stdout=subprocess.PIPE) as save:
        assert save.stdout is not None
        with gzip.open(file, "wb") as packed:
            shutil.copyfileobj(save.stdout, packed)
    if save.returncode:
        file.unlink()
        sys.exit(f"release: `{engine} save {name}` failed")
    return f"image {name}, in {file.name}"


def write_checksums(dist: Path) -> None:
    """Write `SHA256SUMS`, as sha256sum(1) checks it."""
    files = sorted(path for path in dist.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (dist / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    """Build, and say what is where, and what is to be done by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dist", metavar="FOLDER", type=Path, default=ROOT / "dist" / f"release-{__version__}")
    dist: Path = parser.parse_args().dist.absolute()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    text = notes(changelog, __version__)
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    build(dist)
    image = build_image(dist)
    (dist / "NOTES.md").write_text(text)
    write_checksums(dist)
    for path in sorted(dist.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path}")
    print(image)
    if f"## {__version__} (unreleased)" in changelog:
        print(f"CHANGELOG.md still says that {__version__} is unreleased.")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    if changed.stdout:
        print("This checkout has changes that are not committed; they are in what was built.")
    print(f"To publish: tag the commit v{__version__}, and give the release these files, and NOTES.md as its text.")


if __name__ == "__main__":
    main()
