"""Writing units and settings where systemd finds them."""

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, get_args

import tomli_w
from pydantic import SecretStr

from vod2strmfs.errors import OutputError, SettingsError
from vod2strmfs.films.film import FOLDER
from vod2strmfs.settings import NotifiedServer, Settings, load
from vod2strmfs.systemd.units import UNIT_DIRECTORY, ServiceKind, config_of, unit_name, units

_NEVER = ("state_dir",)
"""Settings that the units give themselves."""


class Installed(NamedTuple):
    """What was written, and what starts it."""

    files: list[Path]
    unit: str
    kept: list[Path]
    """What stood there before and differed, under other names."""


def install(
    settings: Settings, work: ServiceKind, instance: str, program: Path, *, root: Path = Path("/"), force: bool = False
) -> Installed:
    """Write the units for a library, and a file with its settings that only root can read.

    Args:
        settings: of the library.
        work: what the units do.
        instance: the library's name; empty if there is one library on this host.
        program: the installed `vod2strmfs`.
        root: below which to write, for images that are built.
        force: whether to write over files that are there and differ; they are kept beside what is written.

    Raises:
        OutputError: a file is there and differs, or cannot be written. Then none was written.
        SettingsError: the name cannot be one, or there is no database.
    """
    if instance and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", instance):
        raise SettingsError(f"--name {instance}: must be of letters, digits, _, - and ., a letter or digit first.")
    config = root / config_of(instance).relative_to("/")
    if instance == FOLDER and not config.exists():
        raise SettingsError(
            f"--name {instance}: there, the library without a name keeps films that play. Choose another."
        )
    differing = _differing(config, settings)
    contents = {} if differing == [] else {config: tomli_w.dumps(_values(settings))}
    for name, text in units(work, program, templated=bool(instance)).items():
        contents[root / "etc/systemd/system" / name] = text
    for path, text in contents.items():
        if not force and _differs(path, text):
            raise OutputError(f"{path}: is there already, and differs{_where(differing if path == config else None)}")
    kept = [_keep(path) for path, text in contents.items() if _differs(path, text)]
    for path, text in contents.items():
        _write(path, text, 0o600 if path.suffix == ".toml" else 0o644)
    kind = "timer" if work == "materialize" else "service"
    return Installed(list(contents), unit_name(work, kind, instance), kept)


class Removed(NamedTuple):
    """What was taken away, and what was left."""

    files: list[Path]
    config: Path
    """The settings file, which stays."""


def remove(instance: str, *, root: Path = Path("/")) -> Removed:
    """Take the units of a library away; before, they are stopped and disabled, if systemd runs here.

    The templates of units that have several libraries stay while another one is enabled.

    Args:
        instance: the library's name; empty for the one without a name.
        root: below which to look.

    Raises:
        OutputError: they cannot be taken away, or systemd does not stop one.
    """
    folder = root / UNIT_DIRECTORY.relative_to("/")
    kinds = [(work, kind) for work in get_args(ServiceKind) for kind in ("service", "timer")]
    names = [unit_name(work, kind, instance) for work, kind in kinds]
    files = [folder / (name.replace(f"@{instance}.", "@.") if instance else name) for name in names]
    there = [(name, file) for name, file in zip(names, files, strict=True) if file.exists()]
    is_running = root == Path("/") and Path("/run/systemd/system").is_dir()
    removed = []
    try:
        for name, file in there:
            if is_running:
                _systemctl("disable", "--now", name)
            for link in _links(folder, name):
                link.unlink()
            others = instance and _links(folder, file.name.replace("@.", "@*."))
            if not others:
                file.unlink()
                removed.append(file)
        if is_running and there:
            _systemctl("daemon-reload")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be changed ({error.strerror}). Run this as root.") from error
    return Removed(removed, root / config_of(instance).relative_to("/"))


def _links(folder: Path, pattern: str) -> list[Path]:
    """The links with which units are enabled; their targets need not exist."""
    return [link for wants in folder.glob("*.wants") for link in wants.iterdir() if fnmatch(link.name, pattern)]


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OutputError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}. Nothing more was removed.")


def _values(settings: Settings) -> dict[str, object]:
    """What was given, as the file takes it; the database from Dispatcharr's variables too."""
    values = settings.model_dump(mode="json", include=set(settings.model_fields_set) - {*_NEVER, "database"})
    values |= {name: str(Path(value).absolute()) for name, value in values.items() if _is_path(settings, name)}
    secrets = {name: value for name in values if isinstance(value := getattr(settings, name), SecretStr)}
    values |= {name: secret.get_secret_value() for name, secret in secrets.items()}
    if "notify" in values:
        values["notify"] = [_table(server) for server in settings.notify]
    if "shelf" in values:
        values["shelf"] = [s.model_dump(mode="json", exclude_unset=True, exclude_none=True) for s in settings.shelf]
    if "umask" in values:
        values["umask"] = f"{settings.umask:03o}"
    return {"database": settings.database_url()} | {name: value for name, value in values.items() if value is not None}


def _table(server: NotifiedServer) -> dict[str, object]:
    """A media server as it was given, with its token."""
    given = server.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    given |= {name: str(Path(given[name]).absolute()) for name in ("token_file", "ca_file") if name in given}
    return given | ({"token": server.token.get_secret_value()} if "token" in given else {})


def _differing(config: Path, settings: Settings) -> list[str] | None:
    """The names of the settings of which a file says something else, in whatever words; None if it says nothing."""
    try:
        there, wanted = _values(load(config, {}, {})), _values(settings)
    except SettingsError:
        return None
    return sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))


def _where(names: list[str] | None) -> str:
    """The end of a sentence that says that a file differs, with what to do."""
    if not names:
        return ". Look at it; --force writes over it, and keeps this one beside it."
    return (
        f" in {', '.join(names)}. Write that into it, or have it written anew, without its comments, with --force,"
        " which keeps this one beside it."
    )


def _is_path(settings: Settings, name: str) -> bool:
    return isinstance(getattr(settings, name), Path)


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_text() != text
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def _keep(path: Path) -> Path:
    """Give a file, which may have been edited, another name beside its own; no name that systemd reads."""
    number = 1
    while True:
        kept = path.with_name(f"{path.name}.old-{number}")
        try:
            os.link(path, kept, follow_symlinks=False)
            return kept
        except FileExistsError:
            number += 1
        except OSError as error:
            raise OutputError(f"{path}: cannot be kept as {kept.name} ({error.strerror}). Move it away.") from error


def _write(path: Path, text: str, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Run this as root.") from error
