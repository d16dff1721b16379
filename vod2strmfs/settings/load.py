"""The values of settings, from a TOML file, the environment and the command line."""

import os
import pwd
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from vod2strmfs.errors import SettingsError
from vod2strmfs.settings.checks import without_password
from vod2strmfs.settings.model import (
    CONFIG_VARIABLE,
    ENVIRONMENT_PREFIX,
    SECTIONS,
    LibrarySettings,
    Settings,
    is_secret,
)

_Spell = Callable[[str], str]
"""Makes what a user types for a setting from the name of its field."""

_SHOWN_CHARACTERS = 80
"""Characters of a bad value that a message shows."""


def load(
    config: Path | None,
    options: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    spelling: Mapping[str, str] | None = None,
    *,
    is_usual: bool = False,
) -> Settings:
    """The settings of one command.

    Args:
        config: a TOML file, or None.
        options: the command line's values by field name, only those that were given.
        environment: where `VOD2STRMFS_…` variables are looked up. One that is empty counts as not set.
        spelling: what the command line calls the fields, where that is not the name with dashes.
        is_usual: whether the file is read without being named (see `place`).

    Raises:
        SettingsError: a key is unknown, a value is bad, or the file cannot be read; the message names it.
    """
    spelled = spelling or {}

    def option(key: str) -> str:
        return spelled.get(key, "--" + key.replace("_", "-"))

    layers: tuple[tuple[Mapping[str, Any], _Spell, _Spell], ...] = (
        (_from_file(config, is_usual=is_usual) if config else {}, str, lambda key: f"{key} in {config}"),
        (_from_environment(environment), _variable, _variable),
        (options, option, option),
    )
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for layer, spell, place in layers:
        for key, value in layer.items():
            if _is_section(value) and key not in SECTIONS:
                raise SettingsError(
                    f"{place(key)}: sections are not used. Write its settings without the line [{key}]."
                )
            if key not in Settings.model_fields:
                raise SettingsError(f"{place(key)}: there is no such setting. {_suggestion(key, spell)}")
            values[key] = value
            origin[key] = place(key)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, origin)) from None
    settings.come_from(config, origin, tuple(_repeated(None if is_usual else config, options)))
    return settings


def _repeated(config: Path | None, options: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The options that a command has to be given for it to be about the same library, each with its value if any."""
    if config:
        yield "--config", str(config.absolute())
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool) and name in LibrarySettings.model_fields:
            yield (option if value else f"--no-{option[2:]}",)
        elif name == "state_dir":
            yield option, str(Path(value).absolute())
        elif name == "database":
            yield option, "URL" if _has_password(value) else value
        elif name == "max_shrink" or name in LibrarySettings.model_fields:
            yield option, without_password(str(value))


def _has_password(database: str) -> bool:
    return "password" in database.lower() or ":" in database.partition("://")[2].rpartition("@")[0]


def _is_section(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.upper()


def _from_file(path: Path, *, is_usual: bool) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        without = "\nIt is read since no other file is named; with --config '' none is." if is_usual else ""
        who = _who_may_read(path, error)
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).{who}{without}") from None
    try:
        text = data.decode("utf-8-sig")  # Windows' editor begins files with a mark.
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}: line {line} has a character that is not UTF-8. Save the file as UTF-8.") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(_broken(path, text, str(error))) from None


def _who_may_read(path: Path, error: OSError) -> str:
    if not isinstance(error, PermissionError):
        return ""
    try:
        owner = pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):  # It lies in a folder that this user may not look into.
        return " Use sudo."
    return f" Only {owner} may read it: use sudo{'' if owner == 'root' else f' -u {owner}'}."


def _broken(path: Path, text: str, problem: str) -> str:
    """A message that says what is wrong with a file that is no TOML, without a value that must not be shown."""
    found = re.search(r" \(at line (\d+), column \d+\)$", problem)
    if found is None:
        return f"{path}: is not a TOML file: {problem}.{_remedy(problem)}"
    line = text.split("\n")[int(found[1]) - 1]
    where = f"{path}: line {found[1]}"
    bare = re.match(r"\s*(\w+)\s*=\s*([^\s\"'{#].*)", line)
    is_of_value = problem.startswith(("Invalid value", "Expected newline"))
    if bare is None or bare[1] not in Settings.model_fields or not is_of_value:
        return f"{where}: is not TOML: {problem[: found.start()]}.{_remedy(problem)}"
    key, value = bare[1], "…" if is_secret(bare[1]) else _shortened(without_password(bare[2].strip(), is_value=True))
    return f"{where}: `{key} = {value}`: {_toml_form(key)}."


_REMEDIES = {
    "Cannot overwrite": "The setting stands there twice",
    r"Unterminated|Unclosed|Illegal character|Expected [\"']['\"]+ \(": "A quote, a bracket or a comma is missing",
    r"Unescaped '\\'|Invalid hex": r"Write text with a \ in 'single quotes'",
}
"""What to do about a broken file, by how tomllib's message begins."""


def _remedy(problem: str) -> str:
    return next((f" {remedy}." for begin, remedy in _REMEDIES.items() if re.match(begin, problem)), "")


def _toml_form(key: str) -> str:
    annotation = Settings.model_fields[key].annotation
    if annotation is bool:
        return "must be true or false, in small letters"
    if get_origin(annotation) is tuple:
        return 'must be a list, as in ["A", "B"]'
    return "must be a number" if annotation in (int, float) and key != "umask" else 'text has to stand in "quotes"'


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != CONFIG_VARIABLE and value
    }


def _suggestion(key: str, spell: _Spell) -> str:
    plain = key.lower().replace("-", "_").removeprefix(ENVIRONMENT_PREFIX.lower())
    if near := get_close_matches(plain, Settings.model_fields, 1):
        return f"Did you mean {spell(near[0])}?"
    remote = [spell(name) for name in get_close_matches(plain, Settings.model_fields, 3, cutoff=0.4)]
    nearest = f"The nearest: {', '.join(remote)}. " if remote else ""
    return f"{nearest}docs/settings.md lists them all."


_REASONS = {
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "string": 'must be text, in a file in "quotes"',
    "path": 'must be a path, in a file in "quotes"',
    "tuple": 'must be a list, in a file as in ["A", "B"]',
}
"""Reasons for people, by the first word of the type of pydantic's error."""


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_context=False):
        field = str(problem["loc"][0])
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        kind, _, what = problem["type"].partition("_")
        reason = {"extra": "there is no such setting", "missing": "is not there, and has to be"}.get(kind, reason)
        if what in ("parsing", "type", "from_float", "parsing_size"):
            reason = _REASONS.get(kind, reason)
        value = problem["input"]
        if field in ("uid", "gid") and kind == "int":
            reason += f", as `id -{field[0]} NAME` shows it"
        elif (
            kind in ("int", "float")
            and isinstance(value, str)
            and re.fullmatch(r"[\d.,]+\s*[a-zA-Z%/]+", value.strip())
        ):
            reason += " without a unit"
        plain = without_password(value, is_value=True) if isinstance(value, str) else value
        shown = without_password(repr(plain), is_value=True)
        given = "" if is_secret(field) else f" (is {_shortened(shown)})"
        problems.append(f"{origin[field]}{_within(problem['loc'][1:])}: {reason}{given}.")
    return "\n".join(problems)


def _within(place: tuple[int | str, ...]) -> str:
    """Where in a list of tables something is wrong."""
    return "".join(f", table {step + 1}" if isinstance(step, int) else f", {step}" for step in place)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
