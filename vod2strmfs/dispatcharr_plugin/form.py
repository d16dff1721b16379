"""The settings form: which settings it shows, in which of Dispatcharr's field types, and what was typed into it.

Dispatcharr keeps what is typed as it is, whatever the type of the field, and drops a field that it does not know
without a word. So only types are used that every release since 0.20 has, and all values are checked here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotated_types import Ge, Le

from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import Settings, choices, load
from vod2strmfs.status.words import capitalized

Field = dict[str, Any]
"""A field as Dispatcharr has it."""

_LABELS = {
    "output_root": "Output Root Folder",
    "base_url": "Base URL (for .strm)",
    "write_nfo": "Write NFO files",
    "cleanup": "Cleanup",
    "concurrency": "Filesystem concurrency",
    "debug_logging": "Robust debug logging",
    "schedule": "Schedule",
    "auto": "Run after each VOD refresh",
    "media_server": "Media server",
    "clean_titles": "Clean titles",
    "merge": "Rows of one title",
    "versions": "Versions",
    "accounts": "Accounts",
    "categories": "Categories",
    "languages": "Languages",
    "max_shrink": "Max shrink (%)",
    "overwrite": "Overwrite edited and foreign files",
}
"""The settings of the form, in its order. The first ones are the original plugin's, with its words."""

_OPEN = "open"
"""What is chosen to leave a choice open. Dispatcharr keeps what a form shows as if it had been chosen: a default that
names a value would change the library of whoever has another one."""

_HELP = {
    "output_root": "The folder, as Dispatcharr's container has it, to which the library is written",
    "debug_logging": "Log verbosely, to vod2strm.log in the plugin's folder logs",
    "cleanup": "What Generate All does with files of titles that have left the catalogue: nothing, report them, or"
    " delete them",
    "schedule": "When to run Generate All: daily HH:MM, or a crontab of 5 fields, or of 6 with the seconds first;"
    " empty: never",
    "auto": "Run Generate All when the catalogue has changed and then been still for 30 seconds",
    "concurrency": "How many files are written at once",
    "max_shrink": "Hold deletions back when more than this percentage of the films or episodes would vanish within a"
    " day; 100 holds nothing back",
    "write_nfo": "Write .nfo files beside the .strm files",
    "merge": "Whether the rows that the catalogue has of one title are one film or series: those with the same id or"
    " the same title and year, those with the same id alone, or none. Left open, a new library goes by titles, and one"
    " that is there stays as it is",
}
"""Where the setting's own description is about the command line."""

_PLACEHOLDERS = {
    "schedule": "daily 03:30",
    "accounts": "Provider A, !Provider B",
    "categories": "EN *, !*XXX*",
    "languages": "EN, DE, -",
}

_OPTION_LABELS = {
    _OPEN: "As the library is",
    "titles": "By ids and titles",
    "ids": "By ids alone",
    "any": "Any",
    "spec": "As the original plugin",
    "best": "The best one",
    "all": "One .strm for each",
}


def fields() -> list[Field]:
    """The form's fields, as Dispatcharr has them in a manifest."""
    return [_field(name) for name in _LABELS]


def settings(typed: Mapping[str, Any], data: Path, *, database: str | None = None, time_zone: str = "") -> Settings:
    """The settings that a filled-in form means.

    Args:
        typed: by setting, as Dispatcharr keeps it. What the form does not have is passed by: it may be left from
            another plugin of the same name. What is empty stands for the default.
        data: the folder of the plugin's data.
        database: the one to read, if it is not what Dispatcharr's variables name.
        time_zone: of the schedule.

    Raises:
        SettingsError: values are wrong; names them as the form does.
    """
    values = {name: _typed(value) for name, value in typed.items() if name in _LABELS and not _is_empty(value)}
    values = {name: value for name, value in values.items() if not (value == _OPEN and _may_be_open(name))}
    places = {"state_dir": data / "state", "report_dir": data / "reports", "log_dir": data / "logs"}
    values |= places | {"time_zone": time_zone} | ({"database": database} if database else {})
    found = load(None, values, {}, _LABELS)
    if not found.output_root.is_absolute():
        raise SettingsError(f"{_LABELS['output_root']}: must be an absolute path, such as /data/STRM.")
    return found


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _may_be_open(name: str) -> bool:
    field = Settings.model_fields[name]
    return field.default is None and bool(choices(field.annotation))


def _typed(value: object) -> object:
    """What was typed, without what one does not see."""
    return value.strip() if isinstance(value, str) else value


def _field(name: str) -> Field:
    annotation, default = Settings.model_fields[name].annotation, Settings.model_fields[name].default
    text = _HELP.get(name) or capitalized(Settings.model_fields[name].description or "")
    field: Field = {"id": name, "label": _LABELS[name], "type": "string", "help_text": f"{text}."}
    if annotation is bool:
        field |= {"type": "boolean", "default": default}
    elif values := choices(annotation):
        if _may_be_open(name):
            values, default = (_OPEN, *values), _OPEN
        options = [{"value": value, "label": _option(value)} for value in values]
        field |= {"type": "select", "default": default, "options": options}
    elif annotation is int:
        field |= {"type": "number", "default": default, "step": 1, **_limits(name)}
    else:
        field |= {"default": ", ".join(default) if isinstance(default, tuple) else str(default)}
    if name in _PLACEHOLDERS:
        field["placeholder"] = _PLACEHOLDERS[name]
    return field


def _limits(name: str) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for limit in Settings.model_fields[name].metadata:
        if isinstance(limit, Ge):
            limits["min"] = limit.ge
        elif isinstance(limit, Le):
            limits["max"] = limit.le
    return limits


def _option(value: str) -> str:
    return _OPTION_LABELS.get(value) or capitalized(value)
