"""The form of the plugin: what Dispatcharr takes of it, and what becomes of what is typed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vod2strmfs.dispatcharr_plugin import form
from vod2strmfs.dispatcharr_plugin.manifest import KEY, manifest
from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import Settings

_FIELD_KEYS = set(
    "id label type default help_text description placeholder input_type min max step value options".split()
)
_FIELD_TYPES = {"boolean", "number", "string", "text", "select"}
_ACTION_KEYS = set("id label description confirm button_label button_variant button_color events".split())
_TEXTS = ("id", "label", "type", "help_text", "placeholder")
_SPEC = {
    "Output Root Folder": "/data/STRM",
    "Base URL (for .strm)": "http://192.168.199.10:9191",
    "Write NFO files": True,
    "Cleanup": "off",
    "Filesystem concurrency": 12,
    "Robust debug logging": False,
    "Schedule": "",
}
"""The original specification's settings and defaults."""


def _fields() -> dict[str, dict[str, Any]]:
    return {field["id"]: field for field in manifest()["fields"]}


def test_every_field_is_one_that_all_releases_of_dispatcharr_show() -> None:
    for field in manifest()["fields"]:
        assert field.keys() <= _FIELD_KEYS
        assert field["type"] in _FIELD_TYPES
        assert all(isinstance(field.get(key, ""), str) for key in _TEXTS)
        assert all(isinstance(field.get(key, 0), int) for key in ("min", "max", "step"))
        for option in field.get("options", []):
            assert option.keys() == {"value", "label"}
            assert all(isinstance(text, str) and text for text in option.values())
        if field["type"] == "select":
            assert field["default"] in [option["value"] for option in field["options"]]


def test_every_action_is_one_that_dispatcharr_shows() -> None:
    actions = manifest()["actions"]
    for action in actions:
        assert action.keys() <= _ACTION_KEYS
        assert all(isinstance(value, str) and value for key, value in action.items() if key != "confirm")
        assert action.get("confirm", {"required": 1, "title": 1, "message": 1}).keys() == {
            "required",
            "title",
            "message",
        }
    assert len({action["id"] for action in actions}) == len(actions)


def test_whatever_may_delete_asks_first() -> None:
    asking = {action["id"] for action in manifest()["actions"] if "confirm" in action}
    assert asking == {"generate_all", "apply_cleanup"}


def test_the_manifest_is_json_and_named_as_its_folder() -> None:
    said = json.loads(json.dumps(manifest()))
    assert said == manifest()
    assert said["key"] == KEY == "vod2strm"
    assert re.fullmatch(r"\d+\.\d+\.\d+", said["version"])


def test_the_form_begins_with_the_settings_and_defaults_of_the_specification() -> None:
    shown = [(field["label"], field["default"]) for field in manifest()["fields"]]
    assert dict(shown[: len(_SPEC)]) == _SPEC


def test_every_default_of_the_form_is_the_one_of_the_setting(tmp_path: Path) -> None:
    typed = {name: field["default"] for name, field in _fields().items()}
    found, plain = form.settings(typed, tmp_path), Settings()
    for name in typed:
        assert getattr(found, name) == getattr(plain, name)


def test_what_is_left_empty_is_the_default(tmp_path: Path) -> None:
    for nothing in ("", "  ", None):
        found = form.settings(dict.fromkeys(_fields(), nothing), tmp_path)
        assert found.concurrency == 12
        assert str(found.output_root) == "/data/STRM"
        assert found.cleanup == "off"


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("concurrency", "7", 7),
        ("concurrency", " 7 ", 7),
        ("concurrency", 7.0, 7),
        ("write_nfo", "false", False),
        ("write_nfo", False, False),
        ("cleanup", "apply", "apply"),
        ("accounts", "Alpha, !Beta", ("Alpha", "!Beta")),
        ("schedule", "daily 03:30", "daily 03:30"),
        ("schedule", "0 30 3 * * *", "0 30 3 * * *"),
        ("base_url", " http://10.0.0.2:9191/ ", "http://10.0.0.2:9191"),
    ],
)
def test_what_is_typed_means_what_one_would_think(name: str, typed: object, meant: object, tmp_path: Path) -> None:
    assert getattr(form.settings({name: typed}, tmp_path), name) == meant


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("concurrency", "seven", "Filesystem concurrency: must be a whole number (is 'seven')."),
        ("concurrency", True, "Filesystem concurrency: "),
        ("concurrency", 0, "Filesystem concurrency: "),
        ("concurrency", [1], "Filesystem concurrency: "),
        ("max_shrink", 101, "Max shrink (%): "),
        ("cleanup", "Delete", "Cleanup: "),
        ("write_nfo", "maybe", "Write NFO files: "),
        ("schedule", "daily 25:00", "Schedule: "),
        ("schedule", "hourly", "Schedule: "),
        ("output_root", "STRM", "Output Root Folder: must be an absolute path"),
        ("output_root", {"a": 1}, "Output Root Folder: "),
        ("base_url", "dispatcharr:9191", "Base URL (for .strm): "),
        ("media_server", "Plexx", "Media server: "),
    ],
)
def test_what_cannot_be_is_named_as_the_form_does(name: str, typed: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        form.settings({name: typed}, tmp_path)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        form.settings({"base_url": "http://user:geheim@host:99999"}, tmp_path)
    assert "geheim" not in str(caught.value)


def test_what_another_plugin_of_this_name_has_left_is_passed_by(tmp_path: Path) -> None:
    form.settings({"write_nfos": True, "cleanup_mode": "sometimes", "name_clean_regex": "("}, tmp_path)


def test_images_as_files_are_not_offered_since_the_plugin_fetches_none(tmp_path: Path) -> None:
    assert not {name for name in _fields() if name.startswith("artwork")}
    found = form.settings({"output_root": "/data/STRM", "artwork": "files"}, tmp_path)
    assert found.artwork == "url"
