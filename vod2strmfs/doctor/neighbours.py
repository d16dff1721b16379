"""Checks of other programs that read the mount: what they make of one that changes, dies and comes back."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.doctor import patience
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.patience import in_time
from vod2strmfs.host.mount_table import KIND, Mounted, mounted_at, mounts, overlay_over
from vod2strmfs.settings import Settings

_UPDATEDB = Path("/etc/updatedb.conf")
_SHARE_LINES = {"case sensitive": "yes", "store dos attributes": "no", "ea support": "no"}
"""What a share of the mount should say; by themselves they say otherwise."""


def neighbours(settings: Settings) -> Iterator[Finding]:
    """What other programs on this host do with the mount. Nothing, while none is there: real files need no care."""
    try:
        yield from in_time(lambda: list(_neighbours(settings.output_root.absolute())))
    except (OSError, TimeoutError):
        return  # The mount hangs, or cannot be looked at: its own check says so.


def _neighbours(mountpoint: Path) -> Iterator[Finding]:
    mounted = mounted_at(mountpoint)
    if mounted is not None and mounted.kind == KIND:
        for check in (_overlay, _mergerfs, _samba, _updatedb):
            yield from check(Path(mounted.path), mounted)


def _overlay(place: Path, _: Mounted) -> Iterator[Finding]:
    overlay = overlay_over(place)
    if overlay is not None:
        yield Finding(
            "overlayfs",
            Level.WARNING,
            f"the overlay at {overlay.path} has the mount below it: what changes or leaves shows there as an error,"
            " or not at all",
            "Do not put the mount under overlayfs. For posters beside the files, use `vod2strmfs materialize`.",
        )


def _mergerfs(place: Path, _: Mounted) -> Iterator[Finding]:
    for mount in mounts():
        if mount.kind == "fuse.mergerfs" and any(_overlap(place, branch) for branch in _branches(mount.path)):
            yield Finding(
                "mergerfs",
                Level.WARNING,
                f"the mergerfs at {mount.path} has the mount in it: if the mount dies, only the other folders' files"
                " are listed there, and a media server removes the rest",
                f"Give media servers {place} itself. For posters beside the files, use `vod2strmfs materialize`.",
            )


def _branches(mergerfs: str) -> list[Path]:
    """The folders that a mergerfs shows as one; none if it does not say so in time."""
    try:
        said = in_time(lambda: os.getxattr(f"{mergerfs}/.mergerfs", "user.mergerfs.branches"), patience.SECONDS / 2)
    except (OSError, TimeoutError):
        return []
    return [Path(re.sub(r"=(RO|RW|NC)\b.*$", "", branch)) for branch in os.fsdecode(said).split(":")]


class _Share(NamedTuple):
    """A share of Samba."""

    name: str
    path: Path
    settings: dict[str, str]
    """Its parameters and the general ones, by their names in lower case."""


def _samba(place: Path, mounted: Mounted) -> Iterator[Finding]:
    shares = [share for share in _shares() if _overlap(place, share.path)]
    for share in shares:
        if share.path.is_relative_to(place):
            yield Finding(
                "Samba",
                Level.WARNING,
                f"the share {share.name} is the mount itself: after each restart of the mount its clients are denied"
                " access until they connect anew",
                f"Share the folder above: path = {place.parent}",
            )
        lines = [f"{name} = {value}" for name, value in _SHARE_LINES.items() if share.settings.get(name) != value]
        if lines:
            yield Finding(
                "Samba",
                Level.NOTE,
                f"the share {share.name} asks the mount for more than it needs",
                f"Add to [{share.name}] in smb.conf: {'; '.join(lines)}",
            )
    if shares and "allow_other" not in mounted.options.split(","):
        yield Finding(
            "Samba",
            Level.WARNING,
            f"the mount is shared, and only {'root' if mounted.user == 0 else f'user {mounted.user}'} can read it",
            "Set allow_other = true, and mount again.",
        )


def _shares() -> Iterator[_Share]:
    """The shares of this host's Samba, as it understands its settings; none if it has none, or does not tell."""
    testparm = shutil.which("testparm")
    if testparm is None:
        return
    try:
        done = subprocess.run(
            [testparm, "--suppress-prompt"], capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=patience.SECONDS / 2,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return
    general: dict[str, str] = {}
    for name, text in re.findall(r"^\[(.*)\]\n((?:(?!\[).*\n?)*)", done.stdout, re.M):
        said = dict(re.findall(r"^\s+(\S[^=]*?) = (.*)$", text, re.M))
        here = {parameter.lower(): value.strip().lower() for parameter, value in said.items()}
        if name == "global":
            general = here
        elif "path" in said:
            yield _Share(name, Path(os.path.realpath(said["path"].strip())), general | here)


def _updatedb(place: Path, _: Mounted) -> Iterator[Finding]:
    """updatedb(8) reads all file systems but those of the kinds and in the folders that its settings name."""
    try:
        text = _UPDATEDB.read_text(errors="replace")
    except OSError:
        return
    said = dict(re.findall(r'^\s*(PRUNE\w+)\s*=\s*"(.*)"', text, re.M))
    kinds = said.get("PRUNEFS", "").lower().split()
    if KIND not in kinds and not any(place.is_relative_to(path) for path in said.get("PRUNEPATHS", "").split()):
        yield Finding(
            "updatedb",
            Level.NOTE,
            "updatedb reads the whole library every night, to find files by name",
            f"Add {KIND} to PRUNEFS in {_UPDATEDB}.",
        )


def _overlap(place: Path, other: Path) -> bool:
    """Whether one of two folders is in the other, or both are the same."""
    return other.is_relative_to(place) or place.is_relative_to(other)
