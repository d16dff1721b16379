"""What the plugin brings along, made importable without touching what Dispatcharr has imported.

The plugin's folder holds `lib`: vod2strmfs, and those of its dependencies that Dispatcharr lacks. Dispatcharr may have
other releases of some of them, today or tomorrow, and so may other plugins. So nothing of `lib` is ever imported into
a process of Dispatcharr's: it is imported by processes of our own, in which it comes first. (A web worker would pay for
the settings alone with 17 MB and a third of a second.)

Those processes run a copy of `lib` that lies beside the plugin's data and is named after its contents. An update of the
plugin replaces the plugin's folder, in the middle of a run too: with the copy, the run and the processes that it starts
go on with the release that it began with.

This module needs nothing but the standard library, whatever Python there is. In a checkout there is no `lib`, and our
processes import what is installed.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path

LIB = Path(__file__).resolve().parent / "lib"
DIGEST_FILE = "DIGEST"
"""Name of the file in `lib` that says what `lib` holds; `scripts/build_plugin.py` writes it."""
_COMPILED = "msgspec/_core"
"""A compiled module of `lib`, without the suffix that says for what it is compiled; the others are alike."""
_UNUSED_SECONDS = 7 * 24 * 3600
"""A copy that nobody asked for since then is removed: no run takes that long."""


class VendoredError(Exception):
    """What the plugin brings along cannot be used here; the text says why and what to do, in one line."""


def _digest() -> str:
    try:
        return (LIB / DIGEST_FILE).read_text().strip()
    except FileNotFoundError:
        return ""


# Of the release that this module belongs to: the folder may be replaced while it is loaded.
_DIGEST = _digest()


def check_platform() -> None:
    """Make sure that what is compiled in `lib` is so for this Python on this machine.

    Raises:
        VendoredError: it is not.
    """
    there = [path.name.partition(".")[2] for path in LIB.glob(f"{_COMPILED}.*.so")]
    here = str(sysconfig.get_config_var("EXT_SUFFIX")).removeprefix(".")
    if there and here not in there:
        made_for = " and ".join(sorted(suffix.removesuffix(".so") for suffix in there))
        raise VendoredError(
            f"This release of the plugin is made for {made_for}, and Dispatcharr runs on {here.removesuffix('.so')}."
            " Install a release of the plugin that is made for it, or use vod2strmfs outside of Dispatcharr."
        )


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of `lib` in a process of its own, in `environment`."""
    # -P: what lies in the current directory is not imported.
    return [_python(), "-P", "-m", module, *arguments]


def environment(data: Path) -> dict[str, str]:
    """The environment in which `command` finds `lib`; everything else is as it is here.

    Args:
        data: the folder of the plugin's data, where the copy of `lib` is kept. It takes up to a second to make.

    Raises:
        VendoredError: `lib` cannot be used, or not be copied.
    """
    if not _DIGEST:
        return dict(os.environ)
    # Pydantic looks through all that is installed for plugins of its own, and would load Dispatcharr's.
    return os.environ | {"PYTHONPATH": str(_copy(data)), "PYDANTIC_DISABLE_PLUGINS": "__all__"}


def _python() -> str:
    """The interpreter; in uWSGI `sys.executable` is uWSGI."""
    if os.path.basename(sys.executable).startswith("python"):
        return sys.executable
    return os.path.join(sys.prefix, "bin", "python3")


def _copy(data: Path) -> Path:
    """The copy of `lib`, made now if there is none."""
    copies = data / "lib"
    copy = copies / _DIGEST
    check_platform()
    try:
        os.utime(copy)
    except FileNotFoundError:
        try:
            _make_copy(copies, copy)
        except OSError as error:
            raise VendoredError(f"The plugin cannot be unpacked into {copies}: {error.strerror or error}.") from None
    return copy


def _make_copy(copies: Path, copy: Path) -> None:
    copies.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=copies))
    try:
        _copy_tree(unfinished)
        _publish(unfinished, copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for other in copies.iterdir():
        with suppress(FileNotFoundError):
            if other != copy and time.time() - other.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def _copy_tree(target: Path) -> None:
    """Copy `lib`; whether it was replaced meanwhile shows in the digest, which is asked for last."""
    with suppress(FileNotFoundError):
        for path in LIB.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                copy = target / path.relative_to(LIB)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    if _digest() != _DIGEST:
        raise VendoredError("The plugin was replaced just now: try again.")


def _publish(unfinished: Path, copy: Path) -> None:
    os.chmod(unfinished, 0o755)
    try:
        os.rename(unfinished, copy)
    except OSError:
        if not copy.is_dir():  # another process was faster
            raise
