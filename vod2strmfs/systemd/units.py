"""The text of systemd's units."""

from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

ServiceKind = Literal["mount", "materialize", "run", "films"]

CONFIG_DIRECTORY = Path("/etc/vod2strmfs")
UNIT_DIRECTORY = Path("/etc/systemd/system")

_TEMPLATES = {
    "mount": ("mount.service",),
    "materialize": ("materialize.service", "materialize.timer"),
    "run": ("run.service",),
    "films": ("films.service",),
}


def config_of(instance: str) -> Path:
    """The settings file of a library; the one without a name has its own."""
    return CONFIG_DIRECTORY / f"{instance}.toml" if instance else CONFIG_DIRECTORY.with_suffix(".toml")


def unit_name(work: ServiceKind, kind: str, instance: str) -> str:
    """The name of a unit, such as `vod2strmfs-materialize@films.timer`."""
    base = "vod2strmfs" if work == "mount" else f"vod2strmfs-{work}"
    return f"{base}@{instance}.{kind}" if instance else f"{base}.{kind}"


def units(work: ServiceKind, program: Path, *, templated: bool) -> dict[str, str]:
    """The files of units by name.

    Args:
        work: what the units do.
        program: the installed `vod2strmfs`.
        templated: whether they are for any number of libraries, each with a name, or for one.
    """
    templates = Environment(
        loader=PackageLoader("vod2strmfs.systemd"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    config = config_of("%i" if templated else "")
    values = {
        "instance": templated,
        "program": _quoted(program),
        "config": config,
        "environment": config.with_suffix(".env"),
        "state": "%S/vod2strmfs/%i" if templated else "%S/vod2strmfs",
        "directory": "vod2strmfs/%i" if templated else "vod2strmfs",
    }
    return {
        _file_name(work, template, templated): templates.get_template(template).render(values)
        for template in _TEMPLATES[work]
    }


def _file_name(work: ServiceKind, template: str, templated: bool) -> str:
    name = unit_name(work, template.partition(".")[2], "")
    return name.replace(".", "@.", 1) if templated else name


def _quoted(program: Path) -> str:
    """A path as ExecStart takes it."""
    text = str(program).replace("%", "%%").replace("\\", "\\\\").replace("$", "$$")
    return f'"{text.replace(chr(34), chr(92) + chr(34))}"' if " " in text or '"' in text else text
